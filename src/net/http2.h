// net/http2.h: one end of an HTTP/2 connection, on nghttp2 (RFC 9113). No I/O: bytes in, bytes and calls out.
//
// Heads come out in the form that net/http1.h has, so that one code path decides on both. Refused, by
// nghttp2 or here: pseudo-headers that are missing, repeated, unknown or behind a field; fields of the
// connection; upper case; TE other than "trailers"; a Content-Length that DATA does not keep; control bytes;
// a Host that is not :authority; a :path that is neither a path nor the asterisk of OPTIONS; extended CONNECT
// and server push; 101.
//
// Flow control is the caller's: a window opens again by http2_consume(), which a proxy calls when its other
// leg took the bytes. So a stream holds no more than its window, whoever is slow.
//
// A peer that floods (resets, SETTINGS, PING, empty frames, CONTINUATION) is told ENHANCE_YOUR_CALM:
// http2_recv fails, what http2_send still gives is the GOAWAY, and the connection ends.
#pragma once
#include "base/buf.h"
#include "net/http1.h"

enum {
    HTTP2_STREAMS_MAX = 100,              // at once (RFC 9113 section 6.5.2 recommends no less)
    HTTP2_HEAD_MAX = HTTP1_HEAD_MAX,      // names and values, and 32 for each field (ditto)
    HTTP2_STREAM_WINDOW = 128 * KIB,      // what a stream may hold
    HTTP2_WINDOW = 1024 * KIB,            // and all of a connection
    HTTP2_MEMORY_MAX = 4 * 1024 * KIB,    // nghttp2's own, for one connection
    HTTP2_BLOCK_MAX = 2 * HTTP1_HEAD_MAX, // HEADERS and its CONTINUATIONs, as sent
    HTTP2_CONTINUATIONS_MAX = 8,          // behind one HEADERS
    HTTP2_CHEAP_BURST = 1'000,            // frames that carry nothing: this many at once,
    HTTP2_CHEAP_RATE = 100,               // and so many a second more; frames with content earn some, too
    HTTP2_RESETS_BURST = 2 * HTTP2_STREAMS_MAX, // streams that were begun for nothing
    HTTP2_RESETS_RATE = HTTP2_STREAMS_MAX,
};

enum http2_code { // RFC 9113 section 7
    HTTP2_NO_ERROR = 0,
    HTTP2_PROTOCOL_ERROR = 1,
    HTTP2_INTERNAL_ERROR = 2,
    HTTP2_REFUSED_STREAM = 7,
    HTTP2_CANCEL = 8,
    HTTP2_ENHANCE_YOUR_CALM = 11,
};

enum http2_role { HTTP2_SERVER, HTTP2_CLIENT };

// What a connection tells its owner, from inside http2_recv and http2_send. Strings stand for the call only.
// The calls may use any function below but these two, http2_new and http2_free.
struct http2_calls {
    // SERVER: a request. CLIENT: a response; those of status 1xx come before the one that counts. `end`: no
    // body and no trailers follow. head->scheme is :scheme, head->authority :authority (or Host).
    void (*head)(void *ctx, int32_t id, const struct http1_head *head, bool end);
    void (*data)(void *ctx, int32_t id, struct str bytes); // hold them until http2_consume
    // The peer is done with the stream. `trailers` has headers only, or is NULL.
    void (*end)(void *ctx, int32_t id, const struct http1_head *trailers);
    void (*took)(void *ctx, int32_t id, size_t n); // bytes of http2_write went out
    // The last that is heard of a stream, unless the connection ends first. `code`: enum http2_code and more.
    void (*closed)(void *ctx, int32_t id, uint32_t code);
    void (*refused)(void *ctx, int32_t id, struct str why); // a malformed head or body; closed() follows
};

struct http2;
// ERR_LIMIT: no memory.
enum err_code http2_new(enum http2_role role, const struct http2_calls *calls, void *ctx, struct http2 **ret,
                        struct err *e) NONNULL;
void http2_free(struct http2 *h); // NULL is fine; no calls
static inline void http2_freep(struct http2 **h)
{
    http2_free(*h);
}

// Takes all of `in`. ERR_INVALID: the peer broke the protocol; ERR_LIMIT: a flood, or no memory. The
// connection is over then, but for what http2_send gives. `now_ns`: base/clock.h, for rates.
enum err_code http2_recv(struct http2 *h, struct str in, int64_t now_ns, struct err *e) NONNULL;

// Appends what is to be sent, until out->n is at least `enough` or there is nothing more.
enum err_code http2_send(struct http2 *h, struct buf *out, size_t enough, struct err *e) NONNULL;
[[nodiscard]] bool http2_wants_send(const struct http2 *h) NONNULL;
[[nodiscard]] bool http2_is_over(const struct http2 *h) NONNULL; // nothing more to read or to send
[[nodiscard]] bool http2_in_head(const struct http2 *h) NONNULL; // in the middle of a head, or of the preface
[[nodiscard]] bool http2_is_leaving(const struct http2 *h) NONNULL; // the peer sent GOAWAY
[[nodiscard]] size_t http2_streams(const struct http2 *h) NONNULL;  // open

// CLIENT: a request. Names in `f` are lower case, pseudo-headers first; they are copied. `end`: no body. More
// than the peer allows at once wait inside. ERR_UNAVAILABLE: the peer takes no more.
enum err_code http2_request(struct http2 *h, const struct http1_header *f, size_t n, bool end,
                            int32_t *ret_id, struct err *e) NONNULL;
// SERVER: a response; of status 1xx any number before the one that counts.
enum err_code http2_respond(struct http2 *h, int32_t id, const struct http1_header *f, size_t n, bool end,
                            struct err *e) NONNULL;
// A piece of body; ERR_LIMIT where more than HTTP2_STREAM_WINDOW would wait. A stream that is gone: ignored.
enum err_code http2_write(struct http2 *h, int32_t id, struct str bytes, struct err *e) NONNULL;
// The end of the body, with trailers where n > 0.
enum err_code http2_finish(struct http2 *h, int32_t id, const struct http1_header *f, size_t n, struct err *e)
    __attribute__((nonnull(1, 5)));
// The bytes of data() are gone: the window opens by n.
void http2_consume(struct http2 *h, int32_t id, size_t n) NONNULL;
void http2_reset(struct http2 *h, int32_t id, uint32_t code) NONNULL;
// Resets with NO_ERROR once all is sent: nobody wants the rest of the request (RFC 9113 section 8.1).
void http2_reset_when_sent(struct http2 *h, int32_t id) NONNULL;
void http2_leave(struct http2 *h) NONNULL;              // GOAWAY; streams that are open go on
void http2_end(struct http2 *h, uint32_t code) NONNULL; // GOAWAY, and nothing more

// A pointer that the owner keeps with a stream; NULL where there is no such stream.
void http2_set(struct http2 *h, int32_t id, void *user) NONNULL;
[[nodiscard]] void *http2_get(const struct http2 *h, int32_t id) NONNULL;
