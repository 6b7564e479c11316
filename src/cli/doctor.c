// doctor check: whether this machine can run sandboxes, and whether a gateway runs.
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/sibling.h"
#include "cli/show.h"

enum { LABEL_WIDTH = 20, OUTPUT_MAX = 64 * KIB };

// "  Docker ............. ", and what follows on that line.
static void label(struct cli *cli, const char *name)
{
    buf_addf(&cli->out, "  %s ", name);
    buf_pad(&cli->out, '.', LABEL_WIDTH - strlen(name));
    buf_addc(&cli->out, ' ');
}

static void verdict(struct cli *cli, bool ok, const char *what)
{
    term_put(&cli->out, &cli->out_term, ok ? STYLE_GREEN : STYLE_RED, "%s", ok ? "ok" : "FAILED");
    if (what[0])
        buf_addf(&cli->out, " (");
    term_name(&cli->out, what);
    buf_add(&cli->out, what[0] ? STR(")\n") : STR("\n"));
}

// Runs it; what it says is in *out. Returns its exit status, -1 where it could not be run.
static int run_program(const char *path, const char *word, struct buf *out, struct err *reterr)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_fill(reterr, fd_code(errno), "%s", fd_strerror(errno));
        return -1;
    }
    CLEANUP(fd_close) int in = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)word, NULL};
        if (dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
            _exit(127);
        execv(path, argv);
        _exit(127);
    }
    int failed = errno, status = 0;
    (void)close(ends[1]);
    if (pid < 0) {
        err_fill(reterr, fd_code(failed), "%s", fd_strerror(failed));
        return -1;
    }
    bool ok = fd_read_all(in, OUTPUT_MAX, out, reterr) == ERR_OK;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ok && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool check_sandboxes(struct cli *cli)
{
    char path[SIBLING_PATH_SIZE];
    CLEANUP(buf_done) struct buf said = {};
    struct err err = {};
    label(cli, "Sandboxes");
    if (!sibling_find("openshell-sandbox", path)) {
        verdict(cli, false, "openshell-sandbox is neither beside this program nor on PATH");
        return false;
    }
    cli_flush(cli);
    int status = run_program(path, "doctor", &said, &err);
    verdict(cli, status == 0, status < 0 ? err.msg : "");
    struct str rest = buf_str(&said), line;
    while (str_line(&rest, &line)) { // its own findings
        char text[400];
        (void)snprintf(text, sizeof(text), "%.*s", line.n < 390 ? (int)line.n : 390, line.n ? line.p : "");
        buf_addf(&cli->out, "    ");
        term_name(&cli->out, text);
        buf_addc(&cli->out, '\n');
    }
    return status == 0;
}

// One that does not run is started when it is needed, unless it is somebody else's or cannot be.
static bool check_gateway(struct cli *cli, const struct args *a)
{
    struct err err = {};
    char path[SIBLING_PATH_SIZE], text[500];
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    label(cli, "Gateway");
    enum err_code r = gateway_choose(a, &g, &err);
    if (r == ERR_OK)
        r = gateway_dial(&g, &err);
    if (r == ERR_OK)
        r = gateway_ask(&g, RPC_OPEN_SHELL_HEALTH, &req.base, &m, &err);
    if (r == ERR_OK) {
        (void)snprintf(text, sizeof(text), "%.200s, version %.100s", g.name,
                       GATEWAY_ANSWER(Openshell__V1__HealthResponse, m)->version);
        verdict(cli, true, text);
        return true;
    }
    bool startable = g.is_own && r == ERR_UNAVAILABLE && sibling_find("openshell-gateway", path);
    verdict(cli, startable, startable ? "none runs; the first command that needs one starts it" : err.msg);
    return startable;
}

static void show_docker(struct cli *cli)
{
    char path[SIBLING_PATH_SIZE];
    const char *host = getenv("DOCKER_HOST");
    label(cli, "Docker");
    buf_addf(&cli->out, "%s\n", sibling_find("docker", path) ? "installed, and not needed" : "not needed");
    label(cli, "DOCKER_HOST");
    term_name(&cli->out, host && host[0] ? host : "(not set, using default socket)");
    buf_addc(&cli->out, '\n');
}

static int check_run(struct cli *cli, const struct args *a)
{
    buf_addf(&cli->out, "Checking system prerequisites...\n\n");
    bool ok = check_sandboxes(cli);
    ok = check_gateway(cli, a) && ok;
    show_docker(cli);
    if (!ok)
        return report(cli, "the lines above that say FAILED tell why", "this machine is not ready");
    buf_addf(&cli->out, "\nAll checks passed.\n");
    return 0;
}

static const struct command doctor_check_command = {
    .name = "check",
    .alias = "",
    .section = "COMMANDS",
    .about = "Check that this machine can run sandboxes",
    .text =
        "Asks openshell-sandbox what the kernel lacks, and the gateway whether it lives. Changes nothing and "
        "starts nothing that stays.",
    .run = check_run,
};

static const struct command *const doctor_subs[] = {&doctor_check_command};

const struct command doctor_command = {
    .name = "doctor",
    .alias = "dr",
    .section = "GATEWAY COMMANDS",
    .about = "Check what sandboxes need",
    COMMAND_TABLE(subs, doctor_subs),
};
