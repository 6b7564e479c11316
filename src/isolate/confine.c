// The order matters: another uid while we may still change it; the user namespace, which gives the right to
// the other ones and to an empty root; then the rights go, and last the system calls that did all this.
#include "isolate/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/caps.h"
#include "isolate/seccomp.h"

enum { NOBODY = 65534 };

#define refused(e, what) err_set((e), ERR_UNSUPPORTED, "%s: %s", (what), fd_strerror(errno))

static enum err_code one_thread(struct err *e)
{
    struct stat st;
    if (stat("/proc/self/task", &st) != 0)
        return err_set(e, ERR_PRECONDITION, "cannot count the threads: /proc/self/task: %s",
                       fd_strerror(errno));
    if (st.st_nlink != 3) // ".", the name in the folder above, and a folder for each thread
        return err_set(e, ERR_PRECONDITION, "the process must have one thread");
    return ERR_OK;
}

static enum err_code other_uid(struct err *e)
{
    if (geteuid() != 0)
        return ERR_OK;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return refused(e, "cannot become an unprivileged user");
    // Else the files of /proc/self belong to root, and the maps could not be written.
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return refused(e, "cannot own the process's files in /proc");
    return ERR_OK;
}

static enum err_code put(const char *path, const char *text, struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_WRONLY, 0, &fd, e);
    if (r == ERR_OK)
        r = fd_write_all(fd, str_of(text), e);
    return r == ERR_OK ? ERR_OK : err_wrap(e, ERR_UNSUPPORTED, "%s", path);
}

static enum err_code namespaces(struct err *e)
{
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        return refused(e, "the kernel refuses a user namespace to the egress");
    char map[64];
    enum err_code r = put("/proc/self/setgroups", "deny", e);
    (void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (r == ERR_OK)
        r = put("/proc/self/uid_map", map, e);
    (void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return r == ERR_OK ? put("/proc/self/gid_map", map, e) : r;
}

static enum err_code empty_root(struct err *e)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return refused(e, "cannot make the mounts private");
    // On /proc, because it was just used: it exists.
    if (mount("empty", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0555,size=4k") !=
        0)
        return refused(e, "cannot mount an empty root");
    if (chdir("/proc") != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
        chdir("/") != 0)
        return refused(e, "cannot change to an empty root");
    return ERR_OK;
}

static enum err_code quiet(pid_t parent, struct err *e)
{
    const struct rlimit none = {};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return refused(e, "cannot rule out a core file");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return refused(e, "cannot be tied to the parent");
    if (getppid() != parent)
        return err_set(e, ERR_UNAVAILABLE, "the parent is gone");
    return ERR_OK;
}

static enum err_code check_files(struct err *e)
{
    static const char *const gone[] = {"/etc/passwd", "/proc", "/../etc"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (access(gone[i], F_OK) == 0 || errno != ENOENT)
            return err_set(e, ERR_INTERNAL, "%s can be seen from the empty root", gone[i]);
    if (mkdir("/x", 0700) == 0)
        return err_set(e, ERR_INTERNAL, "the empty root can be written to");
    return ERR_OK;
}

static enum err_code check_calls(struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EPERM)
        return ERR_OK;
    if (fd >= 0)
        (void)close(fd);
    return err_set(e, ERR_INTERNAL, "the system call filter does not hold: AF_UNIX is not refused");
}

enum err_code confine_egress(struct err *e)
{
    pid_t parent = getppid();
    enum err_code r = one_thread(e);
    if (r == ERR_OK)
        r = other_uid(e);
    if (r == ERR_OK)
        r = namespaces(e);
    if (r == ERR_OK)
        r = empty_root(e);
    if (r == ERR_OK)
        r = check_files(e);
    if (r == ERR_OK)
        r = caps_drop(e);
    if (r == ERR_OK)
        r = quiet(parent, e);
    if (r == ERR_OK)
        r = seccomp_egress(e);
    return r == ERR_OK ? check_calls(e) : r;
}
