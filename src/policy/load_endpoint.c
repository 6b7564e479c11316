// Entries of network_policies: endpoints, rules, matchers, binaries (reference 1.4). What only the file can
// show is refused here: an empty list of rules, `port` beside `ports`, a malformed matcher, `tool` beside
// params.name.
#include "policy/bind.h"

#define FIELD(type, member, key, fn)                                                                         \
    {                                                                                                        \
        STR_INIT(key), (fn), offsetof(type, member), false                                                   \
    }

static const struct yaml_item *find_item(const struct yaml_node *map, struct str key)
{
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(map->items[i].key->text, key))
            return &map->items[i];
    return NULL;
}

static void keep_item(struct binder *b, const struct yaml_item *item, void *field)
{
    (void)b;
    *(const struct yaml_item **)field = item;
}

// ---- matchers
// -----------------------------------------------------------------------------------------------

static const char matcher_hint[] = "write a glob in quotes, or {any: [\"a\", \"b\"]}";

static void bind_any(struct binder *b, const struct yaml_item *item, void *field)
{
    struct strs *any = field;
    bind_strs(b, item, any);
    if (item->value->kind == NODE_LIST && item->value->n == 0)
        bind_error(b, yaml_place(item), matcher_hint, "'any' needs at least one glob");
}

static const struct bind_field matcher_fields[] = {
    FIELD(struct matcher, glob, "glob", bind_str),
    FIELD(struct matcher, any, "any", bind_any),
};

static void bind_matcher(struct binder *b, const struct yaml_item *item, void *field)
{
    struct matcher *m = field;
    const struct yaml_node *node = item->value;
    if (node->kind == NODE_STRING) {
        (void)bind_dup(b, node->text, &m->glob);
    } else if (node->kind == NODE_MAP) {
        bind_map(b, item, BIND_TABLE(matcher_fields, "a matcher", matcher_hint), m);
        bool glob = find_item(node, STR("glob")), any = find_item(node, STR("any"));
        if (glob == any && (glob || node->n == 0)) // an unknown key alone was reported already
            bind_error(b, yaml_place(item), matcher_hint, "a matcher has exactly one of 'glob' and 'any'");
    } else {
        bind_expected(b, item, "a matcher", matcher_hint);
    }
}

static void bind_query(struct binder *b, const struct yaml_item *item, void *field)
{
    struct l7_rule *rule = field;
    struct bind_array how = {BIND_KEYED, sizeof(struct matcher), bind_matcher, "a mapping of matchers",
                             "write {name: \"glob\"}"};
    rule->query = bind_array(b, item, &how, &rule->query_n);
}

// ---- params, a tree flattened with dots
// ---------------------------------------------------------------------

// A mapping that is not a matcher goes one level down.
static bool is_branch(const struct yaml_node *node)
{
    return node->kind == NODE_MAP && node->n > 0 && !find_item(node, STR("any")) &&
           !find_item(node, STR("glob"));
}

static size_t count_leaves(const struct yaml_node *node)
{
    size_t n = 0;
    for (size_t i = 0; i < node->n; i++)
        n += is_branch(node->items[i].value) ? count_leaves(node->items[i].value) : 1;
    return n;
}

static bool join_key(struct binder *b, struct str head, struct str tail, struct str *ret)
{
    if (head.n == 0)
        return bind_dup(b, tail, ret);
    char *p = arena_alloc(b->a, head.n + 1 + tail.n + 1);
    if (!p) {
        b->no_room = true;
        return false;
    }
    memcpy(p, head.p, head.n);
    p[head.n] = '.';
    memcpy(p + head.n + 1, tail.p, tail.n);
    *ret = (struct str){p, head.n + 1 + tail.n};
    return true;
}

