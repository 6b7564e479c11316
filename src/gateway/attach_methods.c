// Which providers a sandbox has: read, attached and detached while it runs.
#include "base/clock.h"
#include "gateway/config.h"
#include "gateway/provider_map.h"
#include "gateway/records.h"
#include "gateway/watch.h"
#include "gateway/workspace.h"

enum { VARIABLES_MAX = PROVIDERS_OF_SANDBOX_MAX * PROVIDER_CREDENTIALS_MAX };

struct variable {
    struct str key;
    const char *provider;
};

static enum err_code add_variables(const provider *p, struct variable *v, size_t *n, struct err *reterr)
{
    for (size_t i = 0; i < p->n_credential_handles; i++) {
        struct str key = str_of(p->credential_handles[i]->key);
        for (size_t k = 0; k < *n; k++)
            if (str_eq(v[k].key, key))
                return err_set(reterr, ERR_PRECONDITION, "providers '%s' and '%s' both give %.*s",
                               v[k].provider, p->metadata->name, STR_FMT(key));
        if (*n < VARIABLES_MAX)
            v[(*n)++] = (struct variable){key, p->metadata->name};
    }
    return ERR_OK;
}

enum err_code providers_check(const struct services *s, struct str workspace, char *const *names, size_t n,
                              struct arena *a, struct err *reterr)
{
    struct variable *v = arena_newn(a, struct variable, VARIABLES_MAX);
    size_t used = 0;
    if (!v)
        return arena_limit(a, "providers", reterr);
    if (n > PROVIDERS_OF_SANDBOX_MAX)
        return err_set(reterr, ERR_INVALID, "a sandbox has at most %d providers", PROVIDERS_OF_SANDBOX_MAX);
    for (size_t i = 0; i < n; i++) {
        provider *p = NULL;
        enum err_code r = s->secrets ? provider_by_name(s->store, workspace, str_of(names[i]), a, &p, reterr)
                                     : ERR_NOT_FOUND;
        if (r == ERR_NOT_FOUND)
            return err_set(reterr, ERR_PRECONDITION, "provider '%.*s' not found", STR_FMT(str_of(names[i])));
        for (size_t k = 0; r == ERR_OK && k < i; k++)
            if (strcmp(names[k], names[i]) == 0)
                p = NULL; // named twice is once
        if (r == ERR_OK && p)
            r = add_variables(p, v, &used, reterr);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

struct target {
    struct str workspace;
    Openshell__V1__Sandbox *sandbox;
};

static enum err_code find(const struct services *s, const char *workspace, const char *sandbox,
                          enum workspace_use use, struct arena *a, struct target *ret, struct err *reterr)
{
    if (!sandbox[0])
        return err_set(reterr, ERR_INVALID, "sandbox_name is required");
    if (!s->secrets)
        return err_set(reterr, ERR_PRECONDITION, "this gateway was started without a place for credentials");
    enum err_code r = workspace_check(s->store, workspace, use, a, &ret->workspace, reterr);
    return r == ERR_OK ? record_by_name(s->store, ret->workspace, str_of(sandbox), a, &ret->sandbox, reterr)
                       : r;
}

enum err_code method_list_sandbox_providers(struct rpc_request *q, const ProtobufCMessage *in,
                                            ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__ListSandboxProvidersRequest
        *req = (const Openshell__V1__ListSandboxProvidersRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct target t = {};
    Openshell__V1__ListSandboxProvidersResponse *out = arena_new(a,
                                                                 Openshell__V1__ListSandboxProvidersResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_sandbox_providers_response__init(out);
    enum err_code r = find(s, req->workspace, req->sandbox_name, WORKSPACE_READ, a, &t, reterr);
    if (r != ERR_OK)
        return r;
    size_t n = t.sandbox->spec ? t.sandbox->spec->n_providers : 0;
    out->providers = arena_newn(a, provider *, n);
    if (!out->providers)
        return arena_limit(a, "an answer", reterr);
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        const char *name = t.sandbox->spec->providers[i];
        r = provider_by_name(s->store, t.workspace, str_of(name), a, &out->providers[i], reterr);
        if (r == ERR_NOT_FOUND)
            r = err_set(reterr, ERR_PRECONDITION, "provider '%s' not found", name);
        if (r == ERR_OK)
            r = provider_redact(out->providers[i], a, reterr);
        out->n_providers = i + 1;
    }
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}

// ---- attach and detach: one change of the record

struct edit {
    const struct services *services;
    struct str workspace;
    const char *name;
    bool attach, changed;
};

static size_t index_of(const Openshell__V1__SandboxSpec *spec, const char *name)
{
    size_t i = 0;
    while (i < spec->n_providers && strcmp(spec->providers[i], name) != 0)
        i++;
    return i;
}

static int edit_record(Openshell__V1__Sandbox *sandbox, void *ctx, struct arena *a, struct err *reterr)
{
    struct edit *e = ctx;
    Openshell__V1__SandboxSpec *spec = sandbox->spec;
    if (!spec)
        return err_set(reterr, ERR_INTERNAL, "the sandbox's record has no spec");
    size_t at = index_of(spec, e->name);
    e->changed = e->attach == (at == spec->n_providers);
    if (!e->changed)
        return RECORD_SAME;
    char **v = arena_newn(a, char *, spec->n_providers + 1);
    if (!v)
        return arena_limit(a, "providers", reterr);
    size_t n = 0;
    for (size_t i = 0; i < spec->n_providers; i++)
        if (e->attach || i != at)
            v[n++] = spec->providers[i];
    if (e->attach)
        v[n++] = (char *)(uintptr_t)e->name;
    enum err_code r = e->attach ? providers_check(e->services, e->workspace, v, n, a, reterr) : ERR_OK;
    spec->providers = v;
    spec->n_providers = n;
    return (int)r;
}

static enum err_code apply(struct rpc_request *q, struct target *t, struct edit *e, uint64_t if_version,
                           struct err *reterr)
{
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    uint64_t version = 0;
    struct err unheard = {};
    struct str id = str_of(t->sandbox->metadata->id);
    if (!e->name[0])
        return err_set(reterr, ERR_INVALID, "provider_name is required");
    e->services = s;
    e->workspace = t->workspace;
    enum err_code r = record_update(s->store, id, if_version, edit_record, e, a, &t->sandbox, &version,
                                    reterr);
    if (r == ERR_PRECONDITION && version > 0)
        return rpc_request_fail(q, RPC_ABORTED, reterr,
                                "%s failed due to concurrent modification (current resource_version: %llu)",
                                e->attach ? "attach provider" : "detach provider",
                                (unsigned long long)version);
    if (r != ERR_OK || !e->changed)
        return r;
    if (s->watch)
        watch_changed(s->watch, id);
    provider_push(s, id);
    if (s->config && config_push(s, id, deadline_in_ms(CONFIG_PUSH_MS), a, &unheard) != ERR_OK &&
        unheard.code != ERR_UNAVAILABLE) // one that is not connected asks when it connects
        log_warning(s->log, "provider.policy", LOG_WORD("sandbox", id), LOG_REASON(&unheard));
    return ERR_OK;
}

enum err_code method_attach_sandbox_provider(struct rpc_request *q, const ProtobufCMessage *in,
                                             ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__AttachSandboxProviderRequest
        *req = (const Openshell__V1__AttachSandboxProviderRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct target t = {};
    struct edit e = {.name = req->provider_name, .attach = true};
    Openshell__V1__AttachSandboxProviderResponse
        *out = arena_new(a, Openshell__V1__AttachSandboxProviderResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__attach_sandbox_provider_response__init(out);
    enum err_code r = find(s, req->workspace, req->sandbox_name, WORKSPACE_WRITE, a, &t, reterr);
    if (r == ERR_OK)
        r = apply(q, &t, &e, req->expected_resource_version, reterr);
    if (r != ERR_OK)
        return r;
    out->sandbox = t.sandbox;
    out->attached = e.changed;
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_detach_sandbox_provider(struct rpc_request *q, const ProtobufCMessage *in,
                                             ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__DetachSandboxProviderRequest
        *req = (const Openshell__V1__DetachSandboxProviderRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct target t = {};
    struct edit e = {.name = req->provider_name};
    Openshell__V1__DetachSandboxProviderResponse
        *out = arena_new(a, Openshell__V1__DetachSandboxProviderResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__detach_sandbox_provider_response__init(out);
    enum err_code r = find(s, req->workspace, req->sandbox_name, WORKSPACE_WRITE, a, &t, reterr);
    if (r == ERR_OK)
        r = apply(q, &t, &e, req->expected_resource_version, reterr);
    if (r != ERR_OK)
        return r;
    out->sandbox = t.sandbox;
    out->detached = e.changed;
    *ret = &out->base;
    return ERR_OK;
}
