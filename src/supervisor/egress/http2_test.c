// Two legs over socket pairs, with a client and a server of HTTP/2 at the other ends: what each of them gets
// to see.
#include "net/http2.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "policy/load.h"
#include "supervisor/egress/egress.h"
#include "supervisor/egress/sink.h"
#include "tap.h"

static const char policy_text[] = "version: 1\n"
                                  "network_policies:\n"
                                  "  api:\n"
                                  "    name: api\n"
                                  "    endpoints:\n"
                                  "      - host: api.test\n"
                                  "        port: 443\n"
                                  "        protocol: rest\n"
                                  "        enforcement: enforce\n"
                                  "        rules:\n"
                                  "          - allow: { method: POST, path: /pkg.Service/Echo }\n"
                                  "          - allow: { method: GET, path: /ok }\n"
                                  "    binaries:\n"
                                  "      - { path: /bin/agent }\n";

// A peer: HTTP/2 on one end of a socket pair.
struct peer {
    struct http2 *h;
    int fd;
    bool ended, keep, echo;
    size_t requests, closed, last_code;
    struct buf log;
    size_t data;
};

struct bench {
    struct egress egress;
    struct conn conn;
    struct target target;
    struct stream *client, *upstream;
    struct peer c, s;
    int sink;
    pthread_t thread;
};

// ---- the peers
// ------------------------------------------------------------------------------------------------

static void on_head(void *ctx, int32_t id, const struct http1_head *h, bool end)
{
    static const struct http1_header ok[] = {{STR_INIT(":status"), STR_INIT("200")},
                                             {STR_INIT("content-type"), STR_INIT("application/grpc")}};
    static const struct http1_header hint[] = {{STR_INIT(":status"), STR_INIT("103")}};
    struct peer *p = ctx;
    struct err e;
    p->requests++;
    if (h->status > 0)
        buf_addf(&p->log, "[%u", h->status);
    else
        buf_addf(&p->log, "[%.*s %.*s %.*s", STR_FMT(h->method), STR_FMT(h->target), STR_FMT(h->host));
    for (size_t i = 0; i < h->headers_n; i++)
        buf_addf(&p->log, " %.*s=%.*s", STR_FMT(h->headers[i].name), STR_FMT(h->headers[i].value));
    buf_add(&p->log, end ? STR(" end]") : STR("]"));
    if (!p->echo)
        return;
    (void)http2_respond(p->h, id, hint, ARRAY_LEN(hint), false, &e);
    (void)http2_respond(p->h, id, ok, ARRAY_LEN(ok), false, &e);
    if (end)
        (void)http2_finish(p->h, id, NULL, 0, &e);
}

static void on_data(void *ctx, int32_t id, struct str bytes)
{
    struct peer *p = ctx;
    struct err e;
    p->data += bytes.n;
    if (bytes.n < 100)
        buf_add(&p->log, bytes);
    if (p->echo)
        (void)http2_write(p->h, id, bytes, &e); // consumed when it is out
    else if (!p->keep)
        http2_consume(p->h, id, bytes.n);
}

static void on_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    static const struct http1_header status[] = {{STR_INIT("grpc-status"), STR_INIT("0")},
                                                 {STR_INIT("grpc-message"), STR_INIT("fine")}};
    struct peer *p = ctx;
    struct err e;
    buf_add(&p->log, STR("[end"));
    for (size_t i = 0; trailers && i < trailers->headers_n; i++)
        buf_addf(&p->log, " %.*s=%.*s", STR_FMT(trailers->headers[i].name),
                 STR_FMT(trailers->headers[i].value));
    buf_add(&p->log, STR("]"));
    if (p->echo)
        (void)http2_finish(p->h, id, status, ARRAY_LEN(status), &e);
}

static void on_took(void *ctx, int32_t id, size_t n)
{
    struct peer *p = ctx;
    if (p->echo)
        http2_consume(p->h, id, n);
}

static void on_closed(void *ctx, int32_t id, uint32_t code)
{
    struct peer *p = ctx;
    (void)id;
    p->closed++;
    p->last_code = code;
}

