// gateway/watch.h: who wants to know what happens to a sandbox, and the last of what did.
//
// All functions are for any thread and do not block: they note, and the loop delivers (WatchSandbox).
#pragma once
#include "rpc/serve.h"

#include "openshell.pb-c.h"

struct watch;

enum {
    WATCH_LOG_LINES = 2000, // kept for each sandbox; reference: gateway 3.4
    WATCH_EVENTS = 50,      // ditto
    WATCH_QUEUE = 1024,     // messages that a slow reader may be behind; ditto
};

enum err_code watch_new(struct watch **ret, struct err *reterr) NONNULL;
void watch_attach(struct watch *w, struct rpc_server *server, uv_loop_t *loop) NONNULL;
void watch_free(struct watch *w); // after the loop has ended; NULL is fine

// The sandbox's record was written, or removed: watchers are told what is stored when their turn comes.
void watch_changed(struct watch *w, struct str sandbox_id) NONNULL;
void watch_log(struct watch *w, struct str sandbox_id, const Openshell__V1__SandboxLogLine *line) NONNULL;
void watch_event(struct watch *w, struct str sandbox_id, const Openshell__V1__PlatformEvent *event) NONNULL;
// The sandbox is gone: ends its streams and forgets its lines.
void watch_forget(struct watch *w, struct str sandbox_id) NONNULL;
