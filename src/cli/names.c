#include "cli/names.h"

#include "cli/commands.h"
#include "cli/gateway.h"

enum {
    ANSWER_MS = 1000,
    NAMES_MAX = 200
}; // a second: whoever waits longer has typed the name; reference: CLI 9

struct names {
    struct gateway *g;
    void (*add)(void *ctx, const char *name);
    void *ctx;
};

// A name goes to the shell as a word of a line: what is no plain name is left out.
static void add(const struct names *x, const char *name)
{
    for (const char *c = name; *c; c++)
        if (!char_is_alpha(*c) && !char_is_digit(*c) && !strchr("-_.", *c))
            return;
    if (name[0])
        x->add(x->ctx, name);
}

static void list_gateways(const struct names *x)
{
    struct registered *v = NULL;
    size_t n = 0;
    struct err ignored = {};
    if (registry_list(&x->g->registry, &x->g->arena, &v, &n, &ignored) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++)
        add(x, v[i].name);
}

static void list_sandboxes(const struct names *x)
{
    Openshell__V1__ListSandboxesRequest req = OPENSHELL__V1__LIST_SANDBOXES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err ignored = {};
    req.limit = NAMES_MAX;
    req.workspace = x->g->workspace;
    if (gateway_ask(x->g, RPC_OPEN_SHELL_LIST_SANDBOXES, &req.base, &m, &ignored) != ERR_OK)
        return;
    const Openshell__V1__ListSandboxesResponse *out = GATEWAY_ANSWER(Openshell__V1__ListSandboxesResponse, m);
    for (size_t i = 0; i < out->n_sandboxes; i++)
        if (out->sandboxes[i]->metadata)
            add(x, out->sandboxes[i]->metadata->name);
}

static void list_providers(const struct names *x)
{
    Openshell__V1__ListProvidersRequest req = OPENSHELL__V1__LIST_PROVIDERS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err ignored = {};
    req.limit = NAMES_MAX;
    req.workspace = x->g->workspace;
    if (gateway_ask(x->g, RPC_OPEN_SHELL_LIST_PROVIDERS, &req.base, &m, &ignored) != ERR_OK)
        return;
    const Openshell__V1__ListProvidersResponse *out = GATEWAY_ANSWER(Openshell__V1__ListProvidersResponse, m);
    for (size_t i = 0; i < out->n_providers; i++)
        if (out->providers[i]->metadata)
            add(x, out->providers[i]->metadata->name);
}

static void list_workspaces(const struct names *x)
{
    Openshell__V1__ListWorkspacesRequest req = OPENSHELL__V1__LIST_WORKSPACES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err ignored = {};
    req.limit = NAMES_MAX;
    if (gateway_ask(x->g, RPC_OPEN_SHELL_LIST_WORKSPACES, &req.base, &m, &ignored) != ERR_OK)
        return;
    const Openshell__V1__ListWorkspacesResponse *out = GATEWAY_ANSWER(Openshell__V1__ListWorkspacesResponse,
                                                                      m);
    for (size_t i = 0; i < out->n_workspaces; i++)
        if (out->workspaces[i]->metadata)
            add(x, out->workspaces[i]->metadata->name);
}

static const struct {
    const char *kind;
    bool ask; // the gateway
    void (*list)(const struct names *x);
} kinds[] = {
    {"gateway", false, list_gateways},
    {"sandbox", true, list_sandboxes},
    {"provider", true, list_providers},
    {"workspace", true, list_workspaces},
};

void names_list(const char *kind, char *const *v, size_t n, void (*add_name)(void *ctx, const char *name),
                void *ctx)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    g.wait_ms = ANSWER_MS;
    const struct names x = {.g = &g, .add = add_name, .ctx = ctx};
    struct args a;
    struct err ignored = {};
    // Half a line is no command, but the options in front of the cursor are understood.
    (void)!args_parse((int)n, v, command_root(), &a);
    bool chosen = gateway_choose(&a, &g, &ignored) == ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0 &&
            (!kinds[i].ask || (chosen && gateway_is_configured(&g) && gateway_dial(&g, &ignored) == ERR_OK)))
            kinds[i].list(&x);
    args_done(&a);
}
