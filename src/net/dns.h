// net/dns.h: DNS messages (RFC 1035) as the in-sandbox resolver needs them, and looking up names outside.
#pragma once
#include "net/host.h"
#include "net/ip.h"
#include "net/stream.h"

enum {
    DNS_MESSAGE_MAX = 8192, // reference 10
    DNS_ADDRS_MAX = 16,     // reference 2.12
    DNS_CNAMES_MAX = 8,
};
enum { DNS_A = 1, DNS_AAAA = 28, DNS_SVCB = 64, DNS_HTTPS = 65 };
enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5
};

struct dns_query {
    uint16_t id, type;
    struct host name;
    bool recursion_desired, edns;
    struct str question; // its bytes, to be repeated in the answer
};
// ERR_INVALID: not a query with exactly one question of class IN for a name that host_parse accepts; where
// the header could be read ret->id is set, so that FORMERR can be answered.
enum err_code dns_query_parse(struct str in, struct dns_query *ret, struct err *e) NONNULL;
// Writes an answer: `addrs` of the family that q->type asks for, TTL in seconds. Returns its length, 0 if
// `size` is small.
size_t dns_answer(const struct dns_query *q, enum dns_rcode rcode, const struct ip *addrs, size_t n,
                  uint32_t ttl, char *out, size_t size) NONNULL;

// Resolver for the outside, by c-ares: servers are read once, at start (resolv.conf text and hosts text are
// given, for the process that resolves has no files; c-ares alone asks for /dev/urandom, and goes on without
// it). Blocking, thread-safe, deadline and cancel as everywhere.
struct resolver;
enum err_code resolver_new(struct str resolv_conf, struct str hosts, struct resolver **ret,
                           struct err *e) NONNULL;
void resolver_free(struct resolver *r);
// A and AAAA, as many as DNS_ADDRS_MAX; `hosts` first. ERR_NOT_FOUND: NXDOMAIN or no address;
// ERR_UNAVAILABLE: servers.
enum err_code resolver_lookup(struct resolver *r, struct str host, const struct wait *w,
                              struct ip ret[static DNS_ADDRS_MAX], size_t *ret_n, struct err *e) NONNULL;
