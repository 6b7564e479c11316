#include "policy/policy.h"

static bool clone_matchers(const struct matcher *src, size_t n, struct arena *a, struct matcher **ret)
{
    struct matcher *v = arena_newn(a, struct matcher, n);
    if (!v)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!arena_dup(a, src[i].key, &v[i].key) || !arena_dup(a, src[i].glob, &v[i].glob) ||
            !policy_clone_strs(&src[i].any, a, &v[i].any))
            return false;
    *ret = v;
    return true;
}

static bool clone_rules(const struct l7_rule *src, size_t n, struct arena *a, struct l7_rule **ret)
{
    struct l7_rule *v = arena_newn(a, struct l7_rule, n);
    if (!v)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!policy_clone_rule(&src[i], a, &v[i]))
            return false;
    *ret = v;
    return true;
}

static bool clone_registered(const struct graphql_registered *src, size_t n, struct arena *a,
                             struct graphql_registered **ret)
{
    struct graphql_registered *v = arena_newn(a, struct graphql_registered, n);
    if (!v)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!arena_dup(a, src[i].id, &v[i].id) ||
            !arena_dup(a, src[i].operation_type, &v[i].operation_type) ||
            !arena_dup(a, src[i].operation_name, &v[i].operation_name) ||
            !policy_clone_strs(&src[i].fields, a, &v[i].fields))
            return false;
    *ret = v;
    return true;
}

// Values nest as deep as the file or the message they came from, and both bound that.
static bool clone_value(const struct value *src, struct arena *a, struct value *ret)
{
    struct value v = *src;
    if (!arena_dup(a, src->string, &v.string))
        return false;
    v.items = src->n > 0 ? arena_newn(a, struct value, src->n) : NULL;
    v.keys = src->n > 0 && src->kind == VALUE_MAP ? arena_newn(a, struct str, src->n) : NULL;
    if (src->n > 0 && (!v.items || (src->kind == VALUE_MAP && !v.keys)))
        return false;
    for (size_t i = 0; i < src->n; i++) {
        if (v.keys && !arena_dup(a, src->keys[i], &v.keys[i]))
            return false;
        if (!clone_value(&src->items[i], a, &v.items[i]))
            return false;
    }
    *ret = v;
    return true;
}

static bool clone_middleware(const struct middleware *src, struct arena *a, struct middleware *ret)
{
    struct middleware m = *src;
    bool ok = arena_dup(a, src->key, &m.key) && arena_dup(a, src->name, &m.name) &&
              arena_dup(a, src->implementation, &m.implementation) &&
              clone_value(&src->config, a, &m.config) && arena_dup(a, src->on_error, &m.on_error) &&
              policy_clone_strs(&src->include, a, &m.include) &&
              policy_clone_strs(&src->exclude, a, &m.exclude);
    if (ok)
        *ret = m;
    return ok;
}

bool policy_clone(const struct policy *src, struct arena *a, struct policy **ret)
{
    struct policy *p = arena_new(a, struct policy);
    if (!p)
        return false;
    *p = *src;
    p->entries = arena_newn(a, struct policy_entry, src->entries_n);
    p->middlewares = arena_newn(a, struct middleware, src->middlewares_n);
    bool ok = p->entries && p->middlewares &&
              policy_clone_strs(&src->filesystem.read_only, a, &p->filesystem.read_only) &&
              policy_clone_strs(&src->filesystem.read_write, a, &p->filesystem.read_write) &&
              arena_dup(a, src->landlock.compatibility, &p->landlock.compatibility) &&
              arena_dup(a, src->process.run_as_user, &p->process.run_as_user) &&
              arena_dup(a, src->process.run_as_group, &p->process.run_as_group);
    for (size_t i = 0; ok && i < src->entries_n; i++)
        ok = policy_clone_entry(&src->entries[i], a, &p->entries[i]);
    for (size_t i = 0; ok && i < src->middlewares_n; i++)
        ok = clone_middleware(&src->middlewares[i], a, &p->middlewares[i]);
    if (ok)
        *ret = p;
    return ok;
}

bool policy_clone_strs(const struct strs *src, struct arena *a, struct strs *ret)
{
    struct strs strs = {arena_newn(a, struct str, src->n), src->n};
    if (!strs.v)
        return false;
    for (size_t i = 0; i < src->n; i++)
        if (!arena_dup(a, src->v[i], &strs.v[i]))
            return false;
    *ret = strs;
    return true;
}

bool policy_clone_rule(const struct l7_rule *src, struct arena *a, struct l7_rule *ret)
{
    struct l7_rule r = *src;
    bool ok = arena_dup(a, src->method, &r.method) && arena_dup(a, src->path, &r.path) &&
              arena_dup(a, src->command, &r.command) &&
              clone_matchers(src->query, src->query_n, a, &r.query) &&
              arena_dup(a, src->operation_type, &r.operation_type) &&
              arena_dup(a, src->operation_name, &r.operation_name) &&
              policy_clone_strs(&src->fields, a, &r.fields) &&
              clone_matchers(src->params, src->params_n, a, &r.params);
    if (ok)
        *ret = r;
    return ok;
}

bool policy_clone_endpoint(const struct endpoint *src, struct arena *a, struct endpoint *ret)
{
    struct endpoint e = *src;
    e.ports = arena_newn(a, uint32_t, src->ports_n);
    if (!e.ports)
        return false;
    if (src->ports_n > 0)
        memcpy(e.ports, src->ports, src->ports_n * sizeof(*e.ports));
    bool ok = arena_dup(a, src->host, &e.host) && arena_dup(a, src->path, &e.path) &&
              arena_dup(a, src->protocol, &e.protocol) && arena_dup(a, src->tls, &e.tls) &&
              arena_dup(a, src->enforcement, &e.enforcement) && arena_dup(a, src->access, &e.access) &&
              clone_rules(src->rules, src->rules_n, a, &e.rules) &&
              clone_rules(src->deny_rules, src->deny_rules_n, a, &e.deny_rules) &&
              policy_clone_strs(&src->allowed_ips, a, &e.allowed_ips) &&
              arena_dup(a, src->persisted_queries, &e.persisted_queries) &&
              clone_registered(src->registered, src->registered_n, a, &e.registered) &&
              arena_dup(a, src->credential_signing, &e.credential_signing) &&
              arena_dup(a, src->signing_service, &e.signing_service) &&
              arena_dup(a, src->signing_region, &e.signing_region) &&
              arena_dup(a, src->credential_provider, &e.credential_provider);
    if (ok)
        *ret = e;
    return ok;
}

bool policy_clone_entry(const struct policy_entry *src, struct arena *a, struct policy_entry *ret)
{
    struct policy_entry e = {
        .endpoints = arena_newn(a, struct endpoint, src->endpoints_n),
        .endpoints_n = src->endpoints_n,
        .binaries = arena_newn(a, struct binary, src->binaries_n),
        .binaries_n = src->binaries_n,
    };
    bool ok = e.endpoints && e.binaries && arena_dup(a, src->key, &e.key) && arena_dup(a, src->name, &e.name);
    for (size_t i = 0; ok && i < src->endpoints_n; i++)
        ok = policy_clone_endpoint(&src->endpoints[i], a, &e.endpoints[i]);
    for (size_t i = 0; ok && i < src->binaries_n; i++) {
        e.binaries[i].harness = src->binaries[i].harness;
        ok = arena_dup(a, src->binaries[i].path, &e.binaries[i].path);
    }
    if (ok)
        *ret = e;
    return ok;
}
