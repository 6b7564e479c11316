// With a driver that does what the test says.
#include "gateway/lifecycle.h"

#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "gateway/phase.h"
#include "store/store_test.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Openshell__Compute__V1__DriverCondition DriverCondition;

enum { BACKENDS = 8 };

struct fake {
    struct driver driver; // first
    pthread_mutex_t lock;
    struct backend {
        char id[64];
        enum { UP, STOPPED, DOWN, COMING } state;
    } backends[BACKENDS];
    enum err_code refuse_validate, refuse_create, refuse_stop, refuse_start, refuse_remove;
    unsigned stops, starts, removes, freed;
    char token[64];
    const struct driver_events *events;
    struct driver_events told;
};

struct world {
    struct place place;
    struct store *store;
    struct fake fake;
    struct lifecycle *l;
    struct arena a;
    struct log log;
    atomic_bool session; // what has_session says
    atomic_uint changed, forgotten, dropped;
};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nothing here writes them
}

static struct fake *fake_of(struct driver *d)
{
    return (struct fake *)d;
}

static struct backend *find(struct fake *f, struct str id)
{
    for (size_t i = 0; i < BACKENDS; i++)
        if (str_eq(str_of(f->backends[i].id), id))
            return &f->backends[i];
    return NULL;
}

static enum err_code refuse(enum err_code code, struct err *reterr)
{
    return code == ERR_OK ? ERR_OK : err_set(reterr, code, "the driver says no");
}

static enum err_code do_validate(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    (void)s;
    return refuse(fake_of(d)->refuse_validate, reterr);
}

static enum err_code do_create(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    struct fake *f = fake_of(d);
    enum err_code r = refuse(f->refuse_create, reterr);
    if (r != ERR_OK)
        return r;
    (void)pthread_mutex_lock(&f->lock);
    (void)snprintf(f->token, sizeof(f->token), "%s", s->spec->sandbox_token);
    struct backend *b = find(f, STR(""));
    (void)snprintf(b->id, sizeof(b->id), "%s", s->id);
    b->state = UP;
    (void)pthread_mutex_unlock(&f->lock);
    return ERR_OK;
}

static enum err_code do_stop(struct driver *d, struct str id, struct str name, struct err *reterr)
{
    struct fake *f = fake_of(d);
    (void)name;
    f->stops++;
    enum err_code r = refuse(f->refuse_stop, reterr);
    struct backend *b = find(f, id);
    if (r == ERR_OK && !b)
        r = err_set(reterr, ERR_NOT_FOUND, "no backend");
    if (r == ERR_OK)
        b->state = STOPPED;
    return r;
}

static enum err_code do_start(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    struct fake *f = fake_of(d);
    f->starts++;
    (void)snprintf(f->token, sizeof(f->token), "%s", s->spec->sandbox_token);
    enum err_code r = refuse(f->refuse_start, reterr);
    struct backend *b = find(f, str_of(s->id));
    if (r == ERR_OK && !b)
        r = err_set(reterr, ERR_NOT_FOUND, "no backend");
    if (r == ERR_OK)
        b->state = UP;
    return r;
}

static enum err_code do_remove(struct driver *d, struct str id, struct str name, bool *ret_was,
                               struct err *reterr)
{
    struct fake *f = fake_of(d);
    (void)name;
    f->removes++;
    enum err_code r = refuse(f->refuse_remove, reterr);
    struct backend *b = find(f, id);
    if (r == ERR_OK)
        *ret_was = b != NULL;
    if (r == ERR_OK && b)
        b->id[0] = '\0';
    return r;
}

static enum err_code do_get(struct driver *d, struct str id, struct arena *a, DriverSandbox **ret,
                            struct err *reterr)
{
    static const char *const words[][3] = {[UP] = {"Ready", "True", "BackendReady"},
                                           [STOPPED] = {"Suspended", "True", "Stopped"},
                                           [DOWN] = {"Ready", "False", "ProcessExited"},
                                           [COMING] = {"Ready", "False", "Starting"}};
    struct fake *f = fake_of(d);
    const struct backend *b = id.n > 0 ? find(f, id) : NULL;
    if (!b)
        return err_set(reterr, ERR_NOT_FOUND, "no backend");
    DriverSandbox *s = arena_new(a, DriverSandbox);
    openshell__compute__v1__driver_sandbox__init(s);
    s->id = text(b->id);
    s->status = arena_new(a, Openshell__Compute__V1__DriverSandboxStatus);
    openshell__compute__v1__driver_sandbox_status__init(s->status);
    s->status->conditions = arena_newn(a, DriverCondition *, 1);
    s->status->conditions[0] = arena_new(a, DriverCondition);
    openshell__compute__v1__driver_condition__init(s->status->conditions[0]);
    s->status->conditions[0]->type = text(words[b->state][0]);
    s->status->conditions[0]->status = text(words[b->state][1]);
    s->status->conditions[0]->reason = text(words[b->state][2]);
    s->status->n_conditions = 1;
    *ret = s;
    return ERR_OK;
}