// Goes as deep as the file is nested: POLICY_DEPTH_MAX.
static void bind_leaves(struct binder *b, const struct yaml_node *node, struct str head, struct l7_rule *rule)
{
    for (size_t i = 0; i < node->n && !b->no_room; i++) {
        const struct yaml_item *item = &node->items[i];
        size_t at = keypath_key(&b->path, item->key->text);
        struct str key;
        if (join_key(b, head, item->key->text, &key)) {
            if (is_branch(item->value)) {
                bind_leaves(b, item->value, key, rule);
            } else {
                struct matcher *m = &rule->params[rule->params_n++];
                m->key = key;
                bind_matcher(b, item, m);
            }
        }
        keypath_cut(&b->path, at);
    }
}

// ---- rules
// --------------------------------------------------------------------------------------------------

struct rule_file {
    struct l7_rule rule;
    const struct yaml_item *tool, *params; // joined when both are known
};

static const struct bind_field rule_fields[] = {
    FIELD(struct rule_file, rule.method, "method", bind_str),
    FIELD(struct rule_file, rule.path, "path", bind_str),
    FIELD(struct rule_file, rule.command, "command", bind_str),
    FIELD(struct rule_file, rule, "query", bind_query),
    FIELD(struct rule_file, rule.operation_type, "operation_type", bind_str),
    FIELD(struct rule_file, rule.operation_name, "operation_name", bind_str),
    FIELD(struct rule_file, rule.fields, "fields", bind_strs),
    FIELD(struct rule_file, tool, "tool", keep_item),
    FIELD(struct rule_file, params, "params", keep_item),
};

static void bind_params(struct binder *b, struct rule_file *f)
{
    const struct yaml_node *params = f->params ? f->params->value : NULL;
    if (params && params->kind != NODE_MAP) {
        size_t at = keypath_key(&b->path, STR("params"));
        const char *hint = params->kind == NODE_NULL ? "write {} or remove the key"
                                                     : "write {name: \"glob\"}";
        bind_expected(b, f->params, "a mapping of matchers", hint);
        keypath_cut(&b->path, at);
        params = NULL;
    }
    size_t n = (f->tool ? 1 : 0) + (params ? count_leaves(params) : 0);
    if (n == 0)
        return;
    f->rule.params = arena_newn(b->a, struct matcher, n);
    if (!f->rule.params) {
        b->no_room = true;
        return;
    }
    if (f->tool) {
        size_t at = keypath_key(&b->path, STR("tool"));
        struct matcher *m = &f->rule.params[f->rule.params_n++];
        m->key = STR("name");
        bind_matcher(b, f->tool, m);
        if (params && find_item(params, m->key))
            bind_error(b, f->tool->key->at, "remove one of them",
                       "'tool' is short for params.name, which is given too");
        keypath_cut(&b->path, at);
    }
    if (params) {
        size_t at = keypath_key(&b->path, STR("params"));
        bind_leaves(b, params, (struct str){}, &f->rule);
        keypath_cut(&b->path, at);
    }
    for (size_t i = 1; i < f->rule.params_n; i++) // `name` first, as `tool` is: two spellings, one rule
        if (str_eq(f->rule.params[i].key, STR("name"))) {
            struct matcher name = f->rule.params[i];
            memmove(&f->rule.params[1], &f->rule.params[0], i * sizeof(name));
            f->rule.params[0] = name;
        }
}

static void bind_rule(struct binder *b, const struct yaml_item *item, void *field)
{
    struct rule_file f = {};
    bind_map(b, item, BIND_TABLE(rule_fields, "a rule", "write {method: GET, path: \"/x/**\"}"), &f);
    bind_params(b, &f);
    *(struct l7_rule *)field = f.rule;
}

static bool has_rule_field(const struct yaml_node *map)
{
    for (size_t i = 0; i < ARRAY_LEN(rule_fields); i++)
        if (find_item(map, rule_fields[i].key))
            return true;
    return false;
}

static const struct bind_field allow_fields[] = {{STR_INIT("allow"), bind_rule, 0, true}};

