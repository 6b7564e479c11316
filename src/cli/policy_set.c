// policy set, delete: a whole policy for a sandbox that runs, or for all.
#include "cli/commands.h"
#include "cli/policy_submit.h"
#include "cli/sandbox.h"
#include "cli/show.h"
#include "cmd/policy_file.h"
#include "convert/policy_wire.h"

// ---- set

enum { OPT_POLICY, OPT_WAIT, OPT_TIMEOUT, OPT_GLOBAL, OPT_YES };
static const struct opt set_opts[] = {
    [OPT_POLICY] = {.name = "policy",
                    .type = OPT_PATH,
                    .value = "FILE",
                    .required = true,
                    .help = "The policy, or - for standard input"},
    POLICY_WAIT_ROWS(OPT_WAIT, OPT_TIMEOUT),
    [OPT_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "For every sandbox, in place of their own"},
    [OPT_YES] = {.name = "yes", .type = OPT_FLAG, .help = "Do not ask whether --global is meant"},
};
static const struct arg name_args[] = {SANDBOX_NAME_ARG};
static const struct example set_examples[] = {
    {"Another policy for a sandbox that runs", "openshell policy set dev --policy wider.yaml --wait"},
};
static const struct exit_row set_exits[] = {
    {0, "The policy was taken; with --wait: is in force, or another one is by now"},
    {1, "It was not, or did not load"},
    {2, "The command line is wrong"},
    {124, "With --wait: it had not loaded within --timeout"},
};

static int set_global(struct cli *cli, const struct args *a, struct gateway *g,
                      Openshell__V1__UpdateConfigRequest *req)
{
    ProtobufCMessage *m = NULL;
    char hash[POLICY_HASH_SIZE];
    int status = args_count(a, &set_opts[OPT_YES]) > 0
                     ? 0
                     : show_confirm(cli, "Set it for every sandbox, in place of their own policies?");
    if (status == 0)
        status = gateway_open(cli, a, g);
    if (status == 0)
        status = gateway_call(cli, g, RPC_OPEN_SHELL_UPDATE_CONFIG, &req->base, "take the policy", &m);
    if (status != 0)
        return status;
    const Openshell__V1__UpdateConfigResponse *out = GATEWAY_ANSWER(Openshell__V1__UpdateConfigResponse, m);
    policy_short_hash(out->policy_hash, hash);
    show_err(cli, SHOW_DONE, "Global policy configured (hash: %s, settings revision: %llu)", hash,
             (unsigned long long)out->settings_revision);
    return 0;
}

static int set_sandbox(struct cli *cli, const struct args *a, struct gateway *g,
                       Openshell__V1__UpdateConfigRequest *req)
{
    int status = gateway_open(cli, a, g);
    if (status != 0)
        return status;
    const char *name = sandbox_name(cli, a, g);
    if (!name)
        return EXIT_FAILED;
    req->name = gateway_text(name);
    req->workspace = g->workspace;
    const struct policy_submit s = {.req = req,
                                    .wait = args_count(a, &set_opts[OPT_WAIT]) > 0,
                                    .timeout_s = args_u32(a, &set_opts[OPT_TIMEOUT])};
    return policy_submit(cli, g, &s);
}

static int set_run(struct cli *cli, const struct args *a)
{
    CLEANUP(policy_file_done) struct policy_file f;
    CLEANUP(gateway_done) struct gateway g;
    policy_file_init(&f);
    gateway_init(&g);
    struct err err = {};
    const char *path = args_value(a, &set_opts[OPT_POLICY]);
    bool global = args_count(a, &set_opts[OPT_GLOBAL]) > 0;
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    if (global && args_count(a, &set_opts[OPT_WAIT]) > 0)
        return report(cli, "each sandbox loads it when it can", "--global cannot be waited for");
    if (global && a->words_n > 0)
        return report(cli, NULL, "--global is about every sandbox: leave the name out");
    enum err_code r = policy_file_load(path, &f, &err);
    if (r != ERR_OK)
        return policy_file_report(cli, path, &f, r, &err);
    if (policy_to_wire(f.policy, &f.arena, &req.policy, &err) != ERR_OK)
        return report(cli, err.msg, "a gateway cannot be given %s", path);
    req.global = global;
    return global ? set_global(cli, a, &g, &req) : set_sandbox(cli, a, &g, &req);
}

const struct command policy_set_command = {
    .name = "set",
    .alias = "",
    .section = "COMMANDS",
    .about = "Give a sandbox another policy while it runs",
    .text = "The file is checked first. Network rules may change, and folders be added; what else a policy "
            "says is "
            "fixed when a sandbox starts, and the gateway refuses to change it. Connections that the new "
            "policy does "
            "not admit are cut.",
    COMMAND_TABLE(opts, set_opts),
    COMMAND_TABLE(args, name_args),
    COMMAND_TABLE(examples, set_examples),
    COMMAND_TABLE(exits, set_exits),
    .run = set_run,
};

// ---- delete

enum { DELETE_GLOBAL, DELETE_YES };
static const struct opt delete_opts[] = {
    [DELETE_GLOBAL] = {.name = "global",
                       .type = OPT_FLAG,
                       .help = "The policy of every sandbox; there is no other"},
    [DELETE_YES] = {.name = "yes", .type = OPT_FLAG, .help = "Do not ask"},
};

static int delete_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (args_count(a, &delete_opts[DELETE_GLOBAL]) == 0)
        return report(cli, "'openshell policy set' gives a sandbox another one",
                      "a sandbox's own policy cannot be deleted; --global deletes that of all");
    int status = args_count(a, &delete_opts[DELETE_YES]) > 0
                     ? 0
                     : show_confirm(cli, "Delete the global policy, so that sandboxes obey their own again?");
    if (status == 0)
        status = gateway_open(cli, a, &g);
    req.setting_key = gateway_text("policy");
    req.delete_setting = req.global = true;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_UPDATE_CONFIG, &req.base, "delete the policy", &m);
    if (status != 0)
        return status;
    const Openshell__V1__UpdateConfigResponse *out = GATEWAY_ANSWER(Openshell__V1__UpdateConfigResponse, m);
    if (out->deleted)
        show_out(cli, SHOW_DONE, "Deleted global setting policy (revision %llu)",
                 (unsigned long long)out->settings_revision);
    else
        show_out(cli, SHOW_WARNING, "Global setting policy not found");
    return 0;
}

const struct command policy_delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "Delete the policy that holds for every sandbox",
    COMMAND_TABLE(opts, delete_opts),
    .run = delete_run,
};
