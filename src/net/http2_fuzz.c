#include "net/http2.h"

// First byte: the role, and the size of the pieces the rest comes in. A request is answered, data is taken;
// what must hold: no call behind a stream's close, and a head that says only what a parsed one can say.
struct peer {
    struct http2 *h;
    enum http2_role role;
    size_t heads, closed;
};

static void on_head(void *ctx, int32_t id, const struct http1_head *h, bool end)
{
    static const struct http1_header ok[] = {{STR_INIT(":status"), STR_INIT("200")}};
    struct peer *p = ctx;
    struct err e;
    p->heads++;
    assert(h->headers_n <= HTTP1_HEADERS_MAX && (!end || h->framing == FRAMING_NONE));
    for (size_t i = 0; i < h->headers_n; i++)
        assert(!str_has(h->headers[i].value, '\n') && !str_has(h->headers[i].value, '\r') &&
               !str_has(h->headers[i].value, '\0') && h->headers[i].name.n > 0);
    if (p->role == HTTP2_CLIENT)
        return;
    assert(h->has_host && h->method.n > 0 && (h->form == FORM_AUTHORITY || h->path.n > 0));
    (void)http2_respond(p->h, id, ok, 1, false, &e);
    (void)http2_write(p->h, id, h->method, &e);
    if (end)
        (void)http2_finish(p->h, id, NULL, 0, &e);
}

static void on_data(void *ctx, int32_t id, struct str bytes)
{
    struct peer *p = ctx;
    struct err e;
    if (p->role == HTTP2_SERVER)
        (void)http2_write(p->h, id, bytes, &e);
    http2_consume(p->h, id, bytes.n);
}

static void on_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct peer *p = ctx;
    struct err e;
    if (p->role == HTTP2_SERVER)
        (void)http2_finish(p->h, id, trailers ? trailers->headers : NULL, trailers ? trailers->headers_n : 0,
                           &e);
}

static void on_took(void *ctx, int32_t id, size_t n)
{
    (void)ctx;
    (void)id;
    assert(n > 0);
}

static void on_closed(void *ctx, int32_t id, uint32_t code)
{
    struct peer *p = ctx;
    (void)id;
    (void)code;
    p->closed++;
}

static void on_refused(void *ctx, int32_t id, struct str why)
{
    (void)ctx;
    assert(id > 0 && why.n > 0);
}

static const struct http2_calls calls = {on_head, on_data, on_end, on_took, on_closed, on_refused};
static const struct http1_header get[] = {
    {STR_INIT(":method"), STR_INIT("GET")},
    {STR_INIT(":scheme"), STR_INIT("https")},
    {STR_INIT(":authority"), STR_INIT("a")},
    {STR_INIT(":path"), STR_INIT("/")},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct err e;
    struct peer p = {.role = data[0] & 1 ? HTTP2_CLIENT : HTTP2_SERVER};
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 4 * MIB);
    if (http2_new(p.role, &calls, &p, &p.h, &e) != ERR_OK)
        return 0;
    int32_t id;
    if (p.role == HTTP2_CLIENT)
        (void)http2_request(p.h, get, ARRAY_LEN(get), true, &id, &e);
    size_t cut = (data[0] >> 1) + 1U;
    struct str in = {(const char *)data + 1, size - 1};
    enum err_code r = ERR_OK;
    while (r == ERR_OK && in.n > 0) {
        size_t n = in.n < cut * 16 ? in.n : cut * 16;
        r = http2_recv(p.h, str_head(in, n), 0, &e);
        in = str_from(in, n);
        buf_clear(&out);
        if (http2_send(p.h, &out, SIZE_MAX, &e) != ERR_OK)
            break;
    }
    http2_free(p.h);
    return 0;
}
