#include "supervisor/credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "base/fd.h"
#include "tap.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CANON "openshell:resolve:env:"

static char path[] = "/tmp/credentials-test-XXXXXX";

static enum err_code set_text(struct credentials *c, const char *text, struct err *e)
{
    enum err_code r = file_write_atomic(path, str_of(text), 0600, e);
    return r == ERR_OK ? credentials_set_file(c, path, e) : r;
}

static const struct credential_place here = {STR_INIT("api.example.com"), 443, STR_INIT("/v1/chat")};

// ---- who gets what
// ----------------------------------------------------------------------------------------------------------

#define SET                                                                                                  \
    "{\"revision\": 7, \"environment\": {\"PROJECT\": \"p-1\"}, \"credentials\": {"                          \
    "\"KEY\": {\"value\": \"secret-1\", \"identity\": \"u:KEY\", \"endpoints\": "                            \
    "[{\"host\": \"API.example.com\", \"port\": 443, \"path\": \"/v1/**\"}]},"                               \
    "\"WILD\": {\"value\": \"secret-2\", \"endpoints\": [{\"host\": \"*.example.com\", \"port\": 443}]},"    \
    "\"BOUND\": {\"value\": \"secret-3\", \"handle\": \"" HEX64                                              \
    "\", \"identity\": \"refresh:1\", \"endpoints\": [{\"host\": \"api.example.com\", \"port\": 443}]},"     \
    "\"OLD\": {\"value\": \"secret-4\", \"expires_at_ms\": 1000, \"endpoints\": "                            \
    "[{\"host\": \"api.example.com\", \"port\": 443}]},"                                                     \
    "\"LINES\": {\"value\": \"a\\nb\", \"endpoints\": [{\"host\": \"api.example.com\", \"port\": 443}]},"    \
    "\"SHAPED\": {\"value\": \"ghp_abcdefghijabcdefghijabcdefghijabcdef\", \"form\": \"shaped\", "           \
    "\"endpoints\": [{\"host\": \"api.example.com\", \"port\": 443}]},"                                      \
    "\"ALIAS\": {\"value\": \"sk-abc\", \"form\": \"alias\", \"endpoints\": "                                \
    "[{\"host\": \"api.example.com\", \"port\": 443}]},"                                                     \
    "\"v1_X\": {\"value\": \"secret-5\", \"endpoints\": [{\"host\": \"api.example.com\", \"port\": 443}]}"   \
    "}}"

static const struct {
    const char *placeholder, *host, *path;
    uint16_t port;
    enum err_code want;
    const char *value, *rule;
} rows[] = {
    {CANON "KEY", "api.example.com", "/v1/chat", 443, ERR_OK, "secret-1", "bound host, port and path"},
    {CANON "KEY", "api.example.com", "/v2/chat", 443, ERR_DENIED, "", "another path"},
    {CANON "KEY", "api.example.com", "/v1/chat", 444, ERR_DENIED, "", "another port"},
    {CANON "KEY", "x.api.example.com", "/v1/chat", 443, ERR_DENIED, "", "a host below"},
    {CANON "KEY", "example.com", "/v1/chat", 443, ERR_DENIED, "", "a host above"},
    {CANON "WILD", "any.example.com", "/", 443, ERR_OK, "secret-2", "a host pattern, any path"},
    {CANON "WILD", "a.b.example.com", "/", 443, ERR_DENIED, "", "a star is one label"},
    {CANON "NONE", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "an unknown key"},
    {CANON "PROJECT", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "a literal is no credential"},
    {CANON "v7_KEY", "api.example.com", "/v1/x", 443, ERR_OK, "secret-1", "this revision"},
    {CANON "v6_KEY", "api.example.com", "/v1/x", 443, ERR_NOT_FOUND, "", "a revision that never was"},
    {CANON "s" HEX64 "_BOUND", "api.example.com", "/", 443, ERR_OK, "secret-3", "a handle"},
    {CANON "s" HEX64 "_KEY", "api.example.com", "/v1/x", 443, ERR_NOT_FOUND, "", "a handle of another key"},
    {CANON "BOUND", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "identity-bound: not by the plain form"},
    {"x-OPENSHELL-RESOLVE-ENV-BOUND", "api.example.com", "/", 443, ERR_NOT_FOUND, "",
     "identity-bound: not by an alias"},
    {CANON "v7_BOUND", "api.example.com", "/", 443, ERR_OK, "secret-3", "identity-bound: by its revision"},
    {CANON "OLD", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "expired"},
    {CANON "OLD", "evil.test", "/", 443, ERR_DENIED, "", "expired, and elsewhere: the binding is told first"},
    {CANON "LINES", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "a value with a line break"},
    {"zz-OPENSHELL-RESOLVE-ENV-KEY", "api.example.com", "/v1/x", 443, ERR_OK, "secret-1", "any alias"},
    {"sk-OPENSHELL-RESOLVE-ENV-ALIAS", "api.example.com", "/", 443, ERR_OK, "sk-abc", "an alias"},
    {CANON "v1_X", "api.example.com", "/", 443, ERR_NOT_FOUND, "", "a reserved name was left out"},
    {"KEY", "api.example.com", "/v1/x", 443, ERR_NOT_FOUND, "", "no placeholder at all"},
};

