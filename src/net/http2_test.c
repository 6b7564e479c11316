#include "net/http2.h"

#include "alloc_fail.h"
#include "base/clock.h"
#include "tap.h"

// One end and what it told, as text.
struct end {
    struct http2 *h;
    struct buf log;
    size_t data;
    bool keep; // do not consume
};

static void say_fields(struct end *t, const struct http1_head *h)
{
    for (size_t i = 0; i < h->headers_n; i++)
        buf_addf(&t->log, " %.*s=%.*s", STR_FMT(h->headers[i].name), STR_FMT(h->headers[i].value));
}

static void on_head(void *ctx, int32_t id, const struct http1_head *h, bool end)
{
    struct end *t = ctx;
    static const char *const framing[] = {"none", "length", "chunked", "close"};
    if (h->status > 0)
        buf_addf(&t->log, "[%d %u", id, h->status);
    else
        buf_addf(&t->log, "[%d %.*s %.*s?%.*s %.*s", id, STR_FMT(h->method), STR_FMT(h->path),
                 STR_FMT(h->query), STR_FMT(h->host));
    say_fields(t, h);
    buf_addf(&t->log, " %s%s]", framing[h->framing], end ? " end" : "");
}

static void on_data(void *ctx, int32_t id, struct str bytes)
{
    struct end *t = ctx;
    t->data += bytes.n;
    if (!t->keep)
        http2_consume(t->h, id, bytes.n);
}

static void on_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct end *t = ctx;
    buf_addf(&t->log, "[%d end", id);
    if (trailers)
        say_fields(t, trailers);
    buf_add(&t->log, STR("]"));
}

static void on_took(void *ctx, int32_t id, size_t n)
{
    (void)ctx;
    (void)id;
    (void)n;
}

static void on_closed(void *ctx, int32_t id, uint32_t code)
{
    struct end *t = ctx;
    buf_addf(&t->log, "[%d closed %u]", id, code);
}

static void on_refused(void *ctx, int32_t id, struct str why)
{
    struct end *t = ctx;
    (void)why;
    buf_addf(&t->log, "[%d refused]", id);
}

static const struct http2_calls calls = {on_head, on_data, on_end, on_took, on_closed, on_refused};

static enum err_code end_init(struct end *t, enum http2_role role, struct err *e)
{
    *t = (struct end){};
    buf_init(&t->log, MIB);
    return http2_new(role, &calls, t, &t->h, e);
}

static void end_done(struct end *t)
{
    http2_free(t->h);
    buf_done(&t->log);
}

// What `from` has to send goes to `to` in pieces of `cut` bytes. False: a failure, in *e.
static bool carry(struct end *from, struct end *to, size_t cut, struct err *e)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 4 * MIB);
    if (http2_send(from->h, &out, SIZE_MAX, e) != ERR_OK)
        return false;
    for (struct str rest = buf_str(&out); rest.n > 0;) {
        size_t n = rest.n < cut ? rest.n : cut;
        if (http2_recv(to->h, str_head(rest, n), 0, e) != ERR_OK)
            return false;
        rest = str_from(rest, n);
    }
    return true;
}

static bool converse(struct end *a, struct end *b, size_t cut, struct err *e)
{
    while (http2_wants_send(a->h) || http2_wants_send(b->h))
        if (!carry(a, b, cut, e) || !carry(b, a, cut, e))
            return false;
    return true;
}

#define H(n, v)                                                                                              \
    {                                                                                                        \
        STR_INIT(n), STR_INIT(v)                                                                             \
    }
static const struct http1_header request[] = {
    H(":method", "POST"), H(":scheme", "https"), H(":authority", "a"), H(":path", "/pkg.Service/Method?q=1"),
    H("te", "trailers"),
};
static const struct http1_header plain[] = {H(":method", "GET"), H(":scheme", "https"), H(":authority", "a"),
                                            H(":path", "/")};
static const struct http1_header early[] = {H(":status", "103"), H("link", "x")};
static const struct http1_header answer[] = {H(":status", "200"), H("x", "y")};
static const struct http1_header trailers[] = {H("grpc-status", "0"), H("grpc-message", "")};

static const char
    want_server[] = "[1 POST /pkg.Service/Method?q=1 a te=trailers chunked][1 end t=1][1 closed 0]";
static const char
    want_client[] = "[1 103 link=x chunked][1 200 x=y chunked][1 end grpc-status=0 grpc-message=]"
                    "[1 closed 0]";

