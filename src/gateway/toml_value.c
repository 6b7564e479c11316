#include "base/utf8.h"
#include "gateway/toml_internal.h"

enum err_code toml_check_text(struct toml_in *in, struct err *reterr)
{
    enum err_code c = ERR_OK;
    while (c == ERR_OK && in->at < in->text.n) {
        size_t n = utf8_next(str_from(in->text, in->at));
        if (n == 0)
            c = toml_bad(in, "this is not UTF-8", reterr);
        else if (toml_peek(in) == '\0')
            c = toml_bad(in, "a NUL", reterr);
        else if (toml_peek(in) == '\r' && !toml_starts(in, STR("\r\n")))
            c = toml_bad(in, "a carriage return without a newline", reterr);
        else if (!toml_newline(in))
            in->at += n;
    }
    in->at = in->line_at = 0;
    in->line = 1;
    return c;
}

// ---- strings

struct text {
    char *p; // as long as what is left of the document: decoding never lengthens
    size_t n;
};

static void put_utf8(struct text *t, uint32_t c)
{
    if (c < 0x80) {
        t->p[t->n++] = (char)c;
    } else if (c < 0x800) {
        t->p[t->n++] = (char)(0xc0 | c >> 6);
        t->p[t->n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        t->p[t->n++] = (char)(0xe0 | c >> 12);
        t->p[t->n++] = (char)(0x80 | (c >> 6 & 0x3f));
        t->p[t->n++] = (char)(0x80 | (c & 0x3f));
    } else {
        t->p[t->n++] = (char)(0xf0 | c >> 18);
        t->p[t->n++] = (char)(0x80 | (c >> 12 & 0x3f));
        t->p[t->n++] = (char)(0x80 | (c >> 6 & 0x3f));
        t->p[t->n++] = (char)(0x80 | (c & 0x3f));
    }
}

static enum err_code code_point(struct toml_in *in, size_t digits, struct text *t, struct err *reterr)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = char_hex(toml_peek(in));
        if (d < 0)
            return toml_bad(in, digits == 4 ? "\\u wants four hex digits" : "\\U wants eight hex digits",
                            reterr);
        c = c << 4 | (uint32_t)d;
        in->at++;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return toml_bad(in, "this is no Unicode scalar value", reterr);
    put_utf8(t, c);
    return ERR_OK;
}

// A backslash at the end of a line: it and all white space up to the next word are left out.
static bool folded(struct toml_in *in)
{
    struct toml_in ahead = *in;
    toml_blanks(&ahead);
    if (!toml_newline(&ahead))
        return false;
    do
        toml_blanks(&ahead);
    while (toml_newline(&ahead));
    *in = ahead;
    return true;
}

static enum err_code escape(struct toml_in *in, bool lines, struct text *t, struct err *reterr)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    in->at++; // the backslash
    char c = toml_peek(in);
    const char *found = c ? memchr(from, c, sizeof(from) - 1) : NULL;
    if (found) {
        in->at++;
        t->p[t->n++] = to[found - from];
        return ERR_OK;
    }
    if (c == 'u' || c == 'U') {
        in->at++;
        return code_point(in, c == 'u' ? 4 : 8, t, reterr);
    }
    return lines && folded(in) ? ERR_OK : toml_bad(in, "an escape that TOML does not know", reterr);
}

// How many quotes there are, five at most: three end a string of several lines, up to two before belong to
// it.
static size_t count_quotes(const struct toml_in *in, char quote)
{
    size_t n = 0;
    while (n < 5 && in->at + n < in->text.n && in->text.p[in->at + n] == quote)
        n++;
    return n;
}

static enum err_code lines(struct toml_in *in, char quote, struct text *t, struct err *reterr)
{
    in->at += 3;
    (void)toml_newline(in); // the first is not part of it
    while (in->at < in->text.n) {
        size_t quotes = toml_peek(in) == quote ? count_quotes(in, quote) : 0;
        size_t own = quotes >= 3 ? quotes - 3 : quotes;
        memset(t->p + t->n, quote, own);
        t->n += own;
        in->at += quotes;
        if (quotes >= 3)
            return ERR_OK;
        if (quotes > 0)
            continue;
        enum err_code c = ERR_OK;
        if (toml_newline(in))
            t->p[t->n++] = '\n';
        else if (toml_is_control(toml_peek(in)))
            c = toml_bad(in, "a control character in a string", reterr);
        else if (quote == '"' && toml_peek(in) == '\\')
            c = escape(in, true, t, reterr);
        else
            t->p[t->n++] = in->text.p[in->at++];
        if (c != ERR_OK)
            return c;
    }
    return toml_bad(in, "a string of several lines does not end", reterr);
}