static void on_refused(void *ctx, int32_t id, struct str why)
{
    struct peer *p = ctx;
    (void)id;
    buf_addf(&p->log, "[refused %.*s]", STR_FMT(why));
}

static const struct http2_calls calls = {on_head, on_data, on_end, on_took, on_closed, on_refused};

static void peer_put(struct peer *p)
{
    CLEANUP(buf_done) struct buf out;
    struct err e;
    buf_init(&out, 4 * MIB);
    if (p->ended || http2_send(p->h, &out, SIZE_MAX, &e) != ERR_OK)
        return;
    for (size_t off = 0; off < out.n;) {
        ssize_t n = send(p->fd, out.p + off, out.n - off, MSG_NOSIGNAL);
        if (n <= 0) {
            p->ended = true;
            return;
        }
        off += (size_t)n;
    }
}

static void peer_get(struct peer *p)
{
    char b[16 * KIB];
    struct err e;
    ssize_t n = p->ended ? 0 : recv(p->fd, b, sizeof(b), MSG_DONTWAIT);
    if (n > 0)
        (void)http2_recv(p->h, (struct str){b, (size_t)n}, clock_ns(), &e);
    else if (n == 0)
        p->ended = true;
}

// Lets both talk until nothing has moved for a moment.
static void talk(struct bench *b)
{
    for (;;) {
        peer_put(&b->c);
        peer_put(&b->s);
        struct pollfd f[2] = {{.fd = b->c.ended ? -1 : b->c.fd, .events = POLLIN},
                              {.fd = b->s.ended ? -1 : b->s.fd, .events = POLLIN}};
        if (poll(f, 2, 150) <= 0)
            return;
        peer_get(&b->c);
        peer_get(&b->s);
    }
}

// ---- the bench
// -----------------------------------------------------------------------------------------------

static struct stream *pair_of(int *peer)
{
    int fd[2];
    struct stream *s = NULL;
    struct err e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 || stream_socket(fd[0], &s, &e) != ERR_OK)
        abort();
    *peer = fd[1];
    return s;
}

static struct snapshot *policy(const char *text)
{
    CLEANUP(arena_done) struct arena a;
    struct policy *p = NULL;
    struct diags d = {};
    struct snapshot *s = NULL;
    struct err e;
    arena_init(&a, MIB);
    if (policy_load(str_of(text), POLICY_USE_FILE, &a, &p, &d, &e) != ERR_OK ||
        snapshot_compile(p, 1, &s, &e) != ERR_OK) {
        tap_note("%s", e.msg);
        abort();
    }
    return s;
}

static void *serve(void *arg)
{
    struct bench *b = arg;
    http2_serve(&b->conn, &b->target, true, b->client, b->upstream);
    stream_free(b->client);
    stream_free(b->upstream);
    return NULL;
}

static void bench_start(struct bench *b)
{
    struct err e;
    int sink[2];
    const struct event_host host = {};
    memset(b, 0, sizeof(*b));
    (void)pthread_mutex_init(&b->egress.lock, NULL);
    b->egress.policy = policy(policy_text);
    b->conn.e = &b->egress;
    b->conn.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->conn.id.exe = STR("/bin/agent");
    arena_init(&b->conn.arena, CONN_ARENA_MAX);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sink) != 0 ||
        sink_new(sink[0], false, false, &host, &b->egress.sink, &e) != ERR_OK ||
        target_parse(STR("api.test:443"), 0, &b->target, &e) != ERR_OK)
        abort();
    b->sink = sink[1];
    conn_target(&b->conn, target_host(&b->target), b->target.port);
    b->client = pair_of(&b->c.fd);
    b->upstream = pair_of(&b->s.fd);
    buf_init(&b->c.log, MIB);
    buf_init(&b->s.log, MIB);
    b->s.echo = true;
    if (http2_new(HTTP2_CLIENT, &calls, &b->c, &b->c.h, &e) != ERR_OK ||
        http2_new(HTTP2_SERVER, &calls, &b->s, &b->s.h, &e) != ERR_OK ||
        pthread_create(&b->thread, NULL, serve, b) != 0)
        abort();
}

