// Both sides of TLS against OpenSSL's own peers, and against each other, over socket pairs.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/tls_internal.h"
#include "tap.h"

static struct wait in_ms(int ms)
{
    return (struct wait){.deadline_ns = deadline_in_ms(ms), .cancel_fd = -1};
}

static struct stream *pair(int *peer)
{
    int fd[2];
    struct stream *s = NULL;
    struct err e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 || stream_socket(fd[0], &s, &e) != ERR_OK)
        abort();
    *peer = fd[1];
    return s;
}

static struct tls_ca *ca;
static struct tls_client *trusting; // the CA
static struct buf ca_pem;

// One of OpenSSL's peers: a thread that shakes hands and echoes until the end, then says close_notify.
struct peer {
    SSL_CTX *ctx;
    bool server;
    const char *sni, *alpn;
    SSL_SESSION *session; // to offer, or what came
    int fd;
    bool ok, reused, bare_end, h2;
    char host[300]; // what the client said
    pthread_t thread;
};

static void *peer_main(void *arg)
{
    struct peer *p = arg;
    SSL *ssl = SSL_new(p->ctx);
    if (!ssl || SSL_set_fd(ssl, p->fd) != 1)
        abort();
    if (p->sni)
        (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                       (char *)(uintptr_t)p->sni);
    if (p->alpn)
        (void)SSL_set_alpn_protos(ssl, (const unsigned char *)p->alpn, (unsigned)strlen(p->alpn));
    if (p->session && !p->server)
        (void)SSL_set_session(ssl, p->session);
    p->ok = (p->server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1;
    p->reused = SSL_session_reused(ssl);
    const unsigned char *alpn = NULL;
    unsigned alpn_n = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_n);
    p->h2 = alpn_n == 2;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(p->host, sizeof(p->host), "%s", name ? name : "");
    char b[16 * KIB];
    if (p->ok && !p->server)
        (void)SSL_write(ssl, "hello", 5);
    for (int n; p->ok && (n = SSL_read(ssl, b, sizeof(b))) > 0;)
        if (p->server && SSL_write(ssl, b, n) != n)
            break;
    if (p->ok && !p->bare_end)
        (void)SSL_shutdown(ssl);
    if (!p->server && p->ok) {
        SSL_SESSION_free(p->session);
        p->session = SSL_get1_session(ssl);
    }
    SSL_free(ssl);
    fd_close(&p->fd);
    ERR_clear_error();
    return NULL;
}

static void peer_start(struct peer *p, int fd)
{
    p->fd = fd;
    if (pthread_create(&p->thread, NULL, peer_main, p) != 0)
        abort();
}

static SSL_CTX *client_ctx(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1)
        abort();
    SSL_CTX_set_security_level(ctx, version < TLS1_2_VERSION ? 0 : 2);
    return ctx;
}

static SSL_CTX *server_ctx(struct tls_ca *by, const char *host, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *leaf = NULL;
    struct err e;
    if (!ctx || tls_ca_leaf(by, str_of(host), &leaf, &e) != ERR_OK ||
        SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, tls_ca_leaf_key(by)) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1 || SSL_CTX_set_min_proto_version(ctx, version) != 1)
        abort();
    X509_free(leaf);
    return ctx;
}

// ---- the server side
// ----------------------------------------------------------------------------------------

struct accepted {
    enum err_code r;
    struct err e;
    bool h2;
    struct peer peer;
};

// One connection of OpenSSL's client to ours; the hello is read, then the stream is ended.
static struct accepted accept_one(const char *host, struct peer peer, bool offer_h2)
{
    struct accepted a = {.peer = peer};
    int fd;
    struct stream *below = pair(&fd), *s = NULL;
    peer_start(&a.peer, fd);
    struct wait w = in_ms(5000);
    a.r = tls_accept(ca, below, str_of(host), offer_h2, &w, &s, &a.h2, &a.e);
    if (a.r == ERR_OK) {
        char b[16];
        size_t n = 0;
        a.r = stream_read(s, b, sizeof(b), &n, &w, &a.e);
        if (a.r == ERR_OK && n == 5)
            a.r = stream_end(s, &w, &a.e);
    }
    if (a.r == ERR_OK) {
        char b[16];
        size_t n = 1;
        a.r = stream_read(s, b, sizeof(b), &n, &w, &a.e); // the peer's own end
        if (a.r == ERR_OK && n != 0)
            a.r = ERR_INTERNAL;
    }
    if (s)
        stream_free(s);
    else
        stream_free(below);
    (void)pthread_join(a.peer.thread, NULL);
    return a;
}