static bool whole_call(struct end *c, struct end *s, size_t cut, struct err *e)
{
    static const struct http1_header sent[] = {H("t", "1")};
    int32_t id;
    return http2_request(c->h, request, ARRAY_LEN(request), false, &id, e) == ERR_OK &&
           http2_write(c->h, id, STR("hello"), e) == ERR_OK && converse(c, s, cut, e) &&
           http2_write(c->h, id, STR(" world"), e) == ERR_OK && converse(c, s, cut, e) &&
           http2_finish(c->h, id, sent, 1, e) == ERR_OK && converse(c, s, cut, e) &&
           http2_respond(s->h, id, early, ARRAY_LEN(early), false, e) == ERR_OK &&
           http2_respond(s->h, id, answer, ARRAY_LEN(answer), false, e) == ERR_OK && converse(c, s, cut, e) &&
           http2_write(s->h, id, STR("reply"), e) == ERR_OK &&
           http2_finish(s->h, id, trailers, ARRAY_LEN(trailers), e) == ERR_OK && converse(c, s, cut, e);
}

static void test_call(size_t cut, const char *rule)
{
    struct end c, s;
    struct err e = {};
    bool ok = end_init(&c, HTTP2_CLIENT, &e) == ERR_OK;
    ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK && ok && whole_call(&c, &s, cut, &e);
    bool same = ok && str_eq(buf_str(&s.log), str_of(want_server)) &&
                str_eq(buf_str(&c.log), str_of(want_client)) && s.data == 11 && c.data == 5;
    if (!tap_ok(same && http2_streams(c.h) == 0 && http2_streams(s.h) == 0, "a call, %s", rule))
        tap_note("%s\n# server %.*s\n# client %.*s", e.msg, (int)s.log.n, s.log.p ? s.log.p : "",
                 (int)c.log.n, c.log.p ? c.log.p : "");
    end_done(&c);
    end_done(&s);
}

static void test_no_memory(void)
{
    bool ok = true, worked = false;
    for (size_t n = 1; ok && !worked; n++) {
        struct end c = {}, s = {};
        struct err e = {};
        alloc_fail_at(n);
        bool made = end_init(&c, HTTP2_CLIENT, &e) == ERR_OK;
        worked = end_init(&s, HTTP2_SERVER, &e) == ERR_OK && made && whole_call(&c, &s, SIZE_MAX, &e);
        alloc_fail_off();
        ok = worked || e.code == ERR_LIMIT || e.code == ERR_INVALID || s.log.full || c.log.full;
        worked = worked && alloc_fail_count() < n;
        end_done(&c);
        end_done(&s);
        if (!ok)
            tap_note("allocation %zu: %s", n, e.msg);
    }
    tap_ok(ok, "a failed allocation is an ordinary error");
}

// ---- windows
// -------------------------------------------------------------------------------------------------

static void test_window(void)
{
    static char block[HTTP2_STREAM_WINDOW];
    struct end c, s;
    struct err e = {};
    int32_t id = 0;
    bool ok = end_init(&c, HTTP2_CLIENT, &e) == ERR_OK;
    ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK && ok && converse(&c, &s, SIZE_MAX, &e);
    s.keep = true;
    ok = ok && http2_request(c.h, request, ARRAY_LEN(request), false, &id, &e) == ERR_OK;
    struct str all = {block, sizeof(block)};
    ok = ok && http2_write(c.h, id, all, &e) == ERR_OK && converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && s.data == sizeof(block), "a window's worth goes out");
    ok = http2_write(c.h, id, all, &e) == ERR_OK && converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && s.data == sizeof(block), "what is not consumed lets nothing more through");
    tap_ok(http2_write(c.h, id, STR("x"), &e) == ERR_LIMIT, "no more than a window waits to go out");
    http2_consume(s.h, id, sizeof(block));
    ok = converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && s.data == 2 * sizeof(block), "what is consumed opens the window");
    // Streams that are reset give back what they held of the connection's window.
    for (int i = 0; ok && i < 20; i++) {
        ok = http2_request(c.h, request, ARRAY_LEN(request), false, &id, &e) == ERR_OK &&
             http2_write(c.h, id, all, &e) == ERR_OK && converse(&c, &s, SIZE_MAX, &e);
        http2_reset(i % 2 ? c.h : s.h, id, HTTP2_CANCEL);
        ok = ok && converse(&c, &s, SIZE_MAX, &e);
    }
    tap_ok(ok && s.data == 22 * sizeof(block), "a stream that is gone holds nothing: %zu %s", s.data, e.msg);
    end_done(&c);
    end_done(&s);
}

