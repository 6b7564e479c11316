// gateway/lookup.h: a streaming call is about a sandbox: is it known, and does it run?
#pragma once
#include "gateway/sessions.h"

// `done` on the loop, unless the call has ended meanwhile. ERR_NOT_FOUND: "sandbox not found";
// ERR_PRECONDITION: "sandbox is not ready". ERR_INVALID: an empty id or one that is too long.
void lookup_ready(struct sessions *s, struct rpc_request *r, struct str sandbox_id,
                  void (*done)(struct rpc_request *r, const struct err *failed)) NONNULL;

// The same on a worker, for unary calls. *ret_workspace lives in the arena.
enum err_code lookup_ready_now(struct rpc_request *r, struct str sandbox_id, struct arena *a,
                               struct str *ret_workspace, struct err *reterr) NONNULL;
