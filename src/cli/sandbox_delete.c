// sandbox delete, stop, start: how sandboxes end, rest and go on.
#include "cli/commands.h"
#include "base/clock.h"
#include "cli/sandbox_watch.h"
#include "cli/show.h"

enum { LIST_MAX = 1000, LIFECYCLE_S = 300 };
#define LIFECYCLE_VARIABLE "OPENSHELL_LIFECYCLE_TIMEOUT"

// ---- delete

enum { OPT_ALL };
static const struct opt delete_opts[] = {
    [OPT_ALL] = {.name = "all", .type = OPT_FLAG, .help = "Every sandbox of the workspace"},
};
static const struct arg delete_args[] = {{.name = "NAME",
                                          .type = OPT_STRING,
                                          .repeat = true,
                                          .optional = true,
                                          .kind = "sandbox",
                                          .help = "Their names"}};
static const struct example delete_examples[] = {
    {"End one and what it runs", "openshell sandbox delete dev"},
    {"End all of them", "openshell sandbox delete --all"},
};

// As gateway_ask(), for what takes a driver's time.
static enum err_code ask_long(struct gateway *g, enum rpc_method_id method, const ProtobufCMessage *req,
                              ProtobufCMessage **ret, struct err *reterr)
{
    const struct rpc_wait wait = {deadline_in_ms(sandbox_wait_ms(LIFECYCLE_VARIABLE, LIFECYCLE_S)), -1};
    return rpc_unary(g->client, method, req, &wait, &g->arena, ret, reterr);
}

int sandbox_delete(struct cli *cli, struct gateway *g, const char *name)
{
    struct err err = {};
    Openshell__V1__DeleteSandboxRequest req = OPENSHELL__V1__DELETE_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.name = gateway_text(name);
    req.workspace = g->workspace;
    enum err_code r = ask_long(g, RPC_OPEN_SHELL_DELETE_SANDBOX, &req.base, &m, &err);
    if (r != ERR_OK && r != ERR_NOT_FOUND)
        return gateway_report(cli, g, "delete the sandbox", &err);
    registry_clear_last(&g->registry, g->name, g->workspace, name);
    if (r == ERR_OK)
        show_out(cli, SHOW_DONE, "Deleted sandbox %s", name);
    else
        show_out(cli, SHOW_WARNING, "Sandbox %s not found", name);
    cli_flush(cli);
    return 0;
}

static int delete_all(struct cli *cli, struct gateway *g)
{
    Openshell__V1__ListSandboxesRequest req = OPENSHELL__V1__LIST_SANDBOXES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.limit = LIST_MAX;
    req.workspace = g->workspace;
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_LIST_SANDBOXES, &req.base, "list sandboxes", &m);
    if (status != 0)
        return status;
    const Openshell__V1__ListSandboxesResponse *out = GATEWAY_ANSWER(Openshell__V1__ListSandboxesResponse, m);
    if (out->n_sandboxes == 0)
        buf_add(&cli->out, STR("No sandboxes to delete.\n"));
    for (size_t i = 0; status == 0 && i < out->n_sandboxes; i++)
        if (out->sandboxes[i]->metadata)
            status = sandbox_delete(cli, g, out->sandboxes[i]->metadata->name);
    return status;
}

static int delete_run(struct cli *cli, const struct args *a)
{
    bool all = args_count(a, &delete_opts[OPT_ALL]) > 0;
    if (all && a->words_n > 0)
        return report_usage(cli, a, NULL, "the argument '[NAME]...' cannot be used with '--all'");
    if (!all && a->words_n == 0)
        return report_usage(cli, a, NULL,
                            "the following required arguments were not provided:\n  <NAME>... or --all");
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    if (status == 0 && all)
        return delete_all(cli, &g);
    for (size_t i = 0; status == 0 && i < a->words_n; i++)
        status = sandbox_delete(cli, &g, a->words[i]);
    return status;
}

const struct command sandbox_delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "End sandboxes and all that runs in them",
    .text = "A name that there is no sandbox of is said, and is no failure.",
    COMMAND_TABLE(opts, delete_opts),
    COMMAND_TABLE(args, delete_args),
    COMMAND_TABLE(examples, delete_examples),
    .run = delete_run,
};

// ---- stop, start

static const struct arg one_args[] = {SANDBOX_NAME_ARG};

// The rest of both: waits for the phase, and says so.
static int settle(struct cli *cli, struct gateway *g, ProtobufCMessage *m, const char *done,
                  Openshell__V1__SandboxPhase want)
{
    struct err err = {};
    const Openshell__V1__Sandbox *s = NULL;
    if (sandbox_of(m, &s, &err) != ERR_OK)
        return report(cli, err.msg, "the gateway's answer is not understood");
    const struct sandbox_wait wait = {.id = s->metadata->id,
                                      .name = s->metadata->name,
                                      .want = want,
                                      .idle_ms = sandbox_wait_ms(LIFECYCLE_VARIABLE, LIFECYCLE_S),
                                      .variable = LIFECYCLE_VARIABLE};
    int status = sandbox_is(s, want) ? 0 : sandbox_wait(cli, g, &wait, &s);
    if (status == 0)
        show_out(cli, SHOW_DONE, "%s sandbox %s", done, wait.name);
    return status;
}

// Opens the gateway and says which sandbox is meant.
static int open_named(struct cli *cli, const struct args *a, struct gateway *g, char **name, char **workspace)
{
    gateway_init(g);
    int status = gateway_open(cli, a, g);
    const char *named = status == 0 ? sandbox_name(cli, a, g) : NULL;
    if (!named)
        return status ? status : EXIT_FAILED;
    *name = gateway_text(named);
    *workspace = g->workspace;
    return 0;
}

static int stop_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    struct err err = {};
    Openshell__V1__StopSandboxRequest req = OPENSHELL__V1__STOP_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = open_named(cli, a, &g, &req.name, &req.workspace);
    if (status != 0)
        return status;
    if (ask_long(&g, RPC_OPEN_SHELL_STOP_SANDBOX, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "stop the sandbox", &err);
    return settle(cli, &g, m, "Stopped", OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED);
}

static const struct example stop_examples[] = {
    {"Free its memory and processor, and keep its files", "openshell sandbox stop dev"}};

const struct command sandbox_stop_command = {
    .name = "stop",
    .alias = "",
    .section = "COMMANDS",
    .about = "End the processes of a sandbox and keep its files",
    COMMAND_TABLE(args, one_args),
    COMMAND_TABLE(examples, stop_examples),
    .run = stop_run,
};

static int start_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    struct err err = {};
    Openshell__V1__StartSandboxRequest req = OPENSHELL__V1__START_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = open_named(cli, a, &g, &req.name, &req.workspace);
    if (status != 0)
        return status;
    if (ask_long(&g, RPC_OPEN_SHELL_START_SANDBOX, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "start the sandbox", &err);
    return settle(cli, &g, m, "Started", OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY);
}

static const struct example start_examples[] = {
    {"Run its command again, on the files it left", "openshell sandbox start dev"}};

const struct command sandbox_start_command = {
    .name = "start",
    .alias = "",
    .section = "COMMANDS",
    .about = "Start a sandbox that was stopped",
    COMMAND_TABLE(args, one_args),
    COMMAND_TABLE(examples, start_examples),
    .run = start_run,
};
