// provider create and update.
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/discover.h"
#include "cli/provider.h"
#include "cli/request_maps.h"
#include "cli/show.h"
#include "convert/provider_type.h"

typedef Openshell__Datamodel__V1__Provider provider;
typedef Openshell__Datamodel__V1__Provider__ConfigEntry config_entry;

REQUEST_MAP(config_map, config_entry, openshell__datamodel__v1__provider__config_entry__init)

#define OPT_CREDENTIAL_ROW                                                                                   \
    {                                                                                                        \
        .name = "credential", .type = OPT_STRING, .value = "KEY[=VALUE]", .repeat = true,                    \
        .help = "A credential; without a value, that of the variable of this name"                           \
    }
#define OPT_CONFIG_ROW                                                                                       \
    {                                                                                                        \
        .name = "config", .type = OPT_STRING, .value = "K=V", .repeat = true,                                \
        .help = "Something that is no secret, as OPENAI_BASE_URL"                                            \
    }

// Each --credential, its value from the command line or the environment. `update`: an empty one is meant.
static int credentials_of(struct cli *cli, const struct args *a, const struct opt *opt, bool update,
                          struct gateway *g, provider *p)
{
    size_t n = args_count(a, opt);
    discovered **list = arena_newn(&g->arena, discovered *, n), *v = arena_newn(&g->arena, discovered, n);
    if (!list || !v)
        return report(cli, NULL, "no memory for credentials");
    for (size_t i = 0; i < n; i++) {
        const char *word = args_nth(a, opt, i);
        openshell__datamodel__v1__provider__credentials_entry__init(&v[i]);
        list[i] = &v[i];
        if (strchr(word, '=')) {
            if (!request_pair(&g->arena, word, &v[i].key, &v[i].value) || (!v[i].value[0] && !update))
                return report_usage(cli, a, "write KEY=VALUE, or KEY alone for the variable of that name",
                                    "--credential has no key, or no value");
            continue;
        }
        const char *value = getenv(word);
        if (!value || str_trim(str_of(value)).n == 0)
            return report(cli, "write KEY=VALUE, or export it",
                          "--credential %s: there is no such variable here", word);
        v[i].key = gateway_text(word);
        v[i].value = gateway_text(value);
    }
    p->credentials = list;
    p->n_credentials = n;
    return 0;
}

static int found_nothing(struct cli *cli, const char *type, const char *const *variables,
                         const Openshell__V1__ProviderProfile *profile)
{
    CLEANUP(buf_done) struct buf names;
    buf_init(&names, 2 * KIB);
    buf_add(&names, STR("set one of"));
    for (size_t i = 0; variables && variables[i] && !profile; i++)
        buf_addf(&names, " %s", variables[i]);
    for (size_t i = 0; profile && i < profile->n_credentials; i++)
        for (size_t k = 0; k < profile->credentials[i]->n_env_vars; k++)
            buf_addf(&names, " %s", profile->credentials[i]->env_vars[k]);
    buf_add(&names, STR(", or give a value with --credential KEY=VALUE"));
    buf_addc(&names, '\0');
    return report(cli, names.full ? NULL : names.p, "no credential for a provider of type %s was found here",
                  type);
}

int provider_profile_fetch(struct cli *cli, struct gateway *g, const char *type,
                           const Openshell__V1__ProviderProfile **ret)
{
    Openshell__V1__GetProviderProfileRequest req = OPENSHELL__V1__GET_PROVIDER_PROFILE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err e = {};
    req.id = gateway_text(type);
    req.workspace = g->workspace;
    enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_GET_PROVIDER_PROFILE, &req.base, &m, &e);
    if (r == ERR_OK)
        *ret = GATEWAY_ANSWER(Openshell__V1__ProviderProfileResponse, m)->profile;
    return r == ERR_OK || r == ERR_NOT_FOUND ? 0 : gateway_report(cli, g, "find the provider profile", &e);
}

