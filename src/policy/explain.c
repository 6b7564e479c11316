// The same questions as decide.c asks, in the same order, of every entry that names the host, with each
// answer kept. The verdict itself is decide.c's: this only says how it came about. Entries for other hosts
// are counted, not listed.
#include "policy/explain.h"

#include "policy/compiled.h"
#include "policy/diag.h"

struct tracer {
    const struct snapshot *s;
    const struct conn_facts *c;
    const struct request_facts *r; // NULL: the connection alone
    struct arena *a;
    struct explanation *x;
    size_t steps_cap, advice_cap;
    bool no_room;
};

static void *grown(struct tracer *t, void *old, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return old;
    size_t more = *cap ? *cap * 2 : 16;
    void *v = arena_array(t->a, more, size);
    if (!v) {
        t->no_room = true;
        return NULL;
    }
    if (n > 0)
        memcpy(v, old, n * size);
    *cap = more;
    return v;
}

static struct str keep(struct tracer *t, struct buf *text)
{
    struct str s = {};
    if (text->full || !arena_dup(t->a, buf_str(text), &s))
        t->no_room = true;
    buf_done(text);
    return s;
}

enum { TEXT_MAX = 256 * KIB };

static void PRINTF(5, 6) step(struct tracer *t, unsigned depth, enum step_result result,
                              const struct keypath *path, const char *fmt, ...)
{
    struct explanation *x = t->x;
    struct step *v = grown(t, x->steps, x->steps_n, &t->steps_cap, sizeof(*v));
    if (!v)
        return;
    x->steps = v;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct step *new = &v[x->steps_n];
    *new = (struct step){.depth = depth, .result = result};
    if (arena_dup(t->a, path ? keypath_str(path) : STR(""), &new->path) &&
        arena_dup(t->a, str_of(text), &new->text))
        x->steps_n++;
    else
        t->no_room = true;
}

static void PRINTF(2, 3) advise(struct tracer *t, const char *fmt, ...)
{
    struct explanation *x = t->x;
    struct str *v = grown(t, x->advice, x->advice_n, &t->advice_cap, sizeof(*v));
    if (!v)
        return;
    x->advice = v;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < x->advice_n; i++)
        if (str_eq(v[i], str_of(text)))
            return;
    if (arena_dup(t->a, str_of(text), &v[x->advice_n]))
        x->advice_n++;
    else
        t->no_room = true;
}

// ---- paths of keys
// ------------------------------------------------------------------------------------------

static struct keypath entry_path(const struct snap_entry *e)
{
    struct keypath p = {};
    (void)keypath_key(&p, STR("network_policies"));
    (void)keypath_key(&p, e->key);
    return p;
}

static struct keypath endpoint_path(const struct snap_endpoint *ep)
{
    struct keypath p = entry_path(ep->entry);
    (void)keypath_key(&p, STR("endpoints"));
    (void)keypath_index(&p, ep->index);
    return p;
}

static struct keypath rule_path(const struct snap_rule *rule)
{
    struct keypath p = endpoint_path(&rule->endpoint->pub);
    if (rule->preset) {
        (void)keypath_key(&p, STR("access"));
        return p;
    }
    (void)keypath_key(&p, rule->deny ? STR("deny_rules") : STR("rules"));
    (void)keypath_index(&p, rule->index);
    return p;
}

// ---- rules
// --------------------------------------------------------------------------------------------------

static struct str or_star(struct str s)
{
    return s.n > 0 ? s : STR("*");
}

