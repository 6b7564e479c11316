#include "supervisor/credentials.h"

#include "policy/glob.h"
#include "supervisor/credentials_given.h"

enum { SET_ARENA_MAX = 8 * MIB, SHAPE_SEED = 1 };

struct binding {
    const struct glob *host, *path; // path NULL: any
    uint16_t port;
};

struct credential {
    struct str key, identity, handle, shaped;
    enum placeholder_form form;
    struct secret value;
    bool refused; // it could not be written into a request
    int64_t expires_at_ms;
    struct binding *bindings;
    size_t bindings_n;
};

struct set {
    struct arena arena;
    uint64_t revision;
    struct credential *v;
    size_t n;
    struct str *literals; // "NAME=value"
    size_t literals_n;
};

struct past { // which identity a key was
    struct arena arena;
    uint64_t revision;
    struct str *keys, *identities;
    size_t n;
};

struct credentials {
    struct set now;
    struct past past[CREDENTIAL_GENERATIONS - 1]; // newest first
    size_t past_n;
};

static void set_done(struct set *s)
{
    for (size_t i = 0; i < s->n; i++)
        secret_done(&s->v[i].value);
    arena_done(&s->arena);
    *s = (struct set){};
}

enum err_code credentials_new(struct credentials **ret, struct err *e)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? ERR_OK : err_set(e, ERR_LIMIT, "no memory for the credentials");
}

void credentials_revoke(struct credentials *c)
{
    set_done(&c->now);
    for (size_t i = 0; i < c->past_n; i++)
        arena_done(&c->past[i].arena);
    c->past_n = 0;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    credentials_revoke(c);
    free(c);
}

// ---- forms
// ---------------------------------------------------------------------------------------------------

// Beginnings that vendors publish, and that SDKs look for. No other part of a value is shown.
static const struct str prefixes[] = {
    STR_INIT("sk-ant-api03-"), STR_INIT("sk-ant-oat01-"), STR_INIT("sk-ant-"), STR_INIT("sk-proj-"),
    STR_INIT("sk-or-v1-"),     STR_INIT("sk-"),           STR_INIT("ghp_"),    STR_INIT("gho_"),
    STR_INIT("ghu_"),          STR_INIT("ghs_"),          STR_INIT("glpat-"),  STR_INIT("github_pat_"),
    STR_INIT("nvapi-"),        STR_INIT("xoxb-"),         STR_INIT("xoxp-"),   STR_INIT("hf_"),
    STR_INIT("AIza"),          STR_INIT("ya29."),
};

static struct str prefix_of(struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts(value, prefixes[i]))
            return prefixes[i];
    return STR("");
}

// As long as the value, in hex digits behind a published beginning. Nothing in it depends on the rest of the
// value but its length.
static enum err_code shape(struct credential *x, struct str value, struct arena *a, struct err *e)
{
    struct str prefix = prefix_of(value);
    if (value.n < prefix.n + PLACEHOLDER_SHAPED_MIN || value.n > PLACEHOLDER_MAX)
        return err_set(e, ERR_INVALID,
                       "credential '%.*s': a value of %zu bytes has no shaped form, which takes %zu to %d",
                       STR_FMT(x->key), value.n, prefix.n + PLACEHOLDER_SHAPED_MIN, PLACEHOLDER_MAX);
    char text[PLACEHOLDER_MAX + 32];
    (void)snprintf(text, sizeof(text), "%s%s%016llx", prefix.p, PLACEHOLDER_SHAPED_MARK.p,
                   (unsigned long long)str_hash(x->key, SHAPE_SEED));
    for (size_t n = strlen(text); n < value.n; n++)
        text[n] = "0123456789abcdef"[(n * 7 + x->key.n) % 16];
    return arena_dup(a, (struct str){text, value.n}, &x->shaped) ? ERR_OK
                                                                 : arena_limit(a, "the credentials", e);
}

