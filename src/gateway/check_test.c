#include "gateway/check.h"

#include "tap.h"

#include "base/buf.h"

static const struct {
    const char *name;
    bool ok;
} names[] = {
    {"a", true},     {"dev-2", true},
    {"0", true},     {"abcdefghijklmnopqrs", true},
    {"", false},     {"abcdefghijklmnopqrst", false},
    {"-a", false},   {"a-", false},
    {"a--b", false}, {"A", false},
    {"a.b", false},  {"a/b", false},
    {"..", false},   {"a_b", false},
};

static const struct {
    const char *key, *value;
    bool ok;
} labels[] = {
    {"team", "core", true},
    {"team", "", true},
    {"example.com/team", "a.b_c-D", true},
    {"", "x", false},
    {"-a", "x", false},
    {"a b", "x", false},
    {"a", "-x", false},
    {"Example.com/a", "x", false},
    {"/a", "x", false},
    {"a.b./c", "x", false},
    {"a/b/c", "x", false},
    {"a", "x y", false},
};

static const struct {
    const char *key, *value;
    bool ok;
} envs[] = {
    {"A", "", true},     {"_a1", "x y=z", true}, {"1A", "x", false},          {"", "x", false},
    {"A-B", "x", false}, {"A=B", "x", false},    {"OPENSHELL_X", "x", false}, {"A", "x\ny", false},
};

static const struct {
    const char *selector;
    enum err_code code;
    const char *pairs; // NULL: nothing has them
} selectors[] = {
    {"", ERR_OK, ""},
    {"a=1", ERR_OK, "a=1;"},
    {" a = 1 ,, b= ", ERR_OK, "a=1;b=;"},
    {"a=1,a=1", ERR_OK, "a=1;"},
    {"a=1,a=2", ERR_OK, NULL},
    {"a=x y", ERR_OK, NULL},
    {"a b=1", ERR_OK, NULL},
    {"a=b=c", ERR_OK, NULL},
    {"x.io/a=1", ERR_OK, "x.io/a=1;"},
    {"a", ERR_INVALID, ""},
    {"=1", ERR_INVALID, ""},
};

static void selector(size_t i)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf got;
    struct store_label *v = NULL;
    size_t n = 0;
    bool none = false;
    struct err err = {};
    arena_init(&a, MIB);
    buf_init(&got, KIB);
    enum err_code r = check_selector(str_of(selectors[i].selector), &a, &v, &n, &none, &err);
    for (size_t k = 0; k < n; k++)
        buf_addf(&got, "%.*s=%.*s;", STR_FMT(v[k].key), STR_FMT(v[k].value));
    tap_ok(r == selectors[i].code && none == !selectors[i].pairs &&
               (none || str_eq(buf_str(&got), str_of(selectors[i].pairs))),
           "selector '%s'", selectors[i].selector);
}

int main(void)
{
    struct err err = {};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        tap_ok((check_sandbox_name(str_of(names[i].name), &err) == ERR_OK) == names[i].ok, "name '%s'",
               names[i].name);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        tap_ok((check_label(str_of(labels[i].key), str_of(labels[i].value), &err) == ERR_OK) == labels[i].ok,
               "label '%s=%s'", labels[i].key, labels[i].value);
    for (size_t i = 0; i < ARRAY_LEN(envs); i++)
        tap_ok((check_env(str_of(envs[i].key), str_of(envs[i].value), &err) == ERR_OK) == envs[i].ok,
               "variable %zu '%s'", i, envs[i].key);
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++)
        selector(i);
    char many[65 * 4 + 1] = "", big[CHECK_ANNOTATION_MAX + 2] = "";
    for (size_t i = 0; i < 65; i++)
        memcpy(many + i * 4, "a=1,", 4);
    struct store_label *v = NULL;
    size_t n = 0;
    bool none = false;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    tap_ok(check_selector(str_of(many), &a, &v, &n, &none, &err) == ERR_INVALID,
           "a selector has at most 64 pairs");
    many[64 * 4] = '\0';
    tap_ok(check_selector(str_of(many), &a, &v, &n, &none, &err) == ERR_OK && n == 1, "and may have as many");
    memset(big, 'x', sizeof(big) - 1);
    tap_ok(check_annotation(STR("a"), str_of(big), &err) == ERR_INVALID,
           "an annotation has at most 8192 bytes");
    big[CHECK_ANNOTATION_MAX] = '\0';
    tap_ok(check_annotation(STR("a"), str_of(big), &err) == ERR_OK, "and may have as many");
    tap_ok(check_annotation(STR("a b"), STR("x"), &err) == ERR_INVALID, "its key is a label's");
    return tap_done();
}
