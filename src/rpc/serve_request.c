#include "rpc/serve_internal.h"

#if defined(__GNUC__) && !defined(__clang__) // gcc's analyzer takes each share of a call for the last one
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#endif

// A call is held by its stream, until it has ended, and by its work, while that waits or runs. A worker reads
// and writes only what the loop leaves alone in REQ_WORK: arena, in, out, result, err, code, principal.

struct rpc_request *rpc_request_ref(struct rpc_request *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void rpc_request_unref(struct rpc_request *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    if (r->release)
        r->release(r->principal);
    arena_done(&r->arena);
    buf_done(&r->out);
    free(r);
}

// ---- ending

static void observe(const struct rpc_server *server, const struct rpc_method *method, enum rpc_code code,
                    int64_t began_ns)
{
    if (server->opts.observe)
        server->opts.observe(server->opts.ctx, method, code, clock_ns() - began_ns);
}

// Lets go of the stream, which the caller has told what there was to tell. The stream's share is the caller's
// from here.
static void leave(struct rpc_request *r, enum rpc_code code)
{
    observe(r->server, r->method, code, r->began_ns);
    conn_touch(r->conn);
    r->conn = NULL;
    r->stream = NULL;
    if (r->state != REQ_WORK)
        r->state = REQ_ENDED;
    atomic_store(&r->open, false);
}

void rpc_request_finish(struct rpc_request *r, const struct rpc_status *st, struct str details)
{
    if (!r->stream)
        return;
    rpc_stream_finish(r->stream, st, details);
    leave(r, st->code);
    rpc_request_unref(r);
}

void rpc_request_finish_err(struct rpc_request *r, const struct err *e)
{
    if (!r->stream)
        return;
    struct rpc_status st = {};
    uint32_t number = r->server->errors + 1;
    if (r->code != RPC_OK) {
        rpc_status_set(&st, r->code, "%s", e->msg);
    } else if (rpc_status_of(e, number, &st)) {
        r->server->errors = number;
        log_error(r->server->opts.log, "rpc.internal", LOG_U64("number", number),
                  LOG_WORD("method", r->method->path), LOG_STR("error", str_of(e->msg)));
    }
    rpc_request_finish(r, &st, STR(""));
}

void rpc_request_finish_ok(struct rpc_request *r)
{
    struct rpc_status st = {.code = RPC_OK};
    rpc_request_finish(r, &st, STR(""));
}

// We end a call that the application may have begun to work at: it is told, as if the client had gone.
static void fail(struct rpc_request *r, const struct err *e)
{
    void (*closed)(struct rpc_request *) = r->stream && r->state == REQ_STREAM && r->ops ? r->ops->closed
                                                                                         : NULL;
    rpc_request_ref(r);
    rpc_request_finish_err(r, e);
    if (closed)
        closed(r);
    rpc_request_unref(r);
}

static void refuse(struct rpc_request *r, enum rpc_code code, const char *why)
{
    struct err err = {};
    err_fill(&err, rpc_code_err(code), "%s", why);
    r->code = code;
    fail(r, &err);
}

// ---- work

static enum err_code do_unary(struct rpc_request *r)
{
    ProtobufCMessage *in = NULL;
    ProtobufCMessage *out = NULL;
    enum err_code c = wire_unpack(r->method->in, r->in, &r->arena, &in, &r->err);
    if (c == ERR_OK)
        c = r->handler->unary(r, in, &out, &r->err);
    if (c != ERR_OK)
        return c;
    if (!out || out->descriptor != r->method->out)
        return err_set(&r->err, ERR_INTERNAL, "the handler of %.*s made no %s", STR_FMT(r->method->path),
                       r->method->out->name);
    return wire_pack(out, &r->out, &r->err);
}

static void on_work(uv_work_t *work)
{
    struct rpc_request *r = work->data;
    if (!rpc_request_is_open(r)) { // nobody waits any more
        r->result = err_set(&r->err, ERR_UNAVAILABLE, "cancelled");
        return;
    }
    r->result = r->server->opts.admit ? r->server->opts.admit(r, &r->err) : ERR_OK;
    if (r->result == ERR_OK && r->handler->unary)
        r->result = do_unary(r);
}

static void begin_stream(struct rpc_request *r)
{
    if (!r->method->in_stream && r->in_end) {
        refuse(r, RPC_INTERNAL, "no message");
        return;
    }
    r->state = REQ_STREAM;
    r->handler->stream(r);
    if (!r->stream)
        return;
    if (!r->method->in_stream)
        rpc_stream_want(r->stream, 2); // a second one is an error
    conn_touch(r->conn);
    if (r->in_end && r->ops && r->ops->end) // came while the call was being admitted
        r->ops->end(r);
}

static void after_work(uv_work_t *work, int status)
{
    struct rpc_request *r = work->data;
    r->server->work_n--;
    if (status != 0 && r->result == ERR_OK)
        r->result = err_set(&r->err, ERR_UNAVAILABLE, "cancelled");
    struct err err = {};
    if (!r->stream)
        r->state = REQ_ENDED;
    else if (r->result != ERR_OK)
        rpc_request_finish_err(r, &r->err);
    else if (!r->handler->unary)
        begin_stream(r);
    else if (rpc_stream_send(r->stream, buf_str(&r->out), &err) != ERR_OK)
        rpc_request_finish_err(r, &err);
    else
        rpc_request_finish_ok(r);
    rpc_request_unref(r);
}

static void start_work(struct rpc_request *r)
{
    if (r->server->work_n >= r->server->opts.work_max) {
        refuse(r, RPC_UNAVAILABLE, "the server has too much to do; try again");
        return;
    }
    r->work.data = rpc_request_ref(r);
    r->state = REQ_WORK;
    r->server->work_n++;
    if (uv_queue_work(r->server->opts.loop, &r->work, on_work, after_work) != 0) {
        r->server->work_n--;
        refuse(r, RPC_UNAVAILABLE, "the server has too much to do; try again");
        rpc_request_unref(r);
    }
}

// ---- events of a core

static enum err_code copy_meta(struct rpc_request *r, const struct rpc_meta *meta, struct err *reterr)
{
    enum err_code c = ERR_OK;
    for (const struct rpc_field *f = meta->first; f && c == ERR_OK; f = f->next)
        c = rpc_meta_add(&r->meta, &r->arena, f->name, f->value, reterr);
    return c;
}

static void answer_at_once(const struct conn *c, struct rpc_stream *s, enum rpc_code code, const char *text)
{
    struct rpc_status st = {};
    rpc_status_set(&st, code, "%s", text);
    rpc_stream_finish(s, &st, STR(""));
    observe(c->server, NULL, code, clock_ns());
}

// One window for all callers: a call too many is told so before anybody asks who it is of.
static bool within_rate(struct rpc_server *server)
{
    if (server->opts.rate_max == 0)
        return true;
    int64_t now_ns = clock_ns();
    if (server->window_n == 0 || now_ns - server->window_ns >= server->opts.rate_ns) {
        server->window_ns = now_ns;
        server->window_n = 0;
    }
    if (server->window_n >= server->opts.rate_max)
        return false;
    server->window_n++;
    return true;
}

static void on_call(void *ctx, struct rpc_stream *s)
{
    struct conn *c = ctx;
    struct rpc_server *server = c->server;
    struct str path = rpc_stream_path(s);
    char text[RPC_MESSAGE_MAX];
    const struct rpc_method *method = rpc_method_find(path);
    const struct rpc_handler *handler = method ? &server->opts.handlers[method - rpc_methods] : NULL;
    if (!within_rate(server)) {
        answer_at_once(c, s, RPC_RESOURCE_EXHAUSTED, "gRPC rate limit exceeded");
        return;
    }
    if (!handler || (!handler->unary && !handler->stream)) {
        (void)snprintf(text, sizeof(text), "%.*s is not implemented", STR_FMT(path));
        answer_at_once(c, s, RPC_UNIMPLEMENTED, text);
        return;
    }
    struct rpc_request *r = calloc(1, sizeof(*r));
    if (!r) {
        answer_at_once(c, s, RPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return;
    }
    *r = (struct rpc_request){.server = server,
                              .conn = c,
                              .stream = s,
                              .method = method,
                              .handler = handler,
                              .peer = c->peer,
                              .deadline_ns = rpc_stream_deadline_ns(s),
                              .began_ns = clock_ns()};
    atomic_init(&r->refs, 1);
    atomic_init(&r->open, true);
    arena_init(&r->arena, server->opts.arena_max);
    buf_init(&r->out, RPC_SEND_MAX);
    rpc_stream_set_user(s, r);
    struct err err = {};
    if (copy_meta(r, rpc_stream_meta(s), &err) != ERR_OK)
        rpc_request_finish_err(r, &err);
    else if (handler->unary)
        rpc_stream_want(s, 2); // a second one is an error
    else
        start_work(r);
}

static void on_stream_message(struct rpc_request *r, struct str message)
{
    struct arena arena;
    arena_init(&arena, r->server->opts.arena_max);
    ProtobufCMessage *m = NULL;
    struct err err = {};
    if (wire_unpack(r->method->in, message, &arena, &m, &err) != ERR_OK)
        fail(r, &err);
    else if (r->ops && r->ops->message)
        r->ops->message(r, m);
    arena_done(&arena);
}

static void on_message(void *ctx, struct rpc_stream *s, struct str message)
{
    (void)ctx;
    struct rpc_request *r = rpc_stream_user(s);
    r->messages++;
    if (r->messages > 1 && !r->method->in_stream)
        refuse(r, RPC_INTERNAL, "more than one message");
    else if (!r->handler->unary)
        on_stream_message(r, message);
    else if (!arena_dup(&r->arena, message, &r->in))
        refuse(r, RPC_RESOURCE_EXHAUSTED, "no memory for the request");
}

static void on_end(void *ctx, struct rpc_stream *s)
{
    (void)ctx;
    struct rpc_request *r = rpc_stream_user(s);
    r->in_end = true;
    if (r->handler->unary && r->messages == 1)
        start_work(r);
    else if (r->messages == 0 && !r->method->in_stream && r->state != REQ_WORK)
        refuse(r, RPC_INTERNAL, "no message");
    else if (r->state == REQ_STREAM && r->ops && r->ops->end)
        r->ops->end(r);
}

static void on_writable(void *ctx, struct rpc_stream *s)
{
    (void)ctx;
    struct rpc_request *r = rpc_stream_user(s);
    if (r->state == REQ_STREAM && r->ops && r->ops->writable)
        r->ops->writable(r);
}

static void on_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    (void)ctx;
    struct rpc_request *r = rpc_stream_user(s);
    bool told = r->state == REQ_STREAM && r->ops && r->ops->closed;
    leave(r, st->code);
    if (told)
        r->ops->closed(r);
    rpc_request_unref(r);
}

const struct rpc_events request_events = {.call = on_call,
                                          .message = on_message,
                                          .end = on_end,
                                          .writable = on_writable,
                                          .closed = on_closed};

// ---- what handlers ask

void *rpc_request_ctx(const struct rpc_request *r)
{
    return r->server->opts.ctx;
}
struct rpc_server *rpc_request_server(const struct rpc_request *r)
{
    return r->server;
}
const struct rpc_method *rpc_request_method(const struct rpc_request *r)
{
    return r->method;
}
const struct rpc_peer *rpc_request_peer(const struct rpc_request *r)
{
    return &r->peer;
}
const struct rpc_meta *rpc_request_meta(const struct rpc_request *r)
{
    return &r->meta;
}
int64_t rpc_request_deadline_ns(const struct rpc_request *r)
{
    return r->deadline_ns;
}
struct arena *rpc_request_arena(struct rpc_request *r)
{
    return &r->arena;
}
bool rpc_request_is_open(const struct rpc_request *r)
{
    return atomic_load(&r->open);
}
void rpc_request_set_principal(struct rpc_request *r, void *principal, void (*release)(void *principal))
{
    if (r->release)
        r->release(r->principal);
    r->principal = principal;
    r->release = release;
}
void *rpc_request_principal(const struct rpc_request *r)
{
    return r->principal;
}
void rpc_request_set_code(struct rpc_request *r, enum rpc_code code)
{
    r->code = code;
}

// ---- streaming

void rpc_request_begin(struct rpc_request *r, const struct rpc_stream_ops *ops, void *user)
{
    r->ops = ops;
    r->user = user;
}

void *rpc_request_user(const struct rpc_request *r)
{
    return r->user;
}

void rpc_request_want(struct rpc_request *r, unsigned messages)
{
    if (r->stream && r->method->in_stream) {
        rpc_stream_want(r->stream, messages);
        conn_touch(r->conn);
    }
}

enum err_code rpc_request_send(struct rpc_request *r, const ProtobufCMessage *message, struct err *reterr)
{
    if (!r->stream)
        return err_set(reterr, ERR_UNAVAILABLE, "the call has ended");
    struct buf bytes;
    buf_init(&bytes, RPC_SEND_MAX);
    enum err_code c = wire_pack(message, &bytes, reterr);
    if (c == ERR_OK)
        c = rpc_stream_send(r->stream, buf_str(&bytes), reterr);
    buf_done(&bytes);
    if (c == ERR_OK) // a full queue is nothing to do: touching would call `writable` in a circle
        conn_touch(r->conn);
    return c;
}

void rpc_request_start(struct rpc_request *r)
{
    if (r->stream) {
        rpc_stream_begin(r->stream);
        conn_touch(r->conn);
    }
}
