// HTTP/2 on both legs, driven by the connection's one thread. The legs are a pair: the server is asked for h2
// where the client offers it, and the client gets what the server chose, so that no request changes version
// on its way. Each stream of the client is a call: admitted or answered here, then a stream of the server.
// A body waits on the leg that it goes to; the leg it came from gives new window when it went out. When one
// leg ends or says that it will, the other is told so.
#include "net/http2.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "supervisor/egress/egress.h"

enum {
    THROWN_MAX = 64 * KIB, // of a refused request, before it is reset; ours
    LEG_OUT = 16 * KIB,
    LEG_OUT_MAX = 256 * KIB,
    LEG_READS = 8,
    END_TIMEOUT_MS = 5'000,
    FIELDS = HTTP1_HEADERS_MAX + 8
};

struct call {
    struct call *next, *prev;
    int32_t down, up; // stream of the client; of the server, 0: none
    bool down_open, up_open;
    bool asked;    // the whole request is here
    bool answered; // the head that counts went to the client
    bool done;     // and the end, too
    int64_t moved_ns;
    size_t thrown; // bytes of a request that was refused
};

struct leg {
    struct http2 *h;
    struct stream *s;
    struct buf out;
    size_t off;
    bool ended; // nothing more comes, or can be sent
    int64_t head_since_ns;
};

struct pair {
    struct conn *c;
    const struct target *target;
    struct leg client, server;
    struct call *calls;
    bool leaving; // the client was told so
    bool check;   // the last call ended: check_policy
    int64_t now_ns, idle_since_ns;
    struct incoming *in;
    char authority[HOST_MAX + 16];
    char b[LEG_OUT];
};

static const struct wait no_wait = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

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

static void call_drop(struct pair *p, struct call *k)
{
    if (k->down_open || k->up_open)
        return;
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

static void answer_failure(struct pair *p, struct call *k, const char *why)
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

static void forward(struct pair *p, struct call *k, bool end)
{
    const struct http1_head *h = &p->in->head;
    struct http1_header f[FIELDS];
    CLEANUP(buf_done) struct buf path;
    struct err e;
    buf_init(&path, 2 * HTTP1_HEAD_MAX);
    buf_add(&path, h->form == FORM_ASTERISK ? STR("*") : p->in->path);
    if (h->has_query) {
        buf_addc(&path, '?');
        buf_add(&path, h->query);
    }
    if (buf_check(&path, "the path", &e) != ERR_OK) {
        call_fail(p, k, &e);
        return;
    }
    f[0] = (struct http1_header){STR(":method"), h->method};
    f[1] = (struct http1_header){STR(":scheme"), STR("https")};
    f[2] = (struct http1_header){STR(":authority"), str_of(p->authority)};
    f[3] = (struct http1_header){STR(":path"), buf_str(&path)};
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

static void decide(struct pair *p, struct call *k, const struct snapshot *s, bool end)
{
    struct incoming *in = p->in;
    struct conn *c = p->c;
    struct err e;
    CLEANUP(buf_done) struct buf body, reason;
    buf_init(&body, ANSWER_MAX);
    buf_init(&reason, KIB);
    if (!request_is_for(p->target, true, &in->head)) {
        buf_add(&body, STR(ANSWER_AUTHORITY));
        answer(p, k, 403, STR(""), &body);
        report_authority(c, p->target, &in->head);
        return;
    }
    enum err_code r = str_eq(in->head.scheme, STR("https")) || in->head.form == FORM_AUTHORITY
                          ? request_facts(c, s, in, &e)
                          : err_set(&e, ERR_INVALID, "scheme '%.*s' under TLS", STR_FMT(in->head.scheme));
    if (r != ERR_OK) {
        answer(p, k, 400, STR(""), &body);
        report_failure(c, p->target, "HTTP request rejected before policy evaluation", str_of(e.msg));
        return;
    }
    struct decision d;
    if (request_decide(c, p->target, s, in, &d, &reason)) {
        forward(p, k, end);
        return;
    }
    struct request_line_facts line = {.method = in->head.method, .target = in->head.target, .path = in->path};
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

static void on_client_data(void *ctx, int32_t id, struct str bytes)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->client.h, id);
    struct err e;
    if (!k || !k->up_open) {
        http2_consume(p->client.h, id, bytes.n); // of a request that was refused
        if (k && (k->thrown += bytes.n) > THROWN_MAX)
            http2_reset_when_sent(p->client.h, id);
        return;
    }
    k->moved_ns = p->now_ns;
    if (http2_write(p->server.h, k->up, bytes, &e) != ERR_OK)
        call_fail(p, k, &e);
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
    k->asked = true;
    if (k->up_open)
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
    call_drop(p, k);
}

static void on_client_refused(void *ctx, int32_t id, struct str why)
{
    struct pair *p = ctx;
    (void)id;
    report_failure(p->c, p->target, "HTTP request rejected before policy evaluation", why);
}

static const struct http2_calls client_calls = {on_request,     on_client_data,   on_client_end,
                                                on_client_took, on_client_closed, on_client_refused};

// ---- responses
// ------------------------------------------------------------------------------------------------

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
    size_t n = end_to_end(head, f, 1);
    k->moved_ns = p->now_ns;
    k->answered = head->status >= 200;
    k->done = end;
    if (http2_respond(p->client.h, k->down, f, n, end, &e) != ERR_OK)
        call_fail(p, k, &e);
}

