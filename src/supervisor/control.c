#include "supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

static enum err_code send_msg(int fd, const struct ctl_msg *m, const int *fds, size_t n, int flags,
                              struct err *e)
{
    assert(n <= CTL_START_FDS);
    struct ctl_msg copy = *m;
    struct iovec iov = {.iov_base = &copy, .iov_len = sizeof(copy)};
    union {
        struct cmsghdr align;
        char b[CMSG_SPACE(sizeof(int) * CTL_START_FDS)];
    } control = {};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > 0) {
        msg.msg_control = control.b;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        assert(c); // control.b has room for it
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN)
        return err_set(e, ERR_LIMIT, "control message: the peer does not read");
    if (sent != (ssize_t)sizeof(copy))
        return err_set(e, ERR_UNAVAILABLE, "control message: %s", fd_strerror(sent < 0 ? errno : EMSGSIZE));
    return ERR_OK;
}

enum err_code ctl_send(int fd, const struct ctl_msg *m, const int *fds, size_t n, struct err *e)
{
    return send_msg(fd, m, fds, n, 0, e);
}

enum err_code ctl_send_now(int fd, const struct ctl_msg *m, struct err *e)
{
    return send_msg(fd, m, NULL, 0, MSG_DONTWAIT, e);
}

static void take_fds(struct msghdr *msg, int *fds, size_t *n)
{
    *n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (*n < CTL_START_FDS)
                fds[(*n)++] = fd;
            else
                (void)close(fd);
        }
    }
}

static bool ends(const char *s, size_t size)
{
    return memchr(s, '\0', size) != NULL;
}

enum err_code ctl_recv(int fd, struct ctl_msg *m, int fds[static CTL_START_FDS], size_t *ret_n, struct err *e)
{
    struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
    union {
        struct cmsghdr align;
        char b[CMSG_SPACE(sizeof(int) * CTL_START_FDS)];
    } control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.b,
                         .msg_controllen = sizeof(control.b)};
    ssize_t got;
    do
        got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return err_set(e, ERR_UNAVAILABLE, "control channel: %s", got < 0 ? fd_strerror(errno) : "closed");
    size_t n;
    take_fds(&msg, fds, &n);
    bool whole = got == (ssize_t)sizeof(*m) && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
                 ends(m->name, sizeof(m->name)) && ends(m->id, sizeof(m->id)) &&
                 ends(m->hostname, sizeof(m->hostname)) && ends(m->msg, sizeof(m->msg));
    if (!whole) {
        for (size_t i = 0; i < n; i++)
            (void)close(fds[i]);
        return err_set(e, ERR_INVALID, "control message of %zd bytes is not well-formed", got);
    }
    *ret_n = n;
    return ERR_OK;
}

enum err_code ctl_memfd(struct str text, int *ret, struct err *e)
{
    CLEANUP(fd_close) int fd = memfd_create("openshell", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_set(e, fd_code(errno), "memfd_create: %s", fd_strerror(errno));
    enum err_code r = fd_write_all(fd, text, e);
    if (r != ERR_OK)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_set(e, fd_code(errno), "sealing a memfd: %s", fd_strerror(errno));
    *ret = fd_take(&fd);
    return ERR_OK;
}
