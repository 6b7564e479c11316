// Notes are kept in a ring, found by a hash of the inode, and share their labels, which are counted.
//
// A caller whose executables are known is noted and let go at once. Else it goes on waiting in its connect()
// while a child of ours reads them, one child at a time: neither pid 1 nor the proxy is kept by a large file.
// A kernel that knows WAIT_KILLABLE_RECV does not let signals interrupt that; an older one begins the call
// again, and it is noted anew.
//
// syscalls: seccomp ioctl readlinkat process_vm_readv pidfd_open pidfd_getfd getsockopt fork socketpair send
// recv
#include "isolate/dialers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/lineage.h"
#include "isolate/seccomp.h"

enum {
    HEADS = 4096, // a power of 2
    RECENT = 64,  // labels that are looked at for one like a new one; a power of 2
    TRIES = 3,    // at a process that changes while it is looked at, and at reading for one call; ours
    NONE = -1,
};

struct label {
    unsigned refs;
    size_t bytes;
    enum err_code code; // but for ERR_OK: nobody we can name, and why
    uint32_t pid;
    struct arena arena;
    struct identity id;
    struct str why;
};

struct note {
    uint32_t inode; // 0: free
    int next;
    struct label *label;
};

struct call { // in connect()
    uint64_t id;
    uint32_t tid, inode;
    int tries;
    int fd;
    bool dials; // an address
    struct ip ip;
    uint16_t port;
};

struct dialers {
    int listener;
    int hashing; // the child's answers, or -1
    struct exehash *hashes;
    struct lineage *lineage;
    dialed_fn *dialed;
    void *ctx;
    int heads[HEADS];
    struct note notes[DIALERS_SOCKETS_MAX];
    size_t next, oldest; // positions in the ring: of the next note, and below it the first that is there
    size_t bytes;        // of labels
    struct label *recent[RECENT];
    struct call waiting[DIALERS_WAITING_MAX];
    size_t waiting_n;
};

// ---- labels
// --------------------------------------------------------------------------------------------------

static void label_unref(struct dialers *d, struct label *l)
{
    if (!l || --l->refs > 0)
        return;
    d->bytes -= l->bytes;
    arena_done(&l->arena);
    free(l);
}

static bool list_dup(struct arena *a, const struct str *from, size_t n, struct str *to)
{
    for (size_t i = 0; i < n; i++)
        if (!arena_dup(a, from[i], &to[i]))
            return false;
    return true;
}

static bool identity_dup(struct arena *a, const struct identity *from, struct identity *ret)
{
    struct identity id = *from;
    bool ok = arena_dup(a, from->exe, &id.exe) &&
              list_dup(a, from->ancestors, from->ancestors_n, id.ancestors) &&
              list_dup(a, from->cmdline, from->cmdline_n, id.cmdline);
    if (ok)
        *ret = id;
    return ok;
}

static struct label *label_new(struct dialers *d, uint32_t pid, enum err_code code, const struct identity *id,
                               const char *why)
{
    struct label *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->refs = 1;
    l->code = code;
    l->pid = pid;
    arena_init(&l->arena, 2 * IDENTITY_TEXT_MAX);
    bool ok = id ? identity_dup(&l->arena, id, &l->id) : arena_dup(&l->arena, str_of(why), &l->why);
    l->bytes = sizeof(*l) + l->arena.used;
    d->bytes += l->bytes;
    if (ok)
        return l;
    label_unref(d, l);
    return NULL;
}

// One like it of the same process, or a new one; the caller's share. NULL: no memory.
static struct label *label_for(struct dialers *d, const struct identity *id)
{
    struct label **slot = &d->recent[id->pid % RECENT];
    if (!*slot || (*slot)->pid != id->pid || !proc_same(&(*slot)->id, id)) {
        struct label *l = label_new(d, id->pid, ERR_OK, id, "");
        if (!l)
            return NULL;
        label_unref(d, *slot);
        *slot = l;
    }
    (*slot)->refs++;
    return *slot;
}

