// The calls of an HTTP/2 connection. Each stream of the client is a call: admitted or answered here, then a
// stream of the server. Heads, pieces and trailers go on as they come, looked into for credentials on their
// way.
#include "supervisor/egress/http2_call.h"

#include "supervisor/egress/credential.h"

#if defined(__GNUC__) &&                                                                                     \
    !defined(__clang__) // gcc's analyzer loses sight of what hangs on an object it saw nobody make
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

// ---- calls
// --------------------------------------------------------------------------------------------------

static struct call *call_new(struct pair *p, int32_t down)
{
    struct call *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    *k = (struct call){.down = down, .down_open = true, .next = p->calls, .moved_ns = p->now_ns};
    if (p->calls)
        p->calls->prev = k;
    else
        conn_phase(p->c, PHASE_REQUEST);
    p->calls = k;
    return k;
}

static void flow_free(struct pair *p, struct flow *f)
{
    if (!f)
        return;
    if (f->hit || f->mask.hit)
        credential_reflected(p->c, p->target);
    if (f->in)
        arena_done(&f->in->arena);
    free(f->in);
    scan_done(&f->scan);
    mask_done(&f->mask);
    buf_done(&f->body);
    secret_buf_done(&f->made);
    injection_free(f->injected);
    free(f);
}

static struct flow *flow_of(struct call *k)
{
    if (k->flow)
        return k->flow;
    k->flow = calloc(1, sizeof(*k->flow));
    if (!k->flow)
        return NULL;
    scan_init(&k->flow->scan);
    buf_init(&k->flow->body, INJECT_BODY_MAX);
    return k->flow;
}

void http2_call_drop(struct pair *p, struct call *k)
{
    if (k->down_open || k->up_open)
        return;
    flow_free(p, k->flow);
    if (k->prev)
        k->prev->next = k->next;
    else
        p->calls = k->next;
    if (k->next)
        k->next->prev = k->prev;
    free(k);
    if (p->calls)
        return;
    p->idle_since_ns = p->now_ns;
    p->check = true;
    conn_phase(p->c, PHASE_IDLE); // before the policy is read: a reload from here on sees an idle connection
}

// Nothing can be done for this stream: no memory, or a body that passes its window.
static void call_fail(struct pair *p, struct call *k, const struct err *e)
{
    report_failure(p->c, p->target, "relay ended", str_of(e->msg));
    http2_reset(p->client.h, k->down, HTTP2_INTERNAL_ERROR);
    if (k->up_open)
        http2_reset(p->server.h, k->up, HTTP2_CANCEL);
}

// ---- answers of our own
// -------------------------------------------------------------------------------------

static void answer(struct pair *p, struct call *k, unsigned status, struct str policy, const struct buf *body)
{
    char code[4], length[24];
    struct err e;
    (void)snprintf(code, sizeof(code), "%03u", status % 1000);
    (void)snprintf(length, sizeof(length), "%zu", body->n);
    struct http1_header f[4] = {{STR(":status"), str_of(code)}, {STR("content-length"), str_of(length)}};
    size_t n = 2;
    if (body->n > 0)
        f[n++] = (struct http1_header){STR("content-type"), STR("application/json")};
    if (policy.n > 0)
        f[n++] = (struct http1_header){STR("x-openshell-policy"), policy};
    k->answered = k->done = true;
    if (http2_respond(p->client.h, k->down, f, n, body->n == 0, &e) != ERR_OK ||
        http2_write(p->client.h, k->down, buf_str(body), &e) != ERR_OK ||
        http2_finish(p->client.h, k->down, NULL, 0, &e) != ERR_OK) {
        call_fail(p, k, &e);
        return;
    }
    // What is still to come of the request is thrown away (on_client_data). A reset at once would be within
    // RFC 9113 section 8.1, but clients that were about to send their last byte take it for a failure and
    // never read the answer. Where the connection ends, it cannot wait for that.
    if (!k->asked && p->leaving)
        http2_reset_when_sent(p->client.h, k->down);
}

