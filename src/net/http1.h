// net/http1.h: HTTP/1.0 and 1.1, read strictly and written anew (RFC 9110, 9112). No I/O: bytes in, structs
// out.
//
// Where two readers might disagree we refuse: obs-fold, a bare CR or LF anywhere in a head, blanks before the
// colon, Content-Length beside Transfer-Encoding, differing Content-Lengths, a Transfer-Encoding other than
// exactly "chunked", a second Host, chunk sizes with signs, blanks or leading "0x", chunk extensions beyond
// 256 bytes. What is forwarded is printed from the parsed form, never copied through.
#pragma once
#include "base/buf.h"
#include "base/base.h"

enum {
    HTTP1_PROXY_HEAD_MAX = 8192,     // the first head on a proxy connection (reference 10)
    HTTP1_HEAD_MAX = 16384,          // every other head
    HTTP1_HEADERS_MAX = 128,         // ours
    HTTP1_CHUNK_LINE_MAX = 256 + 18, // a chunk-size line
    HTTP1_TRAILERS_MAX = 8192,
};

struct http1_header {
    struct str name, value; // value without white space around it; names as received
    bool secret;            // to be sent: keep it out of what outlives the message (RFC 7541 section 7.1.3)
};

enum http1_form { FORM_ORIGIN, FORM_ABSOLUTE, FORM_AUTHORITY, FORM_ASTERISK }; // RFC 9112 section 3.2
enum http1_framing {
    FRAMING_NONE,   // no body
    FRAMING_LENGTH, // `length` bytes
    FRAMING_CHUNKED,
    FRAMING_CLOSE, // responses only: until the connection ends
};

// A parsed head. All strings point into the bytes given to the parser, or are printable constants.
struct http1_head {
    unsigned minor; // HTTP/1.minor, 0 or 1
    // request
    struct str method, target;
    enum http1_form form;
    struct str scheme;    // ABSOLUTE: as received
    struct str authority; // ABSOLUTE, AUTHORITY: "host[:port]", userinfo refused
    struct str path;      // ORIGIN, ABSOLUTE: up to '?'; "/" where an absolute form has none
    struct str query;     // behind '?', not decoded
    bool has_query;
    // response
    unsigned status;
    struct str reason;
    // both
    struct http1_header headers[HTTP1_HEADERS_MAX];
    size_t headers_n;
    struct str host; // the one Host header, or empty
    bool has_host;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive;      // the connection may be used again after this message
    bool upgrade;         // Connection: upgrade together with an Upgrade header
    bool expect_continue; // Expect: 100-continue
};

enum http1_result { HTTP1_DONE, HTTP1_MORE, HTTP1_BAD };

// Reads one head from the start of `in`. DONE: *ret is filled, *used bytes were the head. MORE: call again
// with more bytes; *resume (start with 0) saves scanning twice. BAD: *err says what and at which offset,
// ERR_LIMIT where `max` bytes are passed without an end (answer 431), else ERR_INVALID (answer 400).
enum http1_result http1_request(struct str in, size_t max, size_t *resume, struct http1_head *ret,
                                size_t *used, struct err *err) NONNULL;
// `method` is that of the request: HEAD and CONNECT change what a body is (RFC 9112 section 6.3).
enum http1_result http1_response(struct str in, size_t max, struct str method, size_t *resume,
                                 struct http1_head *ret, size_t *used, struct err *err) NONNULL;

// For heads that are not lines (HTTP/2): checks h->method and h->target as the above do, and fills what
// follows from the target: form, authority, path, query. BAD as above.
enum http1_result http1_target(struct http1_head *h, struct err *err) NONNULL;

// The value of the only header of that name (any case); false where there is none, or more than one.
[[nodiscard]] bool http1_get(const struct http1_head *h, struct str name, struct str *ret) NONNULL;
[[nodiscard]] bool http1_has_token(const struct http1_head *h, struct str name, struct str token) NONNULL;

// Hop-by-hop: Connection and what it nominates, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade,
// and the framing headers, which the writer makes anew (RFC 9110 section 7.6.1).
[[nodiscard]] bool http1_is_hop_by_hop(const struct http1_head *h, struct str name) NONNULL;

// A decoder for one body. Feed it bytes; it hands out spans of content that point into them.
struct http1_body {
    enum http1_framing framing;
    uint64_t left; // in the body, or in the present chunk
    enum { BODY_START, BODY_SIZE, BODY_DATA, BODY_DATA_END, BODY_TRAILER, BODY_END } state;
    size_t line; // bytes of an unfinished line or trailer section, for the limits
    uint64_t total;
    char size_line[HTTP1_CHUNK_LINE_MAX];
};
void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length) NONNULL;

// Takes a prefix off *in. DONE: the body has ended (FRAMING_CLOSE never says so by itself). MORE: *in is used
// up, or *data is content to pass on (data->n > 0: call again at once). BAD: malformed chunking. Trailer
// fields are checked for syntax and dropped.
enum http1_result http1_body_next(struct http1_body *b, struct str *in, struct str *data,
                                  struct err *err) NONNULL;

// Writers. Names and values were parsed, or are ours: a CR, LF or NUL in one is refused by setting out->full.
void http1_write_request_line(struct buf *out, struct str method, struct str target) NONNULL; // HTTP/1.1
void http1_write_status(struct buf *out, unsigned status, struct str reason) NONNULL;
void http1_write_header(struct buf *out, struct str name, struct str value) NONNULL;
void http1_write_framing(struct buf *out, enum http1_framing framing,
                         uint64_t length) NONNULL;              // the header for it
void http1_write_chunk_head(struct buf *out, size_t n) NONNULL; // "1f\r\n"; the data and "\r\n" follow
[[nodiscard]] const char *http1_reason(unsigned status);        // "Forbidden"; "" where unknown
