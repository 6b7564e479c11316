// In child processes, as root and as another user.
#include "base/fd.h"
#include "isolate/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

enum { OTHER_ID = 54'323, NOT_HERE = 250 };

static int confined(void)
{
    struct err e = {};
    int s[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) != 0)
        return 1;
    if (confine_egress(&e) != ERR_OK) {
        (void)fprintf(stderr, "# %s\n", e.msg);
        return 2;
    }
    if (geteuid() == 0 || getuid() == 0)
        return 3;
    CLEANUP(fd_close) int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        return 4;
    CLEANUP(fd_close) int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (local >= 0 || errno != EPERM)
        return 5;
    CLEANUP(fd_close) int v4 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(fd_close) int v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (v4 < 0 || v6 < 0)
        return 6;
    return write(s[0], "x", 1) == 1 ? 0 : 7; // what was open stays
}

static int looked_at(void) // what of it the filter no longer lets us ask in a release
{
#if defined(__SANITIZE_ADDRESS__)
    struct err e = {};
    struct rlimit core;
    if (confine_egress(&e) != ERR_OK)
        return 1;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 3;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return 4;
    (void)execl("/bin/true", "true", NULL);
    return prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0 ? 0 : 5;
#else
    return NOT_HERE;
#endif
}

static void row(int (*test)(void), bool user, const char *rule)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (user && (setgroups(0, NULL) != 0 || setresgid(OTHER_ID, OTHER_ID, OTHER_ID) != 0 ||
                     setresuid(OTHER_ID, OTHER_ID, OTHER_ID) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0))
            _exit(NOT_HERE);
        _exit(test());
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
        tap_ok(true, "%s # SKIP not possible here", rule);
    else if (!tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", rule))
        tap_note("status %#x", (unsigned)status);
}

int main(void)
{
    row(confined, false, "a confined process has no files and no AF_UNIX, and dials");
    row(looked_at, false, "it leaves no core, gains nothing and runs nothing");
    if (geteuid() == 0) {
        row(confined, true, "so it is for an ordinary user");
        row(looked_at, true, "without core, gain and programs too");
    }
    return tap_done();
}