void http2_call_lost(struct pair *p, struct call *k, const char *why)
{
    struct denial deny = {.status = 502, .error = "upstream_failed"};
    (void)snprintf(deny.detail, sizeof(deny.detail), "connection to %s:%u failed", p->target->host,
                   p->target->port);
    (void)snprintf(deny.reason, sizeof(deny.reason), "%s", why);
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ANSWER_MAX);
    answer_denial_body(&deny, &body);
    answer(p, k, 502, STR(""), &body);
}

// ---- requests
// -------------------------------------------------------------------------------------------------

// Fields that go on, behind f[n]. Those of one hop stay; HTTP/2 knows of these only TE, with one value.
static size_t end_to_end(const struct http1_head *h, struct http1_header *f, size_t n)
{
    for (size_t i = 0; i < h->headers_n; i++) {
        const struct http1_header *x = &h->headers[i];
        bool te = str_eq(x->name, STR("te")) && h->status == 0;
        bool length = str_eq(x->name, STR("content-length"));
        if ((te || length || !http1_is_hop_by_hop(h, x->name)) && !str_eq(x->name, STR("host")))
            f[n++] = *x;
    }
    return n;
}

static void forward(struct pair *p, struct call *k, const struct incoming *in, bool end)
{
    const struct http1_head *h = &in->head;
    const bool secret = k->flow && k->flow->injected;
    struct http1_header f[FIELDS];
    CLEANUP(secret_buf_done) struct buf path;
    struct err e;
    if (secret)
        secret_buf_init(&path, INJECT_BLOCK);
    else
        buf_init(&path, 2 * HTTP1_HEAD_MAX);
    buf_add(&path, h->form == FORM_ASTERISK ? STR("*") : in->path);
    if (h->has_query) {
        buf_addc(&path, '?');
        buf_add(&path, h->query);
    }
    if (buf_check(&path, "the path", &e) != ERR_OK) {
        call_fail(p, k, &e);
        return;
    }
    f[0] = (struct http1_header){STR(":method"), h->method};
    f[1] = (struct http1_header){STR(":scheme"), p->tls ? STR("https") : STR("http")};
    f[2] = (struct http1_header){STR(":authority"), str_of(p->authority)};
    f[3] = (struct http1_header){STR(":path"), buf_str(&path), secret};
    size_t n = end_to_end(h, f, 4);
    enum err_code r = http2_request(p->server.h, f, n, end, &k->up, &e);
    if (r == ERR_UNAVAILABLE) { // nothing was done: the client may try again on another connection
        http2_reset(p->client.h, k->down, HTTP2_REFUSED_STREAM);
    } else if (r != ERR_OK) {
        call_fail(p, k, &e);
    } else {
        k->up_open = true;
        http2_set(p->server.h, k->up, k);
    }
}

static void refuse_credential(struct pair *p, struct call *k, const struct incoming *in, enum err_code why,
                              struct str text)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, KIB);
    unsigned status = credential_answer(why, false, &body);
    answer(p, k, status, STR(""), &body);
    credential_refused(p->c, p->target, in, why, text, status);
}

// The body is to be rewritten: it is collected, and the request kept until it is whole. It takes over the
// arena of p->in.
static bool collect(struct pair *p, struct call *k)
{
    struct flow *f = flow_of(k);
    if (!f || f->in || !request_keep(p->in))
        return false;
    typeof(f->in) kept = calloc(1, sizeof(*kept));
    if (!kept)
        return false;
    *kept = *p->in;
    f->in = kept;
    p->in->arena = (struct arena){};
    return true;
}

// A part of the rewritten body; the rest when that has gone.
static void write_made(struct pair *p, struct call *k)
{
    struct flow *f = k->flow;
    struct err e;
    struct str part = str_head(str_from(buf_str(&f->made), f->off), HTTP2_STREAM_WINDOW / 2);
    f->off += part.n;
    if ((part.n > 0 && http2_write(p->server.h, k->up, part, &e) != ERR_OK) ||
        (f->off == f->made.n && http2_finish(p->server.h, k->up, NULL, 0, &e) != ERR_OK))
        call_fail(p, k, &e);
}

