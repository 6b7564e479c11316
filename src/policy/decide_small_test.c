// Small worlds, whole: every policy and every request over a tiny alphabet, engine (decide.h) against model
// (naive.h).
#include "policy/naive.h"
#include "policy/print.h"
#include "tap.h"

enum { REPORTS_MAX = 3 };

struct world {
    const char *name;
    uint64_t policies, asked, differ;
};

static uint32_t port_443[] = {443};
static struct l7_rule get_all[] = {{.method = STR_INIT("GET"), .path = STR_INIT("/**")}};
static struct l7_rule any_sub[] = {{.method = STR_INIT("*"), .path = STR_INIT("/a/*")}};
static struct matcher one_key[] = {{.key = STR_INIT("k"), .glob = STR_INIT("1")}};
static struct l7_rule post_key[] = {
    {.method = STR_INIT("POST"), .path = STR_INIT("/a"), .query = one_key, .query_n = 1}};
static struct l7_rule everything[] = {{.method = STR_INIT("*"), .path = STR_INIT("**")}};
static struct l7_rule any_op[] = {{.operation_type = STR_INIT("*")}};
static struct l7_rule queries[] = {{.operation_type = STR_INIT("query")}};
static struct l7_rule any_call[] = {{.method = STR_INIT("*")}};
static struct l7_rule ping[] = {{.method = STR_INIT("ping")}};
static struct matcher tool_read[] = {{.key = STR_INIT("name"), .glob = STR_INIT("read")}};
static struct l7_rule read_tool[] = {{.method = STR_INIT("tools/call"), .params = tool_read, .params_n = 1}};
static struct l7_rule select_verb[] = {{.command = STR_INIT("SELECT")}};
static struct str any_field[] = {STR_INIT("viewer")};
static struct graphql_registered known[] = {{STR_INIT("h1"), STR_INIT("query"), {}, {any_field, 1}}};

#define RULES(r)      .rules = (r), .rules_n = ARRAY_LEN(r)
#define DENY_RULES(r) .deny_rules = (r), .deny_rules_n = ARRAY_LEN(r)

// ---- requests
// -------------------------------------------------------------------------------------------------

static const struct graphql_op ops[] = {
    {.type = STR_INIT("query"), .fields = any_field, .fields_n = 1},
    {.type = STR_INIT("mutation"), .fields = any_field, .fields_n = 1},
    {.persisted_id = STR_INIT("h1")},
    {.persisted_id = STR_INIT("h2")},
};
static const struct rpc_call calls[] = {
    {.method = STR_INIT("ping")},
    {.method = STR_INIT("tools/call"), .has_tool = true, .tool = STR_INIT("read")},
    {.method = STR_INIT("tools/call"), .has_tool = true, .tool = STR_INIT("write")},
    {.method = STR_INIT("tools/call")},
};
static const struct graphql_facts bodies[] = {
    {.ops = &ops[0], .ops_n = 1}, {.ops = &ops[1], .ops_n = 1}, {.ops = &ops[2], .ops_n = 1},
    {.ops = &ops[3], .ops_n = 1}, {.ops = &ops[0], .ops_n = 2}, {.ops = &ops[2], .ops_n = 2},
    {.ops = ops, .ops_n = 0},     {.error = STR_INIT("bad")},
};
static const struct rpc_facts batches[] = {
    {.calls = &calls[0], .calls_n = 1},
    {.calls = &calls[1], .calls_n = 1},
    {.calls = &calls[2], .calls_n = 1},
    {.calls = &calls[3], .calls_n = 1},
    {.calls = &calls[0], .calls_n = 2},
    {.calls = &calls[1], .calls_n = 2},
    {.calls = calls, .calls_n = 0},
    {.calls = &calls[0], .calls_n = 1, .has_response = true},
    {.has_response = true},
    {.error = STR_INIT("bad")},
};
static const struct rpc_facts stream = {.receive_stream = true};

