#include "policy/load.h"
#include "policy/merge.h"
#include "policy/print.h"

#include "tap.h"

static struct policy *parse(struct arena *a, const char *text)
{
    struct str s;
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    diags_init(&d, a);
    if (!arena_fmt(a, &s, "version: 1\n%s\n", text) || policy_parse(s, a, &p, &d, &err) != ERR_OK)
        tap_note("%s: %s", text, err.msg);
    return p;
}

static struct str print(const struct policy *p, struct arena *a)
{
    struct buf b;
    struct str s = {};
    buf_init(&b, MIB);
    if (!p)
        return s;
    policy_print_yaml(p, &b);
    if (b.full || !arena_dup(a, buf_str(&b), &s))
        s = (struct str){};
    buf_done(&b);
    return s;
}

#define BASE                                                                                                 \
    "{_provider_old: {endpoints: [{host: o.test, port: 1}]}, r: {endpoints: [{host: h.test, port: 1}]}}"
#define LAYER                                                                                                \
    "{endpoints: [{host: p.test, port: 443, protocol: rest, access: full}], binaries: [{path: /git}]}"

static const struct {
    const char *rule, *names[3], *want;
} layers[] = {
    {"no layer: reserved entries of the base go", {}, "{r: {endpoints: [{host: h.test, port: 1}]}}"},
    {"a layer is an entry behind the others",
     {"github"},
     "{r: {endpoints: [{host: h.test, port: 1}]}, _provider_github: " LAYER "}"},
    {"lower case, other bytes become _, outer ones are cut",
     {"--My GitHub.2z!"},
     "{r: {endpoints: [{host: h.test, port: 1}]}, _provider_my_github_2z: " LAYER "}"},
    {"a name without any such byte",
     {"***"},
     "{r: {endpoints: [{host: h.test, port: 1}]}, _provider_unnamed: " LAYER "}"},
    {"names that collide are numbered, the order stays",
     {"a.b", "a-b", "A_B"},
     "{r: {endpoints: [{host: h.test, port: 1}]}, _provider_a_b: " LAYER ", _provider_a_b_2: " LAYER
     ", _provider_a_b_3: " LAYER "}"},
};

static void compose(size_t i)
{
    struct arena from, to;
    arena_init(&from, MIB);
    arena_init(&to, MIB);
    struct policy *base = parse(&from, "network_policies: " BASE), *got = NULL;
    struct policy *layer = parse(&from, "network_policies: {key: " LAYER "}");
    struct provider_layer v[3];
    size_t n = 0;
    bool ready = base && layer;
    (void)tap_ok(ready, "%s: the texts are policies", layers[i].rule);
    if (!base || !layer) {
        arena_done(&from);
        return;
    }
    for (; n < 3 && layers[i].names[n]; n++)
        v[n] = (struct provider_layer){str_of(layers[i].names[n]), &layer->entries[0]};
    layer->entries[0].name = STR("not this");
    struct err err = {};
    enum err_code r = ERR_LIMIT;
    for (size_t max = 0; r == ERR_LIMIT; max += 16) {
        arena_done(&to);
        arena_init(&to, max);
        r = policy_compose(base, v, n, &to, &got, &err);
        if (r == ERR_LIMIT && got)
            tap_ok(false, "no result without room");
    }
    arena_done(&from); // the result shares nothing with what it was made of
    struct str text, want;
    tap_ok(r == ERR_OK && arena_fmt(&from, &text, "network_policies: %s", layers[i].want) &&
               str_eq(want = print(parse(&from, text.p), &from), print(got, &from)) && want.n > 0,
           "%s", layers[i].rule);
    arena_done(&from);
    arena_done(&to);
}