// What the user has here already: by the list of this program, else by the type's profile.
static int existing(struct cli *cli, struct gateway *g, const char *type, bool quiet, provider *p)
{
    const char *const *variables = discover_variables(type);
    const Openshell__V1__ProviderProfile *profile = NULL;
    struct err e = {};
    int status = variables ? 0 : provider_profile_fetch(cli, g, type, &profile);
    if (status != 0)
        return status;
    if (!variables && !profile)
        return report(cli, "'openshell provider list-profiles' lists those that are known",
                      "there is no kind of provider '%s'", type);
    if (discover_environment(variables, profile, &g->arena, &p->credentials, &p->n_credentials, &e) != ERR_OK)
        return report(cli, e.msg, "no memory for credentials");
    return p->n_credentials > 0 || quiet ? 0 : found_nothing(cli, type, variables, profile);
}

// A value without an endpoint goes nowhere, which is said here and not left to be found out in a sandbox.
static int send_create(struct cli *cli, struct gateway *g, provider *p)
{
    Openshell__V1__CreateProviderRequest req = OPENSHELL__V1__CREATE_PROVIDER_REQUEST__INIT;
    const Openshell__V1__ProviderProfile *profile = NULL;
    ProtobufCMessage *m = NULL;
    req.provider = p;
    req.workspace = g->workspace;
    int status = provider_profile_fetch(cli, g, p->type, &profile);
    if (status == 0)
        status = gateway_call(cli, g, RPC_OPEN_SHELL_CREATE_PROVIDER, &req.base, "create the provider", &m);
    if (status == 0 && (!profile || profile->n_endpoints == 0))
        show_err(cli, SHOW_HINT,
                 "Type '%s' has no endpoints: values of %s reach no sandbox, at most a route to a model",
                 p->type, p->metadata->name);
    return status;
}

// ---- create

enum { CREATE_NAME, CREATE_TYPE, CREATE_EXISTING, CREATE_CREDENTIAL, CREATE_RUNTIME, CREATE_CONFIG };
static const struct opt create_opts[] = {
    [CREATE_NAME] =
        {.name = "name", .type = OPT_STRING, .value = "NAME", .required = true, .help = "Its name"},
    [CREATE_TYPE] =
        {.name = "type",
         .type = OPT_STRING,
         .value = "TYPE",
         .required = true,
         .help = "Its kind, as 'openshell provider list-profiles' lists them; openai, anthropic, generic "
                 "and others have none of their own"},
    [CREATE_EXISTING] = {.name = "from-existing",
                         .type = OPT_FLAG,
                         .help = "Take the credentials from this environment's variables"},
    [CREATE_CREDENTIAL] = OPT_CREDENTIAL_ROW,
    [CREATE_RUNTIME] = {.name = "runtime-credentials",
                        .type = OPT_FLAG,
                        .help = "It has no credential of its own: each comes when it is needed"},
    [CREATE_CONFIG] = OPT_CONFIG_ROW,
};

static int create_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    struct err e = {};
    bool from = args_count(a, &create_opts[CREATE_EXISTING]) > 0,
         given = args_count(a, &create_opts[CREATE_CREDENTIAL]) > 0,
         runtime = args_count(a, &create_opts[CREATE_RUNTIME]) > 0;
    if (from + given + runtime != 1)
        return report_usage(cli, a, "give one of --from-existing, --credential and --runtime-credentials",
                            "a provider takes its credentials from exactly one source");
    const char *type = provider_type(args_value(a, &create_opts[CREATE_TYPE]));
    meta.name = gateway_text(args_value(a, &create_opts[CREATE_NAME]));
    p.metadata = &meta;
    p.type = gateway_text(type);
    if (config_map(&g.arena, a, &create_opts[CREATE_CONFIG], &p.config, &p.n_config, &e) != ERR_OK)
        return report_usage(cli, a, NULL, "--config: %s", e.msg);
    int status = gateway_open(cli, a, &g);
    if (status == 0 && from)
        status = existing(cli, &g, type, false, &p);
    if (status == 0 && given)
        status = credentials_of(cli, a, &create_opts[CREATE_CREDENTIAL], false, &g, &p);
    if (status == 0)
        status = send_create(cli, &g, &p);
    if (status == 0)
        show_out(cli, SHOW_DONE, "Created provider %s", meta.name);
    return status;
}

