// One fact against one pattern, and one request against the rules of one endpoint. The walk over endpoints is
// in decide.c; explain.c asks the same questions one by one.
#include "policy/compiled.h"

static const struct {
    struct str name;
    uint32_t bit;
} methods[] = {
    {STR_INIT("GET"), METHOD_GET},         {STR_INIT("POST"), METHOD_POST},
    {STR_INIT("HEAD"), METHOD_HEAD},       {STR_INIT("PUT"), METHOD_PUT},
    {STR_INIT("DELETE"), METHOD_DELETE},   {STR_INIT("PATCH"), METHOD_PATCH},
    {STR_INIT("OPTIONS"), METHOD_OPTIONS}, {STR_INIT("WEBSOCKET_TEXT"), METHOD_WEBSOCKET_TEXT},
};

uint32_t method_bit(struct str method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_eq_ci(method, methods[i].name))
            return methods[i].bit;
    return METHOD_OTHER;
}

bool endpoint_has_port(const struct compiled_endpoint *ep, uint16_t port)
{
    for (size_t i = 0; i < ep->ports_n; i++)
        if (ep->ports[i] == port)
            return true;
    return false;
}

bool endpoint_has_host(const struct compiled_endpoint *ep, struct str host)
{
    return !ep->host || glob_match(ep->host, host);
}

bool endpoint_has_path(const struct compiled_endpoint *ep, struct str path)
{
    return (!ep->scope || glob_match(ep->scope, path)) &&
           (!ep->scope_rule || glob_match(ep->scope_rule, path));
}

static bool binary_is(const struct compiled_binary *b, struct str path)
{
    return b->glob ? glob_match(b->glob, path) : str_eq(b->path, path);
}

bool binary_matches(const struct compiled_binary *b, const struct who *who, struct str *ret_path)
{
    if (binary_is(b, who->exe)) {
        *ret_path = who->exe;
        return true;
    }
    for (size_t i = 0; i < who->ancestors_n; i++) {
        if (binary_is(b, who->ancestors[i])) {
            *ret_path = who->ancestors[i];
            return true;
        }
    }
    return false;
}

static bool any_glob(const struct globs *globs, struct str text)
{
    for (size_t i = 0; i < globs->n; i++)
        if (glob_match(globs->v[i], text))
            return true;
    return false;
}

// Allow: the key is there and every value of it matches. Deny: the key is there and some value matches.
static bool query_matches(const struct snap_matcher *m, const struct request_facts *r, bool deny)
{
    bool present = false;
    for (size_t i = 0; i < r->query_n; i++) {
        if (!str_eq(r->query[i].key, m->key))
            continue;
        present = true;
        if (any_glob(&m->globs, r->query[i].value) == deny)
            return deny;
    }
    return present && !deny;
}

enum part rule_http_miss(const struct snap_rule *rule, const struct request_view *v, bool skip_path)
{
    if (!(rule->methods & v->method))
        return PART_METHOD;
    if (rule->methods == METHOD_OTHER && !str_eq_ci(rule->method_text, v->r->method))
        return PART_METHOD;
    if (!skip_path && rule->path && !glob_match(rule->path, v->r->path))
        return PART_PATH;
    for (size_t i = 0; i < rule->query_n; i++)
        if (!query_matches(&rule->query[i], v->r, rule->deny))
            return PART_QUERY;
    return PART_NONE;
}

enum part rule_graphql_miss(const struct snap_rule *rule, const struct graphql_op *op)
{
    if (!rule->graphql)
        return PART_TYPE;
    if (!rule->any_type && !str_eq_ci(rule->source->operation_type, op->type))
        return PART_TYPE;
    if (rule->op_name && !glob_match(rule->op_name, op->name))
        return PART_NAME;
    if (rule->fields.n == 0)
        return PART_NONE;
    for (size_t i = 0; i < op->fields_n; i++) {
        if (any_glob(&rule->fields, op->fields[i]) ==
            rule->deny) // deny: one hit is enough; allow: one miss is
            return rule->deny ? PART_NONE : PART_FIELDS;
    }
    return rule->deny ? PART_FIELDS : PART_NONE;
}