// ---- notes
// ---------------------------------------------------------------------------------------------------

static int *place_of(struct dialers *d, uint32_t inode)
{
    int *at = &d->heads[inode % HEADS];
    while (*at != NONE && d->notes[*at].inode != inode)
        at = &d->notes[*at].next;
    return at;
}

static void forget(struct dialers *d, uint32_t inode)
{
    int *at = place_of(d, inode);
    if (*at == NONE)
        return;
    struct note *n = &d->notes[*at];
    *at = n->next;
    label_unref(d, n->label);
    *n = (struct note){};
}

static void drop_oldest(struct dialers *d)
{
    uint32_t inode = d->notes[d->oldest++ % DIALERS_SOCKETS_MAX].inode;
    if (inode != 0)
        forget(d, inode);
}

// Whether the later caller is the one before: a program may call connect() again to learn how it went.
static bool same_caller(const struct label *a, const struct label *b)
{
    if (a->code != ERR_OK || b->code != ERR_OK)
        return false;
    return proc_same(&a->id, &b->id) ||
           (a->pid == b->pid && str_eq(a->id.exe, b->id.exe) && strcmp(a->id.hash, b->id.hash) == 0);
}

static struct label *mixed(struct dialers *d, uint32_t inode, const struct label *a, const struct label *b)
{
    struct err e;
    err_fill(&e, ERR_DENIED,
             "ambiguous shared socket ownership: inode %u is held by PIDs [%u, %u] with different policy "
             "identities",
             inode, a->pid < b->pid ? a->pid : b->pid, a->pid < b->pid ? b->pid : a->pid);
    return label_new(d, b->pid, ERR_DENIED, NULL, e.msg);
}

// Takes the share of `l`. A note that cannot be kept is none: then the connection is nobody's.
static void note(struct dialers *d, uint32_t inode, struct label *l)
{
    int *at = place_of(d, inode);
    if (*at != NONE && l) {
        struct note *n = &d->notes[*at];
        struct label *both = same_caller(n->label, l) ? NULL : mixed(d, inode, n->label, l);
        if (both) {
            label_unref(d, l);
            l = both;
        }
        label_unref(d, n->label);
        n->label = l;
        return;
    }
    forget(d, inode);
    if (!l)
        return;
    while (d->next - d->oldest == DIALERS_SOCKETS_MAX ||
           (d->bytes > DIALERS_LABELS_MAX && d->oldest < d->next))
        drop_oldest(d);
    int slot = (int)(d->next++ % DIALERS_SOCKETS_MAX);
    int *head = &d->heads[inode % HEADS];
    d->notes[slot] = (struct note){.inode = inode, .next = *head, .label = l};
    *head = slot;
}

enum err_code dialers_find(const struct dialers *d, uint32_t inode, struct arena *a, struct identity *ret,
                           struct err *e)
{
    int at = d->heads[inode % HEADS];
    while (at != NONE && d->notes[at].inode != inode)
        at = d->notes[at].next;
    if (at == NONE)
        return err_set(e, ERR_DENIED,
                       "failed to resolve peer binary: no process was seen dialling socket inode %u", inode);
    const struct label *l = d->notes[at].label;
    if (l->code != ERR_OK)
        return err_set(e, l->code, "%.*s", (int)l->why.n, l->why.p);
    return identity_dup(a, &l->id, ret) ? ERR_OK : arena_limit(a, "an identity", e);
}

// ---- one call
// ------------------------------------------------------------------------------------------------

static bool stands(const struct dialers *d, const struct call *c) // still in that call
{
    return ioctl(d->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &c->id) == 0;
}