static void on_server_data(void *ctx, int32_t id, struct str bytes)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    struct err e;
    if (!k || !k->down_open) {
        http2_consume(p->server.h, id, bytes.n);
        return;
    }
    k->moved_ns = p->now_ns;
    if (http2_write(p->client.h, k->down, bytes, &e) != ERR_OK)
        call_fail(p, k, &e);
}

static void on_server_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k)
        return;
    k->done = true;
    finish(p, k, p->client.h, k->down, trailers);
}

static void on_server_took(void *ctx, int32_t id, size_t n)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    if (!k)
        return;
    k->moved_ns = p->now_ns;
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
    call_drop(p, k);
}

static void on_server_refused(void *ctx, int32_t id, struct str why)
{
    struct pair *p = ctx;
    struct call *k = http2_get(p->server.h, id);
    report_failure(p->c, p->target, "HTTP response refused", why);
    if (k && k->down_open && !k->answered)
        answer_failure(p, k, "the server's answer was malformed");
}

static const struct http2_calls server_calls = {on_response,    on_server_data,   on_server_end,
                                                on_server_took, on_server_closed, on_server_refused};

// ---- legs
// ----------------------------------------------------------------------------------------------------

// Sends until the socket takes no more, or there is no more.
static void leg_send(struct pair *p, struct leg *l)
{
    struct err e;
    for (;;) {
        if (l->off == l->out.n) {
            buf_clear(&l->out);
            l->off = 0;
            if (http2_send(l->h, &l->out, LEG_OUT, &e) != ERR_OK) {
                report_failure(p->c, p->target, "HTTP/2 relay error", str_of(e.msg));
                l->ended = true;
            }
            if (l->out.n == 0 || l->ended)
                return;
        }
        size_t n = 0;
        enum err_code r = stream_write_some(l->s, str_from(buf_str(&l->out), l->off), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        if (r != ERR_OK) {
            l->ended = true;
            return;
        }
        l->off += n;
    }
}

static void leg_read(struct pair *p, struct leg *l)
{
    struct err e;
    for (size_t i = 0; i < LEG_READS && !l->ended; i++) {
        size_t n = 0;
        enum err_code r = stream_read(l->s, p->b, sizeof(p->b), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        l->ended = r != ERR_OK || n == 0;
        if (l->ended)
            return;
        if (http2_recv(l->h, (struct str){p->b, n}, p->now_ns, &e) != ERR_OK) {
            report_failure(p->c, p->target,
                           l == &p->client ? "HTTP/2 client refused" : "HTTP/2 server refused",
                           str_of(e.msg));
            leg_send(p, l); // GOAWAY
            l->ended = true;
        }
    }
}

static short leg_events(const struct leg *l)
{
    // What the other leg sent a moment ago may have opened window here: that is sent in the next turn.
    return (short)(POLLIN | (l->off < l->out.n || http2_wants_send(l->h) ? POLLOUT : 0));
}

// ---- the loop
// ----------------------------------------------------------------------------------------------

static void leave(struct pair *p)
{
    if (p->leaving)
        return;
    p->leaving = true;
    http2_leave(p->client.h);
}

// A request in flight ends under the policy that admitted it; without one, a connection that the policy in
// force refuses is not kept.
static void check_policy(struct pair *p)
{
    struct snapshot *s = egress_policy(p->c->e);
    struct conn_decision d;
    decide_connection(s, &p->c->facts, &d);
    snapshot_unref(s);
    p->check = false;
    if (d.d.verdict == VERDICT_DENY)
        leave(p);
}

// The server is gone: who waits for it is told.
static void server_lost(struct pair *p)
{
    leave(p);
    for (struct call *k = p->calls, *next; k; k = next) {
        next = k->next;
        if (!k->up_open)
            continue;
        k->up_open = false;
        if (k->down_open && !k->answered)
            answer_failure(p, k, "the server ended the connection");
        else if (k->down_open && !k->done)
            http2_reset(p->client.h, k->down, HTTP2_INTERNAL_ERROR);
        else
            call_drop(p, k);
    }
}

// Calls on which nothing moved for too long, whoever is to blame, and heads that never end. Returns what is
// left until one of these limits is reached, in milliseconds.
static int64_t sweep(struct pair *p)
{
    const int64_t ms = 1'000'000;
    int64_t left = BODY_IDLE_MS;
    for (struct call *k = p->calls; k; k = k->next) {
        int64_t rest = BODY_IDLE_MS - (p->now_ns - k->moved_ns) / ms;
        if (rest <= 0) {
            http2_reset(p->client.h, k->down, HTTP2_CANCEL);
            if (k->up_open)
                http2_reset(p->server.h, k->up, HTTP2_CANCEL);
            k->moved_ns = p->now_ns; // it closes when the resets are out
        } else if (rest < left) {
            left = rest;
        }
    }
    struct leg *legs[2] = {&p->client, &p->server};
    for (size_t i = 0; i < 2; i++) {
        if (!http2_in_head(legs[i]->h)) {
            legs[i]->head_since_ns = 0;
            continue;
        }
        if (legs[i]->head_since_ns == 0)
            legs[i]->head_since_ns = p->now_ns;
        int64_t rest = HEAD_TIMEOUT_MS - (p->now_ns - legs[i]->head_since_ns) / ms;
        legs[i]->ended |= rest <= 0;
        left = rest < left ? rest : left;
    }
    if (!p->calls) {
        int64_t rest = IDLE_TIMEOUT_MS - (p->now_ns - p->idle_since_ns) / ms;
        if (rest <= 0)
            leave(p);
        left = rest < left ? rest : left;
    }
    return left > 0 ? left : 0;
}

// False: the connection has ended.
static bool turn(struct pair *p)
{
    p->now_ns = clock_ns();
    int64_t left = sweep(p);
    // What one leg sends may give the other something to send: window.
    leg_send(p, &p->server);
    leg_send(p, &p->client);
    leg_send(p, &p->server);
    if (p->client.ended || http2_is_over(p->client.h))
        return false;
    if (http2_is_leaving(p->server.h))
        leave(p);
    if (p->check && !p->calls)
        check_policy(p);
    leg_send(p, &p->client); // a GOAWAY of these
    if (p->server.ended || http2_is_over(p->server.h)) {
        if (!p->server.ended || !p->leaving || p->calls)
            server_lost(p);
        p->server.ended = true;
        leg_send(p, &p->client);
    }
    if (p->leaving && !p->calls && p->client.off == p->client.out.n && !http2_wants_send(p->client.h))
        return false;
    struct pollfd f[3] = {{.fd = p->client.s->fd, .events = leg_events(&p->client)},
                          {.fd = p->server.ended ? -1 : p->server.s->fd, .events = leg_events(&p->server)},
                          {.fd = p->leaving ? -1 : p->c->cancel_fd, .events = POLLIN}};
    bool pending = stream_pending(p->client.s) > 0 || (!p->server.ended && stream_pending(p->server.s) > 0);
    int n = poll(f, 3, pending ? 0 : (int)left);
    if (n < 0 && errno != EINTR)
        return false;
    p->now_ns = clock_ns();
    if (f[2].revents)
        leave(p);
    leg_read(p, &p->client);
    if (!p->server.ended)
        leg_read(p, &p->server);
    return true;
}

// What is still in the buffers goes out, to whoever still takes it.
static void leg_end(struct leg *l)
{
    struct err e;
    struct wait w = {.deadline_ns = deadline_in_ms(END_TIMEOUT_MS), .cancel_fd = -1};
    if (!l->ended)
        http2_end(l->h, HTTP2_NO_ERROR);
    enum err_code r = stream_write(l->s, str_from(buf_str(&l->out), l->off), &w, &e);
    buf_clear(&l->out);
    if (r == ERR_OK && http2_send(l->h, &l->out, LEG_OUT_MAX / 2, &e) == ERR_OK &&
        stream_write(l->s, buf_str(&l->out), &w, &e) == ERR_OK)
        (void)stream_end(l->s, &w, &e); // the peer may be gone: nothing to tell it then
    buf_done(&l->out);
}

void http2_serve(struct conn *c, const struct target *t, struct stream *client, struct stream *upstream)
{
    struct pair *p = arena_new(&c->arena, struct pair);
    struct err e;
    if (!p || !(p->in = arena_new(&c->arena, struct incoming)))
        return;
    p->c = c;
    p->target = t;
    p->client.s = client;
    p->server.s = upstream;
    p->now_ns = p->idle_since_ns = clock_ns();
    write_authority(t, true, p->authority);
    conn_phase(c, PHASE_IDLE);
    buf_init(&p->client.out, LEG_OUT_MAX);
    buf_init(&p->server.out, LEG_OUT_MAX);
    if (http2_new(HTTP2_SERVER, &client_calls, p, &p->client.h, &e) == ERR_OK &&
        http2_new(HTTP2_CLIENT, &server_calls, p, &p->server.h, &e) == ERR_OK) {
        while (turn(p))
            ;
        leg_end(&p->client);
        leg_end(&p->server);
    } else {
        report_failure(c, t, "HTTP/2 relay error", str_of(e.msg));
    }
    http2_free(p->client.h);
    http2_free(p->server.h);
    while (p->calls) {
        p->calls->down_open = p->calls->up_open = false;
        call_drop(p, p->calls);
    }
}
