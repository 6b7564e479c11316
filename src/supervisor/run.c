#include "cmd/report.h"
#include "supervisor/commands.h"
#include "supervisor/launch_args.h"
#include "supervisor/credentials.h"
#include "supervisor/inference.h"

enum {
    OPT_POLICY,
    OPT_WORKDIR,
    OPT_ROOTFS,
    OPT_ENV,
    OPT_NAME,
    OPT_LOG,
    OPT_LOG_JSON,
    OPT_TTY,
    OPT_MEMORY,
    OPT_PIDS,
    OPT_CPUS,
    OPT_SCRATCH,
    OPT_CREDENTIALS,
    OPT_INFERENCE
};

enum {
    ENV_MAX = 1024, // --env options
};

static const struct opt run_opts[] = {
    [OPT_POLICY] = {.name = "policy",
                    .letter = 'p',
                    .type = OPT_PATH,
                    .value = "FILE",
                    .required = true,
                    .env = "OPENSHELL_SANDBOX_POLICY",
                    .help = "The policy that the command has to obey"},
    [OPT_WORKDIR] =
        {.name = "workdir",
         .letter = 'w',
         .type = OPT_PATH,
         .value = "DIR",
         .help = "A folder of the host that the command works in, at the same path. Without it there is only "
                 "/sandbox, which goes when the command ends"},
    [OPT_ROOTFS] = LAUNCH_OPT_ROOTFS,
    [OPT_ENV] = {.name = "env",
                 .letter = 'e',
                 .type = OPT_STRING,
                 .value = "NAME[=VALUE]",
                 .repeat = true,
                 .help = "Set a variable for the command; without a value, hand over the caller's"},
    [OPT_NAME] = {.name = "name",
                  .type = OPT_STRING,
                  .value = "NAME",
                  .def = "sandbox",
                  .help = "The sandbox's host name, and its name in events"},
    [OPT_LOG] =
        {.name = "log",
         .type = OPT_PATH,
         .value = "FILE",
         .help = "Append every event to this file, one line each; rotated at 16 MiB, three files are kept. "
                 "Without it denials and failures go to standard error, and with -v all events"},
    [OPT_LOG_JSON] = LAUNCH_OPT_LOG_JSON,
    [OPT_TTY] = {.name = "tty",
                 .letter = 't',
                 .type = OPT_FLAG,
                 .help = "Give the command a terminal of its own"},
    [OPT_MEMORY] = LAUNCH_OPT_MEMORY,
    [OPT_PIDS] = LAUNCH_OPT_PIDS,
    [OPT_CPUS] = LAUNCH_OPT_CPUS,
    [OPT_SCRATCH] = LAUNCH_OPT_SCRATCH,
    [OPT_CREDENTIALS] =
        {.name = "credentials",
         .type = OPT_PATH,
         .value = "FILE",
         .help = "Credentials that the command may use without ever seeing them: JSON that only its owner "
                 "may read, described above. The command's variables hold placeholders, which become the "
                 "values on the way to the endpoints that they are bound to. Read again on SIGHUP"},
    [OPT_INFERENCE] =
        {.name = "inference",
         .type = OPT_PATH,
         .value = "FILE",
         .help = "Routes to models, which the command asks at https://inference.local: YAML that only its "
                 "owner may read, described in docs/inference.md. Read again on SIGHUP"},
};

static const struct arg run_args[] = {
    {.name = "COMMAND",
     .type = OPT_STRING,
     .repeat = true,
     .help = "The program and its arguments, behind --"},
};

static const struct example run_examples[] = {
    {"Fetch a repository into this folder",
     "openshell-sandbox run --policy p.yaml --workdir . -- git clone https://github.com/o/r"},
    {"A shell to look around in", "openshell-sandbox run --policy p.yaml --tty -- bash"},
    {"An unpacked image, with limits",
     "openshell-sandbox run -p p.yaml --rootfs ./image --memory 2g --cpus 1 -- make"},
};

static const struct exit_row run_exits[] = {
    {125, "The sandbox could not be set up; the command was not started"},
    {126, "The command was found and could not be run"},
    {127, "There is no such command in the sandbox"},
};

// A value of --env without "=" is the caller's variable.
static bool env_of(struct cli *cli, const struct args *a, const char **env, struct arena *arena)
{
    const char *value;
    for (size_t i = 0; (value = args_nth(a, &run_opts[OPT_ENV], i)); i++) {
        struct str made;
        if (i == ENV_MAX)
            return report(cli, NULL, "more than %d --env options", ENV_MAX), false;
        if (strchr(value, '=')) {
            env[i] = value;
            continue;
        }
        const char *mine = getenv(value);
        if (!mine)
            return report(cli, "it has no value here; write NAME=VALUE", "--env %s", value), false;
        if (!arena_fmt(arena, &made, "%s=%s", value, mine))
            return report(cli, NULL, "--env %s: its value is too long", value), false;
        env[i] = made.p;
    }
    return true;
}

