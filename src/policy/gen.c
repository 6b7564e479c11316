#include "policy/gen.h"

// A pattern and something that it has, so that requests can aim at a policy.
struct sample {
    const char *pattern, *text;
};

static const struct sample hosts[] = {
    {"a.test", "a.test"},
    {"b.test", "b.test"},
    {"B.Test", "b.test"},
    {"x.a.test", "x.a.test"},
    {"*.a.test", "x.a.test"},
    {"**.a.test", "y.x.a.test"},
    {"*-api.a.test", "my-api.a.test"},
    {"x*.a.test", "xy.a.test"},
    {"a.*.test", "a.b.test"},
    {"*.*.test", "x.a.test"},
    {"**.*.test", "y.x.a.test"},
    {"m*-a*i.*.test", "my-api.a.test"},
    {"10.0.0.1", "10.0.0.1"},
    {"fd00::1", "fd00::1"},
    {"", "c.test"},
};
static const struct sample binaries[] = {
    {"/bin/a", "/bin/a"},    {"/bin/b", "/bin/b"},           {"/bin/*", "/bin/a"},
    {"/usr/**", "/usr/x/c"}, {"/bin/[ab]*", "/bin/b"},       {"/bin/{a,b}", "/bin/{a,b}"},
    {"/**", "/usr/x/c"},     {"/bin/**/a", "/bin/sub/a"},    {"**", "/bin/b"},
    {"/bin/?", "/bin/?"},    {"/{bin,usr/x}/*", "/usr/x/c"},
};
static const struct sample scopes[] = {
    {"", "/x"},
    {"", "/api"},
    {"**", "/api/v1"},
    {"/**", "/"},
    {"/api", "/api"},
    {"/api/**", "/api/v1"},
    {"/api/*", "/api/v1"},
    {"/*", "/x"},
    {"/api/v1/**", "/api/v1/x"},
    {"/*/v1", "/x/v1"},
    {"/**/v1", "/api/v1"},
    {"/api/?1", "/api/a1"},
    {"/api/[a-u]1", "/api/a1"},
    {"/api/[!v]1", "/api/a1"},
    {"/{api,x}", "/x"},
    {"/a**i", "/api"},
    {"/graphql", "/graphql"},
};
static const struct sample paths[] = {
    {"", "/x"},
    {"**", "/x"},
    {"/**", "/api"},
    {"/api", "/api"},
    {"/api/*", "/api/v1"},
    {"/api/**", "/api/v1/x"},
    {"/api/**/x", "/api/x"},
    {"/**/x", "/api/v1/x"},
    {"**/x", "/x"},
    {"/{api,x}/v1", "/x/v1"},
    {"/api/v[0-9]", "/api/v1"},
    {"/api/v[!1]", "/api/v2"},
    {"/a?i", "/api"},
    {"/ap\\i", "/api"},
    {"/*/v1", "/api/v1"},
    {"/a**i", "/api"},
    {"/graphql", "/graphql"},
};
static const struct sample values[] = {
    {"1", "1"}, {"*", "1"}, {"1.*", "1.2"}, {"1.**", "1.2.3"}, {"a*", "a/b"}, {"**", ""}, {"{1,a}", "a"},
};
static const char *const http_methods[] = {"GET",    "get",     "HEAD",  "POST", "PUT",
                                           "DELETE", "OPTIONS", "PATCH", "*",    ""};
static const char *const request_methods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                              "DELETE", "OPTIONS", "PATCH", "TRACE"};
static const char *const op_types[] = {"query", "mutation", "subscription", "*"};
static const char *const op_names[] = {"", "", "Get*", "*", "GetUser", "Set"};
static const char *const field_globs[] = {"viewer", "user*", "users", "*", "repo"};
static const char *const field_names[] = {"viewer", "user", "users", "repo"};
static const char *const op_ids[] = {"h1", "h2", "h3"};
static const char *const rpc_methods[] = {"ping", "tools/call", "tools/list", "initialize", "*"};
static const char *const mcp_methods[] = {"tools/call", "tools/list", "tools/*", "initialize", "ping"};
static const char *const tools[] = {"read", "re*", "fs.*", "write"};
static const char *const call_tools[] = {"read", "reap", "write", "fs.read", "fs.read.all"};
static const char *const keys[] = {"m", "b", "Z", "a-b", "_provider_x", "z"};
static const uint32_t ports[] = {443, 80, 8080};

