// What a sandbox gets of the providers that are attached to it: values, and where each may go.
//
// The supervisor keeps the values and gives its processes placeholders; a value without an endpoint is
// withheld here already, since nothing could ever be done with it.
#include <openssl/sha.h>

#include "base/clock.h"
#include "gateway/caller.h"
#include "gateway/config_push.h"
#include "gateway/provider_map.h"
#include "gateway/records.h"

enum { ENTRIES_MAX = PROVIDERS_OF_SANDBOX_MAX * (PROVIDER_CREDENTIALS_MAX + 12) };

typedef Openshell__V1__GetSandboxProviderEnvironmentResponse environment;
typedef Openshell__V1__GetSandboxProviderEnvironmentResponse__EnvironmentEntry env_entry;
typedef Openshell__V1__GetSandboxProviderEnvironmentResponse__StaticCredentialBindingsEntry binding_entry;
typedef Openshell__V1__GetSandboxProviderEnvironmentResponse__CredentialExpiresAtMsEntry expiry_entry;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

// ---- the answer under construction; every list has room for ENTRIES_MAX

struct maker {
    const struct services *services;
    struct arena *a;
    environment *out;
    int64_t now_ms;
    bool bindings, no_room;
};

static bool is_name(struct str key) // of a variable
{
    bool ok = key.n > 0 && !char_is_digit(key.p[0]);
    for (size_t i = 0; ok && i < key.n; i++)
        ok = char_is_alpha(key.p[i]) || char_is_digit(key.p[i]) || key.p[i] == '_';
    return ok;
}

static bool has(const environment *out, const char *key)
{
    for (size_t i = 0; i < out->n_environment; i++)
        if (strcmp(out->environment[i]->key, key) == 0)
            return true;
    return false;
}

// The first provider that gives a variable wins.
static bool add_value(struct maker *m, const char *key, const char *value)
{
    environment *out = m->out;
    env_entry *e = arena_new(m->a, env_entry);
    if (has(out, key))
        return false;
    if (!e || out->n_environment == ENTRIES_MAX) {
        m->no_room = true;
        return false;
    }
    openshell__v1__get_sandbox_provider_environment_response__environment_entry__init(e);
    e->key = text(key);
    e->value = text(value);
    out->environment[out->n_environment++] = e;
    return true;
}

static void add_config(struct maker *m, const char *key, const char *value)
{
    if (value && value[0] && add_value(m, key, value))
        m->out->non_secret_environment_keys[m->out->n_non_secret_environment_keys++] = text(key);
}

static void add_expiry(struct maker *m, const char *key, int64_t ms)
{
    expiry_entry *e = arena_new(m->a, expiry_entry);
    if (!e) {
        m->no_room = true;
        return;
    }
    openshell__v1__get_sandbox_provider_environment_response__credential_expires_at_ms_entry__init(e);
    e->key = text(key);
    e->value = ms;
    m->out->credential_expires_at_ms[m->out->n_credential_expires_at_ms++] = e;
}

// One for each port of each endpoint.
static void add_binding(struct maker *m, const provider *p, const provider_profile *profile, const char *key)
{
    typedef Openshell__V1__StaticCredentialEndpointBinding place;
    size_t n = 0;
    struct str identity = {};
    for (size_t i = 0; i < profile->n_endpoints; i++)
        n += profile->endpoints[i]->n_ports > 0 ? profile->endpoints[i]->n_ports : 1;
    place *v = arena_newn(m->a, place, n), **list = arena_newn(m->a, place *, n);
    Openshell__V1__StaticCredentialBinding *b = arena_new(m->a, Openshell__V1__StaticCredentialBinding);
    binding_entry *e = arena_new(m->a, binding_entry);
    if (!v || !list || !b || !e || !arena_fmt(m->a, &identity, "%s:%s", p->metadata->id, key)) {
        m->no_room = true;
        return;
    }
    openshell__v1__static_credential_binding__init(b);
    for (size_t i = 0; i < profile->n_endpoints; i++) {
        const Openshell__Sandbox__V1__NetworkEndpoint *ep = profile->endpoints[i];
        for (size_t k = 0; k < (ep->n_ports > 0 ? ep->n_ports : 1); k++) {
            place *at = &v[b->n_endpoints];
            openshell__v1__static_credential_endpoint_binding__init(at);
            at->host = ep->host;
            at->port = ep->n_ports > 0 ? ep->ports[k] : ep->port;
            at->path = ep->path;
            list[b->n_endpoints++] = at;
        }
    }
    b->endpoints = list;
    b->credential_identity = text(identity.p);
    openshell__v1__get_sandbox_provider_environment_response__static_credential_bindings_entry__init(e);
    e->key = text(key);
    e->value = b;
    m->out->static_credential_bindings[m->out->n_static_credential_bindings++] = e;
}

