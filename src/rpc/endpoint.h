// rpc/endpoint.h: where a server is, as users write it, and a connection to there.
//
//     unix:/path, unix:///path          a Unix socket; absolute
//     http://HOST[:PORT][/]             plain HTTP/2; port 80
//     https://HOST[:PORT][/]            HTTP/2 over TLS; port 443
//
// HOST is a name, an IPv4 address, or an IPv6 address in brackets. Nothing may follow it: no user, path,
// query.
#pragma once
#include "base/base.h"
#include "net/host.h"

#include <sys/un.h>

struct rpc_wait {
    int64_t deadline_ns; // DEADLINE_NEVER: none
    int cancel_fd;       // -1: none
};

enum rpc_endpoint_kind { RPC_ENDPOINT_UNIX, RPC_ENDPOINT_HTTP, RPC_ENDPOINT_HTTPS };

struct rpc_endpoint {
    enum rpc_endpoint_kind kind;
    struct sockaddr_un unix_addr;
    char host[HOST_MAX + 1]; // in lower case; an address without brackets
    uint16_t port;
    struct str authority; // into what was parsed
};

// ERR_INVALID, with what would be right.
enum err_code rpc_endpoint_parse(struct str text, struct rpc_endpoint *ret, struct err *reterr) NONNULL;

// A connected socket, non-blocking; `wait` NULL: one that may still be connecting. Names are looked up by the
// system's /etc/hosts and name servers; localhost and what ends in .localhost is this machine (RFC 6761
// section 6.3). Each address is tried in turn. ERR_NOT_FOUND: there is no such name. ERR_UNAVAILABLE: nobody
// listens, or cancelled. ERR_TIMEOUT.
enum err_code rpc_endpoint_connect(const struct rpc_endpoint *ep, const struct rpc_wait *wait, int *ret,
                                   struct err *reterr) __attribute__((nonnull(1, 3, 4)));
