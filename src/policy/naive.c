#include "policy/naive.h"

enum { MATCHES_MAX = 64 };

// An endpoint that names host and port in an entry that names the program, and where it stands.
struct place {
    const struct policy_entry *entry;
    const struct endpoint *ep;
    int index;
};

struct places {
    struct place v[MATCHES_MAX];
    size_t n;
};

static const struct naive_decision NOTHING = {.endpoint = -1, .rule = -1};

static bool is(struct str s, const char *word)
{
    return str_eq(s, str_of(word));
}

// ---- connection
// -----------------------------------------------------------------------------------------------

// Entries are asked in the order of their keys: the one behind `after`, NULL at the end.
static const struct policy_entry *next_entry(const struct policy *p, const struct policy_entry *after)
{
    const struct policy_entry *best = NULL;
    for (size_t i = 0; i < p->entries_n; i++) {
        const struct policy_entry *e = &p->entries[i];
        if ((!after || str_cmp(e->key, after->key) > 0) && (!best || str_cmp(e->key, best->key) < 0))
            best = e;
    }
    return best;
}

static bool is_literal(struct str host)
{
    bool digits = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        digits = digits && (char_is_digit(host.p[i]) || host.p[i] == '.');
    return digits || str_has(host, ':');
}

static bool has_port(const struct endpoint *ep, uint16_t port)
{
    bool has = false;
    for (size_t i = 0; i < ep->ports_n; i++)
        has = has || ep->ports[i] == port;
    return has;
}

static bool names_exactly(const struct endpoint *ep, struct str host)
{
    return !str_has(ep->host, '*') && str_eq_ci(ep->host, host);
}

static bool has_host(const struct endpoint *ep, struct str host)
{
    if (ep->host.n == 0)
        return ep->allowed_ips.n > 0;
    if (names_exactly(ep, host))
        return true;
    return str_has(ep->host, '*') && !is_literal(host) && naive_host_glob(ep->host, host);
}

static bool names_program(struct str pattern, struct str exe)
{
    return str_has(pattern, '*') ? naive_path_glob(pattern, exe) : str_eq(pattern, exe);
}

static bool has_binary(const struct policy_entry *e, const struct who *who, bool declared_only)
{
    for (size_t i = 0; i < e->binaries_n; i++) {
        if (declared_only && e->binaries[i].harness)
            continue;
        if (names_program(e->binaries[i].path, who->exe))
            return true;
        for (size_t k = 0; k < who->ancestors_n; k++)
            if (names_program(e->binaries[i].path, who->ancestors[k]))
                return true;
    }
    return false;
}

static void find(const struct policy *p, const struct conn_facts *c, struct places *ret)
{
    ret->n = 0;
    for (const struct policy_entry *e = next_entry(p, NULL); e; e = next_entry(p, e)) {
        if (!has_binary(e, &c->who, false))
            continue;
        for (size_t i = 0; i < e->endpoints_n; i++) {
            if (!has_host(&e->endpoints[i], c->host) || !has_port(&e->endpoints[i], c->port))
                continue;
            assert(ret->n < MATCHES_MAX);
            ret->v[ret->n++] = (struct place){e, &e->endpoints[i], (int)i};
        }
    }
}

static bool anybody_may(const struct policy *p, const struct conn_facts *c)
{
    for (size_t i = 0; i < p->entries_n; i++)
        for (size_t k = 0; k < p->entries[i].endpoints_n; k++)
            if (has_host(&p->entries[i].endpoints[k], c->host) &&
                has_port(&p->entries[i].endpoints[k], c->port))
                return true;
    return false;
}

static bool is_inspected(const struct endpoint *ep)
{
    return ep->protocol.n > 0 && !is(ep->protocol, "tcp");
}

static bool credentials_refused(const struct places *all)
{
    bool some = false, all_allow = true, all_l7 = true, any_skip = false;
    for (size_t i = 0; i < all->n; i++) {
        const struct endpoint *ep = all->v[i].ep;
        if (!ep->provider_credentialed)
            continue;
        some = true;
        all_allow = all_allow && ep->allow_uninspected_credentials;
        all_l7 = all_l7 && is_inspected(ep);
        any_skip = any_skip || is(ep->tls, "skip");
    }
    return some && !all_allow && (!all_l7 || any_skip);
}