static const struct example create_examples[] = {
    {"For Claude Code, with the key of this shell",
     "openshell provider create --name claude --type claude-code --from-existing"},
    {"A model server of your own",
     "openshell provider create --name local --type openai --credential OPENAI_API_KEY=x --config "
     "OPENAI_BASE_URL=http://10.0.0.7:8000/v1"},
};

const struct command provider_create_command = {
    .name = "create",
    .alias = "",
    .section = "COMMANDS",
    .about = "Give the gateway credentials that sandboxes may use without ever seeing them",
    .text = "Values are stored encrypted. A sandbox that the provider is attached to has placeholders in its "
            "environment; the proxy puts the value into a request to an endpoint of the provider's kind, and "
            "nowhere "
            "else.",
    COMMAND_TABLE(opts, create_opts),
    COMMAND_TABLE(examples, create_examples),
    .run = create_run,
};

// ---- update

enum { UPDATE_EXISTING, UPDATE_CREDENTIAL, UPDATE_CONFIG, UPDATE_EXPIRES };
static const struct opt update_opts[] = {
    [UPDATE_EXISTING] = {.name = "from-existing",
                         .type = OPT_FLAG,
                         .help = "Take the credentials from this environment's variables"},
    [UPDATE_CREDENTIAL] = OPT_CREDENTIAL_ROW,
    [UPDATE_CONFIG] = OPT_CONFIG_ROW,
    [UPDATE_EXPIRES] = {.name = "credential-expires-at",
                        .type = OPT_STRING,
                        .value = "KEY=TIME",
                        .repeat = true,
                        .help = "When a credential ends, in milliseconds since 1970; 0: never"},
};
static const struct arg update_args[] = {
    {.name = "NAME", .type = OPT_STRING, .kind = "provider", .help = "The provider"}};

typedef Openshell__V1__UpdateProviderRequest__CredentialExpiresAtMsEntry expiry_entry;

static int expiries_of(struct cli *cli, const struct args *a, struct gateway *g,
                       Openshell__V1__UpdateProviderRequest *req)
{
    const struct opt *opt = &update_opts[UPDATE_EXPIRES];
    size_t n = args_count(a, opt);
    expiry_entry **list = arena_newn(&g->arena, expiry_entry *, n),
                 *v = arena_newn(&g->arena, expiry_entry, n);
    for (size_t i = 0; list && v && i < n; i++) {
        char *value = NULL;
        uint64_t ms = 0;
        openshell__v1__update_provider_request__credential_expires_at_ms_entry__init(&v[i]);
        list[i] = &v[i];
        if (!request_pair(&g->arena, args_nth(a, opt, i), &v[i].key, &value) ||
            !str_u64(str_of(value), INT64_MAX, &ms))
            return report_usage(cli, a, "write KEY=MILLISECONDS", "--credential-expires-at %s",
                                args_nth(a, opt, i));
        v[i].value = (int64_t)ms;
    }
    req->credential_expires_at_ms = list;
    req->n_credential_expires_at_ms = list && v ? n : 0;
    return list && v ? 0 : report(cli, NULL, "no memory for credentials");
}

