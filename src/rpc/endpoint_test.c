#include "rpc/endpoint.h"

#include "base/clock.h"
#include "base/fd.h"
#include "tap.h"

#include <netinet/in.h>
#include <sys/socket.h>

static const struct {
    const char *text, *host, *authority;
    enum rpc_endpoint_kind kind;
    uint16_t port;
} good[] = {
    {"unix:/run/x", "", "localhost", RPC_ENDPOINT_UNIX, 0},
    {"unix:///run/x", "", "localhost", RPC_ENDPOINT_UNIX, 0},
    {"http://127.0.0.1:8080", "127.0.0.1", "127.0.0.1:8080", RPC_ENDPOINT_HTTP, 8080},
    {"http://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:8080", RPC_ENDPOINT_HTTP, 8080},
    {"http://[::1]:8080", "::1", "[::1]:8080", RPC_ENDPOINT_HTTP, 8080},
    {"http://localhost", "localhost", "localhost", RPC_ENDPOINT_HTTP, 80},
    {"https://Gateway.Example.COM", "gateway.example.com", "Gateway.Example.COM", RPC_ENDPOINT_HTTPS, 443},
    {"https://gateway.example.com:65535", "gateway.example.com", "gateway.example.com:65535",
     RPC_ENDPOINT_HTTPS, 65535},
    {"https://[0:0::1]", "::1", "[0:0::1]", RPC_ENDPOINT_HTTPS, 443},
};

static const struct {
    const char *text, *msg;
} bad[] = {
    {"ftp://x", "'ftp://x' is no endpoint: https://host:port, http://host:port or unix:/path"},
    {"", "'' is no endpoint: https://host:port, http://host:port or unix:/path"},
    {"http://127.0.0.1:0", "'127.0.0.1:0' has no port from 1 to 65535 behind its host"},
    {"http://127.0.0.1:65536", "'127.0.0.1:65536' has no port from 1 to 65535 behind its host"},
    {"http://127.0.0.1:", "'127.0.0.1:' has no port from 1 to 65535 behind its host"},
    {"http://h:80/path", "'h:80/path' has no port from 1 to 65535 behind its host"},
    {"http://h:80//", "'h:80/' has no port from 1 to 65535 behind its host"},
    {"http://u@h:80", "'u@h' is no host: byte 0x40 at offset 1"},
    {"http://", "'' is no host: a name has 1 to 253 bytes, not 0"},
    {"http://[::g]:80", "'[::g]' is no IPv6 address"},
    {"http://[127.0.0.1]:80", "'[127.0.0.1]' is no IPv6 address"},
    {"http://[::1", "'[::1' has a bracket that is not closed"},
    {"http://[::1]8080", "'[::1]8080' has no port from 1 to 65535 behind its host"},
    {"http://::1", "'::1' has no port from 1 to 65535 behind its host"},
    {"http://127.1", "'127.1' is no host: '127.1' ends in a number, so it is an IPv4 address or nothing"},
    {"unix:relative", "'relative' is no path of a socket: absolute, at most 107 bytes"},
    {"unix:", "'' is no path of a socket: absolute, at most 107 bytes"},
};

static void test_parse(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct rpc_endpoint ep = {};
        struct err err = {};
        bool ok = rpc_endpoint_parse(str_of(good[i].text), &ep, &err) == ERR_OK && ep.kind == good[i].kind &&
                  ep.port == good[i].port && strcmp(ep.host, good[i].host) == 0 &&
                  str_eq(ep.authority, str_of(good[i].authority)) &&
                  (ep.kind != RPC_ENDPOINT_UNIX || strcmp(ep.unix_addr.sun_path, "/run/x") == 0);
        if (!tap_ok(ok, "reads %s", good[i].text))
            tap_note("'%s' %u %s", ep.host, ep.port, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct rpc_endpoint ep = {};
        struct err err = {};
        bool ok = rpc_endpoint_parse(str_of(bad[i].text), &ep, &err) == ERR_INVALID &&
                  strcmp(err.msg, bad[i].msg) == 0 && ep.port == 0;
        if (!tap_ok(ok, "refuses '%s'", bad[i].text))
            tap_note("%s", err.msg);
    }
}

static uint16_t listen_v6(int *ret)
{
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t n = sizeof(addr);
    *ret = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*ret < 0 || bind(*ret, (const struct sockaddr *)&addr, n) != 0 || listen(*ret, 8) != 0 ||
        getsockname(*ret, (struct sockaddr *)&addr, &n) != 0)
        return 0;
    return ntohs(addr.sin6_port);
}

static void test_connect(void)
{
    struct err err = {};
    int none = -1;
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(fd_close) int to = -1;
    struct rpc_endpoint ep = {};
    const struct rpc_wait wait = {deadline_in_ms(5000), -1};
    enum err_code c = rpc_endpoint_parse(STR("unix:/nonexistent/socket"), &ep, &err);
    if (c == ERR_OK)
        c = rpc_endpoint_connect(&ep, &wait, &none, &err);
    tap_ok(c == ERR_UNAVAILABLE && strcmp(err.msg, "/nonexistent/socket: No such file or directory") == 0,
           "a socket that is not there: %s", err.msg);
    uint16_t port = listen_v6(&fd);
    if (port == 0) {
        tap_ok(true, "names have several addresses # SKIP no IPv6 here");
        return;
    }
    char text[64];
    (void)snprintf(text, sizeof(text), "http://some.localhost:%u", port);
    c = rpc_endpoint_parse(str_of(text), &ep, &err);
    if (c == ERR_OK)
        c = rpc_endpoint_connect(&ep, &wait, &to, &err);
    tap_ok(c == ERR_OK && to >= 0, "the second address is tried where nobody listens at the first: %s",
           err.msg);
    fd_close(&fd);
    c = rpc_endpoint_connect(&ep, &wait, &none, &err);
    tap_ok(c == ERR_UNAVAILABLE && none == -1, "nobody listens at any: %s", err.msg);
}

int main(void)
{
    test_parse();
    test_connect();
    return tap_done();
}