static void http_step(struct tracer *t, const struct snap_rule *rule, const struct request_view *v)
{
    assert(v->r);
    struct keypath p = rule_path(rule);
    struct str method = or_star(rule->source->method),
               path = rule->source->path.n ? rule->source->path : STR("**");
    switch (rule_http_miss(rule, v, false)) {
    case PART_NONE:
        step(t, 2, STEP_MATCH, &p, "%s %.*s %.*s", rule->deny ? "denies" : "allows", STR_FMT(method),
             STR_FMT(path));
        break;
    case PART_METHOD:
        step(t, 2, STEP_MISS, &p, "method %.*s is not %.*s", STR_FMT(v->r->method), STR_FMT(method));
        break;
    case PART_PATH:
        step(t, 2, STEP_MISS, &p, "path %.*s is not %.*s", STR_FMT(v->r->path), STR_FMT(path));
        break;
    case PART_QUERY:
        step(t, 2, STEP_MISS, &p, "the query does not have what the rule asks for");
        break;
    case PART_TYPE:
    case PART_NAME:
    case PART_FIELDS:
    case PART_TOOL:
    case PART_BODY:
        break;
    }
}

static void graphql_step(struct tracer *t, const struct snap_rule *rule, const struct graphql_op *op)
{
    struct keypath p = rule_path(rule);
    static const char *const misses[] = {
        [PART_NONE] = "matches the operation",
        [PART_TYPE] = "is for operations of type",
        [PART_NAME] = "is for operations named",
        [PART_FIELDS] = "does not cover the root fields of the operation",
    };
    enum part miss = rule_graphql_miss(rule, op);
    struct str want = miss == PART_TYPE   ? rule->source->operation_type
                      : miss == PART_NAME ? rule->source->operation_name
                                          : STR("");
    step(t, 2, miss == PART_NONE ? STEP_MATCH : STEP_MISS, &p, "%s%s%s%.*s", rule->deny ? "deny rule " : "",
         misses[miss], want.n > 0 ? " " : "", STR_FMT(want));
}

static void rpc_step(struct tracer *t, const struct snap_rule *rule, const struct rpc_call *call)
{
    struct keypath p = rule_path(rule);
    enum part miss = rule_rpc_miss(rule, call);
    if (miss == PART_NONE)
        step(t, 2, STEP_MATCH, &p, "%s call %.*s", rule->deny ? "denies" : "allows", STR_FMT(call->method));
    else if (miss == PART_METHOD)
        step(t, 2, STEP_MISS, &p, "call %.*s is not %.*s", STR_FMT(call->method),
             STR_FMT(or_star(rule->source->method)));
    else
        step(t, 2, STEP_MISS, &p, "tool %.*s is not one the rule names", STR_FMT(call->tool));
}

static void rule_step(struct tracer *t, const struct snap_rule *rule, const struct request_view *v)
{
    assert(v->r); // rules are walked for requests only
    enum protocol protocol = rule->endpoint->pub.protocol;
    if (rule->graphql) {
        for (size_t i = 0; v->r->graphql && i < v->r->graphql->ops_n; i++) {
            struct graphql_op tmp;
            const struct graphql_op *op = endpoint_operation(rule->endpoint, &v->r->graphql->ops[i], &tmp);
            if (op)
                graphql_step(t, rule, op);
        }
    } else if (protocol == PROTOCOL_JSON_RPC || protocol == PROTOCOL_MCP) {
        for (size_t i = 0; v->r->rpc && i < v->r->rpc->calls_n; i++)
            rpc_step(t, rule, &v->r->rpc->calls[i]);
    } else if (protocol == PROTOCOL_REST || protocol == PROTOCOL_WEBSOCKET) {
        http_step(t, rule, v);
    }
}

// ---- endpoints and entries
// ----------------------------------------------------------------------------------

static void add_ports(const struct compiled_endpoint *ep, struct buf *out)
{
    for (size_t i = 0; i < ep->ports_n; i++)
        buf_addf(out, "%s%u", i ? ", " : "", ep->ports[i]);
}

static struct str host_text(const struct compiled_endpoint *ep)
{
    return ep->pub.host.n > 0 ? ep->pub.host : STR("any host in allowed_ips");
}

