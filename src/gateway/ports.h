// gateway/ports.h: the gateway's plain HTTP listeners, for probes and for Prometheus, and what they tell.
#pragma once
#include "gateway/conf.h"
#include "gateway/metrics.h"

struct ports;
// The store is watched over in any case; listeners there are where they are configured. `config`, `store` and
// `log` are borrowed until ports_free().
enum err_code ports_open(const struct conf *config, uv_loop_t *loop, struct store *store, struct log *log,
                         struct ports **ret, struct err *reterr) NONNULL;
[[nodiscard]] struct health *ports_health(const struct ports *p) NONNULL;
void ports_observe(struct ports *p, const struct rpc_method *method, enum rpc_code code, int64_t took_ns)
    __attribute__((nonnull(1)));
void ports_close(struct ports *p); // handles are closed in the next turns of the loop; NULL is fine
void ports_free(struct ports *p);  // then; NULL is fine
