// TLS without I/O. OpenSSL reads from what was put in and writes into a buffer; it never sees a socket.
#include "net/tls_pipe.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/host.h"
#include "net/ip.h"
#include "net/tls_internal.h"
#include "net/tls_side.h"

// More than one turn of a driver makes. A peer that asks and asks, and takes no answer, meets it.
enum { OUT_MAX = 1 * MIB, KEEP_MAX = 512 };

struct tls_pipe {
    struct tls_side *side;
    SSL *ssl;
    struct str in; // borrowed
    struct buf out;
    size_t out_at; // sent already
    bool up, ended;
};

// ---- the BIO

static int bio_read(BIO *b, char *dst, int n)
{
    struct tls_pipe *p = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (p->in.n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    struct str part = str_head(p->in, (size_t)n);
    memcpy(dst, part.p, part.n);
    p->in = str_from(p->in, part.n);
    return (int)part.n;
}

static int bio_write(BIO *b, const char *src, int n)
{
    struct tls_pipe *p = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    buf_add(&p->out, (struct str){src, (size_t)n});
    return p->out.full ? -1 : n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; // made once

static void method_init(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pipe");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        bio_method = m;
}

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

// ---- a connection

// Whom a client means: the name goes into the hello, an address does not (RFC 6066 section 3).
static bool set_host(SSL *ssl, struct str host)
{
    char text[HOST_MAX + 1];
    struct ip ip;
    struct err ignored;
    if (!str_cstr(host, text, sizeof(text)) || !text[0])
        return false;
    if (ip_parse(host, &ip, &ignored) == ERR_OK)
        return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), ip.b, ip.family == 4 ? 4 : 16) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

enum err_code tls_pipe_new(struct tls_side *side, struct str host, struct tls_pipe **ret, struct err *e)
{
    ERR_clear_error();
    struct tls_pipe *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, ERR_LIMIT, "no memory for TLS");
    p->side = tls_side_ref(side);
    buf_init(&p->out, OUT_MAX);
    BIO *bio = NULL;
    if (CRYPTO_THREAD_run_once(&once, method_init) && bio_method && (p->ssl = SSL_new(side->ctx)))
        bio = BIO_new(bio_method);
    if (!bio || (!side->server && !set_host(p->ssl, host))) {
        BIO_free(bio);
        tls_pipe_free(p);
        return tls_error("TLS", ERR_LIMIT, e);
    }
    BIO_set_data(bio, p);
    BIO_set_init(bio, 1);
    SSL_set_bio(p->ssl, bio, bio);
    if (side->server)
        SSL_set_accept_state(p->ssl);
    else
        SSL_set_connect_state(p->ssl);
    *ret = p;
    return ERR_OK;
}

void tls_pipe_free(struct tls_pipe *p)
{
    if (!p)
        return;
    SSL_free(p->ssl);
    tls_side_unref(p->side);
    buf_done(&p->out);
    free(p);
}

// ---- errors

// OpenSSL's reasons that a user meets and can do something about.
static const struct {
    int reason;
    const char *words;
} known[] = {
    {SSL_R_HTTP_REQUEST, "the client speaks HTTP without TLS"},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer asks for a certificate of ours"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client has shown no certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not trust our certificate (unknown ca)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer found our certificate expired"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer does not take our certificate (bad certificate)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer does not take our certificate"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "the peer does not speak HTTP/2 (ALPN)"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "the client offers no HTTP/2 (ALPN)"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer speaks no version of TLS from 1.2 on"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks no version of TLS from 1.2 on"},
};

static enum err_code failed(struct tls_pipe *p, struct err *e)
{
    long verify = SSL_get_verify_result(p->ssl);
    unsigned long n = ERR_peek_last_error();
    int reason = ERR_GET_REASON(n);
    if (p->out.full) {
        ERR_clear_error();
        return err_set(e, ERR_LIMIT, "TLS: more than %d bytes wait to be sent", OUT_MAX);
    }
    if (!p->side->insecure && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        return err_set(e, ERR_DENIED, "TLS: certificate: %s", X509_verify_cert_error_string(verify));
    }
    for (size_t i = 0; ERR_GET_LIB(n) == ERR_LIB_SSL && i < ARRAY_LEN(known); i++)
        if (known[i].reason == reason) {
            ERR_clear_error();
            return err_set(e,
                           reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ? ERR_DENIED : ERR_UNAVAILABLE,
                           "TLS: %s", known[i].words);
        }
    return tls_error("TLS", ERR_UNAVAILABLE, e);
}