static void test_accept(int version, const char *name)
{
    SSL_CTX *ctx = client_ctx(version);
    struct accepted a = accept_one("api.example.test", (struct peer){.ctx = ctx, .sni = "API.example.test"},
                                   false);
    tap_ok(a.r == ERR_OK && a.peer.ok && !a.peer.reused, "%s: a client is served: %s", name, a.e.msg);
    for (int i = 0; i < 3; i++) {
        a = accept_one("api.example.test",
                       (struct peer){.ctx = ctx, .sni = "api.example.test", .session = a.peer.session},
                       false);
        tap_ok(a.r == ERR_OK && a.peer.ok && a.peer.reused, "%s: and resumes, time after time (%d)", name, i);
    }
    SSL_SESSION_free(a.peer.session);
    a = accept_one("api.example.test", (struct peer){.ctx = ctx}, false);
    tap_ok(a.r == ERR_OK && a.peer.ok, "%s: a client that names no server is served", name);
    SSL_SESSION_free(a.peer.session);
    a = accept_one("api.example.test", (struct peer){.ctx = ctx, .sni = "evil.test"}, false);
    tap_ok(a.r == ERR_DENIED && !a.peer.ok &&
               str_eq(str_of(a.e.msg), STR("the client's SNI is not 'api.example.test'")),
           "%s: one that names another is not: %s", name, a.e.msg);
    a = accept_one("192.0.2.7", (struct peer){.ctx = ctx, .sni = "192.0.2.7"}, false);
    tap_ok(a.r == ERR_OK && a.peer.ok, "%s: a literal may be said as a name", name);
    SSL_SESSION_free(a.peer.session);
    SSL_CTX_free(ctx);
}

static void test_alpn(void)
{
    static const struct {
        const char *offered;
        bool h2, ok, want_h2;
        const char *rule;
    } rows[] = {
        {"\x02h2\x08http/1.1", true, true, true, "HTTP/2 where both have it"},
        {"\x08http/1.1\x02h2", true, true, true, "in our order, not the client's"},
        {"\x02h2\x08http/1.1", false, true, false, "HTTP/1.1 where we do not offer HTTP/2"},
        {"\x08http/1.1", true, true, false, "HTTP/1.1 where the client has no more"},
        {NULL, true, true, false, "HTTP/1.1 where nothing is said"},
        {"\x02h2", false, false, false, "nothing in common is no connection"},
    };
    SSL_CTX *ctx = client_ctx(TLS1_3_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct accepted a = accept_one("a.test", (struct peer){.ctx = ctx, .alpn = rows[i].offered},
                                       rows[i].h2);
        bool ok = (a.r == ERR_OK) == rows[i].ok && a.peer.ok == rows[i].ok;
        tap_ok(ok && (!rows[i].ok || (a.h2 == rows[i].want_h2 && a.peer.h2 == rows[i].want_h2)), "ALPN: %s",
               rows[i].rule);
        SSL_SESSION_free(a.peer.session);
    }
    SSL_CTX_free(ctx);
}

// ---- the client side
// ----------------------------------------------------------------------------------------

struct connected {
    enum err_code r;
    struct err e;
    struct peer peer;
};

static struct connected connect_one(struct tls_client *c, const char *host, struct peer peer)
{
    struct connected x = {.peer = peer};
    int fd;
    struct stream *below = pair(&fd), *s = NULL;
    x.peer.server = true;
    peer_start(&x.peer, fd);
    struct wait w = in_ms(5000);
    bool h2;
    x.r = tls_connect(c, below, str_of(host), 443, false, &w, &s, &h2, &x.e);
    char b[16] = {};
    size_t n = 0;
    if (x.r == ERR_OK)
        x.r = stream_write(s, STR("ping"), &w, &x.e);
    if (x.r == ERR_OK)
        x.r = stream_read(s, b, sizeof(b), &n, &w, &x.e);
    if (x.r == ERR_OK && (n != 4 || memcmp(b, "ping", 4) != 0))
        x.r = err_set(&x.e, ERR_INTERNAL, "not what was sent");
    if (x.r == ERR_OK)
        x.r = stream_end(s, &w, &x.e);
    if (x.r == ERR_OK)
        x.r = stream_read(s, b, sizeof(b), &n, &w, &x.e);
    stream_free(s ? s : below);
    (void)pthread_join(x.peer.thread, NULL);
    return x;
}

