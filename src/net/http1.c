// The head parser goes over the bytes once: first to find the end of the head (resumable), then line by line.
// Nothing is copied; a head's strings point into the caller's bytes. See http1.h for what is refused and why.
#include "net/http1.h"

// ---- character classes (RFC 9110 section 5.6.2, RFC 3986)
// ---------------------------------------------------

static bool is_token_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

// field-value: TAB, SP, visible, obs-text.
static bool is_value_char(char c)
{
    return c == '\t' || (unsigned char)c >= 0x80 || (c >= 0x20 && c < 0x7f);
}

static bool is_target_char(char c)
{
    return c > 0x20 && c < 0x7f;
}

// ---- lines
// --------------------------------------------------------------------------------------------------

struct scan {
    struct str all; // the head, up to and with the empty line
    size_t at;      // where the next line begins
    struct err *err;
};

static enum http1_result bad(const struct scan *s, size_t at, const char *what)
{
    err_fill(s->err, ERR_INVALID, "%s at offset %zu", what, at);
    return HTTP1_BAD;
}

// The next line without its CRLF. The head was found to end, so there is one.
static bool next_line(struct scan *s, struct str *ret)
{
    const char *from = s->all.p + s->at;
    const char *lf = memchr(from, '\n', s->all.n - s->at);
    if (!lf || lf == from || lf[-1] != '\r')
        return false;
    *ret = (struct str){from, (size_t)(lf - from) - 1};
    s->at += ret->n + 2;
    return true;
}

// Length of the head, through the empty line; MORE, or BAD where a bare LF ends a line or `max` is passed.
static enum http1_result find_end(struct str in, size_t max, size_t *resume, size_t *ret, struct err *err)
{
    size_t limit = in.n < max ? in.n : max;
    for (size_t i = *resume; i < limit; i++) {
        if (in.p[i] != '\n')
            continue;
        if (i == 0 || in.p[i - 1] != '\r') {
            err_fill(err, ERR_INVALID, "a line that ends without CR at offset %zu", i);
            return HTTP1_BAD;
        }
        if (i >= 3 && in.p[i - 2] == '\n') {
            *ret = i + 1;
            return HTTP1_DONE;
        }
        if (i == 1) {
            err_fill(err, ERR_INVALID, "an empty line where a head should begin");
            return HTTP1_BAD;
        }
    }
    *resume = limit;
    if (in.n < max)
        return HTTP1_MORE;
    err_fill(err, ERR_LIMIT, "a head of more than %zu bytes", max);
    return HTTP1_BAD;
}

// ---- start lines
// --------------------------------------------------------------------------------------------

static bool version(struct str s, unsigned *minor)
{
    if (s.n != 8 || !str_starts(s, STR("HTTP/1.")) || (s.p[7] != '0' && s.p[7] != '1'))
        return false;
    *minor = s.p[7] == '1';
    return true;
}

static void split_query(struct http1_head *h, struct str target)
{
    ptrdiff_t q = str_find(target, '?');
    h->has_query = q >= 0;
    h->path = q >= 0 ? str_head(target, (size_t)q) : target;
    h->query = q >= 0 ? (struct str){target.p + q + 1, target.n - (size_t)q - 1} : STR("");
}

// scheme "://" authority path-abempty [ "?" query ]
static bool absolute(struct http1_head *h, struct str t)
{
    ptrdiff_t colon = str_find(t, ':');
    if (colon <= 0 || !char_is_alpha(t.p[0]) || !str_starts(str_from(t, (size_t)colon), STR("://")))
        return false;
    for (ptrdiff_t i = 0; i < colon; i++)
        if (!char_is_alpha(t.p[i]) && !char_is_digit(t.p[i]) && !memchr("+-.", t.p[i], 3))
            return false;
    h->scheme = str_head(t, (size_t)colon);
    struct str rest = str_from(t, (size_t)colon + 3);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    h->authority = str_head(rest, n);
    if (n == 0 ||
        str_has(h->authority, '@')) // userinfo: deprecated, and a way to make a host look like another
        return false;
    split_query(h, str_from(rest, n));
    if (h->path.n == 0)
        h->path = STR("/");
    h->form = FORM_ABSOLUTE;
    return true;
}