// Variables that are no secrets and follow from the configuration (reference: gateway 5.1).
static void add_generated(struct maker *m, const provider *p)
{
    const char *project = provider_config_of(p, "project_id"), *region = provider_config_of(p, "region");
    if (strcmp(p->type, "google-cloud") == 0) {
        add_config(m, "GCP_PROJECT_ID", project);
        add_config(m, "GOOGLE_CLOUD_PROJECT", project);
        add_config(m, "CLOUD_ML_REGION", region);
        add_config(m, "GCP_LOCATION", region);
        add_config(m, "GCP_SERVICE_ACCOUNT_EMAIL", provider_config_of(p, "service_account_email"));
    } else if (strcmp(p->type, "google-vertex-ai") == 0) {
        project = provider_config_of(p, "VERTEX_AI_PROJECT_ID");
        region = provider_config_of(p, "VERTEX_AI_REGION");
        add_config(m, "GCP_PROJECT_ID", project);
        add_config(m, "GOOGLE_CLOUD_PROJECT", project);
        add_config(m, "ANTHROPIC_VERTEX_PROJECT_ID", project);
        add_config(m, "CLOUD_ML_REGION", region);
        add_config(m, "GCP_LOCATION", region);
        add_config(m, "VERTEX_LOCATION", region);
        add_config(m, "GOOSE_PROVIDER", "gcp_vertex_ai");
    }
}

static enum err_code add_credential(struct maker *m, const provider *p, const provider_profile *profile,
                                    const char *key, struct err *reterr)
{
    int64_t expires = provider_expiry_of(p, str_of(key));
    struct str value = {};
    if (!is_name(str_of(key)) || (expires > 0 && expires <= m->now_ms) || has(m->out, key))
        return ERR_OK;
    if (strcmp(p->type, "google-vertex-ai") == 0 && strcmp(key, "GOOGLE_SERVICE_ACCOUNT_KEY") == 0)
        return ERR_OK; // what a token is made from is not for the sandbox
    if (!m->bindings || !profile || profile->n_endpoints == 0)
        return ERR_OK;
    struct secret secret = {};
    enum err_code r = provider_value(m->services->secrets, p, str_of(key), &secret, reterr);
    if (r == ERR_OK && !arena_dup(m->a, secret_expose(&secret), &value))
        r = arena_limit(m->a, "a credential", reterr);
    secret_done(&secret);
    if (r != ERR_OK || !add_value(m, key, value.p))
        return r;
    add_binding(m, p, profile, key);
    if (expires > 0)
        add_expiry(m, key, expires);
    return ERR_OK;
}

static enum err_code add_provider(struct maker *m, const Openshell__V1__Sandbox *sandbox, const char *name,
                                  struct err *reterr)
{
    provider *p = NULL;
    const provider_profile *profile = NULL;
    struct err none = {};
    struct str w = str_of(sandbox->metadata->workspace);
    enum err_code r = provider_by_name(m->services->store, w, str_of(name), m->a, &p, reterr);
    if (r == ERR_NOT_FOUND)
        return ERR_OK; // what it gave is taken away with it
    if (r != ERR_OK)
        return err_wrap(reterr, r, "provider '%s'", name);
    r = profile_find(m->services->profiles, m->services->store, w, str_of(p->type), m->a, &profile, &none);
    if (r != ERR_OK && r != ERR_NOT_FOUND)
        return err_set(reterr, r, "%s", none.msg);
    for (size_t i = 0; i < p->n_credential_handles; i++) {
        r = add_credential(m, p, profile, p->credential_handles[i]->key, reterr);
        if (r != ERR_OK)
            return r;
    }
    add_generated(m, p);
    return ERR_OK;
}

// ---- the revision: of everything that the answer is made from, but for the values themselves, whose handles
// change with them

static void hash_text(struct buf *h, const char *s)
{
    buf_addf(h, "%zu:%s;", strlen(s), s);
}

static enum err_code hash_provider(const struct services *s, struct buf *h, struct str w, const char *name,
                                   struct arena *a, struct err *reterr)
{
    provider *p = NULL;
    const provider_profile *profile = NULL;
    struct err none = {};
    hash_text(h, name);
    enum err_code r = provider_by_name(s->store, w, str_of(name), a, &p, reterr);
    if (r == ERR_NOT_FOUND)
        return ERR_OK; // its name is in, so the revision changes when it comes back
    if (r != ERR_OK)
        return r;
    hash_text(h, p->metadata->id);
    hash_text(h, p->type);
    buf_addf(h, "%llu;", (unsigned long long)p->metadata->resource_version);
    if (profile_find(s->profiles, s->store, w, str_of(p->type), a, &profile, &none) == ERR_OK)
        buf_addf(h, "%llu;", (unsigned long long)profile->resource_version);
    return ERR_OK;
}

