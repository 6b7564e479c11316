#include "gateway/config_push.h"

#include "base/clock.h"
#include "gateway/provider_layers.h"
#include "policy/hash.h"
#include "convert/policy_wire.h"
#include "gateway/records.h"
#include "gateway/revisions.h"
#include "gateway/settings.h"
#include "gateway/ssh_sessions.h"
#include "gateway/watch.h"

#define SB(name)     Openshell__Sandbox__V1__##name
#define STATUS(name) OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_##name

enum { REPORT_TRIES = 5, ARENA_MAX = 8 * MIB };

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nobody writes to it
}

static struct revision_scope scope_of(const Openshell__V1__Sandbox *sandbox)
{
    return (struct revision_scope){str_of(sandbox->metadata->workspace), str_of(sandbox->metadata->id)};
}

static struct settings_owner owner_of(const Openshell__V1__Sandbox *sandbox)
{
    return (struct settings_owner){str_of(sandbox->metadata->workspace), str_of(sandbox->metadata->name),
                                   str_of(sandbox->metadata->id)};
}

void config_remove_writes(const Openshell__V1__Sandbox *sandbox,
                          struct store_write ret[static CONFIG_REMOVE_WRITES])
{
    const struct str kinds[] = {STR("sandbox_policy"), STR("sandbox_settings"), STR(SSH_SESSION_KIND)};
    static_assert(ARRAY_LEN(kinds) == CONFIG_REMOVE_WRITES, "one write for each kind");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        ret[i] = (struct store_write){.op = STORE_DELETE_SCOPE,
                                      .object = {.kind = kinds[i],
                                                 .workspace = scope_of(sandbox).workspace,
                                                 .scope = scope_of(sandbox).id}};
}

// ---- what is in force

// Revision 1: what the sandbox was created with. Somebody else may store it first.
static enum err_code store_first(struct store *st, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                                 struct err *reterr)
{
    char hash[POLICY_HASH_LEN + 1];
    struct policy *p = NULL;
    uint64_t version = 0;
    enum err_code c = config_check_policy(sandbox->spec->policy, a, &p, reterr);
    if (c == ERR_OK)
        c = policy_hash(p, hash, reterr);
    if (c != ERR_OK)
        return c;
    const struct revision_new n = {.scope = scope_of(sandbox),
                                   .number = 1,
                                   .policy = sandbox->spec->policy,
                                   .hash = hash,
                                   .loaded = true};
    c = revision_add(st, &n, a, &version, reterr);
    return c == ERR_EXISTS ? ERR_OK : c;
}

enum err_code config_latest(struct store *st, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                            struct revision *ret, struct err *reterr)
{
    enum err_code c = revision_latest(st, scope_of(sandbox), a, ret, reterr);
    if (c != ERR_NOT_FOUND || !sandbox->spec || !sandbox->spec->policy)
        return c;
    c = store_first(st, sandbox, a, reterr);
    return c == ERR_OK ? revision_latest(st, scope_of(sandbox), a, ret, reterr) : c;
}

enum err_code config_global(struct store *st, struct arena *a, struct revision *ret, bool *ret_is,
                            struct err *reterr)
{
    enum err_code c = revision_latest(st, REVISION_GLOBAL, a, ret, reterr);
    *ret_is = c == ERR_OK && ret->status == STATUS(LOADED);
    return c == ERR_NOT_FOUND ? ERR_OK : c;
}

static bool has_key(const Openshell__V1__SandboxSpec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_environment; i++)
        if (strcmp(spec->environment[i]->key, key) == 0)
            return true;
    return false;
}

static bool add_env(SB(LaunchSpec) * m, struct arena *a, char *key, char *value)
{
    SB(LaunchSpec__EnvironmentEntry) *e = arena_new(a, SB(LaunchSpec__EnvironmentEntry));
    if (!e)
        return false;
    openshell__sandbox__v1__launch_spec__environment_entry__init(e);
    e->key = key;
    e->value = value;
    m->environment[m->n_environment++] = e;
    return true;
}

// What a supervisor is to start. A variable of the sandbox wins over one of its template.
static enum err_code launch_of(const Openshell__V1__Sandbox *sandbox, struct arena *a, SB(LaunchSpec) * *ret,
                               struct err *reterr)
{
    const Openshell__V1__SandboxSpec *spec = sandbox->spec;
    const Openshell__V1__SandboxTemplate *t = spec->template_;
    SB(LaunchSpec) *m = arena_new(a, SB(LaunchSpec));
    if (!m)
        return arena_limit(a, "an answer", reterr);
    openshell__sandbox__v1__launch_spec__init(m);
    m->name = sandbox->metadata->name;
    m->command = spec->command;
    m->n_command = spec->n_command;
    m->tty = spec->tty;
    m->log_level = spec->log_level;
    m->environment = arena_newn(a, SB(LaunchSpec__EnvironmentEntry) *,
                                spec->n_environment + (t ? t->n_environment : 0));
    bool ok = m->environment != NULL;
    for (size_t i = 0; ok && t && i < t->n_environment; i++)
        if (!has_key(spec, t->environment[i]->key))
            ok = add_env(m, a, t->environment[i]->key, t->environment[i]->value);
    for (size_t i = 0; ok && i < spec->n_environment; i++)
        ok = add_env(m, a, spec->environment[i]->key, spec->environment[i]->value);
    if (!ok)
        return arena_limit(a, "an answer", reterr);
    *ret = m;
    return ERR_OK;
}