static enum err_code text_of(const struct credential *x, uint64_t revision, struct arena *a, struct str *ret,
                             struct err *e)
{
    struct str prefix = prefix_of(secret_expose(&x->value));
    bool ok;
    if (x->handle.n > 0)
        ok = arena_fmt(a, ret, "%s=%ss%s_%s", x->key.p, PLACEHOLDER_CANONICAL_MARK.p, x->handle.p, x->key.p);
    else if (x->form == PLACEHOLDER_SHAPED)
        ok = arena_fmt(a, ret, "%s=%s", x->key.p, x->shaped.p);
    else if (x->form == PLACEHOLDER_ALIAS)
        ok = arena_fmt(a, ret, "%s=%s%s%s", x->key.p, prefix.n > 0 ? prefix.p : "key-",
                       PLACEHOLDER_ALIAS_MARK.p, x->key.p);
    else if (revision > 0)
        ok = arena_fmt(a, ret, "%s=%sv%llu_%s", x->key.p, PLACEHOLDER_CANONICAL_MARK.p,
                       (unsigned long long)revision, x->key.p);
    else
        ok = arena_fmt(a, ret, "%s=%s%s", x->key.p, PLACEHOLDER_CANONICAL_MARK.p, x->key.p);
    return ok ? ERR_OK : arena_limit(a, "the credentials' placeholders", e);
}

enum err_code credentials_env(const struct credentials *c, struct arena *a, struct strs *ret, struct err *e)
{
    const struct set *s = &c->now;
    struct str *v = arena_newn(a, struct str, s->n + s->literals_n);
    if (!v)
        return arena_limit(a, "the credentials' placeholders", e);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < s->n; i++)
        r = text_of(&s->v[i], s->revision, a, &v[i], e);
    for (size_t i = 0; r == ERR_OK && i < s->literals_n; i++)
        r = arena_dup(a, s->literals[i], &v[s->n + i]) ? ERR_OK
                                                       : arena_limit(a, "the credentials' variables", e);
    *ret = (struct strs){.v = v, .n = s->n + s->literals_n};
    return r;
}

// ---- a new set
// -----------------------------------------------------------------------------------------------

static bool is_name(struct str key)
{
    return placeholder_is_key(key) && !char_is_digit(key.p[0]) && key.n <= PLACEHOLDER_MAX / 4;
}

static bool is_handle(struct str handle)
{
    bool ok = handle.n == PLACEHOLDER_HANDLE_LEN;
    for (size_t i = 0; ok && i < handle.n; i++)
        ok = char_is_digit(handle.p[i]) || (handle.p[i] >= 'a' && handle.p[i] <= 'f');
    return ok;
}

// A host that is nothing but stars would be bound to nothing.
static bool is_bound_host(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] != '*' && host.p[i] != '.')
            return true;
    return false;
}

static enum err_code bind_one(const struct credential_endpoint *from, struct str key, struct arena *a,
                              struct binding *ret, struct err *e)
{
    struct str host, path;
    if (from->port == 0 || from->port > UINT16_MAX)
        return err_set(e, ERR_INVALID, "credential '%.*s': port %llu is not in 1..65535", STR_FMT(key),
                       (unsigned long long)from->port);
    if (!is_bound_host(from->host))
        return err_set(e, ERR_INVALID, "credential '%.*s': host '%.*s' binds it to nothing", STR_FMT(key),
                       STR_FMT(from->host));
    if (!arena_dup(a, from->host, &host) || !arena_dup(a, from->path, &path))
        return arena_limit(a, "the credentials", e);
    ret->port = (uint16_t)from->port;
    enum err_code r = glob_compile(GLOB_SELECTOR, host, a, &ret->host, e);
    if (r == ERR_OK && path.n > 0)
        r = glob_compile(GLOB_SCOPE, path, a, &ret->path, e);
    return r == ERR_OK ? r : err_wrap(e, r, "credential '%.*s'", STR_FMT(key));
}

static bool is_writable(struct str value)
{
    bool ok = value.n > 0 && value.n <= CREDENTIAL_VALUE_MAX;
    for (size_t i = 0; ok && i < value.n; i++)
        ok = value.p[i] != '\r' && value.p[i] != '\n' && value.p[i] != '\0';
    return ok;
}