static void extended_config(const struct places *all, struct naive_conn *ret)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct endpoint *ep = all->v[i].ep;
        if (!is_inspected(ep) && ep->allowed_ips.n == 0 && ep->tls.n == 0)
            continue;
        ret->tls_skip = is(ep->tls, "skip");
        if (ep->allowed_ips.n > 0) {
            ret->allowed_ips_entry = all->v[i].entry->key;
            ret->allowed_ips_endpoint = all->v[i].index;
        }
        return; // the first alone counts
    }
}

static struct naive_decision at(enum verdict verdict, enum why why, const struct place *where)
{
    return (struct naive_decision){verdict, why, where->entry->key, where->index, -1, false};
}

void naive_connection(const struct policy *p, const struct conn_facts *c, struct naive_conn *ret)
{
    *ret = (struct naive_conn){.d = NOTHING, .allowed_ips_endpoint = -1};
    struct places all;
    find(p, c, &all);
    if (all.n == 0) {
        ret->d.why = anybody_may(p, c) ? WHY_NO_BINARY : WHY_NO_ENDPOINT;
        return;
    }
    ret->d = at(VERDICT_ALLOW, WHY_CONNECTION, &all.v[0]);
    extended_config(&all, ret);
    ret->uninspected_credentials_refused = credentials_refused(&all);
    for (size_t i = 0; i < all.n; i++) {
        const struct endpoint *ep = all.v[i].ep;
        bool named = names_exactly(ep, c->host);
        ret->inspected = ret->inspected || is_inspected(ep);
        ret->explicit_tcp = ret->explicit_tcp || is(ep->protocol, "tcp");
        ret->literal_declared = ret->literal_declared || (named && is_literal(c->host));
        ret->exact_declared = ret->exact_declared ||
                              (named && !ep->advisor_proposed && has_binary(all.v[i].entry, &c->who, true));
    }
}

// ---- matchers
// -------------------------------------------------------------------------------------------------

static bool matcher_has(const struct matcher *m, struct str value)
{
    for (size_t i = 0; i < m->any.n; i++)
        if (naive_dotted_glob(m->any.v[i], value))
            return true;
    return m->any.n == 0 && naive_dotted_glob(m->glob, value);
}

// Every configured key is there; on the allow side every value of it matches, on the deny side some value
// does.
static bool query_has(const struct l7_rule *rule, const struct request_facts *r, bool deny)
{
    for (size_t i = 0; i < rule->query_n; i++) {
        size_t present = 0, matching = 0;
        for (size_t k = 0; k < r->query_n; k++) {
            if (!str_eq(r->query[k].key, rule->query[i].key))
                continue;
            present++;
            matching += matcher_has(&rule->query[i], r->query[k].value);
        }
        if (present == 0 || (deny ? matching == 0 : matching < present))
            return false;
    }
    return true;
}

static bool method_has(struct str rule, struct str method)
{
    return rule.n == 0 || is(rule, "*") || str_eq_ci(rule, method) ||
           (str_eq_ci(rule, STR("GET")) && str_eq_ci(method, STR("HEAD")));
}

static bool http_has(const struct l7_rule *rule, const struct request_facts *r, bool deny)
{
    return rule->operation_type.n == 0 && method_has(rule->method, r->method) &&
           (rule->path.n == 0 || naive_path_glob(rule->path, r->path)) && query_has(rule, r, deny);
}

static bool is_http(const struct endpoint *ep)
{
    return is(ep->protocol, "rest") || is(ep->protocol, "websocket");
}

static bool is_rpc(const struct endpoint *ep)
{
    return is(ep->protocol, "json-rpc") || is(ep->protocol, "mcp");
}

static bool is_websocket_graphql(const struct endpoint *ep)
{
    bool has = false;
    for (size_t i = 0; i < ep->rules_n; i++)
        has = has || ep->rules[i].operation_type.n > 0;
    for (size_t i = 0; i < ep->deny_rules_n; i++)
        has = has || ep->deny_rules[i].operation_type.n > 0;
    return has && is(ep->protocol, "websocket");
}

static bool all_mcp(const struct endpoint *ep)
{
    return is(ep->protocol, "mcp") && ep->allow_all_known_mcp_methods == YES;
}

// ---- GraphQL
// --------------------------------------------------------------------------------------------------

static bool is_hash_only(const struct graphql_op *op)
{
    return op->type.n == 0 && op->persisted_id.n > 0;
}

static const struct graphql_registered *registered(const struct endpoint *ep, const struct graphql_op *op)
{
    if (!is(ep->persisted_queries, "allow_registered"))
        return NULL;
    for (size_t i = 0; i < ep->registered_n; i++)
        if (str_eq(ep->registered[i].id, op->persisted_id))
            return &ep->registered[i];
    return NULL;
}

