// supervisor/egress/inference.h: https://inference.local, where a sandbox asks models by the operator's
// routes.
//
// Any process of the sandbox may ask; the policy is not consulted (reference 5). What the caller sends is
// taken apart: path, a few headers and a JSON body go on, with the route's model and key in them.
#pragma once
#include "supervisor/egress/egress.h"
#include "supervisor/route.h"

#define INFERENCE_HOST STR("inference.local")

enum {
    INFERENCE_BODY_MAX = 10 * MIB,   // reference 5.1
    INFERENCE_TIMEOUT_MS = 600'000,  // of an answer in one piece, and between the pieces of a stream; ours
    INFERENCE_POOL_MAX = 64,         // idle connections to models
    INFERENCE_POOL_IDLE_MS = 60'000, // ours
};

// The routes in force, an immutable share.
struct routes;
enum err_code routes_new(struct str packed, struct routes **ret, struct err *e) NONNULL;
[[nodiscard]] struct routes *routes_ref(struct routes *r); // NULL is fine
void routes_unref(struct routes *r);                       // NULL is fine
static inline void routes_unrefp(struct routes **r)
{
    routes_unref(*r);
}
[[nodiscard]] struct routes *egress_routes(struct egress *e) NONNULL; // a share, or NULL
void egress_set_routes(struct egress *e, struct routes *r) NONNULL;   // takes over the share

// The route of a request: of those for the protocol the first that has the model or an alias of it, else the
// first. NULL: none.
[[nodiscard]] const struct route *routes_choose(const struct routes *r, enum route_protocol protocol,
                                                struct str model) NONNULL;
[[nodiscard]] size_t routes_count(const struct routes *r); // NULL: 0

// The path of the request to the backend (reference 5.3). ERR_LIMIT.
enum err_code route_path(const struct route *route, const struct route_pattern *p, struct str path,
                         bool stream, struct buf *out, struct err *e) NONNULL;
// Whether a header of the caller goes on.
[[nodiscard]] bool route_passes(const struct route *route, struct str name) NONNULL;

// ---- one call, whichever HTTP it came by
struct inference_request {
    const struct http1_head *head; // its strings live as long as the call
    struct str path;               // canonical
    struct str body;
};
struct inference_out {
    void *ctx;
    // The head of the response; `length` < 0: not known. Then pieces, then one of the ends.
    enum err_code (*head)(void *ctx, unsigned status, const struct http1_header *f, size_t n, int64_t length,
                          struct err *e);
    enum err_code (*data)(void *ctx, struct str bytes, struct err *e);
    enum err_code (*end)(void *ctx, struct err *e);
    int client_fd; // hung up: nobody waits any more; -1: not to be looked at
    int cancel_fd; // readable: likewise; -1: none
};
// ERR_OK: the response went out whole. Else the caller cuts the client off, without a clean end.
enum err_code inference_call(struct conn *c, const struct inference_request *q,
                             const struct inference_out *out, struct err *e) NONNULL;

// ---- doors
// Serves the client's connection, on which TLS begins; `early` are its first bytes.
void inference_serve(struct conn *c, struct str early) NONNULL;
void inference_http1(struct conn *c, struct stream *client) NONNULL;
void inference_http2(struct conn *c, struct stream *client) NONNULL;

// ---- idle connections to models
struct pool;
enum err_code pool_new(struct pool **ret, struct err *e) NONNULL;
void pool_free(struct pool *p); // NULL is fine
// One that is open and quiet; NULL: none.
[[nodiscard]] struct stream *pool_take(struct pool *p, const struct target *t, bool tls) NONNULL;
void pool_put(struct pool *p, const struct target *t, bool tls, struct stream *s) NONNULL; // owns s
