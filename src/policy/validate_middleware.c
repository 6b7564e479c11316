// network_middlewares (reference 1.7).
#include "policy/validate_parts.h"

static const struct str on_errors[] = {STR_INIT("fail_closed"), STR_INIT("fail_open")};
static const struct words on_error_words = {"on_error", on_errors, ARRAY_LEN(on_errors)};

// The endpoints that no middleware can look into.
struct skipped {
    const struct policy_entry *entry;
    size_t index;
    const struct endpoint *ep;
    const struct glob *host; // NULL: hostless, or a host that has had its error
};

static void check_selector(struct check *c, struct str pattern)
{
    if (pattern.n == 0) {
        check_error(c, NULL, NULL, "a host pattern is empty");
        return;
    }
    struct str rest = pattern, label;
    while (str_split(&rest, '.', &label)) {
        if (label.n == 0) {
            check_error(c, NULL, NULL, "host pattern '%.*s' has an empty label", STR_FMT(pattern));
            return;
        }
    }
    if (str_has_any(pattern, "{}[]?\\"))
        check_error(c, NULL, "write one pattern for each alternative",
                    "host pattern '%.*s': only '*' and '**' are known here", STR_FMT(pattern));
    else if (str_has_any(pattern, " \t\r\n/:"))
        check_error(c, NULL, "write only the host name", "host pattern '%.*s' is not a host name",
                    STR_FMT(pattern));
    else
        (void)check_glob(c, NULL, GLOB_SELECTOR, pattern);
}

static void check_selectors(struct check *c, const char *key, const struct strs *patterns)
{
    for (size_t i = 0; i < patterns->n; i++) {
        size_t back = check_item(c, key, i);
        check_selector(c, patterns->v[i]);
        keypath_cut(&c->at, back);
    }
}

// ---- fail closed, and nothing to see
// ------------------------------------------------------------------------

static const struct glob *selector(struct check *c, struct str pattern)
{
    const struct glob *g = NULL;
    struct err ignored; // a broken pattern has had its error
    enum err_code r = glob_compile(GLOB_SELECTOR, pattern, &c->scratch, &g, &ignored);
    c->d->no_room |= r == ERR_LIMIT;
    return r == ERR_OK ? g : NULL;
}

// Fills out[] when it is not NULL; returns how many there are.
static size_t list_skipped(struct check *c, struct skipped *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->p->entries_n; i++) {
        const struct policy_entry *e = &c->p->entries[i];
        for (size_t k = 0; k < e->endpoints_n; k++) {
            const struct endpoint *ep = &e->endpoints[k];
            if (!str_eq(ep->tls, STR("skip")))
                continue;
            if (out)
                out[n] = (struct skipped){e, k, ep, ep->host.n > 0 ? selector(c, ep->host) : NULL};
            n++;
        }
    }
    return n;
}

// Whether `exclude` takes the whole of the endpoint's host language away; may miss, never errs.
static bool is_excluded(const struct skipped *s, struct str text, const struct glob *exclude)
{
    if (!s->host)
        return str_eq(text, STR("**"));
    return str_eq_ci(text, s->ep->host) || (!str_has(s->ep->host, '*') && glob_match(exclude, s->ep->host));
}

static bool is_selected(const struct middleware *m, const struct glob *include,
                        const struct glob *const *excludes, const struct skipped *s)
{
    if (s->ep->host.n > 0 && (!s->host || !glob_hosts_overlap(include, s->host)))
        return false;
    for (size_t i = 0; i < m->exclude.n; i++)
        if (excludes[i] && is_excluded(s, m->exclude.v[i], excludes[i]))
            return false;
    return true;
}

