// The first flight of a TLS client: its handshake message, put together from records, then the extensions
// that say where it wants to go. Nothing is answered here.
#include "net/tls.h"

enum {
    HELLO_MAX = 16 * KIB, // of the message; ours
    RECORD_MAX = 16 * KIB + 256,
    RECORD_HANDSHAKE = 22,
    MESSAGE_CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0,
    EXT_ALPN = 16,
    EXT_ECH = 0xfe0d, // encrypted_client_hello
};

struct bytes { // a cursor: nothing is read past its end, and `bad` stays
    const unsigned char *p;
    size_t n;
    bool bad;
};

static const unsigned char *take(struct bytes *b, size_t n)
{
    if (b->bad || n > b->n) {
        b->bad = true;
        return NULL;
    }
    const unsigned char *p = b->p;
    b->p += n;
    b->n -= n;
    return p;
}

static size_t number(struct bytes *b, size_t width)
{
    const unsigned char *p = take(b, width);
    size_t v = 0;
    for (size_t i = 0; p && i < width; i++)
        v = v << 8 | p[i];
    return v;
}

// A vector with a length of `width` bytes in front (RFC 8446 section 3.4).
static struct bytes vector(struct bytes *b, size_t width)
{
    size_t n = number(b, width);
    const unsigned char *p = take(b, n);
    return (struct bytes){.p = p, .n = p ? n : 0, .bad = b->bad};
}

static enum hello_result bad(struct err *e, const char *what)
{
    err_fill(e, ERR_INVALID, "client hello: %s", what);
    return HELLO_BAD;
}

// The payloads of handshake records, end to end in out[HELLO_MAX].
static enum hello_result collect(struct str in, char *out, size_t *ret, size_t *used, struct err *e)
{
    const size_t all = in.n;
    size_t n = 0;
    for (;;) {
        const unsigned char *p = (const unsigned char *)in.p;
        if (in.n > 0 && p[0] != RECORD_HANDSHAKE)
            return n == 0 ? HELLO_NOT_TLS : bad(e, "another record in the middle of it");
        if (in.n > 1 && p[1] != 3)
            return n == 0 ? HELLO_NOT_TLS : bad(e, "a record of another version");
        if (in.n < 5)
            return HELLO_MORE;
        size_t len = (size_t)p[3] << 8 | p[4];
        if (len == 0 || len > RECORD_MAX)
            return bad(e, "a record of no legal length");
        size_t have = len < in.n - 5 ? len : in.n - 5;
        if (have > HELLO_MAX - n)
            return bad(e, "larger than 16384 bytes");
        memcpy(out + n, in.p + 5, have);
        n += have;
        size_t message = n >= 4 ? (size_t)(unsigned char)out[1] << 16 | (size_t)(unsigned char)out[2] << 8 |
                                      (size_t)(unsigned char)out[3]
                                : 0;
        if (n > 0 && out[0] != MESSAGE_CLIENT_HELLO)
            return bad(e, "another handshake message");
        if (message > HELLO_MAX - 4)
            return bad(e, "larger than 16384 bytes");
        if (n >= 4 && n >= message + 4) {
            if (n > message + 4 || have < len)
                return bad(e, "something behind it in its record");
            *ret = message;
            *used = all - in.n + 5 + len;
            return HELLO_DONE;
        }
        if (have < len)
            return HELLO_MORE;
        in = str_from(in, 5 + len);
    }
}

// RFC 6066 section 3: one name of type host_name, without a NUL.
static bool server_name(struct bytes ext, struct bytes *ret)
{
    struct bytes list = vector(&ext, 2);
    size_t type = number(&list, 1);
    *ret = vector(&list, 2);
    return !list.bad && !ext.bad && ext.n == 0 && list.n == 0 && type == 0 && ret->n > 0 &&
           !memchr(ret->p, '\0', ret->n);
}

static bool offers_h2(struct bytes ext)
{
    struct bytes list = vector(&ext, 2);
    bool h2 = false;
    while (list.n > 0 && !list.bad) {
        struct bytes name = vector(&list, 1);
        h2 |= name.n == 2 && memcmp(name.p, "h2", 2) == 0;
    }
    return h2 && !list.bad;
}

// Where the name stands in `in`, whose records may cut it in two: then it is not handed out, and the hello is
// refused.
static bool find_in(struct str in, struct bytes name, struct str *ret)
{
    const char *at = memmem(in.p, in.n, name.p, name.n);
    if (at)
        *ret = (struct str){at, name.n};
    return at;
}

static enum hello_result extensions(struct str in, struct bytes all, struct hello *h, struct err *e)
{
    bool named = false;
    while (all.n > 0) {
        size_t type = number(&all, 2);
        struct bytes ext = vector(&all, 2), name;
        if (all.bad)
            return bad(e, "an extension is cut");
        if (type == EXT_SERVER_NAME) {
            if (named || !server_name(ext, &name))
                return bad(e, "a malformed or second server name");
            named = true;
            if (!find_in(in, name, &h->sni))
                return bad(e, "a server name cut by a record");
        }
        h->ech |= type == EXT_ECH;
        h->alpn_h2 |= type == EXT_ALPN && offers_h2(ext);
    }
    return HELLO_DONE;
}

enum hello_result tls_hello(struct str in, struct hello *ret, struct err *e)
{
    char message[HELLO_MAX];
    size_t n = 0, used = 0;
    enum hello_result r = collect(in, message, &n, &used, e);
    if (r != HELLO_DONE)
        return r;
    struct bytes b = {.p = (const unsigned char *)message + 4, .n = n};
    (void)take(&b, 2 + 32); // legacy_version, random
    (void)vector(&b, 1);    // legacy_session_id
    (void)vector(&b, 2);    // cipher_suites
    (void)vector(&b, 1);    // legacy_compression_methods
    struct hello h = {};
    if (b.bad)
        return bad(e, "it is cut");
    if (b.n > 0) { // TLS 1.2 may have none
        struct bytes all = vector(&b, 2);
        if (all.bad || b.n > 0)
            return bad(e, "the extensions do not end where it does");
        r = extensions(in, all, &h, e);
        if (r != HELLO_DONE)
            return r;
    }
    h.used = used;
    *ret = h;
    return HELLO_DONE;
}

enum hello_result tls_asks_again(struct str in, struct err *e)
{
    static const unsigned char random[32] = {// of a HelloRetryRequest: SHA-256 of that word
                                             0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                             0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                             0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    enum { RECORD_HEAD = 5, RANDOM_AT = RECORD_HEAD + 4 + 2 };
    const unsigned char *p = (const unsigned char *)in.p;
    if (in.n > 0 && p[0] != RECORD_HANDSHAKE)
        return HELLO_NOT_TLS; // an alert, say
    if (in.n < RECORD_HEAD)
        return HELLO_MORE;
    size_t len = (size_t)p[3] << 8 | p[4];
    if (len < RANDOM_AT - RECORD_HEAD + sizeof(random)) {
        err_fill(e, ERR_INVALID, "server hello: in pieces of %zu bytes", len);
        return HELLO_BAD;
    }
    if (in.n < RANDOM_AT + sizeof(random))
        return HELLO_MORE;
    return memcmp(p + RANDOM_AT, random, sizeof(random)) == 0 ? HELLO_DONE : HELLO_NOT_TLS;
}