static void test_many(void)
{
    struct end c, s;
    struct err e = {};
    int32_t id[HTTP2_STREAMS_MAX + 1] = {};
    bool ok = end_init(&c, HTTP2_CLIENT, &e) == ERR_OK;
    ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK && ok && converse(&c, &s, SIZE_MAX, &e);
    for (size_t i = 0; ok && i <= HTTP2_STREAMS_MAX; i++)
        ok = http2_request(c.h, request, ARRAY_LEN(request), false, &id[i], &e) == ERR_OK &&
             http2_write(c.h, id[i], STR("x"), &e) == ERR_OK;
    ok = ok && converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && http2_streams(s.h) == HTTP2_STREAMS_MAX && s.data == HTTP2_STREAMS_MAX,
           "one request more than the server allows waits: %zu", http2_streams(s.h));
    ok = ok && http2_respond(s.h, id[0], answer, ARRAY_LEN(answer), true, &e) == ERR_OK;
    http2_reset_when_sent(s.h, id[0]);
    ok = ok && converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && s.data == HTTP2_STREAMS_MAX + 1, "and goes out with its body when another has ended");
    http2_leave(s.h);
    ok = ok && converse(&c, &s, SIZE_MAX, &e);
    tap_ok(ok && http2_is_leaving(c.h) && http2_streams(s.h) == HTTP2_STREAMS_MAX && !http2_is_over(s.h),
           "leaving ends no stream");
    tap_ok(http2_request(c.h, plain, ARRAY_LEN(plain), true, &id[0], &e) == ERR_UNAVAILABLE,
           "a server that leaves gets no request");
    end_done(&c);
    end_done(&s);
}

// ---- bytes by hand
// -------------------------------------------------------------------------------------------

#define MAGIC "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void frame(struct buf *b, unsigned type, unsigned flags, uint32_t id, struct str payload)
{
    const unsigned char head[9] = {(unsigned char)(payload.n >> 16),
                                   (unsigned char)(payload.n >> 8),
                                   (unsigned char)payload.n,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   (unsigned char)(id >> 24),
                                   (unsigned char)(id >> 16),
                                   (unsigned char)(id >> 8),
                                   (unsigned char)id};
    buf_add(b, (struct str){(const char *)head, sizeof(head)});
    buf_add(b, payload);
}

// Literal without indexing, new name (RFC 7541 section 6.2.2). Fields are "name: value\n", up to 126 bytes.
static void hpack(struct buf *b, struct str text)
{
    for (struct str line; str_split(&text, '\n', &line);) {
        ptrdiff_t colon = str_find(str_from(line, 1), ':') + 1;
        struct str name = str_head(line, (size_t)colon), value = str_from(line, (size_t)colon + 1);
        buf_addc(b, '\0');
        buf_addc(b, (char)name.n);
        buf_add(b, name);
        buf_addc(b, (char)value.n);
        buf_add(b, value);
    }
}

#define TOP  ":method:GET\n:scheme:https\n:authority:a\n:path:/"
#define POST ":method:POST\n:scheme:https\n:authority:a\n:path:/"

