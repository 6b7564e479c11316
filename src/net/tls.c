// TLS as a filter over any stream. OpenSSL reads and writes through a BIO that calls the stream below with
// the caller's deadline and cancel fd; when those end a read, OpenSSL sees "try again", keeps its state, and
// the caller gets the reason.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_internal.h"

struct tls {
    struct stream s;
    SSL *ssl;
    struct stream *below;
    bool owns_below;         // from the end of a successful handshake
    const struct wait *wait; // of the present call
    struct err *err;         // ditto
    enum err_code below_code;
    bool below_ended;
};

// ---- the BIO
// ------------------------------------------------------------------------------------------------

static int bio_read(BIO *b, char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    size_t got = 0;
    BIO_clear_retry_flags(b);
    t->below_code = stream_read(t->below, p, (size_t)n, &got, t->wait, t->err);
    if (t->below_code == ERR_TIMEOUT || t->below_code == ERR_DENIED)
        BIO_set_retry_read(b);
    if (t->below_code != ERR_OK)
        return -1;
    t->below_ended = got == 0;
    return (int)got;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    t->below_code = stream_write(t->below, (struct str){p, (size_t)n}, t->wait, t->err);
    return t->below_code == ERR_OK ? n : -1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; // made once, by tls_library_init

static void method_init(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        bio_method = m;
}

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

bool tls_library_init(void)
{
    return CRYPTO_THREAD_run_once(&once, method_init) && bio_method;
}

// ---- errors
// -------------------------------------------------------------------------------------------------

enum err_code tls_error(const char *what, enum err_code code, struct err *e)
{
    unsigned long n = ERR_peek_last_error();
    const char *reason = n ? ERR_reason_error_string(n) : NULL;
    ERR_clear_error();
    return err_set(e, code, "%s: %s", what, reason ? reason : "failed");
}

// What a failed call of OpenSSL means to the caller of the stream.
static enum err_code failed(struct tls *t, int ret, const char *what, struct err *e)
{
    int kind = SSL_get_error(t->ssl, ret);
    if (t->below_code != ERR_OK) // *e was filled by the stream below
        return t->below_code;
    long verify = SSL_get_verify_result(t->ssl);
    if (kind == SSL_ERROR_SSL && verify != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE) {
        ERR_clear_error();
        return err_set(e, ERR_DENIED, "%s: certificate: %s", what, X509_verify_cert_error_string(verify));
    }
    if (t->below_ended) {
        ERR_clear_error();
        return err_set(e, ERR_UNAVAILABLE, "%s: truncated: the peer closed without saying so", what);
    }
    return tls_error(what, ERR_UNAVAILABLE, e);
}

static void begin(struct tls *t, const struct wait *w, struct err *e)
{
    t->wait = w;
    t->err = e;
    t->below_code = ERR_OK;
    t->below_ended = false;
    ERR_clear_error();
}

// ---- the filter
// ---------------------------------------------------------------------------------------------

static struct tls *of(struct stream *s)
{
    return (struct tls *)(void *)s;
}

static enum err_code tls_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                              struct err *e)
{
    struct tls *t = of(s);
    begin(t, w, e);
    int r = SSL_read_ex(t->ssl, p, n, ret);
    if (r == 1)
        return ERR_OK;
    if (SSL_get_error(t->ssl, r) == SSL_ERROR_ZERO_RETURN) {
        *ret = 0;
        return ERR_OK;
    }
    return failed(t, r, "TLS read", e);
}

static enum err_code tls_write(struct stream *s, struct str bytes, const struct wait *w, struct err *e)
{
    struct tls *t = of(s);
    if (bytes.n == 0)
        return ERR_OK;
    begin(t, w, e);
    size_t sent;
    int r = SSL_write_ex(t->ssl, bytes.p, bytes.n, &sent);
    return r == 1 ? ERR_OK : failed(t, r, "TLS write", e);
}

static enum err_code tls_end(struct stream *s, const struct wait *w, struct err *e)
{
    struct tls *t = of(s);
    begin(t, w, e);
    if (SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl); // sends close_notify; what the peer says is read, not waited for
    ERR_clear_error();
    return stream_end(t->below, w, e);
}

static size_t tls_pending(const struct stream *s)
{
    const struct tls *t = (const struct tls *)(const void *)s;
    return SSL_has_pending(t->ssl) ? 1 + (size_t)SSL_pending(t->ssl) : stream_pending(t->below);
}

static void tls_stream_free(struct stream *s)
{
    struct tls *t = of(s);
    SSL_free(t->ssl);
    if (t->owns_below)
        stream_free(t->below);
    free(t);
}

