#include "gateway/check.h"

#include "tap.h"

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

static struct str get(const void *all, struct str key)
{
    (void)all;
    return str_eq(key, STR("a")) ? STR("1") : str_eq(key, STR("b")) ? STR("") : (struct str){};
}

static const struct {
    const char *selector;
    enum err_code code;
    bool matches;
} selectors[] = {
    {"", ERR_OK, true},        {"a=1", ERR_OK, true},      {" a = 1 ,, b= ", ERR_OK, true},
    {"a=2", ERR_OK, false},    {"a=1,c=1", ERR_OK, false}, {"c=", ERR_OK, false},
    {"a", ERR_INVALID, false}, {"=1", ERR_INVALID, false},
};

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
    for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
        bool matches = false;
        enum err_code r = check_selector(str_of(selectors[i].selector), get, NULL, &matches, &err);
        tap_ok(r == selectors[i].code && matches == selectors[i].matches, "selector '%s'",
               selectors[i].selector);
    }
    return tap_done();
}