static void do_watch(struct driver *d, const struct driver_events *events)
{
    fake_of(d)->told = *events;
}

static void do_free(struct driver *d)
{
    fake_of(d)->freed++;
}

static enum err_code do_capabilities(struct driver *d, struct arena *a,
                                     Openshell__Compute__V1__GetCapabilitiesResponse **ret,
                                     struct err *reterr)
{
    (void)d;
    Openshell__Compute__V1__GetCapabilitiesResponse
        *c = arena_new(a, Openshell__Compute__V1__GetCapabilitiesResponse);
    if (!c)
        return arena_limit(a, "capabilities", reterr);
    openshell__compute__v1__get_capabilities_response__init(c);
    *ret = c;
    return ERR_OK;
}

static const struct driver_ops fake_ops = {.capabilities = do_capabilities,
                                           .validate = do_validate,
                                           .create = do_create,
                                           .stop = do_stop,
                                           .start = do_start,
                                           .remove = do_remove,
                                           .get = do_get,
                                           .watch = do_watch,
                                           .free = do_free};

static void hook_changed(void *ctx, struct str id)
{
    struct world *w = ctx;
    (void)id;
    atomic_fetch_add(&w->changed, 1);
}

static void hook_forgotten(void *ctx, struct str id)
{
    struct world *w = ctx;
    (void)id;
    atomic_fetch_add(&w->forgotten, 1);
}

static bool hook_session(void *ctx, struct str id)
{
    const struct world *w = ctx;
    (void)id;
    return w->session;
}

static void hook_drop(void *ctx, struct str id)
{
    struct world *w = ctx;
    (void)id;
    atomic_fetch_add(&w->dropped, 1);
}

static enum err_code hook_mint(void *ctx, struct str id, struct buf *out, struct err *reterr)
{
    (void)ctx;
    buf_addf(out, "token-of-%.*s", (int)id.n, id.p);
    return buf_check(out, "a token", reterr);
}

static void open_life(struct world *w)
{
    struct err err = {};
    const struct lifecycle_opts opts = {.store = w->store,
                                        .driver = &w->fake.driver,
                                        .log = &w->log,
                                        .hooks = {.changed = hook_changed,
                                                  .forgotten = hook_forgotten,
                                                  .has_session = hook_session,
                                                  .drop_session = hook_drop,
                                                  .mint = hook_mint,
                                                  .ctx = w}};
    if (lifecycle_new(&opts, &w->l, &err) != ERR_OK) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
}

static enum err_code make(struct world *w, const char *name, Sandbox **ret, struct err *err)
{
    Sandbox *s = arena_new(&w->a, Sandbox);
    openshell__v1__sandbox__init(s);
    s->metadata = arena_new(&w->a, Openshell__Datamodel__V1__ObjectMeta);
    openshell__datamodel__v1__object_meta__init(s->metadata);
    s->spec = arena_new(&w->a, Openshell__V1__SandboxSpec);
    openshell__v1__sandbox_spec__init(s->spec);
    s->metadata->name = text(name);
    s->metadata->workspace = text("default");
    *ret = s;
    return lifecycle_create(w->l, s, &w->a, err);
}

static Sandbox *stored(struct world *w, const char *name)
{
    struct err err = {};
    Sandbox *s = NULL;
    return record_by_name(w->store, STR("default"), str_of(name), &w->a, &s, &err) == ERR_OK ? s : NULL;
}

// Phase and reason of the Ready condition: "Ready DependenciesReady".
static struct str state_of(struct world *w, const char *name)
{
    const Sandbox *s = stored(w, name);
    const char *reason = "-";
    struct str out = STR("gone");
    for (size_t i = 0; s && s->status && i < s->status->n_conditions; i++)
        if (strcmp(s->status->conditions[i]->type, "Ready") == 0)
            reason = s->status->conditions[i]->reason;
    if (s && !arena_fmt(&w->a, &out, "%s %s", phase_name(phase_of(s)), reason))
        abort();
    return out;
}