size_t gen_below(struct gen *g, size_t n)
{
    g->state ^= g->state >>
                12; // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators"
    g->state ^= g->state << 25;
    g->state ^= g->state >> 27;
    return (size_t)((g->state * 0x2545'f491'4f6c'dd1dULL) >> 33) % n;
}

static bool one_in(struct gen *g, size_t n)
{
    return gen_below(g, n) == 0;
}

#define PICK(g, table) ((table)[gen_below((g), ARRAY_LEN(table))])

static struct str word(struct gen *g, const char *const *v, size_t n)
{
    return str_of(v[gen_below(g, n)]);
}
#define WORD(g, table) word((g), (table), ARRAY_LEN(table))

// ---- policies
// -------------------------------------------------------------------------------------------------

// What is being made, and whether there was room.
struct maker {
    struct gen *g;
    struct arena *a;
    bool full;
};

static void *list(struct maker *m, size_t n, size_t size)
{
    void *v = m->full ? NULL : arena_array(m->a, n, size);
    m->full = m->full || !v;
    return v;
}

static struct strs words(struct maker *m, const char *const *from, size_t from_n, size_t n)
{
    struct strs s = {.v = list(m, n, sizeof(struct str))};
    for (; s.v && s.n < n; s.n++)
        s.v[s.n] = word(m->g, from, from_n);
    return s;
}

static void make_query(struct maker *m, struct l7_rule *rule)
{
    static const char *const names[] = {"k", "q"};
    size_t n = 1 + gen_below(m->g, 2);
    rule->query = list(m, n, sizeof(struct matcher));
    for (; rule->query && rule->query_n < n; rule->query_n++) {
        struct matcher *q = &rule->query[rule->query_n];
        q->key = str_of(names[rule->query_n]);
        if (one_in(m->g, 2)) {
            q->glob = str_of(PICK(m->g, values).pattern);
            continue;
        }
        q->any.v = list(m, 2, sizeof(struct str));
        for (; q->any.v && q->any.n < 2; q->any.n++)
            q->any.v[q->any.n] = str_of(PICK(m->g, values).pattern);
    }
}

static void make_http_rule(struct maker *m, bool websocket, struct l7_rule *rule)
{
    static const char *const websocket_methods[] = {"GET", "WEBSOCKET_TEXT", "*", "websocket_text"};
    rule->method = websocket ? WORD(m->g, websocket_methods) : WORD(m->g, http_methods);
    do
        rule->path = str_of(PICK(m->g, paths).pattern);
    while (rule->method.n == 0 && rule->path.n == 0); // a rule of nothing is refused
    if (one_in(m->g, 4))
        make_query(m, rule);
}

static void make_graphql_rule(struct maker *m, struct l7_rule *rule)
{
    rule->operation_type = WORD(m->g, op_types);
    rule->operation_name = WORD(m->g, op_names);
    if (one_in(m->g, 2))
        rule->fields = words(m, field_globs, ARRAY_LEN(field_globs), 1 + gen_below(m->g, 2));
}

static void make_tool(struct maker *m, bool globs, struct l7_rule *rule)
{
    rule->params = list(m, 1, sizeof(struct matcher));
    if (!rule->params)
        return;
    rule->params_n = 1;
    rule->params[0].key = STR("name");
    size_t n = globs ? ARRAY_LEN(tools) : 1; // the first is without a star
    if (one_in(m->g, 2))
        rule->params[0].glob = word(m->g, tools, n);
    else
        rule->params[0].any = words(m, tools, n, 2);
}

// Where a rule names tools, no other rule of the endpoint may cover tools/call as a whole (reference 1.6).
static void make_mcp_rule(struct maker *m, const struct endpoint *ep, bool by_tool, struct l7_rule *rule)
{
    bool optional = ep->allow_all_known_mcp_methods == YES;
    if (!by_tool) {
        rule->method = optional && one_in(m->g, 4) ? STR("") : WORD(m->g, mcp_methods);
    } else if (one_in(m->g, 3)) {
        rule->method = STR("tools/list");
    } else {
        rule->method = optional && one_in(m->g, 2) ? STR("") : STR("tools/call");
        make_tool(m, ep->strict_tool_names != NO, rule);
    }
}

static void make_rule(struct maker *m, const struct endpoint *ep, bool by_tool, bool graphql,
                      struct l7_rule *rule)
{
    if (str_eq(ep->protocol, STR("graphql")) || graphql)
        make_graphql_rule(m, rule);
    else if (str_eq(ep->protocol, STR("json-rpc")))
        rule->method = WORD(m->g, rpc_methods);
    else if (str_eq(ep->protocol, STR("mcp")))
        make_mcp_rule(m, ep, by_tool, rule);
    else if (str_eq(ep->protocol, STR("sql")))
        rule->command = STR("SELECT");
    else
        make_http_rule(m, str_eq(ep->protocol, STR("websocket")), rule);
}

static void make_rules(struct maker *m, struct endpoint *ep)
{
    static const char *const presets[] = {"read-only", "read-write", "full", "read-mostly"};
    bool mcp = str_eq(ep->protocol, STR("mcp")), websocket = str_eq(ep->protocol, STR("websocket"));
    bool rpc = mcp || str_eq(ep->protocol, STR("json-rpc"));
    bool by_tool = one_in(m->g, 2), graphql = websocket && one_in(m->g, 2);
    size_t n = 1 + gen_below(m->g, 3), deny = one_in(m->g, 3) ? 1 + gen_below(m->g, 2) : 0;
    if (mcp && ep->allow_all_known_mcp_methods == YES && one_in(m->g, 2))
        n = 0;
    if (!rpc && one_in(m->g, 3)) {
        ep->access = str_of(presets[gen_below(m->g, one_in(m->g, 8) ? 4 : 3)]);
        n = 0;
        graphql = false;
    }
    ep->rules = n > 0 ? list(m, n, sizeof(struct l7_rule)) : NULL;
    for (; ep->rules && ep->rules_n < n; ep->rules_n++) {
        struct l7_rule *rule = &ep->rules[ep->rules_n];
        if (graphql && ep->rules_n == 1)
            rule->method = STR("GET"); // the handshake
        else
            make_rule(m, ep, by_tool, graphql, rule);
    }
    ep->deny_rules = deny > 0 ? list(m, deny, sizeof(struct l7_rule)) : NULL;
    for (; ep->deny_rules && ep->deny_rules_n < deny; ep->deny_rules_n++)
        make_rule(m, ep, by_tool, graphql, &ep->deny_rules[ep->deny_rules_n]);
}

static void make_registry(struct maker *m, struct endpoint *ep)
{
    ep->persisted_queries = one_in(m->g, 4) ? STR("deny") : STR("allow_registered");
    size_t n = 1 + gen_below(m->g, 2);
    ep->registered = list(m, n, sizeof(struct graphql_registered));
    for (; ep->registered && ep->registered_n < n; ep->registered_n++)
        ep->registered[ep->registered_n] = (struct graphql_registered){
            .id = str_of(op_ids[ep->registered_n]),
            .operation_type = word(m->g, op_types, 2),
            .operation_name = word(m->g, op_names + 4, 2),
            .fields = words(m, field_names, ARRAY_LEN(field_names), gen_below(m->g, 3)),
        };
}

static void make_l7(struct maker *m, struct endpoint *ep)
{
    static const char *const protocols[] = {"rest",    "rest",     "rest", "websocket", "graphql",
                                            "graphql", "json-rpc", "mcp",  "mcp",       "sql"};
    ep->protocol = WORD(m->g, protocols);
    bool sql = str_eq(ep->protocol, STR("sql"));
    ep->path = str_of(PICK(m->g, scopes).pattern);
    ep->enforcement = sql || one_in(m->g, 3) ? (one_in(m->g, 2) ? STR("audit") : STR("")) : STR("enforce");
    if (str_eq(ep->protocol, STR("mcp"))) {
        ep->has_mcp = true;
        ep->allow_all_known_mcp_methods = one_in(m->g, 2) ? YES : UNSET;
        ep->strict_tool_names = one_in(m->g, 4) ? NO : UNSET;
    }
    if (str_eq(ep->protocol, STR("graphql")) && one_in(m->g, 2))
        make_registry(m, ep);
    make_rules(m, ep);
}

static void make_endpoint(struct maker *m, struct endpoint *ep)
{
    static const char *const ranges[] = {"10.0.0.0/8", "192.168.1.0/24"};
    bool tcp = one_in(m->g, 10);
    ep->host = str_of(hosts[gen_below(m->g, tcp ? 12 : ARRAY_LEN(hosts))].pattern);
    ep->ports_n = 1 + one_in(m->g, 4);
    ep->ports = list(m, ep->ports_n, sizeof(uint32_t));
    if (ep->ports) {
        size_t first = one_in(m->g, 3) ? 1 : 0;
        ep->ports[0] = ports[first];
        if (ep->ports_n == 2)
            ep->ports[1] = ports[first + 1];
    }
    if (ep->host.n == 0 || one_in(m->g, 6))
        ep->allowed_ips = words(m, ranges, ARRAY_LEN(ranges), 1);
    if (one_in(m->g, 6))
        ep->tls = one_in(m->g, 3) ? STR("terminate") : STR("skip");
    ep->advisor_proposed = one_in(m->g, 4);
    ep->provider_credentialed = one_in(m->g, 3);
    ep->allow_uninspected_credentials = one_in(m->g, 3);
    if (tcp)
        ep->protocol = STR("tcp");
    else if (!one_in(m->g, 6))
        make_l7(m, ep);
}

static void make_entry(struct maker *m, struct policy_entry *e)
{
    e->endpoints_n = one_in(m->g, 12) ? 0 : 1 + gen_below(m->g, 4);
    e->endpoints = list(m, e->endpoints_n, sizeof(struct endpoint));
    for (size_t i = 0; e->endpoints && i < e->endpoints_n; i++)
        make_endpoint(m, &e->endpoints[i]);
    // Endpoints that say the same host meet in one decision, which is where the engine has choices to make.
    for (size_t i = 1; e->endpoints && i < e->endpoints_n; i++)
        if (one_in(m->g, 2) && e->endpoints[0].host.n > 0 && e->endpoints[0].host.p[0] != '1' &&
            !str_has(e->endpoints[0].host, ':'))
            e->endpoints[i].host = e->endpoints[0].host;
    e->binaries_n = one_in(m->g, 12) ? 0 : 1 + gen_below(m->g, 2);
    e->binaries = list(m, e->binaries_n, sizeof(struct binary));
    for (size_t i = 0; e->binaries && i < e->binaries_n; i++)
        e->binaries[i] = (struct binary){str_of(PICK(m->g, binaries).pattern), one_in(m->g, 4)};
}

struct policy *gen_policy(struct gen *g, struct arena *a)
{
    struct maker m = {.g = g, .a = a};
    struct policy *p = list(&m, 1, sizeof(*p));
    size_t n = one_in(g, 20) ? 0 : 1 + gen_below(g, 4), first = gen_below(g, ARRAY_LEN(keys));
    struct policy_entry *entries = list(&m, n, sizeof(*entries));
    if (!p || !entries)
        return NULL;
    p->version = 1;
    p->entries = entries;
    p->entries_n = n;
    for (size_t i = 0; i < n; i++) {
        entries[i].key = str_of(keys[(first + i) % ARRAY_LEN(keys)]);
        make_entry(&m, &entries[i]);
    }
    return m.full ? NULL : p;
}

// ---- requests
// -------------------------------------------------------------------------------------------------

// A text that `pattern` has, or any of the table.
static struct str aim(struct gen *g, const struct sample *v, size_t n, struct str pattern)
{
    size_t any = gen_below(g, 10 * n); // mostly beyond the end
    for (size_t i = 0; any >= n && i < n; i++)
        if (str_eq(str_of(v[i].pattern), pattern))
            return str_of(v[i].text);
    return str_of(v[any % n].text);
}
#define AIM(g, table, pattern) aim((g), (table), ARRAY_LEN(table), (pattern))

static void ask_connection(struct gen *g, const struct policy_entry *e, const struct endpoint *ep,
                           struct gen_request *ret)
{
    struct conn_facts *c = &ret->conn;
    c->host = ep ? AIM(g, hosts, ep->host) : str_of(PICK(g, hosts).text);
    c->port = (uint16_t)(ep && !one_in(g, 12) ? ep->ports[gen_below(g, ep->ports_n)] : PICK(g, ports));
    struct str program = str_of(PICK(g, binaries).text);
    if (e && e->binaries_n > 0)
        program = AIM(g, binaries, e->binaries[gen_below(g, e->binaries_n)].path);
    c->who.ancestors = ret->ancestors;
    c->who.ancestors_n = gen_below(g, GEN_LIST + 1);
    for (size_t i = 0; i < c->who.ancestors_n; i++)
        ret->ancestors[i] = str_of(PICK(g, binaries).text);
    c->who.exe = program;
    if (c->who.ancestors_n > 0 && one_in(g, 3)) { // the parent may, the program itself perhaps not
        c->who.exe = STR("/opt/other");
        ret->ancestors[c->who.ancestors_n - 1] = program;
    }
    c->who.cmdline = &c->who.exe;
    c->who.cmdline_n = one_in(g, 2);
}

static void ask_http(struct gen *g, const struct l7_rule *rule, struct gen_request *ret)
{
    static const char *const names[] = {"k", "q", "K"};
    struct request_facts *r = &ret->request;
    r->method = WORD(g, request_methods);
    if (rule && rule->method.n > 1 && !str_has(rule->method, '/') && !one_in(g, 3))
        r->method = rule->method;
    else if (one_in(g, 5))
        r->method = STR("WEBSOCKET_TEXT");
    r->query = ret->query;
    r->query_n = rule && rule->query_n > 0 ? 1 + gen_below(g, GEN_LIST) : gen_below(g, 2);
    for (size_t i = 0; i < r->query_n; i++) {
        const struct matcher *q = rule && rule->query_n > 0 ? &rule->query[i % rule->query_n] : NULL;
        ret->query[i].key = q && !one_in(g, 6) ? q->key : WORD(g, names);
        ret->query[i].value = AIM(g, values, q && q->any.n > 0 ? q->any.v[0] : q ? q->glob : STR("-"));
    }
}

static void ask_graphql(struct gen *g, const struct l7_rule *rule, struct gen_request *ret)
{
    struct graphql_facts *f = &ret->graphql;
    ret->request.graphql = f;
    if (!str_eq(ret->request.method, STR("WEBSOCKET_TEXT")) && !one_in(g, 8))
        ret->request.method = STR("POST");
    if (one_in(g, 12)) {
        f->error = STR("unexpected byte");
        return;
    }
    f->ops = ret->ops;
    f->ops_n = one_in(g, 16) ? 0 : 1 + (one_in(g, 3) ? 1 + gen_below(g, 2) : 0);
    for (size_t i = 0; i < f->ops_n; i++) {
        struct graphql_op *op = &ret->ops[i];
        bool hash = one_in(g, 3);
        if (hash || one_in(g, 8))
            op->persisted_id = WORD(g, op_ids);
        if (hash)
            continue;
        op->type = rule && rule->operation_type.n > 1 && !one_in(g, 4) ? rule->operation_type
                                                                       : word(g, op_types, 3);
        op->name = one_in(g, 4) ? STR("") : word(g, op_names + 4, 2);
        op->fields = ret->fields[i];
        op->fields_n = gen_below(g, GEN_LIST + 1);
        for (size_t k = 0; k < op->fields_n; k++)
            ret->fields[i][k] = WORD(g, field_names);
    }
}

static void ask_rpc(struct gen *g, const struct l7_rule *rule, struct gen_request *ret)
{
    struct rpc_facts *f = &ret->rpc;
    ret->request.rpc = f;
    if (one_in(g, 12)) {
        ret->request.method = STR("GET");
        f->receive_stream = true;
        return;
    }
    if (!one_in(g, 12))
        ret->request.method = STR("POST");
    if (one_in(g, 16)) {
        f->error = STR("unexpected byte");
        return;
    }
    f->has_response = one_in(g, 10);
    f->calls = ret->calls;
    f->calls_n = one_in(g, 10) ? 0 : 1 + (one_in(g, 3) ? 1 + gen_below(g, 2) : 0);
    for (size_t i = 0; i < f->calls_n; i++) {
        bool aimed = rule && rule->method.n > 1 && !str_has(rule->method, '*') && !one_in(g, 4);
        ret->calls[i].method = aimed ? rule->method : word(g, rpc_methods, 4);
        ret->calls[i].has_tool = str_eq(ret->calls[i].method, STR("tools/call")) ? !one_in(g, 8)
                                                                                 : one_in(g, 12);
        if (ret->calls[i].has_tool)
            ret->calls[i].tool = WORD(g, call_tools);
    }
}

void gen_request(struct gen *g, const struct policy *p, struct gen_request *ret)
{
    *ret = (struct gen_request){};
    const struct policy_entry *e = p->entries_n > 0 && !one_in(g, 6) ? &p->entries[gen_below(g, p->entries_n)]
                                                                     : NULL;
    const struct endpoint *ep = e && e->endpoints_n > 0 ? &e->endpoints[gen_below(g, e->endpoints_n)] : NULL;
    ask_connection(g, e, ep, ret);

    const struct l7_rule *rule = NULL;
    if (ep && ep->deny_rules_n > 0 && one_in(g, 2))
        rule = &ep->deny_rules[gen_below(g, ep->deny_rules_n)];
    else if (ep && ep->rules_n > 0)
        rule = &ep->rules[gen_below(g, ep->rules_n)];
    ret->request.path = str_of(PICK(g, paths).text);
    if (ep && one_in(g, 2))
        ret->request.path = AIM(g, scopes, ep->path);
    else if (rule && !one_in(g, 3))
        ret->request.path = AIM(g, paths, rule->path);
    ask_http(g, rule, ret);

    struct str protocol = ep ? ep->protocol : STR("");
    bool message = str_eq(ret->request.method, STR("WEBSOCKET_TEXT"));
    bool graphql = str_eq(protocol, STR("graphql")) || (message && rule && rule->operation_type.n > 0);
    bool rpc = str_eq(protocol, STR("json-rpc")) || str_eq(protocol, STR("mcp"));
    if (graphql ? !one_in(g, 12) : one_in(g, 20))
        ask_graphql(g, rule, ret);
    else if (rpc ? !one_in(g, 12) : one_in(g, 20))
        ask_rpc(g, rule, ret);
}

// ---- words
// ----------------------------------------------------------------------------------------------------

static void print_graphql(const struct graphql_facts *f, struct buf *out)
{
    buf_addf(out, "graphql error '%.*s'\n", STR_FMT(f->error));
    for (size_t i = 0; i < f->ops_n; i++) {
        const struct graphql_op *op = &f->ops[i];
        buf_addf(out, "  op type '%.*s' name '%.*s' id '%.*s' fields", STR_FMT(op->type), STR_FMT(op->name),
                 STR_FMT(op->persisted_id));
        for (size_t k = 0; k < op->fields_n; k++)
            buf_addf(out, " '%.*s'", STR_FMT(op->fields[k]));
        buf_addc(out, '\n');
    }
}

static void print_rpc(const struct rpc_facts *f, struct buf *out)
{
    buf_addf(out, "rpc error '%.*s' response %d stream %d\n", STR_FMT(f->error), f->has_response,
             f->receive_stream);
    for (size_t i = 0; i < f->calls_n; i++)
        buf_addf(out, "  call '%.*s' tool %d '%.*s'\n", STR_FMT(f->calls[i].method), f->calls[i].has_tool,
                 STR_FMT(f->calls[i].tool));
}

void gen_print(const struct gen_request *q, struct buf *out)
{
    buf_addf(out, "host '%.*s' port %u exe '%.*s' ancestors", STR_FMT(q->conn.host), q->conn.port,
             STR_FMT(q->conn.who.exe));
    for (size_t i = 0; i < q->conn.who.ancestors_n; i++)
        buf_addf(out, " '%.*s'", STR_FMT(q->conn.who.ancestors[i]));
    buf_addf(out, "\n'%.*s' '%.*s' query", STR_FMT(q->request.method), STR_FMT(q->request.path));
    for (size_t i = 0; i < q->request.query_n; i++)
        buf_addf(out, " '%.*s'='%.*s'", STR_FMT(q->request.query[i].key), STR_FMT(q->request.query[i].value));
    buf_addc(out, '\n');
    if (q->request.graphql)
        print_graphql(q->request.graphql, out);
    if (q->request.rpc)
        print_rpc(q->request.rpc, out);
}
