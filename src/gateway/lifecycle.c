#include "gateway/lifecycle.h"

#include "base/clock.h"
#include "gateway/driver_spec.h"
#include "gateway/ids.h"
#include "gateway/lifecycle_internal.h"
#include "rpc/wire.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;

// What belongs to a sandbox besides its record: stored with its id as scope, and removed with it.
static const struct str owned[] = {STR_INIT("sandbox_policy"), STR_INIT("draft_policy_chunk"),
                                   STR_INIT("sandbox_settings"), STR_INIT("service_endpoint"),
                                   STR_INIT("ssh_session")};

static const struct driver_ops *ops(const struct lifecycle *l)
{
    return l->opts.driver->ops;
}

static struct str id_of(const Sandbox *s)
{
    return str_of(s->metadata->id);
}

// ---- changes of a record

static int change(Sandbox *s, void *ctx, struct arena *a, struct err *reterr)
{
    struct edit *e = ctx;
    bool changed = false;
    enum err_code r = e->fn(e, s, a, &changed, reterr);
    e->wrote = changed;
    return r != ERR_OK ? (int)r : changed ? ERR_OK : RECORD_SAME;
}

enum err_code lifecycle_edit(struct edit *e, struct str id, const char *what, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr)
{
    struct lifecycle *l = e->l;
    uint64_t version = 0;
    enum err_code r = record_update(l->opts.store, id, 0, change, e, a, ret, &version, reterr);
    if (r == ERR_OK && e->wrote && l->opts.hooks.changed)
        l->opts.hooks.changed(l->opts.hooks.ctx, id);
    if (r == ERR_PRECONDITION && version != 0) {
        *conflict = true;
        return err_set(reterr, r, "%s failed due to concurrent modification (current resource_version: %llu)",
                       what, (unsigned long long)version);
    }
    return r;
}

static enum err_code edit_step(struct edit *e, Sandbox *s, struct arena *a, bool *changed, struct err *reterr)
{
    *changed = true;
    return phase_set(s, e->step, clock_realtime_ms(), a, reterr);
}

enum err_code lifecycle_set(struct lifecycle *l, struct str id, const struct phase_step *step,
                            const char *what, struct arena *a, Openshell__V1__Sandbox **ret, bool *conflict,
                            struct err *reterr)
{
    struct edit e = {.l = l, .fn = edit_step, .step = step};
    return lifecycle_edit(&e, id, what, a, ret, conflict, reterr);
}

static enum err_code edit_apply(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                struct err *reterr)
{
    const struct lifecycle_hooks *h = &e->l->opts.hooks;
    bool session = h->has_session ? h->has_session(h->ctx, id_of(s))
                                  : phase_of_driver(e->now->status) == PHASE_READY;
    CLEANUP(buf_done) struct buf before;
    CLEANUP(buf_done) struct buf after;
    buf_init(&before, 2 * MIB);
    buf_init(&after, 2 * MIB);
    enum err_code r = s->status ? wire_pack(&s->status->base, &before, reterr) : ERR_OK;
    if (r == ERR_OK)
        r = phase_apply(s, e->now, session, e->sticky, clock_realtime_ms(), a, changed, reterr);
    if (r == ERR_OK && *changed)
        r = wire_pack(&s->status->base, &after, reterr);
    if (r == ERR_OK && *changed)
        *changed = !str_eq(buf_str(&before), buf_str(&after));
    return r;
}

enum err_code lifecycle_apply(struct lifecycle *l, struct str id, bool sticky, struct arena *a,
                              struct err *reterr)
{
    DriverSandbox *now = NULL;
    Sandbox *ret = NULL;
    bool conflict = false;
    enum err_code r = ops(l)->get(l->opts.driver, id, a, &now, reterr);
    struct edit e = {.l = l, .fn = edit_apply, .now = now, .sticky = sticky};
    return r == ERR_OK ? lifecycle_edit(&e, id, "reconcile sandbox", a, &ret, &conflict, reterr) : r;
}

static enum err_code edit_delete(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                 struct err *reterr)
{
    static const struct phase_step deleting = {PHASE_DELETING, "False", "Deleting",
                                               "Sandbox delete requested"};
    e->was = phase_of(s);
    *changed = true;
    s->metadata->deletion_timestamp_ms = clock_realtime_ms();
    return phase_set(s, &deleting, s->metadata->deletion_timestamp_ms, a, reterr);
}

