#include "policy/load.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "tap.h"

// The endpoint that rows are about.
static struct endpoint *ep(struct policy *p)
{
    return p->entries[0].endpoints;
}

#define EP(fields)   "version: 1\nnetwork_policies: {a: {endpoints: [{" fields "}]}}"
#define RULE(fields) EP("rules: [{allow: {" fields "}}]")
#define MW(fields)   "version: 1\nnetwork_middlewares: {a: {middleware: m, " fields "}}"
#define IS(str, lit) str_eq((str), STR(lit))

// Each row: a text, and an expression on the policy `p` that comes out of it.
#define ROWS(X)                                                                                              \
    X("version: 1", p->version == 1 && !p->has_filesystem && !p->has_landlock && !p->has_process)            \
    X("version: 4294967295", p->version == UINT32_MAX)                                                       \
    X("version: 0", p->version == 0)                                                                         \
    X("version: 0x10", p->version == 16)                                                                     \
    X("version: 1", p->filesystem.include_workdir && p->entries_n == 0 && p->middlewares_n == 0)             \
    X("version: 1\nfilesystem_policy: {}", p->has_filesystem && !p->filesystem.include_workdir)              \
    X("version: 1\nfilesystem_policy: {include_workdir: true}", p->filesystem.include_workdir)               \
    X("version: 1\nfilesystem_policy: {read_only: [/a, /b]}",                                                \
      p->filesystem.read_only.n == 2 && IS(p->filesystem.read_only.v[1], "/b"))                              \
    X("version: 1\nfilesystem_policy: {read_write: []}", p->filesystem.read_write.n == 0)                    \
    X("version: 1\nfilesystem_policy: {read_write: [/a]}", IS(p->filesystem.read_write.v[0], "/a"))          \
    X("version: 1\nlandlock: {}", p->has_landlock && p->landlock.compatibility.n == 0)                       \
    X("version: 1\nlandlock: {compatibility: x}", IS(p->landlock.compatibility, "x"))                        \
    X("version: 1\nprocess: {}", p->has_process && p->process.run_as_user.n == 0)                            \
    X("version: 1\nprocess: {run_as_user: 1000}", IS(p->process.run_as_user, "1000"))                        \
    X("version: 1\nprocess: {run_as_group: x}", IS(p->process.run_as_group, "x"))                            \
    X("version: 1\nnetwork_policies: {}", p->entries_n == 0)                                                 \
    X("version: 1\nnetwork_policies: {b: {}, a: {}}",                                                        \
      p->entries_n == 2 && IS(p->entries[0].key, "b") && p->entries[0].name.n == 0)                          \
    X("version: 1\nnetwork_policies: {a: {name: n}}", IS(p->entries[0].name, "n"))                           \
    X("version: 1\nnetwork_policies: {443: {}}", IS(p->entries[0].key, "443"))                               \
    X("version: 1\nnetwork_policies: {a: {binaries: [{path: /x}]}}",                                         \
      IS(p->entries[0].binaries[0].path, "/x"))                                                              \
    X("version: 1\nnetwork_policies: {a: {binaries: [{path: /x, harness: true}]}}",                          \
      !p->entries[0].binaries[0].harness && d.warnings == 1)                                                 \
    X(EP(""), ep(p)->host.n == 0 && ep(p)->path.n == 0 && ep(p)->ports_n == 0 && ep(p)->protocol.n == 0)     \
    X(EP(""), ep(p)->tls.n == 0 && ep(p)->enforcement.n == 0 && ep(p)->access.n == 0 && ep(p)->rules_n == 0) \
    X(EP(""), ep(p)->deny_rules_n == 0 && ep(p)->allowed_ips.n == 0 && !ep(p)->allow_encoded_slash)          \
    X(EP(""), !ep(p)->websocket_credential_rewrite && !ep(p)->request_body_credential_rewrite)               \
    X(EP(""), !ep(p)->allow_uninspected_credentials && ep(p)->persisted_queries.n == 0)                      \
    X(EP(""), ep(p)->registered_n == 0 && ep(p)->graphql_max_body_bytes == 0 && !ep(p)->has_mcp)             \
    X(EP(""), ep(p)->json_rpc_max_body_bytes == 0 && ep(p)->strict_tool_names == UNSET)                      \
    X(EP(""), ep(p)->allow_all_known_mcp_methods == UNSET && ep(p)->credential_signing.n == 0)               \
    X(EP(""),                                                                                                \
      ep(p)->signing_service.n == 0 && ep(p)->signing_region.n == 0 && ep(p)->credential_provider.n == 0)    \
    X(EP("host: h"), IS(ep(p)->host, "h"))                                                                   \
    X(EP("path: /p"), IS(ep(p)->path, "/p"))                                                                 \
    X(EP("port: 443"), ep(p)->ports_n == 1 && ep(p)->ports[0] == 443)                                        \
    X(EP("port: 0"), ep(p)->ports_n == 1 && ep(p)->ports[0] == 0)                                            \
    X(EP("port: 65535"), ep(p)->ports[0] == 65535)                                                           \
    X(EP("ports: [1, 2]"), ep(p)->ports_n == 2 && ep(p)->ports[1] == 2)                                      \
    X(EP("ports: []"), ep(p)->ports_n == 0)                                                                  \
    X(EP("protocol: rest"), IS(ep(p)->protocol, "rest"))                                                     \
    X(EP("tls: skip"), IS(ep(p)->tls, "skip"))                                                               \
    X(EP("enforcement: enforce"), IS(ep(p)->enforcement, "enforce"))                                         \
    X(EP("access: full"), IS(ep(p)->access, "full"))                                                         \
    X(EP("allowed_ips: [10.0.0.1]"), IS(ep(p)->allowed_ips.v[0], "10.0.0.1"))                                \
    X(EP("allow_encoded_slash: true"), ep(p)->allow_encoded_slash)                                           \
    X(EP("allow_encoded_slash: false"), !ep(p)->allow_encoded_slash)                                         \
    X(EP("websocket_credential_rewrite: true"), ep(p)->websocket_credential_rewrite)                         \
    X(EP("request_body_credential_rewrite: true"), ep(p)->request_body_credential_rewrite)                   \
    X(EP("allow_uninspected_credentials: true"), ep(p)->allow_uninspected_credentials)                       \
    X(EP("persisted_queries: deny"), IS(ep(p)->persisted_queries, "deny"))                                   \
    X(EP("graphql_persisted_queries: {x: {operation_type: q, operation_name: n, fields: [f]}}"),             \
      ep(p)->registered_n == 1 && IS(ep(p)->registered[0].id, "x") &&                                        \
          IS(ep(p)->registered[0].operation_type, "q") && IS(ep(p)->registered[0].operation_name, "n") &&    \
          IS(ep(p)->registered[0].fields.v[0], "f"))                                                         \
    X(EP("graphql_max_body_bytes: 1"), ep(p)->graphql_max_body_bytes == 1)                                   \
    X(EP("json_rpc: {}"), ep(p)->json_rpc_max_body_bytes == 0)                                               \
    X(EP("json_rpc: {max_body_bytes: 4294967295}"), ep(p)->json_rpc_max_body_bytes == UINT32_MAX)            \
    X(EP("mcp: {}"), ep(p)->has_mcp &&ep(p)->strict_tool_names == UNSET)                                     \
    X(EP("mcp: {max_body_bytes: 7}, json_rpc: {max_body_bytes: 9}"), ep(p)->json_rpc_max_body_bytes == 7)    \
    X(EP("json_rpc: {max_body_bytes: 9}, mcp: {max_body_bytes: 7}"), ep(p)->json_rpc_max_body_bytes == 7)    \
    X(EP("json_rpc: {max_body_bytes: 9}, mcp: {}"), ep(p)->json_rpc_max_body_bytes == 9)                     \
    X(EP("mcp: {strict_tool_names: true}"), ep(p)->strict_tool_names == YES)                                 \
    X(EP("mcp: {strict_tool_names: false}"), ep(p)->strict_tool_names == NO)                                 \
    X(EP("mcp: {allow_all_known_mcp_methods: true}"), ep(p)->allow_all_known_mcp_methods == YES)             \
    X(EP("credential_signing: sigv4"), IS(ep(p)->credential_signing, "sigv4"))                               \
    X(EP("signing_service: s"), IS(ep(p)->signing_service, "s"))                                             \
    X(EP("signing_region: r"), IS(ep(p)->signing_region, "r"))                                               \
    X(EP("credential_binding: {provider: x}"), IS(ep(p)->credential_provider, "x"))                          \
    X(EP("deny_rules: [{method: GET}, {path: /x}]"),                                                         \
      ep(p)->deny_rules_n == 2 && IS(ep(p)->deny_rules[1].path, "/x"))                                       \
    X(RULE("method: GET"), IS(ep(p)->rules[0].method, "GET") && ep(p)->rules[0].path.n == 0)                 \
    X(RULE("path: /x"), IS(ep(p)->rules[0].path, "/x"))                                                      \
    X(RULE("command: SELECT"), IS(ep(p)->rules[0].command, "SELECT"))                                        \
    X(RULE("operation_type: query"), IS(ep(p)->rules[0].operation_type, "query"))                            \
    X(RULE("operation_name: n"), IS(ep(p)->rules[0].operation_name, "n"))                                    \
    X(RULE("fields: [f]"), IS(ep(p)->rules[0].fields.v[0], "f"))                                             \
    X(RULE("query: {k: g}"),                                                                                 \
      IS(ep(p)->rules[0].query[0].key, "k") && IS(ep(p)->rules[0].query[0].glob, "g"))                       \
    X(RULE("query: {k: {glob: g}}"),                                                                         \
      IS(ep(p)->rules[0].query[0].glob, "g") && ep(p)->rules[0].query[0].any.n == 0)                         \
    X(RULE("query: {k: {any: [a, b]}}"), ep(p)->rules[0].query[0].any.n == 2)                                \
    X(RULE("tool: t"), IS(ep(p)->rules[0].params[0].key, "name") && IS(ep(p)->rules[0].params[0].glob, "t")) \
    X(RULE("tool: {any: [t]}"), IS(ep(p)->rules[0].params[0].any.v[0], "t"))                                 \
    X(RULE("params: {name: t}"), IS(ep(p)->rules[0].params[0].key, "name"))                                  \
    X(RULE("params: {a: {b: {c: x}, d: {any: [y]}}, name: t}"),                                              \
      ep(p)->rules[0].params_n == 3 && IS(ep(p)->rules[0].params[0].key, "name") &&                          \
          IS(ep(p)->rules[0].params[1].key, "a.b.c") && IS(ep(p)->rules[0].params[2].key, "a.d"))            \
    X(RULE("params: {}"), ep(p)->rules[0].params_n == 0)                                                     \
    X(RULE(""), ep(p)->rules_n == 1 && ep(p)->rules[0].method.n == 0)                                        \
    X(EP("protocol: mcp, mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {}}, {allow: {tool: "     \
         "t}}], "                                                                                            \
         "deny_rules: [{tool: t}, {method: ping}]"),                                                         \
      IS(ep(p)->rules[0].method, "*") && IS(ep(p)->rules[1].method, "tools/call") &&                         \
          IS(ep(p)->deny_rules[0].method, "tools/call") && IS(ep(p)->deny_rules[1].method, "ping"))          \
    X(EP("protocol: mcp, mcp: {}, rules: [{allow: {tool: t}}]"), ep(p)->rules[0].method.n == 0)              \
    X(EP("protocol: rest, mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {tool: t}}]"),           \
      ep(p)->rules[0].method.n == 0)                                                                         \
    X(MW("name: n"), IS(p->middlewares[0].name, "n") && IS(p->middlewares[0].implementation, "m"))           \
    X(MW("order: -2147483648"), p->middlewares[0].order == INT32_MIN)                                        \
    X(MW("order: 2147483647"), p->middlewares[0].order == INT32_MAX)                                         \
    X(MW("on_error: fail_open"), IS(p->middlewares[0].on_error, "fail_open"))                                \
    X(MW(""), p->middlewares[0].order == 0 && p->middlewares[0].config.kind == VALUE_MAP)                    \
    X(MW(""), p->middlewares[0].config.n == 0 && p->middlewares[0].include.n == 0)                           \
    X(MW("endpoints: {include: [i], exclude: [e]}"),                                                         \
      IS(p->middlewares[0].include.v[0], "i") && IS(p->middlewares[0].exclude.v[0], "e"))                    \
    X(MW("config: {a: [1, \"1\", true, ~, 0.5, {}]}"),                                                       \
      p->middlewares[0].config.items[0].n == 6 &&                                                            \
          p->middlewares[0].config.items[0].items[4].number == 0.5 &&                                        \
          p->middlewares[0].config.items[0].items[1].kind == VALUE_STRING &&                                 \
          p->middlewares[0].config.items[0].items[3].kind == VALUE_NULL)                                     \
    X(MW("config: {a: 9007199254740992}"), p->middlewares[0].config.items[0].number == 9007199254740992.0)

