// gateway/lifecycle.h: the life of sandboxes: what is stored of them, and the driver that they run on.
//
// All functions but those of driver and sessions (below) block, and are for workers, or for the main thread
// before and after the loop. Operations on one sandbox are made one after the other. An operation that was
// begun goes on to its end whether or not somebody still waits for it.
//
// What the driver says by itself is only a reason to ask it: one thread goes through the sandboxes of which
// something was heard, and once a minute through all of them, and writes down what is.
#pragma once
#include "base/log.h"
#include "gateway/compute/driver.h"
#include "gateway/records.h"
#include "gateway/sessions.h"

struct lifecycle;

enum {
    LIFECYCLE_SWEEP_MS = 60'000,   // reference: gateway 3.3
    LIFECYCLE_ORPHAN_MS = 300'000, // ditto: how old a record must be whose backend is not there
};

// Other parts, as far as there are any; each may be NULL. Any thread; they do not block.
struct lifecycle_hooks {
    void (*changed)(void *ctx, struct str sandbox_id);     // the record was written
    void (*forgotten)(void *ctx, struct str sandbox_id);   // it was removed
    bool (*has_session)(void *ctx, struct str sandbox_id); // NULL: a backend that is ready is enough
    void (*drop_session)(void *ctx, struct str sandbox_id);
    void (*event)(void *ctx, struct str sandbox_id, const Openshell__V1__PlatformEvent *event);
    enum err_code (*mint)(void *ctx, struct str sandbox_id, struct buf *out, struct err *reterr); // a token
    void *ctx;
};

struct lifecycle_opts {
    struct store *store;
    struct driver *driver; // owned from here, also on failure
    struct log *log;
    struct lifecycle_hooks hooks;
    int64_t sweep_ms; // 0: LIFECYCLE_SWEEP_MS
};

// Reconciles what is stored with what the driver has (docs/internals/lifecycle.md), and then watches it.
enum err_code lifecycle_new(const struct lifecycle_opts *opts, struct lifecycle **ret,
                            struct err *reterr) NONNULL;
// Stops the sandboxes where the driver wants that.
void lifecycle_free(struct lifecycle *l); // no call may be under way; NULL is fine

[[nodiscard]] const char *lifecycle_driver(const struct lifecycle *l) NONNULL; // its name
enum err_code lifecycle_capabilities(struct lifecycle *l, struct arena *a,
                                     Openshell__Compute__V1__GetCapabilitiesResponse **ret,
                                     struct err *reterr) NONNULL;

// *conflict, where there is one: somebody else changed the record three times in a row.
// `sandbox` has metadata (name, workspace, labels, annotations) and spec, both checked; id, time and status
// are set here. ERR_EXISTS; ERR_INVALID, ERR_PRECONDITION, ERR_UNSUPPORTED: the driver's `validate`.
enum err_code lifecycle_create(struct lifecycle *l, Openshell__V1__Sandbox *sandbox, struct arena *a,
                               struct err *reterr) NONNULL;
// ERR_NOT_FOUND: "sandbox not found". *ret_deleted: its backend was there.
enum err_code lifecycle_delete(struct lifecycle *l, struct str workspace, struct str name, bool *ret_deleted,
                               bool *conflict, struct err *reterr) NONNULL;
enum err_code lifecycle_stop(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr) NONNULL;
enum err_code lifecycle_start(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                              Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr) NONNULL;

// As struct sessions_ops calls them. What cannot be written is logged.
struct sessions_ops lifecycle_sessions(struct lifecycle *l) NONNULL;
// ERR_PRECONDITION: the store failed, as the reference answers it.
enum err_code lifecycle_main_exit(struct lifecycle *l, struct str id, struct str instance_id,
                                  int32_t exit_code, struct err *reterr) NONNULL;
