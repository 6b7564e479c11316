// In children, since a domain cannot be left. Where the kernel has no Landlock, only what it then answers.
#include "isolate/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tap.h"

enum { BROKEN = 250, ABI_TRUNCATES = 3, ABI_IOCTLS = 5, ABI_SCOPED = 6 };

static int abi; // of this kernel

// A folder with ro/f, ro/program, rw/f, rw/sub and out/f, in which every test is relative.
static char top[64] = "/tmp/landlock-test-XXXXXX";

static void make(const char *name, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, "#!/bin/sh\nexit 0\n", 17) != 17 || close(fd) != 0)
        tap_note("cannot make %s: %s", name, strerror(errno));
}

static bool make_tree(void)
{
    if (!mkdtemp(top) || chdir(top) != 0)
        return false;
    static const char *const dirs[] = {"ro", "rw", "rw/sub", "out"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (mkdir(dirs[i], 0755) != 0)
            return false;
    make("ro/f", 0644);
    make("ro/program", 0755);
    make("rw/f", 0644);
    make("rw/program", 0755);
    make("out/f", 0644);
    make("out/program", 0755);
    return true;
}

static void remove_tree(void)
{
    if (fork() == 0) {
        (void)execl("/bin/rm", "rm", "-rf", "--", top, (char *)NULL);
        _exit(1);
    }
    (void)wait(NULL);
}

static int in_child(int (*f)(const void *), const void *arg)
{
    (void)fflush(stdout);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(f(arg));
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return BROKEN;
    return WEXITSTATUS(status);
}

// The walls of every test of files: what the system needs to run a script, ro and rw.
static enum err_code lock(struct landlock_report *r, struct err *e)
{
    char ro[128], rw[128];
    (void)snprintf(ro, sizeof(ro), "%s/ro", top);
    (void)snprintf(rw, sizeof(rw), "%s/rw", top);
    const struct str readable[] = {str_of(ro),  STR("/usr"),     STR("/bin"),
                                   STR("/lib"), STR("/dev/tty"), STR("/dev/ptmx")};
    const struct str writable[] = {str_of(rw), STR("/dev/null")};
    const struct landlock_paths p = {.ro = readable,
                                     .rw = writable,
                                     .ro_n = ARRAY_LEN(readable),
                                     .rw_n = ARRAY_LEN(writable)};
    return landlock_apply(&p, false, r, e);
}

// ---- files
// ---------------------------------------------------------------------------------------------------------

enum what { READ, WRITE, CREATE, TRUNCATE, LIST, EXEC, UNLINK, MKDIR, RMDIR, SYMLINK, RENAME, LINK, DEVICE };

static const struct access {
    enum what what;
    const char *a, *b;
    int want; // errno, 0: allowed
    const char *rule;
} accesses[] = {
    {READ, "ro/f", NULL, 0, "a readable path is read"},
    {LIST, "ro", NULL, 0, "and listed"},
    {EXEC, "ro/program", NULL, 0, "and its programs run"},
    {WRITE, "ro/f", NULL, EACCES, "but not written"},
    {TRUNCATE, "ro/f", NULL, EACCES, "nor cut"},
    {CREATE, "ro/new", NULL, EACCES, "nor does a file come"},
    {UNLINK, "ro/f", NULL, EACCES, "or go"},
    {MKDIR, "ro/new", NULL, EACCES, "nor does a folder come"},
    {SYMLINK, "x", "ro/new", EACCES, "nor a symbolic link"},
    {READ, "rw/f", NULL, 0, "a writable path is read"},
    {WRITE, "rw/f", NULL, 0, "and written"},
    {TRUNCATE, "rw/f", NULL, 0, "and cut"},
    {CREATE, "rw/new", NULL, 0, "and a file comes"},
    {UNLINK, "rw/new", NULL, 0, "and goes"},
    {EXEC, "rw/program", NULL, 0, "and its programs run, as in the reference"},
    {MKDIR, "rw/dir", NULL, 0, "and a folder comes"},
    {RMDIR, "rw/dir", NULL, 0, "and goes"},
    {RENAME, "rw/f", "rw/sub/f", 0, "files move within it"},
    {RENAME, "rw/sub/f", "rw/f", 0, "and back"},
    {READ, "out/f", NULL, EACCES, "what is not named is not read"},
    {LIST, "out", NULL, EACCES, "nor listed"},
    {WRITE, "out/f", NULL, EACCES, "nor written"},
    {EXEC, "out/program", NULL, EACCES, "nor run"},
    {TRUNCATE, "out/f", NULL, EACCES, "nor cut"},
    {CREATE, "out/new", NULL, EACCES, "nor does a file come"},
    {READ, "rw/../out/f", NULL, EACCES, "nor through a way around"},
    {READ, "rw/link", NULL, EACCES, "nor through a symbolic link that leads out"},
    {RENAME, "rw/f", "out/g", EACCES, "nothing moves out"},
    {RENAME, "out/f", "rw/g", EACCES, "nothing moves in"},
    {LINK, "out/f", "rw/g", EXDEV, "nor is linked in"},
    {LINK, "ro/program", "rw/g", EXDEV, "a read-only file does not become writable by a link"},
    {LIST, "/root", NULL, EACCES, "the rest of the machine is not listed"},
    {READ, "/etc/passwd", NULL, EACCES, "nor read"},
    {WRITE, "/dev/null", NULL, 0, "a single file can be named"},
    {DEVICE, "/dev/ptmx", NULL, EACCES, "a device's settings are not changed where it is only readable"},
};

static int result(int r)
{
    return r < 0 ? errno : 0;
}

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int r = result(fd);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

static int run(const char *path)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        (void)dup2(null, 2);
    (void)execl(path, path, (char *)NULL);
    return errno;
}