static enum err_code take_bound(struct set *s, const struct credential_given *g, struct err *e)
{
    struct credential *x = &s->v[s->n];
    struct arena *a = &s->arena;
    if (g->identity.n == 0 || g->endpoints_n == 0)
        return err_set(e, ERR_INVALID, "credential '%.*s': %s", STR_FMT(g->key),
                       g->identity.n == 0 ? "no identity" : "no endpoint that it is bound to");
    if (g->endpoints_n > CREDENTIAL_ENDPOINTS_MAX)
        return err_set(e, ERR_LIMIT, "credential '%.*s': more than %d endpoints", STR_FMT(g->key),
                       CREDENTIAL_ENDPOINTS_MAX);
    if (g->handle.n > 0 && !is_handle(g->handle))
        return err_set(e, ERR_INVALID, "credential '%.*s': a handle that is not 64 hex digits",
                       STR_FMT(g->key));
    *x = (struct credential){.form = g->form, .refused = !is_writable(g->value)};
    x->expires_at_ms = g->expires_at_ms;
    x->bindings = arena_newn(a, struct binding, g->endpoints_n);
    if (!x->bindings || !arena_dup(a, g->key, &x->key) || !arena_dup(a, g->identity, &x->identity) ||
        !arena_dup(a, g->handle, &x->handle))
        return arena_limit(a, "the credentials", e);
    enum err_code r = secret_init(&x->value, g->value, e);
    if (r != ERR_OK)
        return r;
    s->n++; // set_done wipes it from here on
    for (; r == ERR_OK && x->bindings_n < g->endpoints_n; x->bindings_n++)
        r = bind_one(&g->endpoints[x->bindings_n], x->key, a, &x->bindings[x->bindings_n], e);
    return r == ERR_OK && x->form == PLACEHOLDER_SHAPED ? shape(x, g->value, a, e) : r;
}

static enum err_code take_literal(struct set *s, const struct credential_given *g, struct err *e)
{
    if (memchr(g->value.n > 0 ? g->value.p : "", '\0', g->value.n))
        return err_set(e, ERR_INVALID, "variable '%.*s': a NUL in its value", STR_FMT(g->key));
    return arena_fmt(&s->arena, &s->literals[s->literals_n++], "%.*s=%.*s", (int)g->key.n, g->key.p,
                     (int)g->value.n, g->value.n > 0 ? g->value.p : "")
               ? ERR_OK
               : arena_limit(&s->arena, "the credentials", e);
}

static enum err_code build(struct set *s, uint64_t revision, const struct credential_given *v, size_t n,
                           struct err *e)
{
    arena_init(&s->arena, SET_ARENA_MAX);
    s->revision = revision;
    if (n > CREDENTIALS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d credentials and variables", CREDENTIALS_MAX);
    s->v = arena_newn(&s->arena, struct credential, n);
    s->literals = arena_newn(&s->arena, struct str, n);
    if (!s->v || !s->literals)
        return arena_limit(&s->arena, "the credentials", e);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (str_eq(v[k].key, v[i].key))
                return err_set(e, ERR_INVALID, "credential '%.*s' is given twice", STR_FMT(v[i].key));
        if (!is_name(v[i].key))
            return err_set(e, ERR_INVALID, "'%.*s' is no name of a variable", STR_FMT(v[i].key));
        if (placeholder_is_reserved(v[i].key))
            continue; // it would read as a revision or a handle of another (reference 4.1)
        if (v[i].bound)
            r = take_bound(s, &v[i], e);
        else if (v[i].literal)
            r = take_literal(s, &v[i], e);
    }
    return r;
}

// Best effort: a revision that is not remembered gives no value.
static void remember(struct credentials *c)
{
    struct past p = {.revision = c->now.revision};
    const struct set *s = &c->now;
    if (s->n == 0)
        return;
    arena_init(&p.arena, MIB);
    p.keys = arena_newn(&p.arena, struct str, s->n);
    p.identities = arena_newn(&p.arena, struct str, s->n);
    if (!p.keys || !p.identities) {
        arena_done(&p.arena);
        return;
    }
    for (; p.n < s->n; p.n++)
        if (!arena_dup(&p.arena, s->v[p.n].key, &p.keys[p.n]) ||
            !arena_dup(&p.arena, s->v[p.n].identity, &p.identities[p.n]))
            break;
    if (c->past_n == ARRAY_LEN(c->past))
        arena_done(&c->past[--c->past_n].arena);
    memmove(c->past + 1, c->past, c->past_n * sizeof(p));
    c->past[0] = p;
    c->past_n++;
}

