// cmd/diag_render.h: diagnostics as compilers print them, with the line they are about.
//
//     error: unknown key 'hots'
//       --> p.yaml:7:9  network_policies.gh.endpoints[0].hots
//        |
//      7 |       - hots: api.github.com
//        |         ^^^^ did you mean 'host'?
//
// Columns that are printed count characters, from 1. Tabs are expanded, control bytes shown as '?', long
// lines cut around the place.
#pragma once
#include "base/buf.h"
#include "cmd/term.h"
#include "policy/diag.h"

enum { DIAG_TAB = 4 };

// `text` is the file that `d` is about; `file` is what to call it.
void diag_render(const struct diag *d, const char *file, struct str text, const struct term *t,
                 struct buf *out) NONNULL;

// All of them, each followed by an empty line.
void diags_render(const struct diags *d, const char *file, struct str text, const struct term *t,
                  struct buf *out) NONNULL;

// The column of a mark in characters, from 1; 0 where the line is unknown.
[[nodiscard]] size_t diag_column(struct str text, const struct mark *m) NONNULL;

// "3 errors, 1 warning", "1 error", "2 warnings", "" for neither.
void diag_counts(size_t errors, size_t warnings, struct buf *out) NONNULL;
