#include "gateway/compute/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    PATH_SIZE = 4096,
    WHO_SIZE = 256, // of what is written down
    WORDS_MAX = 64, // of argv; ours
    LOCK_FD = 3,    // in the process in between
    LOG_MAX = MIB,  // of a log that is begun anew; ours
};

struct who {
    pid_t pid;
    uint64_t start;
    char place[WHO_SIZE]; // boot and pid namespace
};

static enum err_code in_dir(const char *dir, const char *name, char dst[static PATH_SIZE], struct err *reterr)
{
    int n = snprintf(dst, PATH_SIZE, "%s/%s", dir, name);
    return n > 0 && n < PATH_SIZE ? ERR_OK : err_set(reterr, ERR_LIMIT, "the path of a file is too long");
}

// ---- who a process is

// Field 22 of /proc/PID/stat, counted behind the name, which may hold anything.
static enum err_code start_time(pid_t pid, uint64_t *ret, struct err *reterr)
{
    char path[40];
    CLEANUP(buf_done) struct buf text = {};
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    enum err_code r = file_read(path, 4 * KIB, &text, reterr);
    if (r != ERR_OK)
        return r;
    const char *close_paren = text.n > 0 ? memrchr(text.p, ')', text.n) : NULL;
    struct str rest = close_paren ? str_from(buf_str(&text), (size_t)(close_paren - text.p) + 2) : STR(""),
               word;
    for (int i = 3; i <= 22 && str_split(&rest, ' ', &word); i++)
        if (i == 22 && str_u64(word, UINT64_MAX, ret))
            return ERR_OK;
    return err_set(reterr, ERR_INTERNAL, "%s cannot be read", path);
}

static enum err_code place_now(char dst[static WHO_SIZE], struct err *reterr)
{
    char ns[64];
    CLEANUP(buf_done) struct buf boot = {};
    enum err_code r = file_read("/proc/sys/kernel/random/boot_id", 64, &boot, reterr);
    ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);
    if (r == ERR_OK && n < 0)
        r = err_set(reterr, fd_code(errno), "/proc/self/ns/pid: %s", fd_strerror(errno));
    if (r != ERR_OK)
        return r;
    (void)snprintf(dst, WHO_SIZE, "%.*s %.*s", STR_FMT(str_trim(buf_str(&boot))), (int)n, ns);
    return ERR_OK;
}

static bool parse(struct str text, struct who *ret)
{
    struct str pid = {}, start = {};
    uint64_t p = 0;
    if (!str_ends(text, STR("\n")))
        return false;
    text.n--;
    if (!str_split(&text, ' ', &pid) || !str_split(&text, ' ', &start) || !str_u64(pid, INT32_MAX, &p) ||
        p == 0 || !str_u64(start, UINT64_MAX, &ret->start) || !str_cstr(text, ret->place, sizeof(ret->place)))
        return false;
    ret->pid = (pid_t)p;
    return true;
}

// The pidfd is taken before the start time is compared, so that it cannot be another process by then.
static enum err_code find_pid(const struct who *w, enum process_state *ret, int *ret_pidfd,
                              struct err *reterr)
{
    uint64_t start = 0;
    CLEANUP(fd_close) int fd = pidfd_open(w->pid, 0);
    if (fd < 0 && errno != ESRCH)
        return err_set(reterr, fd_code(errno), "process %d: %s", w->pid, fd_strerror(errno));
    struct err gone = {};
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    if (fd < 0 || start_time(w->pid, &start, &gone) != ERR_OK || start != w->start ||
        poll(&ended, 1, 0) != 0) {
        *ret = PROCESS_ENDED;
        return ERR_OK;
    }
    *ret = PROCESS_RUNS;
    *ret_pidfd = fd_take(&fd);
    return ERR_OK;
}

// Opens the lock of a folder and takes it.
static enum err_code lock(const char *dir, int *ret, struct err *reterr)
{
    char path[PATH_SIZE];
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = in_dir(dir, "lock", path, reterr);
    if (r == ERR_OK)
        r = fd_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, reterr);
    if (r != ERR_OK)
        return r;
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    *ret = fd_take(&fd);
    return ERR_OK;
}

static enum err_code find(const char *dir, enum process_state *ret, int *ret_pidfd, struct err *reterr)
{
    char path[PATH_SIZE], place[WHO_SIZE];
    struct who w = {};
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = in_dir(dir, "process", path, reterr);
    if (r == ERR_OK)
        r = file_read(path, WHO_SIZE, &text, reterr);
    if (r == ERR_NOT_FOUND) {
        *ret = PROCESS_NONE;
        return ERR_OK;
    }
    if (r == ERR_OK && !parse(buf_str(&text), &w))
        r = err_set(reterr, ERR_INTERNAL, "%s: does not say which process it is", path);
    if (r == ERR_OK)
        r = place_now(place, reterr);
    if (r != ERR_OK)
        return r;
    if (strcmp(place, w.place) == 0)
        return find_pid(&w, ret, ret_pidfd, reterr);
    *ret = PROCESS_ELSEWHERE;
    return ERR_OK;
}

