// tests/rpc/peer.c: our ends for tests/rpc/interop, which brings ends that we did not write.
//
//   rpc_peer certs FOLDER             makes a CA there, and certificates, good and bad
//   rpc_peer serve PATH FOLDER        serves a Unix socket at PATH, a TCP port and one with mutual TLS, which
//   it
//                                     prints, until stdin ends
//   rpc_peer call ENDPOINT [FOLDER]   calls a server that behaves as ours does, and prints TAP
#include "rpc/dial.h"
#include "rpc/serve.h"
#include "base/fd.h"
#include "net/pki.h"
#include "openshell.pb-c.h"
#include "tap.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static struct log err_log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_WARNING};

// ---- serving

// Says what metadata came.
static enum err_code health(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                            struct err *reterr)
{
    (void)in;
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__HealthResponse *out = arena_new(a, Openshell__V1__HealthResponse);
    struct str seen = {};
    struct str text = STR("-");
    struct str raw = STR("-");
    (void)rpc_meta_get(rpc_request_meta(r), STR("x-text"), &text);
    (void)rpc_meta_get(rpc_request_meta(r), STR("x-raw-bin"), &raw);
    if (!out || !arena_fmt(a, &seen, "%.*s/%zu", STR_FMT(text), raw.n))
        return arena_limit(a, "an answer", reterr);
    openshell__v1__health_response__init(out);
    out->version = (char *)(uintptr_t)seen.p;
    *ret = &out->base;
    return ERR_OK;
}

// Fails, or waits until nobody else does.
static enum err_code get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                 struct err *reterr)
{
    const Openshell__V1__GetSandboxRequest *req = (const Openshell__V1__GetSandboxRequest *)(const void *)in;
    (void)ret;
    if (strcmp(req->name, "hang") == 0) {
        for (int i = 0; i < 1000 && rpc_request_is_open(r); i++)
            (void)poll(NULL, 0, 10);
        return err_set(reterr, ERR_TIMEOUT, "hung");
    }
    return rpc_request_fail(r, RPC_ABORTED, reterr, "100%% of '%s'", req->name);
}

// WatchSandbox: log_tail_lines lines of event_tail bytes each.
struct lines {
    uint32_t sent, n, size;
};

static enum err_code send_line(struct rpc_request *r, uint32_t n, uint32_t size, struct err *reterr)
{
    char *text = malloc((size_t)size + 1);
    if (!text)
        return err_set(reterr, ERR_INTERNAL, "no memory");
    memset(text, 'a' + (int)(n % 26), size);
    text[size] = '\0';
    Openshell__V1__SandboxLogLine line = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    Openshell__V1__SandboxStreamEvent event = OPENSHELL__V1__SANDBOX_STREAM_EVENT__INIT;
    line.message = text;
    line.timestamp_ms = n;
    event.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG;
    event.log = &line;
    enum err_code c = rpc_request_send(r, &event.base, reterr);
    free(text);
    return c;
}

static void lines_more(struct rpc_request *r)
{
    struct lines *l = rpc_request_user(r);
    struct err err = {};
    while (l->sent < l->n) {
        enum err_code c = send_line(r, l->sent, l->size, &err);
        if (c == ERR_LIMIT)
            return; // writable comes
        if (c != ERR_OK)
            break;
        l->sent++;
    }
    free(l);
    rpc_request_finish_ok(r);
}

static void lines_message(struct rpc_request *r, const ProtobufCMessage *m)
{
    const Openshell__V1__WatchSandboxRequest *req = (const Openshell__V1__WatchSandboxRequest *)(const void *)
        m;
    struct lines *l = rpc_request_user(r);
    l->n = req->log_tail_lines;
    l->size = req->event_tail;
    lines_more(r);
}

static void lines_closed(struct rpc_request *r)
{
    free(rpc_request_user(r));
}

static const struct rpc_stream_ops lines_ops = {.message = lines_message,
                                                .writable = lines_more,
                                                .closed = lines_closed};

