#include "policy/validate_rows.h"

static const struct row rows[] = {
    // rest
    {"a rest rule", REST("rules: [{allow: {method: GET, path: \"/repos/**\"}}]"), ""},
    {"a method is required", REST("rules: [{allow: {path: \"/repos/**\"}}]"),
     "error @.rules[0].allow.method: method is required\n"},
    {"a path is required", REST("rules: [{allow: {method: GET}}]"),
     "error @.rules[0].allow.path: path is required\n"},
    {"the same in deny rules", REST("access: full, deny_rules: [{path: \"/x\"}, {method: GET}]"),
     "error @.deny_rules[0].method: method is required\n"
     "error @.deny_rules[1].path: path is required\n"},
    {"methods compare without case", REST("rules: [{allow: {method: get, path: \"/**\"}}]"), ""},
    {"an unknown method is near a known one", REST("rules: [{allow: {method: DELET, path: \"/**\"}}]"),
     "warning @.rules[0].allow.method: unknown method 'DELET' for protocol rest\n"},
    {"an unknown method is far from all",
     REST("access: full, deny_rules: [{method: PROPFIND, path: \"/**\"}]"),
     "warning @.deny_rules[0].method: unknown method 'PROPFIND' for protocol rest\n"},
    {"rest has no messages", REST("rules: [{allow: {method: WEBSOCKET_TEXT, path: \"/**\"}}]"),
     "warning @.rules[0].allow.method: unknown method 'WEBSOCKET_TEXT' for protocol rest\n"},
    {"a path has closed brackets", REST("rules: [{allow: {method: GET, path: \"/[a\"}}]"),
     "error @.rules[0].allow.path: pattern '/[a': '[' at offset 1 is not closed\n"},
    {"a path has closed braces", REST("access: full, deny_rules: [{method: GET, path: \"/{a\"}]"),
     "error @.deny_rules[0].path: pattern '/{a': '{' at offset 1 is not closed\n"},
    {"a path begins with a slash", REST("rules: [{allow: {method: GET, path: \"repos/**\"}}]"),
     "warning @.rules[0].allow.path: path 'repos/**' can never match\n"},
    {"one star in front cannot be the slash", REST("rules: [{allow: {method: GET, path: \"*/x\"}}]"),
     "warning @.rules[0].allow.path: path '*/x' can never match\n"},
    {"two stars in front can", REST("rules: [{allow: {method: GET, path: \"**/x\"}}]"), ""},
    {"a parent directory is in no path", REST("rules: [{allow: {method: GET, path: \"/a/../b\"}}]"),
     "warning @.rules[0].allow.path: path '/a/../b' can never match\n"},
    {"two slashes are in no path", REST("rules: [{allow: {method: GET, path: \"/a//b\"}}]"),
     "warning @.rules[0].allow.path: path '/a//b' can never match\n"},
    {"a slash at the end is", REST("rules: [{allow: {method: GET, path: \"/a/\"}}]"), ""},
    {"a path is without its query", REST("rules: [{allow: {method: GET, path: \"/a?b=c\"}}]"),
     "warning @.rules[0].allow.path: path '/a?b=c' is compared without the query string\n"},
    {"a rule outside of the endpoint",
     REST("path: \"/v1/**\", rules: [{allow: {method: GET, path: \"/v2/x\"}}]"),
     "warning @.rules[0].allow.path: path '/v2/x' can never match: the endpoint is only for '/v1/**'\n"},
    {"a rule inside of the endpoint",
     REST("path: \"/v1/**\", rules: [{allow: {method: GET, path: \"/v1/x\"}}, {allow: {method: GET, path: "
          "\"/v1\"}}, {allow: {method: GET, path: \"/*/x\"}}]"),
     ""},
    {"a longer literal is another path", REST("path: /v1, rules: [{allow: {method: GET, path: \"/v1/x\"}}]"),
     "warning @.rules[0].allow.path: path '/v1/x' can never match: the endpoint is only for '/v1'\n"},
    {"a shorter literal is another path", REST("path: /v1/x, rules: [{allow: {method: GET, path: /v1}}]"),
     "warning @.rules[0].allow.path: path '/v1' can never match: the endpoint is only for '/v1/x'\n"},
    {"every allow is empty", REST("rules: [{allow: {}}, {allow: {}}]"),
     "error @.rules: rules allow nothing: every `allow` is empty\n"},
    {"one allow is empty", REST("rules: [{allow: {}}, {allow: {method: GET, path: \"/**\"}}]"),
     "error @.rules[0].allow.method: method is required\n"
     "error @.rules[0].allow.path: path is required\n"},
    {"a query pattern has closed brackets",
     REST("rules: [{allow: {method: GET, path: \"/**\", query: {q: \"[a\"}}}]"),
     "error @.rules[0].allow.query.q: pattern '[a': '[' at offset 0 is not closed\n"},
    {"a query list has closed brackets",
     REST("access: full, deny_rules: [{method: GET, path: \"/**\", query: {q: {any: [a, \"{b\"]}}}]"),
     "error @.deny_rules[0].query.q.any[1]: pattern '{b': '{' at offset 0 is not closed\n"},
    {"a query pattern is not empty in a list",
     REST("rules: [{allow: {method: GET, path: \"/**\", query: {q: {any: [\"\"]}}}}]"),
     "error @.rules[0].allow.query.q.any[0]: a pattern is empty\n"},
    {"an empty query pattern", REST("rules: [{allow: {method: GET, path: \"/**\", query: {q: \"\"}}}]"),
     "warning @.rules[0].allow.query.q: the pattern is empty: it matches only an empty value\n"},
    {"rest ignores the rest",
     REST("rules: [{allow: {method: GET, path: \"/**\", command: SELECT, operation_type: query, "
          "operation_name: x, fields: [y], tool: z}}]"),
     "warning @.rules[0].allow.params: protocol rest ignores 'params'\n"
     "warning @.rules[0].allow.command: protocol rest ignores 'command'\n"
     "warning @.rules[0].allow.operation_type: protocol rest ignores 'operation_type'\n"
     "warning @.rules[0].allow.operation_name: protocol rest ignores 'operation_name'\n"
     "warning @.rules[0].allow.fields: protocol rest ignores 'fields'\n"},
    // websocket
    {"a handshake and messages",
     PROTOCOL("websocket",
              "rules: [{allow: {method: GET, path: /ws}}, {allow: {method: WEBSOCKET_TEXT, path: /ws}}]"),
     ""},
    {"a websocket is opened with GET", PROTOCOL("websocket", "rules: [{allow: {method: POST, path: /ws}}]"),
     "warning @.rules[0].allow.method: unknown method 'POST' for protocol websocket\n"},
    {"graphql over a websocket",
     PROTOCOL("websocket", "rules: [{allow: {method: GET, path: /ws}}, {allow: {operation_type: query}}]"),
     ""},
    {"graphql and text messages exclude each other",
     PROTOCOL("websocket",
              "rules: [{allow: {method: WEBSOCKET_TEXT, path: /ws}}, {allow: {operation_type: query}}]"),
     "error @.rules[0].allow.method: WEBSOCKET_TEXT cannot be used where GraphQL is inspected\n"},
    {"graphql and text messages, the registry",
     PROTOCOL("websocket", "persisted_queries: deny, rules: [{allow: {method: websocket_text, path: /ws}}]"),
     "error @.rules[0].allow.method: WEBSOCKET_TEXT cannot be used where GraphQL is inspected\n"},
    {"graphql fields are alone",
     PROTOCOL("websocket", "rules: [{allow: {method: GET, path: /ws, operation_type: query}}]"),
     "error @.rules[0].allow.method: GraphQL fields cannot be combined with method, path or query\n"},
    {"graphql fields without a path",
     PROTOCOL("websocket",
              "rules: [{allow: {path: /ws, operation_type: query}}, {allow: {query: {a: b}, fields: [x]}}]"),
     "error @.rules[0].allow.path: GraphQL fields cannot be combined with method, path or query\n"
     "error @.rules[1].allow.operation_type: operation_type is required\n"
     "error @.rules[1].allow.query: GraphQL fields cannot be combined with method, path or query\n"},
    // graphql
    {"an operation type is required", PROTOCOL("graphql", "rules: [{allow: {fields: [viewer]}}]"),
     "error @.rules[0].allow.operation_type: operation_type is required\n"},
    {"an operation type may be a star", PROTOCOL("graphql", "rules: [{allow: {operation_type: \"*\"}}]"), ""},
    {"operation types compare without case", PROTOCOL("graphql", "rules: [{allow: {operation_type: Query}}]"),
     ""},
    {"an operation type is one of three",
     PROTOCOL("graphql", "access: full, deny_rules: [{operation_type: mutate}]"),
     "error @.deny_rules[0].operation_type: unknown operation_type 'mutate'\n"},
    {"a field is not empty",
     PROTOCOL("graphql", "rules: [{allow: {operation_type: query, fields: [a, \"\"]}}]"),
     "error @.rules[0].allow.fields[1]: a field is empty\n"},
    {"a field has closed brackets",
     PROTOCOL("graphql", "rules: [{allow: {operation_type: query, fields: [\"a[\"]}}]"),
     "error @.rules[0].allow.fields[0]: pattern 'a[': '[' at offset 1 is not closed\n"},
    {"an operation name has closed braces",
     PROTOCOL("graphql", "rules: [{allow: {operation_type: query, operation_name: \"a{\"}}]"),
     "error @.rules[0].allow.operation_name: pattern 'a{': '{' at offset 1 is not closed\n"},
    {"graphql ignores HTTP",
     PROTOCOL("graphql",
              "rules: [{allow: {operation_type: query, method: GET, path: /x, query: {a: b}, tool: t}}]"),
     "warning @.rules[0].allow.params: protocol graphql ignores 'params'\n"
     "warning @.rules[0].allow.method: protocol graphql ignores 'method'\n"
     "warning @.rules[0].allow.path: protocol graphql ignores 'path'\n"
     "warning @.rules[0].allow.query: protocol graphql ignores 'query'\n"},
    // json-rpc
    {"a method name", PROTOCOL("json-rpc", "rules: [{allow: {method: eth_call}}, {allow: {method: \"*\"}}]"),
     ""},
    {"json-rpc needs a method",
     PROTOCOL("json-rpc", "rules: [{allow: {method: a}}], deny_rules: [{operation_type: query}]"),
     "error @.deny_rules[0].method: method is required\n"
     "warning @.deny_rules[0].operation_type: protocol json-rpc ignores 'operation_type'\n"},
    {"json-rpc knows no patterns", PROTOCOL("json-rpc", "rules: [{allow: {method: \"eth_*\"}}]"),
     "error @.rules[0].allow.method: method 'eth_*' is a pattern\n"},
    {"json-rpc has a method and nothing else",
     PROTOCOL("json-rpc", "rules: [{allow: {method: a, path: /x, query: {a: b}, params: {name: x}}}]"),
     "error @.rules[0].allow.path: protocol json-rpc does not allow 'path' in a rule\n"
     "error @.rules[0].allow.query: protocol json-rpc does not allow 'query' in a rule\n"
     "error @.rules[0].allow.params: protocol json-rpc does not allow 'params' in a rule\n"},
    // mcp
    {"a tool",
     PROTOCOL("mcp", "rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: read}}]"),
     ""},
    {"a method is required without all methods", PROTOCOL("mcp", "rules: [{allow: {tool: read}}]"),
     "error @.rules[0].allow.method: method is required unless allow_all_known_mcp_methods is true\n"},
    {"an empty rule is refused without all methods", PROTOCOL("mcp", "rules: [{allow: {}}]"),
     "error @.rules: rules allow nothing: every `allow` is empty\n"},
    {"with all methods it is not",
     PROTOCOL("mcp", "mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {}}]"), ""},
    {"a tool needs tools/call", PROTOCOL("mcp", "rules: [{allow: {method: tools/list, tool: read}}]"),
     "error @.rules[0].allow.method: tool and params require method tools/call\n"},
    {"only params.name",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, params: {arguments: {path: x}}}}]"),
     "error @.rules[0].allow.params.\"arguments.path\": params.arguments.path cannot be matched: only "
     "params.name is\n"},
    {"a method pattern is below tools/", PROTOCOL("mcp", "rules: [{allow: {method: \"resources/*\"}}]"),
     "error @.rules[0].allow.method: method 'resources/*': only methods below tools/ may be patterns\n"},
    {"a method pattern below tools/", PROTOCOL("mcp", "rules: [{allow: {method: \"tools/*\"}}]"), ""},
    {"a method pattern has closed brackets", PROTOCOL("mcp", "rules: [{allow: {method: \"tools/[a\"}}]"),
     "error @.rules[0].allow.method: pattern 'tools/[a': '[' at offset 6 is not closed\n"},
    {"a tool pattern has closed brackets",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: \"a[\"}}]"),
     "error @.rules[0].allow.params.name: pattern 'a[': '[' at offset 1 is not closed\n"},
    {"a tool pattern", PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: \"read_*\"}}]"), ""},
    {"a tool pattern needs strict names",
     PROTOCOL("mcp", "mcp: {strict_tool_names: false}, rules: [{allow: {method: tools/call, tool: {any: [a, "
                     "\"read_*\"]}}}]"),
     "error @.rules[0].allow.params.name: a tool pattern requires strict_tool_names: 'read_*'\n"},
    {"a strict name", PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: \"read file\"}}]"),
     "warning @.rules[0].allow.params.name: tool 'read file' can never match: strict tool names are 1 to 128 "
     "of A-Z a-z 0-9 _ . -\n"},
    {"a name that is not strict",
     PROTOCOL("mcp",
              "mcp: {strict_tool_names: false}, rules: [{allow: {method: tools/call, tool: \"read file\"}}]"),
     ""},
    {"every tool and one tool",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call}}, {allow: {method: tools/call, tool: read}}]"),
     "error @.rules[0].allow.method: a rule for every tool conflicts with allow rules that name tools\n"},
    {"every method and one tool",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: read}}, {allow: {method: \"*\"}}]"),
     "error @.rules[1].allow.method: a rule for every tool conflicts with allow rules that name tools\n"},
    {"a pattern over tools/call and one tool",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: read}}, {allow: {method: \"tools/*\"}}]"),
     "error @.rules[1].allow.method: a rule for every tool conflicts with allow rules that name tools\n"},
    {"a pattern beside tools/call and one tool",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: read}}, {allow: {method: \"tools/l*\"}}]"),
     ""},
    {"no method and one tool",
     PROTOCOL("mcp", "mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {}}, {allow: {tool: read}}]"),
     "error @.rules[0].allow.method: a rule for every tool conflicts with allow rules that name tools\n"},
    {"denying every tool and one tool",
     PROTOCOL("mcp",
              "rules: [{allow: {method: tools/call, tool: read}}], deny_rules: [{method: tools/call}]"),
     "error @.deny_rules[0].method: a rule for every tool conflicts with allow rules that name tools\n"},
    {"denying one tool, allowing another",
     PROTOCOL(
         "mcp",
         "rules: [{allow: {method: tools/call, tool: read}}], deny_rules: [{method: tools/call, tool: rm}]"),
     ""},
    {"mcp ignores paths", PROTOCOL("mcp", "rules: [{allow: {method: ping, path: /x, query: {a: b}}}]"),
     "warning @.rules[0].allow.path: protocol mcp ignores 'path'\n"
     "warning @.rules[0].allow.query: protocol mcp ignores 'query'\n"},
    // rules against one another
    {"a deny rule for everything leaves nothing",
     REST("rules: [{allow: {method: GET, path: /a}}, {allow: {method: POST, path: \"/b/*\"}}], deny_rules: "
          "[{method: \"*\", path: \"**\"}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"
     "warning @.rules[1]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"a deny rule with a query leaves something",
     REST("rules: [{allow: {method: GET, path: /a}}], deny_rules: [{method: \"*\", path: \"**\", query: {a: "
          "b}}]"),
     ""},
    {"a deny rule for another method",
     REST("rules: [{allow: {method: GET, path: /a}}], deny_rules: [{method: POST, path: \"**\"}]"), ""},
    {"denying GET denies HEAD",
     REST("rules: [{allow: {method: HEAD, path: /a}}], deny_rules: [{method: get, path: \"**\"}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"denying HEAD leaves GET",
     REST("rules: [{allow: {method: GET, path: /a}}], deny_rules: [{method: HEAD, path: \"**\"}]"), ""},
    {"a deny rule for what is below",
     REST("rules: [{allow: {method: GET, path: /a/b}}, {allow: {method: GET, path: /a}}, {allow: {method: "
          "GET, path: /ab}}], deny_rules: [{method: GET, path: \"/a/**\"}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"a deny rule that is the allow rule",
     REST("rules: [{allow: {method: GET, path: \"/a/*\", query: {q: x}}}], deny_rules: [{method: GET, path: "
          "\"/a/*\", query: {q: x}}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"a preset and a deny rule for everything",
     REST("access: full, deny_rules: [{method: \"*\", path: \"/**\"}]"),
     "warning @.deny_rules[0]: the rule refuses everything that access 'full' allows\n"},
    {"a preset and a deny rule for some",
     REST("access: full, deny_rules: [{method: \"*\", path: \"/a/**\"}]"), ""},
    {"a preset and a deny rule for all operations",
     PROTOCOL("graphql", "access: full, deny_rules: [{operation_type: \"*\"}]"),
     "warning @.deny_rules[0]: the rule refuses everything that access 'full' allows\n"},
    {"a deny rule for all mutations",
     PROTOCOL("graphql", "rules: [{allow: {operation_type: mutation, fields: [a]}}, {allow: {operation_type: "
                         "query}}], deny_rules: [{operation_type: mutation}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"a deny rule for some mutations",
     PROTOCOL("graphql", "rules: [{allow: {operation_type: mutation}}], deny_rules: [{operation_type: "
                         "mutation, fields: [a]}, {operation_type: mutation, operation_name: b}]"),
     ""},
    {"a deny rule for a method",
     PROTOCOL("json-rpc", "rules: [{allow: {method: a}}, {allow: {method: b}}], deny_rules: [{method: a}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[0] refuses all of it\n"},
    {"a deny rule for a tool leaves the others",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call}}], deny_rules: [{method: tools/call, tool: rm}]"),
     ""},
    {"a deny rule does not reach operations by path",
     PROTOCOL("websocket", "rules: [{allow: {method: GET, path: /ws}}, {allow: {operation_type: query}}], "
                           "deny_rules: [{method: \"*\", path: \"**\", query: {a: b}}]"),
     ""},
    {"a rule twice",
     REST("rules: [{allow: {method: GET, path: /a}}, {allow: {method: GET, path: /b}}, {allow: {method: get, "
          "path: /a}}]"),
     "warning @.rules[2]: the rule repeats rules[0]\n"},
    {"a rule twice but for its query",
     REST("rules: [{allow: {method: GET, path: /a, query: {q: x}}}, {allow: {method: GET, path: /a, query: "
          "{q: y}}}, {allow: {method: GET, path: /a, query: {r: x}}}, {allow: {method: GET, path: /a}}]"),
     ""},
    {"a deny rule twice",
     PROTOCOL("graphql", "access: full, deny_rules: [{operation_type: query, fields: [a, b]}, "
                         "{operation_type: query, fields: [a]}, {operation_type: query, fields: [a, b]}]"),
     "warning @.deny_rules[2]: the rule repeats deny_rules[0]\n"},
    {"a tool twice",
     PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: {any: [a, b]}}}, {allow: {method: "
                     "tools/call, tool: a}}, {allow: {method: tools/call, tool: {any: [a, b]}}}]"),
     "warning @.rules[2]: the rule repeats rules[0]\n"},
    {"rules of sql decide nothing",
     ENDPOINT(
         "host: a.test, port: 443, protocol: sql, enforcement: audit, rules: [{allow: {command: SELECT}}]"),
     "warning @.protocol: protocol sql: SQL is not inspected, every statement is forwarded\n"},
    {"methods of JSON-RPC compare with case",
     PROTOCOL("json-rpc",
              "rules: [{allow: {method: a}}, {allow: {method: A}}], deny_rules: [{method: B}, {method: a}]"),
     "warning @.rules[0]: the rule allows nothing: deny_rules[1] refuses all of it\n"},
};

static struct l7_rule *first_rule(struct policy *p)
{
    return &p->entries[0].endpoints[0].rules[0];
}

static void both_kinds(struct policy *p)
{
    first_rule(p)->query[0].glob = STR("x");
}

static void name_twice(struct policy *p)
{
    static struct matcher names[] = {{.key = STR_INIT("name"), .glob = STR_INIT("a")},
                                     {.key = STR_INIT("name"), .glob = STR_INIT("b")}};
    first_rule(p)->params = names;
    first_rule(p)->params_n = ARRAY_LEN(names);
}

static void long_tool(struct policy *p)
{
    static char good[128], name[129];
    memset(good, 'b', sizeof(good));
    memset(name, 'a', sizeof(name));
    struct str *any = p->entries[0].endpoints[0].rules[0].params[0].any.v;
    any[0] = (struct str){good, 128};
    any[1] = (struct str){name, 129};
}

// Past the limit of comparisons advice stops, and nothing else does.
static void many_rules(struct policy *p)
{
    enum { MANY = 1000 };
    static struct l7_rule rules[MANY];
    for (size_t i = 0; i < MANY; i++)
        rules[i] = (struct l7_rule){.method = STR("GET"), .path = STR("/a")};
    rules[MANY - 1].path = STR("/[");
    struct endpoint *ep = &p->entries[0].endpoints[0];
    ep->rules = ep->deny_rules = rules;
    ep->rules_n = ep->deny_rules_n = MANY;
    p->entries[0].endpoints[0].rules[0].path = STR("/b");
}

static void check_many(void)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, POLICY_ARENA_MAX);
    struct policy *p = NULL;
    struct diags d;
    struct err err;
    bool ok = policy_parse(STR(REST("rules: [{allow: {method: GET, path: /a}}]")), &a, &p, &d, &err) ==
              ERR_OK;
    if (ok) {
        many_rules(p);
        diags_init(&d, &a);
        policy_validate(p, POLICY_USE_FILE, &d);
    }
    (void)tap_ok(ok && d.errors == 2, "a broken pattern behind a thousand rules is found in both lists");
}

int main(void)
{
    rows_run(rows, ARRAY_LEN(rows), POLICY_USE_FILE);
    rows_edited("a matcher has one kind",
                REST("rules: [{allow: {method: GET, path: /a, query: {q: {any: [y]}}}}]"), POLICY_USE_FILE,
                both_kinds,
                "error @.rules[0].allow.query.q: a matcher is either a pattern or a list `any`\n");
    rows_edited("tool and params.name exclude each other",
                PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: x}}]"), POLICY_USE_FILE,
                name_twice, "error @.rules[0].allow.params.name: tool and params.name exclude each other\n");
    rows_edited(
        "a strict tool name has 128 bytes at most",
        PROTOCOL("mcp", "rules: [{allow: {method: tools/call, tool: {any: [x, y]}}}]"), POLICY_USE_FILE,
        long_tool,
        "warning @.rules[0].allow.params.name: tool "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' can never match: "
        "strict tool names are 1 to 128 of A-Z a-z 0-9 _ . -\n");
    check_many();
    return tap_done();
}