enum err_code provider_env_revision(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                                    struct arena *a, uint64_t *ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf h;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    uint64_t revision = 0;
    enum err_code r = ERR_OK;
    buf_init(&h, 64 * KIB);
    hash_text(&h, "provider-environment-1");
    for (size_t i = 0; r == ERR_OK && sandbox->spec && i < sandbox->spec->n_providers; i++)
        r = hash_provider(s, &h, str_of(sandbox->metadata->workspace), sandbox->spec->providers[i], a,
                          reterr);
    if (r == ERR_OK)
        r = buf_check(&h, "the names of providers", reterr);
    if (r != ERR_OK)
        return r;
    (void)SHA256((const uint8_t *)h.p, h.n, hash);
    for (size_t i = 8; i-- > 0;)
        revision = revision << 8 | hash[i];
    *ret = revision;
    return ERR_OK;
}

enum err_code provider_environment(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                                   bool bindings, struct arena *a,
                                   Openshell__V1__GetSandboxProviderEnvironmentResponse **ret,
                                   struct err *reterr)
{
    environment *out = arena_new(a, environment);
    struct maker m = {.services = s, .a = a, .out = out, .now_ms = clock_realtime_ms(), .bindings = bindings};
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__get_sandbox_provider_environment_response__init(out);
    out->environment = arena_newn(a, env_entry *, ENTRIES_MAX);
    out->static_credential_bindings = arena_newn(a, binding_entry *, ENTRIES_MAX);
    out->credential_expires_at_ms = arena_newn(a, expiry_entry *, ENTRIES_MAX);
    out->non_secret_environment_keys = arena_newn(a, char *, ENTRIES_MAX);
    m.no_room = !out->environment || !out->static_credential_bindings || !out->credential_expires_at_ms ||
                !out->non_secret_environment_keys;
    enum err_code r = provider_env_revision(s, sandbox, a, &out->provider_env_revision, reterr);
    for (size_t i = 0; r == ERR_OK && !m.no_room && sandbox->spec && i < sandbox->spec->n_providers; i++)
        r = add_provider(&m, sandbox, sandbox->spec->providers[i], reterr);
    if (r == ERR_OK && m.no_room)
        r = arena_limit(a, "an answer", reterr);
    if (r == ERR_OK)
        *ret = out;
    return r;
}

// ---- pushing

// `ctx`: the provider that changed; NULL: whichever.
static enum err_code push_environment(const struct services *s, struct str id, int64_t deadline_ns, void *ctx,
                                      struct arena *a, struct err *reterr)
{
    Openshell__V1__ConfigPush push = OPENSHELL__V1__CONFIG_PUSH__INIT;
    Openshell__V1__Sandbox *sandbox = NULL;
    const struct str *name = ctx;
    enum err_code r = record_by_id(s->store, id, a, &sandbox, reterr);
    if (r != ERR_OK || (name && !provider_is_used(sandbox, *name)))
        return r;
    r = provider_environment(s, sandbox, true, a, &push.provider_environment, reterr);
    return r == ERR_OK ? config_deliver(s, id, &push, deadline_ns, reterr) : r;
}

void provider_push(const struct services *s, struct str id)
{
    CLEANUP(arena_wipe) struct arena a;
    struct err e = {};
    arena_init(&a, 16 * MIB);
    if (config_in_turn(s, id, deadline_in_ms(CONFIG_PUSH_MS), push_environment, NULL, &a, &e) != ERR_OK &&
        e.code != ERR_UNAVAILABLE)
        log_warning(s->log, "provider.push", LOG_WORD("sandbox", id), LOG_REASON(&e));
}

void provider_push_users(const struct services *s, struct str workspace, struct str name)
{
    config_push_to(s, workspace, push_environment, &name);
}

void provider_on_connected(const struct services *s, struct str id,
                           const Openshell__V1__SupervisorHello *hello)
{
    CLEANUP(arena_done) struct arena a;
    Openshell__V1__Sandbox *sandbox = NULL;
    struct err e = {};
    uint64_t revision = 0;
    arena_init(&a, 16 * MIB);
    if (!s->secrets || record_by_id(s->store, id, &a, &sandbox, &e) != ERR_OK ||
        provider_env_revision(s, sandbox, &a, &revision, &e) != ERR_OK)
        return;
    bool none = !sandbox->spec || sandbox->spec->n_providers == 0;
    if (none && hello->provider_env_revision == 0)
        return; // it never had any, and has none
    if (revision != hello->provider_env_revision)
        provider_push(s, id);
}

enum err_code method_get_sandbox_provider_environment(struct rpc_request *q, const ProtobufCMessage *in,
                                                      ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__GetSandboxProviderEnvironmentRequest
        *req = (const Openshell__V1__GetSandboxProviderEnvironmentRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    Openshell__V1__Sandbox *sandbox = NULL;
    environment *out = NULL;
    if (!req->sandbox_id[0])
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    enum err_code r = caller_scope(q, str_of(req->sandbox_id), reterr);
    if (r == ERR_OK)
        r = record_by_id(s->store, str_of(req->sandbox_id), a, &sandbox, reterr);
    if (r == ERR_OK)
        r = provider_environment(s, sandbox, req->supports_static_credential_bindings, a, &out, reterr);
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}
