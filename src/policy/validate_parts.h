// policy/validate_parts.h: what the files of the validator share. Not for anyone else.
//
// validate.c walks the policy, validate_endpoint.c looks at endpoints, validate_host.c at their hosts,
// validate_rules.c at their rules, validate_middleware.c at network_middlewares. Each adds its diagnostics at
// the place the walk has reached.
#pragma once
#include "policy/glob.h"
#include "policy/validate.h"

enum {
    // Comparisons of rules with one another that only give advice stop at this many per endpoint; ours.
    VALIDATE_ADVICE_MAX = 250'000,
    VALIDATE_HINT_MAX = 300, // bytes of a hint; ours
};

struct check {
    const struct policy *p;
    enum policy_use use;
    struct diags *d;
    struct keypath at;    // the place reached
    struct arena scratch; // compiled globs and sorted copies, dropped entry by entry
};

// Words that a field may hold, in the order in which a hint lists them, and what people write instead.
struct words {
    const char *what; // "protocol"
    const struct str *v;
    size_t n;
    const struct synonym {
        struct str wrong, right;
    } * synonyms;
    size_t synonyms_n;
    bool ci; // compared without ASCII case
};

// A diagnostic at c->at, or where `field` is not NULL at that key below it ("allow.method": two keys).
void check_add(struct check *c, enum diag_level level, const char *field, const char *hint, const char *fmt,
               ...) __attribute__((nonnull(1, 5))) PRINTF(5, 6);
#define check_error(c, field, hint, ...)   check_add((c), DIAG_ERROR, (field), (hint), __VA_ARGS__)
#define check_warning(c, field, hint, ...) check_add((c), DIAG_WARNING, (field), (hint), __VA_ARGS__)

// Steps down to a key, or to item i of a key; both return what keypath_cut(&c->at, …) takes to come back.
size_t check_down(struct check *c, const char *key) NONNULL;
size_t check_item(struct check *c, const char *key, size_t i) NONNULL;

// An error with the nearest word as its hint, unless `word` is empty or one of them.
void check_word(struct check *c, const char *field, struct str word, const struct words *words) NONNULL;

// An error for a pattern that does not parse in its dialect. True: it does. Patterns without any wildcard or
// escape are not compiled.
bool check_glob(struct check *c, const char *field, enum glob_dialect dialect, struct str pattern)
    __attribute__((nonnull(1)));

// ret[i] is the smallest k with v[k] equal to v[i] (`ci`: but for ASCII case). False: no room, and noted.
[[nodiscard]] bool check_firsts(struct check *c, const struct str *v, size_t n, bool ci, size_t *ret) NONNULL;

// Memory of the scratch arena for n objects of `size`, or NULL, and noted.
[[nodiscard]] void *check_scratch(struct check *c, size_t n, size_t size) NONNULL;

// Whether the literal beginnings of two path patterns rule out a common path. May miss, never errs.
[[nodiscard]] bool paths_apart(struct str a, struct str b);
[[nodiscard]] bool path_is_everything(struct str path); // "", `**`, `/**`
[[nodiscard]] bool str_has_any(struct str s, const char *set) NONNULL;

// Protocols that look at requests; tcp and "" do not, sql does not really.
[[nodiscard]] bool protocol_is(const struct endpoint *ep, const char *name) NONNULL;
[[nodiscard]] bool protocol_is_known(struct str protocol);
[[nodiscard]] bool endpoint_has_l7(const struct endpoint *ep) NONNULL; // neither "" nor tcp
[[nodiscard]] bool endpoint_has_websocket_graphql(const struct endpoint *ep) NONNULL;
[[nodiscard]] bool rule_is_graphql(const struct l7_rule *rule) NONNULL;
[[nodiscard]] bool rule_is_empty(const struct l7_rule *rule) NONNULL;

void check_endpoint(struct check *c, const struct endpoint *ep) NONNULL;
void check_host(struct check *c, const struct endpoint *ep) NONNULL;
void check_rules(struct check *c, const struct endpoint *ep) NONNULL;
void check_middlewares(struct check *c) NONNULL;
