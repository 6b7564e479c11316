#include "isolate/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

static size_t aligned(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

static void *room(struct nl *m, size_t n)
{
    if (m->full || aligned(n) > sizeof(m->b) - m->n) {
        m->full = true;
        return NULL;
    }
    char *p = m->b + m->n;
    memset(p, 0, aligned(n));
    m->n += aligned(n);
    return p;
}

void nl_begin(struct nl *m, uint16_t type, uint16_t flags, const void *head, size_t size)
{
    m->msg = m->n;
    struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 1};
    char *p = room(m, sizeof(h));
    if (p)
        memcpy(p, &h, sizeof(h));
    p = room(m, size);
    if (p)
        memcpy(p, head, size);
}

void nl_end(struct nl *m)
{
    if (m->full)
        return;
    uint32_t len = (uint32_t)(m->n - m->msg);
    memcpy(m->b + m->msg + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
}

void nl_attr(struct nl *m, uint16_t type, const void *data, size_t n)
{
    const struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + n), .nla_type = type};
    char *p = n <= UINT16_MAX - sizeof(a) ? room(m, sizeof(a) + n) : NULL;
    if (!p) {
        m->full = true;
        return;
    }
    memcpy(p, &a, sizeof(a));
    if (n > 0)
        memcpy(p + sizeof(a), data, n);
}

void nl_u32(struct nl *m, uint16_t type, uint32_t v)
{
    nl_attr(m, type, &v, sizeof(v));
}

void nl_be32(struct nl *m, uint16_t type, uint32_t v)
{
    uint32_t be = htonl(v);
    nl_attr(m, type, &be, sizeof(be));
}

void nl_text(struct nl *m, uint16_t type, const char *s)
{
    nl_attr(m, type, s, strlen(s) + 1);
}

size_t nl_nest(struct nl *m, uint16_t type)
{
    size_t at = m->n;
    nl_attr(m, (uint16_t)(type | NLA_F_NESTED), "", 0);
    return at;
}

void nl_unnest(struct nl *m, size_t at)
{
    if (m->full)
        return;
    uint16_t len = (uint16_t)(m->n - at);
    memcpy(m->b + at + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

static enum err_code code_of(int error)
{
    if (error == EOPNOTSUPP || error == ENOENT || error == EPROTONOSUPPORT)
        return ERR_UNSUPPORTED;
    return fd_code(error);
}

// Counts the acknowledgements in one datagram. The kernel's own errno in *error.
static size_t count_acks(const char *p, size_t n, int *error)
{
    size_t acks = 0;
    while (n >= sizeof(struct nlmsghdr) && *error == 0) {
        struct nlmsghdr h;
        memcpy(&h, p, sizeof(h));
        if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > n)
            break;
        struct nlmsgerr report;
        if (h.nlmsg_type == NLMSG_ERROR && h.nlmsg_len >= sizeof(h) + sizeof(report)) {
            memcpy(&report, p + sizeof(h), sizeof(report));
            *error = -report.error;
            acks++;
        }
        size_t step = aligned(h.nlmsg_len) < n ? aligned(h.nlmsg_len) : n;
        p += step;
        n -= step;
    }
    return acks;
}

enum err_code nl_talk(int protocol, const struct nl *m, size_t acks, const char *what, struct err *e)
{
    if (m->full)
        return err_set(e, ERR_LIMIT, "%s: the request is larger than %d bytes", what, NL_MAX);
    CLEANUP(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return err_set(e, code_of(errno), "%s: netlink socket: %s", what, fd_strerror(errno));
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(fd, m->b, m->n, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) != (ssize_t)m->n)
        return err_set(e, code_of(errno), "%s: %s", what, fd_strerror(errno));
    _Alignas(8) char answer[16 * KIB];
    for (size_t seen = 0; seen < acks;) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, ERR_INTERNAL, "%s: %s", what, fd_strerror(n < 0 ? errno : EPIPE));
        int error = 0;
        seen += count_acks(answer, (size_t)n, &error);
        if (error != 0)
            return err_set(e, code_of(error), "%s: %s", what, fd_strerror(error));
    }
    return ERR_OK;
}