static void bind_allow(struct binder *b, const struct yaml_item *item, void *field)
{
    static const char hint[] = "write '- allow: {method: GET, path: \"/x/**\"}'";
    const struct yaml_node *node = item->value;
    if (node->kind == NODE_MAP && !find_item(node, STR("allow")) && has_rule_field(node))
        bind_error(b, node->items[0].key->at, hint, "the fields of a rule belong under the key 'allow'");
    else
        bind_map(b, item, BIND_TABLE(allow_fields, "an item of rules", hint), field);
}

static void bind_deny(struct binder *b, const struct yaml_item *item, void *field)
{
    const struct yaml_item *wrapper = NULL;
    if (item->value->kind == NODE_MAP)
        wrapper = find_item(item->value, STR("deny"));
    if (item->value->kind == NODE_MAP && !wrapper)
        wrapper = find_item(item->value, STR("allow"));
    if (wrapper)
        bind_error(b, wrapper->key->at, "write '- {method: GET, path: \"/x/**\"}'",
                   "the fields of a deny rule stand in it directly, without '%.*s'",
                   STR_FMT(wrapper->key->text));
    else
        bind_rule(b, item, field);
}

// An empty list reads like "nothing is allowed" to one and like "no restriction" to another.
static void refuse_empty(struct binder *b, const struct yaml_item *item)
{
    if (item->value->kind == NODE_LIST && item->value->n == 0)
        bind_error(b, yaml_place(item), "list at least one rule, or remove the key",
                   "an empty list of rules");
}

static void bind_rules(struct binder *b, const struct yaml_item *item, void *field)
{
    struct endpoint *ep = field;
    struct bind_array how = {BIND_LIST, sizeof(struct l7_rule), bind_allow, "a list of rules",
                             "write [{allow: {method: GET, path: \"/x/**\"}}]"};
    ep->rules = bind_array(b, item, &how, &ep->rules_n);
    refuse_empty(b, item);
}

static void bind_deny_rules(struct binder *b, const struct yaml_item *item, void *field)
{
    struct endpoint *ep = field;
    struct bind_array how = {BIND_LIST, sizeof(struct l7_rule), bind_deny, "a list of rules",
                             "write [{method: GET, path: \"/x/**\"}]"};
    ep->deny_rules = bind_array(b, item, &how, &ep->deny_rules_n);
    refuse_empty(b, item);
}

// ---- endpoints
// ----------------------------------------------------------------------------------------------

struct endpoint_file {
    struct endpoint ep;
    const struct yaml_item *port;
    uint32_t mcp_max_body_bytes;
};

static const struct bind_field json_rpc_fields[] = {
    FIELD(struct endpoint_file, ep.json_rpc_max_body_bytes, "max_body_bytes", bind_size),
};
static const struct bind_field mcp_fields[] = {
    FIELD(struct endpoint_file, mcp_max_body_bytes, "max_body_bytes", bind_size),
    FIELD(struct endpoint_file, ep.strict_tool_names, "strict_tool_names", bind_tristate),
    FIELD(struct endpoint_file, ep.allow_all_known_mcp_methods, "allow_all_known_mcp_methods", bind_tristate),
};
static const struct bind_field binding_fields[] = {
    {STR_INIT("provider"), bind_str, offsetof(struct endpoint_file, ep.credential_provider), true},
};
static const struct bind_field registered_fields[] = {
    FIELD(struct graphql_registered, operation_type, "operation_type", bind_str),
    FIELD(struct graphql_registered, operation_name, "operation_name", bind_str),
    FIELD(struct graphql_registered, fields, "fields", bind_strs),
};

static void bind_json_rpc(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_map(b, item, BIND_TABLE(json_rpc_fields, "json_rpc", "write {max_body_bytes: 65536}"), field);
}

static void bind_mcp(struct binder *b, const struct yaml_item *item, void *field)
{
    struct endpoint_file *f = field;
    f->ep.has_mcp = true;
    bind_map(b, item, BIND_TABLE(mcp_fields, "mcp", "write {strict_tool_names: true}"), f);
}