// clang-format off
#define FULL "host: h.test, ports: [80, 443], protocol: rest, path: /a, access: read-write"
static const struct {
    const char *rule, *have, *want;
    bool covers;
} covers[] = {
    {"a rule covers itself", "{r: {endpoints: [{" FULL "}], binaries: [{path: /git}]}}",
     "{endpoints: [{" FULL "}], binaries: [{path: /git}]}", true},
    {"host without case, fewer ports, nothing else said", "{r: {endpoints: [{" FULL "}], binaries: [{path: /git}]}}",
     "{endpoints: [{host: H.Test, port: 443}], binaries: [{path: /git}]}", true},
    {"another host", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: i.test, port: 443}]}", false},
    {"a port more", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: h.test, ports: [443, 22]}]}", false},
    {"another protocol", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: h.test, port: 80, protocol: tcp}]}", false},
    {"another path", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: h.test, port: 80, path: /b}]}", false},
    {"every path is another path", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: h.test, port: 80, path: /**}]}", false},
    {"a rule that the preset has", "{r: {endpoints: [{" FULL "}]}}",
     "{endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: post, path: /x}}]}]}", true},
    {"GET covers HEAD", "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: HEAD, path: /x}}]}]}", true},
    {"HEAD does not cover GET", "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: HEAD, path: /x}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /x}}]}]}", false},
    {"a rule that it has not", "{r: {endpoints: [{" FULL "}]}}",
     "{endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x}}, {allow: {method: DELETE, path: /x}}]}]}", false},
    {"a condition more covers less",
     "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x, query: {k: v}}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /x}}]}]}", false},
    {"a condition fewer covers more",
     "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /x, query: {k: v}}}]}]}", true},
    {"another path of a rule",
     "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /y}}]}]}", false},
    {"another binary", "{r: {endpoints: [{" FULL "}], binaries: [{path: /git}]}}",
     "{endpoints: [{host: h.test, port: 80}], binaries: [{path: /git}, {path: /curl}]}", false},
    {"any binary covers some", "{r: {endpoints: [{" FULL "}]}}", "{endpoints: [{host: h.test, port: 80}], binaries: [{path: /curl}]}", true},
    {"one rule has to have it all", "{r: {endpoints: [{host: h.test, port: 1}]}, s: {endpoints: [{host: i.test, port: 1}]}}",
     "{endpoints: [{host: h.test, port: 1}, {host: i.test, port: 1}]}", false},
    {"whichever rule that is", "{r: {endpoints: [{host: h.test, port: 1}]}, s: {endpoints: [{host: i.test, port: 1}]}}",
     "{endpoints: [{host: i.test, port: 1}]}", true},
    {"MCP with all methods covers a call", "{r: {endpoints: [{host: h.test, port: 80, protocol: mcp, mcp: {allow_all_known_mcp_methods: true}}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: tools/call, tool: x}}]}]}", true},
    {"MCP without them does not", "{r: {endpoints: [{host: h.test, port: 80, protocol: mcp, mcp: {allow_all_known_mcp_methods: false}}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: ping}}]}]}", false},
    {"nor does it when it has rules", "{r: {endpoints: [{host: h.test, port: 80, protocol: mcp, mcp: {allow_all_known_mcp_methods: true}, rules: [{allow: {method: ping}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: initialize}}]}]}", false},
    {"the option is one of MCP", "{r: {endpoints: [{host: h.test, port: 80, protocol: json-rpc, mcp: {allow_all_known_mcp_methods: true}}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: ping}}]}]}", false},
    {"the same conditions are covered", "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x, query: {k: v, l: w}}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /x, query: {k: v, l: w}}}]}]}", true},
    {"other conditions", "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [{allow: {method: GET, path: /x, query: {k: v}}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {method: GET, path: /x, query: {k: w}}}]}]}", false},
    {"any operation name covers one", "{r: {endpoints: [{host: h.test, port: 80, protocol: graphql, rules: [{allow: {operation_type: query}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {operation_type: query, operation_name: N}}]}]}", true},
    {"one operation name does not cover another", "{r: {endpoints: [{host: h.test, port: 80, protocol: graphql, rules: [{allow: {operation_type: query, operation_name: M}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {operation_type: query, operation_name: N}}]}]}", false},
    {"nor any", "{r: {endpoints: [{host: h.test, port: 80, protocol: graphql, rules: [{allow: {operation_type: query, operation_name: M}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {operation_type: query}}]}]}", false},
    {"any operation type covers one", "{r: {endpoints: [{host: h.test, port: 80, protocol: graphql, rules: [{allow: {operation_type: \"*\"}}]}]}}",
     "{endpoints: [{host: h.test, port: 80, rules: [{allow: {operation_type: mutation}}]}]}", true},
    {"no rule covers nothing", "{}", "{endpoints: [{host: i.test, port: 1}]}", false},
};

// clang-format on
static void cover(size_t i, struct arena *a)
{
    struct str have, want;
    struct policy *p = NULL, *q = NULL;
    if (arena_fmt(a, &have, "network_policies: %s", covers[i].have) &&
        arena_fmt(a, &want, "network_policies: {in: %s}", covers[i].want)) {
        p = parse(a, have.p);
        q = parse(a, want.p);
    }
    tap_ok(p && q && policy_covers(p, &q->entries[0]) == covers[i].covers, "%s", covers[i].rule);
}

static const struct {
    const char *rule, *now, *next, *error;
} live[] = {
    {"the network changes freely", "network_policies: {}", "network_policies: " BASE, NULL},
    {"paths may be added", "filesystem_policy: {read_only: [/a], read_write: [/w]}",
     "filesystem_policy: {read_only: [/b, /a], read_write: [/x, /w]}", NULL},
    {"a readable path cannot go", "filesystem_policy: {read_only: [/a, /b]}",
     "filesystem_policy: {read_only: [/a]}",
     "filesystem read_only path '/b' cannot be removed on a live sandbox"},
    {"a writable path cannot go", "filesystem_policy: {read_write: [/a, /b]}",
     "filesystem_policy: {read_write: [/b]}",
     "filesystem read_write path '/a' cannot be removed on a live sandbox"},
    {"nor move", "filesystem_policy: {read_only: [/a]}", "filesystem_policy: {read_write: [/a]}",
     "filesystem read_only path '/a' cannot be removed on a live sandbox"},
    {"the section cannot go", "filesystem_policy: {include_workdir: true}", "",
     "filesystem policy cannot be removed on a live sandbox"},
    {"it may come", "", "filesystem_policy: {include_workdir: true, read_only: [/a]}", NULL},
    {"but not without the working directory", "", "filesystem_policy: {read_only: [/a]}",
     "filesystem include_workdir cannot be changed on a live sandbox"},
    {"include_workdir cannot change", "filesystem_policy: {include_workdir: false}",
     "filesystem_policy: {include_workdir: true}",
     "filesystem include_workdir cannot be changed on a live sandbox"},
    {"landlock cannot change", "landlock: {compatibility: hard_requirement}", "",
     "landlock policy cannot be changed on a live sandbox"},
    {"its default may be written out", "", "landlock: {compatibility: best_effort}", NULL},
    {"the user cannot change", "process: {run_as_user: sandbox}", "process: {run_as_user: \"7\"}",
     "process policy cannot be changed on a live sandbox"},
    {"nor the group", "process: {run_as_group: sandbox}", "",
     "process policy cannot be changed on a live sandbox"},
};

static void check_live(size_t i, struct arena *a)
{
    struct policy *now = parse(a, live[i].now), *next = parse(a, live[i].next);
    struct err err = {};
    enum err_code r = policy_check_live(now, next, &err);
    bool ok = live[i].error ? r == ERR_INVALID && strcmp(err.msg, live[i].error) == 0 : r == ERR_OK;
    tap_ok(ok, "%s", live[i].rule);
    if (!ok)
        tap_note("%s", err.msg);
}

int main(void)
{
    struct arena a;
    arena_init(&a, 16 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(layers); i++)
        compose(i);
    for (size_t i = 0; i < ARRAY_LEN(covers); i++)
        cover(i, &a);
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        check_live(i, &a);
    arena_done(&a);
    return tap_done();
}
