// One request out, one response back. Both heads are printed anew from their parsed form; bodies are decoded
// and framed anew. The server may answer before the client has sent all: then the answer goes back and the
// connection ends.
#include "supervisor/egress/egress.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "supervisor/egress/credential.h"
#include "supervisor/egress/inject.h"

enum { OUT_MAX = HTTP1_HEAD_MAX + 2 * KIB + INBUF_MAX + MASK_WORK_MAX };

static void write_end_to_end(const struct http1_head *h, struct str skip, struct buf *out)
{
    for (size_t i = 0; i < h->headers_n; i++) {
        struct str name = h->headers[i].name;
        if (!http1_is_hop_by_hop(h, name) && !str_eq_ci(name, skip))
            http1_write_header(out, name, h->headers[i].value);
    }
}

static void write_upgrade(const struct http1_head *h, struct buf *out)
{
    struct str to;
    http1_write_header(out, STR("Connection"), STR("Upgrade"));
    if (http1_get(h, STR("Upgrade"), &to))
        http1_write_header(out, STR("Upgrade"), to);
}

void write_authority(const struct target *t, bool tls, char out[static HOST_MAX + 16])
{
    bool v6 = t->literal && t->ip.family == 6;
    bool plain = t->port == (tls ? 443 : 80);
    (void)snprintf(out, HOST_MAX + 16, plain ? "%s%s%s" : "%s%s%s:%u", v6 ? "[" : "", t->host, v6 ? "]" : "",
                   t->port);
}

static void write_host(const struct target *t, bool tls, struct buf *out)
{
    char text[HOST_MAX + 16];
    write_authority(t, tls, text);
    http1_write_header(out, STR("Host"), str_of(text));
}

static void write_request(const struct http_session *h, const struct http1_head *req, struct str path,
                          struct buf *out)
{
    CLEANUP(secret_buf_done) struct buf target;
    if (h->injected)
        secret_buf_init(&target, INJECT_BLOCK);
    else
        buf_init(&target, HTTP1_HEAD_MAX);
    buf_add(&target, req->form == FORM_ASTERISK ? STR("*") : path);
    if (req->has_query) {
        buf_addc(&target, '?');
        buf_add(&target, req->query);
    }
    out->full |= target.full;
    http1_write_request_line(out, req->method, buf_str(&target));
    write_host(h->target, h->tls, out);
    write_end_to_end(req, STR("Host"), out);
    if (req->upgrade)
        write_upgrade(req, out);
    else if (h->once)
        http1_write_header(out, STR("Connection"), STR("close"));
    struct str via;
    if (h->once && !http1_get(req, STR("Via"), &via))
        http1_write_header(out, STR("Via"), STR("1.1 openshell-sandbox"));
    http1_write_framing(out, req->framing, req->length);
    buf_add(out, STR("\r\n"));
}

// ---- bodies
// -------------------------------------------------------------------------------------------------

struct body_relay {
    struct reader *from;
    struct stream *to;
    struct http1_body body;
    bool chunked; // towards `to`
    struct buf *out;
    struct scan *scan; // of a request, or NULL
    struct mask *mask; // of a response, or NULL
};

static enum err_code add_content(struct body_relay *b, struct str data, bool end, struct err *e)
{
    enum err_code r = ERR_OK;
    if (b->scan)
        r = scan_feed(b->scan, data, end, &data, e);
    else if (b->mask)
        r = mask_feed(b->mask, data, end, &data, e);
    if (r != ERR_OK || data.n == 0)
        return r;
    if (b->chunked)
        http1_write_chunk_head(b->out, data.n);
    buf_add(b->out, data);
    if (b->chunked)
        buf_add(b->out, STR("\r\n"));
    return ERR_OK;
}

// Moves what was read already into b->out. HTTP1_DONE: the body has ended.
static enum http1_result take_content(struct body_relay *b, struct err *e)
{
    for (;;) {
        struct str in = reader_str(b->from), data = {};
        enum http1_result r = http1_body_next(&b->body, &in, &data, e);
        b->from->off = b->from->n - in.n;
        if (r == HTTP1_BAD)
            return r;
        if (data.n > 0 && add_content(b, data, false, e) != ERR_OK)
            return HTTP1_BAD;
        if (r == HTTP1_DONE) {
            if (add_content(b, STR(""), true, e) != ERR_OK)
                return HTTP1_BAD;
            if (b->chunked)
                buf_add(b->out, STR("0\r\n\r\n"));
            return r;
        }
        if (data.n == 0)
            return HTTP1_MORE;
    }
}

