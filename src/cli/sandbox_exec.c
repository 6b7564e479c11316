// sandbox exec, connect: commands and the user in a sandbox that runs.
#include <unistd.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/request_maps.h"
#include "cli/sandbox.h"
#include "cli/show.h"

REQUEST_MAP(fill_env, Openshell__V1__ExecSandboxRequest__EnvironmentEntry,
            openshell__v1__exec_sandbox_request__environment_entry__init)

enum { LOST_STATUS = 255 }; // as ssh says it: no program's own status can be told

// ---- exec

enum { OPT_NAME, OPT_WORKDIR, OPT_TIMEOUT, OPT_TTY, OPT_NO_TTY, OPT_ENV };
static const struct opt exec_opts[] = {
    [OPT_NAME] = {.name = "name",
                  .letter = 'n',
                  .type = OPT_STRING,
                  .value = "NAME",
                  .kind = "sandbox",
                  .help = "The sandbox; without it the one that was used last"},
    [OPT_WORKDIR] = {.name = "workdir",
                     .type = OPT_STRING,
                     .value = "DIR",
                     .help = "The folder inside to run it in"},
    [OPT_TIMEOUT] = {.name = "timeout",
                     .type = OPT_U32,
                     .value = "SECONDS",
                     .def = "0",
                     .help = "Kill it after so long, exit status 124; 0: never"},
    [OPT_TTY] = {.name = "tty",
                 .type = OPT_FLAG,
                 .repeat = true,
                 .help = "Give it a terminal; it has one without asking where input and output are one"},
    [OPT_NO_TTY] = {.name = "no-tty", .type = OPT_FLAG, .repeat = true, .help = "Give it none"},
    [OPT_ENV] = {.name = "env",
                 .type = OPT_STRING,
                 .value = "K=V",
                 .repeat = true,
                 .help = "A variable of the command"},
};
static const struct arg exec_args[] = {
    {.name = "COMMAND", .type = OPT_STRING, .repeat = true, .place = ARG_REST, .help = "What to run"},
};
static const struct example exec_examples[] = {
    {"One command", "openshell sandbox exec -n dev -- ls -la"},
    {"A shell", "openshell sandbox exec -n dev bash"},
    {"Bring files in", "tar c src | openshell sandbox exec -n dev -- tar x"},
};
static const struct exit_row exec_exits[] = {
    {0, "The command succeeded"},
    {1, "The command failed so, or could not be run, which is reported"},
    {2, "The command line is wrong, or the command failed so"},
    {124, "It had not ended within --timeout"},
};

bool sandbox_wants_tty(const struct args *a, const struct opt *tty, const struct opt *no_tty)
{
    if (args_count(a, tty) + args_count(a, no_tty) > 0)
        return args_later(a, tty, no_tty);
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static int exec_at(struct cli *cli, struct gateway *g, const char *name,
                   Openshell__V1__ExecSandboxRequest *req)
{
    struct err err = {};
    const Openshell__V1__Sandbox *s = NULL;
    if (sandbox_fetch(g, name, &s, &err) != ERR_OK)
        return gateway_report(cli, g, "find the sandbox", &err);
    const char *why = sandbox_why(s, &g->arena);
    if (!sandbox_is(s, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY))
        return report(cli, why[0] ? why : NULL, "sandbox '%s' is not ready: it is in phase %s", name,
                      sandbox_phase(s));
    req->sandbox_id = s->metadata->id;
    const struct attach at = {.start = req, .name = name, .lost_status = EXIT_FAILED};
    int status = attach_run(cli, g, &at);
    sandbox_note_last(cli, g, name);
    return status;
}

static int exec_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    struct err err = {};
    const char *workdir = args_value(a, &exec_opts[OPT_WORKDIR]);
    Openshell__V1__ExecSandboxRequest req = OPENSHELL__V1__EXEC_SANDBOX_REQUEST__INIT;
    for (size_t i = 0; i < args_count(a, &exec_opts[OPT_ENV]); i++)
        if (request_env_check(args_nth(a, &exec_opts[OPT_ENV], i), &err) != ERR_OK)
            return report(cli, NULL, "%s", err.msg);
    if (fill_env(&g.arena, a, &exec_opts[OPT_ENV], &req.environment, &req.n_environment, &err) != ERR_OK)
        return report(cli, NULL, "%s", err.msg);
    req.command = (char **)(uintptr_t)a->words; // protobuf-c has no const
    req.n_command = a->words_n;
    req.workdir = gateway_text(workdir ? workdir : "");
    req.timeout_seconds = args_u32(a, &exec_opts[OPT_TIMEOUT]);
    req.tty = sandbox_wants_tty(a, &exec_opts[OPT_TTY], &exec_opts[OPT_NO_TTY]);
    int status = gateway_open(cli, a, &g);
    const char *name = status == 0 ? sandbox_name_or_last(cli, &g, args_value(a, &exec_opts[OPT_NAME]))
                                   : NULL;
    if (!name)
        return status ? status : EXIT_FAILED;
    return exec_at(cli, &g, name, &req);
}

const struct command sandbox_exec_command = {
    .name = "exec",
    .alias = "",
    .section = "COMMANDS",
    .about = "Run a command in a sandbox and come back with its exit status",
    .text =
        "Standard input, output and error are the command's. With a terminal, every key is its, Ctrl-C too; "
        "without one, Ctrl-C is sent to it as a signal, and a second one ends this command alone. Options "
        "stand "
        "in front of the command.",
    COMMAND_TABLE(opts, exec_opts),
    COMMAND_TABLE(args, exec_args),
    COMMAND_TABLE(examples, exec_examples),
    COMMAND_TABLE(exits, exec_exits),
    .run = exec_run,
};

// ---- connect

static const struct arg connect_args[] = {SANDBOX_NAME_ARG};
static const struct example connect_examples[] = {{"Come back to an agent", "openshell sandbox connect dev"}};

int sandbox_attach(struct cli *cli, struct gateway *g, const Openshell__V1__Sandbox *s, bool spare_input)
{
    Openshell__V1__ExecSandboxRequest req = OPENSHELL__V1__EXEC_SANDBOX_REQUEST__INIT;
    req.sandbox_id = s->metadata->id;
    req.attach_main = true;
    req.tty = s->spec && s->spec->tty;
    const struct attach at = {.start = &req,
                              .name = s->metadata->name,
                              .detachable = true,
                              .spare_input = spare_input,
                              .lost_status = LOST_STATUS};
    return attach_run(cli, g, &at);
}

static int connect_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const Openshell__V1__Sandbox *s = NULL;
    int status = sandbox_open(cli, a, &g, &s);
    if (status != 0)
        return status;
    sandbox_note_last(cli, &g, s->metadata->name);
    return sandbox_attach(cli, &g, s, true);
}

const struct command sandbox_connect_command = {
    .name = "connect",
    .alias = "",
    .section = "COMMANDS",
    .about = "Attach to the main process of a sandbox",
    .text = "What it has printed lately is shown first. Ctrl-P Ctrl-Q leaves it running and comes back to "
            "the shell; "
            "the exit status is 0 then, else that of the process, and 255 where the connection is lost. One "
            "terminal "
            "at a time has its input.",
    COMMAND_TABLE(args, connect_args),
    COMMAND_TABLE(examples, connect_examples),
    .run = connect_run,
};
