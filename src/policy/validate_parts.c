#include "policy/validate_parts.h"

// ---- diagnostics at a place
// ---------------------------------------------------------------------------------

size_t check_down(struct check *c, const char *key)
{
    size_t before = c->at.n;
    struct str rest = str_of(key), part;
    while (str_split(&rest, '.', &part))
        (void)keypath_key(&c->at, part);
    return before;
}

size_t check_item(struct check *c, const char *key, size_t i)
{
    size_t before = check_down(c, key);
    (void)keypath_index(&c->at, i);
    return before;
}

void check_add(struct check *c, enum diag_level level, const char *field, const char *hint, const char *fmt,
               ...)
{
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    size_t back = field ? check_down(c, field) : c->at.n;
    diag_add(c->d, level, (struct mark){}, keypath_str(&c->at), hint, "%s", msg);
    keypath_cut(&c->at, back);
}

// "did you mean 'rest'?", or all the words where none is near.
static void hint_words(struct str word, const struct words *words, char hint[static VALIDATE_HINT_MAX])
{
    struct str near = {};
    for (size_t i = 0; i < words->synonyms_n && near.n == 0; i++)
        if (str_eq_ci(word, words->synonyms[i].wrong))
            near = words->synonyms[i].right;
    if (near.n == 0)
        near = diag_suggest(word, words->v, words->n);
    if (near.n > 0) {
        (void)snprintf(hint, VALIDATE_HINT_MAX, "did you mean '%.*s'?", STR_FMT(near));
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < words->n && n < VALIDATE_HINT_MAX; i++)
        n += (size_t)snprintf(hint + n, VALIDATE_HINT_MAX - n, "%s%.*s", i == 0 ? "known: " : ", ",
                              STR_FMT(words->v[i]));
}

void check_word(struct check *c, const char *field, struct str word, const struct words *words)
{
    if (word.n == 0)
        return;
    for (size_t i = 0; i < words->n; i++)
        if (words->ci ? str_eq_ci(word, words->v[i]) : str_eq(word, words->v[i]))
            return;
    char hint[VALIDATE_HINT_MAX];
    hint_words(word, words, hint);
    check_error(c, field, hint, "unknown %s '%.*s'", words->what, STR_FMT(word));
}

bool check_glob(struct check *c, const char *field, enum glob_dialect dialect, struct str pattern)
{
    if (pattern.n <= GLOB_MAX && !str_has_any(pattern, "*?[]{}\\"))
        return true;
    const struct glob *g;
    struct err err;
    enum err_code r = glob_compile(dialect, pattern, &c->scratch, &g, &err);
    if (r == ERR_LIMIT) // memory: says nothing of the pattern
        c->d->no_room = true;
    if (r == ERR_OK || r == ERR_LIMIT)
        return true;
    check_error(c, field, NULL, "pattern '%.*s': %s", STR_FMT(pattern), err.msg);
    return false;
}

// ---- equal strings
// ------------------------------------------------------------------------------------------

void *check_scratch(struct check *c, size_t n, size_t size)
{
    void *p = arena_array(&c->scratch, n, size);
    if (!p)
        c->d->no_room = true;
    return p;
}

struct place {
    struct str s;
    size_t i;
};

static int place_cmp(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    int order = str_cmp(a->s, b->s);
    return order != 0 ? order : a->i < b->i ? -1 : a->i > b->i;
}

bool check_firsts(struct check *c, const struct str *v, size_t n, bool ci, size_t *ret)
{
    struct place *places = check_scratch(c, n, sizeof(*places));
    if (!places)
        return false;
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){v[i], i};
        if (!ci || v[i].n == 0)
            continue;
        char *lower = check_scratch(c, v[i].n, 1);
        if (!lower)
            return false;
        for (size_t k = 0; k < v[i].n; k++)
            lower[k] = char_lower(v[i].p[k]);
        places[i].s.p = lower;
    }
    qsort(places, n, sizeof(*places), place_cmp);
    for (size_t k = 0; k < n; k++) {
        bool again = k > 0 && str_eq(places[k].s, places[k - 1].s);
        ret[places[k].i] = again ? ret[places[k - 1].i] : places[k].i;
    }
    return true;
}

// ---- patterns
// -----------------------------------------------------------------------------------------------

bool str_has_any(struct str s, const char *set)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\0' && strchr(set, s.p[i]))
            return true;
    return false;
}

bool path_is_everything(struct str path)
{
    return path.n == 0 || str_eq(path, STR("**")) || str_eq(path, STR("/**"));
}

// What every match of a pattern begins with. `X/**` as an endpoint path has X itself, so the slash is left
// out.
static struct str literal_head(struct str path, bool *ret_whole)
{
    size_t n = 0;
    while (n < path.n && !strchr("*?[{\\", path.p[n]) && path.p[n] != '\0')
        n++;
    *ret_whole = n == path.n;
    if (!*ret_whole && n > 0 && path.p[n - 1] == '/')
        n--;
    return str_head(path, n);
}

bool paths_apart(struct str a, struct str b)
{
    bool whole_a, whole_b;
    struct str head_a = literal_head(a, &whole_a), head_b = literal_head(b, &whole_b);
    size_t common = head_a.n < head_b.n ? head_a.n : head_b.n;
    if (!str_eq(str_head(head_a, common), str_head(head_b, common)))
        return true;
    return (whole_a && head_a.n < head_b.n) || (whole_b && head_b.n < head_a.n);
}

// ---- questions about endpoints and rules
// --------------------------------------------------------------------

bool protocol_is(const struct endpoint *ep, const char *name)
{
    return str_eq(ep->protocol, str_of(name));
}

bool endpoint_has_l7(const struct endpoint *ep)
{
    return ep->protocol.n > 0 && !protocol_is(ep, "tcp");
}

bool rule_is_graphql(const struct l7_rule *rule)
{
    return rule->operation_type.n > 0 || rule->operation_name.n > 0 || rule->fields.n > 0;
}

bool rule_is_empty(const struct l7_rule *rule)
{
    return rule->method.n == 0 && rule->path.n == 0 && rule->command.n == 0 && rule->query_n == 0 &&
           rule->params_n == 0 && !rule_is_graphql(rule);
}

bool endpoint_has_websocket_graphql(const struct endpoint *ep)
{
    if (!protocol_is(ep, "websocket"))
        return false;
    bool graphql = ep->persisted_queries.n > 0 || ep->registered_n > 0;
    for (size_t i = 0; i < ep->rules_n && !graphql; i++)
        graphql = rule_is_graphql(&ep->rules[i]);
    for (size_t i = 0; i < ep->deny_rules_n && !graphql; i++)
        graphql = rule_is_graphql(&ep->deny_rules[i]);
    return graphql;
}
