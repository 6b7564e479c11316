// Words for decisions. The texts in the style of "M P not permitted by policy" are the reference's (1.12):
// clients and agents match on them.
#include "policy/compiled.h"
#include "policy/diag.h"

enum { POLICIES_NAMED = 16 }; // in one denial; ours

static const char *const why_names[] = {
    [WHY_NO_ENDPOINT] = "no-endpoint",
    [WHY_NO_BINARY] = "no-binary",
    [WHY_NO_PATH] = "no-path",
    [WHY_NO_RULE] = "no-rule",
    [WHY_DENY_RULE] = "deny-rule",
    [WHY_MALFORMED] = "malformed",
    [WHY_RESPONSE_FRAME] = "response-frame",
    [WHY_NOT_REGISTERED] = "not-registered",
    [WHY_CONNECTION] = "connection",
    [WHY_RULE] = "rule",
    [WHY_PRESET] = "preset",
    [WHY_ALL_MCP] = "all-mcp-methods",
    [WHY_RECEIVE_STREAM] = "receive-stream",
    [WHY_QUARANTINE] = "quarantine",
};
static_assert(ARRAY_LEN(why_names) == WHY_QUARANTINE + 1, "a name for each reason");

const char *why_name(enum why why)
{
    return why_names[why];
}

static const char *const verdict_names[] = {
    [VERDICT_DENY] = "deny",
    [VERDICT_ALLOW] = "allow",
    [VERDICT_AUDIT] = "audit",
};
static_assert(ARRAY_LEN(verdict_names) == VERDICT_AUDIT + 1, "a name for each verdict");

const char *verdict_name(enum verdict v)
{
    return verdict_names[v];
}

static void add_list(struct buf *out, const struct str *v, size_t n, const char *between)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add(out, str_of(between));
        buf_add(out, v[i]);
    }
    buf_addc(out, ']');
}

static bool entry_has_endpoint(const struct snapshot *s, const struct compiled_entry *e,
                               const struct conn_facts *c)
{
    for (uint32_t id = e->endpoints_lo; id < e->endpoints_hi; id++)
        if (endpoint_has_port(&s->endpoints[id], c->port) && endpoint_has_host(&s->endpoints[id], c->host))
            return true;
    return false;
}

// A symbolic link is the usual cause: the kernel names the file that a link leads to.
static bool has_exact_binary(const struct snapshot *s, const struct compiled_entry *e)
{
    for (uint32_t i = e->binaries_lo; i < e->binaries_hi; i++)
        if (!s->binaries[i].glob)
            return true;
    return false;
}

static void no_binary(const struct snapshot *s, const struct conn_facts *c, struct buf *out)
{
    size_t named = 0, more = 0;
    for (size_t i = 0; i < s->entries_n; i++) {
        const struct compiled_entry *e = &s->entries[i];
        if (!entry_has_endpoint(s, e, c))
            continue;
        if (named == POLICIES_NAMED) {
            more++;
            continue;
        }
        if (named++ > 0)
            buf_add(out, STR("; "));
        buf_add(out, STR("binary '"));
        buf_add(out, c->who.exe);
        buf_add(out, STR("' not allowed in policy '"));
        buf_add(out, e->pub.name);
        buf_add(out, STR("' (ancestors: "));
        add_list(out, c->who.ancestors, c->who.ancestors_n, " -> ");
        buf_add(out, STR(", cmdline: "));
        add_list(out, c->who.cmdline, c->who.cmdline_n, ", ");
        buf_add(out, STR(")"));
        if (has_exact_binary(s, e))
            buf_add(out,
                    STR(". SYMLINK HINT: name the file that the link leads to, as `readlink -f` prints it"));
    }
    if (more > 0)
        buf_addf(out, "; and in %zu more policies", more);
}

static void request_line(const struct request_facts *r, struct buf *out)
{
    buf_add(out, r->method);
    buf_addc(out, ' ');
    buf_add(out, r->path);
}

static void host_port(const struct conn_facts *c, struct buf *out)
{
    bool v6 = str_has(c->host, ':');
    buf_add(out, v6 ? STR("[") : STR(""));
    buf_add(out, c->host);
    buf_addf(out, "%s:%u", v6 ? "]" : "", c->port);
}

