#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/stream_wait.h"

enum err_code stream_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                          struct err *e)
{
    return s->ops->read(s, p, n, ret, w, e);
}

enum err_code stream_write(struct stream *s, struct str bytes, const struct wait *w, struct err *e)
{
    while (bytes.n > 0) {
        size_t n;
        enum err_code r = s->ops->write(s, bytes, &n, w, e);
        if (r != ERR_OK)
            return r;
        bytes = str_from(bytes, n);
    }
    return ERR_OK;
}

enum err_code stream_write_some(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                                struct err *e)
{
    return s->ops->write(s, bytes, ret, w, e);
}

enum err_code stream_end(struct stream *s, const struct wait *w, struct err *e)
{
    return s->ops->end(s, w, e);
}

size_t stream_pending(const struct stream *s)
{
    return s->ops->pending(s);
}

void stream_busy(struct stream *s, bool busy)
{
    if (s->ops->busy)
        s->ops->busy(s, busy);
}

void stream_free(struct stream *s)
{
    if (s)
        s->ops->free(s);
}

enum err_code stream_poll(int fd, short events, const struct wait *w, struct err *e)
{
    if (w->deadline_ns == DEADLINE_NOW) // the caller has just tried
        return err_set(e, ERR_TIMEOUT, "timed out");
    struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = w->cancel_fd, .events = POLLIN}};
    for (;;) {
        int n = poll(p, 2, deadline_left_ms(w->deadline_ns));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_INTERNAL, "poll: %s", fd_strerror(errno));
        if (p[1].revents)
            return err_set(e, ERR_DENIED, "cancelled");
        if (p[0].revents)
            return ERR_OK;
        if (deadline_passed(w->deadline_ns))
            return err_set(e, ERR_TIMEOUT, "timed out");
    }
}

// ---- sockets
// ------------------------------------------------------------------------------------------------

static enum err_code sock_error(struct err *e, const char *what)
{
    return err_set(e, ERR_UNAVAILABLE, "%s: %s", what, fd_strerror(errno));
}