static void check(struct world *w, const struct policy *p, const struct snapshot *s,
                  const struct conn_facts *c, const struct request_facts *r)
{
    struct buf out;
    buf_init(&out, MIB);
    enum why ignored;
    w->asked++;
    if (!naive_check(p, s, c, r, &ignored, &out) && w->differ++ < REPORTS_MAX) {
        buf_addf(&out, "host %.*s exe %.*s %.*s %.*s query %zu ops %zu calls %zu\n", STR_FMT(c->host),
                 STR_FMT(c->who.exe), STR_FMT(r->method), STR_FMT(r->path), r->query_n,
                 r->graphql ? r->graphql->ops_n : 0, r->rpc ? r->rpc->calls_n : 0);
        policy_print_yaml(p, &out);
        struct str rest = buf_str(&out);
        for (struct str line; str_line(&rest, &line);)
            tap_note("%.*s", (int)line.n, line.p);
    }
    buf_done(&out);
}

static void plain_requests(struct world *w, const struct policy *p, const struct snapshot *s,
                           const struct conn_facts *c)
{
    static const struct str methods[] = {STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST"),
                                         STR_INIT("WEBSOCKET_TEXT")};
    static const struct str paths[] = {STR_INIT("/a"), STR_INIT("/a/b"), STR_INIT("/c")};
    static const struct query_pair pairs[] = {{STR_INIT("k"), STR_INIT("1")}, {STR_INIT("k"), STR_INIT("2")}};
    for (size_t m = 0; m < ARRAY_LEN(methods); m++)
        for (size_t i = 0; i < ARRAY_LEN(paths); i++)
            for (size_t q = 0; q < 3; q++) {
                struct request_facts r = {.method = methods[m],
                                          .path = paths[i],
                                          .query = pairs,
                                          .query_n = q};
                check(w, p, s, c, &r);
            }
}

static void body_requests(struct world *w, const struct policy *p, const struct snapshot *s,
                          const struct conn_facts *c)
{
    for (size_t m = 0; m < 3; m++) {
        struct str method = m == 0 ? STR("POST") : m == 1 ? STR("WEBSOCKET_TEXT") : STR("GET");
        for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
            check(w, p, s, c,
                  &(struct request_facts){.method = method, .path = STR("/a"), .graphql = &bodies[i]});
        for (size_t i = 0; i < ARRAY_LEN(batches); i++)
            check(w, p, s, c,
                  &(struct request_facts){.method = method, .path = STR("/a"), .rpc = &batches[i]});
        check(w, p, s, c, &(struct request_facts){.method = method, .path = STR("/a")});
    }
    check(w, p, s, c, &(struct request_facts){.method = STR("GET"), .path = STR("/a"), .rpc = &stream});
}

// ---- worlds
// ---------------------------------------------------------------------------------------------------

static void everybody(struct world *w, const struct policy *p)
{
    static const struct str hosts[] = {STR_INIT("a.test"), STR_INIT("x.a.test"), STR_INIT("b.test")};
    static const struct str exes[] = {STR_INIT("/bin/a"), STR_INIT("/bin/b"), STR_INIT("/sbin/c")};
    CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
    struct err err = {};
    w->policies++;
    if (snapshot_compile(p, 1, &s, &err) != ERR_OK) {
        w->differ++;
        tap_note("%s", err.msg);
        return;
    }
    for (size_t h = 0; h < ARRAY_LEN(hosts); h++)
        for (size_t e = 0; e < ARRAY_LEN(exes); e++) {
            struct conn_facts c = {.host = hosts[h], .port = 443, .who = {.exe = exes[e]}};
            plain_requests(w, p, s, &c);
        }
}

static struct policy_entry entry_of(const char *key, struct binary *binary, struct endpoint *eps, size_t n)
{
    return (struct policy_entry){.key = str_of(key),
                                 .endpoints = eps,
                                 .endpoints_n = n,
                                 .binaries = binary,
                                 .binaries_n = 1};
}

