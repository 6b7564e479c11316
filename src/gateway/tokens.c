#include "gateway/tokens.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/jsonw.h"
#include "base/secret.h"

// header "." claims "." signature, each base64url without padding. The header says EdDSA and our key's name,
// or the token is not ours; no other algorithm is known here, so none can be asked for by a token. What is
// checked is what was signed: the signature is verified before the claims are read.

#define PRINCIPAL "spiffe://openshell/sandbox/"
#define ISSUER    "openshell-gateway:"

enum { KID_MAX = 64, SIG_SIZE = 64, PEM_MAX = 16 * KIB, PATH_SIZE = 4096 };

struct tokens {
    EVP_PKEY *key;
    int64_t ttl_s;
    char kid[KID_MAX + 1];
    char issuer[sizeof(ISSUER) + 63];
};

static void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}
static void mdctx_freep(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}
static void json_freep(json_t **j)
{
    json_decref(*j);
}

// [A-Za-z0-9-] and what `more` has.
static bool is_word(struct str s, const char *more, size_t max)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && s.p[i] != '-' &&
            (s.p[i] == '\0' || !strchr(more, s.p[i])))
            return false;
    return true;
}

// ---- base64url (RFC 4648 section 5)

static void encode(struct str bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)bytes.p[i + k] : 0U);
        for (size_t k = 0; k <= n; k++)
            buf_addc(out, digits[v >> (18 - 6 * k) & 63]);
    }
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (char_is_digit(c))
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// One text for the same bytes: no padding, no white space, no bits left over.
static bool decode(struct str text, struct buf *out)
{
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int d = digit(text.p[i]);
        if (d < 0)
            return false;
        v = (v << 6 | (uint32_t)d) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_addc(out, (char)(v >> bits & 0xff));
        }
    }
    return bits < 6 && (v & ((1U << bits) - 1)) == 0 && !out->full;
}

// ---- the key

static enum err_code crypto_failed(const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_INTERNAL, "libcrypto: %s", what);
}

// PEM of the public key, or of the private one.
static enum err_code key_pem(EVP_PKEY *key, bool private, struct buf *out, struct err *reterr)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(private ? BIO_s_secmem() : BIO_s_mem());
    char *p = NULL;
    if (!bio || (private ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                         : PEM_write_bio_PUBKEY(bio, key)) != 1)
        return crypto_failed("the key cannot be written", reterr);
    long n = BIO_get_mem_data(bio, &p);
    buf_add(out, (struct str){p, n > 0 ? (size_t)n : 0});
    return buf_check(out, "a key", reterr);
}

// The name of a key: 16 bytes of the hash of its public part.
static enum err_code key_name(EVP_PKEY *key, char dst[static KID_MAX + 1], struct err *reterr)
{
    unsigned char *der = NULL, md[EVP_MAX_MD_SIZE];
    unsigned md_n = 0;
    int n = i2d_PUBKEY(key, &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, md, &md_n, EVP_sha256(), NULL) == 1 && md_n >= 16;
    OPENSSL_free(der);
    if (!ok)
        return crypto_failed("the key cannot be named", reterr);
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(dst + 2 * i, 3, "%02x", md[i]);
    return ERR_OK;
}

static enum err_code put(const char *dir, const char *name, const struct buf *bytes, mode_t mode,
                         struct err *reterr)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_SIZE)
        return err_set(reterr, ERR_INVALID, "the folder's name is too long");
    return file_write_atomic(path, buf_str(bytes), mode, reterr);
}

