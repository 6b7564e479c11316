// WatchSandbox: one watcher on the loop. Reference: gateway 3.4.
//
// First the record, read by a worker; then what the rings have; then what is noted. Lines are subscribed to
// in the moment in which the ring is copied, so that none is missing and none comes twice; status is
// subscribed to before the record is read, so that a change meanwhile is seen. A change is a flag, not a
// message: however many there were, the record is read once when it is the watcher's turn.
#include "gateway/caller.h"
#include "gateway/records.h"
#include "gateway/watch_internal.h"
#include "rpc/wire.h"

enum { TURN_WATCHERS = 32, TURN_MESSAGES = 64, REQUEST_MAX = 64 * KIB, RECORD_ARENA_MAX = 16 * MIB };

#define READY OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY

// ---- life

static void queue_clear(struct watcher *x)
{
    for (struct node *n = x->first, *next; n; n = next) {
        next = n->next;
        item_unref(n->item);
        free(n);
    }
    x->first = NULL;
    x->last = &x->first;
}

// On the loop, when no work is under way.
static void watcher_free(struct watcher *x)
{
    struct watch *w = x->w;
    (void)pthread_mutex_lock(&w->mu);
    if (x->bus) {
        struct watcher **at = &x->bus->watchers;
        while (*at && *at != x)
            at = &(*at)->next;
        if (*at)
            *at = x->next;
        bus_unpin(w, x->bus);
    }
    struct watcher **ready = &w->ready;
    while (*ready && *ready != x)
        ready = &(*ready)->ready_next;
    if (*ready)
        *ready = x->ready_next;
    queue_clear(x);
    (void)pthread_mutex_unlock(&w->mu);
    arena_done(&x->record_arena);
    arena_done(&x->arena);
    rpc_request_unref(x->r);
    free(x);
}

static void let_go(struct watcher *x)
{
    watch_call_remove(&x->call);
    x->closed = true;
    if (!x->reading)
        watcher_free(x);
}

static void end(struct watcher *x, const struct rpc_status *st)
{
    rpc_request_finish(x->r, st, STR(""));
    let_go(x);
}

static void end_ok(struct watcher *x)
{
    rpc_request_finish_ok(x->r);
    let_go(x);
}

static void end_err(struct watcher *x, const struct err *e)
{
    rpc_request_finish_err(x->r, e);
    let_go(x);
}

static void on_ending(struct watch_call *c, const struct err *why)
{
    end_err((struct watcher *)(void *)c, why);
}

// ---- the record

static void on_read(uv_work_t *work)
{
    struct watcher *x = work->data;
    x->record = NULL;
    x->result = record_by_id(x->services->store, str_of(x->req->id), &x->record_arena, &x->record, &x->err);
    if (x->result != ERR_OK || x->begun)
        return;
    (void)pthread_mutex_lock(&x->w->mu);
    bool loaded = !x->bus || x->bus->loaded;
    (void)pthread_mutex_unlock(&x->w->mu);
    if (!loaded)
        file_load(x->w, x->bus); // the watcher pins it
}

static void after_read(uv_work_t *work, int status);

static void read_record(struct watcher *x)
{
    (void)pthread_mutex_lock(&x->w->mu);
    x->changed = false;
    (void)pthread_mutex_unlock(&x->w->mu);
    arena_done(&x->record_arena);
    arena_init(&x->record_arena, RECORD_ARENA_MAX);
    x->work.data = x;
    x->reading = true;
    if (uv_queue_work(x->w->loop, &x->work, on_read, after_read) == 0)
        return;
    x->reading = false;
    struct err err = {};
    err_fill(&err, ERR_UNAVAILABLE, "the server has too much to do; try again");
    end_err(x, &err);
}

static bool add_node(struct watcher *x, struct item *item)
{
    struct node *n = calloc(1, sizeof(*n));
    if (!n)
        return false;
    n->item = item_ref(item);
    n->replay = true;
    *x->last = n;
    x->last = &n->next;
    return true;
}

static void replay(struct watcher *x, const struct ring *r, size_t n)
{
    size_t take = n < r->n ? n : r->n;
    for (size_t i = r->n - take; i < r->n; i++)
        if (!add_node(x, r->v[(r->head + i) % r->cap]))
            return; // no memory: it begins with what comes
}

