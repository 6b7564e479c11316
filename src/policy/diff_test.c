#include "policy/diff.h"
#include "policy/load.h"
#include "policy/shape_fill.h"

#include "tap.h"

// `want` has one line for each change: a sign for its effect (+ widens, - narrows, ? either, = none), `!`
// where it needs a new sandbox, then the text; a line may be the head of it.
#define REST         "host: h.test, port: 443, protocol: rest, enforcement: enforce"
#define CURL         "binaries: [{path: /curl}]"
#define NET(entries) "network_policies: " entries "\n"
#define R(endpoint)  NET("{r: {endpoints: [{" endpoint "}], " CURL "}}")

// clang-format off
static const struct {
    const char *rule, *from, *to, *want;
} rows[] = {
    {"the same: nothing", R(REST ", access: full"), R(REST ", access: full"), ""},
    {"written otherwise: nothing", R("host: H.test, ports: [80, 443], protocol: rest, access: full, path: /**"),
     R("host: h.test, ports: [443, 80], protocol: rest, access: full, enforcement: audit"), ""},
    {"entries in another order: nothing", NET("{a: {endpoints: [{host: a.test, port: 1}]}, b: {endpoints: [{host: b.test, port: 1}]}}"),
     NET("{b: {endpoints: [{host: b.test, port: 1}]}, a: {endpoints: [{host: a.test, port: 1}]}}"), ""},
    {"a rule more", R(REST ", rules: [{allow: {method: GET, path: /x}}]"),
     R(REST ", rules: [{allow: {method: GET, path: /x}}, {allow: {method: POST, path: /repos/**}}]"),
     "+/curl may now also POST to h.test:443 under /repos/**\n"},
    {"a rule that another one covers", R(REST ", access: full"),
     R(REST ", rules: [{allow: {method: \"*\", path: \"**\"}}, {allow: {method: POST, path: /a}}]"),
     "=/curl may now also POST to h.test:443 under /a (another rule allowed it before)\n"},
    {"a rule less", R(REST ", rules: [{allow: {method: GET, path: /x}}, {allow: {method: POST, path: \"**\"}}]"),
     R(REST ", rules: [{allow: {method: GET, path: /x}}]"), "-/curl may no longer POST to h.test:443\n"},
    {"a rule less in audit mode", R("host: h.test, port: 443, protocol: rest, access: read-write"),
     R("host: h.test, port: 443, protocol: rest, rules: [{allow: {method: GET, path: \"**\"}}, {allow: {method: OPTIONS, path: \"**\"}}, "
       "{allow: {method: POST, path: \"**\"}}, {allow: {method: PUT, path: \"**\"}}]"),
     "=the rule by which /curl may HEAD to h.test:443 is gone, another rule still allows it\n"
     "?/curl may no longer PATCH to h.test:443 (enforcement is audit: it is only logged)\n"},
    {"a wider preset", R(REST ", access: read-only"), R(REST ", access: full"),
     "+/curl may now also use any method on h.test:443\n=the rule by which /curl may GET\n=the rule\n=the rule\n"},
    {"a deny rule more", R(REST ", access: full"), R(REST ", access: full, deny_rules: [{method: PUT, path: /p, query: {k: v}}]"),
     "-a new deny rule: /curl may not PUT to h.test:443 under /p with query k=v\n"},
    {"a deny rule less", R(REST ", access: full, deny_rules: [{method: PUT, path: /p}]"), R(REST ", access: full"),
     "+a deny rule is gone: /curl is no longer kept from PUT to h.test:443 under /p\n"},
    {"deny rules that stay are no change", R(REST ", access: full, deny_rules: [{method: PUT, path: /p}, {method: PUT, path: /q}]"),
     R(REST ", access: full, deny_rules: [{method: PUT, path: /q}, {method: PUT, path: /r}]"),
     "-a new deny rule: /curl may not PUT to h.test:443 under /r\n+a deny rule is gone: /curl is no longer kept from PUT to h.test:443 under /p\n"},
    {"a preset written out as rules", R("host: h.test, port: 443, protocol: graphql, access: read-only"),
     R("host: h.test, port: 443, protocol: graphql, rules: [{allow: {operation_type: query}}]"),
     "=access of h.test:443 changes from 'read-only' to none, which allows the same\n"},
    {"a preset that is none", R(REST), R(REST ", access: some"), "?access of h.test:443 changes from none to 'some'\n"},
    {"rules of another protocol cannot be weighed", R("host: h.test, port: 443, protocol: websocket, enforcement: enforce, rules: [{allow: {method: GET, path: /a}}]"),
     R(REST ", rules: [{allow: {method: PUT, path: /b}}]"),
     "?protocol of h.test:443\n?/curl may now also PUT\n?/curl may no longer GET\n"},
    {"nor can those that nobody looks at", R("host: h.test, port: 443, enforcement: enforce, rules: [{allow: {method: GET, path: /a}}]"),
     R("host: h.test, port: 443, enforcement: enforce, rules: [{allow: {method: PUT, path: /b}}]"),
     "?/curl may now also PUT\n?/curl may no longer GET\n"},
    {"nor those of MCP when all methods are allowed before", R("host: h.test, port: 1, protocol: mcp, enforcement: enforce, mcp: {allow_all_known_mcp_methods: true}"),
     R("host: h.test, port: 1, protocol: mcp, enforcement: enforce, mcp: {}, rules: [{allow: {method: ping}}]"),
     "?h.test:1: only MCP methods that a rule names are allowed now\n?/curl may now also call ping\n?/curl may no longer call any method\n"},
    {"enforce to nothing, which is audit", R(REST ", access: full"), R("host: h.test, port: 443, protocol: rest, access: full"),
     "+enforcement of h.test:443 changes from enforce to audit: violations are now only logged\n"},
    {"the last address", R("host: h.test, port: 1, allowed_ips: [10.0.0.1]"), R("host: h.test, port: 1"),
     "?address 10.0.0.1 is no longer listed for h.test:1\n"},
    {"a path with deny rules on one side", R(REST ", access: full, deny_rules: [{method: PUT, path: /p}], path: /a"), R(REST ", access: full"),
     "?path of h.test:443 changes\n+a deny rule is gone\n"},
    {"audit to enforce", R("host: h.test, port: 443, protocol: rest, access: full"), R(REST ", access: full"),
     "-enforcement of h.test:443 changes from audit to enforce: violations are now refused\n"},
    {"enforce to audit", R(REST ", access: full"), R("host: h.test, port: 443, protocol: rest, access: full, enforcement: audit"),
     "+enforcement of h.test:443 changes from enforce to audit: violations are now only logged\n"},
    {"inspection begins", R("host: h.test, port: 443"), R("host: h.test, port: 443, protocol: rest"),
     "-protocol of h.test:443 changes from none to 'rest': its requests are now inspected\n"},
    {"inspection ends", R("host: h.test, port: 443, protocol: rest"), R("host: h.test, port: 443, protocol: tcp"),
     "+protocol of h.test:443 changes from 'rest' to 'tcp': its requests are no longer inspected\n"},
    {"another inspection", R("host: h.test, port: 443, protocol: rest"), R("host: h.test, port: 443, protocol: websocket"),
     "?protocol of h.test:443 changes from 'rest' to 'websocket'\n"},
    {"tls skip", R("host: h.test, port: 443"), R("host: h.test, port: 443, tls: skip"),
     "+tls of h.test:443 changes from auto to skip: it is no longer looked into\n"},
    {"tls: a deprecated word for auto", R("host: h.test, port: 443"), R("host: h.test, port: 443, tls: terminate"),
     "=tls of h.test:443 changes from auto to terminate, which means the same\n"},
    {"tls no longer skip", R("host: h.test, port: 443, tls: skip"), R("host: h.test, port: 443"),
     "-tls of h.test:443 changes from skip to auto: it is now looked into\n"},
    {"a port more, a port less", R("host: h.test, ports: [1, 2]"), R("host: h.test, ports: [2, 3]"),
     "+/curl may now also reach h.test:3\n-h.test:1 is no longer reachable for /curl here\n"},
    {"a path more", R("host: h.test, port: 1"), R("host: h.test, port: 1, path: /a"), "-path of h.test:1/a changes from none to '/a'\n"},
    {"a path less", R("host: h.test, port: 1, path: /a"), R("host: h.test, port: 1"), "+path of h.test:1 changes from '/a' to none\n"},
    {"another path", R("host: h.test, port: 1, path: /a"), R("host: h.test, port: 1, path: /b"), "?path of h.test:1/b changes from '/a' to '/b'\n"},
    {"another path, with deny rules", R(REST ", access: full, deny_rules: [{method: PUT, path: /p}]"),
     R(REST ", access: full, deny_rules: [{method: PUT, path: /p}], path: /a"), "?path of h.test:443/a changes from none to '/a'\n"},
    {"addresses", R("host: h.test, port: 1, allowed_ips: [10.0.0.1, 10.0.0.2]"), R("host: h.test, port: 1, allowed_ips: [10.0.0.2, 10.0.0.3]"),
     "+h.test:1 may now be at address 10.0.0.3\n-address 10.0.0.1 is no longer listed for h.test:1\n"},
    {"the first address", R("host: h.test, port: 1"), R("host: h.test, port: 1, allowed_ips: [10.0.0.1]"), "?h.test:1 may now be at address 10.0.0.1\n"},
    {"a flag on", R("host: h.test, port: 1"), R("host: h.test, port: 1, allow_uninspected_credentials: true"),
     "+h.test:1: credentials may go where nobody inspects them now\n"},
    {"a flag off", R("host: h.test, port: 1, allow_encoded_slash: true"), R("host: h.test, port: 1"),
     "-h.test:1: paths with an encoded slash are refused now\n"},
    {"a larger body", R("host: h.test, port: 1"), R("host: h.test, port: 1, graphql_max_body_bytes: 70000"),
     "+graphql_max_body_bytes of h.test:1 changes from 65536 to 70000\n"},
    {"a smaller body", R("host: h.test, port: 1"), R("host: h.test, port: 1, json_rpc: {max_body_bytes: 9}"),
     "-json_rpc.max_body_bytes of h.test:1 changes from 65536 to 9\n"},
    {"MCP names", R("host: h.test, port: 1, mcp: {}"), R("host: h.test, port: 1, mcp: {strict_tool_names: false}"),
     "+h.test:1: MCP tool names are not checked strictly now\n"},
    {"an MCP rule", R("host: h.test, port: 1, protocol: mcp, enforcement: enforce"),
     R("host: h.test, port: 1, protocol: mcp, enforcement: enforce, rules: [{allow: {method: tools/call, tool: search}}]"),
     "+/curl may now also call tools/call on h.test:1 with parameter name=search\n"},
    {"a GraphQL rule", R("host: h.test, port: 1, protocol: graphql"),
     R("host: h.test, port: 1, protocol: graphql, rules: [{allow: {operation_type: query, fields: [viewer]}}]"),
     "+/curl may now also run any GraphQL query of viewer on h.test:1\n"},
    {"persisted queries", R("host: h.test, port: 1, graphql_persisted_queries: {a: {operation_type: query}, b: {operation_type: query}}"),
     R("host: h.test, port: 1, graphql_persisted_queries: {b: {operation_type: mutation}, c: {operation_type: query}}"),
     "?persisted query 'b' of h.test:1 stands for another one\n+persisted query 'c' is now registered for h.test:1\n"
     "-persisted query 'a' of h.test:1 is not registered now\n"},
    {"an endpoint more, an endpoint less", NET("{r: {endpoints: [{host: a.test, port: 1}, {host: b.test, port: 1}], " CURL "}}"),
     NET("{r: {endpoints: [{host: b.test, port: 1}, {host: c.test, port: 1, protocol: rest, access: full}], " CURL "}}"),
     "-a.test:1 is no longer reachable for /curl\n+/curl may now reach c.test:1 (rest, audit, access full)\n"},
    {"endpoints are paired by path and ports, not by place",
     NET("{r: {endpoints: [{host: h.test, port: 1, path: /a}, {host: h.test, port: 2}, {host: h.test, port: 1, path: /b}], " CURL "}}"),
     NET("{r: {endpoints: [{host: h.test, port: 1, path: /b}, {host: h.test, port: 2, tls: skip}, {host: h.test, port: 1, path: /a}], " CURL "}}"),
     "+tls of h.test:2\n=the endpoints are in another order\n"},
    {"an endpoint less, but another rule has it", NET("{r: {endpoints: [{host: h.test, port: 1}], " CURL "}, s: {endpoints: [{host: \"*.test\", port: 1}]}}"),
     NET("{s: {endpoints: [{host: \"*.test\", port: 1}]}}"),
     "?h.test:1 is no longer reachable for /curl by this rule, but rule 's' may still allow it\n"},
    {"an entry more", NET("{}"), R("host: h.test, port: 1"), "+/curl may now reach h.test:1 (not inspected)\n"},
    {"an entry more, whose deny rules hold for another one", R(REST ", access: full"),
     NET("{r: {endpoints: [{" REST ", access: full}], " CURL "}, s: {endpoints: [{" REST ", access: full, deny_rules: [{method: PUT, path: /p}]}], " CURL "}}"),
     "?/curl may now reach h.test:443 (rest, enforce, access full, 1 deny rule)\n"},
    {"an endpoint less, whose deny rules held for others", NET("{r: {endpoints: [{host: h.test, port: 1}, {" REST ", access: full, deny_rules: [{method: PUT, path: /p}]}], " CURL "}}"),
     R("host: h.test, port: 1"), "?h.test:443 is no longer reachable for /curl; its deny rules are gone, too\n"},
    {"an entry less, an entry more", NET("{a: {endpoints: [{host: a.test, port: 1}], " CURL "}}"), NET("{b: {endpoints: [{host: b.test, port: 1}], " CURL "}}"),
     "-a.test:1 is no longer reachable for /curl\n+/curl may now reach b.test:1 (not inspected)\n"},
    {"an entry with another key and another name", NET("{a: {name: m, endpoints: [{host: a.test, port: 1}], " CURL "}}"),
     NET("{b: {endpoints: [{host: a.test, port: 1}], " CURL "}}"), "?a.test:1 is no longer reachable for /curl by this rule, but rule 'b'\n+/curl may now reach a.test:1\n"
     },
    {"an entry more beside one for the same host", R("host: h.test, port: 1"),
     NET("{r: {endpoints: [{host: h.test, port: 1}], " CURL "}, s: {endpoints: [{host: h.test, port: 1, tls: skip}], " CURL "}}"),
     "+/curl may now reach h.test:1\n"},
    {"an entry more, with deny rules that hold for no other", R("host: h.test, port: 1"),
     NET("{r: {endpoints: [{host: h.test, port: 1}], " CURL "}, s: {endpoints: [{host: h.test, port: 2, deny_rules: [{method: PUT}]}], " CURL "}}"),
     "+/curl may now reach h.test:2\n"},
    {"an endpoint less, another rule has another host or port",
     NET("{r: {endpoints: [{host: h.test, port: 1}], " CURL "}, s: {endpoints: [{host: i.test, port: 1}, {host: h.test, port: 2}]}}"),
     NET("{s: {endpoints: [{host: i.test, port: 1}, {host: h.test, port: 2}]}}"), "-h.test:1 is no longer reachable for /curl\n"},
    {"an endpoint less, another rule has its addresses",
     NET("{r: {endpoints: [{host: h.test, port: 1}], " CURL "}, s: {endpoints: [{port: 1, allowed_ips: [10.0.0.1]}]}}"),
     NET("{s: {endpoints: [{port: 1, allowed_ips: [10.0.0.1]}]}}"), "?h.test:1 is no longer reachable for /curl by this rule\n"},
    {"endpoints that differ by their ports are not mixed up",
     NET("{r: {endpoints: [{host: h.test, port: 1}, {host: h.test, ports: [2, 3]}, {host: h.test, port: 2}], " CURL "}}"),
     NET("{r: {endpoints: [{host: h.test, port: 2}, {host: h.test, ports: [2, 3]}, {host: h.test, port: 1}], " CURL "}}"),
     "=the endpoints are in another order\n"},
    {"the first binary", NET("{r: {endpoints: [{host: h.test, port: 1}]}}"), R("host: h.test, port: 1"), "?/curl may now reach h.test:1\n"},
    {"an entry without endpoints", NET("{}"), NET("{r: {" CURL "}}"), "=rule 'r' is new; it has no endpoint\n"},
    {"an entry with another key", R("host: h.test, port: 1"), NET("{q: {endpoints: [{host: h.test, port: 1}], " CURL "}}"),
     "=rule 'r' has the key 'q' now\n"},
    {"another name", R("host: h.test, port: 1"), NET("{r: {name: n, endpoints: [{host: h.test, port: 1}], " CURL "}}"),
     "=rule 'r' is now called 'n'\n"},
    {"a binary more, a binary less", R("host: h.test, port: 1"), NET("{r: {endpoints: [{host: h.test, port: 1}], binaries: [{path: /git}]}}"),
     "+/git may now reach h.test:1\n-h.test:1 is no longer reachable for /curl by this rule\n"},
    {"the last binary", R("host: h.test, port: 1"), NET("{r: {endpoints: [{host: h.test, port: 1}]}}"),
     "?h.test:1 is no longer reachable for /curl by this rule, which names no binary now\n"},
    {"paths", "filesystem_policy: {read_only: [/a, /b], read_write: [/w]}\n", "filesystem_policy: {read_only: [/b, /c], read_write: [/w, /x]}\n",
     "+!/c may now be read\n-!/a may no longer be read\n+!/x may now be written\n"},
    {"a path that becomes writable", "filesystem_policy: {read_only: [/a]}\n", "filesystem_policy: {read_write: [/a]}\n",
     "=!/a is no longer listed as read-only\n+!/a may now also be written\n"},
    {"a path that becomes read-only", "filesystem_policy: {read_write: [/a]}\n", "filesystem_policy: {read_only: [/a]}\n",
     "-!/a is now listed as read-only\n-!/a may no longer be written\n"},
    {"a path below another", "filesystem_policy: {read_only: [/usr/, /usr/lib]}\n", "filesystem_policy: {read_only: [/usr/]}\n",
     "?!/usr/lib may no longer be read by a line of its own, but a directory above it is listed\n"},
    {"a path beside another", "filesystem_policy: {read_only: [/usr, /usrlib]}\n", "filesystem_policy: {read_only: [/usr]}\n",
     "-!/usrlib may no longer be read\n"},
    {"the working directory", "filesystem_policy: {include_workdir: false}\n", "filesystem_policy: {include_workdir: true}\n",
     "+!the working directory may now be written\n"},
    {"landlock", "landlock: {}\n", "landlock: {compatibility: hard_requirement}\n",
     "-!landlock.compatibility changes from 'best_effort' to 'hard_requirement'\n"},
    {"the user", "process: {run_as_user: sandbox}\n", "process: {run_as_user: \"7\"}\n", "?!process.run_as_user changes from 'sandbox' to '7'\n"},
    {"a section", "", "landlock: {compatibility: best_effort}\n", "=!there is now a section landlock\n"},
    {"a middleware more", "", "network_middlewares: {m: {middleware: x/y, endpoints: {include: [a.test]}}}\n",
     "?middleware 'm' (x/y) now sees the traffic of 1 host pattern\n"},
    {"a middleware less", "network_middlewares: {m: {middleware: x/y, endpoints: {include: [a.test]}}}\n", "",
     "?middleware 'm' (x/y) no longer sees any traffic\n"},
    {"a middleware changes", "network_middlewares: {m: {middleware: x/y, order: 1, config: {a: 1}, endpoints: {include: [a.test]}}}\n",
     "network_middlewares: {m: {middleware: x/z, order: 2, config: {a: 2}, on_error: fail_open, endpoints: {include: [b.test], exclude: [c.b.test]}}}\n",
     "?middleware of middleware 'm' changes from 'x/y' to 'x/z'\n?middleware 'm' runs at place 2 instead of 1\n"
     "?middleware 'm' has another configuration\n+when middleware 'm' fails, traffic is now let through\n"
     "?middleware 'm' now covers b.test\n?middleware 'm' no longer covers a.test\n?middleware 'm' now leaves out c.b.test\n"},
};
// clang-format on