// Whether the endpoint applies to host, port and path; each answer is a step.
static bool endpoint_steps(struct tracer *t, const struct compiled_endpoint *ep)
{
    struct keypath p = endpoint_path(&ep->pub);
    struct buf ports;
    buf_init(&ports, 256); // a longer list is cut
    add_ports(ep, &ports);
    bool host = endpoint_has_host(ep, t->c->host), port = endpoint_has_port(ep, t->c->port);
    if (!host)
        step(t, 1, STEP_MISS, &p, "host %.*s is not %.*s", STR_FMT(t->c->host), STR_FMT(host_text(ep)));
    else if (!port)
        step(t, 1, STEP_MISS, &p, "%.*s, but port %u is not %.*s", STR_FMT(host_text(ep)), t->c->port,
             STR_FMT(buf_str(&ports)));
    else if (t->r && endpoint_is_l7(ep) && !endpoint_has_path(ep, t->r->path))
        step(t, 1, STEP_MISS, &p, "%.*s:%u, but path %.*s is not under %.*s", STR_FMT(host_text(ep)),
             t->c->port, STR_FMT(t->r->path), STR_FMT(ep->pub.path));
    else
        step(t, 1, STEP_MATCH, &p, "%.*s:%u%s%s, %s", STR_FMT(host_text(ep)), t->c->port,
             ep->pub.protocol == PROTOCOL_L4 ? "" : ", protocol ", protocol_name(ep->pub.protocol),
             !endpoint_is_l7(ep) ? "requests are not inspected"
             : ep->pub.enforce   ? "enforced"
                                 : "audit only");
    buf_done(&ports);
    return host && port && (!t->r || !endpoint_is_l7(ep) || endpoint_has_path(ep, t->r->path));
}

static bool binary_steps(struct tracer *t, const struct compiled_entry *e)
{
    struct keypath base = entry_path(&e->pub);
    size_t cut = keypath_key(&base, STR("binaries"));
    for (uint32_t i = e->binaries_lo; i < e->binaries_hi; i++) {
        struct str path;
        if (!binary_matches(&t->s->binaries[i], &t->c->who, &path))
            continue;
        keypath_cut(&base, cut);
        (void)keypath_key(&base, STR("binaries"));
        (void)keypath_index(&base, i - e->binaries_lo);
        bool self = str_eq(path, t->c->who.exe);
        step(t, 1, STEP_MATCH, &base, "%s %.*s", self ? "binary" : "ancestor", STR_FMT(path));
        return true;
    }
    if (e->binaries_lo == e->binaries_hi)
        step(t, 1, STEP_MISS, &base, "no binaries are listed, so no program matches");
    else
        step(t, 1, STEP_MISS, &base, "neither binary %.*s nor an ancestor is among the %u listed",
             STR_FMT(t->c->who.exe), e->binaries_hi - e->binaries_lo);
    return false;
}

static bool names_host(const struct tracer *t, const struct compiled_entry *e)
{
    for (uint32_t id = e->endpoints_lo; id < e->endpoints_hi; id++)
        if (endpoint_has_host(&t->s->endpoints[id], t->c->host))
            return true;
    return false;
}

static void entry_steps(struct tracer *t, const struct compiled_entry *e)
{
    struct keypath p = entry_path(&e->pub);
    step(t, 0, STEP_INFO, &p, "policy '%.*s'", STR_FMT(e->pub.name));
    bool binary = binary_steps(t, e);
    struct request_view v = {.r = t->r, .method = t->r ? method_bit(t->r->method) : 0};
    for (uint32_t id = e->endpoints_lo; id < e->endpoints_hi; id++) {
        const struct compiled_endpoint *ep = &t->s->endpoints[id];
        if (!endpoint_has_host(ep, t->c->host) || !endpoint_steps(t, ep) || !binary || !t->r)
            continue;
        for (size_t i = 0; i < ep->deny.n; i++)
            rule_step(t, &ep->deny.v[i], &v);
        for (size_t i = 0; i < ep->allow.n; i++)
            rule_step(t, &ep->allow.v[i], &v);
    }
}

// ---- advice
// -------------------------------------------------------------------------------------------------

