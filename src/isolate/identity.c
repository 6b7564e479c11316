// From a connection to the program behind it: sock_diag tells the inode of the socket whose 4-tuple mirrors
// ours; the holders of that inode are found in /proc, which lists the sandbox's processes and no others; each
// is read through its /proc/PID folder, held open, so that a pid that is used again cannot lend another's
// name.
#include "isolate/identity.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/kcmp.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/exehash.h"

enum {
    PATH_BYTES = 4096,       // of one executable's path
    CMDLINE_BYTES = 8 * KIB, // of an argument vector that is looked at
    TRIES = 3,               // at a process that changes while it is looked at; ours
    PATH_TEXT = 200,         // of a path in a message
    INFO_BYTES = 512,        // of a socket's fdinfo
};

#define PATH_FMT(s) (int)((s).n < PATH_TEXT ? (s).n : PATH_TEXT), (s).p

struct identity_table {
    int diag_fd;
    struct exehash *hashes;
};

enum err_code identity_table_new(struct identity_table **ret, struct err *e)
{
    struct identity_table *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(e, ERR_LIMIT, "no memory for the identity table");
    t->diag_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    enum err_code r = t->diag_fd < 0 ? err_set(e, ERR_UNSUPPORTED, "sock_diag: %s", fd_strerror(errno))
                                     : exehash_new(&t->hashes, e);
    if (r == ERR_OK)
        *ret = TAKE(t);
    identity_table_free(t);
    return r;
}

void identity_table_free(struct identity_table *t)
{
    if (!t)
        return;
    exehash_free(t->hashes);
    fd_close(&t->diag_fd);
    free(t);
}

// ---- the inode
// ----------------------------------------------------------------------------------------------

struct diag_request {
    struct nlmsghdr h;
    struct inet_diag_req_v2 r;
};

static void address(const struct ip *ip, __be32 out[4])
{
    memset(out, 0, 4 * sizeof(out[0]));
    memcpy(out, ip->b, ip->family == 4 ? 4 : 16);
}

static bool is_mapped(const struct ip *ip)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return ip->family == 6 && memcmp(ip->b, prefix, sizeof(prefix)) == 0;
}

static struct ip unmapped(const struct ip *ip)
{
    struct ip v4 = {.family = 4};
    memcpy(v4.b, ip->b + 12, 4);
    return is_mapped(ip) ? v4 : *ip;
}

static enum err_code diag_answer(int fd, struct inet_diag_msg *ret, struct err *e)
{
    _Alignas(8) char b[4 * KIB];
    ssize_t n;
    do
        n = recv(fd, b, sizeof(b), 0);
    while (n < 0 && errno == EINTR);
    struct nlmsghdr h;
    if (n < (ssize_t)sizeof(h))
        return err_set(e, ERR_INTERNAL, "sock_diag: a short answer");
    memcpy(&h, b, sizeof(h));
    if (h.nlmsg_type == NLMSG_ERROR)
        return err_set(e, ERR_NOT_FOUND, "no such connection");
    if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || (size_t)n < NLMSG_LENGTH(sizeof(*ret)))
        return err_set(e, ERR_INTERNAL, "sock_diag: an unexpected answer");
    memcpy(ret, b + NLMSG_HDRLEN, sizeof(*ret));
    return ERR_OK;
}

