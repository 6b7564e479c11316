#include "rpc/endpoint.h"

#include "base/clock.h"
#include "base/fd.h"
#include "net/dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

enum { CONF_MAX = 1 * MIB, LOOK_UP_MS = 5000 };

// ---- reading

// "host", "host:port", "[v6]", "[v6]:port".
static enum err_code parse_place(struct str place, uint16_t def, struct rpc_endpoint *ep, struct err *reterr)
{
    struct str host = place, port = {};
    struct ip ip;
    struct host name;
    bool brackets = str_starts(place, STR("["));
    ptrdiff_t end = str_find(place, brackets ? ']' : ':');
    if (brackets && end < 0)
        return err_set(reterr, ERR_INVALID, "'%.*s' has a bracket that is not closed", STR_FMT(place));
    if (end >= 0) {
        host = str_head(place, (size_t)end + (brackets ? 1 : 0));
        port = str_from(place, host.n);
    }
    uint64_t n = def;
    if (host.n < place.n && (!str_skip(&port, STR(":")) || !str_u64(port, UINT16_MAX, &n) || n == 0))
        return err_set(reterr, ERR_INVALID, "'%.*s' has no port from 1 to 65535 behind its host",
                       STR_FMT(place));
    ep->port = (uint16_t)n;
    struct str inside = brackets ? (struct str){host.p + 1, host.n - 2} : host;
    struct err why = {};
    if (ip_parse(inside, &ip, &why) == ERR_OK && (ip.family == 6) == brackets)
        (void)ip_format(&ip, ep->host);
    else if (brackets)
        return err_set(reterr, ERR_INVALID, "'%.*s' is no IPv6 address", STR_FMT(host));
    else if (host_parse(host, &name, &why) == ERR_OK)
        (void)memcpy(ep->host, name.b, name.n + 1);
    else
        return err_set(reterr, ERR_INVALID, "'%.*s' is no host: %s", STR_FMT(host), why.msg);
    return ERR_OK;
}

enum err_code rpc_endpoint_parse(struct str text, struct rpc_endpoint *ret, struct err *reterr)
{
    struct rpc_endpoint ep = {.unix_addr = {.sun_family = AF_UNIX}};
    struct str rest = text;
    if (str_skip(&rest, STR("unix:"))) {
        (void)str_skip(&rest, STR("//"));
        ep.kind = RPC_ENDPOINT_UNIX;
        ep.authority = STR("localhost");
        if (!str_starts(rest, STR("/")) ||
            !str_cstr(rest, ep.unix_addr.sun_path, sizeof(ep.unix_addr.sun_path)))
            return err_set(reterr, ERR_INVALID, "'%.*s' is no path of a socket: absolute, at most %zu bytes",
                           STR_FMT(rest), sizeof(ep.unix_addr.sun_path) - 1);
        *ret = ep;
        return ERR_OK;
    }
    ep.kind = str_skip(&rest, STR("https://")) ? RPC_ENDPOINT_HTTPS : RPC_ENDPOINT_HTTP;
    if (ep.kind == RPC_ENDPOINT_HTTP && !str_skip(&rest, STR("http://")))
        return err_set(reterr, ERR_INVALID,
                       "'%.*s' is no endpoint: https://host:port, http://host:port or unix:/path",
                       STR_FMT(text));
    if (str_ends(rest, STR("/")))
        rest.n--;
    ep.authority = rest;
    enum err_code c = parse_place(rest, ep.kind == RPC_ENDPOINT_HTTPS ? 443 : 80, &ep, reterr);
    if (c == ERR_OK)
        *ret = ep;
    return c;
}

// ---- connecting

static enum err_code connect_to(const struct sockaddr *addr, socklen_t n, struct str name,
                                const struct rpc_wait *wait, int *ret, struct err *reterr)
{
    CLEANUP(fd_close) int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(reterr, fd_code(errno), "a socket: %s", fd_strerror(errno));
    int failed = connect(fd, addr, n) == 0 ? 0 : errno;
    if (failed == EINPROGRESS && !wait)
        failed = 0; // sending says how it went
    if (failed == EINPROGRESS) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT}, {.fd = wait->cancel_fd, .events = POLLIN}};
        int r = 0;
        do
            r = poll(fds, 2, deadline_left_ms(wait->deadline_ns));
        while (r < 0 && errno == EINTR);
        if (r == 0)
            return err_set(reterr, ERR_TIMEOUT, "%.*s: no connection in time", STR_FMT(name));
        if (fds[1].revents)
            return err_set(reterr, ERR_UNAVAILABLE, "%.*s: cancelled", STR_FMT(name));
        socklen_t size = sizeof(failed);
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    }
    if (failed)
        return err_set(reterr, ERR_UNAVAILABLE, "%.*s: %s", STR_FMT(name), fd_strerror(failed));
    *ret = fd_take(&fd);
    return ERR_OK;
}

