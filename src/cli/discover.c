#include "cli/discover.h"

#include <stdlib.h>

#include "convert/provider_type.h"

enum { FOUND_MAX = 64 };

static const struct known {
    const char *type;
    const char *const *variables;
} known[] = {
    {"anthropic", (const char *const[]){"ANTHROPIC_API_KEY", NULL}},
    {"aws-bedrock",
     (const char *const[]){"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", NULL}},
    {"claude-code", (const char *const[]){"ANTHROPIC_API_KEY", "CLAUDE_API_KEY", NULL}},
    {"codex", (const char *const[]){"OPENAI_API_KEY", NULL}},
    {"copilot", (const char *const[]){"COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", NULL}},
    {"deepinfra", (const char *const[]){"DEEPINFRA_API_KEY", NULL}},
    {"generic", (const char *const[]){NULL}},
    {"github", (const char *const[]){"GITHUB_TOKEN", "GH_TOKEN", NULL}},
    {"gitlab", (const char *const[]){"GITLAB_TOKEN", "GLAB_TOKEN", "CI_JOB_TOKEN", NULL}},
    {"google-cloud", (const char *const[]){"GCP_SA_ACCESS_TOKEN", "GCP_ADC_ACCESS_TOKEN", NULL}},
    {"google-vertex-ai", (const char *const[]){"GOOGLE_VERTEX_AI_TOKEN", "VERTEX_AI_TOKEN",
                                               "GOOGLE_VERTEX_AI_SERVICE_ACCOUNT_TOKEN",
                                               "VERTEX_AI_SERVICE_ACCOUNT_TOKEN", NULL}},
    {"nvidia", (const char *const[]){"NVIDIA_API_KEY", NULL}},
    {"openai", (const char *const[]){"OPENAI_API_KEY", NULL}},
    {"opencode", (const char *const[]){"OPENCODE_API_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY", NULL}},
    {"outlook", (const char *const[]){NULL}},
};

const char *const *discover_variables(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].type, type) == 0)
            return known[i].variables;
    return NULL;
}

static bool is_blank(const char *s)
{
    return !s || str_trim(str_of(s)).n == 0;
}

static enum err_code add(const char *name, struct arena *a, discovered **list, size_t *n, struct err *reterr)
{
    const char *value = getenv(name);
    for (size_t i = 0; i < *n; i++)
        if (strcmp(list[i]->key, name) == 0)
            return ERR_OK;
    if (is_blank(value) || *n == FOUND_MAX)
        return ERR_OK;
    discovered *e = arena_new(a, discovered);
    if (!e)
        return arena_limit(a, "credentials", reterr);
    openshell__datamodel__v1__provider__credentials_entry__init(e);
    e->key = (char *)(uintptr_t)name; // packing only reads both
    e->value = (char *)(uintptr_t)value;
    list[(*n)++] = e;
    return ERR_OK;
}

enum err_code discover_environment(const char *const *variables,
                                   const Openshell__V1__ProviderProfile *profile, struct arena *a,
                                   discovered ***ret, size_t *ret_n, struct err *reterr)
{
    discovered **list = arena_newn(a, discovered *, FOUND_MAX);
    size_t n = 0;
    enum err_code r = list ? ERR_OK : arena_limit(a, "credentials", reterr);
    for (size_t i = 0; r == ERR_OK && !profile && variables && variables[i]; i++)
        r = add(variables[i], a, list, &n, reterr);
    for (size_t i = 0; r == ERR_OK && profile && profile->discovery && i < profile->discovery->n_credentials;
         i++)
        for (size_t k = 0; k < profile->n_credentials; k++) {
            const Openshell__V1__ProviderProfileCredential *c = profile->credentials[k];
            if (strcmp(c->name, profile->discovery->credentials[i]) != 0)
                continue;
            for (size_t v = 0; r == ERR_OK && v < c->n_env_vars; v++)
                r = add(c->env_vars[v], a, list, &n, reterr);
        }
    if (r == ERR_OK) {
        *ret = list;
        *ret_n = n;
    }
    return r;
}

const char *discover_agent(const char *command)
{
    const char *slash = strrchr(command, '/');
    struct str word = str_of(slash ? slash + 1 : command);
    char name[32];
    if (word.n >= sizeof(name))
        return NULL;
    for (size_t i = 0; i <= word.n; i++)
        name[i] = (char)(word.p[i] >= 'A' && word.p[i] <= 'Z' ? word.p[i] - 'A' + 'a' : word.p[i]);
    const char *type = provider_type(name);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].type, type) == 0)
            return known[i].type;
    return NULL;
}