static enum err_code flush(struct body_relay *b, const struct wait *w, struct err *e)
{
    enum err_code r = buf_check(b->out, "a message in transit", e);
    if (r == ERR_OK && b->out->n > 0)
        r = stream_write(b->to, buf_str(b->out), w, e);
    buf_clear(b->out);
    return r;
}

static struct wait body_wait(const struct http_session *h)
{
    // A request in flight ends under the policy that admitted it: not cancelled (DESIGN section 4).
    (void)h;
    return (struct wait){.deadline_ns = deadline_in_ms(BODY_IDLE_MS), .cancel_fd = -1};
}

enum side { SIDE_CLIENT, SIDE_SERVER };

// Which side has something to read; the server is asked first, for it may answer early.
static enum err_code wait_socket(const struct http_session *h, enum side *ret, struct err *e)
{
    if (reader_str(&h->out).n > 0 || stream_pending(h->upstream) > 0) {
        *ret = SIDE_SERVER;
        return ERR_OK;
    }
    if (stream_pending(h->client) > 0) {
        *ret = SIDE_CLIENT;
        return ERR_OK;
    }
    struct pollfd p[2] = {{.fd = h->upstream->fd, .events = POLLIN}, {.fd = h->client->fd, .events = POLLIN}};
    int n;
    do
        n = poll(p, 2, BODY_IDLE_MS);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return err_set(e, ERR_TIMEOUT, "nothing moved for %d s", BODY_IDLE_MS / 1000);
    *ret = p[0].revents ? SIDE_SERVER : SIDE_CLIENT;
    return ERR_OK;
}

// The same for what a server says, and not its TLS alone: the tickets that follow a handshake are no answer.
static enum err_code wait_either(struct http_session *h, enum side *ret, struct err *e)
{
    for (;;) {
        enum err_code r = wait_socket(h, ret, e);
        if (r != ERR_OK || *ret == SIDE_CLIENT || reader_str(&h->out).n > 0)
            return r;
        bool end;
        r = reader_fill(&h->out, &(struct wait){.deadline_ns = DEADLINE_NOW, .cancel_fd = -1}, &end, e);
        if (r != ERR_TIMEOUT) // its end and its failures are met by who reads the answer
            return ERR_OK;
    }
}

// Sends head (in b->out) and body. *ret_early: the server spoke before the end.
static enum err_code send_request(struct http_session *h, struct body_relay *b, bool wait_continue,
                                  bool *ret_early, struct err *e)
{
    *ret_early = false;
    for (;;) {
        enum http1_result state = wait_continue ? HTTP1_MORE : take_content(b, e);
        if (state == HTTP1_BAD)
            return ERR_INVALID;
        struct wait w = body_wait(h);
        enum err_code r = flush(b, &w, e);
        if (r != ERR_OK || state == HTTP1_DONE)
            return r;
        enum side side;
        r = wait_either(h, &side, e);
        if (r != ERR_OK)
            return r;
        if (side == SIDE_SERVER) {
            *ret_early = true;
            return ERR_OK;
        }
        wait_continue = false;
        bool end = false;
        r = reader_fill(b->from, &w, &end, e);
        if (r != ERR_OK)
            return r;
        if (end)
            return err_set(e, ERR_UNAVAILABLE, "the client ended in the middle of a body");
    }
}

// ---- responses
// ----------------------------------------------------------------------------------------------

static enum err_code read_response(struct http_session *h, struct str method, struct http1_head *ret,
                                   size_t *used, struct err *e)
{
    size_t resume = 0;
    for (;;) {
        switch (http1_response(reader_str(&h->out), HTTP1_HEAD_MAX, method, &resume, ret, used, e)) {
        case HTTP1_DONE:
            return ERR_OK;
        case HTTP1_BAD:
            return err_wrap(e, e->code, "response");
        case HTTP1_MORE:
            break;
        }
        struct wait w = body_wait(h);
        bool end;
        enum err_code r = reader_fill(&h->out, &w, &end, e);
        if (r != ERR_OK)
            return r;
        if (end)
            return err_set(e, ERR_UNAVAILABLE, "the server ended before its response");
    }
}

// How the body goes to the client: one of unknown length is chunked for HTTP/1.1 and ends with the connection
// for 1.0.
static enum http1_framing framing_for(const struct http1_head *req, const struct http1_head *res)
{
    bool unknown = res->framing == FRAMING_CLOSE || res->framing == FRAMING_CHUNKED;
    if (!unknown)
        return res->framing;
    return req->minor == 1 ? FRAMING_CHUNKED : FRAMING_CLOSE;
}

