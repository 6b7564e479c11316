// The model itself: each row is a sentence of reference 1.5 or 1.12.
#include "policy/naive.h"
#include "tap.h"

#define S(lit) STR_INIT(lit)

static const struct {
    bool (*match)(struct str pattern, struct str text);
    struct str pattern, text;
    bool want;
    const char *rule;
} globs[] = {
    {naive_host_glob, S("*.example.com"), S("a.example.com"), true, "one star is a label"},
    {naive_host_glob, S("*.example.com"), S("example.com"), false, "and not the apex"},
    {naive_host_glob, S("*.example.com"), S("a.b.example.com"), false, "and not two labels"},
    {naive_host_glob, S("**.example.com"), S("a.b.example.com"), true, "two stars are one or more labels"},
    {naive_host_glob, S("**.example.com"), S("example.com"), false, "and not none"},
    {naive_host_glob, S("**.example.com"), S("evilexample.com"), false, "at a label boundary"},
    {naive_host_glob, S("*-api.a.test"), S("my-API.a.test"), true, "a star within a label, without case"},
    {naive_host_glob, S("*-api.a.test"), S("-api.a.test"), true, "may be empty there"},
    {naive_host_glob, S("a.*.test"), S("a.b.c.test"), false, "a middle star is one label"},
    {naive_path_glob, S("/a/*"), S("/a/b"), true, "a star is a component"},
    {naive_path_glob, S("/a/*"), S("/a/b/c"), false, "and does not cross a slash"},
    {naive_path_glob, S("/a/**"), S("/a/b/c"), true, "two stars do"},
    {naive_path_glob, S("/a/**"), S("/a"), false, "/a/** is not /a"},
    {naive_path_glob, S("/a/**/b"), S("/a/b"), true, "in the middle: zero components"},
    {naive_path_glob, S("/a/**/b"), S("/a/x/y/b"), true, "or more"},
    {naive_path_glob, S("/a/**/b"), S("/a/xb"), false, "whole ones"},
    {naive_path_glob, S("**/b"), S("/a/b"), true, "in front: any components"},
    {naive_path_glob, S("**"), S("/a/b"), true, "alone: everything"},
    {naive_path_glob, S("/a**c"), S("/abc"), true, "glued to text: like a star"},
    {naive_path_glob, S("/a**c"), S("/a/c"), false, "glued to text: within a component"},
    {naive_path_glob, S("/a?c"), S("/a/c"), false, "? is no slash"},
    {naive_path_glob, S("/[a-c]x"), S("/bx"), true, "a range"},
    {naive_path_glob, S("/[!a-c]x"), S("/bx"), false, "negated by !"},
    {naive_path_glob, S("/[^a]x"), S("/bx"), true, "negated by ^"},
    {naive_path_glob, S("/{a,b{c,d}}/x"), S("/bd/x"), true, "alternatives, nested"},
    {naive_path_glob, S("/{a,b}/x"), S("/c/x"), false, "and no others"},
    {naive_path_glob, S("/\\*"), S("/*"), true, "an escaped star"},
    {naive_path_glob, S("/\\*"), S("/a"), false, "is only a star"},
    {naive_path_glob, S("/A"), S("/a"), false, "case counts"},
    {naive_dotted_glob, S("1.*"), S("1.2.3"), false, "a star stops at a dot"},
    {naive_dotted_glob, S("1.**"), S("1.2.3"), true, "two do not"},
    {naive_dotted_glob, S("a*"), S("a/b"), true, "a slash is text"},
    {naive_dotted_glob, S("a**"), S("ab.c"), false, "glued to text: like a star"},
    {naive_scope_glob, S(""), S("/x"), true, "no scope: everything"},
    {naive_scope_glob, S("/**"), S("/"), true, "/**: everything"},
    {naive_scope_glob, S("/a/**"), S("/a"), true, "X/** is X"},
    {naive_scope_glob, S("/a/**"), S("/a/b/c"), true, "and all below"},
    {naive_scope_glob, S("/a/**"), S("/ab"), false, "and nothing beside"},
    {naive_scope_glob, S("/a/*"), S("/a/b/c"), true, "a star crosses slashes"},
    {naive_scope_glob, S("/a**c"), S("/abc"), false, "glued to text: only equality is left"},
    {naive_scope_glob, S("/a**c"), S("/a**c"), true, "namely this"},
    {naive_scope_glob, S("/{a,b}"), S("/a"), false, "no braces"},
    {naive_scope_glob, S("/[!a]"), S("/b"), true, "! negates"},
    {naive_scope_glob, S("/[^a]"), S("/a"), true, "^ is text"},
};

