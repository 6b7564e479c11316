// policy/merge.h: incremental changes (reference 1.8) and provider layers (gateway reference 4.3).
#pragma once
#include "policy/diag.h"
#include "policy/policy.h"

enum merge_kind {
    MERGE_ADD_RULE,        // name, entry
    MERGE_REMOVE_ENDPOINT, // name (may be empty: any entry), host, port
    MERGE_REMOVE_RULE,     // name
    MERGE_ADD_ALLOW,       // host, port, rules
    MERGE_ADD_DENY,        // host, port, rules
    MERGE_REMOVE_BINARY,   // name, binary
};

struct merge_op {
    enum merge_kind kind;
    struct str name; // the key of an entry; ADD_RULE: empty means merge_rule_name() of its first endpoint
    const struct policy_entry *entry;
    struct str host;
    uint32_t port;
    const struct l7_rule *rules;
    size_t rules_n;
    struct str binary;
};

// Applies all operations in order, or none. *ret is a new policy in `a` that shares nothing with `base`; it
// is not validated. Warnings (what was kept, widened, folded) go to `warnings`. ERR_INVALID: a malformed
// operation; ERR_NOT_FOUND, ERR_PRECONDITION: it does not fit this policy (texts of reference 1.8); *reterr
// says which operation ("operation 2 (add-deny api.github.com:443): …").
enum err_code policy_merge(const struct policy *base, const struct merge_op *ops, size_t n, struct arena *a,
                           struct policy **ret, struct diags *warnings, struct err *reterr) NONNULL;

// allow_<host with . and - as _>_<port>
[[nodiscard]] bool merge_rule_name(struct str host, uint32_t port, struct arena *a, struct str *ret) NONNULL;

// `base` with one entry for each layer: key `_provider_<sanitised name>` (reference 1.4, suffix _2, _3 on
// collision), in the order given. Entries of `base` with that reserved prefix are dropped first.
struct provider_layer {
    struct str provider;              // its name, not sanitised
    const struct policy_entry *entry; // endpoints and binaries of its profile; key and name are ignored
};
enum err_code policy_compose(const struct policy *base, const struct provider_layer *layers, size_t n,
                             struct arena *a, struct policy **ret, struct err *reterr) NONNULL;

// Whether `p` contains all that `rule` asks for (reference 1.10).
[[nodiscard]] bool policy_covers(const struct policy *p, const struct policy_entry *rule) NONNULL;

// Whether `next` may replace `now` on a live sandbox (gateway reference 4.2): filesystem additive only,
// landlock and process identical. ERR_INVALID with the reference's texts (`… cannot be removed on a live
// sandbox`, `… cannot be changed on a live sandbox`).
enum err_code policy_check_live(const struct policy *now, const struct policy *next,
                                struct err *reterr) NONNULL;