static int update_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__UpdateProviderRequest req = OPENSHELL__V1__UPDATE_PROVIDER_REQUEST__INIT;
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    const provider *now = NULL;
    ProtobufCMessage *m = NULL;
    struct err e = {};
    bool from = args_count(a, &update_opts[UPDATE_EXISTING]) > 0;
    int status = report_conflict(cli, a, &update_opts[UPDATE_EXISTING], &update_opts[UPDATE_CREDENTIAL]);
    if (status != 0)
        return status;
    meta.name = gateway_text(a->words[0]);
    p.metadata = &meta;
    req.provider = &p;
    if (config_map(&g.arena, a, &update_opts[UPDATE_CONFIG], &p.config, &p.n_config, &e) != ERR_OK)
        return report_usage(cli, a, NULL, "--config: %s", e.msg);
    status = gateway_open(cli, a, &g);
    if (status == 0 && from)
        status = provider_fetch(cli, &g, a->words[0], &now);
    if (status == 0 && from)
        status = existing(cli, &g, now->type, false, &p);
    if (status == 0 && !from)
        status = credentials_of(cli, a, &update_opts[UPDATE_CREDENTIAL], true, &g, &p);
    if (status == 0)
        status = expiries_of(cli, a, &g, &req);
    req.workspace = g.workspace;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_UPDATE_PROVIDER, &req.base, "update the provider", &m);
    if (status == 0)
        show_out(cli, SHOW_DONE, "Updated provider %s", a->words[0]);
    return status;
}

const struct command provider_update_command = {
    .name = "update",
    .alias = "",
    .section = "COMMANDS",
    .about = "Change credentials and configuration of a provider",
    .text = "Entries are added or replaced; an empty value, as in --credential KEY=, removes one. Sandboxes "
            "that use "
            "the provider have the new values with their next request.",
    COMMAND_TABLE(args, update_args),
    COMMAND_TABLE(opts, update_opts),
    .run = update_run,
};

// ---- for `sandbox create` (reference: CLI 4.3)

// All of the workspace, page by page; *ret is the one of that name, or the first of that type.
static int find_provider(struct cli *cli, struct gateway *g, const char *name, const char *type,
                         const char **ret)
{
    enum { PAGE = 100 };
    *ret = NULL;
    for (uint32_t offset = 0;; offset += PAGE) {
        Openshell__V1__ListProvidersRequest req = OPENSHELL__V1__LIST_PROVIDERS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        req.workspace = g->workspace;
        req.limit = PAGE;
        req.offset = offset;
        int status = gateway_call(cli, g, RPC_OPEN_SHELL_LIST_PROVIDERS, &req.base, "list providers", &m);
        if (status != 0)
            return status;
        const Openshell__V1__ListProvidersResponse *all = GATEWAY_ANSWER(Openshell__V1__ListProvidersResponse,
                                                                         m);
        for (size_t i = 0; i < all->n_providers; i++) {
            const provider *p = all->providers[i];
            if (!p->metadata)
                continue;
            if ((name && strcmp(p->metadata->name, name) == 0) ||
                (!name && type && strcmp(p->type, type) == 0)) {
                *ret = p->metadata->name;
                return 0;
            }
        }
        if (all->n_providers < PAGE)
            return 0;
    }
}

// TYPE, then TYPE-1 to TYPE-4 where somebody else was faster; a name that was asked for is the only one.
static int create_named(struct cli *cli, struct gateway *g, const char *name, const char *type, provider *p,
                        const char **ret)
{
    enum { TRIES = 5 };
    Openshell__Datamodel__V1__ObjectMeta *meta = arena_new(&g->arena, Openshell__Datamodel__V1__ObjectMeta);
    Openshell__V1__CreateProviderRequest req = OPENSHELL__V1__CREATE_PROVIDER_REQUEST__INIT;
    struct err e = {};
    if (!meta)
        return report(cli, NULL, "no memory for a provider");
    openshell__datamodel__v1__object_meta__init(meta);
    p->metadata = meta;
    req.provider = p;
    req.workspace = g->workspace;
    for (int i = 0; i < (name ? 1 : TRIES); i++) {
        struct str text = {};
        ProtobufCMessage *m = NULL;
        bool ok = i == 0 ? arena_dup(&g->arena, str_of(name ? name : type), &text)
                         : arena_fmt(&g->arena, &text, "%s-%d", type, i);
        if (!ok)
            return report(cli, NULL, "no memory for a name");
        meta->name = gateway_text(text.p);
        enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_CREATE_PROVIDER, &req.base, &m, &e);
        if (r == ERR_OK) {
            show_err(cli, SHOW_DONE, "Created provider %s (%s) from existing local state", meta->name, type);
            *ret = meta->name;
            return 0;
        }
        if (r != ERR_EXISTS)
            break;
    }
    return gateway_report(cli, g, "create the provider", &e);
}

