// Two memories. The ring spares reading a file again, and may forget. The pins may not, so they grow up to a
// bound: a hash table of the SHA-256 of paths, which have no common size, allocated whole and touched page by
// page.
//
// syscalls: fstat pread64 clock_gettime
#include "isolate/exehash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum {
    DIGEST = 32,
    PIN_SLOTS = 2 * EXEHASH_PATHS_MAX, // a power of 2, at most half full
    PATH_TEXT = 160,                   // of a path in a message that holds two hashes, too
};
static_assert((PIN_SLOTS & (PIN_SLOTS - 1)) == 0, "the slot is taken from the low bits");

struct known_file {
    struct exehash_key key;
    char hash[65];
};

struct pin {
    uint8_t path[DIGEST];
    char hash[65]; // empty: the slot is free
};

struct exehash {
    struct known_file files[EXEHASH_FILES_MAX];
    size_t files_next, files_n;
    struct exehash_found learnt[EXEHASH_LEARNT_MAX];
    size_t learnt_n;
    struct pin *pins;
    size_t pins_n;
};

enum err_code exehash_new(struct exehash **ret, struct err *e)
{
    struct exehash *t = calloc(1, sizeof(*t));
    struct pin *pins = calloc(PIN_SLOTS, sizeof(*pins));
    if (!t || !pins) {
        free(t);
        free(pins);
        return err_set(e, ERR_LIMIT, "no memory for the hashes of executables");
    }
    t->pins = pins;
    *ret = t;
    return ERR_OK;
}

void exehash_free(struct exehash *t)
{
    if (t)
        free(t->pins);
    free(t);
}

static enum err_code no_hash(struct err *e, const char *why)
{
    return err_set(e, ERR_DENIED, "binary integrity check failed: %s", why);
}

// Not beyond the size that was looked up: a file that grows meanwhile must not keep us.
static bool feed(EVP_MD_CTX *ctx, int fd, off_t size)
{
    unsigned char b[64 * KIB];
    for (off_t at = 0; at < size;) {
        size_t want = size - at < (off_t)sizeof(b) ? (size_t)(size - at) : sizeof(b);
        ssize_t n = pread(fd, b, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || EVP_DigestUpdate(ctx, b, (size_t)n) != 1)
            return false;
        at += n;
    }
    return true;
}

