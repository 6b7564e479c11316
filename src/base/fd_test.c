#include "base/fd.h"

#include "alloc_fail.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names, see
// tests/alloc_fail.c
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

static struct {
    size_t chunk; // at most this many bytes a call
    bool eintr;   // every second call is interrupted
    unsigned calls;
    int read_errno, write_errno, rename_errno;
    int fsync_errno[2]; // of the first, and of the second
    unsigned fsyncs, renames;
    bool fsync_before_rename, fsync_after_rename;
} sys = {.chunk = SIZE_MAX};

static bool interrupted(void)
{
    errno = EINTR;
    return sys.eintr && sys.calls++ % 2 == 0;
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (interrupted())
        return -1;
    errno = sys.read_errno;
    return errno ? -1 : __real_read(fd, p, n < sys.chunk ? n : sys.chunk);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (interrupted())
        return -1;
    errno = sys.write_errno;
    return errno ? -1 : __real_write(fd, p, n < sys.chunk ? n : sys.chunk);
}

int __wrap_fsync(int fd)
{
    struct stat st;
    bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    if (sys.renames == 0 && !folder)
        sys.fsync_before_rename = true;
    if (sys.renames == 1 && folder)
        sys.fsync_after_rename = true;
    errno = sys.fsyncs < 2 ? sys.fsync_errno[sys.fsyncs] : 0;
    sys.fsyncs++;
    return errno ? -1 : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    sys.renames++;
    errno = sys.rename_errno;
    return errno ? -1 : __real_rename(from, to);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

static void sys_reset(void)
{
    memset(&sys, 0, sizeof(sys));
    sys.chunk = SIZE_MAX;
}

static size_t folder_count(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

static void test_close(void)
{
    int fd = dup(0), number = fd;
    errno = EDOM;
    fd_close(&fd);
    tap_ok(fd == -1 && fcntl(number, F_GETFD) == -1, "close: closes and forgets");
    errno = EDOM;
    fd_close(&fd);
    tap_ok(errno == EDOM, "close: a second time does nothing");
    fd = dup(0);
    errno = EDOM;
    fd_close(&fd);
    tap_ok(errno == EDOM, "close: keeps errno");
    fd = dup(0);
    number = fd;
    int taken = fd_take(&fd);
    tap_ok(taken == number && fd == -1, "take: moves and leaves -1");
    fd_close(&taken);
    fd = 0;
    int zero = dup(0);
    fd_close(&fd);
    tap_ok(fcntl(0, F_GETFD) == -1, "close: 0 is a descriptor like any other");
    (void)dup2(zero, 0);
    fd_close(&zero);
}

static const struct {
    int errnum;
    enum err_code code;
} code_rows[] = {
    {ENOENT, ERR_NOT_FOUND},   {EEXIST, ERR_EXISTS},     {EACCES, ERR_DENIED},
    {EPERM, ERR_DENIED},       {ENOSPC, ERR_LIMIT},      {ENOMEM, ERR_LIMIT},
    {EMFILE, ERR_LIMIT},       {EISDIR, ERR_INVALID},    {ENAMETOOLONG, ERR_INVALID},
    {EAGAIN, ERR_UNAVAILABLE}, {EPIPE, ERR_UNAVAILABLE}, {ETIMEDOUT, ERR_TIMEOUT},
    {ENOSYS, ERR_UNSUPPORTED}, {EIO, ERR_INTERNAL},      {EBADF, ERR_INTERNAL},
    {123456, ERR_INTERNAL},
};

static void test_codes(void)
{
    for (size_t i = 0; i < ARRAY_LEN(code_rows); i++)
        tap_ok(fd_code(code_rows[i].errnum) == code_rows[i].code, "code: %s is %s",
               fd_strerror(code_rows[i].errnum), err_code_name(code_rows[i].code));
    tap_ok(strcmp(fd_strerror(ENOENT), "No such file or directory") == 0, "strerror: the system's text");
    tap_ok(strcmp(fd_strerror(123456), "unknown error") == 0, "strerror: of no errno");
}

// A pipe would do, but for its size; this holds any amount.
static int file_of(const char *name, struct str s)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || __real_write(fd, s.p, s.n) != (ssize_t)s.n || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    return fd;
}

static char big[40'000]; // more than two of the pieces in which fd.c reads

static void read_rows(const char *how)
{
    struct str text = {big, sizeof(big)};
    for (int over = 0; over < 2; over++) {
        CLEANUP(fd_close) int fd = file_of("in", text);
        CLEANUP(buf_done) struct buf b = {.max = 4711};
        struct err err = {};
        enum err_code r = fd_read_all(fd, sizeof(big) - (size_t)over, &b, &err);
        if (over)
            tap_ok(r == ERR_LIMIT && strcmp(err.msg, "more than 39999 bytes") == 0 && !b.p && b.max == 4711,
                   "read_all: %s, %s", err.msg, how);
        else
            tap_ok(r == ERR_OK && str_eq(buf_str(&b), text), "read_all: the maximum itself, %s", how);
    }
}

static void test_read_all(void)
{
    read_rows("in large pieces");
    sys.chunk = 7;
    sys.eintr = true;
    read_rows("in small pieces with interruptions");
    sys_reset();

    struct err err = {};
    CLEANUP(buf_done) struct buf b = {};
    CLEANUP(fd_close) int empty = file_of("empty", STR(""));
    tap_ok(fd_read_all(empty, 0, &b, &err) == ERR_OK && b.n == 0, "read_all: nothing, with room for nothing");
    CLEANUP(fd_close) int in = file_of("in", STR("x"));
    tap_ok(fd_read_all(in, 0, &b, &err) == ERR_LIMIT, "read_all: one byte, with room for nothing");
    sys.read_errno = EIO;
    tap_ok(fd_read_all(in, 10, &b, &err) == ERR_INTERNAL && strcmp(err.msg, "read: Input/output error") == 0,
           "read_all: %s", err.msg);
    sys_reset();

    for (size_t n = 1;; n++) {
        CLEANUP(fd_close) int fd = file_of("in", (struct str){big, sizeof(big)});
        CLEANUP(buf_done) struct buf got = {};
        alloc_fail_at(n);
        enum err_code r = fd_read_all(fd, MIB, &got, &err);
        alloc_fail_off();
        if (alloc_fail_count() < n) {
            tap_ok(r == ERR_OK && n > 2, "read_all: works in the end");
            break;
        }
        tap_ok(r == ERR_LIMIT && !got.p && str_starts(str_of(err.msg), STR("no memory for more than ")),
               "read_all: %s", err.msg);
    }
}

static void test_write_all(void)
{
    struct err err = {};
    sys.chunk = 7;
    sys.eintr = true;
    CLEANUP(fd_close) int fd = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    enum err_code r = fd_write_all(fd, (struct str){big, sizeof(big)}, &err);
    sys_reset();
    CLEANUP(buf_done) struct buf b = {};
    tap_ok(r == ERR_OK && file_read("out", MIB, &b, &err) == ERR_OK &&
               str_eq(buf_str(&b), (struct str){big, sizeof(big)}),
           "write_all: over short writes and interruptions");
    tap_ok(fd_write_all(-1, STR(""), &err) == ERR_OK, "write_all: nothing to do");
    tap_ok(fd_write_all(-1, STR("x"), &err) == ERR_INTERNAL &&
               strcmp(err.msg, "write: Bad file descriptor") == 0,
           "write_all: %s", err.msg);
    sys.write_errno = EAGAIN;
    tap_ok(fd_write_all(fd, STR("x"), &err) == ERR_UNAVAILABLE, "write_all: %s", err.msg);
    sys_reset();
}

static void test_open(void)
{
    struct err err = {};
    CLEANUP(fd_close) int fd = -1;
    tap_ok(fd_open("made", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, &err) == ERR_OK &&
               fcntl(fd, F_GETFD) == FD_CLOEXEC,
           "open: close-on-exec");
    tap_ok(fd_set_nonblock(fd) &&
               (fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE)) == (O_NONBLOCK | O_WRONLY) &&
               fd_set_nonblock(fd),
           "set_nonblock: adds to the flags that are there");
    tap_ok(!fd_set_nonblock(-1) && errno == EBADF, "set_nonblock: errno says why not");
    int other = 4711;
    tap_ok(fd_open("made", O_WRONLY | O_CREAT | O_EXCL, 0600, &other, &err) == ERR_EXISTS && other == 4711 &&
               strcmp(err.msg, "open: File exists") == 0,
           "open: %s", err.msg);
}

static const struct {
    const char *path, *want;
    enum err_code code;
} file_rows[] = {
    {"none", "none: open: No such file or directory", ERR_NOT_FOUND},
    {"made/x", "made/x: open: Not a directory", ERR_INVALID},
    {".", ".: read: Is a directory", ERR_INVALID},
    {"", ": open: No such file or directory", ERR_NOT_FOUND},
    {"long", "long: more than 9 bytes", ERR_LIMIT},
    {"no\nne", "no?ne: open: No such file or directory", ERR_NOT_FOUND},
};

static void test_file_read(void)
{
    struct err err = {};
    int fd = file_of("long", STR("0123456789"));
    fd_close(&fd);
    for (size_t i = 0; i < ARRAY_LEN(file_rows); i++) {
        CLEANUP(buf_done) struct buf b = {};
        tap_ok(file_read(file_rows[i].path, 9, &b, &err) == file_rows[i].code && !b.p &&
                   strcmp(err.msg, file_rows[i].want) == 0,
               "file_read: %s", err.msg);
    }
    CLEANUP(buf_done) struct buf b = {};
    tap_ok(file_read("long", 10, &b, &err) == ERR_OK && str_eq(buf_str(&b), STR("0123456789")),
           "file_read: a file");
}

static bool holds(const char *path, struct str want)
{
    struct err err;
    CLEANUP(buf_done) struct buf b = {};
    return file_read(path, MIB, &b, &err) == ERR_OK && str_eq(buf_str(&b), want);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void test_write_atomic(void)
{
    struct err err = {};
    (void)mkdir("d", 0700);
    mode_t mask = umask(077);
    tap_ok(file_write_atomic("d/f", STR("one"), 0644, &err) == ERR_OK && holds("d/f", STR("one")) &&
               mode_of("d/f") == 0644,
           "write_atomic: a new file, with its mode whatever the umask");
    (void)umask(mask);
    tap_ok(sys.fsync_before_rename && sys.fsync_after_rename && sys.fsyncs == 2,
           "write_atomic: the file is synced before the rename, the folder behind it");
    tap_ok(file_write_atomic("d/f", STR(""), 0600, &err) == ERR_OK && holds("d/f", STR("")) &&
               mode_of("d/f") == 0600,
           "write_atomic: replaces, mode included");
    (void)symlink("f", "d/link");
    tap_ok(file_write_atomic("d/link", STR("new"), 0600, &err) == ERR_OK && holds("d/link", STR("new")) &&
               holds("d/f", STR("")),
           "write_atomic: replaces a link, not what it points to");
    sys_reset();
    tap_ok(file_write_atomic("here", STR("x"), 0600, &err) == ERR_OK && holds("here", STR("x")) &&
               sys.fsync_after_rename,
           "write_atomic: in the working folder");
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    tap_ok(file_write_atomic(name, STR("x"), 0600, &err) == ERR_OK && holds(name, STR("x")),
           "write_atomic: a name of the longest kind");
}

static const struct {
    const char *path, *want;
    int write_errno, rename_errno, fsync_errno[2];
    enum err_code code;
    bool replaced;
} atomic_rows[] = {
    {"none/f", "none/f: make a temporary file in its folder: No such file or directory",
     .code = ERR_NOT_FOUND},
    {"d/f", "d/f: write: No space left on device", .write_errno = ENOSPC, .code = ERR_LIMIT},
    {"d/f", "d/f: fsync: Input/output error", .fsync_errno = {EIO}, .code = ERR_INTERNAL},
    {"d/f", "d/f: rename: Read-only file system", .rename_errno = EROFS, .code = ERR_DENIED},
    {"d", "d: rename: Is a directory", .code = ERR_INVALID},
    {"d/f", "d/f: written, but a power cut may undo it: folder: fsync: Input/output error",
     .fsync_errno = {0, EIO}, .code = ERR_INTERNAL, .replaced = true},
};

static void test_write_atomic_failing(void)
{
    struct err err = {};
    for (size_t i = 0; i < ARRAY_LEN(atomic_rows); i++) {
        sys_reset();
        (void)file_write_atomic("d/f", STR("old"), 0600, &err);
        sys_reset();
        size_t files = folder_count("d") + folder_count(".");
        sys.write_errno = atomic_rows[i].write_errno;
        sys.rename_errno = atomic_rows[i].rename_errno;
        sys.fsync_errno[0] = atomic_rows[i].fsync_errno[0];
        sys.fsync_errno[1] = atomic_rows[i].fsync_errno[1];
        enum err_code r = file_write_atomic(atomic_rows[i].path, STR("new"), 0600, &err);
        sys_reset();
        tap_ok(r == atomic_rows[i].code && strcmp(err.msg, atomic_rows[i].want) == 0 &&
                   holds("d/f", atomic_rows[i].replaced ? STR("new") : STR("old")) &&
                   folder_count("d") + folder_count(".") == files,
               "write_atomic: %s", err.msg);
    }
    for (size_t n = 1; n <= 2; n++) {
        alloc_fail_at(n);
        enum err_code r = file_write_atomic("d/f", STR("new"), 0600, &err);
        alloc_fail_off();
        tap_ok(r == ERR_LIMIT && alloc_fail_count() >= n &&
                   strcmp(err.msg, "d/f: no memory for the name of a temporary file") == 0,
               "write_atomic: %s", err.msg);
    }
    size_t fds = folder_count("/proc/self/fd");
    (void)file_write_atomic("d/f", STR("new"), 0600, &err);
    (void)file_write_atomic("d", STR("new"), 0600, &err);
    tap_ok(folder_count("/proc/self/fd") == fds, "write_atomic: leaves no descriptor open");
}

static void sweep(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (unlinkat(dirfd(d), e->d_name, 0) != 0)
            (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR); // "." and ".." fail both ways
    if (d)
        (void)closedir(d);
}

int main(void)
{
    char folder[] = "/tmp/openshell-fd-test-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        printf("Bail out! no folder in /tmp\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 % 251);
    test_close();
    test_codes();
    test_open();
    test_read_all();
    test_write_all();
    test_file_read();
    test_write_atomic();
    test_write_atomic_failing();
    sweep("d");
    sweep(".");
    (void)chdir("/");
    (void)rmdir(folder);
    return tap_done();
}
