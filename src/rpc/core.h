// rpc/core.h: gRPC on one HTTP/2 connection, either side of it, without I/O.
//
// Bytes go in by rpc_core_recv() and come out by rpc_core_send(); the time is told with each call. Events are
// called from rpc_core_run() only, which a driver calls after each of the others: never from inside a stream
// function, so an event may call any of those. A driver's turn is
//
//     recv, or tick once rpc_core_next_ns() has come -> run -> send until it gives nothing -> write
//
// A stream is one call. It is the application's from its first event (or rpc_call) until exactly one of: the
// event `closed`, rpc_stream_finish(), rpc_stream_cancel(). Afterwards the pointer is not to be used.
//
// Messages are delivered only as they are asked for (rpc_stream_want), and the peer's window opens only as
// they are taken: a reader that does not ask stops its peer at the window, other streams go on. What is sent
// is queued up to queue_max; then rpc_stream_send() says ERR_LIMIT, and the event `writable` says when there
// is room again.
#pragma once
#include "base/clock.h"
#include "rpc/meta.h"
#include "rpc/status.h"

enum rpc_side { RPC_SERVER, RPC_CLIENT };

struct rpc_config {
    size_t message_max;   // bytes of one message received, also when inflated
    size_t queue_max;     // bytes of one stream that wait to be sent; an empty queue takes one message of any
                          // size up to RPC_SEND_MAX
    size_t header_max;    // bytes of a header list as RFC 9113 section 6.5.2 counts them
    uint32_t window;      // bytes of one stream received and not yet taken
    uint32_t streams_max; // calls at a time that the peer may make
    int64_t ping_ns;      // a silent connection is asked after this; 0: never
    int64_t ping_timeout_ns; // and is lost when it does not answer in this
    unsigned
        control_burst; // PING, SETTINGS, RST_STREAM, PRIORITY and empty DATA frames that are taken at once;
    unsigned control_rate; // and in each second
};

enum { RPC_SEND_MAX = 64 * MIB };

// The reference's: 1 MiB a message, PING after 20 s, 10 s to answer.
#define RPC_CONFIG_SERVER                                                                                    \
    ((struct rpc_config){.message_max = 1 * MIB,                                                             \
                         .queue_max = 256 * KIB,                                                             \
                         .header_max = 16 * KIB,                                                             \
                         .window = 64 * KIB,                                                                 \
                         .streams_max = 128,                                                                 \
                         .ping_ns = 20'000'000'000,                                                          \
                         .ping_timeout_ns = 10'000'000'000,                                                  \
                         .control_burst = 1000,                                                              \
                         .control_rate = 200})
#define RPC_CONFIG_CLIENT                                                                                    \
    ((struct rpc_config){.message_max = 4 * MIB,                                                             \
                         .queue_max = 256 * KIB,                                                             \
                         .header_max = 16 * KIB,                                                             \
                         .window = 256 * KIB,                                                                \
                         .streams_max = 0,                                                                   \
                         .ping_ns = 20'000'000'000,                                                          \
                         .ping_timeout_ns = 20'000'000'000,                                                  \
                         .control_burst = 1000,                                                              \
                         .control_rate = 200})

struct rpc_core;
struct rpc_stream;

struct rpc_events {
    void (*call)(void *ctx, struct rpc_stream *s);    // server: somebody calls; path and metadata are there
    void (*headers)(void *ctx, struct rpc_stream *s); // client: the initial metadata is there
    void (*message)(void *ctx, struct rpc_stream *s, struct str message); // borrowed for the call
    void (*end)(void *ctx, struct rpc_stream *s);      // server: the client will send no more
    void (*writable)(void *ctx, struct rpc_stream *s); // after an ERR_LIMIT of rpc_stream_send()
    // The peer, a deadline or the end of the connection has ended the call. A client learns the status here,
    // behind the last message; a server learns that nobody waits for its answer any more.
    void (*closed)(void *ctx, struct rpc_stream *s, const struct rpc_status *st);
};

// ERR_LIMIT: no memory. `events` is borrowed; any of its members may be NULL.
enum err_code rpc_core_new(enum rpc_side side, const struct rpc_config *config,
                           const struct rpc_events *events, void *ctx, int64_t now_ns, struct rpc_core **ret,
                           struct err *reterr) __attribute__((nonnull(2, 3, 6, 7)));
void rpc_core_free(struct rpc_core *core); // without events; NULL is fine
static inline void rpc_core_freep(struct rpc_core **core)
{
    rpc_core_free(*core);
}

// ERR_INVALID: not HTTP/2. ERR_LIMIT: a flood, or no memory. Send what there is, then close the connection.
enum err_code rpc_core_recv(struct rpc_core *core, struct str bytes, int64_t now_ns,
                            struct err *reterr) NONNULL;