static void let_go(const struct dialers *d, const struct call *c)
{
    struct seccomp_notif_resp r = {.id = c->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    (void)ioctl(d->listener, SECCOMP_IOCTL_NOTIF_SEND, &r); // one that was killed meanwhile needs no answer
}

// The inode of the socket that descriptor `fd` of the caller stands for; 0: it is no socket.
static uint32_t inode_of(struct lineage *l, uint32_t tid, int fd)
{
    char name[16], link[48];
    uint64_t inode;
    (void)snprintf(name, sizeof(name), "fd/%d", fd);
    const int dir = lineage_dir(l, tid);
    ssize_t n = dir < 0 ? -1 : readlinkat(dir, name, link, sizeof(link));
    struct str s = {link, n > 0 ? (size_t)n : 0};
    if (!str_skip(&s, STR("socket:[")) || !str_ends(s, STR("]")) ||
        !str_u64(str_head(s, s.n - 1), UINT32_MAX, &inode))
        return 0;
    return (uint32_t)inode;
}

enum dials { DIALS_ELSEWHERE, DIALS_ADDRESS, DIALS_UNKNOWN };

// What is to be dialled, as it stands in the caller's memory now.
static enum dials address(const struct seccomp_notif *n, struct call *c)
{
    struct sockaddr_in6 in6 = {};
    const unsigned char *raw = (const unsigned char *)&in6; // a sockaddr_in has its port at the same place
    size_t size = n->data.args[2] < sizeof(in6) ? (size_t)n->data.args[2] : sizeof(in6);
    const struct iovec to = {&in6, size},
                       from = {(void *)(uintptr_t)n->data.args[1],
                               size}; // NOLINT(performance-no-int-to-ptr): another process's
    if (process_vm_readv((pid_t)n->pid, &to, 1, &from, 1, 0) < (ssize_t)sizeof(in6.sin6_family))
        return DIALS_UNKNOWN;
    const bool mapped = in6.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
    if (in6.sin6_family != AF_INET && in6.sin6_family != AF_INET6)
        return DIALS_ELSEWHERE;
    c->port = ntohs(in6.sin6_port);
    c->ip = (struct ip){.family = mapped || in6.sin6_family == AF_INET ? 4 : 6};
    if (in6.sin6_family == AF_INET)
        memcpy(c->ip.b, raw + offsetof(struct sockaddr_in, sin_addr), 4);
    else if (mapped)
        memcpy(c->ip.b, in6.sin6_addr.s6_addr + 12, 4);
    else
        memcpy(c->ip.b, &in6.sin6_addr, 16);
    return DIALS_ADDRESS;
}

bool identity_is_stream(const struct dial *d)
{
    int type = 0;
    socklen_t n = sizeof(type);
    CLEANUP(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, d->id->pid, 0);
    CLEANUP(fd_close) int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, d->fd, 0);
    return copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM;
}

// ---- reading executables
// -------------------------------------------------------------------------------------

// All findings in one message, so that who reads it waits for nothing.
static _Noreturn void read_them(const struct proc_wanted *wanted, int to)
{
    struct exehash_found found[PROC_WANTED_MAX] = {};
    for (size_t i = 0; i < wanted->n; i++)
        exehash_read(wanted->fds[i], &found[i]);
    (void)!send(to, found, wanted->n * sizeof(found[0]), MSG_NOSIGNAL);
    _exit(0);
}

static void start_reading(struct dialers *d, const struct proc_wanted *wanted)
{
    int p[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        read_them(wanted, p[1]);
    (void)close(p[1]);
    if (pid > 0)
        d->hashing = p[0];
    else
        (void)close(p[0]);
}

// False: it goes on waiting, for an executable to be read.
static bool settle(struct dialers *d, struct call *c)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(proc_wanted_done) struct proc_wanted wanted = {};
    struct identity id;
    struct err e = {};
    enum err_code r = ERR_UNAVAILABLE;
    for (int i = 0; i < TRIES && r == ERR_UNAVAILABLE; i++) {
        if (i > 0)
            arena_done(&a);
        arena_init(&a, MIB);
        proc_wanted_done(&wanted);
        r = lineage_of(d->lineage, c->tid, &a, &wanted, &id, &e);
    }
    if (r == ERR_OK && wanted.n > 0 && c->tries < TRIES) {
        if (d->hashing >= 0)
            return false;
        start_reading(d, &wanted);
        c->tries++;
        return d->hashing < 0; // it cannot be read: nobody notes the call, so the connection is nobody's
    }
    if (r == ERR_OK && wanted.n > 0)
        r = err_set(&e, ERR_DENIED, "binary integrity check failed: the executable does not hold still");
    else if (r == ERR_UNAVAILABLE)
        r = ERR_DENIED;
    if (!stands(d, c)) // what was read may be of a later process with that number
        return true;
    note(d, c->inode, r == ERR_OK ? label_for(d, &id) : label_new(d, c->tid, r, NULL, e.msg));
    if (r == ERR_OK && c->dials && d->dialed)
        d->dialed(d->ctx, &(struct dial){.id = &id, .fd = c->fd, .ip = c->ip, .port = c->port});
    return true;
}

