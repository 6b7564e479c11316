#include "policy/diff_words.h"
#include "policy/grant.h"

#include "base/utf8.h"

static bool grow(struct diff *d)
{
    size_t cap = d->cap ? d->cap * 2 : 16;
    struct change *v = arena_newn(d->a, struct change, cap);
    if (!v)
        return false;
    if (d->n > 0)
        memcpy(v, d->v, d->n * sizeof(*v));
    d->v = v;
    d->cap = cap;
    return true;
}

void diff_add(struct diff *d, enum change_kind kind, enum change_effect effect, bool is_static,
              const char *fmt, ...)
{
    char text[1500];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    utf8_clean(text, strlen(text));
    struct change c = {.kind = kind, .effect = effect, .is_static = is_static};
    if ((d->n == d->cap && !grow(d)) || !arena_dup(d->a, keypath_str(&d->at), &c.path) ||
        !arena_dup(d->a, str_of(text), &c.text))
        d->no_room = true;
    else
        d->v[d->n++] = c;
}

size_t diff_enter(struct diff *d, const char *name)
{
    size_t before = d->at.n;
    struct str key;
    for (struct str rest = str_of(name); rest.n > 0 && str_split(&rest, '.', &key);)
        (void)keypath_key(&d->at, key);
    return before;
}

static void PRINTF(2, 3) add(struct words *w, const char *fmt, ...)
{
    size_t n = strlen(w->b);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->b + n, sizeof(w->b) - n, fmt, ap);
    va_end(ap);
}

struct words diff_str(struct str s)
{
    struct words w = {};
    if (s.n > 0)
        add(&w, "'%.*s'", STR_FMT(s));
    else
        add(&w, "none");
    return w;
}

struct words diff_binaries(const struct policy_entry *e)
{
    struct words w = {};
    if (e->binaries_n == 0)
        add(&w, "a rule without binaries");
    size_t shown = e->binaries_n > 3 ? 2 : e->binaries_n;
    for (size_t i = 0; i < shown; i++)
        add(&w, "%s%.*s",
            i == 0                   ? ""
            : i + 1 == e->binaries_n ? " and "
                                     : ", ",
            STR_FMT(e->binaries[i].path));
    if (shown < e->binaries_n)
        add(&w, " and %zu more", e->binaries_n - shown);
    return w;
}

struct words diff_where(const struct endpoint *e)
{
    struct words w = {};
    if (e->host.n > 0)
        add(&w, "%.*s", STR_FMT(e->host));
    else
        add(&w, "any host at %.*s%s",
            STR_FMT(e->allowed_ips.n > 0 ? e->allowed_ips.v[0] : STR("its addresses")),
            e->allowed_ips.n > 1 ? ", …" : "");
    for (size_t i = 0; i < e->ports_n; i++)
        add(&w, "%c%u", i == 0 ? ':' : ',', e->ports[i]);
    if (!grant_same_path(e->path, (struct str){}))
        add(&w, "%.*s", STR_FMT(e->path));
    return w;
}

struct words diff_contract(const struct endpoint *e)
{
    struct words w = {};
    if (!grant_is_inspected(e)) {
        add(&w, "%s", e->protocol.n > 0 ? "tcp, not inspected" : "not inspected");
        return w;
    }
    add(&w, "%.*s, %.*s", STR_FMT(e->protocol),
        STR_FMT(e->enforcement.n > 0 ? e->enforcement : STR("audit")));
    if (e->access.n > 0)
        add(&w, ", access %.*s", STR_FMT(e->access));
    if (e->rules_n > 0)
        add(&w, ", %zu allow rule%s", e->rules_n, e->rules_n == 1 ? "" : "s");
    if (e->deny_rules_n > 0)
        add(&w, ", %zu deny rule%s", e->deny_rules_n, e->deny_rules_n == 1 ? "" : "s");
    return w;
}

static void add_matchers(struct words *w, const char *what, const struct matcher *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add(w, "%s%s %.*s=", i == 0 ? " with " : ", ", what, STR_FMT(m[i].key));
        if (m[i].any.n == 0)
            add(w, "%.*s", STR_FMT(m[i].glob));
        for (size_t k = 0; k < m[i].any.n; k++)
            add(w, "%s%.*s", k == 0 ? "" : "|", STR_FMT(m[i].any.v[k]));
    }
}

static void add_verb(struct words *w, const struct l7_rule *r, const char *where)
{
    if (r->operation_type.n > 0 || r->operation_name.n > 0 || r->fields.n > 0) {
        struct str type = str_eq(r->operation_type, STR("*")) ? STR("operation") : r->operation_type;
        add(w, "run any GraphQL %.*s", STR_FMT(type));
        if (r->operation_name.n > 0)
            add(w, " named %.*s", STR_FMT(r->operation_name));
        for (size_t i = 0; i < r->fields.n; i++)
            add(w, "%s%.*s", i == 0 ? " of " : ", ", STR_FMT(r->fields.v[i]));
        add(w, " on %s", where);
        return;
    }
    if (r->command.n > 0)
        add(w, "run SQL %.*s on %s", STR_FMT(r->command), where);
    else if (str_eq(r->method, STR("WEBSOCKET_TEXT")))
        add(w, "send WebSocket messages to %s", where);
    else if (str_eq(r->method, STR("*")))
        add(w, "use any method on %s", where);
    else
        add(w, "%.*s to %s", STR_FMT(r->method.n > 0 ? r->method : STR("talk")), where);
}

struct words diff_rule(const struct l7_rule *r, const struct endpoint *e)
{
    struct words w = {}, where = diff_where(e);
    bool is_rpc = str_eq(e->protocol, STR("mcp")) || str_eq(e->protocol, STR("json-rpc"));
    if (is_rpc && str_eq(r->method, STR("*")))
        add(&w, "call any method on %s", where.b);
    else if (is_rpc && r->method.n > 0)
        add(&w, "call %.*s on %s", STR_FMT(r->method), where.b);
    else
        add_verb(&w, r, where.b);
    if (r->path.n > 0 && !str_eq(r->path, STR("**")))
        add(&w, " under %.*s", STR_FMT(r->path));
    add_matchers(&w, "query", r->query, r->query_n);
    add_matchers(&w, "parameter", r->params, r->params_n);
    return w;
}
