// The supervisors that are connected.
//
// A session is SESSION_NEW until hello came, SESSION_ASKING while a worker looks whether the sandbox is
// known, then SESSION_ON: in the bucket of its sandbox, where the newest one is the one that counts and an
// older one ends. It goes with its call, which either side may end. One timer serves all heartbeats, since
// all have the same interval: who was given one goes to the end of the list.
#include "gateway/sessions_internal.h"

#include "gateway/caller.h"
#include "gateway/offload.h"
#include "gateway/records.h"
#include "gateway/services.h"

enum { LOOKUP_ARENA = 8 * MIB };

#define BEAT_NS (SESSIONS_HEARTBEAT_S * 1'000'000'000LL)
#define MS_NS   1'000'000

size_t sessions_bucket(struct str sandbox_id)
{
    return str_hash(sandbox_id, 0) % SESSIONS_BUCKETS;
}

struct session *session_find(struct sessions *s, struct str sandbox_id)
{
    for (struct session *ss = s->buckets[sessions_bucket(sandbox_id)]; ss; ss = ss->next)
        if (str_eq(str_of(ss->sandbox_id), sandbox_id))
            return ss;
    return NULL;
}

enum err_code session_send(struct session *ss, Openshell__V1__GatewayMessage *m, struct err *reterr)
{
    return rpc_request_send(ss->r, &m->base, reterr);
}

// ---- heartbeats

static void beat_leave(struct session *ss)
{
    struct sessions *s = ss->owner;
    if (ss->beat_prev)
        ss->beat_prev->beat_next = ss->beat_next;
    else
        s->beat_first = ss->beat_next;
    if (ss->beat_next)
        ss->beat_next->beat_prev = ss->beat_prev;
    else
        s->beat_last = ss->beat_prev;
    ss->beat_next = ss->beat_prev = NULL;
}

static void on_beat(uv_timer_t *timer);

static void beat_arm(struct sessions *s)
{
    if (!s->beat_first || s->stopping)
        return;
    int64_t left_ns = s->beat_first->beat_ns - clock_ns();
    (void)uv_timer_start(&s->beat, on_beat, left_ns > 0 ? (uint64_t)(left_ns / MS_NS) + 1 : 0,
                         0); // has a callback
}

static void beat_join(struct session *ss)
{
    struct sessions *s = ss->owner;
    ss->beat_ns = clock_ns() + BEAT_NS;
    ss->beat_prev = s->beat_last;
    if (s->beat_last)
        s->beat_last->beat_next = ss;
    else
        s->beat_first = ss;
    s->beat_last = ss;
    if (s->beat_first == ss)
        beat_arm(s);
}

static void on_beat(uv_timer_t *timer)
{
    struct sessions *s = timer->data;
    int64_t now_ns = clock_ns();
    Openshell__V1__GatewayHeartbeat beat = OPENSHELL__V1__GATEWAY_HEARTBEAT__INIT;
    Openshell__V1__GatewayMessage m = OPENSHELL__V1__GATEWAY_MESSAGE__INIT;
    m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_HEARTBEAT;
    m.heartbeat = &beat;
    while (s->beat_first && s->beat_first->beat_ns <= now_ns) {
        struct session *ss = s->beat_first;
        struct err ignored = {};
        beat_leave(ss);
        beat_join(ss);
        (void)session_send(ss, &m, &ignored); // a full queue says as much as a heartbeat
    }
    beat_arm(s);
}

// ---- joining and leaving

static void bucket_leave(struct session *ss)
{
    struct sessions *s = ss->owner;
    uv_mutex_lock(&s->lock);
    for (struct session **p = &s->buckets[sessions_bucket(str_of(ss->sandbox_id))]; *p; p = &(*p)->next)
        if (*p == ss) {
            *p = ss->next;
            break;
        }
    uv_mutex_unlock(&s->lock);
}

// The call has ended, or is about to.
static void session_leave(struct session *ss, const char *why)
{
    struct sessions *s = ss->owner;
    bool counts = ss->state == SESSION_ON && session_find(s, str_of(ss->sandbox_id)) == ss;
    if (ss->state == SESSION_ON)
        beat_leave(ss);
    if (counts)
        bucket_leave(ss);
    pushes_end(ss, why);
    if (counts) {
        relays_lost(s, str_of(ss->sandbox_id));
        notes_disconnected(s, str_of(ss->sandbox_id));
    }
    free(ss);
}

static void session_finish(struct session *ss, enum rpc_code code, const char *why)
{
    struct rpc_request *r = ss->r;
    struct rpc_status st = {};
    rpc_status_set(&st, code, "%s", code == RPC_OK ? "" : why);
    session_leave(ss, why);
    rpc_request_finish(r, &st, STR(""));
}

