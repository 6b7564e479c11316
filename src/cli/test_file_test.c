#include "cli/test_file.h"

#include "alloc_fail.h"
#include "tap.h"

static const char
    good[] = "policy: p.yaml\n"
             "tests:\n"
             "- name: one\n"
             "  binary: /usr/bin/curl\n"
             "  ancestors: [/bin/sh, /init]\n"
             "  request: POST https://a.test/graphql?x=1\n"
             "  graphql: [query::viewer, 'mutation:M:a,b']\n"
             "  expect: audit\n"
             "  policy: e\n"
             "  rule: r\n"
             "  reason: why\n"
             "- {binary: /b, request: 'POST https://a.test/', mcp: tools/call:search, expect: deny}\n"
             "- {binary: /b, request: 'GET wss://a.test/', websocket_text: true, expect: allow}\n"
             "- {binary: /b, request: 'GET https://a.test/', event_stream: true, expect: allow}\n"
             "- {binary: /b, request: 'POST https://a.test/', json_rpc: [x, y], expect: allow}\n";

#define HEAD "tests:\n- {binary: /b, request: 'CONNECT a.test:1', expect: allow, "
static const struct {
    const char *text, *want; // "line:column path: message [hint]"
} bad[] = {
    {"", "1:1 : a file of tests is a map with `policy` and `tests` [policy: policy.yaml]"},
    {"policy: x\n", "1:1 : 'tests' is missing []"},
    {"tests: []\n", "1:1 tests: a list of tests is needed here []"},
    {"tests: x\n", "1:8 tests: a list of tests is needed here []"},
    {"tests: [x]\n", "1:9 tests[0]: a test is a map [- {binary: …, request: …, expect: …}]"},
    {"polcy: x\ntests: [{binary: /b, request: 'CONNECT a.test:1', expect: allow}]\n",
     "1:1 polcy: unknown key 'polcy' [did you mean 'policy'?]"},
    {HEAD "exspect: allow}\n", "2:60 tests[0].exspect: unknown key 'exspect' [did you mean 'expect'?]"},
    {"tests:\n- {request: 'CONNECT a.test:1', expect: allow}\n", "2:3 tests[0]: 'binary' is missing []"},
    {"tests:\n- {binary: /b, expect: allow}\n", "2:3 tests[0]: 'request' is missing []"},
    {"tests:\n- {binary: /b, request: 'CONNECT a.test:1'}\n", "2:3 tests[0]: 'expect' is missing []"},
    {"tests:\n- {binary: b, request: 'CONNECT a.test:1', expect: allow}\n",
     "2:12 tests[0].binary: 'b' is not an absolute path []"},
    {"tests:\n- {binary: [/b], request: 'CONNECT a.test:1', expect: allow}\n",
     "2:4 tests[0].binary: a text is needed here []"},
    {"tests:\n- {binary: /b, request: 'CONNECT a.test', expect: allow}\n",
     "2:25 tests[0].request: the port is missing, as in a.test:443 []"},
    {"tests:\n- {binary: /b, request: 'CONNECT a.test:1', expect: yes}\n",
     "2:53 tests[0].expect: unknown decision 'yes' [allow, deny or audit]"},
    {HEAD "ancestors: [/a, b]}\n", "2:76 tests[0].ancestors[1]: 'b' is not an absolute path []"},
    {HEAD "websocket_text: 1}\n", "2:76 tests[0].websocket_text: true or false is needed here []"},
    {HEAD "websocket_text: true}\n",
     "2:3 tests[0]: a CONNECT has no body: name a request, as in 'POST https://host/path' []"},
    {HEAD "mcp: 'x:'}\n", "2:65 tests[0].mcp: the tool behind 'x:' is empty []"},
    {HEAD "graphql: read}\n",
     "2:69 tests[0].graphql: GraphQL operation type 'read' is not query, mutation or subscription []"},
    {HEAD "graphql: 'query::a,'}\n", "2:69 tests[0].graphql: a GraphQL field is empty []"},
    {HEAD "name: ''}\n", "2:60 tests[0].name: a text is needed here []"},
};

static void test_good(void)
{
    struct arena a;
    arena_init(&a, 64 * MIB);
    struct diags d;
    diags_init(&d, &a);
    struct test_file f = {};
    struct err err = {};
    tap_ok(test_file_parse(str_of(good), &a, &f, &d, &err) == ERR_OK && f.tests_n == 5 &&
               str_eq(f.policy, STR("p.yaml")),
           "a file with all there is %s", err.msg);
    if (f.tests_n == 5) {
        const struct test_case *t = f.tests;
        tap_ok(str_eq(t->name, STR("one")) && t->expect == VERDICT_AUDIT && t->line == 3 &&
                   str_eq(t->policy, STR("e")) && str_eq(t->rule, STR("r")) && str_eq(t->reason, STR("why")),
               "what is expected");
        tap_ok(t->ask->ancestors_n == 2 && str_eq(t->ask->ancestors[0], STR("/bin/sh")),
               "ancestors in order");
        tap_ok(t->ask->graphql_n == 2 && t->ask->graphql[0].fields_n == 1 && t->ask->graphql[0].name.n == 0 &&
                   t->ask->graphql[1].fields_n == 2 && str_eq(t->ask->graphql[1].name, STR("M")),
               "GraphQL operations");
        tap_ok(str_eq(t[1].name, STR("POST https://a.test/ by /b")), "a name where none is given");
        tap_ok(t[1].ask->rpc_n == 1 && t[1].ask->rpc[0].has_tool &&
                   str_eq(t[1].ask->rpc[0].tool, STR("search")),
               "an MCP call with a tool");
        tap_ok(t[2].ask->websocket_text && t[2].ask->request.websocket, "a WebSocket's text");
        tap_ok(t[3].ask->event_stream, "an event stream");
        tap_ok(t[4].ask->rpc_n == 2 && !t[4].ask->rpc[1].has_tool, "a JSON-RPC batch");
    }
    arena_done(&a);
}

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        arena_init(&a, 64 * MIB);
        struct diags d;
        diags_init(&d, &a);
        struct test_file f = {};
        struct err err = {};
        char got[500] = "";
        enum err_code r = test_file_parse(str_of(bad[i].text), &a, &f, &d, &err);
        if (d.n > 0)
            (void)snprintf(got, sizeof(got), "%u:%u %s: %s [%s]", d.v[0].at.line, d.v[0].at.column,
                           d.v[0].path.p, d.v[0].msg.p, d.v[0].hint.p);
        if (!tap_ok(r == ERR_INVALID && !f.tests && strcmp(got, bad[i].want) == 0, "refuses %s", bad[i].want))
            tap_note("got %s (%s)", got, err.msg);
        arena_done(&a);
    }
}

static void test_no_memory(void)
{
    for (size_t n = 1;; n++) {
        struct arena a;
        arena_init(&a, 64 * MIB);
        struct diags d;
        diags_init(&d, &a);
        struct test_file f = {};
        struct err err = {};
        alloc_fail_at(n);
        enum err_code r = test_file_parse(str_of(good), &a, &f, &d, &err);
        alloc_fail_off();
        bool done = alloc_fail_count() < n;
        tap_ok(done ? r == ERR_OK : r == ERR_LIMIT, "allocation %zu fails: %s", n, err_code_name(r));
        arena_done(&a);
        if (done)
            break;
    }
}

int main(void)
{
    test_good();
    test_bad();
    test_no_memory();
    return tap_done();
}