static void test_connect(int version, const char *name)
{
    SSL_CTX *ctx = server_ctx(ca, "api.example.test", version);
    for (int i = 0; i < 4; i++) {
        struct connected x = connect_one(trusting, "api.example.test", (struct peer){.ctx = ctx});
        tap_ok(x.r == ERR_OK && x.peer.reused == (i > 0) &&
                   (i > 0 || strcmp(x.peer.host, "api.example.test") == 0),
               "%s: a server is verified, then resumed every time (%d): %s", name, i, x.e.msg);
    }
    struct connected x = connect_one(trusting, "other.example.test", (struct peer){.ctx = ctx});
    tap_ok(x.r == ERR_DENIED && !x.peer.ok &&
               str_eq(str_of(x.e.msg), STR("TLS handshake with the server: certificate: hostname mismatch")),
           "%s: a certificate for another host is refused: %s", name, x.e.msg);
    x = connect_one(trusting, "api.example.test", (struct peer){.ctx = ctx, .bare_end = true});
    tap_ok(x.r == ERR_UNAVAILABLE && strstr(x.e.msg, "truncated"), "%s: a bare end is no end: %s", name,
           x.e.msg);
    SSL_CTX_free(ctx);
}

static void test_trust(void)
{
    struct tls_ca *other = NULL;
    struct err e = {};
    if (tls_ca_new(&other, &e) != ERR_OK)
        abort();
    SSL_CTX *ctx = server_ctx(other, "api.example.test", TLS1_3_VERSION);
    struct connected x = connect_one(trusting, "api.example.test", (struct peer){.ctx = ctx});
    tap_ok(x.r == ERR_DENIED, "a certificate of an unknown CA is refused: %s", x.e.msg);
    SSL_CTX_free(ctx);
    tls_ca_free(other);

    static const char *const literals[] = {"192.0.2.7", "2001:db8::1"};
    for (size_t i = 0; i < 2; i++) {
        ctx = server_ctx(ca, literals[i], TLS1_3_VERSION);
        x = connect_one(trusting, literals[i], (struct peer){.ctx = ctx});
        tap_ok(x.r == ERR_OK && x.peer.host[0] == '\0',
               "%s is verified as an address, and not said as a name", literals[i]);
        x = connect_one(trusting, "192.0.2.8", (struct peer){.ctx = ctx});
        tap_ok(x.r == ERR_DENIED, "and is no other: %s", x.e.msg);
        SSL_CTX_free(ctx);
    }
    SSL_CTX *old = client_ctx(TLS1_1_VERSION);
    struct accepted a = accept_one("a.test", (struct peer){.ctx = old}, false);
    tap_ok(a.r == ERR_UNAVAILABLE && !a.peer.ok, "TLS 1.1 is refused: %s", a.e.msg);
    SSL_CTX_free(old);

    struct tls_client *c = NULL;
    bool ok = tls_client_new(STR(""), &c, &e) == ERR_INVALID && !c;
    tap_ok(ok && strstr(e.msg, "no trusted certificates"), "a bundle of nothing is refused: %s", e.msg);
    struct str bad = STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    if (tls_client_new(bad, &c, &e) != ERR_OK)
        return;
    SSL_CTX *none = NULL;
    for (int i = 0; i < 2; i++)
        tap_ok(tls_client_ctx(c, &none, &e) == ERR_INVALID && !none,
               "so is one that cannot be read, by its user: %s", e.msg);
    tls_client_free(c);
}

// ---- waiting
// ------------------------------------------------------------------------------------------------

struct ends {
    struct stream *server, *client;
};

static void *accept_main(void *arg)
{
    struct ends *x = arg;
    struct stream *below = x->server;
    struct wait w = in_ms(5000);
    bool h2;
    struct err e;
    x->server = NULL;
    if (tls_accept(ca, below, STR("a.test"), false, &w, &x->server, &h2, &e) != ERR_OK)
        abort();
    return NULL;
}

// Two of ours over `a` and `b`, which are connected.
static struct ends shake(struct stream *a, struct stream *b)
{
    struct ends x = {.server = a};
    pthread_t thread;
    struct wait w = in_ms(5000);
    bool h2;
    struct err e;
    if (pthread_create(&thread, NULL, accept_main, &x) != 0 ||
        tls_connect(trusting, b, STR("a.test"), 443, false, &w, &x.client, &h2, &e) != ERR_OK)
        abort();
    (void)pthread_join(thread, NULL);
    return x;
}

static struct stream *socket_of(int fd)
{
    struct stream *s = NULL;
    struct err e;
    if (stream_socket(fd, &s, &e) != ERR_OK)
        abort();
    return s;
}

