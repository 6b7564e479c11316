#include "rpc/serve.h"
#include "rpc/dial.h"
#include "base/fd.h"
#include "openshell.pb-c.h"
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// A server in a thread of its own, spoken to by the blocking client.

static struct {
    uv_loop_t loop;
    pthread_t thread;
    struct rpc_server *server;
    struct log log;
    char dir[64], path[96];
    uint16_t port;
    pthread_barrier_t ready;
    atomic_uint closed, released;
} t = {.log = {.fd = -1}};

static const struct rpc_wait forever = {DEADLINE_NEVER, -1};

// ---- handlers

static enum err_code do_health(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                               struct err *reterr)
{
    (void)in;
    Openshell__V1__HealthResponse *out = arena_new(rpc_request_arena(r), Openshell__V1__HealthResponse);
    if (!out)
        return arena_limit(rpc_request_arena(r), "an answer", reterr);
    openshell__v1__health_response__init(out);
    out->status = OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_HEALTHY;
    *ret = &out->base;
    return ERR_OK;
}

// Says who calls, or fails as the name asks for.
static enum err_code do_get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__GetSandboxRequest *req = (const Openshell__V1__GetSandboxRequest *)(const void *)in;
    if (strcmp(req->name, "missing") == 0)
        return err_set(reterr, ERR_NOT_FOUND, "sandbox 'missing' does not exist");
    if (strcmp(req->name, "aborted") == 0)
        return rpc_request_fail(r, RPC_ABORTED, reterr, "changed meanwhile");
    if (strcmp(req->name, "internal") == 0)
        return err_set(reterr, ERR_INTERNAL, "/secret/path: broken");
    if (strcmp(req->name, "slow") == 0) {
        for (int i = 0; i < 500 && rpc_request_is_open(r); i++)
            (void)poll(NULL, 0, 10);
        return err_set(reterr, ERR_TIMEOUT, "slow");
    }
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__SandboxResponse *out = arena_new(a, Openshell__V1__SandboxResponse);
    Openshell__V1__Sandbox *sandbox = arena_new(a, Openshell__V1__Sandbox);
    Openshell__V1__SandboxStatus *status = arena_new(a, Openshell__V1__SandboxStatus);
    struct str who = {};
    const struct rpc_peer *peer = rpc_request_peer(r);
    if (!out || !sandbox || !status || !arena_fmt(a, &who, "%s %d %u", peer->addr, peer->local, peer->uid))
        return arena_limit(a, "an answer", reterr);
    openshell__v1__sandbox_response__init(out);
    openshell__v1__sandbox__init(sandbox);
    openshell__v1__sandbox_status__init(status);
    status->sandbox_name = (char *)(uintptr_t)who.p;
    sandbox->status = status;
    out->sandbox = sandbox;
    *ret = &out->base;
    return ERR_OK;
}

static void stream_closed(struct rpc_request *r)
{
    (void)r;
    atomic_fetch_add(&t.closed, 1);
}

static void relay_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct err err = {};
    if (rpc_request_send(r, message, &err) != ERR_OK)
        rpc_request_finish_err(r, &err);
    else
        rpc_request_want(r, 1);
}

static void relay_end(struct rpc_request *r)
{
    rpc_request_finish_ok(r);
}

static const struct rpc_stream_ops relay_ops = {.message = relay_message,
                                                .end = relay_end,
                                                .closed = stream_closed};

static void do_relay(struct rpc_request *r)
{
    rpc_request_begin(r, &relay_ops, NULL);
    rpc_request_want(r, 1);
}

enum { LINES = 2000 };
struct watch {
    unsigned sent;
    bool follow;
};

static void watch_send(struct rpc_request *r)
{
    struct watch *w = rpc_request_user(r);
    char text[1 * KIB];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct err err = {};
    for (; w->sent < LINES; w->sent++) {
        Openshell__V1__SandboxLogLine line = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
        line.message = text;
        line.timestamp_ms = w->sent;
        Openshell__V1__SandboxStreamEvent event = OPENSHELL__V1__SANDBOX_STREAM_EVENT__INIT;
        event.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG;
        event.log = &line;
        enum err_code c = rpc_request_send(r, &event.base, &err);
        if (c == ERR_LIMIT)
            return;
        if (c != ERR_OK)
            break;
    }
    if (!w->follow) {
        free(w);
        rpc_request_finish_ok(r);
    }
}

