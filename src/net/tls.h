// net/tls.h: TLS 1.2 and 1.3 on both legs, by OpenSSL.
//
// The interception CA is made in memory at start and never leaves the process: ECDSA P-256, CN "OpenShell
// Sandbox CA", O "OpenShell", CA:true, keyCertSign and cRLSign. A leaf (P-256, one key for all leaves of a
// process, SAN = the name or the IP literal) is signed on demand for a name that host_parse or ip_parse
// accepted, and kept in an LRU of TLS_LEAVES_MAX. Safe for many threads: the cache has its own lock; sessions
// and tickets are OpenSSL's.
#pragma once
#include "base/buf.h"
#include "net/stream.h"

enum { TLS_LEAVES_MAX = 1024 };

struct tls_ca;
enum err_code tls_ca_new(struct tls_ca **ret, struct err *e) NONNULL;
void tls_ca_free(struct tls_ca *ca);
enum err_code tls_ca_pem(const struct tls_ca *ca, struct buf *out,
                         struct err *e) NONNULL; // the certificate alone

// Server side: handshake over `below` with the leaf for `host`. The client's SNI, if any, must be `host`
// (folded; none for an IP literal); else the handshake fails with unrecognized_name and ERR_DENIED. `h2`:
// offer HTTP/2 by ALPN besides http/1.1; *ret_h2 tells what was chosen. Owns `below` on success.
enum err_code tls_accept(struct tls_ca *ca, struct stream *below, struct str host, bool h2,
                         const struct wait *w, struct stream **ret, bool *ret_h2, struct err *e) NONNULL;

// Client side: trust anchors. `pem` is a bundle with at least one certificate; it is copied, and read when
// the first connection needs it: what cannot be read is ERR_INVALID of tls_connect then.
struct tls_client;
enum err_code tls_client_new(struct str pem, struct tls_client **ret, struct err *e) NONNULL;
void tls_client_free(struct tls_client *c);

// Handshake with SNI = `host` (none for an IP literal), verification of chain and name always on, sessions
// resumed per host and port. ERR_DENIED: the certificate is not good, with OpenSSL's reason. Owns `below` on
// success.
enum err_code tls_connect(struct tls_client *c, struct stream *below, struct str host, uint16_t port, bool h2,
                          const struct wait *w, struct stream **ret, bool *ret_h2, struct err *e) NONNULL;

// What a client says before any key exists; for tunnels that are not intercepted (tls: skip) and to tell TLS
// from other protocols. `in`: the first bytes, peeked. RFC 8446 section 4.1.2, RFC 6066 section 3.
enum hello_result { HELLO_DONE, HELLO_MORE, HELLO_NOT_TLS, HELLO_BAD };
struct hello {
    struct str sni; // into `in`; empty: none
    bool ech;       // encrypted_client_hello is present: the SNI is not the whole story
    bool alpn_h2;
    size_t used; // of `in`: the records of the hello, which end where it does
};
enum hello_result tls_hello(struct str in, struct hello *ret, struct err *e) NONNULL;

// Whether what a server says first asks its client for another hello (RFC 8446 section 4.1.4). HELLO_DONE: it
// does; HELLO_NOT_TLS: it does not; HELLO_BAD: it hides which, in a record too short to tell.
enum hello_result tls_asks_again(struct str in, struct err *e) NONNULL;