static void watch(struct rpc_request *r)
{
    struct lines *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    rpc_request_begin(r, &lines_ops, l);
}

// PushSandboxLogs: refuses any other number of lines than 12.
static void push_message(struct rpc_request *r, const ProtobufCMessage *m)
{
    size_t *n = rpc_request_user(r);
    *n += ((const Openshell__V1__PushSandboxLogsRequest *)(const void *)m)->n_logs;
    rpc_request_want(r, 1);
}

static void push_end(struct rpc_request *r)
{
    size_t *n = rpc_request_user(r);
    Openshell__V1__PushSandboxLogsResponse out = OPENSHELL__V1__PUSH_SANDBOX_LOGS_RESPONSE__INIT;
    struct err err = {};
    enum err_code c = *n == 12 ? rpc_request_send(r, &out.base, &err)
                               : err_set(&err, ERR_INVALID, "%zu lines are not 12", *n);
    free(n);
    if (c == ERR_OK)
        rpc_request_finish_ok(r);
    else
        rpc_request_finish_err(r, &err);
}

static const struct rpc_stream_ops push_ops = {.message = push_message,
                                               .end = push_end,
                                               .closed = lines_closed};

static void push(struct rpc_request *r)
{
    size_t *n = calloc(1, sizeof(*n));
    if (!n)
        abort();
    rpc_request_begin(r, &push_ops, n);
    rpc_request_want(r, 1);
}

// RelayStream: an echo; "details" ends it with a status that has some. What finds the queue full is held, and
// nothing more is wanted until it could be sent.
struct echo {
    struct buf held;
    bool ended;
};

static void relay_send(struct rpc_request *r, const ProtobufCMessage *m)
{
    struct echo *e = rpc_request_user(r);
    struct err err = {};
    enum err_code c = rpc_request_send(r, m, &err);
    if (c == ERR_LIMIT && e->held.n == 0)
        c = wire_pack(m, &e->held, &err);
    else if (c == ERR_OK)
        rpc_request_want(r, 1);
    if (c != ERR_OK && c != ERR_LIMIT)
        rpc_request_finish_err(r, &err);
}

static void relay_closed(struct rpc_request *r)
{
    struct echo *e = rpc_request_user(r);
    buf_done(&e->held);
    free(e);
}

static void relay_message(struct rpc_request *r, const ProtobufCMessage *m)
{
    const Openshell__V1__RelayFrame *frame = (const Openshell__V1__RelayFrame *)(const void *)m;
    struct rpc_status st = {};
    if (frame->payload_case == OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA && frame->data.len == 7) {
        relay_closed(r);
        rpc_status_set(&st, RPC_NOT_FOUND, "tür");
        rpc_request_finish(r, &st, STR("\x08\x05\x12\x01x"));
    } else {
        relay_send(r, m);
    }
}

static void relay_end(struct rpc_request *r)
{
    struct echo *e = rpc_request_user(r);
    e->ended = true;
    if (e->held.n > 0)
        return; // relay_writable() comes
    relay_closed(r);
    rpc_request_finish_ok(r);
}

static void relay_writable(struct rpc_request *r)
{
    struct echo *e = rpc_request_user(r);
    struct arena arena;
    arena_init(&arena, 16 * MIB);
    ProtobufCMessage *m = NULL;
    struct err err = {};
    if (e->held.n > 0 &&
        wire_unpack(rpc_request_method(r)->out, buf_str(&e->held), &arena, &m, &err) == ERR_OK) {
        buf_clear(&e->held);
        relay_send(r, m);
    }
    arena_done(&arena);
    if (e->ended && e->held.n == 0)
        relay_end(r);
}

static const struct rpc_stream_ops relay_ops = {.message = relay_message,
                                                .end = relay_end,
                                                .writable = relay_writable,
                                                .closed = relay_closed};

