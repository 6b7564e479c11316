// net/ip.h: IP addresses, in binary before anything is compared.
#pragma once
#include "base/base.h"

struct ip {
    uint8_t family; // 4 or 6
    uint8_t b[16];  // network order; an IPv4 address takes the first four
};

enum { IP_TEXT_MAX = 46 }; // INET6_ADDRSTRLEN

// The canonical spellings only: dotted quad without leading zeros, RFC 4291 section 2.2 (also with an
// embedded quad), no zone, no brackets. For policies.
enum err_code ip_parse(struct str in, struct ip *ret, struct err *reterr) NONNULL;

// Every spelling that a resolver or a URL parser accepts: inet_aton forms (1 to 4 parts, decimal, octal with
// 0, hex with 0x), a root dot behind them, IPv6 in brackets, with a zone id ("%eth0": dropped, ret_zone
// tells). For what a client sends. ERR_INVALID: not an address; the caller goes on with host_parse, which
// refuses what ends in a number, so nothing falls between the two.
enum err_code ip_parse_any(struct str in, struct ip *ret, bool *ret_zone, struct err *reterr) NONNULL;

// RFC 5952 for IPv6; returns the length, NUL-terminated.
size_t ip_format(const struct ip *ip, char out[static IP_TEXT_MAX]) NONNULL;

[[nodiscard]] bool ip_eq(const struct ip *a, const struct ip *b) NONNULL;

// Same family and the same first `bits` bits; at most 32 or 128 of them count.
[[nodiscard]] bool ip_prefix_eq(const struct ip *a, const struct ip *b, size_t bits) NONNULL;

// The IPv4 address inside an IPv6 one: mapped (::ffff:0:0/96), compatible (::/96), translated
// (::ffff:0:0:0/96), NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), 6to4 (2002::/16), Teredo (2001::/32, the
// client, inverted). RFC 4291, 6052, 8215, 3056, 4380. False: none. 64:ff9b:1::/48 may hold it in several
// places (RFC 6052 section 2.2); this gives the likeliest, ip_classify and ip_is_metadata look at all of
// them.
[[nodiscard]] bool ip_embedded_v4(const struct ip *ip, struct ip *ret) NONNULL;

enum ip_class {
    IP_PUBLIC,
    IP_INTERNAL, // blocked unless a policy opens it
    IP_BLOCKED,  // never reachable: loopback, link-local, unspecified, multicast
};

// The stricter of the address's own class and that of an IPv4 address embedded in it. Ranges: reference 2.8,
// and the rest of the IANA special-purpose registries (RFC 6890), counted as IP_INTERNAL.
[[nodiscard]] enum ip_class ip_classify(const struct ip *ip) NONNULL;

// Whether any address that begins with the first `bits` bits of `net` is IP_BLOCKED.
[[nodiscard]] bool ip_range_touches_blocked(const struct ip *net, size_t bits) NONNULL;

[[nodiscard]] bool ip_is_link_local(const struct ip *ip) NONNULL; // 169.254.0.0/16, fe80::/10; not embedded

// 169.254.169.254, fd00:ec2::254, 100.100.100.200 and their embedded forms: cloud metadata services.
[[nodiscard]] bool ip_is_metadata(const struct ip *ip) NONNULL;