static const struct {
    struct str head, data; // data: empty: END_STREAM on the head
    const char *want, *rule;
} heads[] = {
    {STR_INIT(TOP), {}, "[1 GET /? a none end]", "a request"},
    {STR_INIT(TOP "?a\nx:y"), {}, "[1 GET /?a a x=y none end]", "a query and a field"},
    {STR_INIT(":method:GET\n:scheme:https\n:path:/\nhost:b"),
     {},
     "[1 GET /? b host=b none end]",
     "Host stands for :authority"},
    {STR_INIT(TOP "\nhost:A"), {}, "[1 GET /? a host=A none end]", "Host is :authority in any case"},
    {STR_INIT(":method:OPTIONS\n:scheme:https\n:authority:a\n:path:*"),
     {},
     "[1 OPTIONS *? a none end]",
     "the asterisk of OPTIONS"},
    {STR_INIT(":method:CONNECT\n:authority:a:1"),
     {},
     "[1 CONNECT ? a:1 none end]",
     "CONNECT is for others to refuse"},
    {STR_INIT(POST "\ncontent-length:2"), STR_INIT("hi"), "[1 POST /? a content-length=2 length][1 end]",
     "a length that is kept"},
    {STR_INIT(TOP "\nhost:b"), {}, "refused 1", "a Host that is another"},
    {STR_INIT(TOP "\nhost:a\nhost:a"), {}, "refused 1", "two Hosts"},
    {STR_INIT(":method:GET\n:scheme:https\n:path:/"), {}, "refused 1", "no authority"},
    {STR_INIT(":method:GET\n:scheme:https\n:authority:u@a\n:path:/"), {}, "refused 1", "user information"},
    {STR_INIT(":method:GET\n:scheme:https\n:authority:a"), {}, "refused 1", "no path"},
    {STR_INIT(":method:GET\n:scheme:https\n:authority:a\n:path:"), {}, "refused 1", "an empty path"},
    {STR_INIT(":scheme:https\n:authority:a\n:path:/"), {}, "refused 1", "no method"},
    {STR_INIT(":method:GET\n:authority:a\n:path:/"), {}, "refused 1", "no scheme"},
    {STR_INIT(":method:GET\n:scheme:ftp\n:authority:a\n:path:/"), {}, "refused 1", "another scheme"},
    {STR_INIT(":method:GET\n" TOP), {}, "refused 1", "two methods"},
    {STR_INIT(TOP "\n:path:/b"), {}, "refused 1", "two paths"},
    {STR_INIT("x:y\n" TOP), {}, "refused 1", "a field before the pseudo-headers"},
    {STR_INIT(TOP "\n:status:200"), {}, "refused 1", "the pseudo-header of a response"},
    {STR_INIT(TOP "\n:x:y"), {}, "refused 1", "an unknown pseudo-header"},
    {STR_INIT(TOP "\n:protocol:websocket"), {}, "refused 1", "extended CONNECT"},
    {STR_INIT(TOP "\nconnection:close"), {}, "refused 1", "Connection"},
    {STR_INIT(TOP "\nkeep-alive:1"), {}, "refused 1", "Keep-Alive"},
    {STR_INIT(TOP "\nproxy-connection:x"), {}, "refused 1", "Proxy-Connection"},
    {STR_INIT(TOP "\nupgrade:h2c"), {}, "refused 1", "Upgrade"},
    {STR_INIT(POST "\ntransfer-encoding:chunked"), STR_INIT("0"), "refused 1", "H2.TE"},
    {STR_INIT(TOP "\nte:gzip"), {}, "refused 1", "TE other than trailers"},
    {STR_INIT(TOP "\nX:y"), {}, "refused 1", "an upper-case name"},
    {STR_INIT(TOP "\nx y:z"), {}, "refused 1", "a blank in a name"},
    {STR_INIT(TOP "\nx:a\rb"), {}, "refused 1", "CR in a value"},
    {STR_INIT(TOP "\nx:a\0b"), {}, "refused 1", "NUL in a value"},
    {STR_INIT(TOP "\nx:a\x7f"), {}, "refused 1", "DEL in a value"},
    {STR_INIT(":method:G T\n:scheme:https\n:authority:a\n:path:/"), {}, "refused 1", "a blank in a method"},
    {STR_INIT(TOP " HTTP/1.1"), {}, "refused 1", "a blank in a path"},
    {STR_INIT(TOP "#x"), {}, "refused 1", "a fragment"},
    {STR_INIT(":method:GET\n:scheme:https\n:authority:a\n:path:http://b/"),
     {},
     "refused 1",
     "a URL as a path"},
    {STR_INIT(":method:GET\n:scheme:https\n:authority:a\n:path:*"), {}, "refused 1", "an asterisk with GET"},
    {STR_INIT(POST "\ncontent-length:1"), STR_INIT("hi"), "late 1", "H2.CL: more than the length"},
    {STR_INIT(POST "\ncontent-length:3"), STR_INIT("hi"), "late 1", "H2.CL: less than the length"},
    {STR_INIT(POST "\ncontent-length:2\ncontent-length:3"), STR_INIT("hi"), "refused 1", "CL.CL"},
    {STR_INIT(POST "\ncontent-length:+2"), STR_INIT("hi"), "refused 1", "a length with a sign"},
    {STR_INIT(POST "\ncontent-length:5"), {}, "refused 1", "a length and no body"},
};

