// Whom the egress trusts, and the sessions that it may resume.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>

#include "net/tls_internal.h"

enum { SESSIONS_MAX = 256 }; // slots, by hash of host and port; a later session takes an earlier one's

struct tls_client {
    pthread_mutex_t lock; // guards slots
    pthread_mutex_t load; // guards what follows
    SSL_CTX *ctx;         // NULL until the first connection
    char *pem;            // until it was read into ctx
    size_t pem_n;
    struct {
        struct tls_session_key key;
        SSL_SESSION *session;
    } slots[SESSIONS_MAX];
};

struct pending_session { // hangs on the SSL until it is freed
    struct tls_client *client;
    struct tls_session_key key;
};

static int pending_index = -1;

static void pending_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent;
    (void)ad;
    (void)idx;
    (void)argl;
    (void)argp;
    free(ptr);
}

static void index_init(void)
{
    pending_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, pending_free);
}

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

void tls_session_key_set(struct tls_session_key *k, struct str host, uint16_t port, bool h2)
{
    *k = (struct tls_session_key){};
    (void)snprintf(k->text, sizeof(k->text), "%.*s:%u%s", (int)(host.n < HOST_MAX ? host.n : HOST_MAX),
                   host.p, port, h2 ? "+h2" : "");
}

static size_t slot_of(const struct tls_session_key *k)
{
    return str_hash(str_of(k->text), 0) % SESSIONS_MAX;
}

SSL_SESSION *tls_client_session(struct tls_client *c, const struct tls_session_key *k)
{
    size_t at = slot_of(k);
    SSL_SESSION *session = NULL;
    (void)pthread_mutex_lock(&c->lock);
    if (c->slots[at].session && str_eq(str_of(c->slots[at].key.text), str_of(k->text))) {
        bool once_only = SSL_SESSION_get_protocol_version(c->slots[at].session) == TLS1_3_VERSION;
        session = once_only ? c->slots[at].session : SSL_SESSION_dup(c->slots[at].session);
        if (once_only)
            c->slots[at].session = NULL;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return session;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct pending_session *p = SSL_get_ex_data(ssl, pending_index);
    if (!p || !SSL_SESSION_is_resumable(session))
        return 0;
    size_t at = slot_of(&p->key);
    (void)pthread_mutex_lock(&p->client->lock);
    SSL_SESSION *old = p->client->slots[at].session;
    p->client->slots[at].key = p->key;
    p->client->slots[at].session = session;
    (void)pthread_mutex_unlock(&p->client->lock);
    SSL_SESSION_free(old);
    return 1; // the reference is ours now
}

bool tls_client_remember(struct tls_client *c, SSL *ssl, const struct tls_session_key *k)
{
    struct pending_session *p = malloc(sizeof(*p));
    if (!p)
        return false;
    *p = (struct pending_session){.client = c, .key = *k};
    if (SSL_set_ex_data(ssl, pending_index, p) == 1)
        return true;
    free(p);
    return false;
}

// Every certificate of the bundle; one that OpenSSL cannot read ends it with an error rather than with less
// trust than was asked for.
static enum err_code trust(SSL_CTX *ctx, struct str pem, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    size_t n = 0;
    bool ok = bio;
    ERR_clear_error();
    while (ok) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!cert)
            break;
        ok = X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
        n += ok;
    }
    BIO_free(bio);
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!ok || !at_end)
        return tls_error("reading trusted certificates", ERR_INVALID, e);
    ERR_clear_error();
    return n > 0 ? ERR_OK : err_set(e, ERR_INVALID, "no trusted certificates: nothing could be verified");
}

enum err_code tls_client_new(struct str pem, struct tls_client **ret, struct err *e)
{
    if (pem.n > INT32_MAX)
        return err_set(e, ERR_LIMIT, "a bundle of certificates of %zu bytes", pem.n);
    if (pem.n == 0 || !memmem(pem.p, pem.n, "-----BEGIN ", 11))
        return err_set(e, ERR_INVALID, "no trusted certificates: nothing could be verified");
    struct tls_client *c = calloc(1, sizeof(*c));
    char *copy = malloc(pem.n);
    if (!c || !copy) {
        free(c);
        free(copy);
        return err_set(e, ERR_LIMIT, "no memory for trusted certificates");
    }
    memcpy(copy, pem.p, pem.n);
    c->pem = copy;
    c->pem_n = pem.n;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_mutex_init(&c->load, NULL);
    *ret = c;
    return ERR_OK;
}

void tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        SSL_SESSION_free(c->slots[i].session);
    SSL_CTX_free(c->ctx);
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_mutex_destroy(&c->load);
    free(c->pem);
    free(c);
}

static SSL_CTX *client_ctx(void)
{
    if (!tls_library_init() || !CRYPTO_THREAD_run_once(&once, index_init) || pending_index < 0)
        return NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    tls_ctx_tune(ctx);
    // What the bundle holds is trusted, whether it signed itself or not.
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return ctx;
}

// A context takes OpenSSL 1.5 ms, a system's bundle 15: more than all else that a start does, and many a
// sandbox dials nobody.
enum err_code tls_client_ctx(struct tls_client *c, SSL_CTX **ret, struct err *e)
{
    enum err_code r = ERR_OK;
    (void)pthread_mutex_lock(&c->load);
    if (!c->ctx) {
        SSL_CTX *ctx = client_ctx();
        r = ctx ? trust(ctx, (struct str){c->pem, c->pem_n}, e) : tls_error("TLS", ERR_INTERNAL, e);
        if (r == ERR_OK) {
            c->ctx = TAKE(ctx);
            free(TAKE(c->pem));
        }
        SSL_CTX_free(ctx);
    }
    if (r == ERR_OK)
        *ret = c->ctx;
    (void)pthread_mutex_unlock(&c->load);
    return r;
}