static void test_waits(void)
{
    int fd;
    struct stream *a = pair(&fd);
    struct ends x = shake(a, socket_of(fd));
    struct err e = {};
    char b[16];
    size_t n = 0;
    struct wait w = in_ms(50);
    int64_t t0 = clock_ns();
    bool ok = stream_read(x.server, b, sizeof(b), &n, &w, &e) == ERR_TIMEOUT && clock_ns() - t0 >= 50'000'000;
    tap_ok(ok, "TLS: a read waits for its deadline");
    int cancel = eventfd(1, EFD_CLOEXEC);
    w = (struct wait){.deadline_ns = DEADLINE_NEVER, .cancel_fd = cancel};
    tap_ok(stream_read(x.server, b, sizeof(b), &n, &w, &e) == ERR_DENIED, "TLS: a cancel fd ends it");
    (void)close(cancel);
    w = in_ms(1000);
    ok = stream_write(x.client, STR("abcdef"), &w, &e) == ERR_OK &&
         stream_read(x.server, b, 2, &n, &w, &e) == ERR_OK && n == 2 && stream_pending(x.server) == 4;
    tap_ok(ok, "TLS: what was opened and not read is pending");
    ok = stream_read(x.server, b, 16, &n, &w, &e) == ERR_OK && n == 4 && stream_pending(x.server) == 0;
    tap_ok(ok, "TLS: until it is read, after any number of waits");

    static char big[4 * MIB], back[64 * KIB];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 2654435761U >> 13);
    const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};
    size_t sent = 0, got = 0;
    ok = true;
    while (ok && got < sizeof(big)) { // a writer that never waits, one record retried until it is through
        size_t part = 0;
        enum err_code r = sent == sizeof(big)
                              ? ERR_TIMEOUT
                              : stream_write_some(x.client, (struct str){big + sent, sizeof(big) - sent},
                                                  &part, &now, &e);
        sent += r == ERR_OK ? part : 0;
        ok = r == ERR_OK || r == ERR_TIMEOUT;
        while (r == ERR_TIMEOUT && stream_read(x.server, back, sizeof(back), &n, &now, &e) == ERR_OK) {
            ok &= memcmp(back, big + got, n) == 0;
            got += n;
        }
    }
    tap_ok(ok && sent == got, "TLS: records that would block are taken up again, whole");
    w = in_ms(50);
    ok = stream_write(x.client, (struct str){big, sizeof(big)}, &w, &e) == ERR_TIMEOUT;
    tap_ok(ok, "TLS: a peer that reads nothing stops a write until its deadline");
    stream_free(x.client);
    stream_free(x.server);
}

// ---- in a tunnel
// --------------------------------------------------------------------------------------------

struct relayed {
    struct stream *a, *b;
    uint64_t counts[2];
    enum err_code r;
    struct err e;
    int64_t cpu_ns;
};

static void *relay_main(void *arg)
{
    struct relayed *x = arg;
    struct timespec t;
    struct wait w = {.deadline_ns = DEADLINE_NEVER, .cancel_fd = -1};
    x->r = stream_relay(x->a, x->b, 0, &w, x->counts, &x->e);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    x->cpu_ns = t.tv_sec * 1'000'000'000 + t.tv_nsec;
    return NULL;
}

// The relay's end speaks TLS; half a record arrives, then nothing for a while, then the rest.
static void test_part_of_record(void)
{
    int wire, plain;
    struct stream *near = pair(&wire);
    struct ends x = {};
    int fd;
    struct stream *far = pair(&fd);
    x = shake(near, socket_of(wire)); // directly first
    // From here on the client's records go through our hands.
    int between[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, between) != 0)
        abort();
    int held = dup(x.client->fd), server_side = dup(x.server->fd);
    if (dup2(fd, x.client->fd) < 0 || dup2(between[0], x.server->fd) < 0)
        abort();
    (void)fd_set_nonblock(x.client->fd);
    (void)fd_set_nonblock(x.server->fd);
    struct relayed t = {.a = x.server, .b = pair(&plain)};
    pthread_t thread;
    struct wait w = in_ms(1000);
    struct err e = {};
    if (pthread_create(&thread, NULL, relay_main, &t) != 0 ||
        stream_write(x.client, STR("in two parts"), &w, &e) != ERR_OK)
        abort();
    struct wait more = in_ms(1000);
    char b[64];
    size_t n = 0;
    if (stream_read(far, b, sizeof(b), &n, &more, &e) != ERR_OK)
        abort();
    bool ok = n > 20 && write(between[1], b, 12) == 12;
    (void)usleep(200'000);
    ok = ok && write(between[1], b + 12, n - 12) == (ssize_t)n - 12 && read(plain, b, sizeof(b)) == 12 &&
         memcmp(b, "in two parts", 12) == 0;
    fd_close(&plain);
    (void)shutdown(between[1], SHUT_WR);
    (void)pthread_join(thread, NULL);
    tap_ok(ok, "relayed TLS: a record in two parts arrives");
    tap_ok(t.cpu_ns < 50'000'000, "relayed TLS: and the relay does not spin in between (%d us)",
           (int)(t.cpu_ns / 1000));
    tap_ok(t.r == ERR_UNAVAILABLE, "relayed TLS: a bare end is an error: %s", t.e.msg);
    stream_free(t.a);
    stream_free(t.b);
    stream_free(x.client);
    stream_free(far);
    int fds[] = {fd, between[0], between[1], held, server_side};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        (void)close(fds[i]);
}

