#include "net/http1.h"

// A head that was read, printed as the egress prints one, reads as the same head: what is decided on is what
// is sent.
static void check_again(const struct http1_head *h)
{
    static struct http1_head again;
    CLEANUP(buf_done) struct buf out;
    struct err e = {};
    buf_init(&out, MIB);
    http1_write_request_line(&out, h->method, h->target);
    for (size_t i = 0; i < h->headers_n; i++)
        http1_write_header(&out, h->headers[i].name, h->headers[i].value);
    buf_add(&out, STR("\r\n"));
    size_t resume = 0, used = 0;
    assert(!out.full);
    if (h->minor == 0) // printed as HTTP/1.1, which needs a Host
        return;
    assert(http1_request(buf_str(&out), MIB, &resume, &again, &used, &e) == HTTP1_DONE && used == out.n);
    assert(again.framing == h->framing && again.length == h->length && again.headers_n == h->headers_n);
    assert(str_eq(again.path, h->path) && str_eq(again.query, h->query) && str_eq(again.host, h->host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1_head h;
    struct str in = {(const char *)data, size};
    struct err e = {};
    size_t resume = 0, used = 0;
    if (http1_request(in, HTTP1_HEAD_MAX, &resume, &h, &used, &e) == HTTP1_DONE) {
        assert(used <= size);
        check_again(&h);
    }
    resume = 0;
    (void)http1_response(in, HTTP1_HEAD_MAX, STR("GET"), &resume, &h, &used, &e);

    struct http1_body body;
    http1_body_init(&body, FRAMING_CHUNKED, 0);
    uint64_t total = 0;
    enum http1_result r = HTTP1_MORE;
    for (struct str data_part = {}; r == HTTP1_MORE;) {
        r = http1_body_next(&body, &in, &data_part, &e);
        total += data_part.n;
        if (r == HTTP1_MORE && data_part.n == 0)
            break;
    }
    assert(total <= size && total == body.total);
    return 0;
}
