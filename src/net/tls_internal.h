// net/tls_internal.h: between tls.c (the filter), tls_ca.c (leaves) and tls_client.c (trust, sessions).
#pragma once
#include <openssl/ssl.h>

#include "net/host.h"
#include "net/tls.h"

[[nodiscard]] bool tls_library_init(void); // once for the process; safe to repeat

void tls_ctx_tune(SSL_CTX *ctx) NONNULL; // what both sides want

// For whatever reads PEM: without it OpenSSL asks the terminal for a passphrase.
int tls_no_passphrase(char *dst, int size, int rwflag, void *arg);

// Words for OpenSSL's last error, which is cleared.
enum err_code tls_error(const char *what, enum err_code code, struct err *e) NONNULL;

// ---- tls_ca.c ----
struct tls_expect { // of a server handshake, by SSL_get_app_data
    struct str host;
    bool h2;
    bool refused; // set where the client named another host
};
[[nodiscard]] SSL_CTX *tls_ca_ctx(struct tls_ca *ca) NONNULL; // NULL: OpenSSL says why
[[nodiscard]] EVP_PKEY *tls_ca_leaf_key(struct tls_ca *ca) NONNULL;
// A reference to the leaf for `host`, made now or found in the cache.
enum err_code tls_ca_leaf(struct tls_ca *ca, struct str host, X509 **ret, struct err *e) NONNULL;

// ---- tls_client.c ----
struct tls_session_key {
    char text[HOST_MAX + 16]; // "host:port" and whether HTTP/2 was offered
};
void tls_session_key_set(struct tls_session_key *k, struct str host, uint16_t port, bool h2) NONNULL;
// With the trusted certificates, which the first call reads. ERR_INVALID: one of them cannot be read.
enum err_code tls_client_ctx(struct tls_client *c, SSL_CTX **ret, struct err *e) NONNULL;
// A session to resume, for the caller to free; NULL: none. A TLS 1.3 ticket is taken out of the store, for it
// is for one use (RFC 8446 appendix C.4); of a TLS 1.2 session, which a server need not renew, it is a copy.
[[nodiscard]] SSL_SESSION *tls_client_session(struct tls_client *c, const struct tls_session_key *k) NONNULL;
// Has the sessions of this connection stored under `k`, whenever they come.
[[nodiscard]] bool tls_client_remember(struct tls_client *c, SSL *ssl,
                                       const struct tls_session_key *k) NONNULL;

// ---- pki.c ----
// A certificate with a serial number, valid from and until so many seconds from now; NULL: no memory.
[[nodiscard]] X509 *x509_new(EVP_PKEY *key, long from_s, long until_s) NONNULL;
[[nodiscard]] bool x509_add_name(X509_NAME *name, const char *field, struct str value) NONNULL; // empty: none
[[nodiscard]] bool x509_add_extension(X509 *cert, X509 *issuer, int nid, const char *value) NONNULL;
