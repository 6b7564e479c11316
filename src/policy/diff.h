// policy/diff.h: what changed between two policies, in words a reviewer can act on.
#pragma once
#include "policy/policy.h"

enum change_kind { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_CHANGED };
enum change_effect { // what it does to the agent
    EFFECT_WIDENS,   // something may be reached that was not
    EFFECT_NARROWS,
    EFFECT_EITHER, // cannot be told from the text alone
    EFFECT_NONE,   // a name, an order
};

struct change {
    enum change_kind kind;
    enum change_effect effect;
    bool is_static;  // needs a new sandbox (filesystem, landlock, process)
    struct str path; // key path in the new policy, or in the old one where it was removed
    struct str text; // "curl may now also POST to api.github.com:443 under /repos/**"
};

// Endpoints are paired by host, path and ports, not by position; entries by key; the rest by content. *ret
// lives in `a`; *ret_n is 0 for policies that mean the same.
enum err_code policy_diff(const struct policy *from, const struct policy *to, struct arena *a,
                          struct change **ret, size_t *ret_n, struct err *reterr) NONNULL;
