// settings get, set, delete: what sandboxes and the gateway can be told beside a policy.
#include "cli/commands.h"
#include "cli/sandbox.h"
#include "cli/sandbox_policy.h"
#include "cli/show.h"

static const struct key {
    const char *name;
    const char *const *values; // NULL: true or false
} keys[] = {
    // in the order of the alphabet
    {"agent_policy_proposals_enabled", NULL},
    {"ocsf_json_enabled", NULL},
    {"proposal_approval_mode", (const char *const[]){"manual", "auto", NULL}},
    {"providers_v2_enabled", NULL},
};
enum { TEXT_MAX = 256 };

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static void value_text(const Openshell__Sandbox__V1__SettingValue *v, char dst[static TEXT_MAX])
{
    switch (v ? v->value_case : OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE__NOT_SET) {
    case OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE:
        (void)snprintf(dst, TEXT_MAX, "%s", v->string_value);
        return;
    case OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE:
        (void)snprintf(dst, TEXT_MAX, "%s", v->bool_value ? "true" : "false");
        return;
    case OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_INT_VALUE:
        (void)snprintf(dst, TEXT_MAX, "%lld", (long long)v->int_value);
        return;
    case OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BYTES_VALUE:
        (void)snprintf(dst, TEXT_MAX, "<%zu bytes>", v->bytes_value.len);
        return;
    case OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE__NOT_SET:
    case _OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE__CASE_IS_INT_SIZE:
        break;
    }
    (void)snprintf(dst, TEXT_MAX, "<unset>");
}

// ---- get

enum { GET_GLOBAL, GET_JSON };
static const struct opt get_opts[] = {
    [GET_GLOBAL] = {.name = "global", .type = OPT_FLAG, .help = "Those of the gateway"},
    [GET_JSON] = {.name = "json", .type = OPT_FLAG, .help = "As JSON"},
};
static const struct arg name_args[] = {SANDBOX_NAME_ARG};

// As in a table: what stands where, and its value.
struct row {
    const char *key, *scope;
    char value[TEXT_MAX];
};

static const Openshell__Sandbox__V1__EffectiveSetting *effective(
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *c, const char *key)
{
    for (size_t i = 0; i < c->n_settings; i++)
        if (strcmp(c->settings[i]->key, key) == 0)
            return c->settings[i]->value;
    return NULL;
}

static struct row sandbox_row(const Openshell__Sandbox__V1__GetSandboxConfigResponse *c, const char *key)
{
    struct row row = {.key = key, .scope = "unset"};
    const Openshell__Sandbox__V1__EffectiveSetting *s = effective(c, key);
    value_text(s ? s->value : NULL, row.value);
    if (s && s->scope == OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_GLOBAL)
        row.scope = "global";
    else if (s && s->scope == OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_SANDBOX)
        row.scope = "sandbox";
    return row;
}

static int sandbox_json_out(struct cli *cli, const struct gateway *g, const char *name,
                            const Openshell__Sandbox__V1__GetSandboxConfigResponse *c)
{
    bool ok = true;
    json_t *o = json_object(), *settings = json_object();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct row row = sandbox_row(c, keys[i].name);
        json_t *one = json_object();
        json_put(one, "scope", json_string(row.scope), &ok);
        json_put(one, "value", json_text(str_of(row.value)), &ok);
        json_put(settings, row.key, one, &ok);
    }
    json_put(o, "config_revision", json_integer((json_int_t)c->config_revision), &ok);
    json_put(o, "policy_hash", json_text(str_of(c->policy_hash)), &ok);
    json_put(o, "policy_source", json_string(sandbox_policy_source(c)), &ok);
    json_put(o, "sandbox", json_text(str_of(name)), &ok);
    json_put(o, "settings", settings, &ok);
    json_put(o, "workspace", json_text(str_of(g->workspace)), &ok);
    return json_out(cli, o, ok);
}

