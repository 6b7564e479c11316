// The order in a new process: PDEATHSIG first, then a read from a pipe whose other end the parent has. So a
// parent that died before the first is noticed by the second, and a child never runs before its ids are
// mapped and its limits are set.
#include "isolate/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    NS_FIRST_FD = 3,
    NS_HIGH_FD = 64, // above every number that a child's descriptors get
    MAP_MAX = 4 * KIB,
};

#define NS_ISOLATED                                                                                          \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |               \
     CLONE_NEWCGROUP)

static pid_t ns_clone(uint64_t flags, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {.flags = flags | CLONE_PIDFD,
                              .pidfd = (uint64_t)(uintptr_t)&pidfd,
                              .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid > 0)
        *ret_pidfd = pidfd;
    return pid;
}

// Between clone and exec: async-signal-safe calls only.
static _Noreturn void child(const struct ns_spawn *s, int go)
{
    char byte;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(go, &byte, 1) != 1)
        _exit(NS_EXEC_FAILED);
    int high[NS_FDS_MAX];
    for (size_t i = 0; i < s->fds_n; i++) {
        high[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, NS_HIGH_FD);
        if (high[i] < 0)
            _exit(NS_EXEC_FAILED);
    }
    for (size_t i = 0; i < s->fds_n; i++)
        if (dup2(high[i], NS_FIRST_FD + (int)i) < 0)
            _exit(NS_EXEC_FAILED);
    if (syscall(SYS_close_range, NS_FIRST_FD + (unsigned)s->fds_n, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        _exit(NS_EXEC_FAILED);
    // A child starts with no signal blocked and none ignored, whatever its parent has done.
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    char *const *argv, *const *envp;
    memcpy(&argv, &s->argv, sizeof(argv)); // exec takes pointers to non-const and changes nothing
    memcpy(&envp, &s->envp, sizeof(envp));
    (void)execve("/proc/self/exe", argv, envp);
    _exit(NS_EXEC_FAILED);
}

static enum err_code put(int dir, const char *name, struct str text, struct err *e)
{
    CLEANUP(fd_close) int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, fd_code(errno), "/proc/PID/%s: %s", name, fd_strerror(errno));
    enum err_code r = fd_write_all(fd, text, e);
    return r == ERR_OK ? r : err_wrap(e, r, "/proc/PID/%s", name);
}

// Every id that the caller's namespace knows, onto itself.
static enum err_code identity(const char *path, struct buf *out, struct err *e)
{
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = file_read(path, MAP_MAX, &text, e);
    if (r != ERR_OK)
        return r;
    for (struct str rest = buf_str(&text), line; str_line(&rest, &line);) {
        uint64_t v[3] = {};
        size_t n = 0;
        for (struct str words = line, word; n < 3 && str_split(&words, ' ', &word);)
            if (word.n > 0 && str_u64(word, UINT32_MAX, &v[n]))
                n++;
        if (n != 3)
            return err_set(e, ERR_INTERNAL, "%s: not a map of ids", path);
        buf_addf(out, "%llu %llu %llu\n", (unsigned long long)v[0], (unsigned long long)v[0],
                 (unsigned long long)v[2]);
    }
    return buf_check(out, path, e);
}

static enum err_code map_ids(pid_t pid, struct err *e)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    CLEANUP(fd_close) int dir = -1;
    enum err_code r = fd_open(path, O_PATH | O_DIRECTORY, 0, &dir, e);
    if (r != ERR_OK)
        return r;
    CLEANUP(buf_done) struct buf uids, gids;
    buf_init(&uids, MAP_MAX);
    buf_init(&gids, MAP_MAX);
    if (geteuid() == 0) {
        r = identity("/proc/self/uid_map", &uids, e);
        if (r == ERR_OK)
            r = identity("/proc/self/gid_map", &gids, e);
    } else {
        buf_addf(&uids, "0 %u 1\n", geteuid());
        buf_addf(&gids, "0 %u 1\n", getegid());
        r = put(dir, "setgroups", STR("deny"), e); // user_namespaces(7): before gid_map
    }
    if (r == ERR_OK)
        r = put(dir, "uid_map", buf_str(&uids), e);
    return r == ERR_OK ? put(dir, "gid_map", buf_str(&gids), e) : r;
}

