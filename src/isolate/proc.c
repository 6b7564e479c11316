// A process is read through its /proc/PID folder, held open, so that a pid that is used again cannot lend
// another's name.
//
// syscalls: openat read readlinkat getdents64 access fcntl
#include "isolate/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    PATH_BYTES = 4096,       // of one executable's path
    CMDLINE_BYTES = 8 * KIB, // of an argument vector that is looked at
    PATH_TEXT = 200,         // of a path in a message
};

#define PATH_FMT(s) (int)((s).n < PATH_TEXT ? (s).n : PATH_TEXT), (s).p
// ---- /proc
// --------------------------------------------------------------------------------------------------

bool proc_is_pid(const char *name, uint32_t *ret)
{
    uint64_t pid;
    if (!str_u64(str_of(name), INT32_MAX, &pid))
        return false;
    *ret = (uint32_t)pid;
    return true;
}

int proc_open(uint32_t pid)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%u", pid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool proc_read(int proc_fd, const char *name, char *out, size_t size, size_t *ret)
{
    CLEANUP(fd_close) int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, out + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    *ret = n;
    return true;
}

bool proc_stat_in(struct str stat, unsigned want, uint64_t *ret)
{
    const char *close = stat.n > 0 ? memrchr(stat.p, ')', stat.n) : NULL; // the name may hold anything
    if (!close)
        return false;
    struct str rest = str_from(stat, (size_t)(close - stat.p) + 1), word;
    rest = str_trim(rest);
    for (unsigned field = 3; str_split(&rest, ' ', &word); field++)
        if (field == want)
            return str_u64(word, UINT64_MAX, ret);
    return false;
}

bool proc_stat_field(int proc_fd, unsigned want, uint64_t *ret)
{
    char b[PROC_STAT_MAX];
    size_t n = 0;
    return proc_read(proc_fd, "stat", b, sizeof(b), &n) && proc_stat_in((struct str){b, n}, want, ret);
}

// ---- executables
// --------------------------------------------------------------------------------------------

void proc_wanted_done(struct proc_wanted *w)
{
    while (w->n > 0)
        (void)close(w->fds[--w->n]);
}

// The path of the executable, in `b`. A deleted one keeps its name without " (deleted)" only where nothing
// has that whole name (reference 3.1); what is no file at all ("/memfd:x (deleted)") stays as it is, and no
// policy path is like it.
// `link` is a process's exe, or ours of a descriptor that was opened through one.
static enum err_code exe_path(int folder_fd, const char *link, char b[static PATH_BYTES + 1], struct str *ret,
                              struct err *e)
{
    ssize_t n = readlinkat(folder_fd, link, b, PATH_BYTES);
    if (n <= 0 || n == PATH_BYTES)
        return err_set(e, ERR_DENIED, "its executable cannot be told: %s",
                       n < 0 ? fd_strerror(errno) : "path too long");
    b[n] = '\0';
    struct str path = {b, (size_t)n};
    static const struct str deleted = STR_INIT(" (deleted)");
    if (str_ends(path, deleted) && !str_starts(path, STR("/memfd:")) && access(b, F_OK) != 0)
        path.n -= deleted.n;
    *ret = path;
    return ERR_OK;
}

// Whether it still runs `path`; else its ancestors and arguments may be another program's.
static enum err_code still(int proc_fd, struct str path, struct err *e)
{
    char b[PATH_BYTES + 1];
    struct str now;
    struct err why;
    if (exe_path(proc_fd, "exe", b, &now, &why) != ERR_OK || !str_eq(now, path))
        return err_set(e, ERR_UNAVAILABLE, "it changed meanwhile");
    return ERR_OK;
}

// Path and content are those of one opened file: a process that becomes another program in between, however
// often, cannot give one's name to the other. ERR_NOT_FOUND: it has ended.
enum err_code proc_program(const struct proc_look *t, int proc_fd, struct arena *a, struct str *ret,
                           char hash[static 65], struct err *e)
{
    char b[PATH_BYTES + 1], own[40];
    struct str path;
    CLEANUP(fd_close) int fd = openat(proc_fd, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ESRCH))
        return err_set(e, ERR_NOT_FOUND, "it has ended");
    if (fd < 0)
        return err_set(e, ERR_DENIED, "binary integrity check failed: %s", fd_strerror(errno));
    (void)snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
    enum err_code r = exe_path(AT_FDCWD, own, b, &path, e);
    if (r != ERR_OK)
        return r;
    if (!arena_dup(a, path, ret))
        return arena_limit(a, "an identity", e);
    r = t->wanted ? exehash_known(t->hashes, fd, hash, e) : exehash_file(t->hashes, fd, hash, e);
    if (r == ERR_NOT_FOUND && t->wanted && t->wanted->n < PROC_WANTED_MAX) {
        hash[0] = '\0';
        t->wanted->fds[t->wanted->n++] = fd_take(&fd);
        return ERR_OK;
    }
    return r == ERR_OK ? exehash_pin(t->hashes, *ret, hash, e) : r;
}

// ---- one process
// --------------------------------------------------------------------------------------------