static enum err_code hello(struct tls_pipe *p, struct err *e)
{
    int r = SSL_do_handshake(p->ssl);
    if (r != 1)
        return SSL_get_error(p->ssl, r) == SSL_ERROR_WANT_READ ? ERR_OK : failed(p, e);
    const unsigned char *chosen = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(p->ssl, &chosen, &n);
    if (!p->side->server && (n != 2 || memcmp(chosen, "h2", 2) != 0))
        return err_set(e, ERR_UNAVAILABLE, "TLS: the server does not speak HTTP/2 (ALPN)");
    p->up = true;
    return ERR_OK;
}

// ---- bytes

void tls_pipe_put(struct tls_pipe *p, struct str wire)
{
    p->in = wire;
}

enum err_code tls_pipe_read(struct tls_pipe *p, char *dst, size_t n, size_t *ret, struct err *e)
{
    ERR_clear_error();
    if (!p->up) {
        enum err_code c = hello(p, e);
        if (c != ERR_OK)
            return c;
    }
    size_t got = 0;
    int r = p->up && !p->ended ? SSL_read_ex(p->ssl, dst, n, &got) : 1;
    if (r != 1) {
        int kind = SSL_get_error(p->ssl, r);
        p->ended = kind == SSL_ERROR_ZERO_RETURN;
        if (kind != SSL_ERROR_WANT_READ && !p->ended)
            return failed(p, e);
        got = 0;
    }
    *ret = got;
    return ERR_OK;
}

enum err_code tls_pipe_write(struct tls_pipe *p, struct str plain, struct err *e)
{
    if (!p->up)
        return err_set(e, ERR_PRECONDITION, "TLS: the handshake has not ended");
    ERR_clear_error();
    while (plain.n > 0) {
        size_t n = 0;
        if (SSL_write_ex(p->ssl, plain.p, plain.n, &n) != 1) // a record at a time (tls_ctx_tune)
            return failed(p, e);
        plain = str_from(plain, n);
    }
    return ERR_OK;
}

void tls_pipe_end(struct tls_pipe *p)
{
    ERR_clear_error();
    if (p->up)
        (void)SSL_shutdown(p->ssl); // what follows is the end of the connection in any case
    ERR_clear_error();
}

struct str tls_pipe_out(const struct tls_pipe *p)
{
    return str_from(buf_str(&p->out), p->out_at);
}

void tls_pipe_sent(struct tls_pipe *p, size_t n)
{
    assert(n <= p->out.n - p->out_at);
    p->out_at += n;
    if (p->out_at < p->out.n)
        return;
    p->out_at = 0;
    if (p->out.size <= KEEP_MAX) {
        buf_clear(&p->out);
        return;
    }
    buf_done(&p->out); // an idle connection keeps little
    buf_init(&p->out, OUT_MAX);
}

bool tls_pipe_is_up(const struct tls_pipe *p)
{
    return p->up;
}

bool tls_pipe_has_ended(const struct tls_pipe *p)
{
    return p->ended;
}

// ---- who is there

static enum err_code copy_name(const X509_NAME_ENTRY *entry, char dst[static TLS_NAME_SIZE], struct err *e)
{
    unsigned char *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    bool ok = n > 0 && str_cstr((struct str){(const char *)text, (size_t)n}, dst, TLS_NAME_SIZE);
    OPENSSL_free(text);
    return ok ? ERR_OK
              : err_set(e, ERR_INVALID,
                        "a name in the certificate's subject is empty, has a NUL, or more than %d bytes",
                        TLS_NAME_SIZE - 1);
}

enum err_code tls_pipe_subject(const struct tls_pipe *p, struct tls_subject *ret, bool *ret_has,
                               struct err *e)
{
    *ret = (struct tls_subject){};
    const X509 *cert = SSL_get0_peer_certificate(p->ssl);
    *ret_has = cert && SSL_get_verify_mode(p->ssl) != SSL_VERIFY_NONE &&
               SSL_get_verify_result(p->ssl) == X509_V_OK;
    const X509_NAME *name = *ret_has ? X509_get_subject_name(cert) : NULL;
    for (int i = 0, n = name ? X509_NAME_entry_count(name) : 0; i < n; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        char *dst = NULL;
        if (nid == NID_commonName && !ret->cn[0])
            dst = ret->cn;
        else if (nid == NID_organizationalUnitName && ret->units_n < TLS_UNITS_MAX)
            dst = ret->units[ret->units_n++];
        else if (nid == NID_commonName || nid == NID_organizationalUnitName)
            return err_set(e, ERR_INVALID,
                           "the certificate's subject has two common names, or more than %d units",
                           TLS_UNITS_MAX);
        enum err_code c = dst ? copy_name(entry, dst, e) : ERR_OK;
        if (c != ERR_OK)
            return c;
    }
    return ERR_OK;
}
