// gateway/metrics.h: counts and times for Prometheus (text format 0.0.4).
//
// For the loop's thread alone; names are the reference's (gateway 2.1). Labels are those of the interface and
// of gRPC, never a caller's words, so that nobody can make rows.
#pragma once
#include "gateway/health.h"
#include "rpc/serve.h"

struct metrics;
enum err_code metrics_new(struct metrics **ret, struct err *reterr) NONNULL;
void metrics_free(struct metrics *m); // NULL is fine

// A call has ended. `method` NULL: one that the interface does not have.
void metrics_call(struct metrics *m, const struct rpc_method *method, enum rpc_code code, int64_t took_ns)
    __attribute__((nonnull(1)));
void metrics_probe(struct metrics *m, enum health_outcome outcome, int64_t took_ns) NONNULL;

void metrics_write(const struct metrics *m, struct buf *out) NONNULL;

// /metrics: `ctx` is a struct metrics.
extern const struct http_route metrics_routes[];
