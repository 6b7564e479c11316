// What comes behind CONNECT, or behind a captured dial: TLS to be opened, plain HTTP, or something else that
// only an endpoint without inspection may carry (reference 2.3).
#include "supervisor/egress/egress.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"

enum content { CONTENT_MORE, CONTENT_TLS, CONTENT_HTTP, CONTENT_H2C, CONTENT_OLD_TLS, CONTENT_OTHER };

enum {
    METHOD_MAX = 32,     // a longer first word is no method that a server would take; ours
    HOLD_MS = 200,       // bytes that tell nothing wait so long for more before the server gets them; ours
    SSL2_BYTE_MAX = 0xc0 // the first byte of an SSL 2 record of at most 16 KiB
};

static bool is_method_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

// Text: HTTP if its first line ends as a request line does, whatever its method is called, since it is the
// server that has to know it.
static enum content text_content(struct str b)
{
    static const struct str methods[] = {
        STR_INIT("GET "),     STR_INIT("HEAD "),    STR_INIT("POST "),
        STR_INIT("PUT "),     STR_INIT("DELETE "),  STR_INIT("PATCH "),
        STR_INIT("OPTIONS "), STR_INIT("CONNECT "), STR_INIT("TRACE "),
    };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_starts(b, methods[i]))
            return CONTENT_HTTP;
    if (str_starts(b, STR("PRI * HTTP/2")))
        return CONTENT_H2C;
    size_t word = 0;
    while (word < b.n && is_method_char(b.p[word]))
        word++;
    if (word > METHOD_MAX)
        return CONTENT_OTHER;
    if (word == b.n)
        return CONTENT_MORE;
    if (word == 0 || b.p[word] != ' ')
        return CONTENT_OTHER;
    ptrdiff_t end = str_find(b, '\n');
    struct str line = end < 0 ? b : str_head(b, (size_t)end);
    if (memchr(line.p, '\0', line.n))
        return CONTENT_OTHER;
    if (end < 0)
        return CONTENT_MORE;
    return memmem(line.p, line.n, " HTTP/", 6) ? CONTENT_HTTP : CONTENT_OTHER;
}

// What the client's first bytes are; CONTENT_MORE while they may still become something that is looked into.
// Servers are more liberal than this program's own parsers: what one of them may take for TLS or for HTTP is
// not CONTENT_OTHER, or it would get past them.
static enum content content_of(struct str b)
{
    while (b.n > 0 && (b.p[0] == '\r' || b.p[0] == '\n'))
        b = str_from(b, 1); // RFC 9112 section 2.2: a server skips empty lines
    if (b.n == 0)
        return CONTENT_MORE;
    const unsigned char *p = (const unsigned char *)b.p;
    if (p[0] == 0x16) {
        if (b.n == 1)
            return CONTENT_MORE;
        return p[1] == 3 ? CONTENT_TLS : CONTENT_OLD_TLS; // Go takes any version below 16
    }
    if (p[0] >= 0x80 && p[0] <= SSL2_BYTE_MAX) { // RFC 5246 appendix E.2; OpenSSL takes it
        static const unsigned char hello[] = {1, 3};
        size_t n = b.n < 2 ? 0 : b.n < 4 ? b.n - 2 : 2;
        if (memcmp(p + 2, hello, n) != 0)
            return CONTENT_OTHER;
        return n < 2 ? CONTENT_MORE : CONTENT_OLD_TLS;
    }
    return text_content(b);
}

// Passes on what the server says before its client has spoken. Sets *ended when it says no more.
static enum err_code pass_greeting(struct conn *c, struct stream *upstream, bool *ended, struct err *e)
{
    char b[4 * KIB];
    size_t n;
    struct wait w = conn_wait(c, deadline_in_ms(BODY_IDLE_MS));
    const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};
    enum err_code r = stream_read(upstream, b, sizeof(b), &n, &now, e);
    if (r == ERR_TIMEOUT)
        return ERR_OK;
    if (r != ERR_OK)
        return r;
    *ended = n == 0;
    return n == 0 ? stream_end(c->client, &w, e) : stream_write(c->client, (struct str){b, n}, &w, e);
}

struct opening { // what the client has said so far
    struct reader *in;
    struct stream *upstream;
    bool listen; // the server may speak first, and is heard meanwhile
    bool server_ended;
    size_t sent; // of in: the server has them
};

