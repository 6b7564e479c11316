// syscalls: socket connect poll ioctl open getdents64 setresuid fcntl
#include "isolate/selftest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/caps.h"

enum {
    FDS_LOOKED_AT = 1024,
    FDS_AT_ONCE = 64,     // not more than RLIMIT_NOFILE may be
    RESET_WAIT_MS = 1000, // a dial to nowhere is reset at once; longer means that it went somewhere
};

#define missing(e, ...) err_set((e), ERR_PRECONDITION, __VA_ARGS__)

// ---- calls
// -------------------------------------------------------------------------------------------------------

// Each with arguments that the kernel itself would refuse otherwise than a filter does.
static const struct {
    const char *name;
    long nr, a[4];
} calls[] = {
    {"io_uring_setup", SYS_io_uring_setup, {0}},
    {"io_uring_enter", SYS_io_uring_enter, {-1}},
    {"io_uring_register", SYS_io_uring_register, {-1}},
    {"ptrace", SYS_ptrace, {PTRACE_ATTACH, 1}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"process_vm_writev", SYS_process_vm_writev, {1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1}},
    {"bpf", SYS_bpf, {-1}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"userfaultfd", SYS_userfaultfd, {-1}},
    {"mount", SYS_mount, {0}},
    {"umount2", SYS_umount2, {0}},
    {"pivot_root", SYS_pivot_root, {0}},
    {"open_tree", SYS_open_tree, {-1, 0, -1}},
    {"move_mount", SYS_move_mount, {-1, 0, -1}},
    {"fsopen", SYS_fsopen, {0, -1}},
    {"setns", SYS_setns, {-1}},
    {"unshare a user namespace", SYS_unshare, {CLONE_NEWUSER}},
    {"add_key", SYS_add_key, {0}},
    {"keyctl", SYS_keyctl, {-1}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
    {"init_module", SYS_init_module, {0}},
    {"ioctl TIOCSTI", SYS_ioctl, {-1, TIOCSTI}},
    {"sendto MSG_FASTOPEN", SYS_sendto, {-1, 0, 0, MSG_FASTOPEN}},
};

static enum err_code try_calls(struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        long r = syscall(calls[i].nr, calls[i].a[0], calls[i].a[1], calls[i].a[2], calls[i].a[3]);
        if (r >= 0 || (errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP))
            return missing(e, "the system call filter lets %s through (%s)", calls[i].name,
                           r >= 0 ? "it succeeded" : fd_strerror(errno));
    }
    return ERR_OK;
}

static enum err_code try_sockets(struct err *e)
{
    static const struct {
        const char *name;
        int family, type, protocol;
    } kinds[] = {
        {"packet", AF_PACKET, SOCK_RAW, 0},
        {"raw IPv4", AF_INET, SOCK_RAW, IPPROTO_RAW},
        {"raw IPv6", AF_INET6, SOCK_RAW, IPPROTO_RAW},
        {"vsock", AF_VSOCK, SOCK_STREAM, 0},
        {"netfilter netlink", AF_NETLINK, SOCK_RAW, 12}, // NETLINK_NETFILTER
        {"Bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(fd_close) int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
        if (fd >= 0)
            return missing(e, "a %s socket can be made", kinds[i].name);
    }
    return ERR_OK;
}

// ---- network
// -----------------------------------------------------------------------------------------------------

static enum err_code try_interfaces(struct err *e)
{
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq rows[16];
    struct ifconf all = {.ifc_len = sizeof(rows), .ifc_req = rows};
    if (fd < 0 || ioctl(fd, SIOCGIFCONF, &all) != 0)
        return missing(e, "the interfaces cannot be listed: %s", fd_strerror(errno));
    for (size_t i = 0; i < (size_t)all.ifc_len / sizeof(rows[0]); i++)
        if (strncmp(rows[i].ifr_name, "lo", IFNAMSIZ) != 0)
            return missing(e, "the sandbox has the network interface '%.16s'", rows[i].ifr_name);
    return ERR_OK;
}

// An address of a documentation range (RFC 5737), which no policy captures and nobody answers from.
static enum err_code try_dial(struct err *e)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(9),
                                   .sin_addr = {htonl(0xc0000201)}};
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return missing(e, "no socket can be made: %s", fd_strerror(errno));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno == ECONNREFUSED)
        return ERR_OK;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t n = sizeof(error);
    if (poll(&p, 1, RESET_WAIT_MS) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 ||
        error != ECONNREFUSED)
        return missing(e, "a dial to 192.0.2.1 is not refused at once: there is a way out of the sandbox");
    return ERR_OK;
}

