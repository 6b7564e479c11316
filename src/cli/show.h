// cli/show.h: how answers are printed: fields, tables, structured forms, marks in front of what was done
// (reference: CLI 1.4).
#pragma once
#include "base/arena.h"
#include "cmd/json_out.h"

// The row of -o of a command: [OPT_OUTPUT] = SHOW_OUTPUT_OPT.
#define SHOW_OUTPUT_OPT                                                                                      \
    {                                                                                                        \
        .name = "output", .letter = 'o', .type = OPT_ENUM, .value = "FORMAT", .values = command_formats,     \
        .def = "table", .help = "How to print the answer"                                                    \
    }

// Whether -o asks for JSON or YAML.
[[nodiscard]] bool show_is_structured(const struct args *a, const struct opt *output) NONNULL;
// Prints `root` so, and takes it over. NULL or !ok: no memory, which is reported. Returns the exit status.
[[nodiscard]] int show_structured(struct cli *cli, const struct args *a, const struct opt *output,
                                  json_t *root, bool ok) __attribute__((nonnull(1, 2, 3)));
// A list of texts.
[[nodiscard]] json_t *show_texts(char *const *v, size_t n, bool *ok) __attribute__((nonnull(3)));

// "Heading" and an empty line; "  Label: value".
void show_heading(struct cli *cli, const char *text) NONNULL;
void show_field(struct cli *cli, const char *label, const char *value) NONNULL;
void show_fields(struct cli *cli, const char *label, char *const *v, size_t n) __attribute__((nonnull(1, 2)));

// "YYYY-MM-DD HH:MM:SS" in UTC, "-" for 0.
enum { SHOW_TIME_SIZE = 20 };
void show_time(int64_t ms, char dst[static SHOW_TIME_SIZE]) NONNULL;

// A line in a style with a mark in front: "✓ Deleted sandbox dev". To standard output, or standard error.
enum show_mark { SHOW_DONE, SHOW_WARNING, SHOW_ATTENTION, SHOW_FAILED, SHOW_HINT, SHOW_SAME };
void show_out(struct cli *cli, enum show_mark mark, const char *fmt, ...) NONNULL PRINTF(3, 4);
void show_err(struct cli *cli, enum show_mark mark, const char *fmt, ...) NONNULL PRINTF(3, 4);
// A plain line on standard error.
void show_err_line(struct cli *cli, const char *fmt, ...) NONNULL PRINTF(2, 3);

// Whether the user, asked on a terminal, said yes; no terminal: reported, as no one said --yes.
// 0: yes; else the exit status.
[[nodiscard]] int show_confirm(struct cli *cli, const char *question) NONNULL;

// Left aligned columns, each as wide as its longest cell, two blanks between.
enum { TABLE_COLUMNS_MAX = 8, TABLE_MAX = 16 * MIB };
struct table {
    struct arena arena;
    size_t columns;
    bool marked; // a column of "* " or "  " in front, as each row says
    struct table_row *first, *last;
    bool full; // no memory
};
struct table_row {
    struct str cell[TABLE_COLUMNS_MAX];
    int style[TABLE_COLUMNS_MAX]; // of enum style, or -1
    bool mark;
    struct table_row *next;
};

void table_init(struct table *t, const char *const *headings, size_t n) NONNULL;
void table_done(struct table *t) NONNULL;
void table_row(struct table *t) NONNULL; // a new one, which the next cells are of
void table_cell(struct table *t, size_t column, int style, const char *text) NONNULL;
void table_cellf(struct table *t, size_t column, const char *fmt, ...) NONNULL PRINTF(3, 4);
void table_mark(struct table *t) NONNULL;
// Returns the exit status: what did not fit is reported.
[[nodiscard]] int table_print(struct table *t, struct cli *cli) NONNULL;
