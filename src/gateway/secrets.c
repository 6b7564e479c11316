#include "gateway/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"

// A stored value is these bytes: version, nonce and wrapped key, nonce and value, each with its tag. Sizes
// are fixed but for the value's, which is the rest.
enum {
    KEY_SIZE = 32,   // AES-256
    NONCE_SIZE = 12, // NIST SP 800-38D section 8.2.2: random, for far fewer than 2^32 uses of one key
    TAG_SIZE = 16,
    VERSION = 1,
    HEAD_SIZE = 1 + NONCE_SIZE + KEY_SIZE + TAG_SIZE + NONCE_SIZE,
    ID_BYTES = 32,
    PATH_SIZE = 4096,
};

#define KIND      "credential.gateway-encrypted"
#define KEY_FILE  "key-encryption-key.bin"
#define AAD_START "openshell:gateway-credential-storage:v1:"

struct secrets {
    struct store *store;
    struct secret key;
    char key_id[17];
};

static void ctx_freep(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}

// `what`, the value's id, and to whom it belongs. Each part has its length, so that no two say the same.
static enum err_code aad_of(const char *what, struct str id, const struct secrets_owner *o, struct buf *out,
                            struct err *reterr)
{
    const struct str parts[] = {str_of(what), id, o->workspace, o->provider, o->key};
    buf_add(out, STR(AAD_START));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        buf_addf(out, "%zu:%.*s:", parts[i].n, STR_FMT(parts[i]));
    return buf_check(out, "a credential's name", reterr);
}

// out: n bytes and the tag.
static bool encrypt(const uint8_t *key, const uint8_t *nonce, struct str aad, struct str in, uint8_t *out)
{
    CLEANUP(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    return c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)aad.p, (int)aad.n) == 1 &&
           EVP_EncryptUpdate(c, out, &n, (const uint8_t *)in.p, (int)in.n) == 1 && (size_t)n == in.n &&
           EVP_EncryptFinal_ex(c, out + n, &last) == 1 && last == 0 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, out + n) == 1;
}

// in: bytes and the tag behind them.
static bool decrypt(const uint8_t *key, const uint8_t *nonce, struct str aad, const uint8_t *in, size_t n,
                    uint8_t *out)
{
    CLEANUP(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t tag[TAG_SIZE];
    int got = 0, last = 0;
    memcpy(tag, in + n, TAG_SIZE);
    return c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_DecryptUpdate(c, NULL, &got, (const uint8_t *)aad.p, (int)aad.n) == 1 &&
           EVP_DecryptUpdate(c, out, &got, in, (int)n) == 1 && (size_t)got == n &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + got, &last) == 1 && last == 0;
}

// ---- the key for all

static enum err_code has_values(struct store *st, bool *ret, struct err *reterr)
{
    CLEANUP(arena_done) struct arena a;
    const struct store_query q = {.kind = STR(KIND), .all_workspaces = true, .limit = 1};
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    arena_init(&a, MIB);
    enum err_code r = store_list(st, &q, &a, &rows, &n, &more, reterr);
    if (r == ERR_OK)
        *ret = n > 0;
    return r;
}

static enum err_code make_key(const char *path, struct err *reterr)
{
    uint8_t key[KEY_SIZE];
    if (RAND_bytes(key, sizeof(key)) != 1)
        return err_set(reterr, ERR_UNAVAILABLE, "the system has no random numbers");
    enum err_code r = file_write_atomic(path, (struct str){(const char *)key, sizeof(key)}, 0600, reterr);
    secret_wipe(key, sizeof(key));
    return r;
}

static enum err_code read_key(struct secrets *s, const char *path, struct err *reterr)
{
    uint8_t key[KEY_SIZE + 1], hash[SHA256_DIGEST_LENGTH];
    struct stat st;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(reterr, ERR_DENIED,
                       "%s must be a file of this user that nobody else can read (mode 0600)", path);
    ssize_t n = read(fd, key, sizeof(key));
    enum err_code r = n == KEY_SIZE
                          ? secret_init(&s->key, (struct str){(const char *)key, KEY_SIZE}, reterr)
                          : err_set(reterr, ERR_PRECONDITION, "%s must have %d bytes", path, KEY_SIZE);
    if (r == ERR_OK)
        (void)SHA256(key, KEY_SIZE, hash);
    for (size_t i = 0; r == ERR_OK && i < 8; i++)
        (void)snprintf(s->key_id + 2 * i, 3, "%02x", hash[i]);
    secret_wipe(key, sizeof(key));
    return r;
}