// What the rings have, and from here on what is noted. A bus that was forgotten meanwhile says so by itself.
static void subscribe(struct watcher *x)
{
    (void)pthread_mutex_lock(&x->w->mu);
    if (x->bus && x->req->follow_logs) {
        replay(x, &x->bus->lines, x->req->log_tail_lines > 0 ? x->req->log_tail_lines : WATCH_TAIL);
        x->follow_logs = true;
    }
    if (x->bus && x->req->follow_events) {
        replay(x, &x->bus->events, x->req->event_tail);
        x->follow_events = true;
    }
    (void)pthread_mutex_unlock(&x->w->mu);
}

static void serve(struct watcher *x);

// False: the watcher is no more.
static bool send_record(struct watcher *x)
{
    struct err err = {};
    Openshell__V1__SandboxStreamEvent m = OPENSHELL__V1__SANDBOX_STREAM_EVENT__INIT;
    m.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX;
    m.sandbox = x->record;
    enum err_code c = rpc_request_send(x->r, &m.base, &err);
    if (c == ERR_LIMIT) { // read again when there is room
        x->blocked = true;
        (void)pthread_mutex_lock(&x->w->mu);
        x->changed = true;
        (void)pthread_mutex_unlock(&x->w->mu);
        return true;
    }
    if (c != ERR_OK) {
        end_err(x, &err);
        return false;
    }
    if (x->req->stop_on_terminal && x->record->status && x->record->status->phase == READY) {
        end_ok(x);
        return false;
    }
    return true;
}

static void after_read(uv_work_t *work, int status)
{
    struct watcher *x = work->data;
    bool first = !x->begun;
    x->reading = false;
    if (x->closed) {
        watcher_free(x);
        return;
    }
    if (status != 0)
        x->result = err_set(&x->err, ERR_UNAVAILABLE, "cancelled");
    if (x->result == ERR_NOT_FOUND && !first) {
        end_ok(x); // it was removed
    } else if (x->result != ERR_OK) {
        end_err(x, &x->err);
    } else {
        x->begun = true;
        if (!send_record(x))
            return;
        if (first)
            subscribe(x);
        serve(x);
    }
}

// ---- its turn

// False: this one is not for this watcher, or cannot be read.
static bool event_of(struct watcher *x, const struct node *n, struct arena *a,
                     Openshell__V1__SandboxStreamEvent *ret)
{
    struct err err = {};
    ProtobufCMessage *m = NULL;
    const ProtobufCMessageDescriptor *type = n->item->is_event ? &openshell__v1__platform_event__descriptor
                                                               : &openshell__v1__sandbox_log_line__descriptor;
    if (wire_unpack(type, (struct str){n->item->bytes, n->item->n}, a, &m, &err) != ERR_OK)
        return false;
    if (n->item->is_event) {
        ret->payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT;
        ret->event = (Openshell__V1__PlatformEvent *)(void *)m;
        return true;
    }
    struct watch_filter f = x->filter;
    if (!n->replay)
        f.since_ms = INT64_MIN; // reference: gateway 3.4
    ret->payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG;
    ret->log = (Openshell__V1__SandboxLogLine *)(void *)m;
    ret->log->sandbox_id = x->req->id;
    return watch_passes(&f, ret->log);
}

static struct node *pop(struct watcher *x)
{
    (void)pthread_mutex_lock(&x->w->mu);
    struct node *n = x->lost == 0 ? x->first : NULL;
    if (n) {
        x->first = n->next;
        if (!x->first)
            x->last = &x->first;
        x->live_n -= !n->replay;
    }
    (void)pthread_mutex_unlock(&x->w->mu);
    return n;
}

static void push_back(struct watcher *x, struct node *n)
{
    (void)pthread_mutex_lock(&x->w->mu);
    n->next = x->first;
    if (!x->first)
        x->last = &n->next;
    x->first = n;
    x->live_n += !n->replay;
    (void)pthread_mutex_unlock(&x->w->mu);
}

// False: the watcher is no more.
static bool send_queue(struct watcher *x)
{
    struct node *n = NULL;
    struct err err = {};
    for (size_t sent = 0; sent < TURN_MESSAGES && (n = pop(x)); sent++) {
        Openshell__V1__SandboxStreamEvent m = OPENSHELL__V1__SANDBOX_STREAM_EVENT__INIT;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        enum err_code c = event_of(x, n, &a, &m) ? rpc_request_send(x->r, &m.base, &err) : ERR_OK;
        if (c == ERR_LIMIT) {
            push_back(x, n);
            x->blocked = true;
            return true;
        }
        item_unref(n->item);
        free(n);
        if (c != ERR_OK) {
            end_err(x, &err);
            return false;
        }
    }
    return true;
}

struct turn {
    uint64_t lost;
    bool more, changed, over;
};