// The client's socket: its local address is our peer. Asked in `family`; a socket of AF_INET6 may carry IPv4.
static enum err_code inode_in(struct identity_table *t, int family, const struct sock_pair *pair,
                              uint32_t *ret, struct err *e)
{
    struct diag_request q = {.h = {.nlmsg_len = sizeof(q),
                                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                   .nlmsg_flags = NLM_F_REQUEST},
                             .r = {.sdiag_family = (__u8)family,
                                   .sdiag_protocol = IPPROTO_TCP,
                                   .idiag_states = 1U << TCP_ESTABLISHED,
                                   .id = {.idiag_sport = htons(pair->peer_port),
                                          .idiag_dport = htons(pair->local_port),
                                          .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
    address(&pair->peer, q.r.id.idiag_src);
    address(&pair->local, q.r.id.idiag_dst);
    if (send(t->diag_fd, &q, sizeof(q), 0) != (ssize_t)sizeof(q))
        return err_set(e, ERR_INTERNAL, "sock_diag: %s", fd_strerror(errno));
    struct inet_diag_msg m;
    enum err_code r = diag_answer(t->diag_fd, &m, e);
    if (r != ERR_OK)
        return r;
    // The kernel may answer with a listener where no connection has that tuple: only the exact one counts.
    bool same = m.id.idiag_sport == q.r.id.idiag_sport && m.id.idiag_dport == q.r.id.idiag_dport;
    if (!same || m.idiag_inode == 0)
        return err_set(e, ERR_NOT_FOUND, "no such connection");
    *ret = m.idiag_inode;
    return ERR_OK;
}

static struct ip mapped(const struct ip *ip)
{
    struct ip v6 = {.family = 6, .b = {[10] = 0xff, [11] = 0xff}};
    memcpy(v6.b + 12, ip->b, 4);
    return v6;
}

static enum err_code inode_of(struct identity_table *t, const struct sock_pair *pair, uint32_t *ret,
                              struct err *e)
{
    struct sock_pair p = *pair;
    p.peer = unmapped(&pair->peer);
    p.local = unmapped(&pair->local);
    enum err_code r = inode_in(t, p.peer.family == 4 ? AF_INET : AF_INET6, &p, ret, e);
    if (r == ERR_NOT_FOUND && p.peer.family == 4) { // a client's IPv6 socket that speaks IPv4
        p.peer = mapped(&p.peer);
        p.local = mapped(&p.local);
        r = inode_in(t, AF_INET6, &p, ret, e);
    }
    return r;
}

// ---- /proc
// --------------------------------------------------------------------------------------------------

static bool is_pid(const char *name, uint32_t *ret)
{
    uint64_t pid;
    if (!str_u64(str_of(name), INT32_MAX, &pid))
        return false;
    *ret = (uint32_t)pid;
    return true;
}

static int proc_dir(uint32_t pid)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%u", pid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN, ANSWER_IN_FLIGHT }; // the last that is true counts

// What cannot be looked at may hold anything; only a process that has ended holds nothing.
static enum answer gone_or_unknown(void)
{
    return errno == ENOENT || errno == ESRCH ? ANSWER_NO : ANSWER_UNKNOWN;
}

static bool read_small(int proc_fd, const char *name, char *out, size_t size, size_t *ret)
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

// Whether descriptors lie unread in a unix socket, by its fdinfo: any of them may be the one that is looked
// for. A socket that is in flight itself is in one that somebody holds.
static bool carries(int dir_fd, const char *number)
{
    char path[32], b[INFO_BYTES];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "../fdinfo/%.15s", number);
    if (!read_small(dir_fd, path, b, sizeof(b), &n))
        return false; // closed meanwhile
    for (struct str rest = {b, n}, line; str_line(&rest, &line);) {
        uint64_t count;
        if (str_skip(&line, STR("scm_fds:")))
            return !str_u64(str_trim(line), UINT32_MAX, &count) || count > 0;
    }
    return false; // of another family
}

// Field `want` (from 3, behind the command's name) of /proc/PID/stat: 4 is the parent, 22 the start time.
static bool stat_field(int proc_fd, unsigned want, uint64_t *ret)
{
    char b[1024];
    size_t n = 0;
    if (!read_small(proc_fd, "stat", b, sizeof(b), &n))
        return false;
    const char *close = n > 0 ? memrchr(b, ')', n) : NULL; // the name may hold anything, parentheses too
    if (!close)
        return false;
    struct str rest = {close + 1, (size_t)(b + n - close) - 1}, word;
    rest = str_trim(rest);
    for (unsigned field = 3; str_split(&rest, ' ', &word); field++)
        if (field == want)
            return str_u64(word, UINT64_MAX, ret);
    return false;
}

// The same for a thread. One that is exiting (PF_EXITING) runs nothing of its program any more, though it may
// be listed until it is waited for, and the kernel shows an ordinary user nothing of it.
static enum answer gone_or_unknown_thread(int task_fd)
{
    uint64_t flags;
    if (gone_or_unknown() == ANSWER_NO || (stat_field(task_fd, 9, &flags) && (flags & 0x4) != 0))
        return ANSWER_NO;
    return ANSWER_UNKNOWN;
}

// Whether a table of descriptors has the socket. `want` is "socket:[inode]".
static enum answer table_holds(int task_fd, struct str want)
{
    int fd = openat(task_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        enum answer a = gone_or_unknown_thread(task_fd);
        fd_close(&fd);
        return a;
    }
    enum answer found = ANSWER_NO;
    for (const struct dirent *d; found != ANSWER_IN_FLIGHT && (d = readdir(dir));) {
        char link[64];
        ssize_t n = d->d_name[0] == '.' ? 0 : readlinkat(dirfd(dir), d->d_name, link, sizeof(link));
        struct str to = {link, n > 0 ? (size_t)n : 0};
        enum answer a = n < 0 ? gone_or_unknown_thread(task_fd) : ANSWER_NO;
        if (str_eq(to, want))
            a = ANSWER_YES;
        else if (str_starts(to, STR("socket:")) && carries(dirfd(dir), d->d_name))
            a = ANSWER_IN_FLIGHT;
        found = a > found ? a : found;
    }
    (void)closedir(dir);
    return found;
}

// A thread may have a table of its own (unshare(CLONE_FILES)). Most have their process's, which kcmp tells
// for less than reading it again costs; where it tells nothing, the table is read.
static bool same_table(uint32_t pid, uint32_t tid)
{
    return tid == pid || syscall(SYS_kcmp, pid, tid, KCMP_FILES, 0UL, 0UL) == 0;
}

// Whether any thread of the process has the socket open.
static enum answer holds(int proc_fd, uint32_t pid, struct str want)
{
    enum answer found = table_holds(proc_fd, want);
    int fd = openat(proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        enum answer a = gone_or_unknown();
        fd_close(&fd);
        return a > found ? a : found;
    }
    for (const struct dirent *d; found < ANSWER_UNKNOWN && (d = readdir(dir));) {
        uint32_t tid;
        if (!is_pid(d->d_name, &tid) || same_table(pid, tid))
            continue;
        CLEANUP(fd_close) int task_fd = openat(dirfd(dir), d->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        enum answer a = task_fd < 0 ? gone_or_unknown() : table_holds(task_fd, want);
        found = a > found ? a : found;
    }
    (void)closedir(dir);
    return found;
}

struct holders {
    uint32_t pids[IDENTITY_HOLDERS_MAX]; // ascending
    size_t n;
    size_t scanned;
};

static void insert(struct holders *h, uint32_t pid)
{
    size_t at = h->n++;
    for (; at > 0 && h->pids[at - 1] > pid; at--)
        h->pids[at] = h->pids[at - 1];
    h->pids[at] = pid;
}

// Every process of the sandbox but ourselves, who are pid 1. ERR_UNAVAILABLE, after a moment: a descriptor is
// on its way between two of them.
static enum err_code find_holders(uint32_t inode, struct holders *h, struct err *e)
{
    char want[40];
    (void)snprintf(want, sizeof(want), "socket:[%u]", inode);
    DIR *proc = opendir("/proc");
    if (!proc)
        return err_set(e, ERR_INTERNAL, "/proc: %s", fd_strerror(errno));
    enum err_code r = ERR_OK;
    for (const struct dirent *d; r == ERR_OK && (d = readdir(proc));) {
        uint32_t pid;
        if (!is_pid(d->d_name, &pid) || pid == 1)
            continue;
        CLEANUP(fd_close) int fd = proc_dir(pid);
        h->scanned++;
        enum answer answer = fd < 0 ? gone_or_unknown() : holds(fd, pid, str_of(want));
        if (answer == ANSWER_NO)
            continue;
        if (answer == ANSWER_UNKNOWN)
            r = err_set(e, ERR_DENIED, "failed to resolve peer binary: PID %u cannot be looked at", pid);
        else if (answer == ANSWER_IN_FLIGHT)
            r = err_set(e, ERR_UNAVAILABLE,
                        "ambiguous shared socket ownership: PID %u has not taken what was sent to it", pid);
        else if (h->n == IDENTITY_HOLDERS_MAX)
            r = err_set(e, ERR_DENIED, "inode %u is held by more than %d processes", inode,
                        IDENTITY_HOLDERS_MAX);
        else
            insert(h, pid);
    }
    (void)closedir(proc);
    const struct timespec a_moment = {.tv_nsec = 2'000'000};
    if (r == ERR_UNAVAILABLE)
        (void)nanosleep(&a_moment, NULL);
    return r;
}

// ---- executables
// --------------------------------------------------------------------------------------------

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
static enum err_code program(struct identity_table *t, int proc_fd, struct arena *a, struct str *ret,
                             char hash[static 65], struct err *e)
{
    char b[PATH_BYTES + 1], own[40];
    struct str path;
    CLEANUP(fd_close) int fd = openat(proc_fd, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && gone_or_unknown() == ANSWER_NO)
        return err_set(e, ERR_NOT_FOUND, "it has ended");
    if (fd < 0)
        return err_set(e, ERR_DENIED, "binary integrity check failed: %s", fd_strerror(errno));
    (void)snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
    enum err_code r = exe_path(AT_FDCWD, own, b, &path, e);
    if (r != ERR_OK)
        return r;
    if (!arena_dup(a, path, ret))
        return arena_limit(a, "an identity", e);
    r = exehash_file(t->hashes, fd, hash, e);
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
static bool cmdline(int proc_fd, struct arena *a, struct identity *id)
{
    char b[CMDLINE_BYTES];
    size_t n = 0;
    if (!read_small(proc_fd, "cmdline", b, sizeof(b), &n))
        return true;
    struct str rest = {b, n};
    for (struct str word; n > 0 && str_split(&rest, '\0', &word);) {
        if (word.n == 0 || word.p[0] != '/' || id->cmdline_n == IDENTITY_CMDLINE_MAX || is_listed(id, word))
            continue;
        if (!arena_dup(a, word, &id->cmdline[id->cmdline_n]))
            return false;
        id->cmdline_n++;
    }
    return true;
}

static enum err_code ancestor(struct identity_table *t, int fd, struct arena *a, struct identity *id,
                              struct err *e)
{
    char hash[65];
    struct str path = {};
    if (id->ancestors_n == IDENTITY_ANCESTORS_MAX) // a list that is cut would not be the process's
        return err_set(e, ERR_DENIED, "it has more than %d ancestors", IDENTITY_ANCESTORS_MAX);
    enum err_code r = program(t, fd, a, &path, hash, e);
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
static enum err_code ancestors(struct identity_table *t, int proc_fd, struct arena *a, struct identity *id,
                               struct err *e)
{
    CLEANUP(fd_close) int child = fcntl(proc_fd, F_DUPFD_CLOEXEC, 3);
    uint64_t parent = 0, now = 0;
    enum err_code r = ERR_OK;
    while (r == ERR_OK) {
        if (child < 0 || !stat_field(child, 4, &parent))
            return err_set(e, ERR_UNAVAILABLE, "its parent cannot be told");
        if (parent <= 1)
            return ERR_OK;
        CLEANUP(fd_close) int fd = proc_dir((uint32_t)parent);
        if (fd < 0 || !stat_field(child, 4, &now) || now != parent)
            return err_set(e, ERR_UNAVAILABLE, "its parent changed meanwhile");
        r = ancestor(t, fd, a, id, e);
        fd_close(&child);
        child = fd_take(&fd);
    }
    return r;
}

// ERR_UNAVAILABLE: it ended or became another program while it was looked at.
static enum err_code process(struct identity_table *t, uint32_t pid, struct arena *a, struct identity *ret,
                             struct err *e)
{
    struct identity id = {.pid = pid};
    CLEANUP(fd_close) int fd = proc_dir(pid);
    uint64_t before = 0, after = 1;
    enum err_code r = ERR_OK;
    if (fd < 0 || !stat_field(fd, 22, &before))
        r = err_set(e, ERR_UNAVAILABLE, "it has ended");
    if (r == ERR_OK)
        r = program(t, fd, a, &id.exe, id.hash, e);
    if (r == ERR_NOT_FOUND)
        r = e->code = ERR_UNAVAILABLE;
    if (r == ERR_OK)
        r = ancestors(t, fd, a, &id, e);
    if (r == ERR_OK && !cmdline(fd, a, &id))
        r = arena_limit(a, "an identity", e);
    // exec in between would mix two programs: what was read first must still be so.
    if (r == ERR_OK && (!stat_field(fd, 22, &after) || before != after))
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
static bool same_label(const struct identity *a, const struct identity *b)
{
    return str_eq(a->exe, b->exe) && str_eq(str_of(a->hash), str_of(b->hash)) &&
           same_list(a->ancestors, a->ancestors_n, b->ancestors, b->ancestors_n) &&
           same_list(a->cmdline, a->cmdline_n, b->cmdline, b->cmdline_n);
}

static enum err_code ambiguous(uint32_t inode, const struct holders *h, struct err *e)
{
    char pids[200] = "";
    size_t n = 0;
    for (size_t i = 0; i < h->n && n < sizeof(pids) - 16; i++)
        n += (size_t)snprintf(pids + n, sizeof(pids) - n, "%s%u", i ? ", " : "", h->pids[i]);
    return err_set(
        e, ERR_DENIED,
        "ambiguous shared socket ownership: inode %u is held by PIDs [%s] with different policy identities",
        inode, pids);
}

// ERR_UNAVAILABLE: what was looked at did not stay the same.
static enum err_code holder_of(struct identity_table *t, uint32_t inode, struct arena *a,
                               struct identity ids[static 2], struct err *e)
{
    struct holders h = {};
    enum err_code r = find_holders(inode, &h, e);
    if (r != ERR_OK)
        return r;
    if (h.n == 0) // nobody's, or it changed hands while we looked
        return err_set(
            e, ERR_UNAVAILABLE,
            "failed to resolve peer binary: no process found owning socket inode %u (scanned %zu processes)",
            inode, h.scanned);
    r = process(t, h.pids[0], a, &ids[0], e);
    for (size_t i = 1; i < h.n && r == ERR_OK; i++) {
        r = process(t, h.pids[i], a, &ids[1], e);
        if (r == ERR_OK && !same_label(&ids[0], &ids[1]))
            r = ambiguous(inode, &h, e);
    }
    return r;
}

enum err_code identity_of(struct identity_table *t, const struct sock_pair *pair, struct arena *a,
                          struct identity *ret, struct err *e)
{
    uint32_t inode;
    if (inode_of(t, pair, &inode, e) != ERR_OK)
        return err_wrap(e, ERR_DENIED, "failed to resolve peer binary");
    struct identity *ids = arena_newn(a, struct identity, 2);
    if (!ids)
        return arena_limit(a, "an identity", e);
    enum err_code r = ERR_UNAVAILABLE;
    for (int i = 0; i < TRIES && r == ERR_UNAVAILABLE; i++)
        r = holder_of(t, inode, a, ids, e);
    if (r == ERR_OK)
        *ret = ids[0];
    else if (r == ERR_UNAVAILABLE)
        r = e->code = ERR_DENIED; // it does not hold still: nobody we can name
    return r;
}