enum err_code secrets_open(struct store *st, const char *dir, struct secrets **ret, struct err *reterr)
{
    char path[PATH_SIZE];
    bool locked_out = false;
    int n = snprintf(path, sizeof(path), "%s/" KEY_FILE, dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(reterr, ERR_LIMIT, "the path of the key is too long");
    struct secrets *s = calloc(1, sizeof(*s));
    enum err_code r = s ? ERR_OK : err_set(reterr, ERR_LIMIT, "no memory");
    if (r == ERR_OK && access(path, F_OK) != 0 && errno == ENOENT) {
        r = has_values(st, &locked_out, reterr);
        if (r == ERR_OK && locked_out)
            r = err_set(
                reterr, ERR_PRECONDITION,
                "%s is missing, and the store has credentials that only it opens: put it back, or remove "
                "the store",
                path);
        if (r == ERR_OK)
            r = make_key(path, reterr);
    }
    if (r == ERR_OK)
        r = read_key(s, path, reterr);
    if (r != ERR_OK) {
        secrets_free(s);
        return r;
    }
    s->store = st;
    *ret = s;
    return ERR_OK;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    secret_done(&s->key);
    free(s);
}

// ---- values

static enum err_code seal_bytes(struct secrets *s, const struct secrets_owner *o, struct str id,
                                struct str value, uint8_t *out, struct err *reterr)
{
    uint8_t key[KEY_SIZE];
    CLEANUP(buf_done) struct buf aad;
    buf_init(&aad, 4 * KIB);
    uint8_t *key_nonce = out + 1, *wrapped = key_nonce + NONCE_SIZE, *nonce = wrapped + KEY_SIZE + TAG_SIZE;
    out[0] = VERSION;
    enum err_code r = aad_of("dek", id, o, &aad, reterr);
    bool ok = r == ERR_OK && RAND_bytes(key, sizeof(key)) == 1 && RAND_bytes(key_nonce, NONCE_SIZE) == 1 &&
              RAND_bytes(nonce, NONCE_SIZE) == 1;
    ok = ok && encrypt((const uint8_t *)secret_expose(&s->key).p, key_nonce, buf_str(&aad),
                       (struct str){(const char *)key, sizeof(key)}, wrapped);
    buf_clear(&aad);
    if (r == ERR_OK)
        r = aad_of("value", id, o, &aad, reterr);
    ok = ok && r == ERR_OK && encrypt(key, nonce, buf_str(&aad), value, out + HEAD_SIZE);
    secret_wipe(key, sizeof(key));
    if (r == ERR_OK && !ok)
        r = err_set(reterr, ERR_INTERNAL, "a credential could not be encrypted");
    return r;
}

static char *text(struct str s)
{
    return (char *)(uintptr_t)s.p;
}

// {driver, "v1:<id>", {algorithm, key_encryption_key_id}}
static bool make_handle(const struct secrets *s, struct str id, struct arena *a,
                        Openshell__Datamodel__V1__CredentialHandle **ret)
{
    typedef Openshell__Datamodel__V1__CredentialHandle__MetadataEntry entry;
    Openshell__Datamodel__V1__CredentialHandle *h = arena_new(a, Openshell__Datamodel__V1__CredentialHandle);
    entry *e = arena_newn(a, entry, 2), **list = arena_newn(a, entry *, 2);
    struct str handle = {}, key_id = {};
    if (!h || !e || !list || !arena_fmt(a, &handle, "v1:%.*s", STR_FMT(id)) ||
        !arena_dup(a, str_of(s->key_id), &key_id))
        return false;
    openshell__datamodel__v1__credential_handle__init(h);
    for (size_t i = 0; i < 2; i++) {
        openshell__datamodel__v1__credential_handle__metadata_entry__init(&e[i]);
        list[i] = &e[i];
    }
    e[0].key = text(STR("algorithm"));
    e[0].value = text(STR("AES-256-GCM"));
    e[1].key = text(STR("key_encryption_key_id"));
    e[1].value = text(key_id);
    h->driver = text(STR(SECRETS_DRIVER));
    h->handle = text(handle);
    h->metadata = list;
    h->n_metadata = 2;
    *ret = h;
    return true;
}

enum err_code secrets_seal(struct secrets *s, const struct secrets_owner *o, struct str value,
                           struct arena *a, Openshell__Datamodel__V1__CredentialHandle **ret,
                           struct store_write *ret_write, struct err *reterr)
{
    uint8_t raw[ID_BYTES];
    char id[2 * ID_BYTES + 1];
    struct str kept = {};
    if (value.n == 0 || value.n > SECRETS_VALUE_MAX)
        return err_set(reterr, ERR_INVALID, "the value of '%.*s' has 1 to %d bytes", STR_FMT(o->key),
                       SECRETS_VALUE_MAX);
    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return err_set(reterr, ERR_UNAVAILABLE, "the system has no random numbers");
    for (size_t i = 0; i < sizeof(raw); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", raw[i]);
    size_t size = HEAD_SIZE + value.n + TAG_SIZE;
    uint8_t *bytes = arena_alloc(a, size);
    Openshell__Datamodel__V1__CredentialHandle *h = NULL;
    if (!bytes || !arena_dup(a, str_of(id), &kept) || !make_handle(s, kept, a, &h))
        return arena_limit(a, "a credential", reterr);
    enum err_code r = seal_bytes(s, o, kept, value, bytes, reterr);
    if (r != ERR_OK)
        return r;
    int64_t now = clock_realtime_ms();
    *ret_write = (struct store_write){.op = STORE_CREATE,
                                      .object = {.kind = STR(KIND),
                                                 .workspace = o->workspace,
                                                 .id = kept,
                                                 .payload = {(const char *)bytes, size},
                                                 .created_ms = now,
                                                 .updated_ms = now}};
    *ret = h;
    return ERR_OK;
}

static enum err_code id_of(const Openshell__Datamodel__V1__CredentialHandle *h, struct str *ret,
                           struct err *reterr)
{
    struct str s = str_of(h->handle);
    if (strcmp(h->driver, SECRETS_DRIVER) != 0)
        return err_set(reterr, ERR_UNSUPPORTED, "credential driver '%.*s' is not built yet",
                       STR_FMT(str_of(h->driver)));
    if (s.n != 3 + 2 * ID_BYTES || memcmp(s.p, "v1:", 3) != 0)
        return err_set(reterr, ERR_INTERNAL, "a credential's handle is damaged");
    *ret = (struct str){s.p + 3, s.n - 3};
    return ERR_OK;
}

static enum err_code unseal_bytes(struct secrets *s, const struct secrets_owner *o, struct str id,
                                  struct str in, struct secret *ret, struct err *reterr)
{
    uint8_t key[KEY_SIZE], value[SECRETS_VALUE_MAX];
    const uint8_t *p = (const uint8_t *)in.p;
    CLEANUP(buf_done) struct buf aad;
    buf_init(&aad, 4 * KIB);
    if (in.n < HEAD_SIZE + TAG_SIZE || in.n > HEAD_SIZE + TAG_SIZE + SECRETS_VALUE_MAX || p[0] != VERSION)
        return err_set(reterr, ERR_INTERNAL, "a credential is damaged");
    size_t n = in.n - HEAD_SIZE - TAG_SIZE;
    enum err_code r = aad_of("dek", id, o, &aad, reterr);
    bool ok = r == ERR_OK && decrypt((const uint8_t *)secret_expose(&s->key).p, p + 1, buf_str(&aad),
                                     p + 1 + NONCE_SIZE, KEY_SIZE, key);
    buf_clear(&aad);
    if (r == ERR_OK)
        r = aad_of("value", id, o, &aad, reterr);
    ok = ok && r == ERR_OK &&
         decrypt(key, p + HEAD_SIZE - NONCE_SIZE, buf_str(&aad), p + HEAD_SIZE, n, value);
    if (r == ERR_OK)
        r = ok ? secret_init(ret, (struct str){(const char *)value, n}, reterr)
               : err_set(reterr, ERR_INTERNAL, "credential '%.*s' does not decrypt", STR_FMT(o->key));
    secret_wipe(key, sizeof(key));
    secret_wipe(value, sizeof(value));
    return r;
}

enum err_code secrets_unseal(struct secrets *s, const struct secrets_owner *o,
                             const Openshell__Datamodel__V1__CredentialHandle *h, struct secret *ret,
                             struct err *reterr)
{
    struct str id = {};
    struct store_object row = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    enum err_code r = id_of(h, &id, reterr);
    if (r == ERR_OK)
        r = store_get(s->store, STR(KIND), id, &a, &row, reterr);
    if (r == ERR_NOT_FOUND)
        return err_set(reterr, r, "credential '%.*s' is not stored", STR_FMT(o->key));
    return r == ERR_OK ? unseal_bytes(s, o, id, row.payload, ret, reterr) : r;
}

enum err_code secrets_forget(const struct secrets_owner *o,
                             const Openshell__Datamodel__V1__CredentialHandle *h, struct arena *a,
                             struct store_write *ret, struct err *reterr)
{
    struct str id = {}, kept = {};
    enum err_code r = id_of(h, &id, reterr);
    if (r == ERR_OK && !arena_dup(a, id, &kept))
        r = arena_limit(a, "a credential's id", reterr);
    if (r != ERR_OK)
        return r;
    *ret = (struct store_write){.op = STORE_DELETE,
                                .object = {.kind = STR(KIND), .workspace = o->workspace, .id = kept}};
    return ERR_OK;
}
