// policy/explain.h: a decision with its reasons: what was looked at, what matched, what would have to change.
#pragma once
#include "base/arena.h"
#include "policy/decide.h"

enum step_result { STEP_MATCH, STEP_MISS, STEP_INFO };

struct step {
    unsigned depth; // 0: entry, 1: endpoint or binary, 2: rule
    enum step_result result;
    struct str path; // key path: "network_policies.gh.endpoints[0].rules[2]"
    struct str text; // "host api.github.com is not *.github.com"
};

struct explanation {
    struct conn_decision conn;
    struct decision decision; // of the request, or conn.d where none was asked about
    struct str reason;        // decision_reason()
    struct str rule;          // decision_rule()
    struct step *steps;
    size_t steps_n;
    struct str *advice; // what would allow it: "add POST to network_policies.gh.endpoints[0].rules"
    size_t advice_n;
};

// `r` may be NULL: only the connection. All of *ret lives in `a` and in the snapshot. ERR_LIMIT: no room.
enum err_code policy_explain(const struct snapshot *s, const struct conn_facts *c,
                             const struct request_facts *r, struct arena *a, struct explanation *ret,
                             struct err *reterr) __attribute__((nonnull(1, 2, 4, 5, 6)));