static struct turn look(struct watcher *x)
{
    (void)pthread_mutex_lock(&x->w->mu);
    struct turn t = {.lost = x->lost, .more = x->first != NULL, .changed = x->changed, .over = x->over};
    if (t.more && t.lost == 0)
        watcher_mark(x); // another turn, behind the others
    (void)pthread_mutex_unlock(&x->w->mu);
    return t;
}

static void serve(struct watcher *x)
{
    struct rpc_status st = {};
    if (x->closed || x->reading || x->blocked || !x->begun || !send_queue(x) || x->blocked)
        return;
    struct turn t = look(x);
    if (t.lost > 0) {
        rpc_status_set(&st, RPC_RESOURCE_EXHAUSTED, "watch stream lagged; dropped %llu messages",
                       (unsigned long long)t.lost);
        end(x, &st);
    } else if (t.more) {
        watch_wake(x->w);
    } else if (t.over && !x->req->follow_status) {
        rpc_status_set(&st, RPC_CANCELLED, "stream closed");
        end(x, &st);
    } else if (t.over || (!x->req->follow_status && !x->req->follow_logs && !x->req->follow_events)) {
        end_ok(x); // nothing will ever come
    } else if (t.changed && x->req->follow_status) {
        read_record(x);
    }
}

void watch_turn(void *arg)
{
    struct watch *w = arg;
    for (size_t i = 0; i < TURN_WATCHERS; i++) {
        (void)pthread_mutex_lock(&w->mu);
        struct watcher *x = w->ready;
        if (x) {
            w->ready = x->ready_next;
            x->is_ready = false;
        } else {
            w->posted = false;
        }
        (void)pthread_mutex_unlock(&w->mu);
        if (!x)
            return;
        serve(x);
    }
    (void)pthread_mutex_lock(&w->mu);
    w->posted = false;
    (void)pthread_mutex_unlock(&w->mu);
    watch_wake(w); // there may be more
}

// ---- the call

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct watcher *x = rpc_request_user(r);
    struct err err = {};
    CLEANUP(buf_done) struct buf copy;
    struct str bytes = {};
    ProtobufCMessage *m = NULL;
    buf_init(&copy, REQUEST_MAX);
    enum err_code c = wire_pack(message, &copy, &err);
    if (c == ERR_OK && !arena_dup(&x->arena, buf_str(&copy), &bytes))
        c = arena_limit(&x->arena, "the request", &err);
    if (c == ERR_OK)
        c = wire_unpack(&openshell__v1__watch_sandbox_request__descriptor, bytes, &x->arena, &m, &err);
    if (c == ERR_OK) {
        x->req = (const Openshell__V1__WatchSandboxRequest *)(void *)m;
        if (!x->req->id[0])
            c = err_set(&err, ERR_INVALID, "id is required");
    }
    if (c != ERR_OK) {
        end_err(x, &err);
        return;
    }
    x->filter = (struct watch_filter){.since_ms = x->req->log_since_ms,
                                      .sources = x->req->log_sources,
                                      .n_sources = x->req->n_log_sources,
                                      .min_level = x->req->log_min_level};
    (void)pthread_mutex_lock(&x->w->mu);
    x->bus = bus_find(x->w, str_of(x->req->id), true);
    if (x->bus) {
        x->bus->pins++;
        x->next = x->bus->watchers;
        x->bus->watchers = x;
    }
    (void)pthread_mutex_unlock(&x->w->mu);
    read_record(x);
}

static void on_writable(struct rpc_request *r)
{
    struct watcher *x = rpc_request_user(r);
    x->blocked = false;
    serve(x);
}

static void on_closed(struct rpc_request *r)
{
    let_go(rpc_request_user(r));
}

void method_watch_sandbox(struct rpc_request *r)
{
    static const struct rpc_stream_ops ops = {.message = on_message,
                                              .writable = on_writable,
                                              .closed = on_closed};
    const struct services *s = rpc_request_ctx(r);
    struct watcher *x = calloc(1, sizeof(*x));
    if (!x || !watch_call_add(s->watch, &x->call)) {
        struct err err = {};
        err_fill(&err, ERR_UNAVAILABLE, x ? "the gateway is ending" : "no memory for a watcher");
        rpc_request_finish_err(r, &err);
        free(x);
        return;
    }
    x->call.end = on_ending;
    x->w = s->watch;
    x->r = rpc_request_ref(r);
    x->services = s;
    x->last = &x->first;
    arena_init(&x->arena, 2 * REQUEST_MAX);
    arena_init(&x->record_arena, RECORD_ARENA_MAX);
    rpc_request_begin(r, &ops, x);
}
