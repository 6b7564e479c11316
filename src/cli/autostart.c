#include "cli/autostart.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/sibling.h"
#include "rpc/local.h"

enum {
    START_MS = 10'000, // as long as a command waits for a gateway that is far away
    LOCK_MS = 15'000,  // somebody else's start, and some more
    TURN_MS = 5,       // between two looks; nothing tells when another process has begun to listen
    LOG_TAIL = 2 * KIB,
    LOG_MAX = 8 * MIB,
};

// Whether something of this user's listens there.
static bool answers(const char *socket_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    if (lstat(socket_path, &st) != 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return false;
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && str_cstr(str_of(socket_path), addr.sun_path, sizeof(addr.sun_path)) &&
           connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
}

// $XDG_STATE_HOME/openshell/gateway.log, else below ~/.local/state, else beside the socket.
static void log_path(struct autostart *a, const struct local_env *env)
{
    int n = 0;
    if (env->state_home && env->state_home[0] == '/')
        n = snprintf(a->log, sizeof(a->log), "%s/openshell/gateway.log", env->state_home);
    else if (env->home && env->home[0] == '/')
        n = snprintf(a->log, sizeof(a->log), "%s/.local/state/openshell/gateway.log", env->home);
    if (n <= 0 || n >= (int)sizeof(a->log))
        (void)snprintf(a->log, sizeof(a->log), "%.900s.log", a->socket);
}

static enum err_code take_lock(const char *socket_path, int *ret, struct err *reterr)
{
    char path[AUTOSTART_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%.900s.lock", socket_path);
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, reterr);
    if (r != ERR_OK)
        return r;
    int64_t deadline = deadline_in_ms(LOCK_MS);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
        if (deadline_passed(deadline))
            return err_set(reterr, ERR_TIMEOUT, "%s: another command has held it for %d seconds", path,
                           LOCK_MS / 1000);
        (void)poll(NULL, 0, TURN_MS);
    }
    *ret = fd_take(&fd);
    return ERR_OK;
}

// In the child: nothing of the command's terminal, files and signals is left.
static void become_gateway(const char *program, int log_fd)
{
    static const int reset[] = {SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGWINCH, SIGCHLD};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < ARRAY_LEN(reset); i++)
        (void)signal(reset[i], SIG_DFL);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (setsid() < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0 || chdir("/") != 0)
        _exit(127);
    (void)umask(0077);
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    execv(program, argv);
    _exit(127);
}

// Its last words, on one line.
static enum err_code has_ended(const char *program, const struct autostart *a, off_t from, struct err *reterr)
{
    char tail[LOG_TAIL + 1] = "";
    CLEANUP(fd_close) int fd = -1;
    struct err ignored = {};
    ssize_t n = 0;
    if (fd_open(a->log, O_RDONLY, 0, &fd, &ignored) == ERR_OK)
        n = pread(fd, tail, LOG_TAIL, from);
    struct str rest = str_trim((struct str){tail, n > 0 ? (size_t)n : 0}), line = {};
    char last[200] = "";
    while (str_line(&rest, &line))
        if (line.n > 0)
            (void)snprintf(last, sizeof(last), "%.*s", line.n < sizeof(last) ? (int)line.n : 199, line.p);
    return err_set(reterr, ERR_UNAVAILABLE, "%s ended at once: %s", program, last);
}

static enum err_code wait_for(const char *program, pid_t pid, const struct autostart *a, off_t from,
                              struct err *reterr)
{
    CLEANUP(fd_close) int fd = pidfd_open(pid, 0);
    int64_t deadline = deadline_in_ms(START_MS);
    while (!answers(a->socket)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, TURN_MS) > 0) {
            (void)waitpid(pid, NULL, 0);
            return has_ended(program, a, from, reterr);
        }
        if (deadline_passed(deadline))
            return err_set(reterr, ERR_TIMEOUT, "%s has not begun to listen within %d seconds; its log is %s",
                           program, START_MS / 1000, a->log);
    }
    return ERR_OK;
}

static enum err_code start(struct autostart *a, struct err *reterr)
{
    char program[SIBLING_PATH_SIZE];
    const struct local_env env = local_env();
    if (!sibling_find("openshell-gateway", program))
        return err_set(reterr, ERR_NOT_FOUND, "openshell-gateway is neither beside this program nor on PATH");
    struct err ignored = {};
    log_path(a, &env);
    if (local_make_dir(a->log, env.uid, &ignored) != ERR_OK) // a long path, a file system that is read-only
        (void)snprintf(a->log, sizeof(a->log), "%.900s.log", a->socket);
    CLEANUP(fd_close) int log_fd = -1;
    enum err_code r = fd_open(a->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, &log_fd, reterr);
    if (r != ERR_OK)
        return r;
    off_t from = lseek(log_fd, 0, SEEK_END);
    if (from > LOG_MAX && ftruncate(log_fd, 0) == 0) // of gateways that ended long ago
        from = 0;
    pid_t pid = fork();
    if (pid < 0)
        return err_set(reterr, fd_code(errno), "cannot start %s: %s", program, fd_strerror(errno));
    if (pid == 0)
        become_gateway(program, log_fd);
    a->started = true;
    return wait_for(program, pid, a, from < 0 ? 0 : from, reterr);
}

enum err_code autostart(struct autostart *a, struct err *reterr)
{
    if (answers(a->socket))
        return ERR_OK;
    CLEANUP(fd_close) int lock = -1;
    enum err_code r = local_make_dir(a->socket, getuid(), reterr);
    if (r == ERR_OK)
        r = take_lock(a->socket, &lock, reterr);
    if (r != ERR_OK || answers(a->socket)) // another command was faster
        return r;
    return start(a, reterr);
}