static int device(const char *path)
{
    int lock_no = 0, fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? BROKEN : result(ioctl(fd, TIOCSPTLCK, &lock_no));
}

static int try_access(const void *arg)
{
    const struct access *t = arg;
    struct landlock_report r = {};
    struct err e;
    if (lock(&r, &e) != ERR_OK || !r.files)
        return BROKEN;
    switch (t->what) {
    case READ:
        return opened(t->a, O_RDONLY);
    case WRITE:
        return opened(t->a, O_WRONLY);
    case CREATE:
        return opened(t->a, O_WRONLY | O_CREAT | O_EXCL);
    case LIST:
        return opened(t->a, O_RDONLY | O_DIRECTORY);
    case TRUNCATE:
        return result(truncate(t->a, 20));
    case EXEC:
        return run(t->a);
    case UNLINK:
        return result(unlink(t->a));
    case MKDIR:
        return result(mkdir(t->a, 0700));
    case RMDIR:
        return result(rmdir(t->a));
    case SYMLINK:
        return result(symlink(t->a, t->b));
    case RENAME:
        return result(rename(t->a, t->b));
    case LINK:
        return result(link(t->a, t->b));
    case DEVICE:
        return device(t->a);
    }
    return BROKEN;
}

static void files(void)
{
    if (symlink("../out/f", "rw/link") != 0)
        tap_note("no link");
    for (size_t i = 0; i < ARRAY_LEN(accesses); i++) {
        const struct access *t = &accesses[i];
        bool skip = (t->what == DEVICE && abi < ABI_IOCTLS) || (t->what == TRUNCATE && abi < ABI_TRUNCATES);
        int got = skip ? t->want : in_child(try_access, t);
        if (!tap_ok(got == t->want, "%s%s", t->rule, skip ? " # SKIP an older Landlock" : ""))
            tap_note("%s: %d (%s), expected %d", t->a, got, strerror(got), t->want);
    }
}

// ---- scopes
// --------------------------------------------------------------------------------------------------------

static int listener = -1;
static struct sockaddr_un outside = {.sun_family = AF_UNIX};
static socklen_t outside_len;

static int dial_outside(const void *arg)
{
    struct landlock_report r = {};
    struct err e;
    if (arg && (lock(&r, &e) != ERR_OK || !r.scopes))
        return BROKEN;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return result(connect(fd, (const struct sockaddr *)&outside, outside_len));
}