static void bench_done(struct bench *b)
{
    fd_close(&b->c.fd);
    fd_close(&b->s.fd);
    (void)pthread_join(b->thread, NULL);
    http2_free(b->c.h);
    http2_free(b->s.h);
    buf_done(&b->c.log);
    buf_done(&b->s.log);
    fd_close(&b->sink);
    fd_close(&b->conn.cancel_fd);
    sink_free(b->egress.sink);
    snapshot_unref(b->egress.policy);
    arena_done(&b->conn.arena);
    (void)pthread_mutex_destroy(&b->egress.lock);
}

static int32_t ask(struct bench *b, const char *method, const char *authority, const char *path, bool end)
{
    const struct http1_header f[] = {{STR(":method"), str_of(method)},       {STR(":scheme"), STR("https")},
                                     {STR(":authority"), str_of(authority)}, {STR(":path"), str_of(path)},
                                     {STR("te"), STR("trailers")},           {STR("x"), STR("y")}};
    struct err e;
    int32_t id = 0;
    if (http2_request(b->c.h, f, ARRAY_LEN(f), end, &id, &e) != ERR_OK)
        tap_note("%s", e.msg);
    return id;
}

static void expect(struct bench *b, bool ok, const char *server, const char *client, const char *rule)
{
    bool same = str_starts(buf_str(&b->s.log), str_of(server)) && (*server || b->s.log.n == 0) &&
                str_starts(buf_str(&b->c.log), str_of(client)) && (*client || b->c.log.n == 0);
    if (!tap_ok(ok && same, "%s", rule))
        tap_note("server %.*s\n# client %.*s, closed %zu with %zu", (int)b->s.log.n, buf_str(&b->s.log).p,
                 (int)b->c.log.n, buf_str(&b->c.log).p, b->c.closed, b->c.last_code);
    buf_clear(&b->s.log);
    buf_clear(&b->c.log);
}

// ---- tests
// --------------------------------------------------------------------------------------------------

static void test_grpc(void)
{
    static const struct http1_header sent[] = {{STR_INIT("t"), STR_INIT("1")}};
    static struct bench b;
    struct err e;
    bench_start(&b);
    int32_t id = ask(&b, "POST", "API.test:443", "/pkg.Service/Echo?a=b", false);
    talk(&b);
    expect(&b, true, "[POST /pkg.Service/Echo?a=b api.test te=trailers x=y]",
           "[103][200 content-type=application/grpc]", "a call goes through before its body has ended");
    (void)http2_write(b.c.h, id, STR("ping"), &e);
    talk(&b);
    expect(&b, true, "ping", "ping", "bytes go both ways while both directions are open");
    (void)http2_finish(b.c.h, id, sent, 1, &e);
    talk(&b);
    expect(&b, b.c.closed == 1 && b.c.last_code == 0, "[end t=1]", "[end grpc-status=0 grpc-message=fine]",
           "trailers of both directions arrive");
    (void)ask(&b, "GET", "api.test", "/ok", true);
    talk(&b);
    expect(&b, b.c.closed == 2, "[GET /ok api.test te=trailers x=y end]",
           "[103][200 content-type=application/grpc][end]", "the same connection takes another request");
    bench_done(&b);
}

