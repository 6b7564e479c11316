// net/cidr.h: address ranges.
#pragma once
#include "net/ip.h"

struct cidr {
    struct ip net; // host bits are zero
    uint8_t bits;  // 0..32 or 0..128
};

// "10.0.0.0/8", "fd00::/8", or a bare address (all bits). Host bits set are refused, with the range that was
// probably meant in the message.
enum err_code cidr_parse(struct str in, struct cidr *ret, struct err *reterr) NONNULL;

// A v4-mapped address is looked up as IPv4; a v4 address is in no IPv6 range but those under ::ffff:0:0/96.
[[nodiscard]] bool cidr_has(const struct cidr *c, const struct ip *ip) NONNULL;
[[nodiscard]] bool cidr_overlaps(const struct cidr *a, const struct cidr *b) NONNULL;

// Whether the range touches an address that is never reachable (IP_BLOCKED), embedded forms included.
[[nodiscard]] bool cidr_touches_blocked(const struct cidr *c) NONNULL;

enum { CIDR_TEXT_MAX = IP_TEXT_MAX + 4 };
size_t cidr_format(const struct cidr *c, char out[static CIDR_TEXT_MAX]) NONNULL;
