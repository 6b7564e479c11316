// HTTP/1 on one connection: read a request, decide, have it exchanged, and so on. The order of the steps is
// that of reference 2.4 and DESIGN section 4; what is decided on is the canonical form that exchange.c sends.
#include "supervisor/egress/egress.h"

#include <poll.h>

#include "base/clock.h"
#include "supervisor/egress/credential.h"
#include "supervisor/egress/inject.h"

enum { REST_MS = 1000 }; // of silence before a kept connection gives up its buffers; ours

enum err_code http_dial(struct http_session *h, struct err *e)
{
    CLEANUP(stream_freep) struct stream *s = NULL;
    struct wait w = conn_wait(h->c, deadline_in_ms(DIAL_TIMEOUT_MS));
    size_t used;
    const struct admission *a = h->admission;
    enum err_code r = stream_dial(a->addrs, a->addrs_n, h->target->port, &w, &s, &used, e);
    if (r != ERR_OK)
        return r;
    if (h->tls) {
        struct stream *below = TAKE(s);
        bool h2;
        r = tls_connect(h->c->e->tls, below, target_host(h->target), h->target->port, false, &w, &s, &h2, e);
        if (r != ERR_OK) {
            stream_free(below);
            return r;
        }
    }
    h->upstream = TAKE(s);
    h->out.s = h->upstream;
    h->out.off = h->out.n = 0;
    return ERR_OK;
}

static void busy(struct http_session *h, bool busy)
{
    stream_busy(h->client, busy);
    if (h->upstream)
        stream_busy(h->upstream, busy);
}

// Between requests, until the client speaks: what goes wrong is met by the read that follows. The server's
// end is watched meanwhile, for it should not speak. After a while of silence both give up what they can make
// anew.
static void rest(struct http_session *h)
{
    h->quiet = false;
    if (reader_str(&h->in).n > 0 || stream_pending(h->client) > 0 || reader_str(&h->out).n > 0 ||
        (h->upstream && stream_pending(h->upstream) > 0))
        return;
    struct pollfd p[3] = {{.fd = h->client->fd, .events = POLLIN},
                          {.fd = h->c->cancel_fd, .events = POLLIN},
                          {.fd = h->upstream ? h->upstream->fd : -1, .events = POLLIN}};
    int n = poll(p, ARRAY_LEN(p), REST_MS);
    h->quiet = n > 0 && p[0].revents && !p[2].revents;
    if (n == 0)
        busy(h, false);
}

// Waits for a whole head. False: the connection is to end, and was answered if it deserved that.
static bool read_head(struct http_session *h, struct http1_head *head, size_t *used)
{
    size_t resume = 0;
    struct err e;
    rest(h);
    int64_t deadline = deadline_in_ms(reader_str(&h->in).n > 0 ? HEAD_TIMEOUT_MS : IDLE_TIMEOUT_MS);
    bool begun = reader_str(&h->in).n > 0;
    for (;;) {
        switch (http1_request(reader_str(&h->in), HTTP1_HEAD_MAX, &resume, head, used, &e)) {
        case HTTP1_DONE:
            return true;
        case HTTP1_BAD:
            answer_bare(h->c, h->client, e.code == ERR_LIMIT ? 431 : 400);
            report_failure(h->c, h->target, "HTTP request rejected before policy evaluation", str_of(e.msg));
            return false;
        case HTTP1_MORE:
            break;
        }
        struct wait w = conn_wait(h->c, deadline);
        bool end;
        if (reader_fill(&h->in, &w, &end, &e) != ERR_OK || end)
            return false;
        if (!begun) {
            begun = true;
            deadline = deadline_in_ms(HEAD_TIMEOUT_MS);
        }
    }
}

static void refuse_authority(struct http_session *h, const struct http1_head *head)
{
    struct str body = STR(ANSWER_AUTHORITY);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, KIB);
    http1_write_status(&out, 403, STR("Forbidden"));
    http1_write_header(&out, STR("Content-Type"), STR("application/json"));
    http1_write_framing(&out, FRAMING_LENGTH, body.n);
    http1_write_header(&out, STR("Connection"), STR("close"));
    buf_add(&out, STR("\r\n"));
    buf_add(&out, body);
    struct wait w = conn_wait(h->c, deadline_in_ms(HEAD_TIMEOUT_MS));
    struct err e;
    (void)stream_write(h->client, buf_str(&out), &w, &e); // the connection ends either way
    report_authority(h->c, h->target, head);
}

static bool is_h2c_upgrade(const struct http1_head *head)
{
    struct str ignored;
    return http1_has_token(head, STR("Upgrade"), STR("h2c")) ||
           http1_get(head, STR("HTTP2-Settings"), &ignored);
}