// A delete that failed: as it was, where the driver says nothing either.
static enum err_code edit_undelete(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                   struct err *reterr)
{
    *changed = true;
    s->metadata->deletion_timestamp_ms = 0;
    if (e->now)
        return edit_apply(e, s, a, &(bool){false}, reterr);
    const struct phase_step back = {e->was, "False", "DeleteFailed", "Sandbox delete failed"};
    return phase_set(s, &back, clock_realtime_ms(), a, reterr);
}

static enum err_code edit_connected(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                    struct err *reterr)
{
    return phase_connected(s, e->instance_id, clock_realtime_ms(), a, changed, reterr);
}

static enum err_code edit_disconnected(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                       struct err *reterr)
{
    (void)e;
    return phase_disconnected(s, clock_realtime_ms(), a, changed, reterr);
}

static enum err_code edit_main_exit(struct edit *e, Sandbox *s, struct arena *a, bool *changed,
                                    struct err *reterr)
{
    return phase_main_exit(s, e->instance_id, e->exit_code, clock_realtime_ms(), a, changed, reterr);
}

// ---- the driver

// The sandbox with a fresh token.
static enum err_code for_driver(struct lifecycle *l, const Sandbox *s, bool with_token, struct arena *a,
                                DriverSandbox **ret, struct err *reterr)
{
    struct str copy = {};
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 16 * KIB);
    enum err_code r = driver_spec(s, l->opts.driver->name, a, ret, reterr);
    if (r != ERR_OK || !with_token || !l->opts.hooks.mint)
        return r;
    r = l->opts.hooks.mint(l->opts.hooks.ctx, id_of(s), &token, reterr);
    if (r == ERR_OK && !arena_dup(a, buf_str(&token), &copy))
        r = arena_limit(a, "a token", reterr);
    if (r == ERR_OK)
        (*ret)->spec->sandbox_token = (char *)(uintptr_t)copy.p;
    return r;
}

enum err_code lifecycle_run(struct lifecycle *l, const Openshell__V1__Sandbox *s, struct arena *a,
                            struct err *reterr)
{
    DriverSandbox *d = NULL;
    enum err_code r = for_driver(l, s, true, a, &d, reterr);
    return r == ERR_OK ? ops(l)->start(l->opts.driver, d, reterr) : r;
}

static void drop_session(struct lifecycle *l, struct str id)
{
    if (l->opts.hooks.drop_session)
        l->opts.hooks.drop_session(l->opts.hooks.ctx, id);
}

enum err_code lifecycle_halt(struct lifecycle *l, const Openshell__V1__Sandbox *s, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr)
{
    uint64_t version;
    size_t failed;
    enum err_code r = ops(l)->stop(l->opts.driver, id_of(s), str_of(s->metadata->name), reterr);
    if (r != ERR_OK)
        return r;
    drop_session(l, id_of(s));
    const struct store_write w = {.op = STORE_DELETE_SCOPE,
                                  .object = {.kind = STR("ssh_session"),
                                             .workspace = str_of(s->metadata->workspace),
                                             .scope = id_of(s)}};
    r = store_apply(l->opts.store, &w, 1, &version, &failed, reterr);
    if (r == ERR_OK)
        r = lifecycle_set(l, id_of(s), &phase_stopped, "stop sandbox", a, ret, conflict, reterr);
    return r;
}

enum err_code lifecycle_forget(struct lifecycle *l, const Openshell__V1__Sandbox *s, struct err *reterr)
{
    struct store_write w[ARRAY_LEN(owned) + 1] = {};
    uint64_t versions[ARRAY_LEN(owned) + 1];
    size_t failed;
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        w[i] = (struct store_write){.op = STORE_DELETE_SCOPE,
                                    .object = {.kind = owned[i],
                                               .workspace = str_of(s->metadata->workspace),
                                               .scope = id_of(s)}};
    w[ARRAY_LEN(owned)] = (struct store_write){.op = STORE_DELETE,
                                               .object = {.kind = STR(RECORD_KIND),
                                                          .workspace = str_of(s->metadata->workspace),
                                                          .id = id_of(s)}};
    enum err_code r = store_apply(l->opts.store, w, ARRAY_LEN(w), versions, &failed, reterr);
    if (r == ERR_OK && l->opts.hooks.changed)
        l->opts.hooks.changed(l->opts.hooks.ctx, id_of(s));
    if (r == ERR_OK && l->opts.hooks.forgotten)
        l->opts.hooks.forgotten(l->opts.hooks.ctx, id_of(s));
    return r;
}