static void test_denied(void)
{
    static struct bench b;
    struct err e;
    bench_start(&b);
    (void)ask(&b, "POST", "api.test", "/pkg.Service/Delete", true);
    talk(&b);
    bool json = memmem(buf_str(&b.c.log).p, b.c.log.n, "\"policy_denied\"", 15) || b.c.data > 100;
    expect(&b, json && b.c.closed == 1, "",
           "[403 content-length=", "a method that the policy does not name is answered, and asked of nobody");
    (void)ask(&b, "POST", "api.test", "/pkg.Service/%2e%2e/ok", true);
    talk(&b);
    expect(&b, b.c.closed == 2, "", "[403 content-length=", "the canonical path is decided on");
    (void)ask(&b, "GET", "evil.test", "/ok", true);
    talk(&b);
    expect(&b, b.c.closed == 3, "", "[403 content-length=", "another authority is refused");
    (void)ask(&b, "GET", "api.test", "/\xc0", true);
    (void)ask(&b, "GET", "api.test", "/ok%", true);
    talk(&b);
    expect(&b, b.c.closed == 5, "", "[400 content-length=0 end]",
           "a path that has no canonical form is refused");
    int32_t id = ask(&b, "POST", "api.test", "/pkg.Service/Delete", false);
    (void)http2_write(b.c.h, id, STR("rest"), &e);
    talk(&b);
    expect(&b, b.c.closed == 5, "", "[403 content-length=", "a refused request is answered before its end");
    (void)http2_finish(b.c.h, id, NULL, 0, &e);
    talk(&b);
    tap_ok(b.c.closed == 6 && b.c.last_code == HTTP2_NO_ERROR, "its rest is thrown away");
    static char much[80 * KIB];
    id = ask(&b, "POST", "api.test", "/pkg.Service/Delete", false);
    (void)http2_write(b.c.h, id, (struct str){much, sizeof(much)}, &e);
    talk(&b);
    expect(&b, b.c.closed == 7 && b.c.last_code == HTTP2_NO_ERROR, "",
           "[403 content-length=", "too much of it is reset, without an error");
    (void)ask(&b, "GET", "api.test", "/ok", true);
    talk(&b);
    expect(&b, b.c.closed == 8, "[GET /ok", "[103][200", "none of this harms the connection");
    bench_done(&b);
}

