// Facts of the machine one by one, and in the end the only proof that counts: a sandbox that is started.
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cmd/json_out.h"
#include "cmd/report.h"
#include "isolate/landlock.h"
#include "supervisor/commands.h"
#include "supervisor/control.h"
#include "supervisor/launch.h"

enum { OPT_OUTPUT };
static const struct opt doctor_opts[] = {
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = command_table_or_json,
                    .def = "table",
                    .help = "How to print what was found"},
};

enum state { GOOD, WEAK, BAD };
static const char *const state_names[] = {"ok", "weak", "missing"};

struct finding {
    const char *what;
    enum state state;
    char is[400];     // what was found
    char remedy[300]; // empty: none needed
};

enum { FINDINGS_MAX = 8 };

#define say(f, st, ...)                                                                                      \
    do {                                                                                                     \
        (f)->state = (st);                                                                                   \
        (void)snprintf((f)->is, sizeof((f)->is), __VA_ARGS__);                                               \
    } while (0)
#define advise(f, ...) (void)snprintf((f)->remedy, sizeof((f)->remedy), __VA_ARGS__)

static void kernel(struct finding *f)
{
    struct utsname u;
    if (uname(&u) != 0)
        say(f, BAD, "uname failed");
    else
        say(f, GOOD, "%s %s on %s", u.sysname, u.release, u.machine);
}

static void user(struct finding *f)
{
    if (geteuid() == 0)
        say(f, GOOD, "root: the agent gets a user of its own and limits by cgroups");
    else
        say(f, GOOD, "uid %u, by user namespaces: the agent's files are yours, limits are per process",
            geteuid());
}

static uint64_t number_in(const char *path, bool *ret_there)
{
    CLEANUP(buf_done) struct buf text = {};
    struct err ignored;
    uint64_t v = 0;
    *ret_there = file_read(path, 64, &text, &ignored) == ERR_OK &&
                 str_u64(str_trim(buf_str(&text)), UINT64_MAX, &v);
    return v;
}

static void user_namespaces(struct finding *f)
{
    bool there;
    if (number_in("/proc/sys/user/max_user_namespaces", &there) == 0 || !there) {
        say(f, BAD, "the kernel has none, or user.max_user_namespaces is 0");
        advise(f, "sysctl -w user.max_user_namespaces=15000");
    } else if (geteuid() != 0 && number_in("/proc/sys/kernel/unprivileged_userns_clone", &there) == 0 &&
               there) {
        say(f, BAD, "only root may make them");
        advise(f, "sysctl -w kernel.unprivileged_userns_clone=1");
    } else if (geteuid() != 0 &&
               number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &there) != 0) {
        say(f, WEAK, "AppArmor restricts them to programs with a profile");
        advise(f, "give openshell-sandbox a profile with 'userns,', or "
                  "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    } else {
        say(f, GOOD, "allowed");
    }
}

static void landlock(struct finding *f)
{
    int abi;
    struct err e = {};
    if (landlock_probe(&abi, &e) != ERR_OK) {
        say(f, WEAK,
            "%s: only the namespaces keep files apart, and a policy with hard_requirement is refused", e.msg);
        advise(f, "a kernel from 5.13 on, with 'landlock' in its lsm= list");
    } else if (abi < 6) {
        say(f, WEAK,
            "ABI %d: abstract sockets and signals are not covered (from 6 on); the namespaces cover them",
            abi);
    } else {
        say(f, GOOD, "ABI %d", abi);
    }
}

static void filter(struct finding *f)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        say(f, BAD, "the kernel has no system call filters");
        advise(f, "a kernel with CONFIG_SECCOMP_FILTER");
    } else {
        say(f, GOOD, "there");
    }
}

static void dialers(struct finding *f)
{
    const uint32_t action = SECCOMP_RET_USER_NOTIF;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
        say(f, GOOD, "noted when it calls connect()");
    } else {
        say(f, WEAK,
            "by who holds the socket when the connection arrives: the kernel does not notify of connect()");
        advise(
            f,
            "a kernel from 5.5 on with CONFIG_SECCOMP_FILTER; in a container, a profile that allows seccomp");
    }
}