static struct policy *parse(struct arena *a, const char *text)
{
    struct str s;
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    diags_init(&d, a);
    if (!arena_fmt(a, &s, "version: 1\n%s", text) || policy_parse(s, a, &p, &d, &err) != ERR_OK)
        tap_note("%s: %s", text, err.msg);
    return p;
}

static bool is_line(struct str line, const struct change *c)
{
    static const char signs[] =
        {[EFFECT_WIDENS] = '+', [EFFECT_NARROWS] = '-', [EFFECT_EITHER] = '?', [EFFECT_NONE] = '='};
    if (line.n == 0 || line.p[0] != signs[c->effect])
        return false;
    line = str_from(line, 1);
    return str_skip(&line, STR("!")) == c->is_static && str_starts(c->text, line);
}

static bool is_right(struct arena *a, size_t i)
{
    struct policy *from = parse(a, rows[i].from), *to = parse(a, rows[i].to);
    struct change *v = NULL;
    size_t n = 0, k = 0;
    struct err err = {};
    if (!from || !to || policy_diff(from, to, a, &v, &n, &err) != ERR_OK)
        return false;
    bool ok = true;
    for (struct str rest = str_of(rows[i].want), line; str_line(&rest, &line); k++)
        ok = ok && k < n && is_line(line, &v[k]);
    ok = ok && k == n;
    for (k = 0; !ok && k < n; k++)
        tap_note("%d %s (%s)", v[k].effect, v[k].text.p, v[k].path.p);
    return ok;
}

