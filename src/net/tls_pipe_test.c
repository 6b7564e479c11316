#include "net/tls_pipe.h"

#include "net/pki.h"
#include "net/tls_side.h"
#include "tap.h"

#include <openssl/ssl.h>

// Two ends in one thread, their bytes carried by hand.

enum { PEM_MAX = 64 * KIB };

struct creds {
    struct buf cert, key;
};

static struct {
    struct pki *ca, *other;
    struct buf ca_pem, other_pem;
    struct creds server, expired, foreign, as_client; // servers'
    struct creds client, client_expired, client_foreign, client_odd;
} t;

static const struct str hosts[] = {STR_INIT("gateway.test"), STR_INIT("127.0.0.1")};

static void issue(struct pki *ca, const struct pki_leaf *leaf, struct creds *ret)
{
    struct err err = {};
    buf_init(&ret->cert, PEM_MAX);
    buf_init(&ret->key, PEM_MAX);
    if (pki_issue(ca, leaf, &ret->cert, &ret->key, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
}

static void make_pki(void)
{
    struct err err = {};
    buf_init(&t.ca_pem, PEM_MAX);
    buf_init(&t.other_pem, PEM_MAX);
    if (pki_new(STR("o"), STR("ca"), 10, &t.ca, &err) != ERR_OK ||
        pki_new(STR("o"), STR("ca"), 10, &t.other, &err) != ERR_OK ||
        pki_cert(t.ca, &t.ca_pem, &err) != ERR_OK || pki_cert(t.other, &t.other_pem, &err) != ERR_OK)
        abort();
    struct pki_leaf s = {.cn = STR("s"), .names = hosts, .names_n = 2, .server = true, .days = 1};
    struct pki_leaf c = {.cn = STR("ann"), .unit = STR("openshell-user"), .client = true, .days = 1};
    issue(t.ca, &s, &t.server);
    issue(t.other, &s, &t.foreign);
    issue(t.ca, &c, &t.client);
    issue(t.ca, &c, &t.as_client);
    issue(t.other, &c, &t.client_foreign);
    s.age_days = c.age_days = 3;
    s.days = c.days = -1;
    issue(t.ca, &s, &t.expired);
    issue(t.ca, &c, &t.client_expired);
    const struct pki_leaf odd = {.cn = STR(""), .client = true, .days = 1};
    issue(t.ca, &odd, &t.client_odd);
}

static void free_pki(void)
{
    struct creds *const all[] = {&t.server, &t.expired,        &t.foreign,        &t.as_client,
                                 &t.client, &t.client_expired, &t.client_foreign, &t.client_odd};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        buf_done(&all[i]->cert);
        buf_done(&all[i]->key);
    }
    buf_done(&t.ca_pem);
    buf_done(&t.other_pem);
    pki_free(t.ca);
    pki_free(t.other);
}

static struct tls_pair pair_of(const struct creds *c)
{
    return c ? (struct tls_pair){buf_str(&c->cert), buf_str(&c->key)} : (struct tls_pair){};
}

static struct tls_side *side(const struct tls_side_opts *o)
{
    struct tls_side *s = NULL;
    struct err err = {};
    if (tls_side_new(o, &s, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
    return s;
}

struct end {
    struct tls_pipe *pipe;
    enum err_code code;
    struct err err;
    char got[1 * KIB];
    size_t got_n;
};

static struct end end_of(struct tls_side *s, const char *host)
{
    struct end e = {};
    struct err err = {};
    if (tls_pipe_new(s, str_of(host), &e.pipe, &err) != ERR_OK) {
        tap_note("%s", err.msg);
        abort();
    }
    tls_side_unref(s); // the pipe has its share
    return e;
}

// What `from` has for the wire, to `to`, `step` bytes at a time.
static bool carry(struct end *from, struct end *to, size_t step)
{
    struct str out = str_head(tls_pipe_out(from->pipe), step);
    if (out.n == 0)
        return false;
    tls_pipe_put(to->pipe, out);
    for (size_t n = 1; n > 0 && to->code == ERR_OK;) {
        n = 0;
        to->code = tls_pipe_read(to->pipe, to->got + to->got_n, sizeof(to->got) - to->got_n, &n, &to->err);
        to->got_n += n;
    }
    tls_pipe_sent(from->pipe, out.n);
    return true;
}

static void talk(struct end *a, struct end *b, size_t step)
{
    size_t n = 0;
    if (a->code == ERR_OK)
        a->code = tls_pipe_read(a->pipe, a->got, 0, &n, &a->err);
    for (bool moved = true; moved;) {
        bool there = carry(a, b, step);
        moved = carry(b, a, step) || there;
    }
}

// ---- who is let in

static const struct {
    const char *rule;
    const struct creds *server, *client;
    bool other_ca; // what the client trusts
    bool server_asks, optional, insecure;
    const char *host;
    enum err_code client_code, server_code;
    const char *client_msg, *server_msg;
} rows[] = {
    {"TLS without client certificates", &t.server, NULL, false, false, false, false, "gateway.test", 0, 0, "",
     ""},
    {"an address is verified as one", &t.server, NULL, false, false, false, false, "127.0.0.1", 0, 0, "", ""},
    {"mTLS", &t.server, &t.client, false, true, false, false, "gateway.test", 0, 0, "", ""},
    {"a client certificate that may be left out", &t.server, NULL, false, true, true, false, "gateway.test",
     0, 0, "", ""},
    {"a certificate that nobody asked for", &t.server, &t.client, false, false, false, false, "gateway.test",
     0, 0, "", ""},
    {"the client trusts another CA", &t.server, NULL, true, false, false, false, "gateway.test", ERR_DENIED,
     ERR_UNAVAILABLE, "TLS: certificate: unable to get local issuer certificate",
     "TLS: the peer does not trust our certificate (unknown ca)"},
    {"the server's certificate is of another CA", &t.foreign, NULL, false, false, false, false,
     "gateway.test", ERR_DENIED, ERR_UNAVAILABLE, "TLS: certificate: unable to get local issuer certificate",
     "TLS: the peer does not trust our certificate (unknown ca)"},
    {"the server's certificate has expired", &t.expired, NULL, false, false, false, false, "gateway.test",
     ERR_DENIED, ERR_UNAVAILABLE, "TLS: certificate: certificate has expired",
     "TLS: the peer found our certificate expired"},
    {"the server has another name", &t.server, NULL, false, false, false, false, "other.test", ERR_DENIED,
     ERR_UNAVAILABLE, "TLS: certificate: hostname mismatch",
     "TLS: the peer does not take our certificate (bad certificate)"},
    {"the server has another address", &t.server, NULL, false, false, false, false, "127.0.0.2", ERR_DENIED,
     ERR_UNAVAILABLE, "TLS: certificate: IP address mismatch",
     "TLS: the peer does not take our certificate (bad certificate)"},
    {"a name does not stand for an address", &t.server, NULL, false, false, false, false, "localhost",
     ERR_DENIED, ERR_UNAVAILABLE, "TLS: certificate: hostname mismatch",
     "TLS: the peer does not take our certificate (bad certificate)"},
    {"a client's certificate is none for servers", &t.as_client, NULL, false, false, false, false,
     "gateway.test", ERR_DENIED, ERR_UNAVAILABLE, "TLS: certificate: unsuitable certificate purpose",
     "TLS: sslv3 alert unsupported certificate"},
    {"an insecure client takes what comes", &t.expired, NULL, true, false, false, true, "other.test", 0, 0,
     "", ""},
    {"no client certificate where one must be", &t.server, NULL, false, true, false, false, "gateway.test",
     ERR_UNAVAILABLE, ERR_DENIED, "TLS: the peer asks for a certificate of ours",
     "TLS: the client has shown no certificate"},
    {"a client certificate of another CA", &t.server, &t.client_foreign, false, true, false, false,
     "gateway.test", ERR_UNAVAILABLE, ERR_DENIED, "TLS: the peer does not trust our certificate (unknown ca)",
     "TLS: certificate: unable to get local issuer certificate"},
    {"nor where it might have been left out", &t.server, &t.client_foreign, false, true, true, false,
     "gateway.test", ERR_UNAVAILABLE, ERR_DENIED, "TLS: the peer does not trust our certificate (unknown ca)",
     "TLS: certificate: unable to get local issuer certificate"},
    {"a client certificate that has expired", &t.server, &t.client_expired, false, true, false, false,
     "gateway.test", ERR_UNAVAILABLE, ERR_DENIED, "TLS: the peer found our certificate expired",
     "TLS: certificate: certificate has expired"},
    {"a server's certificate is none for clients", &t.server, &t.server, false, true, false, false,
     "gateway.test", ERR_UNAVAILABLE, ERR_DENIED, "TLS: sslv3 alert unsupported certificate",
     "TLS: certificate: unsuitable certificate purpose"},
};

static void test_rows(size_t step)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct tls_side_opts so = {.server = true,
                                         .own = pair_of(rows[i].server),
                                         .ca = rows[i].server_asks ? buf_str(&t.ca_pem) : STR(""),
                                         .peer_optional = rows[i].optional};
        const struct tls_side_opts co = {.own = pair_of(rows[i].client),
                                         .ca = buf_str(rows[i].other_ca ? &t.other_pem : &t.ca_pem),
                                         .insecure = rows[i].insecure};
        struct end client = end_of(side(&co), rows[i].host), server = end_of(side(&so), "");
        talk(&client, &server, step);
        bool up = rows[i].client_code == ERR_OK;
        bool ok = client.code == rows[i].client_code && server.code == rows[i].server_code &&
                  strcmp(client.err.msg, rows[i].client_msg) == 0 &&
                  strcmp(server.err.msg, rows[i].server_msg) == 0 &&
                  (!up || (tls_pipe_is_up(client.pipe) && tls_pipe_is_up(server.pipe)));
        if (!tap_ok(ok, "%s", rows[i].rule))
            tap_note("client: %s; server: %s", client.err.msg, server.err.msg);
        if (rows[i].server_code != ERR_OK)
            tap_ok(!tls_pipe_is_up(server.pipe) || rows[i].client_code == ERR_DENIED,
                   "%s: the server is not up", rows[i].rule);
        tls_pipe_free(client.pipe);
        tls_pipe_free(server.pipe);
    }
}

// ---- what is said

static void open_pair(struct end *client, struct end *server, const struct creds *shown)
{
    const struct tls_side_opts so = {.server = true,
                                     .own = pair_of(&t.server),
                                     .ca = buf_str(&t.ca_pem),
                                     .peer_optional = true};
    const struct tls_side_opts co = {.own = pair_of(shown), .ca = buf_str(&t.ca_pem)};
    *client = end_of(side(&co), "gateway.test");
    *server = end_of(side(&so), "");
}

static void test_bytes(void)
{
    struct end client, server;
    struct err err = {};
    open_pair(&client, &server, &t.client);
    tap_ok(tls_pipe_write(client.pipe, STR("x"), &err) == ERR_PRECONDITION,
           "nothing is sealed before the handshake");
    talk(&client, &server, SIZE_MAX);
    struct tls_subject who;
    bool has = false;
    enum err_code c = tls_pipe_subject(server.pipe, &who, &has, &err);
    tap_ok(c == ERR_OK && has && strcmp(who.cn, "ann") == 0 && who.units_n == 1 &&
               strcmp(who.units[0], "openshell-user") == 0,
           "the server knows who the client is: %s %s", who.cn, err.msg);
    c = tls_pipe_write(client.pipe, STR("ping"), &err);
    talk(&client, &server, 3);
    tap_ok(c == ERR_OK && server.got_n == 4 && memcmp(server.got, "ping", 4) == 0,
           "bytes arrive, in whatever pieces");
    c = tls_pipe_write(server.pipe, STR("pong"), &err);
    talk(&client, &server, SIZE_MAX);
    tap_ok(c == ERR_OK && client.got_n == 4 && memcmp(client.got, "pong", 4) == 0, "and back");
    static char big[300'000];
    c = tls_pipe_write(client.pipe, (struct str){big, sizeof(big)}, &err);
    tap_ok(c == ERR_OK && tls_pipe_out(client.pipe).n > sizeof(big), "much is sealed at once");
    for (int i = 0; i < 10 && c == ERR_OK; i++)
        c = tls_pipe_write(client.pipe, (struct str){big, sizeof(big)}, &err);
    tap_ok(c == ERR_LIMIT, "but not without end: %s", err.msg);
    tls_pipe_free(client.pipe);
    tls_pipe_free(server.pipe);
    open_pair(&client, &server, NULL);
    talk(&client, &server, SIZE_MAX);
    c = tls_pipe_subject(server.pipe, &who, &has, &err);
    tap_ok(c == ERR_OK && !has && tls_pipe_is_up(server.pipe), "a client without certificate is nobody");
    tls_pipe_end(client.pipe);
    talk(&client, &server, SIZE_MAX);
    tap_ok(tls_pipe_has_ended(server.pipe) && !tls_pipe_has_ended(client.pipe), "an end is said and heard");
    tls_pipe_free(client.pipe);
    tls_pipe_free(server.pipe);
    open_pair(&client, &server, &t.client_odd);
    talk(&client, &server, SIZE_MAX);
    c = tls_pipe_subject(server.pipe, &who, &has, &err);
    tap_ok(c == ERR_OK && has && who.cn[0] == '\0' && who.units_n == 0, "a subject without names has none");
    tls_pipe_free(client.pipe);
    tls_pipe_free(server.pipe);
}

// ---- what is no TLS

static const struct {
    const char *bytes, *msg;
    size_t n;
} garbage[] = {
#define ROW(s, m)                                                                                            \
    {                                                                                                        \
        s, m, sizeof(s) - 1                                                                                  \
    }
    ROW("GET / HTTP/1.1\r\n\r\n", "TLS: the client speaks HTTP without TLS"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "TLS: the peer does not speak TLS"),
    ROW("SSH-2.0-x\r\n12345", "TLS: the peer does not speak TLS"),
    ROW("\0\0\0\0\0\0\0\0\0\0\0", "TLS: the peer does not speak TLS"),
    ROW("\x16\x03\x01\xff\xff\x01\0\0\0", "TLS: packet length too long"),
    ROW("\x15\x03\x01\0\x02\x02\x28", "TLS: unexpected message"),
};

static void test_garbage(void)
{
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        struct end client, server;
        open_pair(&client, &server, NULL);
        size_t n = 0;
        tls_pipe_put(server.pipe, (struct str){garbage[i].bytes, garbage[i].n});
        enum err_code c = tls_pipe_read(server.pipe, server.got, sizeof(server.got), &n, &server.err);
        if (!tap_ok(c == ERR_UNAVAILABLE && strcmp(server.err.msg, garbage[i].msg) == 0,
                    "refuses what is no TLS: row %zu", i))
            tap_note("%s", server.err.msg);
        c = tls_pipe_read(server.pipe, server.got, sizeof(server.got), &n, &server.err);
        tap_ok(c != ERR_OK, "and stays that way");
        tls_pipe_free(client.pipe);
        tls_pipe_free(server.pipe);
    }
}

// ---- sides

static const struct {
    const char *rule;
    const char *cert, *key, *ca;
    const char *msg;
} bad_sides[] = {
    {"a server without a certificate", "", "", "", "a server needs a certificate and its key"},
    {"a certificate that is none", "x", "x", "", "the certificate: there is no certificate in it"},
    {"a CA that is none", NULL, NULL, "x", "the certificates of the CA: there is no certificate in it"},
    {"a key that is none", NULL, "x", "", "the key: unsupported"},
};

static void test_sides(void)
{
    struct err err = {};
    for (size_t i = 0; i < ARRAY_LEN(bad_sides); i++) {
        struct tls_side *s = NULL;
        struct tls_side_opts o = {.server = true, .own = pair_of(&t.server), .ca = str_of(bad_sides[i].ca)};
        if (bad_sides[i].cert)
            o.own.cert = str_of(bad_sides[i].cert);
        if (bad_sides[i].key)
            o.own.key = str_of(bad_sides[i].key);
        enum err_code c = tls_side_new(&o, &s, &err);
        if (!tap_ok(c == ERR_INVALID && !s && strcmp(err.msg, bad_sides[i].msg) == 0, "refuses %s",
                    bad_sides[i].rule))
            tap_note("%s", err.msg);
    }
    struct tls_side *s = NULL;
    struct tls_side_opts o = {.server = true, .own = {buf_str(&t.server.cert), buf_str(&t.foreign.key)}};
    tap_ok(tls_side_new(&o, &s, &err) == ERR_INVALID && !s, "refuses a key of another certificate: %s",
           err.msg);
    tap_ok(tls_side_load(&(struct tls_files){.server = true, .cert = "/nonexistent"}, &s, &err) ==
                   ERR_INVALID &&
               !s,
           "refuses a certificate without a key: %s", err.msg);
    tap_ok(tls_side_load(&(struct tls_files){.cert = "/nonexistent", .key = "/nonexistent"}, &s, &err) ==
                   ERR_NOT_FOUND &&
               !s,
           "refuses a file that is not there: %s", err.msg);
}

static const struct {
    const char *pattern, *name;
    bool matches;
} name_rows[] = {
    {"a.test", "A.test", true},    {"a.test", "b.a.test", false}, {"*.test", "a.test", true},
    {"*.test", "a.b.test", false}, {"*.test", ".test", false},    {"*.test", "test", false},
    {"*.test", "xtest", false},    {"a.test", "a.test.x", false},
};

// Which certificate a client is shown, by the name that it asks for.
static void test_external(void)
{
    for (size_t i = 0; i < ARRAY_LEN(name_rows); i++)
        tap_ok(tls_name_matches(str_of(name_rows[i].pattern), str_of(name_rows[i].name)) ==
                   name_rows[i].matches,
               "%s against %s", name_rows[i].name, name_rows[i].pattern);
    static const struct str asked[] = {STR_INIT("gateway.test")};
    const struct tls_side_opts so = {.server = true,
                                     .own = pair_of(&t.server),
                                     .external = pair_of(&t.foreign),
                                     .external_names = asked,
                                     .external_n = 1};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        const struct tls_side_opts co = {.ca = buf_str(i == 0 ? &t.other_pem : &t.ca_pem)};
        struct end client = end_of(side(&co), hosts[i].p), server = end_of(side(&so), "");
        talk(&client, &server, SIZE_MAX);
        tap_ok(client.code == ERR_OK && tls_pipe_is_up(client.pipe), "a certificate for %s: %s", hosts[i].p,
               client.err.msg);
        tls_pipe_free(client.pipe);
        tls_pipe_free(server.pipe);
    }
}

int main(void)
{
    make_pki();
    test_rows(SIZE_MAX);
    test_rows(7);
    test_bytes();
    test_garbage();
    test_sides();
    test_external();
    free_pki();
    return tap_done();
}
