#include "policy/hash.h"
#include "policy/shape_fill.h"

#include "alloc_fail.h"
#include "tap.h"

static bool same_hash(const struct policy *p, const struct policy *q)
{
    char a[POLICY_HASH_LEN + 1], b[POLICY_HASH_LEN + 1];
    struct err err;
    return policy_hash(p, a, &err) == ERR_OK && policy_hash(q, b, &err) == ERR_OK && strcmp(a, b) == 0;
}

static void golden(void)
{
    // "openshell policy 1" 00 | 01 00000001 | 05 01 | 09 0000000000000007 "sandbox" | 00
    struct policy p = {.version = 1,
                       .filesystem.include_workdir = true,
                       .process.run_as_user = STR("sandbox")};
    char hex[POLICY_HASH_LEN + 1];
    struct err err;
    enum err_code r = policy_hash(&p, hex, &err);
    tap_ok(r == ERR_OK &&
               strcmp(hex, "4175587fd68fd7a94c1ff25fce3670c479df9d7b9809058f4bfc4d5ed8cf99d5") == 0,
           "the encoding is the documented one: %s", hex);
}

static void long_string(void)
{
    static char name[5000], other[5000];
    memset(name, 'a', sizeof(name));
    memset(other, 'a', sizeof(other));
    other[sizeof(other) - 1] = 'b';
    struct policy p = {.process.run_as_user = {name, sizeof(name)}},
                  q = {.process.run_as_user = {other, sizeof(other)}};
    tap_ok(same_hash(&p, &p) && !same_hash(&p, &q), "a long string counts to its last byte");
}

static void full(struct arena *a, const struct policy *p)
{
    size_t fields = 0, lists = 0;
    for (;; fields++) {
        struct policy *q = NULL;
        size_t left = fields;
        const char *name = "";
        if (!policy_clone(p, a, &q) || !change(&shape_policy, q, &left, &name))
            break;
        if (same_hash(p, q))
            tap_ok(false, "field %zu (%s) is in the hash", fields, name);
    }
    tap_ok(fields > 300, "each of %zu fields is in the hash", fields);
    struct policy *q = NULL;
    size_t none = SIZE_MAX;
    if (!policy_clone(p, a, &q))
        return;
    reverse(&shape_policy, q, SHAPE_MAP, &none);
    tap_ok(same_hash(p, q), "the order of maps does not count");
    for (;; lists++) {
        size_t which = lists;
        if (!policy_clone(p, a, &q))
            return;
        reverse(&shape_policy, q, SHAPE_LIST, &which);
        if (which <= lists) // it did not come down to zero and beyond
            break;
        if (same_hash(p, q))
            tap_ok(false, "the order of list %zu counts", lists);
    }
    tap_ok(lists > 30, "the order of each of %zu lists counts", lists);
}

static void no_memory(const struct policy *p)
{
    for (size_t n = 1;; n++) {
        char hex[POLICY_HASH_LEN + 1] = "untouched";
        struct err err = {};
        alloc_fail_at(n);
        enum err_code r = policy_hash(p, hex, &err);
        alloc_fail_off();
        if (alloc_fail_count() < n)
            break;
        if (r != ERR_LIMIT || strcmp(hex, "untouched") != 0)
            tap_ok(false, "without allocation %zu: ERR_LIMIT", n);
    }
    tap_ok(true, "each allocation may fail");
}

static const struct hash_setting settings[] = {
    {STR_INIT("b"), 1, SETTING_BOOL, {}, 1},
    {STR_INIT("a"), 2, SETTING_STRING, STR_INIT("x"), 0},
    {STR_INIT("d"), 1, SETTING_BYTES, STR_INIT("\x01\x02"), 0},
    {STR_INIT("c"), 1, SETTING_INT, {}, -2},
};
static const struct hash_setting sorted_settings[] = {
    {STR_INIT("a"), 2, SETTING_STRING, STR_INIT("x"), 0},
    {STR_INIT("b"), 1, SETTING_BOOL, {}, 1},
    {STR_INIT("c"), 1, SETTING_INT, {}, -2},
    {STR_INIT("d"), 1, SETTING_BYTES, STR_INIT("\x01\x02"), 0},
};
static const struct str services[] = {STR_INIT("svc2\0B"), STR_INIT("svc\0A")};
static const struct str sorted_services[] = {STR_INIT("svc\0A"), STR_INIT("svc2\0B")};

static uint64_t revision(const struct hash_config *c)
{
    uint64_t r = 0;
    struct err err;
    return policy_config_revision(c, &r, &err) == ERR_OK ? r : 0;
}

static void config(void)
{
    const struct hash_config c = {1, STR("fail_closed"), true, STR("abcd"), settings, 4, services, 2};
    struct hash_config d = c;
    d.settings = sorted_settings;
    d.services = sorted_services;
    uint64_t golden_revision = 0x42577724453223a4;
    tap_ok(revision(&c) == golden_revision, "the revision is made of the bytes of reference 1.9: %#llx",
           (unsigned long long)revision(&c));
    tap_ok(revision(&d) == golden_revision, "settings and services in any order");
    struct {
        struct hash_config c;
        const char *what;
    } others[] = {{c, "policy source"}, {c, "failure mode"}, {c, "extension authentication"},
                  {c, "policy hash"},   {c, "a setting"},    {c, "a service"}};
    others[0].c.policy_source = 2;
    others[1].c.failure_mode = STR("retain_last_valid");
    others[2].c.extension_auth = false;
    others[3].c.policy_hash = STR("abce");
    others[4].c.settings_n = 3;
    others[5].c.services_n = 1;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tap_ok(revision(&others[i].c) != golden_revision, "it depends on %s", others[i].what);
    for (size_t i = 0; i < 4; i++)
        for (unsigned k = 0; k < 3; k++) {
            struct hash_setting changed[4];
            memcpy(changed, settings, sizeof(changed));
            if (k == 0)
                changed[i].scope++;
            else if (k == 1)
                changed[i].key = STR("z");
            else if (settings[i].tag == SETTING_BOOL)
                changed[i].number = 0;
            else if (settings[i].tag == SETTING_INT)
                changed[i].number++;
            else
                changed[i].bytes = STR("y");
            d.settings = changed;
            if (revision(&d) == golden_revision)
                tap_ok(false, "part %u of setting %zu counts", k, i);
        }
    const struct hash_config empty = {};
    tap_ok(revision(&empty) != 0, "nothing at all has a revision, too");
}

int main(void)
{
    struct arena a;
    arena_init(&a, 256 * MIB);
    struct policy p = {};
    unsigned n = 0;
    golden();
    long_string();
    if (tap_ok(fill(&shape_policy, &p, &a, &n), "a full policy")) {
        full(&a, &p);
        no_memory(&p);
    }
    config();
    arena_done(&a);
    return tap_done();
}