static enum http1_result request_target(struct scan *s, struct http1_head *h, size_t at)
{
    for (size_t i = 0; i < h->target.n; i++)
        if (!is_target_char(h->target.p[i]))
            return bad(s, at + i, "a byte that no request target has");
    if (h->target.n == 0)
        return bad(s, at, "an empty request target");
    if (str_has(h->target, '#'))
        return bad(s, at, "a fragment in the request target");
    if (str_eq(h->method, STR("CONNECT"))) {
        h->form = FORM_AUTHORITY;
        h->authority = h->target;
        return str_has(h->target, '@') || str_has(h->target, '/') || str_has(h->target, '?')
                   ? bad(s, at, "no authority")
                   : HTTP1_DONE;
    }
    if (h->target.p[0] == '/') {
        h->form = FORM_ORIGIN;
        split_query(h, h->target);
        return HTTP1_DONE;
    }
    if (str_eq(h->target, STR("*")) && str_eq(h->method, STR("OPTIONS"))) { // RFC 9112 section 3.2.4
        h->form = FORM_ASTERISK;
        h->path = h->target;
        return HTTP1_DONE;
    }
    return absolute(h, h->target) ? HTTP1_DONE
                                  : bad(s, at, "a request target that is neither a path nor a URL");
}

static enum http1_result request_line(struct scan *s, struct http1_head *h)
{
    struct str line;
    if (!next_line(s, &line))
        return bad(s, s->at, "no request line");
    ptrdiff_t first = str_find(line, ' ');
    struct str rest = first < 0 ? STR("") : str_from(line, (size_t)first + 1);
    ptrdiff_t second = str_find(rest, ' ');
    if (first <= 0 || second < 0)
        return bad(s, 0, "a request line that is not METHOD SP TARGET SP VERSION");
    h->method = str_head(line, (size_t)first);
    h->target = str_head(rest, (size_t)second);
    if (!is_token(h->method))
        return bad(s, 0, "a method that is no token");
    if (!version(str_from(rest, (size_t)second + 1), &h->minor))
        return bad(s, (size_t)(first + second) + 2, "a version other than HTTP/1.0 and HTTP/1.1");
    return request_target(s, h, (size_t)first + 1);
}

static enum http1_result status_line(struct scan *s, struct http1_head *h)
{
    struct str line;
    if (!next_line(s, &line))
        return bad(s, s->at, "no status line");
    uint64_t status;
    bool shape = line.n >= 12 && line.p[8] == ' ' && (line.n == 12 || line.p[12] == ' ');
    if (!shape || !version(str_head(line, 8), &h->minor) ||
        !str_u64(str_head(str_from(line, 9), 3), 599, &status) || status < 100)
        return bad(s, 0, "a status line that is not VERSION SP CODE SP REASON");
    h->status = (unsigned)status;
    h->reason = str_from(line, 13);
    for (size_t i = 0; i < h->reason.n; i++)
        if (!is_value_char(h->reason.p[i]))
            return bad(s, 13 + i, "a control byte in the reason");
    return HTTP1_DONE;
}

// ---- fields
// -------------------------------------------------------------------------------------------------

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static enum http1_result field_line(struct scan *s, struct str line, size_t at, struct http1_header *ret)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(s, at, "a folded header line");
    ptrdiff_t colon = str_find(line, ':');
    if (colon < 0)
        return bad(s, at, "a header line without a colon");
    ret->name = str_head(line, (size_t)colon);
    if (!is_token(ret->name))
        return bad(s, at, "a header name that is no token");
    ret->value = trim(str_from(line, (size_t)colon + 1));
    for (size_t i = 0; i < ret->value.n; i++)
        if (!is_value_char(ret->value.p[i]))
            return bad(s, (size_t)(ret->value.p - s->all.p) + i, "a control byte in a header value");
    return HTTP1_DONE;
}

static enum http1_result fields(struct scan *s, struct http1_head *h)
{
    struct str line;
    for (;;) {
        size_t at = s->at;
        if (!next_line(s, &line))
            return bad(s, at, "a line that ends without CR");
        if (line.n == 0)
            return HTTP1_DONE;
        if (h->headers_n == HTTP1_HEADERS_MAX) {
            err_fill(s->err, ERR_LIMIT, "more than %d headers", HTTP1_HEADERS_MAX);
            return HTTP1_BAD;
        }
        enum http1_result r = field_line(s, line, at, &h->headers[h->headers_n]);
        if (r != HTTP1_DONE)
            return r;
        h->headers_n++;
    }
}

