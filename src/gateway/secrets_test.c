#include "gateway/secrets.h"

#include <sys/stat.h>

#include "base/fd.h"
#include "tap.h"

#include "store/store_test.h"

#define VALUE "sk-ant-0123456789abcdef"

static const struct secrets_owner alice = {STR_INIT("default"), STR_INIT("id-1"), STR_INIT("API_KEY")};

static bool opens(struct secrets *s, const struct secrets_owner *o,
                  const Openshell__Datamodel__V1__CredentialHandle *h, struct err *e)
{
    struct secret v = {};
    bool ok = secrets_unseal(s, o, h, &v, e) == ERR_OK && secret_eq(&v, STR(VALUE));
    secret_done(&v);
    return ok;
}

static enum err_code store_value(struct store *st, struct secrets *s, const struct secrets_owner *o,
                                 struct arena *a, Openshell__Datamodel__V1__CredentialHandle **ret,
                                 struct err *e)
{
    struct store_write w = {};
    uint64_t version;
    size_t failed;
    enum err_code r = secrets_seal(s, o, STR(VALUE), a, ret, &w, e);
    return r == ERR_OK ? store_apply(st, &w, 1, &version, &failed, e) : r;
}

static void test_owners(struct store *st, struct secrets *s, struct arena *a)
{
    struct err e = {};
    Openshell__Datamodel__V1__CredentialHandle *h = NULL, *again = NULL;
    tap_ok(store_value(st, s, &alice, a, &h, &e) == ERR_OK && opens(s, &alice, h, &e), "a value comes back");
    struct secrets_owner o = alice;
    o.provider = STR("id-2");
    tap_ok(!opens(s, &o, h, &e) && strstr(e.msg, "does not decrypt"), "not as another provider's");
    o = alice;
    o.key = STR("OTHER");
    tap_ok(!opens(s, &o, h, &e), "not under another key");
    o = alice;
    o.workspace = STR("other");
    tap_ok(!opens(s, &o, h, &e), "not in another workspace");
    tap_ok(store_value(st, s, &alice, a, &again, &e) == ERR_OK && strcmp(h->handle, again->handle) != 0,
           "the same value twice is two values");
    struct str raw = {};
    struct store_object row = {};
    tap_ok(store_get(st, STR("credential.gateway-encrypted"), str_of(h->handle + 3), a, &row, &e) == ERR_OK &&
               !memmem(row.payload.p, row.payload.n, VALUE, strlen(VALUE)),
           "what is stored does not have it");
    // A row in the place of another.
    struct store_object moved = row;
    moved.id = str_of(again->handle + 3);
    uint64_t version;
    size_t failed;
    struct store_write w = {.op = STORE_UPDATE, .object = moved};
    tap_ok(store_apply(st, &w, 1, &version, &failed, &e) == ERR_OK && !opens(s, &alice, again, &e),
           "a row that was moved is nothing");
    char *bytes = arena_alloc(a, row.payload.n);
    size_t opened = 0;
    for (size_t i = 0; i < row.payload.n; i++) { // each bit of it counts
        memcpy(bytes, row.payload.p, row.payload.n);
        bytes[i] ^= 1;
        w.object = row;
        w.object.payload = (struct str){bytes, row.payload.n};
        opened += store_apply(st, &w, 1, &version, &failed, &e) != ERR_OK || opens(s, &alice, h, &e);
    }
    tap_ok(opened == 0, "a changed byte anywhere is nothing");
    w = (struct store_write){};
    tap_ok(secrets_forget(&alice, h, a, &w, &e) == ERR_OK &&
               store_apply(st, &w, 1, &version, &failed, &e) == ERR_OK && !opens(s, &alice, h, &e) &&
               strstr(e.msg, "not stored"),
           "what was forgotten is gone");
    tap_ok(secrets_seal(s, &alice, raw, a, &h, &w, &e) == ERR_INVALID, "no empty value");
    static char big[SECRETS_VALUE_MAX + 1];
    memset(big, 'x', sizeof(big));
    tap_ok(secrets_seal(s, &alice, (struct str){big, sizeof(big)}, a, &h, &w, &e) == ERR_INVALID,
           "no value above the limit");
    tap_ok(secrets_seal(s, &alice, (struct str){big, SECRETS_VALUE_MAX}, a, &h, &w, &e) == ERR_OK,
           "one at the limit");
    again->driver = (char *)(uintptr_t) "vault";
    tap_ok(!opens(s, &alice, again, &e) && strstr(e.msg, "vault"),
           "another driver's handle is refused by name");
}

int main(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    struct err e = {};
    struct secrets *s = NULL, *again = NULL;
    char key[100];
    struct stat info;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    (void)snprintf(key, sizeof(key), "%s/key-encryption-key.bin", p.folder);
    tap_ok(secrets_open(st, p.folder, &s, &e) == ERR_OK && stat(key, &info) == 0 &&
               (info.st_mode & 0777) == 0600 && info.st_size == 32,
           "the first start makes a key that is its user's alone");
    test_owners(st, s, &a);
    Openshell__Datamodel__V1__CredentialHandle *h = NULL;
    tap_ok(store_value(st, s, &alice, &a, &h, &e) == ERR_OK, "a value");
    secrets_free(s);
    s = NULL;
    tap_ok(secrets_open(st, p.folder, &s, &e) == ERR_OK && opens(s, &alice, h, &e),
           "which the next start reads");
    (void)chmod(key, 0640);
    tap_ok(secrets_open(st, p.folder, &again, &e) == ERR_DENIED && strstr(e.msg, "mode 0600"),
           "a key that others can read is refused");
    (void)unlink(key);
    tap_ok(secrets_open(st, p.folder, &again, &e) == ERR_PRECONDITION && access(key, F_OK) != 0,
           "a key that went is not replaced while there are values");
    tap_ok(file_write_atomic(key, STR("short"), 0600, &e) == ERR_OK &&
               secrets_open(st, p.folder, &again, &e) == ERR_PRECONDITION,
           "a key of another size is refused");
    secrets_free(s);
    store_free(st);
    place_done(&p);
    return tap_done();
}
