// The driver with a stand-in for openshell-sandbox: a shell script that does what $MODE says.
#include "gateway/compute/local_internal.h"

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "gateway/compute/process.h"

typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;

#define ID "11111111-1111-4111-8111-111111111111"

struct world {
    char dir[32], state[64], program[64];
    struct driver_env env;
    struct driver *d;
    atomic_uint changes;
    struct arena a;
};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nothing here writes them
}

static void path_in(const struct world *w, const char *id, const char *file, char dst[static 256])
{
    (void)snprintf(dst, 256, "%s/%s/%s", w->state, id, file);
}

static bool there(const struct world *w, const char *id, const char *file)
{
    char path[256];
    path_in(w, id, file, path);
    return access(path, F_OK) == 0;
}

static void put(const struct world *w, const char *id, const char *file, const char *bytes)
{
    char path[256];
    struct err err;
    path_in(w, id, file, path);
    if (file_write_atomic(path, str_of(bytes), 0600, &err) != ERR_OK)
        abort();
}

static bool holds(const struct world *w, const char *id, const char *file, const char *part)
{
    char path[256];
    struct err err;
    CLEANUP(buf_done) struct buf b = {};
    path_in(w, id, file, path);
    return file_read(path, MIB, &b, &err) == ERR_OK && memmem(b.p, b.n, part, strlen(part));
}

// The pid in `process`; 0: none.
static pid_t pid_of(const struct world *w, const char *id)
{
    char path[256];
    struct err err;
    struct str rest, word;
    uint64_t pid = 0;
    CLEANUP(buf_done) struct buf b = {};
    path_in(w, id, "process", path);
    if (file_read(path, 4096, &b, &err) != ERR_OK)
        return 0;
    rest = buf_str(&b);
    return str_split(&rest, ' ', &word) && str_u64(word, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

static bool wait_for(bool (*fn)(const struct world *w), const struct world *w)
{
    for (int i = 0; i < 500 && !fn(w); i++)
        (void)poll(NULL, 0, 10);
    return fn(w);
}

static void on_changed(void *ctx, const DriverSandbox *now)
{
    struct world *w = ctx;
    if (strcmp(now->id, ID) == 0)
        atomic_fetch_add(&w->changes, 1);
}

static const char script[] = "#!/bin/sh\n"
                             "echo \"$*\" >\"${9%/home}/args\"\n"
                             "case $MODE in\n"
                             "run) exec sleep 1000 ;;\n"
                             "stubborn) trap '' TERM; touch \"${9%/home}/deaf\"; exec sleep 1000 ;;\n"
                             "fail) echo 'a wall is missing' >&2; exit 125 ;;\n"
                             "esac\n";

static void open_driver(struct world *w)
{
    struct err err = {};
    const struct driver_events events = {.changed = on_changed, .ctx = w};
    if (local_new(&w->env, &w->d, &err) != ERR_OK) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    w->d->ops->watch(w->d, &events);
}

static DriverSandbox *sandbox(struct world *w, const char *id)
{
    DriverSandbox *s = arena_new(&w->a, DriverSandbox);
    openshell__compute__v1__driver_sandbox__init(s);
    s->spec = arena_new(&w->a, Openshell__Compute__V1__DriverSandboxSpec);
    openshell__compute__v1__driver_sandbox_spec__init(s->spec);
    s->spec->template_ = arena_new(&w->a, Openshell__Compute__V1__DriverSandboxTemplate);
    openshell__compute__v1__driver_sandbox_template__init(s->spec->template_);
    s->spec->template_->resources = arena_new(&w->a, Openshell__Compute__V1__DriverResourceRequirements);
    openshell__compute__v1__driver_resource_requirements__init(s->spec->template_->resources);
    s->spec->template_->resources->cpu_limit = text("1500m");
    s->spec->template_->resources->memory_limit = text("64Mi");
    s->spec->sandbox_token = text("the-token");
    s->id = text(id);
    s->name = text("dev");
    s->workspace = text("default");
    return s;
}

// The one condition that the driver tells: "TYPE=STATUS REASON MESSAGE".
static struct str told(struct world *w, const char *id)
{
    struct err err = {};
    DriverSandbox *s = NULL;
    struct str out = STR("");
    if (w->d->ops->get(w->d, str_of(id), &w->a, &s, &err) != ERR_OK)
        (void)!arena_fmt(&w->a, &out, "%s: %s", err_code_name(err.code), err.msg);
    else
        (void)!arena_fmt(&w->a, &out, "%s=%s %s %s", s->status->conditions[0]->type,
                         s->status->conditions[0]->status, s->status->conditions[0]->reason,
                         s->status->conditions[0]->message);
    return out;
}

static bool says(struct world *w, const char *id, const char *part)
{
    struct str s = told(w, id);
    bool ok = strstr(s.p, part);
    if (!ok)
        tap_note("%s", s.p);
    return ok;
}

static bool has_args(const struct world *w)
{
    return holds(w, ID, "args", "--memory 67108864");
}

static bool is_deaf(const struct world *w)
{
    return there(w, ID, "deaf");
}

static bool has_changed(const struct world *w)
{
    return atomic_load(&w->changes) > 0;
}

static void test_life(struct world *w)
{
    struct err err = {};
    bool was = false;
    DriverSandbox **all = NULL;
    size_t n = 9;
    (void)setenv("MODE", "run", 1);
    tap_ok(says(w, ID, "not found: driver 'local' has no sandbox"), "none at first");
    tap_ok(w->d->ops->create(w->d, sandbox(w, ID), &err) == ERR_OK, "create");
    pid_t pid = pid_of(w, ID);
    tap_ok(pid > 0 && kill(pid, 0) == 0 && getsid(pid) == pid, "its process runs, in a session of its own");
    tap_ok(wait_for(has_args, w) &&
               holds(w, ID, "args",
                     "supervise --endpoint unix:///x/gw.sock --sandbox-id " ID " --token-file ") &&
               holds(w, ID, "args", "--cpus 1.500 --memory 67108864"),
           "with what it has to know, and its limits");
    tap_ok(holds(w, ID, "token", "the-token") && !holds(w, ID, "sandbox", "the-token"),
           "the token is in one file only");
    tap_ok(says(w, ID, "Ready=True BackendReady"), "the backend is ready");
    tap_ok(w->d->ops->create(w->d, sandbox(w, ID), &err) == ERR_EXISTS, "create: not twice");
    tap_ok(w->d->ops->list(w->d, &w->a, &all, &n, &err) == ERR_OK && n == 1 && strcmp(all[0]->id, ID) == 0 &&
               strcmp(all[0]->name, "dev") == 0 && strcmp(all[0]->status->instance_id, ID) == 0,
           "list: as it was made");
    put(w, ID, "home/work", "x");
    tap_ok(w->d->ops->stop(w->d, STR(ID), STR("dev"), &err) == ERR_OK && kill(pid, 0) != 0 && errno == ESRCH,
           "stop: returns when the process is gone");
    tap_ok(says(w, ID, "Suspended=True Stopped"), "then it is stopped");
    tap_ok(w->d->ops->stop(w->d, STR(ID), STR("dev"), &err) == ERR_OK, "stop: as often as one likes");
    tap_ok(w->d->ops->start(w->d, sandbox(w, ID), &err) == ERR_OK && pid_of(w, ID) != pid &&
               says(w, ID, "Ready=True BackendReady") && there(w, ID, "home/work"),
           "start: another process, the same files");
    pid = pid_of(w, ID);
    tap_ok(w->d->ops->start(w->d, sandbox(w, ID), &err) == ERR_OK && pid_of(w, ID) == pid,
           "start: nothing to do");
    tap_ok(w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err) == ERR_OK && was && kill(pid, 0) != 0,
           "remove: no process");
    tap_ok(!there(w, ID, "") && w->d->ops->list(w->d, &w->a, &all, &n, &err) == ERR_OK && n == 0,
           "remove: no folder");
    tap_ok(w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err) == ERR_OK && !was,
           "remove: it was not there");
    tap_ok(w->d->ops->stop(w->d, STR(ID), STR("dev"), &err) == ERR_NOT_FOUND &&
               w->d->ops->start(w->d, sandbox(w, ID), &err) == ERR_NOT_FOUND,
           "stop and start: not found");
    tap_ok(w->d->ops->remove(w->d, STR("../x"), STR("dev"), &was, &err) == ERR_INVALID,
           "an id that is none names no folder");
}

