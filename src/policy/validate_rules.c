// Rules: each on its own, by the protocol of its endpoint (reference 1.4 and 1.6), then against one another.
#include "policy/validate_parts.h"

#define W(s) STR_INIT(s)

static const struct str operation_types[] = {W("query"), W("mutation"), W("subscription"), W("*")};
static const struct words operation_words = {"operation_type", operation_types, ARRAY_LEN(operation_types),
                                             .ci = true};

static const struct str rest_methods[] = {W("GET"),    W("HEAD"),  W("POST"),    W("PUT"),
                                          W("DELETE"), W("PATCH"), W("OPTIONS"), W("*")};
static const struct str websocket_methods[] = {W("GET"), W("WEBSOCKET_TEXT"), W("*")};

// The list of rules that is looked at, and what its endpoint says about all of them.
struct list {
    const struct endpoint *ep;
    bool deny;
    bool ws_graphql;
    bool mcp_any_call; // MCP: a rule may do without a method
};

// A key path to a field of the rule at c->at: allow rules wrap their fields in `allow`.
struct field_name {
    char b[64];
};
static const char *field_of(const struct list *l, const char *field, struct field_name *buf)
{
    (void)snprintf(buf->b, sizeof(buf->b), "%s%s", l->deny ? "" : "allow.", field);
    return buf->b;
}
#define F(field) field_of(l, (field), &(struct field_name){})

// ---- globs and matchers
// -------------------------------------------------------------------------------------

static void check_matcher(struct check *c, const struct matcher *m)
{
    size_t back = keypath_key(&c->at, m->key);
    if (m->glob.n > 0 && m->any.n > 0)
        check_error(c, NULL, NULL, "a matcher is either a pattern or a list `any`");
    if (m->any.n == 0) {
        if (m->glob.n == 0)
            check_warning(c, NULL, "write '**' for any value",
                          "the pattern is empty: it matches only an empty value");
        (void)check_glob(c, NULL, GLOB_DOTTED, m->glob);
    }
    for (size_t i = 0; i < m->any.n; i++) {
        size_t item = check_item(c, "any", i);
        if (m->any.v[i].n == 0)
            check_error(c, NULL, NULL, "a pattern is empty");
        (void)check_glob(c, NULL, GLOB_DOTTED, m->any.v[i]);
        keypath_cut(&c->at, item);
    }
    keypath_cut(&c->at, back);
}

static void check_query(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    size_t back = check_down(c, F("query"));
    for (size_t i = 0; i < rule->query_n; i++)
        check_matcher(c, &rule->query[i]);
    keypath_cut(&c->at, back);
}

// ---- HTTP
// ---------------------------------------------------------------------------------------------------

// Canonical paths begin with '/', have no empty, `.` or `..` component and no query (reference 2.7).
static bool can_be_a_path(struct str path)
{
    bool start = path.p[0] == '/' || strchr("{[\\", path.p[0]) || str_starts(path, STR("**/")) ||
                 str_eq(path, STR("**"));
    struct str rest = path, part;
    for (bool first = true; start && str_split(&rest, '/', &part); first = false) {
        bool last = !rest.p;
        if (str_eq(part, STR(".")) || str_eq(part, STR("..")) || (part.n == 0 && !first && !last))
            return false;
    }
    return start;
}

static void check_rule_path(struct check *c, const struct list *l, struct str path)
{
    if (path.n == 0) {
        check_error(c, F("path"), "write `path: \"**\"` for every path", "path is required");
        return;
    }
    if (!check_glob(c, F("path"), GLOB_PATH, path))
        return;
    if (!can_be_a_path(path))
        check_warning(c, F("path"), "request paths begin with '/' and have no empty, '.' or '..' component",
                      "path '%.*s' can never match", STR_FMT(path));
    else if (str_has(path, '?') && str_has(path, '='))
        check_warning(c, F("path"), "match the query string with `query`",
                      "path '%.*s' is compared without the query string", STR_FMT(path));
    else if (!path_is_everything(l->ep->path) && !path_is_everything(path) && paths_apart(l->ep->path, path))
        check_warning(c, F("path"), NULL, "path '%.*s' can never match: the endpoint is only for '%.*s'",
                      STR_FMT(path), STR_FMT(l->ep->path));
}

