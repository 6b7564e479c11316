// policy/globset.h: many GLOB_PATH patterns at once, in time that does not grow with those that cannot match.
//
// A trie over path components: literal components are hashed edges, components with wildcards are tried one
// by one,
// `**` stays alive below its node. Patterns that do not split into components (braces around a '/') are
// expanded first, and tried one by one where that is not possible.
#pragma once
#include "policy/glob.h"

struct globset; // immutable; in the arena it was built in
struct globset_item {
    struct str pattern;
    uint32_t id;
};

// ERR_INVALID as glob_compile, "pattern 3, '/a[': …"; ERR_LIMIT. `items` and patterns are borrowed: the
// patterns for as long as the set lives.
enum err_code globset_build(const struct globset_item *items, size_t n, struct arena *a,
                            const struct globset **ret, struct err *reterr) __attribute__((nonnull(3, 4, 5)));

// Calls `fn` once for each pattern that matches (patterns that occur twice: once for both) with the ids of
// its items in ascending order, in no particular order of patterns; stops when `fn` returns false.
typedef bool globset_fn(void *ctx, const uint32_t *ids, size_t n);
void globset_each(const struct globset *set, struct str path, globset_fn *fn, void *ctx)
    __attribute__((nonnull(1, 3)));