static void test_ends(struct world *w)
{
    struct err err = {};
    bool was = false;
    char away[80];
    (void)setenv("MODE", "fail", 1);
    atomic_store(&w->changes, 0);
    tap_ok(w->d->ops->create(w->d, sandbox(w, ID), &err) == ERR_OK && wait_for(has_changed, w) &&
               says(w, ID, "Ready=False ProcessExited The sandbox's supervisor has ended: a wall is missing"),
           "one that does not start: its last words, and somebody is told");
    (void)!w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err);
    (void)setenv("MODE", "stubborn", 1);
    (void)!w->d->ops->create(w->d, sandbox(w, ID), &err);
    (void)wait_for(is_deaf, w);
    pid_t pid = pid_of(w, ID);
    tap_ok(w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err) == ERR_OK && kill(pid, 0) != 0,
           "one that does not want to end is killed");
    (void)setenv("MODE", "run", 1);
    (void)!w->d->ops->create(w->d, sandbox(w, ID), &err);
    atomic_store(&w->changes, 0);
    (void)kill(pid_of(w, ID), SIGKILL);
    tap_ok(wait_for(has_changed, w) && says(w, ID, "Ready=False ProcessExited"),
           "one that was killed is seen");
    (void)!w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err);
    (void)snprintf(away, sizeof(away), "%s.away", w->program);
    (void)rename(w->program, away);
    atomic_store(&w->changes, 0);
    tap_ok(w->d->ops->create(w->d, sandbox(w, ID), &err) == ERR_OK && wait_for(has_changed, w) &&
               says(w, ID, "No such file"),
           "no program: said in its last words");
    (void)rename(away, w->program);
    (void)!w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err);
}

