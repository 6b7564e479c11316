// policy/hostset.h: many GLOB_HOST patterns at once: exact names in a hash, wildcards in a trie of reversed
// labels.
//
// A look-up costs a hash of the host and a step for each of its labels, whatever the number of patterns that
// cannot match. A first label with a partial star (`*-aiplatform.googleapis.com`) is tried against the few
// patterns that share the rest.
#pragma once
#include "policy/glob.h"

struct hostset; // immutable; in the arena it was built in
struct hostset_item {
    struct str pattern; // a host pattern, or an IP literal in canonical spelling (an exact name)
    uint32_t id;
};

// ERR_INVALID as glob_compile(GLOB_HOST, …); ERR_LIMIT. Patterns are borrowed for as long as the set lives.
enum err_code hostset_build(const struct hostset_item *items, size_t n, struct arena *a,
                            const struct hostset **ret, struct err *reterr) __attribute__((nonnull(3, 4, 5)));

// Calls `fn` once for each distinct pattern (compared without case) that matches `host` (lower case, as
// host_parse or ip_format write it), with the ids of its items in ascending order; exact names first; stops
// when `fn` returns false. IP literals match exact patterns only.
typedef bool hostset_fn(void *ctx, const uint32_t *ids, size_t n);
void hostset_each(const struct hostset *set, struct str host, hostset_fn *fn, void *ctx)
    __attribute__((nonnull(1, 3)));
