#include "cmd/diag_render.h"

#include "base/utf8.h"

// Line `number`, from 1, without its end. The lines are those of YAML 1.2 section 5.4: CR, LF and CR LF end
// one.
static struct str line_of(struct str text, uint32_t number)
{
    for (uint32_t at = 1;; at++) {
        size_t n = 0;
        while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r')
            n++;
        if (at == number)
            return str_head(text, n);
        if (n == text.n)
            return STR("");
        bool two = text.p[n] == '\r' && n + 1 < text.n && text.p[n + 1] == '\n';
        text = str_from(text, n + 1 + two);
    }
}

size_t diag_column(struct str text, const struct mark *m)
{
    if (m->line == 0)
        return 0;
    size_t bytes = m->column > 0 ? m->column - 1 : 0;
    return utf8_columns(str_head(line_of(text, m->line), bytes)) + 1;
}

// ---- the excerpt
// --------------------------------------------------------------------------------------------

// A source line made fit for a terminal, and where in it the marked bytes are, in columns from 0.
struct shown {
    struct buf text;
    size_t from, to, columns;
};

static void show_line(struct str line, const struct mark *m, struct shown *s)
{
    size_t from = m->column > 0 ? m->column - 1 : 0, to = from + (m->length ? m->length : 1);
    s->from = s->to = SIZE_MAX;
    for (size_t at = 0; at < line.n;) {
        struct str rest = str_from(line, at);
        size_t n = utf8_next(rest);
        if (at >= from && s->from == SIZE_MAX)
            s->from = s->columns;
        if (at >= to && s->to == SIZE_MAX)
            s->to = s->columns;
        char one[4] = "?";
        struct str piece = {one, n ? n : 1};
        memcpy(one, rest.p, piece.n);
        if (one[0] == '\t') {
            size_t pad = DIAG_TAB - s->columns % DIAG_TAB;
            buf_pad(&s->text, ' ', pad);
            s->columns += pad;
        } else {
            utf8_clean(one, piece.n);
            buf_add(&s->text, piece);
            s->columns += term_columns(piece);
        }
        at += piece.n;
    }
    if (s->from == SIZE_MAX) // behind the last byte: something is missing there
        s->from = s->columns;
    if (s->to == SIZE_MAX)
        s->to = s->columns;
}

// Columns [skip, skip + room) of a line that is wider.
static void put_window(struct str line, size_t skip, size_t room, struct buf *out)
{
    size_t at = 0;
    while (line.n > 0) {
        size_t n = utf8_next(line), columns = term_columns(str_head(line, n ? n : 1));
        if (at >= skip && at + columns > skip + room)
            return;
        if (at >= skip)
            buf_add(out, str_head(line, n ? n : 1));
        else if (at + columns > skip)
            buf_pad(out, ' ', at + columns - skip); // the right half of a wide character
        at += columns;
        line = str_from(line, n ? n : 1);
    }
}

static int level_style(const struct diag *d)
{
    return STYLE_AND(STYLE_BOLD, d->level == DIAG_ERROR ? STYLE_RED : STYLE_YELLOW);
}

static void put_hint(const struct diag *d, const struct term *t, size_t gutter, struct buf *out)
{
    buf_pad(out, ' ', gutter + 1);
    term_put(out, t, STYLE_AND(STYLE_BOLD, STYLE_BLUE), "=");
    buf_addf(out, " hint: ");
    term_wrap(out, d->hint, gutter + 9, gutter + 9, "", t->width);
    buf_addc(out, '\n');
}

// The two lines with the source and the carets. False: the hint did not fit beside the carets.
static bool put_excerpt(const struct diag *d, struct str line, const struct term *t, size_t gutter,
                        struct buf *out)
{
    struct shown s = {};
    buf_init(&s.text, 8 * line.n + 16);
    show_line(line, &d->at, &s);
    const char *dots = t->unicode ? "…" : "...";
    size_t dots_n = t->unicode ? 1 : 3, room = t->width - gutter - 4, skip = 0;
    if (s.columns > room) {
        room -= 2 * dots_n;
        skip = s.from > room / 3 ? s.from - room / 3 : 0;
        skip = skip > s.columns - room ? s.columns - room : skip;
    }
    bool cut_left = skip > 0, cut_right = s.columns > skip + room;
    int bar = STYLE_AND(STYLE_BOLD, STYLE_BLUE);
    term_put(out, t, bar, "%*u |", (int)gutter, d->at.line);
    buf_addf(out, "%s%s", line.n > 0 ? " " : "", cut_left ? dots : "");
    put_window(buf_str(&s.text), skip, room, out);
    buf_addf(out, "%s\n", cut_right ? dots : "");
    buf_done(&s.text);

    size_t end = s.to > skip + room ? skip + room : s.to;
    size_t carets = end > s.from ? end - s.from : 1, before = s.from - skip + (cut_left ? dots_n : 0);
    term_put(out, t, bar, "%*s |", (int)gutter, "");
    buf_pad(out, ' ', before + 1);
    char underline[512];
    carets = carets < sizeof(underline) ? carets : sizeof(underline) - 1;
    memset(underline, '^', carets);
    underline[carets] = '\0';
    term_put(out, t, level_style(d), "%s", underline);
    bool fits = d->hint.n > 0 && gutter + 3 + before + carets + 1 + term_columns(d->hint) <= t->width;
    if (fits)
        term_put(out, t, level_style(d), " %.*s", (int)d->hint.n, d->hint.p);
    buf_addc(out, '\n');
    return fits || d->hint.n == 0;
}

void diag_render(const struct diag *d, const char *file, struct str text, const struct term *t,
                 struct buf *out)
{
    char number[16];
    int gutter = d->at.line ? snprintf(number, sizeof(number), "%u", d->at.line) : 1;
    term_put(out, t, level_style(d), "%s", d->level == DIAG_ERROR ? "error" : "warning");
    term_put(out, t, STYLE_BOLD, "%s", ": ");
    buf_add(out, d->msg);
    buf_addc(out, '\n');
    buf_pad(out, ' ', (size_t)gutter);
    term_put(out, t, STYLE_AND(STYLE_BOLD, STYLE_BLUE), "-->");
    buf_addc(out, ' ');
    term_name(out, file);
    if (d->at.line)
        buf_addf(out, ":%u:%zu", d->at.line, diag_column(text, &d->at));
    if (d->path.n > 0) {
        buf_addf(out, "  ");
        buf_add(out, d->path);
    }
    buf_addc(out, '\n');
    bool hinted = false;
    if (d->at.line) {
        term_put(out, t, STYLE_AND(STYLE_BOLD, STYLE_BLUE), "%*s |", gutter, "");
        buf_addc(out, '\n');
        hinted = put_excerpt(d, line_of(text, d->at.line), t, (size_t)gutter, out);
    }
    if (!hinted && d->hint.n > 0)
        put_hint(d, t, (size_t)gutter, out);
}

void diags_render(const struct diags *d, const char *file, struct str text, const struct term *t,
                  struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        diag_render(&d->v[i], file, text, t, out);
        buf_addc(out, '\n');
    }
    size_t more = d->errors + d->warnings - d->n;
    if (more > 0) {
        term_name(out, file);
        buf_addf(out, ": %zu more not shown\n\n", more);
    }
}

void diag_counts(size_t errors, size_t warnings, struct buf *out)
{
    if (errors > 0)
        buf_addf(out, "%zu error%s", errors, errors == 1 ? "" : "s");
    if (warnings > 0)
        buf_addf(out, "%s%zu warning%s", errors > 0 ? ", " : "", warnings, warnings == 1 ? "" : "s");
}