// One entry "m", host a.test, port 443, program /bin/a, two endpoints at most.
static uint32_t port_443[] = {443};
#define AT .host = S("a.test"), .ports = port_443, .ports_n = 1
#define RULES(...)                                                                                           \
    .rules = (struct l7_rule[]){__VA_ARGS__},                                                                \
    .rules_n = sizeof((struct l7_rule[]){__VA_ARGS__}) / sizeof(struct l7_rule)
#define DENY(...)                                                                                            \
    .deny_rules = (struct l7_rule[]){__VA_ARGS__},                                                           \
    .deny_rules_n = sizeof((struct l7_rule[]){__VA_ARGS__}) / sizeof(struct l7_rule)
#define OPS(...)                                                                                             \
    &(const struct graphql_facts)                                                                            \
    {                                                                                                        \
        .ops = (struct graphql_op[]){__VA_ARGS__}, .ops_n = 1                                                \
    }
#define CALL(...)                                                                                            \
    &(const struct rpc_facts)                                                                                \
    {                                                                                                        \
        .calls = (struct rpc_call[]){{__VA_ARGS__}}, .calls_n = 1                                            \
    }
#define ENFORCED  .enforcement = S("enforce")
#define REST      AT, .protocol = S("rest"), ENFORCED
#define GRAPHQL   AT, .protocol = S("graphql"), ENFORCED
#define MCP       AT, .protocol = S("mcp"), .has_mcp = true, ENFORCED
#define RPC       AT, .protocol = S("json-rpc"), ENFORCED
#define TOOL(g)   .params = (struct matcher[]){{S("name"), S(g), {}}}, .params_n = 1
#define QUERY(g)  .query = (struct matcher[]){{S("k"), S(g), {}}}, .query_n = 1
#define PAIRS     .query = (struct query_pair[]){{S("k"), S("1")}, {S("k"), S("2")}}, .query_n = 2
#define FIELDS(f) .fields = {(struct str[]){S(f)}, 1}

