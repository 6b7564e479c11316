#include "gateway/config.h"

#include "convert/policy_wire.h"
#include "gateway/harness_test.h"
#include "policy/load.h"

static struct harness h;

#define WEB                                                                                                  \
    "version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr]}\nnetwork_policies:\n"         \
    "  web: {endpoints: [{host: api.example.com, port: 443, protocol: rest, access: read-only, "             \
    "enforcement: enforce}], binaries: [{path: /usr/bin/curl}]}\n"
#define MORE WEB "  more: {endpoints: [{host: b.example.com, port: 443}], binaries: [{path: /usr/bin/git}]}\n"

static SB1(SandboxPolicy) * policy(const char *yaml)
{
    struct policy *p = NULL;
    struct diags d;
    SB1(SandboxPolicy) *m = NULL;
    diags_init(&d, &h.arena);
    harness_must(policy_parse(str_of(yaml), &h.arena, &p, &d, &h.err), &h.err);
    harness_must(policy_to_wire(p, &h.arena, &m, &h.err), &h.err);
    return m;
}

static V1(UpdateConfigRequest) request(const char *name)
{
    V1(UpdateConfigRequest) m = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    m.name = (char *)(uintptr_t)name;
    return m;
}

static const V1(UpdateConfigResponse) * update(const V1(UpdateConfigRequest) * m)
{
    return (const V1(UpdateConfigResponse) *)(const void *)harness_call(&h, RPC_OPEN_SHELL_UPDATE_CONFIG,
                                                                        &m->base);
}

static const V1(UpdateConfigResponse) * replace(const char *name, const char *yaml)
{
    V1(UpdateConfigRequest) m = request(name);
    m.policy = policy(yaml);
    return update(&m);
}

static bool failed(const V1(UpdateConfigResponse) * r, enum rpc_code code, const char *words)
{
    bool ok = !r && harness_code(&h) == code && strstr(h.err.msg, words);
    if (!ok)
        tap_note("%s: %s; want %s: %s", rpc_code_name(harness_code(&h)), h.err.msg, rpc_code_name(code),
                 words);
    return ok;
}

static const V1(SandboxPolicyRevision) * status(const char *name, uint32_t version, uint32_t *active)
{
    V1(GetSandboxPolicyStatusRequest) m = OPENSHELL__V1__GET_SANDBOX_POLICY_STATUS_REQUEST__INIT;
    m.name = (char *)(uintptr_t)name;
    m.version = version;
    m.global = name[0] == '\0';
    const V1(GetSandboxPolicyStatusResponse) *out = (const void *)
        harness_call(&h, RPC_OPEN_SHELL_GET_SANDBOX_POLICY_STATUS, &m.base);
    if (active)
        *active = out ? out->active_version : 999;
    return out ? out->revision : NULL;
}

static bool is(const char *name, uint32_t version, const char *word)
{
    const V1(SandboxPolicyRevision) *r = status(name, version, NULL);
    bool ok = r && strcmp(revision_status_name(r->status), word) == 0;
    if (!ok)
        tap_note("revision %u of '%s' is %s, not %s: %s", version, name,
                 r ? revision_status_name(r->status) : "not there", word, h.err.msg);
    return ok;
}

static const SB1(GetSandboxConfigResponse) * config(const char *id)
{
    SB1(GetSandboxConfigRequest) m = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t)id;
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_GET_SANDBOX_CONFIG, &m.base);
}

static void test_config(void)
{
    const SB1(GetSandboxConfigResponse) *c = config("s-1");
    tap_ok(c && c->version == 1 && strlen(c->policy_hash) == 64 && c->policy && c->config_revision != 0 &&
               c->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX &&
               strcmp(c->policy_validation_failure_mode, "fail_closed") == 0,
           "the policy of the creation is revision 1");
    tap_ok(c && c->n_settings == 4 && c->settings[0]->value->scope == 0 &&
               c->settings[0]->value->value->value_case == 0,
           "every setting is there, also where none has a value");
    tap_ok(c && c->launch && strcmp(c->launch->name, "one") == 0 && c->launch->n_command == 2,
           "and what to launch");
    tap_ok(is("one", 0, "loaded"), "it is stored as loaded");
    c = config("s-2");
    tap_ok(c && c->version == 0 && !c->policy && c->policy_hash[0] == '\0', "without a policy: version 0");
    tap_ok(!config("s-9") && harness_code(&h) == RPC_NOT_FOUND, "a sandbox that is not there");
    tap_ok(!status("two", 0, NULL) && strcmp(h.err.msg, "no policy revision found for this sandbox") == 0,
           "no revision: as the reference says it");
    tap_ok(!status("", 0, NULL) && strcmp(h.err.msg, "no global policy revision found") == 0,
           "no global revision: as the reference says it");
}

