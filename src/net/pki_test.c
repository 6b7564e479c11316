#include "net/pki.h"

#include "tap.h"

static const struct str names[] = {STR_INIT("gateway.test"), STR_INIT("*.apps.test"), STR_INIT("127.0.0.1"),
                                   STR_INIT("::1")};

static const struct {
    const char *name, *rule;
    bool covered;
} rows[] = {
    {"gateway.test", "a name that it has", true},
    {"other.test", "a name that it has not", false},
    {"*.apps.test", "a wildcard that it has", true},
    {"*.test", "a wildcard is not that of another zone", false},
    {"x.apps.test", "a name below its wildcard", true},
    {"y.x.apps.test", "a wildcard is one label", false},
    {"127.0.0.1", "an address that it has", true},
    {"127.0.0.2", "an address that it has not", false},
    {"::1", "an IPv6 address that it has", true},
};

static const char *const bad_names[] = {"",         "a b",  "*",         "*.",
                                        "a.*.test", "x\ny", "1.2.3.4.5", "DNS:x,IP:1.2.3.4"};

static void test_issue(struct pki *ca)
{
    struct err err = {};
    CLEANUP(buf_done) struct buf cert = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf key = {.max = 64 * KIB};
    const struct pki_leaf leaf = {.cn = STR("c"),
                                  .names = names,
                                  .names_n = ARRAY_LEN(names),
                                  .server = true,
                                  .days = 1};
    enum err_code c = pki_issue(ca, &leaf, &cert, &key, &err);
    tap_ok(c == ERR_OK && str_starts(buf_str(&cert), STR("-----BEGIN CERTIFICATE-----\n")) &&
               str_starts(buf_str(&key), STR("-----BEGIN PRIVATE KEY-----\n")),
           "a certificate and its key: %s", err.msg);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t at = 9;
        struct str name = str_of(rows[i].name);
        c = pki_covers(buf_str(&cert), &name, 1, &at, &err);
        tap_ok(c == ERR_OK && at == (rows[i].covered ? 1 : 0), "%s", rows[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++) {
        const struct str name = str_of(bad_names[i]);
        const struct pki_leaf bad = {.cn = STR("c"), .names = &name, .names_n = 1, .server = true, .days = 1};
        CLEANUP(buf_done) struct buf none = {.max = 64 * KIB};
        c = pki_issue(ca, &bad, &none, &none, &err);
        tap_ok(c == ERR_INVALID && none.n == 0, "no certificate for '%s'", bad_names[i]);
    }
}

static void test_load(struct pki *ca)
{
    struct err err = {};
    CLEANUP(buf_done) struct buf cert = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf key = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf again = {.max = 64 * KIB};
    CLEANUP(buf_done) struct buf other = {.max = 64 * KIB};
    CLEANUP(pki_freep) struct pki *second = NULL;
    CLEANUP(pki_freep) struct pki *third = NULL;
    CLEANUP(pki_freep) struct pki *wrong = NULL;
    bool ok = pki_cert(ca, &cert, &err) == ERR_OK && pki_key(ca, &key, &err) == ERR_OK &&
              pki_load(buf_str(&cert), buf_str(&key), &second, &err) == ERR_OK &&
              pki_cert(second, &again, &err) == ERR_OK && str_eq(buf_str(&cert), buf_str(&again));
    tap_ok(ok, "a CA comes back from its PEM: %s", err.msg);
    ok = pki_new(STR("o"), STR("c"), 1, &third, &err) == ERR_OK && pki_key(third, &other, &err) == ERR_OK;
    tap_ok(ok && pki_load(buf_str(&cert), buf_str(&other), &wrong, &err) == ERR_INVALID && !wrong,
           "but not with the key of another: %s", err.msg);
    tap_ok(pki_load(STR(""), STR("x"), &wrong, &err) == ERR_INVALID && !wrong, "nor from nothing: %s",
           err.msg);
}

int main(void)
{
    struct err err = {};
    CLEANUP(pki_freep) struct pki *ca = NULL;
    if (!tap_ok(pki_new(STR("OpenShell"), STR("test-ca"), 10, &ca, &err) == ERR_OK, "a CA: %s", err.msg))
        return 1;
    assert(ca);
    test_issue(ca);
    test_load(ca);
    return tap_done();
}
