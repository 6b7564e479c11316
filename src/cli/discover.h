// cli/discover.h: credentials that a user has on this machine already (reference: CLI 7.1).
//
// Only this process reads its user's environment; the gateway never does.
#pragma once
#include "base/arena.h"
#include "base/base.h"

#include "openshell.pb-c.h"

typedef Openshell__Datamodel__V1__Provider__CredentialsEntry discovered;

// The variables that a type is searched for; NULL at the end. NULL: the type is not known here.
[[nodiscard]] const char *const *discover_variables(const char *type) NONNULL;

// Every one of `variables` that has a value that is not blank, in `a`. By the profile, where there is one:
// each variable of each credential in its discovery list.
enum err_code discover_environment(const char *const *variables,
                                   const Openshell__V1__ProviderProfile *profile, struct arena *a,
                                   discovered ***ret, size_t *ret_n, struct err *reterr)
    __attribute__((nonnull(3, 4, 5, 6)));

// The type that a command's name says, upper case or lower: "/usr/bin/claude" is claude-code. NULL: none that
// is known. One of a table, so that it lives for ever.
[[nodiscard]] const char *discover_agent(const char *command) NONNULL;