#define TEST(text, expression)                                                                               \
    {                                                                                                        \
        CLEANUP(arena_done) struct arena a = {};                                                             \
        arena_init(&a, MIB);                                                                                 \
        struct policy *p = NULL;                                                                             \
        struct diags d;                                                                                      \
        struct err err = {};                                                                                 \
        bool ok = policy_parse(STR(text), &a, &p, &d, &err) == ERR_OK && (expression);                       \
        if (!tap_ok(ok, "%s", #expression))                                                                  \
            tap_note("%s", err.msg);                                                                         \
    }

static void test_fields(void) // NOLINT(readability-function-size): one block for each row of the table above
{
    ROWS(TEST)
}

static const struct {
    struct str text;
    const char *want, *rule;
} errors[] = {
    {STR_INIT(""),
     "failed to parse sandbox policy YAML: line 1, column 1: the policy is empty (begin with 'version: 1')",
     "an empty text"},
    {STR_INIT("{}"),
     "failed to parse sandbox policy YAML: line 1, column 1: version: a policy needs the key 'version'",
     "no version"},
    {STR_INIT("version: [1"),
     "failed to parse sandbox policy YAML: line 1, column 12: version[1]: expected ',' or ']' "
     "(a list that begins with '[' ends with ']')",
     "a mistake of YAML"},
    {STR_INIT("version: 1\nx: 1\nlandlock: 2\n"),
     "failed to parse sandbox policy YAML: line 2, column 1: x: unknown key 'x' (a policy has: version, "
     "filesystem_policy, landlock, process, network_policies, network_middlewares)",
     "the first of several"},
    {STR_INIT(MW("config: {a: 9007199254740993}, endpoints: {include: [a.test]}")),
     "failed to parse sandbox policy YAML: line 2, column 54: network_middlewares.a.config.a: the number "
     "9007199254740993 has more than 53 bits (put it in quotes)",
     "a number that a double does not hold"},
};

static void test_errors(void)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        CLEANUP(arena_done) struct arena a = {};
        arena_init(&a, MIB);
        struct policy *p = NULL;
        struct diags d;
        struct err err = {};
        enum err_code r = policy_load(errors[i].text, POLICY_USE_FILE, &a, &p, &d, &err);
        if (!tap_ok(r == ERR_INVALID && !p && strcmp(err.msg, errors[i].want) == 0, "%s", errors[i].rule))
            tap_note("got %s", err.msg);
    }
}