enum err_code lifecycle_remove(struct lifecycle *l, const Openshell__V1__Sandbox *s, bool *ret_was,
                               struct err *reterr)
{
    enum err_code r = ops(l)->remove(l->opts.driver, id_of(s), str_of(s->metadata->name), ret_was, reterr);
    if (r != ERR_OK)
        return r;
    drop_session(l, id_of(s));
    return lifecycle_forget(l, s, reterr);
}

// ---- what happened by itself

static void on_changed(void *ctx, const Openshell__Compute__V1__DriverSandbox *now)
{
    const struct lifecycle *l = ctx;
    turn_ask(l->turns, str_of(now->id));
}

static void on_deleted(void *ctx, struct str id)
{
    const struct lifecycle *l = ctx;
    turn_ask(l->turns, id);
}

static void on_event(void *ctx, struct str id, const Openshell__Compute__V1__DriverPlatformEvent *event)
{
    const struct lifecycle *l = ctx;
    if (!l->opts.hooks.event)
        return;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    typedef Openshell__V1__PlatformEvent__MetadataEntry Entry;
    Openshell__V1__PlatformEvent out = OPENSHELL__V1__PLATFORM_EVENT__INIT;
    Entry **list = arena_newn(&a, Entry *, event->n_metadata),
          *all = arena_newn(&a, Entry, event->n_metadata);
    if (!list || !all)
        return; // an event is for people only, and this one is a monster
    for (size_t i = 0; i < event->n_metadata; i++) {
        openshell__v1__platform_event__metadata_entry__init(&all[i]);
        all[i].key = event->metadata[i]->key;
        all[i].value = event->metadata[i]->value;
        list[i] = &all[i];
    }
    out.timestamp_ms = event->timestamp_ms;
    out.source = event->source;
    out.type = event->type;
    out.reason = event->reason;
    out.message = event->message;
    out.metadata = list;
    out.n_metadata = event->n_metadata;
    l->opts.hooks.event(l->opts.hooks.ctx, id, &out);
}

// The driver knows no such sandbox. One that is young may still be on its way.
static enum err_code backend_gone(struct lifecycle *l, struct str id, struct arena *a, struct err *reterr)
{
    Sandbox *s = NULL;
    bool conflict = false;
    enum err_code r = record_by_id(l->opts.store, id, a, &s, reterr);
    if (r != ERR_OK)
        return r;
    if (phase_of(s) == PHASE_DELETING)
        return lifecycle_remove(l, s, &(bool){false}, reterr);
    if (phase_of(s) == PHASE_ERROR || clock_realtime_ms() - s->metadata->created_at_ms < LIFECYCLE_ORPHAN_MS)
        return ERR_OK;
    return lifecycle_set(l, id, &phase_resource_missing, "reconcile sandbox", a, &s, &conflict, reterr);
}

static void look(struct lifecycle *l, struct str id)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LIFECYCLE_ARENA);
    struct err err = {};
    Sandbox *s = NULL;
    enum err_code r = record_by_id(l->opts.store, id, &a, &s, &err);
    if (r == ERR_NOT_FOUND)
        return; // not one of ours
    if (r == ERR_OK)
        r = lifecycle_apply(l, id, true, &a, &err);
    if (r == ERR_NOT_FOUND)
        r = backend_gone(l, id, &a, &err);
    if (r != ERR_OK && r != ERR_NOT_FOUND)
        log_warning(l->opts.log, "gateway.reconcile", LOG_WORD("sandbox", id), LOG_REASON(&err));
}

static void sweep_one(struct lifecycle *l, Sandbox *s, struct arena *a)
{
    (void)a;
    turn_ask(l->turns, id_of(s));
}

static void *observe(void *arg)
{
    struct lifecycle *l = arg;
    int64_t every = l->opts.sweep_ms > 0 ? l->opts.sweep_ms : LIFECYCLE_SWEEP_MS,
            next = deadline_in_ms(every);
    char id[TURN_ID_MAX + 1];
    for (;;) {
        struct err err = {};
        if (turn_next(l->turns, next, id)) {
            look(l, str_of(id));
            turn_give(l->turns, str_of(id));
        } else if (!deadline_passed(next)) {
            return NULL; // turns_stop()
        }
        if (!deadline_passed(next))
            continue;
        next = deadline_in_ms(every);
        if (lifecycle_each(l, sweep_one, &err) != ERR_OK)
            log_warning(l->opts.log, "gateway.sweep", LOG_REASON(&err));
    }
}

