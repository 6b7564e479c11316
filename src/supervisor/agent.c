#include "supervisor/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/caps.h"
#include "isolate/limits.h"
#include "isolate/ns.h"
#include "isolate/rootfs.h"
#include "isolate/seccomp.h"
#include "isolate/selftest.h"

enum {
    PROGRAM_MAX = 4096,
    STATUS_NOT_FOUND = 127, // as shells have it (POSIX 2.8.2)
    STATUS_NOT_RUN = 126,
    WORDS_ARENA = 4 * SPEC_MAX, // each word is copied, and pointed to
};

// ---- paths
// -------------------------------------------------------------------------------------------------------

// Devices and folders that exist in every sandbox and lead nowhere: memory, the sandbox's own terminals.
static const struct str own[] = {STR_INIT("/dev/null"),   STR_INIT("/dev/zero"), STR_INIT("/dev/full"),
                                 STR_INIT("/dev/random"), STR_INIT("/dev/tty"),  STR_INIT("/dev/ptmx"),
                                 STR_INIT("/dev/pts"),    STR_INIT("/dev/shm"),  STR_INIT("/sandbox"),
                                 STR_INIT("/dev/urandom")};

static bool has(const struct strs *list, struct str s)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], s))
            return true;
    return false;
}

enum err_code agent_paths(const struct init_spec *s, struct arena *a, struct landlock_paths *ret,
                          struct err *e)
{
    struct strs ro = {.v = arena_newn(a, struct str, s->read_only.n + 1)};
    struct strs rw = {.v = arena_newn(a, struct str, s->read_write.n + ARRAY_LEN(own) + 1)};
    if (!ro.v || !rw.v)
        return arena_limit(a, "the sandbox's paths", e);
    for (size_t i = 0; i < s->read_write.n; i++)
        rw.v[rw.n++] = s->read_write.v[i];
    if (s->workdir.n > 0 && s->workdir_writable)
        rw.v[rw.n++] = s->workdir;
    for (size_t i = 0; i < s->read_only.n; i++)
        ro.v[ro.n++] = s->read_only.v[i];
    if (s->workdir.n > 0 && !s->workdir_writable)
        ro.v[ro.n++] = s->workdir;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (!has(&ro, own[i]) && !has(&rw, own[i])) // a policy may take one of them back to reading
            rw.v[rw.n++] = own[i];
    const struct landlock_paths policy = {.ro = ro.v, .ro_n = ro.n, .rw = rw.v, .rw_n = rw.n};
    return landlock_baseline(&policy, a, ret, e);
}

// ---- locking in
// --------------------------------------------------------------------------------------------------

static enum err_code other_ids(const struct init_spec *s, struct err *e)
{
    if (s->nested)
        return ns_nest(s->uid, s->gid, e);
    enum err_code r = caps_bound(e); // while there is a right to do so
    if (r == ERR_OK && (setgroups(0, NULL) != 0 || setresgid(s->gid, s->gid, s->gid) != 0 ||
                        setresuid(s->uid, s->uid, s->uid) != 0))
        r = err_set(e, ERR_UNSUPPORTED, "cannot become %u:%u: %s", s->uid, s->gid, fd_strerror(errno));
    return r;
}

static enum err_code enter_workdir(const struct init_spec *s, struct str wanted, struct err *e)
{
    char dir[PROGRAM_MAX];
    struct str to = wanted.n > 0 ? wanted : s->workdir.n > 0 ? s->workdir : STR("/sandbox");
    if (!str_cstr(to, dir, sizeof(dir)))
        return err_set(e, ERR_INVALID, "the work directory's path is too long");
    if (chdir(dir) != 0)
        return err_set(e, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    return ERR_OK;
}

// Ids, then what needs no right, then files, then system calls: from here on nothing of this can be undone.
static enum err_code lock_in(const struct init_spec *s, struct str workdir,
                             const struct landlock_paths *paths, struct landlock_report *report,
                             struct err *e)
{
    enum err_code r = other_ids(s, e);
    if (r == ERR_OK)
        r = enter_workdir(s, workdir, e);
    if (r == ERR_OK)
        r = limits_self(&s->limits, s->limits_soft, e);
    if (r == ERR_OK)
        r = caps_drop(e);
    if (r == ERR_OK)
        r = landlock_apply(paths, s->landlock_hard, report, e);
    return r == ERR_OK ? seccomp_agent(e) : r;
}

static void only_fds(int keep)
{
    if (keep > 3)
        (void)syscall(SYS_close_range, 3U, (unsigned)keep - 1, 0);
    (void)syscall(SYS_close_range, keep >= 3 ? (unsigned)keep + 1 : 3U, ~0U, 0);
}

// A child of ours: it tells what went wrong through `tell`, as a struct err, and nothing where all is well.
static pid_t child(int *ret_hear, int *ret_tell, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0) {
        err_fill(e, fd_code(errno), "pipe: %s", fd_strerror(errno));
        return -1;
    }
    pid_t pid = fork();
    if (pid < 0)
        err_fill(e, fd_code(errno), "fork: %s", fd_strerror(errno));
    *ret_hear = p[0];
    *ret_tell = p[1];
    return pid;
}

