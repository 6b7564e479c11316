#include "cli/request_maps.h"

#include "tap.h"

static const struct {
    const char *word, *want, *rule;
} envs[] = {
    {"A=1", "", "a variable"},
    {"_a9=", "", "an empty value"},
    {"A", "--env A: KEY=VALUE is needed, with a key of letters, digits and '_' that begins with no digit",
     "no '='"},
    {"=1", "--env : KEY=VALUE is needed, with a key of letters, digits and '_' that begins with no digit",
     "no key"},
    {"9A=1", "--env 9A: KEY=VALUE is needed, with a key of letters, digits and '_' that begins with no digit",
     "a digit in front"},
    {"A-B=1",
     "--env A-B: KEY=VALUE is needed, with a key of letters, digits and '_' that begins with no digit",
     "another character"},
    {"OPENSHELL_X=1", "--env OPENSHELL_X: names that begin with OPENSHELL_ are reserved", "a reserved name"},
};

static const struct {
    struct str key;
    bool want;
} secrets[] = {
    {STR_INIT("GITHUB_TOKEN"), true},   {STR_INIT("db_password"), true},  {STR_INIT("OPENAI_API_KEY"), true},
    {STR_INIT("AWS_SECRET_KEY"), true}, {STR_INIT("MY_SECRET"), true},    {STR_INIT("X_CREDENTIAL_Y"), true},
    {STR_INIT("AWS_ACCESS_KEY"), true}, {STR_INIT("TOKENS"), false},      {STR_INIT("KEY_API"), false},
    {STR_INIT("PUBLIC_KEY"), false},    {STR_INIT("API_THE_KEY"), false}, {STR_INIT(""), false},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(envs); i++) {
        struct err err = {};
        bool ok = request_env_check(envs[i].word, &err) == ERR_OK;
        tap_ok(ok == !envs[i].want[0] && strcmp(err.msg, envs[i].want) == 0, "--env: %s", envs[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        tap_ok(request_env_is_secret(secrets[i].key) == secrets[i].want, "%.*s %s", STR_FMT(secrets[i].key),
               secrets[i].want ? "sounds like a credential" : "does not");
    struct arena a;
    char *key = NULL, *value = NULL;
    arena_init(&a, KIB);
    tap_ok(request_pair(&a, "a=b=c", &key, &value) && strcmp(key, "a") == 0 && strcmp(value, "b=c") == 0,
           "the first '=' splits");
    tap_ok(!request_pair(&a, "=c", &key, &value) && !request_pair(&a, "c", &key, &value),
           "a pair has a key and a '='");
    arena_done(&a);
    return tap_done();
}
