// gateway/lifecycle_internal.h: what lifecycle.c and lifecycle_start.c share.
#pragma once
#include <pthread.h>

#include "gateway/lifecycle.h"
#include "gateway/phase.h"
#include "gateway/turns.h"

enum { LIFECYCLE_ARENA = 8 * MIB }; // of one piece of work: a few copies of one record

struct lifecycle {
    struct lifecycle_opts opts;
    struct turns *turns;
    pthread_t thread;
    bool started;
};

// A change of a record. Called again where somebody else wrote meanwhile.
struct edit {
    struct lifecycle *l;
    enum err_code (*fn)(struct edit *e, Openshell__V1__Sandbox *s, struct arena *a, bool *changed,
                        struct err *reterr);
    const struct phase_step *step;
    const Openshell__Compute__V1__DriverSandbox *now;
    struct str instance_id;
    int32_t exit_code;
    enum sandbox_phase was; // of lifecycle_edit_delete(): before it
    bool sticky;
    bool wrote; // set by the last call
};

// Writes, and tells the hooks. ERR_PRECONDITION with *conflict: "<what> failed due to concurrent
// modification (…)".
enum err_code lifecycle_edit(struct edit *e, struct str id, const char *what, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr) NONNULL;
enum err_code lifecycle_set(struct lifecycle *l, struct str id, const struct phase_step *step,
                            const char *what, struct arena *a, Openshell__V1__Sandbox **ret, bool *conflict,
                            struct err *reterr) NONNULL;

// What the driver says now into the record. ERR_NOT_FOUND: it knows no such sandbox.
enum err_code lifecycle_apply(struct lifecycle *l, struct str id, bool sticky, struct arena *a,
                              struct err *reterr) NONNULL;

// The backend, then everything stored of the sandbox.
enum err_code lifecycle_remove(struct lifecycle *l, const Openshell__V1__Sandbox *s, bool *ret_was,
                               struct err *reterr) NONNULL;
enum err_code lifecycle_forget(struct lifecycle *l, const Openshell__V1__Sandbox *s,
                               struct err *reterr) NONNULL;

// Stops, and ends what only a running sandbox has; then it is Stopped.
enum err_code lifecycle_halt(struct lifecycle *l, const Openshell__V1__Sandbox *s, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr) NONNULL;
enum err_code lifecycle_run(struct lifecycle *l, const Openshell__V1__Sandbox *s, struct arena *a,
                            struct err *reterr) NONNULL; // the driver's start

// ---- lifecycle_start.c

// Calls fn(ctx, record, arena) for every record, several at a time.
enum err_code lifecycle_each(struct lifecycle *l,
                             void (*fn)(struct lifecycle *l, Openshell__V1__Sandbox *s, struct arena *a),
                             struct err *reterr) NONNULL;
enum err_code lifecycle_reconcile(struct lifecycle *l, struct err *reterr) NONNULL;
void lifecycle_stop_all(struct lifecycle *l) NONNULL;