static int dial_inside(const void *arg)
{
    (void)arg;
    struct landlock_report r = {};
    struct err e;
    if (lock(&r, &e) != ERR_OK)
        return BROKEN;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t n = sizeof(a.sun_family); // the kernel picks an abstract name
    int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(l, (const struct sockaddr *)&a, n) != 0 || listen(l, 1) != 0)
        return BROKEN;
    n = sizeof(a);
    if (getsockname(l, (struct sockaddr *)&a, &n) != 0)
        return BROKEN;
    return result(connect(fd, (const struct sockaddr *)&a, n));
}

static int signal_outside(const void *arg)
{
    struct landlock_report r = {};
    struct err e;
    if (arg && (lock(&r, &e) != ERR_OK || !r.scopes))
        return BROKEN;
    return result(kill(getppid(), 0));
}

static int signal_inside(const void *arg)
{
    (void)arg;
    struct landlock_report r = {};
    struct err e;
    if (lock(&r, &e) != ERR_OK)
        return BROKEN;
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    return result(kill(pid, SIGKILL));
}

static void scopes(void)
{
    static const char yes[] = "";
    if (abi < ABI_SCOPED) {
        (void)tap_ok(true, "abstract sockets and signals # SKIP an older Landlock");
        return;
    }
    outside_len = sizeof(outside.sun_family);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = bind(listener, (const struct sockaddr *)&outside, outside_len) == 0 && listen(listener, 5) == 0;
    outside_len = sizeof(outside);
    ok = ok && getsockname(listener, (struct sockaddr *)&outside, &outside_len) == 0;
    (void)tap_ok(ok && in_child(dial_outside, NULL) == 0, "without the walls an abstract socket is reached");
    (void)tap_ok(in_child(dial_outside, yes) == EPERM, "with them it is not");
    (void)tap_ok(in_child(dial_inside, NULL) == 0, "one's own abstract socket is");
    (void)tap_ok(in_child(signal_outside, NULL) == 0, "without the walls a signal arrives");
    (void)tap_ok(in_child(signal_outside, yes) == EPERM, "with them it does not");
    (void)tap_ok(in_child(signal_inside, NULL) == 0, "one's own child can be ended");
    (void)close(listener);
}

// ---- what is missing
// --------------------------------------------------------------------------------------------------

static const char missing[] = "/nonexistent/landlock";

static int missing_soft(const void *arg)
{
    (void)arg;
    const struct str ro[] = {STR("/usr"), str_of(missing)};
    const struct landlock_paths p = {.ro = ro, .ro_n = 2};
    struct landlock_report r = {};
    struct err e;
    return landlock_apply(&p, false, &r, &e) == ERR_OK && r.applied == 1 && r.skipped == 1 && r.files &&
                   strcmp(r.why, "path '/nonexistent/landlock': No such file or directory") == 0 &&
                   opened("/usr", O_RDONLY | O_DIRECTORY) == 0 &&
                   opened("/etc", O_RDONLY | O_DIRECTORY) == EACCES
               ? 0
               : 1;
}

static int missing_hard(const void *arg)
{
    (void)arg;
    const struct str ro[] = {STR("/usr"), str_of(missing)};
    const struct landlock_paths p = {.ro = ro, .ro_n = 2};
    struct landlock_report r = {};
    struct err e = {};
    return landlock_apply(&p, true, &r, &e) == ERR_UNSUPPORTED &&
                   strcmp(e.msg,
                          "path '/nonexistent/landlock': No such file or directory, and the policy says "
                          "hard_requirement") == 0
               ? 0
               : 1;
}

static int missing_all(const void *arg)
{
    (void)arg;
    const struct str ro[] = {str_of(missing)};
    const struct landlock_paths p = {.ro = ro, .ro_n = 1};
    struct landlock_report r = {};
    struct err e = {};
    return landlock_apply(&p, false, &r, &e) == ERR_OK && !r.files &&
                   strstr(r.why, "none of the policy's paths can be used: ")
               ? 0
               : 1;
}