enum err_code process_find(const char *dir, enum process_state *ret, int *ret_pidfd, struct err *reterr)
{
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = lock(dir, &fd, reterr);
    return r == ERR_OK ? find(dir, ret, ret_pidfd, reterr) : r;
}

// ---- launching

static enum err_code open_log(const char *dir, int *ret, struct err *reterr)
{
    char path[PATH_SIZE], old[PATH_SIZE];
    struct stat st;
    enum err_code r = in_dir(dir, "log", path, reterr);
    if (r == ERR_OK)
        r = in_dir(dir, "log.1", old, reterr);
    if (r != ERR_OK)
        return r;
    if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
        (void)rename(path, old); // a log that stays long is no reason not to start
    return fd_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, ret, reterr);
}

static int spawn(char *const *argv, int lock_fd, int log_fd, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int failed = posix_spawn_file_actions_init(&files);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_init(&attr);
    if (failed != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return failed;
    }
    const int flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    failed = posix_spawnattr_setflags(&attr, (short)flags);
    if (failed == 0)
        failed = posix_spawnattr_setsigmask(&attr, &none);
    if (failed == 0)
        failed = posix_spawnattr_setsigdefault(&attr, &all);
    if (failed == 0)
        failed = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (failed == 0)
        failed = posix_spawn_file_actions_adddup2(&files, log_fd, STDOUT_FILENO);
    if (failed == 0)
        failed = posix_spawn_file_actions_adddup2(&files, log_fd, STDERR_FILENO);
    if (failed == 0)
        failed = posix_spawn_file_actions_adddup2(&files, lock_fd, LOCK_FD);
    if (failed == 0)
        failed = posix_spawn(ret, "/proc/self/exe", &files, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return failed;
}

enum err_code process_launch(const char *dir, char *const *argv, int *ret_pidfd, struct err *reterr)
{
    static char self[] = "openshell-gateway", verb[] = "launch";
    char *words[WORDS_MAX] = {self, verb, (char *)(uintptr_t)dir};
    size_t n = 3;
    CLEANUP(fd_close) int lock_fd = -1;
    CLEANUP(fd_close) int log_fd = -1;
    CLEANUP(fd_close) int pidfd = -1;
    pid_t pid = 0;
    for (size_t i = 0; argv[i]; i++) {
        if (n + 1 >= WORDS_MAX)
            return err_set(reterr, ERR_LIMIT, "a program has at most %d words", WORDS_MAX - 4);
        words[n++] = argv[i];
    }
    enum err_code r = lock(dir, &lock_fd, reterr);
    if (r == ERR_OK)
        r = open_log(dir, &log_fd, reterr);
    if (r != ERR_OK)
        return r;
    int failed = spawn(words, lock_fd, log_fd, &pid);
    if (failed != 0)
        return err_set(reterr, ERR_UNAVAILABLE, "no process: %s", fd_strerror(failed));
    pidfd = pidfd_open(pid, 0); // a child that nobody has waited for
    int why = errno;
    fd_close(&lock_fd); // the process in between has it, too
    if (pidfd < 0) {
        (void)kill(pid, SIGKILL);
        return err_set(reterr, fd_code(why), "process %d: %s", pid, fd_strerror(why));
    }
    r = lock(dir, &lock_fd, reterr); // until it has become the program, or has ended
    if (r == ERR_OK)
        *ret_pidfd = fd_take(&pidfd);
    else
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    return r;
}

int process_launch_main(int argc, char **argv)
{
    char path[PATH_SIZE], made[PATH_SIZE], place[WHO_SIZE], text[WHO_SIZE + 64];
    uint64_t start = 0;
    struct err err = {};
    if (argc < 4 || fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC) != 0)
        return 2;
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = in_dir(argv[2], "process", path, &err);
    if (r == ERR_OK)
        r = in_dir(argv[2], "process.new", made, &err);
    if (r == ERR_OK)
        r = start_time(getpid(), &start, &err);
    if (r == ERR_OK)
        r = place_now(place, &err);
    if (r == ERR_OK)
        r = fd_open(made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, &fd, &err);
    if (r == ERR_OK) {
        (void)snprintf(text, sizeof(text), "%d %llu %s\n", getpid(), (unsigned long long)start, place);
        r = fd_write_all(fd, str_of(text), &err); // not synced: after a power cut there is no process either
    }
    if (r == ERR_OK && (rename(made, path) != 0 || chdir("/") != 0))
        r = err_set(&err, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    if (r == ERR_OK) {
        (void)execv(argv[3], argv + 3);
        err_fill(&err, ERR_NOT_FOUND, "%s: %s", argv[3], fd_strerror(errno));
    }
    (void)dprintf(STDERR_FILENO, "%s\n", err.msg);
    return 127;
}
