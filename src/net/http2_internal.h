// net/http2_internal.h: for http2.c and its parts.
#pragma once
#include "base/arena.h"
#include "net/http2.h"

// A supply that a rate fills and use empties.
struct http2_bucket {
    int64_t left, max; // in thousandths
    int64_t rate;      // a second
    int64_t filled_ns;
};

// Reads frame heads (RFC 9113 section 4.1) before nghttp2 does, and counts.
struct http2_guard {
    size_t magic; // bytes of the client's preface still to come
    unsigned char head[9];
    size_t head_n;
    uint32_t left; // of the present frame's payload
    bool in_block; // HEADERS without END_HEADERS
    size_t block;
    unsigned continuations;
    bool counts_resets; // of the peer
    struct http2_bucket cheap, resets;
};
void http2_guard_init(struct http2_guard *g, enum http2_role role) NONNULL;
enum err_code http2_guard_feed(struct http2_guard *g, struct str in, int64_t now_ns, struct err *e) NONNULL;
void http2_guard_earn(struct http2_guard *g, unsigned n) NONNULL; // n cheap frames more
// A stream that the peer made us reset. False: one too many.
[[nodiscard]] bool http2_guard_reset(struct http2_guard *g) NONNULL;

// The header block that is being read; there is one at a time on a connection (RFC 9113 section 4.3).
struct http2_block {
    struct arena arena;
    struct http1_head head;
    struct str method, scheme, authority, path, status; // pseudo-headers
    size_t size;
    struct err err;
    bool bad;
};
void http2_block_begin(struct http2_block *b) NONNULL;
void http2_block_add(struct http2_block *b, struct str name, struct str value) NONNULL;
// Fill b->head from what was added. ERR_INVALID, ERR_LIMIT: b->err.
enum err_code http2_block_request(struct http2_block *b, bool end) NONNULL;
enum err_code http2_block_response(struct http2_block *b, bool end) NONNULL;
