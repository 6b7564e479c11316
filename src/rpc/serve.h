// rpc/serve.h: a gRPC server on a libuv loop.
//
// One loop owns every connection. A unary method runs on libuv's worker threads in straight-line code and may
// block; a streaming method lives on the loop, in callbacks that must not. Before either, `admit` runs on a
// worker: it says who is calling and whether they may. Every method of the interface is answered: one without
// a handler with UNIMPLEMENTED and its name.
//
// All functions are for the loop's thread, but for those marked "any thread".
#pragma once
#include "base/log.h"
#include "net/tls_pipe.h"
#include "rpc/core.h"
#include "rpc/method.h"
#include "rpc/wire.h"

#include <sys/types.h>
#include <uv.h>

struct rpc_server;
struct rpc_request; // one call; counted, so that workers may hold one whose peer has gone

enum { RPC_ADDR_SIZE = 64 };

// Who is at the other end of the connection.
struct rpc_peer {
    bool local; // a Unix socket: uid, gid and pid are the kernel's word (SO_PEERCRED)
    uid_t uid;
    gid_t gid;
    pid_t pid;
    bool nested;              // a Unix socket: the process is not seen to live in our own pid namespace
    char addr[RPC_ADDR_SIZE]; // "192.0.2.7:4711", or "unix"
    bool tls;                 // the connection is encrypted
    bool has_cert;            // and the client has shown a certificate that is good:
    struct tls_subject cert;
};

// A streaming call, once it was begun. Any member may be NULL.
struct rpc_stream_ops {
    // One of the messages that were wanted. It is borrowed for the call.
    void (*message)(struct rpc_request *r, const ProtobufCMessage *message);
    void (*end)(struct rpc_request *r);      // the client will send no more
    void (*writable)(struct rpc_request *r); // there is room again, after an ERR_LIMIT of rpc_request_send()
    // The client has gone, or its deadline has passed; nothing more can be sent. The last call for this
    // request unless rpc_request_finish() was called, after which there is none.
    void (*closed)(struct rpc_request *r);
};

struct rpc_handler {
    // On a worker thread. `in` and what *ret is made of live in rpc_request_arena(). A failure becomes the
    // status: see rpc_code_of() and rpc_request_fail().
    enum err_code (*unary)(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                           struct err *reterr);
    // On the loop: a streaming call begins. Sets the callbacks by rpc_request_begin(); nothing is wanted yet.
    // For a method whose client sends one message, that one is wanted already.
    void (*stream)(struct rpc_request *r);
};

struct rpc_server_opts {
    uv_loop_t *loop;
    struct log *log; // connections that break rules, and errors that peers get only a number of
    struct rpc_config config;
    const struct rpc_handler *handlers; // [RPC_METHODS], for all of the server's life
    void *ctx;                          // rpc_request_ctx()
    // On a worker thread. NULL: everybody may do everything. rpc_request_set_principal() keeps what it finds
    // out.
    enum err_code (*admit)(struct rpc_request *r, struct err *reterr);
    // On the loop: a call has ended. `method` NULL: nothing serves it. NULL: nobody wants to know.
    void (*observe)(void *ctx, const struct rpc_method *method, enum rpc_code code, int64_t took_ns);
    unsigned rate_max;  // calls of all callers in a window; more are RESOURCE_EXHAUSTED. 0: no limit
    int64_t rate_ns;    // its length
    unsigned conns_max; // connections at a time; 0: 16384
    unsigned work_max;  // calls at a time that wait for a worker or have one; 0: 512
    size_t arena_max;   // memory of one unary call; 0: 32 MiB
    int64_t hello_ns;   // in which a new connection must have begun to speak HTTP/2, its TLS handshake
                        // included; 0: 10 s
};

// ERR_PRECONDITION: the process does not ignore SIGPIPE. ERR_LIMIT: no memory.
enum err_code rpc_server_new(const struct rpc_server_opts *opts, struct rpc_server **ret,
                             struct err *reterr) NONNULL;

// A Unix socket at `path`, mode 0600. A socket there that nobody listens on any more is replaced; ERR_EXISTS
// where somebody does. rpc_server_free() removes it.
enum err_code rpc_server_listen_unix(struct rpc_server *server, const char *path, struct err *reterr) NONNULL;
// `addr` is a numeric IPv4 or IPv6 address; port 0 takes a free one. *ret_port is the one it became.
enum err_code rpc_server_listen_tcp(struct rpc_server *server, const char *addr, uint16_t port,
                                    uint16_t *ret_port, struct err *reterr) NONNULL;
