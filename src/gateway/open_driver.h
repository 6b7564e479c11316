// gateway/open_driver.h: the driver that the configuration names.
#pragma once
#include "base/arena.h"
#include "gateway/compute/driver.h"
#include "gateway/conf.h"
#include "gateway/state.h"
#include "rpc/serve.h"

// `env` is for the local driver and outlives it; its `endpoint` is the gateway's own socket. A driver of
// containers gets a second socket in the state folder, which `server` listens on: that folder alone is
// mounted into containers. Whoever calls there from another pid namespace is served as a sandbox with a
// token, or not at all (caller.h).
enum err_code open_driver(const struct conf *conf, const struct driver_env *env, const struct state *state,
                          struct rpc_server *server, struct driver **ret, struct err *reterr) NONNULL;