static void test_replace(void)
{
    uint32_t active = 0;
    unsigned before = h.pushes;
    const V1(UpdateConfigResponse) *r = replace("one", MORE);
    tap_ok(r && r->version == 2 && h.pushes == before + 1 && h.in_force == 2,
           "a policy is pushed before the call returns");
    tap_ok(is("one", 1, "superseded") && is("one", 2, "loaded"),
           "it is loaded, and the one before superseded");
    const V1(SandboxPolicyRevision) *v = status("one", 2, &active);
    tap_ok(r && v && active == 2 && v->loaded_at_ms > 0 && v->policy->n_network_policies == 2 &&
               strcmp(v->policy_hash, r->policy_hash) == 0,
           "the sandbox's record says so, too");
    r = replace("one", MORE);
    tap_ok(r && r->version == 2, "the same again is no new revision");
    tap_ok(failed(replace("one", "version: 1\nnetwork_policies: {}\n"), RPC_INVALID_ARGUMENT,
                  "cannot be removed on a live sandbox"),
           "a section that the sandbox was built from stays");
    tap_ok(failed(replace("one", "version: 1\nfilesystem_policy: {include_workdir: true}\n"),
                  RPC_INVALID_ARGUMENT, "cannot be removed on a live sandbox"),
           "and so does each of its paths");
    tap_ok(failed(replace("one", WEB "process: {run_as_user: sandbox}\n"), RPC_INVALID_ARGUMENT,
                  "cannot be changed on a live sandbox"),
           "and the user");
    tap_ok(
        failed(replace("one",
                       "version: 1\nnetwork_policies: {_provider_x: {endpoints: [{host: a.test, port: 1}]}}"),
               RPC_INVALID_ARGUMENT, "_provider_"),
        "reserved keys are refused");
    tap_ok(failed(replace("one",
                          "version: 1\nfilesystem_policy: {read_only: [/usr/../etc, x], read_write: [/]}"),
                  RPC_INVALID_ARGUMENT, "policy contains unsafe content: "),
           "what is unsafe is refused");
    tap_ok(strstr(h.err.msg, "traversal") && strstr(h.err.msg, "; ") && strstr(h.err.msg, "overly broad"),
           "and all of it is named");
    tap_ok(failed(replace("one", WEB "  b: {endpoints: [{host: '*.example.com', port: 443, tls: skip}]}"),
                  RPC_FAILED_PRECONDITION, "network endpoint ambiguity validation failed:"),
           "ambiguity is another failure");
    tap_ok(is("one", 0, "loaded"), "after all that revision 2 is in force");
    tap_ok(failed(replace("nine", WEB), RPC_NOT_FOUND, "sandbox not found"), "no such sandbox");
    r = replace("two", WEB);
    tap_ok(r && r->version == 1, "a sandbox without a policy gets its first");
    tap_ok(failed(replace("two", "version: 1\n"), RPC_INVALID_ARGUMENT, "live sandbox"),
           "which is what its static sections are from then on");
}