static bool is(struct world *w, const char *name, const char *want)
{
    struct str got = state_of(w, name);
    if (!str_eq(got, str_of(want)))
        tap_note("%s, want %s", got.p ? got.p : "", want);
    return str_eq(got, str_of(want));
}

static bool becomes(struct world *w, const char *name, const char *want)
{
    for (int i = 0; i < 300 && !str_eq(state_of(w, name), str_of(want)); i++)
        (void)poll(NULL, 0, 10);
    return is(w, name, want);
}

static void hear(struct world *w, const char *name, int state)
{
    const Sandbox *s = stored(w, name);
    DriverSandbox now = OPENSHELL__COMPUTE__V1__DRIVER_SANDBOX__INIT;
    now.id = s->metadata->id;
    (void)pthread_mutex_lock(&w->fake.lock);
    find(&w->fake, str_of(now.id))->state = state;
    (void)pthread_mutex_unlock(&w->fake.lock);
    w->fake.told.changed(w->fake.told.ctx, &now);
}

static bool said(enum err_code r, enum err_code want, const struct err *err, const char *msg)
{
    bool ok = r == want && strcmp(err->msg, msg) == 0;
    if (!ok)
        tap_note("%s: %s; want %s: %s", err_code_name(r), err->msg, err_code_name(want), msg);
    return ok;
}

static void test_create(struct world *w)
{
    struct err err = {};
    Sandbox *s = NULL;
    w->fake.refuse_validate = ERR_UNSUPPORTED;
    tap_ok(said(make(w, "no", &s, &err), ERR_UNSUPPORTED, &err, "the driver says no") && is(w, "no", "gone"),
           "create: what the driver refuses is not stored");
    w->fake.refuse_validate = ERR_OK;
    w->fake.refuse_create = ERR_LIMIT;
    tap_ok(said(make(w, "no", &s, &err), ERR_LIMIT, &err, "create sandbox failed: the driver says no") &&
               is(w, "no", "gone"),
           "create: a driver that fails leaves no record");
    w->fake.refuse_create = ERR_PRECONDITION;
    tap_ok(said(make(w, "no", &s, &err), ERR_PRECONDITION, &err, "the driver says no"),
           "create: what it demands is passed on as it is");
    w->fake.refuse_create = ERR_EXISTS;
    tap_ok(said(make(w, "no", &s, &err), ERR_EXISTS, &err, "sandbox already exists"), "create: it has one");
    w->fake.refuse_create = ERR_OK;
    atomic_store(&w->changed, 0);
    tap_ok(make(w, "dev", &s, &err) == ERR_OK && s->metadata->resource_version == 1 &&
               strlen(s->metadata->id) == 36 && s->metadata->created_at_ms > 0 &&
               phase_of(s) == PHASE_PROVISIONING && s->status->n_conditions == 0,
           "create: version 1, Provisioning, no conditions");
    tap_ok(is(w, "dev", "Provisioning -") && atomic_load(&w->changed) == 1, "create: stored, and told");
    char want[64];
    (void)snprintf(want, sizeof(want), "token-of-%s", s->metadata->id);
    tap_ok(strcmp(w->fake.token, want) == 0, "create: the driver has its token");
    tap_ok(said(make(w, "dev", &s, &err), ERR_EXISTS, &err, "sandbox 'dev' already exists"),
           "create: a name is taken once");
}

