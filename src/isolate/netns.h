// isolate/netns.h: the network that a sandbox sees: a loopback on which every address is local.
//
// There is no other interface and no way out, so nothing has to be filtered (DESIGN section 3). What listens
// is ours: the proxy at 10.200.0.1:3128, a resolver on port 53 of every address, and a transparent listener
// to which TCP for the captured ranges is led (nft tproxy), whose accepted sockets have the address that was
// dialled as their own. A dial to any other address is reset at once, since nothing listens there; UDP is
// refused the same way.
#pragma once
#include "base/base.h"
#include "net/cidr.h"

enum {
    NETNS_PROXY_PORT = 3128,
    NETNS_CAPTURED_PORT = 15001,
    NETNS_RANGES_MAX = 64, // captured besides the synthetic ones; ours
};

struct netns { // listening sockets, non-blocking, close-on-exec; [0] IPv4, [1] IPv6
    int proxy, captured[2], dns[2];
};

// In a new network namespace, with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE over it. `ranges`: what the policy
// names by address. ERR_UNSUPPORTED: the kernel lacks a part, which the message names. On failure nothing is
// left open.
enum err_code netns_setup(const struct cidr *ranges, size_t n, struct netns *ret, struct err *e)
    __attribute__((nonnull(3, 4)));

// Replaces the captured ranges, in one transaction: a policy was reloaded.
enum err_code netns_capture(const struct cidr *ranges, size_t n, struct err *e) __attribute__((nonnull(3)));

// Whether a dial to `ip` comes to one of the listeners, or stays in the sandbox: the loopback's own
// addresses, the proxy's, the captured ranges.
[[nodiscard]] bool netns_answers(const struct cidr *ranges, size_t n, const struct ip *ip)
    __attribute__((nonnull(3)));

void netns_close(struct netns *n) NONNULL; // closes what is not -1