static void test_both_kinds(void)
{
    static const struct str text = STR_INIT("version: 1\n"
                                            "filesystem_policy: {read_only: [relative], read_write: [/x]}\n"
                                            "process: {run_as_usr: root}\n"
                                            "network_policies:\n"
                                            "  a:\n"
                                            "    endpoints: [{hst: a.test, protocol: nonsense}]\n"
                                            "    binaries: [{path: /x}]\n"
                                            "  b:\n"
                                            "    endpoints: [{host: \"*\", port: 443}]\n"
                                            "    binaries: [{path: /x}]\n");
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, MIB);
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    enum err_code r = policy_load(text, POLICY_USE_FILE, &a, &p, &d, &err);
    uint32_t lines[200] = {};
    size_t n = 0;
    for (size_t i = 0; i < d.n; i++)
        if (d.v[i].level == DIAG_ERROR)
            lines[n++] = d.v[i].at.line;
    bool ok = r == ERR_INVALID && n == 4 && lines[0] == 2 && lines[1] == 3 && lines[2] == 6 && lines[3] == 9;
    if (!tap_ok(
            ok,
            "mistakes of shape and of meaning come out of one run, without those that follow from others"))
        for (size_t i = 0; i < d.n; i++)
            tap_note("%u:%u %.*s: %.*s", d.v[i].at.line, d.v[i].at.column, STR_FMT(d.v[i].path),
                     STR_FMT(d.v[i].msg));
    r = policy_load(STR("version: 1\nfilesystem_policy: {read_only: [relative]}\n"), POLICY_USE_FILE, &a, &p,
                    &d, &err);
    if (!tap_ok(r == ERR_INVALID &&
                    str_starts(str_of(err.msg), STR("line 2, column 33: filesystem_policy.read_only[0]: ")),
                "a mistake of meaning alone is no failure to parse"))
        tap_note("got %s", err.msg);
}