static void check_skipped(struct check *c, const struct middleware *m, const struct skipped *skipped,
                          size_t n)
{
    const struct glob **excludes = check_scratch(c, m->exclude.n, sizeof(const struct glob *));
    if (!excludes)
        return;
    for (size_t i = 0; i < m->exclude.n; i++)
        excludes[i] = selector(c, m->exclude.v[i]);
    for (size_t i = 0; i < m->include.n; i++) {
        const struct glob *include = selector(c, m->include.v[i]);
        size_t k = 0;
        while (include && k < n && !is_selected(m, include, excludes, &skipped[k]))
            k++;
        if (!include || k == n)
            continue;
        size_t back = check_item(c, "endpoints.include", i);
        check_error(
            c, NULL, "exclude that host, or write `on_error: fail_open`",
            "fail_closed middleware selects '%.*s', which overlaps %.*s.endpoints[%zu] with tls: skip",
            STR_FMT(m->include.v[i]), STR_FMT(skipped[k].entry->key), skipped[k].index);
        keypath_cut(&c->at, back);
    }
}

// ---- one middleware, and all
// --------------------------------------------------------------------------------

static void check_middleware(struct check *c, const struct middleware *m)
{
    if (m->implementation.n == 0)
        check_error(c, "middleware", "name the implementation, as in `middleware: openshell/regex`",
                    "middleware is required");
    check_word(c, "on_error", m->on_error, &on_error_words);
    size_t n = m->include.n + m->exclude.n;
    if (m->include.n == 0)
        check_error(c, "endpoints.include", "`include: [\"**\"]` selects every host", "include is required");
    if (n > POLICY_SELECTORS_MAX)
        check_error(c, "endpoints", NULL, "too many host patterns (%zu > %d)", n, POLICY_SELECTORS_MAX);
    check_selectors(c, "endpoints.include", &m->include);
    check_selectors(c, "endpoints.exclude", &m->exclude);
}

static struct str name_of(const struct middleware *m)
{
    return m->name.n > 0 ? m->name : m->key;
}

static void check_name(struct check *c, const struct middleware *all, size_t i)
{
    for (size_t k = 0; k < i && k < POLICY_MIDDLEWARES_MAX; k++) {
        if (!str_eq(name_of(&all[k]), name_of(&all[i])))
            continue;
        check_error(c, all[i].name.n > 0 ? "name" : NULL, "give each middleware a name of its own",
                    "name '%.*s' is that of middleware '%.*s' already", STR_FMT(name_of(&all[i])),
                    STR_FMT(all[k].key));
        return;
    }
}

static void check_order(struct check *c, const struct middleware *all, size_t i)
{
    for (size_t k = 0; k < i && k < POLICY_MIDDLEWARES_MAX; k++) {
        if (all[k].order != all[i].order)
            continue;
        check_error(c, "order", "give each middleware an order of its own",
                    "order %d is that of middleware '%.*s' already", (int)all[i].order, STR_FMT(all[k].key));
        return;
    }
}

void check_middlewares(struct check *c)
{
    const struct policy *p = c->p;
    size_t back = check_down(c, "network_middlewares");
    if (p->middlewares_n > POLICY_MIDDLEWARES_MAX)
        check_error(c, NULL, NULL, "too many middlewares (%zu > %d)", p->middlewares_n,
                    POLICY_MIDDLEWARES_MAX);
    // A policy over the limits has had its error; the comparisons below are bounded by them.
    size_t heeded = p->middlewares_n <= POLICY_MIDDLEWARES_MAX ? p->middlewares_n : 0;
    size_t skipped_n = heeded > 0 ? list_skipped(c, NULL) : 0;
    struct skipped *skipped = check_scratch(c, skipped_n, sizeof(*skipped));
    if (skipped && skipped_n > 0)
        (void)list_skipped(c, skipped);
    for (size_t i = 0; i < p->middlewares_n; i++) {
        const struct middleware *m = &p->middlewares[i];
        size_t here = keypath_key(&c->at, m->key);
        check_middleware(c, m);
        check_name(c, p->middlewares, i);
        check_order(c, p->middlewares, i);
        if (skipped && i < heeded && m->include.n + m->exclude.n <= POLICY_SELECTORS_MAX &&
            !str_eq(m->on_error, STR("fail_open")))
            check_skipped(c, m, skipped, skipped_n);
        keypath_cut(&c->at, here);
    }
    keypath_cut(&c->at, back);
}
