// gateway/offload.h: a streaming call, which lives on the loop, asks the store, which blocks.
#pragma once
#include "rpc/serve.h"

// `work` runs on a worker; it may set the call's code. Then `done` on the loop, unless the call has ended
// meanwhile. `arg` is malloc()ed and freed here, whatever happens. Called on the loop. A failure to begin is
// told to `done` at once.
struct offload_ops {
    enum err_code (*work)(struct rpc_request *r, void *arg, struct err *reterr);
    void (*done)(struct rpc_request *r, void *arg, const struct err *failed); // NULL: it went well
};
void offload(uv_loop_t *loop, struct rpc_request *r, const struct offload_ops *ops, void *arg) NONNULL;
