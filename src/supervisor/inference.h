// supervisor/inference.h: the routes to models of a sandbox, held by its launcher: with keys, prices, budgets
// and what was used of them. The egress gets the routes without keys, and asks for one key for one request
// (vault.h).
#pragma once
#include "base/secret.h"
#include "supervisor/route.h"

enum { INFERENCE_FILE_MAX = 256 * KIB, INFERENCE_BUNDLE_MAX = MIB }; // ours

struct inference; // one thread
enum err_code inference_new(struct inference **ret, struct err *e) NONNULL;
void inference_free(struct inference *i); // NULL is fine

// Puts a whole new set of routes in place; keys in `m` are wiped, also on failure. ERR_INVALID: a route that
// cannot be used, or a name twice; the old set stays. Counts stay with their names.
enum err_code inference_set(struct inference *i, Openshell__Inference__V1__GetInferenceBundleResponse *m,
                            struct err *e) NONNULL;
// The same from YAML, which only its owner, who is us or root, may read or write (reference 5.5):
//   routes: [{name, endpoint, model, provider_type, protocols: [...], api_key | api_key_env, timeout_secs,
//     aliases: [...], input_price, output_price, budget_tokens, budget_cost}]
enum err_code inference_set_file(struct inference *i, const char *path, struct err *e) NONNULL;

[[nodiscard]] const char *inference_revision(const struct inference *i) NONNULL;
[[nodiscard]] size_t inference_count(const struct inference *i) NONNULL;

// The routes as a packed GetInferenceBundleResponse without keys, for the egress.
enum err_code inference_bundle(const struct inference *i, struct buf *out, struct err *e) NONNULL;

// The key of a route for a request to that host and port; *ret is borrowed, and empty where the route has
// none. ERR_NOT_FOUND: no such route; ERR_DENIED: it leads elsewhere; ERR_LIMIT: its budget is used up.
enum err_code inference_key(const struct inference *i, struct str name, struct str host, uint16_t port,
                            struct str *ret, struct err *e) NONNULL;

// What was used of a route. Costs are in millionths of a dollar.
struct inference_usage {
    struct str name, model; // borrowed
    uint64_t requests, input_tokens, output_tokens, cached_tokens;
    uint64_t cost, budget_tokens, budget_cost; // budgets 0: none
};
void inference_used(struct inference *i, struct str name, const uint64_t tokens[static 3]) NONNULL;
[[nodiscard]] bool inference_usage(const struct inference *i, size_t n,
                                   struct inference_usage *ret) NONNULL; // false: no n-th
