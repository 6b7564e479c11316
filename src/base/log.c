#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <unistd.h>

static const struct {
    struct str name;
    struct str colour;
} levels[] = {
    [LOG_LEVEL_ERROR] = {STR_INIT("error"), STR_INIT("\033[31m")},
    [LOG_LEVEL_WARNING] = {STR_INIT("warning"), STR_INIT("\033[33m")},
    [LOG_LEVEL_INFO] = {STR_INIT("info"), STR_INIT("\033[32m")},
    [LOG_LEVEL_DEBUG] = {STR_INIT("debug"), STR_INIT("\033[2m")},
};

// " cut=true lost=4294967295\n"
enum { TAIL_MAX = 32 };

// A line under construction. `full` means that something did not fit; `n` then still ends behind a whole
// field.
struct line {
    char *p;
    size_t n, max;
    bool full;
};

static void put(struct line *l, struct str s)
{
    if (l->full || s.n > l->max - l->n) {
        l->full = true;
        return;
    }
    if (s.n > 0)
        memcpy(l->p + l->n, s.p, s.n);
    l->n += s.n;
}

static void put_u64(struct line *l, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    put(l, (struct str){digits + at, sizeof(digits) - at});
}

static void put_escaped(struct line *l, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    if (c == '\n') {
        put(l, STR("\\n"));
    } else if (c == '\r') {
        put(l, STR("\\r"));
    } else if (c == '\t') {
        put(l, STR("\\t"));
    } else {
        char esc[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        put(l, (struct str){esc, sizeof(esc)});
    }
}

static void put_quoted(struct line *l, struct str s)
{
    size_t end = l->n + LOG_VALUE_MAX;
    put(l, STR("\""));
    while (s.n > 0 && l->n < end && !l->full) {
        size_t n = utf8_next(s);
        if (s.p[0] == '"' || s.p[0] == '\\') {
            put(l, STR("\\"));
            put(l, str_head(s, 1));
            n = 1;
        } else if (n > 0 && utf8_is_plain(str_head(s, n))) {
            put(l, str_head(s, n));
        } else {
            n = n > 0 ? n : 1;
            for (size_t i = 0; i < n; i++)
                put_escaped(l, (unsigned char)s.p[i]);
        }
        s = str_from(s, n);
    }
    put(l, s.n > 0 ? STR("\"...") : STR("\""));
}

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && !str_has(STR("._:/@+-"), s.p[i]))
            return false;
    return s.n > 0 && s.n <= LOG_VALUE_MAX;
}

static void put_field(struct line *l, const struct log_field *f)
{
    put(l, STR(" "));
    put(l, str_of(f->name));
    put(l, STR("="));
    switch (f->kind) {
    case LOG_KIND_STR:
        put_quoted(l, f->s);
        break;
    case LOG_KIND_WORD:
        if (is_word(f->s))
            put(l, f->s);
        else
            put_quoted(l, f->s);
        break;
    case LOG_KIND_U64:
        put_u64(l, f->u);
        break;
    case LOG_KIND_I64:
        if (f->i < 0)
            put(l, STR("-"));
        put_u64(l, f->i < 0 ? -(uint64_t)f->i : (uint64_t)f->i);
        break;
    case LOG_KIND_BOOL:
        put(l, f->u ? STR("true") : STR("false"));
        break;
    }
}

// NOLINTNEXTLINE(readability-non-const-parameter): written to, through `line`
size_t log_format(const struct log *l, enum log_level level, int64_t realtime_ms, const char *event,
                  const struct log_field *fields, size_t n, char dst[static LOG_LINE_MAX])
{
    struct line line = {.p = dst, .max = LOG_LINE_MAX - TAIL_MAX};
    if (l->time) {
        char now[CLOCK_RFC3339_SIZE];
        clock_rfc3339(realtime_ms, now);
        put(&line, str_of(now));
        put(&line, STR(" "));
    }
    if (l->colour)
        put(&line, levels[level].colour);
    put(&line, levels[level].name);
    put(&line, l->colour ? STR("\033[0m ") : STR(" "));
    put(&line, str_head(str_of(event), LOG_VALUE_MAX));
    bool cut = false;
    for (size_t i = 0; i < n; i++) {
        size_t before = line.n;
        put_field(&line, &fields[i]);
        if (line.full) { // a later, shorter field may still fit
            line.n = before;
            line.full = false;
            cut = true;
        }
    }
    line.max = LOG_LINE_MAX;
    if (cut)
        put(&line, STR(" cut=true"));
    return line.n;
}

void log_line(struct log *l, enum log_level level, const char *event, const struct log_field *fields,
              size_t n)
{
    char text[LOG_LINE_MAX];
    struct line line = {.p = text, .max = sizeof(text)};
    line.n = log_format(l, level, l->time ? clock_realtime_ms() : 0, event, fields, n, text);
    unsigned lost = atomic_exchange(&l->lost, 0);
    if (lost > 0) {
        put(&line, STR(" lost="));
        put_u64(&line, lost);
    }
    put(&line, STR("\n"));
    int saved = errno; // logging is no reason for the caller to see another error
    ssize_t r;
    do
        r = write(l->fd, line.p, line.n);
    while (r < 0 && errno == EINTR);
    if (r < 0 || (size_t)r != line.n) // half a line is a lost one
        atomic_fetch_add(&l->lost, lost + 1);
    errno = saved;
}

bool log_level_parse(struct str word, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (str_eq(word, levels[i].name)) {
            *ret = (enum log_level)i;
            return true;
        }
    return false;
}
