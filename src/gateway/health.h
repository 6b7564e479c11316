// gateway/health.h: whether the gateway can do its work: the store is asked again and again.
//
// Every 5 seconds, on a worker; one that does not answer within 2 counts as down until it does (reference:
// gateway 2.1).
#pragma once
#include "gateway/http_serve.h"
#include "store/store.h"

enum health_state {
    HEALTH_STARTING, // nobody has asked yet
    HEALTH_UP,
    HEALTH_DOWN,
    HEALTH_SLOW,
};
enum health_outcome { HEALTH_SUCCESS, HEALTH_ERROR, HEALTH_TIMEOUT };

struct health_opts {
    uv_loop_t *loop;
    struct store *store; // until health_close() is done
    struct log *log;     // changes of the state
    // Each time that the store was asked; NULL: nobody wants to know.
    void (*probed)(void *ctx, enum health_outcome outcome, int64_t took_ns);
    void *ctx;
};

struct health;
enum err_code health_new(const struct health_opts *opts, struct health **ret, struct err *reterr) NONNULL;
void health_close(struct health *h); // frees itself in the next turns of the loop; NULL is fine
[[nodiscard]] enum health_state health_state(const struct health *h) NONNULL; // any thread

// /healthz, /readyz, /health: `ctx` is a struct health.
extern const struct http_route health_routes[];
