// policy/globseq.h: the inside of a glob, for glob.c, globparse.c, globset.c and hostset.c only.
//
// A pattern is one or more alternatives (its braces, multiplied out), and each is a flat run of tokens. Text
// matches the pattern when it matches one of them. Everything is about bytes: `?` takes one byte, as in the
// reference's engine, so a character of two bytes is `??`.
#pragma once
#include "policy/glob.h"

enum globtok {
    TOK_LIT,   // this byte
    TOK_ANY,   // one byte that is not the separator
    TOK_CLASS, // one byte of a set
    TOK_STAR,  // any run without the separator
    TOK_SKIP,  // nothing, or any run that ends with the separator: zero or more whole components
    TOK_RUN,   // any run
};

enum {
    GLOB_CLASSES_MAX = 256
}; // different classes in one pattern; ours, a token names its class in one byte

struct globclass {
    uint64_t bits[4];
};
static inline bool globclass_has(const struct globclass *c, char byte)
{
    unsigned char b = (unsigned char)byte;
    return c->bits[b >> 6] >> (b & 63) & 1;
}

// Kinds and bytes stand in two arrays, so that a run of literals is a string that memcmp can take. A TOK_SKIP
// stands only where a component begins: first, or behind a literal separator.
struct globseq {
    const uint8_t *kind; // enum globtok
    const char *ch;      // TOK_LIT: the byte; TOK_CLASS: which one
    uint32_t n;
    uint32_t head, tail; // literals at the start and, when there is anything else, at the end
};

struct glob {
    const struct globclass *classes;
    const struct globseq *v;
    uint32_t n; // at least 1
    enum glob_dialect dialect;
    char sep;
};

// Fills *ret for GLOB_PATH, GLOB_DOTTED and GLOB_SCOPE. Errors as glob_compile.
enum err_code globparse(enum glob_dialect dialect, struct str pattern, struct arena *a, struct glob *ret,
                        struct err *reterr) NONNULL;

// One sequence into the arena, adjacent wildcards merged and head and tail counted. False: no room.
[[nodiscard]] bool globseq_make(const uint8_t *kind, const char *ch, size_t n, struct arena *a,
                                struct globseq *ret) NONNULL;

[[nodiscard]] bool globseq_match(const struct glob *g, const struct globseq *s, struct str text) NONNULL;

static inline uint64_t hash_word(const char *p, size_t n) // n is 4 or 8
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

// Of a component or a label. Written here so that it is inlined: there is one for each part of each path. The
// last word overlaps the one before it, which saves the loop over what is left. Look-ups do not insert, so a
// peer cannot lengthen a chain.
static inline uint64_t part_hash(struct str s)
{
    const uint64_t prime = 0x9e37'79b9'7f4a'7c15;
    uint64_t h = s.n * prime, w = 0;
    if (s.n >= 8) {
        for (size_t i = 0; i + 8 < s.n; i += 8) {
            h = (h ^ hash_word(s.p + i, 8)) * prime;
            h ^= h >> 32;
        }
        w = hash_word(s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        w = hash_word(s.p, 4) | hash_word(s.p + s.n - 4, 4) << 32;
    } else if (s.n > 0) {
        w = (unsigned char)s.p[0] | (uint64_t)(unsigned char)s.p[s.n / 2] << 8 |
            (uint64_t)(unsigned char)s.p[s.n - 1] << 16;
    }
    h = (h ^ w) * prime;
    return h ^ h >> 32;
}

// Of an edge of a trie: the hash of its label, and the node that it leaves.
static inline uint64_t edge_hash(uint32_t parent, uint64_t label)
{
    uint64_t h = (label ^ parent) * UINT64_C(0x9e37'79b9'7f4a'7c15);
    return h ^ h >> 32;
}

static inline bool part_eq(const char *p, size_t n, struct str part)
{
    return n == part.n && (n == 0 || memcmp(p, part.p, n) == 0);
}