static void relay(struct rpc_request *r)
{
    struct echo *e = calloc(1, sizeof(*e));
    if (!e)
        abort();
    buf_init(&e->held, 4 * MIB);
    rpc_request_begin(r, &relay_ops, e);
    rpc_request_want(r, 1);
}

static const struct rpc_handler handlers[RPC_METHODS] = {
    [RPC_OPEN_SHELL_HEALTH] = {.unary = health},        [RPC_OPEN_SHELL_GET_SANDBOX] = {.unary = get_sandbox},
    [RPC_OPEN_SHELL_WATCH_SANDBOX] = {.stream = watch}, [RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS] = {.stream = push},
    [RPC_OPEN_SHELL_RELAY_STREAM] = {.stream = relay},
};

static void on_stopped(void *ctx)
{
    rpc_server_free(*(struct rpc_server **)ctx);
}

static void on_stdin(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct rpc_server **server = handle->data;
    rpc_server_stop(*server, on_stopped);
    uv_close((uv_handle_t *)handle, NULL);
}

static bool load_side(const char *folder, const char *who, struct tls_side **ret, struct err *reterr)
{
    char ca[256], cert[256], key[256];
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", folder);
    (void)snprintf(cert, sizeof(cert), "%s/%s.crt", folder, who);
    (void)snprintf(key, sizeof(key), "%s/%s.key", folder, who);
    const struct tls_files files = {.server = strcmp(who, "server") == 0, .cert = cert, .key = key, .ca = ca};
    return tls_side_load(&files, ret, reterr) == ERR_OK;
}

static int serve(const char *path, const char *folder)
{
    uv_loop_t loop;
    uv_poll_t in;
    struct rpc_server *server = NULL;
    struct rpc_server_opts opts = {.loop = &loop,
                                   .log = &err_log,
                                   .config = RPC_CONFIG_SERVER,
                                   .handlers = handlers,
                                   .ctx = &server};
    struct err err = {};
    uint16_t port = 0, tls_port = 0;
    CLEANUP(tls_side_unrefp) struct tls_side *side = NULL;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || uv_loop_init(&loop) != 0 ||
        !load_side(folder, "server", &side, &err) || rpc_server_new(&opts, &server, &err) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    rpc_server_set_tls(server, side);
    if (rpc_server_listen_unix(server, path, &err) != ERR_OK ||
        rpc_server_listen_tcp(server, "127.0.0.1", 0, &port, &err) != ERR_OK ||
        rpc_server_listen_tls(server, "127.0.0.1", 0, &tls_port, &err) != ERR_OK ||
        uv_poll_init(&loop, &in, STDIN_FILENO) != 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    in.data = &server;
    printf("%u %u\n", port, tls_port);
    (void)fflush(stdout);
    if (uv_poll_start(&in, UV_READABLE | UV_DISCONNECT, on_stdin) != 0)
        return 1;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) != 0;
}

// ---- calling

static const struct rpc_wait forever = {DEADLINE_NEVER, -1};

static void call_unary(struct rpc_client *c, struct arena *arena)
{
    struct err err = {};
    struct rpc_meta meta = {};
    Openshell__V1__HealthRequest health_req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    bool ok = rpc_meta_add(&meta, arena, STR("x-text"), STR("hi"), &err) == ERR_OK &&
              rpc_meta_add(&meta, arena, STR("x-raw-bin"), STR("\0\1\2"), &err) == ERR_OK;
    rpc_client_set_meta(c, &meta);
    ok = ok && rpc_unary(c, RPC_OPEN_SHELL_HEALTH, &health_req.base, &forever, arena, &m, &err) == ERR_OK &&
         strcmp(((Openshell__V1__HealthResponse *)(void *)m)->version, "hi/3") == 0;
    tap_ok(ok, "a unary call with metadata: %s", err.msg);
    rpc_client_set_meta(c, NULL);
    char name[] = "a";
    req.name = name;
    enum err_code code = rpc_unary(c, RPC_OPEN_SHELL_GET_SANDBOX, &req.base, &forever, arena, &m, &err);
    tap_ok(code == ERR_PRECONDITION && rpc_client_status(c)->code == RPC_ABORTED &&
               strcmp(err.msg, "100% of 'a'") == 0,
           "an error: %s", err.msg);
    char hang[] = "hang";
    req.name = hang;
    struct rpc_wait wait = {deadline_in_ms(200), -1};
    code = rpc_unary(c, RPC_OPEN_SHELL_GET_SANDBOX, &req.base, &wait, arena, &m, &err);
    tap_ok(code == ERR_TIMEOUT, "a deadline: %s", err.msg);
    code = rpc_unary(c, RPC_OPEN_SHELL_LIST_WORKSPACES, &health_req.base, &forever, arena, &m, &err);
    tap_ok(code == ERR_UNSUPPORTED && rpc_client_status(c)->code == RPC_UNIMPLEMENTED, "UNIMPLEMENTED: %s",
           err.msg);
}