static int no_paths(const void *arg)
{
    (void)arg;
    const struct landlock_paths p = {};
    struct landlock_report r = {};
    struct err e = {};
    return landlock_apply(&p, true, &r, &e) == ERR_OK && !r.files && r.scopes == (abi >= ABI_SCOPED) &&
                   opened("/etc/passwd", O_RDONLY) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
               ? 0
               : 1;
}

static int too_long(const void *arg)
{
    (void)arg;
    char path[5000];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    const struct str ro[] = {{path, sizeof(path)}};
    const struct landlock_paths p = {.ro = ro, .ro_n = 1};
    struct landlock_report r = {};
    struct err e = {};
    return landlock_apply(&p, false, &r, &e) == ERR_INVALID && strstr(e.msg, "is too long, or holds a NUL")
               ? 0
               : 1;
}

// ---- the baseline
// -----------------------------------------------------------------------------------------------------

static size_t count(const struct str *v, size_t n, struct str path)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += str_eq(v[i], path);
    return found;
}

static void baseline(void)
{
    const struct str ro[] = {STR("/srv/mine"), STR("/usr"), STR("/tmp")},
                     rw[] = {STR("/srv/out"), STR("/etc")};
    const struct landlock_paths policy = {.ro = ro, .ro_n = 3, .rw = rw, .rw_n = 2};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct landlock_paths p = {};
    struct err e;
    bool ok = landlock_baseline(&policy, &a, &p, &e) == ERR_OK;
    (void)tap_ok(ok && count(p.ro, p.ro_n, ro[0]) == 1 && count(p.rw, p.rw_n, rw[0]) == 1,
                 "the policy's paths stay, there or not");
    (void)tap_ok(count(p.ro, p.ro_n, STR("/usr")) == 1, "a path that the policy names is not added again");
    (void)tap_ok(count(p.rw, p.rw_n, STR("/etc")) == 1 && count(p.ro, p.ro_n, STR("/etc")) == 0,
                 "a path of the list that the policy makes writable is");
    (void)tap_ok(count(p.ro, p.ro_n, STR("/tmp")) == 1 && count(p.rw, p.rw_n, STR("/tmp")) == 0,
                 "a path of the list that the policy makes read-only is not writable");
    (void)tap_ok(count(p.ro, p.ro_n, STR("/proc")) == 1 && count(p.ro, p.ro_n, STR("/dev/urandom")) == 1,
                 "what programs need is added");
    (void)tap_ok(count(p.ro, p.ro_n, STR("/app")) == (access("/app", F_OK) == 0),
                 "what is not there is not added");
    const struct landlock_paths none = {};
    ok = landlock_baseline(&none, &a, &p, &e) == ERR_OK;
    (void)tap_ok(ok && count(p.rw, p.rw_n, STR("/tmp")) == 1 && p.rw_n == 1,
                 "only /tmp is writable of itself");
    CLEANUP(arena_done) struct arena small;
    arena_init(&small, 16);
    (void)tap_ok(landlock_baseline(&policy, &small, &p, &e) == ERR_LIMIT, "a full arena is a limit");
}

int main(void)
{
    struct err e = {};
    baseline();
    if (landlock_probe(&abi, &e) != ERR_OK) {
        (void)tap_ok(e.msg[0] != '\0', "a kernel without Landlock says so: %s", e.msg);
        return tap_done();
    }
    if (!make_tree()) {
        (void)tap_ok(false, "a tree to try on: %s", strerror(errno));
        return tap_done();
    }
    files();
    scopes();
    (void)tap_ok(in_child(missing_soft, NULL) == 0, "a path that is not there is said, the others hold");
    (void)tap_ok(in_child(missing_hard, NULL) == 0, "where the policy is hard, it is an error");
    (void)tap_ok(in_child(missing_all, NULL) == 0, "no path at all that can be used is said");
    (void)tap_ok(in_child(no_paths, NULL) == 0, "a policy without paths leaves files, and scopes the rest");
    (void)tap_ok(in_child(too_long, NULL) == 0, "a path that is too long is refused");
    remove_tree();
    return tap_done();
}
