// Relays, from RelayOpen to the end of their RelayStream.
//
// Few are being opened at a time, so that a list and one timer do. A relay that is open costs nothing here
// but its frames: each is taken when its owner wants it and handed on, so that the window of one side is that
// of the other.
#include "gateway/relays.h"

#include "gateway/caller.h"
#include "gateway/services.h"
#include "gateway/sessions_internal.h"

#define MS_NS 1'000'000

enum relay_state { RELAY_WAITING, RELAY_ASKED, RELAY_IS_OPEN };

struct relay {
    struct sessions *s;
    struct relay *next, *prev; // of all
    enum relay_state state;
    int64_t deadline_ns;
    Openshell__V1__RelayOpen *ask; // until it is open
    struct rpc_request *stream;    // once it is
    const struct relay_ops *ops;
    void *owner;
    char channel_id[ID_SIZE];
    char sandbox_id[SESSION_ID_MAX + 1];
};

// ---- time

static void arm(struct sessions *s)
{
    s->relay_due_ns = DEADLINE_NEVER;
    for (const struct relay *rl = s->relays; rl; rl = rl->next)
        if (rl->deadline_ns < s->relay_due_ns)
            s->relay_due_ns = rl->deadline_ns;
    if (s->stopping)
        return;
    if (s->relay_due_ns == DEADLINE_NEVER) {
        (void)uv_timer_stop(&s->relay_timer); // cannot fail
        return;
    }
    int64_t left_ns = s->relay_due_ns - clock_ns();
    (void)uv_timer_start(&s->relay_timer, relays_on_timer, left_ns > 0 ? (uint64_t)(left_ns / MS_NS) + 1 : 0,
                         0);
}

static void set_deadline(struct relay *rl, int64_t deadline_ns)
{
    rl->deadline_ns = deadline_ns;
    if (deadline_ns < rl->s->relay_due_ns)
        arm(rl->s);
}

// ---- life

static void relay_leave(struct relay *rl)
{
    struct sessions *s = rl->s;
    if (rl->prev)
        rl->prev->next = rl->next;
    else
        s->relays = rl->next;
    if (rl->next)
        rl->next->prev = rl->prev;
    if (rl->state != RELAY_IS_OPEN)
        s->relays_pending--;
    free(rl);
}

static void finish_stream(struct relay *rl, enum rpc_code code, const char *why)
{
    if (!rl->stream)
        return;
    struct rpc_status st = {};
    rpc_status_set(&st, code, "%s", code == RPC_OK ? "" : why);
    rpc_request_finish(rl->stream, &st, STR(""));
    rl->stream = NULL;
}

// To its session, if there is one: best effort, since the end of the stream says it as well.
static void tell_close(struct relay *rl, const char *why)
{
    struct session *ss = session_find(rl->s, str_of(rl->sandbox_id));
    Openshell__V1__RelayClose close = OPENSHELL__V1__RELAY_CLOSE__INIT;
    Openshell__V1__GatewayMessage m = OPENSHELL__V1__GATEWAY_MESSAGE__INIT;
    struct err ignored = {};
    close.channel_id = rl->channel_id;
    close.reason = (char *)(uintptr_t)why; // packing only reads it
    m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_RELAY_CLOSE;
    m.relay_close = &close;
    if (ss && rl->state != RELAY_WAITING)
        (void)session_send(ss, &m, &ignored);
}

// Tells the owner, for whom it is gone then.
static void relay_fail(struct relay *rl, enum rpc_code code, const char *why)
{
    const struct relay_ops *ops = rl->ops;
    void *owner = rl->owner;
    finish_stream(rl, code, why);
    relay_leave(rl);
    ops->closed(owner, code, why);
}

void relays_on_timer(uv_timer_t *timer)
{
    struct sessions *s = timer->data;
    int64_t now_ns = clock_ns();
    for (struct relay *rl = s->relays; rl;) {
        if (rl->deadline_ns > now_ns) {
            rl = rl->next;
            continue;
        }
        if (rl->state == RELAY_WAITING) {
            relay_fail(rl, RPC_UNAVAILABLE, "supervisor session not connected");
        } else {
            tell_close(rl, "timeout");
            relay_fail(rl, RPC_DEADLINE_EXCEEDED,
                       rl->state == RELAY_ASKED ? "relay open timed out" : "the time for it has passed");
        }
        rl = s->relays; // owners may have ended others
    }
    arm(s);
}

// ---- asking

