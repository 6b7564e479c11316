// policy get, list: what a sandbox obeys, and what it obeyed.
#include "cli/commands.h"
#include "cli/policy_submit.h"
#include "cli/sandbox.h"
#include "cli/sandbox_policy.h"
#include "cli/show.h"

typedef Openshell__V1__SandboxPolicyRevision revision_msg;

static const char *status_word(Openshell__V1__PolicyStatus s, bool capital)
{
    static const char *const words[][2] = {{"unspecified", "Unspecified"},
                                           {"pending", "Pending"},
                                           {"loaded", "Loaded"},
                                           {"failed", "Failed"},
                                           {"superseded", "Superseded"}};
    return words[(unsigned)s < ARRAY_LEN(words) ? s : 0][capital];
}

// ---- get

enum { OPT_REV, OPT_BASE, OPT_FULL, OPT_OUTPUT, OPT_GLOBAL };
static const struct opt get_opts[] = {
    [OPT_REV] = {.name = "rev",
                 .type = OPT_U32,
                 .value = "N",
                 .def = "0",
                 .help = "That revision; 0: the policy in force"},
    [OPT_BASE] = {.name = "base", .type = OPT_FLAG, .help = "With the policy, less what providers add to it"},
    [OPT_FULL] = {.name = "full", .type = OPT_FLAG, .help = "With the policy, as YAML"},
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = command_table_or_json,
                    .def = "table",
                    .help = "How to print the answer"},
    [OPT_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "The policy of every sandbox"},
};
static const struct arg name_args[] = {SANDBOX_NAME_ARG};
static const struct example get_examples[] = {
    {"What holds now?", "openshell policy get dev --full"},
    {"What held before?", "openshell policy get dev --rev 3 --full"},
};

static void line(struct cli *cli, const char *label, const char *value)
{
    buf_addf(&cli->out, "%-13s ", label); // values stand in column 15
    term_name(&cli->out, value);
    buf_addc(&cli->out, '\n');
}

__attribute__((format(printf, 3, 4))) static void linef(struct cli *cli, const char *label, const char *fmt,
                                                        ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    line(cli, label, text);
}

// The policy as --full or --base wants it; *ret NULL: not wanted, or there is none.
static int wanted_policy(struct cli *cli, const struct args *a, struct gateway *g, struct policy *p,
                         struct policy **ret)
{
    *ret = NULL;
    bool base = args_count(a, &get_opts[OPT_BASE]) > 0;
    if (!p || (!base && args_count(a, &get_opts[OPT_FULL]) == 0))
        return 0;
    *ret = p;
    return base ? sandbox_policy_base(cli, &g->arena, p, ret) : 0;
}

static int print_yaml(struct cli *cli, const struct policy *p)
{
    if (!p)
        return 0;
    buf_addf(&cli->out, "---\n");
    return sandbox_policy_print(cli, p, 0);
}

static int get_effective(struct cli *cli, const struct args *a, struct gateway *g)
{
    const Openshell__V1__Sandbox *s = NULL;
    struct sandbox_policy p = {};
    struct policy *shown = NULL;
    int status = sandbox_open(cli, a, g, &s);
    if (status == 0)
        status = sandbox_policy_fetch(cli, g, s->metadata->id, &p);
    if (status == 0 && !p.policy)
        status = report(cli, NULL, "sandbox '%s' has no policy", s->metadata->name);
    if (status == 0)
        status = wanted_policy(cli, a, g, p.policy, &shown);
    if (status != 0)
        return status;
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *c = p.config;
    if (args_is(a, &get_opts[OPT_OUTPUT], "json")) {
        bool ok = true;
        json_t *o = json_object();
        json_put(o, "active_version", json_integer(c->version), &ok);
        json_put(o, "config_revision", json_integer((json_int_t)c->config_revision), &ok);
        if (c->global_policy_version > 0)
            json_put(o, "global_policy_version", json_integer(c->global_policy_version), &ok);
        json_put(o, "hash", json_text(str_of(c->policy_hash)), &ok);
        if (shown)
            json_put(o, "policy", sandbox_policy_json(shown, &ok), &ok);
        json_put(o, "policy_source", json_string(sandbox_policy_source(c)), &ok);
        json_put(o, "sandbox", json_text(str_of(s->metadata->name)), &ok);
        json_put(o, "scope", json_string("sandbox"), &ok);
        json_put(o, "status", json_string("effective"), &ok);
        json_put(o, "version", json_integer(c->version), &ok);
        return json_out(cli, o, ok);
    }
    linef(cli, "Version:", "%u", c->version);
    line(cli, "Hash:", c->policy_hash);
    line(cli, "Status:", "Effective");
    line(cli, "Source:", sandbox_policy_source(c));
    linef(cli, "Config rev:", "%llu", (unsigned long long)c->config_revision);
    if (c->global_policy_version > 0)
        linef(cli, "Global:", "%u", c->global_policy_version);
    return print_yaml(cli, shown);
}