static void watch_closed(struct rpc_request *r)
{
    free(rpc_request_user(r));
    stream_closed(r);
}

static void watch_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    const Openshell__V1__WatchSandboxRequest *req = (const Openshell__V1__WatchSandboxRequest *)(const void *)
        message;
    struct watch *w = rpc_request_user(r);
    w->follow = req->follow_logs;
    watch_send(r);
}

static const struct rpc_stream_ops watch_ops = {.message = watch_message,
                                                .writable = watch_send,
                                                .closed = watch_closed};

static void do_watch(struct rpc_request *r)
{
    struct err err = {};
    struct watch *w = calloc(1, sizeof(*w));
    if (!w) {
        err_fill(&err, ERR_LIMIT, "no memory");
        rpc_request_finish_err(r, &err);
        return;
    }
    rpc_request_begin(r, &watch_ops, w);
}

static void release(void *principal)
{
    (void)principal;
    atomic_fetch_add(&t.released, 1);
}

static enum err_code admit(struct rpc_request *r, struct err *reterr)
{
    struct str who = STR("anybody");
    (void)rpc_meta_get(rpc_request_meta(r), STR("authorization"), &who);
    if (str_eq(who, STR("nobody")))
        return rpc_request_fail(r, RPC_UNAUTHENTICATED, reterr, "who are you?");
    rpc_request_set_principal(r, &t, release);
    return ERR_OK;
}

static const struct rpc_handler handlers[RPC_METHODS] = {
    [RPC_OPEN_SHELL_HEALTH] = {.unary = do_health},
    [RPC_OPEN_SHELL_GET_SANDBOX] = {.unary = do_get_sandbox},
    [RPC_OPEN_SHELL_RELAY_STREAM] = {.stream = do_relay},
    [RPC_OPEN_SHELL_WATCH_SANDBOX] = {.stream = do_watch},
};

// ---- the thread

static void on_stopped(void *ctx)
{
    (void)ctx;
    rpc_server_free(t.server);
}

static void stop(void *arg)
{
    (void)arg;
    rpc_server_stop(t.server, on_stopped);
}

static void drain(void *arg)
{
    rpc_server_drain(t.server, arg ? stop : NULL);
}

