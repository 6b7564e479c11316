// policy/glob.h: the pattern dialects of policies (reference 1.5), each exactly as the reference's engines
// read it.
//
//   GLOB_HOST      labels between dots, no case; `*` within one label; `**` only as the whole first label:
//   one or
//                  more labels; a later label with a star is exactly `*`; no star: plain equality
//   GLOB_SELECTOR  middleware and credential hosts: labels, no case; `*` within a label; `**` as a whole
//   label
//                  anywhere: one or more labels
//   GLOB_PATH      rule `path`, binaries: `/` separates; `*` `?` `[a-z]` `[!a]` `[^a]` `{a,b}` `\x`; `**` as
//   a
//                  whole component is recursive (zero or more components in the middle and in front, at least
//                  one at the end: `/a/**` is not `/a`), glued to text it is `*` twice; `**` alone is
//                  everything
//   GLOB_DOTTED    query values, GraphQL names and fields, MCP methods, tools: `.` separates; `*` is any run
//   without
//                  `.`, `**` any run; classes, braces and escapes as GLOB_PATH; `**` glued to text acts like
//                  `*`
//   GLOB_SCOPE     endpoint `path`, the first selection: "", `**`, `/**` are everything; `X/**` is X and all
//   below;
//                  else a glob whose `*` crosses `/`, whose `**` must be a whole component, without braces,
//                  with
//                  `[!…]` negation only; a pattern that cannot be read so is compared for equality
//
// Patterns and texts are bytes, as in the reference's engines: `?` and a class take one byte, so a character
// of two bytes is `??`. In GLOB_PATH and GLOB_DOTTED neither takes the separator, not even `[!a]`. An empty
// branch of braces is left out: `x{,a}` is `xa`. The X of a scope `X/**` is text. A wildcard of GLOB_HOST or
// GLOB_SELECTOR has no name with an empty label; one of GLOB_HOST no IP address either.
//
// A compiled glob borrows its pattern and lives in the caller's arena. Matching does not allocate and takes
// at most pattern × text steps, no exponential backtracking.
#pragma once
#include "base/arena.h"
#include "base/base.h"

enum glob_dialect { GLOB_HOST, GLOB_SELECTOR, GLOB_PATH, GLOB_DOTTED, GLOB_SCOPE };

enum {
    GLOB_MAX = 4096,     // bytes of a pattern; ours
    GLOB_ALTS_MAX = 256, // alternatives after braces were expanded; ours
};

struct glob; // immutable

// ERR_INVALID says what is wrong and at which offset ("'[' at offset 3 is not closed"), also that a limit
// above is passed; ERR_LIMIT is about memory alone.
enum err_code glob_compile(enum glob_dialect dialect, struct str pattern, struct arena *a,
                           const struct glob **ret, struct err *reterr) NONNULL;
[[nodiscard]] bool glob_match(const struct glob *g, struct str text) NONNULL;
[[nodiscard]] bool glob_is_literal(const struct glob *g, struct str *ret) NONNULL; // true: matches only *ret

// Whether some host is in both (labels decide; both GLOB_HOST or both GLOB_SELECTOR, already compiled).
[[nodiscard]] bool glob_hosts_overlap(const struct glob *a, const struct glob *b) NONNULL;

// Whether a pattern has a star of its dialect at all: `*`, and for paths `?`, `[` and `{` too.
[[nodiscard]] bool glob_has_wildcard(enum glob_dialect dialect, struct str pattern);
