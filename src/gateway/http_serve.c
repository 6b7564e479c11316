#include "gateway/http_serve.h"

#include "base/fd.h"
#include "net/http1.h"

enum { CONNS_MAX = 64, HEAD_MAX = 8 * KIB, IDLE_MS = 10'000, BACKLOG = 64 };

struct http_conn {
    struct http_serve *serve;
    struct http_conn *next, *prev;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    unsigned handles;                     // not yet closed
    bool closing, reading, writing, last; // last: close when the answer is out
    struct buf out;
    size_t in_n, resume;
    char in[HEAD_MAX];
};

struct http_serve {
    uv_tcp_t tcp;
    const struct http_route *routes;
    void *ctx;
    struct http_conn *conns;
    size_t conns_n;
    bool closing, closed; // closed: the listener's handle is
};

// ---- ends

static void serve_free(struct http_serve *s)
{
    if (s->closed && s->conns_n == 0)
        free(s);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct http_conn *c = handle->data;
    if (--c->handles > 0)
        return;
    struct http_serve *s = c->serve;
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->conns_n--;
    buf_done(&c->out);
    free(c);
    serve_free(s);
}

static void conn_close(struct http_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
}

static void on_idle(uv_timer_t *timer)
{
    conn_close(timer->data);
}

static void conn_wait(struct http_conn *c)
{
    (void)uv_timer_start(&c->timer, on_idle, IDLE_MS, 0); // fails only for a handle that is being closed
}

// ---- answers

static void answer(struct http_conn *c, const struct http_page *page, bool head_only, bool keep)
{
    buf_clear(&c->out);
    http1_write_status(&c->out, page->status, str_of(http1_reason(page->status)));
    if (page->type)
        http1_write_header(&c->out, STR("Content-Type"), str_of(page->type));
    if (page->status == 405)
        http1_write_header(&c->out, STR("Allow"), STR("GET, HEAD"));
    http1_write_header(&c->out, STR("Cache-Control"), STR("no-store"));
    http1_write_framing(&c->out, FRAMING_LENGTH, page->body.n);
    if (!keep)
        http1_write_header(&c->out, STR("Connection"), STR("close"));
    buf_add(&c->out, STR("\r\n"));
    if (!head_only)
        buf_add(&c->out, buf_str(&page->body));
    c->last = !keep || c->out.full;
}

static void refuse(struct http_conn *c, unsigned status)
{
    const struct http_page page = {.status = status};
    answer(c, &page, false, false);
}

static void respond(struct http_conn *c, const struct http1_head *h)
{
    bool head = str_eq(h->method, STR("HEAD"));
    if (h->framing != FRAMING_NONE && !(h->framing == FRAMING_LENGTH && h->length == 0)) {
        refuse(c, 400); // what follows would have to be read as a body
        return;
    }
    struct http_page page = {.status = 404};
    buf_init(&page.body, HTTP_PAGE_MAX);
    if (!head && !str_eq(h->method, STR("GET")))
        page.status = 405;
    for (const struct http_route *r = c->serve->routes; page.status == 404 && r->path; r++)
        if (h->form == FORM_ORIGIN && str_eq(h->path, str_of(r->path))) {
            page.status = 200;
            r->get(c->serve->ctx, &page);
            break;
        }
    if (page.body.full)
        refuse(c, 500);
    else
        answer(c, &page, head, h->keep_alive);
    buf_done(&page.body);
}

// ---- reading and writing

static void conn_next(struct http_conn *c);

static void on_written(uv_write_t *req, int status)
{
    struct http_conn *c = req->data;
    c->writing = false;
    if (status < 0 || c->last) {
        conn_close(c);
        return;
    }
    conn_wait(c);
    conn_next(c); // what came meanwhile
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    (void)size;
    struct http_conn *c = handle->data;
    *ret = uv_buf_init(c->in + c->in_n, (unsigned)(sizeof(c->in) - c->in_n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    (void)b;
    struct http_conn *c = stream->data;
    if (n < 0) {
        conn_close(c); // also in the middle of an answer: nobody reads it
        return;
    }
    c->in_n += (size_t)n;
    conn_next(c);
}

// One request at a time: while its answer goes out, nothing is read.
static void conn_next(struct http_conn *c)
{
    if (c->writing || c->closing)
        return;
    struct http1_head h;
    struct err err = {};
    size_t used = 0;
    enum http1_result r = http1_request((struct str){c->in, c->in_n}, HEAD_MAX, &c->resume, &h, &used, &err);
    if (r == HTTP1_MORE && c->in_n < sizeof(c->in)) {
        if (!c->reading && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
            conn_close(c);
        c->reading = true;
        return;
    }
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = false;
    if (r == HTTP1_DONE)
        respond(c, &h);
    else
        refuse(c, r == HTTP1_MORE || err.code == ERR_LIMIT ? 431 : 400);
    c->in_n -= used;
    memmove(c->in, c->in + used, c->in_n);
    c->resume = 0;
    c->writing = true;
    c->write.data = c;
    conn_wait(c); // for the peer to take it
    uv_buf_t out = uv_buf_init(c->out.p, (unsigned)c->out.n);
    if (c->out.full || uv_write(&c->write, (uv_stream_t *)&c->tcp, &out, 1, on_written) != 0)
        conn_close(c);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct http_serve *s = stream->data;
    struct http_conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return; // the peer waits until another goes
    if (uv_tcp_init(stream->loop, &c->tcp) != 0) {
        free(c);
        return;
    }
    (void)uv_timer_init(stream->loop, &c->timer); // cannot fail
    c->tcp.data = c->timer.data = c;
    c->serve = s;
    c->handles = 2;
    buf_init(&c->out, HTTP_PAGE_MAX + 4 * KIB);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    s->conns_n++;
    if (uv_accept(stream, (uv_stream_t *)&c->tcp) != 0 || s->conns_n > CONNS_MAX) {
        conn_close(c);
        return;
    }
    conn_wait(c);
    conn_next(c);
}

// ---- the server

static void on_closed(uv_handle_t *handle)
{
    struct http_serve *s = handle->data;
    s->closed = true;
    serve_free(s);
}

void http_serve_close(struct http_serve *s)
{
    if (!s || s->closing)
        return;
    s->closing = true;
    for (struct http_conn *c = s->conns; c; c = c->next)
        conn_close(c);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

static int listen_at(struct http_serve *s, const char *ip, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_storage addr = {};
    int size = sizeof(addr);
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&addr;
    unsigned flags = 0;
    int r = uv_ip4_addr(ip, port, v4);
    if (r != 0) {
        flags = UV_TCP_IPV6ONLY;
        r = uv_ip6_addr(ip, port, v6);
    }
    if (r == 0)
        r = uv_tcp_bind(&s->tcp, (const struct sockaddr *)&addr, flags);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&s->tcp, BACKLOG, on_connection);
    if (r == 0)
        r = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&addr, &size);
    if (r == 0)
        *ret_port = ntohs(addr.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
    return r;
}

enum err_code http_serve_new(uv_loop_t *loop, const char *ip, uint16_t port, const struct http_route *routes,
                             void *ctx, struct http_serve **ret, uint16_t *ret_port, struct err *reterr)
{
    struct http_serve *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(reterr, ERR_LIMIT, "no memory for a listener");
    s->routes = routes;
    s->ctx = ctx;
    int r = uv_tcp_init(loop, &s->tcp);
    if (r != 0) {
        free(s);
        return err_set(reterr, fd_code(-r), "listening: %s", uv_strerror(r));
    }
    s->tcp.data = s;
    r = listen_at(s, ip, port, ret_port);
    if (r != 0) {
        http_serve_close(s);
        return err_set(reterr, r == UV_EADDRINUSE ? ERR_EXISTS : fd_code(-r), "%s port %u: %s", ip, port,
                       uv_strerror(r));
    }
    *ret = s;
    return ERR_OK;
}