// ERR_TIMEOUT: it said nothing until `until`.
static enum err_code wait_client(struct conn *c, struct opening *o, int64_t until, struct err *e)
{
    for (;;) {
        struct pollfd p[3] = {{.fd = c->client->fd, .events = POLLIN},
                              {.fd = c->cancel_fd, .events = POLLIN},
                              {.fd = o->listen && !o->server_ended ? o->upstream->fd : -1, .events = POLLIN}};
        if (poll(p, ARRAY_LEN(p), deadline_left_ms(until)) < 0 && errno != EINTR)
            return err_set(e, ERR_INTERNAL, "poll: %s", fd_strerror(errno));
        if (p[1].revents)
            return err_set(e, ERR_DENIED, "cancelled");
        if (p[0].revents)
            return ERR_OK;
        enum err_code r = p[2].revents ? pass_greeting(c, o->upstream, &o->server_ended, e) : ERR_OK;
        if (r != ERR_OK)
            return r;
        if (deadline_passed(until))
            return err_set(e, ERR_TIMEOUT, "the client says nothing");
    }
}

// Whether there is text that the server has not got and may have: it does nothing on a line without an end,
// and when the line has one it is looked at as if it had been held. The beginning of TLS is not of that kind.
static bool may_send(const struct opening *o)
{
    struct str b = reader_str(o->in);
    return o->listen && b.n > o->sent && (unsigned char)b.p[0] < 0x80 && b.p[0] != 0x16;
}

static enum err_code send_on(struct conn *c, struct opening *o, struct err *e)
{
    struct wait w = conn_wait(c, deadline_in_ms(BODY_IDLE_MS));
    enum err_code r = stream_write(o->upstream, str_from(reader_str(o->in), o->sent), &w, e);
    o->sent = reader_str(o->in).n;
    return r;
}

// Waits for more of the client. What it said may be all that it says before it gets an answer (a lone word of
// a protocol without lines): after HOLD_MS of silence the server gets it.
static enum err_code hear_more(struct conn *c, struct opening *o, int64_t deadline, struct err *e)
{
    int64_t soon = deadline_in_ms(HOLD_MS);
    if (!may_send(o) || soon > deadline)
        return wait_client(c, o, deadline, e);
    enum err_code r = wait_client(c, o, soon, e);
    if (r != ERR_TIMEOUT)
        return r;
    r = send_on(c, o, e);
    return r == ERR_OK ? wait_client(c, o, deadline, e) : r;
}

