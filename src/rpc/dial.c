#include "rpc/dial.h"

#include "base/fd.h"
#include "base/secret.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 * KIB, AUTHORITY_MAX = 300, SEAL_MAX = 64 * KIB };

struct rpc_client {
    int fd;
    struct rpc_core *core;
    struct tls_pipe *tls; // NULL: none
    struct str out;       // borrowed from the core, or from tls, still to be written
    const struct rpc_meta *meta;
    struct rpc_status st; // of the call that ended last
    struct buf details;
    bool gone;
    struct err why; // where it is gone
    char authority[AUTHORITY_MAX];
    char in[READ_SIZE];
    char plain[16 * KIB]; // with TLS
};

struct rpc_client_call {
    struct rpc_client *client;
    struct rpc_stream *stream; // NULL once it has ended
    const struct rpc_method *method;
    struct rpc_wait wait;
    struct arena arena;
    struct rpc_meta meta;
    struct buf message;
    struct rpc_status st;
    bool has_message, wanted, ended;
};

// ---- events of the core

static void on_headers(void *ctx, struct rpc_stream *s)
{
    (void)ctx;
    struct rpc_client_call *call = rpc_stream_user(s);
    struct err ignored = {};
    for (const struct rpc_field *f = rpc_stream_meta(s)->first; f; f = f->next)
        (void)rpc_meta_add(&call->meta, &call->arena, f->name, f->value,
                           &ignored); // they were checked on receipt
}

static void on_message(void *ctx, struct rpc_stream *s, struct str message)
{
    (void)ctx;
    struct rpc_client_call *call = rpc_stream_user(s);
    buf_clear(&call->message);
    buf_add(&call->message, message);
    call->has_message = true;
    call->wanted = false;
}

static void on_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    struct rpc_client *c = ctx;
    struct rpc_client_call *call = rpc_stream_user(s);
    call->st = *st;
    call->ended = true;
    call->stream = NULL;
    c->st = *st;
    buf_clear(&c->details);
    buf_add(&c->details, rpc_stream_details(s));
}

static const struct rpc_events events = {.headers = on_headers, .message = on_message, .closed = on_closed};

// ---- connecting

enum err_code rpc_client_new(int fd, struct str authority, const struct rpc_config *config,
                             struct rpc_client **ret, struct err *reterr)
{
    CLEANUP(fd_close) int owned = fd;
    if (!fd_set_nonblock(fd))
        return err_set(reterr, fd_code(errno), "a socket: %s", fd_strerror(errno));
    struct rpc_client *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(reterr, ERR_LIMIT, "no memory for a client");
    c->fd = fd_take(&owned);
    buf_init(&c->details, 64 * KIB);
    enum err_code code = ERR_OK;
    if (!str_cstr(authority, c->authority, sizeof(c->authority)))
        code = err_set(reterr, ERR_INVALID, "'%.*s' is no authority", STR_FMT(authority));
    else
        code = rpc_core_new(RPC_CLIENT, config, &events, c, clock_ns(), &c->core, reterr);
    if (code != ERR_OK) {
        rpc_client_free(c);
        return code;
    }
    *ret = c;
    return ERR_OK;
}

void rpc_client_free(struct rpc_client *c)
{
    if (!c)
        return;
    rpc_core_free(c->core);
    tls_pipe_free(c->tls);
    fd_close(&c->fd);
    buf_done(&c->details);
    free(c);
}

void rpc_client_set_meta(struct rpc_client *c, const struct rpc_meta *meta)
{
    c->meta = meta;
}

// ---- the pump

static void gone(struct rpc_client *c, const char *why)
{
    if (c->gone)
        return;
    c->gone = true;
    err_fill(&c->why, ERR_UNAVAILABLE, "the connection was lost: %s", why);
    rpc_core_lost(c->core, why);
}

// What the socket takes next into c->out: what the core says, sealed where there is TLS.
static enum err_code next_out(struct rpc_client *c, struct err *reterr)
{
    if (!c->tls)
        return rpc_core_send(c->core, &c->out, reterr);
    enum err_code code = ERR_OK;
    struct str plain = {};
    do {
        if (!tls_pipe_is_up(c->tls))
            break;
        code = rpc_core_send(c->core, &plain, reterr);
        if (code == ERR_OK && plain.n > 0)
            code = tls_pipe_write(c->tls, plain, reterr);
    } while (code == ERR_OK && plain.n > 0 && tls_pipe_out(c->tls).n < SEAL_MAX);
    c->out = tls_pipe_out(c->tls);
    return code;
}