static void test_reload(void)
{
    static struct bench b;
    struct err e;
    bench_start(&b);
    int32_t id = ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    talk(&b);
    expect(&b, true, "[POST", "[103][200", "a stream under the first policy");
    struct snapshot *none = NULL;
    size_t cut = 0;
    bool ok = snapshot_quarantine(STR("closed"), 2, &none, &e) == ERR_OK &&
              egress_reload(&b.egress, none, 1'000, &cut, &e) == ERR_OK;
    (void)ask(&b, "GET", "api.test", "/ok", true);
    talk(&b);
    expect(&b, ok && b.c.closed == 1, "", "[403 content-length=", "a new stream is under the new one");
    (void)http2_write(b.c.h, id, STR("x"), &e);
    (void)http2_finish(b.c.h, id, NULL, 0, &e);
    talk(&b);
    expect(&b, b.c.closed == 2 && b.c.last_code == 0, "x[end]", "x[end grpc-status=0",
           "the open one ends under the old one");
    tap_ok(http2_is_leaving(b.c.h) && b.c.ended, "and with it the connection, which the new one refuses");
    bench_done(&b);

    bench_start(&b);
    (void)ask(&b, "GET", "api.test", "/ok", true);
    talk(&b);
    tap_ok(b.c.closed == 1 && !b.c.ended, "an idle connection is kept");
    const uint64_t one = 1;
    ok = write(b.conn.cancel_fd, &one, sizeof(one)) == sizeof(one);
    talk(&b);
    tap_ok(ok && http2_is_leaving(b.c.h) && b.c.ended && b.s.ended, "until a reload cuts it");
    bench_done(&b);
}

static void test_pressure(void)
{
    static char block[HTTP2_STREAM_WINDOW];
    static struct bench b;
    struct err e;
    bench_start(&b);
    b.c.keep = true;
    int32_t id = ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    size_t sent = 0;
    for (int i = 0; i < 40; i++) {
        if (http2_write(b.c.h, id, (struct str){block, sizeof(block)}, &e) == ERR_OK)
            sent += sizeof(block);
        talk(&b);
    }
    size_t limit = 8 * sizeof(block);
    tap_ok(b.s.data < limit && b.c.data == sizeof(block),
           "a client that does not read stops itself, not the memory: %zu sent, %zu of them at the server",
           sent, b.s.data);
    buf_clear(&b.s.log);
    buf_clear(&b.c.log);
    (void)ask(&b, "GET", "api.test", "/ok", true);
    talk(&b);
    expect(&b, true, "[GET /ok", "[103][200", "and not its other streams");
    b.c.keep = false;
    http2_consume(b.c.h, id, b.c.data);
    talk(&b);
    (void)http2_finish(b.c.h, id, NULL, 0, &e);
    talk(&b);
    tap_ok(b.c.data == sent && b.s.data == sent && b.c.closed == 2, "and everything arrives: %zu of %zu",
           b.c.data, sent);
    bench_done(&b);
}

static void test_ends(void)
{
    static struct bench b;
    bench_start(&b);
    (void)ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    talk(&b);
    b.s.echo = false;
    (void)ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    talk(&b);
    buf_clear(&b.c.log);
    buf_clear(&b.s.log);
    (void)shutdown(b.s.fd, SHUT_RDWR);
    talk(&b);
    expect(&b, b.c.closed >= 1 && http2_is_leaving(b.c.h), "",
           "[502 content-length=", "a server that is lost: 502 where nothing was answered");
    tap_ok(b.c.ended, "and the connection ends with its last stream");
    bench_done(&b);

    bench_start(&b);
    b.s.echo = false;
    int32_t id = ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    talk(&b);
    http2_reset(b.c.h, id, HTTP2_CANCEL);
    talk(&b);
    tap_ok(b.s.closed == 1 && b.s.last_code == HTTP2_CANCEL, "a cancelled call is cancelled at the server");
    id = ask(&b, "POST", "api.test", "/pkg.Service/Echo", false);
    talk(&b);
    http2_reset(b.s.h, id, HTTP2_REFUSED_STREAM);
    talk(&b);
    tap_ok(b.c.closed == 2 && b.c.last_code == HTTP2_REFUSED_STREAM, "and a refused one at the client: %zu",
           b.c.last_code);
    http2_leave(b.s.h);
    talk(&b);
    tap_ok(http2_is_leaving(b.c.h) && b.c.ended, "a server that leaves: so do we");
    bench_done(&b);
}

static void test_flood(void)
{
    static struct bench b;
    bench_start(&b);
    talk(&b);
    // The library would not send this many: bytes by hand.
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, MIB);
    for (int i = 0; i <= HTTP2_CHEAP_BURST + 100; i++)
        buf_add(&out, (struct str){"\0\0\x8\6\0\0\0\0\0"
                                   "12345678",
                                   17});
    (void)send(b.c.fd, out.p, out.n, MSG_NOSIGNAL);
    talk(&b);
    tap_ok(b.c.ended, "a flood ends the connection");
    bench_done(&b);
}

static void test_many(void)
{
    static struct bench b;
    struct err e;
    bench_start(&b);
    bool ok = true;
    for (size_t round = 0; round < 5; round++) {
        int32_t id[HTTP2_STREAMS_MAX];
        for (size_t i = 0; i < ARRAY_LEN(id); i++) {
            id[i] = ask(&b, "POST", "api.test", i % 10 ? "/pkg.Service/Echo" : "/pkg.Service/No", false);
            ok = http2_write(b.c.h, id[i], STR("hello"), &e) == ERR_OK && ok;
        }
        talk(&b);
        for (size_t i = 0; i < ARRAY_LEN(id); i++) {
            if (i % 3 == 1)
                http2_reset(b.c.h, id[i], HTTP2_CANCEL);
            else
                (void)http2_finish(b.c.h, id[i], NULL, 0, &e);
        }
        talk(&b);
    }
    tap_ok(ok && b.c.closed == 5 * HTTP2_STREAMS_MAX && http2_streams(b.s.h) == 0,
           "many streams at once, some refused, some cancelled: %zu", b.c.closed);
    bench_done(&b);
}

int main(void)
{
    test_grpc();
    test_denied();
    test_reload();
    test_pressure();
    test_ends();
    test_flood();
    test_many();
    return tap_done();
}
