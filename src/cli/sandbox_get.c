#include "cli/commands.h"
#include "cli/sandbox.h"
#include "cli/sandbox_policy.h"
#include "cli/show.h"

enum { OPT_POLICY_ONLY, OPT_OUTPUT };
static const struct opt get_opts[] = {
    [OPT_POLICY_ONLY] = {.name = "policy-only",
                         .type = OPT_FLAG,
                         .help = "Print nothing but the policy in force, as YAML"},
    [OPT_OUTPUT] = SHOW_OUTPUT_OPT,
};
static const struct arg get_args[] = {SANDBOX_NAME_ARG};
static const struct example get_examples[] = {
    {"Is it ready?", "openshell sandbox get dev -o json | jq -r .phase"},
    {"Edit its policy", "openshell sandbox get dev --policy-only > dev.yaml"},
};

static int print_json(struct cli *cli, const struct args *a, const Openshell__V1__Sandbox *s,
                      const struct sandbox_policy *p)
{
    bool ok = true;
    json_t *o = sandbox_json(s, &ok);
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *c = p->config;
    json_put(o, "policy", p->policy ? sandbox_policy_json(p->policy, &ok) : json_null(), &ok);
    json_put(o, "policy_source", json_string(sandbox_policy_source(c)), &ok);
    json_put(o, "revision", c->version > 0 ? json_integer(c->version) : json_null(), &ok);
    if (sandbox_has_ended(s))
        json_put(o, "exit_code", json_integer(s->status->exit_code), &ok);
    return show_structured(cli, a, &get_opts[OPT_OUTPUT], o, ok);
}

// "  Labels:" and a line for each, by key.
#define PRINT_MAP(cli, label, entries, n)                                                                    \
    for (size_t i_ = 0; i_ < (n); i_++) {                                                                    \
        if (i_ == 0)                                                                                         \
            buf_addf(&(cli)->out, "  " label ":\n");                                                         \
        buf_addf(&(cli)->out, "    ");                                                                       \
        term_name(&(cli)->out, (entries)[i_]->key);                                                          \
        buf_addf(&(cli)->out, ": ");                                                                         \
        term_name(&(cli)->out, (entries)[i_]->value);                                                        \
        buf_addc(&(cli)->out, '\n');                                                                         \
    }

static int by_key(const void *a, const void *b)
{
    const Openshell__Datamodel__V1__ObjectMeta__LabelsEntry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static int print_human(struct cli *cli, struct gateway *g, const Openshell__V1__Sandbox *s,
                       const struct sandbox_policy *p)
{
    const Openshell__Datamodel__V1__ObjectMeta *meta = s->metadata;
    char version[32];
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)meta->resource_version);
    show_heading(cli, "Sandbox:");
    show_field(cli, "Id", meta->id);
    show_field(cli, "Name", meta->name);
    show_field(cli, "Phase", sandbox_phase(s));
    const char *why = sandbox_why(s, &g->arena);
    if (why[0] && !sandbox_is(s, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY))
        show_field(cli, "Condition", why);
    if (sandbox_has_ended(s))
        buf_addf(&cli->out, "  Exit code: %d\n", (int)s->status->exit_code);
    show_field(cli, "Resource version", version);
    if (meta->n_labels > 0)
        qsort(meta->labels, meta->n_labels, sizeof(void *), by_key);
    PRINT_MAP(cli, "Labels", meta->labels, meta->n_labels)
    PRINT_MAP(cli, "Annotations", meta->annotations, meta->n_annotations)
    show_field(cli, "Policy source", sandbox_policy_source(p->config));
    if (p->config->version > 0)
        buf_addf(&cli->out, "  Revision: %u\n", p->config->version);
    if (!p->policy)
        return 0;
    buf_addc(&cli->out, '\n');
    show_heading(cli, "Policy:");
    return sandbox_policy_print(cli, p->policy, 2);
}

static int get_run(struct cli *cli, const struct args *a)
{
    const struct opt *only = &get_opts[OPT_POLICY_ONLY];
    int status = report_conflict(cli, a, only, &get_opts[OPT_OUTPUT]);
    if (status != 0)
        return status;
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const Openshell__V1__Sandbox *s = NULL;
    struct sandbox_policy p = {};
    status = sandbox_open(cli, a, &g, &s);
    if (status == 0)
        status = sandbox_policy_fetch(cli, &g, s->metadata->id, &p);
    if (status != 0)
        return status;
    if (args_count(a, only) > 0)
        return p.policy ? sandbox_policy_print(cli, p.policy, 0)
                        : report(cli, NULL, "sandbox '%s' has no policy", s->metadata->name);
    return show_is_structured(a, &get_opts[OPT_OUTPUT]) ? print_json(cli, a, s, &p)
                                                        : print_human(cli, &g, s, &p);
}

const struct command sandbox_get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show a sandbox and the policy in force in it",
    COMMAND_TABLE(opts, get_opts),
    COMMAND_TABLE(args, get_args),
    COMMAND_TABLE(examples, get_examples),
    .run = get_run,
};