static void bind_binding(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_map(b, item, BIND_TABLE(binding_fields, "credential_binding", "write {provider: NAME}"), field);
}

static void bind_registered(struct binder *b, const struct yaml_item *item, void *field)
{
    const char *example = "write {operation_type: query, fields: [viewer]}";
    bind_map(b, item, BIND_TABLE(registered_fields, "a persisted query", example), field);
}

static void bind_registry(struct binder *b, const struct yaml_item *item, void *field)
{
    struct endpoint *ep = field;
    struct bind_array how = {BIND_KEYED, sizeof(struct graphql_registered), bind_registered,
                             "a mapping of persisted queries", "write {ID: {operation_type: query}}"};
    ep->registered = bind_array(b, item, &how, &ep->registered_n);
}

static void bind_ports(struct binder *b, const struct yaml_item *item, void *field)
{
    struct endpoint *ep = field;
    struct bind_array how = {BIND_LIST, sizeof(uint32_t), bind_u16, "a list of ports",
                             "write [443, 8443], or use 'port' for a single one"};
    ep->ports = bind_array(b, item, &how, &ep->ports_n);
}

static void bind_port(struct binder *b, const struct yaml_item *item, struct endpoint *ep)
{
    size_t at = keypath_key(&b->path, STR("port"));
    bool both = ep->ports_n > 0;
    uint32_t *port = arena_new(b->a, uint32_t);
    if (!port)
        b->no_room = true;
    else if (item->value->kind == NODE_LIST)
        bind_expected(b, item, "a whole number from 0 to 65535", "use 'ports' for several");
    else
        bind_u16(b, item, port);
    if (both)
        bind_error(b, item->key->at, "list it in 'ports'", "'port' and 'ports' exclude each other");
    ep->ports = port;
    ep->ports_n = port ? 1 : 0;
    keypath_cut(&b->path, at);
}

static const struct bind_field endpoint_fields[] = {
    FIELD(struct endpoint_file, ep.host, "host", bind_str),
    FIELD(struct endpoint_file, ep.path, "path", bind_str),
    FIELD(struct endpoint_file, port, "port", keep_item),
    FIELD(struct endpoint_file, ep, "ports", bind_ports),
    FIELD(struct endpoint_file, ep.protocol, "protocol", bind_str),
    FIELD(struct endpoint_file, ep.tls, "tls", bind_str),
    FIELD(struct endpoint_file, ep.enforcement, "enforcement", bind_str),
    FIELD(struct endpoint_file, ep.access, "access", bind_str),
    FIELD(struct endpoint_file, ep, "rules", bind_rules),
    FIELD(struct endpoint_file, ep, "deny_rules", bind_deny_rules),
    FIELD(struct endpoint_file, ep.allowed_ips, "allowed_ips", bind_strs),
    FIELD(struct endpoint_file, ep.allow_encoded_slash, "allow_encoded_slash", bind_bool),
    FIELD(struct endpoint_file, ep.websocket_credential_rewrite, "websocket_credential_rewrite", bind_bool),
    FIELD(struct endpoint_file, ep.request_body_credential_rewrite, "request_body_credential_rewrite",
          bind_bool),
    FIELD(struct endpoint_file, ep.allow_uninspected_credentials, "allow_uninspected_credentials", bind_bool),
    FIELD(struct endpoint_file, ep.persisted_queries, "persisted_queries", bind_str),
    FIELD(struct endpoint_file, ep, "graphql_persisted_queries", bind_registry),
    FIELD(struct endpoint_file, ep.graphql_max_body_bytes, "graphql_max_body_bytes", bind_size),
    FIELD(struct endpoint_file, ep, "json_rpc", bind_json_rpc),
    FIELD(struct endpoint_file, ep, "mcp", bind_mcp),
    FIELD(struct endpoint_file, ep.credential_signing, "credential_signing", bind_str),
    FIELD(struct endpoint_file, ep.signing_service, "signing_service", bind_str),
    FIELD(struct endpoint_file, ep.signing_region, "signing_region", bind_str),
    FIELD(struct endpoint_file, ep, "credential_binding", bind_binding),
};
static_assert(offsetof(struct endpoint_file, ep) == 0, "fields that take the whole are given either");