// A valid policy that uses every field which a valid policy can.
static bool valid_text(struct buf *out)
{
    buf_add(
        out,
        STR("version: 1\n"
            "filesystem_policy: {include_workdir: true, read_only: [/usr], read_write: [/tmp]}\n"
            "landlock: {compatibility: best_effort}\nprocess: {run_as_user: 1000, run_as_group: sandbox}\n"
            "network_policies:\n"
            "  rest: &rest\n"
            "    name: n\n"
            "    endpoints:\n"
            "    - {host: a.example.com, path: /v1/**, ports: [443, 8443], protocol: rest, tls: \"\",\n"
            "       enforcement: enforce, allowed_ips: [10.0.0.0/8], allow_encoded_slash: true,\n"
            "       rules: [{allow: {method: GET, path: /v1/**, query: {a: b, c: {any: [d, e]}}}}],\n"
            "       deny_rules: [{method: POST, path: /v1/x, query: {a: {glob: b}}}],\n"
            "       credential_signing: sigv4, signing_service: s, signing_region: r}\n"
            "    - {host: b.example.com, port: 443, protocol: graphql, enforcement: enforce,\n"
            "       rules: [{allow: {operation_type: query, operation_name: n, fields: [f]}}],\n"
            "       persisted_queries: allow_registered, graphql_max_body_bytes: 5,\n"
            "       graphql_persisted_queries: {x: {operation_type: query, operation_name: n, fields: "
            "[f]}}}\n"
            "    - {host: c.example.com, port: 443, protocol: mcp, enforcement: enforce,\n"
            "       mcp: {max_body_bytes: 5, strict_tool_names: true, allow_all_known_mcp_methods: false},\n"
            "       rules: [{allow: {method: tools/call, params: {name: {any: [a, b]}}}}],\n"
            "       deny_rules: [{method: tools/call, tool: c}]}\n"
            "    - {host: d.example.com, port: 443, protocol: json-rpc, enforcement: enforce,\n"
            "       json_rpc: {max_body_bytes: 5}, rules: [{allow: {method: m}}]}\n"
            "    binaries: [{path: /usr/bin/curl, harness: true}]\n"
            "network_middlewares:\n"
            "  m: {name: n, middleware: openshell/regex, order: 1, config: {mode: redact, l: [1, {a: b}]},\n"
            "      on_error: fail_closed, endpoints: {include: [\"*.example.org\"], exclude: "
            "[x.example.org]}}\n"));
    return !out->full;
}

