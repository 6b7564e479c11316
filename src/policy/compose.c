#include "policy/grant.h"
#include "policy/merge.h"

// ---- provider layers
// -----------------------------------------------------------------------------------------

static bool is_taken(const struct policy *p, struct str key)
{
    for (size_t i = 0; i < p->entries_n; i++)
        if (str_eq(p->entries[i].key, key))
            return true;
    return false;
}

static bool sanitise(struct str name, struct arena *a, struct str *ret)
{
    char *p = arena_alloc(a, name.n);
    if (!p)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = char_lower(name.p[i]);
        p[i] = (c >= 'a' && c <= 'z') || char_is_digit(c) ? c : '_';
    }
    struct str s = {p, name.n};
    while (s.n > 0 && s.p[0] == '_')
        s = str_from(s, 1);
    while (s.n > 0 && s.p[s.n - 1] == '_')
        s.n--;
    *ret = s.n > 0 ? s : STR("unnamed");
    return true;
}

// A name may be longer than a printf field can say, so it is put together by hand.
static bool layer_key(const struct policy *p, struct str provider, struct arena *a, struct str *ret)
{
    static const struct str prefix = STR_INIT("_provider_");
    struct str name;
    char suffix[24] = "";
    if (!sanitise(provider, a, &name))
        return false;
    char *b = arena_alloc(a, prefix.n + name.n + sizeof(suffix));
    if (!b)
        return false;
    memcpy(b, prefix.p, prefix.n);
    memcpy(b + prefix.n, name.p, name.n);
    struct str key = {b, prefix.n + name.n};
    for (size_t i = 2; is_taken(p, key); i++) {
        int n = snprintf(suffix, sizeof(suffix), "_%zu", i);
        memcpy(b + prefix.n + name.n, suffix, (size_t)n);
        key.n = prefix.n + name.n + (size_t)n;
    }
    *ret = key;
    return true;
}

enum err_code policy_compose(const struct policy *base, const struct provider_layer *layers, size_t n,
                             struct arena *a, struct policy **ret, struct err *reterr)
{
    struct policy *p;
    size_t room;
    struct policy_entry *v = add_ok(base->entries_n, n, &room) ? arena_newn(a, struct policy_entry, room)
                                                               : NULL;
    if (!v || !policy_clone(base, a, &p))
        return arena_limit(a, "the composed policy", reterr);
    size_t kept = 0;
    for (size_t i = 0; i < p->entries_n; i++)
        if (!grant_is_provider_key(p->entries[i].key))
            v[kept++] = p->entries[i];
    p->entries = v;
    p->entries_n = kept;
    for (size_t i = 0; i < n; i++) {
        struct policy_entry *e = &v[p->entries_n];
        if (!policy_clone_entry(layers[i].entry, a, e) || !layer_key(p, layers[i].provider, a, &e->key))
            return arena_limit(a, "the composed policy", reterr);
        e->name = (struct str){};
        p->entries_n++;
    }
    *ret = p;
    return ERR_OK;
}

// ---- is a rule loaded?
// ---------------------------------------------------------------------------------------

static bool covers_endpoint(const struct endpoint *have, const struct endpoint *want)
{
    if (!str_eq_ci(have->host, want->host))
        return false;
    for (size_t i = 0; i < want->ports_n; i++)
        if (!grant_has_port(have, want->ports[i]))
            return false;
    return (want->protocol.n == 0 || str_eq(have->protocol, want->protocol)) &&
           (want->path.n == 0 || grant_same_path(have->path, want->path)) && grant_covers_rules(have, want);
}

static bool covers_entry(const struct policy_entry *have, const struct policy_entry *want)
{
    for (size_t i = 0; have->binaries_n > 0 && i < want->binaries_n; i++)
        if (!grant_has_binary(have, want->binaries[i].path))
            return false;
    for (size_t i = 0; i < want->endpoints_n; i++) {
        size_t k = 0;
        while (k < have->endpoints_n && !covers_endpoint(&have->endpoints[k], &want->endpoints[i]))
            k++;
        if (k == have->endpoints_n)
            return false;
    }
    return true;
}

bool policy_covers(const struct policy *p, const struct policy_entry *rule)
{
    for (size_t i = 0; i < p->entries_n; i++)
        if (covers_entry(&p->entries[i], rule))
            return true;
    return false;
}

// ---- may it replace the policy of a live sandbox?
// ------------------------------------------------------------

static enum err_code check_paths(const struct strs *now, const struct strs *next, const char *list,
                                 struct err *reterr)
{
    for (size_t i = 0; i < now->n; i++) {
        size_t k = 0;
        while (k < next->n && !str_eq(now->v[i], next->v[k]))
            k++;
        if (k == next->n)
            return err_set(reterr, ERR_INVALID,
                           "filesystem %s path '%.*s' cannot be removed on a live sandbox", list,
                           STR_FMT(now->v[i]));
    }
    return ERR_OK;
}

static bool is_same_word(struct str a, struct str b, struct str silence)
{
    return str_eq(a.n > 0 ? a : silence, b.n > 0 ? b : silence);
}

enum err_code policy_check_live(const struct policy *now, const struct policy *next, struct err *reterr)
{
    if (now->has_filesystem && !next->has_filesystem)
        return err_set(reterr, ERR_INVALID, "filesystem policy cannot be removed on a live sandbox");
    if (now->filesystem.include_workdir != next->filesystem.include_workdir)
        return err_set(reterr, ERR_INVALID, "filesystem include_workdir cannot be changed on a live sandbox");
    enum err_code r = check_paths(&now->filesystem.read_only, &next->filesystem.read_only, "read_only",
                                  reterr);
    if (r == ERR_OK)
        r = check_paths(&now->filesystem.read_write, &next->filesystem.read_write, "read_write", reterr);
    if (r != ERR_OK)
        return r;
    if (!is_same_word(now->landlock.compatibility, next->landlock.compatibility, STR("best_effort")))
        return err_set(reterr, ERR_INVALID, "landlock policy cannot be changed on a live sandbox");
    if (!str_eq(now->process.run_as_user, next->process.run_as_user) ||
        !str_eq(now->process.run_as_group, next->process.run_as_group))
        return err_set(reterr, ERR_INVALID, "process policy cannot be changed on a live sandbox");
    return ERR_OK;
}