// Whether the request asks to go on in TLS (RFC 2817) or in another HTTP: requests would follow that nobody
// decides on.
static bool is_hiding_upgrade(const struct http1_head *head)
{
    static const struct str hiding[] = {STR_INIT("tls"), STR_INIT("ssl"), STR_INIT("http"), STR_INIT("h2"),
                                        STR_INIT("h3")};
    for (size_t i = 0; i < head->headers_n; i++) {
        struct str rest = head->headers[i].value, token;
        if (!str_eq_ci(head->headers[i].name, STR("Upgrade")))
            continue;
        while (str_split(&rest, ',', &token)) {
            token = str_trim(token);
            for (size_t k = 0; k < ARRAY_LEN(hiding); k++)
                if (token.n >= hiding[k].n && str_eq_ci(str_head(token, hiding[k].n), hiding[k]))
                    return true;
        }
    }
    return false;
}

static void refuse_upgrade(struct http_session *h, const struct http1_head *head, const char *detail)
{
    struct denial deny = {.status = 403, .error = "unsupported_l7_protocol"};
    (void)snprintf(deny.detail, sizeof(deny.detail), "%s", detail);
    answer_denial(h->c, h->client, &deny);
    report_denial(h->c, h->target, head->method, STR(""), &deny);
}

static void refuse_rules(struct http_session *h, const struct snapshot *s, const struct incoming *in,
                         const struct decision *d, struct str reason)
{
    struct conn *c = h->c;
    if (h->once) { // the forward door has the short body (reference 2.5 step 12)
        struct denial deny = {.status = 403, .error = "policy_denied"};
        (void)snprintf(deny.detail, sizeof(deny.detail), "%.*s %s:%u%.*s denied by L7 policy: %.*s",
                       STR_FMT(in->head.method), h->target->host, h->target->port, STR_FMT(in->shown),
                       STR_FMT(reason));
        answer_denial(c, h->client, &deny);
    } else {
        struct request_line_facts r = {.method = in->head.method,
                                       .target = in->shown_target,
                                       .path = in->shown};
        answer_l7(c, h->client, s, &r, d, reason);
    }
}

static void gateway_error(struct http_session *h, const char *error, struct str why)
{
    struct denial deny = {.status = 502, .error = error};
    (void)snprintf(deny.detail, sizeof(deny.detail), "connection to %s:%u failed", h->target->host,
                   h->target->port);
    (void)snprintf(deny.reason, sizeof(deny.reason), "%.*s", STR_FMT(why));
    answer_denial(h->c, h->client, &deny);
    report_failure(h->c, h->target, "upstream unreachable", why);
}

// Whether the server's connection can take another request: it is open, and holds nothing that was not asked
// for, which the client would take for the next answer.
static bool is_quiet(struct http_session *h)
{
    if (h->quiet) // it was when the client spoke
        return true;
    const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};
    char b[1];
    size_t n;
    struct err ignored;
    return reader_str(&h->out).n == 0 &&
           stream_read(h->upstream, b, sizeof(b), &n, &now, &ignored) == ERR_TIMEOUT;
}

static void refuse_credential(struct http_session *h, const struct incoming *in, enum err_code why,
                              struct str text)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, KIB);
    unsigned status = credential_answer(why, h->once, &body);
    answer_json(h->c, h->client, status, STR(""), &body);
    credential_refused(h->c, h->target, in, why, text, status);
}

// A body that the policy wants rewritten is read to its end first.
static enum err_code read_body(struct http_session *h, struct incoming *in, struct buf *out, struct err *e)
{
    const struct wait w = {.deadline_ns = deadline_in_ms(BODY_IDLE_MS), .cancel_fd = -1};
    struct http1_head *head = &in->head;
    struct http1_body body;
    http1_body_init(&body, head->framing, head->length);
    if (!request_keep(in))
        return err_set(e, ERR_LIMIT, "no room for the request");
    if (head->expect_continue && reader_str(&h->in).n == 0) {
        enum err_code r = stream_write(h->client, STR("HTTP/1.1 100 Continue\r\n\r\n"), &w, e);
        if (r != ERR_OK)
            return r;
    }
    for (;;) {
        struct str rest = reader_str(&h->in), data;
        enum http1_result r = http1_body_next(&body, &rest, &data, e);
        h->in.off = h->in.n - rest.n;
        if (r == HTTP1_BAD)
            return ERR_INVALID;
        buf_add(out, data);
        if (buf_check(out, "a body with placeholders to resolve", e) != ERR_OK)
            return ERR_LIMIT;
        if (r == HTTP1_DONE)
            return ERR_OK;
        if (data.n > 0)
            continue;
        bool end = false;
        enum err_code code = reader_fill(&h->in, &w, &end, e);
        if (code != ERR_OK)
            return code;
        if (end)
            return err_set(e, ERR_UNAVAILABLE, "the client ended in the middle of a body");
    }
}

// Takes the new body's place for the client's: as long as it says, and nobody is asked to go on.
static void replace_body(struct http_session *h, struct http1_head *head, struct str body)
{
    size_t n = 0;
    for (size_t i = 0; i < head->headers_n; i++)
        if (!str_eq_ci(head->headers[i].name, STR("Expect")))
            head->headers[n++] = head->headers[i];
    head->headers_n = n;
    head->expect_continue = false;
    head->framing = FRAMING_LENGTH;
    head->length = body.n;
    h->new_body = body;
    h->has_new_body = true;
}