typedef enum err_code reader_fn(struct str text, struct arena *a, struct policy **ret, struct diags *d,
                                struct err *err);

static enum err_code load_fn(struct str text, struct arena *a, struct policy **ret, struct diags *d,
                             struct err *err)
{
    return policy_load(text, POLICY_USE_FILE, a, ret, d, err);
}

static enum err_code parse_fn(struct str text, struct arena *a, struct policy **ret, struct diags *d,
                              struct err *err)
{
    return policy_parse(text, a, ret, d, err);
}

static enum err_code read_in(reader_fn *fn, struct str text, size_t room, struct policy **ret,
                             struct err *err)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, room);
    struct diags d;
    return fn(text, &a, ret, &d, err); // *ret is only compared, never followed
}

// Whether a read answered as it must when an allocation may have failed.
static bool is_clean(enum err_code r, bool set, bool strict)
{
    return set == (r == ERR_OK) && (r == ERR_LIMIT || !strict);
}

// `strict`: each failing allocation is seen. The validator has some whose failure reads like a broken
// pattern.
static bool fails_cleanly(reader_fn *fn, struct str text, bool strict)
{
    static struct policy untouched;
    struct err err = {};
    bool clean = true;
    for (size_t n = 1; clean; n++) {
        struct policy *p = &untouched;
        alloc_fail_at(n);
        enum err_code r = read_in(fn, text, MIB, &p, &err);
        alloc_fail_off();
        if (alloc_fail_count() < n)
            return r == ERR_OK && n > 50;
        clean = is_clean(r, p != &untouched, strict);
        if (!clean)
            tap_note("allocation %zu: %s: %s", n, err_code_name(r), err.msg);
    }
    return false;
}