static enum err_code refused(int errnum, struct err *e)
{
    if (errnum == EPERM || errnum == EACCES)
        return err_set(e, ERR_UNSUPPORTED,
                       "this machine refuses user namespaces: allow them (sysctl user.max_user_namespaces, "
                       "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)");
    if (errnum == ENOSPC || errnum == EUSERS)
        return err_set(e, ERR_LIMIT, "no further namespace: raise sysctl user.max_*_namespaces");
    return err_set(e, fd_code(errnum), "clone3: %s", fd_strerror(errnum));
}

enum err_code ns_spawn(const struct ns_spawn *s, struct ns_child *ret, struct err *e)
{
    assert(s->fds_n <= NS_FDS_MAX);
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return err_set(e, fd_code(errno), "pipe: %s", fd_strerror(errno));
    CLEANUP(fd_close) int go = p[0];
    CLEANUP(fd_close) int going = p[1];
    struct ns_child c = {.pidfd = -1};
    c.pid = ns_clone(s->isolated ? NS_ISOLATED : 0, &c.pidfd);
    if (c.pid == 0) {
        (void)close(going);
        child(s, go);
    }
    if (c.pid < 0)
        return refused(errno, e);
    enum err_code r = s->isolated ? map_ids(c.pid, e) : ERR_OK;
    if (r == ERR_OK && s->placed)
        r = s->placed(s->ctx, c.pid, e);
    if (r == ERR_OK)
        r = fd_write_all(going, STR("g"), e);
    if (r != ERR_OK) {
        fd_close(&going); // the child ends where it waits
        (void)waitpid(c.pid, NULL, 0);
        fd_close(&c.pidfd);
        return r;
    }
    *ret = c;
    return ERR_OK;
}

enum err_code ns_tie(int control, struct err *e)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return err_set(e, ERR_INTERNAL, "PR_SET_PDEATHSIG: %s", fd_strerror(errno));
    struct pollfd p = {.fd = control, .events = 0};
    if (poll(&p, 1, 0) != 0)
        return err_set(e, ERR_UNAVAILABLE, "the launcher is gone");
    return ERR_OK;
}

enum err_code ns_idmap(const char *uid_map, const char *gid_map, int *ret_fd, struct err *e)
{
    CLEANUP(fd_close) int pidfd = -1;
    pid_t pid = ns_clone(CLONE_NEWUSER, &pidfd);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    if (pid < 0)
        return refused(errno, e);
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    CLEANUP(fd_close) int dir = -1;
    CLEANUP(fd_close) int ns = -1;
    enum err_code r = fd_open(path, O_PATH | O_DIRECTORY, 0, &dir, e);
    if (r == ERR_OK)
        r = put(dir, "uid_map", str_of(uid_map), e);
    if (r == ERR_OK)
        r = put(dir, "gid_map", str_of(gid_map), e);
    if (r == ERR_OK && (ns = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC)) < 0)
        r = err_set(e, fd_code(errno), "%s/ns/user: %s", path, fd_strerror(errno));
    (void)kill(pid, SIGKILL); // ours and not reaped yet: the number is its own
    (void)waitpid(pid, NULL, 0);
    if (r == ERR_OK)
        *ret_fd = fd_take(&ns);
    return r;
}

enum err_code ns_nest(uid_t uid, gid_t gid, struct err *e)
{
    char uids[32], gids[32];
    (void)snprintf(uids, sizeof(uids), "%u 0 1\n", uid);
    (void)snprintf(gids, sizeof(gids), "%u 0 1\n", gid);
    CLEANUP(fd_close) int dir = -1;
    if (unshare(CLONE_NEWUSER) != 0)
        return refused(errno, e);
    enum err_code r = fd_open("/proc/self", O_PATH | O_DIRECTORY, 0, &dir, e);
    if (r == ERR_OK)
        r = put(dir, "setgroups", STR("deny"), e);
    if (r == ERR_OK)
        r = put(dir, "uid_map", str_of(uids), e);
    if (r == ERR_OK)
        r = put(dir, "gid_map", str_of(gids), e);
    if (r == ERR_OK && (geteuid() != uid || getegid() != gid))
        r = err_set(e, ERR_INTERNAL, "the ids of the inner namespace are not in force");
    return r;
}
