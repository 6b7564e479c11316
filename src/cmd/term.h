// cmd/term.h: what a stream can show. Colour only on a terminal, and not with NO_COLOR (no-color.org).
#pragma once
#include "base/buf.h"

struct term {
    bool colour, unicode;
    size_t width; // columns: 80 where nobody says
};

enum style { STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW, STYLE_BLUE, STYLE_CYAN, STYLES };

// Bytes that are not for a terminal (a pipe, a file) are Unicode whatever the locale says; a terminal gets
// what its locale claims.
void term_init(struct term *t, int fd) NONNULL;

// Text in a style, plain without colour. `style` is one of enum style or two of them, joined by STYLE_AND.
#define STYLE_AND(a, b) ((a) | ((b) + 1) << 4)
void term_put(struct buf *out, const struct term *t, int style, const char *fmt, ...) NONNULL PRINTF(4, 5);

// Adds a name from outside, a file's: what could move or colour the cursor becomes '?'.
void term_name(struct buf *out, const char *name) NONNULL;

// Columns of text: wide and combining characters count as the terminal shows them.
[[nodiscard]] size_t term_columns(struct str s);

// Adds `text` broken at blanks so that no line passes `width` columns, where words allow; `at` is the column
// where it begins and `indent` where further lines do, behind `lead` (its columns are within `indent`). "\n"
// breaks too. No newline at the end.
void term_wrap(struct buf *out, struct str text, size_t at, size_t indent, const char *lead,
               size_t width) NONNULL;