static json_t *provenance_json(const revision_msg *rev, bool *ok)
{
    json_t *o = json_object();
    for (size_t i = 0; i < rev->n_provenance; i++)
        json_put(o, rev->provenance[i]->key, json_text(str_of(rev->provenance[i]->value)), ok);
    return o;
}

static int print_revision_json(struct cli *cli, const char *name,
                               const Openshell__V1__GetSandboxPolicyStatusResponse *out,
                               const struct policy *p)
{
    const revision_msg *rev = out->revision;
    bool ok = true;
    json_t *o = json_object();
    if (out->active_version > 0)
        json_put(o, "active_version", json_integer(out->active_version), &ok);
    if (rev->created_at_ms != 0)
        json_put(o, "created_at_ms", json_integer(rev->created_at_ms), &ok);
    json_put(o, "hash", json_text(str_of(rev->policy_hash)), &ok);
    if (rev->load_error[0])
        json_put(o, "load_error", json_text(str_of(rev->load_error)), &ok);
    if (rev->loaded_at_ms != 0)
        json_put(o, "loaded_at_ms", json_integer(rev->loaded_at_ms), &ok);
    if (p)
        json_put(o, "policy", sandbox_policy_json(p, &ok), &ok);
    if (rev->n_provenance > 0)
        json_put(o, "provenance", provenance_json(rev, &ok), &ok);
    if (name)
        json_put(o, "sandbox", json_text(str_of(name)), &ok);
    json_put(o, "scope", json_string(name ? "sandbox" : "global"), &ok);
    json_put(o, "status", json_string(status_word(rev->status, false)), &ok);
    json_put(o, "version", json_integer(rev->version), &ok);
    return json_out(cli, o, ok);
}

static int print_revision(struct cli *cli, const char *name,
                          const Openshell__V1__GetSandboxPolicyStatusResponse *out, const struct policy *p)
{
    const revision_msg *rev = out->revision;
    if (!name)
        line(cli, "Scope:", "global");
    linef(cli, "Version:", "%u", rev->version);
    line(cli, "Hash:", rev->policy_hash);
    line(cli, "Status:", status_word(rev->status, true));
    if (out->active_version > 0)
        linef(cli, "Active:", "%u", out->active_version);
    if (rev->created_at_ms != 0)
        linef(cli, "Created:", "%lld ms", (long long)rev->created_at_ms);
    if (rev->loaded_at_ms != 0)
        linef(cli, "Loaded:", "%lld ms", (long long)rev->loaded_at_ms);
    if (rev->load_error[0])
        line(cli, "Error:", rev->load_error);
    return print_yaml(cli, p);
}

// `name` NULL: global.
static int get_revision(struct cli *cli, const struct args *a, struct gateway *g, const char *name)
{
    Openshell__V1__GetSandboxPolicyStatusRequest req = OPENSHELL__V1__GET_SANDBOX_POLICY_STATUS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err err = {};
    struct policy *p = NULL, *shown = NULL;
    req.name = gateway_text(name ? name : "");
    req.workspace = g->workspace;
    req.version = args_u32(a, &get_opts[OPT_REV]);
    req.global = !name;
    enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_GET_SANDBOX_POLICY_STATUS, &req.base, &m, &err);
    if (r != ERR_OK && r != ERR_NOT_FOUND)
        return gateway_report(cli, g, "tell the revision", &err);
    const Openshell__V1__GetSandboxPolicyStatusResponse
        *out = r == ERR_OK ? GATEWAY_ANSWER(Openshell__V1__GetSandboxPolicyStatusResponse, m) : NULL;
    if (!out || !out->revision) {
        if (name)
            show_err_line(cli, "No policy history found for sandbox '%s'", name);
        else
            show_err_line(cli, "No global policy history found");
        return 0;
    }
    int status = out->revision->policy ? sandbox_policy_read(cli, g, out->revision->policy, &p) : 0;
    if (status == 0)
        status = wanted_policy(cli, a, g, p, &shown);
    if (status != 0)
        return status;
    return args_is(a, &get_opts[OPT_OUTPUT], "json") ? print_revision_json(cli, name, out, shown)
                                                     : print_revision(cli, name, out, shown);
}