// ---- public

enum err_code lifecycle_new(const struct lifecycle_opts *opts, struct lifecycle **ret, struct err *reterr)
{
    struct lifecycle *l = calloc(1, sizeof(*l));
    if (!l) {
        opts->driver->ops->free(opts->driver);
        return err_set(reterr, ERR_LIMIT, "no memory");
    }
    l->opts = *opts;
    const struct driver_events events = {.changed = on_changed,
                                         .deleted = on_deleted,
                                         .event = on_event,
                                         .ctx = l};
    enum err_code r = turns_new(&l->turns, reterr);
    if (r == ERR_OK)
        r = lifecycle_reconcile(l, reterr);
    if (r == ERR_OK && pthread_create(&l->thread, NULL, observe, l) != 0)
        r = err_set(reterr, ERR_LIMIT, "no thread for the sandboxes");
    else if (r == ERR_OK)
        l->started = true;
    if (r != ERR_OK) {
        lifecycle_free(l);
        return r;
    }
    ops(l)->watch(l->opts.driver, &events);
    *ret = l;
    return ERR_OK;
}

void lifecycle_free(struct lifecycle *l)
{
    if (!l)
        return;
    if (l->started) {
        turns_stop(l->turns);
        (void)pthread_join(l->thread, NULL);
        if (l->opts.driver->manages_lifecycle)
            lifecycle_stop_all(l);
    }
    ops(l)->free(l->opts.driver); // after which it says nothing more
    turns_free(l->turns);
    free(l);
}

const char *lifecycle_driver(const struct lifecycle *l)
{
    return l->opts.driver->name;
}

enum err_code lifecycle_capabilities(struct lifecycle *l, struct arena *a,
                                     Openshell__Compute__V1__GetCapabilitiesResponse **ret,
                                     struct err *reterr)
{
    return ops(l)->capabilities(l->opts.driver, a, ret, reterr);
}

// With the turn taken, and the id set: so nobody deletes what is only half there.
static enum err_code create(struct lifecycle *l, Sandbox *s, struct arena *a, struct err *reterr)
{
    DriverSandbox *d = NULL;
    struct err ignored = {};
    enum err_code r = for_driver(l, s, true, a, &d, reterr);
    if (r == ERR_OK)
        r = record_insert(l->opts.store, s, reterr);
    if (r != ERR_OK)
        return r;
    r = ops(l)->create(l->opts.driver, d, reterr);
    if (r == ERR_OK) {
        if (l->opts.hooks.changed)
            l->opts.hooks.changed(l->opts.hooks.ctx, id_of(s));
        return ERR_OK;
    }
    (void)!lifecycle_forget(l, s, &ignored); // what stays is cleared up at the next start
    if (r == ERR_EXISTS)
        return err_set(reterr, r, "sandbox already exists");
    return r == ERR_PRECONDITION ? r : err_wrap(reterr, r, "create sandbox failed");
}

// A sandbox that names no image gets the driver's, and is stored so (reference: gateway 3.2).
static enum err_code default_image(struct lifecycle *l, Sandbox *s, struct arena *a, struct err *reterr)
{
    Openshell__Compute__V1__GetCapabilitiesResponse *c = NULL;
    Openshell__V1__SandboxTemplate *t = s->spec->template_;
    if (t && t->image[0])
        return ERR_OK;
    enum err_code r = lifecycle_capabilities(l, a, &c, reterr);
    if (r != ERR_OK || !c->default_image[0])
        return r;
    if (!t) {
        t = arena_new(a, Openshell__V1__SandboxTemplate);
        if (!t)
            return arena_limit(a, "a template", reterr);
        openshell__v1__sandbox_template__init(t);
        s->spec->template_ = t;
    }
    t->image = c->default_image;
    return ERR_OK;
}

