// rpc/dial.h: a gRPC client that blocks, in plain poll(2), on a Unix socket, TCP or TLS.
//
// For one thread. Each call takes a deadline, which the server is told too, and a cancel fd: readable means
// give up, and the call is cancelled at the server. To wait for a terminal as well, poll rpc_client_fd() for
// rpc_client_poll() beside it, call rpc_client_pump(), and read with RPC_TRY.
//
// A failure is the server's status as a struct err; rpc_client_status() has its code as gRPC says it.
#pragma once
#include "net/tls_pipe.h"
#include "rpc/core.h"
#include "rpc/endpoint.h"
#include "rpc/method.h"
#include "rpc/wire.h"

struct rpc_client;
struct rpc_client_call;

// To an endpoint as rpc/endpoint.h says. https:// trusts what the system trusts and shows no certificate.
// ERR_UNAVAILABLE: nobody listens. ERR_DENIED: the server's certificate is not good, or is another's. The
// connection is up when this returns, TLS included; HTTP/2 is not spoken yet. With TLS 1.3 a server that does
// not like our certificate says so after that, to the first call.
enum err_code rpc_dial(struct str endpoint, const struct rpc_config *config, const struct rpc_wait *wait,
                       struct rpc_client **ret, struct err *reterr) NONNULL;

struct rpc_dial_opts {
    struct tls_side *tls;   // for https://; a share is taken. NULL: as rpc_dial()
    struct str server_name; // whose certificate the server must have; empty: the endpoint's host
};
enum err_code rpc_dial_with(struct str endpoint, const struct rpc_dial_opts *opts,
                            const struct rpc_config *config, const struct rpc_wait *wait,
                            struct rpc_client **ret, struct err *reterr) NONNULL;
// The same without waiting for the connection, or for TLS: while it is not up, nothing moves; where it fails,
// pumping says so. Of several addresses the first is tried. A name is waited for, for at most 5 seconds.
enum err_code rpc_dial_begin(struct str endpoint, const struct rpc_config *config, struct rpc_client **ret,
                             struct err *reterr) NONNULL;
enum err_code rpc_dial_begin_with(struct str endpoint, const struct rpc_dial_opts *opts,
                                  const struct rpc_config *config, struct rpc_client **ret,
                                  struct err *reterr) NONNULL;
// Over a socket that is connected; owned from here, also on failure.
enum err_code rpc_client_new(int fd, struct str authority, const struct rpc_config *config,
                             struct rpc_client **ret, struct err *reterr) NONNULL;
void rpc_client_free(struct rpc_client *c); // ends its calls; NULL is fine
static inline void rpc_client_freep(struct rpc_client **c)
{
    rpc_client_free(*c);
}

// Sent with each call from here on: authorization, for example. Borrowed until replaced; NULL: none.
void rpc_client_set_meta(struct rpc_client *c, const struct rpc_meta *meta) __attribute__((nonnull(1)));

// One message there, one back, into the arena.
enum err_code rpc_unary(struct rpc_client *c, enum rpc_method_id method, const ProtobufCMessage *request,
                        const struct rpc_wait *wait, struct arena *arena, ProtobufCMessage **ret,
                        struct err *reterr) NONNULL;

// How the last call that ended did, and its grpc-status-details-bin, borrowed until the next one ends.
[[nodiscard]] const struct rpc_status *rpc_client_status(const struct rpc_client *c) NONNULL;
[[nodiscard]] struct str rpc_client_details(const struct rpc_client *c) NONNULL;

// ---- streaming calls; the wait holds for all of the call

enum err_code rpc_open(struct rpc_client *c, enum rpc_method_id method, const struct rpc_wait *wait,
                       struct rpc_client_call **ret, struct err *reterr) NONNULL;
void rpc_close(struct rpc_client_call *call); // cancels what has not ended; NULL is fine
static inline void rpc_closep(struct rpc_client_call **call)
{
    rpc_close(*call);
}

// RPC_QUEUE is RPC_TRY that leaves the socket alone, for many calls between one rpc_client_pump() and one
// rpc_client_flush().
enum rpc_try { RPC_BLOCK, RPC_TRY, RPC_QUEUE };

// Waits for room in the queue; with RPC_TRY: ERR_LIMIT where there is none. ERR_UNAVAILABLE: the call has
// ended, and rpc_read() says how.
enum err_code rpc_write(struct rpc_client_call *call, const ProtobufCMessage *message, enum rpc_try how,
                        struct err *reterr) NONNULL;
void rpc_write_end(struct rpc_client_call *call) NONNULL;
// Whether the server has said its last word, though messages of it may not have been read yet.
[[nodiscard]] bool rpc_has_ended(const struct rpc_client_call *call) NONNULL;
// Whether a message of at most half the queue can be written at once.
[[nodiscard]] bool rpc_has_room(const struct rpc_client_call *call) NONNULL;

// The next message. *ret NULL and *ret_end true: the call has ended well. *ret NULL and *ret_end false: with
// RPC_TRY, there is none yet.
enum err_code rpc_read(struct rpc_client_call *call, enum rpc_try how, struct arena *arena,
                       ProtobufCMessage **ret, bool *ret_end, struct err *reterr) NONNULL;
// Initial metadata of the server, once something was read.
[[nodiscard]] const struct rpc_meta *rpc_call_meta(const struct rpc_client_call *call) NONNULL;

// ---- for an own poll(2)

[[nodiscard]] int rpc_client_fd(const struct rpc_client *c) NONNULL;
[[nodiscard]] short rpc_client_poll(const struct rpc_client *c) NONNULL;      // POLLIN, perhaps POLLOUT
[[nodiscard]] int64_t rpc_client_next_ns(const struct rpc_client *c) NONNULL; // pump by then at the latest
// Reads, writes, ticks; never waits. ERR_UNAVAILABLE: the connection is gone, and so are its calls.
enum err_code rpc_client_pump(struct rpc_client *c, struct err *reterr) NONNULL;
void rpc_client_flush(struct rpc_client *c) NONNULL; // writes only; pumping says where that fails