static void test_refusals(void)
{
    uint32_t active = 0;
    (void)snprintf(h.refusal, sizeof(h.refusal), "mcp is not built");
    const V1(UpdateConfigResponse) *r = replace("one", WEB);
    const V1(SandboxPolicyRevision) *v = status("one", 0, &active);
    tap_ok(r && r->version == 3 && v && v->version == 3 && strcmp(v->load_error, "mcp is not built") == 0 &&
               is("one", 3, "failed") && active == 2,
           "what the supervisor refuses is failed, with its words, and the one before stays active");
    h.refusal[0] = '\0';
    h.connected = false;
    r = replace("one", MORE);
    tap_ok(r && r->version == 4 && is("one", 4, "pending"), "without a supervisor it is pending");
    V1(ReportPolicyStatusRequest) m = OPENSHELL__V1__REPORT_POLICY_STATUS_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t) "s-1";
    m.version = 4;
    m.status = OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED;
    tap_ok(!harness_call(&h, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, &m.base), "a user reports nothing");
    struct err err = {};
    V1(Sandbox) *sandbox = NULL;
    harness_must(record_by_id(h.services.store, STR("s-1"), &h.arena, &sandbox, &err), &err);
    tap_ok(config_report(&h.services, sandbox, 4, m.status, STR(""), &h.arena, &err) == ERR_OK &&
               is("one", 4, "loaded") && status("one", 4, &active) && active == 4,
           "a report makes it loaded");
    tap_ok(config_report(&h.services, sandbox, 9, m.status, STR(""), &h.arena, &err) == ERR_NOT_FOUND &&
               strcmp(err.msg, "policy revision not found") == 0,
           "of a revision that there is");
    r = replace("one", WEB);
    tap_ok(is("one", 4, "superseded") && is("one", 5, "pending"),
           "by being stored, one supersedes those before it");
    h.connected = true;
    V1(SupervisorHello) hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    hello.policy_version = 4;
    config_on_connected(&h.services, STR("s-1"), &hello);
    tap_ok(r && r->version == 5 && h.in_force == 5 && is("one", 5, "loaded"),
           "a supervisor that comes back with an older one gets the newest");
    unsigned before = h.pushes;
    hello.policy_version = 5;
    hello.config_revision = h.config_revision;
    config_on_connected(&h.services, STR("s-1"), &hello);
    tap_ok(h.pushes == before, "and one that has it gets nothing");
}

static void test_conflict(void)
{
    V1(UpdateConfigRequest) m = request("one");
    m.policy = policy(MORE);
    m.expected_resource_version = 1;
    tap_ok(failed(update(&m), RPC_ABORTED,
                  "update config failed due to concurrent modification (current resource_version: "),
           "another version than the caller has seen");
    m.policy = NULL;
    tap_ok(failed(update(&m), RPC_INVALID_ARGUMENT, "exactly one of"), "nothing is asked for");
    m.policy = policy(MORE);
    m.setting_key = (char *)(uintptr_t) "ocsf_json_enabled";
    tap_ok(failed(update(&m), RPC_INVALID_ARGUMENT, "exactly one of"), "two things are asked for");
}

static void test_merge(void)
{
    V1(AddAllowRules) allow = OPENSHELL__V1__ADD_ALLOW_RULES__INIT;
    SB1(L7Rule) rule = OPENSHELL__SANDBOX__V1__L7_RULE__INIT, *rules[] = {&rule};
    SB1(L7Allow) what = OPENSHELL__SANDBOX__V1__L7_ALLOW__INIT;
    V1(PolicyMergeOperation) op = OPENSHELL__V1__POLICY_MERGE_OPERATION__INIT, *ops[] = {&op};
    what.method = (char *)(uintptr_t) "POST";
    what.path = (char *)(uintptr_t) "/issues";
    rule.allow = &what;
    allow.host = (char *)(uintptr_t) "api.example.com";
    allow.port = 443;
    allow.rules = rules;
    allow.n_rules = 1;
    op.operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_ALLOW_RULES;
    op.add_allow_rules = &allow;
    V1(UpdateConfigRequest) m = request("one");
    m.merge_operations = ops;
    m.n_merge_operations = 1;
    const V1(UpdateConfigResponse) *r = update(&m);
    tap_ok(r && r->version == 6 && h.in_force == 6, "an operation makes a revision");
    r = update(&m);
    tap_ok(r && r->version == 6, "one without effect makes none");
    allow.host = (char *)(uintptr_t) "no.example.com";
    tap_ok(failed(update(&m), RPC_FAILED_PRECONDITION, "endpoint not found"),
           "one that does not fit is refused by the policy's state");
    allow.port = 0;
    tap_ok(failed(update(&m), RPC_INVALID_ARGUMENT, "operation 1"), "one that is none is invalid");
    m.name = (char *)(uintptr_t) "bare";
    V1(RemoveNetworkRule) remove = OPENSHELL__V1__REMOVE_NETWORK_RULE__INIT;
    op.operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE;
    op.remove_rule = &remove;
    remove.rule_name = (char *)(uintptr_t) "x";
    tap_ok(failed(update(&m), RPC_FAILED_PRECONDITION, "rule 'x' not found"),
           "from a sandbox without a policy");
}