static int get_sandbox(struct cli *cli, const struct args *a, struct gateway *g)
{
    const Openshell__V1__Sandbox *s = NULL;
    struct sandbox_policy p = {};
    int status = sandbox_open(cli, a, g, &s);
    if (status == 0)
        status = sandbox_policy_fetch(cli, g, s->metadata->id, &p);
    if (status != 0)
        return status;
    if (args_count(a, &get_opts[GET_JSON]) > 0)
        return sandbox_json_out(cli, g, s->metadata->name, p.config);
    struct buf *out = &cli->out;
    buf_addf(out, "Sandbox:       ");
    term_name(out, s->metadata->name);
    buf_addf(out, "\nConfig Rev:    %llu\nPolicy Source: %s\nPolicy Hash:   ",
             (unsigned long long)p.config->config_revision, sandbox_policy_source(p.config));
    term_name(out, p.config->policy_hash);
    buf_addf(out, "\nSettings:\n");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct row row = sandbox_row(p.config, keys[i].name);
        buf_addf(out, "  %s = ", row.key);
        term_name(out, row.value);
        buf_addf(out, " (%s)\n", row.scope);
    }
    return 0;
}

static const Openshell__Sandbox__V1__SettingValue *global_value(
    const Openshell__Sandbox__V1__GetGatewayConfigResponse *c, const char *key)
{
    for (size_t i = 0; i < c->n_settings; i++)
        if (strcmp(c->settings[i]->key, key) == 0)
            return c->settings[i]->value;
    return NULL;
}

static int get_global(struct cli *cli, const struct args *a, struct gateway *g)
{
    Openshell__Sandbox__V1__GetGatewayConfigRequest
        req = OPENSHELL__SANDBOX__V1__GET_GATEWAY_CONFIG_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = gateway_open(cli, a, g);
    if (status == 0)
        status = gateway_call(cli, g, RPC_OPEN_SHELL_GET_GATEWAY_CONFIG, &req.base, "tell its settings", &m);
    if (status != 0)
        return status;
    const Openshell__Sandbox__V1__GetGatewayConfigResponse
        *c = GATEWAY_ANSWER(Openshell__Sandbox__V1__GetGatewayConfigResponse, m);
    bool ok = true, json = args_count(a, &get_opts[GET_JSON]) > 0;
    json_t *o = json_object(), *settings = json_object();
    if (!json)
        buf_addf(&cli->out, "Scope: global\nSettings Rev: %llu\nSettings:\n",
                 (unsigned long long)c->settings_revision);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char value[TEXT_MAX];
        value_text(global_value(c, keys[i].name), value);
        json_put(settings, keys[i].name, json_text(str_of(value)), &ok);
        if (json)
            continue;
        buf_addf(&cli->out, "  %s = ", keys[i].name);
        term_name(&cli->out, value);
        buf_addc(&cli->out, '\n');
    }
    json_put(o, "scope", json_string("global"), &ok);
    json_put(o, "settings", settings, &ok);
    json_put(o, "settings_revision", json_integer((json_int_t)c->settings_revision), &ok);
    if (json)
        return json_out(cli, o, ok);
    json_decref(o);
    return 0;
}

static int get_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    if (args_count(a, &get_opts[GET_GLOBAL]) == 0)
        return get_sandbox(cli, a, &g);
    if (a->words_n > 0)
        return report(cli, NULL, "--global is about the gateway: leave the sandbox's name out");
    return get_global(cli, a, &g);
}

static const struct command settings_get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show the settings of a sandbox or of the gateway, and who has set them",
    COMMAND_TABLE(opts, get_opts),
    COMMAND_TABLE(args, name_args),
    .run = get_run,
};

// ---- set, delete

enum { SET_KEY, SET_VALUE, SET_GLOBAL, SET_YES };
#define KEY_ROW                                                                                              \
    {                                                                                                        \
        .name = "key", .type = OPT_STRING, .value = "KEY", .required = true, .help = "Which setting"         \
    }