// The same with TLS, as rpc_server_set_tls() has said; ERR_PRECONDITION where it has not.
enum err_code rpc_server_listen_tls(struct rpc_server *server, const char *addr, uint16_t port,
                                    uint16_t *ret_port, struct err *reterr) NONNULL;
// What connections from here on are shown, and what is asked of them; a share is taken. Those that are there
// go on as they are.
void rpc_server_set_tls(struct rpc_server *server, struct tls_side *side) NONNULL;
// A socket that is bound and listens already; owned from here, also on failure.
enum err_code rpc_server_listen_fd(struct rpc_server *server, int fd, struct err *reterr) NONNULL;

// No new connections and calls; those there are go on. `done`, once, when the last has ended.
void rpc_server_drain(struct rpc_server *server, void (*done)(void *ctx));
// Ends everything. Not from inside a callback of a call: post it. Needs a few more turns of the loop; `done`
// is called when no handle is left, and may free.
void rpc_server_stop(struct rpc_server *server, void (*done)(void *ctx));
void rpc_server_free(struct rpc_server *server); // after rpc_server_stop() is done; NULL is fine
[[nodiscard]] size_t rpc_server_conns(const struct rpc_server *server) NONNULL;

// Any thread: runs fn(arg) on the loop, in the order of posting. ERR_LIMIT: no memory.
// ERR_UNAVAILABLE: rpc_server_stop() came first, and fn is not called.
enum err_code rpc_server_post(struct rpc_server *server, void (*fn)(void *arg), void *arg, struct err *reterr)
    __attribute__((nonnull(1, 2, 4)));

// ---- calls: what both kinds ask

[[nodiscard]] void *rpc_request_ctx(const struct rpc_request *r) NONNULL;
[[nodiscard]] struct rpc_server *rpc_request_server(const struct rpc_request *r) NONNULL;
[[nodiscard]] const struct rpc_method *rpc_request_method(const struct rpc_request *r) NONNULL;
[[nodiscard]] const struct rpc_peer *rpc_request_peer(const struct rpc_request *r) NONNULL;
[[nodiscard]] const struct rpc_meta *rpc_request_meta(const struct rpc_request *r) NONNULL;
[[nodiscard]] int64_t rpc_request_deadline_ns(const struct rpc_request *r) NONNULL;
[[nodiscard]] struct arena *rpc_request_arena(struct rpc_request *r) NONNULL; // unary; for its thread only
[[nodiscard]] bool rpc_request_is_open(
    const struct rpc_request *r) NONNULL; // any thread; false: nobody waits
void rpc_request_set_principal(struct rpc_request *r, void *principal, void (*release)(void *principal))
    __attribute__((nonnull(1)));
[[nodiscard]] void *rpc_request_principal(const struct rpc_request *r) NONNULL;
struct rpc_request *rpc_request_ref(struct rpc_request *r) NONNULL; // any thread
void rpc_request_unref(struct rpc_request *r);                      // any thread; NULL is fine

// Fails with a code that err_code has no name for: return rpc_request_fail(r, RPC_ABORTED, reterr, "...");
#define rpc_request_fail(r, code, e, ...)                                                                    \
    (rpc_request_set_code((r), (code)), err_set((e), rpc_code_err(code), __VA_ARGS__))
void rpc_request_set_code(struct rpc_request *r, enum rpc_code code) NONNULL;

// ---- streaming calls, on the loop

void rpc_request_begin(struct rpc_request *r, const struct rpc_stream_ops *ops, void *user)
    __attribute__((nonnull(1, 2)));
[[nodiscard]] void *rpc_request_user(const struct rpc_request *r) NONNULL;
void rpc_request_want(struct rpc_request *r, unsigned messages) NONNULL;
// ERR_LIMIT: the queue is full; wait for `writable`. ERR_UNAVAILABLE: the call has ended.
enum err_code rpc_request_send(struct rpc_request *r, const ProtobufCMessage *message,
                               struct err *reterr) NONNULL;
void rpc_request_start(
    struct rpc_request *r) NONNULL; // sends the initial metadata, where messages take their time
// Ends the call. Nothing happens where it has ended already. `details` as rpc_stream_finish().
void rpc_request_finish(struct rpc_request *r, const struct rpc_status *st, struct str details) NONNULL;
// The same from an error, as a unary handler's becomes a status.
void rpc_request_finish_err(struct rpc_request *r, const struct err *e) NONNULL;
void rpc_request_finish_ok(struct rpc_request *r) NONNULL;
