#include "supervisor/session/internal.h"

#include "policy/load.h"
#include "tap.h"

#define SB(name) Openshell__Sandbox__V1__##name

static char *words[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c"};
static char *none[] = {(char *)(uintptr_t) ""};

static const struct {
    bool launch;
    char **command;
    size_t command_n;
    const char *key, *level;
    enum err_code code;
    bool verbose;
    const char *rule;
} rows[] = {
    {true, words, 2, "A", "", ERR_OK, false, "a command and its environment"},
    {true, words, 2, "A", "Debug", ERR_OK, true, "a level that asks for all events"},
    {true, words, 2, "A", "warn", ERR_OK, false, "one that does not"},
    {false, words, 2, "A", "", ERR_PRECONDITION, false, "a gateway that does not say what to start"},
    {true, words, 0, "A", "", ERR_INVALID, false, "no command"},
    {true, none, 1, "A", "", ERR_INVALID, false, "a command without a name"},
    {true, words, 2, "", "", ERR_INVALID, false, "a variable without a name"},
    {true, words, 2, "A=B", "", ERR_INVALID, false, "one whose name has an end in it"},
};

static void test_launch(size_t i)
{
    SB(GetSandboxConfigResponse) m = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_RESPONSE__INIT;
    SB(LaunchSpec) l = OPENSHELL__SANDBOX__V1__LAUNCH_SPEC__INIT;
    SB(LaunchSpec__EnvironmentEntry) pair = OPENSHELL__SANDBOX__V1__LAUNCH_SPEC__ENVIRONMENT_ENTRY__INIT;
    SB(LaunchSpec__EnvironmentEntry) * list[] = {&pair};
    CLEANUP(arena_done) struct arena a;
    struct session_launch got = {};
    struct err err = {};
    arena_init(&a, MIB);
    pair.key = (char *)(uintptr_t)rows[i].key;
    pair.value = (char *)(uintptr_t) "x=y";
    l.name = (char *)(uintptr_t) "box";
    l.log_level = (char *)(uintptr_t)rows[i].level;
    l.command = rows[i].command;
    l.n_command = rows[i].command_n;
    l.environment = list;
    l.n_environment = 1;
    m.launch = rows[i].launch ? &l : NULL;
    enum err_code r = config_launch(&m, &a, &got, &err);
    bool ok = r == rows[i].code;
    if (ok && r == ERR_OK)
        ok = strcmp(got.name, "box") == 0 && !got.workdir && got.verbose == rows[i].verbose &&
             strcmp(got.argv[1], "-c") == 0 && !got.argv[2] && strcmp(got.env[0], "A=x=y") == 0 &&
             !got.env[1];
    tap_ok(ok, "%s: %s", rows[i].rule, err.msg);
}

static void test_policy(void)
{
    SB(GetSandboxConfigResponse) m = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_RESPONSE__INIT;
    SB(SupervisorMiddlewareService) service = OPENSHELL__SANDBOX__V1__SUPERVISOR_MIDDLEWARE_SERVICE__INIT;
    SB(SupervisorMiddlewareService) * services[] = {&service};
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf text = {}, refused = {};
    struct err err = {};
    struct diags diags;
    struct policy *policy = NULL;
    arena_init(&a, POLICY_ARENA_MAX);
    diags_init(&diags, &a);
    bool ok = config_policy(&m, &text, &err) == ERR_OK &&
              policy_load(buf_str(&text), POLICY_USE_FILE, &a, &policy, &diags, &err) == ERR_OK;
    tap_ok(ok && policy->entries_n == 0 && policy->filesystem.include_workdir,
           "without a policy the most restrictive one holds: %s", err.msg);
    m.supervisor_middleware_services = services;
    m.n_supervisor_middleware_services = 1;
    tap_ok(config_policy(&m, &refused, &err) == ERR_UNSUPPORTED, "middleware is refused: %s", err.msg);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        test_launch(i);
    test_policy();
    return tap_done();
}
