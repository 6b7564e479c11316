// inference.local over HTTP/1: requests one after the other, each read whole, then called.
#include "base/clock.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/inject.h"

struct front {
    struct conn *c;
    struct stream *client;
    struct incoming *in;
    struct reader reader;
    struct buf body, w; // w: what is written at once
    bool again;
    // of the response under way
    enum http1_framing framing;
    bool old; // HTTP/1.0
};

static struct wait front_wait(void)
{
    return (struct wait){.deadline_ns = deadline_in_ms(BODY_IDLE_MS), .cancel_fd = -1};
}

// ---- the response
// ------------------------------------------------------------------------------------------------

static enum err_code out_flush(struct front *f, struct err *e)
{
    const struct wait w = front_wait();
    enum err_code r = buf_check(&f->w, "a response", e);
    if (r == ERR_OK && f->w.n > 0)
        r = stream_write(f->client, buf_str(&f->w), &w, e);
    buf_clear(&f->w);
    return r;
}

static enum err_code out_head(void *ctx, unsigned status, const struct http1_header *h, size_t n,
                              int64_t length, struct err *e)
{
    struct front *f = ctx;
    f->framing = length >= 0 ? FRAMING_LENGTH : f->old ? FRAMING_CLOSE : FRAMING_CHUNKED;
    f->again &= f->framing != FRAMING_CLOSE;
    http1_write_status(&f->w, status, str_of(http1_reason(status)));
    for (size_t i = 0; i < n; i++)
        http1_write_header(&f->w, h[i].name, h[i].value);
    if (status != 204 && status != 304)
        http1_write_framing(&f->w, f->framing, length > 0 ? (uint64_t)length : 0);
    if (!f->again)
        http1_write_header(&f->w, STR("Connection"), STR("close"));
    else if (f->old)
        http1_write_header(&f->w, STR("Connection"), STR("keep-alive"));
    buf_add(&f->w, STR("\r\n"));
    return length == 0 ? ERR_OK : out_flush(f, e);
}

static enum err_code out_data(void *ctx, struct str bytes, struct err *e)
{
    struct front *f = ctx;
    if (f->framing == FRAMING_CHUNKED)
        http1_write_chunk_head(&f->w, bytes.n);
    buf_add(&f->w, bytes);
    if (f->framing == FRAMING_CHUNKED)
        buf_add(&f->w, STR("\r\n"));
    return out_flush(f, e);
}

static enum err_code out_end(void *ctx, struct err *e)
{
    struct front *f = ctx;
    if (f->framing == FRAMING_CHUNKED)
        buf_add(&f->w, STR("0\r\n\r\n"));
    return out_flush(f, e);
}

// ---- the request
// -------------------------------------------------------------------------------------------------

static void refuse(struct front *f, unsigned status, struct str why)
{
    const struct target t = {.host = "inference.local", .host_n = INFERENCE_HOST.n, .port = 443};
    answer_bare(f->c, f->client, status);
    report_failure(f->c, &t, "inference request refused", why);
}

static bool read_head(struct front *f)
{
    size_t resume = 0, used;
    struct err e;
    bool begun = reader_str(&f->reader).n > 0;
    int64_t deadline = deadline_in_ms(begun ? HEAD_TIMEOUT_MS : IDLE_TIMEOUT_MS);
    for (;;) {
        switch (http1_request(reader_str(&f->reader), HTTP1_HEAD_MAX, &resume, &f->in->head, &used, &e)) {
        case HTTP1_DONE:
            f->reader.off += used;
            return true;
        case HTTP1_BAD:
            refuse(f, e.code == ERR_LIMIT ? 431 : 400, str_of(e.msg));
            return false;
        case HTTP1_MORE:
            break;
        }
        const struct wait w = conn_wait(f->c, deadline);
        bool end;
        if (reader_fill(&f->reader, &w, &end, &e) != ERR_OK || end)
            return false;
        deadline = begun ? deadline : deadline_in_ms(HEAD_TIMEOUT_MS);
        begun = true;
    }
}