static void check_http_method(struct check *c, const struct list *l, struct str method)
{
    bool ws = protocol_is(l->ep, "websocket");
    const struct str *known = ws ? websocket_methods : rest_methods;
    size_t n = ws ? ARRAY_LEN(websocket_methods) : ARRAY_LEN(rest_methods);
    if (method.n == 0) {
        check_error(c, F("method"), "write `method: \"*\"` for every method", "method is required");
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (str_eq_ci(method, known[i]))
            return;
    char hint[VALIDATE_HINT_MAX];
    struct str near = diag_suggest(method, known, n);
    if (!ws && str_eq_ci(method, STR("WEBSOCKET_TEXT")))
        (void)snprintf(hint, sizeof(hint), "text messages are inspected with `protocol: websocket`");
    else if (near.n > 0)
        (void)snprintf(hint, sizeof(hint), "did you mean '%.*s'?", STR_FMT(near));
    else
        (void)snprintf(hint, sizeof(hint), "known: %s",
                       ws ? "GET, WEBSOCKET_TEXT, *" : "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, *");
    check_warning(c, F("method"), hint, "unknown method '%.*s' for protocol %.*s", STR_FMT(method),
                  STR_FMT(l->ep->protocol));
}

static void check_http_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    check_http_method(c, l, rule->method);
    check_rule_path(c, l, rule->path);
    check_query(c, l, rule);
}

// ---- GraphQL
// ------------------------------------------------------------------------------------------------

static void check_graphql_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    if (rule->operation_type.n == 0)
        check_error(c, F("operation_type"), "query, mutation, subscription or '*'",
                    "operation_type is required");
    check_word(c, F("operation_type"), rule->operation_type, &operation_words);
    (void)check_glob(c, F("operation_name"), GLOB_DOTTED, rule->operation_name);
    for (size_t i = 0; i < rule->fields.n; i++) {
        size_t back = check_item(c, F("fields"), i);
        if (rule->fields.v[i].n == 0)
            check_error(c, NULL, NULL, "a field is empty");
        (void)check_glob(c, NULL, GLOB_DOTTED, rule->fields.v[i]);
        keypath_cut(&c->at, back);
    }
}

static void check_websocket_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    if (!rule_is_graphql(rule)) {
        if (l->ws_graphql && str_eq_ci(rule->method, STR("WEBSOCKET_TEXT")))
            check_error(c, F("method"), "write rules with operation_type for the messages",
                        "WEBSOCKET_TEXT cannot be used where GraphQL is inspected");
        check_http_rule(c, l, rule);
        return;
    }
    if (rule->method.n > 0 || rule->path.n > 0 || rule->query_n > 0)
        check_error(c,
                    F(rule->method.n > 0 ? "method"
                      : rule->path.n > 0 ? "path"
                                         : "query"),
                    "write one rule for the handshake and another for the operations",
                    "GraphQL fields cannot be combined with method, path or query");
    check_graphql_rule(c, l, rule);
}

// ---- JSON-RPC and MCP
// ---------------------------------------------------------------------------------------

static void check_json_rpc_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    static const char exact[] = "protocol json-rpc compares a method exactly; only '*' stands for all";
    if (rule->method.n == 0)
        check_error(c, F("method"), "write `method: \"*\"` for every method", "method is required");
    else if (!str_eq(rule->method, STR("*")) && str_has_any(rule->method, "*?[]{}"))
        check_error(c, F("method"), exact, "method '%.*s' is a pattern", STR_FMT(rule->method));
    const struct {
        const char *field;
        bool given;
    } refused[] = {{"params", rule->params_n > 0}, {"path", rule->path.n > 0}, {"query", rule->query_n > 0}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (refused[i].given)
            check_error(c, F(refused[i].field), NULL, "protocol json-rpc does not allow '%s' in a rule",
                        refused[i].field);
}

// Whether a tool name could pass strict_tool_names: [A-Za-z0-9_.-]{1,128}, as far as the literal part shows.
static bool is_strict_tool(struct str tool)
{
    for (size_t i = 0; i < tool.n; i++)
        if (!char_is_alpha(tool.p[i]) && !char_is_digit(tool.p[i]) && !strchr("_.-", tool.p[i]))
            return false;
    return tool.n > 0 && tool.n <= 128;
}

