// policy update: changes of a policy, sent as changes, so that two of them do not undo each other.
#include "cli/commands.h"
#include "cli/policy_spec.h"
#include "cli/policy_submit.h"
#include "cli/sandbox.h"
#include "cli/sandbox_policy.h"
#include "cli/show.h"
#include "convert/policy_wire.h"
#include "policy/merge.h"

enum {
    OPT_ADD,
    OPT_REMOVE,
    OPT_ALLOW,
    OPT_DENY,
    OPT_REMOVE_RULE,
    OPT_BINARY,
    OPT_RULE_NAME,
    OPT_DRY_RUN,
    OPT_WAIT,
    OPT_TIMEOUT
};
#define REPEATED(word, what, text)                                                                           \
    {                                                                                                        \
        .name = (word), .type = OPT_STRING, .value = (what), .repeat = true, .help = (text)                  \
    }
static const struct opt update_opts[] = {
    [OPT_ADD] = REPEATED(
        "add-endpoint", "HOST:PORT[:ACCESS[:PROTOCOL[:ENFORCEMENT[:OPTIONS]]]]",
        "Open an endpoint: access read-only, read-write or full; protocol tcp, rest, websocket or "
        "sql; enforcement enforce or audit"),
    [OPT_REMOVE] = REPEATED("remove-endpoint", "HOST:PORT", "Close an endpoint"),
    [OPT_ALLOW] = REPEATED("add-allow", "HOST:PORT:METHOD:PATH", "Allow requests to an endpoint"),
    [OPT_DENY] = REPEATED("add-deny", "HOST:PORT:METHOD:PATH", "Refuse requests to an endpoint"),
    [OPT_REMOVE_RULE] = REPEATED("remove-rule", "KEY", "Remove an entry of network_policies"),
    [OPT_BINARY] = REPEATED("binary", "PATH", "Only for this program; with --add-endpoint"),
    [OPT_RULE_NAME] = {.name = "rule-name",
                       .type = OPT_STRING,
                       .value = "KEY",
                       .help = "The key of the entry; with exactly one --add-endpoint"},
    [OPT_DRY_RUN] = {.name = "dry-run", .type = OPT_FLAG, .help = "Print the policy that would come of it"},
    POLICY_WAIT_ROWS(OPT_WAIT, OPT_TIMEOUT),
};
static const struct arg name_args[] = {SANDBOX_NAME_ARG};
static const struct example update_examples[] = {
    {"Let gh read at GitHub", "openshell policy update dev --add-endpoint "
                              "api.github.com:443:read-only:rest:enforce --binary /usr/bin/gh --wait"},
    {"See first what would come of it",
     "openshell policy update dev --remove-endpoint pypi.org:443 --dry-run"},
};
static const struct exit_row update_exits[] = {
    {0, "The changes were taken; with --wait: are in force, or a later policy is"},
    {1, "They were not, or did not load"},
    {2, "The command line is wrong"},
    {124, "With --wait: they had not loaded within --timeout"},
};

struct changes {
    struct cli *cli;
    const struct args *a;
    struct arena *arena;
    struct merge_op *ops;
    size_t n;
};

// ---- from the command line

static int bad(struct changes *c, int opt, const char *text, const struct err *err)
{
    return report(c->cli, err->msg, "--%s %s", update_opts[opt].name, text);
}

static int add_endpoints(struct changes *c)
{
    const struct opt *binary = &update_opts[OPT_BINARY];
    size_t binaries_n = args_count(c->a, binary);
    struct binary *binaries = arena_newn(c->arena, struct binary, binaries_n);
    struct err err = {};
    size_t used = 0;
    for (size_t i = 0; binaries && i < binaries_n; i++) {
        struct str path = str_of(args_nth(c->a, binary, i));
        bool twice = false;
        for (size_t k = 0; k < used; k++)
            twice = twice || str_eq(binaries[k].path, path);
        if (!twice)
            binaries[used++].path = path;
    }
    for (size_t i = 0; i < args_count(c->a, &update_opts[OPT_ADD]); i++) {
        const char *text = args_nth(c->a, &update_opts[OPT_ADD], i), *key;
        struct policy_entry *entry = arena_new(c->arena, struct policy_entry);
        struct endpoint *ep = arena_new(c->arena, struct endpoint);
        struct str name = {};
        if (!entry || !ep || !binaries)
            return report(c->cli, NULL, "no memory");
        if (policy_spec_endpoint(str_of(text), c->arena, ep, &err) != ERR_OK)
            return bad(c, OPT_ADD, text, &err);
        key = args_value(c->a, &update_opts[OPT_RULE_NAME]);
        if (key)
            name = str_of(key);
        else if (!merge_rule_name(ep->host, ep->ports[0], c->arena, &name))
            return report(c->cli, NULL, "no memory");
        *entry = (struct policy_entry){.key = name,
                                       .name = name,
                                       .endpoints = ep,
                                       .endpoints_n = 1,
                                       .binaries = binaries,
                                       .binaries_n = used};
        c->ops[c->n++] = (struct merge_op){.kind = MERGE_ADD_RULE, .name = name, .entry = entry};
    }
    return 0;
}