// `head`: the request was HEAD. Its own bytes may be gone by now: a body was read over them.
static void write_response(const struct http_session *h, const struct http1_head *req, bool head,
                           const struct http1_head *res, struct buf *out)
{
    http1_write_status(out, res->status, res->reason);
    write_end_to_end(res, STR(""), out);
    if (res->status == 101) {
        write_upgrade(res, out);
    } else if (res->status >= 200) {
        struct str length;
        if (head || res->status == 304) { // says how long it would be
            if (http1_get(res, STR("Content-Length"), &length))
                http1_write_header(out, STR("Content-Length"), length);
        } else if (res->framing == FRAMING_NONE && res->status != 204) {
            http1_write_framing(out, FRAMING_LENGTH, 0);
        } else {
            http1_write_framing(out, framing_for(req, res), res->length);
        }
        if (!h->again)
            http1_write_header(out, STR("Connection"), STR("close"));
        else if (req->minor == 0)
            http1_write_header(out, STR("Connection"), STR("keep-alive"));
    }
    buf_add(out, STR("\r\n"));
}

static enum err_code relay_body(struct http_session *h, struct body_relay *b, struct err *e)
{
    for (;;) {
        enum http1_result state = take_content(b, e);
        if (state == HTTP1_BAD)
            return ERR_INVALID;
        struct wait w = body_wait(h);
        enum err_code r = flush(b, &w, e);
        if (r != ERR_OK || state == HTTP1_DONE)
            return r;
        bool end = false;
        r = reader_fill(b->from, &w, &end, e);
        if (r != ERR_OK)
            return r;
        if (!end)
            continue;
        if (b->body.framing != FRAMING_CLOSE) // never turned into a clean end
            return err_set(e, ERR_UNAVAILABLE, "the server ended in the middle of a body");
        r = add_content(b, STR(""), true, e);
        if (b->chunked)
            buf_add(b->out, STR("0\r\n\r\n"));
        return r == ERR_OK ? flush(b, &w, e) : r;
    }
}

// After 101 both sides speak something else. The policy may have changed while the request was in flight, so
// it is asked once more now that a reload would cut this connection.
static enum err_code relay_upgrade(struct http_session *h, struct err *e)
{
    struct conn *c = h->c;
    conn_phase(c, PHASE_TUNNEL);
    stream_busy(h->client, false);
    stream_busy(h->upstream, false);
    struct snapshot *s = egress_policy(c->e);
    struct conn_decision d;
    decide_connection(s, &c->facts, &d);
    snapshot_unref(s);
    if (d.d.verdict == VERDICT_DENY)
        return err_set(e, ERR_DENIED, "the policy changed");
    struct wait w = conn_wait(c, DEADLINE_NEVER);
    enum err_code r = ERR_OK;
    if (reader_str(&h->in).n > 0)
        r = stream_write(h->upstream, reader_str(&h->in), &w, e);
    if (r == ERR_OK && reader_str(&h->out).n > 0)
        r = stream_write(h->client, reader_str(&h->out), &w, e);
    uint64_t counts[2];
    return r == ERR_OK ? stream_relay(h->client, h->upstream, BODY_IDLE_MS, &w, counts, e) : r;
}

// Interim responses go through (not to HTTP/1.0, RFC 9110 section 15.2); returns with the final one, or 101,
// in *res.
static enum err_code final_response(struct http_session *h, const struct http1_head *req, bool head,
                                    struct body_relay *up, bool early, struct err *e)
{
    struct http1_head *res = &h->response;
    for (;;) {
        size_t used;
        enum err_code r = read_response(h, head ? STR("HEAD") : STR("GET"), res, &used, e);
        if (r != ERR_OK)
            return r;
        if (res->status == 101 && !req->upgrade)
            return err_set(e, ERR_INVALID, "the server switched protocols without being asked");
        h->out.off += used; // the strings of *res stay until the reader is filled again
        if (res->status == 101 || res->status >= 200)
            return ERR_OK;
        bool hit;
        if (h->injected && (r = mask_head(h->injected, res, &hit, e)) != ERR_OK)
            return r;
        CLEANUP(buf_done) struct buf interim;
        buf_init(&interim, OUT_MAX);
        write_response(h, req, head, res, &interim);
        struct wait w = body_wait(h);
        if (req->minor == 1 && (r = stream_write(h->client, buf_str(&interim), &w, e)) != ERR_OK)
            return r;
        if (early) {
            r = send_request(h, up, false, &early, e);
            if (r != ERR_OK)
                return r;
        }
    }
}