static _Noreturn void tell(int fd, const struct err *e)
{
    (void)!write(fd, e, sizeof(*e)); // the reader takes a short one for a crash
    _exit(1);
}

// What the child said: true and *e, or false at the end without a word. A child that was killed said nothing,
// either.
static bool hear(int fd, struct err *e)
{
    struct err said;
    ssize_t n;
    do
        n = read(fd, &said, sizeof(said));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(said) || said.code == ERR_OK || said.code > ERR_INTERNAL)
        return false;
    said.msg[sizeof(said.msg) - 1] = '\0';
    *e = said;
    return true;
}

// ---- the probe
// ---------------------------------------------------------------------------------------------------

static enum err_code probe(const struct init_spec *s, const struct landlock_paths *paths, int fd,
                           struct err *e)
{
    struct landlock_report report = {};
    only_fds(fd);
    enum err_code r = lock_in(s, (struct str){}, paths, &report, e);
    if (r != ERR_OK)
        return r;
    bool all = false; // the whole tree is granted
    struct selftest t = {.uid = s->uid,
                         .gid = s->gid,
                         .keep_fd = fd,
                         .files = report.files,
                         .scopes = report.scopes};
    for (size_t i = 0; i < paths->rw_n; i++)
        all = all || str_eq(paths->rw[i], STR("/"));
    for (size_t i = 0; i < paths->ro_n; i++) {
        all = all || str_eq(paths->ro[i], STR("/"));
        if (str_eq(paths->ro[i], STR("/usr")))
            t.unwritable = STR("/usr");
    }
    if (!all)
        t.unreadable = STR("/");
    return selftest_run(&t, e);
}

enum err_code agent_selftest(const struct init_spec *s, const struct landlock_paths *paths, struct err *e)
{
    CLEANUP(fd_close) int in = -1;
    CLEANUP(fd_close) int out = -1;
    pid_t pid = child(&in, &out, e);
    if (pid < 0)
        return e->code;
    if (pid == 0) {
        struct err why;
        if (probe(s, paths, out, &why) != ERR_OK)
            tell(out, &why);
        _exit(0);
    }
    fd_close(&out);
    bool said = hear(in, e);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (said)
        return err_wrap(e, e->code, "self-test of the walls");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, ERR_INTERNAL, "self-test of the walls: the probe ended with status 0x%x",
                       (unsigned)status);
    return ERR_OK;
}

// ---- the agent
// ---------------------------------------------------------------------------------------------------

static char **words_of(const struct strs *list, struct arena *a, struct err *e)
{
    char **v = arena_newn(a, char *, list->n + 1);
    for (size_t i = 0; v && i < list->n; i++) {
        v[i] = arena_newn(a, char, list->v[i].n + 1);
        if (!v[i]) {
            v = NULL;
            break;
        }
        if (list->v[i].n > 0)
            memcpy(v[i], list->v[i].p, list->v[i].n); // they came from a command line: no NUL inside
    }
    if (!v)
        (void)!arena_limit(a, "the command", e);
    return v;
}

static struct str path_of(const struct strs *env)
{
    for (size_t i = 0; i < env->n; i++)
        if (str_starts(env->v[i], STR("PATH=")))
            return str_from(env->v[i], 5);
    return STR("/usr/local/bin:/usr/bin:/bin");
}

