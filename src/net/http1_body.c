// Bodies of HTTP/1 messages, and the writers. Content comes out in spans of the input; chunk framing is
// consumed here.
#include "net/http1.h"

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length)
{
    *b = (struct http1_body){.framing = framing, .left = length, .state = BODY_START};
    if (framing == FRAMING_NONE || (framing == FRAMING_LENGTH && length == 0))
        b->state = BODY_END;
    else if (framing == FRAMING_CHUNKED)
        b->state = BODY_SIZE;
    else
        b->state = BODY_DATA;
}

static enum http1_result bad(struct err *err, const char *what)
{
    err_fill(err, ERR_INVALID, "chunked body: %s", what);
    return HTTP1_BAD;
}

// chunk-size [ chunk-ext ] (RFC 9112 section 7.1): hex digits alone, no sign, no blank in front; an extension
// is skipped.
static enum http1_result size_line(struct http1_body *b, struct err *err)
{
    size_t n = 0;
    uint64_t size = 0;
    for (; n < b->line && char_hex(b->size_line[n]) >= 0; n++) {
        if (size >> 59)
            return bad(err, "a chunk larger than 2^59 bytes");
        size = size << 4 | (unsigned)char_hex(b->size_line[n]);
    }
    if (n == 0)
        return bad(err, "a chunk size that is no hex number");
    for (size_t i = n; i < b->line; i++) {
        unsigned char c = (unsigned char)b->size_line[i];
        if (i == n && c != ';' && c != ' ' && c != '\t')
            return bad(err, "a chunk size that is no hex number");
        if (c != '\t' && (c < 0x20 || c == 0x7f))
            return bad(err, "a control byte in a chunk extension");
    }
    // Blanks are BWS before an extension (RFC 9112 section 7.1.1), and nothing else.
    size_t ext = n;
    while (ext < b->line && (b->size_line[ext] == ' ' || b->size_line[ext] == '\t'))
        ext++;
    if (ext > n && (ext == b->line || b->size_line[ext] != ';'))
        return bad(err, "blanks behind a chunk size");
    b->line = 0;
    b->left = size;
    b->state = size == 0 ? BODY_TRAILER : BODY_DATA;
    return HTTP1_DONE;
}

// One byte of a size line or a trailer line; DONE: the line is whole, without CRLF, in size_line[0, line) (a
// trailer's beyond its size is counted, not kept).
static enum http1_result line_byte(struct http1_body *b, char c, size_t max, struct err *err)
{
    bool cr = b->line > 0 && b->line <= sizeof(b->size_line) && b->size_line[b->line - 1] == '\r';
    if (c == '\n') {
        if (!cr)
            return bad(err, "a line that ends without CR");
        b->line--;
        return HTTP1_DONE;
    }
    if (cr)
        return bad(err, "a CR that ends no line");
    if (b->line == max) {
        err_fill(err, ERR_LIMIT, "chunked body: a line of more than %zu bytes", max);
        return HTTP1_BAD;
    }
    b->size_line[b->line++] = c;
    return HTTP1_MORE;
}