static void test_annotations(void)
{
    typedef V1(UpdateConfigRequest__AnnotationsEntry) entry;
    entry e = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__ANNOTATIONS_ENTRY__INIT, *list[] = {&e};
    e.key = (char *)(uintptr_t) "openshell.dev/source";
    e.value = (char *)(uintptr_t) "review 12";
    V1(UpdateConfigRequest) m = request("one");
    m.policy = policy(MORE);
    m.annotations = list;
    m.n_annotations = 1;
    const V1(UpdateConfigResponse) *r = update(&m);
    const V1(SandboxPolicyRevision) *v = status("one", 0, NULL);
    tap_ok(r && r->version == 7 && r->n_annotations == 1 && v && v->n_provenance == 1 &&
               strcmp(v->provenance[0]->value, "review 12") == 0,
           "annotations go to the revision and to the record");
    r = update(&m);
    tap_ok(r && r->version == 7, "the same policy with the same provenance is the same");
    e.value = (char *)(uintptr_t) "review 13";
    r = update(&m);
    tap_ok(r && r->version == 8, "with another it is a new revision");
    entry more = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__ANNOTATIONS_ENTRY__INIT, *both[] = {&e, &more};
    more.key = (char *)(uintptr_t) "by";
    more.value = (char *)(uintptr_t) "me";
    m.annotations = both;
    m.n_annotations = 2;
    r = update(&m);
    tap_ok(r && r->version == 9 && r->n_annotations == 2, "and with one more");
    m.n_annotations = 1;
    e.key = (char *)(uintptr_t) "no key";
    tap_ok(failed(update(&m), RPC_INVALID_ARGUMENT, "annotation"), "a key that is none");
}

static const V1(UpdateConfigResponse) * set(const char *name, const char *key, int value)
{
    SB1(SettingValue) v = OPENSHELL__SANDBOX__V1__SETTING_VALUE__INIT;
    V1(UpdateConfigRequest) m = request(name);
    m.setting_key = (char *)(uintptr_t)key;
    m.global = name[0] == '\0';
    m.delete_setting = value < 0;
    if (value >= 0)
        m.setting_value = &v;
    v.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE;
    v.bool_value = value > 0;
    return update(&m);
}

static void test_settings(void)
{
    unsigned before = h.pushes;
    const V1(SandboxPolicyRevision) *v = status("one", 0, NULL);
    int64_t loaded_ms = v ? v->loaded_at_ms : 0;
    (void)usleep(2000);
    const V1(UpdateConfigResponse) *r = set("one", "ocsf_json_enabled", 1);
    tap_ok(r && r->settings_revision == 1 && h.pushes == before + 1, "a setting is pushed, too");
    v = status("one", 0, NULL);
    tap_ok(v && v->loaded_at_ms == loaded_ms && is("one", 0, "loaded"), "which is nothing new to the policy");
    (void)snprintf(h.refusal, sizeof(h.refusal), "no");
    r = set("one", "agent_policy_proposals_enabled", 1);
    tap_ok(r && is("one", 0, "loaded"), "not even where it is refused");
    h.refusal[0] = '\0';
    (void)set("one", "agent_policy_proposals_enabled", -1);
    r = set("one", "ocsf_json_enabled", 1);
    tap_ok(r && r->settings_revision == 3, "the same value is no change");
    tap_ok(failed(set("one", "colour", 1), RPC_INVALID_ARGUMENT,
                  "unknown setting key 'colour'. Allowed keys: "),
           "an unknown key");
    tap_ok(failed(set("", "policy", 1), RPC_INVALID_ARGUMENT, "reserved"), "the reserved key");
    tap_ok(failed(set("one", "proposal_approval_mode", 1), RPC_INVALID_ARGUMENT,
                  "setting 'proposal_approval_mode' expects string value"),
           "a value of another type");
    r = set("", "ocsf_json_enabled", 0);
    const SB1(GetSandboxConfigResponse) *c = config("s-1");
    tap_ok(r && r->settings_revision == 1 && c &&
               c->settings[1]->value->scope == OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_GLOBAL &&
               !c->settings[1]->value->value->bool_value,
           "a global value wins");
    tap_ok(failed(set("one", "ocsf_json_enabled", -1), RPC_FAILED_PRECONDITION, "is managed globally"),
           "and the sandbox's cannot be touched meanwhile");
    r = set("", "ocsf_json_enabled", -1);
    tap_ok(r && r->deleted, "until it is deleted");
    r = set("one", "ocsf_json_enabled", -1);
    tap_ok(r && r->deleted && r->settings_revision == 4, "then the sandbox's can be, too");
    r = set("one", "ocsf_json_enabled", -1);
    tap_ok(r && !r->deleted && r->settings_revision == 4, "once");
    uint64_t revision = config("s-1")->config_revision;
    (void)set("one", "ocsf_json_enabled", 0);
    tap_ok(config("s-1")->config_revision != revision, "a value changes the revision of the configuration");
}

