// sandbox provider list, attach, detach.
#include "cli/commands.h"
#include "cli/sandbox.h"
#include "cli/show.h"

static const struct arg list_args[] = {SANDBOX_NAME_ARG};
static const struct arg change_args[] = {
    {.name = "NAME", .type = OPT_STRING, .kind = "sandbox", .help = "The sandbox"},
    {.name = "PROVIDER", .type = OPT_STRING, .kind = "provider", .help = "The provider"},
};

static int list_run(struct cli *cli, const struct args *a)
{
    static const char *const headings[] = {"NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"};
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    CLEANUP(table_done) struct table t;
    const Openshell__V1__Sandbox *s = NULL;
    ProtobufCMessage *m = NULL;
    table_init(&t, headings, ARRAY_LEN(headings));
    int status = sandbox_open(cli, a, &g, &s);
    if (status != 0)
        return status;
    Openshell__V1__ListSandboxProvidersRequest req = OPENSHELL__V1__LIST_SANDBOX_PROVIDERS_REQUEST__INIT;
    req.sandbox_name = s->metadata->name;
    req.workspace = g.workspace;
    status = gateway_call(cli, &g, RPC_OPEN_SHELL_LIST_SANDBOX_PROVIDERS, &req.base,
                          "list the sandbox's providers", &m);
    if (status != 0)
        return status;
    const Openshell__V1__ListSandboxProvidersResponse
        *out = GATEWAY_ANSWER(Openshell__V1__ListSandboxProvidersResponse, m);
    if (out->n_providers == 0) {
        buf_add(&cli->out, STR("No providers attached to sandbox "));
        term_name(&cli->out, s->metadata->name);
        buf_add(&cli->out, STR(".\n"));
        return 0;
    }
    for (size_t i = 0; i < out->n_providers; i++) {
        const Openshell__Datamodel__V1__Provider *p = out->providers[i];
        table_row(&t);
        table_cell(&t, 0, -1, p->metadata ? p->metadata->name : "");
        table_cell(&t, 1, -1, p->type);
        table_cellf(&t, 2, "%zu", p->n_credentials);
        table_cellf(&t, 3, "%zu", p->n_config);
    }
    return table_print(&t, cli);
}

static int attach_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const Openshell__V1__Sandbox *s = NULL;
    Openshell__V1__AttachSandboxProviderRequest req = OPENSHELL__V1__ATTACH_SANDBOX_PROVIDER_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = sandbox_open(cli, a, &g, &s);
    if (status != 0)
        return status;
    req.sandbox_name = s->metadata->name;
    req.provider_name = gateway_text(a->words[1]);
    req.expected_resource_version = s->metadata->resource_version;
    req.workspace = g.workspace;
    status = gateway_call(cli, &g, RPC_OPEN_SHELL_ATTACH_SANDBOX_PROVIDER, &req.base, "attach the provider",
                          &m);
    if (status != 0)
        return status;
    if (GATEWAY_ANSWER(Openshell__V1__AttachSandboxProviderResponse, m)->attached)
        show_out(cli, SHOW_DONE, "Attached provider %s to sandbox %s", a->words[1], a->words[0]);
    else
        buf_addf(&cli->out, "Provider %s is already attached to sandbox %s.\n", a->words[1], a->words[0]);
    return 0;
}

static int detach_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const Openshell__V1__Sandbox *s = NULL;
    Openshell__V1__DetachSandboxProviderRequest req = OPENSHELL__V1__DETACH_SANDBOX_PROVIDER_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = sandbox_open(cli, a, &g, &s);
    if (status != 0)
        return status;
    req.sandbox_name = s->metadata->name;
    req.provider_name = gateway_text(a->words[1]);
    req.expected_resource_version = s->metadata->resource_version;
    req.workspace = g.workspace;
    status = gateway_call(cli, &g, RPC_OPEN_SHELL_DETACH_SANDBOX_PROVIDER, &req.base, "detach the provider",
                          &m);
    if (status != 0)
        return status;
    if (GATEWAY_ANSWER(Openshell__V1__DetachSandboxProviderResponse, m)->detached)
        show_out(cli, SHOW_DONE, "Detached provider %s from sandbox %s", a->words[1], a->words[0]);
    else
        buf_addf(&cli->out, "Provider %s is not attached to sandbox %s.\n", a->words[1], a->words[0]);
    return 0;
}

static const struct command list_command = {
    .name = "list",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the providers that a sandbox may use",
    COMMAND_TABLE(args, list_args),
    .run = list_run,
};
static const struct command attach_command = {
    .name = "attach",
    .alias = "",
    .section = "COMMANDS",
    .about = "Let a sandbox use a provider's credentials, from its next request on",
    COMMAND_TABLE(args, change_args),
    .run = attach_run,
};
static const struct command detach_command = {
    .name = "detach",
    .alias = "",
    .section = "COMMANDS",
    .about = "Let it use them no more",
    COMMAND_TABLE(args, change_args),
    .run = detach_run,
};
static const struct command *const provider_subs[] = {&list_command, &attach_command, &detach_command};

const struct command sandbox_provider_command = {
    .name = "provider",
    .alias = "",
    .section = "COMMANDS",
    .about = "Change which credentials a sandbox may use, while it runs",
    COMMAND_TABLE(subs, provider_subs),
};