static const struct stream_ops tls_ops = {tls_read, tls_write, tls_end, tls_pending, tls_stream_free};

static struct tls *tls_new(SSL_CTX *ctx, struct stream *below, struct err *e)
{
    struct tls *t = calloc(1, sizeof(*t));
    SSL *ssl = t ? SSL_new(ctx) : NULL;
    BIO *bio = ssl ? BIO_new(bio_method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        free(t);
        (void)tls_error("TLS", ERR_LIMIT, e);
        return NULL;
    }
    *t = (struct tls){.s = {.ops = &tls_ops, .fd = below->fd}, .ssl = ssl, .below = below};
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return t;
}

static enum err_code handshake(struct tls *t, const struct wait *w, const char *what, struct err *e)
{
    begin(t, w, e);
    int r = SSL_do_handshake(t->ssl);
    if (r != 1)
        return failed(t, r, what, e);
    t->owns_below = true;
    return ERR_OK;
}

static bool chose_h2(const SSL *ssl)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(ssl, &p, &n);
    return n == 2 && memcmp(p, "h2", 2) == 0;
}

// ---- server
// -------------------------------------------------------------------------------------------------

enum err_code tls_accept(struct tls_ca *ca, struct stream *below, struct str host, bool h2,
                         const struct wait *w, struct stream **ret, bool *ret_h2, struct err *e)
{
    X509 *leaf = NULL;
    enum err_code r = tls_ca_leaf(ca, host, &leaf, e);
    if (r != ERR_OK)
        return r;
    struct tls *t = tls_new(tls_ca_ctx(ca), below, e);
    if (!t) {
        X509_free(leaf);
        return ERR_LIMIT;
    }
    struct tls_expect expect = {.host = host, .h2 = h2};
    bool ok = SSL_use_certificate(t->ssl, leaf) == 1 &&
              SSL_use_PrivateKey(t->ssl, tls_ca_leaf_key(ca)) == 1 && SSL_set_app_data(t->ssl, &expect) == 1;
    X509_free(leaf);
    SSL_set_accept_state(t->ssl);
    r = ok ? handshake(t, w, "TLS handshake with the client", e) : tls_error("TLS", ERR_INTERNAL, e);
    (void)SSL_set_app_data(t->ssl, NULL);
    if (expect.refused)
        r = err_set(e, ERR_DENIED, "the client's SNI is not '%.*s'", STR_FMT(host));
    if (r != ERR_OK) {
        tls_stream_free(&t->s);
        return r;
    }
    *ret_h2 = chose_h2(t->ssl);
    *ret = &t->s;
    return ERR_OK;
}

// ---- client
// -------------------------------------------------------------------------------------------------

static bool client_name(SSL *ssl, struct str host)
{
    char name[HOST_MAX + 1];
    struct ip ip;
    struct err ignored;
    if (!str_cstr(host, name, sizeof(name)))
        return false;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (ip_parse(host, &ip, &ignored) == ERR_OK)
        return X509_VERIFY_PARAM_set1_ip(param, ip.b, ip.family == 4 ? 4 : 16) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static bool client_alpn(SSL *ssl, bool h2)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1", one[] = "\x08http/1.1";
    return SSL_set_alpn_protos(ssl, h2 ? both : one, h2 ? sizeof(both) - 1 : sizeof(one) - 1) == 0;
}

enum err_code tls_connect(struct tls_client *c, struct stream *below, struct str host, uint16_t port, bool h2,
                          const struct wait *w, struct stream **ret, bool *ret_h2, struct err *e)
{
    struct tls *t = tls_new(tls_client_ctx(c), below, e);
    if (!t)
        return ERR_LIMIT;
    struct tls_session_key key;
    tls_session_key_set(&key, host, port, h2);
    SSL_SESSION *session = tls_client_session(c, &key);
    bool ok = client_name(t->ssl, host) && client_alpn(t->ssl, h2) && tls_client_remember(c, t->ssl, &key);
    if (session) {
        (void)SSL_set_session(t->ssl, session); // a session that does not fit is a full handshake
        SSL_SESSION_free(session);
    }
    SSL_set_connect_state(t->ssl);
    enum err_code r = ok ? handshake(t, w, "TLS handshake with the server", e)
                         : tls_error("TLS", ERR_INTERNAL, e);
    if (r != ERR_OK) {
        tls_stream_free(&t->s);
        return r;
    }
    *ret_h2 = chose_h2(t->ssl);
    *ret = &t->s;
    return ERR_OK;
}