static void test_global(void)
{
    V1(UpdateConfigRequest) m = request("");
    m.global = true;
    m.policy = policy(WEB);
    const V1(UpdateConfigResponse) *r = update(&m);
    tap_ok(r && r->version == 1 && r->settings_revision == 3, "a global policy");
    r = update(&m);
    tap_ok(r && r->version == 1 && r->settings_revision == 3, "the same again is none");
    const SB1(GetSandboxConfigResponse) *c = config("s-1");
    tap_ok(c && c->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL &&
               c->global_policy_version == 1 && c->policy->n_network_policies == 1 && c->version == 9,
           "it is every sandbox's, beside its own version");
    c = config("s-3");
    tap_ok(c && c->version == 1 && c->policy, "also one's that has none of its own");
    tap_ok(failed(replace("one", MORE), RPC_FAILED_PRECONDITION, "managed globally"),
           "and not to be changed in one");
    tap_ok(is("", 1, "loaded"), "its status");
    r = set("", "policy", -1);
    tap_ok(r && r->deleted && is("", 1, "superseded"), "it is deleted as a setting");
    c = config("s-1");
    tap_ok(c && c->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX &&
               c->version == 9,
           "then the sandbox's own is back");
    r = set("", "policy", -1);
    tap_ok(r && !r->deleted, "once");
}

// ---- supervisors

static void test_supervisor(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct rpc_meta meta = {};
    struct rpc_client *user = h.client;
    h.client = harness_supervisor(&h, "s-2", &meta, &a);
    const V1(UpdateConfigResponse) *r = replace("two", MORE);
    tap_ok(r && r->version == 2, "a supervisor may give its own sandbox a policy");
    tap_ok(failed(replace("one", MORE), RPC_PERMISSION_DENIED, "sandbox not found or not owned by caller"),
           "not another's");
    tap_ok(failed(replace("nine", MORE), RPC_PERMISSION_DENIED, "sandbox not found or not owned by caller"),
           "nor learn which others there are");
    tap_ok(failed(set("two", "ocsf_json_enabled", 1), RPC_PERMISSION_DENIED, "only give its own policy") &&
               failed(set("", "ocsf_json_enabled", 1), RPC_PERMISSION_DENIED, "only give its own policy"),
           "nor change a setting");
    tap_ok(config("s-2") && !config("s-1") && harness_code(&h) == RPC_PERMISSION_DENIED,
           "it sees its own configuration only");
    V1(ReportPolicyStatusRequest) m = OPENSHELL__V1__REPORT_POLICY_STATUS_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t) "s-2";
    m.version = 2;
    tap_ok(!harness_call(&h, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, &m.base) &&
               harness_code(&h) == RPC_INVALID_ARGUMENT,
           "a report has a status");
    m.status = OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED;
    m.load_error = (char *)(uintptr_t) "no room";
    tap_ok(harness_call(&h, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, &m.base) != NULL,
           "it reports what it made of it");
    m.sandbox_id = (char *)(uintptr_t) "s-1";
    tap_ok(!harness_call(&h, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, &m.base) &&
               harness_code(&h) == RPC_PERMISSION_DENIED,
           "of its own");
    rpc_client_free(h.client);
    h.client = user;
    tap_ok(is("two", 2, "failed") && strcmp(status("two", 2, NULL)->load_error, "no room") == 0,
           "which is stored with its words");
}