static void collected(struct pair *p, struct call *k)
{
    struct flow *f = k->flow;
    struct http1_head *h = &f->in->head;
    struct err e;
    secret_buf_init(&f->made, 2 * INJECT_BODY_MAX);
    enum err_code r = credential_inject_body(p->c, p->target, f->in, buf_str(&f->body), &f->made,
                                             &f->injected, &e);
    if (r != ERR_OK) {
        refuse_credential(p, k, f->in, r, str_of(e.msg));
        return;
    }
    mask_init(&f->mask, f->injected);
    size_t n = 0;
    for (size_t i = 0; i < h->headers_n; i++) // its length is another now
        if (!str_eq(h->headers[i].name, STR("content-length")) && !str_eq(h->headers[i].name, STR("expect")))
            h->headers[n++] = h->headers[i];
    h->headers_n = n;
    forward(p, k, f->in, false);
    if (k->up_open)
        write_made(p, k);
}

static void admitted(struct pair *p, struct call *k, const struct snapshot *s, bool end)
{
    struct injection *injected;
    struct err e;
    if (!end && credential_body_wanted(p->c, s, p->in)) {
        if (!collect(p, k))
            http2_reset(p->client.h, k->down, HTTP2_INTERNAL_ERROR);
        return;
    }
    enum err_code r = credential_inject(p->c, p->target, p->in, &injected, &e);
    if (r != ERR_OK) {
        refuse_credential(p, k, p->in, r, str_of(e.msg));
        return;
    }
    bool scans = !end && atomic_load(&p->c->e->credentials);
    if ((injected || scans) && !flow_of(k)) {
        injection_free(injected);
        http2_reset(p->client.h, k->down, HTTP2_INTERNAL_ERROR);
        return;
    }
    if (injected) {
        k->flow->injected = injected;
        mask_init(&k->flow->mask, injected);
    }
    forward(p, k, p->in, end);
}

static void decide(struct pair *p, struct call *k, const struct snapshot *s, bool end)
{
    struct incoming *in = p->in;
    struct conn *c = p->c;
    struct err e;
    CLEANUP(buf_done) struct buf body, reason;
    buf_init(&body, ANSWER_MAX);
    buf_init(&reason, KIB);
    if (!request_is_for(p->target, p->tls, &in->head)) {
        buf_add(&body, STR(ANSWER_AUTHORITY));
        answer(p, k, 403, STR(""), &body);
        report_authority(c, p->target, &in->head);
        return;
    }
    enum err_code r = str_eq(in->head.scheme, p->tls ? STR("https") : STR("http")) ||
                              in->head.form == FORM_AUTHORITY
                          ? request_facts(c, s, in, &e)
                          : err_set(&e, ERR_INVALID, "scheme '%.*s' %s TLS", STR_FMT(in->head.scheme),
                                    p->tls ? "under" : "without");
    if (r != ERR_OK) {
        answer(p, k, 400, STR(""), &body);
        report_failure(c, p->target, "HTTP request rejected before policy evaluation", str_of(e.msg));
        return;
    }
    struct decision d;
    if (request_decide(c, p->target, s, in, &d, &reason)) {
        admitted(p, k, s, end);
        return;
    }
    struct request_line_facts line = {.method = in->head.method,
                                      .target = in->shown_target,
                                      .path = in->shown};
    answer_l7_body(c, &line, &d, buf_str(&reason), &body);
    answer(p, k, 403, d.entry ? d.entry->name : STR(""), &body);
}

static void on_request(void *ctx, int32_t id, const struct http1_head *head, bool end)
{
    struct pair *p = ctx;
    struct call *k = call_new(p, id);
    if (!k) {
        http2_reset(p->client.h, id, HTTP2_INTERNAL_ERROR);
        return;
    }
    http2_set(p->client.h, id, k);
    k->asked = end;
    p->c->requests++;
    p->in->head = *head;
    arena_init(&p->in->arena, REQUEST_ARENA_MAX);
    struct snapshot *s = egress_policy(p->c->e);
    decide(p, k, s, end);
    snapshot_unref(s);
    arena_done(&p->in->arena);
}