static enum err_code put_policy(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                                struct arena *a, SB(GetSandboxConfigResponse) * m, struct err *reterr)
{
    struct revision own = {}, global = {};
    bool is_global = false;
    enum err_code c = config_latest(s->store, sandbox, a, &own, reterr);
    if (c == ERR_OK || c == ERR_NOT_FOUND)
        c = config_global(s->store, a, &global, &is_global, reterr);
    if (c != ERR_OK)
        return c;
    m->policy_source = is_global ? OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL
                                 : OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX;
    m->version = own.number;
    const struct revision *v = is_global ? &global : &own;
    if (is_global) {
        m->global_policy_version = global.number;
        m->version = own.number > 0 ? own.number : 1; // reference: gateway 4.1
    }
    if (v->payload) {
        m->policy = v->payload->policy;
        m->policy_hash = v->payload->hash;
    }
    return ERR_OK;
}

// The setting that is in force.
static bool is_composing(const SB(GetSandboxConfigResponse) * m)
{
    for (size_t i = 0; i < m->n_settings; i++)
        if (strcmp(m->settings[i]->key, "providers_v2_enabled") == 0)
            return m->settings[i]->value && m->settings[i]->value->value &&
                   m->settings[i]->value->value->bool_value;
    return false;
}

// What the kinds of its providers add to a sandbox's own policy, which is another policy then.
static enum err_code compose(const struct services *s, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                             SB(GetSandboxConfigResponse) * m, struct err *reterr)
{
    char hash[POLICY_HASH_LEN + 1];
    struct policy *p = NULL;
    struct str kept = {};
    const SB(SandboxPolicy) *before = m->policy;
    if (m->policy_source != OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX || !is_composing(m))
        return ERR_OK;
    enum err_code c = provider_layers(s, sandbox, a, &m->policy, reterr);
    if (c != ERR_OK || m->policy == before)
        return c;
    c = policy_from_wire(m->policy, a, &p, reterr);
    if (c == ERR_OK)
        c = policy_hash(p, hash, reterr);
    if (c == ERR_OK && !arena_dup(a, str_of(hash), &kept))
        c = arena_limit(a, "a policy's hash", reterr);
    if (c == ERR_OK)
        m->policy_hash = text(kept.p);
    return c;
}

enum err_code config_of(const struct services *s, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                        SB(GetSandboxConfigResponse) * *ret, struct err *reterr)
{
    struct settings global = {}, own = {};
    struct hash_config h = {.failure_mode = STR("fail_closed")};
    struct hash_setting *settings = NULL;
    SB(GetSandboxConfigResponse) *m = arena_new(a, SB(GetSandboxConfigResponse));
    if (!m)
        return arena_limit(a, "an answer", reterr);
    openshell__sandbox__v1__get_sandbox_config_response__init(m);
    enum err_code c = put_policy(s, sandbox, a, m, reterr);
    if (c == ERR_OK)
        c = settings_read(s->store, SETTINGS_GLOBAL, a, &global, reterr);
    if (c == ERR_OK)
        c = settings_read(s->store, owner_of(sandbox), a, &own, reterr);
    if (c == ERR_OK)
        c = settings_effective(&global, &own, a, m, &settings, &h.settings_n, reterr);
    if (c == ERR_OK)
        c = compose(s, sandbox, a, m, reterr);
    if (c == ERR_OK && s->profiles)
        c = provider_env_revision(s, sandbox, a, &m->provider_env_revision, reterr);
    if (c == ERR_OK && sandbox->spec)
        c = launch_of(sandbox, a, &m->launch, reterr);
    if (c != ERR_OK)
        return c;
    m->workspace = sandbox->metadata->workspace;
    m->policy_validation_failure_mode = text("fail_closed");
    h.policy_source = (int32_t)m->policy_source;
    h.policy_hash = str_of(m->policy_hash);
    h.settings = settings;
    c = policy_config_revision(&h, &m->config_revision, reterr);
    if (c == ERR_OK)
        *ret = m;
    return c;
}

// ---- what became of it

// A line of the gateway's own in the sandbox's log.
static void tell(const struct services *s, struct str sandbox_id, const char *level, const char *fmt, ...)
    PRINTF(4, 5);
static void tell(const struct services *s, struct str sandbox_id, const char *level, const char *fmt, ...)
{
    Openshell__V1__SandboxLogLine line = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    struct err words = {}; // for its cleaning of what is not printable
    char message[sizeof(words.msg)];
    if (!s->watch)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    err_fill(&words, ERR_OK, "%s", message);
    line.timestamp_ms = clock_realtime_ms();
    line.level = text(level);
    line.target = text("gateway.config");
    line.source = text("gateway");
    line.message = words.msg;
    watch_log(s->watch, sandbox_id, &line);
}

