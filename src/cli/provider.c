// provider get, list, delete, and list-profiles.
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/provider.h"
#include "cli/show.h"
#include "convert/yaml_message.h"

typedef Openshell__Datamodel__V1__Provider provider;

static const struct arg name_args[] = {
    {.name = "NAME", .type = OPT_STRING, .kind = "provider", .help = "The provider"}};
static const struct arg names_args[] = {
    {.name = "NAME", .type = OPT_STRING, .repeat = true, .kind = "provider", .help = "The providers"}};

// ---- get

static char **keys_of(const void *const *entries, size_t n, struct arena *a, size_t offset)
{
    char **v = arena_newn(a, char *, n + 1);
    for (size_t i = 0; v && i < n; i++)
        v[i] = *(char *const *)(const void *)((const char *)entries[i] + offset);
    return v;
}
#define KEYS(list, n, a) keys_of((const void *const *)(list), (n), (a), offsetof(typeof(**(list)), key))

int provider_fetch(struct cli *cli, struct gateway *g, const char *name, const provider **ret)
{
    Openshell__V1__GetProviderRequest req = OPENSHELL__V1__GET_PROVIDER_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.name = gateway_text(name);
    req.workspace = g->workspace;
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_GET_PROVIDER, &req.base, "find the provider", &m);
    if (status != 0)
        return status;
    const provider *p = GATEWAY_ANSWER(Openshell__V1__ProviderResponse, m)->provider;
    if (!p || !p->metadata)
        return report(cli, "a provider has no metadata", "the gateway's answer is not understood");
    *ret = p;
    return 0;
}

static int get_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const provider *p = NULL;
    char version[24];
    int status = gateway_open(cli, a, &g);
    if (status == 0)
        status = provider_fetch(cli, &g, a->words[0], &p);
    if (status != 0 || !p)
        return status;
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)p->metadata->resource_version);
    show_heading(cli, "Provider:");
    show_field(cli, "Id", p->metadata->id);
    show_field(cli, "Name", p->metadata->name);
    show_field(cli, "Type", p->type);
    show_field(cli, "Resource version", version);
    char **keys = KEYS(p->credentials, p->n_credentials, &g.arena),
         **config = KEYS(p->config, p->n_config, &g.arena);
    if (!keys || !config)
        return report(cli, NULL, "no memory for the answer");
    if (p->n_credentials > 0)
        show_fields(cli, "Credential keys", keys, p->n_credentials);
    else
        show_field(cli, "Credential keys", "<none>");
    if (p->n_config > 0)
        show_fields(cli, "Config keys", config, p->n_config);
    else
        show_field(cli, "Config keys", "<none>");
    return 0;
}

const struct command provider_get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show a provider, with the names of its credentials",
    .text = "Values are never shown, here or anywhere else.",
    COMMAND_TABLE(args, name_args),
    .run = get_run,
};

// ---- list

enum { LIST_LIMIT, LIST_OFFSET, LIST_NAMES, LIST_ALL, LIST_OUTPUT };
static const struct opt list_opts[] = {
    [LIST_LIMIT] =
        {.name = "limit", .type = OPT_U32, .value = "N", .def = "100", .help = "At most so many, up to 1000"},
    [LIST_OFFSET] =
        {.name = "offset", .type = OPT_U32, .value = "N", .def = "0", .help = "Leave out the first"},
    [LIST_NAMES] = {.name = "names", .type = OPT_FLAG, .help = "Print nothing but names"},
    [LIST_ALL] = {.name = "all-workspaces", .type = OPT_FLAG, .help = "Those of every workspace"},
    [LIST_OUTPUT] = SHOW_OUTPUT_OPT,
};

static json_t *provider_json(const provider *p, struct arena *a, bool *ok)
{
    json_t *o = json_object(), *expires = json_object();
    char at[SHOW_TIME_SIZE];
    json_put(o, "id", json_text(str_of(p->metadata->id)), ok);
    json_put(o, "name", json_text(str_of(p->metadata->name)), ok);
    json_put(o, "workspace", json_text(str_of(p->metadata->workspace)), ok);
    json_put(o, "type", json_text(str_of(p->type)), ok);
    char **keys = KEYS(p->credentials, p->n_credentials, a), **config = KEYS(p->config, p->n_config, a);
    *ok = *ok && keys && config;
    json_put(o, "credential_keys", show_texts(keys, keys ? p->n_credentials : 0, ok), ok);
    if (p->n_config > 0)
        json_put(o, "config_keys", show_texts(config, config ? p->n_config : 0, ok), ok);
    json_put(o, "resource_version", json_integer((json_int_t)p->metadata->resource_version), ok);
    show_time(p->metadata->created_at_ms, at);
    json_put(o, "created_at", json_string(at), ok);
    for (size_t i = 0; i < p->n_credential_expires_at_ms; i++)
        json_put(expires, p->credential_expires_at_ms[i]->key,
                 json_integer((json_int_t)p->credential_expires_at_ms[i]->value), ok);
    if (p->n_credential_expires_at_ms > 0)
        json_put(o, "credential_expires_at_ms", json_incref(expires), ok);
    json_decref(expires);
    return o;
}