// The head, and the body where it was read already. What holds a credential never moves, and is wiped.
static enum err_code send_whole(struct http_session *h, struct body_relay *up, struct err *e)
{
    struct wait w = body_wait(h);
    enum err_code r = flush(up, &w, e);
    return r == ERR_OK && h->new_body.n > 0 ? stream_write(h->upstream, h->new_body, &w, e) : r;
}

static enum err_code send_all(struct http_session *h, const struct http1_head *req, struct body_relay *up,
                              bool *ret_early, struct err *e)
{
    if (h->has_new_body) {
        enum err_code r = send_whole(h, up, e);
        http1_body_init(&up->body, FRAMING_NONE, 0);
        return r;
    }
    // A body that is here already was sent without waiting: nobody would be told of it any more.
    bool wait_continue = req->expect_continue && reader_str(&h->in).n == 0;
    return send_request(h, up, wait_continue, ret_early, e);
}

static enum err_code respond(struct http_session *h, const struct http1_head *req, struct buf *out,
                             struct mask *mask, struct err *e)
{
    const struct http1_head *res = &h->response;
    struct body_relay down = {.from = &h->out,
                              .to = h->client,
                              .chunked = framing_for(req, res) == FRAMING_CHUNKED &&
                                         res->framing != FRAMING_NONE,
                              .out = out,
                              .mask = mask};
    http1_body_init(&down.body, res->framing, res->length);
    if (res->status == 101) {
        struct wait w = body_wait(h);
        h->again = false;
        enum err_code r = stream_write(h->client, buf_str(out), &w, e);
        return r == ERR_OK ? relay_upgrade(h, e) : r;
    }
    return relay_body(h, &down, e);
}

// What the server says about itself may hold what it was told.
static enum err_code look_into(struct http_session *h, bool head, bool *ret_hit, struct err *e)
{
    struct http1_head *res = &h->response;
    *ret_hit = false;
    if (!h->injected)
        return ERR_OK;
    if (res->framing != FRAMING_NONE && !head && mask_is_blind(res))
        return err_set(
            e, ERR_UNSUPPORTED,
            "the server encoded its answer although nobody asked for that, so it cannot be searched "
            "for the credential");
    return mask_head(h->injected, res, ret_hit, e);
}

enum err_code http_exchange(struct http_session *h, const struct http1_head *req, struct str path,
                            unsigned *ret_status, struct err *e)
{
    CLEANUP(secret_buf_done) struct buf out;
    CLEANUP(mask_done) struct mask mask;
    CLEANUP(scan_done) struct scan scan;
    if (h->injected)
        secret_buf_init(&out, OUT_MAX);
    else
        buf_init(&out, OUT_MAX);
    mask_init(&mask, h->injected);
    scan_init(&scan);
    const struct http1_head *res = &h->response;
    bool head = str_eq(req->method, STR("HEAD"));

    struct body_relay up = {.from = &h->in,
                            .to = h->upstream,
                            .chunked = req->framing == FRAMING_CHUNKED,
                            .out = &out,
                            .scan = atomic_load(&h->c->e->credentials) ? &scan : NULL};
    http1_body_init(&up.body, req->framing, req->length);
    write_request(h, req, path, &out);
    bool early = false, hit = false;
    enum err_code r = send_all(h, req, &up, &early, e);
    if (r == ERR_OK)
        r = final_response(h, req, head, &up, early, e);
    if (r == ERR_OK)
        r = look_into(h, head, &hit, e);
    h->marked = scan.found;
    if (r != ERR_OK)
        return r;

    bool all_sent = up.body.state == BODY_END || req->framing == FRAMING_NONE;
    h->again = req->keep_alive && all_sent && !h->once && framing_for(req, res) != FRAMING_CLOSE;
    bool upstream_again = res->keep_alive && all_sent && res->framing != FRAMING_CLOSE;
    *ret_status = res->status;
    buf_clear(&out);
    write_response(h, req, head, res, &out);
    r = respond(h, req, &out, h->injected ? &mask : NULL, e);
    if (hit || mask.hit)
        credential_reflected(h->c, h->target);
    if (r == ERR_OK && upstream_again)
        return ERR_OK;
    stream_free(TAKE(h->upstream));
    return r;
}
