#include "gateway/provider_layers.h"

#include "gateway/harness_test.h"

static struct harness h;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static const struct {
    const char *name, *key;
} keys[] = {
    {"github", "_provider_github"}, {"My-Key.2", "_provider_my_key_2"},
    {"--a--", "_provider_a"},       {"___", "_provider_unnamed"},
    {"a", "_provider_a"},
};

static void provide(const char *name, const char *type, const char *key)
{
    V1(CreateProviderRequest) q = OPENSHELL__V1__CREATE_PROVIDER_REQUEST__INIT;
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    Openshell__Datamodel__V1__ObjectMeta m = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__Datamodel__V1__Provider__CredentialsEntry
        c = OPENSHELL__DATAMODEL__V1__PROVIDER__CREDENTIALS_ENTRY__INIT,
        *cs[] = {&c};
    m.name = text(name);
    p.metadata = &m;
    p.type = text(type);
    c.key = text(key);
    c.value = text("x");
    p.credentials = cs;
    p.n_credentials = 1;
    q.provider = &p;
    harness_must(harness_call(&h, RPC_OPEN_SHELL_CREATE_PROVIDER, &q.base) ? ERR_OK : ERR_INTERNAL, &h.err);
}

static void test_layers(void)
{
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    V1(Sandbox) sandbox = OPENSHELL__V1__SANDBOX__INIT;
    V1(SandboxSpec) spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    SB1(SandboxPolicy) empty = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT, *p = &empty;
    SB1(NetworkPolicyRule) mine = OPENSHELL__SANDBOX__V1__NETWORK_POLICY_RULE__INIT;
    SB1(SandboxPolicy__NetworkPoliciesEntry)
    e = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__NETWORK_POLICIES_ENTRY__INIT, *es[] = {&e};
    char *names[] = {text("hub"), text("hub-"), text("free"), text("gone")};
    e.key = text("mine");
    e.value = &mine;
    empty.network_policies = es;
    empty.n_network_policies = 1;
    provide("hub", "github", "GITHUB_TOKEN");
    provide("hub-", "deepinfra", "DEEPINFRA_API_KEY");
    provide("free", "generic", "A");
    meta.workspace = text("default");
    sandbox.metadata = &meta;
    sandbox.spec = &spec;
    spec.providers = names;
    spec.n_providers = ARRAY_LEN(names);
    enum err_code r = provider_layers(&h.services, &sandbox, &h.arena, &p, &h.err);
    tap_ok(r == ERR_OK && p != &empty && empty.n_network_policies == 1 && p->n_network_policies == 3 &&
               strcmp(p->network_policies[0]->key, "mine") == 0,
           "a copy gets a rule for each provider that has endpoints; what it was made from stays");
    if (r != ERR_OK || p->n_network_policies != 3)
        return;
    tap_ok(strcmp(p->network_policies[1]->key, "_provider_hub") == 0 &&
               strcmp(p->network_policies[2]->key, "_provider_hub_2") == 0,
           "two names that become one are told apart");
    const SB1(NetworkPolicyRule) *hub = p->network_policies[1]->value;
    bool graphql = false;
    for (size_t i = 0; i < hub->n_endpoints; i++)
        graphql = graphql || strcmp(hub->endpoints[i]->protocol, "graphql") == 0;
    tap_ok(hub->n_endpoints == 2 && !graphql && hub->n_binaries == 4,
           "what cannot be enforced is left out, so it stays shut");
    p = NULL;
    tap_ok(provider_layers(&h.services, &sandbox, &h.arena, &p, &h.err) == ERR_OK && !p,
           "without a policy there is nothing to add to");
}

static const SB1(GetSandboxConfigResponse) * in_force(const V1(Sandbox) * sandbox)
{
    SB1(GetSandboxConfigResponse) *m = NULL;
    harness_must(config_of(&h.services, sandbox, &h.arena, &m, &h.err), &h.err);
    return m;
}

static bool has_rule(const SB1(GetSandboxConfigResponse) * m, const char *key)
{
    for (size_t i = 0; i < m->policy->n_network_policies; i++)
        if (strcmp(m->policy->network_policies[i]->key, key) == 0)
            return true;
    return false;
}

static void test_in_force(void)
{
    SB1(SandboxPolicy) policy = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    V1(UpdateConfigRequest) q = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    SB1(SettingValue) on = OPENSHELL__SANDBOX__V1__SETTING_VALUE__INIT;
    V1(Sandbox) *sandbox = NULL;
    char *names[] = {text("hub")};
    policy.version = 1;
    harness_sandbox(&h, "sb-1", "one", &policy);
    harness_must(record_by_id(h.services.store, STR("sb-1"), &h.arena, &sandbox, &h.err), &h.err);
    sandbox->spec->providers = names;
    sandbox->spec->n_providers = 1;
    const SB1(GetSandboxConfigResponse) *before = in_force(sandbox), *after;
    tap_ok(!has_rule(before, "_provider_hub"), "nothing is added unless the setting says so");
    q.global = true;
    q.setting_key = text("providers_v2_enabled");
    on.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE;
    on.bool_value = true;
    q.setting_value = &on;
    if (!tap_ok(harness_call(&h, RPC_OPEN_SHELL_UPDATE_CONFIG, &q.base) != NULL, "the setting is set"))
        tap_note("%s", h.err.msg);
    after = in_force(sandbox);
    tap_ok(has_rule(after, "_provider_hub") && strcmp(before->policy_hash, after->policy_hash) != 0 &&
               before->config_revision != after->config_revision,
           "then a sandbox runs under its policy and its providers', which is another one");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char *key = NULL;
        tap_ok(provider_rule_key(keys[i].name, &h.arena, &key, &h.err) == ERR_OK &&
                   strcmp(key, keys[i].key) == 0,
               "'%s' is %s", keys[i].name, keys[i].key);
    }
    test_layers();
    test_in_force();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