static int list_table(struct cli *cli, const Openshell__V1__ListProvidersResponse *out, bool all)
{
    static const char *const headings[] = {"WORKSPACE", "NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"};
    CLEANUP(table_done) struct table t;
    size_t shift = all ? 0 : 1;
    table_init(&t, headings + shift, ARRAY_LEN(headings) - shift);
    for (size_t i = 0; i < out->n_providers; i++) {
        const provider *p = out->providers[i];
        table_row(&t);
        if (all)
            table_cell(&t, 0, -1, p->metadata->workspace);
        table_cell(&t, 1 - shift, -1, p->metadata->name);
        table_cell(&t, 2 - shift, -1, p->type);
        table_cellf(&t, 3 - shift, "%zu", p->n_credentials);
        table_cellf(&t, 4 - shift, "%zu", p->n_config);
    }
    return table_print(&t, cli);
}

static int list_print(struct cli *cli, const struct args *a, struct gateway *g,
                      const Openshell__V1__ListProvidersResponse *out)
{
    bool ok = true;
    for (size_t i = 0; i < out->n_providers; i++)
        if (!out->providers[i]->metadata)
            return report(cli, "a provider has no metadata", "the gateway's answer is not understood");
    if (show_is_structured(a, &list_opts[LIST_OUTPUT])) {
        json_t *list = json_array();
        for (size_t i = 0; i < out->n_providers; i++)
            json_push(list, provider_json(out->providers[i], &g->arena, &ok), &ok);
        return show_structured(cli, a, &list_opts[LIST_OUTPUT], list, ok);
    }
    if (args_count(a, &list_opts[LIST_NAMES]) > 0) {
        for (size_t i = 0; i < out->n_providers; i++) {
            term_name(&cli->out, out->providers[i]->metadata->name);
            buf_addc(&cli->out, '\n');
        }
        return 0;
    }
    if (out->n_providers > 0)
        return list_table(cli, out, args_count(a, &list_opts[LIST_ALL]) > 0);
    buf_add(&cli->out, STR("No providers found.\n"));
    return 0;
}

static int list_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__ListProvidersRequest req = OPENSHELL__V1__LIST_PROVIDERS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = report_conflict(cli, a, &list_opts[LIST_NAMES], &list_opts[LIST_OUTPUT]);
    if (status == 0)
        status = gateway_open(cli, a, &g);
    req.limit = args_u32(a, &list_opts[LIST_LIMIT]);
    req.offset = args_u32(a, &list_opts[LIST_OFFSET]);
    req.all_workspaces = args_count(a, &list_opts[LIST_ALL]) > 0;
    if (!req.all_workspaces)
        req.workspace = g.workspace;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_LIST_PROVIDERS, &req.base, "list providers", &m);
    return status == 0 ? list_print(cli, a, &g, GATEWAY_ANSWER(Openshell__V1__ListProvidersResponse, m))
                       : status;
}

const struct command provider_list_command = {
    .name = "list",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the providers of a workspace",
    COMMAND_TABLE(opts, list_opts),
    .run = list_run,
};

// ---- delete

static int delete_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    for (size_t i = 0; status == 0 && i < a->words_n; i++) {
        Openshell__V1__DeleteProviderRequest req = OPENSHELL__V1__DELETE_PROVIDER_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        req.name = gateway_text(a->words[i]);
        req.workspace = g.workspace;
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_DELETE_PROVIDER, &req.base, "delete the provider", &m);
        if (status == 0 && GATEWAY_ANSWER(Openshell__V1__DeleteProviderResponse, m)->deleted)
            show_out(cli, SHOW_DONE, "Deleted provider %s", a->words[i]);
        else if (status == 0)
            show_out(cli, SHOW_WARNING, "Provider %s not found", a->words[i]);
    }
    return status;
}

const struct command provider_delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "Delete providers and their credentials",
    .text = "One that is attached to a sandbox is refused; the report names the sandboxes.",
    COMMAND_TABLE(args, names_args),
    .run = delete_run,
};

// ---- list-profiles, profile export

enum { PROFILES_GLOBAL, PROFILES_OUTPUT };
static const struct opt profiles_opts[] = {
    [PROFILES_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "Those of the platform"},
    [PROFILES_OUTPUT] = SHOW_OUTPUT_OPT,
};

static const struct category {
    Openshell__V1__ProviderProfileCategory value;
    const char *heading;
} categories[] = {
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_INFERENCE, "INFERENCE"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_AGENT, "AGENT"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_SOURCE_CONTROL, "SOURCE CONTROL"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_MESSAGING, "MESSAGING"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_DATA, "DATA"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_KNOWLEDGE, "KNOWLEDGE"},
    {OPENSHELL__V1__PROVIDER_PROFILE_CATEGORY__PROVIDER_PROFILE_CATEGORY_OTHER, "OTHER"},
};