static void test_heads(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct end s;
        struct err e = {};
        CLEANUP(buf_done) struct buf in, block;
        buf_init(&in, MIB);
        buf_init(&block, MIB);
        bool ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK;
        hpack(&block, heads[i].head);
        buf_add(&in, STR(MAGIC));
        frame(&in, 4, 0, 0, STR(""));
        frame(&in, 1, heads[i].data.n ? 4 : 5, 1, buf_str(&block));
        if (heads[i].data.n)
            frame(&in, 0, 1, 1, heads[i].data);
        ok = ok && http2_recv(s.h, buf_str(&in), 0, &e) == ERR_OK && !block.full;
        buf_clear(&block);
        ok = ok && http2_send(s.h, &block, SIZE_MAX, &e) == ERR_OK;
        struct str log = buf_str(&s.log), want = str_of(heads[i].want);
        bool same = str_eq(log, want);
        if (str_eq(want, STR("refused 1")))
            same = str_eq(log, STR("[1 refused][1 closed 1]"));
        else if (str_eq(want, STR("late 1")))
            same = str_ends(log, STR("length][1 closed 1]"));
        if (!tap_ok(ok && same, "%s", heads[i].rule))
            tap_note("%.*s %s", (int)log.n, log.p, e.msg);
        end_done(&s);
    }
}

// A head of many fields: the limit, and one past it.
static void test_big(size_t fields, size_t value_n, const char *want, const char *rule)
{
    struct end s;
    struct err e = {};
    CLEANUP(buf_done) struct buf in, block;
    buf_init(&in, MIB);
    buf_init(&block, MIB);
    bool ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK;
    hpack(&block, STR(TOP));
    for (size_t i = 0; i < fields; i++) {
        buf_add(&block, (struct str){"\0\1x", 3});
        buf_addc(&block, (char)value_n);
        buf_pad(&block, 'v', value_n);
    }
    buf_add(&in, STR(MAGIC));
    frame(&in, 4, 0, 0, STR(""));
    struct str all = buf_str(&block);
    size_t first = all.n < 16'000 ? all.n : 16'000;
    frame(&in, 1, first == all.n ? 5 : 1, 1, str_head(all, first));
    if (first < all.n)
        frame(&in, 9, 4, 1, str_from(all, first));
    ok = ok && http2_recv(s.h, buf_str(&in), 0, &e) == ERR_OK;
    buf_clear(&block);
    ok = ok && http2_send(s.h, &block, SIZE_MAX, &e) == ERR_OK;
    struct str log = buf_str(&s.log);
    if (!tap_ok(ok && str_starts(log, str_of(want)), "%s", rule))
        tap_note("%.*s %s", (int)log.n, log.p, e.msg);
    end_done(&s);
}

// ---- floods
// --------------------------------------------------------------------------------------------------

enum flood { RESETS, CONTINUATIONS, SETTINGS, PINGS, EMPTY_DATA, PRIORITIES, BAD_HEADS, UNKNOWN, LONG_HEAD };

static void flood_piece(struct buf *in, enum flood kind, size_t i, struct str head)
{
    uint32_t id = (uint32_t)(2 * i + 1);
    switch (kind) {
    case RESETS:
        frame(in, 1, 4, id, head);
        frame(in, 3, 0, id, STR("\0\0\0\x8"));
        break;
    case BAD_HEADS:
        frame(in, 1, 5, id, STR("\0\1X\1y"));
        break;
    case CONTINUATIONS:
        frame(in, i == 0 ? 1 : 9, i == 0 ? 1 : 0, 1, i == 0 ? head : STR(""));
        break;
    case SETTINGS:
        frame(in, 4, 0, 0, STR("\0\5\0\0\x40\0"));
        break;
    case PINGS:
        frame(in, 6, 0, 0, STR("12345678"));
        break;
    case EMPTY_DATA:
        if (i == 0)
            frame(in, 1, 4, 1, head);
        frame(in, 0, 0, 1, STR(""));
        break;
    case PRIORITIES:
        frame(in, 2, 0, id, STR("\0\0\0\0\x10"));
        break;
    case LONG_HEAD: { // 16 KiB each
        CLEANUP(buf_done) struct buf fields;
        buf_init(&fields, MIB);
        buf_add(&fields, i == 0 ? head : STR(""));
        while (fields.n + 128 <= HTTP2_BLOCK_MAX / 2) {
            buf_add(&fields, STR("\0\1x\x7c"));
            buf_pad(&fields, 'v', 124);
        }
        frame(in, i == 0 ? 1 : 9, i == 0 ? 1 : 0, 1, buf_str(&fields));
        break;
    }
    case UNKNOWN:
        frame(in, 0xbe, 0, 0, STR("x"));
        break;
    }
}

