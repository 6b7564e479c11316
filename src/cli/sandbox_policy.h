// cli/sandbox_policy.h: the policy that is in force in a sandbox, and how policies of the gateway are
// printed.
#pragma once
#include <jansson.h>

#include "cli/gateway.h"
#include "policy/policy.h"

struct sandbox_policy {
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *config;
    struct policy *policy; // NULL: there is none
};

// Lives as long as `g`. What fails has been reported; 0 or the exit status.
[[nodiscard]] int sandbox_policy_fetch(struct cli *cli, struct gateway *g, const char *id,
                                       struct sandbox_policy *ret) NONNULL;
// Of a message.
[[nodiscard]] int sandbox_policy_read(struct cli *cli, struct gateway *g,
                                      const Openshell__Sandbox__V1__SandboxPolicy *m,
                                      struct policy **ret) NONNULL;

// The same without what attached providers add to it. 0 or the exit status.
[[nodiscard]] int sandbox_policy_base(struct cli *cli, struct arena *a, const struct policy *p,
                                      struct policy **ret) NONNULL;

[[nodiscard]] const char *sandbox_policy_source(
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *c) NONNULL; // "sandbox", "global"
[[nodiscard]] json_t *sandbox_policy_json(const struct policy *p, bool *ok) NONNULL;
// YAML, each line behind `indent` blanks. Returns the exit status.
[[nodiscard]] int sandbox_policy_print(struct cli *cli, const struct policy *p, size_t indent) NONNULL;
