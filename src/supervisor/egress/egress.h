// supervisor/egress/egress.h: the process that everything out of a sandbox goes through.
//
// One thread for each accepted connection, straight-line code, state on its stack and in its arena. Threads
// share:
//   - the policy: an immutable snapshot behind a lock held for the copy of a pointer (egress_policy);
//   - the table of live connections, so that a new policy can cut what it no longer admits (egress_reload);
//   - what is safe for many threads by itself: resolver, CA, TLS client, monitor, name map.
// See docs/internals/egress.md.
#pragma once
#include <stdatomic.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "net/dns.h"
#include "net/http1.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/urlpath.h"
#include "policy/decide.h"
#include "supervisor/events/event.h"
#include "supervisor/monitor.h"

enum {
    EGRESS_THREADS_MAX = 512, // connections at once; the next one gets 503
    CONN_ARENA_MAX = 512 * KIB,
    HEAD_TIMEOUT_MS = 30'000,   // from the first byte of a head to its end: slow senders
    IDLE_TIMEOUT_MS = 300'000,  // between requests of a connection
    BODY_IDLE_MS = 600'000,     // nothing moved in a body or a tunnel; model calls may think for minutes
    DIAL_TIMEOUT_MS = 30'000,   // resolving and connecting, all addresses together
    TLS_TIMEOUT_MS = 30'000,    // one handshake
    INBUF_MAX = HTTP1_HEAD_MAX, // read ahead of a connection, one way
};

enum door { DOOR_PROXY, DOOR_CAPTURED }; // spoken to as a proxy; caught on the way to an address

struct name_map;  // synthetic addresses and the names they stand for (names.h)
struct injection; // credentials of one request (inject.h)
struct routes;
struct pool;
struct vault;      // where they are asked for
struct event_sink; // where events go (sink.h)

struct egress {
    pthread_mutex_t lock;            // guards policy, conns, conns_n
    struct snapshot *_Atomic policy; // changed under the lock
    struct conn *conns;              // live, a doubly linked list
    size_t conns_n;
    pthread_cond_t changed; // conns_n went down, or a connection left a tunnel

    struct mon *mon;
    struct vault *vault;
    atomic_bool credentials; // the sandbox has some: request bodies are searched for placeholders
    struct resolver *resolver;
    struct routes *routes; // to models, guarded by lock; NULL: none (inference.h)
    struct pool *pool;     // idle connections to them
    atomic_uint workers;   // threads that call models for connections by HTTP/2
    struct tls_ca *ca;
    struct tls_client *tls;
    struct name_map *names;
    struct event_sink *sink;
    const struct ip *trusted_gateway; // of host.openshell.internal, or NULL
};

enum phase {
    PHASE_IDLE,
    PHASE_REQUEST,
    PHASE_TUNNEL
}; // what a new policy may cut: all but a request in flight

struct conn {
    struct egress *e;
    struct conn *next, *prev; // under e->lock
    enum door door;
    struct stream *client;
    struct sock_pair pair;
    int cancel_fd; // eventfd, written by egress_reload

    // Written by its own thread, what follows under e->lock; read by egress_reload. The phase is set before a
    // policy is read, as egress_reload puts its policy in force before it looks at phases: one of them sees
    // the other.
    _Atomic enum phase phase;
    bool has_facts;
    struct conn_facts facts; // of the target that is served now; strings in the arena or in host

    struct arena arena; // the whole connection
    bool touched;       // a credential went over it: nothing of it is left behind
    struct identity id;
    char id_error[400]; // nobody could be named: every request is denied with this reason
    char host[HOST_MAX + 1];
    uint64_t requests;
    struct snapshot *policy; // a share of the one that was in force when it was last asked for
};

// A share of the policy in force.
[[nodiscard]] struct snapshot *egress_policy(struct egress *e) NONNULL;
[[nodiscard]] struct snapshot *conn_policy(struct conn *c) NONNULL; // the same; no lock where it is unchanged

// Puts a new policy in force and cuts what it no longer admits: tunnels and idle connections at once, by
// their cancel fd; a request in flight ends under the policy that admitted it. Returns when no tunnel of an
// older policy that the new one refuses is left, or after `timeout_ms`. *ret_cut: how many were cut. Takes
// over the share.
enum err_code egress_reload(struct egress *e, struct snapshot *policy, int timeout_ms, size_t *ret_cut,
                            struct err *err) NONNULL;

// Ends every connection and waits until their threads have reported and gone, or `timeout_ms`.
void egress_end(struct egress *e, int timeout_ms) NONNULL;