static int remove_parts(struct changes *c)
{
    struct err err = {};
    for (size_t i = 0; i < args_count(c->a, &update_opts[OPT_REMOVE]); i++) {
        const char *text = args_nth(c->a, &update_opts[OPT_REMOVE], i);
        struct merge_op op = {.kind = MERGE_REMOVE_ENDPOINT};
        if (policy_spec_place(str_of(text), &op.host, &op.port, &err) != ERR_OK)
            return bad(c, OPT_REMOVE, text, &err);
        c->ops[c->n++] = op;
    }
    for (size_t i = 0; i < args_count(c->a, &update_opts[OPT_REMOVE_RULE]); i++)
        c->ops[c->n++] = (struct merge_op){.kind = MERGE_REMOVE_RULE,
                                           .name = str_of(args_nth(c->a, &update_opts[OPT_REMOVE_RULE], i))};
    return 0;
}

// Those of one endpoint become one operation.
static int add_rules(struct changes *c, int opt, enum merge_kind kind)
{
    size_t n = args_count(c->a, &update_opts[opt]), first = c->n;
    struct err err = {};
    for (size_t i = 0; i < n; i++) {
        const char *text = args_nth(c->a, &update_opts[opt], i);
        struct merge_op *op = NULL, at = {.kind = kind};
        struct l7_rule rule = {};
        if (policy_spec_rule(str_of(text), c->arena, &at.host, &at.port, &rule, &err) != ERR_OK)
            return bad(c, opt, text, &err);
        for (size_t k = first; k < c->n; k++)
            if (c->ops[k].port == at.port && str_eq_ci(c->ops[k].host, at.host))
                op = &c->ops[k];
        if (!op) {
            op = &c->ops[c->n++];
            *op = at;
            op->rules = arena_newn(c->arena, struct l7_rule, n);
        }
        if (!op->rules)
            return report(c->cli, NULL, "no memory");
        ((struct l7_rule *)(uintptr_t)op->rules)[op->rules_n++] = rule; // ours, from above
    }
    return 0;
}

static int read_changes(struct changes *c)
{
    static const int kinds[] = {OPT_ADD, OPT_REMOVE, OPT_ALLOW, OPT_DENY, OPT_REMOVE_RULE};
    size_t n = 0, added = args_count(c->a, &update_opts[OPT_ADD]);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        n += args_count(c->a, &update_opts[kinds[i]]);
    if (n == 0)
        return report(c->cli, "'openshell policy update --help' lists them", "no change was asked for");
    if (args_count(c->a, &update_opts[OPT_BINARY]) > 0 && added == 0)
        return report(c->cli, NULL, "--binary belongs to --add-endpoint, and there is none");
    if (args_count(c->a, &update_opts[OPT_RULE_NAME]) > 0 && added != 1)
        return report(c->cli, NULL, "--rule-name belongs to exactly one --add-endpoint, and there are %zu",
                      added);
    c->ops = arena_newn(c->arena, struct merge_op, n);
    if (!c->ops)
        return report(c->cli, NULL, "no memory");
    int status = add_endpoints(c);
    if (status == 0)
        status = remove_parts(c);
    if (status == 0)
        status = add_rules(c, OPT_ALLOW, MERGE_ADD_ALLOW);
    return status == 0 ? add_rules(c, OPT_DENY, MERGE_ADD_DENY) : status;
}

// ---- as messages

// An entry as a message: by way of a policy that has no other.
static enum err_code entry_to_wire(const struct policy_entry *entry, struct arena *a,
                                   Openshell__Sandbox__V1__NetworkPolicyRule **ret, struct err *reterr)
{
    struct policy_entry copy = *entry;
    const struct policy whole = {.version = 1, .entries = &copy, .entries_n = 1};
    Openshell__Sandbox__V1__SandboxPolicy *m = NULL;
    enum err_code r = policy_to_wire(&whole, a, &m, reterr);
    if (r != ERR_OK)
        return r;
    if (m->n_network_policies != 1)
        return err_set(reterr, ERR_INTERNAL, "an entry became %zu", m->n_network_policies);
    *ret = m->network_policies[0]->value;
    return ERR_OK;
}

