#include "net/pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "net/host.h"
#include "net/ip.h"
#include "net/tls_internal.h"

enum { DAY_S = 24 * 3600, SKEW_S = 3600, NAME_MAX_BYTES = 64 };

struct pki {
    EVP_PKEY *key;
    X509 *cert;
};

// ---- PEM

static enum err_code take_bio(BIO *bio, bool ok, struct buf *out, struct err *e)
{
    char *p = NULL;
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    if (n > 0)
        buf_add(out, (struct str){p, (size_t)n});
    BIO_free(bio);
    return n > 0 ? buf_check(out, "PEM", e) : tls_error("writing PEM", ERR_LIMIT, e);
}

static enum err_code write_cert(X509 *cert, struct buf *out, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take_bio(bio, bio && PEM_write_bio_X509(bio, cert) == 1, out, e);
}

static enum err_code write_key(EVP_PKEY *key, struct buf *out, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_secmem()); // wiped when it is freed
    return take_bio(bio, bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, out,
                    e);
}

static BIO *open_pem(struct str pem)
{
    return pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n) : NULL;
}

static X509 *read_cert(struct str pem)
{
    BIO *bio = open_pem(pem);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return cert;
}

// ---- parts of a certificate

bool x509_add_name(X509_NAME *name, const char *field, struct str value)
{
    return value.n == 0 ||
           (value.n <= NAME_MAX_BYTES &&
            X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value.p,
                                       (int)value.n, -1, 0) == 1);
}

bool x509_add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool set_serial(X509 *cert)
{
    unsigned char serial[20]; // RFC 5280 section 4.1.2.2: positive, 20 bytes at most
    if (RAND_bytes(serial, sizeof(serial)) != 1)
        return false;
    serial[0] = (serial[0] & 0x7f) | 0x01;
    BIGNUM *n = BN_bin2bn(serial, sizeof(serial), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok;
}

X509 *x509_new(EVP_PKEY *key, long from_s, long until_s)
{
    X509 *cert = X509_new();
    bool ok = cert && X509_set_version(cert, 2) == 1 && set_serial(cert) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), from_s) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), until_s) && X509_set_pubkey(cert, key) == 1;
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

// ---- a CA

enum err_code pki_new(struct str org, struct str cn, int days, struct pki **ret, struct err *e)
{
    assert(days > 0 && days <= PKI_DAYS_MAX);
    ERR_clear_error();
    struct pki *ca = calloc(1, sizeof(*ca));
    if (!ca)
        return err_set(e, ERR_LIMIT, "no memory for a CA");
    bool ok = (ca->key = EVP_EC_gen("P-256")) && (ca->cert = x509_new(ca->key, -SKEW_S, (long)days * DAY_S));
    X509_NAME *name = ok ? X509_get_subject_name(ca->cert) : NULL;
    ok = ok && x509_add_name(name, "O", org) && x509_add_name(name, "CN", cn) &&
         X509_set_issuer_name(ca->cert, name) == 1 &&
         x509_add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE") &&
         x509_add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
         x509_add_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") &&
         X509_sign(ca->cert, ca->key, EVP_sha256()) > 0;
    if (ok) {
        *ret = ca;
        return ERR_OK;
    }
    pki_free(ca);
    return tls_error("making a CA", ERR_INTERNAL, e);
}

enum err_code pki_load(struct str cert, struct str key, struct pki **ret, struct err *e)
{
    ERR_clear_error();
    struct pki *ca = calloc(1, sizeof(*ca));
    BIO *bio = open_pem(key);
    if (ca) {
        ca->cert = read_cert(cert);
        ca->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL) : NULL;
    }
    BIO_free(bio);
    if (ca && ca->cert && ca->key && X509_check_private_key(ca->cert, ca->key) == 1) {
        *ret = ca;
        return ERR_OK;
    }
    pki_free(ca);
    return tls_error("reading a CA", ERR_INVALID, e);
}

void pki_free(struct pki *ca)
{
    if (!ca)
        return;
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
    free(ca);
}

enum err_code pki_cert(const struct pki *ca, struct buf *out, struct err *e)
{
    return write_cert(ca->cert, out, e);
}

enum err_code pki_key(const struct pki *ca, struct buf *out, struct err *e)
{
    return write_key(ca->key, out, e);
}

// ---- what it issues

