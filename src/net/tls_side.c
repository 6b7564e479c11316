// What one end of TLS shows, and whom it believes.
#include "net/tls_pipe.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/fd.h"
#include "net/tls_internal.h"
#include "net/tls_side.h"

// ---- reading PEM

// The certificates of `pem`, at least one, handed to `each` in their order.
static enum err_code read_certs(struct str pem, const char *what,
                                bool (*each)(void *ctx, X509 *cert, size_t index), void *ctx, struct err *e)
{
    ERR_clear_error();
    BIO *bio = pem.n <= TLS_PEM_MAX ? BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n) : NULL;
    if (!bio)
        return err_set(e, ERR_LIMIT, "%s: %zu bytes are too many, or there is no memory", what, pem.n);
    size_t n = 0;
    bool ok = true;
    for (X509 *cert = NULL; ok && (cert = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL));) {
        ok = each(ctx, cert, n++);
        X509_free(cert);
    }
    BIO_free(bio);
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!ok || !at_end)
        return tls_error(what, ERR_INVALID, e);
    ERR_clear_error();
    return n > 0 ? ERR_OK : err_set(e, ERR_INVALID, "%s: there is no certificate in it", what);
}

static bool use_cert(void *ctx, X509 *cert, size_t index)
{
    SSL_CTX *c = ctx;
    return (index == 0 ? SSL_CTX_use_certificate(c, cert) : SSL_CTX_add1_chain_cert(c, cert)) == 1;
}

static bool trust_cert(void *ctx, X509 *cert, size_t index)
{
    (void)index;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1 &&
           SSL_CTX_add_client_CA(ctx, cert) == 1;
}

static enum err_code use_key(SSL_CTX *ctx, struct str pem, struct err *e)
{
    ERR_clear_error();
    BIO *bio = pem.n <= TLS_PEM_MAX ? BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n) : NULL;
    if (!bio)
        return err_set(e, ERR_LIMIT, "the key: %zu bytes are too many, or there is no memory", pem.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL);
    BIO_free(bio);
    bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    return ok ? ERR_OK : tls_error("the key", ERR_INVALID, e);
}

static enum err_code use_pair(SSL_CTX *ctx, const struct tls_pair *pair, struct err *e)
{
    if (pair->cert.n == 0 && pair->key.n == 0)
        return ERR_OK;
    enum err_code r = read_certs(pair->cert, "the certificate", use_cert, ctx, e);
    if (r == ERR_OK) // refuses a key of another certificate
        r = use_key(ctx, pair->key, e);
    return r;
}