// Reference 1.4: with allow_all_known_mcp_methods a rule may leave its method out. The wire form always has
// one.
static void fill_methods(struct l7_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool has_tool = false;
        for (size_t k = 0; k < rules[i].params_n; k++)
            has_tool = has_tool || str_eq(rules[i].params[k].key, STR("name"));
        if (rules[i].method.n == 0)
            rules[i].method = has_tool ? STR("tools/call") : STR("*");
    }
}

static void bind_endpoint(struct binder *b, const struct yaml_item *item, void *field)
{
    static const char example[] = "write '- {host: api.example.com, port: 443}'";
    struct endpoint_file f = {};
    bind_map(b, item, BIND_TABLE(endpoint_fields, "an endpoint", example), &f);
    if (f.port)
        bind_port(b, f.port, &f.ep);
    if (f.mcp_max_body_bytes > 0)
        f.ep.json_rpc_max_body_bytes = f.mcp_max_body_bytes;
    if (str_eq(f.ep.protocol, STR("mcp")) && f.ep.allow_all_known_mcp_methods == YES) {
        fill_methods(f.ep.rules, f.ep.rules_n);
        fill_methods(f.ep.deny_rules, f.ep.deny_rules_n);
    }
    *(struct endpoint *)field = f.ep;
}

// ---- entries
// ------------------------------------------------------------------------------------------------

static void bind_harness(struct binder *b, const struct yaml_item *item, void *field)
{
    enum { ENOUGH = 20 }; // the diagnostics that are kept must have room for errors
    bool ignored;
    (void)field;
    bind_bool(b, item, &ignored);
    if (b->d->warnings < ENOUGH)
        diag_add(b->d, DIAG_WARNING, item->key->at, keypath_str(&b->path), "remove it",
                 "'harness' is deprecated and has no effect");
}

static const struct bind_field binary_fields[] = {
    {STR_INIT("path"), bind_str, offsetof(struct binary, path), true},
    {STR_INIT("harness"), bind_harness, 0, false},
};

static void bind_binary(struct binder *b, const struct yaml_item *item, void *field)
{
    char hint[100] = "write '- {path: /usr/bin/curl}'";
    if (item->value->kind == NODE_STRING && item->value->text.n > 0 && item->value->text.n < 60)
        (void)snprintf(hint, sizeof(hint), "write '- {path: \"%.*s\"}'", STR_FMT(item->value->text));
    bind_map(b, item, BIND_TABLE(binary_fields, "a binary", hint), field);
}

static void bind_endpoints(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy_entry *entry = field;
    struct bind_array how = {BIND_LIST, sizeof(struct endpoint), bind_endpoint, "a list of endpoints",
                             "write [{host: api.example.com, port: 443}]"};
    entry->endpoints = bind_array(b, item, &how, &entry->endpoints_n);
}

static void bind_binaries(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy_entry *entry = field;
    struct bind_array how = {BIND_LIST, sizeof(struct binary), bind_binary, "a list of binaries",
                             "write [{path: /usr/bin/curl}]"};
    entry->binaries = bind_array(b, item, &how, &entry->binaries_n);
}

static const struct bind_field entry_fields[] = {
    FIELD(struct policy_entry, name, "name", bind_str),
    {STR_INIT("endpoints"), bind_endpoints, 0, false},
    {STR_INIT("binaries"), bind_binaries, 0, false},
};

void bind_entry(struct binder *b, const struct yaml_item *item, void *field)
{
    const char *example =
        "write {endpoints: [{host: api.example.com, port: 443}], binaries: [{path: /usr/bin/curl}]}";
    bind_map(b, item, BIND_TABLE(entry_fields, "an entry of network_policies", example), field);
}
