// Policies as they come in requests: checked whole before anything is stored.
#include "convert/policy_wire.h"
#include "gateway/config.h"
#include "gateway/update.h"
#include "policy/unbuilt.h"
#include "policy/validate.h"

#define SB(name) Openshell__Sandbox__V1__##name

enum { POLICY_WIRE_MAX = 256 * KIB, JOINED_MAX = KIB }; // reference: gateway 3.1; an error has 400 bytes

// One kind of errors in a row: those of the ambiguity check, or all others.
static void join(const struct diags *d, bool ambiguity, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *x = &d->v[i];
        if (x->level != DIAG_ERROR || str_starts(x->msg, STR("network policies '")) != ambiguity)
            continue;
        if (out->n > 0)
            buf_add(out, STR("; "));
        if (x->path.n > 0 && !ambiguity) {
            buf_add(out, x->path);
            buf_add(out, STR(": "));
        }
        buf_add(out, x->msg);
    }
}

enum err_code config_check_parsed(const struct policy *p, struct arena *a, struct err *reterr)
{
    struct diags d;
    diags_init(&d, a);
    policy_validate(p, POLICY_USE_GATEWAY, &d);
    if (d.no_room)
        return arena_limit(a, "what is wrong with the policy", reterr);
    if (d.errors == 0)
        return policy_unbuilt(p, reterr);
    CLEANUP(buf_done) struct buf unsafe;
    CLEANUP(buf_done) struct buf ambiguous;
    buf_init(&unsafe, MIB);
    buf_init(&ambiguous, MIB);
    join(&d, false, &unsafe);
    join(&d, true, &ambiguous);
    if (unsafe.n > 0 || ambiguous.n == 0)
        return err_set(reterr, ERR_INVALID, "policy contains unsafe content: %.*s", (int)unsafe.n,
                       buf_str(&unsafe).p);
    return err_set(reterr, ERR_PRECONDITION, "network endpoint ambiguity validation failed: %.*s",
                   (int)ambiguous.n, buf_str(&ambiguous).p);
}

enum err_code config_check_policy(const SB(SandboxPolicy) * m, struct arena *a, struct policy **ret,
                                  struct err *reterr)
{
    struct policy *p = NULL;
    if (protobuf_c_message_get_packed_size(&m->base) > POLICY_WIRE_MAX)
        return err_set(reterr, ERR_INVALID, "the policy has more than 256 KiB");
    enum err_code c = policy_from_wire(m, a, &p, reterr);
    if (c == ERR_OK)
        c = config_check_parsed(p, a, reterr);
    if (c == ERR_OK)
        *ret = p;
    return c;
}

// ---- merge operations

// A policy of one entry, through the same translation as whole policies.
static enum err_code entry_of(SB(NetworkPolicyRule) * rule, const char *key, struct arena *a,
                              const struct policy_entry **ret, struct err *reterr)
{
    SB(SandboxPolicy) m = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    SB(SandboxPolicy__NetworkPoliciesEntry)
    e = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__NETWORK_POLICIES_ENTRY__INIT, *list[] = {&e};
    struct policy *p = NULL;
    e.key = (char *)(uintptr_t)key;
    e.value = rule;
    m.network_policies = list;
    m.n_network_policies = 1;
    enum err_code c = policy_from_wire(&m, a, &p, reterr);
    if (c == ERR_OK)
        *ret = &p->entries[0];
    return c;
}

// The rules of an endpoint that has nothing else.
static enum err_code rules_of(SB(L7Rule) * *allow, size_t n_allow, SB(L7DenyRule) * *deny, size_t n_deny,
                              struct arena *a, struct merge_op *op, struct err *reterr)
{
    SB(NetworkPolicyRule) rule = OPENSHELL__SANDBOX__V1__NETWORK_POLICY_RULE__INIT;
    SB(NetworkEndpoint) e = OPENSHELL__SANDBOX__V1__NETWORK_ENDPOINT__INIT, *list[] = {&e};
    const struct policy_entry *entry = NULL;
    e.rules = allow;
    e.n_rules = n_allow;
    e.deny_rules = deny;
    e.n_deny_rules = n_deny;
    rule.endpoints = list;
    rule.n_endpoints = 1;
    enum err_code c = entry_of(&rule, "rules", a, &entry, reterr);
    if (c != ERR_OK)
        return c;
    op->rules = n_allow > 0 ? entry->endpoints[0].rules : entry->endpoints[0].deny_rules;
    op->rules_n = n_allow > 0 ? entry->endpoints[0].rules_n : entry->endpoints[0].deny_rules_n;
    return ERR_OK;
}