static enum err_code write_files(const char *dir, EVP_PKEY *key, struct err *reterr)
{
    char kid[KID_MAX + 1] = "";
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    enum err_code r = key_pem(key, true, &pem, reterr);
    if (r == ERR_OK)
        r = put(dir, "signing.pem", &pem, 0600, reterr);
    if (pem.p)
        secret_wipe(pem.p, pem.size);
    buf_clear(&pem);
    if (r == ERR_OK)
        r = key_pem(key, false, &pem, reterr);
    if (r == ERR_OK)
        r = put(dir, "public.pem", &pem, 0644, reterr);
    buf_clear(&pem);
    if (r == ERR_OK)
        r = key_name(key, kid, reterr);
    buf_add(&pem, str_of(kid));
    if (r == ERR_OK)
        r = put(dir, "kid", &pem, 0644, reterr);
    buf_done(&pem);
    return r;
}

// All three files or none: they are made in a folder beside it, which then gets the name.
static enum err_code make_key(const char *dir, struct err *reterr)
{
    char fresh[PATH_SIZE];
    if (snprintf(fresh, sizeof(fresh), "%s.new", dir) >= PATH_SIZE)
        return err_set(reterr, ERR_INVALID, "the folder's name is too long");
    CLEANUP(pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key)
        return crypto_failed("no key was made", reterr);
    if (mkdir(fresh, 0700) != 0 && errno != EEXIST) // one that is there is left of a start that was cut off
        return err_set(reterr, fd_code(errno), "%s: %s", fresh, fd_strerror(errno));
    enum err_code r = write_files(fresh, key, reterr);
    if (r == ERR_OK && rename(fresh, dir) != 0)
        r = err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    return r;
}

static enum err_code read_part(const char *dir, const char *name, struct buf *ret, struct err *reterr)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_SIZE)
        return err_set(reterr, ERR_INVALID, "the folder's name is too long");
    struct stat st;
    if (str_eq(str_of(name), STR("signing.pem")) && stat(path, &st) == 0 &&
        ((st.st_mode & 077) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)))
        return err_set(reterr, ERR_DENIED, "%s: others can read it; it must be mode 0600 and its user's own",
                       path);
    enum err_code r = file_read(path, PEM_MAX, ret, reterr);
    if (r == ERR_NOT_FOUND)
        return err_wrap(reterr, ERR_PRECONDITION, "signing.pem, public.pem and kid belong together");
    return r;
}

static enum err_code parse_key(struct str pem, bool private, EVP_PKEY **ret, struct err *reterr)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    if (bio)
        key = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                      : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519)
        return err_set(reterr, ERR_PRECONDITION, "%s.pem holds no Ed25519 key",
                       private ? "signing" : "public");
    *ret = TAKE(key);
    return ERR_OK;
}

static enum err_code read_key(struct tokens *t, const char *dir, struct err *reterr)
{
    CLEANUP(buf_done) struct buf public_pem = {}, kid = {};
    struct buf pem = {};
    CLEANUP(pkey_freep) EVP_PKEY *public_key = NULL;
    enum err_code r = read_part(dir, "signing.pem", &pem, reterr);
    if (r == ERR_OK)
        r = parse_key(buf_str(&pem), true, &t->key, reterr);
    if (pem.p)
        secret_wipe(pem.p, pem.size);
    buf_done(&pem);
    if (r == ERR_OK)
        r = read_part(dir, "public.pem", &public_pem, reterr);
    if (r == ERR_OK)
        r = parse_key(buf_str(&public_pem), false, &public_key, reterr);
    if (r == ERR_OK && EVP_PKEY_eq(t->key, public_key) != 1)
        r = err_set(reterr, ERR_PRECONDITION, "public.pem is not the public part of signing.pem");
    if (r == ERR_OK)
        r = read_part(dir, "kid", &kid, reterr);
    struct str name = str_trim(buf_str(&kid));
    if (r == ERR_OK && (!is_word(name, "._", KID_MAX) || !str_cstr(name, t->kid, sizeof(t->kid))))
        r = err_set(reterr, ERR_PRECONDITION, "kid holds no name of a key: 1 to %d of [A-Za-z0-9._-]",
                    KID_MAX);
    return r;
}

// ---- checking