// No, one or two entries; each of two hosts, two programs, and no inspection or one of three rules, with and
// without enforcement. The second entry stands in front, so that files out of order are covered.
static void world_of_entries(struct world *w)
{
    static const struct str hosts[] = {STR_INIT("a.test"), STR_INIT("**.a.test")};
    static struct binary programs[] = {{STR_INIT("/bin/a"), false}, {STR_INIT("/bin/*"), true}};
    static struct l7_rule *const rules[] = {get_all, any_sub, post_key};
    struct {
        struct endpoint ep;
        struct binary *binary;
    } one[28];
    size_t n = 0;
    for (size_t i = 0; i < 28; i++) {
        size_t kind = i / 4; // 0: not inspected; 1 to 6: a rule, enforced or not
        one[n].binary = &programs[i / 2 % 2];
        one[n].ep = (struct endpoint){.host = hosts[i % 2], .ports = port_443, .ports_n = 1};
        if (kind > 0) {
            one[n].ep.protocol = STR("rest");
            one[n].ep.enforcement = kind > 3 ? STR("enforce") : STR("audit");
            one[n].ep.rules = rules[(kind - 1) % 3];
            one[n].ep.rules_n = 1;
        }
        n++;
    }
    everybody(w, &(struct policy){.version = 1});
    for (size_t i = 0; i < n; i++) {
        struct policy_entry single = entry_of("a", one[i].binary, &one[i].ep, 1);
        everybody(w, &(struct policy){.version = 1, .entries = &single, .entries_n = 1});
        for (size_t k = 0; k < n; k++) {
            struct policy_entry pair[] = {entry_of("b", one[i].binary, &one[i].ep, 1),
                                          entry_of("a", one[k].binary, &one[k].ep, 1)};
            everybody(w, &(struct policy){.version = 1, .entries = pair, .entries_n = 2});
        }
    }
}

// Two endpoints of one entry: each of four scopes, three allow lists, deny rules or not, enforced or not.
static void world_of_scopes(struct world *w)
{
    static const char *const scopes[] = {"", "/a", "/a/**", "/*"};
    static struct l7_rule *const rules[] = {get_all, any_sub, everything};
    static struct binary program[] = {{STR_INIT("/bin/a"), false}};
    struct endpoint one[48];
    for (size_t i = 0; i < ARRAY_LEN(one); i++)
        one[i] = (struct endpoint){.host = STR("a.test"),
                                   .path = str_of(scopes[i % 4]),
                                   .ports = port_443,
                                   .ports_n = 1,
                                   .protocol = STR("rest"),
                                   .enforcement = i / 4 % 2 ? STR("enforce") : STR("audit"),
                                   .rules = rules[i / 8 % 3],
                                   .rules_n = 1,
                                   .deny_rules = post_key,
                                   .deny_rules_n = i / 24};
    for (size_t i = 0; i < ARRAY_LEN(one) * ARRAY_LEN(one); i++) {
        struct endpoint pair[] = {one[i / 48], one[i % 48]};
        struct policy_entry e = entry_of("a", program, pair, 2);
        struct policy p = {.version = 1, .entries = &e, .entries_n = 1};
        CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
        struct err err = {};
        w->policies++;
        bool ok = snapshot_compile(&p, 1, &s, &err) == ERR_OK;
        w->differ += !ok;
        if (ok)
            plain_requests(w, &p, s,
                           &(struct conn_facts){.host = STR("a.test"),
                                                .port = 443,
                                                .who = {.exe = STR("/bin/a")}});
    }
}

