// policy/diag.h: what is wrong with a policy, all of it, each with its place.
//
// The loader and the validators add diagnostics; nothing stops at the first. A diagnostic names the key path
// (`network_policies.gh.endpoints[0].host`), says what is wrong, and hints at what would be right. Its line
// and column come from the YAML document, by path (yaml_locate in policy/yaml.h), so validators know nothing
// of YAML and serve policies that arrived as protobuf just the same.
#pragma once
#include "base/arena.h"
#include "base/base.h"

enum {
    DIAGS_MAX = 200,   // diagnostics kept; more are counted
    KEYPATH_MAX = 600, // bytes of a key path; a longer one ends in "..."
};

enum diag_level { DIAG_ERROR, DIAG_WARNING };

struct mark {
    uint32_t line, column; // from 1; column in bytes; line 0: unknown
    uint32_t length;       // bytes to underline, at least 1 where known
};

struct diag {
    enum diag_level level;
    struct mark at;
    struct str path; // "" for the document as a whole
    struct str msg;  // one line, printable
    struct str hint; // what would be right; may be empty
};

struct diags {
    struct arena *arena; // everything here lives in it
    struct diag *v;
    size_t n, cap;
    size_t errors, warnings; // also those beyond DIAGS_MAX
    bool no_room;            // the arena was full: the caller answers ERR_LIMIT
};

static inline void diags_init(struct diags *d, struct arena *a)
{
    *d = (struct diags){.arena = a};
}

// `path` is borrowed and copied. `hint` may be NULL. A mark of line 0 is filled in later, from the path.
void diag_add(struct diags *d, enum diag_level level, struct mark at, struct str path, const char *hint,
              const char *fmt, ...) __attribute__((nonnull(1, 6))) PRINTF(6, 7);
#define diag_error(d, path, hint, ...) diag_add((d), DIAG_ERROR, (struct mark){}, (path), (hint), __VA_ARGS__)
#define diag_warning(d, path, hint, ...)                                                                     \
    diag_add((d), DIAG_WARNING, (struct mark){}, (path), (hint), __VA_ARGS__)

// Orders by line, then column, those without a place last; stable. Drops exact repeats (same place, same
// words).
void diags_sort(struct diags *d) NONNULL;

// A key path under construction, on the caller's stack:
//   size_t at = keypath_key(&p, STR("endpoints")); keypath_index(&p, 3); …; keypath_cut(&p, at);
// Keys other than [A-Za-z0-9_-]+ are written in double quotes, so that a path reads back unambiguously.
struct keypath {
    char b[KEYPATH_MAX];
    size_t n;
};
size_t keypath_key(struct keypath *p,
                   struct str key) NONNULL; // both return the length before, for keypath_cut
size_t keypath_index(struct keypath *p, size_t i) NONNULL;
static inline void keypath_cut(struct keypath *p, size_t n)
{
    p->n = n;
}
static inline struct str keypath_str(const struct keypath *p)
{
    return (struct str){p->b, p->n};
}

// The candidate nearest to `word` for a "did you mean": Damerau-Levenshtein distance at most a third of the
// word's length, case ignored and '-' and '_' alike; {} when none is near.
[[nodiscard]] struct str diag_suggest(struct str word, const struct str *candidates, size_t n);