static void malformed(const struct request_facts *r, const struct decision *d, struct buf *out)
{
    bool graphql = d->endpoint->protocol == PROTOCOL_GRAPHQL || d->endpoint->websocket_graphql;
    buf_add(out, graphql ? STR("GraphQL request rejected: ") : STR("JSON-RPC request rejected: "));
    buf_add(out, graphql ? r->graphql->error : r->rpc->error);
}

static bool is_about_operations(const struct request_facts *r, const struct decision *d)
{
    return r->graphql && d->endpoint &&
           (d->endpoint->protocol == PROTOCOL_GRAPHQL || d->endpoint->websocket_graphql);
}

static void allowed(const struct conn_facts *c, const struct request_facts *r, const struct decision *d,
                    struct buf *out)
{
    if (!r || d->why == WHY_CONNECTION) {
        host_port(c, out);
        buf_add(out, r ? STR(" is allowed; requests are not inspected there") : STR(" is allowed"));
        return;
    }
    request_line(r, out);
    static const char *const by[] = {
        [WHY_RULE] = " permitted by rule",
        [WHY_PRESET] = " permitted by access preset",
        [WHY_ALL_MCP] = " permitted by allow_all_known_mcp_methods",
        [WHY_RECEIVE_STREAM] = " permitted: it asks the server for nothing",
    };
    buf_add(out, str_of(d->why < ARRAY_LEN(by) ? by[d->why] : NULL));
}

void decision_reason(const struct snapshot *s, const struct conn_facts *c, const struct request_facts *r,
                     const struct decision *d, struct buf *out)
{
    switch (d->why) {
    case WHY_QUARANTINE:
        buf_add(out, s->quarantine);
        break;
    case WHY_NO_ENDPOINT:
        buf_add(out, STR("endpoint "));
        host_port(c, out);
        buf_add(out, STR(" is not allowed by any policy"));
        break;
    case WHY_NO_BINARY:
        no_binary(s, c, out);
        break;
    case WHY_NO_PATH:
        request_line(r, out);
        buf_add(out, STR(" did not match an L7 endpoint path"));
        break;
    case WHY_MALFORMED:
        malformed(r, d, out);
        break;
    case WHY_RESPONSE_FRAME:
        buf_add(out, STR("JSON-RPC response frames are not permitted from client to server"));
        break;
    case WHY_NOT_REGISTERED:
        buf_add(out, STR("GraphQL persisted query is not registered"));
        break;
    case WHY_DENY_RULE:
        if (is_about_operations(r, d) && d->rule->graphql) {
            buf_add(out, STR("GraphQL operation blocked by endpoint policy"));
            break;
        }
        request_line(r, out);
        buf_add(out, STR(" blocked by deny rule"));
        break;
    case WHY_NO_RULE:
        if (is_about_operations(r, d)) {
            buf_add(out, STR("GraphQL operation not permitted by policy"));
            break;
        }
        request_line(r, out);
        buf_add(out, STR(" not permitted by policy"));
        break;
    case WHY_CONNECTION:
    case WHY_RULE:
    case WHY_PRESET:
    case WHY_ALL_MCP:
    case WHY_RECEIVE_STREAM:
        allowed(c, r, d, out);
        break;
    }
}

void decision_rule(const struct decision *d, struct buf *out)
{
    if (!d->entry)
        return;
    struct keypath path = {};
    (void)keypath_key(&path, STR("network_policies"));
    (void)keypath_key(&path, d->entry->key);
    if (d->endpoint) {
        (void)keypath_key(&path, STR("endpoints"));
        (void)keypath_index(&path, d->endpoint->index);
    }
    if (d->rule) {
        (void)keypath_key(&path, d->rule->deny ? STR("deny_rules") : STR("rules"));
        (void)keypath_index(&path, d->rule->index);
    } else if (d->why == WHY_PRESET) {
        (void)keypath_key(&path, STR("access"));
    } else if (d->why == WHY_ALL_MCP) {
        (void)keypath_key(&path, STR("mcp"));
        (void)keypath_key(&path, STR("allow_all_known_mcp_methods"));
    }
    buf_add(out, keypath_str(&path));
}
