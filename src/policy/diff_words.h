// policy/diff_words.h: how diff.c collects changes and names things, a part of it.
#pragma once
#include "policy/diag.h"
#include "policy/diff.h"

struct diff {
    struct arena *a;
    const struct policy *from, *to;
    struct change *v;
    size_t n, cap;
    bool no_room;
    struct keypath at; // of what is being compared
};

void diff_add(struct diff *d, enum change_kind kind, enum change_effect effect, bool is_static,
              const char *fmt, ...) __attribute__((nonnull(1, 5))) PRINTF(5, 6);

size_t diff_enter(struct diff *d,
                  const char *name) NONNULL; // "mcp.max_body_bytes" is two keys; for keypath_cut

// Words for one line, cut where they are too long.
struct words {
    char b[320];
};
[[nodiscard]] struct words diff_binaries(
    const struct policy_entry *e) NONNULL;                               // "/usr/bin/curl and /usr/bin/git"
[[nodiscard]] struct words diff_where(const struct endpoint *e) NONNULL; // "api.github.com:443"
[[nodiscard]] struct words diff_contract(
    const struct endpoint *e) NONNULL; // "rest, enforce, access read-only"
[[nodiscard]] struct words diff_rule(const struct l7_rule *r,
                                     const struct endpoint *e) NONNULL; // "POST to … under …"
[[nodiscard]] struct words diff_str(struct str s);                      // in quotes; "none"

// The changes between two endpoints, already paired, of entries `from` and `to`.
void diff_endpoint(struct diff *d, const struct endpoint *from, const struct endpoint *to,
                   const struct policy_entry *entry) NONNULL;