static void check_tool(struct check *c, const struct list *l, struct str tool)
{
    if (str_has_any(tool, "*?[]{}")) {
        if (l->ep->strict_tool_names == NO)
            check_error(c, F("params.name"), "leave `strict_tool_names: false` out",
                        "a tool pattern requires strict_tool_names: '%.*s'", STR_FMT(tool));
    } else if (l->ep->strict_tool_names != NO && tool.n > 0 && !is_strict_tool(tool)) {
        check_warning(c, F("params.name"), "write `mcp: {strict_tool_names: false}` to allow such names",
                      "tool '%.*s' can never match: strict tool names are 1 to 128 of A-Z a-z 0-9 _ . -",
                      STR_FMT(tool));
    }
}

static void check_params(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    size_t names = 0;
    for (size_t i = 0; i < rule->params_n; i++) {
        const struct matcher *m = &rule->params[i];
        size_t back = check_down(c, F("params"));
        bool name = str_eq(m->key, STR("name"));
        if (!name) {
            size_t here = keypath_key(&c->at, m->key);
            check_error(c, NULL, "only the name of a tool can be matched, with `tool`",
                        "params.%.*s cannot be matched: only params.name is", STR_FMT(m->key));
            keypath_cut(&c->at, here);
        } else {
            check_matcher(c, m);
        }
        keypath_cut(&c->at, back);
        if (!name)
            continue;
        if (++names == 2)
            check_error(c, F("params.name"), "write `tool`", "tool and params.name exclude each other");
        if (m->any.n == 0)
            check_tool(c, l, m->glob);
        for (size_t k = 0; k < m->any.n; k++)
            check_tool(c, l, m->any.v[k]);
    }
}

static void check_mcp_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    struct str method = rule->method;
    bool tool = rule->params_n > 0;
    if (method.n == 0 && !l->mcp_any_call)
        check_error(c, F("method"),
                    tool ? "write `method: tools/call`" : "write `method: \"*\"` for every method",
                    "method is required unless allow_all_known_mcp_methods is true");
    if (method.n > 0 && tool && !str_eq(method, STR("tools/call")))
        check_error(c, F("method"), "write `method: tools/call`",
                    "tool and params require method tools/call");
    bool glob = str_has_any(method, "*?[]{}") && !str_eq(method, STR("*"));
    if (glob && !str_starts(method, STR("tools/")))
        check_error(c, F("method"), "list the methods",
                    "method '%.*s': only methods below tools/ may be patterns", STR_FMT(method));
    else if (glob)
        (void)check_glob(c, F("method"), GLOB_DOTTED, method);
    check_params(c, l, rule);
}

// ---- rules against one another
// ------------------------------------------------------------------------------

static bool has_tool(const struct l7_rule *rule)
{
    return rule->params_n > 0;
}

// Whether a rule without a tool speaks of calls to every tool.
static bool covers_all_tools(struct check *c, const struct l7_rule *rule)
{
    if (has_tool(rule))
        return false;
    if (rule->method.n == 0 || str_eq(rule->method, STR("*")))
        return true;
    const struct glob *g;
    struct err ignored; // a broken pattern has had its error
    enum err_code r = glob_compile(GLOB_DOTTED, rule->method, &c->scratch, &g, &ignored);
    c->d->no_room |= r == ERR_LIMIT;
    return r == ERR_OK && glob_match(g, STR("tools/call"));
}

static void check_tool_conflicts(struct check *c, const struct endpoint *ep)
{
    bool named = false;
    for (size_t i = 0; i < ep->rules_n && !named; i++)
        named = has_tool(&ep->rules[i]);
    if (!named)
        return;
    for (size_t i = 0; i < ep->rules_n + ep->deny_rules_n; i++) {
        bool deny = i >= ep->rules_n;
        size_t at = deny ? i - ep->rules_n : i;
        const struct list own = {.ep = ep, .deny = deny}, *l = &own;
        if (!covers_all_tools(c, deny ? &ep->deny_rules[at] : &ep->rules[at]))
            continue;
        size_t back = check_item(c, deny ? "deny_rules" : "rules", at);
        check_error(c, F("method"), "give this rule a tool as well, or methods other than tools/call",
                    "a rule for every tool conflicts with allow rules that name tools");
        keypath_cut(&c->at, back);
    }
}

static bool strs_eq(const struct strs *a, const struct strs *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++)
        if (!str_eq(a->v[i], b->v[i]))
            return false;
    return a->n == b->n;
}