static void call_watch(struct rpc_client *c, uint32_t n, uint32_t size)
{
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    struct err err = {};
    Openshell__V1__WatchSandboxRequest req = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    req.log_tail_lines = n;
    req.event_tail = size;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_WATCH_SANDBOX, &forever, &call, &err) == ERR_OK &&
              rpc_write(call, &req.base, RPC_BLOCK, &err) == ERR_OK;
    if (ok)
        rpc_write_end(call);
    uint32_t got = 0;
    for (bool end = false; ok && !end;) {
        struct arena arena;
        arena_init(&arena, 16 * MIB);
        ProtobufCMessage *m = NULL;
        ok = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK;
        if (ok && m) {
            const Openshell__V1__SandboxStreamEvent
                *event = (const Openshell__V1__SandboxStreamEvent *)(const void *)m;
            ok = event->log->timestamp_ms == got && strlen(event->log->message) == size;
            got++;
        }
        arena_done(&arena);
    }
    tap_ok(ok && got == n, "a stream of %u messages of %u bytes: %u %s", n, size, got, err.msg);
}

static void call_push(struct rpc_client *c, struct arena *arena, size_t messages)
{
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    struct err err = {};
    Openshell__V1__SandboxLogLine line = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    Openshell__V1__SandboxLogLine *lines[3] = {&line, &line, &line};
    Openshell__V1__PushSandboxLogsRequest req = OPENSHELL__V1__PUSH_SANDBOX_LOGS_REQUEST__INIT;
    req.n_logs = 3;
    req.logs = lines;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS, &forever, &call, &err) == ERR_OK;
    for (size_t i = 0; ok && i < messages; i++)
        ok = rpc_write(call, &req.base, RPC_BLOCK, &err) == ERR_OK;
    if (call)
        rpc_write_end(call);
    ProtobufCMessage *m = NULL;
    bool end = false;
    enum err_code code = call ? rpc_read(call, RPC_BLOCK, arena, &m, &end, &err) : ERR_INTERNAL;
    tap_ok(ok && (messages == 4 ? code == ERR_OK && m : code == ERR_INVALID), "%zu messages, one answer: %s",
           messages, err.msg);
}

static void call_relay(struct rpc_client *c, struct arena *arena)
{
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    struct err err = {};
    bool ok = rpc_open(c, RPC_OPEN_SHELL_RELAY_STREAM, &forever, &call, &err) == ERR_OK;
    bool end = false;
    ProtobufCMessage *m = NULL;
    Openshell__V1__RelayFrame frame = OPENSHELL__V1__RELAY_FRAME__INIT;
    frame.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA;
    char bytes[8] = "details";
    for (size_t i = 0; ok && i < 7; i++) {
        frame.data = (ProtobufCBinaryData){i, (uint8_t *)bytes};
        ok = rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK &&
             rpc_read(call, RPC_BLOCK, arena, &m, &end, &err) == ERR_OK && m &&
             ((Openshell__V1__RelayFrame *)(void *)m)->data.len == i;
    }
    tap_ok(ok, "both ways in turn: %s", err.msg);
    frame.data.len = 7;
    ok = ok && rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK;
    enum err_code code = ok ? rpc_read(call, RPC_BLOCK, arena, &m, &end, &err) : ERR_INTERNAL;
    tap_ok(code == ERR_NOT_FOUND && strcmp(err.msg, "tür") == 0 &&
               str_eq(rpc_client_details(c), STR("\x08\x05\x12\x01x")),
           "a status with details: %s", err.msg);
}