static void *serve(void *arg)
{
    (void)arg;
    struct rpc_server_opts opts = {.loop = &t.loop,
                                   .log = &t.log,
                                   .config = RPC_CONFIG_SERVER,
                                   .handlers = handlers,
                                   .admit = admit};
    opts.hello_ns = 300'000'000;
    opts.conns_max = 8;
    opts.work_max = 3;
    struct err err = {};
    if (uv_loop_init(&t.loop) != 0 || rpc_server_new(&opts, &t.server, &err) != ERR_OK ||
        rpc_server_listen_unix(t.server, t.path, &err) != ERR_OK ||
        rpc_server_listen_tcp(t.server, "127.0.0.1", 0, &t.port, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
    (void)pthread_barrier_wait(&t.ready);
    (void)uv_run(&t.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&t.loop) != 0)
        abort(); // a handle was left
    return NULL;
}

static void start(void)
{
    if (pthread_barrier_init(&t.ready, NULL, 2) != 0 || pthread_create(&t.thread, NULL, serve, NULL) != 0)
        abort();
    (void)pthread_barrier_wait(&t.ready);
}

static void post(void (*fn)(void *arg), void *arg)
{
    struct err err = {};
    if (rpc_server_post(t.server, fn, arg, &err) != ERR_OK)
        abort();
}

static struct rpc_client *dial(const char *endpoint)
{
    struct rpc_client *c = NULL;
    struct err err = {};
    if (rpc_dial(str_of(endpoint), &RPC_CONFIG_CLIENT, &forever, &c, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
    return c;
}

static struct rpc_client *dial_unix(void)
{
    char endpoint[128];
    (void)snprintf(endpoint, sizeof(endpoint), "unix:%s", t.path);
    return dial(endpoint);
}

// ---- tests

static const struct {
    const char *name;
    enum err_code code;
    enum rpc_code rpc;
    const char *msg, *rule;
} failures[] = {
    {"missing", ERR_NOT_FOUND, RPC_NOT_FOUND, "sandbox 'missing' does not exist",
     "a handler's error is the client's"},
    {"aborted", ERR_PRECONDITION, RPC_ABORTED, "changed meanwhile", "a code that only gRPC has"},
    {"internal", ERR_INTERNAL, RPC_INTERNAL, "internal error 0001",
     "an internal error keeps its text at home"},
};

static enum err_code get_sandbox(struct rpc_client *c, const char *name, const struct rpc_wait *wait,
                                 char dst[static 128], struct err *err)
{
    struct arena arena;
    arena_init(&arena, MIB);
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    req.name = (char *)(uintptr_t)name;
    ProtobufCMessage *m = NULL;
    enum err_code code = rpc_unary(c, RPC_OPEN_SHELL_GET_SANDBOX, &req.base, wait, &arena, &m, err);
    if (code == ERR_OK) {
        const Openshell__V1__SandboxResponse *out = (const Openshell__V1__SandboxResponse *)(const void *)m;
        (void)snprintf(dst, 128, "%s", out->sandbox->status->sandbox_name);
    }
    arena_done(&arena);
    return code;
}

static void test_unary(struct rpc_client *c)
{
    char who[128] = "";
    char want[128];
    struct err err = {};
    (void)snprintf(want, sizeof(want), "unix 1 %u", getuid());
    tap_ok(get_sandbox(c, "a", &forever, who, &err) == ERR_OK && strcmp(who, want) == 0,
           "a Unix socket says whose process calls: %s %s", who, err.msg);
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", t.port);
    struct rpc_client *tcp = dial(endpoint);
    tap_ok(get_sandbox(tcp, "a", &forever, who, &err) == ERR_OK && str_starts(str_of(who), STR("127.0.0.1:")),
           "TCP says the address: %s", who);
    rpc_client_free(tcp);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        enum err_code code = get_sandbox(c, failures[i].name, &forever, who, &err);
        if (!tap_ok(code == failures[i].code && rpc_client_status(c)->code == failures[i].rpc &&
                        strcmp(err.msg, failures[i].msg) == 0,
                    "%s", failures[i].rule))
            tap_note("%s", err.msg);
    }
    struct arena arena;
    arena_init(&arena, MIB);
    struct rpc_meta meta = {};
    bool ok = rpc_meta_add(&meta, &arena, STR("authorization"), STR("nobody"), &err) == ERR_OK;
    rpc_client_set_meta(c, &meta);
    tap_ok(ok && get_sandbox(c, "a", &forever, who, &err) == ERR_DENIED &&
               rpc_client_status(c)->code == RPC_UNAUTHENTICATED,
           "who is not admitted does not reach a handler: %s", err.msg);
    rpc_client_set_meta(c, NULL);
    arena_done(&arena);
}

static void test_unimplemented(struct rpc_client *c)
{
    size_t right = 0;
    for (size_t i = 0; i < RPC_METHODS; i++) {
        if (handlers[i].unary || handlers[i].stream)
            continue;
        struct arena arena;
        arena_init(&arena, 64 * KIB);
        struct rpc_client_call *call = NULL;
        ProtobufCMessage *m = NULL;
        bool end = false;
        struct err err = {};
        char want[200];
        (void)snprintf(want, sizeof(want), "%s is not implemented", rpc_methods[i].path.p);
        right += rpc_open(c, (enum rpc_method_id)i, &forever, &call, &err) == ERR_OK &&
                 rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_UNSUPPORTED &&
                 strcmp(err.msg, want) == 0;
        rpc_close(call);
        arena_done(&arena);
    }
    tap_ok(right == RPC_METHODS - 4, "each method without a handler is UNIMPLEMENTED by its name (%zu)",
           right);
}

static void test_deadline(struct rpc_client *c)
{
    char who[128];
    struct err err = {};
    struct rpc_wait wait = {deadline_in_ms(100), -1};
    int64_t start_ns = clock_ns();
    enum err_code code = get_sandbox(c, "slow", &wait, who, &err);
    int64_t took_ms = (clock_ns() - start_ns) / 1'000'000;
    tap_ok(code == ERR_TIMEOUT && rpc_client_status(c)->code == RPC_DEADLINE_EXCEEDED && took_ms >= 100 &&
               took_ms < 3000,
           "a deadline ends a call: %s", err.msg);
    int cancel = eventfd(1, EFD_CLOEXEC);
    wait = (struct rpc_wait){DEADLINE_NEVER, cancel};
    code = get_sandbox(c, "slow", &wait, who, &err);
    tap_ok(code == ERR_UNAVAILABLE && rpc_client_status(c)->code == RPC_CANCELLED, "so does the cancel fd");
    fd_close(&cancel);
    tap_ok(get_sandbox(c, "a", &forever, who, &err) == ERR_OK, "and the connection goes on");
}

// The answer to that many empty messages.
static enum err_code send_some(struct rpc_client *c, enum rpc_method_id method, int n, struct err *err)
{
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    enum err_code code = rpc_open(c, method, &forever, &call, err);
    if (code != ERR_OK)
        return code;
    assert(call);
    for (int i = 0; i < n; i++)
        (void)rpc_write(call, &req.base, RPC_BLOCK, err); // the answer may come before the last
    rpc_write_end(call);
    struct arena arena;
    arena_init(&arena, MIB);
    ProtobufCMessage *m = NULL;
    bool end = false;
    code = rpc_read(call, RPC_BLOCK, &arena, &m, &end, err);
    arena_done(&arena);
    return code;
}

static void test_messages(struct rpc_client *c)
{
    static const struct {
        enum rpc_method_id method;
        int n;
        const char *msg;
    } rows[] = {
        {RPC_OPEN_SHELL_HEALTH, 0, "no message"},
        {RPC_OPEN_SHELL_HEALTH, 2, "more than one message"},
        {RPC_OPEN_SHELL_WATCH_SANDBOX, 0, "no message"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {};
        enum err_code code = send_some(c, rows[i].method, rows[i].n, &err);
        tap_ok(code == ERR_INTERNAL && strcmp(err.msg, rows[i].msg) == 0, "%.*s with %d messages: %s",
               STR_FMT(rpc_methods[rows[i].method].path), rows[i].n, err.msg);
    }
}

static void test_work(struct rpc_client *c)
{
    struct rpc_client_call *calls[3] = {};
    struct err err = {};
    char name[] = "slow";
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    req.name = name;
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(calls) && ok; i++) {
        ok = rpc_open(c, RPC_OPEN_SHELL_GET_SANDBOX, &forever, &calls[i], &err) == ERR_OK &&
             rpc_write(calls[i], &req.base, RPC_BLOCK, &err) == ERR_OK;
        if (ok)
            rpc_write_end(calls[i]);
    }
    enum err_code code = send_some(c, RPC_OPEN_SHELL_HEALTH, 1, &err);
    tap_ok(ok && code == ERR_UNAVAILABLE, "a call more than may be worked at is refused: %s", err.msg);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        rpc_close(calls[i]);
    for (int i = 0; i < 300 && code != ERR_OK; i++) {
        code = send_some(c, RPC_OPEN_SHELL_HEALTH, 1, &err);
        (void)poll(NULL, 0, 10);
    }
    tap_ok(code == ERR_OK, "until the others have noticed that nobody waits");
}

static void test_watch(struct rpc_client *c, bool follow)
{
    struct err err = {};
    struct rpc_client_call *call = NULL;
    Openshell__V1__WatchSandboxRequest req = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    req.follow_logs = follow;
    unsigned before = atomic_load(&t.closed);
    size_t got = 0;
    bool end = false;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_WATCH_SANDBOX, &forever, &call, &err) == ERR_OK &&
              rpc_write(call, &req.base, RPC_BLOCK, &err) == ERR_OK;
    if (ok)
        rpc_write_end(call);
    while (ok && !end && got < LINES + (follow ? 0U : 1U)) {
        struct arena arena;
        arena_init(&arena, MIB);
        ProtobufCMessage *m = NULL;
        ok = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK;
        const Openshell__V1__SandboxStreamEvent
            *event = (const Openshell__V1__SandboxStreamEvent *)(const void *)m;
        if (ok && m)
            ok = event->log->timestamp_ms == (int64_t)got++;
        arena_done(&arena);
    }
    rpc_close(call);
    for (int i = 0; follow && i < 500 && atomic_load(&t.closed) == before; i++)
        (void)poll(NULL, 0, 10);
    tap_ok(ok && end == !follow && got == LINES && atomic_load(&t.closed) == before + (follow ? 1U : 0U),
           "a stream of 2 MB in order, ended by the %s: %u %s", follow ? "client" : "server", (unsigned)got,
           err.msg);
}

static void test_relay(struct rpc_client *c)
{
    struct err err = {};
    struct rpc_client_call *call = NULL;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_RELAY_STREAM, &forever, &call, &err) == ERR_OK;
    char bytes[20 * KIB] = "";
    unsigned back = 0;
    bool end = false;
    for (unsigned i = 0; ok && i < 100; i++) {
        Openshell__V1__RelayFrame frame = OPENSHELL__V1__RELAY_FRAME__INIT;
        frame.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA;
        frame.data = (ProtobufCBinaryData){i * 200, (uint8_t *)bytes};
        struct arena arena;
        arena_init(&arena, MIB);
        ProtobufCMessage *m = NULL;
        ok = rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK &&
             rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && m &&
             ((Openshell__V1__RelayFrame *)(void *)m)->data.len == i * 200U;
        back += ok;
        arena_done(&arena);
    }
    tap_ok(ok && back == 100, "a message there, a message back, 100 times: %s", err.msg);
    if (!call)
        return;
    struct arena arena;
    arena_init(&arena, MIB);
    ProtobufCMessage *m = NULL;
    ok = rpc_read(call, RPC_TRY, &arena, &m, &end, &err) == ERR_OK && !m && !end;
    tap_ok(ok, "trying to read does not wait");
    rpc_write_end(call);
    ok = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && !m && end;
    tap_ok(ok, "the end of the input ends the call");
    rpc_close(call);
    arena_done(&arena);
}