// ---- at once

enum { WRITERS = 6, ROUNDS = 12 };

static void *write_many(void *arg)
{
    struct err err = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * MIB);
    const struct rpc_wait wait = {deadline_in_ms(60'000), -1};
    const struct rpc_config config = RPC_CONFIG_CLIENT;
    struct rpc_client *c = NULL;
    harness_must(rpc_dial(str_of(h.socket), &config, &wait, &c, &err), &err);
    uint32_t *versions = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        V1(UpdateConfigRequest) m = request("busy");
        struct str yaml = {};
        struct policy *p = NULL;
        struct diags d;
        diags_init(&d, &a);
        (void)arena_fmt(&a, &yaml,
                        "version: 1\nnetwork_policies: {w%p: {endpoints: [{host: h%u.test, port: 1}]}}", arg,
                        i);
        harness_must(policy_parse(yaml, &a, &p, &d, &err), &err);
        harness_must(policy_to_wire(p, &a, &m.policy, &err), &err);
        ProtobufCMessage *out = NULL;
        if (rpc_unary(c, RPC_OPEN_SHELL_UPDATE_CONFIG, &m.base, &wait, &a, &out, &err) == ERR_OK)
            versions[i] = ((const V1(UpdateConfigResponse) *)(const void *)out)->version;
        else if (rpc_client_status(c)->code != RPC_ABORTED)
            harness_must(err.code, &err);
    }
    rpc_client_free(c);
    return NULL;
}

static void test_at_once(void)
{
    static uint32_t versions[WRITERS][ROUNDS];
    pthread_t threads[WRITERS];
    h.overlapped = false; // those for all sandboxes may
    for (size_t i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_many, versions[i]) != 0)
            abort();
    for (size_t i = 0; i < WRITERS; i++)
        (void)pthread_join(threads[i], NULL);
    tap_ok(!h.overlapped, "to one sandbox one push is made at a time");
    bool seen[WRITERS * ROUNDS + 1] = {}, twice = false;
    uint32_t highest = 0, got = 0;
    for (size_t i = 0; i < WRITERS * ROUNDS; i++) {
        uint32_t v = versions[i / ROUNDS][i % ROUNDS];
        if (v == 0)
            continue; // ABORTED
        got++;
        twice = twice || v > WRITERS * ROUNDS || seen[v];
        seen[v < ARRAY_LEN(seen) ? v : 0] = true;
        highest = v > highest ? v : highest;
    }
    tap_ok(!twice && got == highest && got >= ROUNDS, "many at once: each number is given once (%u of %d)",
           got, WRITERS * ROUNDS);
    struct revision *v = NULL;
    size_t n = 0, loaded = 0, other = 0;
    harness_must(revision_list(h.services.store, (struct revision_scope){STR("default"), STR("s-4")}, 1000, 0,
                               &h.arena, &v, &n, &h.err),
                 &h.err);
    for (size_t i = 0; i < n; i++) {
        loaded += v[i].status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED;
        other += v[i].status != OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_SUPERSEDED;
    }
    tap_ok(n == highest && loaded == 1 && other == 1 && v[0].number == highest && h.in_force == highest &&
               v[0].status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED,
           "and the last one is in force, alone");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    harness_sandbox(&h, "s-1", "one", policy(WEB));
    harness_sandbox(&h, "s-2", "two", NULL);
    harness_sandbox(&h, "s-3", "bare", NULL);
    harness_sandbox(&h, "s-4", "busy", NULL);
    test_config();
    test_replace();
    test_refusals();
    test_conflict();
    test_merge();
    test_annotations();
    test_settings();
    test_global();
    test_supervisor();
    test_at_once();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
