// policy/gen.h: random policies and requests over small alphabets, for comparing the engine with naive.h.
// Test code.
//
// Each policy passes what validate.c asks of one endpoint alone; pairs of endpoints may be ambiguous on
// purpose, for the engine has an answer there too. The alphabets are small so that about half of the requests
// hit something.
#pragma once
#include "base/buf.h"
#include "policy/decide.h"
#include "policy/policy.h"

struct gen {
    uint64_t state; // not 0
};

static inline struct gen gen_seed(uint64_t seed)
{
    return (struct gen){seed * 0x9e37'79b9'7f4a'7c15ULL + 0x2545'f491'4f6c'dd1dULL};
}

[[nodiscard]] size_t gen_below(struct gen *g, size_t n) NONNULL; // 0 … n - 1

// NULL: `a` is full.
[[nodiscard]] struct policy *gen_policy(struct gen *g, struct arena *a) NONNULL;

enum { GEN_LIST = 3 };
struct gen_request { // facts that point into themselves: not to be copied
    struct conn_facts conn;
    struct request_facts request;
    struct str ancestors[GEN_LIST];
    struct query_pair query[GEN_LIST];
    struct graphql_facts graphql;
    struct graphql_op ops[GEN_LIST];
    struct str fields[GEN_LIST][GEN_LIST];
    struct rpc_facts rpc;
    struct rpc_call calls[GEN_LIST];
};
void gen_request(struct gen *g, const struct policy *p, struct gen_request *ret) NONNULL;

// The facts in words, for a report.
void gen_print(const struct gen_request *q, struct buf *out) NONNULL;