static bool is_listed(const struct identity *id, struct str path)
{
    if (str_eq(path, id->exe))
        return true;
    for (size_t i = 0; i < id->ancestors_n; i++)
        if (str_eq(path, id->ancestors[i]))
            return true;
    for (size_t i = 0; i < id->cmdline_n; i++)
        if (str_eq(path, id->cmdline[i]))
            return true;
    return false;
}

// Absolute paths among the argument words: for people who read the log, never for a decision.
bool proc_cmdline_in(struct str text, struct arena *a, struct identity *id)
{
    for (struct str word; text.n > 0 && str_split(&text, '\0', &word);) {
        if (word.n == 0 || word.p[0] != '/' || id->cmdline_n == IDENTITY_CMDLINE_MAX || is_listed(id, word))
            continue;
        if (!arena_dup(a, word, &id->cmdline[id->cmdline_n]))
            return false;
        id->cmdline_n++;
    }
    return true;
}

static bool cmdline(int proc_fd, struct arena *a, struct identity *id)
{
    char b[CMDLINE_BYTES];
    size_t n = 0;
    return !proc_read(proc_fd, "cmdline", b, sizeof(b), &n) || proc_cmdline_in((struct str){b, n}, a, id);
}

static enum err_code ancestor(const struct proc_look *t, int fd, struct arena *a, struct identity *id,
                              struct err *e)
{
    char hash[65];
    struct str path = STR("");
    if (id->ancestors_n == IDENTITY_ANCESTORS_MAX) // a list that is cut would not be the process's
        return err_set(e, ERR_DENIED, "it has more than %d ancestors", IDENTITY_ANCESTORS_MAX);
    enum err_code r = proc_program(t, fd, a, &path, hash, e);
    if (r == ERR_NOT_FOUND) // the kernel has not yet given its children to another
        return ERR_OK;
    if (r == ERR_DENIED)
        return err_wrap(e, r, "ancestor integrity check failed for %.*s", PATH_FMT(path));
    if (r == ERR_OK)
        id->ancestors[id->ancestors_n++] = path;
    return r;
}

// Parents up to pid 1, which is ours and counts for nobody. A parent that is asked for by its number may have
// ended, and the number be another's: it was the parent if the child still says so once its folder is open.
static enum err_code ancestors(const struct proc_look *t, int proc_fd, struct arena *a, struct identity *id,
                               struct err *e)
{
    CLEANUP(fd_close) int child = fcntl(proc_fd, F_DUPFD_CLOEXEC, 3);
    uint64_t parent = 0, now = 0;
    enum err_code r = ERR_OK;
    while (r == ERR_OK) {
        if (child < 0 || !proc_stat_field(child, 4, &parent))
            return err_set(e, ERR_UNAVAILABLE, "its parent cannot be told");
        if (parent <= 1)
            return ERR_OK;
        CLEANUP(fd_close) int fd = proc_open((uint32_t)parent);
        if (fd < 0 || !proc_stat_field(child, 4, &now) || now != parent)
            return err_set(e, ERR_UNAVAILABLE, "its parent changed meanwhile");
        r = ancestor(t, fd, a, id, e);
        fd_close(&child);
        child = fd_take(&fd);
    }
    return r;
}

enum err_code proc_identity(struct exehash *h, uint32_t pid, struct arena *a, struct identity *ret,
                            struct err *e)
{
    const struct proc_look look = {h, NULL};
    struct identity id = {.pid = pid};
    CLEANUP(fd_close) int fd = proc_open(pid);
    uint64_t before = 0, after = 1;
    enum err_code r = ERR_OK;
    if (fd < 0 || !proc_stat_field(fd, 22, &before))
        r = err_set(e, ERR_UNAVAILABLE, "it has ended");
    if (r == ERR_OK)
        r = proc_program(&look, fd, a, &id.exe, id.hash, e);
    if (r == ERR_NOT_FOUND)
        r = e->code = ERR_UNAVAILABLE;
    if (r == ERR_OK)
        r = ancestors(&look, fd, a, &id, e);
    if (r == ERR_OK && !cmdline(fd, a, &id))
        r = arena_limit(a, "an identity", e);
    // exec in between would mix two programs: what was read first must still be so.
    if (r == ERR_OK && (!proc_stat_field(fd, 22, &after) || before != after))
        r = err_set(e, ERR_UNAVAILABLE, "it has ended");
    if (r == ERR_OK)
        r = still(fd, id.exe, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "failed to resolve peer binary for PID %u", pid);
    *ret = id;
    return ERR_OK;
}

static bool same_list(const struct str *a, size_t an, const struct str *b, size_t bn)
{
    bool same = an == bn;
    for (size_t i = 0; same && i < an; i++)
        same = str_eq(a[i], b[i]);
    return same;
}

// Reference 3.1 item 5. A parent that shares a socket with its child is refused: the child has one ancestor
// more.
bool proc_same(const struct identity *a, const struct identity *b)
{
    return str_eq(a->exe, b->exe) && str_eq(str_of(a->hash), str_of(b->hash)) &&
           same_list(a->ancestors, a->ancestors_n, b->ancestors, b->ancestors_n) &&
           same_list(a->cmdline, a->cmdline_n, b->cmdline, b->cmdline_n);
}