static void test_sessions(struct world *w)
{
    struct err err = {};
    struct sessions_ops ops = lifecycle_sessions(w->l);
    Openshell__V1__SupervisorHello hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    hello.instance_id = text("i-1");
    struct str id = str_of(stored(w, "dev")->metadata->id);
    hear(w, "dev", UP);
    tap_ok(becomes(w, "dev", "Provisioning SupervisorNotConnected"), "a backend alone is not ready");
    w->session = true;
    ops.connected(ops.ctx, id, &hello);
    tap_ok(is(w, "dev", "Ready DependenciesReady"), "with a session it is");
    uint64_t version = stored(w, "dev")->metadata->resource_version;
    hear(w, "dev", UP);
    (void)poll(NULL, 0, 50);
    tap_ok(stored(w, "dev")->metadata->resource_version == version, "nothing new is not written");
    w->session = false;
    ops.disconnected(ops.ctx, id);
    tap_ok(is(w, "dev", "Provisioning DependenciesNotReady"), "and without one no more");
    w->session = true;
    ops.connected(ops.ctx, id, &hello);
    tap_ok(lifecycle_main_exit(w->l, id, STR("i-0"), 1, &err) == ERR_OK &&
               is(w, "dev", "Ready DependenciesReady"),
           "the end of another main process is not its end");
    ops.connected(ops.ctx, STR("none"), &hello);
    tap_ok(lifecycle_main_exit(w->l, STR("none"), STR("i-0"), 1, &err) == ERR_OK,
           "of a sandbox that is gone nothing is said");
}

static void test_stop(struct world *w)
{
    struct err err = {};
    Sandbox *s = NULL;
    bool conflict = false;
    struct str ws = STR("default"), dev = STR("dev");
    tap_ok(said(lifecycle_stop(w->l, ws, STR("none"), &w->a, &s, &conflict, &err), ERR_NOT_FOUND, &err,
                "sandbox not found"),
           "stop: none");
    w->fake.refuse_stop = ERR_TIMEOUT;
    tap_ok(said(lifecycle_stop(w->l, ws, dev, &w->a, &s, &conflict, &err), ERR_TIMEOUT, &err,
                "stop sandbox failed: the driver says no") &&
               is(w, "dev", "Ready DependenciesReady"),
           "stop: a driver that fails leaves it as it is");
    w->fake.refuse_stop = ERR_OK;
    atomic_store(&w->dropped, 0);
    tap_ok(lifecycle_stop(w->l, ws, dev, &w->a, &s, &conflict, &err) == ERR_OK &&
               phase_of(s) == PHASE_STOPPED && is(w, "dev", "Stopped Stopped") &&
               atomic_load(&w->dropped) == 1,
           "stop: waits until it is, and ends the session");
    w->session = false;
    unsigned stops = w->fake.stops;
    tap_ok(lifecycle_stop(w->l, ws, dev, &w->a, &s, &conflict, &err) == ERR_OK &&
               phase_of(s) == PHASE_STOPPED && w->fake.stops == stops,
           "stop: of a stopped one asks nobody");
    w->fake.refuse_start = ERR_LIMIT;
    tap_ok(said(lifecycle_start(w->l, ws, dev, &w->a, &s, &conflict, &err), ERR_LIMIT, &err,
                "start sandbox failed: the driver says no") &&
               is(w, "dev", "Stopped Stopped"),
           "start: a driver that fails leaves it stopped");
    w->fake.refuse_start = ERR_OK;
    tap_ok(lifecycle_start(w->l, ws, dev, &w->a, &s, &conflict, &err) == ERR_OK &&
               phase_of(s) == PHASE_STARTING && is(w, "dev", "Starting Starting"),
           "start: returns at once");
    tap_ok(said(lifecycle_start(w->l, ws, dev, &w->a, &s, &conflict, &err), ERR_PRECONDITION, &err,
                "sandbox must be Stopped to start (current phase: Starting)"),
           "start: not while starting");
    tap_ok(said(lifecycle_stop(w->l, ws, dev, &w->a, &s, &conflict, &err), ERR_PRECONDITION, &err,
                "sandbox must be Ready to stop (current phase: Starting)"),
           "stop: only of a ready one");
    w->session = true;
    hear(w, "dev", UP);
    tap_ok(becomes(w, "dev", "Ready DependenciesReady"), "start: ready when its session is there");
    unsigned starts = w->fake.starts;
    tap_ok(lifecycle_start(w->l, ws, dev, &w->a, &s, &conflict, &err) == ERR_OK && w->fake.starts == starts,
           "start: of a ready one asks nobody");
    hear(w, "dev", DOWN);
    tap_ok(becomes(w, "dev", "Error ProcessExited"), "one that ended by itself is in Error");
    hear(w, "dev", UP);
    (void)poll(NULL, 0, 50);
    tap_ok(is(w, "dev", "Error ProcessExited"), "and stays there");
}

static bool has_revision(struct world *w, const char *id)
{
    struct store_object o;
    struct err err = {};
    return store_get(w->store, STR("sandbox_policy"), str_of(id), &w->a, &o, &err) == ERR_OK;
}

