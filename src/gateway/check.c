#include "gateway/check.h"

enum {
    NAME_MAX_BYTES = 19,
    LABEL_MAX = 63,
    PREFIX_MAX = 253,
    ENV_KEY_MAX = 256,
    ENV_VALUE_MAX = 8192,
    PAIRS_MAX = 64
};

static bool is_alnum(char c)
{
    return char_is_alpha(c) || char_is_digit(c);
}

enum err_code check_sandbox_name(struct str name, struct err *reterr)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return err_set(reterr, ERR_INVALID, "a sandbox's name has 1 to %d characters", NAME_MAX_BYTES);
    bool ok = name.p[0] != '-' && name.p[name.n - 1] != '-';
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        ok = ok && (char_is_digit(c) || (c >= 'a' && c <= 'z') || (c == '-' && name.p[i - 1] != '-'));
    }
    if (ok)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "sandbox name '%.*s': a-z, 0-9 and single '-' inside are allowed",
                   STR_FMT(name));
}

// [A-Za-z0-9._-]{1,63}, a letter or digit at both ends.
static bool is_label_word(struct str s)
{
    if (s.n == 0 || s.n > LABEL_MAX || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
            return false;
    return true;
}

static bool is_prefix(struct str s)
{
    struct str rest = s, part;
    if (s.n == 0 || s.n > PREFIX_MAX || s.p[s.n - 1] == '.')
        return false;
    while (str_split(&rest, '.', &part)) {
        if (!is_label_word(part) || str_has(part, '_'))
            return false;
        for (size_t i = 0; i < part.n; i++)
            if (part.p[i] >= 'A' && part.p[i] <= 'Z')
                return false;
    }
    return true;
}

enum err_code check_label(struct str key, struct str value, struct err *reterr)
{
    ptrdiff_t slash = str_find(key, '/');
    struct str name = slash < 0 ? key : str_from(key, (size_t)slash + 1);
    if (!is_label_word(name) || (slash >= 0 && !is_prefix(str_head(key, (size_t)slash))))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no key of a label: [prefix/]name", STR_FMT(key));
    if (value.n > 0 && !is_label_word(value))
        return err_set(reterr, ERR_INVALID, "label '%.*s': '%.*s' is no value of a label", STR_FMT(key),
                       STR_FMT(value));
    return ERR_OK;
}

enum err_code check_env(struct str key, struct str value, struct err *reterr)
{
    bool ok = key.n > 0 && key.n <= ENV_KEY_MAX && !char_is_digit(key.p[0]);
    for (size_t i = 0; ok && i < key.n; i++)
        ok = is_alnum(key.p[i]) || key.p[i] == '_';
    if (!ok)
        return err_set(reterr, ERR_INVALID, "'%.*s' is no name of a variable", STR_FMT(key));
    if (str_starts(key, STR("OPENSHELL_")))
        return err_set(reterr, ERR_INVALID, "variable %.*s: names with OPENSHELL_ are reserved",
                       STR_FMT(key));
    if (value.n > ENV_VALUE_MAX || str_has(value, '\0') || str_has(value, '\r') || str_has(value, '\n'))
        return err_set(reterr, ERR_INVALID, "variable %.*s: at most %d bytes, no line break", STR_FMT(key),
                       ENV_VALUE_MAX);
    return ERR_OK;
}

enum err_code check_annotation(struct str key, struct str value, struct err *reterr)
{
    enum err_code r = check_label(key, (struct str){}, reterr);
    if (r == ERR_OK && value.n > CHECK_ANNOTATION_MAX)
        r = err_set(reterr, ERR_INVALID, "annotation '%.*s': at most %d bytes", STR_FMT(key),
                    CHECK_ANNOTATION_MAX);
    return r;
}

// Adds the pair unless it is there. False: the key is there with another value.
static bool add_pair(struct store_label *v, size_t *n, struct str key, struct str value)
{
    for (size_t i = 0; i < *n; i++)
        if (str_eq(v[i].key, key))
            return str_eq(v[i].value, value);
    v[(*n)++] = (struct store_label){key, value};
    return true;
}

enum err_code check_selector(struct str selector, struct arena *a, struct store_label **ret, size_t *ret_n,
                             bool *ret_none, struct err *reterr)
{
    struct str rest = selector, pair;
    size_t n = 0, pairs = 0;
    bool none = false;
    struct store_label *v = arena_newn(a, struct store_label, PAIRS_MAX);
    if (!v)
        return arena_limit(a, "a label selector", reterr);
    while (str_split(&rest, ',', &pair)) {
        pair = str_trim(pair);
        if (pair.n == 0)
            continue;
        ptrdiff_t eq = str_find(pair, '=');
        struct str key = str_trim(str_head(pair, eq > 0 ? (size_t)eq : 0));
        if (key.n == 0 || ++pairs > PAIRS_MAX)
            return err_set(reterr, ERR_INVALID,
                           "label selector: '%.*s' is not KEY=VALUE, or there are over %d", STR_FMT(pair),
                           PAIRS_MAX);
        struct str value = str_trim(str_from(pair, (size_t)eq + 1));
        if (check_label(key, value, reterr) != ERR_OK || !add_pair(v, &n, key, value))
            none = true; // no object has such a label
    }
    *ret = v;
    *ret_n = n;
    *ret_none = none;
    return ERR_OK;
}