static bool list_has(struct str list, struct str token)
{
    for (struct str item; str_split(&list, ',', &item);)
        if (str_eq_ci(trim(item), token))
            return true;
    return false;
}

bool http1_has_token(const struct http1_head *h, struct str name, struct str token)
{
    for (size_t i = 0; i < h->headers_n; i++)
        if (str_eq_ci(h->headers[i].name, name) && list_has(h->headers[i].value, token))
            return true;
    return false;
}

bool http1_get(const struct http1_head *h, struct str name, struct str *ret)
{
    const struct http1_header *found = NULL;
    for (size_t i = 0; i < h->headers_n; i++) {
        if (!str_eq_ci(h->headers[i].name, name))
            continue;
        if (found)
            return false;
        found = &h->headers[i];
    }
    if (found)
        *ret = found->value;
    return found;
}

bool http1_is_hop_by_hop(const struct http1_head *h, struct str name)
{
    static const struct str names[] = {
        STR_INIT("Connection"),     STR_INIT("Keep-Alive"), STR_INIT("TE"),
        STR_INIT("Trailer"),        STR_INIT("Upgrade"),    STR_INIT("Transfer-Encoding"),
        STR_INIT("Content-Length"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_ci(name, names[i]))
            return true;
    return str_eq_ci(str_head(name, 6), STR("Proxy-")) || http1_has_token(h, STR("Connection"), name);
}

// ---- what the fields mean together
// --------------------------------------------------------------------------

static enum http1_result host_field(const struct scan *s, struct http1_head *h)
{
    for (size_t i = 0; i < h->headers_n; i++) {
        if (!str_eq_ci(h->headers[i].name, STR("Host")))
            continue;
        if (h->has_host) // RFC 9112 section 3.2
            return bad(s, (size_t)(h->headers[i].name.p - s->all.p), "a second Host");
        h->has_host = true;
        h->host = h->headers[i].value;
    }
    if (h->minor == 1 && h->status == 0 && !h->has_host)
        return bad(s, 0, "no Host in an HTTP/1.1 request");
    return HTTP1_DONE;
}

// Connection may not nominate what routes or frames the message.
static enum http1_result connection_field(const struct scan *s, const struct http1_head *h)
{
    static const struct str never[] = {STR_INIT("host"), STR_INIT("content-length"),
                                       STR_INIT("transfer-encoding")};
    for (size_t i = 0; i < h->headers_n; i++) {
        if (!str_eq_ci(h->headers[i].name, STR("Connection")))
            continue;
        struct str list = h->headers[i].value;
        for (struct str item; str_split(&list, ',', &item);) {
            item = trim(item);
            if (item.n > 0 && !is_token(item))
                return bad(s, (size_t)(item.p - s->all.p), "a Connection option that is no token");
            for (size_t k = 0; k < ARRAY_LEN(never); k++)
                if (str_eq_ci(item, never[k]))
                    return bad(s, (size_t)(item.p - s->all.p), "a Connection option that may not be one");
        }
    }
    return HTTP1_DONE;
}

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

// RFC 9112 section 6.3, with every case that two readers could see differently refused.
static enum http1_result framing_fields(const struct scan *s, const struct http1_head *h, struct framing *f)
{
    for (size_t i = 0; i < h->headers_n; i++) {
        const struct http1_header *x = &h->headers[i];
        size_t at = (size_t)(x->name.p - s->all.p);
        if (str_eq_ci(x->name, STR("Content-Length"))) {
            uint64_t length;
            if (!str_u64(x->value, INT64_MAX, &length))
                return bad(s, at, "a Content-Length that is no number");
            if (f->has_length && f->length != length)
                return bad(s, at, "Content-Lengths that differ");
            f->has_length = true;
            f->length = length;
        } else if (str_eq_ci(x->name, STR("Transfer-Encoding"))) {
            if (f->chunked || !str_eq_ci(x->value, STR("chunked")))
                return bad(s, at, "a Transfer-Encoding other than one 'chunked'");
            f->chunked = true;
        }
    }
    if (f->chunked && f->has_length)
        return bad(s, 0, "Content-Length beside Transfer-Encoding");
    if (f->chunked && h->minor == 0)
        return bad(s, 0, "Transfer-Encoding in HTTP/1.0");
    return HTTP1_DONE;
}

static enum http1_result common(struct scan *s, struct http1_head *h, struct framing *f)
{
    enum http1_result r = fields(s, h);
    if (r == HTTP1_DONE)
        r = host_field(s, h);
    if (r == HTTP1_DONE)
        r = connection_field(s, h);
    if (r == HTTP1_DONE)
        r = framing_fields(s, h, f);
    if (r != HTTP1_DONE)
        return r;
    bool close = http1_has_token(h, STR("Connection"), STR("close"));
    h->keep_alive = !close && (h->minor == 1 || http1_has_token(h, STR("Connection"), STR("keep-alive")));
    struct str ignored;
    h->upgrade = h->minor == 1 && http1_has_token(h, STR("Connection"), STR("upgrade")) &&
                 http1_get(h, STR("Upgrade"), &ignored);
    h->expect_continue = h->minor == 1 && http1_has_token(h, STR("Expect"), STR("100-continue"));
    return HTTP1_DONE;
}

static void frame(struct http1_head *h, enum http1_framing framing, uint64_t length)
{
    h->framing = framing;
    h->length = length;
}

enum http1_result http1_request(struct str in, size_t max, size_t *resume, struct http1_head *ret,
                                size_t *used, struct err *err)
{
    size_t n = 0;
    enum http1_result r = find_end(in, max, resume, &n, err);
    if (r != HTTP1_DONE)
        return r;
    struct scan s = {.all = str_head(in, n), .err = err};
    ret->headers_n = 0;
    memset((char *)ret, 0, offsetof(struct http1_head, headers));
    memset(&ret->headers_n, 0, sizeof(*ret) - offsetof(struct http1_head, headers_n));
    struct framing f = {};
    r = request_line(&s, ret);
    if (r == HTTP1_DONE)
        r = common(&s, ret, &f);
    if (r != HTTP1_DONE)
        return r;
    if (f.chunked)
        frame(ret, FRAMING_CHUNKED, 0);
    else if (f.has_length)
        frame(ret, FRAMING_LENGTH, f.length);
    else
        frame(ret, FRAMING_NONE, 0);
    if (ret->form == FORM_AUTHORITY && (ret->framing == FRAMING_CHUNKED || ret->length > 0))
        return bad(&s, 0, "CONNECT with a body");
    *used = n;
    return HTTP1_DONE;
}

enum http1_result http1_response(struct str in, size_t max, struct str method, size_t *resume,
                                 struct http1_head *ret, size_t *used, struct err *err)
{
    size_t n = 0;
    enum http1_result r = find_end(in, max, resume, &n, err);
    if (r != HTTP1_DONE)
        return r;
    struct scan s = {.all = str_head(in, n), .err = err};
    memset((char *)ret, 0, offsetof(struct http1_head, headers));
    memset(&ret->headers_n, 0, sizeof(*ret) - offsetof(struct http1_head, headers_n));
    struct framing f = {};
    r = status_line(&s, ret);
    if (r == HTTP1_DONE)
        r = common(&s, ret, &f);
    if (r != HTTP1_DONE)
        return r;
    bool tunnel = str_eq(method, STR("CONNECT")) && ret->status >= 200 && ret->status < 300;
    bool bodiless = ret->status < 200 || ret->status == 204 || ret->status == 304 || tunnel ||
                    str_eq(method, STR("HEAD"));
    if (bodiless)
        frame(ret, FRAMING_NONE, 0);
    else if (f.chunked)
        frame(ret, FRAMING_CHUNKED, 0);
    else if (f.has_length)
        frame(ret, FRAMING_LENGTH, f.length);
    else
        frame(ret, FRAMING_CLOSE, 0);
    if (ret->framing == FRAMING_CLOSE)
        ret->keep_alive = false;
    *used = n;
    return HTTP1_DONE;
}

enum http1_result http1_target(struct http1_head *h, struct err *err)
{
    struct scan s = {.err = err};
    return is_token(h->method) ? request_target(&s, h, 0) : bad(&s, 0, "a method that is no token");
}