static int profiles_table(struct cli *cli, const Openshell__V1__ListProviderProfilesResponse *out)
{
    static const char *const headings[] = {"ID", "SCOPE", "SOURCE", "NAME", "ENDPOINTS"};
    buf_add(&cli->out, STR("Available Provider Profiles:\n"));
    for (size_t c = 0; c < ARRAY_LEN(categories); c++) {
        CLEANUP(table_done) struct table t;
        size_t rows = 0;
        table_init(&t, headings, ARRAY_LEN(headings));
        for (size_t i = 0; i < out->n_profiles; i++) {
            const Openshell__V1__ProviderProfile *p = out->profiles[i];
            bool other = p->category == 0 && c + 1 == ARRAY_LEN(categories);
            if (p->category != categories[c].value && !other)
                continue;
            rows++;
            table_row(&t);
            table_cell(&t, 0, -1, p->id);
            table_cell(&t, 1, -1, p->scope[0] ? p->scope : "-");
            table_cell(&t, 2, -1, p->source);
            table_cell(&t, 3, -1, p->display_name);
            table_cellf(&t, 4, "%zu%s", p->n_endpoints, p->inference_capable ? " inference" : "");
        }
        if (rows == 0)
            continue;
        buf_addf(&cli->out, "\n  %s\n", categories[c].heading);
        int status = table_print(&t, cli);
        if (status != 0)
            return status;
    }
    return 0;
}

static json_t *profile_json(const Openshell__V1__ProviderProfile *p, bool *ok)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 4 * MIB);
    message_to_json(&p->base, &text);
    json_t *o = text.full ? NULL : json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    *ok = *ok && o;
    return o;
}

static int profiles_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__ListProviderProfilesRequest req = OPENSHELL__V1__LIST_PROVIDER_PROFILES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    bool ok = true;
    int status = gateway_open(cli, a, &g);
    if (args_count(a, &profiles_opts[PROFILES_GLOBAL]) == 0)
        req.workspace = g.workspace;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_LIST_PROVIDER_PROFILES, &req.base,
                              "list provider profiles", &m);
    if (status != 0)
        return status;
    const Openshell__V1__ListProviderProfilesResponse
        *out = GATEWAY_ANSWER(Openshell__V1__ListProviderProfilesResponse, m);
    if (!show_is_structured(a, &profiles_opts[PROFILES_OUTPUT]))
        return profiles_table(cli, out);
    json_t *list = json_array();
    for (size_t i = 0; i < out->n_profiles; i++)
        json_push(list, profile_json(out->profiles[i], &ok), &ok);
    return show_structured(cli, a, &profiles_opts[PROFILES_OUTPUT], list, ok);
}

const struct command provider_list_profiles_command = {
    .name = "list-profiles",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the kinds of providers",
    COMMAND_TABLE(opts, profiles_opts),
    .run = profiles_run,
};

enum { EXPORT_GLOBAL, EXPORT_OUTPUT };
static const char *const export_formats[] = {"yaml", "json", NULL};
static const struct opt export_opts[] = {
    [EXPORT_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "That of the platform"},
    [EXPORT_OUTPUT] = {.name = "output",
                       .letter = 'o',
                       .type = OPT_ENUM,
                       .value = "FORMAT",
                       .values = export_formats,
                       .def = "yaml",
                       .help = "The form of the document"},
};
static const struct arg profile_args[] = {{.name = "ID", .type = OPT_STRING, .help = "The kind of provider"}};

static int export_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__GetProviderProfileRequest req = OPENSHELL__V1__GET_PROVIDER_PROFILE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = gateway_open(cli, a, &g);
    req.id = gateway_text(a->words[0]);
    if (args_count(a, &export_opts[EXPORT_GLOBAL]) == 0)
        req.workspace = g.workspace;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_GET_PROVIDER_PROFILE, &req.base,
                              "find the provider profile", &m);
    if (status != 0)
        return status;
    const Openshell__V1__ProviderProfile *p = GATEWAY_ANSWER(Openshell__V1__ProviderProfileResponse, m)
                                                  ->profile;
    if (!p)
        return report(cli, "there is no profile in it", "the gateway's answer is not understood");
    if (strcmp(args_value(a, &export_opts[EXPORT_OUTPUT]), "json") == 0)
        message_to_json(&p->base, &cli->out);
    else
        message_to_yaml(&p->base, &cli->out);
    return 0;
}

const struct command provider_profile_export_command = {
    .name = "export",
    .alias = "",
    .section = "COMMANDS",
    .about = "Print a kind of provider as a document",
    COMMAND_TABLE(args, profile_args),
    COMMAND_TABLE(opts, export_opts),
    .run = export_run,
};