// ERR_LIMIT where it does not fit now: `writable` comes. What fails else, the session's end or a deadline
// ends.
static enum err_code ask(struct session *ss, struct relay *rl, struct err *reterr)
{
    Openshell__V1__GatewayMessage m = OPENSHELL__V1__GATEWAY_MESSAGE__INIT;
    rl->ask->channel_id = rl->channel_id;
    m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_RELAY_OPEN;
    m.relay_open = rl->ask;
    enum err_code c = session_send(ss, &m, reterr);
    if (c == ERR_OK && rl->state == RELAY_WAITING) {
        rl->state = RELAY_ASKED;
        set_deadline(rl, deadline_in_ms(SESSIONS_CLAIM_MS));
    }
    return c;
}

// Asks `ss` for those of its sandbox that wait, and again for those that an older session was asked for.
static void ask_all(struct session *ss, bool again)
{
    for (struct relay *rl = ss->owner->relays; rl; rl = rl->next) {
        struct err err = {};
        bool mine = rl->state == RELAY_WAITING || (again && rl->state == RELAY_ASKED);
        if (mine && str_eq(str_of(rl->sandbox_id), str_of(ss->sandbox_id)) && ask(ss, rl, &err) != ERR_OK)
            return;
    }
}

void relays_session(struct session *ss)
{
    ask_all(ss, true);
}

void relays_writable(struct session *ss)
{
    ask_all(ss, false);
}

static struct relay *first_of(struct sessions *s, struct str sandbox_id, bool all)
{
    for (struct relay *rl = s->relays; rl; rl = rl->next)
        if (str_eq(str_of(rl->sandbox_id), sandbox_id) && (all || rl->state == RELAY_ASKED))
            return rl;
    return NULL;
}

void relays_lost(struct sessions *s, struct str sandbox_id)
{
    for (struct relay *rl; (rl = first_of(s, sandbox_id, false));)
        relay_fail(rl, RPC_UNAVAILABLE, "supervisor session disconnected");
}

void relays_drop(struct sessions *s, struct str sandbox_id, const char *why)
{
    for (struct relay *rl; (rl = first_of(s, sandbox_id, true));)
        relay_fail(rl, RPC_UNAVAILABLE, why);
}

void relays_refused(struct sessions *s, struct str sandbox_id, struct str channel, const char *why)
{
    for (struct relay *rl = s->relays; rl; rl = rl->next)
        if (rl->state == RELAY_ASKED && str_eq(str_of(rl->channel_id), channel) &&
            str_eq(str_of(rl->sandbox_id), sandbox_id)) {
            struct err text = {};
            err_fill(&text, ERR_UNAVAILABLE, "%s",
                     why[0] ? why : "the supervisor refused it"); // made printable
            relay_fail(rl, RPC_UNAVAILABLE, text.msg);
            return;
        }
}

// ---- the supervisor's end

static void on_init(struct rpc_request *r, const Openshell__V1__RelayFrame *frame);

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    const Openshell__V1__RelayFrame *frame = (const Openshell__V1__RelayFrame *)message;
    struct relay *rl = rpc_request_user(r);
    struct rpc_status st = {};
    if (!rl) {
        on_init(r, frame);
    } else if (frame->payload_case != OPENSHELL__V1__RELAY_FRAME__PAYLOAD_INIT) {
        rl->ops->frame(rl->owner, frame); // may have ended it
    } else {
        rpc_status_set(&st, RPC_INVALID_ARGUMENT, "a relay has one init");
        rl->stream = NULL;
        rpc_request_finish(r, &st, STR(""));
        relay_fail(rl, RPC_UNAVAILABLE, "the supervisor has begun the relay twice");
    }
}

static void on_end(struct rpc_request *r)
{
    struct relay *rl = rpc_request_user(r);
    struct rpc_status st = {};
    if (rl) {
        rl->ops->end(rl->owner);
    } else {
        rpc_status_set(&st, RPC_INVALID_ARGUMENT, "stream closed before init");
        rpc_request_finish(r, &st, STR(""));
    }
}

static void on_writable(struct rpc_request *r)
{
    struct relay *rl = rpc_request_user(r);
    if (rl)
        rl->ops->writable(rl->owner);
}

static void on_closed(struct rpc_request *r)
{
    struct relay *rl = rpc_request_user(r);
    if (!rl)
        return;
    rl->stream = NULL;
    relay_fail(rl, RPC_UNAVAILABLE, "the supervisor has gone");
}

static const struct rpc_stream_ops stream_ops = {.message = on_message,
                                                 .end = on_end,
                                                 .writable = on_writable,
                                                 .closed = on_closed};

