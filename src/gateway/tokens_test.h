// gateway/tokens_test.h: a key in a folder of its own, and tokens that say whatever a test wants, rightly
// signed.
#pragma once
#include "gateway/tokens.h"

#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

struct keys {
    char dir[64], jwt[80];
    struct tokens *tokens;
    EVP_PKEY *key;
    char kid[80];
};

static inline int keys_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void keys_done(struct keys *k)
{
    if (k->dir[0])
        (void)nftw(k->dir, keys_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    tokens_free(k->tokens);
    EVP_PKEY_free(k->key);
    *k = (struct keys){};
}

static inline bool keys_make(struct keys *k, int64_t ttl_s)
{
    struct err err = {};
    char path[128];
    (void)snprintf(k->dir, sizeof(k->dir), "/tmp/openshell-keys.XXXXXX");
    if (!mkdtemp(k->dir))
        return false;
    (void)snprintf(k->jwt, sizeof(k->jwt), "%s/jwt", k->dir);
    if (tokens_open(k->jwt, STR("gw"), ttl_s, &k->tokens, &err) != ERR_OK)
        return false;
    (void)snprintf(path, sizeof(path), "%s/signing.pem", k->jwt);
    FILE *f = fopen(path, "re");
    k->key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        (void)fclose(f);
    (void)snprintf(path, sizeof(path), "%s/kid", k->jwt);
    f = fopen(path, "re");
    bool named = f && fgets(k->kid, sizeof(k->kid), f);
    if (f)
        (void)fclose(f);
    return k->key && named;
}

// A second implementation on purpose: libcrypto's base64, its '+', '/' and '=' replaced.
static inline void keys_encode(struct str bytes, struct buf *out)
{
    unsigned char *text = malloc(bytes.n / 3 * 4 + 5);
    int n = text ? EVP_EncodeBlock(text, (const unsigned char *)bytes.p, (int)bytes.n) : 0;
    for (int i = 0; i < n && text[i] != '='; i++)
        buf_addc(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
    free(text);
}

// "%K" in the header stands for the key's name.
static inline void keys_sign(const struct keys *k, struct str header, struct str claims, struct buf *out)
{
    CLEANUP(buf_done) struct buf named;
    buf_init(&named, 64 * KIB);
    for (size_t i = 0; i < header.n; i++) {
        if (header.p[i] == '%' && i + 1 < header.n && header.p[i + 1] == 'K') {
            buf_add(&named, str_of(k->kid));
            i++;
        } else {
            buf_addc(&named, header.p[i]);
        }
    }
    unsigned char sig[64];
    size_t sig_n = sizeof(sig);
    keys_encode(buf_str(&named), out);
    buf_addc(out, '.');
    keys_encode(claims, out);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
        EVP_DigestSign(ctx, sig, &sig_n, (const unsigned char *)out->p, out->n) == 1) {
        buf_addc(out, '.');
        keys_encode((struct str){(const char *)sig, sig_n}, out);
    }
    EVP_MD_CTX_free(ctx);
}