static enum err_code sock_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                               struct err *e)
{
    for (;;) {
        ssize_t got = recv(s->fd, p, n, 0);
        if (got >= 0) {
            *ret = (size_t)got;
            return ERR_OK;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return sock_error(e, "read");
        enum err_code r = stream_poll(s->fd, POLLIN, w, e);
        if (r != ERR_OK)
            return r;
    }
}

static enum err_code sock_write(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                                struct err *e)
{
    for (;;) {
        ssize_t sent = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (sent >= 0) {
            *ret = (size_t)sent;
            return ERR_OK;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return sock_error(e, "write");
        enum err_code r = stream_poll(s->fd, POLLOUT, w, e);
        if (r != ERR_OK)
            return r;
    }
}

static enum err_code sock_end(struct stream *s, const struct wait *w, struct err *e)
{
    (void)w;
    return shutdown(s->fd, SHUT_WR) == 0 || errno == ENOTCONN ? ERR_OK : sock_error(e, "shutdown");
}

static size_t sock_pending(const struct stream *s)
{
    (void)s;
    return 0;
}

static void sock_free(struct stream *s)
{
    (void)close(s->fd);
    free(s);
}

const struct stream_ops stream_socket_ops = {sock_read, sock_write, sock_end, sock_pending, NULL, sock_free};

enum err_code stream_socket(int fd, struct stream **ret, struct err *e)
{
    struct stream *s = malloc(sizeof(*s));
    if (!s) {
        (void)close(fd);
        return err_set(e, ERR_LIMIT, "no memory for a stream");
    }
    *s = (struct stream){.ops = &stream_socket_ops, .fd = fd};
    if (!fd_set_nonblock(fd)) {
        sock_free(s);
        return err_set(e, ERR_INTERNAL, "fcntl: %s", fd_strerror(errno));
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); // not TCP: no such delay
    *ret = s;
    return ERR_OK;
}

// ---- bytes put back
// -----------------------------------------------------------------------------------------

struct prepended {
    struct stream s;
    struct stream *below;
    size_t off, n;
    char b[];
};

static struct prepended *of(struct stream *s)
{
    return (struct prepended *)(void *)s;
}

static enum err_code pre_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                              struct err *e)
{
    struct prepended *x = of(s);
    if (x->off == x->n)
        return stream_read(x->below, p, n, ret, w, e);
    *ret = x->n - x->off < n ? x->n - x->off : n;
    memcpy(p, x->b + x->off, *ret);
    x->off += *ret;
    return ERR_OK;
}

static enum err_code pre_write(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                               struct err *e)
{
    return stream_write_some(of(s)->below, bytes, ret, w, e);
}

static enum err_code pre_end(struct stream *s, const struct wait *w, struct err *e)
{
    return stream_end(of(s)->below, w, e);
}

static size_t pre_pending(const struct stream *s)
{
    const struct prepended *x = (const struct prepended *)(const void *)s;
    return x->n - x->off + stream_pending(x->below);
}

static void pre_busy(struct stream *s, bool busy)
{
    stream_busy(of(s)->below, busy);
}

static void pre_free(struct stream *s)
{
    stream_free(of(s)->below);
    free(s);
}

static const struct stream_ops pre_ops = {pre_read, pre_write, pre_end, pre_pending, pre_busy, pre_free};

struct stream *stream_peel(struct stream *s, struct str *ret_front)
{
    *ret_front = (struct str){};
    if (s->ops != &pre_ops)
        return s;
    struct prepended *x = of(s);
    *ret_front = (struct str){x->b + x->off, x->n - x->off};
    return x->below;
}

void stream_peeled(struct stream *s)
{
    if (s->ops == &pre_ops)
        of(s)->off = of(s)->n;
}

enum err_code stream_prepend(struct stream *below, struct str bytes, struct stream **ret, struct err *e)
{
    size_t size;
    struct prepended *x = add_ok(sizeof(*x), bytes.n, &size) ? malloc(size) : NULL;
    if (!x)
        return err_set(e, ERR_LIMIT, "no memory for a stream");
    *x = (struct prepended){.s = {.ops = &pre_ops, .fd = below->fd}, .below = below, .n = bytes.n};
    if (bytes.n > 0)
        memcpy(x->b, bytes.p, bytes.n);
    *ret = (struct stream *)(void *)x; // the first member
    return ERR_OK;
}

// ---- dialling
// -----------------------------------------------------------------------------------------------

static socklen_t sockaddr_of(const struct ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
    *ss = (struct sockaddr_storage){};
    if (ip->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, ip->b, 4);
        memcpy(ss, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&in6.sin6_addr, ip->b, 16);
    memcpy(ss, &in6, sizeof(in6));
    return sizeof(in6);
}

static enum err_code dial_one(const struct ip *ip, uint16_t port, const struct wait *w, int *ret,
                              struct err *e)
{
    struct sockaddr_storage ss;
    socklen_t len = sockaddr_of(ip, port, &ss);
    CLEANUP(fd_close) int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sock_error(e, "socket");
    if (connect(fd, (const struct sockaddr *)&ss, len) < 0) {
        if (errno != EINPROGRESS)
            return sock_error(e, "connect");
        enum err_code r = stream_poll(fd, POLLOUT, w, e);
        if (r != ERR_OK)
            return r;
        int error = 0;
        socklen_t n = sizeof(error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error != 0)
            return err_set(e, ERR_UNAVAILABLE, "%s", fd_strerror(error ? error : errno));
    }
    *ret = fd_take(&fd);
    return ERR_OK;
}

// The time for one of several addresses: an equal share of what is left, so that one that does not answer
// leaves the others a chance.
static struct wait share(const struct wait *w, size_t left)
{
    struct wait one = *w;
    if (w->deadline_ns != DEADLINE_NEVER && left > 1) {
        int64_t now = clock_ns();
        one.deadline_ns = now + (w->deadline_ns - now) / (int64_t)left;
    }
    return one;
}

enum err_code stream_dial(const struct ip *addrs, size_t n, uint16_t port, const struct wait *w,
                          struct stream **ret, size_t *ret_used, struct err *e)
{
    enum err_code r = err_set(e, ERR_UNAVAILABLE, "no address to connect to");
    for (size_t i = 0; i < n; i++) {
        struct wait one = share(w, n - i);
        int fd;
        r = dial_one(&addrs[i], port, &one, &fd, e);
        if (r == ERR_OK) {
            *ret_used = i;
            return stream_socket(fd, ret, e);
        }
        if (r == ERR_DENIED)
            return r;
        char text[IP_TEXT_MAX];
        (void)ip_format(&addrs[i], text);
        err_prefix(e, addrs[i].family == 6 ? "[%s]:%u" : "%s:%u", text, port);
    }
    return r;
}