static void cgroups(struct finding *f)
{
    struct stat st;
    bool v2 = stat("/sys/fs/cgroup/cgroup.controllers", &st) == 0, v1 = stat("/sys/fs/cgroup/pids", &st) == 0;
    if (geteuid() != 0)
        say(f, WEAK,
            "an ordinary user makes none without delegation: --memory, --pids and --cpus work per process");
    else if (v1 || v2)
        say(f, GOOD, v2 ? "version 2" : "version 1 controllers");
    else {
        say(f, WEAK, "none are mounted: --memory, --pids and --cpus are refused");
        advise(f, "mount -t cgroup2 none /sys/fs/cgroup");
    }
}

static void sandbox(struct finding *f)
{
    static const char policy[] = "version: 1\nlandlock: { compatibility: best_effort }\n";
    static const char *const argv[] = {"true", NULL}, *const env[] = {NULL};
    char path[64];
    struct err e = {};
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = ctl_memfd(str_of(policy), &fd, &e);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct launch_opts o = {.policy = path,
                                  .name = "doctor",
                                  .argv = argv,
                                  .env = env,
                                  .scratch = 64 * MIB};
    struct plan p = {.workdir_fd = -1};
    struct diags diags;
    int status = 0;
    int64_t begun = clock_ns();
    if (r == ERR_OK)
        r = plan_new(&o, &p, &diags, &e);
    if (r == ERR_OK)
        r = launch(&o, &p, &status, &e);
    int64_t us = (clock_ns() - begun) / 1000;
    plan_done(&p);
    if (r == ERR_OK && status == 0)
        say(f, GOOD, "one was built, tried its walls, ran 'true' and ended, in %lld.%lld ms",
            (long long)us / 1000, (long long)us % 1000 / 100);
    else
        say(f, BAD, "%s", r == ERR_OK ? "'true' did not succeed in it" : e.msg);
}

static const struct {
    const char *what;
    void (*look)(struct finding *f);
} checks[] = {
    {"kernel", kernel},     {"user", user},       {"user namespaces", user_namespaces},
    {"Landlock", landlock}, {"seccomp", filter},  {"who is calling", dialers},
    {"cgroups", cgroups},   {"sandbox", sandbox},
};
static_assert(ARRAY_LEN(checks) <= FINDINGS_MAX, "");

static int as_json(struct cli *cli, const struct finding *f, size_t n)
{
    bool ok = true;
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_object();
        json_put(row, "check", json_text(str_of(f[i].what)), &ok);
        json_put(row, "state", json_text(str_of(state_names[f[i].state])), &ok);
        json_put(row, "found", json_text(str_of(f[i].is)), &ok);
        json_put(row, "remedy", f[i].remedy[0] ? json_text(str_of(f[i].remedy)) : json_null(), &ok);
        json_push(rows, row, &ok);
    }
    return json_out(cli, rows, ok);
}

static int doctor_run(struct cli *cli, const struct args *a)
{
    static const enum style styles[] = {STYLE_GREEN, STYLE_YELLOW, STYLE_RED};
    struct finding found[FINDINGS_MAX] = {};
    bool bad = false;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        found[i].what = checks[i].what;
        checks[i].look(&found[i]);
        bad = bad || found[i].state == BAD;
    }
    if (args_is(a, &doctor_opts[OPT_OUTPUT], "json")) {
        int r = as_json(cli, found, ARRAY_LEN(checks));
        return r ? r : bad;
    }
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const struct finding *f = &found[i];
        buf_addf(&cli->out, "%-16s ", f->what);
        term_put(&cli->out, &cli->out_term, styles[f->state], "%-8s", state_names[f->state]);
        buf_addf(&cli->out, " %s\n", f->is);
        if (f->remedy[0])
            buf_addf(&cli->out, "%26sto do: %s\n", "", f->remedy);
    }
    return bad ? EXIT_FAILED : 0;
}

static const struct example doctor_examples[] = {
    {"In a script", "openshell-sandbox doctor -o json | jq -e 'all(.state != \"missing\")'"},
};
static const struct exit_row doctor_exits[] = {{1, "A sandbox cannot be had on this machine"}};

const struct command doctor_command = {
    .name = "doctor",
    .alias = "",
    .section = "COMMANDS",
    .about = "Tell whether this machine can hold a sandbox, and what to do where it cannot",
    .text =
        "Looks at the parts of the kernel that a sandbox is made of, then builds one and runs 'true' in it.",
    COMMAND_TABLE(opts, doctor_opts),
    COMMAND_TABLE(examples, doctor_examples),
    COMMAND_TABLE(exits, doctor_exits),
    .run = doctor_run,
};
