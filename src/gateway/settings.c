#include "gateway/settings.h"

#include "base/clock.h"
#include "rpc/wire.h"

#define SB(name) Openshell__Sandbox__V1__##name

enum { PAYLOAD_MAX = 64 * KIB }; // of one set; the longest word of a setting has 6 bytes

static const struct {
    const char *key, *type;
    SB(SettingValue__ValueCase) kind;
    const char *words[2]; // of a string; NULL: it is none
} registry[SETTINGS_N] = {
    {"providers_v2_enabled", "bool", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE, {}},
    {"ocsf_json_enabled", "bool", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE, {}},
    {"agent_policy_proposals_enabled", "bool", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE, {}},
    {"proposal_approval_mode",
     "string",
     OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE,
     {"manual", "auto"}},
};

// protobuf-c's strings are char *, and nobody writes to these.
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

const char *settings_key(size_t i)
{
    assert(i < SETTINGS_N);
    return registry[i].key;
}

enum err_code settings_find(struct str key, size_t *ret, struct err *reterr)
{
    for (size_t i = 0; i < SETTINGS_N; i++) {
        if (str_eq(key, str_of(registry[i].key))) {
            *ret = i;
            return ERR_OK;
        }
    }
    if (str_eq(key, STR("policy")))
        return err_set(reterr, ERR_INVALID,
                       "setting key 'policy' is reserved: give the policy itself, not a setting");
    return err_set(reterr, ERR_INVALID, "unknown setting key '%.*s'. Allowed keys: %s, %s, %s, %s",
                   STR_FMT(key), registry[0].key, registry[1].key, registry[2].key, registry[3].key);
}

enum err_code settings_check(size_t i, const setting_value *value, struct err *reterr)
{
    assert(i < SETTINGS_N);
    if (!value || value->value_case != registry[i].kind)
        return err_set(reterr, ERR_INVALID, "setting '%s' expects %s value", registry[i].key,
                       registry[i].type);
    if (!registry[i].words[0] || strcmp(value->string_value, registry[i].words[0]) == 0 ||
        strcmp(value->string_value, registry[i].words[1]) == 0)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "setting '%s' is '%s' or '%s', not '%.*s'", registry[i].key,
                   registry[i].words[0], registry[i].words[1], STR_FMT(str_of(value->string_value)));
}

bool settings_same(const setting_value *a, const setting_value *b)
{
    if (!a || !b || a->value_case != b->value_case)
        return a == b;
    if (a->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE)
        return strcmp(a->string_value, b->string_value) == 0;
    return !a->bool_value == !b->bool_value; // there are no others
}

// ---- stored

static struct str kind_of(struct settings_owner owner)
{
    return owner.name.n > 0 ? STR("sandbox_settings") : STR("gateway_settings");
}

static struct str name_of(struct settings_owner owner)
{
    return owner.name.n > 0 ? owner.name : STR("global");
}

enum err_code settings_read(struct store *st, struct settings_owner owner, struct arena *a,
                            struct settings *ret, struct err *reterr)
{
    struct store_object row = {};
    ProtobufCMessage *m = NULL;
    struct settings s = {};
    enum err_code c = store_get_named(st, kind_of(owner), owner.workspace, name_of(owner), a, &row, reterr);
    if (c == ERR_NOT_FOUND) {
        *ret = s;
        return ERR_OK;
    }
    if (c == ERR_OK)
        c = wire_unpack(&openshell__sandbox__v1__get_gateway_config_response__descriptor, row.payload, a, &m,
                        reterr);
    if (c != ERR_OK)
        return c;
    const SB(GetGatewayConfigResponse) *stored = (const SB(GetGatewayConfigResponse) *)(const void *)m;
    for (size_t i = 0; i < stored->n_settings; i++)
        for (size_t k = 0; k < SETTINGS_N; k++)
            if (strcmp(stored->settings[i]->key, registry[k].key) == 0 && stored->settings[i]->value &&
                stored->settings[i]->value->value_case == registry[k].kind)
                s.value[k] = stored->settings[i]->value;
    s.revision = stored->settings_revision;
    s.version = row.version;
    *ret = s;
    return ERR_OK;
}