static enum err_code connect_ip(const struct rpc_endpoint *ep, const struct ip *ip,
                                const struct rpc_wait *wait, int *ret, struct err *reterr)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(ep->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(ep->port)};
    enum err_code c;
    if (ip->family == 4) {
        memcpy(&v4.sin_addr, ip->b, 4);
        c = connect_to((const struct sockaddr *)&v4, sizeof(v4), ep->authority, wait, ret, reterr);
    } else {
        memcpy(&v6.sin6_addr, ip->b, 16);
        c = connect_to((const struct sockaddr *)&v6, sizeof(v6), ep->authority, wait, ret, reterr);
    }
    if (c == ERR_OK)
        (void)setsockopt(*ret, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); // slower without, no worse
    return c;
}

// A file that is not there says nothing, as for the resolvers of libc.
static enum err_code read_conf(const char *path, struct buf *ret, struct err *reterr)
{
    buf_init(ret, 0);
    enum err_code c = file_read(path, CONF_MAX, ret, reterr);
    return c == ERR_NOT_FOUND ? ERR_OK : c;
}

static enum err_code look_up(struct str host, const struct rpc_wait *wait,
                             struct ip ret[static DNS_ADDRS_MAX], size_t *ret_n, struct err *reterr)
{
    CLEANUP(buf_done) struct buf conf = {};
    CLEANUP(buf_done) struct buf hosts = {};
    struct resolver *resolver = NULL;
    enum err_code c = read_conf("/etc/resolv.conf", &conf, reterr);
    if (c == ERR_OK)
        c = read_conf("/etc/hosts", &hosts, reterr);
    if (c == ERR_OK)
        c = resolver_new(buf_str(&conf), buf_str(&hosts), &resolver, reterr);
    if (c == ERR_OK) {
        const struct wait w = {.deadline_ns = wait ? wait->deadline_ns : deadline_in_ms(LOOK_UP_MS),
                               .cancel_fd = wait ? wait->cancel_fd : -1};
        c = resolver_lookup(resolver, host, &w, ret, ret_n, reterr);
    }
    resolver_free(resolver);
    if (c == ERR_DENIED) // what a cancelled look-up is to net/
        c = ERR_UNAVAILABLE;
    return c == ERR_OK ? c : err_wrap(reterr, c, "'%.*s'", STR_FMT(host));
}

enum err_code rpc_endpoint_connect(const struct rpc_endpoint *ep, const struct rpc_wait *wait, int *ret,
                                   struct err *reterr)
{
    if (ep->kind == RPC_ENDPOINT_UNIX)
        return connect_to((const struct sockaddr *)&ep->unix_addr, sizeof(ep->unix_addr),
                          str_of(ep->unix_addr.sun_path), wait, ret, reterr);
    static const struct ip loopback[] = {{.family = 4, .b = {127, 0, 0, 1}}, {.family = 6, .b = {[15] = 1}}};
    struct ip addrs[DNS_ADDRS_MAX] = {loopback[0], loopback[1]};
    size_t n = ARRAY_LEN(loopback);
    struct str host = str_of(ep->host);
    struct err ignored = {};
    enum err_code c = ERR_OK;
    if (ip_parse(host, &addrs[0], &ignored) == ERR_OK)
        n = 1;
    else if (!str_eq(host, STR("localhost")) && !str_ends(host, STR(".localhost")))
        c = look_up(host, wait, addrs, &n, reterr);
    if (c != ERR_OK)
        return c;
    c = ERR_UNAVAILABLE;
    for (size_t i = 0; i < n && c == ERR_UNAVAILABLE; i++)
        c = connect_ip(ep, &addrs[i], wait, ret, reterr);
    return c;
}
