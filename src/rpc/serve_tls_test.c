#include "rpc/dial.h"
#include "rpc/serve.h"

#include "base/fd.h"
#include "net/pki.h"
#include "openshell.pb-c.h"
#include "tap.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

// A server with TLS in a thread of its own, and the blocking client.

enum { PEM_MAX = 64 * KIB };

static struct {
    uv_loop_t loop;
    pthread_t thread;
    struct rpc_server *server;
    struct log log;
    uint16_t port;
    pthread_barrier_t ready;
    struct pki *ca;
    struct buf ca_pem, cert, key, client_cert, client_key;
    struct tls_side *side;
} t = {.log = {.fd = -1}};

static const struct rpc_wait forever = {DEADLINE_NEVER, -1};
static const struct str loopback = STR_INIT("127.0.0.1");

// Says who calls.
static enum err_code do_health(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                               struct err *reterr)
{
    (void)in;
    struct arena *a = rpc_request_arena(r);
    const struct rpc_peer *p = rpc_request_peer(r);
    Openshell__V1__HealthResponse *out = arena_new(a, Openshell__V1__HealthResponse);
    struct str who = {};
    if (!out || !arena_fmt(a, &who, "%d %d %s %zu %s", p->tls, p->has_cert, p->cert.cn, p->cert.units_n,
                           p->cert.units[0]))
        return arena_limit(a, "an answer", reterr);
    openshell__v1__health_response__init(out);
    out->version = (char *)(uintptr_t)who.p;
    *ret = &out->base;
    return ERR_OK;
}

// Large messages until the client has enough.
static void more(struct rpc_request *r)
{
    static char text[100 * KIB];
    memset(text, 'x', sizeof(text) - 1);
    Openshell__V1__SandboxLogLine line = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    Openshell__V1__SandboxStreamEvent event = OPENSHELL__V1__SANDBOX_STREAM_EVENT__INIT;
    line.message = text;
    event.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG;
    event.log = &line;
    struct err err = {};
    while (rpc_request_send(r, &event.base, &err) == ERR_OK)
        ;
}

static const struct rpc_stream_ops watch_ops = {.writable = more};

static void do_watch(struct rpc_request *r)
{
    rpc_request_begin(r, &watch_ops, NULL);
    more(r);
}

static const struct rpc_handler handlers[RPC_METHODS] = {
    [RPC_OPEN_SHELL_HEALTH] = {.unary = do_health},
    [RPC_OPEN_SHELL_WATCH_SANDBOX] = {.stream = do_watch},
};

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

static void *serve(void *arg)
{
    (void)arg;
    const struct rpc_server_opts opts = {.loop = &t.loop,
                                         .log = &t.log,
                                         .config = RPC_CONFIG_SERVER,
                                         .handlers = handlers,
                                         .hello_ns = 1'000'000'000};
    struct err err = {};
    uint16_t none = 0;
    if (uv_loop_init(&t.loop) != 0 || rpc_server_new(&opts, &t.server, &err) != ERR_OK)
        abort();
    tap_ok(rpc_server_listen_tls(t.server, "127.0.0.1", 0, &none, &err) == ERR_PRECONDITION,
           "no TLS without a certificate");
    rpc_server_set_tls(t.server, t.side);
    if (rpc_server_listen_tls(t.server, "127.0.0.1", 0, &t.port, &err) != ERR_OK)
        abort();
    (void)pthread_barrier_wait(&t.ready);
    (void)uv_run(&t.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&t.loop) != 0)
        abort(); // a handle was left
    return NULL;
}