static enum err_code one_line(struct toml_in *in, char quote, struct text *t, struct err *reterr)
{
    in->at++;
    while (in->at < in->text.n && toml_peek(in) != quote) {
        enum err_code c = ERR_OK;
        if (toml_peek(in) == '\n' || toml_peek(in) == '\r')
            return toml_bad(in, "a string does not end on its line", reterr);
        if (toml_is_control(toml_peek(in)))
            c = toml_bad(in, "a control character in a string", reterr);
        else if (quote == '"' && toml_peek(in) == '\\')
            c = escape(in, false, t, reterr);
        else
            t->p[t->n++] = in->text.p[in->at++];
        if (c != ERR_OK)
            return c;
    }
    if (in->at == in->text.n)
        return toml_bad(in, "a string does not end", reterr);
    in->at++;
    return ERR_OK;
}

// Where it ends, roughly but never too early, so that memory is asked for once.
static size_t span(const struct toml_in *in, char quote, bool many)
{
    size_t i = in->at + (many ? 3 : 1);
    for (; i < in->text.n; i++) {
        char c = in->text.p[i];
        if (c == '\\' && quote == '"')
            i++;
        else if (!many && (c == quote || c == '\n'))
            break;
        else if (many && c == quote && i + 2 < in->text.n && in->text.p[i + 1] == quote &&
                 in->text.p[i + 2] == quote)
            return i + 5 - in->at;
    }
    return (i < in->text.n ? i : in->text.n) - in->at + 1;
}

enum err_code toml_string(struct toml_in *in, struct str *ret, struct err *reterr)
{
    char quote = toml_peek(in);
    bool many = toml_starts(in, quote == '"' ? STR("\"\"\"") : STR("'''"));
    struct text t = {.p = arena_alloc(in->arena, span(in, quote, many))};
    if (!t.p)
        return arena_limit(in->arena, "the configuration", reterr);
    enum err_code c = many ? lines(in, quote, &t, reterr) : one_line(in, quote, &t, reterr);
    if (c == ERR_OK)
        *ret = (struct str){t.p, t.n};
    return c;
}

// ---- numbers

static int digit_of(char c, unsigned base)
{
    int d = char_hex(c);
    return d >= 0 && d < (int)base ? d : -1;
}

// Digits with single underscores between them, up to *at. False: there is none, or an
// underscore has no digit at its side.
static bool skip_digits(struct str s, size_t *at, unsigned base)
{
    size_t i = *at;
    while (i < s.n && (digit_of(s.p[i], base) >= 0 || s.p[i] == '_')) {
        if (s.p[i] == '_' &&
            (i == *at || i + 1 == s.n || digit_of(s.p[i - 1], base) < 0 || digit_of(s.p[i + 1], base) < 0))
            return false;
        i++;
    }
    bool some = i > *at;
    *at = i;
    return some;
}

static bool to_int(struct str digits, unsigned base, bool minus, int64_t *ret)
{
    uint64_t v = 0, max = (uint64_t)INT64_MAX + minus;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] == '_')
            continue;
        uint64_t d = (uint64_t)digit_of(digits.p[i], base);
        if (v > (max - d) / base)
            return false;
        v = v * base + d;
    }
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static enum err_code other_base(struct toml_in *in, struct str s, struct toml *t, struct err *reterr)
{
    unsigned base = s.p[1] == 'x' ? 16 : s.p[1] == 'o' ? 8 : 2;
    size_t at = 2;
    t->type = TOML_INT;
    if (!skip_digits(s, &at, base) || at != s.n)
        return toml_bad(in, "a number with something that is no digit of it", reterr);
    return to_int(str_from(s, 2), base, false, &t->number)
               ? ERR_OK
               : toml_bad(in, "an integer has at most 64 bits", reterr);
}

static enum err_code number(struct toml_in *in, struct str s, struct toml *t, struct err *reterr)
{
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'o' || s.p[1] == 'b'))
        return other_base(in, s, t, reterr);
    size_t sign = s.p[0] == '+' || s.p[0] == '-' ? 1 : 0, at = sign;
    struct str rest = str_from(s, sign);
    t->text = s;
    t->type = TOML_FLOAT;
    if (str_eq(rest, STR("inf")) || str_eq(rest, STR("nan")))
        return ERR_OK;
    if (!skip_digits(s, &at, 10))
        return toml_bad(in, "a value was expected: in quotes, a number, a date, true, false, [ or {", reterr);
    if (rest.p[0] == '0' && at - sign > 1)
        return toml_bad(in, "a number begins with a zero", reterr);
    size_t whole = at;
    bool ok = true;
    if (at < s.n && s.p[at] == '.') {
        at++;
        ok = skip_digits(s, &at, 10);
    }
    if (ok && at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        at++;
        if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
            at++;
        ok = skip_digits(s, &at, 10);
    }
    if (!ok || at != s.n)
        return toml_bad(in, "a number with something that is no digit of it", reterr);
    if (at > whole)
        return ERR_OK;
    t->type = TOML_INT;
    return to_int(rest, 10, s.p[0] == '-', &t->number)
               ? ERR_OK
               : toml_bad(in, "an integer has at most 64 bits", reterr);
}