enum err_code credentials_put(struct credentials *c, uint64_t revision, const struct credential_given *v,
                              size_t n, struct err *e)
{
    struct set next = {};
    enum err_code r = build(&next, revision, v, n, e);
    if (r != ERR_OK) {
        set_done(&next);
        credentials_revoke(c);
        return r;
    }
    if (revision != c->now.revision)
        remember(c);
    set_done(&c->now);
    c->now = next;
    return ERR_OK;
}

// ---- asking
// -------------------------------------------------------------------------------------------------

uint64_t credentials_revision(const struct credentials *c)
{
    return c->now.revision;
}

size_t credentials_count(const struct credentials *c)
{
    return c->now.n;
}

static const struct credential *find(const struct set *s, struct str key)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->v[i].key, key))
            return &s->v[i];
    return NULL;
}

static const struct past *past_of(const struct credentials *c, uint64_t revision)
{
    for (size_t i = 0; i < c->past_n; i++)
        if (c->past[i].revision == revision)
            return &c->past[i];
    return NULL;
}

// Whether KEY of that revision was the identity that `x` is.
static bool same_identity(const struct credentials *c, uint64_t revision, const struct credential *x)
{
    if (revision == c->now.revision)
        return true;
    const struct past *p = past_of(c, revision);
    for (size_t i = 0; p && i < p->n; i++)
        if (str_eq(p->keys[i], x->key))
            return str_eq(p->identities[i], x->identity);
    return false;
}

static const struct credential *find_shaped(const struct set *s, struct str text)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].shaped.n > 0 && str_eq(s->v[i].shaped, text))
            return &s->v[i];
    return NULL;
}

static const struct credential *meant(const struct credentials *c, struct str text)
{
    struct placeholder p;
    if (!placeholder_parse(text, &p))
        return NULL;
    const struct credential *x = p.form == PLACEHOLDER_SHAPED ? find_shaped(&c->now, text)
                                                              : find(&c->now, p.key);
    if (!x)
        return NULL;
    switch (p.form) {
    case PLACEHOLDER_REVISION:
        return same_identity(c, p.revision, x) ? x : NULL;
    case PLACEHOLDER_HANDLE:
        return str_eq(x->handle, p.handle) ? x : NULL;
    case PLACEHOLDER_PLAIN:
    case PLACEHOLDER_ALIAS:
    case PLACEHOLDER_SHAPED:
        break;
    }
    return x->handle.n == 0 ? x : NULL; // bound to an identity: only forms that say which (reference 4.1)
}

static bool is_bound_to(const struct credential *x, const struct credential_place *where)
{
    for (size_t i = 0; i < x->bindings_n; i++) {
        const struct binding *b = &x->bindings[i];
        if (b->port == where->port && glob_match(b->host, where->host) &&
            (!b->path || glob_match(b->path, where->path)))
            return true;
    }
    return false;
}

enum err_code credentials_resolve(const struct credentials *c, struct str placeholder,
                                  const struct credential_place *where, int64_t now_ms, struct str *ret,
                                  struct err *e)
{
    const struct credential *x = meant(c, placeholder);
    if (!x)
        return err_set(e, ERR_NOT_FOUND, "the placeholder stands for no credential of this sandbox");
    if (!is_bound_to(x, where))
        return err_set(e, ERR_DENIED, "credential '%.*s' is not bound to that endpoint", STR_FMT(x->key));
    if (x->expires_at_ms != 0 && x->expires_at_ms <= now_ms)
        return err_set(e, ERR_NOT_FOUND, "credential '%.*s' has expired", STR_FMT(x->key));
    if (x->refused)
        return err_set(e, ERR_NOT_FOUND, "credential '%.*s' has a value that fits no request",
                       STR_FMT(x->key));
    *ret = secret_expose(&x->value);
    return ERR_OK;
}