static struct tls_side *make_side(bool server, bool cert)
{
    struct tls_side *s = NULL;
    struct err err = {};
    struct tls_side_opts o = {.server = server, .ca = buf_str(&t.ca_pem)};
    if (server)
        o.own = (struct tls_pair){buf_str(&t.cert), buf_str(&t.key)};
    else if (cert)
        o.own = (struct tls_pair){buf_str(&t.client_cert), buf_str(&t.client_key)};
    if (tls_side_new(&o, &s, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
    return s;
}

static void new_pki(void)
{
    struct err err = {};
    struct buf *const all[] = {&t.ca_pem, &t.cert, &t.key, &t.client_cert, &t.client_key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        buf_done(all[i]);
        buf_init(all[i], PEM_MAX);
    }
    pki_free(t.ca);
    t.ca = NULL;
    const struct pki_leaf s = {.cn = STR("s"), .names = &loopback, .names_n = 1, .server = true, .days = 1};
    const struct pki_leaf c = {.cn = STR("ann"), .unit = STR("openshell-user"), .client = true, .days = 1};
    if (pki_new(STR("o"), STR("ca"), 10, &t.ca, &err) != ERR_OK ||
        pki_cert(t.ca, &t.ca_pem, &err) != ERR_OK || pki_issue(t.ca, &s, &t.cert, &t.key, &err) != ERR_OK ||
        pki_issue(t.ca, &c, &t.client_cert, &t.client_key, &err) != ERR_OK)
        abort();
}

static enum err_code dial(struct tls_side *side, struct str name, struct rpc_client **ret, struct err *reterr)
{
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%u", t.port);
    const struct rpc_dial_opts opts = {.tls = side, .server_name = name};
    return rpc_dial_with(str_of(endpoint), &opts, &RPC_CONFIG_CLIENT, &forever, ret, reterr);
}

// What the server says of us, or why it does not.
static enum err_code ask(struct rpc_client *c, char dst[static 128], struct err *reterr)
{
    struct arena arena;
    arena_init(&arena, MIB);
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum err_code code = rpc_unary(c, RPC_OPEN_SHELL_HEALTH, &req.base, &forever, &arena, &m, reterr);
    if (code == ERR_OK)
        (void)snprintf(dst, 128, "%s", ((Openshell__V1__HealthResponse *)(void *)m)->version);
    arena_done(&arena);
    return code;
}

static void test_calls(void)
{
    CLEANUP(tls_side_unrefp) struct tls_side *mine = make_side(false, true);
    CLEANUP(tls_side_unrefp) struct tls_side *anonymous = make_side(false, false);
    CLEANUP(rpc_client_freep) struct rpc_client *c = NULL;
    CLEANUP(rpc_client_freep) struct rpc_client *none = NULL;
    struct err err = {};
    char said[128] = "";
    enum err_code code = dial(mine, STR(""), &c, &err);
    if (code == ERR_OK)
        code = ask(c, said, &err);
    tap_ok(code == ERR_OK && strcmp(said, "1 1 ann 1 openshell-user") == 0,
           "the handler knows who calls: %s%s", said, err.msg);
    code = dial(anonymous, STR(""), &none, &err);
    if (code == ERR_OK)
        code = ask(none, said, &err);
    tap_ok(code == ERR_UNAVAILABLE && strstr(err.msg, "asks for a certificate"),
           "no certificate, no call: %s", err.msg);
    rpc_client_free(TAKE(none));
    code = dial(mine, STR("other.test"), &none, &err);
    tap_ok(code == ERR_DENIED && !none && strstr(err.msg, "hostname mismatch"), "another name: %s", err.msg);
    code = rpc_dial(STR("https://127.0.0.1:1"), &RPC_CONFIG_CLIENT, &forever, &none, &err);
    tap_ok(code == ERR_UNAVAILABLE && !none, "nobody listens: %s", err.msg);
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%u", t.port);
    code = rpc_dial(str_of(endpoint), &RPC_CONFIG_CLIENT, &forever, &none, &err);
    tap_ok(code == ERR_DENIED && !none, "the system does not trust our CA: %s", err.msg);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", t.port);
    code = rpc_dial(str_of(endpoint), &RPC_CONFIG_CLIENT, &forever, &none, &err);
    if (code == ERR_OK)
        code = ask(none, said, &err);
    tap_ok(code == ERR_UNAVAILABLE, "plain HTTP/2 to a TLS port: %s", err.msg);
}

// A connection that nobody waited for: all that a handshake needs happens in the pump.
static void test_begin(void)
{
    CLEANUP(tls_side_unrefp) struct tls_side *mine = make_side(false, true);
    CLEANUP(rpc_client_freep) struct rpc_client *c = NULL;
    struct err err = {};
    char endpoint[64], said[128] = "";
    (void)snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%u", t.port);
    const struct rpc_dial_opts opts = {.tls = mine};
    enum err_code code = rpc_dial_begin_with(str_of(endpoint), &opts, &RPC_CONFIG_CLIENT, &c, &err);
    if (code == ERR_OK)
        code = ask(c, said, &err);
    tap_ok(code == ERR_OK && strcmp(said, "1 1 ann 1 openshell-user") == 0,
           "a handshake may come later: %s%s", said, err.msg);
    rpc_client_free(TAKE(c));
    const struct rpc_dial_opts other = {.tls = mine, .server_name = STR("other.test")};
    code = rpc_dial_begin_with(str_of(endpoint), &other, &RPC_CONFIG_CLIENT, &c, &err);
    if (code == ERR_OK)
        code = ask(c, said, &err);
    tap_ok(code == ERR_UNAVAILABLE && strstr(err.msg, "hostname mismatch"), "and fail later: %s", err.msg);
}

// Much more than fits into any buffer on the way, to a reader that takes its time.
static void test_stream(void)
{
    CLEANUP(tls_side_unrefp) struct tls_side *mine = make_side(false, true);
    CLEANUP(rpc_client_freep) struct rpc_client *c = NULL;
    struct rpc_client_call *call = NULL;
    struct err err = {};
    Openshell__V1__WatchSandboxRequest req = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    bool ok = dial(mine, STR(""), &c, &err) == ERR_OK &&
              rpc_open(c, RPC_OPEN_SHELL_WATCH_SANDBOX, &forever, &call, &err) == ERR_OK &&
              rpc_write(call, &req.base, RPC_BLOCK, &err) == ERR_OK;
    size_t n = 0;
    while (ok && n < 500) {
        struct arena arena;
        arena_init(&arena, MIB);
        ProtobufCMessage *m = NULL;
        bool end = false;
        if (n == 10)
            (void)poll(NULL, 0, 200);
        ok = rpc_read(call, RPC_BLOCK, &arena, &m, &end, &err) == ERR_OK && m;
        ok = ok && strlen(((Openshell__V1__SandboxStreamEvent *)(void *)m)->log->message) == 100 * KIB - 1;
        n += ok;
        arena_done(&arena);
    }
    tap_ok(ok, "50 MiB come as they were sent: %zu messages %s", n, err.msg);
    rpc_close(call);
}

static void set_side(void *arg)
{
    rpc_server_set_tls(t.server, arg);
    (void)pthread_barrier_wait(&t.ready);
}

static void test_reload(void)
{
    CLEANUP(tls_side_unrefp) struct tls_side *old = make_side(false, true);
    CLEANUP(rpc_client_freep) struct rpc_client *before = NULL;
    CLEANUP(rpc_client_freep) struct rpc_client *after = NULL;
    CLEANUP(rpc_client_freep) struct rpc_client *none = NULL;
    struct err err = {};
    char said[128] = "";
    enum err_code code = dial(old, STR(""), &before, &err);
    if (code == ERR_OK)
        code = ask(before, said, &err);
    new_pki();
    struct tls_side *server = make_side(true, true);
    assert(server && t.server);
    if (rpc_server_post(t.server, set_side, server, &err) != ERR_OK)
        abort();
    (void)pthread_barrier_wait(&t.ready);
    tls_side_unref(server);
    tap_ok(code == ERR_OK && ask(before, said, &err) == ERR_OK, "a connection outlives its certificate: %s",
           err.msg);
    CLEANUP(tls_side_unrefp) struct tls_side *now = make_side(false, true);
    code = dial(now, STR(""), &after, &err);
    tap_ok(code == ERR_OK && ask(after, said, &err) == ERR_OK, "the next one is shown the new one: %s",
           err.msg);
    code = dial(old, STR(""), &none, &err);
    tap_ok(code == ERR_DENIED && !none, "and the old CA does not do any more: %s", err.msg);
}

// ---- peers that do not speak TLS, or not at once

static int raw(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons(t.port),
                                     .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
        abort();
    return fd;
}

static const struct {
    const char *rule, *bytes;
    size_t n;
    bool at_once; // refused on sight, not by the clock
} strangers[] = {
    {"says nothing", "", 0, false},
    {"begins a hello and stops", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, false},
    {"speaks HTTP", "GET / HTTP/1.1\r\n\r\n", 18, true},
    {"sends a record that is too long", "\x16\x03\x01\xff\xff\x01\x00\x00\x00", 9, true},
    {"sends a hello that is too long", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9, true},
};

static void test_strangers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        CLEANUP(fd_close) int fd = raw();
        int64_t from_ns = clock_ns();
        bool ok = send(fd, strangers[i].bytes, strangers[i].n, MSG_NOSIGNAL) == (ssize_t)strangers[i].n;
        char b[256];
        ssize_t n = 1;
        while (n > 0)
            n = recv(fd, b, sizeof(b), 0);
        int64_t ms = (clock_ns() - from_ns) / 1'000'000;
        tap_ok(ok && (strangers[i].at_once ? ms < 800 : ms >= 800 && ms < 9000),
               "a peer that %s is let go after %lld ms", strangers[i].rule, (long long)ms);
    }
    // A byte at a time does not gain time.
    CLEANUP(fd_close) int fd = raw();
    int64_t from_ns = clock_ns();
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    ssize_t sent = 1;
    for (size_t i = 0; sent == 1 && i < 400; i++) {
        sent = send(fd, i < sizeof(hello) - 1 ? &hello[i] : "a", 1, MSG_NOSIGNAL);
        (void)poll(NULL, 0, 20);
    }
    int64_t ms = (clock_ns() - from_ns) / 1'000'000;
    tap_ok(sent != 1 && ms < 6000, "nor does a hello that drips: %lld ms", (long long)ms);
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_barrier_init(&t.ready, NULL, 2) != 0)
        return 1;
    new_pki();
    t.side = make_side(true, true);
    if (pthread_create(&t.thread, NULL, serve, NULL) != 0)
        return 1;
    (void)pthread_barrier_wait(&t.ready);
    test_calls();
    test_begin();
    test_stream();
    test_strangers();
    test_reload();
    struct err err = {};
    if (rpc_server_post(t.server, stop, NULL, &err) != ERR_OK || pthread_join(t.thread, NULL) != 0)
        return 1;
    tls_side_unref(t.side);
    pki_free(t.ca);
    struct buf *const all[] = {&t.ca_pem, &t.cert, &t.key, &t.client_cert, &t.client_key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_done(all[i]);
    return tap_done();
}
