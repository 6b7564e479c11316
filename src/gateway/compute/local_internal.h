// gateway/compute/local_internal.h: what local.c and its parts share.
#pragma once
#include "gateway/compute/local.h"

// What a driver of this kind does not do is refused (local_check.c). ERR_INVALID: what is wrong in itself.
// ERR_UNSUPPORTED: names it.
enum err_code local_check(const Openshell__Compute__V1__DriverSandbox *s, struct err *reterr) NONNULL;

struct local_limits { // 0: none
    uint64_t memory, cpu_milli;
};
enum err_code local_limits(const Openshell__Compute__V1__DriverSandbox *s, struct local_limits *ret,
                           struct err *reterr) NONNULL;

// The processes that run, and a thread that sees them end (local_watch.c).
struct local_watch;
enum err_code local_watch_new(struct local_watch **ret, struct err *reterr) NONNULL;
void local_watch_free(struct local_watch *w); // they run on; NULL is fine
// Owns the pidfd from here, also on failure.
enum err_code local_watch_add(struct local_watch *w, struct str id, int pidfd, struct err *reterr) NONNULL;
[[nodiscard]] bool local_watch_has(struct local_watch *w, struct str id) NONNULL;
// Ends it: SIGTERM, and SIGKILL after `grace_ms`. Returns when it is gone, also where there was none.
// ERR_TIMEOUT: not even then.
enum err_code local_watch_end(struct local_watch *w, struct str id, int64_t grace_ms,
                              struct err *reterr) NONNULL;
// From now on ended(ctx, id), on that thread, for each that ends.
void local_watch_tell(struct local_watch *w, void (*ended)(void *ctx, struct str id), void *ctx)
    __attribute__((nonnull(1, 2)));