enum part rule_rpc_miss(const struct snap_rule *rule, const struct rpc_call *call)
{
    if (!rule->any_call) {
        bool same = rule->rpc_method ? glob_match(rule->rpc_method, call->method)
                                     : str_eq(rule->source->method, call->method);
        if (!same)
            return PART_METHOD;
    }
    if (rule->has_tool && !(call->has_tool && any_glob(&rule->tools, call->tool)))
        return PART_TOOL;
    return PART_NONE;
}

const struct graphql_op *endpoint_operation(const struct compiled_endpoint *ep, const struct graphql_op *op,
                                            struct graphql_op *tmp)
{
    if (op->type.n > 0 || op->persisted_id.n == 0)
        return op;
    if (!ep->pub.persisted_registered)
        return NULL;
    for (size_t i = 0; i < ep->registered_n; i++) {
        const struct graphql_registered *reg = &ep->registered[i];
        if (!str_eq(reg->id, op->persisted_id))
            continue;
        *tmp = (struct graphql_op){.type = reg->operation_type,
                                   .name = reg->operation_name,
                                   .fields = reg->fields.v,
                                   .fields_n = reg->fields.n,
                                   .persisted_id = op->persisted_id};
        return tmp;
    }
    return NULL;
}

// ---- rules on method, path and query
// ------------------------------------------------------------------------

struct http_search {
    const struct ruleset *rules;
    const struct request_view *v;
    uint32_t best; // smallest index that matches so far; rules->n: none
};

static bool http_try(void *ctx, const uint32_t *ids, size_t n)
{
    struct http_search *s = ctx;
    for (size_t i = 0; i < n && ids[i] < s->best; i++) {
        const struct snap_rule *rule = &s->rules->v[ids[i]];
        if (!rule->graphql && rule_http_miss(rule, s->v, true) == PART_NONE) {
            s->best = ids[i];
            break; // ascending: no later one is smaller
        }
    }
    return s->best > 0;
}

static const struct snap_rule *http_first(const struct ruleset *rules, const struct request_view *v)
{
    if (rules->paths) {
        struct http_search s = {.rules = rules, .v = v, .best = (uint32_t)rules->n};
        globset_each(rules->paths, v->r->path, http_try, &s);
        return s.best < rules->n ? &rules->v[s.best] : NULL;
    }
    for (size_t i = 0; i < rules->n; i++)
        if (!rules->v[i].graphql && rule_http_miss(&rules->v[i], v, false) == PART_NONE)
            return &rules->v[i];
    return NULL;
}

// ---- GraphQL
// ------------------------------------------------------------------------------------------------

static const struct snap_rule *graphql_first(const struct ruleset *rules, const struct graphql_op *op)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rule_graphql_miss(&rules->v[i], op) == PART_NONE)
            return &rules->v[i];
    return NULL;
}

static bool graphql_allows(const struct compiled_endpoint *ep, const struct graphql_facts *g,
                           const struct snap_rule **ret_rule)
{
    const struct snap_rule *first = NULL;
    for (size_t i = 0; i < g->ops_n; i++) {
        struct graphql_op tmp;
        const struct graphql_op *op = endpoint_operation(ep, &g->ops[i], &tmp);
        const struct snap_rule *rule = op ? graphql_first(&ep->allow, op) : NULL;
        if (!rule)
            return false;
        if (i == 0)
            first = rule;
    }
    *ret_rule = first;
    return g->ops_n > 0;
}

static const struct snap_rule *graphql_denies(const struct compiled_endpoint *ep,
                                              const struct graphql_facts *g)
{
    for (size_t k = 0; k < ep->deny.n; k++) {
        for (size_t i = 0; i < g->ops_n; i++) {
            struct graphql_op tmp;
            const struct graphql_op *op = endpoint_operation(ep, &g->ops[i], &tmp);
            if (!op) // unknown here: a rule that denies whatever comes denies it too
                op = &g->ops[i];
            if (rule_graphql_miss(&ep->deny.v[k], op) == PART_NONE)
                return &ep->deny.v[k];
        }
    }
    return NULL;
}

// ---- JSON-RPC and MCP
// ---------------------------------------------------------------------------------------