static int create_missing(struct cli *cli, struct gateway *g, enum provider_auto how, const char *name,
                          const char *type, const char **ret)
{
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    show_err_line(cli, "Missing provider: %s", type);
    if (how == PROVIDER_AUTO_NEVER) {
        show_err(cli, SHOW_WARNING, "Skipping provider '%s' (--no-auto-providers)", type);
        return 0;
    }
    if (how == PROVIDER_AUTO_ASK && !isatty(STDIN_FILENO))
        return report(
            cli,
            "--auto-providers makes one from this environment, --no-auto-providers goes on without, and "
            "'openshell provider create' makes one by hand",
            "there is no provider of type %s", type);
    if (how == PROVIDER_AUTO_ASK && show_confirm(cli, "Create from local credentials?") != 0) {
        show_err(cli, SHOW_WARNING, "Skipping provider '%s'", type);
        return 0;
    }
    int status = existing(cli, g, type, true, &p);
    if (status != 0)
        return status;
    if (p.n_credentials == 0) {
        show_err(cli, SHOW_WARNING,
                 "No local credentials for '%s' were found; they can be configured inside the sandbox", type);
        return 0;
    }
    p.type = gateway_text(type);
    return create_named(cli, g, name, type, &p, ret);
}

// Whether the gateway adds what providers need to policies by itself; then no command says which provider it
// needs.
static int is_composing(struct cli *cli, struct gateway *g, bool *ret)
{
    Openshell__Sandbox__V1__GetGatewayConfigRequest
        req = OPENSHELL__SANDBOX__V1__GET_GATEWAY_CONFIG_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_GET_GATEWAY_CONFIG, &req.base, "tell its settings", &m);
    if (status != 0)
        return status;
    const Openshell__Sandbox__V1__GetGatewayConfigResponse
        *c = GATEWAY_ANSWER(Openshell__Sandbox__V1__GetGatewayConfigResponse, m);
    for (size_t i = 0; i < c->n_settings; i++)
        if (strcmp(c->settings[i]->key, "providers_v2_enabled") == 0 && c->settings[i]->value &&
            c->settings[i]->value->bool_value)
            *ret = true;
    return 0;
}

int providers_resolve(struct cli *cli, struct gateway *g, enum provider_auto how, const char *command,
                      char **names, size_t *n)
{
    const char *type = command ? discover_agent(command) : NULL;
    size_t kept = 0, given = *n;
    int status = 0;
    for (size_t i = 0; status == 0 && i < given; i++) {
        const char *found = NULL;
        status = find_provider(cli, g, names[i], NULL, &found);
        if (status == 0 && !found && !discover_variables(provider_type(names[i])))
            return report(cli, "'openshell provider create' makes one",
                          "there is no provider '%s', and no type of that "
                          "name",
                          names[i]);
        if (status == 0 && !found)
            status = create_missing(cli, g, how, names[i], provider_type(names[i]), &found);
        bool twice = false;
        for (size_t k = 0; found && k < kept; k++)
            twice = twice || strcmp(names[k], found) == 0;
        if (found && !twice)
            names[kept++] = gateway_text(found);
    }
    *n = kept;
    bool composing = false;
    if (status == 0 && type && how != PROVIDER_AUTO_NEVER)
        status = is_composing(cli, g, &composing);
    if (status != 0 || !type || composing)
        return status;
    const char *found = NULL;
    status = find_provider(cli, g, NULL, type, &found);
    if (status == 0 && !found)
        status = create_missing(cli, g, how, NULL, type, &found);
    for (size_t k = 0; found && k < kept; k++)
        if (strcmp(names[k], found) == 0)
            found = NULL;
    if (status == 0 && found)
        names[(*n)++] = gateway_text(found);
    return status;
}