// A placeholder in a body that goes on as it comes: what is out of it already is cut off there.
static void refuse_marked(struct pair *p, struct call *k)
{
    credential_in_body(p->c, p->target);
    http2_reset(p->server.h, k->up, HTTP2_CANCEL);
    if (k->answered) {
        http2_reset(p->client.h, k->down, HTTP2_CANCEL);
        return;
    }
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, KIB);
    unsigned status = credential_answer(ERR_NOT_FOUND, false, &body);
    answer(p, k, status, STR(""), &body);
}

static void client_body(struct pair *p, struct call *k, struct str bytes, bool end)
{
    struct err e;
    if (k->flow && scan_feed(&k->flow->scan, bytes, end, &bytes, &e) != ERR_OK) {
        if (k->flow->scan.found)
            refuse_marked(p, k);
        else
            call_fail(p, k, &e);
    } else if (bytes.n > 0 && http2_write(p->server.h, k->up, bytes, &e) != ERR_OK) {
        call_fail(p, k, &e);
    }
}

static bool is_collecting(const struct call *k)
{
    return k && k->flow && k->flow->in && !k->answered && !k->up_open && k->down_open && !k->asked;
}

static bool is_cut(const struct call *k) // a placeholder was found in its body
{
    return k->flow && k->flow->scan.found;
}

static void on_client_data(void *ctx, int32_t id, struct str bytes)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->client.h, id);
    if (is_collecting(k)) {
        http2_consume(p->client.h, id, bytes.n);
        k->moved_ns = p->now_ns;
        buf_add(&k->flow->body, bytes);
        if (k->flow->body.full) {
            const struct buf none = {};
            answer(p, k, 413, STR(""), &none);
        }
        return;
    }
    if (!k || !k->up_open || is_cut(k)) {
        http2_consume(p->client.h, id, bytes.n); // of a request that was refused
        if (k && (k->thrown += bytes.n) > THROWN_MAX)
            http2_reset_when_sent(p->client.h, id);
        return;
    }
    k->moved_ns = p->now_ns;
    client_body(p, k, bytes, false);
}

static void finish(struct pair *p, struct call *k, struct http2 *to, int32_t id,
                   const struct http1_head *trailers)
{
    struct http1_header f[FIELDS];
    struct err e;
    size_t n = trailers ? end_to_end(trailers, f, 0) : 0;
    if (http2_finish(to, id, f, n, &e) != ERR_OK)
        call_fail(p, k, &e);
}

static void on_client_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->client.h, id);
    if (!k)
        return;
    bool whole = is_collecting(k);
    k->asked = true;
    if (whole)
        collected(p, k);
    if (whole || !k->up_open || is_cut(k))
        return;
    client_body(p, k, STR(""), true);
    finish(p, k, p->server.h, k->up, trailers);
}

static void on_client_took(void *ctx, int32_t id, size_t n)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->client.h, id);
    if (!k)
        return;
    k->moved_ns = p->now_ns;
    if (k->up_open)
        http2_consume(p->server.h, k->up, n);
}

static void on_client_closed(void *ctx, int32_t id, uint32_t code)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->client.h, id);
    if (!k)
        return;
    k->down_open = false;
    if (k->up_open)
        http2_reset(p->server.h, k->up, code == HTTP2_NO_ERROR ? HTTP2_NO_ERROR : HTTP2_CANCEL);
    http2_call_drop(p, k);
}

static void on_client_refused(void *ctx, int32_t id, struct str why)
{
    struct pair *p = ctx;
    (void)id;
    report_failure(p->c, p->target, "HTTP request rejected before policy evaluation", why);
}

const struct http2_calls http2_client_calls = {on_request,     on_client_data,   on_client_end,
                                               on_client_took, on_client_closed, on_client_refused};

// ---- responses
// ------------------------------------------------------------------------------------------------