// What stands for the operation at this endpoint. False: a hash that it does not know.
static bool op_resolve(const struct endpoint *ep, const struct graphql_op *op, struct graphql_op *ret)
{
    *ret = *op;
    if (!is_hash_only(op))
        return true;
    const struct graphql_registered *known = registered(ep, op);
    if (!known)
        return false;
    ret->type = known->operation_type;
    ret->name = known->operation_name;
    ret->fields = known->fields.v;
    ret->fields_n = known->fields.n;
    return true;
}

static bool op_kind_has(const struct l7_rule *rule, const struct graphql_op *op)
{
    return rule->operation_type.n > 0 &&
           (is(rule->operation_type, "*") || str_eq_ci(rule->operation_type, op->type)) &&
           (rule->operation_name.n == 0 || naive_dotted_glob(rule->operation_name, op->name));
}

static size_t fields_matching(const struct l7_rule *rule, const struct graphql_op *op)
{
    size_t n = 0;
    for (size_t i = 0; i < op->fields_n; i++) {
        bool has = false;
        for (size_t k = 0; k < rule->fields.n; k++)
            has = has || naive_dotted_glob(rule->fields.v[k], op->fields[i]);
        n += has;
    }
    return n;
}

static bool op_denied(const struct l7_rule *rule, const struct graphql_op *op)
{
    return op_kind_has(rule, op) && (rule->fields.n == 0 || fields_matching(rule, op) > 0);
}

static bool op_preset(struct str access, struct str type)
{
    if (is(access, "full"))
        return true;
    bool query = str_eq_ci(type, STR("query")), mutation = str_eq_ci(type, STR("mutation"));
    return (is(access, "read-only") && query) || (is(access, "read-write") && (query || mutation));
}

// What at an endpoint allows: an index of a rule, or one of these.
enum { NOT_ALLOWED = -1, BY_PRESET = -2, BY_ALL_MCP = -3 };

static int op_allowed(const struct endpoint *ep, const struct graphql_op *op)
{
    struct graphql_op known;
    if (!op_resolve(ep, op, &known))
        return NOT_ALLOWED;
    for (size_t i = 0; i < ep->rules_n; i++)
        if (op_kind_has(&ep->rules[i], &known) &&
            (ep->rules[i].fields.n == 0 || fields_matching(&ep->rules[i], &known) == known.fields_n))
            return (int)i;
    return is(ep->protocol, "graphql") && op_preset(ep->access, known.type) ? BY_PRESET : NOT_ALLOWED;
}

static int graphql_allowed(const struct endpoint *ep, const struct graphql_facts *g)
{
    for (size_t i = 0; i < g->ops_n; i++)
        if (op_allowed(ep, &g->ops[i]) == NOT_ALLOWED)
            return NOT_ALLOWED;
    return g->ops_n > 0 ? op_allowed(ep, &g->ops[0]) : NOT_ALLOWED;
}

// ---- JSON-RPC and MCP
// -----------------------------------------------------------------------------------------

static const struct matcher *tool_of(const struct l7_rule *rule)
{
    for (size_t i = 0; i < rule->params_n; i++)
        if (is(rule->params[i].key, "name"))
            return &rule->params[i];
    return NULL;
}

static bool call_has(const struct endpoint *ep, const struct l7_rule *rule, const struct rpc_call *call,
                     bool deny)
{
    if (is(ep->protocol, "json-rpc"))
        return is(rule->method, "*") || str_eq(rule->method, call->method);

    const struct matcher *tool = tool_of(rule);
    struct str method = rule->method;
    if (method.n == 0 && all_mcp(ep))
        method = tool ? STR("tools/call") : STR("*");
    if (method.n == 0 && deny)
        method = STR("**");
    return method.n > 0 && (is(method, "*") || naive_dotted_glob(method, call->method)) &&
           (!tool || (call->has_tool && matcher_has(tool, call->tool)));
}

static int call_allowed(const struct endpoint *ep, const struct rpc_call *call)
{
    bool tools_named = false;
    for (size_t i = 0; i < ep->rules_n; i++) {
        if (call_has(ep, &ep->rules[i], call, false))
            return (int)i;
        tools_named = tools_named || tool_of(&ep->rules[i]);
    }
    return all_mcp(ep) && !(tools_named && is(call->method, "tools/call")) ? BY_ALL_MCP : NOT_ALLOWED;
}

