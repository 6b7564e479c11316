// A parent is asked for by its number, which the child's stat tells. Kept open already, it was alive when it
// answers after the child did, so it has had that number all the time; opened anew, it was the parent if the
// child still says so.
//
// What a process runs is the same as before where the link and the file behind it are (device, inode, size,
// times): both were taken from one opened file then. A thread that stands in a system call runs nothing else
// meanwhile; an ancestor that flips between two programs is the earlier one at both looks, or is opened.
//
// syscalls: open openat pread64 readlinkat newfstatat pidfd_open close
#include "isolate/lineage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#if defined(__GNUC__) &&                                                                                     \
    !defined(__clang__) // gcc's analyzer loses sight of what hangs on an object it saw nobody make
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

enum {
    KEPT = 64,       // processes, three descriptors each
    OTHER_FDS = 128, // that are left for all else, the executables of one process and its ancestors among it
    LINK_BYTES = 4096,  // of an executable's path
    STATUS_BYTES = 256, // of a status: Tgid is its fourth line
    CMDLINE_BYTES = 8 * KIB,
};

struct kept {
    uint32_t tid; // 0: free
    uint32_t pid; // its process
    int dir, stat, cmdline;
    char *link; // what exe led to; NULL: not known
    size_t link_n;
    struct exehash_key key; // of the file behind it
    char hash[65];
    uint64_t parent; // now
};

struct lineage {
    struct exehash *hashes;
    size_t n; // of v that are used: what RLIMIT_NOFILE leaves room for
    struct kept v[KEPT];
};

enum err_code lineage_new(struct exehash *hashes, struct lineage **ret, struct err *e)
{
    struct lineage *l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(e, ERR_LIMIT, "no memory for processes");
    struct rlimit files = {};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    rlim_t room = files.rlim_cur > OTHER_FDS ? (files.rlim_cur - OTHER_FDS) / 3 : 1;
    l->n = room < 1 ? 1 : room > KEPT ? KEPT : (size_t)room;
    l->hashes = hashes;
    *ret = l;
    return ERR_OK;
}

static void forget(struct kept *k)
{
    if (k->tid == 0)
        return;
    fd_close(&k->dir);
    fd_close(&k->stat);
    fd_close(&k->cmdline);
    free(k->link);
    *k = (struct kept){};
}

void lineage_free(struct lineage *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < KEPT; i++)
        forget(&l->v[i]);
    free(l);
}

static uint32_t process_of(int dir, uint32_t tid)
{
    CLEANUP(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, tid, 0); // only the first thread has one
    char b[STATUS_BYTES];
    size_t n = 0;
    uint64_t pid = tid;
    if (pidfd < 0 && proc_read(dir, "status", b, sizeof(b), &n))
        for (struct str rest = {b, n}, line; str_line(&rest, &line);)
            if (str_skip(&line, STR("Tgid:")))
                return str_u64(str_trim(line), UINT32_MAX, &pid) ? (uint32_t)pid : tid;
    return tid;
}

static bool alive(struct kept *k) // and whose child it is now
{
    char b[PROC_STAT_MAX];
    ssize_t n = pread(k->stat, b, sizeof(b), 0);
    return n > 0 && proc_stat_in((struct str){b, (size_t)n}, 4, &k->parent);
}

// NULL: it has ended. *ret_new: it was not kept before.
static struct kept *keep(struct lineage *l, uint32_t tid, bool *ret_new)
{
    struct kept *k = &l->v[tid % l->n];
    *ret_new = false;
    if (k->tid == tid && alive(k))
        return k;
    forget(k);
    *ret_new = true;
    k->tid = tid;
    k->dir = proc_open(tid);
    k->stat = k->dir < 0 ? -1 : openat(k->dir, "stat", O_RDONLY | O_CLOEXEC);
    k->cmdline = k->dir < 0 ? -1 : openat(k->dir, "cmdline", O_RDONLY | O_CLOEXEC);
    if (k->stat < 0 || k->cmdline < 0 || !alive(k)) {
        forget(k);
        return NULL;
    }
    k->pid = process_of(k->dir, tid);
    return k;
}

int lineage_dir(struct lineage *l, uint32_t tid)
{
    bool ignored;
    struct kept *k = keep(l, tid, &ignored);
    return k ? k->dir : -1;
}