// Serves one accepted connection on a thread of its own; owns fd. Answers 503 and closes where there are
// EGRESS_THREADS_MAX already.
void egress_serve(struct egress *e, int fd, enum door door) NONNULL;

// ---- conn.c
// -------------------------------------------------------------------------------------------------

// Names the target that the connection serves from here on, for reload; `host` is canonical.
void conn_target(struct conn *c, struct str host, uint16_t port) NONNULL;
void conn_phase(struct conn *c, enum phase phase) NONNULL;
static inline struct wait conn_wait(const struct conn *c, int64_t deadline_ns)
{
    return (struct wait){.deadline_ns = deadline_ns, .cancel_fd = c->cancel_fd};
}

// Bytes read from a stream ahead of what was asked for.
struct reader {
    struct stream *s;
    size_t off, n; // unread: b[off, n)
    char b[INBUF_MAX];
};
static inline struct str reader_str(const struct reader *r)
{
    return (struct str){r->b + r->off, r->n - r->off};
}
// Reads more behind what is there; *ret_end: the peer ended its direction. ERR_LIMIT: the buffer is full.
enum err_code reader_fill(struct reader *r, const struct wait *w, bool *ret_end, struct err *e) NONNULL;

// ---- admit.c
// ------------------------------------------------------------------------------------------------

// An authority "host[:port]" in canonical form: a name as host_parse writes it, an IP literal as ip_format
// does, whatever its spelling was.
struct target {
    char host[HOST_MAX + 1];
    size_t host_n;
    uint16_t port;
    bool literal;
    struct ip ip;
};
static inline struct str target_host(const struct target *t)
{
    return (struct str){t->host, t->host_n};
}
// `default_port` 0: a port must be given.
enum err_code target_parse(struct str authority, uint16_t default_port, struct target *ret,
                           struct err *e) NONNULL;

// Why something was refused, for the answer and for the event.
struct denial {
    unsigned status;   // of the HTTP answer
    const char *error; // "policy_denied", …
    const char *stage; // "connect", "forward", "ssrf", …
    struct decision d; // where the policy decided
    char detail[512];  // sentence for people
    char reason[1024]; // the policy's reason; empty: none
};

// What an admitted connection may do. Addresses are pinned: only these are dialled.
struct admission {
    struct snapshot *policy; // a share
    struct conn_decision d;
    struct ip addrs[DNS_ADDRS_MAX];
    size_t addrs_n;
};
void admission_done(struct admission *a); // NULL is fine

// The one gate for every door: identity, policy, resolution, internal ranges. `what` is "CONNECT" or the
// method, for the texts. ERR_DENIED: *deny says why.
enum err_code admit(struct conn *c, const struct target *t, const char *stage, struct str what,
                    struct str path, struct admission *ret, struct denial *deny, struct err *e) NONNULL;

// ---- answer.c
// -----------------------------------------------------------------------------------------------

// A bare answer: status line, Content-Length: 0, Connection: close.
void answer_bare(struct conn *c, struct stream *to, unsigned status) NONNULL;
// {"detail":…,"error":…[,"reason":…]} as reference 2.3.
void answer_denial(struct conn *c, struct stream *to, const struct denial *d) NONNULL;

struct request_line_facts { // what is known of a refused request; empty: unknown
    struct str method, target, path;
};
// The answer to a request that L7 policy refuses (reference 2.4).
void answer_l7(struct conn *c, struct stream *to, const struct snapshot *s,
               const struct request_line_facts *r, const struct decision *d, struct str reason) NONNULL;

// The bodies alone, for answers by HTTP/2.
#define ANSWER_AUTHORITY                                                                                     \
    "{\"error\":\"request_authority_mismatch\",\"message\":\"HTTP request authority does not match the "     \
    "authorized "                                                                                            \
    "tunnel endpoint\"}"
enum { ANSWER_MAX = 16 * KIB };
void answer_denial_body(const struct denial *d, struct buf *out) NONNULL;
void answer_l7_body(const struct conn *c, const struct request_line_facts *r, const struct decision *d,
                    struct str reason, struct buf *out) NONNULL;

// ---- request.c
// ----------------------------------------------------------------------------------------------

enum { REQUEST_ARENA_MAX = 256 * KIB };

// One request under decision.
struct incoming {
    struct http1_head head;
    char path_text[URLPATH_MAX + 1];
    struct str path;  // canonical, as it is sent
    struct str shown; // the same for policy and logs: placeholders redacted
    struct str shown_target;
    struct request_facts facts;
    struct arena arena; // of the query, dropped with the request
};

