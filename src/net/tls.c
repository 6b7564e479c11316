// TLS as a filter over any stream. OpenSSL reads and writes through a BIO that calls the stream below without
// waiting; where that would block, OpenSSL keeps its state and says so, and the wait is here, with the
// caller's deadline and cancel fd. So an idle connection holds no record buffers (SSL_MODE_RELEASE_BUFFERS);
// one that is busy does, for making them anew for each record costs a tenth of a request.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include "net/stream_wait.h"
#include "net/tls_internal.h"

struct tls {
    struct stream s;
    SSL *ssl;
    struct stream *below;
    bool owns_below; // from the end of a successful handshake
    bool starved;    // the last read below would have blocked: what OpenSSL holds is a part of a record
    bool waited;     // the last read had to: the next one probably has to, too
    bool ended;      // close_notify is out
    struct err *err; // of the present call
    enum err_code below_code;
    bool below_ended;
};

static const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

// ---- the BIO
// ------------------------------------------------------------------------------------------------

static int bio_read(BIO *b, char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    size_t got = 0;
    BIO_clear_retry_flags(b);
    t->below_code = stream_read(t->below, p, (size_t)n, &got, &now, t->err);
    t->starved = t->below_code == ERR_TIMEOUT;
    if (t->starved)
        BIO_set_retry_read(b);
    if (t->below_code != ERR_OK)
        return -1;
    t->below_ended = got == 0;
    return (int)got;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    size_t sent = 0;
    BIO_clear_retry_flags(b);
    t->below_code = stream_write_some(t->below, (struct str){p, (size_t)n}, &sent, &now, t->err);
    if (t->below_code == ERR_TIMEOUT)
        BIO_set_retry_write(b);
    return t->below_code == ERR_OK ? (int)sent : -1;
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

void tls_ctx_tune(SSL_CTX *ctx)
{
    // Read-ahead: one recv(2) for what has come, not two for each record. Partial writes: a record at a time,
    // so that a write that would block can be left and taken up again.
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
}

int tls_no_passphrase(char *dst, int size, int rwflag, void *arg)
{
    (void)dst;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
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

static void begin(struct tls *t, struct err *e)
{
    t->err = e;
    t->below_code = ERR_OK;
    t->below_ended = false;
    ERR_clear_error();
}

// After a call of OpenSSL that returned `ret`: ERR_OK once it may be tried again.
static enum err_code again(struct tls *t, int ret, const char *what, const struct wait *w, struct err *e)
{
    int kind = SSL_get_error(t->ssl, ret);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
        return failed(t, ret, what, e);
    return stream_poll(t->s.fd, kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, w, e);
}

// ---- the filter
// ---------------------------------------------------------------------------------------------

static struct tls *of(struct stream *s)
{
    return (struct tls *)(void *)s;
}

static size_t tls_pending(const struct stream *s)
{
    const struct tls *t = (const struct tls *)(const void *)s;
    size_t ready = (size_t)SSL_pending(t->ssl);
    if (ready > 0 || t->starved)
        return ready;
    return SSL_has_pending(t->ssl) ? 1 : stream_pending(t->below);
}

static enum err_code tls_read(struct stream *s, void *p, size_t n, size_t *ret, const struct wait *w,
                              struct err *e)
{
    struct tls *t = of(s);
    if (t->waited && w->deadline_ns != DEADLINE_NOW && tls_pending(s) == 0) {
        enum err_code code = stream_poll(s->fd, POLLIN, w, e);
        if (code != ERR_OK)
            return code;
    }
    for (t->waited = false;; t->waited = true) {
        begin(t, e);
        int r = SSL_read_ex(t->ssl, p, n, ret);
        if (r == 1)
            return ERR_OK;
        if (SSL_get_error(t->ssl, r) == SSL_ERROR_ZERO_RETURN) {
            *ret = 0;
            return ERR_OK;
        }
        enum err_code code = again(t, r, "TLS read", w, e);
        if (code != ERR_OK)
            return code;
    }
}

static enum err_code tls_write(struct stream *s, struct str bytes, size_t *ret, const struct wait *w,
                               struct err *e)
{
    struct tls *t = of(s);
    for (;;) {
        begin(t, e);
        int r = SSL_write_ex(t->ssl, bytes.p, bytes.n, ret); // one record
        if (r == 1)
            return ERR_OK;
        enum err_code code = again(t, r, "TLS write", w, e);
        if (code != ERR_OK)
            return code;
    }
}

static enum err_code tls_end(struct stream *s, const struct wait *w, struct err *e)
{
    struct tls *t = of(s);
    while (!t->ended && SSL_is_init_finished(t->ssl)) {
        begin(t, e);
        int r = SSL_shutdown(t->ssl); // sends close_notify; what the peer says is read, not waited for
        t->ended = r >= 0;
        if (r < 0) {
            enum err_code code = again(t, r, "TLS close", w, e);
            if (code != ERR_OK)
                return code;
        }
    }
    return stream_end(t->below, w, e);
}

static void tls_busy(struct stream *s, bool busy)
{
    struct tls *t = of(s);
    if (busy) {
        (void)SSL_clear_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
        return;
    }
    (void)SSL_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_free_buffers(t->ssl); // what holds something is given up later
}

static void tls_stream_free(struct stream *s)
{
    struct tls *t = of(s);
    SSL_free(t->ssl);
    if (t->owns_below)
        stream_free(t->below);
    free(t);
}

static const struct stream_ops tls_ops = {tls_read,    tls_write, tls_end,
                                          tls_pending, tls_busy,  tls_stream_free};

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
    for (;;) {
        begin(t, e);
        int r = SSL_do_handshake(t->ssl);
        if (r == 1)
            break;
        enum err_code code = again(t, r, what, w, e);
        if (code != ERR_OK)
            return code;
    }
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
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT); // RFC 9525 section 2
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
    SSL_CTX *ctx = NULL;
    enum err_code r = tls_client_ctx(c, &ctx, e);
    if (r != ERR_OK)
        return r;
    struct tls *t = tls_new(ctx, below, e);
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
    r = ok ? handshake(t, w, "TLS handshake with the server", e) : tls_error("TLS", ERR_INTERNAL, e);
    if (r != ERR_OK) {
        tls_stream_free(&t->s);
        return r;
    }
    *ret_h2 = chose_h2(t->ssl);
    *ret = &t->s;
    return ERR_OK;
}