#define GLOBAL_ROW                                                                                           \
    {                                                                                                        \
        .name = "global", .type = OPT_FLAG, .help = "That of the gateway, which counts before any sandbox's" \
    }
#define YES_ROW                                                                                              \
    {                                                                                                        \
        .name = "yes", .type = OPT_FLAG, .help = "Do not ask whether --global is meant"                      \
    }
static const struct opt set_opts[] = {
    [SET_KEY] = KEY_ROW,
    [SET_VALUE] = {.name = "value",
                   .type = OPT_STRING,
                   .value = "VALUE",
                   .required = true,
                   .help = "true or false, or what the key takes"},
    [SET_GLOBAL] = GLOBAL_ROW,
    [SET_YES] = YES_ROW,
};
enum { DELETE_KEY, DELETE_GLOBAL, DELETE_YES };
static const struct opt delete_opts[] =
    {[DELETE_KEY] = KEY_ROW, [DELETE_GLOBAL] = GLOBAL_ROW, [DELETE_YES] = YES_ROW};

static bool parse_bool(struct str s, protobuf_c_boolean *ret)
{
    static const struct str yes[] = {STR_INIT("1"), STR_INIT("true"), STR_INIT("yes"), STR_INIT("y"),
                                     STR_INIT("on")};
    static const struct str no[] = {STR_INIT("0"), STR_INIT("false"), STR_INIT("no"), STR_INIT("n"),
                                    STR_INIT("off")};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq_ci(s, yes[i]) || str_eq_ci(s, no[i])) {
            *ret = str_eq_ci(s, yes[i]);
            return true;
        }
    }
    return false;
}

static int need_key(struct cli *cli, const char *name, const struct key **ret)
{
    struct buf list;
    *ret = find_key(name);
    if (*ret)
        return 0;
    buf_init(&list, KIB);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        buf_addf(&list, "%s%s", i > 0 ? ", " : "the keys are ", keys[i].name);
    int status = report(cli, list.p, "unknown setting '%s'", name);
    buf_done(&list);
    return status;
}

static int parse_value(struct cli *cli, const struct key *key, const char *text,
                       Openshell__Sandbox__V1__SettingValue *ret)
{
    assert(key);
    if (!key->values) {
        ret->value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE;
        return parse_bool(str_of(text), &ret->bool_value)
                   ? 0
                   : report(cli, "true, yes, on and 1 are yes; false, no, off and 0 are no",
                            "'%s' is no value of %s", text, key->name);
    }
    ret->value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE;
    ret->string_value = gateway_text(text);
    for (size_t i = 0; key->values[i]; i++)
        if (strcmp(key->values[i], text) == 0)
            return 0;
    return report(cli, "manual or auto", "'%s' is no value of %s", text, key->name);
}

// Sends the change, to the gateway itself or to the sandbox that is meant, whose name is *ret_name then.
static int change(struct cli *cli, const struct args *a, bool global, const char *question,
                  Openshell__V1__UpdateConfigRequest *req, struct gateway *g,
                  const Openshell__V1__UpdateConfigResponse **ret)
{
    ProtobufCMessage *m = NULL;
    if (global && a->words_n > 0)
        return report(cli, NULL, "--global is about the gateway: leave the sandbox's name out");
    int status = question ? show_confirm(cli, question) : 0;
    if (status == 0)
        status = gateway_open(cli, a, g);
    if (status != 0)
        return status;
    req->global = global;
    if (!global) {
        req->workspace = g->workspace;
        req->name = gateway_text(sandbox_name(cli, a, g));
        if (!req->name)
            return EXIT_FAILED;
    }
    status = gateway_call(cli, g, RPC_OPEN_SHELL_UPDATE_CONFIG, &req->base, "change the setting", &m);
    if (status == 0)
        *ret = GATEWAY_ANSWER(Openshell__V1__UpdateConfigResponse, m);
    return status;
}

