// policy/ssrf.h: may a resolved address be dialled? (reference 2.8)
#pragma once
#include "net/ip.h"
#include "policy/decide.h"

enum ssrf_mode {      // chosen in this order
    SSRF_GATEWAY,     // a host alias of the trusted gateway: exactly that address
    SSRF_ALLOWED_IPS, // the endpoint lists ranges
    SSRF_LITERAL,     // the policy names the literal
    SSRF_DECLARED,    // the policy names the exact host: private addresses too
    SSRF_DEFAULT,     // wildcards, advisor-proposed, hostless: public addresses only
};

struct ssrf_facts {
    struct str host; // as in conn_facts
    uint16_t port;
    const struct ip *trusted_gateway; // the address of host.openshell.internal as pinned at start, or NULL
};

[[nodiscard]] enum ssrf_mode ssrf_mode(const struct ssrf_facts *f, const struct conn_decision *d) NONNULL;

// All resolved addresses must pass; one bad one refuses the connection. ERR_OK or ERR_DENIED with the
// reference's message. An empty answer is refused too.
enum err_code ssrf_check(const struct ssrf_facts *f, const struct conn_decision *d, const struct ip *addrs,
                         size_t n, struct err *reterr) NONNULL;

// The kind of denial for the mode: "trusted-gateway check failed", "allowed_ips check failed", …
[[nodiscard]] const char *ssrf_kind(enum ssrf_mode mode);
[[nodiscard]] bool ssrf_port_is_blocked(uint16_t port); // control-plane ports