static void resolve(const struct credentials *c, size_t i)
{
    const struct credential_place where = {str_of(rows[i].host), rows[i].port, str_of(rows[i].path)};
    struct str value = {};
    struct err e = {};
    enum err_code r = credentials_resolve(c, str_of(rows[i].placeholder), &where, 2000, &value, &e);
    if (!tap_ok(r == rows[i].want && str_eq(value, str_of(rows[i].value)), "resolve: %s", rows[i].rule))
        tap_note("%d %s", r, e.msg);
}

static struct str env_of(const struct strs *env, const char *name)
{
    for (size_t i = 0; i < env->n; i++) {
        struct str rest = env->v[i], key;
        if (str_split(&rest, '=', &key) && str_eq(key, str_of(name)))
            return rest;
    }
    return (struct str){};
}

static void environment(const struct credentials *c)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct strs env = {};
    struct err e = {};
    struct str value = {};
    bool ok = credentials_env(c, &a, &env, &e) == ERR_OK && env.n == 8;
    tap_ok(ok && str_eq(env_of(&env, "KEY"), STR(CANON "v7_KEY")), "env: the revision stands in it");
    tap_ok(ok && str_eq(env_of(&env, "BOUND"), STR(CANON "s" HEX64 "_BOUND")), "env: or the handle");
    tap_ok(ok && str_eq(env_of(&env, "PROJECT"), STR("p-1")), "env: literals as they are");
    tap_ok(ok && str_eq(env_of(&env, "ALIAS"), STR("sk-OPENSHELL-RESOLVE-ENV-ALIAS")),
           "env: an alias has the published beginning of its value");
    tap_ok(ok && !env_of(&env, "v1_X").p, "env: a reserved name is left out");
    struct str shaped = env_of(&env, "SHAPED");
    tap_ok(shaped.n == 40 && str_starts(shaped, STR("ghp_05e11abe1dc0de5e")), "env: a shaped one is as long");
    tap_ok(ok && credentials_resolve(c, shaped, &here, 0, &value, &e) == ERR_OK &&
               str_eq(value, STR("ghp_abcdefghijabcdefghijabcdefghijabcdef")),
           "env: and stands for its value");
    bool leaks = false;
    for (size_t i = 0; i < env.n; i++)
        leaks |= memmem(env.v[i].p, env.v[i].n, "secret-", 7) ||
                 memmem(env.v[i].p, env.v[i].n, "abcdefghij", 10);
    tap_ok(ok && !leaks, "env: no value in it");
}

// ---- over time
// -----------------------------------------------------------------------------------------------------------

