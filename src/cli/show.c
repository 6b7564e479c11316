#include "cli/show.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/yaml_out.h"

bool show_is_structured(const struct args *a, const struct opt *output)
{
    return !args_is(a, output, "table");
}

int show_structured(struct cli *cli, const struct args *a, const struct opt *output, json_t *root, bool ok)
{
    return args_is(a, output, "yaml") ? yaml_out(cli, root, ok) : json_out(cli, root, ok);
}

json_t *show_texts(char *const *v, size_t n, bool *ok)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_push(list, json_text(str_of(v[i])), ok);
    return list;
}

void show_heading(struct cli *cli, const char *text)
{
    term_put(&cli->out, &cli->out_term, STYLE_AND(STYLE_BOLD, STYLE_CYAN), "%s", text);
    buf_addf(&cli->out, "\n\n");
}

void show_fields(struct cli *cli, const char *label, char *const *v, size_t n)
{
    buf_addf(&cli->out, "  ");
    term_put(&cli->out, &cli->out_term, STYLE_DIM, "%s:", label);
    buf_addc(&cli->out, ' ');
    for (size_t i = 0; i < n; i++) {
        buf_add(&cli->out, i > 0 ? STR(", ") : STR(""));
        term_name(&cli->out, v[i]);
    }
    buf_addc(&cli->out, '\n');
}

void show_field(struct cli *cli, const char *label, const char *value)
{
    char *one = (char *)(uintptr_t)value;
    show_fields(cli, label, &one, 1);
}

void show_time(int64_t ms, char dst[static SHOW_TIME_SIZE])
{
    char at[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, at);
    at[10] = ' ';
    (void)snprintf(dst, SHOW_TIME_SIZE, "%.19s", ms == 0 ? "-" : at);
}

// ---- marks

static const struct {
    const char *mark, *ascii;
    int style;
} marks[] = {
    [SHOW_DONE] = {"✓", "+", STYLE_AND(STYLE_BOLD, STYLE_GREEN)},
    [SHOW_WARNING] = {"!", "!", STYLE_YELLOW},
    [SHOW_ATTENTION] = {"⚠", "!", STYLE_AND(STYLE_BOLD, STYLE_YELLOW)},
    [SHOW_FAILED] = {"✗", "x", STYLE_AND(STYLE_BOLD, STYLE_RED)},
    [SHOW_HINT] = {"→", "->", STYLE_BOLD},
    [SHOW_SAME] = {"·", ".", STYLE_DIM},
};

enum { LINE_MAX_BYTES = 4 * KIB };

__attribute__((format(printf, 4, 0))) static void put_line(struct buf *out, const struct term *t,
                                                           enum show_mark mark, const char *fmt, va_list ap)
{
    char text[LINE_MAX_BYTES];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    term_put(out, t, marks[mark].style, "%s", t->unicode ? marks[mark].mark : marks[mark].ascii);
    buf_addc(out, ' ');
    term_name(out, text);
    buf_addc(out, '\n');
}

void show_out(struct cli *cli, enum show_mark mark, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(&cli->out, &cli->out_term, mark, fmt, ap);
    va_end(ap);
}

void show_err(struct cli *cli, enum show_mark mark, const char *fmt, ...)
{
    struct buf b;
    buf_init(&b, 2 * LINE_MAX_BYTES);
    va_list ap;
    va_start(ap, fmt);
    put_line(&b, &cli->err_term, mark, fmt, ap);
    va_end(ap);
    cli_write_err(cli, &b);
    buf_done(&b);
}

void show_err_line(struct cli *cli, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    struct buf b;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_init(&b, 2 * LINE_MAX_BYTES);
    term_name(&b, text);
    buf_addc(&b, '\n');
    cli_write_err(cli, &b);
    buf_done(&b);
}

int show_confirm(struct cli *cli, const char *question)
{
    if (!isatty(STDIN_FILENO))
        return report(cli, "there is no terminal to ask on: say --yes", "%s is not confirmed", question);
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    term_put(&b, &cli->err_term, STYLE_YELLOW, "?");
    buf_addf(&b, " %s [y/N] ", question);
    cli_write_err(cli, &b);
    buf_done(&b);
    char answer[16] = "";
    ssize_t n = 0;
    do
        n = read(STDIN_FILENO, answer, sizeof(answer) - 1);
    while (n < 0 && errno == EINTR);
    struct str said = str_trim((struct str){answer, n > 0 ? (size_t)n : 0});
    if (str_eq_ci(said, STR("y")) || str_eq_ci(said, STR("yes")))
        return 0;
    return report(cli, NULL, "aborted by user");
}

// ---- tables

void table_init(struct table *t, const char *const *headings, size_t n)
{
    *t = (struct table){.columns = n};
    arena_init(&t->arena, TABLE_MAX);
    table_row(t);
    for (size_t i = 0; i < n; i++)
        table_cell(t, i, STYLE_BOLD, headings[i]);
}

void table_done(struct table *t)
{
    arena_done(&t->arena);
}

void table_row(struct table *t)
{
    struct table_row *row = arena_new(&t->arena, struct table_row);
    if (!row) {
        t->full = true;
        return;
    }
    if (t->last)
        t->last->next = row;
    else
        t->first = row;
    t->last = row;
}

void table_cell(struct table *t, size_t column, int style, const char *text)
{
    struct buf clean;
    buf_init(&clean, LINE_MAX_BYTES);
    term_name(&clean, text);
    if (!t->last || clean.full || !arena_dup(&t->arena, buf_str(&clean), &t->last->cell[column]))
        t->full = true;
    else
        t->last->style[column] = style;
    buf_done(&clean);
}

void table_cellf(struct table *t, size_t column, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    table_cell(t, column, -1, text);
}

void table_mark(struct table *t)
{
    if (t->last)
        t->last->mark = true;
}

static void print_row(const struct table *t, const struct table_row *row, const size_t *width,
                      struct cli *cli)
{
    struct buf *out = &cli->out;
    if (t->marked)
        buf_add(out, row->mark ? STR("* ") : STR("  "));
    for (size_t i = 0; i < t->columns; i++) {
        const struct str cell = row->cell[i];
        if (row->style[i] >= 0 && cli->out_term.colour)
            term_put(out, &cli->out_term, row->style[i], "%.*s", (int)cell.n, cell.n ? cell.p : "");
        else
            buf_add(out, cell);
        if (i + 1 < t->columns)
            buf_pad(out, ' ', width[i] + 2 - term_columns(cell));
    }
    buf_addc(out, '\n');
}

int table_print(struct table *t, struct cli *cli)
{
    size_t width[TABLE_COLUMNS_MAX] = {};
    if (t->full)
        return report(cli, NULL, "no memory for a table of that size");
    for (const struct table_row *row = t->first; row; row = row->next)
        for (size_t i = 0; i < t->columns; i++)
            if (term_columns(row->cell[i]) > width[i])
                width[i] = term_columns(row->cell[i]);
    for (const struct table_row *row = t->first; row; row = row->next)
        print_row(t, row, width, cli);
    return 0;
}
