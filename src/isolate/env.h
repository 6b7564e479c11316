// isolate/env.h: the agent's environment (reference 2.10, 6.8).
#pragma once
#include "base/arena.h"
#include "base/base.h"

struct env_spec {
    const char *const *host;  // "NAME=value", NULL at the end; what could steer a program is left out
    const char *const *given; // by --env: wins over everything; NULL at the end
    struct str home, user, shell, proxy, ca, bundle; // proxy "http://10.200.0.1:3128"; empty: not set
};

// Whether a variable of the host must not reach the agent.
[[nodiscard]] bool env_scrubbed(struct str name);

// *ret ends with NULL and lives in `a`. ERR_INVALID: a given variable has no name. ERR_LIMIT: no room.
enum err_code env_build(const struct env_spec *s, struct arena *a, const char *const **ret,
                        struct err *e) NONNULL;
