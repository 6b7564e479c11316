#include "net/http1.h"

#include "tap.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

static const struct {
    struct str in;
    const char *want, *rule; // want: "" for a head that is read, else the error
} requests[] = {
    {STR_INIT(GET "\r\n"), "", "a plain request"},
    {STR_INIT("GET / HTTP/1.0\r\n\r\n"), "", "HTTP/1.0 may leave Host out"},
    {STR_INIT("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"), "", "an absolute target"},
    {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), "", "an authority"},
    {STR_INIT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "", "an asterisk with OPTIONS"},
    {STR_INIT(GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), "", "equal Content-Lengths are one"},
    {STR_INIT(GET "X: \xc3\xa9\t x\r\n\r\n"), "", "obs-text and TAB in a value"},
    {STR_INIT("GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
     "a request target that is neither a path nor a URL at offset 4", "an asterisk with GET"},
    {STR_INIT("GET / HTTP/1.1\r\n\r\n"), "no Host in an HTTP/1.1 request at offset 0", "HTTP/1.1 needs Host"},
    {STR_INIT(GET "Host: b\r\n\r\n"), "a second Host at offset 25", "two Hosts"},
    {STR_INIT(GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "Content-Length beside Transfer-Encoding at offset 0", "CL.TE"},
    {STR_INIT(GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
     "Content-Length beside Transfer-Encoding at offset 0", "TE.CL"},
    {STR_INIT(GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
     "Content-Lengths that differ at offset 44", "CL.CL"},
    {STR_INIT(GET "Content-Length: +5\r\n\r\n"), "a Content-Length that is no number at offset 25", "a sign"},
    {STR_INIT(GET "Content-Length: 5, 5\r\n\r\n"), "a Content-Length that is no number at offset 25",
     "a list of lengths"},
    {STR_INIT(GET "Content-Length: 99999999999999999999\r\n\r\n"),
     "a Content-Length that is no number at offset 25", "a length past 63 bits"},
    {STR_INIT(GET "Transfer-Encoding: gzip, chunked\r\n\r\n"),
     "a Transfer-Encoding other than one 'chunked' at offset 25", "another coding"},
    {STR_INIT(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "a Transfer-Encoding other than one 'chunked' at offset 53", "TE.TE"},
    {STR_INIT(GET "Transfer-Encoding: \x0b"
                  "chunked\r\n\r\n"),
     "a control byte in a header value at offset 44", "a blank that is none"},
    {STR_INIT("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "Transfer-Encoding in HTTP/1.0 at offset 0", "chunked in 1.0"},
    {STR_INIT(GET "X: a\r\n b\r\n\r\n"), "a folded header line at offset 31", "obs-fold"},
    {STR_INIT(GET "X : a\r\n\r\n"), "a header name that is no token at offset 25",
     "a blank before the colon"},
    {STR_INIT(GET "X\r\n\r\n"), "a header line without a colon at offset 25", "no colon"},
    {STR_INIT(GET ": a\r\n\r\n"), "a header name that is no token at offset 25", "no name"},
    {STR_INIT(GET "X: a\0b\r\n\r\n"), "a control byte in a header value at offset 29", "a NUL"},
    {STR_INIT(GET "X: a\rb\r\n\r\n"), "a control byte in a header value at offset 29", "a bare CR"},
    {STR_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n"), "a line that ends without CR at offset 14", "a bare LF"},
    {STR_INIT("\r\nGET / HTTP/1.1\r\n\r\n"), "an empty line where a head should begin",
     "an empty line first"},
    {STR_INIT("GET /\r\n\r\n"), "a request line that is not METHOD SP TARGET SP VERSION at offset 0",
     "HTTP/0.9"},
    {STR_INIT("GET  / HTTP/1.1\r\n\r\n"), "a version other than HTTP/1.0 and HTTP/1.1 at offset 5",
     "two blanks"},
    {STR_INIT("GET / HTTP/2.0\r\n\r\n"), "a version other than HTTP/1.0 and HTTP/1.1 at offset 6",
     "HTTP/2.0"},
    {STR_INIT("G(T / HTTP/1.1\r\n\r\n"), "a method that is no token at offset 0",
     "a method with a parenthesis"},
    {STR_INIT("GET /\x7f HTTP/1.1\r\n\r\n"), "a byte that no request target has at offset 5",
     "DEL in the target"},
    {STR_INIT("GET /a#b HTTP/1.1\r\n\r\n"), "a fragment in the request target at offset 4", "a fragment"},
    {STR_INIT("GET a/b HTTP/1.1\r\n\r\n"), "a request target that is neither a path nor a URL at offset 4",
     "no leading slash"},
    {STR_INIT("GET http://u@a/ HTTP/1.1\r\n\r\n"),
     "a request target that is neither a path nor a URL at offset 4", "userinfo"},
    {STR_INIT("GET http:///x HTTP/1.1\r\n\r\n"),
     "a request target that is neither a path nor a URL at offset 4", "no authority"},
    {STR_INIT("CONNECT a:1/x HTTP/1.1\r\nHost: a\r\n\r\n"), "no authority at offset 8",
     "a path behind CONNECT"},
    {STR_INIT("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
     "CONNECT with a body at offset 0", "a body behind CONNECT"},
    {STR_INIT(GET "Connection: close, Host\r\n\r\n"), "a Connection option that may not be one at offset 44",
     "Connection nominates Host"},
};

static enum http1_result request(struct str in, struct http1_head *h, struct err *e)
{
    size_t resume = 0, used = 0;
    return http1_request(in, HTTP1_HEAD_MAX, &resume, h, &used, e);
}

static void test_requests(void)
{
    static struct http1_head h; // large
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct err e = {};
        enum http1_result r = request(requests[i].in, &h, &e);
        bool ok = r == (requests[i].want[0] ? HTTP1_BAD : HTTP1_DONE) &&
                  str_eq(str_of(e.msg), str_of(requests[i].want));
        if (!tap_ok(ok, "%s", requests[i].rule))
            tap_note("result %d: %s", r, e.msg);
        // The same bytes in two pieces, cut anywhere, read with the place kept in between.
        bool same = true;
        for (size_t cut = 0; cut < requests[i].in.n; cut++) {
            size_t resume = 0, used = 0;
            struct err e2 = {};
            enum http1_result first = http1_request(str_head(requests[i].in, cut), HTTP1_HEAD_MAX, &resume,
                                                    &h, &used, &e2);
            if (first == HTTP1_MORE)
                first = http1_request(requests[i].in, HTTP1_HEAD_MAX, &resume, &h, &used, &e2);
            same &= first == r && str_eq(str_of(e2.msg), str_of(e.msg));
        }
        tap_ok(same, "%s, in two pieces", requests[i].rule);
    }
}

static void test_parts(void)
{
    static struct http1_head h;
    struct err e = {};
    bool ok = request(STR("POST http://a.test:81/p/q?x=1 HTTP/1.1\r\nHost: a.test:81\r\nConnection: upgrade, "
                          "x-hop\r\nUpgrade: "
                          "websocket\r\nX-Hop: 1\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\nBODY"),
                      &h, &e) == HTTP1_DONE;
    tap_ok(ok && h.form == FORM_ABSOLUTE && str_eq(h.authority, STR("a.test:81")) &&
               str_eq(h.path, STR("/p/q")) && str_eq(h.query, STR("x=1")) && h.has_query,
           "an absolute target comes apart");
    tap_ok(ok && h.framing == FRAMING_LENGTH && h.length == 7 && h.upgrade && h.expect_continue &&
               h.keep_alive,
           "framing, upgrade, expectation");
    tap_ok(ok && http1_is_hop_by_hop(&h, STR("x-HOP")) &&
               http1_is_hop_by_hop(&h, STR("Proxy-Authorization")) &&
               http1_is_hop_by_hop(&h, STR("Transfer-Encoding")) && !http1_is_hop_by_hop(&h, STR("Host")),
           "what Connection nominates is for one hop");
}

static const struct {
    struct str in;
    const char *method;
    enum http1_framing framing;
    bool keep;
    const char *rule;
} responses[] = {
    {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "GET", FRAMING_LENGTH, true, "a length"},
    {STR_INIT("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"), "GET", FRAMING_CHUNKED, true,
     "chunked, no reason"},
    {STR_INIT("HTTP/1.1 200 OK\r\n\r\n"), "GET", FRAMING_CLOSE, false, "no framing: until the end"},
    {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "HEAD", FRAMING_NONE, true,
     "HEAD has no body"},
    {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "CONNECT", FRAMING_NONE, true,
     "nor has CONNECT"},
    {STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"), "GET", FRAMING_NONE, true, "nor 204"},
    {STR_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"), "GET", FRAMING_NONE, true,
     "nor 304"},
    {STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n"), "GET", FRAMING_LENGTH, false, "1.0 closes"},
    {STR_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"), "GET", FRAMING_LENGTH,
     false, "close is said"},
};

static void test_responses(void)
{
    static struct http1_head h;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        size_t resume = 0, used = 0;
        struct err e = {};
        enum http1_result r = http1_response(responses[i].in, HTTP1_HEAD_MAX, str_of(responses[i].method),
                                             &resume, &h, &used, &e);
        tap_ok(r == HTTP1_DONE && h.framing == responses[i].framing && h.keep_alive == responses[i].keep,
               "%s %s", responses[i].rule, e.msg);
    }
}

static const struct {
    struct str in;
    const char *want, *rule; // content, or "!" and the error
} bodies[] = {
    {STR_INIT("3\r\nabc\r\n0\r\n\r\n"), "abc", "a chunk"},
    {STR_INIT("3;x=y\r\nabc\r\n01\r\nd\r\n0\r\nT: v\r\n\r\n"), "abcd",
     "an extension, leading zeros, a trailer"},
    {STR_INIT("3 ;x\r\nabc\r\n0\r\n\r\n"), "abc", "a blank before an extension"},
    {STR_INIT("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789", "a hex digit in capitals"},
    {STR_INIT("0x3\r\nabc\r\n0\r\n\r\n"), "!chunked body: a chunk size that is no hex number", "no 0x"},
    {STR_INIT("+3\r\nabc\r\n0\r\n\r\n"), "!chunked body: a chunk size that is no hex number", "no sign"},
    {STR_INIT(" 3\r\nabc\r\n0\r\n\r\n"), "!chunked body: a chunk size that is no hex number",
     "no blank in front"},
    {STR_INIT("3 \r\nabc\r\n0\r\n\r\n"), "!chunked body: blanks behind a chunk size", "no blank behind"},
    {STR_INIT("\r\nabc"), "!chunked body: a chunk size that is no hex number", "no size"},
    {STR_INIT("3\nabc"), "!chunked body: a line that ends without CR", "a bare LF"},
    {STR_INIT("3\rx"), "!chunked body: a CR that ends no line", "a bare CR"},
    {STR_INIT("3\r\nabcd"), "!chunked body: bytes behind a chunk's data", "more data than the size"},
    {STR_INIT("fffffffffffffffff\r\n"), "!chunked body: a chunk larger than 2^59 bytes",
     "a size that overflows"},
    {STR_INIT("0\r\nno colon\r\n\r\n"), "!chunked body: a malformed trailer", "a trailer without a colon"},
    {STR_INIT("0\r\nA\x7f: b\r\n\r\n"), "!chunked body: a malformed trailer",
     "a trailer whose name is no token"},
};

// Decodes in pieces of `step` bytes.
static void decode(struct str in, size_t step, char *out, size_t size)
{
    struct http1_body b;
    struct err e = {};
    size_t n = 0;
    http1_body_init(&b, FRAMING_CHUNKED, 0);
    enum http1_result r = HTTP1_MORE;
    for (size_t at = 0; at < in.n && r == HTTP1_MORE; at += step) {
        struct str piece = str_head(str_from(in, at), step), data;
        do {
            r = http1_body_next(&b, &piece, &data, &e);
            if (data.n > 0 && data.n < size - n) {
                memcpy(out + n, data.p, data.n);
                n += data.n;
            }
        } while (r == HTTP1_MORE && data.n > 0);
    }
    out[n] = '\0';
    if (r == HTTP1_BAD)
        (void)snprintf(out, size, "!%s", e.msg);
    else if (r != HTTP1_DONE)
        (void)snprintf(out, size, "!unfinished");
}

static void test_bodies(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        bool ok = true;
        char got[256];
        for (size_t step = 1; step <= bodies[i].in.n && ok; step++) {
            decode(bodies[i].in, step, got, sizeof(got));
            ok = str_eq(str_of(got), str_of(bodies[i].want));
        }
        if (!tap_ok(ok, "%s, in pieces of any size", bodies[i].rule))
            tap_note("got %s", got);
    }
}

static void test_limits(void)
{
    static struct http1_head h;
    CLEANUP(buf_done) struct buf b;
    struct err e = {};
    buf_init(&b, MIB);
    buf_add(&b, STR(GET));
    for (int i = 1; i < HTTP1_HEADERS_MAX; i++)
        buf_addf(&b, "h%d: x\r\n", i);
    size_t n = b.n;
    buf_add(&b, STR("\r\n"));
    tap_ok(request(buf_str(&b), &h, &e) == HTTP1_DONE && h.headers_n == HTTP1_HEADERS_MAX, "128 headers");
    b.n = n;
    buf_add(&b, STR("x: y\r\n\r\n"));
    tap_ok(request(buf_str(&b), &h, &e) == HTTP1_BAD && e.code == ERR_LIMIT, "one more: %s", e.msg);
    size_t resume = 0, used = 0;
    struct str exact = STR(GET "\r\n");
    tap_ok(http1_request(exact, exact.n, &resume, &h, &used, &e) == HTTP1_DONE && used == exact.n,
           "a head of the limit");
    resume = 0;
    tap_ok(http1_request(exact, exact.n - 1, &resume, &h, &used, &e) == HTTP1_BAD && e.code == ERR_LIMIT,
           "one byte more: %s", e.msg);
}

static void test_writers(void)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, KIB);
    http1_write_header(&b, STR("X"), STR("a\r\nY: b"));
    tap_ok(b.full, "a line break in a value is not written");
    buf_clear(&b);
    http1_write_request_line(&b, STR("GET"), STR("/a b"));
    tap_ok(b.full, "nor a blank in a target");
}

int main(void)
{
    test_requests();
    test_parts();
    test_responses();
    test_bodies();
    test_limits();
    test_writers();
    return tap_done();
}