static int call(const char *endpoint, const char *folder)
{
    struct rpc_client *c = NULL;
    struct err err = {};
    CLEANUP(tls_side_unrefp) struct tls_side *side = NULL;
    if (folder && !load_side(folder, "client", &side, &err)) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    const struct rpc_dial_opts opts = {.tls = side};
    if (rpc_dial_with(str_of(endpoint), &opts, &RPC_CONFIG_CLIENT, &forever, &c, &err) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    struct arena arena;
    arena_init(&arena, 16 * MIB);
    call_unary(c, &arena);
    call_watch(c, 2000, 1000);
    call_watch(c, 3, 3'000'000);
    call_watch(c, 0, 0);
    call_push(c, &arena, 4);
    call_push(c, &arena, 5);
    call_relay(c, &arena);
    arena_done(&arena);
    rpc_client_free(c);
    return tap_done();
}

// ---- certificates

static bool put(const char *folder, const char *name, const struct buf *bytes)
{
    char path[256];
    struct err err = {};
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return file_write_atomic(path, buf_str(bytes), 0600, &err) == ERR_OK;
}

static bool issue(const struct pki *ca, const struct pki_leaf *leaf, const char *folder, const char *name)
{
    CLEANUP(buf_done) struct buf cert = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf key = {.max = 64 * KIB};
    char crt[64], pem[64];
    struct err err = {};
    (void)snprintf(crt, sizeof(crt), "%s.crt", name);
    (void)snprintf(pem, sizeof(pem), "%s.key", name);
    return pki_issue(ca, leaf, &cert, &key, &err) == ERR_OK && put(folder, crt, &cert) &&
           put(folder, pem, &key);
}

static int certs(const char *folder)
{
    static const struct str names[] = {STR_INIT("localhost"), STR_INIT("127.0.0.1")};
    CLEANUP(pki_freep) struct pki *ca = NULL;
    CLEANUP(pki_freep) struct pki *other = NULL;
    CLEANUP(buf_done) struct buf pem = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf other_pem = {.max = 64 * KIB};
    struct err err = {};
    const struct pki_leaf server = {.cn = STR("s"), .names = names, .names_n = 2, .server = true, .days = 1};
    const struct pki_leaf client = {.cn = STR("ann"),
                                    .unit = STR("openshell-user"),
                                    .client = true,
                                    .days = 1};
    struct pki_leaf expired = client;
    expired.age_days = 3;
    expired.days = -1;
    bool ok = pki_new(STR("o"), STR("ca"), 9, &ca, &err) == ERR_OK &&
              pki_new(STR("o"), STR("ca"), 9, &other, &err) == ERR_OK && pki_cert(ca, &pem, &err) == ERR_OK &&
              pki_cert(other, &other_pem, &err) == ERR_OK && put(folder, "ca.crt", &pem) &&
              put(folder, "other-ca.crt", &other_pem) && issue(ca, &server, folder, "server") &&
              issue(ca, &client, folder, "client") && issue(ca, &expired, folder, "expired") &&
              issue(other, &client, folder, "foreign");
    if (!ok)
        (void)fprintf(stderr, "certificates: %s\n", err.msg);
    return !ok;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "certs") == 0)
        return certs(argv[2]);
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3]);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "call") == 0)
        return call(argv[2], argc == 4 ? argv[3] : NULL);
    (void)fprintf(stderr, "usage: rpc_peer certs FOLDER | serve PATH FOLDER | call ENDPOINT [FOLDER]\n");
    return 2;
}