// Two endpoints of any two kinds, the second with a narrower or an equal scope: which of them may open which
// body?
static void world_of_protocols(struct world *w)
{
    static const struct endpoint kinds[] = {
        {},
        {.protocol = STR_INIT("tcp")},
        {.protocol = STR_INIT("rest"), RULES(everything)},
        {.protocol = STR_INIT("rest"), .access = STR_INIT("read-only")},
        {.protocol = STR_INIT("rest"), RULES(everything), DENY_RULES(get_all)},
        {.protocol = STR_INIT("websocket"), RULES(everything)},
        {.protocol = STR_INIT("websocket"), .access = STR_INIT("read-write")},
        {.protocol = STR_INIT("websocket"), RULES(any_op)},
        {.protocol = STR_INIT("websocket"), RULES(any_op), DENY_RULES(queries)},
        {.protocol = STR_INIT("graphql"), RULES(any_op)},
        {.protocol = STR_INIT("graphql"), .access = STR_INIT("read-only")},
        {.protocol = STR_INIT("graphql"), RULES(any_op), DENY_RULES(queries)},
        {.protocol = STR_INIT("graphql"),
         RULES(queries),
         .persisted_queries = STR_INIT("allow_registered"),
         .registered = known,
         .registered_n = 1},
        {.protocol = STR_INIT("json-rpc"), RULES(any_call)},
        {.protocol = STR_INIT("json-rpc"), RULES(any_call), DENY_RULES(ping)},
        {.protocol = STR_INIT("json-rpc"), RULES(ping)},
        {.protocol = STR_INIT("mcp"), .has_mcp = true, .allow_all_known_mcp_methods = YES},
        {.protocol = STR_INIT("mcp"), .has_mcp = true, .allow_all_known_mcp_methods = YES, RULES(read_tool)},
        {.protocol = STR_INIT("mcp"), .has_mcp = true, RULES(ping), DENY_RULES(read_tool)},
        {.protocol = STR_INIT("mcp"), .has_mcp = true, RULES(read_tool)},
        {.protocol = STR_INIT("sql"), RULES(select_verb)},
        {.protocol = STR_INIT("sql"), .access = STR_INIT("full")},
    };
    static struct binary program[] = {{STR_INIT("/bin/a"), false}};
    enum { KINDS = ARRAY_LEN(kinds) };
    for (size_t i = 0; i < 4 * KINDS * KINDS; i++) {
        struct endpoint pair[] = {kinds[i / 4 / KINDS], kinds[i / 4 % KINDS]};
        for (size_t k = 0; k < 2; k++) {
            pair[k].host = STR("a.test");
            pair[k].ports = port_443;
            pair[k].ports_n = 1;
            if (pair[k].rules_n > 0 && !str_eq(pair[k].protocol, STR("sql")))
                pair[k].enforcement = i & 1 ? STR("enforce") : STR("");
        }
        if (i & 2 && pair[1].protocol.n > 3) // neither "" nor tcp
            pair[1].path = STR("/a");
        struct policy_entry e = entry_of("a", program, pair, 2);
        struct policy p = {.version = 1, .entries = &e, .entries_n = 1};
        CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
        struct err err = {};
        w->policies++;
        if (snapshot_compile(&p, 1, &s, &err) != ERR_OK) {
            w->differ++;
            tap_note("%s", err.msg);
            continue;
        }
        struct conn_facts c = {.host = STR("a.test"), .port = 443, .who = {.exe = STR("/bin/a")}};
        body_requests(w, &p, s, &c);
        plain_requests(w, &p, s, &c);
    }
}

static void world_end(const struct world *w, uint64_t policies)
{
    (void)tap_ok(w->policies == policies, "%s: all %llu policies", w->name, (unsigned long long)w->policies);
    (void)tap_ok(w->differ == 0, "%s: engine and model agree on %llu requests (%llu differ)", w->name,
                 (unsigned long long)w->asked, (unsigned long long)w->differ);
}

int main(void)
{
    struct world entries = {.name = "two entries"}, scopes = {.name = "two scopes"},
                 kinds = {.name = "two protocols"};
    world_of_entries(&entries);
    world_end(&entries, 1 + 28 + 28 * 28);
    world_of_scopes(&scopes);
    world_end(&scopes, 48 * 48);
    world_of_protocols(&kinds);
    world_end(&kinds, 4 * 22 * 22);
    return tap_done();
}