// A placeholder in a body that goes on as it comes: what is out of it already is cut off there.
static void refuse_marked(struct http_session *h, const struct incoming *in, unsigned status)
{
    h->marked = false;
    if (status == 0)
        refuse_credential(h, in, ERR_NOT_FOUND, STR("credential placeholder could not be resolved in body"));
    credential_in_body(h->c, h->target);
}

static void exchange(struct http_session *h, const struct incoming *in)
{
    struct err e;
    if (h->upstream && !is_quiet(h))
        stream_free(TAKE(h->upstream));
    if (!h->upstream && http_dial(h, &e) != ERR_OK) {
        gateway_error(h, "upstream_unreachable", str_of(e.msg));
        return;
    }
    busy(h, true);
    unsigned status = 0;
    if (http_exchange(h, &in->head, in->path, &status, &e) != ERR_OK) {
        h->again = false;
        if (h->marked)
            refuse_marked(h, in, status);
        else if (status == 0 && e.code != ERR_DENIED) // nothing went back to the client yet
            gateway_error(h, "upstream_failed", str_of(e.msg));
        else
            report_failure(h->c, h->target, "relay ended", str_of(e.msg));
    }
}

static void exchange_with_body(struct http_session *h, struct incoming *in)
{
    struct err e;
    CLEANUP(buf_done) struct buf body; // of placeholders
    CLEANUP(secret_buf_done) struct buf made;
    CLEANUP(injection_freep) struct injection *injected = NULL;
    buf_init(&body, INJECT_BODY_MAX);
    secret_buf_init(&made, 2 * INJECT_BODY_MAX);
    enum err_code r = read_body(h, in, &body, &e);
    if (r != ERR_OK) {
        answer_bare(h->c, h->client, r == ERR_LIMIT ? 413 : 400);
        report_failure(h->c, h->target, "HTTP request body refused", str_of(e.msg));
        return;
    }
    r = credential_inject_body(h->c, h->target, in, buf_str(&body), &made, &injected, &e);
    if (r != ERR_OK) {
        refuse_credential(h, in, r, str_of(e.msg));
        return;
    }
    replace_body(h, &in->head, buf_str(&made));
    h->injected = injected;
    exchange(h, in);
    h->has_new_body = false;
    h->injected = NULL;
}

static void serve_decided(struct http_session *h, struct incoming *in, const struct snapshot *s)
{
    struct err e;
    CLEANUP(injection_freep) struct injection *injected = NULL;
    if (credential_body_wanted(h->c, s, in)) {
        exchange_with_body(h, in);
        return;
    }
    enum err_code r = credential_inject(h->c, h->target, in, &injected, &e);
    if (r != ERR_OK) {
        refuse_credential(h, in, r, str_of(e.msg));
        return;
    }
    h->injected = injected;
    exchange(h, in);
    h->injected = NULL;
}

static void serve_request(struct http_session *h, struct incoming *in, const struct snapshot *s)
{
    struct err e;
    h->again = false;
    if (!request_is_for(h->target, h->tls, &in->head)) {
        refuse_authority(h, &in->head);
        return;
    }
    if (is_h2c_upgrade(&in->head)) {
        refuse_upgrade(h, &in->head,
                       "HTTP/2 cleartext upgrade (h2c) is not supported for L7-inspected endpoints");
        return;
    }
    if (is_hiding_upgrade(&in->head)) {
        refuse_upgrade(h, &in->head, "an upgrade to TLS or to another version of HTTP is not supported");
        return;
    }
    if (request_facts(h->c, s, in, &e) != ERR_OK) {
        answer_bare(h->c, h->client, 400);
        report_failure(h->c, h->target, "HTTP request rejected before policy evaluation", str_of(e.msg));
        return;
    }
    if (in->head.minor == 0 && !in->head.has_host && inject_wanted(&in->head)) { // reference 2.4 step 4b
        answer_bare(h->c, h->client, 400);
        report_failure(h->c, h->target, "HTTP request rejected before policy evaluation",
                       STR("a credential in a request without Host"));
        return;
    }
    struct decision d;
    CLEANUP(buf_done) struct buf reason;
    buf_init(&reason, KIB);
    if (request_decide(h->c, h->target, s, in, &d, &reason))
        serve_decided(h, in, s);
    else
        refuse_rules(h, s, in, &d, buf_str(&reason));
}

void http_serve(struct http_session *h)
{
    struct incoming *in = arena_new(&h->c->arena, struct incoming);
    if (!in)
        return;
    h->in.s = h->client;
    do {
        conn_phase(h->c, PHASE_IDLE);
        size_t used;
        if (!read_head(h, &in->head, &used))
            break;
        conn_phase(h->c, PHASE_REQUEST);
        struct snapshot *s = conn_policy(h->c);
        arena_init(&in->arena, REQUEST_ARENA_MAX);
        h->c->requests++;
        // The head's strings stay where they are until the body is read: exchange.c prints the head first.
        h->in.off += used;
        serve_request(h, in, s);
        arena_done(&in->arena);
        snapshot_unref(s);
    } while (h->again && !h->once);
}
