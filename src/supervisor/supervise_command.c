#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/commands.h"
#include "supervisor/credentials.h"
#include "supervisor/inference.h"
#include "supervisor/launch_args.h"
#include "supervisor/session/session.h"

enum {
    OPT_ENDPOINT,
    OPT_ID,
    OPT_TOKEN_FILE,
    OPT_TLS_CA,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_NAME,
    OPT_ROOTFS,
    OPT_WORKDIR,
    OPT_HOME,
    OPT_LOG,
    OPT_LOG_JSON,
    OPT_MEMORY,
    OPT_PIDS,
    OPT_CPUS,
    OPT_SCRATCH
};

enum {
    ID_MAX = 63,       // bytes of a sandbox's id, as the gateway has it
    FETCH_MS = 60'000, // for the gateway to be there at the start
};

static const struct opt supervise_opts[] = {
    [OPT_ENDPOINT] = {.name = "endpoint",
                      .type = OPT_STRING,
                      .value = "URL",
                      .required = true,
                      .env = "OPENSHELL_ENDPOINT",
                      .help = "The gateway: unix:///path, http://address:port or https://host:port"},
    [OPT_ID] = {.name = "sandbox-id",
                .type = OPT_STRING,
                .value = "ID",
                .required = true,
                .env = "OPENSHELL_SANDBOX_ID",
                .help = "Which of its sandboxes this is"},
    [OPT_TOKEN_FILE] = {.name = "token-file",
                        .type = OPT_PATH,
                        .value = "FILE",
                        .env = "OPENSHELL_SANDBOX_TOKEN_FILE",
                        .help = "The token by which the gateway knows this sandbox; read again for each "
                                "connection. Without it OPENSHELL_SANDBOX_TOKEN is the token itself"},
    [OPT_TLS_CA] = {.name = "tls-ca",
                    .type = OPT_PATH,
                    .value = "FILE",
                    .env = "OPENSHELL_TLS_CA",
                    .help = "For https: who signs the gateway's certificate, as PEM; what the system trusts "
                            "otherwise"},
    [OPT_TLS_CERT] = {.name = "tls-cert",
                      .type = OPT_PATH,
                      .value = "FILE",
                      .env = "OPENSHELL_TLS_CERT",
                      .help = "For https: the certificate to show, as PEM"},
    [OPT_TLS_KEY] = {.name = "tls-key",
                     .type = OPT_PATH,
                     .value = "FILE",
                     .env = "OPENSHELL_TLS_KEY",
                     .help = "Its key, as PEM"},
    [OPT_TLS_NAME] = {.name = "tls-server-name",
                      .type = OPT_STRING,
                      .value = "NAME",
                      .env = "OPENSHELL_GATEWAY_TLS_SERVER_NAME",
                      .help = "The name in the gateway's certificate, where it is not the endpoint's host"},
    [OPT_ROOTFS] = LAUNCH_OPT_ROOTFS,
    [OPT_WORKDIR] = {.name = "workdir",
                     .letter = 'w',
                     .type = OPT_PATH,
                     .value = "DIR",
                     .help = "A folder of the host that commands work in, at the same path; the gateway's "
                             "word otherwise, and /sandbox without one"},
    [OPT_HOME] =
        {.name = "home",
         .type = OPT_PATH,
         .value = "DIR",
         .help = "A folder of the host that is /sandbox and stays when the sandbox ends; it is given "
                 "to the agent's user"},
    [OPT_LOG] = {.name = "log",
                 .type = OPT_PATH,
                 .value = "FILE",
                 .help = "Append every event to this file, one line each, besides pushing it to the gateway; "
                         "rotated at 16 MiB, three files are kept"},
    [OPT_LOG_JSON] = LAUNCH_OPT_LOG_JSON,
    [OPT_MEMORY] = LAUNCH_OPT_MEMORY,
    [OPT_PIDS] = LAUNCH_OPT_PIDS,
    [OPT_CPUS] = LAUNCH_OPT_CPUS,
    [OPT_SCRATCH] = LAUNCH_OPT_SCRATCH,
};

static const struct example supervise_examples[] = {
    {"As a compute driver starts it",
     "openshell-sandbox supervise --endpoint unix:///run/openshell/gateway.sock --sandbox-id "
     "0b8d1c52-9f6e-4c1d-8a53-6f1f4f0f7f10 --token-file token"},
};

static const struct exit_row supervise_exits[] = {
    {125, "The sandbox could not be set up, or one of its processes died"},
};

// A command's descriptors are above these (ns_spawn), and what is said goes somewhere.
static bool standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int start(struct cli *cli, struct launch_opts *o)
{
    struct plan p;
    struct diags diags;
    struct err err = {};
    int status = EXIT_SETUP;
    enum err_code r = plan_new(o, &p, &diags, &err);
    if (r != ERR_OK) {
        session_refuse(o->session, &err);
        status = launch_plan_failed(cli, "the gateway's policy", &p, &diags, &err);
    } else if (launch(o, &p, &status, &err) != ERR_OK) {
        (void)report(cli, err.msg, "the sandbox ended");
        status = EXIT_SETUP;
    }
    plan_done(&p);
    return status;
}