// As much as the socket takes.
static void pump_out(struct rpc_client *c)
{
    struct err err = {};
    while (!c->gone) {
        if (c->out.n == 0 && next_out(c, &err) != ERR_OK)
            gone(c, err.msg);
        if (c->gone || c->out.n == 0)
            return;
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR) {
            if (errno != EAGAIN)
                gone(c, fd_strerror(errno));
            return;
        }
        c->out = str_from(c->out, n > 0 ? (size_t)n : 0);
        if (c->tls && n > 0)
            tls_pipe_sent(c->tls, (size_t)n);
    }
}

// Bytes of the wire to the core.
static enum err_code take(struct rpc_client *c, struct str wire, struct err *reterr)
{
    if (!c->tls)
        return rpc_core_recv(c->core, wire, clock_ns(), reterr);
    tls_pipe_put(c->tls, wire);
    size_t n = 0;
    enum err_code code;
    do {
        code = tls_pipe_read(c->tls, c->plain, sizeof(c->plain), &n, reterr);
        if (code == ERR_OK && n > 0)
            code = rpc_core_recv(c->core, (struct str){c->plain, n}, clock_ns(), reterr);
    } while (code == ERR_OK && n > 0);
    if (code == ERR_OK && tls_pipe_has_ended(c->tls))
        code = err_set(reterr, ERR_UNAVAILABLE, "the server has closed it");
    return code;
}

// One read, *ret of -1: there was nothing.
static enum err_code receive(struct rpc_client *c, ssize_t *ret, struct err *reterr)
{
    ssize_t n = 0;
    do
        n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(reterr, ERR_UNAVAILABLE, "the server has closed it");
    if (n < 0 && errno != EAGAIN)
        return err_set(reterr, ERR_UNAVAILABLE, "%s", fd_strerror(errno));
    *ret = n;
    return ERR_OK;
}

// One read: what more there is makes the socket readable again.
static void pump_in(struct rpc_client *c)
{
    struct err err = {};
    ssize_t n = -1;
    enum err_code code = receive(c, &n, &err);
    if (code == ERR_OK && n > 0) {
        code = take(c, (struct str){c->in, (size_t)n}, &err);
        if (code != ERR_OK)
            pump_out(c); // GOAWAY, or TLS's alert
    }
    if (code != ERR_OK)
        gone(c, err.msg);
}

void rpc_client_flush(struct rpc_client *c)
{
    pump_out(c);
    rpc_core_run(c->core); // room in queues; and what pump_out() may have found lost
}

enum err_code rpc_client_pump(struct rpc_client *c, struct err *reterr)
{
    struct err err = {};
    if (!c->gone && rpc_core_tick(c->core, clock_ns(), &err) != ERR_OK)
        gone(c, err.msg);
    pump_out(c);
    if (!c->gone)
        pump_in(c);
    rpc_core_run(c->core);
    rpc_client_flush(c);
    if (c->gone)
        return err_set(reterr, c->why.code, "%s", c->why.msg);
    return ERR_OK;
}

// ---- dialling

static enum err_code wait_for(struct rpc_client *c, const struct rpc_wait *wait, struct err *reterr)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = rpc_client_poll(c)},
                            {.fd = wait->cancel_fd, .events = POLLIN}};
    int r = 0;
    do
        r = poll(fds, 2, deadline_left_ms(wait->deadline_ns));
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return err_set(reterr, ERR_TIMEOUT, "TLS: no handshake in time");
    return fds[1].revents ? err_set(reterr, ERR_UNAVAILABLE, "cancelled") : ERR_OK;
}

static enum err_code shake_hands(struct rpc_client *c, const struct rpc_wait *wait, struct err *reterr)
{
    struct str wire = {};
    for (;;) {
        ssize_t n = -1;
        enum err_code code = take(c, wire, reterr);
        pump_out(c); // an alert, too
        if (code != ERR_OK || tls_pipe_is_up(c->tls))
            return code;
        if (c->gone)
            return err_set(reterr, c->why.code, "%s", c->why.msg);
        code = wait_for(c, wait, reterr);
        if (code == ERR_OK)
            code = receive(c, &n, reterr);
        if (code != ERR_OK)
            return code;
        wire = (struct str){c->in, n > 0 ? (size_t)n : 0};
    }
}

static enum err_code start_tls(struct rpc_client *c, struct tls_side *side, const struct rpc_endpoint *ep,
                               const struct rpc_dial_opts *opts, const struct rpc_wait *wait,
                               struct err *reterr)
{
    assert(c && side);
    struct str host = opts->server_name.n > 0 ? opts->server_name : str_of(ep->host);
    enum err_code code = tls_pipe_new(side, host, &c->tls, reterr);
    if (code == ERR_OK)
        code = wait ? shake_hands(c, wait, reterr) : take(c, STR(""), reterr); // the hello, to be pumped
    return code == ERR_OK ? code : err_wrap(reterr, code, "%.*s", STR_FMT(ep->authority));
}