static bool same_program(const struct kept *k)
{
    char b[LINK_BYTES];
    struct exehash_key now;
    if (!k->link)
        return false;
    ssize_t n = readlinkat(k->dir, "exe", b, sizeof(b));
    return n > 0 && (size_t)n == k->link_n && memcmp(b, k->link, k->link_n) == 0 &&
           exehash_key_at(k->dir, "exe", &now) && exehash_same(&now, &k->key);
}

// Kept where link and file agree with what was found; a deleted file's name depends on what else is there.
static void learn(struct kept *k, struct str path, const char hash[static 65])
{
    char b[LINK_BYTES];
    free(TAKE(k->link));
    if (hash[0] == '\0' || !exehash_key_at(k->dir, "exe", &k->key))
        return;
    ssize_t n = readlinkat(k->dir, "exe", b, sizeof(b));
    if (n <= 0 || !str_eq(path, (struct str){b, (size_t)n}))
        return;
    char *link = malloc((size_t)n);
    if (!link)
        return;
    memcpy(link, b, (size_t)n);
    k->link = link;
    k->link_n = (size_t)n;
    memcpy(k->hash, hash, 65);
}

static enum err_code program(const struct proc_look *look, struct kept *k, struct arena *a, struct str *ret,
                             char hash[static 65], struct err *e)
{
    if (same_program(k)) {
        memcpy(hash, k->hash, 65);
        return arena_dup(a, (struct str){k->link, k->link_n}, ret) ? ERR_OK
                                                                   : arena_limit(a, "an identity", e);
    }
    enum err_code r = proc_program(look, k->dir, a, ret, hash, e);
    if (r == ERR_OK)
        learn(k, *ret, hash);
    return r;
}

static enum err_code ancestors(struct lineage *l, const struct proc_look *look, uint32_t child,
                               uint64_t parent, struct arena *a, struct identity *id, struct err *e)
{
    char hash[65];
    while (parent > 1) { // pid 1 is ours and counts for nobody
        bool is_new;
        struct str path = STR("");
        if (id->ancestors_n == IDENTITY_ANCESTORS_MAX) // a list that is cut would not be the process's
            return err_set(e, ERR_DENIED, "it has more than %d ancestors", IDENTITY_ANCESTORS_MAX);
        struct kept *k = keep(l, (uint32_t)parent, &is_new);
        if (!k)
            return err_set(e, ERR_UNAVAILABLE, "its parent changed meanwhile");
        const uint64_t above = k->parent;
        enum err_code r = program(look, k, a, &path, hash, e);
        if (r == ERR_DENIED)
            return err_wrap(e, r, "ancestor integrity check failed for %.*s",
                            (int)(path.n < 200 ? path.n : 200), path.p);
        if (r == ERR_NOT_FOUND)
            return err_set(e, ERR_UNAVAILABLE, "its parent changed meanwhile");
        if (r != ERR_OK)
            return r;
        if (is_new) { // the child may have been evicted by it: then it is opened again
            bool ignored;
            const struct kept *c = keep(l, child, &ignored);
            if (!c || c->parent != parent)
                return err_set(e, ERR_UNAVAILABLE, "its parent changed meanwhile");
        }
        id->ancestors[id->ancestors_n++] = path;
        child = (uint32_t)parent;
        parent = above;
    }
    return ERR_OK;
}

enum err_code lineage_of(struct lineage *l, uint32_t tid, struct arena *a, struct proc_wanted *wanted,
                         struct identity *ret, struct err *e)
{
    const struct proc_look look = {l->hashes, wanted};
    struct identity id = {};
    char b[CMDLINE_BYTES];
    bool ignored;
    struct kept *k = keep(l, tid, &ignored);
    enum err_code r = k ? program(&look, k, a, &id.exe, id.hash, e)
                        : err_set(e, ERR_NOT_FOUND, "it has ended");
    if (r == ERR_NOT_FOUND)
        r = e->code = ERR_UNAVAILABLE;
    if (r == ERR_OK) {
        id.pid = k->pid;
        const ssize_t n = pread(k->cmdline, b, sizeof(b), 0); // before others are kept, who may evict it
        r = ancestors(l, &look, tid, k->parent, a, &id, e);
        if (r == ERR_OK && !proc_cmdline_in((struct str){b, n > 0 ? (size_t)n : 0}, a, &id))
            r = arena_limit(a, "an identity", e);
    }
    if (r != ERR_OK)
        return err_wrap(e, r, "failed to resolve peer binary for PID %u", tid);
    *ret = id;
    return ERR_OK;
}
