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
    tap_ok(ok && h.used == n, "it ends where its records do");
    b[n] = 'x';
    tap_ok(tls_hello((struct str){b, n + 1}, &h, &e) == HELLO_DONE && h.used == n,
           "what follows is no part of it");
    unsigned longer = ((unsigned)(unsigned char)b[3] << 8 | (unsigned char)b[4]) + 1;
    const char was[2] = {b[3], b[4]};
    b[3] = (char)(longer >> 8);
    b[4] = (char)longer;
    tap_ok(tls_hello((struct str){b, n + 1}, &h, &e) == HELLO_BAD, "something behind it in its record: %s",
           e.msg);
    memcpy(b + 3, was, 2);
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

static void test_server(void)
{
    static const char again[] = "\x16\x03\x03\x00\x58\x02\x00\x00\x54\x03\x03"
                                "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
                                "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";
    char b[sizeof(again)];
    struct err e = {};
    struct str all = {again, sizeof(again) - 1};
    bool more = true;
    for (size_t i = 0; i < all.n; i++)
        more &= tls_asks_again(str_head(all, i), &e) == HELLO_MORE;
    tap_ok(more && tls_asks_again(all, &e) == HELLO_DONE, "a server that asks for another hello");
    memcpy(b, again, sizeof(b));
    b[all.n - 1] ^= 1;
    tap_ok(tls_asks_again((struct str){b, all.n}, &e) == HELLO_NOT_TLS, "one that does not");
    tap_ok(tls_asks_again(STR("\x15\x03\x03\x00\x02\x02\x28"), &e) == HELLO_NOT_TLS, "an alert");
    memcpy(b, again, sizeof(b));
    b[4] = 37;
    tap_ok(tls_asks_again((struct str){b, all.n}, &e) == HELLO_BAD, "a record too short to tell: %s", e.msg);
    b[4] = 38;
    tap_ok(tls_asks_again((struct str){b, all.n}, &e) == HELLO_DONE, "the shortest that tells");
}

int main(void)
{
    test_real();
    test_bent();
    test_server();
    return tap_done();
}