static enum err_code add_rule_of(const Openshell__V1__AddNetworkRule *m, struct arena *a, struct merge_op *op,
                                 struct err *reterr)
{
    op->name = str_of(m->rule_name);
    if (op->name.n == 0)
        return err_set(reterr, ERR_INVALID, "add_rule: rule_name is required");
    if (str_starts(op->name, POLICY_PROVIDER_PREFIX))
        return err_set(reterr, ERR_INVALID,
                       "add_rule: '%.*s': keys that begin with '_provider_' are reserved", STR_FMT(op->name));
    if (!m->rule || m->rule->n_endpoints == 0)
        return err_set(reterr, ERR_INVALID, "add_rule: '%.*s' has no endpoint", STR_FMT(op->name));
    return entry_of(m->rule, m->rule_name, a, &op->entry, reterr);
}

static enum err_code op_of(const Openshell__V1__PolicyMergeOperation *m, struct arena *a, struct merge_op *op,
                           struct err *reterr)
{
    switch ((int)m->operation_case) {
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE:
        op->kind = MERGE_ADD_RULE;
        return add_rule_of(m->add_rule, a, op, reterr);
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_ENDPOINT:
        *op = (struct merge_op){.kind = MERGE_REMOVE_ENDPOINT,
                                .name = str_of(m->remove_endpoint->rule_name),
                                .host = str_of(m->remove_endpoint->host),
                                .port = m->remove_endpoint->port};
        return ERR_OK;
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE:
        *op = (struct merge_op){.kind = MERGE_REMOVE_RULE, .name = str_of(m->remove_rule->rule_name)};
        return ERR_OK;
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_DENY_RULES:
        *op = (struct merge_op){.kind = MERGE_ADD_DENY,
                                .host = str_of(m->add_deny_rules->host),
                                .port = m->add_deny_rules->port};
        return rules_of(NULL, 0, m->add_deny_rules->deny_rules, m->add_deny_rules->n_deny_rules, a, op,
                        reterr);
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_ALLOW_RULES:
        *op = (struct merge_op){.kind = MERGE_ADD_ALLOW,
                                .host = str_of(m->add_allow_rules->host),
                                .port = m->add_allow_rules->port};
        return rules_of(m->add_allow_rules->rules, m->add_allow_rules->n_rules, NULL, 0, a, op, reterr);
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_BINARY:
        *op = (struct merge_op){.kind = MERGE_REMOVE_BINARY,
                                .name = str_of(m->remove_binary->rule_name),
                                .binary = str_of(m->remove_binary->binary_path)};
        return ERR_OK;
    case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION__NOT_SET:
    default:
        return err_set(reterr, ERR_INVALID, "a merge operation says nothing");
    }
}

enum err_code update_merge(const struct policy *base, Openshell__V1__PolicyMergeOperation *const *ops,
                           size_t n, struct arena *a, struct policy **ret, struct err *reterr)
{
    struct diags warnings;
    diags_init(&warnings, a);
    struct merge_op *v = arena_newn(a, struct merge_op, n);
    if (!v)
        return arena_limit(a, "merge operations", reterr);
    for (size_t i = 0; i < n; i++) {
        enum err_code c = op_of(ops[i], a, &v[i], reterr);
        if (c != ERR_OK)
            return err_wrap(reterr, c, "operation %zu", i + 1);
    }
    enum err_code c = policy_merge(base, v, n, a, ret, &warnings, reterr);
    // What does not fit this policy is its state's fault, not the request's (reference: gateway 4.2).
    if (c == ERR_NOT_FOUND)
        reterr->code = c = ERR_PRECONDITION;
    return c == ERR_OK ? config_check_parsed(*ret, a, reterr) : c;
}