enum err_code lifecycle_create(struct lifecycle *l, Openshell__V1__Sandbox *sandbox, struct arena *a,
                               struct err *reterr)
{
    DriverSandbox *d = NULL;
    char id[ID_SIZE];
    struct str copy = {};
    enum err_code r = id_make(id, reterr);
    if (r == ERR_OK && !arena_dup(a, str_of(id), &copy))
        r = arena_limit(a, "an id", reterr);
    if (r != ERR_OK)
        return r;
    sandbox->metadata->id = (char *)(uintptr_t)copy.p;
    sandbox->metadata->created_at_ms = clock_realtime_ms();
    sandbox->status = arena_new(a, Openshell__V1__SandboxStatus);
    if (!sandbox->status)
        return arena_limit(a, "a status", reterr);
    openshell__v1__sandbox_status__init(sandbox->status);
    sandbox->status->sandbox_name = sandbox->metadata->name;
    sandbox->status->phase = (Openshell__V1__SandboxPhase)PHASE_PROVISIONING;
    r = default_image(l, sandbox, a, reterr);
    if (r == ERR_OK)
        r = for_driver(l, sandbox, false, a, &d, reterr);
    if (r == ERR_OK)
        r = ops(l)->validate(l->opts.driver, d, reterr);
    if (r == ERR_OK)
        r = turn_take(l->turns, copy, reterr);
    if (r != ERR_OK)
        return r;
    r = create(l, sandbox, a, reterr);
    turn_give(l->turns, copy);
    return r;
}

// Takes the turn of the sandbox of that name and reads its record again, as it may have waited long.
static enum err_code enter(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                           Sandbox **ret, struct err *reterr)
{
    Sandbox *s = NULL;
    enum err_code r = record_by_name(l->opts.store, workspace, name, a, &s, reterr);
    if (r == ERR_OK)
        r = turn_take(l->turns, id_of(s), reterr);
    if (r != ERR_OK)
        return r;
    r = record_by_id(l->opts.store, id_of(s), a, ret, reterr);
    if (r != ERR_OK)
        turn_give(l->turns, id_of(s));
    return r;
}

static enum err_code delete_failed(struct lifecycle *l, struct edit *e, struct str id, struct arena *a,
                                   enum err_code r, struct err *reterr)
{
    struct err ignored = {};
    DriverSandbox *now = NULL;
    Sandbox *s = NULL;
    bool conflict = false;
    if (ops(l)->get(l->opts.driver, id, a, &now, &ignored) == ERR_OK)
        e->now = now;
    e->fn = edit_undelete;
    if (lifecycle_edit(e, id, "delete sandbox", a, &s, &conflict, &ignored) != ERR_OK)
        log_warning(l->opts.log, "gateway.delete", LOG_WORD("sandbox", id), LOG_REASON(&ignored));
    return err_wrap(reterr, r, "delete sandbox failed");
}

enum err_code lifecycle_delete(struct lifecycle *l, struct str workspace, struct str name, bool *ret_deleted,
                               bool *conflict, struct err *reterr)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LIFECYCLE_ARENA);
    Sandbox *s = NULL;
    enum err_code r = record_by_name(l->opts.store, workspace, name, &a, &s, reterr);
    if (r == ERR_OK && phase_of(s) == PHASE_DELETING) { // somebody is at it
        *ret_deleted = true;
        return ERR_OK;
    }
    if (r == ERR_OK)
        r = enter(l, workspace, name, &a, &s, reterr);
    if (r != ERR_OK)
        return r;
    struct str id = id_of(s);
    struct edit e = {.l = l, .fn = edit_delete};
    bool was = false;
    r = lifecycle_edit(&e, id, "delete sandbox", &a, &s, conflict, reterr);
    if (r == ERR_OK) {
        r = lifecycle_remove(l, s, &was, reterr);
        if (r != ERR_OK)
            r = delete_failed(l, &e, id, &a, r, reterr);
    }
    turn_give(l->turns, id);
    if (r == ERR_OK)
        *ret_deleted = was;
    return r;
}

static enum err_code stop_entered(struct lifecycle *l, Sandbox *s, struct arena *a, Sandbox **ret,
                                  bool *conflict, struct err *reterr)
{
    enum sandbox_phase phase = phase_of(s);
    struct err ignored = {};
    struct str id = id_of(s);
    *ret = s;
    if (phase == PHASE_STOPPED)
        return ERR_OK;
    if (phase != PHASE_READY && phase != PHASE_STOPPING)
        return err_set(reterr, ERR_PRECONDITION, "sandbox must be Ready to stop (current phase: %s)",
                       phase_name(phase));
    enum err_code r = ERR_OK;
    if (phase == PHASE_READY)
        r = lifecycle_set(l, id, &phase_stopping, "stop sandbox", a, &s, conflict, reterr);
    if (r != ERR_OK)
        return r;
    r = lifecycle_halt(l, s, a, ret, conflict, reterr);
    if (r == ERR_OK || *conflict)
        return r;
    if (lifecycle_apply(l, id, false, a, &ignored) != ERR_OK)
        log_warning(l->opts.log, "gateway.stop", LOG_WORD("sandbox", id), LOG_REASON(&ignored));
    return err_wrap(reterr, r, "stop sandbox failed");
}