// A name goes through the gate of all host names; "*." may stand before it.
static GENERAL_NAME *general_name(struct str text)
{
    struct ip ip;
    struct host host;
    struct err ignored;
    struct str rest = text;
    bool literal = ip_parse(text, &ip, &ignored) == ERR_OK;
    (void)str_skip(&rest, STR("*."));
    if (!literal && host_parse(rest, &host, &ignored) != ERR_OK)
        return NULL;
    ASN1_STRING *value = literal ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name && value &&
        (literal ? ASN1_STRING_set(value, ip.b, ip.family == 4 ? 4 : 16)
                 : ASN1_STRING_set(value, text.p, (int)text.n)) == 1) {
        GENERAL_NAME_set0_value(name, literal ? GEN_IPADD : GEN_DNS, value);
        return name;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    return NULL;
}

static enum err_code add_names(X509 *cert, const struct pki_leaf *leaf, struct err *e)
{
    if (leaf->names_n == 0)
        return ERR_OK;
    if (leaf->names_n > PKI_NAMES_MAX)
        return err_set(e, ERR_LIMIT, "%zu names for a certificate, %d at most", leaf->names_n, PKI_NAMES_MAX);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    enum err_code c = names ? ERR_OK : err_set(e, ERR_LIMIT, "no memory for a certificate");
    for (size_t i = 0; c == ERR_OK && i < leaf->names_n; i++) {
        GENERAL_NAME *name = general_name(leaf->names[i]);
        if (!name || sk_GENERAL_NAME_push(names, name) <= 0) {
            GENERAL_NAME_free(name);
            c = err_set(e, ERR_INVALID, "'%.*s' is neither a host name nor an address",
                        STR_FMT(leaf->names[i]));
        }
    }
    if (c == ERR_OK && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1)
        c = tls_error("a certificate's names", ERR_INTERNAL, e);
    GENERAL_NAMES_free(names);
    return c;
}

static enum err_code fill(const struct pki *ca, X509 *cert, const struct pki_leaf *leaf, struct err *e)
{
    const char *usage = leaf->server && leaf->client ? "serverAuth,clientAuth"
                        : leaf->server               ? "serverAuth"
                                                     : "clientAuth";
    enum err_code c = add_names(cert, leaf, e);
    if (c != ERR_OK)
        return c;
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok = x509_add_name(name, "OU", leaf->unit) && x509_add_name(name, "CN", leaf->cn) &&
              X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
              x509_add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
              x509_add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
              (!(leaf->server || leaf->client) ||
               x509_add_extension(cert, ca->cert, NID_ext_key_usage, usage)) &&
              x509_add_extension(cert, ca->cert, NID_subject_key_identifier, "hash") &&
              x509_add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid") &&
              X509_sign(cert, ca->key, EVP_sha256()) > 0;
    return ok ? ERR_OK : tls_error("signing a certificate", ERR_INVALID, e);
}

enum err_code pki_issue(const struct pki *ca, const struct pki_leaf *leaf, struct buf *cert, struct buf *key,
                        struct err *e)
{
    assert(leaf->days <= PKI_DAYS_MAX && leaf->age_days >= 0 && leaf->age_days <= PKI_DAYS_MAX);
    ERR_clear_error();
    long from_s = leaf->age_days > 0 ? (long)leaf->age_days * -DAY_S : -SKEW_S;
    EVP_PKEY *own = EVP_EC_gen("P-256");
    X509 *x = own ? x509_new(own, from_s, (long)leaf->days * DAY_S) : NULL;
    enum err_code c = x ? fill(ca, x, leaf, e) : tls_error("a certificate", ERR_LIMIT, e);
    if (c == ERR_OK)
        c = write_cert(x, cert, e);
    if (c == ERR_OK)
        c = write_key(own, key, e);
    X509_free(x);
    EVP_PKEY_free(own);
    return c;
}

static bool covers(X509 *cert, struct str name)
{
    char text[HOST_MAX + 1];
    struct ip ip;
    struct err ignored;
    if (ip_parse(name, &ip, &ignored) == ERR_OK)
        return X509_check_ip(cert, ip.b, ip.family == 4 ? 4 : 16, 0) == 1;
    if (str_starts(name, STR("*."))) { // one label in its place says whether the wildcard is there
        if (name.n > HOST_MAX - 1)
            return false;
        (void)snprintf(text, sizeof(text), "x%.*s", (int)name.n - 1, name.p + 1);
        return X509_check_host(cert, text, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
    }
    return str_cstr(name, text, sizeof(text)) && X509_check_host(cert, text, 0, 0, NULL) == 1;
}

enum err_code pki_covers(struct str cert, const struct str *names, size_t n, size_t *ret, struct err *e)
{
    ERR_clear_error();
    X509 *x = read_cert(cert);
    if (!x)
        return tls_error("reading a certificate", ERR_INVALID, e);
    size_t i = 0;
    while (i < n && covers(x, names[i]))
        i++;
    X509_free(x);
    *ret = i;
    return ERR_OK;
}
