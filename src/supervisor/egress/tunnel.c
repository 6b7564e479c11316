// What comes behind CONNECT, or behind a captured dial: TLS to be opened, plain HTTP, or something else that
// only an endpoint without inspection may carry (reference 2.3).
#include "supervisor/egress/egress.h"

#include "base/clock.h"

enum content { CONTENT_TLS, CONTENT_HTTP, CONTENT_H2C, CONTENT_OTHER };

enum { HELLO_MAX = 16 * KIB }; // a ClientHello, for endpoints that are not intercepted

static enum content content_of(struct str b)
{
    static const struct str methods[] = {
        STR_INIT("GET "),     STR_INIT("HEAD "),    STR_INIT("POST "),
        STR_INIT("PUT "),     STR_INIT("DELETE "),  STR_INIT("PATCH "),
        STR_INIT("OPTIONS "), STR_INIT("CONNECT "), STR_INIT("TRACE "),
    };
    if (b.n >= 3 && b.p[0] == 0x16 && b.p[1] == 0x03 && (unsigned char)b.p[2] <= 0x04)
        return CONTENT_TLS;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_starts(b, methods[i]))
            return CONTENT_HTTP;
    return str_starts(b, STR("PRI * HT")) ? CONTENT_H2C : CONTENT_OTHER;
}

// First bytes of the client, as many as tell; nothing within PEEK_TIMEOUT_MS is CONTENT_OTHER: the server
// speaks first.
static enum err_code peek(struct conn *c, struct reader *in, enum content *ret, struct err *e)
{
    int64_t deadline = deadline_in_ms(PEEK_TIMEOUT_MS);
    for (;;) {
        *ret = content_of(reader_str(in));
        if (*ret != CONTENT_OTHER || in->n >= PEEK_MAX)
            return ERR_OK;
        struct wait w = conn_wait(c, deadline);
        bool end = false;
        enum err_code r = reader_fill(in, &w, &end, e);
        if (r == ERR_TIMEOUT || (r == ERR_OK && end))
            return ERR_OK;
        if (r != ERR_OK)
            return r;
    }
}

// Puts what was read back in front of the client's stream.
static enum err_code unread(struct conn *c, struct reader *in, struct err *e)
{
    if (reader_str(in).n == 0)
        return ERR_OK;
    struct stream *whole;
    enum err_code r = stream_prepend(c->client, reader_str(in), &whole, e);
    if (r == ERR_OK)
        c->client = whole;
    in->off = in->n = 0;
    return r;
}

static void raw(struct conn *c, const struct target *t, struct stream *upstream)
{
    struct err e;
    struct wait w = conn_wait(c, DEADLINE_NEVER);
    uint64_t counts[2];
    conn_phase(c, PHASE_TUNNEL);
    enum err_code r = stream_relay(c->client, upstream, BODY_IDLE_MS, &w, counts, &e);
    if (r == ERR_DENIED)
        report_failure(c, t, "tunnel closed after policy reload", STR(""));
}

// An endpoint that is not intercepted still gets the name it was admitted for: a ClientHello for another
// host, or one whose real name is hidden, would reach a neighbour behind the same address.
static bool hello_fits(struct conn *c, const struct target *t, struct reader *in)
{
    int64_t deadline = deadline_in_ms(HEAD_TIMEOUT_MS);
    struct err e;
    struct hello hello = {};
    for (;;) {
        switch (tls_hello(reader_str(in), &hello, &e)) {
        case HELLO_DONE: {
            struct target sni;
            bool same = hello.sni.n == 0 ? t->literal
                                         : target_parse(hello.sni, t->port, &sni, &e) == ERR_OK &&
                                               str_eq(target_host(&sni), target_host(t));
            if (!same || hello.ech)
                report_failure(c, t, "TLS name refused",
                               hello.ech ? STR("encrypted client hello")
                                         : STR("SNI is not the admitted host"));
            return same && !hello.ech;
        }
        case HELLO_NOT_TLS:
            return true;
        case HELLO_BAD:
            report_failure(c, t, "TLS client hello refused", str_of(e.msg));
            return false;
        case HELLO_MORE:
            break;
        }
        struct wait w = conn_wait(c, deadline);
        bool end = false;
        if (reader_fill(in, &w, &end, &e) != ERR_OK || end)
            return false;
    }
}

static void refuse_content(struct conn *c, const struct target *t, const char *detail)
{
    struct denial deny = {.status = 403, .error = "unsupported_l7_protocol", .stage = "connect"};
    (void)snprintf(deny.detail, sizeof(deny.detail), "%s", detail);
    answer_denial(c, c->client, &deny);
    report_denial(c, t, STR("CONNECT"), STR(""), &deny);
}

static struct http_session *session(struct conn *c, const struct target *t, const struct admission *a,
                                    bool tls)
{
    struct http_session *h = arena_new(&c->arena, struct http_session);
    if (h) {
        h->c = c;
        h->client = c->client;
        h->target = t;
        h->admission = a;
        h->tls = tls;
    }
    return h;
}

