// From the fields of a header block to a head as net/http1.h has it (RFC 9113 section 8.3). nghttp2 has
// checked names, values and pseudo-headers one by one; here is what they mean together.
#include "net/http2_internal.h"

enum { FIELD_OVERHEAD = 32, BLOCK_ARENA_MAX = 4 * HTTP2_HEAD_MAX };

void http2_block_begin(struct http2_block *b)
{
    arena_done(&b->arena);
    *b = (struct http2_block){};
    arena_init(&b->arena, BLOCK_ARENA_MAX);
}

static void fail(struct http2_block *b, enum err_code code, const char *why)
{
    if (!b->bad)
        err_fill(&b->err, code, "%s", why);
    b->bad = true;
}

static struct str *pseudo(struct http2_block *b, struct str name)
{
    const struct {
        struct str name;
        struct str *at;
    } known[] = {
        {STR(":method"), &b->method}, {STR(":scheme"), &b->scheme}, {STR(":authority"), &b->authority},
        {STR(":path"), &b->path},     {STR(":status"), &b->status},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(name, known[i].name))
            return known[i].at;
    return NULL;
}

void http2_block_add(struct http2_block *b, struct str name, struct str value)
{
    if (b->bad)
        return;
    b->size += name.n + value.n + FIELD_OVERHEAD;
    if (b->size > HTTP2_HEAD_MAX) {
        fail(b, ERR_LIMIT, "a head of more than 16384 bytes");
        return;
    }
    struct str n, v;
    if (!arena_dup(&b->arena, name, &n) || !arena_dup(&b->arena, value, &v)) {
        fail(b, ERR_LIMIT, "no memory for a head");
        return;
    }
    if (n.n > 0 && n.p[0] == ':') {
        struct str *at = pseudo(b, n);
        if (at)
            *at = v;
        else
            fail(b, ERR_INVALID, "a pseudo-header that nobody knows");
        return;
    }
    if (b->head.headers_n == HTTP1_HEADERS_MAX) {
        fail(b, ERR_LIMIT, "more than 128 headers");
        return;
    }
    b->head.headers[b->head.headers_n++] = (struct http1_header){n, v};
}

static void length_of(struct http2_block *b, bool end)
{
    struct http1_head *h = &b->head;
    struct str text;
    h->framing = end ? FRAMING_NONE : FRAMING_CHUNKED;
    if (!http1_get(h, STR("content-length"), &text))
        return;
    if (!str_u64(text, INT64_MAX, &h->length))
        fail(b, ERR_INVALID, "a content-length that is no number");
    else if (!end)
        h->framing = FRAMING_LENGTH;
}

static enum err_code result(const struct http2_block *b)
{
    return b->bad ? b->err.code : ERR_OK;
}

enum err_code http2_block_request(struct http2_block *b, bool end)
{
    struct http1_head *h = &b->head;
    if (b->bad)
        return result(b);
    h->minor = 1;
    h->keep_alive = true;
    h->method = b->method;
    h->target = b->path;
    h->scheme = b->scheme;
    bool connect = str_eq(b->method, STR("CONNECT"));
    if (connect)
        h->target = b->authority;
    else if (!str_eq(b->path, STR("*")) && !str_starts(b->path, STR("/")))
        fail(b, ERR_INVALID, "a :path that does not begin with a slash");
    else if (!str_eq(b->scheme, STR("https")) && !str_eq(b->scheme, STR("http")))
        fail(b, ERR_INVALID, "a :scheme other than http and https");
    if (!b->bad && http1_target(h, &b->err) != HTTP1_DONE)
        b->bad = true;
    struct str host = {};
    for (size_t i = 0; i < h->headers_n; i++)
        if (str_eq(h->headers[i].name, STR("host")))
            host = h->headers[i].value;
    h->authority = b->authority.n > 0 ? b->authority : host;
    h->host = h->authority;
    h->has_host = h->host.n > 0;
    if (!h->has_host)
        fail(b, ERR_INVALID, "neither :authority nor host");
    else if (host.n > 0 && !str_eq_ci(host, h->host)) // RFC 9113 section 8.3.1
        fail(b, ERR_INVALID, "a host that is not :authority");
    else if (str_has(h->host, '@'))
        fail(b, ERR_INVALID, "user information in :authority");
    h->expect_continue = http1_has_token(h, STR("expect"), STR("100-continue"));
    length_of(b, end);
    return result(b);
}

enum err_code http2_block_response(struct http2_block *b, bool end)
{
    uint64_t status;
    if (b->bad)
        return result(b);
    b->head.minor = 1;
    b->head.keep_alive = true;
    if (b->status.n != 3 || !str_u64(b->status, 599, &status) || status < 100)
        fail(b, ERR_INVALID, "a :status that is no status");
    else if (status == 101) // RFC 9113 section 8.6
        fail(b, ERR_INVALID, "status 101, which HTTP/2 does not have");
    else
        b->head.status = (unsigned)status;
    length_of(b, end);
    return result(b);
}
