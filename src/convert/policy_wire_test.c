#include "convert/policy_wire.h"

#include <fcntl.h>

#include "base/fd.h"
#include "policy/load.h"
#include "policy/shape.h"
#include "tap.h"

// Each good policy goes through bytes and comes back the same, or is refused by name.
static const struct {
    const char *file, *refused; // NULL: translated
} rows[] = {
    {"minimal", NULL},
    {"github", NULL},
    {"npm", NULL},
    {"pypi", NULL},
    {"worked-example", "network_middlewares"},
    {"bedrock", "credential_signing"},
    {"graphql", "graphql"},
    {"mcp", "mcp"},
    {"middleware", "network_middlewares"},
};

static enum err_code there_and_back(const struct policy *p, struct arena *a, struct policy **ret,
                                    struct err *err)
{
    Openshell__Sandbox__V1__SandboxPolicy *m = NULL;
    ProtobufCMessage *back = NULL;
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, MIB);
    if (!p)
        return err_set(err, ERR_INTERNAL, "there is no policy");
    enum err_code r = policy_to_wire(p, a, &m, err);
    if (r != ERR_OK || !m)
        return r;
    r = wire_pack(&m->base, &bytes, err);
    if (r == ERR_OK)
        r = wire_unpack(m->base.descriptor, buf_str(&bytes), a, &back, err);
    if (r == ERR_OK)
        r = policy_from_wire((const Openshell__Sandbox__V1__SandboxPolicy *)(const void *)back, a, ret, err);
    return r;
}

static void test_file(const char *dir, size_t row)
{
    char path[512];
    struct err err = {};
    struct arena a;
    struct diags d = {};
    struct policy *p = NULL, *back = NULL;
    CLEANUP(buf_done) struct buf text = {};
    arena_init(&a, POLICY_ARENA_MAX);
    diags_init(&d, &a);
    (void)snprintf(path, sizeof(path), "%s/%s.yaml", dir, rows[row].file);
    enum err_code r = file_read(path, MIB, &text, &err);
    if (r == ERR_OK)
        r = policy_load(buf_str(&text), POLICY_USE_FILE, &a, &p, &d, &err);
    if (!tap_ok(r == ERR_OK && p, "%s loads", rows[row].file)) {
        tap_note("%s", err.msg);
        return;
    }
    r = there_and_back(p, &a, &back, &err);
    bool ok = rows[row].refused ? r == ERR_UNSUPPORTED && strstr(err.msg, rows[row].refused)
                                : r == ERR_OK && back && shape_same(&shape_policy, p, back);
    if (!tap_ok(ok, "%s %s", rows[row].file,
                rows[row].refused ? "is refused by name" : "comes back the same"))
        tap_note("%s", r == ERR_OK ? "it is another policy" : err.msg);
    arena_done(&a);
}

// Every field that is translated, with a value that is not its default.
static const char
    every[] = "version: 1\n"
              "filesystem_policy: {include_workdir: false, read_only: [/usr, /lib], read_write: [/tmp]}\n"
              "landlock: {compatibility: hard_requirement}\n"
              "process: {run_as_user: sandbox, run_as_group: sandbox}\n"
              "network_policies:\n"
              "  one:\n"
              "    name: first\n"
              "    endpoints:\n"
              "      - host: a.example.com\n"
              "        ports: [443, 8443]\n"
              "        path: /v1/**\n"
              "        protocol: rest\n"
              "        tls: skip\n"
              "        enforcement: enforce\n"
              "        allowed_ips: [10.0.0.0/8]\n"
              "        allow_encoded_slash: true\n"
              "        websocket_credential_rewrite: true\n"
              "        request_body_credential_rewrite: true\n"
              "        allow_uninspected_credentials: true\n"
              "        rules:\n"
              "          - allow: {method: GET, path: /x, query: {q: {any: [a, b]}, r: 'c*'}}\n"
              "        deny_rules:\n"
              "          - {method: POST, path: /y, query: {s: d}}\n"
              "      - {host: b.example.com, port: 443, protocol: rest, access: full}\n"
              "    binaries: [{path: /usr/bin/curl}, {path: /usr/bin/git}]\n";

// Such a policy need not be valid as a whole: only its shape is read.
static void test_every_field(void)
{
    struct arena a;
    struct diags d;
    struct err err = {};
    struct policy *p = NULL, *back = NULL;
    arena_init(&a, POLICY_ARENA_MAX);
    diags_init(&d, &a);
    enum err_code r = policy_parse(str_of(every), &a, &p, &d, &err);
    if (tap_ok(r == ERR_OK, "the policy with every field parses: %s", err.msg))
        tap_ok(there_and_back(p, &a, &back, &err) == ERR_OK && p && back &&
                   shape_same(&shape_policy, p, back),
               "and comes back the same: %s", err.msg);
    arena_done(&a);
}

// What only a peer can say.
static void test_wire_only(void)
{
    struct arena a;
    arena_init(&a, MIB);
    struct err err = {};
    struct policy *p = NULL;
    Openshell__Sandbox__V1__NetworkEndpoint e = OPENSHELL__SANDBOX__V1__NETWORK_ENDPOINT__INIT;
    Openshell__Sandbox__V1__NetworkEndpoint *es[] = {&e};
    Openshell__Sandbox__V1__NetworkPolicyRule rule = OPENSHELL__SANDBOX__V1__NETWORK_POLICY_RULE__INIT;
    Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry
        entry = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__NETWORK_POLICIES_ENTRY__INIT;
    Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry *entries[] = {&entry};
    Openshell__Sandbox__V1__SandboxPolicy m = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    m.network_policies = entries;
    m.n_network_policies = 1;
    rule.endpoints = es;
    rule.n_endpoints = 1;
    e.port = 443;
    tap_ok(policy_from_wire(&m, &a, &p, &err) == ERR_OK && p->entries_n == 1 &&
               p->entries[0].endpoints_n == 0,
           "an entry without a value is an empty one, for the validator");
    entry.value = &rule;
    tap_ok(policy_from_wire(&m, &a, &p, &err) == ERR_OK && p->entries[0].endpoints[0].ports_n == 1 &&
               p->entries[0].endpoints[0].ports[0] == 443,
           "one port in the field of old");
    tap_ok(p->filesystem.include_workdir && !p->has_filesystem, "no section about files: the defaults");
    e.provider_credentialed = true;
    tap_ok(policy_from_wire(&m, &a, &p, &err) == ERR_UNSUPPORTED,
           "marks of a gateway are not taken from a peer");
    e.provider_credentialed = false;
    Openshell__Sandbox__V1__L7Rule empty = OPENSHELL__SANDBOX__V1__L7_RULE__INIT;
    Openshell__Sandbox__V1__L7Rule *rules[] = {&empty};
    e.rules = rules;
    e.n_rules = 1;
    tap_ok(policy_from_wire(&m, &a, &p, &err) == ERR_UNSUPPORTED, "a rule without its allow is refused");
    e.n_rules = 0;
    ProtobufCMessageUnknownField field = {.tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT};
    e.base.unknown_fields = &field;
    e.base.n_unknown_fields = 1;
    tap_ok(policy_from_wire(&m, &a, &p, &err) == ERR_UNSUPPORTED, "a field of a later version is refused: %s",
           err.msg);
    e.base.n_unknown_fields = 0;
    struct arena small;
    arena_init(&small, 64);
    tap_ok(policy_from_wire(&m, &small, &p, &err) == ERR_LIMIT, "no room is ERR_LIMIT");
    arena_done(&small);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        test_file(argv[1], i);
    test_every_field();
    test_wire_only();
    return tap_done();
}