// ---- files, processes, rights
// ------------------------------------------------------------------------------------

static enum err_code try_open(struct str path, int flags, const char *what, struct err *e)
{
    char p[4096];
    if (path.n == 0)
        return ERR_OK;
    if (!str_cstr(path, p, sizeof(p)))
        return missing(e, "a path is too long to be tried");
    CLEANUP(fd_close) int fd = open(p, flags | O_CLOEXEC, 0600);
    return fd >= 0 ? missing(e, "%s can be %s", p, what) : ERR_OK;
}

static enum err_code try_files(const struct selftest *t, struct err *e)
{
    static const char *const of_init[] = {"/proc/1/environ", "/proc/1/mem", "/proc/1/maps",
                                          "/proc/1/root/etc/passwd", "/proc/1/fd/3"};
    enum err_code r = try_open(t->unwritable, O_RDWR | O_TMPFILE, "written to", e);
    if (r == ERR_OK && t->files)
        r = try_open(t->unreadable, O_RDONLY, "read", e);
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(of_init); i++)
        r = try_open(str_of(of_init[i]), O_RDONLY, "read", e);
    if (r == ERR_OK)
        r = try_open(STR("/proc/sys/kernel/core_pattern"), O_WRONLY, "written to", e);
    return r;
}

static enum err_code try_ids(const struct selftest *t, struct err *e)
{
    if (getuid() != t->uid || geteuid() != t->uid || getgid() != t->gid || getegid() != t->gid)
        return missing(e, "the process runs as %u:%u, not as %u:%u", geteuid(), getegid(), t->uid, t->gid);
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        return missing(e, "the process can become root");
    if (getgroups(0, NULL) > 0) {
        gid_t groups[64];
        int n = getgroups(ARRAY_LEN(groups), groups);
        for (int i = 0; i < n; i++)
            if (groups[i] != t->gid &&
                groups[i] != 65534) // what a user namespace does not map shows as this one
                return missing(e, "the process is still in group %u", groups[i]);
    }
    return caps_check(e);
}

static enum err_code try_fds(const struct selftest *t, struct err *e)
{
    struct pollfd p[FDS_AT_ONCE]; // poll(2) tells of many at once whether they are open
    for (int first = 0; first < FDS_LOOKED_AT; first += FDS_AT_ONCE) {
        for (int i = 0; i < FDS_AT_ONCE; i++)
            p[i] = (struct pollfd){.fd = first + i >= 3 && first + i != t->keep_fd ? first + i : -1};
        if (poll(p, ARRAY_LEN(p), 0) < 0)
            return missing(e, "the descriptors cannot be looked at: %s", fd_strerror(errno));
        for (int i = 0; i < FDS_AT_ONCE; i++)
            if (p[i].fd >= 0 && !(p[i].revents & POLLNVAL))
                return missing(e, "descriptor %d of the supervisor is still open", first + i);
    }
    return ERR_OK;
}

enum err_code selftest_run(const struct selftest *t, struct err *e)
{
    enum err_code r = try_fds(t, e);
    if (r == ERR_OK)
        r = try_ids(t, e);
    if (r == ERR_OK)
        r = try_calls(e);
    if (r == ERR_OK)
        r = try_sockets(e);
    if (r == ERR_OK)
        r = try_interfaces(e);
    if (r == ERR_OK)
        r = try_dial(e);
    return r == ERR_OK ? try_files(t, e) : r;
}