static bool gives(const struct credentials *c, const char *placeholder, const char *value)
{
    struct str got = {};
    struct err e;
    enum err_code r = credentials_resolve(c, str_of(placeholder), &here, 0, &got, &e);
    return value ? r == ERR_OK && str_eq(got, str_of(value)) : r == ERR_NOT_FOUND;
}

static enum err_code revision(struct credentials *c, unsigned n, const char *value, const char *identity)
{
    char text[400];
    struct err e;
    (void)snprintf(text, sizeof(text),
                   "{\"revision\": %u, \"credentials\": {\"K\": {\"value\": \"%s\", \"identity\": \"%s\", "
                   "\"endpoints\": [{\"host\": \"api.example.com\", \"port\": 443}]}}}",
                   n, value, identity);
    return set_text(c, text, &e);
}

static void rotation(void)
{
    struct credentials *c = NULL;
    struct err e = {};
    bool ok = credentials_new(&c, &e) == ERR_OK && revision(c, 1, "one", "a") == ERR_OK &&
              revision(c, 2, "two", "a") == ERR_OK;
    tap_ok(ok && gives(c, CANON "K", "two"), "rotation: plain is the value of now");
    tap_ok(ok && gives(c, CANON "v1_K", "two"), "rotation: an older revision of the same identity, too");
    ok = ok && revision(c, 3, "three", "b") == ERR_OK;
    tap_ok(ok && gives(c, CANON "v3_K", "three") && gives(c, CANON "v2_K", NULL) &&
               gives(c, CANON "v1_K", NULL),
           "rotation: not of another identity");
    for (unsigned i = 4; ok && i <= 10; i++)
        ok = revision(c, i, "later", "b") == ERR_OK;
    tap_ok(ok && gives(c, CANON "v3_K", "later"), "rotation: seven revisions back");
    ok = ok && revision(c, 11, "last", "b") == ERR_OK;
    tap_ok(ok && gives(c, CANON "v3_K", NULL) && gives(c, CANON "v4_K", "last"),
           "rotation: the eighth is forgotten");
    ok = ok && set_text(c, "{\"revision\": 12}", &e) == ERR_OK;
    tap_ok(ok && gives(c, CANON "K", NULL) && gives(c, CANON "v11_K", NULL),
           "rotation: what is detached is gone in every form");
    credentials_free(c);
}

// ---- what is refused
// ----------------------------------------------------------------------------------------------------

#define ONE(members) "{\"credentials\": {\"K\": {" members "}}}"
#define PLACES       "\"endpoints\": [{\"host\": \"a.test\", \"port\": 443}]"

static const struct {
    const char *text, *error, *rule;
} bad[] = {
    {"{", "not JSON, line 1, column 1", "no JSON"},
    {"[]", "not an object of \"revision\", \"environment\" and \"credentials\"", "no object"},
    {"{\"credential\": {}}", "the file: unknown member 'credential'", "a misspelt member"},
    {ONE("\"value\": \"v\""), "credentials.K: it needs a \"value\" and \"endpoints\"", "no endpoints"},
    {ONE("\"value\": \"v\", \"endpoints\": []"), "credential 'K': no endpoint that it is bound to",
     "bound to nothing"},
    {ONE("\"value\": \"v\", \"identity\": \"\", " PLACES), "credential 'K': no identity", "no identity"},
    {ONE("\"value\": \"v\", \"handle\": \"12\", " PLACES),
     "credential 'K': a handle that is not 64 hex digits", "a bad handle"},
    {ONE("\"value\": \"v\", \"endpoints\": [{\"host\": \"a.test\", \"port\": 0}]"),
     "credential 'K': port 0 is not in 1..65535", "port 0"},
    {ONE("\"value\": \"v\", \"endpoints\": [{\"host\": \"a.test\", \"port\": 65536}]"),
     "credential 'K': port 65536 is not in 1..65535", "port 65536"},
    {ONE("\"value\": \"v\", \"endpoints\": [{\"host\": \"**\", \"port\": 443}]"),
     "credential 'K': host '**' binds it to nothing", "every host"},
    {ONE("\"value\": \"v\", \"endpoints\": [{\"host\": \"\", \"port\": 443}]"),
     "credential 'K': host '' binds it to nothing", "no host"},
    {ONE("\"value\": \"v\", \"endpoints\": [{\"host\": \"a.test\", \"port\": 443, \"ports\": []}]"),
     "credentials.K: unknown member 'ports'", "a misspelt member of an endpoint"},
    {ONE("\"value\": \"v\", \"form\": \"short\", " PLACES),
     "credentials.K: a member of the wrong type, or an unknown form", "an unknown form"},
    {ONE("\"value\": \"short\", \"form\": \"shaped\", " PLACES),
     "credential 'K': a value of 5 bytes has no shaped form, which takes 32 to 512", "too short for a shape"},
    {"{\"environment\": {\"K\": \"x\"}, \"credentials\": {\"K\": {\"value\": \"v\", " PLACES "}}}",
     "credential 'K' is given twice", "one name twice"},
    {"{\"environment\": {\"A-B\": \"x\"}}", "'A-B' is no name of a variable", "no name"},
    {"{\"environment\": {\"1A\": \"x\"}}", "'1A' is no name of a variable", "a digit in front"},
};