// Whether every name that the request gives is the target's (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
[[nodiscard]] bool request_is_for(const struct target *for_whom, bool tls,
                                  const struct http1_head *head) NONNULL;
void report_authority(struct conn *c, const struct target *t,
                      const struct http1_head *head) NONNULL; // it is not
// A JSON body that is ready; ends the connection.
void answer_json(struct conn *c, struct stream *to, unsigned status, struct str policy,
                 const struct buf *body) NONNULL;
// Copies what the head points to, so that it stays when the reader is filled again. False: no room.
[[nodiscard]] bool request_keep(struct incoming *in) NONNULL;
// Fills path and facts from the head. ERR_INVALID: answer 400.
enum err_code request_facts(const struct conn *c, const struct snapshot *s, struct incoming *in,
                            struct err *e) NONNULL;
// Decides under `s`, the policy in force now, which may be newer than the one that admitted the connection;
// reports. False: refused, for `reason`.
[[nodiscard]] bool request_decide(struct conn *c, const struct target *t, const struct snapshot *s,
                                  const struct incoming *in, struct decision *ret,
                                  struct buf *reason) NONNULL;

// ---- http.c
// -------------------------------------------------------------------------------------------------

// Serves HTTP/1 requests for one target, each decided on by the policy in force when it arrives.
struct http_session {
    struct conn *c;
    struct stream *client; // borrowed
    const struct target *target;
    const struct admission *admission;
    bool tls;                // both legs speak TLS
    bool once;               // the forward door: one request, one answer (reference 2.5)
    struct stream *upstream; // owned; NULL: not connected
    bool quiet;              // the server had said nothing when the client spoke
    bool again;              // the client's connection may carry another request
    struct reader in, out;   // from the client, from the server
    struct http1_head response;
    struct injection *injected; // borrowed, of the request under way; NULL: none
    struct str new_body;        // borrowed, where has_new_body: instead of the client's, which was read
    bool has_new_body;
    bool marked; // a placeholder was found in a body, which ended the exchange
};
void http_serve(struct http_session *h) NONNULL;

// Connects to the target's pinned addresses, with TLS where h->tls.
enum err_code http_dial(struct http_session *h, struct err *e) NONNULL;

// ---- http2.c
// ------------------------------------------------------------------------------------------------

// Serves HTTP/2 on both legs, to the end of either; each request is decided on by the policy in force when it
// arrives. `tls`: both legs speak it.
void http2_serve(struct conn *c, const struct target *t, bool tls, struct stream *client,
                 struct stream *upstream) NONNULL;

// ---- exchange.c
// ---------------------------------------------------------------------------------------------

// Sends an admitted request on and its answer back. `path` is canonical. Sets h->again; *ret_status is what
// the client was answered. The caller ends the connection where this fails, or where h->again is false.
enum err_code http_exchange(struct http_session *h, const struct http1_head *req, struct str path,
                            unsigned *ret_status, struct err *e) NONNULL;

// "host[:port]" as a server expects it: without the port where it is that of the scheme.
void write_authority(const struct target *t, bool tls, char out[static HOST_MAX + 16]) NONNULL;

// ---- tunnel.c
// -----------------------------------------------------------------------------------------------

// What an admitted connection turns out to be: TLS, HTTP, or neither. Serves it to its end. `early`: bytes
// that the client sent already. Owns `upstream`.
void tunnel_serve(struct conn *c, const struct target *t, const struct admission *a, struct stream *upstream,
                  struct str early) NONNULL;

// ---- captured.c
// -----------------------------------------------------------------------------------------------

// Serves a connection caught on its way to an address: the name that the address stands for, or the literal.
void captured_serve(struct conn *c) NONNULL;

// ---- report.c
// -----------------------------------------------------------------------------------------------

void report_connection(struct conn *c, const struct target *t, const struct admission *a,
                       bool inspected) NONNULL;
void report_denial(struct conn *c, const struct target *t, struct str method, struct str path,
                   const struct denial *d) NONNULL;
void report_request(struct conn *c, const struct target *t, struct str method, struct str path,
                    const struct snapshot *s, const struct decision *d, struct str reason,
                    unsigned status) NONNULL;
// `t` is NULL where it did not come to a target.
void report_failure(struct conn *c, const struct target *t, const char *what, struct str why)
    __attribute__((nonnull(1, 3)));
