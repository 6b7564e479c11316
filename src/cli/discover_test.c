#include "cli/discover.h"

#include <stdlib.h>

#include "alloc_fail.h"
#include "tap.h"

static const struct agent_row {
    const char *command, *want;
} agents[] = {
    {"claude", "claude-code"},
    {"/usr/bin/claude", "claude-code"},
    {"./Claude", "claude-code"},
    {"codex", "codex"},
    {"opencode", "opencode"},
    {"copilot", "copilot"},
    {"gh", "github"},
    {"bash", NULL},
    {"", NULL},
    {"/", NULL},
    {"claude/", NULL},
    {"claudette", NULL},
    {"a-name-that-is-longer-than-any-of-the-table", NULL},
};

static void test_agents(void)
{
    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        const char *got = discover_agent(agents[i].command), *want = agents[i].want;
        tap_ok(want ? got && strcmp(got, want) == 0 : !got, "the command '%s' is of type %s",
               agents[i].command, want ? want : "none");
    }
}

static const struct env_row {
    const char *rule;
    const char *variables[3], *values[3]; // NULL: not set
    size_t want;
} environments[] = {
    {"one that is set", {"DT_A", "DT_B"}, {"x", NULL}, 1},
    {"each that is set", {"DT_A", "DT_B"}, {"x", "y"}, 2},
    {"none", {"DT_A", "DT_B"}, {NULL, NULL}, 0},
    {"an empty one is none", {"DT_A"}, {""}, 0},
    {"a blank one is none", {"DT_A"}, {" \t\n"}, 0},
    {"twice the same is once", {"DT_A", "DT_A"}, {"x", "x"}, 1},
};

static void test_environment(void)
{
    for (size_t i = 0; i < ARRAY_LEN(environments); i++) {
        const struct env_row *e = &environments[i];
        CLEANUP(arena_done) struct arena a;
        discovered **v = NULL;
        struct err err = {};
        size_t n = 99;
        arena_init(&a, MIB);
        for (size_t k = 0; k < 3 && e->variables[k]; k++)
            (void)(e->values[k] ? setenv(e->variables[k], e->values[k], 1) : unsetenv(e->variables[k]));
        enum err_code r = discover_environment(e->variables, NULL, &a, &v, &n, &err);
        bool right = r == ERR_OK && n == e->want;
        for (size_t k = 0; right && k < n; k++)
            right = strcmp(v[k]->key, e->variables[k]) == 0 && strcmp(v[k]->value, e->values[k]) == 0;
        tap_ok(right, "%s", e->rule);
    }
}

// Only credentials that the profile lists for discovery are looked for, each by all its variables.
static void test_profile(void)
{
    char *vars[] = {(char[]){"DT_A"}, (char[]){"DT_B"}}, *listed[] = {(char[]){"key"}};
    Openshell__V1__ProviderProfileCredential key = OPENSHELL__V1__PROVIDER_PROFILE_CREDENTIAL__INIT,
                                             other = OPENSHELL__V1__PROVIDER_PROFILE_CREDENTIAL__INIT,
                                             *creds[] = {&key, &other};
    Openshell__V1__ProviderProfile p = OPENSHELL__V1__PROVIDER_PROFILE__INIT;
    Openshell__V1__ProviderProfileDiscovery d = OPENSHELL__V1__PROVIDER_PROFILE_DISCOVERY__INIT;
    CLEANUP(arena_done) struct arena a;
    discovered **v = NULL;
    struct err err = {};
    size_t n = 99;
    arena_init(&a, MIB);
    key.name = listed[0];
    key.env_vars = &vars[0];
    key.n_env_vars = 1;
    other.name = (char[]){"other"};
    other.env_vars = &vars[1];
    other.n_env_vars = 1;
    p.credentials = creds;
    p.n_credentials = ARRAY_LEN(creds);
    (void)setenv("DT_A", "x", 1);
    (void)setenv("DT_B", "y", 1);
    tap_ok(discover_environment(NULL, &p, &a, &v, &n, &err) == ERR_OK && n == 0,
           "a profile without discovery finds nothing");
    p.discovery = &d;
    d.credentials = listed;
    d.n_credentials = 1;
    tap_ok(discover_environment(NULL, &p, &a, &v, &n, &err) == ERR_OK && n == 1 &&
               strcmp(v[0]->key, "DT_A") == 0,
           "one with it finds what it lists");
}

static void test_no_memory(void)
{
    static const char *const names[] = {"DT_A", "DT_B", NULL};
    for (size_t n = 1;; n++) {
        CLEANUP(arena_done) struct arena a;
        discovered **v = NULL;
        struct err err = {};
        size_t found = 0;
        arena_init(&a, MIB);
        alloc_fail_at(n);
        enum err_code r = discover_environment(names, NULL, &a, &v, &found, &err);
        alloc_fail_off();
        bool done = alloc_fail_count() < n;
        tap_ok(done ? r == ERR_OK && found == 2 : r == ERR_LIMIT, "allocation %zu fails", n);
        if (done)
            break;
    }
}

int main(void)
{
    test_agents();
    test_environment();
    test_profile();
    test_no_memory();
    return tap_done();
}
