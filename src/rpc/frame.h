// rpc/frame.h: messages in a stream of bytes: a flag, a length of four bytes, and that many bytes, which are
// gzip (RFC 1952) where the flag says so.
#pragma once
#include "base/buf.h"

enum { RPC_FRAME_HEAD = 5 };

// A resumable reader of messages, of at most `max` bytes each, also when inflated.
struct rpc_frames {
    struct buf body, plain;
    size_t max;
    size_t head_n, left; // bytes of the head that are there; bytes of the body that are not
    unsigned char head[RPC_FRAME_HEAD];
    bool gzip; // compressed messages may come, as the peer has announced them
};

void rpc_frames_init(struct rpc_frames *f, size_t max) NONNULL;
void rpc_frames_done(struct rpc_frames *f); // NULL is fine

// Takes bytes from *in up to the end of a message. True in *ret_whole: it is in *ret, until the next call.
// ERR_LIMIT: larger than the maximum, or no memory; ERR_UNSUPPORTED: compressed without announcement;
// ERR_INVALID: an unknown flag, or no gzip. After a failure the reader cannot go on.
enum err_code rpc_frames_take(struct rpc_frames *f, struct str *in, bool *ret_whole, struct str *ret,
                              struct err *reterr) NONNULL;

[[nodiscard]] static inline bool rpc_frames_inside(const struct rpc_frames *f) // a message has begun
{
    return f->head_n > 0;
}

// Appends a message, compressed where `gzip` is set and it becomes shorter by that. ERR_LIMIT: `out` is full.
enum err_code rpc_frame_add(struct buf *out, struct str message, bool gzip, struct err *reterr) NONNULL;