// `wait` NULL: not at all.
static enum err_code dial(struct str endpoint, const struct rpc_dial_opts *opts,
                          const struct rpc_config *config, const struct rpc_wait *wait,
                          struct rpc_client **ret, struct err *reterr)
{
    struct rpc_endpoint ep;
    struct rpc_client *c = NULL;
    CLEANUP(tls_side_unrefp) struct tls_side *system = NULL;
    int fd = -1;
    enum err_code code = rpc_endpoint_parse(endpoint, &ep, reterr);
    // Before connecting: reading the system's certificates takes a while, and the server counts the time.
    if (code == ERR_OK && ep.kind == RPC_ENDPOINT_HTTPS && !opts->tls)
        code = tls_side_new(&(struct tls_side_opts){}, &system, reterr);
    if (code == ERR_OK)
        code = rpc_endpoint_connect(&ep, wait, &fd, reterr);
    if (code == ERR_OK)
        code = rpc_client_new(fd, ep.authority, config, &c, reterr);
    if (code == ERR_OK && ep.kind == RPC_ENDPOINT_HTTPS)
        code = start_tls(c, opts->tls ? opts->tls : system, &ep, opts, wait, reterr);
    if (code != ERR_OK) {
        rpc_client_free(c);
        return code;
    }
    *ret = c;
    return ERR_OK;
}

enum err_code rpc_dial_with(struct str endpoint, const struct rpc_dial_opts *opts,
                            const struct rpc_config *config, const struct rpc_wait *wait,
                            struct rpc_client **ret, struct err *reterr)
{
    return dial(endpoint, opts, config, wait, ret, reterr);
}

enum err_code rpc_dial(struct str endpoint, const struct rpc_config *config, const struct rpc_wait *wait,
                       struct rpc_client **ret, struct err *reterr)
{
    return dial(endpoint, &(struct rpc_dial_opts){}, config, wait, ret, reterr);
}

enum err_code rpc_dial_begin_with(struct str endpoint, const struct rpc_dial_opts *opts,
                                  const struct rpc_config *config, struct rpc_client **ret,
                                  struct err *reterr)
{
    return dial(endpoint, opts, config, NULL, ret, reterr);
}

enum err_code rpc_dial_begin(struct str endpoint, const struct rpc_config *config, struct rpc_client **ret,
                             struct err *reterr)
{
    return dial(endpoint, &(struct rpc_dial_opts){}, config, NULL, ret, reterr);
}

int rpc_client_fd(const struct rpc_client *c)
{
    return c->fd;
}
short rpc_client_poll(const struct rpc_client *c)
{
    return (short)(POLLIN | (c->out.n > 0 ? POLLOUT : 0));
}
int64_t rpc_client_next_ns(const struct rpc_client *c)
{
    return rpc_core_next_ns(c->core);
}
const struct rpc_status *rpc_client_status(const struct rpc_client *c)
{
    return &c->st;
}
struct str rpc_client_details(const struct rpc_client *c)
{
    return buf_str(&c->details);
}

// ---- calls

static void call_end(struct rpc_client_call *call, enum rpc_code code, const char *why)
{
    if (call->stream)
        rpc_stream_cancel(call->stream);
    call->stream = NULL;
    if (!call->ended) {
        call->ended = true;
        rpc_status_set(&call->st, code, "%s", why);
        call->client->st = call->st;
        buf_clear(&call->client->details);
    }
}

// Waits for the socket, a deadline or the cancel fd; the latter ends the call.
static void call_wait(struct rpc_client_call *call)
{
    struct rpc_client *c = call->client;
    struct pollfd fds[2] = {{.fd = c->fd, .events = rpc_client_poll(c)},
                            {.fd = call->wait.cancel_fd, .events = POLLIN}};
    if (poll(fds, 2, deadline_left_ms(rpc_client_next_ns(c))) < 0 && errno != EINTR)
        gone(c, fd_strerror(errno));
    if (fds[1].revents) {
        call_end(call, RPC_CANCELLED, "cancelled");
        struct err ignored = {};
        (void)rpc_client_pump(c, &ignored); // tells the server
    }
}

enum err_code rpc_open(struct rpc_client *c, enum rpc_method_id method, const struct rpc_wait *wait,
                       struct rpc_client_call **ret, struct err *reterr)
{
    if (c->gone)
        return err_set(reterr, c->why.code, "%s", c->why.msg);
    struct rpc_client_call *call = calloc(1, sizeof(*call));
    if (!call)
        return err_set(reterr, ERR_LIMIT, "no memory for a call");
    *call = (struct rpc_client_call){.client = c, .method = &rpc_methods[method], .wait = *wait};
    arena_init(&call->arena, 64 * KIB);
    buf_init(&call->message, RPC_SEND_MAX);
    struct rpc_call_opts opts = {.path = call->method->path,
                                 .authority = str_of(c->authority),
                                 .meta = c->meta,
                                 .deadline_ns = wait->deadline_ns,
                                 .secure = c->tls != NULL,
                                 .user = call};
    // The core reckons the server's timeout from its own time, which a connection that was idle has to be
    // told.
    enum err_code code = rpc_core_tick(c->core, clock_ns(), reterr);
    if (code == ERR_OK)
        code = rpc_call(c->core, &opts, &call->stream, reterr);
    if (code != ERR_OK) {
        rpc_close(call);
        return code;
    }
    *ret = call;
    return ERR_OK;
}

