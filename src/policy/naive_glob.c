#include "policy/naive.h"

enum { PATTERN_MAX = 512 }; // room for a pattern whose braces were expanded

// [abc], [a-z], [!x] and, where `caret`, [^x]. Returns the offset behind the class.
static size_t class_match(struct str p, size_t i, bool caret, char c, bool *ret)
{
    bool in = false, first = true;
    bool negated = i + 1 < p.n && (p.p[i + 1] == '!' || (caret && p.p[i + 1] == '^'));
    for (i += negated ? 2 : 1; i < p.n && (p.p[i] != ']' || first); i++, first = false) {
        if (i + 2 < p.n && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
            in = in || (c >= p.p[i] && c <= p.p[i + 2]);
            i += 2;
        } else {
            in = in || c == p.p[i];
        }
    }
    *ret = in != negated;
    return i + 1;
}

// Is the `**` at `i` a whole component?
static bool stars_whole(struct str p, size_t i, char sep)
{
    return (i == 0 || p.p[i - 1] == sep) && (i + 2 == p.n || p.p[i + 2] == sep);
}

static bool is_stars(struct str p, size_t i)
{
    return i + 1 < p.n && p.p[i] == '*' && p.p[i + 1] == '*';
}

static bool sep_match(struct str p, size_t i, struct str t, size_t j, char sep);

// A `**` component. Paths count components, the dotted dialect any run of bytes.
static bool stars_match(struct str p, size_t i, struct str t, size_t j, char sep)
{
    if (i + 2 == p.n)
        return true; // whatever follows, for the separator in front has been met
    if (sep == '/' && sep_match(p, i + 3, t, j, sep))
        return true;
    for (size_t k = j; k < t.n; k++)
        if (t.p[k] == sep && sep_match(p, i + 3, t, k + 1, sep))
            return true;
    return false;
}

// p from i against t from j, without braces.
static bool sep_match(struct str p, size_t i, struct str t, size_t j, char sep)
{
    if (i == p.n)
        return j == t.n;
    char c = p.p[i];
    if (is_stars(p, i) && stars_whole(p, i, sep))
        return stars_match(p, i, t, j, sep);
    if (c == '*') {
        for (size_t k = j;; k++) {
            if (sep_match(p, i + 1, t, k, sep))
                return true;
            if (k == t.n || t.p[k] == sep)
                return false;
        }
    }
    if (j == t.n)
        return false;
    if (c == '?')
        return t.p[j] != sep && sep_match(p, i + 1, t, j + 1, sep);
    if (c == '[') {
        bool in = false;
        size_t next = class_match(p, i, true, t.p[j], &in);
        return in && sep_match(p, next, t, j + 1, sep);
    }
    if (c == '\\' && i + 1 < p.n)
        c = p.p[++i];
    return c == t.p[j] && sep_match(p, i + 1, t, j + 1, sep);
}

// The end of what begins at `i`, up to one of `stops` outside of nested braces.
static size_t brace_end(struct str p, size_t i, const char *stops)
{
    for (size_t depth = 0; i < p.n; i++) {
        if (p.p[i] == '\\')
            i++;
        else if (depth == 0 && strchr(stops, p.p[i]))
            return i;
        else if (p.p[i] == '{')
            depth++;
        else if (p.p[i] == '}')
            depth--;
    }
    return p.n;
}

static bool brace_match(struct str p, struct str t, char sep)
{
    size_t open = 0;
    while (open < p.n && p.p[open] != '{')
        open += p.p[open] == '\\' ? 2 : 1;
    size_t close = open < p.n ? brace_end(p, open + 1, "}") : p.n;
    if (close >= p.n)
        return sep_match(p, 0, t, 0, sep);

    for (size_t from = open + 1, to;; from = to + 1) {
        to = brace_end(p, from, ",}");
        char one[PATTERN_MAX];
        int n = snprintf(one, sizeof(one), "%.*s%.*s%.*s", (int)open, p.p, (int)(to - from), p.p + from,
                         (int)(p.n - close - 1), p.p + close + 1);
        assert(n >= 0 && n < PATTERN_MAX);
        if (brace_match((struct str){one, (size_t)n}, t, sep))
            return true;
        if (to == close)
            return false;
    }
}

static bool host_match(struct str p, size_t i, struct str h, size_t j)
{
    if (i == p.n)
        return j == h.n;
    if (i == 0 && is_stars(p, i)) { // as the whole first label: one or more labels
        for (size_t k = j; k < h.n; k++)
            if (k > j && h.p[k] == '.' && host_match(p, i + 2, h, k))
                return true;
        return false;
    }
    if (p.p[i] == '*') {
        for (size_t k = j;; k++) {
            if (host_match(p, i + 1, h, k))
                return true;
            if (k == h.n || h.p[k] == '.')
                return false;
        }
    }
    return j < h.n && char_lower(p.p[i]) == char_lower(h.p[j]) && host_match(p, i + 1, h, j + 1);
}

bool naive_host_glob(struct str pattern, struct str host)
{
    return host_match(pattern, 0, host, 0);
}

bool naive_path_glob(struct str pattern, struct str text)
{
    return brace_match(pattern, text, '/');
}

bool naive_dotted_glob(struct str pattern, struct str text)
{
    return brace_match(pattern, text, '.');
}

// ---- endpoint paths, the first selection
// ----------------------------------------------------------------------

static bool scope_well_formed(struct str p)
{
    for (size_t i = 0; i < p.n; i++) {
        if (is_stars(p, i)) {
            if (!stars_whole(p, i, '/'))
                return false;
            i++;
        } else if (p.p[i] == '[') {
            bool ignored = false;
            i = class_match(p, i, false, 'x', &ignored) - 1;
            if (i >= p.n)
                return false;
        }
    }
    return true;
}

static bool scope_match(struct str p, size_t i, struct str t, size_t j)
{
    if (i == p.n)
        return j == t.n;
    if (is_stars(p, i)) {
        if (i + 2 == p.n || scope_match(p, i + 3, t, j))
            return true;
        for (size_t k = j; k < t.n; k++)
            if (t.p[k] == '/' && scope_match(p, i + 3, t, k + 1))
                return true;
        return false;
    }
    if (p.p[i] == '*') {
        for (size_t k = j; k <= t.n; k++)
            if (scope_match(p, i + 1, t, k))
                return true;
        return false;
    }
    if (j == t.n)
        return false;
    if (p.p[i] == '[') {
        bool in = false;
        size_t next = class_match(p, i, false, t.p[j], &in);
        return in && scope_match(p, next, t, j + 1);
    }
    return (p.p[i] == '?' || p.p[i] == t.p[j]) && scope_match(p, i + 1, t, j + 1);
}

bool naive_scope_glob(struct str pattern, struct str text)
{
    if (pattern.n == 0 || str_eq(pattern, STR("**")) || str_eq(pattern, STR("/**")))
        return true;
    if (str_ends(pattern, STR("/**"))) {
        struct str above = str_head(pattern, pattern.n - 3);
        return str_eq(text, above) || (str_starts(text, above) && text.p[above.n] == '/');
    }
    return scope_well_formed(pattern) ? scope_match(pattern, 0, text, 0) : str_eq(pattern, text);
}