// Whether one call passes; *ret_rule is NULL where allow_all_known_mcp_methods let it through.
static bool rpc_call_allowed(const struct compiled_endpoint *ep, const struct rpc_call *call,
                             const struct snap_rule **ret_rule)
{
    bool only_tools = ep->mcp_allow_all && ep->mcp_has_tool && str_eq(call->method, STR("tools/call"));
    for (size_t i = 0; i < ep->allow.n; i++) {
        const struct snap_rule *rule = &ep->allow.v[i];
        if ((only_tools && !rule->has_tool) || rule_rpc_miss(rule, call) != PART_NONE)
            continue;
        *ret_rule = rule;
        return true;
    }
    *ret_rule = NULL;
    return ep->mcp_allow_all && !only_tools;
}

static bool rpc_allows(const struct compiled_endpoint *ep, const struct request_view *v,
                       const struct snap_rule **ret_rule, enum why *ret_why)
{
    const struct rpc_facts *rpc = v->r->rpc;
    if (v->method != METHOD_POST || rpc->calls_n == 0)
        return false;
    const struct snap_rule *first = NULL;
    for (size_t i = 0; i < rpc->calls_n; i++) {
        const struct snap_rule *rule;
        if (!rpc_call_allowed(ep, &rpc->calls[i], &rule))
            return false;
        if (i == 0)
            first = rule;
    }
    *ret_rule = first;
    *ret_why = first ? WHY_RULE : WHY_ALL_MCP;
    return true;
}

static const struct snap_rule *rpc_denies(const struct compiled_endpoint *ep, const struct rpc_facts *rpc)
{
    for (size_t k = 0; k < ep->deny.n; k++)
        for (size_t i = 0; i < rpc->calls_n; i++)
            if (rule_rpc_miss(&ep->deny.v[k], &rpc->calls[i]) == PART_NONE)
                return &ep->deny.v[k];
    return NULL;
}

// ---- endpoints
// ----------------------------------------------------------------------------------------------

const struct snap_rule *endpoint_denies(const struct compiled_endpoint *ep, const struct request_view *v)
{
    if (ep->deny.n == 0)
        return NULL;
    const struct snap_rule *rule = NULL;
    switch (ep->pub.protocol) {
    case PROTOCOL_REST:
        return http_first(&ep->deny, v);
    case PROTOCOL_WEBSOCKET:
        rule = http_first(&ep->deny, v);
        if (!rule && v->r->graphql)
            rule = graphql_denies(ep, v->r->graphql);
        return rule;
    case PROTOCOL_GRAPHQL:
        return v->r->graphql ? graphql_denies(ep, v->r->graphql) : NULL;
    case PROTOCOL_JSON_RPC:
    case PROTOCOL_MCP:
        return v->r->rpc ? rpc_denies(ep, v->r->rpc) : NULL;
    case PROTOCOL_L4:
    case PROTOCOL_TCP:
    case PROTOCOL_SQL:
        break;
    }
    return NULL;
}

bool endpoint_allows(const struct compiled_endpoint *ep, const struct request_view *v, enum lane lane,
                     const struct snap_rule **ret_rule, enum why *ret_why)
{
    const struct snap_rule *rule = NULL;
    bool allowed = false;
    *ret_why = WHY_RULE;
    switch (ep->pub.protocol) {
    case PROTOCOL_REST:
    case PROTOCOL_WEBSOCKET:
        if (lane == LANE_HTTP)
            rule = http_first(&ep->allow, v);
        allowed = rule;
        if (!allowed && lane != LANE_RPC && v->r->graphql && ep->pub.protocol == PROTOCOL_WEBSOCKET)
            allowed = graphql_allows(ep, v->r->graphql, &rule);
        break;
    case PROTOCOL_GRAPHQL:
        allowed = lane != LANE_RPC && v->r->graphql && graphql_allows(ep, v->r->graphql, &rule);
        break;
    case PROTOCOL_JSON_RPC:
    case PROTOCOL_MCP:
        allowed = lane != LANE_GRAPHQL && v->r->rpc && rpc_allows(ep, v, &rule, ret_why);
        break;
    case PROTOCOL_L4:
    case PROTOCOL_TCP:
    case PROTOCOL_SQL:
        break;
    }
    if (!allowed)
        return false;
    if (rule && rule->preset) {
        *ret_why = WHY_PRESET;
        rule = NULL;
    }
    *ret_rule = rule;
    return true;
}
