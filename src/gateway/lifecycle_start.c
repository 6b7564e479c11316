// At the gateway's start and end: what is stored, and what the driver has.
#include <stdatomic.h>

#include "base/clock.h"
#include "gateway/lifecycle_internal.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef void each_fn(struct lifecycle *l, Sandbox *s, struct arena *a);

enum {
    AT_ONCE = 16, // reference: gateway 3.3
    PAGE = 500,   // ditto
    PAGE_ARENA = 64 * MIB,
};

struct page {
    struct lifecycle *l;
    each_fn *fn;
    Sandbox **v;
    size_t n;
    atomic_size_t next;
};

static void *work(void *arg)
{
    struct page *p = arg;
    for (size_t i = atomic_fetch_add(&p->next, 1); i < p->n; i = atomic_fetch_add(&p->next, 1)) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, LIFECYCLE_ARENA);
        p->fn(p->l, p->v[i], &a);
    }
    return NULL;
}

static void work_all(struct page *p)
{
    pthread_t threads[AT_ONCE - 1];
    size_t n = 0;
    while (n < ARRAY_LEN(threads) && n + 1 < p->n && pthread_create(&threads[n], NULL, work, p) == 0)
        n++;
    (void)work(p);
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
}

static enum err_code keep_place(const Sandbox *s, struct arena *a, struct store_object *ret,
                                struct err *reterr)
{
    const Openshell__Datamodel__V1__ObjectMeta *m = s->metadata;
    *ret = (struct store_object){.kind = STR(RECORD_KIND), .created_ms = m->created_at_ms};
    if (!arena_dup(a, str_of(m->id), &ret->id) || !arena_dup(a, str_of(m->name), &ret->name) ||
        !arena_dup(a, str_of(m->workspace), &ret->workspace))
        return arena_limit(a, "a place in the list", reterr);
    return ERR_OK;
}

enum err_code lifecycle_each(struct lifecycle *l,
                             void (*fn)(struct lifecycle *l, Openshell__V1__Sandbox *s, struct arena *a),
                             struct err *reterr)
{
    CLEANUP(arena_done) struct arena places;
    arena_init(&places, 16 * MIB);
    struct store_object last = {};
    bool more = true;
    for (bool first = true; more; first = false) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, PAGE_ARENA);
        struct page p = {.l = l, .fn = fn};
        const struct store_query q = {.all_workspaces = true,
                                      .order = STORE_OLDEST,
                                      .limit = PAGE,
                                      .after = first ? NULL : &last};
        enum err_code r = record_list(l->opts.store, &q, &a, &p.v, &p.n, &more, reterr);
        if (r == ERR_OK && p.n > 0)
            r = keep_place(p.v[p.n - 1], &places, &last, reterr);
        if (r != ERR_OK)
            return r;
        work_all(&p);
    }
    return ERR_OK;
}

static bool should_run(enum sandbox_phase phase)
{
    return phase == PHASE_UNSPECIFIED || phase == PHASE_PROVISIONING || phase == PHASE_READY ||
           phase == PHASE_STARTING || phase == PHASE_UNKNOWN;
}

static enum err_code set(struct lifecycle *l, const Sandbox *s, const struct phase_step *step,
                         struct arena *a, struct err *reterr)
{
    Sandbox *ret = NULL;
    bool conflict = false;
    return lifecycle_set(l, str_of(s->metadata->id), step, "reconcile sandbox", a, &ret, &conflict, reterr);
}

// Starts one that should run. That it is not there, or does not start, is its phase, not a failure of ours.
static enum err_code start(struct lifecycle *l, const Sandbox *s, struct arena *a, struct err *reterr)
{
    enum err_code r = lifecycle_run(l, s, a, reterr);
    if (r == ERR_OK)
        return lifecycle_apply(l, str_of(s->metadata->id), true, a, reterr);
    if (r == ERR_NOT_FOUND)
        return set(l, s, &phase_backend_missing, a, reterr);
    struct str text = {};
    if (!arena_fmt(a, &text, "Failed to start sandbox during gateway startup: %s", reterr->msg))
        return arena_limit(a, "a message", reterr);
    const struct phase_step failed = {PHASE_ERROR, "False", "StartFailed", text.p};
    return set(l, s, &failed, a, reterr);
}