static void refuse(size_t i)
{
    struct credentials *c = NULL;
    struct err e = {};
    if (credentials_new(&c, &e) != ERR_OK || set_text(c, SET, &e) != ERR_OK) {
        tap_ok(false, "refused: %s (%s)", bad[i].rule, e.msg);
        credentials_free(c);
        return;
    }
    enum err_code r = set_text(c, bad[i].text, &e);
    struct str value;
    struct err ignored;
    bool gone = credentials_count(c) == 0 &&
                credentials_resolve(c, STR(CANON "KEY"), &here, 0, &value, &ignored) == ERR_NOT_FOUND;
    bool named = strlen(e.msg) >= strlen(bad[i].error) &&
                 strcmp(e.msg + strlen(e.msg) - strlen(bad[i].error), bad[i].error) == 0;
    if (!tap_ok(r == ERR_INVALID && named && gone, "refused, and all is revoked: %s", bad[i].rule))
        tap_note("%d %s", r, e.msg);
    credentials_free(c);
}

static void files(void)
{
    struct credentials *c = NULL;
    struct err e = {};
    bool ok = credentials_new(&c, &e) == ERR_OK && set_text(c, SET, &e) == ERR_OK;
    ok = ok && chmod(path, 0640) == 0 && credentials_set_file(c, path, &e) == ERR_DENIED;
    tap_ok(ok && credentials_count(c) == 0, "a file that a group may read is refused: %s", e.msg);
    ok = ok && credentials_set_file(c, "/tmp", &e) == ERR_PRECONDITION;
    tap_ok(ok, "a folder is refused: %s", e.msg);
    ok = ok && credentials_set_file(c, "/tmp/credentials-test-none", &e) == ERR_NOT_FOUND;
    tap_ok(ok, "no file: %s", e.msg);
    credentials_free(c);
}

// ---- the message
// -------------------------------------------------------------------------------------------------------