// A gateway that makes a sandbox and dies of kill -9.
static void die_with_sandbox(struct world *w)
{
    struct err err = {};
    pid_t child = fork();
    if (child == 0) {
        open_driver(w);
        if (w->d->ops->create(w->d, sandbox(w, ID), &err) != ERR_OK)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    if (!WIFSIGNALED(status))
        tap_note("the gateway that was to die did not");
}

static void test_again(struct world *w)
{
    struct err err = {};
    bool was = false;
    char path[256], line[300];
    (void)setenv("MODE", "run", 1);
    die_with_sandbox(w);
    pid_t pid = pid_of(w, ID);
    path_in(w, ".new-" ID, "", path);
    (void)mkdir(path, 0700);
    path_in(w, ".gone-7", "", path);
    (void)mkdir(path, 0700);
    tap_ok(pid > 0 && kill(pid, 0) == 0, "a sandbox outlives its gateway");
    open_driver(w);
    tap_ok(says(w, ID, "Ready=True BackendReady"), "and the next gateway knows it");
    tap_ok(!there(w, ".new-" ID, "") && !there(w, ".gone-7", ""), "what was half made or half gone is gone");
    atomic_store(&w->changes, 0);
    (void)kill(pid, SIGKILL);
    tap_ok(wait_for(has_changed, w) && says(w, ID, "ProcessExited"),
           "it sees it end, though it is no child of it");
    w->d->ops->free(w->d);
    (void)snprintf(line, sizeof(line), "%d 1 somewhere else\n", getpid());
    put(w, ID, "process", line);
    open_driver(w);
    tap_ok(says(w, ID, "Ready=False Starting"), "begun before the machine was: to be started");
    w->d->ops->free(w->d);
    put(w, ID, "process", "what\n");
    tap_ok(local_new(&w->env, &w->d, &err) == ERR_INTERNAL && strstr(err.msg, "does not say which process"),
           "a file that says nothing is not guessed at");
    path_in(w, ID, "process", path);
    (void)unlink(path);
    open_driver(w);
    tap_ok(says(w, ID, "Ready=False Starting"), "never begun: to be started");
    (void)!w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err);
    w->d->ops->free(w->d);
}

// Another process has the number now.
static void test_recycled(struct world *w)
{
    struct err err = {};
    bool was = false;
    char path[256];
    CLEANUP(buf_done) struct buf b = {};
    open_driver(w);
    (void)!w->d->ops->create(w->d, sandbox(w, ID), &err);
    path_in(w, ID, "process", path);
    (void)!file_read(path, 4096, &b, &err);
    (void)kill(pid_of(w, ID), SIGKILL);
    w->d->ops->free(w->d);
    struct str rest = buf_str(&b), pid, start;
    (void)!str_split(&rest, ' ', &pid);
    (void)!str_split(&rest, ' ', &start);
    char line[300];
    (void)snprintf(line, sizeof(line), "%d %.*s %.*s", getpid(), STR_FMT(start), (int)rest.n, rest.p);
    put(w, ID, "process", line);
    open_driver(w);
    tap_ok(says(w, ID, "ProcessExited"), "a process with that number and another start time is not it");
    tap_ok(w->d->ops->remove(w->d, STR(ID), STR("dev"), &was, &err) == ERR_OK && was,
           "and is not ended for it"); // it would be this one
    w->d->ops->free(w->d);
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "launch") == 0)
        return process_launch_main(argc, argv);
    struct world w = {.dir = "/tmp/local-XXXXXX"};
    struct err err = {};
    arena_init(&w.a, 16 * MIB);
    if (!mkdtemp(w.dir))
        return 1;
    (void)snprintf(w.state, sizeof(w.state), "%s/state", w.dir);
    (void)snprintf(w.program, sizeof(w.program), "%s/sandbox", w.dir);
    w.env = (struct driver_env){.endpoint = "unix:///x/gw.sock", .program = w.program, .state_dir = w.state};
    tap_ok(local_new(&w.env, &w.d, &err) == ERR_NOT_FOUND, "no program");
    if (file_write_atomic(w.program, str_of(script), 0700, &err) != ERR_OK)
        return 1;
    (void)mkdir(w.state, 0755);
    (void)chmod(w.state, 0755);
    tap_ok(local_new(&w.env, &w.d, &err) == ERR_DENIED, "a folder that others may enter");
    (void)chmod(w.state, 0700);
    open_driver(&w);
    test_life(&w);
    test_ends(&w);
    w.d->ops->free(w.d);
    test_again(&w);
    test_recycled(&w);
    arena_done(&w.a);
    (void)nftw(w.dir, drop, 8, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