void rpc_close(struct rpc_client_call *call)
{
    if (!call)
        return;
    if (call->stream) {
        call_end(call, RPC_CANCELLED, "cancelled");
        rpc_client_flush(call->client);
    }
    arena_done(&call->arena);
    buf_done(&call->message);
    free(call);
}

enum err_code rpc_write(struct rpc_client_call *call, const ProtobufCMessage *message, enum rpc_try how,
                        struct err *reterr)
{
    struct buf bytes;
    buf_init(&bytes, RPC_SEND_MAX);
    enum err_code code = wire_pack(message, &bytes, reterr);
    struct err ignored = {};
    while (code == ERR_OK) {
        if (!call->stream) {
            code = err_set(reterr, ERR_UNAVAILABLE, "the call has ended");
            break;
        }
        code = rpc_stream_send(call->stream, buf_str(&bytes), reterr);
        if (code != ERR_LIMIT || how != RPC_BLOCK)
            break;
        call_wait(call);
        (void)rpc_client_pump(call->client, &ignored); // a lost connection ends the call
        code = ERR_OK;
    }
    buf_done(&bytes);
    if (code == ERR_OK && how != RPC_QUEUE)
        (void)rpc_client_pump(call->client, &ignored);
    return code;
}

void rpc_write_end(struct rpc_client_call *call)
{
    if (call->stream) {
        rpc_stream_half_close(call->stream);
        rpc_client_flush(call->client);
    }
}

bool rpc_has_ended(const struct rpc_client_call *call)
{
    return !call->stream || rpc_stream_has_ended(call->stream);
}

bool rpc_has_room(const struct rpc_client_call *call)
{
    return call->stream && rpc_stream_has_room(call->stream);
}

enum err_code rpc_read(struct rpc_client_call *call, enum rpc_try how, struct arena *arena,
                       ProtobufCMessage **ret, bool *ret_end, struct err *reterr)
{
    struct err ignored = {};
    for (;;) {
        if (call->stream && !call->has_message && !call->wanted) {
            call->wanted = true;
            rpc_stream_want(call->stream, 1);
        }
        if (!call->has_message && !call->ended && how == RPC_QUEUE)
            rpc_core_run(call->client->core); // what came with others' messages
        else if (!call->has_message && !call->ended)
            (void)rpc_client_pump(call->client, &ignored); // a lost connection ends the call
        if (call->has_message) {
            call->has_message = false;
            *ret_end = false;
            if (call->message.full)
                return err_set(reterr, ERR_LIMIT, "no memory for a message");
            enum err_code code = wire_unpack(call->method->out, buf_str(&call->message), arena, ret, reterr);
            if (call->message.n > 0)
                secret_wipe(call->message.p, call->message.n); // it may have held one
            return code;
        }
        if (call->ended && call->st.code != RPC_OK)
            return rpc_status_err(&call->st, reterr);
        if (call->ended || how != RPC_BLOCK) {
            *ret = NULL;
            *ret_end = call->ended;
            return ERR_OK;
        }
        call_wait(call);
    }
}

const struct rpc_meta *rpc_call_meta(const struct rpc_client_call *call)
{
    return &call->meta;
}

enum err_code rpc_unary(struct rpc_client *c, enum rpc_method_id method, const ProtobufCMessage *request,
                        const struct rpc_wait *wait, struct arena *arena, ProtobufCMessage **ret,
                        struct err *reterr)
{
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    enum err_code code = rpc_open(c, method, wait, &call, reterr);
    if (code != ERR_OK)
        return code;
    assert(call);
    ProtobufCMessage *answer = NULL;
    ProtobufCMessage *more = NULL;
    bool end = false;
    code = rpc_write(call, request, RPC_BLOCK, reterr);
    if (code == ERR_LIMIT || code == ERR_INVALID)
        return code;
    if (code == ERR_OK)
        rpc_write_end(call);
    code = rpc_read(call, RPC_BLOCK, arena, &answer, &end, reterr);
    if (code == ERR_OK && !end)
        code = rpc_read(call, RPC_BLOCK, arena, &more, &end, reterr);
    if (code != ERR_OK)
        return code;
    if (!answer || more)
        return err_set(reterr, ERR_INTERNAL, "the server has answered with %s message",
                       more ? "more than one" : "no");
    *ret = answer;
    return ERR_OK;
}
