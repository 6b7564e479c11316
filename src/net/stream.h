// net/stream.h: a connection as a stack of filters (socket, TLS), each knowing only the one below.
//
// Straight-line code: a call blocks until it is done, its deadline passes, or its cancel fd becomes readable.
// It tries first and polls on EAGAIN, so that a ready connection costs one system call. A stream is used by
// one thread.
#pragma once
#include "base/base.h"
#include "net/ip.h"

#define DEADLINE_NOW INT64_MIN // do not wait: what would block is ERR_TIMEOUT at once

struct wait {
    int64_t deadline_ns; // base/clock.h; DEADLINE_NEVER: none
    int cancel_fd;       // readable means give up; -1: none
};

struct stream;
struct stream_ops {
    enum err_code (*read)(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                          struct err *e);
    enum err_code (*write)(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                           struct err *e);
    enum err_code (*end)(struct stream *s, const struct wait *w, struct err *e);
    size_t (*pending)(const struct stream *s);
    void (*busy)(struct stream *s, bool busy); // NULL: it is all the same
    void (*free)(struct stream *s);
};
struct stream { // first member of each filter's own struct
    const struct stream_ops *ops;
    int fd; // of the socket at the bottom, for poll(2)
};

// Reads 1..n bytes; *ret 0 is the end of the stream, properly closed (for TLS: by close_notify; a bare FIN
// under TLS is ERR_UNAVAILABLE "truncated"). ERR_TIMEOUT: the deadline. ERR_DENIED: cancelled.
// ERR_UNAVAILABLE: reset by the peer.
enum err_code stream_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                          struct err *e) NONNULL;

// Writes all of it, or fails as above; how much went out before a failure is not known.
enum err_code stream_write(struct stream *s, struct str bytes, const struct wait *w, struct err *e) NONNULL;

// Writes 1..n bytes of n > 0. After ERR_TIMEOUT the next write must begin with the same bytes: TLS may have
// sealed them into a record already, of which a part is out.
enum err_code stream_write_some(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                                struct err *e) NONNULL;

// Ends our direction: close_notify, then shutdown(SHUT_WR). Reading goes on. After ERR_TIMEOUT it may be
// called again.
enum err_code stream_end(struct stream *s, const struct wait *w, struct err *e) NONNULL;

// Bytes that a read may give without touching the socket: ask before poll(2). A part of a TLS record, which
// a read has found to be one, does not count.
[[nodiscard]] size_t stream_pending(const struct stream *s) NONNULL;

// A stream that is busy keeps its buffers from one call to the next; one that is not, as at first, gives them
// up whenever they are empty: a connection that waits for long should cost little.
void stream_busy(struct stream *s, bool busy) NONNULL;

void stream_free(struct stream *s); // closes, aborting what is not ended; NULL is fine
static inline void stream_freep(struct stream **s)
{
    stream_free(*s);
}

// A stream over a connected socket, which it owns from here, also on failure; made non-blocking, TCP_NODELAY
// where it is TCP. ERR_LIMIT: no memory.
enum err_code stream_socket(int fd, struct stream **ret, struct err *e) NONNULL;

// Puts bytes that were read already in front of a stream; owns `below` on success. For a head read too far.
enum err_code stream_prepend(struct stream *below, struct str bytes, struct stream **ret,
                             struct err *e) NONNULL;

// Connects TCP to addrs[0..n), one after the other, until one accepts; *ret_used is the one that did. The
// deadline covers all. ERR_UNAVAILABLE names the last failure: "192.0.2.7:443: Connection refused".
enum err_code stream_dial(const struct ip *addrs, size_t n, uint16_t port, const struct wait *w,
                          struct stream **ret, size_t *ret_used, struct err *e) NONNULL;

// Copies both ways until both sides ended, one failed, or `w` says stop (w->deadline_ns is ignored; idle_ms >
// 0 ends a relay on which nothing moved for so long). Neither way ever waits for the other. Plain sockets are
// spliced through pipes; splice(2) knows no MSG_NOSIGNAL, so the process must ignore SIGPIPE. Byte counts go
// to counts[0] (a to b) and counts[1], also on failure. ERR_DENIED: cancelled.
enum err_code stream_relay(struct stream *a, struct stream *b, int idle_ms, const struct wait *w,
                           uint64_t counts[static 2], struct err *e) NONNULL;