static void session_fail(struct session *ss, const struct err *e)
{
    struct rpc_request *r = ss->r;
    session_leave(ss, e->msg);
    rpc_request_finish_err(r, e);
}

static bool accept_hello(struct session *ss, struct err *reterr)
{
    Openshell__V1__SessionAccepted accepted = OPENSHELL__V1__SESSION_ACCEPTED__INIT;
    Openshell__V1__GatewayMessage m = OPENSHELL__V1__GATEWAY_MESSAGE__INIT;
    if (id_make(ss->id, reterr) != ERR_OK)
        return false;
    accepted.session_id = ss->id;
    accepted.heartbeat_interval_secs = SESSIONS_HEARTBEAT_S;
    m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_SESSION_ACCEPTED;
    m.session_accepted = &accepted;
    return session_send(ss, &m, reterr) == ERR_OK;
}

// What was before it of the same sandbox ends without anybody being told: there is a session still.
static void session_join(struct session *ss)
{
    struct sessions *s = ss->owner;
    struct session *old = session_find(s, str_of(ss->sandbox_id));
    if (old)
        bucket_leave(old);
    uv_mutex_lock(&s->lock);
    struct session **bucket = &s->buckets[sessions_bucket(str_of(ss->sandbox_id))];
    ss->next = *bucket;
    *bucket = ss;
    uv_mutex_unlock(&s->lock);
    ss->state = SESSION_ON;
    beat_join(ss);
    if (old)
        session_finish(old, RPC_ABORTED, "a newer session of this sandbox has taken its place");
    relays_session(ss);
}

// ---- hello

struct hello {
    char sandbox_id[SESSION_ID_MAX + 1];
    size_t n;
    uint8_t bytes[]; // as packed
};

static enum err_code look_up(struct rpc_request *r, void *arg, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    const struct hello *h = arg;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LOOKUP_ARENA);
    Openshell__V1__Sandbox *record = NULL;
    return record_by_id(services->store, str_of(h->sandbox_id), &a, &record, reterr);
}

static void looked_up(struct rpc_request *r, void *arg, const struct err *failed)
{
    struct session *ss = rpc_request_user(r);
    struct sessions *s = ss->owner;
    const struct hello *h = arg;
    struct err err = {};
    if (failed) {
        session_fail(ss, failed);
        return;
    }
    if (s->stopping) {
        session_finish(ss, RPC_UNAVAILABLE, "the gateway is ending");
        return;
    }
    if (!accept_hello(ss, &err)) {
        session_fail(ss, &err);
        return;
    }
    session_join(ss);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    ProtobufCMessage *m = NULL;
    if (wire_unpack(&openshell__v1__supervisor_hello__descriptor, (struct str){(const char *)h->bytes, h->n},
                    &a, &m, &err) == ERR_OK)
        notes_connected(s, str_of(h->sandbox_id), (const Openshell__V1__SupervisorHello *)m);
    rpc_request_want(r, 1);
}

static const struct offload_ops hello_ops = {.work = look_up, .done = looked_up};

static void on_hello(struct session *ss, const Openshell__V1__SupervisorMessage *m)
{
    struct err err = {};
    if (m->payload_case != OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO) {
        session_finish(ss, RPC_INVALID_ARGUMENT, "expected SupervisorHello");
        return;
    }
    struct str id = str_of(m->hello->sandbox_id);
    if (id.n == 0 || id.n > SESSION_ID_MAX) {
        session_finish(ss, RPC_INVALID_ARGUMENT, "sandbox_id is required, and has at most 63 bytes");
        return;
    }
    if (caller_scope(ss->r, id, &err) != ERR_OK) {
        session_fail(ss, &err);
        return;
    }
    size_t n = openshell__v1__supervisor_hello__get_packed_size(m->hello);
    struct hello *h = n <= 4 * KIB ? calloc(1, sizeof(*h) + n) : NULL;
    if (!h) {
        session_finish(ss, RPC_RESOURCE_EXHAUSTED, "hello is too large");
        return;
    }
    h->n = openshell__v1__supervisor_hello__pack(m->hello, h->bytes);
    memcpy(h->sandbox_id, id.p, id.n);
    memcpy(ss->sandbox_id, id.p, id.n);
    ss->state = SESSION_ASKING;
    offload(ss->owner->loop, ss->r, &hello_ops, h);
}

