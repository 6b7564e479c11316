// base/base.h: the words that every file may use.
//
// Counted strings, errors as values, clean-up at scope end, checked sums. Nothing here allocates, blocks
// or keeps state. STYLE: docs/internals/style.md.
#pragma once
#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define NONNULL      __attribute__((nonnull))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#if __has_attribute(counted_by) // gcc 15, clang 18; -fsanitize=bounds then checks every index
#define COUNTED_BY(member) __attribute__((counted_by(member)))
#else
#define COUNTED_BY(member)
#endif

// For a large local whose every byte is written before it is read: releases zero all others at their birth
// (-ftrivial-auto-var-init), which on a path taken for each request costs more than the work.
#if __has_attribute(uninitialized)
#define UNINIT __attribute__((uninitialized))
#else
#define UNINIT
#endif

// Moves ownership out of a CLEANUP variable: *ret = TAKE(set);
#define TAKE(ptr)                                                                                            \
    ({                                                                                                       \
        __typeof__(ptr) taken_ = (ptr);                                                                      \
        (ptr) = NULL;                                                                                        \
        taken_;                                                                                              \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { KIB = 1024, MIB = 1024 * 1024 };

// ---- counted strings
// ----------------------------------------------------------------------------------------

// Borrowed bytes. No NUL is promised and any byte may occur; p may be NULL where n is 0.
struct str {
    const char *p;
    size_t n;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_INIT(lit)                                                                                        \
    {                                                                                                        \
        "" lit, sizeof(lit) - 1                                                                              \
    }                                                                   // the same, for static tables
#define STR_FMT(s) (int)((s).n < 80 ? (s).n : 80), ((s).n ? (s).p : "") // for "%.*s", never a long line

static inline struct str str_of(const char *cstr) // NULL gives the empty string
{
    return (struct str){cstr ? cstr : "", cstr ? strlen(cstr) : 0};
}

[[nodiscard]] bool str_eq(struct str a, struct str b);
[[nodiscard]] bool str_eq_ci(struct str a, struct str b); // ASCII case does not count (RFC 4343 section 2)
[[nodiscard]] int str_cmp(struct str a, struct str b);    // byte order, a prefix comes first
[[nodiscard]] bool str_starts(struct str s, struct str head);
[[nodiscard]] bool str_ends(struct str s, struct str tail);
[[nodiscard]] bool str_has(struct str s, char c);
[[nodiscard]] ptrdiff_t str_find(struct str s, char c);      // offset of the first `c`, or -1
[[nodiscard]] struct str str_from(struct str s, size_t off); // the part behind `off`; empty past the end
[[nodiscard]] struct str str_head(struct str s, size_t n);   // the first `n` bytes, or all of it
[[nodiscard]] struct str str_trim(struct str s);             // less ASCII white space at both ends
[[nodiscard]] uint64_t str_hash(struct str s, uint64_t seed);

bool str_skip(struct str *s, struct str head) NONNULL;    // true: `head` was there, s is behind it
bool str_line(struct str *rest, struct str *ret) NONNULL; // false: no line is left; CR before LF is cut

// Splits at the first `sep`: *ret is the part before it, *rest what follows. Without a `sep` *ret is all of
// it and *rest becomes empty with p == NULL, which ends the loop: for (rest = s; str_split(&rest, ',', &x);)
bool str_split(struct str *rest, char sep, struct str *ret) NONNULL;

// Decimal digits only, no sign, no blank. False, and *ret untouched, for anything else or above `max`.
[[nodiscard]] bool str_u64(struct str s, uint64_t max, uint64_t *ret);

// A NUL-terminated copy for a system call in dst[size]. False when it does not fit or holds a NUL.
[[nodiscard]] bool str_cstr(struct str s, char *dst, size_t size);

static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool char_is_alpha(char c)
{
    return char_lower(c) >= 'a' && char_lower(c) <= 'z';
}
static inline int char_hex(char c) // value of a hex digit, or -1
{
    if (char_is_digit(c))
        return c - '0';
    char l = char_lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// ---- errors
// -------------------------------------------------------------------------------------------------

enum [[nodiscard]] err_code{
    ERR_OK,
    ERR_INVALID,      // the input is wrong; saying it again will not help
    ERR_NOT_FOUND,    // what was named does not exist
    ERR_EXISTS,       // what was to be made is there already
    ERR_DENIED,       // understood, and refused
    ERR_PRECONDITION, // right in itself, but not in the present state
    ERR_LIMIT,        // a named limit, or memory, is used up
    ERR_TIMEOUT,      // a deadline passed
    ERR_UNAVAILABLE,  // a peer or a resource is not there now
    ERR_UNSUPPORTED,  // not built, or not on this kernel
    ERR_INTERNAL,     // our own mistake, or the machine's
};

struct err { // flat: failing never allocates
    enum err_code code;
    char msg[400]; // printable ASCII and UTF-8, NUL-terminated, cut at the end
};

// Replaces what is neither printable ASCII nor well-formed UTF-8 by '?', so that a message can neither break
// a log line nor colour a terminal.
void err_fill(struct err *e, enum err_code code, const char *fmt, ...) NONNULL PRINTF(3, 4);
void err_prefix(struct err *e, const char *fmt, ...) NONNULL PRINTF(2, 3); // "<prefix>: <message>"
[[nodiscard]] const char *err_code_name(enum err_code code);               // "invalid", "not found", …

// Macros, so that readers and -fanalyzer see on the spot that these return a failure.
#define err_set(e, code, ...)  (err_fill((e), (code), __VA_ARGS__), (code))
#define err_wrap(e, code, ...) (err_prefix((e), __VA_ARGS__), (code))

// ---- sums that a peer can influence
// -------------------------------------------------------------------------

[[nodiscard]] static inline bool add_ok(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}
[[nodiscard]] static inline bool mul_ok(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

static inline void base_freep(void *pp) // CLEANUP(base_freep) char *x = …
{
    void *p;
    memcpy(&p, pp, sizeof(p)); // `pp` is a T **, which a void ** may not alias
    free(p);
}

#include "base/banned.h" // last: it makes macros of libc names