// Rules of either kind, by way of an endpoint.
static enum err_code rules_to_wire(const struct merge_op *op, struct arena *a,
                                   Openshell__Sandbox__V1__NetworkEndpoint **ret, struct err *reterr)
{
    bool deny = op->kind == MERGE_ADD_DENY;
    uint32_t port = op->port;
    struct l7_rule *rules = (struct l7_rule *)(uintptr_t)op->rules; // only read
    struct endpoint ep = {.host = op->host,
                          .ports = &port,
                          .ports_n = 1,
                          .protocol = STR("rest"),
                          .rules = deny ? NULL : rules,
                          .rules_n = deny ? 0 : op->rules_n,
                          .deny_rules = deny ? rules : NULL,
                          .deny_rules_n = deny ? op->rules_n : 0};
    const struct policy_entry entry = {.key = STR("rules"), .endpoints = &ep, .endpoints_n = 1};
    Openshell__Sandbox__V1__NetworkPolicyRule *m = NULL;
    enum err_code r = entry_to_wire(&entry, a, &m, reterr);
    if (r == ERR_OK && m->n_endpoints != 1)
        r = err_set(reterr, ERR_INTERNAL, "an endpoint became %zu", m->n_endpoints);
    if (r == ERR_OK)
        *ret = m->endpoints[0];
    return r;
}

static char *text_of(struct arena *a, struct str s)
{
    struct str copy = {};
    return arena_dup(a, s, &copy) ? (char *)(uintptr_t)copy.p : NULL;
}

#define NEW(m, Type, init, member, which)                                                                    \
    Openshell__V1__##Type *out = arena_new(a, Openshell__V1__##Type);                                        \
    if (!out)                                                                                                \
        return arena_limit(a, "the changes", reterr);                                                        \
    openshell__v1__##init##__init(out);                                                                      \
    (m)->operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_##which;                          \
    (m)->member = out

static enum err_code add_rule_out(const struct merge_op *op, struct arena *a,
                                  Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    NEW(m, AddNetworkRule, add_network_rule, add_rule, ADD_RULE);
    out->rule_name = text_of(a, op->name);
    return out->rule_name ? entry_to_wire(op->entry, a, &out->rule, reterr)
                          : arena_limit(a, "the changes", reterr);
}

static enum err_code remove_endpoint_out(const struct merge_op *op, struct arena *a,
                                         Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    NEW(m, RemoveNetworkEndpoint, remove_network_endpoint, remove_endpoint, REMOVE_ENDPOINT);
    out->host = text_of(a, op->host);
    out->port = op->port;
    return out->host ? ERR_OK : arena_limit(a, "the changes", reterr);
}

static enum err_code remove_rule_out(const struct merge_op *op, struct arena *a,
                                     Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    NEW(m, RemoveNetworkRule, remove_network_rule, remove_rule, REMOVE_RULE);
    out->rule_name = text_of(a, op->name);
    return out->rule_name ? ERR_OK : arena_limit(a, "the changes", reterr);
}

static enum err_code allow_out(const struct merge_op *op, struct arena *a,
                               Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    Openshell__Sandbox__V1__NetworkEndpoint *ep = NULL;
    NEW(m, AddAllowRules, add_allow_rules, add_allow_rules, ADD_ALLOW_RULES);
    out->host = text_of(a, op->host);
    out->port = op->port;
    enum err_code r = out->host ? rules_to_wire(op, a, &ep, reterr) : arena_limit(a, "the changes", reterr);
    if (r != ERR_OK)
        return r;
    assert(ep);
    out->rules = ep->rules;
    out->n_rules = ep->n_rules;
    return ERR_OK;
}

static enum err_code deny_out(const struct merge_op *op, struct arena *a,
                              Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    Openshell__Sandbox__V1__NetworkEndpoint *ep = NULL;
    NEW(m, AddDenyRules, add_deny_rules, add_deny_rules, ADD_DENY_RULES);
    out->host = text_of(a, op->host);
    out->port = op->port;
    enum err_code r = out->host ? rules_to_wire(op, a, &ep, reterr) : arena_limit(a, "the changes", reterr);
    if (r != ERR_OK)
        return r;
    assert(ep);
    out->deny_rules = ep->deny_rules;
    out->n_deny_rules = ep->n_deny_rules;
    return ERR_OK;
}