static void serve_http(struct conn *c, const struct target *t, const struct admission *a,
                       struct stream *upstream)
{
    struct http_session *h = session(c, t, a, false);
    if (!h) {
        stream_free(upstream);
        return;
    }
    h->upstream = upstream;
    h->out.s = upstream;
    http_serve(h);
    stream_free(h->upstream);
}

// Whether the client offers HTTP/2. Where its hello cannot be read the handshake will tell it.
static bool offers_h2(struct conn *c, struct reader *in)
{
    struct wait w = conn_wait(c, deadline_in_ms(TLS_TIMEOUT_MS));
    struct err e;
    struct hello hello = {};
    bool end = false;
    for (;;) {
        enum hello_result r = tls_hello(reader_str(in), &hello, &e);
        if (r != HELLO_MORE)
            return r == HELLO_DONE && hello.alpn_h2;
        if (reader_fill(in, &w, &end, &e) != ERR_OK || end)
            return false;
    }
}

static void serve_either(struct http_session *h, bool server_h2, bool client_h2)
{
    if (server_h2 && client_h2) {
        http2_serve(h->c, h->target, h->client, h->upstream);
        return;
    }
    if (server_h2) // the client's hello promised what its handshake did not take: another connection
        stream_free(TAKE(h->upstream));
    http_serve(h);
}

// Both handshakes. `h2`: the client offers it; the server is asked then, and the client gets what the server
// chose. The server's comes first, so that a bad certificate is known before the client is told
// anything; the client then gets the reason as an HTTP answer.
static void serve_tls(struct conn *c, const struct target *t, const struct admission *a,
                      struct stream *upstream, bool h2)
{
    struct err e, upstream_error;
    bool server_h2 = false, client_h2 = false;
    struct http_session *h = session(c, t, a, true);
    CLEANUP(stream_freep) struct stream *plain = upstream;
    if (!h)
        return;
    struct wait w = conn_wait(c, deadline_in_ms(TLS_TIMEOUT_MS));
    enum err_code up = tls_connect(c->e->tls, plain, target_host(t), t->port, h2, &w, &h->upstream,
                                   &server_h2, &upstream_error);
    if (up == ERR_OK) {
        plain = NULL;
        h->out.s = h->upstream;
    }
    struct stream *client;
    w = conn_wait(c, deadline_in_ms(TLS_TIMEOUT_MS));
    if (tls_accept(c->e->ca, c->client, target_host(t), server_h2, &w, &client, &client_h2, &e) != ERR_OK) {
        report_failure(c, t, "TLS relay error", str_of(e.msg));
        stream_free(h->upstream);
        return;
    }
    c->client = client;
    h->client = client;
    if (up == ERR_OK) {
        serve_either(h, server_h2, client_h2);
    } else {
        struct denial deny = {.status = 502, .error = "upstream_tls_failed"};
        (void)snprintf(deny.detail, sizeof(deny.detail), "TLS to %s:%u failed", t->host, t->port);
        (void)snprintf(deny.reason, sizeof(deny.reason), "%s", upstream_error.msg);
        answer_denial(c, client, &deny);
        report_failure(c, t, "TLS relay error", str_of(upstream_error.msg));
    }
    stream_free(h->upstream);
}

void tunnel_serve(struct conn *c, const struct target *t, const struct admission *a, struct stream *upstream,
                  struct str early)
{
    CLEANUP(stream_freep) struct stream *up = upstream;
    struct reader *in = arena_new(&c->arena, struct reader);
    if (!in || early.n > sizeof(in->b))
        return;
    in->s = c->client;
    in->n = early.n;
    if (early.n > 0)
        memcpy(in->b, early.p, early.n);

    struct err e;
    enum content content;
    if (peek(c, in, &content, &e) != ERR_OK)
        return;
    if (a->d.tls_skip) {
        if ((content != CONTENT_TLS || hello_fits(c, t, in)) && unread(c, in, &e) == ERR_OK)
            raw(c, t, up);
        return;
    }
    bool h2 = content == CONTENT_TLS && offers_h2(c, in);
    if (unread(c, in, &e) != ERR_OK)
        return;
    switch (content) {
    case CONTENT_TLS:
        serve_tls(c, t, a, TAKE(up), h2);
        break;
    case CONTENT_HTTP:
        serve_http(c, t, a, TAKE(up));
        break;
    case CONTENT_H2C:
        if (a->d.inspected)
            refuse_content(c, t, "HTTP/2 prior-knowledge (h2c) is not supported for L7-inspected endpoints");
        else
            raw(c, t, up);
        break;
    case CONTENT_OTHER:
        if (a->d.inspected)
            refuse_content(c, t, "Unsupported tunnel protocol for L7-inspected endpoint");
        else
            raw(c, t, up);
        break;
    }
}
