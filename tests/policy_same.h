// tests/policy_same.h: whether two policies are equal, field by field. An absent `config` equals an empty
// one.
#pragma once
#include "policy/policy.h"

static inline bool same_strs(const struct strs *a, const struct strs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = str_eq(a->v[i], b->v[i]);
    return same;
}

static inline bool same_matchers(const struct matcher *a, size_t a_n, const struct matcher *b, size_t b_n)
{
    bool same = a_n == b_n;
    for (size_t i = 0; same && i < a_n; i++)
        same = str_eq(a[i].key, b[i].key) && str_eq(a[i].glob, b[i].glob) && same_strs(&a[i].any, &b[i].any);
    return same;
}

static inline bool same_rules(const struct l7_rule *a, size_t a_n, const struct l7_rule *b, size_t b_n)
{
    bool same = a_n == b_n;
    for (size_t i = 0; same && i < a_n; i++)
        same = str_eq(a[i].method, b[i].method) && str_eq(a[i].path, b[i].path) &&
               str_eq(a[i].command, b[i].command) && str_eq(a[i].operation_type, b[i].operation_type) &&
               str_eq(a[i].operation_name, b[i].operation_name) && same_strs(&a[i].fields, &b[i].fields) &&
               same_matchers(a[i].query, a[i].query_n, b[i].query, b[i].query_n) &&
               same_matchers(a[i].params, a[i].params_n, b[i].params, b[i].params_n);
    return same;
}

static inline bool same_registered(const struct endpoint *a, const struct endpoint *b)
{
    bool same = a->registered_n == b->registered_n;
    for (size_t i = 0; same && i < a->registered_n; i++) {
        const struct graphql_registered *x = &a->registered[i], *y = &b->registered[i];
        same = str_eq(x->id, y->id) && str_eq(x->operation_type, y->operation_type) &&
               str_eq(x->operation_name, y->operation_name) && same_strs(&x->fields, &y->fields);
    }
    return same;
}

static inline bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    bool same = a->ports_n == b->ports_n;
    for (size_t i = 0; same && i < a->ports_n; i++)
        same = a->ports[i] == b->ports[i];
    return same && str_eq(a->host, b->host) && str_eq(a->path, b->path) && str_eq(a->protocol, b->protocol) &&
           str_eq(a->tls, b->tls) && str_eq(a->enforcement, b->enforcement) && str_eq(a->access, b->access) &&
           same_rules(a->rules, a->rules_n, b->rules, b->rules_n) &&
           same_rules(a->deny_rules, a->deny_rules_n, b->deny_rules, b->deny_rules_n) &&
           same_strs(&a->allowed_ips, &b->allowed_ips) && a->allow_encoded_slash == b->allow_encoded_slash &&
           a->websocket_credential_rewrite == b->websocket_credential_rewrite &&
           a->request_body_credential_rewrite == b->request_body_credential_rewrite &&
           a->allow_uninspected_credentials == b->allow_uninspected_credentials &&
           a->advisor_proposed == b->advisor_proposed &&
           a->provider_credentialed == b->provider_credentialed &&
           str_eq(a->persisted_queries, b->persisted_queries) && same_registered(a, b) &&
           a->graphql_max_body_bytes == b->graphql_max_body_bytes &&
           a->json_rpc_max_body_bytes == b->json_rpc_max_body_bytes && a->has_mcp == b->has_mcp &&
           a->strict_tool_names == b->strict_tool_names &&
           a->allow_all_known_mcp_methods == b->allow_all_known_mcp_methods &&
           str_eq(a->credential_signing, b->credential_signing) &&
           str_eq(a->signing_service, b->signing_service) && str_eq(a->signing_region, b->signing_region) &&
           str_eq(a->credential_provider, b->credential_provider);
}

static inline bool same_entry(const struct policy_entry *a, const struct policy_entry *b)
{
    bool same = str_eq(a->key, b->key) && str_eq(a->name, b->name) && a->endpoints_n == b->endpoints_n &&
                a->binaries_n == b->binaries_n;
    for (size_t i = 0; same && i < a->endpoints_n; i++)
        same = same_endpoint(&a->endpoints[i], &b->endpoints[i]);
    for (size_t i = 0; same && i < a->binaries_n; i++)
        same = str_eq(a->binaries[i].path, b->binaries[i].path) &&
               a->binaries[i].harness == b->binaries[i].harness;
    return same;
}

static inline bool same_value(const struct value *a, const struct value *b)
{
    bool same = a->kind == b->kind && a->boolean == b->boolean && str_eq(a->string, b->string) &&
                a->n == b->n && a->number == b->number;
    for (size_t i = 0; same && i < a->n; i++)
        same = same_value(&a->items[i], &b->items[i]) &&
               (a->kind != VALUE_MAP || str_eq(a->keys[i], b->keys[i]));
    return same;
}

static inline bool same_middleware(const struct middleware *a, const struct middleware *b)
{
    return str_eq(a->key, b->key) && str_eq(a->name, b->name) &&
           str_eq(a->implementation, b->implementation) && a->order == b->order &&
           ((a->config.n == 0 && b->config.n == 0) || same_value(&a->config, &b->config)) &&
           str_eq(a->on_error, b->on_error) && same_strs(&a->include, &b->include) &&
           same_strs(&a->exclude, &b->exclude);
}

static inline bool same_policy(const struct policy *a, const struct policy *b)
{
    bool same = a->version == b->version && a->has_filesystem == b->has_filesystem &&
                a->has_landlock == b->has_landlock && a->has_process == b->has_process &&
                a->filesystem.include_workdir == b->filesystem.include_workdir &&
                same_strs(&a->filesystem.read_only, &b->filesystem.read_only) &&
                same_strs(&a->filesystem.read_write, &b->filesystem.read_write) &&
                str_eq(a->landlock.compatibility, b->landlock.compatibility) &&
                str_eq(a->process.run_as_user, b->process.run_as_user) &&
                str_eq(a->process.run_as_group, b->process.run_as_group) && a->entries_n == b->entries_n &&
                a->middlewares_n == b->middlewares_n;
    for (size_t i = 0; same && i < a->entries_n; i++)
        same = same_entry(&a->entries[i], &b->entries[i]);
    for (size_t i = 0; same && i < a->middlewares_n; i++)
        same = same_middleware(&a->middlewares[i], &b->middlewares[i]);
    return same;
}