// ---- ALPN and SNI

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                       unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < in_n; i += in[i] + 1U) // OpenSSL has checked the lengths
        if (in[i] == 2 && in_n - i > 2 && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_n = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool tls_name_matches(struct str pattern, struct str name)
{
    if (!str_skip(&pattern, STR("*.")))
        return str_eq_ci(pattern, name);
    ptrdiff_t dot = str_find(name, '.');
    return dot > 0 && str_eq_ci(pattern, str_from(name, (size_t)dot + 1));
}

static int choose_pair(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls_side *side = arg;
    struct str name = str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    for (size_t i = 0; name.n > 0 && i < side->names_n; i++)
        if (tls_name_matches(str_of(side->names[i]), name))
            return SSL_set_SSL_CTX(ssl, side->external) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

// ---- a side

static SSL_CTX *new_ctx(bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    // Of TLS 1.2 what RFC 9113 section 9.2.2 leaves for HTTP/2.
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    tls_ctx_tune(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    return ctx;
}

static enum err_code set_trust(const struct tls_side_opts *o, SSL_CTX *ctx, struct err *e)
{
    // What is named is trusted, whether it signed itself or not.
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    if (o->ca.n > 0) {
        enum err_code r = read_certs(o->ca, "the certificates of the CA", trust_cert, ctx, e);
        if (r != ERR_OK)
            return r;
    } else if (!o->server && !o->insecure && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return tls_error("the system's certificates", ERR_INVALID, e);
    }
    int mode = SSL_VERIFY_PEER;
    if (o->server && !o->peer_optional)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    if (o->server ? o->ca.n == 0 : o->insecure)
        mode = SSL_VERIFY_NONE;
    SSL_CTX_set_verify(ctx, mode, NULL);
    return ERR_OK;
}

static enum err_code add_external(const struct tls_side_opts *o, struct tls_side *s, struct err *e)
{
    if (o->external_n == 0 && o->external.cert.n == 0 && o->external.key.n == 0)
        return ERR_OK;
    if (o->external_n == 0 || o->external_n > TLS_SERVER_NAMES_MAX || o->external.cert.n == 0)
        return err_set(e, ERR_INVALID,
                       "an external certificate needs a key and the names, %d at most, that it is shown for",
                       TLS_SERVER_NAMES_MAX);
    s->names = calloc(o->external_n, sizeof(*s->names));
    s->external = new_ctx(true);
    if (!s->names || !s->external)
        return err_set(e, ERR_LIMIT, "no memory for a second certificate");
    for (; s->names_n < o->external_n; s->names_n++) {
        struct str n = o->external_names[s->names_n];
        s->names[s->names_n] = strndup(n.n ? n.p : "", n.n);
        if (!s->names[s->names_n])
            return err_set(e, ERR_LIMIT, "no memory for a second certificate");
    }
    enum err_code r = use_pair(s->external, &o->external, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "external");
    SSL_CTX_set_alpn_select_cb(s->external, choose_alpn, NULL); // asked of the context that was chosen
    (void)SSL_CTX_set_tlsext_servername_callback(s->ctx, choose_pair);
    (void)SSL_CTX_set_tlsext_servername_arg(s->ctx, s);
    return ERR_OK;
}

static enum err_code fill(const struct tls_side_opts *o, struct tls_side *s, struct err *e)
{
    if (o->server && o->own.cert.n == 0)
        return err_set(e, ERR_INVALID, "a server needs a certificate and its key");
    if (!tls_library_init() || !(s->ctx = new_ctx(o->server)))
        return tls_error("TLS", ERR_INTERNAL, e);
    enum err_code r = use_pair(s->ctx, &o->own, e);
    if (r == ERR_OK)
        r = set_trust(o, s->ctx, e);
    if (r != ERR_OK)
        return r;
    static const unsigned char h2[] = {2, 'h', '2'};
    if (o->server)
        SSL_CTX_set_alpn_select_cb(s->ctx, choose_alpn, NULL);
    else if (SSL_CTX_set_alpn_protos(s->ctx, h2, sizeof(h2)) != 0) // 0 is success here
        return tls_error("ALPN", ERR_INTERNAL, e);
    return add_external(o, s, e);
}

enum err_code tls_side_new(const struct tls_side_opts *opts, struct tls_side **ret, struct err *e)
{
    struct tls_side *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, ERR_LIMIT, "no memory for TLS");
    atomic_init(&s->refs, 1);
    s->server = opts->server;
    s->insecure = opts->insecure;
    enum err_code r = fill(opts, s, e);
    if (r == ERR_OK)
        *ret = s;
    else
        tls_side_unref(s);
    return r;
}

struct tls_side *tls_side_ref(struct tls_side *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void tls_side_unref(struct tls_side *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    SSL_CTX_free(s->ctx);
    SSL_CTX_free(s->external);
    for (size_t i = 0; i < s->names_n; i++)
        free(s->names[i]);
    free(s->names);
    free(s);
}

// ---- from files

static bool is_named(const char *path)
{
    return path && path[0];
}

static enum err_code read_file(const char *path, struct buf *b, struct err *e)
{
    buf_init(b, 0);
    return is_named(path) ? file_read(path, TLS_PEM_MAX, b, e) : ERR_OK;
}

static enum err_code load_into(const struct tls_files *f, struct buf files[static 5], struct tls_side **ret,
                               struct err *e)
{
    const char *const paths[] = {f->cert, f->key, f->ca, f->external_cert, f->external_key};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        enum err_code r = read_file(paths[i], &files[i], e);
        if (r != ERR_OK)
            return r;
        if (is_named(paths[i]) && files[i].n == 0)
            return err_set(e, ERR_INVALID, "%s is empty", paths[i]);
    }
    const struct tls_side_opts opts = {.server = f->server,
                                       .peer_optional = f->peer_optional,
                                       .insecure = f->insecure,
                                       .own = {buf_str(&files[0]), buf_str(&files[1])},
                                       .ca = buf_str(&files[2]),
                                       .external = {buf_str(&files[3]), buf_str(&files[4])},
                                       .external_names = f->external_names,
                                       .external_n = f->external_n};
    enum err_code r = tls_side_new(&opts, ret, e);
    return r == ERR_OK ? r : err_wrap(e, r, "%s", is_named(f->cert) ? f->cert : "TLS");
}

enum err_code tls_side_load(const struct tls_files *f, struct tls_side **ret, struct err *e)
{
    if (is_named(f->cert) != is_named(f->key) || is_named(f->external_cert) != is_named(f->external_key))
        return err_set(e, ERR_INVALID, "a certificate and its key are named together or not at all");
    struct buf files[5] = {};
    enum err_code r = load_into(f, files, ret, e);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (i != 2 && files[i].p)
            explicit_bzero(files[i].p, files[i].size); // keys
        buf_done(&files[i]);
    }
    return r;
}
