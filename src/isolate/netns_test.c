// In a user and network namespace of its own, which the test makes; skipped where the kernel forbids that.
#include "isolate/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

static int dial(int family, const char *text, uint16_t port, int type)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool v4 = family == AF_INET;
    (void)inet_pton(family, text, v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr);
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    int r = connect(fd, v4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6,
                    v4 ? sizeof(in) : sizeof(in6));
    if (r == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    return -error;
}

// What the accepted socket takes for its own address.
static void own_address(int listener, char *out, size_t size)
{
    struct sockaddr_storage ss = {};
    socklen_t n = sizeof(ss);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    out[0] = '\0';
    if (poll(&p, 1, 1000) != 1)
        return;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char ip[INET6_ADDRSTRLEN] = "";
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&ss, &n) == 0) {
        struct sockaddr_in in = {};
        struct sockaddr_in6 in6 = {};
        memcpy(&in, &ss, sizeof(in));
        memcpy(&in6, &ss, sizeof(in6));
        bool v4 = ss.ss_family == AF_INET;
        (void)inet_ntop(ss.ss_family, v4 ? (const void *)&in.sin_addr : (const void *)&in6.sin6_addr, ip,
                        sizeof(ip));
        (void)snprintf(out, size, "%s %u", ip, v4 ? ntohs(in.sin_port) : ntohs(in6.sin6_port));
    }
    if (fd >= 0)
        (void)close(fd);
}

static void captured(const struct netns *n, int family, const char *to, uint16_t port, const char *rule)
{
    char want[80], got[80];
    (void)snprintf(want, sizeof(want), "%s %u", to, port);
    int fd = dial(family, to, port, SOCK_STREAM);
    own_address(n->captured[family == AF_INET6], got, sizeof(got));
    if (!tap_ok(fd >= 0 && str_eq(str_of(got), str_of(want)), "%s", rule))
        tap_note("dial %d, accepted as '%s'", fd, got);
    if (fd >= 0)
        (void)close(fd);
}

static void test_dials(const struct netns *n)
{
    captured(n, AF_INET, "198.18.7.9", 443,
             "a synthetic address is captured, and is the accepted socket's own");
    captured(n, AF_INET, "198.19.255.254", 22, "so is the end of the range, on any port");
    captured(n, AF_INET, "192.0.2.77", 9443, "a range that the policy names is captured");
    captured(n, AF_INET6, "2001:db8::5", 80, "an IPv6 range too");
    tap_ok(dial(AF_INET, "198.17.255.255", 443, SOCK_STREAM) == -ECONNREFUSED,
           "the address below is refused at once");
    tap_ok(dial(AF_INET, "1.1.1.1", 80, SOCK_STREAM) == -ECONNREFUSED,
           "any other address is refused at once");
    tap_ok(dial(AF_INET, "169.254.169.254", 80, SOCK_STREAM) == -ECONNREFUSED, "the metadata address too");
    tap_ok(dial(AF_INET6, "2606:4700::1111", 443, SOCK_STREAM) == -ECONNREFUSED, "and IPv6");
    int fd = dial(AF_INET, "10.200.0.1", 3128, SOCK_STREAM);
    tap_ok(fd >= 0, "the proxy listens where scripts expect it");
    (void)close(fd);
}

static void test_udp(void)
{
    int fd = dial(AF_INET, "1.1.1.1", 443, SOCK_DGRAM);
    char b[8];
    bool sent = send(fd, "x", 1, 0) == 1;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool refused = sent && poll(&p, 1, 1000) == 1 && recv(fd, b, sizeof(b), 0) < 0 && errno == ECONNREFUSED;
    tap_ok(refused, "UDP elsewhere is refused, so that QUIC falls back at once");
    (void)close(fd);
}

// The reply of the resolver comes from the server that was asked, whichever it was.
static void test_dns(const struct netns *n)
{
    int fd = dial(AF_INET, "8.8.8.8", 53, SOCK_DGRAM);
    struct sockaddr_storage from;
    char b[64], control[128];
    struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};
    struct msghdr msg = {.msg_name = &from,
                         .msg_namelen = sizeof(from),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    bool got = send(fd, "ask", 3, 0) == 3 && recvmsg(n->dns[0], &msg, 0) == 3;
    struct cmsghdr *c = got ? CMSG_FIRSTHDR(&msg) : NULL;
    struct in_pktinfo info = {};
    if (c) {
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        info.ipi_ifindex = 0;
        info.ipi_spec_dst = info.ipi_addr;
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        iov.iov_len = 3;
        got = sendmsg(n->dns[0], &msg, 0) == 3;
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    tap_ok(c && got && poll(&p, 1, 1000) == 1 && recv(fd, b, sizeof(b), 0) == 3,
           "a question to any server is answered in that server's name");
    (void)close(fd);
}

int main(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        printf("1..0 # SKIP no user and network namespaces here: errno %d\n", errno);
        return 0;
    }
    const struct cidr ranges[] = {{.net = {.family = 4, .b = {192, 0, 2}}, .bits = 24},
                                  {.net = {.family = 6, .b = {0x20, 0x01, 0x0d, 0xb8}}, .bits = 32}};
    struct netns n;
    struct err e = {};
    if (!tap_ok(netns_setup(ranges, ARRAY_LEN(ranges), &n, &e) == ERR_OK, "the network is set up")) {
        tap_note("%s", e.msg);
        return tap_done();
    }
    test_dials(&n);
    test_udp();
    test_dns(&n);
    tap_ok(netns_capture(NULL, 0, &e) == ERR_OK &&
               dial(AF_INET, "192.0.2.77", 9443, SOCK_STREAM) == -ECONNREFUSED,
           "a range that is no longer named is refused");
    captured(&n, AF_INET, "198.18.7.9", 443, "synthetic addresses stay captured");
    struct cidr many[NETNS_RANGES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct cidr){.net = {.family = 6, .b = {0x20, 0x01, (uint8_t)i}}, .bits = 48};
    if (!tap_ok(netns_capture(many, NETNS_RANGES_MAX, &e) == ERR_OK, "as many ranges as the limit"))
        tap_note("%s", e.msg);
    tap_ok(netns_capture(many, NETNS_RANGES_MAX + 1, &e) == ERR_LIMIT, "one more is refused: %s", e.msg);
    netns_close(&n);
    return tap_done();
}