static enum err_code read_body(struct front *f, struct err *e)
{
    const struct http1_head *h = &f->in->head;
    struct http1_body body;
    http1_body_init(&body, h->framing, h->length);
    buf_clear(&f->body);
    if (h->framing == FRAMING_LENGTH && h->length > INFERENCE_BODY_MAX)
        return err_set(e, ERR_LIMIT, "a body of more than %d bytes", INFERENCE_BODY_MAX);
    struct wait w = front_wait();
    if (h->expect_continue && reader_str(&f->reader).n == 0) {
        enum err_code r = stream_write(f->client, STR("HTTP/1.1 100 Continue\r\n\r\n"), &w, e);
        if (r != ERR_OK)
            return r;
    }
    for (;;) {
        struct str rest = reader_str(&f->reader), data;
        enum http1_result r = http1_body_next(&body, &rest, &data, e);
        f->reader.off = f->reader.n - rest.n;
        if (r == HTTP1_BAD)
            return ERR_INVALID;
        buf_add(&f->body, data);
        enum err_code code = buf_check(&f->body, "a body", e);
        if (code != ERR_OK || r == HTTP1_DONE)
            return code;
        if (data.n > 0)
            continue;
        bool end = false;
        w = front_wait();
        code = reader_fill(&f->reader, &w, &end, e);
        if (code != ERR_OK)
            return code;
        if (end)
            return err_set(e, ERR_UNAVAILABLE, "the client ended in the middle of a body");
    }
}

static void serve(struct front *f)
{
    static const struct target me = {.host = "inference.local", .host_n = 15, .port = 443};
    struct incoming *in = f->in;
    struct err e = {};
    f->again = false;
    if (!request_is_for(&me, true, &in->head) || in->head.form == FORM_AUTHORITY || in->head.upgrade) {
        refuse(f, 400, STR("a request for another host, or an upgrade"));
        return;
    }
    if (urlpath_canonical(in->head.path, false, in->path_text, &in->path, &e) != ERR_OK) {
        refuse(f, 400, str_of(e.msg));
        return;
    }
    in->shown = in->path;
    in->shown_target = in->head.target;
    bool keep_alive = in->head.keep_alive;
    enum err_code r = request_keep(in) ? read_body(f, &e) : err_set(&e, ERR_LIMIT, "no room for the request");
    if (r != ERR_OK) {
        refuse(f, r == ERR_LIMIT ? 413 : 400, str_of(e.msg));
        return;
    }
    f->again = keep_alive;
    f->old = in->head.minor == 0;
    const struct inference_request q = {.head = &in->head, .path = in->path, .body = buf_str(&f->body)};
    const struct inference_out out = {.ctx = f,
                                      .head = out_head,
                                      .data = out_data,
                                      .end = out_end,
                                      .client_fd = f->client->fd,
                                      .cancel_fd = -1};
    if (inference_call(f->c, &q, &out, &e) != ERR_OK)
        f->again = false; // the connection ends in the middle of the answer
}

void inference_http1(struct conn *c, struct stream *client)
{
    struct front *f = arena_new(&c->arena, struct front);
    if (!f || !(f->in = arena_new(&c->arena, struct incoming)))
        return;
    f->c = c;
    f->client = client;
    f->reader.s = client;
    buf_init(&f->body, INFERENCE_BODY_MAX);
    buf_init(&f->w, HTTP1_HEAD_MAX + MASK_WORK_MAX + KIB);
    do {
        conn_phase(c, PHASE_IDLE);
        if (!read_head(f))
            break;
        conn_phase(c, PHASE_REQUEST);
        arena_init(&f->in->arena, REQUEST_ARENA_MAX);
        c->requests++;
        serve(f);
        arena_done(&f->in->arena);
    } while (f->again);
    buf_done(&f->body);
    buf_done(&f->w);
}