static void advise_port(struct tracer *t)
{
    for (size_t i = 0; i < t->s->endpoints_n; i++) {
        const struct compiled_endpoint *ep = &t->s->endpoints[i];
        if (!ep->host || !endpoint_has_host(ep, t->c->host))
            continue;
        struct keypath p = endpoint_path(&ep->pub);
        advise(t, "add port %u to %.*s", t->c->port, (int)p.n, p.b);
    }
}

// "*.example.com" written where "example.com" was meant too, the commonest slip of all.
static void advise_apex(struct tracer *t)
{
    for (size_t i = 0; i < t->s->endpoints_n; i++) {
        const struct compiled_endpoint *ep = &t->s->endpoints[i];
        struct str rest = ep->pub.host;
        if ((str_skip(&rest, STR("**.")) || str_skip(&rest, STR("*."))) && str_eq(rest, t->c->host))
            advise(t,
                   "'%.*s' does not match the bare '%.*s': add an endpoint for that host to "
                   "network_policies.%.*s",
                   STR_FMT(ep->pub.host), STR_FMT(t->c->host), STR_FMT(ep->pub.entry->key));
        struct str deeper = t->c->host, one = ep->pub.host;
        if (str_skip(&one, STR("*.")) && str_ends(deeper, one) && deeper.n > one.n + 1 &&
            deeper.p[deeper.n - one.n - 1] == '.')
            advise(t, "'%.*s' stands for one label; '**.%.*s' would match '%.*s' too", STR_FMT(ep->pub.host),
                   STR_FMT(one), STR_FMT(t->c->host));
    }
}

static void advise_no_endpoint(struct tracer *t)
{
    advise_port(t);
    advise_apex(t);
    advise(t, "add an endpoint {host: %.*s, port: %u} to an entry of network_policies that lists %.*s",
           STR_FMT(t->c->host), t->c->port, STR_FMT(t->c->who.exe));
}

static void advise_no_binary(struct tracer *t)
{
    for (size_t i = 0; i < t->s->entries_n; i++) {
        const struct compiled_entry *e = &t->s->entries[i];
        for (uint32_t id = e->endpoints_lo; id < e->endpoints_hi; id++) {
            const struct compiled_endpoint *ep = &t->s->endpoints[id];
            if (endpoint_has_host(ep, t->c->host) && endpoint_has_port(ep, t->c->port)) {
                struct keypath p = entry_path(&e->pub);
                advise(t, "add {path: %.*s} to %.*s.binaries", STR_FMT(t->c->who.exe), (int)p.n, p.b);
                break;
            }
        }
    }
}

static void advise_no_path(struct tracer *t)
{
    assert(t->r); // the decision was about a request
    for (size_t i = 0; i < t->s->endpoints_n; i++) {
        const struct compiled_endpoint *ep = &t->s->endpoints[i];
        if (!endpoint_is_l7(ep) || !endpoint_has_host(ep, t->c->host) || !endpoint_has_port(ep, t->c->port))
            continue;
        struct keypath p = endpoint_path(&ep->pub);
        advise(t, "widen %.*s.path, now '%.*s', or add an endpoint for %.*s", (int)p.n, p.b,
               STR_FMT(ep->pub.path), STR_FMT(t->r->path));
    }
}

static void advise_operations(struct tracer *t, const struct keypath *p)
{
    for (size_t i = 0; i < t->r->graphql->ops_n; i++) {
        const struct graphql_op *op = &t->r->graphql->ops[i];
        if (op->type.n == 0)
            advise(t,
                   "register '%.*s' under %.*s.graphql_persisted_queries and set persisted_queries: "
                   "allow_registered",
                   STR_FMT(op->persisted_id), (int)p->n, p->b);
        else if (op->fields_n > 0)
            advise(t, "add {allow: {operation_type: %.*s, fields: [%.*s]}} to %.*s.rules", STR_FMT(op->type),
                   STR_FMT(op->fields[0]), (int)p->n, p->b);
        else
            advise(t, "add {allow: {operation_type: %.*s}} to %.*s.rules", STR_FMT(op->type), (int)p->n,
                   p->b);
    }
}