// The fields of a response that go on, without what was written into the request.
static size_t masked_fields(struct pair *p, struct call *k, const struct http1_head *head,
                            struct http1_header *f, size_t n)
{
    struct err e;
    bool hit;
    if (!k->flow || !k->flow->injected)
        return end_to_end(head, f, n);
    struct http1_head copy = *head;
    if (mask_head(k->flow->injected, &copy, &hit, &e) != ERR_OK) {
        call_fail(p, k, &e);
        return n;
    }
    k->flow->hit |= hit;
    return end_to_end(&copy, f, n);
}

static void on_response(void *ctx, int32_t id, const struct http1_head *head, bool end)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    struct err e;
    if (!k)
        return;
    char code[4];
    struct http1_header f[FIELDS];
    (void)snprintf(code, sizeof(code), "%03u", head->status % 1000);
    f[0] = (struct http1_header){STR(":status"), str_of(code)};
    size_t n = masked_fields(p, k, head, f, 1);
    k->moved_ns = p->now_ns;
    if (is_cut(k))
        return;
    if (!end && head->status >= 200 && k->flow && k->flow->injected && mask_is_blind(head)) {
        http2_reset(p->server.h, k->up, HTTP2_CANCEL);
        http2_call_lost(p, k,
                        "the server encoded its answer although nobody asked for that, so it cannot be "
                        "searched for the credential");
        return;
    }
    k->answered = head->status >= 200;
    k->done = end;
    if (http2_respond(p->client.h, k->down, f, n, end, &e) != ERR_OK)
        call_fail(p, k, &e);
}

static void server_body(struct pair *p, struct call *k, struct str bytes, bool end)
{
    struct err e;
    enum err_code r = ERR_OK;
    if (k->flow && k->flow->injected)
        r = mask_feed(&k->flow->mask, bytes, end, &bytes, &e);
    if (r == ERR_OK && bytes.n > 0)
        r = http2_write(p->client.h, k->down, bytes, &e);
    if (r != ERR_OK)
        call_fail(p, k, &e);
}

static void on_server_data(void *ctx, int32_t id, struct str bytes)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k || !k->down_open || is_cut(k)) {
        http2_consume(p->server.h, id, bytes.n);
        return;
    }
    k->moved_ns = p->now_ns;
    server_body(p, k, bytes, false);
}

static void on_server_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k)
        return;
    if (is_cut(k))
        return; // answered by us
    k->done = true;
    server_body(p, k, STR(""), true);
    struct http1_head copy = {};
    bool hit = false;
    struct err e;
    if (trailers && k->flow && k->flow->injected) {
        copy = *trailers;
        if (mask_head(k->flow->injected, &copy, &hit, &e) != ERR_OK)
            call_fail(p, k, &e);
        k->flow->hit |= hit;
        trailers = &copy;
    }
    finish(p, k, p->client.h, k->down, trailers);
}

static void on_server_took(void *ctx, int32_t id, size_t n)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k)
        return;
    k->moved_ns = p->now_ns;
    if (k->flow && k->flow->in) {
        if (k->flow->off < k->flow->made.n)
            write_made(p, k);
        return;
    }
    http2_consume(p->client.h, k->down, n);
}

static void on_server_closed(void *ctx, int32_t id, uint32_t code)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k)
        return;
    k->up_open = false;
    if (k->down_open && k->done && !k->asked)
        http2_reset_when_sent(p->client.h, k->down);
    else if (k->down_open && !k->done) // never turned into a clean end
        http2_reset(p->client.h, k->down, code == HTTP2_NO_ERROR ? HTTP2_INTERNAL_ERROR : code);
    http2_call_drop(p, k);
}

static void on_server_refused(void *ctx, int32_t id, struct str why)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    report_failure(p->c, p->target, "HTTP response refused", why);
    if (k && k->down_open && !k->answered)
        http2_call_lost(p, k, "the server's answer was malformed");
}

const struct http2_calls http2_server_calls = {on_response,    on_server_data,   on_server_end,
                                               on_server_took, on_server_closed, on_server_refused};
