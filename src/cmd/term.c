#include "cmd/term.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/utf8.h"

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 40, WIDTH_MAX = 400 };

static const char *const codes[STYLES] = {
    [STYLE_BOLD] = "1",    [STYLE_DIM] = "2",   [STYLE_RED] = "31",  [STYLE_GREEN] = "32",
    [STYLE_YELLOW] = "33", [STYLE_BLUE] = "34", [STYLE_CYAN] = "36",
};

static bool env_set(const char *name)
{
    const char *v = getenv(name);
    return v && v[0];
}

static bool env_is(const char *name, const char *value)
{
    const char *v = getenv(name);
    return v && strcmp(v, value) == 0;
}

static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!env_set(names[i]))
            continue;
        struct str v = str_of(getenv(names[i]));
        v = str_head(v, str_has(v, '@') ? (size_t)str_find(v, '@') : v.n);
        struct str tail = str_from(v, v.n > 5 ? v.n - 5 : 0);
        return str_eq_ci(tail, STR("UTF-8")) ||
               str_eq_ci(str_from(tail, tail.n > 4 ? tail.n - 4 : 0), STR("UTF8"));
    }
    return false;
}

void term_init(struct term *t, int fd)
{
    *t = (struct term){.unicode = true, .width = WIDTH_DEFAULT};
    if (!isatty(fd))
        return;
    t->colour = !env_set("NO_COLOR") && !env_is("TERM", "dumb") && env_set("TERM");
    t->unicode = locale_is_utf8() && !env_is("TERM", "linux");
    struct winsize ws = {};
    if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        t->width = ws.ws_col < WIDTH_MIN ? WIDTH_MIN : ws.ws_col > WIDTH_MAX ? WIDTH_MAX : ws.ws_col;
}

void term_put(struct buf *out, const struct term *t, int style, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!t->colour) {
        buf_add(out, str_of(text));
        return;
    }
    const char *second = style >> 4 ? codes[(style >> 4) - 1] : NULL;
    buf_addf(out, "\033[%s%s%sm%s\033[0m", codes[style & 15], second ? ";" : "", second ? second : "", text);
}

void term_name(struct buf *out, const char *name)
{
    size_t before = out->n;
    buf_add(out, str_of(name));
    if (out->n > before)
        utf8_clean(out->p + before, out->n - before);
}

// Columns of one well-formed sequence of n bytes.
static size_t columns_of(const char *p, size_t n)
{
    static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t cp = (unsigned char)p[0] & lead_mask[n];
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | ((unsigned char)p[i] & 0x3f);
    int w = n == 1 ? 1 : wcwidth((wchar_t)cp);
    return w < 0 ? 1 : (size_t)w; // also where the locale knows no Unicode: main sets C.UTF-8
}

size_t term_columns(struct str s)
{
    size_t columns = 0;
    while (s.n > 0) {
        size_t n = utf8_next(s);
        columns += n ? columns_of(s.p, n) : 1;
        s = str_from(s, n ? n : 1);
    }
    return columns;
}

static void wrap_break(struct buf *out, size_t indent, const char *lead)
{
    buf_addc(out, '\n');
    buf_add(out, str_of(lead));
    buf_pad(out, ' ', indent - term_columns(str_of(lead)));
}

void term_wrap(struct buf *out, struct str text, size_t at, size_t indent, const char *lead, size_t width)
{
    bool fresh = true; // no word on this line yet
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && text.p[n] != ' ' && text.p[n] != '\n')
            n++;
        size_t columns = term_columns(str_head(text, n));
        if (!fresh && at + 1 + columns > width) {
            wrap_break(out, indent, lead);
            at = indent;
            fresh = true;
        }
        if (!fresh)
            buf_addc(out, ' ');
        buf_add(out, str_head(text, n));
        at += columns + !fresh;
        fresh = n < text.n && text.p[n] == '\n';
        if (fresh) {
            wrap_break(out, indent, lead);
            at = indent;
        }
        text = str_from(text, n + 1);
    }
}