static void paths(struct arena *a)
{
    static const char *const want[] = {
        "filesystem_policy.read_only",           "network_policies.r.endpoints[1].mcp.strict_tool_names",
        "network_policies.r.endpoints[1].rules", "network_policies.r.endpoints[1]",
        "network_policies.s.endpoints[0]",
    };
    struct policy *from = parse(a,
                                "filesystem_policy: {read_only: [/a]}\n"
                                "network_policies: {r: {endpoints: [{host: h.test, port: 1, protocol: mcp}, "
                                "{host: gone.test, port: 1}]}}");
    struct policy
        *to = parse(a, "filesystem_policy: {}\n"
                       "network_policies: {r: {endpoints: [{host: x.test, port: 1}, {host: h.test, port: 1, "
                       "protocol: mcp, mcp: {strict_tool_names: false}, rules: [{allow: {method: ping}}]}]}, "
                       "s: {endpoints: [{host: s.test, port: 1}]}}");
    struct change *v = NULL;
    size_t n = 0;
    struct err err;
    if (!from || !to || policy_diff(from, to, a, &v, &n, &err) != ERR_OK)
        n = 0;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        size_t k = 0;
        while (k < n && !str_eq(v[k].path, str_of(want[i])))
            k++;
        tap_ok(k < n, "a change says where: %s", want[i]);
    }
}

