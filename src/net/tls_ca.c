// The CA of the sandbox: made in memory, gone with the process. Leaves share one key; the certificate is what
// differs.
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <time.h>

#include "net/ip.h"
#include "net/tls_internal.h"

enum {
    BUCKETS = 2048,     // twice TLS_LEAVES_MAX
    SESSIONS_MAX = 256, // of clients that know no tickets
    CA_DAYS = 365,
    LEAF_DAYS = 30,
    LEAF_FRESH_S = 24 * 3600, // a cached leaf is made anew after that long
    DAY_S = 24 * 3600,
    SKEW_S = DAY_S, // clients whose clock is behind
};

struct leaf {
    struct leaf *chain;         // same bucket
    struct leaf *newer, *older; // by use
    X509 *cert;
    time_t made;
    size_t n;
    char host[];
};

struct tls_ca {
    EVP_PKEY *key, *leaf_key;
    X509 *cert;
    pthread_mutex_t lock; // guards what follows
    SSL_CTX *ctx;         // NULL until the first handshake, which a start does not wait for
    struct leaf *buckets[BUCKETS];
    struct leaf *newest, *oldest;
    size_t n;
};

// ---- certificates
// -------------------------------------------------------------------------------------------

static X509 *ca_cert(EVP_PKEY *key)
{
    X509 *cert = x509_new(key, -SKEW_S, CA_DAYS * DAY_S);
    if (!cert)
        return NULL;
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok = x509_add_name(name, "O", STR("OpenShell")) &&
              x509_add_name(name, "CN", STR("OpenShell Sandbox CA")) &&
              X509_set_issuer_name(cert, name) == 1 &&
              x509_add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
              x509_add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              x509_add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
              X509_sign(cert, key, EVP_sha256()) > 0;
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

// The name is parsed once more here: what gets signed is what a gate let through, whoever asks.
static bool leaf_names(struct tls_ca *ca, X509 *cert, struct str host)
{
    char san[HOST_MAX + 8];
    struct ip ip;
    struct host name;
    struct err ignored;
    bool literal = ip_parse(host, &ip, &ignored) == ERR_OK;
    if (!literal && (host_parse(host, &name, &ignored) != ERR_OK || !str_eq(host_str(&name), host)))
        return false;
    (void)snprintf(san, sizeof(san), "%s:%.*s", literal ? "IP" : "DNS", (int)host.n, host.p);
    // A CN has 64 bytes at most; clients read the SAN, which is critical where there is no subject.
    struct str cn = host.n <= 64 ? host : STR("OpenShell sandbox");
    return x509_add_name(X509_get_subject_name(cert), "CN", cn) &&
           X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
           x509_add_extension(cert, ca->cert, NID_subject_alt_name, san);
}

static X509 *leaf_cert(struct tls_ca *ca, struct str host)
{
    X509 *cert = x509_new(ca->leaf_key, -SKEW_S, LEAF_DAYS * DAY_S);
    if (!cert)
        return NULL;
    bool ok = leaf_names(ca, cert, host) &&
              x509_add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
              x509_add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
              x509_add_extension(cert, ca->cert, NID_ext_key_usage, "serverAuth") &&
              x509_add_extension(cert, ca->cert, NID_subject_key_identifier, "hash") &&
              x509_add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid") &&
              X509_sign(cert, ca->key, EVP_sha256()) > 0;
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

// ---- the cache
// ----------------------------------------------------------------------------------------------

static struct leaf **bucket_of(struct tls_ca *ca, struct str host)
{
    return &ca->buckets[str_hash(host, 0) % BUCKETS];
}

static void list_remove(struct tls_ca *ca, struct leaf *l)
{
    *(l->newer ? &l->newer->older : &ca->newest) = l->older;
    *(l->older ? &l->older->newer : &ca->oldest) = l->newer;
}

static void list_front(struct tls_ca *ca, struct leaf *l)
{
    l->newer = NULL;
    l->older = ca->newest;
    *(ca->newest ? &ca->newest->newer : &ca->oldest) = l;
    ca->newest = l;
}

static void leaf_drop(struct tls_ca *ca, struct leaf *l)
{
    struct leaf **p = bucket_of(ca, (struct str){l->host, l->n});
    while (*p != l)
        p = &(*p)->chain;
    *p = l->chain;
    list_remove(ca, l);
    ca->n--;
    X509_free(l->cert);
    free(l);
}

static struct leaf *leaf_find(struct tls_ca *ca, struct str host)
{
    for (struct leaf *l = *bucket_of(ca, host); l; l = l->chain)
        if (str_eq((struct str){l->host, l->n}, host))
            return l;
    return NULL;
}

static void leaf_keep(struct tls_ca *ca, struct str host, X509 *cert)
{
    struct leaf *l = malloc(sizeof(*l) + host.n);
    if (!l)
        return; // made anew next time
    *l = (struct leaf){.cert = cert, .made = time(NULL), .n = host.n};
    memcpy(l->host, host.p, host.n);
    (void)X509_up_ref(cert);
    if (ca->n == TLS_LEAVES_MAX)
        leaf_drop(ca, ca->oldest);
    struct leaf **bucket = bucket_of(ca, host);
    l->chain = *bucket;
    *bucket = l;
    list_front(ca, l);
    ca->n++;
}

enum err_code tls_ca_leaf(struct tls_ca *ca, struct str host, X509 **ret, struct err *e)
{
    (void)pthread_mutex_lock(&ca->lock);
    struct leaf *l = leaf_find(ca, host);
    if (l && time(NULL) - l->made > LEAF_FRESH_S) {
        leaf_drop(ca, l);
        l = NULL;
    }
    X509 *cert = NULL;
    if (l) {
        list_remove(ca, l);
        list_front(ca, l);
        cert = l->cert;
        (void)X509_up_ref(cert);
    }
    (void)pthread_mutex_unlock(&ca->lock);
    if (!cert) { // signed outside the lock; two threads may both do it, and the later one's stays
        cert = leaf_cert(ca, host);
        if (!cert)
            return tls_error("signing a certificate", ERR_INVALID, e);
        (void)pthread_mutex_lock(&ca->lock);
        struct leaf *old = leaf_find(ca, host);
        if (old)
            leaf_drop(ca, old);
        leaf_keep(ca, host, cert);
        (void)pthread_mutex_unlock(&ca->lock);
    }
    *ret = cert;
    return ERR_OK;
}

// ---- handshakes
// ---------------------------------------------------------------------------------------------

static int on_servername(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tls_expect *x = SSL_get_app_data(ssl);
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct host name;
    struct err ignored;
    if (!sni || !x)
        return SSL_TLSEXT_ERR_NOACK;
    bool same = host_parse(str_of(sni), &name, &ignored) == ERR_OK && str_eq(host_str(&name), x->host);
    if (same ||
        str_eq_ci(str_of(sni), x->host)) // a literal is no server name (RFC 6066 section 3), but some say it
        return SSL_TLSEXT_ERR_OK;
    x->refused = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                   unsigned inlen, void *arg)
{
    (void)arg;
    static const unsigned char both[] = "\x02h2\x08http/1.1", one[] = "\x08http/1.1";
    const struct tls_expect *x = SSL_get_app_data(ssl);
    bool h2 = x && x->h2;
    unsigned char *chosen = NULL;
    int r = SSL_select_next_proto(&chosen, outlen, h2 ? both : one, h2 ? sizeof(both) - 1 : sizeof(one) - 1,
                                  in, inlen);
    *out = chosen;
    return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *server_ctx(void)
{
    static const unsigned char id[] = "openshell-egress";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return NULL;
    tls_ctx_tune(ctx);
    (void)SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
    (void)SSL_CTX_set_num_tickets(ctx, 1); // a resumed connection gets the next one
    SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

enum err_code tls_ca_new(struct tls_ca **ret, struct err *e)
{
    struct tls_ca *ca = calloc(1, sizeof(*ca));
    if (!ca)
        return err_set(e, ERR_LIMIT, "no memory for a CA");
    (void)pthread_mutex_init(&ca->lock, NULL);
    bool ok = tls_library_init() && (ca->key = EVP_EC_gen("P-256")) && (ca->leaf_key = EVP_EC_gen("P-256")) &&
              (ca->cert = ca_cert(ca->key));
    if (!ok) {
        tls_ca_free(ca);
        return tls_error("making a CA", ERR_INTERNAL, e);
    }
    *ret = ca;
    return ERR_OK;
}

void tls_ca_free(struct tls_ca *ca)
{
    if (!ca)
        return;
    while (ca->oldest)
        leaf_drop(ca, ca->oldest);
    SSL_CTX_free(ca->ctx);
    X509_free(ca->cert);
    EVP_PKEY_free(ca->leaf_key);
    EVP_PKEY_free(ca->key);
    (void)pthread_mutex_destroy(&ca->lock);
    free(ca);
}

enum err_code tls_ca_pem(const struct tls_ca *ca, struct buf *out, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    long n = bio && PEM_write_bio_X509(bio, ca->cert) == 1 ? BIO_get_mem_data(bio, &p) : 0;
    if (n > 0)
        buf_add(out, (struct str){p, (size_t)n});
    BIO_free(bio);
    return n > 0 ? buf_check(out, "the CA certificate", e)
                 : tls_error("printing the CA certificate", ERR_INTERNAL, e);
}

SSL_CTX *tls_ca_ctx(struct tls_ca *ca)
{
    (void)pthread_mutex_lock(&ca->lock);
    if (!ca->ctx)
        ca->ctx = server_ctx();
    SSL_CTX *ctx = ca->ctx;
    (void)pthread_mutex_unlock(&ca->lock);
    return ctx;
}

EVP_PKEY *tls_ca_leaf_key(struct tls_ca *ca)
{
    return ca->leaf_key;
}