// What the options name is read before anything starts.
static enum err_code provisions(struct launch_opts *o, struct err *err)
{
    enum err_code r = o->credentials_file ? credentials_new(&o->credentials, err) : ERR_OK;
    if (r == ERR_OK && o->credentials_file)
        r = credentials_set_file(o->credentials, o->credentials_file, err);
    if (r == ERR_OK && o->inference_file)
        r = inference_new(&o->inference, err);
    return r == ERR_OK && o->inference_file ? inference_set_file(o->inference, o->inference_file, err) : r;
}

static int run_with(struct cli *cli, struct launch_opts *o)
{
    struct plan p;
    struct diags diags;
    struct err err = {};
    int status = EXIT_SETUP;
    if (provisions(o, &err) != ERR_OK) {
        (void)report(cli, err.msg, "the credentials or the inference routes cannot be used");
        credentials_free(o->credentials);
        inference_free(o->inference);
        return EXIT_SETUP;
    }
    enum err_code r = plan_new(o, &p, &diags, &err);
    if (r != ERR_OK) {
        status = launch_plan_failed(cli, o->policy, &p, &diags, &err);
    } else if (launch(o, &p, &status, &err) != ERR_OK) {
        (void)report(cli, err.msg, "the sandbox ended");
        status = status == 1 ? EXIT_SETUP : status;
    }
    plan_done(&p);
    credentials_free(o->credentials);
    inference_free(o->inference);
    return status;
}

static int run_run(struct cli *cli, const struct args *a)
{
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, 4 * MIB);
    const char **env = arena_newn(&arena, const char *, ENV_MAX + 1);
    const char **argv = arena_newn(&arena, const char *, a->words_n + 1);
    if (!env || !argv)
        return report(cli, NULL, "no memory for the command");
    memcpy(argv, a->words, a->words_n * sizeof(*argv));
    const char *root = args_value(a, &run_opts[OPT_ROOTFS]);
    struct launch_opts o = {.policy = args_value(a, &run_opts[OPT_POLICY]),
                            .workdir = args_value(a, &run_opts[OPT_WORKDIR]),
                            .root = strcmp(root, "host") == 0 ? NULL : root,
                            .log = args_value(a, &run_opts[OPT_LOG]),
                            .log_json = args_value(a, &run_opts[OPT_LOG_JSON]),
                            .name = args_value(a, &run_opts[OPT_NAME]),
                            .credentials_file = args_value(a, &run_opts[OPT_CREDENTIALS]),
                            .inference_file = args_value(a, &run_opts[OPT_INFERENCE]),
                            .argv = argv,
                            .env = env,
                            .tty = args_count(a, &run_opts[OPT_TTY]) > 0,
                            .verbose = cli->log.level > LOG_LEVEL_WARNING};
    if (!launch_is_name(o.name))
        return report_usage(cli, a, "letters, digits and '-', at most 63", "--name %s is not a host name",
                            o.name);
    const struct launch_limits limits = {.memory = &run_opts[OPT_MEMORY],
                                         .pids = &run_opts[OPT_PIDS],
                                         .cpus = &run_opts[OPT_CPUS],
                                         .scratch = &run_opts[OPT_SCRATCH]};
    if (!launch_limits(cli, a, &limits, &o))
        return EXIT_USAGE;
    if (!env_of(cli, a, env, &arena))
        return EXIT_USAGE;
    return run_with(cli, &o);
}

const struct command run_command = {
    .name = "run",
    .alias = "",
    .section = "COMMANDS",
    .about = "Run a command in a sandbox",
    .text = "The command sees the files that the policy names, a network in which every way out leads "
            "through the egress "
            "proxy, and no other process. Before it starts, a probe process that is locked in the same way "
            "tries what must "
            "fail; if one wall is missing, nothing is run.\n\n"
            "Its exit status is passed on (128 and the signal's number where it was killed), and so are "
            "SIGINT, SIGTERM, "
            "SIGQUIT, SIGUSR1 and SIGUSR2. SIGHUP reads the policy file again, and that of the credentials. "
            "When this process ends, by "
            "whatever means, "
            "every process of the sandbox ends.\n\n"
            "The file of --credentials names variables and what they stand for. "
            "docs/credentials.md shows its form. Nobody but its owner may read it.",
    COMMAND_TABLE(args, run_args),
    COMMAND_TABLE(opts, run_opts),
    COMMAND_TABLE(examples, run_examples),
    COMMAND_TABLE(exits, run_exits),
    .run = run_run,
};