static void message(void)
{
    char secret[] = "from-gateway", literal[] = "plain", loose[] = "unbound-value";
    Openshell__V1__StaticCredentialEndpointBinding
        place = OPENSHELL__V1__STATIC_CREDENTIAL_ENDPOINT_BINDING__INIT;
    place.host = (char[]){"api.example.com"};
    place.port = 443;
    Openshell__V1__StaticCredentialEndpointBinding *places[] = {&place};
    Openshell__V1__StaticCredentialBinding binding = OPENSHELL__V1__STATIC_CREDENTIAL_BINDING__INIT;
    binding.n_endpoints = 1;
    binding.endpoints = places;
    binding.credential_identity = (char[]){"p:KEY"};
    Openshell__V1__GetSandboxProviderEnvironmentResponse__StaticCredentialBindingsEntry bound =
        OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_RESPONSE__STATIC_CREDENTIAL_BINDINGS_ENTRY__INIT;
    bound.key = (char[]){"KEY"};
    bound.value = &binding;
    Openshell__V1__GetSandboxProviderEnvironmentResponse__StaticCredentialBindingsEntry *bindings[] = {
        &bound};
    Openshell__V1__GetSandboxProviderEnvironmentResponse__EnvironmentEntry env[3] =
        {OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_RESPONSE__ENVIRONMENT_ENTRY__INIT,
         OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_RESPONSE__ENVIRONMENT_ENTRY__INIT,
         OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_RESPONSE__ENVIRONMENT_ENTRY__INIT};
    env[0].key = (char[]){"KEY"};
    env[0].value = secret;
    env[1].key = (char[]){"REGION"};
    env[1].value = literal;
    env[2].key = (char[]){"LOOSE"};
    env[2].value = loose;
    Openshell__V1__GetSandboxProviderEnvironmentResponse__EnvironmentEntry *envs[] = {&env[0], &env[1],
                                                                                      &env[2]};
    char *plain[] = {(char[]){"REGION"}};
    Openshell__V1__GetSandboxProviderEnvironmentResponse
        m = OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_RESPONSE__INIT;
    m.n_environment = 3;
    m.environment = envs;
    m.n_static_credential_bindings = 1;
    m.static_credential_bindings = bindings;
    m.n_non_secret_environment_keys = 1;
    m.non_secret_environment_keys = plain;
    m.provider_env_revision = 3;

    struct credentials *c = NULL;
    struct err e = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct strs list = {};
    bool ok = credentials_new(&c, &e) == ERR_OK && credentials_set(c, &m, &e) == ERR_OK &&
              credentials_env(c, &a, &list, &e) == ERR_OK;
    tap_ok(ok && list.n == 2 && str_eq(env_of(&list, "KEY"), STR(CANON "v3_KEY")) &&
               str_eq(env_of(&list, "REGION"), STR("plain")),
           "message: bound as a placeholder, non-secret as it is, unbound not at all");
    tap_ok(ok && gives(c, CANON "v3_KEY", "from-gateway") && gives(c, CANON "LOOSE", NULL),
           "message: the value is there for its place, an unbound one for none");
    tap_ok(secret[0] == '\0' && loose[0] == '\0' && secret[5] == '\0', "message: its values are wiped");
    place.port = 70000;
    memcpy(secret, "from-gateway", sizeof(secret));
    tap_ok(credentials_set(c, &m, &e) == ERR_INVALID && credentials_count(c) == 0 && secret[0] == '\0',
           "message: a bad one revokes all, and is wiped: %s", e.msg);
    credentials_free(c);
}

static void memory(void)
{
    bool ok = true;
    for (size_t n = 1; ok; n++) {
        struct credentials *c = NULL;
        struct err e = {};
        alloc_fail_at(n);
        enum err_code r = credentials_new(&c, &e);
        if (r == ERR_OK)
            r = credentials_set_file(c, path, &e);
        alloc_fail_off();
        bool all = alloc_fail_count() < n;
        ok = all ? r == ERR_OK : r == ERR_LIMIT || r == ERR_INVALID || r == ERR_OK; // jansson says no more
        credentials_free(c);
        if (all)
            break;
    }
    tap_ok(ok, "each allocation may fail");
}

int main(void)
{
    struct credentials *c = NULL;
    struct err e = {};
    int fd = mkstemp(path);
    fd_close(&fd);
    if (!tap_ok(credentials_new(&c, &e) == ERR_OK && set_text(c, SET, &e) == ERR_OK, "a set: %s", e.msg)) {
        credentials_free(c);
        return tap_done();
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        resolve(c, i);
    environment(c);
    credentials_free(c);
    memory();
    rotation();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refuse(i);
    files();
    message();
    (void)unlink(path);
    return tap_done();
}