// A driver whose sandboxes live on without the gateway: they may still run, or have ended meanwhile.
static enum err_code find_again(struct lifecycle *l, const Sandbox *s, struct arena *a, struct err *reterr)
{
    struct str id = str_of(s->metadata->id);
    Openshell__Compute__V1__DriverSandbox *now = NULL;
    enum err_code r = l->opts.driver->ops->get(l->opts.driver, id, a, &now, reterr);
    if (r == ERR_NOT_FOUND && phase_of(s) == PHASE_PROVISIONING && str_of(s->status->agent_pod).n == 0)
        return lifecycle_forget(l, s, reterr); // never begun, so that nobody was told that it was made
    if (r == ERR_NOT_FOUND)
        return set(l, s, &phase_backend_missing, a, reterr);
    if (r != ERR_OK)
        return r;
    if (phase_of_driver(now->status) == PHASE_PROVISIONING)
        return start(l, s, a, reterr);
    return lifecycle_apply(l, id, true, a, reterr);
}

static enum err_code settle(struct lifecycle *l, Sandbox *s, struct arena *a, struct err *reterr)
{
    struct str id = str_of(s->metadata->id);
    Openshell__Compute__V1__DriverSandbox *now = NULL;
    Sandbox *ret = NULL;
    bool ignored = false;
    enum sandbox_phase phase = phase_of(s);
    enum err_code r = ERR_OK;
    if (phase == PHASE_ERROR)
        return ERR_OK;
    if (phase == PHASE_DELETING)
        return lifecycle_remove(l, s, &ignored, reterr);
    if (phase == PHASE_STARTING || (should_run(phase) && l->opts.driver->manages_lifecycle))
        return start(l, s, a, reterr);
    if (should_run(phase))
        return find_again(l, s, a, reterr);
    if (phase == PHASE_STOPPED)
        r = l->opts.driver->ops->get(l->opts.driver, id, a, &now, reterr);
    bool runs = now && phase_of_driver(now->status) == PHASE_READY;
    if (phase == PHASE_STOPPING || runs)
        r = lifecycle_halt(l, s, a, &ret, &ignored, reterr);
    return r == ERR_NOT_FOUND ? set(l, s, &phase_resource_missing, a, reterr) : r;
}

static void settle_one(struct lifecycle *l, Sandbox *s, struct arena *a)
{
    struct err err = {};
    if (settle(l, s, a, &err) != ERR_OK) // the sweep comes by
        log_warning(l->opts.log, "gateway.reconcile", LOG_WORD("sandbox", str_of(s->metadata->id)),
                    LOG_REASON(&err));
}

enum err_code lifecycle_reconcile(struct lifecycle *l, struct err *reterr)
{
    return lifecycle_each(l, settle_one, reterr);
}

static void stop_one(struct lifecycle *l, Sandbox *s, struct arena *a)
{
    struct err err = {};
    (void)a;
    if (should_run(phase_of(s)) && l->opts.driver->ops->stop(l->opts.driver, str_of(s->metadata->id),
                                                             str_of(s->metadata->name), &err) != ERR_OK)
        log_warning(l->opts.log, "gateway.stop", LOG_WORD("sandbox", str_of(s->metadata->id)),
                    LOG_REASON(&err));
}

void lifecycle_stop_all(struct lifecycle *l)
{
    struct err err = {};
    if (lifecycle_each(l, stop_one, &err) != ERR_OK)
        log_warning(l->opts.log, "gateway.stop", LOG_REASON(&err));
}