static int get_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    bool global = args_count(a, &get_opts[OPT_GLOBAL]) > 0;
    int status = report_conflict(cli, a, &get_opts[OPT_BASE], &get_opts[OPT_FULL]);
    if (status != 0)
        return status;
    if (global && a->words_n > 0)
        return report(cli, NULL, "--global is about every sandbox: leave the name out");
    if (!global && args_u32(a, &get_opts[OPT_REV]) == 0)
        return get_effective(cli, a, &g);
    status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    const char *name = global ? NULL : sandbox_name(cli, a, &g);
    return !global && !name ? EXIT_FAILED : get_revision(cli, a, &g, name);
}

const struct command policy_get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show the policy in force in a sandbox, or an earlier one",
    COMMAND_TABLE(opts, get_opts),
    COMMAND_TABLE(args, name_args),
    COMMAND_TABLE(examples, get_examples),
    .run = get_run,
};

// ---- list

enum { LIST_LIMIT, LIST_GLOBAL };
static const struct opt list_opts[] = {
    [LIST_LIMIT] = {.name = "limit",
                    .type = OPT_U32,
                    .value = "N",
                    .def = "20",
                    .help = "The last ones, at most so many"},
    [LIST_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "Those of every sandbox"},
};
enum { ERROR_COLUMNS = 40 };

static void print_list(struct cli *cli, const Openshell__V1__ListSandboxPoliciesResponse *out)
{
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "%-8s %-14s %-12s %-24s %s", "VERSION", "HASH", "STATUS",
             "CREATED", "ERROR");
    buf_addc(&cli->out, '\n');
    for (size_t i = 0; i < out->n_revisions; i++) {
        const revision_msg *rev = out->revisions[i];
        char hash[POLICY_HASH_SIZE], error[ERROR_COLUMNS + 4];
        policy_short_hash(rev->policy_hash, hash);
        (void)snprintf(error, sizeof(error), "%.*s%s", ERROR_COLUMNS, rev->load_error,
                       strlen(rev->load_error) > ERROR_COLUMNS ? "..." : "");
        buf_addf(&cli->out, "%-8u ", rev->version);
        buf_addf(&cli->out, "%-14s %-12s %-24lld ", hash, status_word(rev->status, true),
                 (long long)rev->created_at_ms);
        term_name(&cli->out, error);
        buf_addc(&cli->out, '\n');
    }
}

static int list_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    bool global = args_count(a, &list_opts[LIST_GLOBAL]) > 0;
    Openshell__V1__ListSandboxPoliciesRequest req = OPENSHELL__V1__LIST_SANDBOX_POLICIES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (global && a->words_n > 0)
        return report(cli, NULL, "--global is about every sandbox: leave the name out");
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    const char *name = global ? "" : sandbox_name(cli, a, &g);
    if (!name)
        return EXIT_FAILED;
    req.name = gateway_text(name);
    req.workspace = g.workspace;
    req.global = global;
    req.limit = args_u32(a, &list_opts[LIST_LIMIT]);
    status = gateway_call(cli, &g, RPC_OPEN_SHELL_LIST_SANDBOX_POLICIES, &req.base, "list policies", &m);
    if (status != 0)
        return status;
    const Openshell__V1__ListSandboxPoliciesResponse
        *out = GATEWAY_ANSWER(Openshell__V1__ListSandboxPoliciesResponse, m);
    if (out->n_revisions > 0)
        print_list(cli, out);
    else if (global)
        show_err_line(cli, "No global policy history found");
    else
        show_err_line(cli, "No policy history found for sandbox '%s'", name);
    return 0;
}

const struct command policy_list_command = {
    .name = "list",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the policies that a sandbox has had, the newest first",
    COMMAND_TABLE(opts, list_opts),
    COMMAND_TABLE(args, name_args),
    .run = list_run,
};