// "<what> is absent or wrong" is never told: the reference's words for each.
static enum err_code refuse(const char *reason, struct err *reterr)
{
    return err_set(reterr, ERR_DENIED, "invalid token: %s", reason);
}

static enum err_code not_ours(struct err *reterr)
{
    return err_set(reterr, ERR_NOT_FOUND, "invalid token");
}

static struct str string_of(const json_t *object, const char *key) // p == NULL: none
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : (struct str){};
}

static json_t *object_of(struct str text)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, TOKENS_TEXT_MAX);
    if (!decode(text, &bytes))
        return NULL;
    json_t *j = json_loadb(buf_str(&bytes).p, bytes.n, JSON_REJECT_DUPLICATES, NULL);
    if (j && !json_is_object(j)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

static enum err_code check_header(const struct tokens *t, struct str text, struct err *reterr)
{
    CLEANUP(json_freep) json_t *header = object_of(text);
    if (!header || !str_eq(string_of(header, "alg"), STR("EdDSA")) ||
        !str_eq(string_of(header, "kid"), str_of(t->kid)))
        return not_ours(reterr);
    const json_t *typ = json_object_get(header, "typ");
    if (str_eq(string_of(header, "typ"), STR("openshell-ext+jwt")))
        return err_set(reterr, ERR_DENIED, "extension tokens cannot authenticate to the gateway");
    if (typ && !str_eq(string_of(header, "typ"), STR("JWT")))
        return refuse("InvalidToken", reterr);
    if (json_object_get(header, "crit")) // RFC 7515 section 4.1.11: refuse what is not understood
        return refuse("InvalidToken", reterr);
    return ERR_OK;
}

static enum err_code check_signature(const struct tokens *t, struct str signed_text, struct str signature,
                                     struct err *reterr)
{
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIG_SIZE);
    CLEANUP(mdctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        return err_set(reterr, ERR_LIMIT, "no memory to check a token");
    if (!decode(signature, &sig) || sig.n != SIG_SIZE ||
        EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, t->key) != 1 ||
        EVP_DigestVerify(ctx, (const unsigned char *)sig.p, sig.n, (const unsigned char *)signed_text.p,
                         signed_text.n) != 1)
        return refuse("InvalidSignature", reterr);
    return ERR_OK;
}

static enum err_code check_claims(const struct tokens *t, struct str text, int64_t now_s,
                                  char ret_id[static TOKENS_ID_MAX + 1], struct err *reterr)
{
    CLEANUP(json_freep) json_t *claims = object_of(text);
    if (!claims)
        return refuse("InvalidToken", reterr);
    const json_t *exp = json_object_get(claims, "exp");
    struct str sub = string_of(claims, "sub"), id = string_of(claims, "sandbox_id");
    if (!json_is_integer(exp) || json_integer_value(exp) < 0 ||
        !json_is_integer(json_object_get(claims, "iat")))
        return refuse("MissingRequiredClaim", reterr);
    if (!str_eq(string_of(claims, "iss"), str_of(t->issuer)))
        return refuse("InvalidIssuer", reterr);
    if (!str_eq(string_of(claims, "aud"), str_of(t->issuer)))
        return refuse("InvalidAudience", reterr);
    if (json_integer_value(exp) != 0 && json_integer_value(exp) < now_s - TOKENS_LEEWAY_S)
        return refuse("ExpiredSignature", reterr);
    char name[TOKENS_ID_MAX + 1];
    if (!str_skip(&sub, STR(PRINCIPAL)) || !is_word(id, "", TOKENS_ID_MAX) || !str_eq(sub, id) ||
        !str_cstr(id, name, sizeof(name)))
        return refuse("InvalidSubject", reterr);
    memcpy(ret_id, name, sizeof(name));
    return ERR_OK;
}

// ---- public

