// gateway/sandbox_check.h: what CreateSandbox may ask for (reference: gateway 3.1), whatever the driver.
#pragma once
#include "base/arena.h"

#include "openshell.pb-c.h"

// ERR_INVALID: a limit or a form. ERR_UNSUPPORTED: what a policy asks for and no sandbox enforces. Whether
// workspace and providers exist is not asked here. It takes out of the arena what the policy takes.
enum err_code sandbox_check(const Openshell__V1__CreateSandboxRequest *req, struct arena *a,
                            struct err *reterr) NONNULL;

// A policy on its own, also that of UpdateConfig.
enum err_code sandbox_check_policy(const Openshell__Sandbox__V1__SandboxPolicy *policy, struct arena *a,
                                   struct err *reterr) NONNULL;