// Nothing is passed over: each field of a full policy, changed, is at least one change with a path and a
// text.
static void each_field(void)
{
    struct arena a, b;
    arena_init(&a, 4 * MIB);
    arena_init(&b, 4 * MIB);
    struct policy p = {};
    unsigned n = 0;
    size_t fields = 0;
    bool ok = fill(&shape_policy, &p, &a, &n);
    for (; ok; fields++) {
        struct policy *q = NULL;
        struct change *v = NULL;
        size_t left = fields, there = 0, back = 0;
        const char *name = "";
        struct err err;
        if (!policy_clone(&p, &b, &q) || !change(&shape_policy, q, &left, &name))
            break;
        ok = policy_diff(&p, q, &b, &v, &there, &err) == ERR_OK &&
             policy_diff(q, &p, &b, &v, &back, &err) == ERR_OK;
        if (there == 0 || back == 0 || v[0].path.n == 0 || v[0].text.n == 0)
            tap_ok(false, "field %zu (%s) is a change", fields, name);
        arena_done(&b);
    }
    tap_ok(ok && fields > 300, "each of %zu fields is a change, in both directions", fields);
    struct change *v = NULL;
    struct err err;
    size_t same = 1;
    tap_ok(policy_diff(&p, &p, &b, &v, &same, &err) == ERR_OK && same == 0,
           "a full policy is the same as itself");
    arena_done(&a);
    arena_done(&b);
}

static void no_room(struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *from = parse(a, rows[i].from), *to = parse(a, rows[i].to);
        enum err_code r = ERR_LIMIT;
        for (size_t max = 0; from && to && r == ERR_LIMIT; max += 16) {
            struct arena small;
            struct change *v = NULL;
            size_t n = 77;
            struct err err = {};
            arena_init(&small, max);
            r = policy_diff(from, to, &small, &v, &n, &err);
            if (r != ERR_OK && (r != ERR_LIMIT || v || n != 77))
                tap_ok(false, "%s: %zu bytes", rows[i].rule, max);
            arena_done(&small);
        }
    }
    tap_ok(true, "ERR_LIMIT at every size that is too small");
}

int main(void)
{
    struct arena a;
    arena_init(&a, 64 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tap_ok(is_right(&a, i), "%s", rows[i].rule);
    paths(&a);
    each_field();
    no_room(&a);
    arena_done(&a);
    return tap_done();
}