static int rpc_allowed(const struct endpoint *ep, const struct request_facts *r)
{
    if (!str_eq_ci(r->method, STR("POST")) || r->rpc->calls_n == 0)
        return NOT_ALLOWED;
    for (size_t i = 0; i < r->rpc->calls_n; i++)
        if (call_allowed(ep, &r->rpc->calls[i]) == NOT_ALLOWED)
            return NOT_ALLOWED;
    return call_allowed(ep, &r->rpc->calls[0]);
}

// ---- requests
// -------------------------------------------------------------------------------------------------

static bool http_preset(const struct endpoint *ep, struct str method)
{
    static const struct {
        const char *protocol, *access, *methods[8];
    } presets[] = {
        {"rest", "read-only", {"GET", "HEAD", "OPTIONS"}},
        {"rest", "read-write", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"}},
        {"rest", "full", {"*"}},
        {"websocket", "read-only", {"GET"}},
        {"websocket", "read-write", {"GET", "WEBSOCKET_TEXT"}},
        {"websocket", "full", {"*"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        for (size_t k = 0;
             is(ep->protocol, presets[i].protocol) && is(ep->access, presets[i].access) && k < 8; k++)
            if (presets[i].methods[k] && method_has(str_of(presets[i].methods[k]), method))
                return true;
    return false;
}

static int http_allowed(const struct endpoint *ep, const struct request_facts *r)
{
    for (size_t i = 0; i < ep->rules_n; i++)
        if (http_has(&ep->rules[i], r, false))
            return (int)i;
    return http_preset(ep, r->method) ? BY_PRESET : NOT_ALLOWED;
}

static int allowed(const struct endpoint *selected, const struct endpoint *ep, const struct request_facts *r)
{
    bool graphql_here = is(selected->protocol, "graphql");
    bool message = is_websocket_graphql(selected) && r->graphql;
    if (is_http(ep) && !graphql_here && !message && !is_rpc(selected)) {
        int by = http_allowed(ep, r);
        if (by != NOT_ALLOWED)
            return by;
    }
    if ((is(ep->protocol, "graphql") || is_websocket_graphql(ep)) && r->graphql && !is_rpc(selected))
        return graphql_allowed(ep, r->graphql);
    if (is_rpc(ep) && r->rpc && !graphql_here && !message)
        return rpc_allowed(ep, r);
    return NOT_ALLOWED;
}

static bool rule_denies(const struct endpoint *ep, const struct l7_rule *rule, const struct request_facts *r)
{
    if (is_http(ep) && http_has(rule, r, true))
        return true;
    if (r->graphql && (is(ep->protocol, "graphql") || is_websocket_graphql(ep))) {
        for (size_t i = 0; i < r->graphql->ops_n; i++) {
            struct graphql_op op;
            (void)op_resolve(ep, &r->graphql->ops[i], &op); // an unknown hash stays what it is
            if (op_denied(rule, &op))
                return true;
        }
    }
    if (r->rpc && is_rpc(ep))
        for (size_t i = 0; i < r->rpc->calls_n; i++)
            if (call_has(ep, rule, &r->rpc->calls[i], true))
                return true;
    return false;
}

static size_t specificity(struct str path)
{
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++)
        n += path.p[i] != '*';
    return n;
}

static bool in_scope(const struct endpoint *ep, struct str path)
{
    return naive_scope_glob(ep->path, path) && (ep->path.n == 0 || naive_path_glob(ep->path, path));
}

// Keeps the inspected endpoints, and of these, where `path` is given, those whose path has it.
static void narrow(const struct places *all, const struct str *path, struct places *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < all->n; i++)
        if (is_inspected(all->v[i].ep) && (!path || in_scope(all->v[i].ep, *path)))
            ret->v[ret->n++] = all->v[i];
}

static const struct place *most_specific(const struct places *scoped)
{
    const struct place *best = NULL;
    for (size_t i = 0; i < scoped->n; i++)
        if (!best || specificity(scoped->v[i].ep->path) >= specificity(best->ep->path))
            best = &scoped->v[i];
    return best;
}

// Refusals that hold in audit too, and what passes by its kind. False: the rules decide.
static bool decided_by_kind(const struct endpoint *ep, const struct request_facts *r, enum why *ret)
{
    bool reads_graphql = is(ep->protocol, "graphql") || is_websocket_graphql(ep);
    if ((reads_graphql && r->graphql && r->graphql->error.n > 0) ||
        (is_rpc(ep) && r->rpc && r->rpc->error.n > 0))
        *ret = WHY_MALFORMED;
    else if (is(ep->protocol, "json-rpc") && r->rpc && r->rpc->has_response)
        *ret = WHY_RESPONSE_FRAME;
    else
        return false;
    return true;
}

static bool passes_by_kind(const struct endpoint *ep, const struct request_facts *r)
{
    if (!is(ep->protocol, "mcp") || !r->rpc)
        return false;
    bool responses_only = r->rpc->has_response && r->rpc->calls_n == 0 && str_eq_ci(r->method, STR("POST"));
    return r->rpc->receive_stream || responses_only;
}

static bool find_deny(const struct places *scoped, const struct request_facts *r, struct naive_decision *ret)
{
    for (size_t i = 0; i < scoped->n; i++) {
        const struct endpoint *ep = scoped->v[i].ep;
        for (size_t k = 0; k < ep->deny_rules_n; k++) {
            if (!rule_denies(ep, &ep->deny_rules[k], r))
                continue;
            *ret = at(VERDICT_DENY, WHY_DENY_RULE, &scoped->v[i]);
            ret->rule = (int)k;
            ret->deny_rule = true;
            return true;
        }
    }
    return false;
}

static bool find_allow(const struct places *scoped, const struct endpoint *selected,
                       const struct request_facts *r, struct naive_decision *ret)
{
    for (size_t i = 0; i < scoped->n; i++) {
        int by = allowed(selected, scoped->v[i].ep, r);
        if (by == NOT_ALLOWED)
            continue;
        enum why why = by == BY_PRESET ? WHY_PRESET : by == BY_ALL_MCP ? WHY_ALL_MCP : WHY_RULE;
        *ret = at(VERDICT_ALLOW, why, &scoped->v[i]);
        ret->rule = by >= 0 ? by : -1;
        return true;
    }
    return false;
}

static bool is_unregistered(const struct endpoint *ep, const struct request_facts *r)
{
    for (size_t i = 0; is(ep->protocol, "graphql") && r->graphql && i < r->graphql->ops_n; i++)
        if (is_hash_only(&r->graphql->ops[i]) && !registered(ep, &r->graphql->ops[i]))
            return true;
    return false;
}

static void decide_inspected(const struct places *scoped, const struct request_facts *r,
                             struct naive_decision *ret)
{
    const struct place *selected = most_specific(scoped);
    enum why why;
    if (is(selected->ep->protocol, "sql")) {
        *ret = at(VERDICT_ALLOW, WHY_CONNECTION, selected);
    } else if (decided_by_kind(selected->ep, r, &why)) {
        *ret = at(VERDICT_DENY, why, selected);
    } else {
        bool denied = find_deny(scoped, r, ret);
        if (!denied && passes_by_kind(selected->ep, r))
            *ret = at(VERDICT_ALLOW, WHY_RECEIVE_STREAM, selected);
        else if (!denied && !find_allow(scoped, selected->ep, r, ret))
            *ret = at(VERDICT_DENY, is_unregistered(selected->ep, r) ? WHY_NOT_REGISTERED : WHY_NO_RULE,
                      selected);
        if (ret->verdict == VERDICT_DENY && !is(selected->ep->enforcement, "enforce"))
            ret->verdict = VERDICT_AUDIT;
    }
}

void naive_request(const struct policy *p, const struct conn_facts *c, const struct request_facts *r,
                   struct naive_decision *ret)
{
    struct naive_conn conn;
    naive_connection(p, c, &conn);
    *ret = conn.d;
    struct places all, inspected, scoped;
    find(p, c, &all);
    narrow(&all, NULL, &inspected);
    narrow(&all, &r->path, &scoped);
    if (inspected.n == 0)
        return;
    if (scoped.n > 0) {
        decide_inspected(&scoped, r, ret);
    } else {
        *ret = NOTHING;
        ret->why = WHY_NO_PATH;
    }
}

bool naive_endpoint(const struct policy *p, const struct conn_facts *c, struct str path,
                    struct str *ret_entry, int *ret_endpoint)
{
    struct places all, scoped;
    find(p, c, &all);
    narrow(&all, &path, &scoped);
    const struct place *selected = most_specific(&scoped);
    if (!selected)
        return false;
    *ret_entry = selected->entry->key;
    *ret_endpoint = selected->index;
    return true;
}