static enum err_code start_entered(struct lifecycle *l, Sandbox *s, struct arena *a, Sandbox **ret,
                                   bool *conflict, struct err *reterr)
{
    enum sandbox_phase phase = phase_of(s);
    struct err ignored = {};
    struct str id = id_of(s);
    *ret = s;
    if (phase == PHASE_READY)
        return ERR_OK;
    if (phase != PHASE_STOPPED)
        return err_set(reterr, ERR_PRECONDITION, "sandbox must be Stopped to start (current phase: %s)",
                       phase_name(phase));
    enum err_code r = lifecycle_set(l, id, &phase_starting, "start sandbox", a, ret, conflict, reterr);
    if (r != ERR_OK)
        return r;
    r = lifecycle_run(l, *ret, a, reterr);
    if (r == ERR_OK) {
        turn_ask(l->turns, id); // what becomes of it
        return ERR_OK;
    }
    if (lifecycle_apply(l, id, false, a, &ignored) != ERR_OK)
        log_warning(l->opts.log, "gateway.start", LOG_WORD("sandbox", id), LOG_REASON(&ignored));
    return err_wrap(reterr, r, "start sandbox failed");
}

// Looks the sandbox up and calls `move` with its turn taken.
static enum err_code entered(struct lifecycle *l, struct str workspace, struct str name,
                             enum err_code (*move)(struct lifecycle *l, Sandbox *s, struct arena *a,
                                                   Sandbox **ret, bool *conflict, struct err *reterr),
                             struct arena *a, Sandbox **ret, bool *conflict, struct err *reterr)
{
    Sandbox *s = NULL;
    enum err_code r = enter(l, workspace, name, a, &s, reterr);
    if (r != ERR_OK)
        return r;
    struct str id = id_of(s);
    r = move(l, s, a, ret, conflict, reterr);
    turn_give(l->turns, id);
    return r;
}

enum err_code lifecycle_stop(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                             Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr)
{
    return entered(l, workspace, name, stop_entered, a, ret, conflict, reterr);
}

enum err_code lifecycle_start(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                              Openshell__V1__Sandbox **ret, bool *conflict, struct err *reterr)
{
    return entered(l, workspace, name, start_entered, a, ret, conflict, reterr);
}

// ---- what the supervisor says

static enum err_code note(struct edit *e, struct str id, struct err *reterr)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LIFECYCLE_ARENA);
    Sandbox *s = NULL;
    bool conflict = true;
    enum err_code r = ERR_OK;
    for (int tries = 0; tries < 3 && conflict; tries++) { // nobody repeats what happened once
        conflict = false;
        r = lifecycle_edit(e, id, "report", &a, &s, &conflict, reterr);
    }
    return r == ERR_NOT_FOUND ? ERR_OK : r; // the sandbox is gone
}

static void note_or_log(struct edit *e, struct str id)
{
    struct err err = {};
    if (note(e, id, &err) != ERR_OK)
        log_error(e->l->opts.log, "gateway.session", LOG_WORD("sandbox", id), LOG_REASON(&err));
}

static void session_connected(void *ctx, struct str id, const Openshell__V1__SupervisorHello *hello)
{
    struct edit e = {.l = ctx, .fn = edit_connected, .instance_id = str_of(hello->instance_id)};
    note_or_log(&e, id);
}

static void session_disconnected(void *ctx, struct str id)
{
    struct edit e = {.l = ctx, .fn = edit_disconnected};
    note_or_log(&e, id);
}

struct sessions_ops lifecycle_sessions(struct lifecycle *l)
{
    return (
        struct sessions_ops){.connected = session_connected, .disconnected = session_disconnected, .ctx = l};
}

enum err_code lifecycle_main_exit(struct lifecycle *l, struct str id, struct str instance_id,
                                  int32_t exit_code, struct err *reterr)
{
    struct edit e = {.l = l, .fn = edit_main_exit, .instance_id = instance_id, .exit_code = exit_code};
    enum err_code r = note(&e, id, reterr);
    return r == ERR_OK ? r : (reterr->code = ERR_PRECONDITION);
}
