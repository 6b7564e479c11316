// rpc/core_internal.h: what core.c (the connection) and core_stream.c (the calls) share.
#pragma once
#include "rpc/core.h"
#include "rpc/frame.h"

#include <nghttp2/nghttp2.h>

// What nghttp2's callbacks find out is only noted here; rpc_core_run() acts on it.
struct rpc_stream {
    struct rpc_core *core;
    struct rpc_stream *next, *prev; // of all
    int32_t id;
    void *user;
    struct arena arena; // fields and path
    struct str path, authority, content_type, method;
    struct rpc_meta meta, trailers;         // from the peer
    struct rpc_meta out_meta, out_trailers; // to the peer
    struct rpc_status st;                   // how it ended, or ends
    struct str details;
    size_t header_bytes;
    int http_status;
    int64_t deadline_ns;
    // in
    struct buf in; // as received, not yet taken
    size_t in_off;
    struct rpc_frames frames;
    unsigned want;
    // out
    struct buf out;
    size_t out_off;
    size_t blocked; // size of a message that did not fit, and 1: the application waits for `writable`; 0: it
                    // does not
    // flags
    bool has_headers; // a whole header block came
    bool has_status;  // client: grpc-status came
    bool bad;         // st says why the peer's headers will not do
    bool told_headers, told_end, told_closed;
    bool in_end;   // the peer will send no more
    bool closed;   // nghttp2 knows it no more
    bool reset;    // RST_STREAM is on its way
    bool released; // the application holds it no more
    bool begun;    // our headers are submitted
    bool out_end;  // nothing more will be queued
    bool deferred; // nghttp2 waits for rpc_core to resume it
    bool gzip_in;  // the peer takes gzip
    bool gzip_out; // and we send it
    bool encoding_bad;
    bool ended; // server: our END_STREAM is sent
};

struct rpc_core {
    enum rpc_side side;
    struct rpc_config config;
    const struct rpc_events *events;
    void *ctx;
    nghttp2_session *session;
    struct rpc_stream *streams, *streams_last; // oldest first, so that nobody overtakes
    size_t streams_n;
    int64_t now_ns, heard_ns, ping_ns; // ping_ns: when the unanswered PING was sent, 0: none
    int64_t drain_ns;                  // when the second GOAWAY is due; 0: not draining
    int64_t control_ns;                // when control_left was reckoned
    double control_left;
    bool flooded, goaway, lost, greeted;
    bool running;
};

// Drops what was taken from the front of a queue, once that is half of it: so each byte is moved about once,
// and a queue that is never empty does not grow.
static inline void queue_trim(struct buf *b, size_t *off)
{
    if (*off == 0 || *off < b->n / 2)
        return;
    b->n -= *off;
    if (b->n > 0)
        memmove(b->p, b->p + *off, b->n);
    *off = 0;
}

enum { STREAM_ARENA_MAX = 96 * KIB };

struct rpc_stream *stream_new(struct rpc_core *core, int32_t id) NONNULL; // NULL: no memory
void call_free(struct rpc_stream *s) NONNULL;
void stream_run(struct rpc_stream *s) NONNULL;
void stream_reset(struct rpc_stream *s, uint32_t http2_error) NONNULL; // once
// Whether the application knows of it. A server's call is nobody's until all of its header is there.
[[nodiscard]] bool stream_is_known(const struct rpc_stream *s) NONNULL;
void stream_header(struct rpc_stream *s, struct str name, struct str value, bool trailer) NONNULL;
// Ends it for both sides: the peer is told by what there is to tell it with, the application by `closed`.
void stream_fail(struct rpc_stream *s, enum rpc_code code, const char *msg) NONNULL;
// What an HTTP/2 error code means to a call.
enum rpc_code stream_code_of(uint32_t http2_error);