static enum err_code pack(const struct settings *s, struct arena *a, struct str *ret, struct err *reterr)
{
    SB(GetGatewayConfigResponse) m = OPENSHELL__SANDBOX__V1__GET_GATEWAY_CONFIG_RESPONSE__INIT;
    SB(GetGatewayConfigResponse__SettingsEntry) entry[SETTINGS_N], *list[SETTINGS_N];
    m.settings = list;
    for (size_t i = 0; i < SETTINGS_N; i++) {
        if (!s->value[i])
            continue;
        SB(GetGatewayConfigResponse__SettingsEntry) *e = list[m.n_settings++] = &entry[i];
        openshell__sandbox__v1__get_gateway_config_response__settings_entry__init(e);
        e->key = text(registry[i].key);
        e->value = (setting_value *)(uintptr_t)s->value[i]; // packing only reads it
    }
    m.settings_revision = s->revision;
    struct buf bytes;
    buf_init(&bytes, PAYLOAD_MAX);
    enum err_code c = wire_pack(&m.base, &bytes, reterr);
    if (c == ERR_OK && !arena_dup(a, buf_str(&bytes), ret))
        c = arena_limit(a, "settings", reterr);
    buf_done(&bytes);
    return c;
}

enum err_code settings_write(struct settings_owner owner, struct settings *s, struct arena *a,
                             struct store_write *ret, struct err *reterr)
{
    struct str id = {}, payload = {};
    s->revision++;
    enum err_code c = pack(s, a, &payload, reterr);
    // One row for each owner; a sandbox's id is unique, and its name is not that of an older one.
    if (c == ERR_OK && !(owner.name.n > 0 ? arena_fmt(a, &id, "%.*s.settings", STR_FMT(owner.sandbox_id))
                                          : arena_dup(a, STR("global.settings"), &id)))
        c = arena_limit(a, "settings", reterr);
    if (c != ERR_OK)
        return c;
    int64_t now = clock_realtime_ms();
    *ret = (struct store_write){.op = s->version > 0 ? STORE_UPDATE : STORE_CREATE,
                                .if_version = s->version,
                                .object = {.kind = kind_of(owner),
                                           .workspace = owner.workspace,
                                           .id = id,
                                           .name = name_of(owner),
                                           .scope = owner.name.n > 0 ? owner.sandbox_id : (struct str){},
                                           .payload = payload,
                                           .created_ms = now,
                                           .updated_ms = now}};
    return ERR_OK;
}

// ---- in force

static void hash_of(size_t i, const setting_value *v, SB(SettingScope) scope, struct hash_setting *ret)
{
    *ret = (struct hash_setting){.key = str_of(registry[i].key), .scope = (int32_t)scope};
    if (v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE) {
        ret->tag = SETTING_STRING;
        ret->bytes = str_of(v->string_value);
    } else {
        ret->tag = SETTING_BOOL;
        ret->number = v->bool_value;
    }
}

enum err_code settings_effective(const struct settings *global, const struct settings *own, struct arena *a,
                                 SB(GetSandboxConfigResponse) * out, struct hash_setting **ret, size_t *ret_n,
                                 struct err *reterr)
{
    size_t n = 0;
    SB(GetSandboxConfigResponse__SettingsEntry)
    *entry = arena_newn(a, SB(GetSandboxConfigResponse__SettingsEntry), SETTINGS_N),
    **list = arena_newn(a, SB(GetSandboxConfigResponse__SettingsEntry) *, SETTINGS_N);
    SB(EffectiveSetting) *effective = arena_newn(a, SB(EffectiveSetting), SETTINGS_N);
    setting_value *none = arena_newn(a, setting_value, SETTINGS_N);
    struct hash_setting *hash = arena_newn(a, struct hash_setting, SETTINGS_N);
    if (!entry || !list || !effective || !none || !hash)
        return arena_limit(a, "settings", reterr);
    for (size_t i = 0; i < SETTINGS_N; i++) {
        const setting_value *v = global->value[i] ? global->value[i] : own->value[i];
        openshell__sandbox__v1__get_sandbox_config_response__settings_entry__init(&entry[i]);
        openshell__sandbox__v1__effective_setting__init(&effective[i]);
        openshell__sandbox__v1__setting_value__init(&none[i]);
        effective[i].scope = global->value[i] ? OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_GLOBAL
                             : v              ? OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_SANDBOX
                                 : OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_UNSPECIFIED;
        effective[i].value = v ? (setting_value *)(uintptr_t)v : &none[i];
        entry[i].key = text(registry[i].key);
        entry[i].value = &effective[i];
        list[i] = &entry[i];
        if (v)
            hash_of(i, v, effective[i].scope, &hash[n++]);
    }
    out->settings = list;
    out->n_settings = SETTINGS_N;
    *ret = hash;
    *ret_n = n;
    return ERR_OK;
}