// `calm`: the number of pieces that pass.
static void test_flood(enum flood kind, size_t calm, const char *rule)
{
    struct end s;
    struct err e = {};
    CLEANUP(buf_done) struct buf in, block;
    buf_init(&in, MIB);
    buf_init(&block, MIB);
    bool ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK;
    hpack(&block, STR(TOP));
    struct str head = buf_str(&block);
    buf_add(&in, STR(MAGIC));
    frame(&in, 4, 0, 0, STR(""));
    enum err_code r = http2_recv(s.h, buf_str(&in), 0, &e);
    size_t n = 0;
    for (; ok && r == ERR_OK && n < 2 * calm; n++) {
        buf_clear(&in);
        flood_piece(&in, kind, n, head);
        r = http2_recv(s.h, buf_str(&in), 0, &e);
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, MIB);
        ok = http2_send(s.h, &out, SIZE_MAX, &e) == ERR_OK;
        if (r != ERR_OK) // the last frame is GOAWAY with ENHANCE_YOUR_CALM
            ok = ok && out.n >= 17 && memmem(out.p, out.n, "\0\0\0\xb", 4) && http2_is_over(s.h);
    }
    if (!tap_ok(ok && r == ERR_LIMIT && n == calm + 1, "%s", rule))
        tap_note("ended after %zu: %s", n, e.msg);
    end_done(&s);
}

static void test_rate(void)
{
    struct end s;
    struct err e = {};
    CLEANUP(buf_done) struct buf in;
    buf_init(&in, MIB);
    bool ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK;
    buf_add(&in, STR(MAGIC));
    frame(&in, 4, 0, 0, STR(""));
    for (int second = 0; ok && second < 60; second++) {
        for (int i = 0; i < HTTP2_CHEAP_RATE; i++)
            frame(&in, 6, 0, 0, STR("12345678"));
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, MIB);
        ok = http2_recv(s.h, buf_str(&in), second * 1'000'000'000LL, &e) == ERR_OK &&
             http2_send(s.h, &out, SIZE_MAX, &e) == ERR_OK;
        buf_clear(&in);
    }
    tap_ok(ok, "pings at the rate that is allowed go on for ever %s", e.msg);
    end_done(&s);
}

static void test_garbage(void)
{
    struct end s;
    struct err e = {};
    bool ok = end_init(&s, HTTP2_SERVER, &e) == ERR_OK;
    tap_ok(ok && http2_recv(s.h, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, &e) == ERR_INVALID,
           "HTTP/1 is not HTTP/2: %s", e.msg);
    tap_ok(ok && http2_recv(s.h, STR(MAGIC), 0, &e) == ERR_INVALID, "nothing is read behind the end");
    end_done(&s);
}

int main(void)
{
    test_call(SIZE_MAX, "whole");
    test_call(1, "a byte at a time");
    test_call(7, "seven bytes at a time");
    test_no_memory();
    test_window();
    test_many();
    test_heads();
    test_big(124, 1, "[1 GET", "a head of 124 fields and 4 pseudo-headers");
    test_big(128, 1, "[1 GET", "a head of 128 fields");
    test_big(129, 1, "[1 refused][1 closed 11]", "a field too many");
    test_big(102, 125, "[1 GET", "a head just below the limit");
    test_big(103, 125, "[1 refused][1 closed 11]", "a head just above the limit");
    test_flood(RESETS, HTTP2_RESETS_BURST, "rapid reset (CVE-2023-44487)");
    test_flood(BAD_HEADS, HTTP2_RESETS_BURST + 1, "requests that must be reset (CVE-2025-8671)");
    test_flood(CONTINUATIONS, 1 + HTTP2_CONTINUATIONS_MAX, "CONTINUATION flood (CVE-2024-27316)");
    test_flood(LONG_HEAD, 2, "a head that goes on and on");
    test_flood(SETTINGS, HTTP2_CHEAP_BURST - 1, "SETTINGS flood (CVE-2019-9515)");
    test_flood(PINGS, HTTP2_CHEAP_BURST - 1, "PING flood (CVE-2019-9512)");
    test_flood(EMPTY_DATA, HTTP2_CHEAP_BURST - 1, "empty DATA flood (CVE-2019-9518)");
    test_flood(PRIORITIES, HTTP2_CHEAP_BURST - 1, "PRIORITY flood");
    test_flood(UNKNOWN, HTTP2_CHEAP_BURST - 1, "flood of unknown frames");
    test_rate();
    test_garbage();
    return tap_done();
}
