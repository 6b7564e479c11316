#include "gateway/relay_call.h"

#include "gateway/services.h"

enum { HELD_MAX = 2 * MIB, UNPACK_MAX = 4 * MIB, IN_MAX = 2 * MIB }; // a message has at most 1 MiB

// The call's last act. `finish` tells the client.
static void release(struct relay_call *c, enum rpc_code code, const char *why)
{
    struct relay *rl = c->relay;
    c->relay = NULL;
    if (rl)
        relay_end(rl, code, why);
    buf_done(&c->in);
    buf_done(&c->control);
    buf_done(&c->held);
    c->kind->release(c);
}

void relay_call_fail(struct relay_call *c, enum rpc_code code, const char *why)
{
    struct rpc_status st = {};
    rpc_status_set(&st, code, "%s", code == RPC_OK ? "" : why);
    struct rpc_request *r = c->client;
    release(c, code, why);
    rpc_request_finish(r, &st, STR(""));
}

void relay_call_fail_err(struct relay_call *c, const struct err *e, enum rpc_code code)
{
    struct rpc_request *r = c->client;
    if (code != RPC_OK)
        rpc_request_set_code(r, code);
    release(c, code != RPC_OK ? code : rpc_code_of(e->code), e->msg);
    rpc_request_finish_err(r, e);
}

void relay_call_finish(struct relay_call *c)
{
    relay_call_fail(c, RPC_OK, "");
}

void relay_call_over(struct relay_call *c)
{
    c->over = true;
}

// ---- from inside to the client

// ERR_LIMIT: the client has not read enough.
static enum err_code give(struct relay_call *c, const Openshell__V1__RelayFrame *frame, struct err *reterr)
{
    _Alignas(max_align_t) char room[RELAY_CALL_ROOM] = {};
    ProtobufCMessage *m = c->kind->output(c, frame, room);
    return m ? rpc_request_send(c->client, m, reterr) : ERR_OK;
}

// What was taken is followed by the next, or by the end. The call may be gone after it.
static void next(struct relay_call *c, enum err_code r, const struct err *e)
{
    if (r == ERR_LIMIT)
        return; // until relay_call_writable()
    if (r != ERR_OK)
        relay_call_fail(c, RPC_UNAVAILABLE, e->msg);
    else if (c->over)
        relay_call_finish(c);
    else if (c->lost)
        c->kind->lost(c, c->lost_code, c->lost_why);
    else if (c->relay)
        relay_want(c->relay);
}

void relay_call_frame(struct relay_call *c, const Openshell__V1__RelayFrame *frame)
{
    struct err err = {}, ignored = {};
    assert(c->held.n == 0); // one at a time is wanted
    c->lost = false;        // a last frame is behind it
    enum err_code r = give(c, frame, &err);
    if (r == ERR_LIMIT && wire_pack(&frame->base, &c->held, &ignored) != ERR_OK)
        relay_call_fail(c, RPC_RESOURCE_EXHAUSTED, "no memory for a frame");
    else
        next(c, r, &err);
}

static void on_frame(void *owner, const Openshell__V1__RelayFrame *frame)
{
    relay_call_frame(owner, frame);
}

void relay_call_writable(struct relay_call *c)
{
    if (c->held.n == 0)
        return;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, UNPACK_MAX);
    ProtobufCMessage *m = NULL;
    struct err err = {};
    enum err_code r = wire_unpack(&openshell__v1__relay_frame__descriptor, buf_str(&c->held), &a, &m, &err);
    if (r == ERR_OK)
        r = give(c, (const Openshell__V1__RelayFrame *)m, &err);
    else
        r = ERR_UNAVAILABLE; // no memory
    if (r == ERR_OK)
        buf_clear(&c->held);
    next(c, r, &err);
}

// ---- from the client to inside

// false: it does not fit now, or will not at all; `writable` or `closed` comes.
static bool send_frame(struct relay_call *c, Openshell__V1__RelayFrame *frame)
{
    struct err ignored = {};
    return relay_send(c->relay, frame, &ignored) == ERR_OK;
}

static bool send_input(struct relay_call *c)
{
    while (c->in_off < c->in.n) {
        struct str part = str_head(str_from(buf_str(&c->in), c->in_off), RELAY_CHUNK);
        Openshell__V1__RelayFrame f = OPENSHELL__V1__RELAY_FRAME__INIT;
        f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA;
        f.data = (ProtobufCBinaryData){part.n, (uint8_t *)(uintptr_t)part.p};
        if (!send_frame(c, &f))
            return false;
        c->in_off += part.n;
    }
    buf_clear(&c->in);
    c->in_off = 0;
    return true;
}