static bool is_trailer(struct str line)
{
    ptrdiff_t colon = str_find(line, ':');
    if (colon <= 0)
        return false;
    for (ptrdiff_t i = 0; i < colon; i++)
        if (!char_is_alpha(line.p[i]) && !char_is_digit(line.p[i]) &&
            !memchr("!#$%&'*+-.^_`|~", line.p[i], 15))
            return false;
    for (size_t i = (size_t)colon; i < line.n; i++)
        if (line.p[i] != '\t' && ((unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7f))
            return false;
    return true;
}

// Trailer fields are checked and dropped; each line and all of them together are bounded.
static enum http1_result trailer_byte(struct http1_body *b, char c, struct err *err)
{
    if (b->left++ >= HTTP1_TRAILERS_MAX) {
        err_fill(err, ERR_LIMIT, "chunked body: more than %d bytes of trailers", HTTP1_TRAILERS_MAX);
        return HTTP1_BAD;
    }
    enum http1_result r = line_byte(b, c, sizeof(b->size_line), err);
    if (r != HTTP1_DONE)
        return r;
    struct str line = {b->size_line, b->line};
    b->line = 0;
    if (line.n == 0) {
        b->state = BODY_END;
        return HTTP1_DONE;
    }
    return is_trailer(line) ? HTTP1_MORE : bad(err, "a malformed trailer");
}

static enum http1_result framing_byte(struct http1_body *b, char c, struct err *err)
{
    enum http1_result r;
    switch (b->state) {
    case BODY_SIZE:
        r = line_byte(b, c, sizeof(b->size_line), err);
        return r == HTTP1_DONE ? size_line(b, err) : r;
    case BODY_DATA_END:
        r = line_byte(b, c, 1, err); // exactly CRLF
        if (r == HTTP1_DONE)
            b->state = BODY_SIZE;
        else if (r == HTTP1_MORE && c != '\r')
            return bad(err, "bytes behind a chunk's data");
        return r;
    case BODY_TRAILER:
        return trailer_byte(b, c, err);
    case BODY_START:
    case BODY_DATA:
    case BODY_END:
        break;
    }
    return HTTP1_MORE;
}

static void take_data(struct http1_body *b, struct str *in, struct str *data)
{
    size_t n = in->n;
    if (b->framing != FRAMING_CLOSE && n > b->left)
        n = (size_t)b->left;
    *data = str_head(*in, n);
    *in = str_from(*in, n);
    b->total += n;
    if (b->framing == FRAMING_CLOSE)
        return;
    b->left -= n;
    if (b->left == 0)
        b->state = b->framing == FRAMING_CHUNKED ? BODY_DATA_END : BODY_END;
}

enum http1_result http1_body_next(struct http1_body *b, struct str *in, struct str *data, struct err *err)
{
    *data = (struct str){};
    for (;;) {
        if (b->state == BODY_END)
            return HTTP1_DONE;
        if (in->n == 0)
            return HTTP1_MORE;
        if (b->state == BODY_DATA) {
            take_data(b, in, data);
            return b->state == BODY_END ? HTTP1_DONE : HTTP1_MORE;
        }
        if (framing_byte(b, in->p[0], err) == HTTP1_BAD)
            return HTTP1_BAD;
        *in = str_from(*in, 1);
    }
}

// ---- writers
// ------------------------------------------------------------------------------------------------

// A line break or a NUL inside what is printed would begin another line for the reader.
static void add_safe(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') {
            out->full = true;
            return;
        }
    }
    buf_add(out, s);
}

void http1_write_request_line(struct buf *out, struct str method, struct str target)
{
    if (str_has(method, ' ') || str_has(target, ' '))
        out->full = true;
    add_safe(out, method);
    buf_addc(out, ' ');
    add_safe(out, target);
    buf_add(out, STR(" HTTP/1.1\r\n"));
}

void http1_write_status(struct buf *out, unsigned status, struct str reason)
{
    buf_addf(out, "HTTP/1.1 %u ", status);
    add_safe(out, reason);
    buf_add(out, STR("\r\n"));
}

void http1_write_header(struct buf *out, struct str name, struct str value)
{
    add_safe(out, name);
    buf_add(out, STR(": "));
    add_safe(out, value);
    buf_add(out, STR("\r\n"));
}

void http1_write_framing(struct buf *out, enum http1_framing framing, uint64_t length)
{
    if (framing == FRAMING_LENGTH)
        buf_addf(out, "Content-Length: %llu\r\n", (unsigned long long)length);
    else if (framing == FRAMING_CHUNKED)
        buf_add(out, STR("Transfer-Encoding: chunked\r\n"));
}

void http1_write_chunk_head(struct buf *out, size_t n)
{
    buf_addf(out, "%zx\r\n", n);
}

const char *http1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } table[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "";
}
