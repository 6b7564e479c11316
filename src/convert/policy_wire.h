// convert/policy_wire.h: a policy as a message of the interface, and back.
//
// What openshell-sandbox can enforce today is translated; all else is refused by name, in both directions, so
// that nothing of a policy is lost on its way.
#pragma once
#include "policy/policy.h"
#include "rpc/wire.h"

#include "sandbox.pb-c.h"

// Everything in *ret lives in `a` or is borrowed from `p`. ERR_UNSUPPORTED: names what is not translated.
// ERR_LIMIT: the arena.
enum err_code policy_to_wire(const struct policy *p, struct arena *a,
                             Openshell__Sandbox__V1__SandboxPolicy **ret, struct err *reterr) NONNULL;

// The same back; borrowed from `m`. The policy is not validated.
enum err_code policy_from_wire(const Openshell__Sandbox__V1__SandboxPolicy *m, struct arena *a,
                               struct policy **ret, struct err *reterr) NONNULL;
