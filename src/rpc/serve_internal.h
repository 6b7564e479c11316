// rpc/serve_internal.h: what serve.c (listeners and connections) and serve_request.c (calls) share.
#pragma once
#include "rpc/serve.h"

#include <stdatomic.h>

struct conn {
    struct rpc_server *server;
    struct conn *next, *prev; // of all
    struct conn *next_dirty;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } u;
    uv_timer_t timer;
    struct rpc_core *core;
    struct tls_pipe *tls; // NULL: none
    struct rpc_peer peer;
    int64_t hello_ns;
    unsigned handles; // not yet closed
    bool dirty, closing, stopped_reading;
    bool failed; // flush, then close
    char why[80];
};

enum request_state { REQ_NEW, REQ_WORK, REQ_STREAM, REQ_ENDED };

struct rpc_request {
    atomic_uint refs;
    atomic_bool open;
    struct rpc_server *server;
    struct conn *conn;         // NULL once it has ended
    struct rpc_stream *stream; // ditto
    const struct rpc_method *method;
    const struct rpc_handler *handler;
    struct rpc_peer peer;
    struct arena arena;
    struct rpc_meta meta; // copies, in the arena
    int64_t deadline_ns, began_ns;
    enum request_state state;
    struct str in; // unary: the request
    size_t messages;
    bool in_end;
    // of the worker
    uv_work_t work;
    struct buf out;
    enum err_code result;
    struct err err;
    enum rpc_code code; // RPC_OK: that of err
    void *principal;
    void (*release)(void *principal);
    // streaming
    const struct rpc_stream_ops *ops;
    void *user;
};

struct listener {
    struct rpc_server *server;
    struct listener *next;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } u;
    bool is_unix, tls;
    char path[108]; // of sockaddr_un; to be removed
};

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct rpc_server {
    struct rpc_server_opts opts;
    uv_prepare_t prepare;
    uv_async_t async;
    unsigned handles; // not yet closed, those of listeners included
    struct listener *listeners;
    struct conn *conns, *dirty;
    size_t conns_n; // until their handles are closed
    size_t open_n;  // those that are not being closed
    unsigned work_n;
    uint32_t errors;   // numbers of internal errors
    int64_t window_ns; // when the present one began
    unsigned window_n; // calls in it
    bool draining, stopping;
    void (*drained)(void *ctx);
    void (*stopped)(void *ctx);
    struct tls_side *tls; // of connections to come; NULL: there is no listener for them
    char in[64 * KIB];    // of the one read that a loop has at a time
    char plain[64 * KIB]; // ditto, and of the one write, under TLS
    uv_mutex_t lock;      // guards posts, and stopping against rpc_server_post()
    struct post *posts, *posts_last;
};

void conn_touch(struct conn *c) NONNULL; // its core has something to do

// ---- serve_tls.c
enum err_code conn_tls_start(struct conn *c, struct err *reterr) NONNULL;
// What came from the wire, to the core.
enum err_code conn_tls_recv(struct conn *c, struct str wire, struct err *reterr) NONNULL;
// Seals what the core has to say, as much as fits into one write; *ret is what is for the wire.
enum err_code conn_tls_seal(struct conn *c, struct str *ret, struct err *reterr) NONNULL;

extern const struct rpc_events request_events;