static const struct row {
    struct endpoint eps[2];
    struct request_facts r;
    enum verdict verdict;
    enum why why;
    int endpoint, rule;
    const char *sentence;
} rows[] = {
    {{{AT}, {}}, {S("GET"), S("/")}, VERDICT_ALLOW, WHY_CONNECTION, 0, -1, "no protocol: not inspected"},
    {{{REST, RULES({S("get"), S("/a")})}, {}},
     {S("HEAD"), S("/a")},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "GET grants HEAD, without case"},
    {{{REST, RULES({S("HEAD"), S("/a")})}, {}},
     {S("GET"), S("/a")},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "HEAD does not grant GET"},
    {{{REST, RULES({S("*")})}, {}}, {S("PUT"), S("/x")}, VERDICT_ALLOW, WHY_RULE, 0, 0, "no path: any"},
    {{{REST, .access = S("read-only")}, {}},
     {S("OPTIONS"), S("/x")},
     VERDICT_ALLOW,
     WHY_PRESET,
     0,
     -1,
     "a preset"},
    {{{REST, .access = S("read-write")}, {}},
     {S("DELETE"), S("/x")},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "DELETE is only in full"},
    {{{REST, RULES({S("*"), QUERY("1")})}, {}},
     {S("GET"), S("/"), PAIRS},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "allow: every value"},
    {{{REST, RULES({S("*"), QUERY("*")})}, {}},
     {S("GET"), S("/")},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "allow: every key is there"},
    {{{REST, RULES({S("*")}), DENY({S("GET"), QUERY("2")})}, {}},
     {S("HEAD"), S("/"), PAIRS},
     VERDICT_DENY,
     WHY_DENY_RULE,
     0,
     0,
     "deny: any value, HEAD too"},
    {{{REST, .path = S("/a/**"), RULES({S("*")})}, {}},
     {S("GET"), S("/a")},
     VERDICT_DENY,
     WHY_NO_PATH,
     -1,
     -1,
     "both readings of a scope must agree"},
    {{{REST, RULES({S("*")})}, {REST, .path = S("/a"), RULES({S("GET")})}},
     {S("PUT"), S("/a")},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "rules of siblings allow"},
    {{{REST, RULES({S("*")})}, {REST, .path = S("/b"), RULES({S("GET")}), DENY({S("*")})}},
     {S("GET"), S("/a")},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "deny rules of another scope do not count"},
    {{{REST, RULES({S("GET")}), DENY({S("*"), S("/a")})},
      {AT, .path = S("/a"), .protocol = S("rest"), RULES({S("*")})}},
     {S("GET"), S("/a")},
     VERDICT_AUDIT,
     WHY_DENY_RULE,
     0,
     0,
     "the selected endpoint says whether to enforce"},
    {{{REST, RULES({S("*")})}, {AT, .protocol = S("sql"), .access = S("full")}},
     {S("GET"), S("/")},
     VERDICT_ALLOW,
     WHY_CONNECTION,
     1,
     -1,
     "sql passes, the later on a tie"},
    {{{REST, RULES({S("*")})}, {GRAPHQL, .path = S("/g"), .access = S("read-only")}},
     {S("POST"), S("/g")},
     VERDICT_DENY,
     WHY_NO_RULE,
     1,
     -1,
     "REST does not open GraphQL"},
    {{{GRAPHQL, .access = S("read-only")}, {}},
     {S("POST"), S("/g"), .graphql = OPS({S("query")})},
     VERDICT_ALLOW,
     WHY_PRESET,
     0,
     -1,
     "read-only: queries"},
    {{{GRAPHQL, .access = S("read-only")}, {}},
     {S("POST"), S("/g"), .graphql = OPS({S("mutation")})},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "and no mutations"},
    {{{GRAPHQL, RULES({.operation_type = S("query"), FIELDS("user*")})}, {}},
     {S("POST"), S("/g"), .graphql = OPS({S("query"), {}, (struct str[]){S("user"), S("repo")}, 2})},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "allow: every field"},
    {{{GRAPHQL, RULES({.operation_type = S("*")}), DENY({.operation_type = S("query"), FIELDS("repo")})}, {}},
     {S("POST"), S("/g"), .graphql = OPS({S("query"), {}, (struct str[]){S("user"), S("repo")}, 2})},
     VERDICT_DENY,
     WHY_DENY_RULE,
     0,
     0,
     "deny: any field"},
    {{{GRAPHQL, RULES({.operation_type = S("*")})}, {}},
     {S("POST"), S("/g"), .graphql = OPS({.persisted_id = S("h")})},
     VERDICT_DENY,
     WHY_NOT_REGISTERED,
     0,
     -1,
     "a hash needs the registry"},
    {{{GRAPHQL, RULES({.operation_type = S("query")}), .persisted_queries = S("allow_registered"),
       .registered = (struct graphql_registered[]){{S("h"), S("query"), {}, {}}}, .registered_n = 1},
      {}},
     {S("POST"), S("/g"), .graphql = OPS({.persisted_id = S("h")})},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "which stands for the operation"},
    {{{AT, .protocol = S("graphql"), RULES({.operation_type = S("*")})}, {}},
     {S("POST"), S("/g"), .graphql = &(const struct graphql_facts){.error = S("x")}},
     VERDICT_DENY,
     WHY_MALFORMED,
     0,
     -1,
     "parse errors are denied in audit too"},
    {{{AT, .protocol = S("json-rpc"), RULES({S("*")})}, {}},
     {S("POST"), S("/"), .rpc = &(const struct rpc_facts){.has_response = true}},
     VERDICT_DENY,
     WHY_RESPONSE_FRAME,
     0,
     -1,
     "so are JSON-RPC response frames"},
    {{{RPC, RULES({S("ping")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("ping"))},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "an exact method"},
    {{{RPC, RULES({S("*")})}, {}},
     {S("PUT"), S("/"), .rpc = CALL(S("ping"))},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "POST only"},
    {{{MCP, RULES({S("tools/*")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("tools/list"))},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "a glob of methods"},
    {{{MCP, RULES({S("tools/call"), TOOL("re*")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("tools/call"), true, S("read"))},
     VERDICT_ALLOW,
     WHY_RULE,
     0,
     0,
     "a named tool"},
    {{{MCP, RULES({S("tools/call"), TOOL("re*")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("tools/call"))},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "a call without a tool is not it"},
    {{{MCP, .allow_all_known_mcp_methods = YES}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("ping"))},
     VERDICT_ALLOW,
     WHY_ALL_MCP,
     0,
     -1,
     "all methods"},
    {{{MCP, .allow_all_known_mcp_methods = YES, RULES({TOOL("read")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("ping"))},
     VERDICT_ALLOW,
     WHY_ALL_MCP,
     0,
     -1,
     "beside named tools too"},
    {{{MCP, .allow_all_known_mcp_methods = YES, RULES({TOOL("read")})}, {}},
     {S("POST"), S("/"), .rpc = CALL(S("tools/call"), true, S("write"))},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "but not other tools"},
    {{{MCP, RULES({S("ping")})}, {}},
     {S("GET"), S("/"), .rpc = &(const struct rpc_facts){.receive_stream = true}},
     VERDICT_ALLOW,
     WHY_RECEIVE_STREAM,
     0,
     -1,
     "the receive stream"},
    {{{MCP, RULES({S("ping")})}, {}},
     {S("POST"), S("/"), .rpc = &(const struct rpc_facts){.has_response = true}},
     VERDICT_ALLOW,
     WHY_RECEIVE_STREAM,
     0,
     -1,
     "responses alone"},
    {{{MCP, RULES({S("ping")})}, {}},
     {S("DELETE"), S("/"), .rpc = &(const struct rpc_facts){.has_response = true}},
     VERDICT_DENY,
     WHY_NO_RULE,
     0,
     -1,
     "by POST"},
};

static void run_rows(void)
{
    static struct binary program[] = {{S("/bin/a"), false}};
    const struct conn_facts c = {.host = STR("a.test"), .port = 443, .who = {.exe = STR("/bin/a")}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct endpoint eps[] = {row->eps[0], row->eps[1]};
        struct policy_entry e = {.key = STR("m"),
                                 .endpoints = eps,
                                 .endpoints_n = eps[1].ports_n > 0 ? 2 : 1,
                                 .binaries = program,
                                 .binaries_n = 1};
        struct policy p = {.version = 1, .entries = &e, .entries_n = 1};
        struct naive_decision d;
        naive_request(&p, &c, &row->r, &d);
        bool same = d.verdict == row->verdict && d.why == row->why && d.endpoint == row->endpoint &&
                    d.rule == row->rule;
        if (!tap_ok(same, "%s", row->sentence))
            tap_note("verdict %d why %d endpoint %d rule %d", (int)d.verdict, (int)d.why, d.endpoint, d.rule);
    }
}

// Connections: two entries, out of order.
static void run_connections(void)
{
    static struct str ranges[] = {S("10.0.0.0/8")};
    struct endpoint eps[] = {
        {AT, .tls = S("skip"), .provider_credentialed = true, .advisor_proposed = true},
        {REST, .allowed_ips = {ranges, 1}},
        {.ports = port_443, .ports_n = 1, .protocol = S("tcp"), .allowed_ips = {ranges, 1}},
    };
    struct binary programs[] = {{S("/bin/*"), false}, {S("/bin/a"), true}};
    struct policy_entry entries[] = {
        {.key = STR("z"), .endpoints = eps, .endpoints_n = 1, .binaries = programs, .binaries_n = 1},
        {.key = STR("b"), .endpoints = eps + 1, .endpoints_n = 2, .binaries = programs + 1, .binaries_n = 1},
    };
    struct policy p = {.version = 1, .entries = entries, .entries_n = 2};
    struct str parent = STR("/bin/a");
    struct conn_facts c = {.host = STR("a.test"), .port = 443, .who = {STR("/opt/x"), &parent, 1, NULL, 0}};
    struct naive_conn d;
    naive_connection(&p, &c, &d);
    (void)tap_ok(str_eq(d.d.entry, STR("b")) && d.d.endpoint == 0,
                 "the first key is reported; an ancestor grants");
    (void)tap_ok(!d.tls_skip && str_eq(d.allowed_ips_entry, STR("b")),
                 "the first extended config alone counts");
    (void)tap_ok(d.inspected && d.explicit_tcp, "inspected and tcp are asked of all");
    (void)tap_ok(!d.exact_declared, "neither an advisor's endpoint nor a harness binary declares a host");
    (void)tap_ok(d.uninspected_credentials_refused, "credentials do not go through a tunnel");

    c.host = STR("10.0.0.1");
    naive_connection(&p, &c, &d);
    (void)tap_ok(d.d.verdict == VERDICT_ALLOW && d.d.endpoint == 1, "a hostless endpoint has any host");
    (void)tap_ok(!d.literal_declared, "and declares none");
    c.who = (struct who){.exe = STR("/sbin/x"), .cmdline = &parent, .cmdline_n = 1};
    naive_connection(&p, &c, &d);
    (void)tap_ok(d.d.why == WHY_NO_BINARY, "command lines never grant");
    c.port = 80;
    naive_connection(&p, &c, &d);
    (void)tap_ok(d.d.why == WHY_NO_ENDPOINT, "another port is no endpoint");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(globs); i++)
        (void)tap_ok(globs[i].match(globs[i].pattern, globs[i].text) == globs[i].want, "%.*s on %.*s: %s",
                     STR_FMT(globs[i].pattern), STR_FMT(globs[i].text), globs[i].rule);
    run_rows();
    run_connections();
    return tap_done();
}