static enum err_code op_out(const struct merge_op *op, struct arena *a,
                            Openshell__V1__PolicyMergeOperation *m, struct err *reterr)
{
    openshell__v1__policy_merge_operation__init(m);
    switch (op->kind) {
    case MERGE_ADD_RULE:
        return add_rule_out(op, a, m, reterr);
    case MERGE_REMOVE_ENDPOINT:
        return remove_endpoint_out(op, a, m, reterr);
    case MERGE_REMOVE_RULE:
        return remove_rule_out(op, a, m, reterr);
    case MERGE_ADD_ALLOW:
        return allow_out(op, a, m, reterr);
    case MERGE_ADD_DENY:
        return deny_out(op, a, m, reterr);
    case MERGE_REMOVE_BINARY:
        break; // no option makes one
    }
    return err_set(reterr, ERR_INTERNAL, "a change of no known kind");
}

static int fill_request(struct changes *c, Openshell__V1__UpdateConfigRequest *req)
{
    struct err err = {};
    Openshell__V1__PolicyMergeOperation *v = arena_newn(c->arena, Openshell__V1__PolicyMergeOperation, c->n);
    req->merge_operations = arena_newn(c->arena, Openshell__V1__PolicyMergeOperation *, c->n);
    if (!v || !req->merge_operations)
        return report(c->cli, NULL, "no memory");
    for (size_t i = 0; i < c->n; i++) {
        if (op_out(&c->ops[i], c->arena, &v[i], &err) != ERR_OK)
            return report(c->cli, err.msg, "a gateway cannot be given these changes");
        req->merge_operations[req->n_merge_operations++] = &v[i];
    }
    return 0;
}

// ---- the same here, for warnings and to look at

static int preview(struct changes *c, const struct policy *base, struct policy **ret)
{
    struct err err = {};
    struct diags warnings;
    diags_init(&warnings, c->arena);
    if (policy_merge(base, c->ops, c->n, c->arena, ret, &warnings, &err) != ERR_OK)
        return report(c->cli, err.msg, "the changes do not fit the policy");
    for (size_t i = 0; i < warnings.n; i++)
        show_err(c->cli, SHOW_WARNING, "%.*s", STR_FMT(warnings.v[i].msg));
    return 0;
}

static int update(struct changes *c, struct gateway *g, const Openshell__V1__Sandbox *s)
{
    static const struct policy none = {.version = 1};
    struct sandbox_policy now = {};
    struct policy *merged = NULL;
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    int status = sandbox_policy_fetch(c->cli, g, s->metadata->id, &now);
    if (status != 0)
        return status;
    if (now.config->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL)
        return report(c->cli, "'openshell policy delete --global' takes it back",
                      "the gateway's global policy is in force, and counts before that of the sandbox");
    bool dry = args_count(c->a, &update_opts[OPT_DRY_RUN]) > 0;
    if (dry)
        show_err(c->cli, SHOW_DONE, "Dry run preview for %zu incremental policy operation(s)", c->n);
    status = preview(c, now.policy ? now.policy : &none, &merged);
    if (status != 0)
        return status;
    if (dry) {
        status = sandbox_policy_base(c->cli, c->arena, merged, &merged);
        if (status != 0)
            return status;
        buf_addf(&c->cli->out, "Policy:\n");
        return sandbox_policy_print(c->cli, merged, 0);
    }
    req.name = s->metadata->name;
    req.workspace = g->workspace;
    status = fill_request(c, &req);
    const struct policy_submit submit = {.req = &req,
                                         .wait = args_count(c->a, &update_opts[OPT_WAIT]) > 0,
                                         .timeout_s = args_u32(c->a, &update_opts[OPT_TIMEOUT])};
    return status == 0 ? policy_submit(c->cli, g, &submit) : status;
}

static int update_run(struct cli *cli, const struct args *a)
{
    int status = report_conflict(cli, a, &update_opts[OPT_DRY_RUN], &update_opts[OPT_WAIT]);
    if (status != 0)
        return status;
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    struct changes c = {.cli = cli, .a = a, .arena = &g.arena};
    const Openshell__V1__Sandbox *s = NULL;
    status = read_changes(&c);
    if (status == 0)
        status = sandbox_open(cli, a, &g, &s);
    return status == 0 ? update(&c, &g, s) : status;
}

const struct command policy_update_command = {
    .name = "update",
    .alias = "",
    .section = "COMMANDS",
    .about = "Change parts of a sandbox's policy while it runs",
    .text = "The changes are made all or none, in this order: endpoints added, endpoints removed, entries "
            "removed, "
            "requests allowed, requests refused.",
    COMMAND_TABLE(opts, update_opts),
    COMMAND_TABLE(args, name_args),
    COMMAND_TABLE(examples, update_examples),
    COMMAND_TABLE(exits, update_exits),
    .run = update_run,
};