static void on_init(struct rpc_request *r, const Openshell__V1__RelayFrame *frame)
{
    const struct services *services = rpc_request_ctx(r);
    struct rpc_status st = {};
    struct err err = {};
    if (frame->payload_case != OPENSHELL__V1__RELAY_FRAME__PAYLOAD_INIT) {
        rpc_status_set(&st, RPC_INVALID_ARGUMENT, "first frame must be init");
        rpc_request_finish(r, &st, STR(""));
        return;
    }
    struct relay *rl = services->sessions->relays;
    while (rl &&
           (rl->state != RELAY_ASKED || !str_eq(str_of(rl->channel_id), str_of(frame->init->channel_id))))
        rl = rl->next;
    if (!rl) {
        rpc_status_set(&st, RPC_NOT_FOUND, "unknown or expired relay channel");
        rpc_request_finish(r, &st, STR(""));
        return;
    }
    if (caller_scope(r, str_of(rl->sandbox_id), &err) != ERR_OK) { // it stays open to the right one
        rpc_request_finish_err(r, &err);
        return;
    }
    rl->state = RELAY_IS_OPEN;
    rl->s->relays_pending--;
    rl->stream = r;
    rl->ask = NULL;
    rl->deadline_ns = DEADLINE_NEVER;
    rpc_request_begin(r, &stream_ops, rl);
    rpc_request_start(r);
    rl->ops->opened(rl->owner);
}

void relay_stream(struct rpc_request *r)
{
    const struct services *services = rpc_request_ctx(r);
    struct err err = {};
    if (!services->sessions || services->sessions->stopping) {
        err_fill(&err, ERR_UNAVAILABLE, "the gateway takes no sessions now");
        rpc_request_finish_err(r, &err);
        return;
    }
    rpc_request_begin(r, &stream_ops, NULL);
    rpc_request_want(r, 1);
}

// ---- the owner's end

enum err_code relay_open(struct sessions *s, struct str sandbox_id, Openshell__V1__RelayOpen *target,
                         int64_t wait_ms, const struct relay_ops *ops, void *owner, struct relay **ret,
                         struct err *reterr)
{
    size_t own = 0;
    if (s->stopping)
        return err_set(reterr, ERR_UNAVAILABLE, "the gateway is ending");
    for (const struct relay *rl = s->relays; rl; rl = rl->next)
        own += rl->state != RELAY_IS_OPEN && str_eq(str_of(rl->sandbox_id), sandbox_id);
    if (s->relays_pending >= SESSIONS_RELAYS_PENDING)
        return err_set(reterr, ERR_LIMIT, "%d relays are being opened, the limit; try again",
                       SESSIONS_RELAYS_PENDING);
    if (own >= SESSIONS_RELAYS_OF_ONE)
        return err_set(reterr, ERR_LIMIT, "%d relays of this sandbox are being opened, the limit; try again",
                       SESSIONS_RELAYS_OF_ONE);
    struct relay *rl = calloc(1, sizeof(*rl));
    if (!rl)
        return err_set(reterr, ERR_LIMIT, "no memory for a relay");
    *rl = (struct relay){.s = s, .ask = target, .ops = ops, .owner = owner, .deadline_ns = DEADLINE_NEVER};
    enum err_code c = id_make(rl->channel_id, reterr);
    if (c == ERR_OK && !str_cstr(sandbox_id, rl->sandbox_id, sizeof(rl->sandbox_id)))
        c = err_set(reterr, ERR_INVALID, "no id of a sandbox");
    if (c != ERR_OK) {
        free(rl);
        return c;
    }
    rl->next = s->relays;
    if (rl->next)
        rl->next->prev = rl;
    s->relays = rl;
    s->relays_pending++;
    set_deadline(rl, deadline_in_ms(wait_ms));
    struct session *ss = session_find(s, sandbox_id);
    c = ss ? ask(ss, rl, reterr) : ERR_OK;
    if (c != ERR_OK && c != ERR_LIMIT) {
        relay_leave(rl);
        return c;
    }
    *ret = rl;
    return ERR_OK;
}

void relay_want(struct relay *rl)
{
    if (rl->stream)
        rpc_request_want(rl->stream, 1);
}

enum err_code relay_send(struct relay *rl, Openshell__V1__RelayFrame *frame, struct err *reterr)
{
    if (!rl->stream)
        return err_set(reterr, ERR_UNAVAILABLE, "the relay is not open");
    return rpc_request_send(rl->stream, &frame->base, reterr);
}

void relay_deadline(struct relay *rl, int64_t deadline_ns)
{
    set_deadline(rl, deadline_ns);
}

void relay_end(struct relay *rl, enum rpc_code code, const char *why)
{
    if (code != RPC_OK)
        tell_close(rl, why);
    finish_stream(rl, code, why);
    relay_leave(rl);
}