static bool fits_or_fails(reader_fn *fn, struct str text)
{
    static struct policy untouched;
    struct err err = {};
    for (size_t room = 0; room < MIB; room += 64) {
        struct policy *p = &untouched;
        enum err_code r = read_in(fn, text, room, &p, &err);
        if (r == ERR_OK)
            return p != &untouched && room > 64;
        if (!is_clean(r, p != &untouched, true))
            return false;
    }
    return false;
}

static void test_no_room(void)
{
    CLEANUP(buf_done) struct buf text = {};
    buf_init(&text, MIB);
    struct policy *p = NULL;
    struct err err = {};
    bool ready = valid_text(&text) && read_in(load_fn, buf_str(&text), MIB, &p, &err) == ERR_OK;
    if (!tap_ok(ready, "the policy with every field is valid"))
        tap_note("%s", err.msg);
    struct str s = buf_str(&text);
    (void)tap_ok(fails_cleanly(parse_fn, s, true),
                 "parsing: each failing allocation is ERR_LIMIT, nothing is returned");
    (void)tap_ok(fails_cleanly(load_fn, s, true),
                 "loading: each failing allocation is ERR_LIMIT, nothing is returned");
    (void)tap_ok(fits_or_fails(parse_fn, s), "parsing: an arena that is too small is ERR_LIMIT");
    (void)tap_ok(fits_or_fails(load_fn, s), "loading: so it is");
}

static void test_many_warnings(void)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(arena_done) struct arena a = {};
    buf_init(&text, MIB);
    arena_init(&a, 8 * MIB);
    buf_add(&text, STR("version: 1\nnetwork_policies:\n  a:\n    binaries:\n"));
    for (size_t i = 0; i < 500; i++)
        buf_addf(&text, "    - {path: /x%zu, harness: true}\n", i);
    buf_add(&text, STR("x: 1\n"));
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    enum err_code r = policy_parse(buf_str(&text), &a, &p, &d, &err);
    (void)tap_ok(r == ERR_INVALID && d.warnings == 20 && d.errors == 1 && d.n == 21,
                 "warnings leave room for errors");
}

static void test_big(void)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(arena_done) struct arena a = {};
    buf_init(&text, POLICY_TEXT_MAX);
    arena_init(&a, POLICY_ARENA_MAX);
    buf_add(&text, STR("version: 1\nnetwork_policies:\n"));
    for (size_t i = 0; i < 10'000; i++)
        buf_addf(&text, "  e%zu: {endpoints: [{host: h%zu.test, port: 443}], binaries: [{path: /x}]}\n", i,
                 i);
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    (void)tap_ok(!text.full && policy_parse(buf_str(&text), &a, &p, &d, &err) == ERR_OK &&
                     p->entries_n == 10'000,
                 "ten thousand entries");
}

int main(void)
{
    test_fields();
    test_errors();
    test_both_kinds();
    test_no_room();
    test_many_warnings();
    test_big();
    return tap_done();
}