static void take(struct dialers *d)
{
    struct seccomp_notif n = {};
    if (ioctl(d->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0)
        return; // the caller is gone
    const int fd = (int)n.data.args[0];
    struct call c = {.id = n.id, .tid = n.pid, .inode = inode_of(d->lineage, n.pid, fd), .fd = fd};
    enum dials what = c.inode == 0 ? DIALS_ELSEWHERE : address(&n, &c);
    c.dials = what == DIALS_ADDRESS;
    if (what == DIALS_ELSEWHERE && c.inode != 0)
        forget(d, c.inode); // should it be dialled after all, it is nobody's
    if (what != DIALS_ELSEWHERE && !settle(d, &c)) {
        d->waiting[d->waiting_n++] = c;
        return;
    }
    let_go(d, &c);
}

static void hashed(struct dialers *d)
{
    struct exehash_found found[PROC_WANTED_MAX];
    ssize_t got = recv(d->hashing, found, sizeof(found), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    const size_t n = got > 0 ? (size_t)got : 0; // 0: the child was killed
    fd_close(&d->hashing);
    for (size_t i = 0; i < n / sizeof(found[0]); i++)
        exehash_learn(d->hashes, &found[i]);
    size_t left = 0;
    for (size_t i = 0; i < d->waiting_n; i++) {
        struct call c = d->waiting[i];
        if (settle(d, &c))
            let_go(d, &c);
        else
            d->waiting[left++] = c;
    }
    d->waiting_n = left;
    exehash_forget(d->hashes);
}

// ---- the whole
// -----------------------------------------------------------------------------------------------

enum err_code dialers_new(struct exehash *hashes, dialed_fn *dialed, void *ctx, struct dialers **ret,
                          struct err *e)
{
    struct dialers *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(e, ERR_LIMIT, "no memory for notes on who dials");
    for (size_t i = 0; i < HEADS; i++)
        d->heads[i] = NONE;
    d->hashing = d->listener = -1;
    d->hashes = hashes;
    d->dialed = dialed;
    d->ctx = ctx;
    enum err_code r = lineage_new(hashes, &d->lineage, e);
    if (r == ERR_OK)
        r = seccomp_watch_connect(&d->listener, e);
    if (r == ERR_OK)
        *ret = TAKE(d);
    dialers_free(d);
    return r;
}

void dialers_free(struct dialers *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < DIALERS_SOCKETS_MAX; i++)
        label_unref(d, d->notes[i].label);
    for (size_t i = 0; i < RECENT; i++)
        label_unref(d, d->recent[i]);
    lineage_free(d->lineage);
    fd_close(&d->listener);
    fd_close(&d->hashing);
    free(d);
}

void dialers_poll(const struct dialers *d, struct pollfd p[static IDENTITY_FDS])
{
    p[0] = (struct pollfd){.fd = d->waiting_n < DIALERS_WAITING_MAX ? d->listener : -1, .events = POLLIN};
    p[1] = (struct pollfd){.fd = d->hashing, .events = POLLIN};
}

void dialers_serve(struct dialers *d, const struct pollfd p[static IDENTITY_FDS])
{
    if (p[1].revents)
        hashed(d);
    if (p[0].revents & POLLIN)
        take(d);
}