static void test_delete(struct world *w)
{
    struct err err = {};
    uint64_t v;
    bool was = false, conflict = false;
    struct str ws = STR("default");
    struct store_object o = thing("rev-1", NULL);
    o.kind = STR("sandbox_policy");
    o.workspace = ws;
    o.scope = str_of(stored(w, "dev")->metadata->id);
    o.revision = 1;
    (void)!put(w->store, STORE_CREATE, 0, o, &v, &err);
    o.id = STR("rev-2");
    o.scope = STR("another");
    (void)!put(w->store, STORE_CREATE, 0, o, &v, &err);
    w->fake.refuse_remove = ERR_TIMEOUT;
    tap_ok(said(lifecycle_delete(w->l, ws, STR("dev"), &was, &conflict, &err), ERR_TIMEOUT, &err,
                "delete sandbox failed: the driver says no") &&
               !was && phase_of(stored(w, "dev")) == PHASE_READY && has_revision(w, "rev-1") &&
               stored(w, "dev")->metadata->deletion_timestamp_ms == 0,
           "delete: a driver that fails: the phase is what really is");
    w->fake.refuse_remove = ERR_OK;
    tap_ok(lifecycle_delete(w->l, ws, STR("dev"), &was, &conflict, &err) == ERR_OK && was &&
               is(w, "dev", "gone") && atomic_load(&w->forgotten) >= 1,
           "delete: backend and record");
    tap_ok(!has_revision(w, "rev-1") && has_revision(w, "rev-2"), "delete: what it owned, and nothing else");
    tap_ok(said(lifecycle_delete(w->l, ws, STR("dev"), &was, &conflict, &err), ERR_NOT_FOUND, &err,
                "sandbox not found"),
           "delete: not twice");
    Sandbox *s = NULL;
    (void)!make(w, "half", &s, &err);
    find(&w->fake, str_of(s->metadata->id))->id[0] = '\0';
    tap_ok(lifecycle_delete(w->l, ws, STR("half"), &was, &conflict, &err) == ERR_OK && !was &&
               is(w, "half", "gone"),
           "delete: the backend was not there");
}

// A record in that phase, as a gateway left it; its backend in that state, or -1: none.
static void leave(struct world *w, const char *name, enum sandbox_phase phase, int state, int64_t age_ms)
{
    struct err err = {};
    Sandbox s = OPENSHELL__V1__SANDBOX__INIT;
    Openshell__Datamodel__V1__ObjectMeta m = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__V1__SandboxStatus st = OPENSHELL__V1__SANDBOX_STATUS__INIT;
    Openshell__V1__SandboxSpec spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    m.id = m.name = text(name);
    m.workspace = text("default");
    m.created_at_ms = clock_realtime_ms() - age_ms;
    st.phase = (Openshell__V1__SandboxPhase)phase;
    s.metadata = &m;
    s.status = &st;
    s.spec = &spec;
    if (record_insert(w->store, &s, &err) != ERR_OK)
        abort();
    if (state >= 0) {
        struct backend *b = find(&w->fake, STR(""));
        (void)snprintf(b->id, sizeof(b->id), "%s", name);
        b->state = state;
    }
}

