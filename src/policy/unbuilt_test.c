// What a policy may say and is refused: by name, with exact words.
#include "policy/unbuilt.h"

#include "policy/load.h"

#include "tap.h"

#define HOST     "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{host: a.test, port: 443"
#define BINARIES "]\n    binaries: [{path: /usr/bin/curl}]\n"

static const char *first_diag(const struct diags *d)
{
    return d->n > 0 ? d->v[0].msg.p : "";
}

static enum err_code load(const char *text, struct arena *a, struct policy **ret, struct err *e)
{
    struct diags d;
    arena_init(a, 32 * MIB);
    diags_init(&d, a);
    enum err_code r = policy_load(str_of(text), POLICY_USE_FILE, a, ret, &d, e);
    if (r != ERR_OK || d.errors > 0)
        tap_note("%s: %s", text, first_diag(&d));
    return r;
}

static const struct {
    const char *text, *error, *rule;
} rows[] = {
    {"version: 1\n", NULL, "an empty policy is enforced"},
    {HOST "}" BINARIES, NULL, "an endpoint without a protocol"},
    {HOST ", protocol: tcp}" BINARIES, NULL, "plain tunnels"},
    {HOST ", protocol: rest, access: read-only}" BINARIES, NULL, "HTTP requests"},
    {HOST ", protocol: websocket, access: read-only}" BINARIES,
     "network_policies.a.endpoints[0]: protocol 'websocket' is not built yet, so it cannot be enforced",
     "WebSocket messages"},
    {HOST ", protocol: mcp, mcp: {allow_all_known_mcp_methods: true}}" BINARIES,
     "network_policies.a.endpoints[0]: protocol 'mcp' is not built yet, so it cannot be enforced", "MCP"},
    {HOST ", protocol: rest, access: read-only}, {host: b.test, port: 443, protocol: graphql, access: "
          "read-only}" BINARIES,
     "network_policies.a.endpoints[1]: protocol 'graphql' is not built yet, so it cannot be enforced",
     "the second endpoint is looked at, too, and named"},
};

static void built(size_t i)
{
    CLEANUP(arena_done) struct arena a = {};
    struct policy *p = NULL;
    struct err e = {};
    enum err_code r = load(rows[i].text, &a, &p, &e);
    if (r == ERR_OK)
        r = policy_unbuilt(p, &e);
    bool ok = rows[i].error ? r == ERR_UNSUPPORTED && strcmp(e.msg, rows[i].error) == 0 : r == ERR_OK;
    if (!tap_ok(ok, "%s", rows[i].rule))
        tap_note("%d %s", r, e.msg);
}

// Settings that only some policies may carry are set in the struct: what is refused does not hang on that.
static void settings(void)
{
    static const char *const texts[] = {
        "network_policies.a.endpoints[0]: credential_signing 'sigv4' is not built yet, so it cannot be "
        "enforced",
        "network_policies.a.endpoints[0]: credential_binding.provider 'gh' is not built yet, so it cannot be "
        "enforced",
        "network_policies.a.endpoints[0]: websocket_credential_rewrite 'true' is not built yet, so it cannot "
        "be enforced",
        "network_middlewares.scan: middlewares are not built yet, so it cannot be enforced",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct endpoint ep = {};
        struct policy_entry entry = {.key = STR("a"), .endpoints = &ep, .endpoints_n = 1};
        struct middleware m = {.key = STR("scan")};
        struct policy p = {.entries = &entry, .entries_n = 1};
        struct err e = {};
        ep.credential_signing = i == 0 ? STR("sigv4") : STR("");
        ep.credential_provider = i == 1 ? STR("gh") : STR("");
        p.middlewares = &m;
        ep.websocket_credential_rewrite = i == 2;
        p.middlewares_n = i == 3;
        if (!tap_ok(policy_unbuilt(&p, &e) == ERR_UNSUPPORTED && strcmp(e.msg, texts[i]) == 0, "%s",
                    texts[i]))
            tap_note("%s", e.msg);
    }
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        built(i);
    settings();
    return tap_done();
}
