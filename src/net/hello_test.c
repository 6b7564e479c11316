// Real hellos, made by OpenSSL, and what becomes of them when they are cut, split and bent.
#include <openssl/ssl.h>

#include "net/tls.h"
#include "tap.h"

// The first flight of a client for `sni` (NULL: none). Returns its length.
static size_t client_hello(char *sni, bool h2, char *out, size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    BIO *in = BIO_new(BIO_s_mem()), *wire = BIO_new(BIO_s_mem());
    int n = 0;
    if (ssl && in && wire) {
        SSL_set_bio(ssl, in, wire);
        SSL_set_connect_state(ssl);
        if (sni)
            (void)SSL_set_tlsext_host_name(ssl, sni);
        if (h2)
            (void)SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
        (void)SSL_do_handshake(ssl);
        n = BIO_read(wire, out, (int)size);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return n > 0 ? (size_t)n : 0;
}

static void test_real(void)
{
    char b[4096];
    struct hello h = {};
    struct err e = {};
    size_t n = client_hello((char[]){"api.example.test"}, true, b, sizeof(b));
    bool ok = tls_hello((struct str){b, n}, &h, &e) == HELLO_DONE;
    tap_ok(ok && str_eq(h.sni, STR("api.example.test")) && h.alpn_h2 && !h.ech,
           "a hello names its server, and HTTP/2");
    bool more = n > 100;
    for (size_t i = 0; i < n; i++)
        more &= tls_hello((struct str){b, i}, &h, &e) == HELLO_MORE;
    tap_ok(more, "cut anywhere, more is wanted");
    char none[4096];
    size_t m = client_hello(NULL, false, none, sizeof(none));
    ok = tls_hello((struct str){none, m}, &h, &e) == HELLO_DONE;
    tap_ok(ok && h.sni.n == 0 && !h.alpn_h2, "a hello may name no server");

    // Two records instead of one: the payload is cut behind its first ten bytes.
    char two[4200];
    size_t len = n - 5;
    memcpy(two, b, 3);
    two[3] = 0;
    two[4] = 10;
    memcpy(two + 5, b + 5, 10);
    memcpy(two + 15, b, 3);
    two[18] = (char)((len - 10) >> 8);
    two[19] = (char)(len - 10);
    memcpy(two + 20, b + 15, len - 10);
    ok = tls_hello((struct str){two, len + 10}, &h, &e) == HELLO_DONE;
    tap_ok(ok && str_eq(h.sni, STR("api.example.test")), "a hello in two records is one hello");
    two[15] = 23;
    tap_ok(tls_hello((struct str){two, len + 10}, &h, &e) == HELLO_BAD,
           "another record between is refused: %s", e.msg);
}

static void test_bent(void)
{
    char b[4096];
    struct hello h = {};
    struct err e = {};
    size_t n = client_hello((char[]){"a.test"}, false, b, sizeof(b));
    tap_ok(tls_hello(STR("GET / HTTP/1.1"), &h, &e) == HELLO_NOT_TLS, "HTTP is not TLS");
    tap_ok(tls_hello(STR("\x16\x02\x01"), &h, &e) == HELLO_NOT_TLS, "nor is another major version");
    char *name = memmem(b, n, "a.test", 6);
    if (tap_ok(name, "the name stands in the hello")) {
        name[1] = '\0';
        tap_ok(tls_hello((struct str){b, n}, &h, &e) == HELLO_BAD, "a NUL in the name is refused: %s", e.msg);
        name[1] = '.';
    }
    b[5] = 2;
    tap_ok(tls_hello((struct str){b, n}, &h, &e) == HELLO_BAD, "a server's hello is refused: %s", e.msg);
    b[5] = 1;
    b[6] = 1; // 64 KiB more
    tap_ok(tls_hello((struct str){b, n}, &h, &e) == HELLO_BAD, "a hello past the limit is refused: %s",
           e.msg);
    tap_ok(tls_hello(STR("\x16\x03\x01\0\0"), &h, &e) == HELLO_BAD, "an empty record is refused: %s", e.msg);
}

int main(void)
{
    test_real();
    test_bent();
    return tap_done();
}
