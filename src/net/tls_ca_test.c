// Certificates as clients want them, and the cache that keeps them.
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "net/tls_internal.h"
#include "tap.h"

#define A48   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL A48 "aaaaaaaaaaaaaa."

static X509 *leaf_of(struct tls_ca *ca, const char *host)
{
    X509 *cert = NULL;
    struct err e;
    return tls_ca_leaf(ca, str_of(host), &cert, &e) == ERR_OK ? cert : NULL;
}

static X509 *ca_cert_of(struct tls_ca *ca, char *text, size_t size)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, 16 * KIB);
    struct err e;
    if (tls_ca_pem(ca, &pem, &e) != ERR_OK || !str_cstr(buf_str(&pem), text, size))
        return NULL;
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return cert;
}

static bool verifies(X509 *root, X509 *leaf, const char *host, bool ip)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool ok = store && ctx && X509_STORE_add_cert(store, root) == 1 &&
              X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1;
    if (ok) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
        (void)X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        ok = (ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
                 : X509_VERIFY_PARAM_set1_host(param, host, 0)) == 1 &&
             X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static void test_leaves(struct tls_ca *ca, X509 *root)
{
    static const struct {
        const char *host;
        bool ip;
    } rows[] = {
        {"api.example.test", false},           {"localhost", false}, {"_srv.example.test", false},
        {LABEL LABEL LABEL A48 "test", false}, {"192.0.2.7", true},  {"2001:db8::1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        X509 *leaf = leaf_of(ca, rows[i].host);
        tap_ok(leaf && verifies(root, leaf, rows[i].host, rows[i].ip), "strictly verified: %s", rows[i].host);
        tap_ok(leaf && !verifies(root, leaf, rows[i].ip ? "192.0.2.8" : "b.test", rows[i].ip),
               "and for no other name");
        X509_free(leaf);
    }
    static const char *const refused[] = {"",        "*.example.test", "a,DNS:b.test", "A.test",
                                          "a..test", "192.0.2.07",     "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        tap_ok(!leaf_of(ca, refused[i]), "nothing is signed for '%s'", refused[i]);
}

static void test_details(struct tls_ca *ca, X509 *root)
{
    char name[200];
    X509_NAME_oneline(X509_get_subject_name(root), name, sizeof(name));
    tap_ok(str_eq(str_of(name), STR("/O=OpenShell/CN=OpenShell Sandbox CA")), "the CA is named %s", name);
    tap_ok(X509_check_ca(root) == 1 && X509_get_key_usage(root) == (KU_KEY_CERT_SIGN | KU_CRL_SIGN),
           "it signs certificates and revocations, and nothing else");
    EVP_PKEY *key = X509_get0_pubkey(root);
    char group[20] = "";
    size_t n = 0;
    (void)EVP_PKEY_get_group_name(key, group, sizeof(group), &n);
    tap_ok(str_eq(str_of(group), STR("prime256v1")), "with a key on P-256");

    X509 *a = leaf_of(ca, "a.test"), *b = leaf_of(ca, "b.test");
    if (!a || !b)
        abort();
    const time_t soon = time(NULL) - 3600, later = time(NULL) + 7 * 24 * 3600;
    time_t t = soon;
    bool ok = X509_cmp_time(X509_get0_notBefore(a), &t) < 0;
    t = later;
    tap_ok(ok && X509_cmp_time(X509_get0_notAfter(a), &t) > 0,
           "a leaf was valid an hour ago, and is in a week");
    tap_ok(X509_get_key_usage(a) == KU_DIGITAL_SIGNATURE &&
               X509_get_extended_key_usage(a) == XKU_SSL_SERVER && X509_check_ca(a) == 0,
           "it serves, and signs nothing");
    tap_ok(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)) != 0,
           "no two have the same serial");
    const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(a), *ski = X509_get0_subject_key_id(root);
    tap_ok(aki && ski && X509_get0_subject_key_id(a) && ASN1_OCTET_STRING_cmp(aki, ski) == 0,
           "and says whose key signed it");
    X509_free(a);
    X509_free(b);
}

static void test_cache(struct tls_ca *ca)
{
    X509 *first = leaf_of(ca, "first.test"), *second = leaf_of(ca, "second.test");
    X509 *again = leaf_of(ca, "first.test");
    tap_ok(first && first == again, "a leaf is made once");
    X509_free(again);
    for (int i = 0; i < TLS_LEAVES_MAX - 1; i++) { // with "first" these fill the cache
        char host[32];
        (void)snprintf(host, sizeof(host), "h%d.test", i);
        X509_free(leaf_of(ca, host));
        if (i == 10) {
            again = leaf_of(ca, "first.test"); // used, so it stays
            X509_free(again);
        }
        if (i == TLS_LEAVES_MAX - 2) {
            again = leaf_of(ca, "first.test");
            tap_ok(again == first, "one that is used stays");
            X509_free(again);
        }
    }
    again = leaf_of(ca, "second.test");
    tap_ok(again && again != second, "the one that was used longest ago goes");
    X509_free(again);
    X509_free(first);
    X509_free(second);
}

static void *hammer(void *arg)
{
    struct tls_ca *ca = arg;
    for (int i = 0; i < 400; i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "t%d.test", i % 50);
        X509 *cert = leaf_of(ca, host);
        if (!cert)
            return NULL;
        X509_free(cert);
    }
    return ca;
}

static void test_threads(struct tls_ca *ca)
{
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (pthread_create(&t[i], NULL, hammer, ca) != 0)
            abort();
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        void *ret = NULL;
        (void)pthread_join(t[i], &ret);
        ok &= ret != NULL;
    }
    tap_ok(ok, "many threads may ask at once");
}

int main(void)
{
    struct tls_ca *ca = NULL;
    struct err e;
    char pem[16 * KIB];
    X509 *root = tls_ca_new(&ca, &e) == ERR_OK ? ca_cert_of(ca, pem, sizeof(pem)) : NULL;
    if (tap_ok(root, "a CA is made, and its certificate printed")) {
        tap_ok(!strstr(pem, "PRIVATE"), "but not its key");
        test_leaves(ca, root);
        test_details(ca, root);
        test_cache(ca);
        test_threads(ca);
    }
    X509_free(root);
    tls_ca_free(ca);
    return tap_done();
}
