// net/pki.h: a certificate authority of one's own, and certificates by it, as PEM.
//
// ECDSA P-256 throughout. Nothing here reads or writes files.
#pragma once
#include "base/buf.h"

enum { PKI_NAMES_MAX = 64, PKI_DAYS_MAX = 36'500 };

struct pki; // a CA: its certificate and its key

// O, CN, CA:true, keyCertSign and cRLSign.
enum err_code pki_new(struct str org, struct str cn, int days, struct pki **ret, struct err *e) NONNULL;
// One that was made before. ERR_INVALID: they cannot be read, or do not belong together.
enum err_code pki_load(struct str cert, struct str key, struct pki **ret, struct err *e) NONNULL;
void pki_free(struct pki *ca); // NULL is fine
static inline void pki_freep(struct pki **ca)
{
    pki_free(*ca);
}
enum err_code pki_cert(const struct pki *ca, struct buf *out, struct err *e) NONNULL;
enum err_code pki_key(const struct pki *ca, struct buf *out, struct err *e) NONNULL; // PKCS 8

struct pki_leaf {
    struct str cn, unit;     // unit: OU; empty: none
    const struct str *names; // names ("*." in front of one is fine) and IP literals
    size_t names_n;
    bool server, client; // what it may be used for
    int days;            // from now
    int age_days;        // it is valid since so many days ago; 0: since an hour ago
};
// ERR_INVALID: a name is neither a host name nor an address.
enum err_code pki_issue(const struct pki *ca, const struct pki_leaf *leaf, struct buf *cert, struct buf *key,
                        struct err *e) NONNULL;

// Which of `names` a certificate is not good for; *ret is its index, or n where it is good for all.
enum err_code pki_covers(struct str cert, const struct str *names, size_t n, size_t *ret, struct err *e)
    __attribute__((nonnull(4, 5)));