static void test_listen(void)
{
    struct stat st = {};
    tap_ok(stat(t.path, &st) == 0 && (st.st_mode & 0777) == 0600, "the socket is its owner's alone");
    struct err err = {};
    assert(t.server);
    enum err_code c = rpc_server_listen_unix(t.server, t.path, &err); // fails before it touches the loop
    tap_ok(c == ERR_EXISTS, "a socket that somebody listens at is not taken: %s", err.msg);

    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, t.path, sizeof(t.path));
    int fds[9] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    int open = 0;
    for (int i = 0; i < 9; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        open += connect(fds[i], (const struct sockaddr *)&addr, sizeof(addr)) == 0;
    }
    struct pollfd p = {.fd = fds[8], .events = POLLRDHUP};
    tap_ok(open == 9 && poll(&p, 1, 5000) == 1 && (p.revents & POLLRDHUP),
           "the ninth of eight connections is closed");
    int64_t start_ns = clock_ns();
    size_t closed = 0;
    for (int i = 0; i < 8; i++) {
        p.fd = fds[i];
        closed += poll(&p, 1, 5000) == 1;
    }
    tap_ok(closed == 8 && clock_ns() - start_ns < 4'000'000'000,
           "those that say nothing are closed after their time");
    for (int i = 0; i < 9; i++)
        fd_close(&fds[i]);
}

