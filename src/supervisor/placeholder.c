// Three marks, searched for byte by byte. A mark that is written with %XX is found too, so that nobody who
// decodes later reads what was not looked at.
#include "supervisor/placeholder.h"

static const struct str marks[] = {STR_INIT("openshell:resolve:env:"), STR_INIT("OPENSHELL-RESOLVE-ENV-"),
                                   STR_INIT("05e11abe1dc0de5e")};
enum { CANONICAL, ALIAS, SHAPED };

static bool is_key_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '_';
}

static bool is_alias_char(char c)
{
    return is_key_char(c) || c == '.' || c == '~' || c == '-';
}

static bool is_lower_hex(char c)
{
    return char_is_digit(c) || (c >= 'a' && c <= 'f');
}

bool placeholder_is_key(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (!is_key_char(key.p[i]))
            return false;
    return key.n > 0;
}

// `v<digits>_KEY` or `s<64 hex>_KEY`: how long the part before KEY is; 0: neither.
static size_t qualifier(struct str s, struct placeholder *ret)
{
    size_t n = 1;
    if (s.n < 3)
        return 0;
    if (s.p[0] == 's') {
        while (n < s.n && n <= PLACEHOLDER_HANDLE_LEN && is_lower_hex(s.p[n]))
            n++;
        bool whole = n == PLACEHOLDER_HANDLE_LEN + 1 && n + 1 < s.n && s.p[n] == '_';
        *ret = (struct placeholder){.form = PLACEHOLDER_HANDLE, .handle = str_head(str_from(s, 1), n - 1)};
        return whole ? n + 1 : 0;
    }
    if (s.p[0] != 'v')
        return 0;
    while (n < s.n && char_is_digit(s.p[n]))
        n++;
    *ret = (struct placeholder){.form = PLACEHOLDER_REVISION};
    bool whole = n > 1 && n + 1 < s.n && s.p[n] == '_';
    if (!whole)
        return 0;
    if (!str_u64((struct str){s.p + 1, n - 1}, UINT64_MAX, &ret->revision))
        ret->revision = UINT64_MAX; // a revision that never was
    return n + 1;
}

bool placeholder_is_reserved(struct str key)
{
    struct placeholder ignored;
    return qualifier(key, &ignored) > 0;
}

static bool parse_canonical(struct str rest, struct placeholder *ret)
{
    if (!placeholder_is_key(rest))
        return false;
    struct placeholder p = {.form = PLACEHOLDER_PLAIN};
    size_t n = qualifier(rest, &p);
    if (n == 0)
        p = (struct placeholder){.form = PLACEHOLDER_PLAIN};
    p.key = str_from(rest, n);
    *ret = p;
    return true;
}

static bool find_mark(struct str text, size_t mark, size_t from, size_t *at)
{
    if (from >= text.n)
        return false;
    const char *p = memmem(text.p + from, text.n - from, marks[mark].p, marks[mark].n);
    if (p)
        *at = (size_t)(p - text.p);
    return p != NULL;
}

bool placeholder_parse(struct str text, struct placeholder *ret)
{
    struct str rest = text;
    if (text.n == 0 || text.n > PLACEHOLDER_MAX)
        return false;
    if (str_skip(&rest, marks[CANONICAL]))
        return parse_canonical(rest, ret);
    for (size_t i = 0; i < text.n; i++)
        if (!is_alias_char(text.p[i]))
            return false;
    size_t at;
    if (find_mark(text, ALIAS, 0, &at)) {
        struct str key = str_from(text, at + marks[ALIAS].n);
        *ret = (struct placeholder){.form = PLACEHOLDER_ALIAS, .key = key};
        return at > 0 && placeholder_is_key(key);
    }
    *ret = (struct placeholder){.form = PLACEHOLDER_SHAPED};
    return find_mark(text, SHAPED, 0, &at) && text.n - at >= PLACEHOLDER_SHAPED_MIN;
}

enum placeholder_found placeholder_find(struct str text, size_t from, size_t *at, size_t *n)
{
    size_t mark = ARRAY_LEN(marks), begin = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t here;
        if (find_mark(text, i, from, &here) && here < begin) {
            begin = here;
            mark = i;
        }
    }
    if (mark == ARRAY_LEN(marks))
        return PLACEHOLDER_NONE;
    size_t end = begin + marks[mark].n;
    if (mark == CANONICAL) {
        while (end < text.n && is_key_char(text.p[end]))
            end++;
    } else { // the whole word around the mark
        while (begin > from && is_alias_char(text.p[begin - 1]))
            begin--;
        while (end < text.n && is_alias_char(text.p[end]))
            end++;
    }
    *at = begin;
    *n = end - begin;
    struct placeholder ignored;
    return placeholder_parse(str_head(str_from(text, begin), *n), &ignored) ? PLACEHOLDER_FOUND
                                                                            : PLACEHOLDER_BROKEN;
}

// ---- marks that may be written %XX
// ------------------------------------------------------------------------------------------------

enum match { MATCH_NO, MATCH_PART, MATCH_WHOLE };

// Whether `s` begins with the mark, or ends in the middle of it.
static enum match match_mark(struct str s, struct str mark)
{
    size_t i = 0;
    for (size_t k = 0; k < mark.n; k++) {
        if (i == s.n)
            return MATCH_PART;
        if (s.p[i] == mark.p[k] && s.p[i] != '%') {
            i++;
            continue;
        }
        if (s.p[i] != '%')
            return MATCH_NO;
        unsigned char want = (unsigned char)mark.p[k];
        if (i + 1 < s.n && char_hex(s.p[i + 1]) != want >> 4)
            return MATCH_NO;
        if (i + 2 < s.n && char_hex(s.p[i + 2]) != (want & 15))
            return MATCH_NO;
        if (s.n - i < 3)
            return MATCH_PART;
        i += 3;
    }
    return MATCH_WHOLE;
}

bool placeholder_has_mark(struct str text, size_t *held)
{
    *held = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c != 'o' && c != 'O' && c != '0' && c != '%')
            continue;
        for (size_t m = 0; m < ARRAY_LEN(marks); m++) {
            enum match r = match_mark(str_from(text, i), marks[m]);
            if (r == MATCH_WHOLE)
                return true;
            if (r == MATCH_PART && *held == 0)
                *held = text.n - i;
        }
    }
    return false;
}

bool placeholder_redact(struct str text, char *out, size_t size, struct str *ret)
{
    size_t from = 0, w = 0;
    for (;;) {
        size_t at = text.n, n = 0;
        bool more = placeholder_find(text, from, &at, &n) != PLACEHOLDER_NONE;
        size_t plain = at - from;
        size_t with = more ? PLACEHOLDER_REDACTED.n : 0;
        if (plain > size - w || with > size - w - plain)
            return false;
        memcpy(out + w, text.p + from, plain);
        memcpy(out + w + plain, PLACEHOLDER_REDACTED.p, with);
        w += plain + with;
        from = at + n;
        if (!more)
            break;
    }
    *ret = (struct str){out, w};
    return true;
}
