// gateway/provider_layers.h: what the kinds of a sandbox's providers add to its policy (reference:
// gateway 4.3).
//
// Any worker. Derived each time, never stored.
#pragma once
#include "gateway/providers.h"

#include "sandbox.pb-c.h"

// *policy becomes a copy, in `a`, with one rule for each attached provider that has a profile with endpoints,
// in order: `_provider_<name>`, with _2, _3 … where two names become one. What openshell-sandbox cannot
// enforce yet (GraphQL, signing) is left out, so that nothing is admitted unseen, and logged. NULL: there is
// none to add to.
enum err_code provider_layers(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                              struct arena *a, Openshell__Sandbox__V1__SandboxPolicy **policy,
                              struct err *reterr) NONNULL;

// "_provider_" and the name in lower case, with '_' for what is no letter or digit.
enum err_code provider_rule_key(const char *name, struct arena *a, char **ret, struct err *reterr) NONNULL;