static bool matchers_eq(const struct matcher *a, size_t a_n, const struct matcher *b, size_t b_n)
{
    for (size_t i = 0; i < a_n && a_n == b_n; i++)
        if (!str_eq(a[i].key, b[i].key) || !str_eq(a[i].glob, b[i].glob) || !strs_eq(&a[i].any, &b[i].any))
            return false;
    return a_n == b_n;
}

// HTTP methods compare without case (reference 1.5), those of JSON-RPC and MCP with it.
static bool method_eq(const struct endpoint *ep, struct str a, struct str b)
{
    bool rpc = protocol_is(ep, "json-rpc") || protocol_is(ep, "mcp");
    return rpc ? str_eq(a, b) : str_eq_ci(a, b);
}

static bool rule_eq(const struct endpoint *ep, const struct l7_rule *a, const struct l7_rule *b)
{
    return method_eq(ep, a->method, b->method) && str_eq(a->path, b->path) &&
           str_eq(a->command, b->command) && str_eq_ci(a->operation_type, b->operation_type) &&
           str_eq(a->operation_name, b->operation_name) && strs_eq(&a->fields, &b->fields) &&
           matchers_eq(a->query, a->query_n, b->query, b->query_n) &&
           matchers_eq(a->params, a->params_n, b->params, b->params_n);
}

static bool path_covers(struct str wide, struct str narrow)
{
    if (path_is_everything(wide) || str_eq(wide, narrow))
        return true;
    struct str head = wide; // `X/**` has what is below X, where X is no pattern
    if (!str_ends(wide, STR("/**")))
        return false;
    head.n -= 2;
    return !str_has_any(head, "*?[{\\") && str_starts(narrow, head) && narrow.n > head.n;
}

static bool method_covers(const struct endpoint *ep, struct str wide, struct str narrow)
{
    return str_eq(wide, STR("*")) || method_eq(ep, wide, narrow) ||
           (str_eq_ci(wide, STR("GET")) && str_eq_ci(narrow, STR("HEAD"))); // reference 1.5
}

// Whether `deny` refuses all that `allow` allows, where that is plain to see. (What it misses is only advice
// lost.)
static bool deny_covers(const struct endpoint *ep, const struct l7_rule *deny, const struct l7_rule *allow)
{
    if (rule_eq(ep, deny, allow))
        return true;
    if (rule_is_graphql(deny) != rule_is_graphql(allow))
        return false;
    if (rule_is_graphql(deny))
        return deny->operation_name.n == 0 && deny->fields.n == 0 &&
               method_covers(ep, deny->operation_type, allow->operation_type);
    bool method = method_covers(ep, deny->method, allow->method);
    if (protocol_is(ep, "json-rpc") || protocol_is(ep, "mcp"))
        return deny->params_n == 0 && method;
    return deny->query_n == 0 && method && path_covers(deny->path, allow->path);
}

static void check_shadows(struct check *c, const struct endpoint *ep)
{
    size_t pairs;
    if (!mul_ok(ep->rules_n, ep->deny_rules_n, &pairs) || pairs > VALIDATE_ADVICE_MAX)
        return;
    for (size_t i = 0; i < ep->rules_n; i++) {
        size_t k = 0;
        while (k < ep->deny_rules_n && !deny_covers(ep, &ep->deny_rules[k], &ep->rules[i]))
            k++;
        if (k == ep->deny_rules_n)
            continue;
        size_t back = check_item(c, "rules", i);
        check_warning(c, NULL, "deny_rules win; make the deny rule narrower or drop this one",
                      "the rule allows nothing: deny_rules[%zu] refuses all of it", k);
        keypath_cut(&c->at, back);
    }
}

// A preset allows every path, so only a deny rule for everything leaves nothing of it.
static void check_preset_shadow(struct check *c, const struct endpoint *ep)
{
    static const struct l7_rule http = {.method = W("*"), .path = W("**")},
                                graphql = {.operation_type = W("*")};
    const struct l7_rule *all = protocol_is(ep, "graphql") ? &graphql : &http;
    for (size_t i = 0; i < ep->deny_rules_n; i++) {
        if (!deny_covers(ep, &ep->deny_rules[i], all))
            continue;
        size_t back = check_item(c, "deny_rules", i);
        check_warning(c, NULL, NULL, "the rule refuses everything that access '%.*s' allows",
                      STR_FMT(ep->access));
        keypath_cut(&c->at, back);
    }
}

