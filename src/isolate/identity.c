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
#include "isolate/dialers.h"
#include "isolate/exehash.h"
#include "isolate/proc.h"

enum {
    TRIES = 3,        // at a process that changes while it is looked at; ours
    INFO_BYTES = 512, // of a socket's fdinfo
};

struct identity_table {
    int diag_fd;
    struct exehash *hashes;
    struct dialers *dialers; // NULL: nobody is watched
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
    dialers_free(t->dialers);
    exehash_free(t->hashes);
    fd_close(&t->diag_fd);
    free(t);
}

enum err_code identity_watch(struct identity_table *t, dialed_fn *dialed, void *ctx, struct err *e)
{
    return dialers_new(t->hashes, dialed, ctx, &t->dialers, e);
}

void identity_poll(const struct identity_table *t, struct pollfd p[static IDENTITY_FDS])
{
    for (size_t i = 0; i < IDENTITY_FDS; i++)
        p[i] = (struct pollfd){.fd = -1};
    if (t->dialers)
        dialers_poll(t->dialers, p);
}

void identity_serve(struct identity_table *t, const struct pollfd p[static IDENTITY_FDS])
{
    if (t->dialers)
        dialers_serve(t->dialers, p);
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

// ---- the holders of an inode
// ------------------------------------------------------------------------------------------

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN, ANSWER_IN_FLIGHT }; // the last that is true counts

// What cannot be looked at may hold anything; only a process that has ended holds nothing.
static enum answer gone_or_unknown(void)
{
    return errno == ENOENT || errno == ESRCH ? ANSWER_NO : ANSWER_UNKNOWN;
}

// Whether descriptors lie unread in a unix socket, by its fdinfo: any of them may be the one that is looked
// for. A socket that is in flight itself is in one that somebody holds.
static bool carries(int dir_fd, const char *number)
{
    char path[32], b[INFO_BYTES];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "../fdinfo/%.15s", number);
    if (!proc_read(dir_fd, path, b, sizeof(b), &n))
        return false; // closed meanwhile
    for (struct str rest = {b, n}, line; str_line(&rest, &line);) {
        uint64_t count;
        if (str_skip(&line, STR("scm_fds:")))
            return !str_u64(str_trim(line), UINT32_MAX, &count) || count > 0;
    }
    return false; // of another family
}

// The same for a thread. One that is exiting (PF_EXITING) runs nothing of its program any more, though it may
// be listed until it is waited for, and the kernel shows an ordinary user nothing of it.
static enum answer gone_or_unknown_thread(int task_fd)
{
    uint64_t flags;
    if (gone_or_unknown() == ANSWER_NO || (proc_stat_field(task_fd, 9, &flags) && (flags & 0x4) != 0))
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
        if (!proc_is_pid(d->d_name, &tid) || same_table(pid, tid))
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
        if (!proc_is_pid(d->d_name, &pid) || pid == 1)
            continue;
        CLEANUP(fd_close) int fd = proc_open(pid);
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
    r = proc_identity(t->hashes, h.pids[0], a, &ids[0], e);
    for (size_t i = 1; i < h.n && r == ERR_OK; i++) {
        r = proc_identity(t->hashes, h.pids[i], a, &ids[1], e);
        if (r == ERR_OK && !proc_same(&ids[0], &ids[1]))
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
    if (t->dialers)
        return dialers_find(t->dialers, inode, a, ret, e);
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