static int set_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const char *name = args_value(a, &set_opts[SET_KEY]), *text = args_value(a, &set_opts[SET_VALUE]);
    bool global = args_count(a, &set_opts[SET_GLOBAL]) > 0, yes = args_count(a, &set_opts[SET_YES]) > 0;
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    Openshell__Sandbox__V1__SettingValue value = OPENSHELL__SANDBOX__V1__SETTING_VALUE__INIT;
    const Openshell__V1__UpdateConfigResponse *out = NULL;
    const struct key *key = NULL;
    char shown[TEXT_MAX];
    int status = need_key(cli, name, &key);
    if (status == 0)
        status = parse_value(cli, key, text, &value);
    if (status != 0)
        return status;
    req.setting_key = gateway_text(name);
    req.setting_value = &value;
    status = change(cli, a, global,
                    global && !yes ? "Set it for the whole gateway, before what sandboxes have set?" : NULL,
                    &req, &g, &out);
    if (status != 0)
        return status;
    assert(out);
    value_text(&value, shown);
    unsigned long long revision = out->settings_revision;
    if (global)
        show_out(cli, SHOW_DONE, "Set global setting %s=%s (revision %llu)", name, shown, revision);
    else
        show_out(cli, SHOW_DONE, "Set sandbox setting %s=%s for %s (revision %llu)", name, shown, req.name,
                 revision);
    return 0;
}

static const struct command settings_set_command = {
    .name = "set",
    .alias = "",
    .section = "COMMANDS",
    .about = "Change a setting of a sandbox or of the gateway",
    COMMAND_TABLE(opts, set_opts),
    COMMAND_TABLE(args, name_args),
    .run = set_run,
};

static int delete_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const char *name = args_value(a, &delete_opts[DELETE_KEY]);
    bool global = args_count(a, &delete_opts[DELETE_GLOBAL]) > 0;
    bool yes = args_count(a, &delete_opts[DELETE_YES]) > 0;
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    const Openshell__V1__UpdateConfigResponse *out = NULL;
    const struct key *key = NULL;
    int status = need_key(cli, name, &key);
    if (status != 0)
        return status;
    req.setting_key = gateway_text(name);
    req.delete_setting = true;
    status = change(cli, a, global, global && !yes ? "Delete it for the whole gateway?" : NULL, &req, &g,
                    &out);
    if (status != 0)
        return status;
    assert(out);
    unsigned long long revision = out->settings_revision;
    if (global && out->deleted)
        show_out(cli, SHOW_DONE, "Deleted global setting %s (revision %llu)", name, revision);
    else if (global)
        show_out(cli, SHOW_WARNING, "Global setting %s not found", name);
    else if (out->deleted)
        show_out(cli, SHOW_DONE, "Deleted sandbox setting %s for %s (revision %llu)", name, req.name,
                 revision);
    else
        show_out(cli, SHOW_WARNING, "Sandbox setting %s not found for %s", name, req.name);
    return 0;
}

static const struct command settings_delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "Take a setting back",
    COMMAND_TABLE(opts, delete_opts),
    COMMAND_TABLE(args, name_args),
    .run = delete_run,
};

static const struct command *const settings_subs[] = {&settings_get_command, &settings_set_command,
                                                      &settings_delete_command};
static const struct example settings_examples[] = {
    {"What holds for a sandbox, and who has set it", "openshell settings get dev"},
    {"Approve harmless proposals by themselves",
     "openshell settings set dev --key proposal_approval_mode --value auto"},
};

const struct command settings_command = {
    .name = "settings",
    .alias = "",
    .section = "SANDBOX COMMANDS",
    .about = "Show and change settings of sandboxes and of the gateway",
    .text = "A setting of the gateway counts before that of a sandbox, which cannot be changed meanwhile.",
    COMMAND_TABLE(examples, settings_examples),
    COMMAND_TABLE(subs, settings_subs),
};