// ---- the call

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct session *ss = rpc_request_user(r);
    const Openshell__V1__SupervisorMessage *m = (const Openshell__V1__SupervisorMessage *)message;
    if (ss->state == SESSION_NEW) {
        on_hello(ss, m);
        return;
    }
    switch (m->payload_case) {
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_CONFIG_RESULT:
        pushes_answer(ss, m->config_result);
        break;
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_RELAY_OPEN_RESULT:
        if (!m->relay_open_result->success)
            relays_refused(ss->owner, str_of(ss->sandbox_id), str_of(m->relay_open_result->channel_id),
                           m->relay_open_result->error);
        break;
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_RELAY_CLOSE:
        relays_refused(ss->owner, str_of(ss->sandbox_id), str_of(m->relay_close->channel_id),
                       m->relay_close->reason);
        break;
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO: // the first one counts
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HEARTBEAT:
    case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD__NOT_SET: // of a newer interface
    case _OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD__CASE_IS_INT_SIZE:
    default:
        break;
    }
    rpc_request_want(r, 1);
}

static void on_end(struct rpc_request *r)
{
    struct session *ss = rpc_request_user(r);
    if (ss->state == SESSION_NEW)
        session_finish(ss, RPC_INVALID_ARGUMENT, "stream closed before hello");
    else
        session_finish(ss, RPC_OK, "the supervisor has ended its session");
}

static void on_writable(struct rpc_request *r)
{
    struct session *ss = rpc_request_user(r);
    relays_writable(ss);
    pushes_writable(ss);
}

static void on_closed(struct rpc_request *r)
{
    session_leave(rpc_request_user(r), "the supervisor is gone");
}

static const struct rpc_stream_ops session_ops = {.message = on_message,
                                                  .end = on_end,
                                                  .writable = on_writable,
                                                  .closed = on_closed};

void sessions_connect(struct rpc_request *r)
{
    const struct services *services = rpc_request_ctx(r);
    struct sessions *s = services->sessions;
    struct err err = {};
    struct session *ss = s && !s->stopping ? calloc(1, sizeof(*ss)) : NULL;
    if (!ss) {
        err_fill(&err, ERR_UNAVAILABLE, "the gateway takes no sessions now");
        rpc_request_finish_err(r, &err);
        return;
    }
    *ss = (struct session){.owner = s, .r = r};
    rpc_request_begin(r, &session_ops, ss);
    rpc_request_want(r, 1);
}

// ---- the registry

enum err_code sessions_new(const struct sessions_ops *ops, struct sessions **ret, struct err *reterr)
{
    struct sessions *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(reterr, ERR_LIMIT, "no memory for sessions");
    if (uv_mutex_init(&s->lock) != 0) {
        free(s);
        return err_set(reterr, ERR_LIMIT, "no lock for sessions");
    }
    s->ops = *ops;
    s->relay_due_ns = DEADLINE_NEVER;
    *ret = s;
    return ERR_OK;
}

void sessions_attach(struct sessions *s, struct rpc_server *server, uv_loop_t *loop)
{
    s->server = server;
    s->loop = loop;
    (void)uv_timer_init(loop, &s->beat); // cannot fail
    (void)uv_timer_init(loop, &s->relay_timer);
    s->beat.data = s->relay_timer.data = s;
}

void sessions_stop(struct sessions *s)
{
    if (s->stopping)
        return;
    s->stopping = true; // notes_disconnected() tells nobody from here
    while (s->beat_first)
        session_finish(s->beat_first, RPC_UNAVAILABLE, "the gateway is ending");
    uv_close((uv_handle_t *)&s->beat, NULL);
    uv_close((uv_handle_t *)&s->relay_timer, NULL);
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    assert(!s->beat_first && !s->relays); // the server's end has closed every call
    uv_mutex_destroy(&s->lock);
    free(s);
}

bool sessions_has(struct sessions *s, struct str sandbox_id)
{
    uv_mutex_lock(&s->lock);
    bool has = session_find(s, sandbox_id) != NULL;
    uv_mutex_unlock(&s->lock);
    return has;
}

struct drop {
    struct sessions *s;
    char sandbox_id[SESSION_ID_MAX + 1];
};

static void do_drop(void *arg)
{
    struct drop *d = arg;
    struct session *ss = session_find(d->s, str_of(d->sandbox_id));
    relays_drop(d->s, str_of(d->sandbox_id), "the sandbox was stopped");
    if (ss)
        session_finish(ss, RPC_UNAVAILABLE, "the sandbox was stopped");
    free(d);
}

void sessions_drop(struct sessions *s, struct str sandbox_id)
{
    struct err err = {};
    struct drop *d = calloc(1, sizeof(*d));
    if (!d)
        return; // it ends with the supervisor
    d->s = s;
    if (!str_cstr(sandbox_id, d->sandbox_id, sizeof(d->sandbox_id)) ||
        rpc_server_post(s->server, do_drop, d, &err) != ERR_OK) // no such id, or all are ending
        free(d);
}
