// Streams over real sockets: what waits, what ends a wait, what comes back.
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tap.h"

static const struct wait never = {.deadline_ns = DEADLINE_NEVER, .cancel_fd = -1};
static const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

static struct wait in_ms(int ms)
{
    return (struct wait){.deadline_ns = deadline_in_ms(ms), .cancel_fd = -1};
}

static struct stream *pair(int *peer)
{
    int fd[2];
    struct stream *s = NULL;
    struct err e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 || stream_socket(fd[0], &s, &e) != ERR_OK)
        abort();
    *peer = fd[1];
    return s;
}

static void test_read(void)
{
    CLEANUP(fd_close) int peer = -1;
    CLEANUP(stream_freep) struct stream *s = pair(&peer);
    struct err e = {};
    char b[16];
    size_t n = 77;
    int64_t t0 = clock_ns();
    struct wait w = in_ms(60);
    bool ok = stream_read(s, b, sizeof(b), &n, &w, &e) == ERR_TIMEOUT && n == 77;
    tap_ok(ok && clock_ns() - t0 >= 60'000'000, "a read waits for its deadline, and no less");
    tap_ok(stream_read(s, b, sizeof(b), &n, &now, &e) == ERR_TIMEOUT, "a read that may not wait does not");

    CLEANUP(fd_close) int cancel = eventfd(1, EFD_CLOEXEC);
    w = (struct wait){.deadline_ns = DEADLINE_NEVER, .cancel_fd = cancel};
    tap_ok(stream_read(s, b, sizeof(b), &n, &w, &e) == ERR_DENIED,
           "a cancel fd ends a read without deadline");

    ok = write(peer, "abc", 3) == 3 && stream_read(s, b, sizeof(b), &n, &w, &e) == ERR_OK && n == 3;
    tap_ok(ok && memcmp(b, "abc", 3) == 0, "what is there is read, cancelled or not");
    ok = shutdown(peer, SHUT_WR) == 0 && stream_read(s, b, sizeof(b), &n, &never, &e) == ERR_OK && n == 0;
    tap_ok(ok, "the end of the stream is a read of nothing");
    ok = stream_write(s, STR("still"), &never, &e) == ERR_OK && read(peer, b, sizeof(b)) == 5;
    tap_ok(ok, "half closed: our direction goes on");
    ok = stream_end(s, &never, &e) == ERR_OK && read(peer, b, sizeof(b)) == 0;
    tap_ok(ok, "and ends when we say so");
}

static void test_write(void)
{
    CLEANUP(fd_close) int peer = -1;
    CLEANUP(stream_freep) struct stream *s = pair(&peer);
    struct err e = {};
    static char big[4 * MIB];
    struct wait w = in_ms(60);
    size_t n = 0;
    int64_t t0 = clock_ns();
    bool ok = stream_write(s, (struct str){big, sizeof(big)}, &w, &e) == ERR_TIMEOUT;
    tap_ok(ok && clock_ns() - t0 >= 60'000'000, "a peer that reads nothing stops a write until its deadline");
    tap_ok(stream_write_some(s, (struct str){big, 1}, &n, &now, &e) == ERR_TIMEOUT,
           "a full socket takes nothing");
    ok = read(peer, big, sizeof(big)) > 0 &&
         stream_write_some(s, (struct str){big, sizeof(big)}, &n, &now, &e) == ERR_OK;
    tap_ok(ok && n > 0 && n < sizeof(big), "a part goes where there is room for a part");
    fd_close(&peer);
    ok = stream_write(s, STR("x"), &never, &e) == ERR_UNAVAILABLE;
    tap_ok(ok && str_eq(str_of(e.msg), STR("write: Broken pipe")), "a gone peer is an error, not a signal");
}

static void test_prepend(void)
{
    CLEANUP(fd_close) int peer = -1;
    struct err e = {};
    struct stream *whole = NULL;
    bool ok = stream_prepend(pair(&peer), STR("head"), &whole, &e) == ERR_OK;
    CLEANUP(stream_freep) struct stream *s = whole;
    char b[16];
    size_t n = 0;
    tap_ok(ok && stream_pending(s) == 4, "bytes put back are pending");
    ok = stream_read(s, b, 3, &n, &now, &e) == ERR_OK && n == 3 && memcmp(b, "hea", 3) == 0 &&
         stream_pending(s) == 1;
    tap_ok(ok, "and come first");
    ok = write(peer, "more", 4) == 4 && stream_read(s, b, sizeof(b), &n, &now, &e) == ERR_OK && n == 1 &&
         b[0] == 'd' && stream_read(s, b, sizeof(b), &n, &now, &e) == ERR_OK && n == 4 &&
         memcmp(b, "more", 4) == 0;
    tap_ok(ok && stream_pending(s) == 0, "then what the socket has");
}

static int listener(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&in, n) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &n) != 0)
        abort();
    *port = ntohs(in.sin_port);
    return fd;
}

static void test_dial(void)
{
    uint16_t port;
    CLEANUP(fd_close) int fd = listener(&port);
    const struct ip addrs[2] = {{.family = 4, .b = {127, 0, 0, 77}}, {.family = 4, .b = {127, 0, 0, 1}}};
    CLEANUP(stream_freep) struct stream *s = NULL;
    struct err e = {};
    size_t used = 9;
    struct wait w = in_ms(5000);
    bool ok = stream_dial(addrs, 2, port, &w, &s, &used, &e) == ERR_OK && used == 1;
    tap_ok(ok, "the second address is tried where the first refuses");
    fd_close(&fd);
    CLEANUP(stream_freep) struct stream *none = NULL;
    char want[64];
    (void)snprintf(want, sizeof(want), "127.0.0.1:%u: Connection refused", port);
    ok = stream_dial(addrs + 1, 1, port, &w, &none, &used, &e) == ERR_UNAVAILABLE && !none;
    tap_ok(ok && str_eq(str_of(e.msg), str_of(want)), "a refused dial says where: %s", e.msg);
    ok = stream_dial(addrs, 0, port, &w, &none, &used, &e) == ERR_UNAVAILABLE;
    tap_ok(ok, "no address is no connection");
}

int main(void)
{
    test_read();
    test_write();
    test_prepend();
    test_dial();
    return tap_done();
}
