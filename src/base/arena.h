// base/arena.h: memory that is dropped in one go.
//
// An arena is born with its maximum. An allocation that would pass it, or for which there is no memory, gives
// NULL, which the caller reports as ERR_LIMIT; arena_limit() words that error. What comes out is zeroed and
// aligned for any type, and lives until arena_done(). Not for use by two threads at once.
//
// Under AddressSanitizer each allocation is fenced by poisoned bytes, so that an overrun is seen as with
// malloc.
#pragma once
#include "base/base.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; // newest first
    size_t used, max;           // bytes, chunk heads included
};

static inline void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}
void arena_done(struct arena *a); // NULL and a half-built one are fine
void arena_wipe(struct arena *a); // the same, for one in which a secret may have come to lie

[[nodiscard]] void *arena_alloc(struct arena *a, size_t size) NONNULL; // size 0 gives a valid pointer
[[nodiscard]] void *arena_array(struct arena *a, size_t n,
                                size_t size) NONNULL; // NULL too where n * size overflows
#define arena_new(a, type)     ((type *)arena_alloc((a), sizeof(type)))
#define arena_newn(a, type, n) ((type *)arena_array((a), (n), sizeof(type)))

// A copy of `s` with a NUL behind it, which ret->n does not count. False: see arena_limit().
[[nodiscard]] bool arena_dup(struct arena *a, struct str s, struct str *ret) NONNULL;

[[nodiscard]] bool arena_fmt(struct arena *a, struct str *ret, const char *fmt, ...) NONNULL PRINTF(3, 4);

// ERR_LIMIT with a message that says what was being built: "no room for the policy: it needs more than …".
enum err_code arena_limit(const struct arena *a, const char *what, struct err *reterr) NONNULL;