static bool send_control(struct relay_call *c)
{
    if (c->control.n == 0)
        return true;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * KIB);
    ProtobufCMessage *m = NULL;
    struct err ignored = {};
    if (wire_unpack(&openshell__v1__relay_frame__descriptor, buf_str(&c->control), &a, &m, &ignored) !=
            ERR_OK ||
        !send_frame(c, (Openshell__V1__RelayFrame *)m))
        return false;
    buf_clear(&c->control);
    return true;
}

static bool send_end(struct relay_call *c)
{
    Openshell__V1__RelayFrame f = OPENSHELL__V1__RELAY_FRAME__INIT;
    f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_END_OF_INPUT;
    f.end_of_input = true;
    if (c->in_end && !c->in_end_told)
        c->in_end_told = send_frame(c, &f);
    return c->in_end == c->in_end_told;
}

// The client's next message is wanted when all of the last one is on its way.
static void pump(struct relay_call *c)
{
    if (!c->is_open || !c->relay || !send_input(c) || !send_control(c) || !send_end(c))
        return;
    if (c->in_stream && !c->client_end && !c->wanted) {
        c->wanted = true;
        rpc_request_want(c->client, 1);
    }
}

enum err_code relay_call_input(struct relay_call *c, struct str bytes, struct err *reterr)
{
    if (c->in_end)
        return err_set(reterr, ERR_INVALID, "input behind its end");
    buf_add(&c->in, bytes);
    return buf_check(&c->in, "input", reterr);
}

void relay_call_input_end(struct relay_call *c)
{
    c->in_end = true;
}

enum err_code relay_call_control(struct relay_call *c, Openshell__V1__RelayFrame *frame, struct err *reterr)
{
    buf_clear(&c->control); // empty already: one message at a time is wanted
    return wire_pack(&frame->base, &c->control, reterr);
}

void relay_call_message(struct relay_call *c, const ProtobufCMessage *message)
{
    struct err err = {};
    c->wanted = false;
    enum err_code r = c->kind->input(c, message, &err);
    if (r != ERR_OK)
        relay_call_fail_err(c, &err, RPC_OK);
    else
        pump(c);
}

void relay_call_client_end(struct relay_call *c)
{
    c->in_end = c->client_end = true;
    pump(c);
}

void relay_call_closed(struct relay_call *c)
{
    c->client = NULL;
    release(c, RPC_CANCELLED, "the client has gone");
}

// ---- the relay

static void on_opened(void *owner)
{
    struct relay_call *c = owner;
    c->is_open = true;
    rpc_request_start(c->client);
    if (c->kind->opened)
        c->kind->opened(c);
    relay_want(c->relay);
    pump(c);
}

static void lose(struct relay_call *c, enum rpc_code code, const char *why)
{
    if (c->over || c->lost)
        return; // only what is held is still to be sent
    if (c->held.n == 0) {
        c->kind->lost(c, code, why);
        return;
    }
    c->lost = true;
    c->lost_code = code;
    (void)snprintf(c->lost_why, sizeof(c->lost_why), "%s", why);
}

static void on_end(void *owner)
{
    lose(owner, RPC_OK, "");
}

static void on_writable(void *owner)
{
    pump(owner);
}

static void on_closed(void *owner, enum rpc_code code, const char *why)
{
    struct relay_call *c = owner;
    c->relay = NULL;
    lose(c, code, why);
}

static const struct relay_ops relay_ops = {.opened = on_opened,
                                           .frame = on_frame,
                                           .end = on_end,
                                           .writable = on_writable,
                                           .closed = on_closed};

void relay_call_init(struct relay_call *c, const struct relay_call_kind *kind, struct rpc_request *client)
{
    *c = (struct relay_call){.kind = kind, .client = client};
    buf_init(&c->in, IN_MAX);
    buf_init(&c->control, 4 * KIB);
    buf_init(&c->held, HELD_MAX);
}

void relay_call_open(struct relay_call *c, struct str sandbox_id, Openshell__V1__RelayOpen *target)
{
    const struct services *services = rpc_request_ctx(c->client);
    struct err err = {};
    if (!services->sessions)
        relay_call_fail(c, RPC_UNAVAILABLE, "supervisor session not connected");
    else if (relay_open(services->sessions, sandbox_id, target, RELAY_SESSION_WAIT_MS, &relay_ops, c,
                        &c->relay, &err) != ERR_OK)
        relay_call_fail_err(c, &err, RPC_OK);
}
