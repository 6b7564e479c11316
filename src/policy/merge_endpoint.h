// policy/merge_endpoint.h: two endpoints into one, a part of merge.c.
#pragma once
#include "policy/diag.h"
#include "policy/policy.h"

struct merge_sink {
    struct arena *a;
    struct diags *warnings; // NULL: a trial, nobody is told
    struct err *err;
};

// Folds `src` into `dst`, both already in the arena of `s`; `where` is the key path of `dst`. What `dst` says
// wins, what it leaves open is taken from `src`, lists are joined (reference 1.8). ERR_PRECONDITION: their
// inspection contracts conflict; `dst` is then half changed and of no use.
enum err_code merge_endpoints(const struct merge_sink *s, struct endpoint *dst, const struct endpoint *src,
                              struct str where) NONNULL;

// Appends those of src[n] that `dst` does not have. A preset in the way is written out as rules first.
enum err_code merge_allow_rules(const struct merge_sink *s, struct endpoint *dst, const struct l7_rule *src,
                                size_t n, struct str where) NONNULL;
enum err_code merge_deny_rules(const struct merge_sink *s, struct endpoint *dst, const struct l7_rule *src,
                               size_t n) NONNULL;

enum err_code merge_no_room(const struct merge_sink *s) NONNULL;

[[nodiscard]] bool merge_is_mcp(const struct endpoint *e) NONNULL;