static const struct {
    const char *name;
    enum sandbox_phase phase;
    int state;
    bool managed;
    const char *want;
    unsigned stops, starts;
} left[] = {
    {"stopping", PHASE_STOPPING, UP, false, "Stopped Stopped", 1, 0},
    {"stopping-done", PHASE_STOPPING, STOPPED, false, "Stopped Stopped", 1, 0},
    {"stopping-gone", PHASE_STOPPING, -1, false, "Error ComputeResourceMissing", 1, 0},
    {"starting", PHASE_STARTING, STOPPED, false, "Starting -", 0, 1},
    {"starting-gone", PHASE_STARTING, -1, false, "Error BackendResourceMissing", 0, 1},
    {"deleting", PHASE_DELETING, UP, false, "gone", 0, 0},
    {"deleting-gone", PHASE_DELETING, -1, false, "gone", 0, 0},
    {"creating", PHASE_PROVISIONING, -1, false, "gone", 0, 0},
    {"creating-half", PHASE_PROVISIONING, COMING, false, "Provisioning SupervisorNotConnected", 0, 1},
    {"created", PHASE_PROVISIONING, UP, false, "Provisioning SupervisorNotConnected", 0, 0},
    {"ready", PHASE_READY, UP, false, "Provisioning SupervisorNotConnected", 0, 0},
    {"ready-rebooted", PHASE_READY, COMING, false, "Provisioning SupervisorNotConnected", 0, 1},
    {"ready-ended", PHASE_READY, DOWN, false, "Error ProcessExited", 0, 0},
    {"ready-gone", PHASE_READY, -1, false, "Error BackendResourceMissing", 0, 0},
    {"stopped", PHASE_STOPPED, STOPPED, false, "Stopped -", 0, 0},
    {"stopped-up", PHASE_STOPPED, UP, false, "Stopped Stopped", 1, 0},
    {"stopped-gone", PHASE_STOPPED, -1, false, "Error ComputeResourceMissing", 0, 0},
    {"error", PHASE_ERROR, UP, false, "Error -", 0, 0},
    {"managed", PHASE_READY, STOPPED, true, "Provisioning SupervisorNotConnected", 1, 1},
    {"managed-gone", PHASE_READY, -1, true, "Error BackendResourceMissing", 0, 1},
    {"managed-stopped", PHASE_STOPPED, STOPPED, true, "Stopped -", 0, 0},
};

static void test_reconcile(struct world *w)
{
    w->session = false;
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        struct err err = {};
        bool was = false, conflict = false;
        leave(w, left[i].name, left[i].phase, left[i].state, 0);
        w->fake.stops = w->fake.starts = 0;
        w->fake.driver.manages_lifecycle = left[i].managed;
        open_life(w);
        bool ok = is(w, left[i].name, left[i].want) && w->fake.starts == left[i].starts &&
                  (left[i].managed || w->fake.stops == left[i].stops);
        bool backend_gone = strcmp(left[i].want, "gone") != 0 || !find(&w->fake, str_of(left[i].name));
        w->fake.stops = 0;
        lifecycle_free(w->l);
        tap_ok(ok && backend_gone && (!left[i].managed || w->fake.stops == left[i].stops),
               "at the start: %s, %s%s", left[i].name, left[i].want,
               left[i].managed ? ", the gateway starts and stops it" : "");
        w->fake.driver.manages_lifecycle = false;
        open_life(w);
        (void)!lifecycle_delete(w->l, STR("default"), str_of(left[i].name), &was, &conflict, &err);
        lifecycle_free(w->l);
    }
}

static void test_sweep(struct world *w)
{
    struct err err = {};
    const struct lifecycle_opts opts = {.store = w->store,
                                        .driver = &w->fake.driver,
                                        .log = &w->log,
                                        .sweep_ms = 20};
    leave(w, "old", PHASE_READY, UP, LIFECYCLE_ORPHAN_MS + 1000);
    leave(w, "young", PHASE_READY, UP, 0);
    if (lifecycle_new(&opts, &w->l, &err) != ERR_OK)
        abort();
    tap_ok(is(w, "old", "Ready DependenciesReady"), "without sessions a backend that is ready is enough");
    (void)pthread_mutex_lock(&w->fake.lock);
    find(&w->fake, STR("old"))->id[0] = '\0';
    find(&w->fake, STR("young"))->id[0] = '\0';
    (void)pthread_mutex_unlock(&w->fake.lock);
    tap_ok(becomes(w, "old", "Error ComputeResourceMissing"), "the sweep finds a backend that went unheard");
    tap_ok(is(w, "young", "Ready DependenciesReady"), "and leaves one its time that is young");
    lifecycle_free(w->l);
}

int main(void)
{
    static struct world w; // libuv has no part in this, but threads have
    w.place = place_new("/tmp");
    w.store = place_open(&w.place);
    w.log = (struct log){.fd = 2, .level = LOG_LEVEL_ERROR};
    w.fake.driver = (struct driver){.ops = &fake_ops, .name = "fake"};
    (void)pthread_mutex_init(&w.fake.lock, NULL);
    arena_init(&w.a, 64 * MIB);
    open_life(&w);
    test_create(&w);
    test_sessions(&w);
    test_stop(&w);
    test_delete(&w);
    lifecycle_free(w.l);
    tap_ok(w.fake.freed == 1, "the driver is let go");
    test_reconcile(&w);
    test_sweep(&w);
    arena_done(&w.a);
    store_free(w.store);
    place_done(&w.place);
    return tap_done();
}