static void test_drain_stop(void)
{
    struct rpc_client *c = dial_unix();
    struct err err = {};
    struct rpc_client_call *call = NULL;
    struct arena arena;
    arena_init(&arena, MIB);
    Openshell__V1__RelayFrame frame = OPENSHELL__V1__RELAY_FRAME__INIT;
    ProtobufCMessage *m = NULL;
    bool end = false;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_RELAY_STREAM, &forever, &call, &err) == ERR_OK &&
              rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK &&
              rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && m;
    post(drain, &t);
    struct rpc_client *late = NULL;
    char endpoint[128];
    (void)snprintf(endpoint, sizeof(endpoint), "unix:%s", t.path);
    enum err_code refused = ERR_OK;
    for (int i = 0; i < 500 && refused == ERR_OK; i++) {
        refused = rpc_dial(str_of(endpoint), &RPC_CONFIG_CLIENT, &forever, &late, &err);
        rpc_client_free(late);
        late = NULL;
        (void)poll(NULL, 0, 10);
    }
    tap_ok(ok && refused == ERR_UNAVAILABLE, "a draining server takes no connections: %s", err.msg);
    ok = rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK &&
         rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && m;
    tap_ok(ok, "and serves the calls that it has");
    rpc_write_end(call);
    ok = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && end;
    tap_ok(ok, "to their end");
    rpc_close(call);
    arena_done(&arena);
    int joined = pthread_join(t.thread, NULL);
    tap_ok(joined == 0, "then it is done, and nothing of it is left in the loop");
    rpc_client_free(c);
}

