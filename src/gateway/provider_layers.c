#include "gateway/provider_layers.h"

#include "convert/policy_wire.h"
#include "policy/unbuilt.h"

#define SB(name) Openshell__Sandbox__V1__##name

typedef SB(SandboxPolicy__NetworkPoliciesEntry) rule_entry;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

enum err_code provider_rule_key(const char *name, struct arena *a, char **ret, struct err *reterr)
{
    struct str n = str_of(name), kept = {};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, KIB);
    buf_add(&b, STR("_provider_"));
    size_t head = b.n;
    for (size_t i = 0; i < n.n; i++) {
        char c = lower(n.p[i]);
        buf_addc(&b, (c >= 'a' && c <= 'z') || char_is_digit(c) ? c : '_');
    }
    while (b.n > head && b.p[b.n - 1] == '_')
        b.n--;
    size_t skip = head;
    while (skip < b.n && b.p[skip] == '_')
        skip++;
    memmove(b.p + head, b.p + skip, b.n - skip);
    b.n -= skip - head;
    if (b.n == head)
        buf_add(&b, STR("unnamed"));
    enum err_code r = buf_check(&b, "a rule's key", reterr);
    if (r == ERR_OK && !arena_dup(a, buf_str(&b), &kept))
        r = arena_limit(a, "a rule's key", reterr);
    if (r == ERR_OK)
        *ret = text(kept.p);
    return r;
}

// Whether the sandbox's own program takes an endpoint like this.
static bool is_built(SB(NetworkEndpoint) * endpoint, struct arena *a)
{
    SB(SandboxPolicy) p = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    SB(NetworkPolicyRule) rule = OPENSHELL__SANDBOX__V1__NETWORK_POLICY_RULE__INIT;
    rule_entry e = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__NETWORK_POLICIES_ENTRY__INIT, *es[] = {&e};
    SB(NetworkEndpoint) * endpoints[] = {endpoint};
    struct policy *ignored = NULL;
    struct err why = {};
    rule.endpoints = endpoints;
    rule.n_endpoints = 1;
    e.key = text("p");
    e.value = &rule;
    p.version = 1;
    p.network_policies = es;
    p.n_network_policies = 1;
    return policy_from_wire(&p, a, &ignored, &why) == ERR_OK && policy_unbuilt(ignored, &why) == ERR_OK;
}

static bool has_rule(const SB(SandboxPolicy) * p, const char *key)
{
    for (size_t i = 0; i < p->n_network_policies; i++)
        if (strcmp(p->network_policies[i]->key, key) == 0)
            return true;
    return false;
}

// The policy's own list has room for one more.
static enum err_code add_layer(const struct services *s, const provider *p, const provider_profile *profile,
                               struct arena *a, SB(SandboxPolicy) * policy, struct err *reterr)
{
    rule_entry *e = arena_new(a, rule_entry);
    SB(NetworkPolicyRule) *rule = arena_new(a, SB(NetworkPolicyRule));
    SB(NetworkEndpoint) **list = arena_newn(a, SB(NetworkEndpoint) *, profile->n_endpoints);
    char *base = NULL;
    if (!e || !rule || !list)
        return arena_limit(a, "a provider's rule", reterr);
    enum err_code r = provider_rule_key(p->metadata->name, a, &base, reterr);
    if (r != ERR_OK)
        return r;
    openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(e);
    openshell__sandbox__v1__network_policy_rule__init(rule);
    struct str key = str_of(base);
    for (unsigned n = 2; has_rule(policy, key.p); n++)
        if (!arena_fmt(a, &key, "%s_%u", base, n))
            return arena_limit(a, "a rule's key", reterr);
    for (size_t i = 0; i < profile->n_endpoints; i++) {
        if (is_built(profile->endpoints[i], a))
            list[rule->n_endpoints++] = profile->endpoints[i];
        else
            log_info(s->log, "provider.endpoint-left-out", LOG_STR("provider", str_of(p->metadata->name)),
                     LOG_STR("host", str_of(profile->endpoints[i]->host)),
                     LOG_STR("protocol", str_of(profile->endpoints[i]->protocol)));
    }
    if (rule->n_endpoints == 0)
        return ERR_OK;
    rule->name = e->key = text(key.p);
    rule->endpoints = list;
    rule->binaries = profile->binaries;
    rule->n_binaries = profile->n_binaries;
    e->value = rule;
    policy->network_policies[policy->n_network_policies++] = e;
    return ERR_OK;
}

enum err_code provider_layers(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                              struct arena *a, Openshell__Sandbox__V1__SandboxPolicy **policy,
                              struct err *reterr)
{
    size_t n = sandbox->spec ? sandbox->spec->n_providers : 0;
    struct str w = str_of(sandbox->metadata->workspace);
    if (n == 0 || !*policy || !s->profiles)
        return ERR_OK;
    SB(SandboxPolicy) *out = arena_new(a, SB(SandboxPolicy));
    rule_entry **list = arena_newn(a, rule_entry *, (*policy)->n_network_policies + n);
    if (!out || !list)
        return arena_limit(a, "a policy", reterr);
    *out = **policy;
    for (size_t i = 0; i < out->n_network_policies; i++)
        list[i] = out->network_policies[i];
    out->network_policies = list;
    for (size_t i = 0; i < n; i++) {
        provider *p = NULL;
        const provider_profile *profile = NULL;
        enum err_code r = provider_by_name(s->store, w, str_of(sandbox->spec->providers[i]), a, &p, reterr);
        if (r == ERR_OK)
            r = profile_find(s->profiles, s->store, w, str_of(p->type), a, &profile, reterr);
        if (r == ERR_OK)
            r = add_layer(s, p, profile, a, out, reterr);
        if (r != ERR_OK &&
            r != ERR_NOT_FOUND) // neither a provider that went nor one without a profile adds anything
            return r;
    }
    *policy = out;
    return ERR_OK;
}