static void check_repeats(struct check *c, const struct list *l, const struct l7_rule *rules, size_t n)
{
    const char *key = l->deny ? "deny_rules" : "rules";
    size_t work = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i && work < VALIDATE_ADVICE_MAX; k++, work++) {
            if (!rule_eq(l->ep, &rules[i], &rules[k]))
                continue;
            size_t back = check_item(c, key, i);
            check_warning(c, NULL, NULL, "the rule repeats %s[%zu]", key, k);
            keypath_cut(&c->at, back);
            break;
        }
    }
}

// ---- the lists
// ----------------------------------------------------------------------------------------------

static void check_ignored(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    const struct endpoint *ep = l->ep;
    bool rpc = protocol_is(ep, "json-rpc"), mcp = protocol_is(ep, "mcp"),
         graphql = protocol_is(ep, "graphql");
    bool http = protocol_is(ep, "rest") || protocol_is(ep, "websocket");
    const struct {
        const char *field;
        bool ignored;
    } fields[] = {
        {"method", graphql && rule->method.n > 0},
        {"path", (graphql || mcp) && rule->path.n > 0},
        {"query", (graphql || mcp) && rule->query_n > 0},
        {"command", rule->command.n > 0},
        {"operation_type", !graphql && !protocol_is(ep, "websocket") && rule->operation_type.n > 0},
        {"operation_name", !graphql && !protocol_is(ep, "websocket") && rule->operation_name.n > 0},
        {"fields", !graphql && !protocol_is(ep, "websocket") && rule->fields.n > 0},
        {"params", (http || graphql) && !rpc && rule->params_n > 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].ignored)
            check_warning(c, F(fields[i].field), NULL, "protocol %.*s ignores '%s'", STR_FMT(ep->protocol),
                          fields[i].field);
}

static void check_rule(struct check *c, const struct list *l, const struct l7_rule *rule)
{
    check_ignored(c, l, rule);
    if (protocol_is(l->ep, "rest"))
        check_http_rule(c, l, rule);
    else if (protocol_is(l->ep, "websocket"))
        check_websocket_rule(c, l, rule);
    else if (protocol_is(l->ep, "graphql"))
        check_graphql_rule(c, l, rule);
    else if (protocol_is(l->ep, "json-rpc"))
        check_json_rpc_rule(c, l, rule);
    else
        check_mcp_rule(c, l, rule);
}

static void check_list(struct check *c, const struct list *l)
{
    const struct l7_rule *rules = l->deny ? l->ep->deny_rules : l->ep->rules;
    size_t n = l->deny ? l->ep->deny_rules_n : l->ep->rules_n, empty = 0;
    for (size_t i = 0; i < n; i++)
        empty += rule_is_empty(&rules[i]);
    if (n > 0 && empty == n && !l->deny && !l->mcp_any_call) {
        check_error(c, "rules", "say what is allowed, or leave the endpoint out to deny all",
                    "rules allow nothing: every `allow` is empty");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t back = check_item(c, l->deny ? "deny_rules" : "rules", i);
        check_rule(c, l, &rules[i]);
        keypath_cut(&c->at, back);
    }
    check_repeats(c, l, rules, n);
}

void check_rules(struct check *c, const struct endpoint *ep)
{
    // Rules of tcp were refused as a whole, those of an endpoint without a protocol and of sql decide
    // nothing.
    if (!endpoint_has_l7(ep) || protocol_is(ep, "sql") || !protocol_is_known(ep->protocol))
        return;
    bool mcp = protocol_is(ep, "mcp");
    struct list allow = {
        .ep = ep,
        .ws_graphql = endpoint_has_websocket_graphql(ep),
        .mcp_any_call = mcp && ep->allow_all_known_mcp_methods == YES,
    };
    size_t errors = c->d->errors;
    check_list(c, &allow);
    struct list deny = allow;
    deny.deny = true;
    check_list(c, &deny);
    if (mcp)
        check_tool_conflicts(c, ep);
    if (c->d->errors > errors) // what they cover may change with the correction
        return;
    if (ep->rules_n > 0)
        check_shadows(c, ep);
    else if (ep->access.n > 0)
        check_preset_shadow(c, ep);
}