enum err_code config_report(const struct services *s, const Openshell__V1__Sandbox *sandbox, uint32_t number,
                            Openshell__V1__PolicyStatus status, struct str why, struct arena *a,
                            struct err *reterr)
{
    struct str id = str_of(sandbox->metadata->id);
    enum err_code c = ERR_OK;
    for (unsigned tries = 0; tries < REPORT_TRIES; tries++) {
        Openshell__V1__Sandbox *now = NULL;
        struct store_write w = {};
        uint64_t version = 0;
        Openshell__V1__SandboxStatus empty = OPENSHELL__V1__SANDBOX_STATUS__INIT;
        c = record_by_id(s->store, id, a, &now, reterr);
        if (c != ERR_OK)
            return c;
        if (!now->status)
            now->status = &empty;
        bool changes = status == STATUS(LOADED) && now->status->current_policy_version != number;
        now->status->current_policy_version = number;
        if (changes)
            c = record_write(now, STORE_UPDATE, now->metadata->resource_version, a, &w, reterr);
        if (c == ERR_OK)
            c = revision_report(s->store, scope_of(sandbox), number, status, why, &w, changes, a, &version,
                                reterr);
        if (c != ERR_EXISTS && c != ERR_PRECONDITION)
            break;
    }
    if (c == ERR_OK && s->watch)
        watch_changed(s->watch, id);
    return c;
}

// Stores the supervisor's answer to a push of the revision `m->version`, unless it is stored already.
static enum err_code settle(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                            const SB(GetSandboxConfigResponse) * m, const struct push_result *result,
                            struct arena *a, struct err *reterr)
{
    struct revision v = {};
    struct str id = str_of(sandbox->metadata->id);
    if (result->error[0])
        tell(s, id, "ERROR", "policy revision %u was refused by the supervisor: %s", m->version,
             result->error);
    if (m->version == 0 || m->policy_source != OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX)
        return ERR_OK;
    enum err_code c = revision_get(s->store, scope_of(sandbox), m->version, a, &v, reterr);
    if (c != ERR_OK)
        return c;
    if (v.status == STATUS(LOADED) && sandbox->status &&
        sandbox->status->current_policy_version == m->version)
        return ERR_OK; // it was there before; what is new, or was refused, is a setting
    if (result->error[0])
        return config_report(s, sandbox, m->version, STATUS(FAILED), str_of(result->error), a, reterr);
    tell(s, id, "INFO", "policy revision %u is in force, connections cut: %u", m->version,
         result->connections_cut);
    return config_report(s, sandbox, m->version, STATUS(LOADED), STR(""), a, reterr);
}

// ---- push

static enum err_code push_policy(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                                 void *ctx, struct arena *a, struct err *reterr)
{
    (void)ctx;
    Openshell__V1__Sandbox *sandbox = NULL;
    SB(GetSandboxConfigResponse) *m = NULL;
    struct push_result result = {};
    Openshell__V1__ConfigPush push = OPENSHELL__V1__CONFIG_PUSH__INIT;
    enum err_code c = record_by_id(s->store, sandbox_id, a, &sandbox, reterr);
    if (c == ERR_OK)
        c = config_of(s, sandbox, a, &m, reterr);
    if (c != ERR_OK || !m || !sandbox)
        return c;
    m->launch = NULL; // it was launched
    push.config = m;
    c = config_send(s, sandbox_id, &push, deadline_ns, &result, reterr);
    return c == ERR_OK ? settle(s, sandbox, m, &result, a, reterr) : c;
}

enum err_code config_push(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                          struct arena *a, struct err *reterr)
{
    return config_in_turn(s, sandbox_id, deadline_ns, push_policy, NULL, a, reterr);
}

void config_push_all(const struct services *s)
{
    config_push_to(s, (struct str){}, push_policy, NULL);
}

void config_on_connected(const struct services *s, struct str sandbox_id,
                         const Openshell__V1__SupervisorHello *hello)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, ARENA_MAX);
    struct err err = {};
    Openshell__V1__Sandbox *sandbox = NULL;
    SB(GetSandboxConfigResponse) *m = NULL;
    if (hello->policy_version == 0 && hello->config_revision == 0)
        return; // it does not say what is in force, so it is one that polls
    enum err_code c = record_by_id(s->store, sandbox_id, &a, &sandbox, &err);
    if (c == ERR_OK)
        c = config_of(s, sandbox, &a, &m, &err);
    if (c == ERR_OK && m && hello->config_revision == m->config_revision &&
        hello->policy_version == m->version) {
        const struct push_result as_if = {.policy_version = m->version};
        c = settle(s, sandbox, m, &as_if, &a, &err);
    } else if (c == ERR_OK) {
        c = config_push(s, sandbox_id, deadline_in_ms(CONFIG_PUSH_MS), &a, &err);
    }
    if (c != ERR_OK)
        log_warning(s->log, "config.connected", LOG_WORD("sandbox", sandbox_id), LOG_REASON(&err));
}
