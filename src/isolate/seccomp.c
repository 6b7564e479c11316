// The filters themselves are made at build time, by gen_seccomp.c: the lists are there.
#include "isolate/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "seccomp_filters.h"

static enum err_code load(const struct sock_filter *filter, size_t n, struct err *e)
{
    struct sock_fprog prog = {.len = (unsigned short)n};
    // The kernel only reads it. NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer is what is copied
    memcpy(&prog.filter, &filter, sizeof(filter));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(e, ERR_UNSUPPORTED, "no_new_privs: %s", fd_strerror(errno));
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the kernel refuses a system call filter: %s (it needs CONFIG_SECCOMP_FILTER; in a container, a "
            "profile that allows seccomp)",
            fd_strerror(errno));
    return ERR_OK;
}

enum err_code seccomp_agent(struct err *e)
{
    // The second first: the allow-list does not let seccomp(2) itself through.
    enum err_code r = load(agent_refused_arguments, ARRAY_LEN(agent_refused_arguments), e);
    return r == ERR_OK ? load(agent_allowed, ARRAY_LEN(agent_allowed), e) : r;
}

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV // Linux 5.19
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS // Linux 6.6
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum err_code seccomp_watch_connect(int *ret_listener, struct err *e)
{
    struct sock_fprog prog = {.len = ARRAY_LEN(agent_watched)};
    const struct sock_filter *filter = agent_watched;
    // As in load(). NOLINTNEXTLINE(bugprone-sizeof-expression)
    memcpy(&prog.filter, &filter, sizeof(filter));
    const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);
    if (fd < 0 && errno == EINVAL)
        fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    if (fd < 0)
        return err_set(e, ERR_UNSUPPORTED, "the kernel does not notify of connect(): %s", fd_strerror(errno));
    // The caller is woken on our processor, where we are about to sleep; a kernel without it is as right.
    (void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    *ret_listener = fd;
    return ERR_OK;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// The sanitizer's runtime opens files and makes calls of its own: only the checks of confine.c are left here.
static const struct sock_filter few[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), // AF_UNIX
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
enum err_code seccomp_egress(struct err *e)
{
    (void)egress_filter;
    return load(few, ARRAY_LEN(few), e);
}
#else
enum err_code seccomp_egress(struct err *e)
{
    return load(egress_filter, ARRAY_LEN(egress_filter), e);
}
#endif