static void advise_calls(struct tracer *t, const struct keypath *p)
{
    for (size_t i = 0; i < t->r->rpc->calls_n; i++) {
        const struct rpc_call *call = &t->r->rpc->calls[i];
        advise(t, "add {allow: {method: %.*s%s%.*s}} to %.*s.rules", STR_FMT(call->method),
               call->has_tool ? ", tool: " : "", STR_FMT(call->has_tool ? call->tool : STR("")), (int)p->n,
               p->b);
    }
}

static void advise_no_rule(struct tracer *t, const struct snap_endpoint *ep)
{
    assert(t->r); // the decision was about a request
    const struct compiled_endpoint *in = ep->priv;
    struct keypath p = endpoint_path(ep);
    if (t->r->graphql && (ep->protocol == PROTOCOL_GRAPHQL || ep->websocket_graphql))
        advise_operations(t, &p);
    else if (t->r->rpc && (ep->protocol == PROTOCOL_JSON_RPC || ep->protocol == PROTOCOL_MCP))
        advise_calls(t, &p);
    else if (in->allow.n > 0 && in->allow.v[0].preset)
        advise(t,
               "choose a wider %.*s.access, or write rules with {allow: {method: %.*s, path: %.*s}} instead",
               (int)p.n, p.b, STR_FMT(t->r->method), STR_FMT(t->r->path));
    else
        advise(t, "add {allow: {method: %.*s, path: %.*s}} to %.*s.rules", STR_FMT(t->r->method),
               STR_FMT(t->r->path), (int)p.n, p.b);
}

static void advise_all(struct tracer *t, const struct decision *d)
{
    switch (d->why) {
    case WHY_NO_ENDPOINT:
        advise_no_endpoint(t);
        break;
    case WHY_NO_BINARY:
        advise_no_binary(t);
        break;
    case WHY_NO_PATH:
        advise_no_path(t);
        break;
    case WHY_NO_RULE:
    case WHY_NOT_REGISTERED:
        advise_no_rule(t, d->endpoint);
        break;
    case WHY_DENY_RULE: {
        struct keypath p = rule_path(d->rule);
        advise(t, "remove or narrow %.*s", (int)p.n, p.b);
        break;
    }
    case WHY_QUARANTINE:
        advise(t, "store a policy that is valid");
        break;
    case WHY_MALFORMED:
    case WHY_RESPONSE_FRAME:
    case WHY_CONNECTION:
    case WHY_RULE:
    case WHY_PRESET:
    case WHY_ALL_MCP:
    case WHY_RECEIVE_STREAM:
        break;
    }
}

static void trace(struct tracer *t)
{
    size_t others = 0;
    for (size_t i = 0; i < t->s->entries_n; i++) {
        if (names_host(t, &t->s->entries[i]))
            entry_steps(t, &t->s->entries[i]);
        else
            others++;
    }
    if (others > 0)
        step(t, 0, STEP_INFO, NULL, "%zu %s of network_policies %s other hosts", others,
             others == 1 ? "entry" : "entries", others == 1 ? "names" : "name");
}

enum err_code policy_explain(const struct snapshot *s, const struct conn_facts *c,
                             const struct request_facts *r, struct arena *a, struct explanation *ret,
                             struct err *reterr)
{
    struct explanation x = {};
    struct tracer t = {.s = s, .c = c, .r = r, .a = a, .x = &x};
    decide_connection(s, c, &x.conn);
    x.decision = x.conn.d;
    if (r)
        decide_request(s, c, r, &x.decision);

    struct buf text;
    buf_init(&text, TEXT_MAX);
    decision_reason(s, c, r, &x.decision, &text);
    x.reason = keep(&t, &text);
    decision_rule(&x.decision, &text);
    x.rule = keep(&t, &text);
    if (s->quarantine.n == 0)
        trace(&t);
    advise_all(&t, &x.decision);
    if (t.no_room)
        return arena_limit(a, "the explanation", reterr);
    *ret = x;
    return ERR_OK;
}