// ---- dates and times (RFC 3339, of which parts may be left out)

static bool fixed(struct str s, size_t *at, size_t digits, unsigned min, unsigned max, unsigned *ret)
{
    unsigned v = 0;
    for (size_t i = 0; i < digits; i++) {
        if (*at >= s.n || !char_is_digit(s.p[*at]))
            return false;
        v = v * 10 + (unsigned)(s.p[(*at)++] - '0');
    }
    *ret = v;
    return v >= min && v <= max;
}

static bool literal(struct str s, size_t *at, char c)
{
    return *at < s.n && s.p[*at] == c && ++*at > 0;
}

static bool date(struct str s, size_t *at)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = 0, month = 0, day = 0;
    if (!fixed(s, at, 4, 0, 9999, &year) || !literal(s, at, '-') || !fixed(s, at, 2, 1, 12, &month) ||
        !literal(s, at, '-') || !fixed(s, at, 2, 1, 31, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap ? 1U : 0U);
}

static bool time_of_day(struct str s, size_t *at)
{
    unsigned v = 0;
    if (!fixed(s, at, 2, 0, 23, &v) || !literal(s, at, ':') || !fixed(s, at, 2, 0, 59, &v) ||
        !literal(s, at, ':') || !fixed(s, at, 2, 0, 60, &v)) // a leap second
        return false;
    if (!literal(s, at, '.'))
        return true;
    size_t from = *at;
    while (*at < s.n && char_is_digit(s.p[*at]))
        ++*at;
    return *at > from;
}

static bool offset(struct str s, size_t *at)
{
    unsigned v = 0;
    if (literal(s, at, 'Z') || literal(s, at, 'z'))
        return true;
    return (literal(s, at, '+') || literal(s, at, '-')) && fixed(s, at, 2, 0, 23, &v) &&
           literal(s, at, ':') && fixed(s, at, 2, 0, 59, &v);
}

static enum err_code when(struct toml_in *in, struct str s, struct toml *t, struct err *reterr)
{
    size_t at = 0;
    bool ok = true;
    t->type = TOML_TIME;
    t->text = s;
    if (s.n > 2 && s.p[2] == ':') {
        ok = time_of_day(s, &at);
    } else {
        ok = date(s, &at);
        if (ok && at < s.n) {
            ok = (literal(s, &at, 'T') || literal(s, &at, 't') || literal(s, &at, ' ')) &&
                 time_of_day(s, &at);
            if (ok && at < s.n)
                ok = offset(s, &at);
        }
    }
    return ok && at == s.n ? ERR_OK : toml_bad(in, "this is no date or time", reterr);
}

// ---- the rest

static bool ends_word(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ']' || c == '}' ||
           c == '#' || c == '=';
}

// A date may have a blank before its time.
static size_t word_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && !ends_word(s.p[n]))
        n++;
    if (n == 10 && s.p[4] == '-' && n + 3 < s.n && s.p[n] == ' ' && char_is_digit(s.p[n + 1]) &&
        char_is_digit(s.p[n + 2]) && s.p[n + 3] == ':')
        while (++n < s.n && !ends_word(s.p[n]))
            ;
    return n;
}

// "1979-" or "07:32".
static bool looks_like_time(struct str s)
{
    size_t n = 0;
    while (n < s.n && char_is_digit(s.p[n]))
        n++;
    return n < s.n && ((n == 4 && s.p[n] == '-') || (n == 2 && s.p[n] == ':'));
}

enum err_code toml_scalar(struct toml_in *in, struct toml *t, struct err *reterr)
{
    struct str rest = str_from(in->text, in->at);
    struct str s = str_head(rest, word_length(rest));
    enum err_code c = ERR_OK;
    if (s.n == 0)
        return toml_bad(in, "a value was expected", reterr);
    if (str_eq(s, STR("true")) || str_eq(s, STR("false"))) {
        t->type = TOML_BOOL;
        t->yes = s.n == 4;
    } else if (looks_like_time(s)) {
        c = when(in, s, t, reterr);
    } else {
        c = number(in, s, t, reterr);
    }
    if (c == ERR_OK)
        in->at += s.n;
    return c;
}