enum err_code tokens_open(const char *dir, struct str gateway_id, int64_t ttl_s, struct tokens **ret,
                          struct err *reterr)
{
    if (!is_word(gateway_id, "._", 63) || ttl_s < 0)
        return err_set(reterr, ERR_INVALID, "a gateway's id has 1 to 63 of [A-Za-z0-9._-], not '%.*s'",
                       STR_FMT(gateway_id));
    CLEANUP(tokens_freep) struct tokens *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(reterr, ERR_LIMIT, "no memory for the tokens' key");
    t->ttl_s = ttl_s;
    (void)snprintf(t->issuer, sizeof(t->issuer), ISSUER "%.*s", STR_FMT(gateway_id));
    enum err_code r = ERR_OK;
    if (access(dir, F_OK) != 0)
        r = errno == ENOENT ? make_key(dir, reterr)
                            : err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    if (r == ERR_OK)
        r = read_key(t, dir, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "the key of the sandboxes' tokens");
    *ret = TAKE(t);
    return ERR_OK;
}

void tokens_free(struct tokens *t)
{
    if (t)
        EVP_PKEY_free(t->key);
    free(t);
}

enum err_code tokens_mint(const struct tokens *t, struct str sandbox_id, int64_t now_s, struct buf *out,
                          int64_t *ret_expires_ms, struct err *reterr)
{
    if (!is_word(sandbox_id, "", TOKENS_ID_MAX))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no id of a sandbox", STR_FMT(sandbox_id));
    int64_t exp = t->ttl_s ? now_s + t->ttl_s : 0;
    CLEANUP(buf_done) struct buf text, token;
    buf_init(&text, TOKENS_TEXT_MAX);
    buf_init(&token, TOKENS_TEXT_MAX);
    buf_addf(&text, "{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}", t->kid);
    encode(buf_str(&text), &token);
    buf_addc(&token, '.');
    buf_clear(&text); // every part below is of characters that JSON needs not escape
    buf_addf(&text,
             "{\"sub\":\"" PRINCIPAL "%.*s\",\"iss\":\"%s\",\"aud\":\"%s\",\"iat\":%lld,\"exp\":%lld,"
             "\"sandbox_id\":\"%.*s\"}",
             STR_FMT(sandbox_id), t->issuer, t->issuer, (long long)now_s, (long long)exp,
             STR_FMT(sandbox_id));
    encode(buf_str(&text), &token);
    CLEANUP(mdctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[SIG_SIZE];
    size_t sig_n = sizeof(sig);
    enum err_code r = buf_check(&token, "a token", reterr);
    if (r != ERR_OK)
        return r;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, t->key) != 1 ||
        EVP_DigestSign(ctx, sig, &sig_n, (const unsigned char *)token.p, token.n) != 1 ||
        sig_n != sizeof(sig))
        return crypto_failed("a token was not signed", reterr);
    buf_addc(&token, '.');
    encode((struct str){(const char *)sig, sig_n}, &token);
    buf_add(out, buf_str(&token));
    if (token.full || out->full)
        return err_set(reterr, ERR_LIMIT, "no room for a token");
    *ret_expires_ms = exp * 1000;
    return ERR_OK;
}

enum err_code tokens_check(const struct tokens *t, struct str token, int64_t now_s,
                           char ret_sandbox_id[static TOKENS_ID_MAX + 1], struct err *reterr)
{
    struct str rest = token, header, claims, signature;
    if (token.n > TOKENS_TEXT_MAX || !str_split(&rest, '.', &header) || !rest.p ||
        !str_split(&rest, '.', &claims) || !rest.p)
        return not_ours(reterr);
    signature = rest; // with a further dot it is no base64url
    enum err_code r = check_header(t, header, reterr);
    if (r == ERR_OK)
        r = check_signature(t, str_head(token, header.n + 1 + claims.n), signature, reterr);
    if (r == ERR_OK)
        r = check_claims(t, claims, now_s, ret_sandbox_id, reterr);
    return r;
}
