// gateway/watch.h: who wants to know what happens to a sandbox, and the last of what did.
//
// All functions are for any thread and do not block, but for those marked "worker" and "start": they note,
// and the loop delivers (WatchSandbox). Lines are also kept in files, so that they are there after a restart.
#pragma once
#include "base/arena.h"
#include "rpc/serve.h"

#include "openshell.pb-c.h"

struct watch;

enum {
    WATCH_LOG_LINES = 2000,    // kept for each sandbox; reference: gateway 3.4
    WATCH_LOG_BYTES = 1 * MIB, // ditto; ours: whichever is reached first
    WATCH_EVENTS = 50,         // ditto; reference
    WATCH_QUEUE = 1024,        // messages that a slow reader may be behind; ditto
    WATCH_TAIL = 200,          // lines that a watcher gets first who does not say how many; ditto
    WATCH_LINE_MAX = 16 * KIB, // bytes of a line's message, which is cut; its fields are left out then; ours
    WATCH_FILE_MAX = 1 * MIB,  // of each of a sandbox's two files; ours
};

enum err_code watch_new(struct watch **ret, struct err *reterr) NONNULL;
// Start, before all else: keeps the lines in the folder `dir` too, which is made (0700).
enum err_code watch_keep(struct watch *w, const char *dir, struct log *log, struct err *reterr) NONNULL;
void watch_attach(struct watch *w, struct rpc_server *server, uv_loop_t *loop) NONNULL;
// On the loop, when the gateway begins to end: the streams of watchers and of lines end, and none is begun.
// Twice is fine.
void watch_stop(struct watch *w) NONNULL;
void watch_free(struct watch *w); // after the loop has ended; what was noted is in the files; NULL is fine

// The sandbox's record was written, or removed: watchers are told what is stored when their turn comes.
void watch_changed(struct watch *w, struct str sandbox_id) NONNULL;
// The line is kept whatever is in it; its sandbox_id is that of the sandbox, and an empty source "gateway".
void watch_log(struct watch *w, struct str sandbox_id, const Openshell__V1__SandboxLogLine *line) NONNULL;
void watch_event(struct watch *w, struct str sandbox_id, const Openshell__V1__PlatformEvent *event) NONNULL;
// The sandbox is gone: ends its streams and forgets its lines, those in files too. What comes later is
// dropped.
void watch_forget(struct watch *w, struct str sandbox_id) NONNULL;

// Which lines somebody wants to see.
struct watch_filter {
    int64_t since_ms;     // 0: any
    char *const *sources; // none: any
    size_t n_sources;
    const char *min_level; // "": any
};
[[nodiscard]] bool watch_passes(const struct watch_filter *f,
                                const Openshell__V1__SandboxLogLine *line) NONNULL;

// Worker: the last `n` lines, the oldest first, in `a`. A sandbox that nobody knows has none.
enum err_code watch_tail(struct watch *w, struct str sandbox_id, size_t n, struct arena *a,
                         Openshell__V1__SandboxLogLine ***ret, size_t *ret_n, struct err *reterr) NONNULL;

void method_watch_sandbox(struct rpc_request *r) NONNULL; // a stream