static void *echo_main(void *arg)
{
    struct stream *s = arg;
    struct wait w = in_ms(10'000);
    struct err e;
    static char b[64 * KIB];
    for (size_t n; stream_read(s, b, sizeof(b), &n, &w, &e) == ERR_OK;) {
        if (n == 0)
            return stream_end(s, &w, &e) == ERR_OK ? s : NULL;
        if (stream_write(s, (struct str){b, n}, &w, &e) != ERR_OK)
            return NULL;
    }
    return NULL;
}

struct sender {
    struct stream *s;
    size_t n;
    bool ok;
};

static void *send_main(void *arg)
{
    struct sender *x = arg;
    char b[1000] = {};
    struct wait w = in_ms(10'000);
    struct err e;
    x->ok = true;
    for (size_t i = 0; x->ok && i < x->n / sizeof(b); i++)
        x->ok = stream_write(x->s, (struct str){b, sizeof(b)}, &w, &e) == ERR_OK;
    x->ok = x->ok && stream_end(x->s, &w, &e) == ERR_OK;
    return NULL;
}

// Client, relay over two TLS ends, echoing server. One thread reads and one writes each plain end, since a
// TLS stream is one thread's.
static void test_relayed(void)
{
    enum { N = 2'000'000 };
    int fd1, fd2, client;
    struct stream *s1 = pair(&fd1), *s2 = pair(&fd2);
    struct ends front = shake(s1, socket_of(fd1)), back = shake(s2, socket_of(fd2));
    // plain client <-> relay1 <-> TLS <-> relay2 <-> TLS <-> echo
    struct relayed r1 = {.a = pair(&client), .b = front.client}, r2 = {.a = front.server, .b = back.client};
    pthread_t t[4];
    struct stream *c = socket_of(client), *cw = socket_of(dup(client));
    struct sender x = {.s = cw, .n = N};
    if (pthread_create(&t[0], NULL, relay_main, &r1) != 0 ||
        pthread_create(&t[1], NULL, relay_main, &r2) != 0 ||
        pthread_create(&t[2], NULL, echo_main, back.server) != 0 ||
        pthread_create(&t[3], NULL, send_main, &x) != 0)
        abort();
    char b[4096];
    struct wait w = in_ms(20'000);
    struct err e = {};
    size_t got = 0;
    enum err_code r = ERR_OK;
    for (size_t n = 1; r == ERR_OK && n > 0; got += n)
        r = stream_read(c, b, sizeof(b), &n, &w, &e);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    tap_ok(r == ERR_OK && x.ok && got == N && r1.r == ERR_OK && r2.r == ERR_OK,
           "relayed TLS: all there and back, and each end behind its bytes: %zu %s %s", got, r1.e.msg,
           r2.e.msg);
    struct stream *all[] = {c, cw, r1.a, r1.b, r2.a, r2.b, back.server};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        stream_free(all[i]);
}

int main(void)
{
    struct err e = {};
    (void)signal(SIGPIPE, SIG_IGN);
    buf_init(&ca_pem, 16 * KIB);
    if (tls_ca_new(&ca, &e) != ERR_OK || tls_ca_pem(ca, &ca_pem, &e) != ERR_OK ||
        tls_client_new(buf_str(&ca_pem), &trusting, &e) != ERR_OK) {
        (void)tap_ok(false, "start: %s", e.msg);
        return tap_done();
    }
    test_accept(TLS1_2_VERSION, "TLS 1.2");
    test_accept(TLS1_3_VERSION, "TLS 1.3");
    test_alpn();
    test_connect(TLS1_2_VERSION, "TLS 1.2");
    test_connect(TLS1_3_VERSION, "TLS 1.3");
    test_trust();
    test_waits();
    test_part_of_record();
    test_relayed();
    tls_client_free(trusting);
    tls_ca_free(ca);
    buf_done(&ca_pem);
    return tap_done();
}