static int supervise(struct cli *cli, struct launch_opts *o)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    struct session_launch got = {};
    struct err err = {};
    enum err_code r = session_fetch(o->session, deadline_in_ms(FETCH_MS), &a, &got, &err);
    if (r == ERR_OK && !launch_is_name(got.name))
        r = err_set(&err, ERR_INVALID, "the gateway's name for it, '%s', is not a host name", got.name);
    if (r != ERR_OK) {
        if (r == ERR_INVALID || r == ERR_UNSUPPORTED)
            session_refuse(o->session, &err);
        (void)report(cli, err.msg, "the sandbox cannot be set up");
        return EXIT_SETUP;
    }
    o->policy_text = got.policy;
    o->name = got.name;
    o->argv = got.argv;
    o->env = got.env;
    o->tty = got.tty;
    o->workdir = o->workdir ? o->workdir : got.workdir;
    o->verbose = o->verbose || got.verbose;
    return start(cli, o);
}

static int supervise_run(struct cli *cli, const struct args *a)
{
    const char *root = args_value(a, &supervise_opts[OPT_ROOTFS]);
    struct session_opts opts = {.endpoint = args_value(a, &supervise_opts[OPT_ENDPOINT]),
                                .sandbox_id = args_value(a, &supervise_opts[OPT_ID]),
                                .token_file = args_value(a, &supervise_opts[OPT_TOKEN_FILE]),
                                .token = getenv("OPENSHELL_SANDBOX_TOKEN"),
                                .tls_ca = args_value(a, &supervise_opts[OPT_TLS_CA]),
                                .tls_cert = args_value(a, &supervise_opts[OPT_TLS_CERT]),
                                .tls_key = args_value(a, &supervise_opts[OPT_TLS_KEY]),
                                .tls_name = args_value(a, &supervise_opts[OPT_TLS_NAME])};
    struct launch_opts o = {.root = strcmp(root, "host") == 0 ? NULL : root,
                            .workdir = args_value(a, &supervise_opts[OPT_WORKDIR]),
                            .home = args_value(a, &supervise_opts[OPT_HOME]),
                            .log = args_value(a, &supervise_opts[OPT_LOG]),
                            .log_json = args_value(a, &supervise_opts[OPT_LOG_JSON]),
                            .id = opts.sandbox_id,
                            .verbose = cli->log.level > LOG_LEVEL_WARNING};
    const struct launch_limits limits = {.memory = &supervise_opts[OPT_MEMORY],
                                         .pids = &supervise_opts[OPT_PIDS],
                                         .cpus = &supervise_opts[OPT_CPUS],
                                         .scratch = &supervise_opts[OPT_SCRATCH]};
    struct err err = {};
    size_t id_n = strlen(opts.sandbox_id);
    if (id_n == 0 || id_n > ID_MAX)
        return report_usage(cli, a, "1 to 63 bytes", "--sandbox-id '%s' is no id", opts.sandbox_id);
    if (!launch_limits(cli, a, &limits, &o))
        return EXIT_USAGE;
    if (!standard_fds())
        return report(cli, NULL, "cannot open /dev/null");
    if (credentials_new(&opts.credentials, &err) != ERR_OK ||
        inference_new(&opts.inference, &err) != ERR_OK || session_new(&opts, &o.session, &err) != ERR_OK) {
        credentials_free(opts.credentials);
        inference_free(opts.inference);
        return report(cli, err.msg, "the sandbox cannot be set up");
    }
    o.credentials = opts.credentials;
    o.inference = opts.inference;
    int status = supervise(cli, &o);
    session_free(o.session);
    credentials_free(opts.credentials);
    inference_free(opts.inference);
    return status;
}

const struct command supervise_command = {
    .name = "supervise",
    .alias = "",
    .section = "COMMANDS",
    .about = "Run a sandbox that belongs to a gateway",
    .text = "This is what compute drivers start. The gateway is asked for the sandbox's policy and main "
            "process, and "
            "from then on for what changes: policies are validated as a whole and swapped while the sandbox "
            "runs; "
            "commands, attached readers and ports are relayed; events are pushed. Behind the walls "
            "everything is as "
            "with 'run'.\n\n"
            "The sandbox outlives the connection: it is dialled again, after 100 ms and then less often, up "
            "to every 2 "
            "seconds, for as long as the sandbox runs. When the main process has ended, the gateway is told, "
            "and the "
            "sandbox stays for further commands. SIGTERM and SIGINT end it: the main process gets SIGTERM, "
            "and what is "
            "left after 5 seconds is killed.",
    COMMAND_TABLE(opts, supervise_opts),
    COMMAND_TABLE(examples, supervise_examples),
    COMMAND_TABLE(exits, supervise_exits),
    .run = supervise_run,
};