static void test_stop(void)
{
    start();
    struct rpc_client *c = dial_unix();
    struct err err = {};
    struct rpc_client_call *call = NULL;
    struct arena arena;
    arena_init(&arena, MIB);
    Openshell__V1__RelayFrame frame = OPENSHELL__V1__RELAY_FRAME__INIT;
    ProtobufCMessage *m = NULL;
    bool end = false;
    bool ok = rpc_open(c, RPC_OPEN_SHELL_RELAY_STREAM, &forever, &call, &err) == ERR_OK &&
              rpc_write(call, &frame.base, RPC_BLOCK, &err) == ERR_OK &&
              rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && m;
    unsigned before = atomic_load(&t.closed);
    post(stop, NULL);
    enum err_code code = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err);
    int joined = pthread_join(t.thread, NULL);
    tap_ok(ok && code == ERR_UNAVAILABLE && joined == 0 && atomic_load(&t.closed) == before + 1,
           "a server that stops ends its calls on both sides: %s", err.msg);
    rpc_close(call);
    arena_done(&arena);
    rpc_client_free(c);
}

// Several calls in a poll loop of their own, on a connection that nobody waited for.
static void test_queue(void)
{
    enum { CALLS = 3 }; // work_max
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", t.port);
    struct rpc_client *c = NULL;
    struct rpc_client_call *calls[CALLS] = {};
    struct err err = {};
    struct arena arena;
    arena_init(&arena, MIB);
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    req.name = (char *)(uintptr_t) "a";
    bool ok = rpc_dial_begin(str_of(endpoint), &RPC_CONFIG_CLIENT, &c, &err) == ERR_OK;
    for (size_t i = 0; ok && i < CALLS; i++) {
        ok = rpc_open(c, RPC_OPEN_SHELL_GET_SANDBOX, &forever, &calls[i], &err) == ERR_OK &&
             rpc_has_room(calls[i]) && rpc_write(calls[i], &req.base, RPC_QUEUE, &err) == ERR_OK;
        if (ok)
            rpc_write_end(calls[i]);
    }
    size_t answers = 0, ends = 0;
    int64_t until = deadline_in_ms(5000);
    while (ok && ends < CALLS && !deadline_passed(until)) {
        struct pollfd p = {.fd = rpc_client_fd(c), .events = rpc_client_poll(c)};
        (void)poll(&p, 1, deadline_left_ms(until));
        ok = rpc_client_pump(c, &err) == ERR_OK;
        for (size_t i = 0; ok && i < CALLS; i++) {
            ProtobufCMessage *m = NULL;
            bool end = false;
            while (calls[i] && (ok = rpc_read(calls[i], RPC_QUEUE, &arena, &m, &end, &err) == ERR_OK) && m)
                answers++;
            if (end) {
                ends++;
                rpc_close(TAKE(calls[i]));
            }
        }
        rpc_client_flush(c);
    }
    tap_ok(ok && answers == CALLS && ends == CALLS, "many calls in one loop: %zu answers, %zu ends %s",
           answers, ends, err.msg);
    for (size_t i = 0; i < CALLS; i++)
        rpc_close(calls[i]);
    rpc_client_free(c);
    c = NULL;
    ok = rpc_dial_begin(STR("http://127.0.0.1:1"), &RPC_CONFIG_CLIENT, &c, &err) == ERR_OK;
    enum err_code code = ok ? ERR_OK : err.code; // loopback refuses at once, others later
    for (until = deadline_in_ms(5000); ok && code == ERR_OK && !deadline_passed(until);) {
        struct pollfd p = {.fd = rpc_client_fd(c), .events = rpc_client_poll(c)};
        (void)poll(&p, 1, deadline_left_ms(until));
        code = rpc_client_pump(c, &err);
    }
    tap_ok(code == ERR_UNAVAILABLE, "a connection that fails later says so: %s", err.msg);
    rpc_client_free(c);
    arena_done(&arena);
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0); // what an abort leaves is worth reading
    (void)snprintf(t.dir, sizeof(t.dir), "/tmp/rpc-serve-XXXXXX");
    struct rpc_server_opts opts = {.loop = &t.loop, .handlers = handlers};
    struct err err = {};
    tap_ok(rpc_server_new(&opts, &t.server, &err) == ERR_PRECONDITION,
           "no server where SIGPIPE would end it");
    if (!mkdtemp(t.dir) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return 1;
    (void)snprintf(t.path, sizeof(t.path), "%s/socket", t.dir);
    start();
    struct rpc_client *c = dial_unix();
    test_unary(c);
    test_unimplemented(c);
    test_deadline(c);
    test_messages(c);
    test_work(c);
    test_watch(c, false);
    test_watch(c, true);
    test_relay(c);
    test_queue();
    rpc_client_free(c);
    test_listen();
    test_drain_stop();
    test_stop();
    tap_ok(atomic_load(&t.released) > 0, "principals are released");
    (void)rmdir(t.dir);
    return tap_done();
}
