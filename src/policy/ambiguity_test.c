#include "policy/glob.h"
#include "policy/validate_rows.h"

#define TWO(a, b)     ENTRY("{" a "}, {" b "}")
#define L7(fields)    "host: a.test, port: 443, protocol: rest, enforcement: enforce, " fields
#define AUDIT(fields) "host: a.test, port: 443, protocol: rest, enforcement: audit, access: full, " fields
#define GQL(fields)   "host: a.test, port: 443, protocol: graphql, enforcement: enforce, access: full, " fields
#define RPC(fields)                                                                                          \
    "host: a.test, port: 443, protocol: json-rpc, enforcement: enforce, rules: [{allow: {method: "           \
    "x}}], " fields
#define MCP(fields)                                                                                          \
    "host: a.test, port: 443, protocol: mcp, enforcement: enforce, rules: [{allow: {method: x}}], " fields

static const struct row rows[] = {
    // which pairs
    {"other hosts", TWO("host: a.test, port: 443, tls: skip", "host: b.test, port: 443"), ""},
    {"one host, other ports", TWO("host: a.test, ports: [1, 3], tls: skip", "host: a.test, ports: [4, 2]"),
     ""},
    {"one host, one port",
     TWO("host: a.test, ports: [443, 80, 1], tls: skip", "host: A.Test, ports: [2, 80, 443]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:1,80,443) and 'a' "
     "endpoint[1] (a.test:2,80,443) overlap on port(s) 80,443 with conflicting metadata: tls=skip vs auto\n"},
    {"the same twice", TWO("host: a.test, port: 443, tls: skip", "host: a.test, port: 443, tls: skip"), ""},
    {"a wildcard and what it matches",
     TWO("host: \"*.a.test\", port: 443, tls: skip", "host: x.a.test, port: 443"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (*.a.test:443) and 'a' "
     "endpoint[1] (x.a.test:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    {"the same the other way round",
     TWO("host: x.a.test, port: 443", "host: \"*.a.test\", port: 443, tls: skip"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (x.a.test:443) and 'a' "
     "endpoint[1] (*.a.test:443) overlap on port(s) 443 with conflicting metadata: tls=auto vs skip\n"},
    {"a wildcard and what it does not match",
     TWO("host: \"*.a.test\", port: 443, tls: skip", "host: x.y.a.test, port: 443"), ""},
    {"two wildcards that meet",
     TWO("host: \"**.a.test\", port: 443, tls: skip", "host: \"*.b.a.test\", port: 443"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (**.a.test:443) and 'a' "
     "endpoint[1] (*.b.a.test:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    {"two wildcards that do not",
     TWO("host: \"*.a.test\", port: 443, tls: skip", "host: \"*.b.a.test\", port: 443"), ""},
    {"no host meets every host",
     TWO("port: 443, allowed_ips: [10.1.0.0/16], tls: skip",
         "host: b.test, port: 443, allowed_ips: [10.1.0.0/16]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (*:443) and 'a' endpoint[1] "
     "(b.test:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    {"no host meets no host",
     TWO("port: 443, allowed_ips: [10.1.0.0/16], tls: skip", "port: 443, allowed_ips: [10.1.0.0/16]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (*:443) and 'a' endpoint[1] "
     "(*:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    {"no host on another port",
     TWO("port: 443, allowed_ips: [10.1.0.0/16], tls: skip", "host: b.test, port: 80"), ""},
    {"three endpoints, two conflicts",
     ENTRY("{host: a.test, port: 443}, {host: a.test, port: 443, tls: skip}, {host: a.test, port: 443}"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: tls=auto vs skip\n"
     "error network_policies.a.endpoints[2]: network policies 'a' endpoint[1] (a.test:443) and 'a' "
     "endpoint[2] (a.test:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    {"two entries",
     "version: 1\nnetwork_policies:\n  one: {endpoints: [{host: a.test, port: 443, tls: skip}], binaries: "
     "[{path: /x}]}\n  \"t w o\": {endpoints: [{host: b.test, port: 443}, {host: a.test, port: 443}], "
     "binaries: [{path: /y}]}\n",
     "error network_policies.\"t w o\".endpoints[1]: network policies 'one' endpoint[0] (a.test:443) and 't "
     "w o' endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: tls=skip vs auto\n"},
    // the connection
    {"tcp or not", TWO("host: a.test, port: 443, protocol: tcp", "host: a.test, port: 443"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: tcp-eligibility=true vs "
     "false\n"},
    {"other ranges",
     TWO("host: a.test, port: 443, allowed_ips: [10.1.0.0/16]",
         "host: a.test, port: 443, allowed_ips: [10.1.0.0/16, 10.2.0.0/16]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: allowed_ips=[10.1.0.0/16] "
     "vs [10.1.0.0/16, 10.2.0.0/16]\n"},
    {"one range and another",
     TWO("host: a.test, port: 443, allowed_ips: [10.1.0.0/16]",
         "host: a.test, port: 443, allowed_ips: [10.2.0.0/16]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: allowed_ips=[10.1.0.0/16] "
     "vs "
     "[10.2.0.0/16]\n"},
    {"ranges and none", TWO("host: a.test, port: 443", "host: a.test, port: 443, allowed_ips: [10.1.0.0/16]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: allowed_ips=[] vs "
     "[10.1.0.0/16]\n"},
    {"ranges are a set",
     TWO("host: a.test, port: 443, allowed_ips: [\"FD00::/16\", 10.1.0.0/16]",
         "host: a.test, port: 443, allowed_ips: [\" 10.1.0.0/16\", \"fd00::/16\"]"),
     ""},
    {"a deprecated tls mode is automatic",
     TWO("host: a.test, port: 443, protocol: rest, enforcement: enforce, access: full",
         "host: a.test, port: 443, protocol: rest, enforcement: enforce, access: full, tls: terminate"),
     "warning network_policies.a.endpoints[1].tls: tls 'terminate' is deprecated and treated as automatic\n"},
    {"the path does not matter to the connection",
     TWO("host: a.test, port: 443, path: /x, protocol: rest, enforcement: enforce, access: full, "
         "allowed_ips: [10.1.0.0/16]",
         L7("access: full, path: /longer")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /x) and 'a' "
     "endpoint[1] (a.test:443 /longer) overlap on port(s) 443 with conflicting metadata: "
     "allowed_ips=[10.1.0.0/16] vs []\n"},
    // the request
    {"an endpoint that says nothing about requests", TWO("host: a.test, port: 443", L7("access: full")), ""},
    {"enforcement",
     TWO(L7("access: full"), "host: a.test, port: 443, protocol: rest, enforcement: audit, access: full"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"no enforcement is audit",
     TWO("host: a.test, port: 443, protocol: rest, access: full",
         "host: a.test, port: 443, protocol: rest, enforcement: audit, access: full"),
     "warning @.enforcement: audit only: requests that break the rules are forwarded and logged\n"},
    {"protocol",
     TWO(L7("access: full"),
         "host: a.test, port: 443, protocol: graphql, enforcement: enforce, access: full"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: protocol=rest vs graphql\n"},
    {"flags",
     TWO(L7("access: full, allow_encoded_slash: true, websocket_credential_rewrite: true"),
         L7("access: full, request_body_credential_rewrite: true")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: allow_encoded_slash=true vs "
     "false; websocket_credential_rewrite=true vs false; request_body_credential_rewrite=false vs true\n"},
    {"signing",
     TWO(L7("access: full, credential_signing: sigv4, signing_service: s3, signing_region: x"),
         L7("access: full, credential_signing: \"sigv4:body\", signing_service: sts")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: credential_signing=sigv4 vs "
     "sigv4:body; signing_service=s3 vs sts; signing_region=x vs unset\n"},
    {"binding",
     TWO(L7("access: full, credential_binding: {provider: p}"),
         L7("access: full, credential_binding: {provider: q}")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: "
     "credential_binding.provider=p vs q\n"},
    {"binding alone speaks of requests",
     TWO("host: a.test, port: 443, credential_binding: {provider: p}", L7("access: full")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: protocol=unset vs rest; "
     "enforcement=audit vs enforce; credential_binding.provider=p vs unset\n"},
    {"graphql limits", TWO(GQL("graphql_max_body_bytes: 1"), GQL("graphql_max_body_bytes: 2")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: graphql_max_body_bytes=1 vs "
     "2\n"},
    {"no limit is the default",
     TWO(GQL("graphql_max_body_bytes: 65536"), GQL("allow_uninspected_credentials: false")), ""},
    {"rpc limits", TWO(RPC("json_rpc: {max_body_bytes: 1}"), RPC("json_rpc: {max_body_bytes: 65536}")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: json_rpc_max_body_bytes=1 "
     "vs 65536\n"},
    {"strict tool names", TWO(MCP("mcp: {strict_tool_names: false}"), MCP("mcp: {max_body_bytes: 65536}")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: mcp.strict_tool_names=false "
     "vs true\n"},
    {"graphql over a websocket or not",
     TWO("host: a.test, port: 443, protocol: websocket, enforcement: enforce, rules: [{allow: {method: GET, "
         "path: /x}}, {allow: {operation_type: query}}]",
         "host: a.test, port: 443, protocol: websocket, enforcement: enforce, rules: [{allow: {method: GET, "
         "path: /x}}]"),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: websocket-graphql=true vs "
     "false\n"},
    {"access and rules may differ",
     TWO(L7("access: read-only"), L7("rules: [{allow: {method: POST, path: \"/x/**\"}}]")), ""},
    // paths
    {"a more specific path", TWO(L7("access: full"), AUDIT("path: /graphql")), ""},
    {"the same path", TWO(L7("access: full, path: /graphql"), AUDIT("path: /graphql")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /graphql) and 'a' "
     "endpoint[1] (a.test:443 /graphql) overlap on port(s) 443 with conflicting metadata: "
     "enforcement=enforce vs audit\n"},
    {"another path of the same length", TWO(L7("access: full, path: /aaa"), AUDIT("path: /bbb")), ""},
    {"trees of the same length", TWO(L7("access: full, path: \"/a/**\""), AUDIT("path: \"/b/**\"")), ""},
    {"everything is everything", TWO(L7("access: full, path: \"**\""), AUDIT("allow_encoded_slash: false")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 **) and 'a' "
     "endpoint[1] (a.test:443) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"stars that meet", TWO(L7("access: full, path: \"/a/*\""), AUDIT("path: \"/*/b\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/*) and 'a' "
     "endpoint[1] (a.test:443 /*/b) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"stars that do not", TWO(L7("access: full, path: \"/a/*/c\""), AUDIT("path: \"/b/*/c\"")), ""},
    {"a tree and a star", TWO(L7("access: full, path: \"/a/**\""), AUDIT("path: \"/*a*/\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/**) and 'a' "
     "endpoint[1] (a.test:443 /*a*/) overlap on port(s) 443 with conflicting metadata: enforcement=enforce "
     "vs audit\n"},
    {"a tree has its root", TWO(L7("access: full, path: \"/a/**\""), AUDIT("path: \"/*/?\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/**) and 'a' "
     "endpoint[1] (a.test:443 /*/?) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"a star keeps the slash behind it", TWO(L7("access: full, path: \"/*/c\""), AUDIT("path: \"/xc\"")), ""},
    {"one byte each", TWO(L7("access: full, path: \"/a?c\""), AUDIT("path: \"/abc\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a?c) and 'a' "
     "endpoint[1] (a.test:443 /abc) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"one byte, another behind it", TWO(L7("access: full, path: \"/a?c\""), AUDIT("path: \"/abd\"")), ""},
    {"a tree and what is below it", TWO(L7("access: full, path: \"/a/**\""), AUDIT("path: \"/a/*\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/**) and 'a' "
     "endpoint[1] (a.test:443 /a/*) overlap on port(s) 443 with conflicting metadata: enforcement=enforce vs "
     "audit\n"},
    {"what is below a tree", TWO(AUDIT("path: \"/a/*\""), L7("access: full, path: \"/a/**\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/*) and 'a' "
     "endpoint[1] (a.test:443 /a/**) overlap on port(s) 443 with conflicting metadata: enforcement=audit vs "
     "enforce\n"},
    {"a class may be any byte", TWO(L7("access: full, path: \"/[ab]*\""), AUDIT("path: \"/a*bcd\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /[ab]*) and 'a' "
     "endpoint[1] (a.test:443 /a*bcd) overlap on port(s) 443 with conflicting metadata: enforcement=enforce "
     "vs audit\n"},
    {"a tree in the middle is a run", TWO(L7("access: full, path: \"/a/**/b\""), AUDIT("path: \"/a/b*b\"")),
     "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443 /a/**/b) and 'a' "
     "endpoint[1] (a.test:443 /a/b*b) overlap on port(s) 443 with conflicting metadata: enforcement=enforce "
     "vs audit\n"},
    {"behind a tree in the middle", TWO(L7("access: full, path: \"/a/**/b\""), AUDIT("path: \"/a/b*c\"")),
     ""},
};

// ---- against a naive reading
// --------------------------------------------------------------------------------

static uint32_t seed = 1;
static uint32_t random_below(uint32_t n) // the same row of numbers in every run
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

enum { FEW = 8 };
static const char *const hosts[] = {"a.test",   "x.a.test",   "*.a.test", "**.a.test",
                                    "*.*.test", "y.x.a.test", "X.a.test", ""};
static const char *const paths[] = {"",      "**",  "/a",   "/b",    "/*",  "/a/**",
                                    "/b/**", "/?b", "/*/a", "/[ab]", "/a/*"};
static const char *const words[][3] = {{"", "rest", "tcp"},
                                       {"", "skip", "terminate"},
                                       {"", "audit", "enforce"}};

static void random_endpoint(struct endpoint *ep, uint32_t ports[static 2], struct str *ip)
{
    *ep = (struct endpoint){
        .host = str_of(hosts[random_below(ARRAY_LEN(hosts))]),
        .path = str_of(paths[random_below(ARRAY_LEN(paths))]),
        .protocol = str_of(words[0][random_below(4) % 3]),
        .tls = str_of(words[1][random_below(12) % 10 % 3]),
        .enforcement = str_of(words[2][random_below(3)]),
        .advisor_proposed = random_below(8) == 0,
        .allow_encoded_slash = random_below(8) == 0,
        .ports = ports,
        .ports_n = 1 + random_below(2),
        .allowed_ips = {.v = ip, .n = random_below(4) == 0},
    };
    ports[0] = 1 + random_below(2);
    ports[1] = 1 + random_below(3);
}

static bool naive_hosts_overlap(struct str a, struct str b, struct arena *arena)
{
    static const char *const names[] = {"a.test",     "x.a.test",     "y.a.test",
                                        "y.x.a.test", "z.y.x.a.test", "q.r.test"};
    struct err err;
    const struct glob *x = NULL, *y = NULL;
    bool has_x = a.n > 0 && glob_compile(GLOB_HOST, a, arena, &x, &err) == ERR_OK;
    bool has_y = b.n > 0 && glob_compile(GLOB_HOST, b, arena, &y, &err) == ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((!has_x || glob_match(x, str_of(names[i]))) && (!has_y || glob_match(y, str_of(names[i]))))
            return true;
    return false;
}

// Every text over a small alphabet, up to six bytes behind the first slash.
static bool naive_paths_overlap(struct str a, struct str b, struct arena *arena)
{
    static const char letters[] = "/abc";
    struct err err;
    const struct glob *x, *y;
    if (glob_compile(GLOB_SCOPE, a, arena, &x, &err) != ERR_OK ||
        glob_compile(GLOB_SCOPE, b, arena, &y, &err) != ERR_OK)
        return false;
    char text[8] = "/";
    for (size_t n = 1, count = 1; n <= 7; n++, count *= 4)
        for (size_t code = 0; code < count; code++) {
            for (size_t i = 1, rest = code; i < n; i++, rest /= 4)
                text[i] = letters[rest % 4];
            if (glob_match(x, (struct str){text, n}) && glob_match(y, (struct str){text, n}))
                return true;
        }
    return false;
}

static bool naive_conflict(const struct endpoint *a, const struct endpoint *b, struct arena *arena)
{
    bool port = false;
    for (size_t i = 0; i < a->ports_n; i++)
        for (size_t k = 0; k < b->ports_n; k++)
            port = port || a->ports[i] == b->ports[k];
    if (!port || !naive_hosts_overlap(a->host, b->host, arena))
        return false;
    bool tcp_a = str_eq(a->protocol, STR("tcp")), tcp_b = str_eq(b->protocol, STR("tcp"));
    bool skip_a = str_eq(a->tls, STR("skip")), skip_b = str_eq(b->tls, STR("skip"));
    if (tcp_a != tcp_b || skip_a != skip_b || a->allowed_ips.n != b->allowed_ips.n ||
        a->advisor_proposed != b->advisor_proposed)
        return true;
    bool request_a = (a->protocol.n > 0 && !tcp_a) || a->allowed_ips.n > 0 || a->tls.n > 0;
    bool request_b = (b->protocol.n > 0 && !tcp_b) || b->allowed_ips.n > 0 || b->tls.n > 0;
    size_t weight_a = 0, weight_b = 0;
    for (size_t i = 0; i < a->path.n; i++)
        weight_a += a->path.p[i] != '*';
    for (size_t i = 0; i < b->path.n; i++)
        weight_b += b->path.p[i] != '*';
    bool enforce_a = str_eq(a->enforcement, STR("enforce")),
         enforce_b = str_eq(b->enforcement, STR("enforce"));
    bool differ = enforce_a != enforce_b || !str_eq(a->protocol, b->protocol) ||
                  a->allow_encoded_slash != b->allow_encoded_slash;
    return request_a && request_b && weight_a == weight_b && differ &&
           naive_paths_overlap(a->path, b->path, arena);
}

static bool check_random(void)
{
    struct endpoint eps[FEW];
    uint32_t ports[FEW][2];
    struct str ip = STR("10.1.0.0/16");
    for (size_t i = 0; i < FEW; i++)
        random_endpoint(&eps[i], ports[i], &ip);
    struct policy_entry entries[2] = {{.key = STR("a"), .endpoints = eps, .endpoints_n = FEW / 2},
                                      {.key = STR("b"), .endpoints = eps + FEW / 2, .endpoints_n = FEW / 2}};
    struct policy p = {.version = 1, .entries = entries, .entries_n = 2};
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, POLICY_ARENA_MAX);
    struct diags d;
    diags_init(&d, &a);
    policy_check_ambiguity(&p, &d);
    size_t want = 0;
    for (size_t i = 0; i < FEW; i++)
        for (size_t k = 0; k < i; k++)
            want += naive_conflict(&eps[k], &eps[i], &a);
    if (d.errors != want)
        for (size_t i = 0; i < d.n; i++)
            tap_note("%zu wanted, got %.*s", want, (int)d.v[i].msg.n, d.v[i].msg.p);
    return d.errors == want;
}

// ---- many endpoints
// -----------------------------------------------------------------------------------------

// `n` endpoints, every second with tls skip unless they are alike, on one host or each on its own, or each on
// its own port.
enum spread { ONE, HOSTS, PORTS };
static size_t errors_of_many(size_t n, enum spread spread, bool alike, const char *first_host,
                             size_t *ret_kept)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, POLICY_ARENA_MAX);
    struct endpoint *eps = arena_newn(&a, struct endpoint, n);
    uint32_t *ports = arena_newn(&a, uint32_t, n);
    if (!eps || !ports)
        return 0;
    for (size_t i = 0; i < n; i++) {
        ports[i] = spread == PORTS ? (uint32_t)i + 1 : 443;
        eps[i] = (struct endpoint){.host = STR("a.test"), .ports = &ports[i], .ports_n = 1};
        if (spread == HOSTS && !arena_fmt(&a, &eps[i].host, "h%zu.a.test", i))
            return 0;
        if (!alike && i % 2 == 1)
            eps[i].tls = STR("skip");
    }
    if (first_host)
        eps[0].host = str_of(first_host);
    struct policy_entry e = {.key = STR("a"), .endpoints = eps, .endpoints_n = n};
    struct policy p = {.version = 1, .entries = &e, .entries_n = 1};
    struct diags d;
    diags_init(&d, &a);
    policy_check_ambiguity(&p, &d);
    *ret_kept = d.n;
    return d.no_room ? SIZE_MAX : d.errors;
}

static void advisor(struct policy *p)
{
    p->entries[0].endpoints[1].advisor_proposed = true;
}

int main(void)
{
    rows_run(rows, ARRAY_LEN(rows), POLICY_USE_FILE);
    rows_edited(
        "what an advisor proposed", TWO("host: a.test, port: 443", "host: a.test, port: 443"),
        POLICY_USE_GATEWAY, advisor,
        "error network_policies.a.endpoints[1]: network policies 'a' endpoint[0] (a.test:443) and 'a' "
        "endpoint[1] (a.test:443) overlap on "
        "port(s) 443 with conflicting metadata: advisor_proposed=false vs true\n");
    bool same = true;
    for (size_t i = 0; i < 2000 && same; i++)
        same = check_random();
    (void)tap_ok(same, "as many conflicts as a naive comparison of all pairs finds");

    size_t kept;
    (void)tap_ok(errors_of_many(10'000, HOSTS, false, NULL, &kept) == 0, "ten thousand hosts do not meet");
    (void)tap_ok(errors_of_many(300, HOSTS, false, "*.a.test", &kept) == 150, "a wildcard meets them all");
    (void)tap_ok(errors_of_many(10'000, ONE, true, NULL, &kept) == 0, "ten thousand endpoints alike agree");
    (void)tap_ok(errors_of_many(10'000, ONE, false, NULL, &kept) == DIAGS_MAX && kept == DIAGS_MAX,
                 "behind %d conflicts the rest is left alone", DIAGS_MAX);
    (void)tap_ok(errors_of_many(2'000, PORTS, false, NULL, &kept) == 0,
                 "ports keep two thousand endpoints apart");
    (void)tap_ok(errors_of_many(10'000, PORTS, false, NULL, &kept) == 1,
                 "work has an end, and then an error");
    return tap_done();
}
