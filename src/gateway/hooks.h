// gateway/hooks.h: what the life of a sandbox tells the other services, and what it asks them.
#pragma once
#include "gateway/lifecycle.h"
#include "gateway/services.h"

// Those of `s` are asked for when something happens, so that they may come after the lifecycle.
struct lifecycle_hooks services_hooks(struct services *s) NONNULL;

// And the other way: a supervisor has a session, or none any more. `ctx` is the services.
void services_connected(void *ctx, struct str sandbox_id,
                        const Openshell__V1__SupervisorHello *hello) NONNULL;
void services_disconnected(void *ctx, struct str sandbox_id) NONNULL;