// Reads until the client's first bytes tell what they are. There is no limit after which they count as
// something else: a client that was silent for so long could say anything afterwards. ERR_TIMEOUT: the client
// said nothing that tells. ERR_INVALID: what the server has already got the beginning of is to be looked
// into.
static enum err_code peek(struct conn *c, struct opening *o, enum content *ret, struct err *e)
{
    struct reader *in = o->in;
    int64_t deadline = deadline_in_ms(o->listen ? BODY_IDLE_MS : HEAD_TIMEOUT_MS);
    bool ended = false;
    for (;;) {
        *ret = content_of(reader_str(in));
        if (*ret != CONTENT_MORE && *ret != CONTENT_OTHER && o->sent > 0)
            return err_set(e, ERR_INVALID, "a request whose first line came in pieces, more than %d ms apart",
                           HOLD_MS);
        if (*ret != CONTENT_MORE)
            return ERR_OK;
        if (ended || reader_str(in).n == sizeof(in->b)) {
            *ret = CONTENT_OTHER;
            return ended ? ERR_OK : err_set(e, ERR_LIMIT, "a first line of more than %zu bytes", in->n);
        }
        enum err_code r = hear_more(c, o, deadline, e);
        struct wait w = conn_wait(c, deadline);
        if (r == ERR_OK)
            r = reader_fill(in, &w, &ended, e);
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
static bool hello_fits(struct conn *c, const struct target *t, struct reader *in, size_t *used)
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
            *used = hello.used;
            return same && !hello.ech;
        }
        case HELLO_NOT_TLS: // it began as one
            err_fill(&e, ERR_INVALID, "client hello: a record of another version");
            __attribute__((fallthrough));
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

// Moves the first bytes of a reader on.
static bool pass(struct conn *c, struct reader *in, size_t n, struct stream *to)
{
    struct err e;
    struct wait w = conn_wait(c, deadline_in_ms(HEAD_TIMEOUT_MS));
    bool ok = stream_write(to, str_head(reader_str(in), n), &w, &e) == ERR_OK;
    in->off += n;
    return ok;
}

// The client's records up to and with its second hello. Between the two may be a ChangeCipherSpec of old
// times and early data, which the server skips (RFC 8446 sections 4.2.10 and D.4).
static bool second_fits(struct conn *c, const struct target *t, struct reader *in, struct stream *up)
{
    int64_t deadline = deadline_in_ms(HEAD_TIMEOUT_MS);
    struct err e;
    size_t used;
    for (;;) {
        struct str b = reader_str(in);
        const unsigned char *p = (const unsigned char *)b.p;
        size_t record = b.n < 5 ? SIZE_MAX : 5 + ((size_t)p[3] << 8 | p[4]);
        bool skipped = b.n > 0 && (p[0] == 20 || p[0] == 23);
        if (b.n > 0 && p[0] == 22)
            return hello_fits(c, t, in, &used) && pass(c, in, used, up);
        if (b.n > 0 && !skipped) { // an alert: the client gives up
            (void)pass(c, in, b.n, up);
            return false;
        }
        if (skipped && record <= b.n) {
            if (!pass(c, in, record, up))
                return false;
            continue;
        }
        struct wait w = conn_wait(c, deadline);
        bool end = false;
        if (reader_fill(in, &w, &end, &e) != ERR_OK || end)
            return false;
    }
}

// TLS that is not to be opened: its hello names the admitted host, and so does the second one where the
// server asks for that; what follows is encrypted. False: the connection ends, and an event has told why.
static bool hellos_fit(struct conn *c, const struct target *t, struct reader *in, struct stream *up)
{
    struct reader *server = arena_new(&c->arena, struct reader);
    size_t used;
    if (!server || !hello_fits(c, t, in, &used) || !pass(c, in, used, up))
        return false;
    server->s = up;
    struct err e;
    enum hello_result r;
    while ((r = tls_asks_again(reader_str(server), &e)) == HELLO_MORE) {
        struct wait w = conn_wait(c, deadline_in_ms(HEAD_TIMEOUT_MS));
        bool end = false;
        if (reader_fill(server, &w, &end, &e) != ERR_OK || end)
            return false;
    }
    if (r == HELLO_BAD) {
        report_failure(c, t, "TLS server hello refused", str_of(e.msg));
        return false;
    }
    return pass(c, server, reader_str(server).n, c->client) && (r != HELLO_DONE || second_fits(c, t, in, up));
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
        http2_serve(h->c, h->target, true, h->client, h->upstream);
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
    struct opening o = {.in = in, .upstream = up, .listen = a->d.tls_skip || !a->d.inspected};
    enum err_code r = peek(c, &o, &content, &e);
    if (r != ERR_OK && (r != ERR_TIMEOUT || o.listen)) {
        report_failure(c, t,
                       r == ERR_DENIED    ? "tunnel closed after policy reload"
                       : r == ERR_INVALID ? "tunnel refused"
                                          : "tunnel ended before its client spoke",
                       r == ERR_DENIED ? STR("") : str_of(e.msg));
        return;
    }
    in->off += o.sent; // the server has them
    if (content == CONTENT_OLD_TLS) {
        report_failure(c, t, "TLS client hello refused",
                       STR("client hello: of SSL 2, or of no known version"));
        return;
    }
    if (a->d.tls_skip && content != CONTENT_HTTP && content != CONTENT_H2C) {
        if ((content != CONTENT_TLS || hellos_fit(c, t, in, up)) && unread(c, in, &e) == ERR_OK)
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
        else // as plain HTTP/1: its requests are for this host
            http2_serve(c, t, false, c->client, up);
        break;
    case CONTENT_MORE: // nothing came
    case CONTENT_OLD_TLS:
    case CONTENT_OTHER:
        if (a->d.inspected)
            refuse_content(c, t, "Unsupported tunnel protocol for L7-inspected endpoint");
        else
            raw(c, t, up);
        break;
    }
}