// execvpe(3), but a script without "#!" is not given to a shell behind the caller's back.
static void exec_path(char **argv, char **envp, struct str path, struct err *e)
{
    char file[PROGRAM_MAX];
    int worst = ENOENT;
    if (strchr(argv[0], '/')) {
        (void)execve(argv[0], argv, envp);
        worst = errno;
    } else {
        for (struct str dir; str_split(&path, ':', &dir);) {
            int n = snprintf(file, sizeof(file), "%.*s/%s", (int)dir.n, dir.n > 0 ? dir.p : ".", argv[0]);
            if (dir.n > PROGRAM_MAX || n < 0 || (size_t)n >= sizeof(file))
                continue;
            (void)execve(file, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR)
                worst = errno;
        }
    }
    if (worst == ENOENT)
        err_fill(e, ERR_NOT_FOUND,
                 "%s: no such program in the sandbox: is its folder in the policy's read_only paths?",
                 argv[0]);
    else if (worst == EACCES)
        err_fill(
            e, ERR_DENIED,
            "%s: may not be run in the sandbox: the policy grants its folder neither by read_only nor by "
            "read_write, or it is not executable for uid %u",
            argv[0], getuid());
    else
        err_fill(e, ERR_DENIED, "%s: cannot be run: %s", argv[0], fd_strerror(worst));
}

enum err_code agent_terminal(const struct init_spec *s, int *ret_master, int *ret_slave, struct err *e)
{
    CLEANUP(fd_close) int master = -1;
    enum err_code r = fd_open("/dev/ptmx", O_RDWR, 0, &master, e);
    int unlock = 0;
    if (r == ERR_OK && ioctl(master, TIOCSPTLCK, &unlock) != 0)
        r = err_set(e, fd_code(errno), "a terminal: %s", fd_strerror(errno));
    if (r != ERR_OK)
        return r;
    CLEANUP(fd_close) int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_set(e, fd_code(errno), "a terminal: %s", fd_strerror(errno));
    if (!s->nested && fchown(slave, s->uid, s->gid) != 0)
        return err_set(e, fd_code(errno), "a terminal's owner: %s", fd_strerror(errno));
    *ret_master = fd_take(&master);
    *ret_slave = fd_take(&slave);
    return ERR_OK;
}

static enum err_code own_session(const struct agent_io *io, struct err *e)
{
    if (setsid() < 0)
        return err_set(e, ERR_INTERNAL, "setsid: %s", fd_strerror(errno));
    if (io->tty >= 0 && ioctl(io->tty, TIOCSCTTY, 0) != 0)
        return err_set(e, ERR_INTERNAL, "the sandbox's terminal: %s", fd_strerror(errno));
    for (int i = 0; i < 3; i++) {
        int fd = io->tty >= 0 ? io->tty : io->fds[i]; // none is below 3: init has those itself
        if (fd >= 0 && dup2(fd, i) < 0)
            return err_set(e, ERR_INTERNAL, "standard input and output: %s", fd_strerror(errno));
    }
    return ERR_OK;
}

static enum err_code become(const struct init_spec *s, const struct command_spec *c,
                            const struct landlock_paths *paths, const struct agent_io *io, int out,
                            struct err *e)
{
    enum err_code r = own_session(io, e);
    only_fds(out);
    CLEANUP(arena_done) struct arena words;
    arena_init(&words, WORDS_ARENA);
    char **argv = r == ERR_OK ? words_of(&c->argv, &words, e) : NULL;
    char **envp = argv ? words_of(&c->env, &words, e) : NULL;
    if (!envp)
        return e->code;
    struct landlock_report report = {};
    r = lock_in(s, c->workdir, paths, &report, e);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); // init has blocked what it reads from a descriptor
    (void)umask(022);
    if (r == ERR_OK) {
        exec_path(argv, envp, path_of(&c->env), e);
        r = e->code;
    }
    return r;
}

enum err_code agent_start(const struct init_spec *s, const struct command_spec *c,
                          const struct landlock_paths *paths, const struct agent_io *io, pid_t *ret,
                          int *ret_hear, struct err *e)
{
    CLEANUP(fd_close) int in = -1;
    CLEANUP(fd_close) int out = -1;
    pid_t pid = child(&in, &out, e);
    if (pid < 0)
        return e->code;
    if (pid == 0) {
        struct err why = {.code = ERR_INTERNAL};
        (void)!become(s, c, paths, io, out, &why); // comes back only where it failed
        tell(out, &why);
    }
    *ret = pid;
    *ret_hear = fd_take(&in);
    return ERR_OK;
}

bool agent_heard(int hear_fd, int *ret_status, struct err *e)
{
    if (!hear(hear_fd, e)) // at its end once the program runs: the descriptor is close-on-exec
        return true;
    *ret_status = e->code == ERR_NOT_FOUND ? STATUS_NOT_FOUND : e->code == ERR_DENIED ? STATUS_NOT_RUN : 1;
    return false;
}
