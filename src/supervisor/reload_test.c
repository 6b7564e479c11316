// The launcher's side and the command's, without a sandbox: the egress and init are children that answer as
// told.
#include "supervisor/reload.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/control.h"
#include "supervisor/eventlog.h"
#include "supervisor/launcher.h"
#include "tap.h"

enum { SILENT = -1, CUT = 3, NOBODY = 2147483647 };

#define EMPTY "version: 1\n"
#define RANGE                                                                                                \
    "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{host: 93.184.216.34, port: 443}]\n"               \
    "    binaries: [{path: /usr/bin/curl}]\n"

static const struct row {
    const char *text;
    int egress, init; // what they answer, enum err_code; SILENT: nothing
    bool running;
    enum err_code code;
    uint64_t generation; // that the launcher then has, of 7 before
    const char *msg, *rule;
} rows[] = {
    {EMPTY, ERR_OK, SILENT, true, ERR_OK, 8, "",
     "a policy is taken; init is not asked where no range changes"},
    {RANGE, ERR_OK, ERR_OK, true, ERR_OK, 8, "", "init is asked where one does"},
    {EMPTY, ERR_OK, ERR_OK, false, ERR_PRECONDITION, 7, "the sandbox is not running yet",
     "not before the agent runs"},
    {"version: 9\n", ERR_OK, ERR_OK, true, ERR_INVALID, 7, NULL, "what is not valid changes nothing"},
    {"version: 1\nprocess: {run_as_user: \"4\"}\n", ERR_OK, ERR_OK, true, ERR_PRECONDITION, 7, NULL,
     "what is fixed changes nothing"},
    {EMPTY, ERR_LIMIT, ERR_OK, true, ERR_LIMIT, 7, "as told", "an egress that refuses keeps its policy"},
    {RANGE, ERR_OK, ERR_INTERNAL, true, ERR_INTERNAL, 7, "as told", "ranges that cannot be captured stop it"},
    {RANGE, ERR_OK, SILENT, true, ERR_TIMEOUT, 7, "no answer in 3000 ms",
     "so does an init that does not answer: the egress was not asked"},
};

// One of the launcher's children: answers every request with `code`.
static int child(int code, pid_t *ret_pid)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    (void)fflush(stdout);
    *ret_pid = fork();
    if (*ret_pid != 0) {
        (void)close(pair[1]);
        return pair[0];
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(pair[0]);
    struct ctl_msg m;
    struct err e;
    int fds[CTL_START_FDS] = {};
    size_t n;
    while (ctl_recv(pair[1], &m, fds, &n, &e) == ERR_OK) {
        if (n == 1)
            (void)close(fds[0]);
        struct ctl_msg answer = {.kind = CTL_DONE,
                                 .code = (uint32_t)code,
                                 .generation = m.generation,
                                 .cut = m.kind == CTL_POLICY ? CUT : 0};
        (void)snprintf(answer.msg, sizeof(answer.msg), "as told");
        if (code != SILENT && ctl_send(pair[1], &answer, NULL, 0, &e) != ERR_OK)
            break;
    }
    _exit(0);
}

// The command, in a process of its own: exits with the code, having written the message to `out`.
static pid_t command(pid_t launcher, const char *text, int out)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct err e = {}, ignored;
    uint64_t generation = 0;
    uint32_t cut = 0;
    enum err_code r = reload_ask(launcher, str_of(text), &generation, &cut, &e);
    char said[500];
    int n = r == ERR_OK ? snprintf(said, sizeof(said), "generation %d, cut %u", (int)generation, cut)
                        : snprintf(said, sizeof(said), "%s", e.msg);
    (void)!fd_write_all(out, (struct str){said, (size_t)n}, &ignored);
    _exit((int)r);
}

static void done(struct launcher *l, pid_t egress, pid_t init)
{
    fd_close(&l->egress);
    fd_close(&l->init);
    (void)waitpid(egress, NULL, 0);
    (void)waitpid(init, NULL, 0);
    fd_close(&l->reloads);
    arena_done(&l->policy_arena);
}

static void ask(const struct row *t, struct eventlog *log)
{
    static struct cidr none[1];
    struct policy running = {.landlock = {.compatibility = STR("best_effort")}};
    struct plan plan = {.policy = &running, .spec = {.ranges = none}, .workdir_fd = -1};
    struct launch_opts opts = {.name = "test"};
    struct launcher l = {.opts = &opts, .plan = &plan, .log = log, .generation = 7, .agent = t->running};
    struct diags diags;
    struct err e = {};
    CLEANUP(arena_done) struct arena first;
    arena_init(&first, 8 * MIB);
    diags_init(&diags, &first);
    pid_t egress = 0, init = 0;
    int said[2], status = 0;
    bool ok = policy_load(STR(EMPTY), POLICY_USE_FILE, &first, &plan.policy, &diags, &e) == ERR_OK;
    l.egress = child(t->egress, &egress);
    l.init = child(t->init, &init);
    ok = ok && reload_listen(&l.reloads, &e) == ERR_OK && pipe(said) == 0;
    if (!ok) {
        (void)tap_ok(false, "%s: cannot start: %s", t->rule, e.msg);
        return;
    }
    const struct policy *before = plan.policy;
    pid_t asker = command(getpid(), t->text, said[1]);
    struct pollfd p = {.fd = l.reloads, .events = POLLIN};
    (void)poll(&p, 1, 10000);
    reload_accept(&l);
    (void)close(said[1]);
    (void)waitpid(asker, &status, 0);
    CLEANUP(buf_done) struct buf text = {};
    ok = fd_read_all(said[0], KIB, &text, &e) == ERR_OK;
    (void)close(said[0]);
    const char *want = t->code == ERR_OK ? "generation 8, cut 3" : t->msg;
    ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == (int)t->code && l.generation == t->generation &&
         (plan.policy != before) == (t->code == ERR_OK) && (!want || str_eq(buf_str(&text), str_of(want)));
    if (!tap_ok(ok, "%s", t->rule))
        tap_note("status %x, generation %d: %.*s", (unsigned)status, (int)l.generation,
                 STR_FMT(buf_str(&text)));
    done(&l, egress, init);
}

static void nobody(void)
{
    uint64_t generation;
    uint32_t cut;
    struct err e = {};
    (void)tap_ok(reload_ask(NOBODY, STR(EMPTY), &generation, &cut, &e) == ERR_NOT_FOUND &&
                     strstr(e.msg,
                            "no sandbox with pid 2147483647: give the pid of the 'openshell-sandbox run'"),
                 "a pid that is no sandbox is said");
}

int main(void)
{
    struct eventlog *log = NULL;
    struct err e = {};
    char path[] = "/tmp/reload-test-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0 || eventlog_open(path, false, &log, &e) != ERR_OK) {
        (void)tap_ok(false, "a file of events: %s", e.msg);
        return tap_done();
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ask(&rows[i], log);
    nobody();
    eventlog_free(log);
    CLEANUP(buf_done) struct buf text = {};
    bool ok = file_read(path, MIB, &text, &e) == ERR_OK;
    (void)unlink(path);
    (void)tap_ok(ok && strstr(text.p, "Policy reloaded [generation:8 cut:3]") &&
                     strstr(text.p, "Policy reload failed, the previous one stays [generation:7] as told"),
                 "each is an event");
    return tap_done();
}