static enum err_code sha256(int fd, off_t size, char out[static 65], struct err *e)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && feed(ctx, fd, size) &&
              EVP_DigestFinal_ex(ctx, digest, &len) == 1 && len == DIGEST;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return no_hash(e, "the executable cannot be read");
    for (size_t i = 0; i < DIGEST; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return ERR_OK;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool exehash_same(const struct exehash_key *a, const struct exehash_key *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(a->mtime, b->mtime) &&
           same_time(a->ctime, b->ctime);
}

static struct exehash_key key_of(const struct stat *st)
{
    return (struct exehash_key){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

bool exehash_key_at(int dir, const char *name, struct exehash_key *ret)
{
    struct stat st;
    if (fstatat(dir, name, &st, 0) != 0)
        return false;
    *ret = key_of(&st);
    return true;
}

static bool is_fresh(const struct exehash_key *k, int64_t now_ms)
{
    return now_ms - ((int64_t)k->ctime.tv_sec * 1000 + k->ctime.tv_nsec / 1'000'000) < EXEHASH_FRESH_MS;
}

static void remember(struct exehash *t, const struct exehash_key *key, const char hash[static 65])
{
    struct known_file *slot = &t->files[t->files_next];
    slot->key = *key;
    memcpy(slot->hash, hash, 65);
    t->files_next = (t->files_next + 1) % EXEHASH_FILES_MAX;
    if (t->files_n < EXEHASH_FILES_MAX)
        t->files_n++;
}

static enum err_code look(int fd, struct exehash_key *ret, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return no_hash(e, fd_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return no_hash(e, "the executable is not a file");
    if (st.st_size > EXEHASH_BYTES_MAX)
        return err_set(e, ERR_DENIED, "binary integrity check failed: the executable has more than %lld MiB",
                       (long long)(EXEHASH_BYTES_MAX / MIB));
    *ret = key_of(&st);
    return ERR_OK;
}

static enum err_code known(const struct exehash *t, const struct exehash_key *key, char ret[static 65],
                           struct err *e)
{
    for (size_t i = 0; i < t->files_n; i++)
        if (exehash_same(&t->files[i].key, key)) {
            memcpy(ret, t->files[i].hash, 65);
            return ERR_OK;
        }
    for (size_t i = 0; i < t->learnt_n; i++) {
        const struct exehash_found *f = &t->learnt[i];
        if (!exehash_same(&f->key, key))
            continue;
        if (f->code != ERR_OK)
            return err_set(e, (enum err_code)f->code, "%s", f->why);
        memcpy(ret, f->hash, 65);
        return ERR_OK;
    }
    return err_set(e, ERR_NOT_FOUND, "it has not been read yet");
}

enum err_code exehash_known(const struct exehash *t, int fd, char ret[static 65], struct err *e)
{
    struct exehash_key key;
    enum err_code r = look(fd, &key, e);
    return r == ERR_OK ? known(t, &key, ret, e) : r;
}

static enum err_code read_file(int fd, const struct exehash_key *key, char ret[static 65], struct err *e)
{
    struct exehash_key after;
    char hash[65];
    enum err_code r = sha256(fd, key->size, hash, e);
    if (r == ERR_OK)
        r = look(fd, &after, e);
    if (r == ERR_OK && !exehash_same(key, &after))
        r = no_hash(e, "the executable changed while it was read");
    if (r == ERR_OK)
        memcpy(ret, hash, 65);
    return r;
}

void exehash_read(int fd, struct exehash_found *ret)
{
    const int64_t now_ms = clock_realtime_ms(); // before anything is read
    struct exehash_found f = {};
    struct err e = {};
    enum err_code r = look(fd, &f.key, &e);
    if (r == ERR_OK)
        r = read_file(fd, &f.key, f.hash, &e);
    f.code = (uint32_t)r;
    f.fresh = is_fresh(&f.key, now_ms);
    if (r != ERR_OK)
        (void)snprintf(f.why, sizeof(f.why), "%s", e.msg);
    *ret = f;
}

void exehash_learn(struct exehash *t, const struct exehash_found *found)
{
    if (found->code == ERR_OK && !found->fresh)
        remember(t, &found->key, found->hash);
    else if (t->learnt_n < EXEHASH_LEARNT_MAX)
        t->learnt[t->learnt_n++] = *found;
}

void exehash_forget(struct exehash *t)
{
    t->learnt_n = 0;
}

enum err_code exehash_file(struct exehash *t, int fd, char ret[static 65], struct err *e)
{
    const int64_t now_ms = clock_realtime_ms(); // before anything is read
    struct exehash_key key;
    enum err_code r = look(fd, &key, e);
    if (r == ERR_OK)
        r = known(t, &key, ret, e);
    if (r != ERR_NOT_FOUND)
        return r;
    r = read_file(fd, &key, ret, e);
    if (r == ERR_OK && !is_fresh(&key, now_ms))
        remember(t, &key, ret);
    return r;
}

// The path's pin, or the free slot where it belongs. One is always free.
static struct pin *slot_of(struct exehash *t, const uint8_t path[static DIGEST])
{
    uint32_t at;
    memcpy(&at, path, sizeof(at));
    for (;; at++) {
        struct pin *p = &t->pins[at % PIN_SLOTS];
        if (!p->hash[0] || memcmp(p->path, path, DIGEST) == 0)
            return p;
    }
}

enum err_code exehash_pin(struct exehash *t, struct str path, const char hash[static 65], struct err *e)
{
    uint8_t key[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(path.p, path.n, key, &len, EVP_sha256(), NULL) != 1 || len != DIGEST)
        return no_hash(e, "the path cannot be hashed");
    struct pin *p = slot_of(t, key);
    if (p->hash[0] && strcmp(p->hash, hash) != 0)
        return err_set(
            e, ERR_DENIED,
            "binary integrity check failed: Binary integrity violation: %.*s hash changed (cached: %s, "
            "current: %s)",
            (int)(path.n < PATH_TEXT ? path.n : PATH_TEXT), path.p, p->hash, hash);
    if (p->hash[0])
        return ERR_OK;
    if (t->pins_n == EXEHASH_PATHS_MAX)
        return err_set(e, ERR_DENIED,
                       "binary integrity check failed: more than %d executables have called; start another "
                       "sandbox",
                       EXEHASH_PATHS_MAX);
    memcpy(p->path, key, DIGEST);
    memcpy(p->hash, hash, 65);
    t->pins_n++;
    return ERR_OK;
}