void rpc_core_run(struct rpc_core *core) NONNULL;

// The next bytes to write, borrowed until the next call; empty: none now.
enum err_code rpc_core_send(struct rpc_core *core, struct str *ret, struct err *reterr) NONNULL;

// Deadlines, PING, draining. ERR_TIMEOUT: the peer has not answered a PING.
enum err_code rpc_core_tick(struct rpc_core *core, int64_t now_ns, struct err *reterr) NONNULL;
[[nodiscard]] int64_t rpc_core_next_ns(const struct rpc_core *core) NONNULL; // DEADLINE_NEVER: none

// The connection is gone: every call is `closed` as UNAVAILABLE with `why`, in the next run.
void rpc_core_lost(struct rpc_core *core, const char *why) NONNULL;

// Server: no new calls; those that are there go on. GOAWAY is sent twice, a second apart (RFC 9113
// section 6.8).
void rpc_core_drain(struct rpc_core *core) NONNULL;
[[nodiscard]] bool rpc_core_is_done(const struct rpc_core *core) NONNULL; // nothing to send, nothing to come
[[nodiscard]] bool rpc_core_is_greeted(const struct rpc_core *core) NONNULL; // the peer has sent its SETTINGS
[[nodiscard]] size_t rpc_core_streams(const struct rpc_core *core) NONNULL;

// ---- calls

struct rpc_call_opts {
    struct str path, authority;  // "/package.Service/Method"; authority empty: "localhost"
    const struct rpc_meta *meta; // NULL: none
    int64_t deadline_ns;         // DEADLINE_NEVER: none; 0 is in the past
    bool gzip;                   // compress what is sent
    bool secure;                 // the scheme is https
    void *user;
};

// Client: a new call, with no message wanted yet. ERR_UNAVAILABLE: the connection takes no more calls.
enum err_code rpc_call(struct rpc_core *core, const struct rpc_call_opts *opts, struct rpc_stream **ret,
                       struct err *reterr) NONNULL;
void rpc_stream_half_close(struct rpc_stream *s) NONNULL; // client: no more messages

// ERR_LIMIT: the queue is full, and nothing was queued; `writable` comes when this message fits. ERR_INVALID:
// larger than RPC_SEND_MAX. ERR_UNAVAILABLE: the call has ended.
enum err_code rpc_stream_send(struct rpc_stream *s, struct str message, struct err *reterr) NONNULL;
// The peer has said its last word, though messages of it may not have been taken yet.
[[nodiscard]] bool rpc_stream_has_ended(const struct rpc_stream *s) NONNULL;
[[nodiscard]] bool rpc_stream_has_room(const struct rpc_stream *s) NONNULL;
void rpc_stream_want(struct rpc_stream *s, unsigned messages) NONNULL; // that many more

// Server: initial metadata and trailers, as long as what carries them has not been sent.
enum err_code rpc_stream_header(struct rpc_stream *s, struct str name, struct str value,
                                struct err *reterr) NONNULL;
enum err_code rpc_stream_trailer(struct rpc_stream *s, struct str name, struct str value,
                                 struct err *reterr) NONNULL;
void rpc_stream_begin(struct rpc_stream *s) NONNULL; // sends the initial metadata now
void rpc_stream_gzip(struct rpc_stream *s) NONNULL;  // compress answers, if the client can take it
// `details`: a packed google.rpc.Status for grpc-status-details-bin, or empty.
void rpc_stream_finish(struct rpc_stream *s, const struct rpc_status *st, struct str details) NONNULL;
void rpc_stream_cancel(struct rpc_stream *s) NONNULL;

[[nodiscard]] struct str rpc_stream_path(const struct rpc_stream *s) NONNULL;
[[nodiscard]] const struct rpc_meta *rpc_stream_meta(const struct rpc_stream *s) NONNULL; // from the peer
[[nodiscard]] const struct rpc_meta *rpc_stream_trailers(
    const struct rpc_stream *s) NONNULL;                                         // client, in `closed`
[[nodiscard]] struct str rpc_stream_details(const struct rpc_stream *s) NONNULL; // client, in `closed`
[[nodiscard]] int64_t rpc_stream_deadline_ns(const struct rpc_stream *s) NONNULL;
[[nodiscard]] struct arena *rpc_stream_arena(struct rpc_stream *s) NONNULL; // lives as the stream does; small
void rpc_stream_set_user(struct rpc_stream *s, void *user) __attribute__((nonnull(1)));
[[nodiscard]] void *rpc_stream_user(const struct rpc_stream *s) NONNULL;
[[nodiscard]] struct rpc_core *rpc_stream_core(const struct rpc_stream *s) NONNULL;
