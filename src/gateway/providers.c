#include "gateway/providers.h"

#include "base/clock.h"
#include "convert/provider_type.h"
#include "gateway/ids.h"
#include "gateway/inference.h"
#include "gateway/provider_map.h"
#include "gateway/records.h"
#include "gateway/workspace.h"

#define KIND "provider"

enum {
    RECORD_MAX = 2 * MIB, // as sandboxes'
    NAME_MAX_BYTES = 253, // reference: gateway 3.1
    TYPE_MAX = 64,        // ditto
    VALUE_MAX = 8192,     // ditto
    PAGE_DEFAULT = 100,
    WRITES_MAX = 1 + 2 * PROVIDER_CREDENTIALS_MAX,
};

// A record and the values that come and go with it, as one transaction.
struct change {
    struct store_write writes[WRITES_MAX];
    size_t n;
};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

// ---- the store

static enum err_code unpack(const struct store_object *row, struct arena *a, provider **ret,
                            struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code r = wire_unpack(&openshell__datamodel__v1__provider__descriptor, row->payload, a, &m,
                                  reterr);
    provider *p = (provider *)(void *)m;
    if (r == ERR_INVALID || (r == ERR_OK && !p->metadata))
        return err_set(reterr, ERR_INTERNAL, "the record of provider '%.*s' is damaged", STR_FMT(row->name));
    if (r != ERR_OK)
        return r;
    assert(p && p->metadata);
    p->metadata->resource_version = row->version;
    *ret = p;
    return ERR_OK;
}

enum err_code provider_by_name(struct store *st, struct str workspace, struct str name, struct arena *a,
                               provider **ret, struct err *reterr)
{
    struct store_object row = {};
    enum err_code r = store_get_named(st, STR(KIND), workspace, name, a, &row, reterr);
    if (r == ERR_NOT_FOUND)
        return err_set(reterr, r, "provider not found");
    return r == ERR_OK ? unpack(&row, a, ret, reterr) : r;
}

static enum err_code add_record(const provider *p, enum store_op op, uint64_t if_version, struct arena *a,
                                struct change *c, struct err *reterr)
{
    const Openshell__Datamodel__V1__ObjectMeta *m = p->metadata;
    provider copy = *p;
    struct str packed = {};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, RECORD_MAX);
    copy.credentials = NULL; // never stored here
    copy.n_credentials = 0;
    enum err_code r = wire_pack(&copy.base, &b, reterr);
    if (r == ERR_OK && !arena_dup(a, buf_str(&b), &packed))
        r = arena_limit(a, "a provider", reterr);
    if (r != ERR_OK)
        return r;
    // First, so that a failure at index 0 is the record's.
    memmove(&c->writes[1], &c->writes[0], c->n++ * sizeof(c->writes[0]));
    c->writes[0] = (struct store_write){.op = op,
                                        .if_version = if_version,
                                        .object = {.kind = STR(KIND),
                                                   .workspace = str_of(m->workspace),
                                                   .id = str_of(m->id),
                                                   .name = str_of(m->name),
                                                   .payload = packed,
                                                   .created_ms = m->created_at_ms,
                                                   .updated_ms = clock_realtime_ms()}};
    return ERR_OK;
}

static enum err_code apply(struct rpc_request *q, const struct services *s, const struct change *c,
                           uint64_t *ret_version, struct err *reterr)
{
    uint64_t versions[WRITES_MAX] = {};
    size_t failed = 0;
    enum err_code r = store_apply(s->store, c->writes, c->n, versions, &failed, reterr);
    if (r == ERR_EXISTS && failed == 0)
        return err_set(reterr, r, "provider already exists");
    if (r == ERR_PRECONDITION && failed == 0)
        return rpc_request_fail(q, RPC_ABORTED, reterr,
                                "provider was modified concurrently (current resource_version: %llu)",
                                (unsigned long long)versions[0]);
    *ret_version = versions[0];
    return r;
}

static struct secrets_owner owner_of(const provider *p, struct str key)
{
    return (struct secrets_owner){str_of(p->metadata->workspace), str_of(p->metadata->id), key};
}

enum err_code provider_value(struct secrets *secrets, const provider *p, struct str key, struct secret *ret,
                             struct err *reterr)
{
    const Openshell__Datamodel__V1__CredentialHandle *h = provider_handle_of(p, key);
    const struct secrets_owner owner = owner_of(p, key);
    if (!h)
        return err_set(reterr, ERR_NOT_FOUND, "provider '%.*s' has no credential '%.*s'",
                       STR_FMT(str_of(p->metadata->name)), STR_FMT(key));
    return secrets_unseal(secrets, &owner, h, ret, reterr);
}

enum err_code provider_redact(provider *p, struct arena *a, struct err *reterr)
{
    size_t n = p->n_credential_handles;
    provider_credential *e = arena_newn(a, provider_credential, n),
                        **list = arena_newn(a, provider_credential *, n);
    if (!e || !list)
        return arena_limit(a, "a provider", reterr);
    for (size_t i = 0; i < n; i++) {
        openshell__datamodel__v1__provider__credentials_entry__init(&e[i]);
        e[i].key = p->credential_handles[i]->key;
        e[i].value = text(PROVIDER_REDACTED);
        list[i] = &e[i];
    }
    p->credentials = list;
    p->n_credentials = n;
    p->credential_handles = NULL;
    p->n_credential_handles = 0;
    return ERR_OK;
}

bool provider_is_used(const Openshell__V1__Sandbox *sandbox, struct str name)
{
    for (size_t i = 0; sandbox->spec && i < sandbox->spec->n_providers; i++)
        if (str_eq(str_of(sandbox->spec->providers[i]), name))
            return true;
    return false;
}

enum err_code provider_users(struct store *st, struct str workspace, struct str name, struct buf *out,
                             struct err *reterr)
{
    bool more = true;
    for (uint64_t offset = 0; more; offset += STORE_PAGE_MAX) {
        CLEANUP(arena_done) struct arena a;
        const struct store_query q = {.workspace = workspace, .limit = STORE_PAGE_MAX, .offset = offset};
        Openshell__V1__Sandbox **v = NULL;
        size_t n = 0;
        arena_init(&a, 256 * MIB);
        enum err_code r = record_list(st, &q, &a, &v, &n, &more, reterr);
        if (r != ERR_OK)
            return r;
        for (size_t i = 0; i < n; i++)
            if (provider_is_used(v[i], name)) {
                buf_add(out, out->n > 0 ? STR(", ") : STR(""));
                buf_add(out, str_of(v[i]->metadata->name));
            }
    }
    return ERR_OK;
}

// ---- checks

static enum err_code check_pair(const char *what, const char *key, const char *value, struct err *reterr)
{
    struct str k = str_of(key);
    if (k.n == 0 || k.n > PROVIDER_KEY_MAX)
        return err_set(reterr, ERR_INVALID, "a key of %s has 1 to %d bytes", what, PROVIDER_KEY_MAX);
    if (strlen(value) > VALUE_MAX)
        return err_set(reterr, ERR_INVALID, "%s '%.*s' has more than %d bytes", what, STR_FMT(k), VALUE_MAX);
    for (const char *c = value; *c; c++)
        if (*c == '\r' || *c == '\n')
            return err_set(reterr, ERR_INVALID, "%s '%.*s' has a line break, which no header may carry", what,
                           STR_FMT(k));
    return ERR_OK;
}

static enum err_code check_maps(const provider *p, struct err *reterr)
{
    enum err_code r = ERR_OK;
    if (p->n_credential_handles > 0)
        return err_set(reterr, ERR_INVALID,
                       "credential_handles are internal gateway state and cannot be supplied");
    if (p->n_credentials > PROVIDER_CREDENTIALS_MAX || p->n_config > PROVIDER_CONFIG_MAX)
        return err_set(reterr, ERR_INVALID, "a provider has at most %d credentials and %d config entries",
                       PROVIDER_CREDENTIALS_MAX, PROVIDER_CONFIG_MAX);
    for (size_t i = 0; r == ERR_OK && i < p->n_credentials; i++)
        r = check_pair("credential", p->credentials[i]->key, p->credentials[i]->value, reterr);
    for (size_t i = 0; r == ERR_OK && i < p->n_config; i++)
        r = check_pair("config", p->config[i]->key, p->config[i]->value, reterr);
    for (size_t i = 0; r == ERR_OK && i < p->n_credential_expires_at_ms; i++)
        if (p->credential_expires_at_ms[i]->value < 0)
            r = err_set(reterr, ERR_INVALID, "an expiry is not negative");
    return r;
}

static enum err_code check_name(const char *name, struct err *reterr)
{
    struct str s = str_of(name);
    bool ok = s.n <= NAME_MAX_BYTES;
    for (size_t i = 0; ok && i < s.n; i++)
        ok = char_is_alpha(s.p[i]) || char_is_digit(s.p[i]) || (i > 0 && memchr("-_.", s.p[i], 3));
    return ok ? ERR_OK
              : err_set(reterr, ERR_INVALID,
                        "name '%.*s': letters, digits and -_. behind the first, at most %d bytes", STR_FMT(s),
                        NAME_MAX_BYTES);
}

// ---- CreateProvider

static enum err_code seal_all(const struct services *s, provider *p, struct arena *a, struct change *c,
                              struct err *reterr)
{
    for (size_t i = 0; i < p->n_credentials; i++) {
        const struct secrets_owner owner = owner_of(p, str_of(p->credentials[i]->key));
        Openshell__Datamodel__V1__CredentialHandle *h = NULL;
        enum err_code r = secrets_seal(s->secrets, &owner, str_of(p->credentials[i]->value), a, &h,
                                       &c->writes[c->n], reterr);
        if (r != ERR_OK)
            return r;
        c->n++;
        if (!provider_set_handle(p, p->credentials[i]->key, h, a))
            return arena_limit(a, "a provider", reterr);
    }
    return ERR_OK;
}

static enum err_code check_new(const struct services *s, struct str workspace, provider *p, struct arena *a,
                               struct err *reterr)
{
    const provider_profile *profile = NULL;
    struct err none = {};
    if (!p->type[0] || strlen(p->type) > TYPE_MAX)
        return err_set(reterr, ERR_INVALID, "type is required, at most %d bytes", TYPE_MAX);
    if (p->profile_workspace[0] && !str_eq(str_of(p->profile_workspace), workspace))
        return err_set(reterr, ERR_INVALID, "profile_workspace is empty or the provider's workspace");
    p->type = text(provider_type(p->type));
    enum err_code r = check_maps(p, reterr);
    if (r == ERR_OK)
        r = check_name(p->metadata->name, reterr);
    if (r != ERR_OK || p->n_credentials > 0)
        return r;
    bool empty = profile_find(s->profiles, s->store, workspace, str_of(p->type), a, &profile, &none) ==
                     ERR_OK &&
                 profile_allows_empty(profile);
    return empty ? ERR_OK
                 : err_set(reterr, ERR_INVALID, "a provider of type '%.*s' needs at least one credential",
                           STR_FMT(str_of(p->type)));
}

static enum err_code answer(provider *p, struct arena *a, ProtobufCMessage **ret, struct err *reterr)
{
    Openshell__V1__ProviderResponse *out = arena_new(a, Openshell__V1__ProviderResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__provider_response__init(out);
    enum err_code r = provider_redact(p, a, reterr);
    out->provider = p;
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}

// Six letters, where the caller gave no name.
static enum err_code make_name(struct arena *a, char **ret, struct err *reterr)
{
    char id[ID_SIZE];
    struct str name = {};
    enum err_code r = id_make(id, reterr);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < 6; i++) // hexadecimal digits as letters
        id[i] = (char)('a' + (char_is_digit(id[i]) ? id[i] - '0' : id[i] - 'a' + 10));
    if (!arena_dup(a, (struct str){id, 6}, &name))
        return arena_limit(a, "a name", reterr);
    *ret = text(name.p);
    return ERR_OK;
}

static enum err_code begin(const struct services *s, const char *workspace, enum workspace_use use,
                           struct arena *a, struct str *ret, struct err *reterr)
{
    if (!s->secrets || !s->profiles)
        return err_set(reterr, ERR_PRECONDITION, "this gateway was started without a place for credentials");
    return workspace_check(s->store, workspace, use, a, ret, reterr);
}

enum err_code method_create_provider(struct rpc_request *q, const ProtobufCMessage *in,
                                     ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__CreateProviderRequest
        *req = (const Openshell__V1__CreateProviderRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct change c = {};
    struct str w = {}, id = {};
    char uuid[ID_SIZE];
    if (!req->provider)
        return err_set(reterr, ERR_INVALID, "provider is required");
    provider *p = req->provider;
    Openshell__Datamodel__V1__ObjectMeta *m = arena_new(a, Openshell__Datamodel__V1__ObjectMeta);
    enum err_code r = begin(s, req->workspace, WORKSPACE_WRITE, a, &w, reterr);
    if (r == ERR_OK)
        r = id_make(uuid, reterr);
    if (r == ERR_OK && (!m || !arena_dup(a, str_of(uuid), &id)))
        r = arena_limit(a, "a provider", reterr);
    if (r != ERR_OK)
        return r;
    openshell__datamodel__v1__object_meta__init(m);
    m->id = text(id.p);
    m->workspace = text(w.p);
    m->created_at_ms = clock_realtime_ms();
    if (p->metadata) {
        m->name = p->metadata->name;
        m->labels = p->metadata->labels;
        m->n_labels = p->metadata->n_labels;
        m->annotations = p->metadata->annotations;
        m->n_annotations = p->metadata->n_annotations;
    }
    p->metadata = m;
    if (!m->name[0])
        r = make_name(a, &m->name, reterr);
    if (r == ERR_OK)
        r = check_new(s, w, p, a, reterr);
    if (r == ERR_OK)
        r = seal_all(s, p, a, &c, reterr);
    if (r == ERR_OK)
        r = add_record(p, STORE_CREATE, 0, a, &c, reterr);
    if (r == ERR_OK)
        r = apply(q, s, &c, &m->resource_version, reterr);
    return r == ERR_OK ? answer(p, a, ret, reterr) : r;
}

enum err_code method_get_provider(struct rpc_request *q, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr)
{
    const Openshell__V1__GetProviderRequest *req = (const Openshell__V1__GetProviderRequest *)(const void *)
        in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct str w = {};
    provider *p = NULL;
    if (!req->name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    enum err_code r = begin(s, req->workspace, WORKSPACE_READ, a, &w, reterr);
    if (r == ERR_OK)
        r = provider_by_name(s->store, w, str_of(req->name), a, &p, reterr);
    return r == ERR_OK ? answer(p, a, ret, reterr) : r;
}

enum err_code method_list_providers(struct rpc_request *q, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__ListProvidersRequest
        *req = (const Openshell__V1__ListProvidersRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct str w = {};
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    Openshell__V1__ListProvidersResponse *out = arena_new(a, Openshell__V1__ListProvidersResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_providers_response__init(out);
    if (req->all_workspaces && req->workspace[0])
        return err_set(reterr, ERR_INVALID, "all_workspaces and workspace exclude each other");
    enum err_code r = begin(s, req->workspace, WORKSPACE_READ, a, &w, reterr);
    const struct store_query query = {.kind = STR(KIND),
                                      .all_workspaces = req->all_workspaces,
                                      .workspace = w,
                                      .offset = req->offset,
                                      .limit = req->limit == 0               ? PAGE_DEFAULT
                                               : req->limit > STORE_PAGE_MAX ? STORE_PAGE_MAX
                                                                             : req->limit};
    if (r == ERR_OK)
        r = store_list(s->store, &query, a, &rows, &n, &more, reterr);
    out->providers = r == ERR_OK ? arena_newn(a, provider *, n) : NULL;
    if (r == ERR_OK && !out->providers)
        r = arena_limit(a, "an answer", reterr);
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        assert(out->providers);
        r = unpack(&rows[i], a, &out->providers[i], reterr);
        if (r == ERR_OK)
            r = provider_redact(out->providers[i], a, reterr);
        out->n_providers = i + 1;
    }
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}

// ---- UpdateProvider: entries overwrite, an empty value removes

static enum err_code forget_value(const provider *p, struct str key, struct arena *a, struct change *c,
                                  struct err *reterr)
{
    const Openshell__Datamodel__V1__CredentialHandle *h = provider_handle_of(p, key);
    const struct secrets_owner owner = owner_of(p, key);
    if (!h)
        return ERR_OK;
    enum err_code r = secrets_forget(&owner, h, a, &c->writes[c->n], reterr);
    c->n += r == ERR_OK;
    return r;
}

static enum err_code merge_credentials(const struct services *s, provider *p, const provider *in,
                                       struct arena *a, struct change *c, struct err *reterr)
{
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < in->n_credentials; i++) {
        const char *key = in->credentials[i]->key, *value = in->credentials[i]->value;
        const struct secrets_owner owner = owner_of(p, str_of(key));
        Openshell__Datamodel__V1__CredentialHandle *h = NULL;
        r = forget_value(p, str_of(key), a, c, reterr);
        if (r != ERR_OK)
            break;
        if (!value[0]) {
            provider_drop_handle(p, str_of(key));
            provider_drop_expiry(p, str_of(key));
            continue;
        }
        r = secrets_seal(s->secrets, &owner, str_of(value), a, &h, &c->writes[c->n], reterr);
        c->n += r == ERR_OK;
        if (r == ERR_OK && !provider_set_handle(p, key, h, a))
            r = arena_limit(a, "a provider", reterr);
    }
    if (r == ERR_OK && p->n_credential_handles > PROVIDER_CREDENTIALS_MAX)
        r = err_set(reterr, ERR_INVALID, "a provider has at most %d credentials", PROVIDER_CREDENTIALS_MAX);
    return r;
}

static enum err_code merge_rest(provider *p, const Openshell__V1__UpdateProviderRequest *req, struct arena *a,
                                struct err *reterr)
{
    bool ok = true;
    for (size_t i = 0; ok && i < req->provider->n_config; i++) {
        const provider_config *e = req->provider->config[i];
        if (e->value[0])
            ok = provider_set_config(p, e->key, e->value, a);
        else
            provider_drop_config(p, str_of(e->key));
    }
    for (size_t i = 0; ok && i < req->n_credential_expires_at_ms; i++) {
        const char *key = req->credential_expires_at_ms[i]->key;
        int64_t ms = req->credential_expires_at_ms[i]->value;
        if (ms < 0)
            return err_set(reterr, ERR_INVALID, "an expiry is not negative");
        if (ms > 0)
            ok = provider_set_expiry(p, key, ms, a);
        else
            provider_drop_expiry(p, str_of(key));
    }
    if (ok && p->n_config > PROVIDER_CONFIG_MAX)
        return err_set(reterr, ERR_INVALID, "a provider has at most %d config entries", PROVIDER_CONFIG_MAX);
    return ok ? ERR_OK : arena_limit(a, "a provider", reterr);
}

static enum err_code check_same(const provider *p, const provider *in, struct err *reterr)
{
    if (in->type[0] && strcmp(provider_type(in->type), p->type) != 0)
        return err_set(reterr, ERR_INVALID, "the type of a provider cannot be changed");
    if (in->profile_workspace[0] && strcmp(in->profile_workspace, p->profile_workspace) != 0)
        return err_set(reterr, ERR_INVALID, "the profile_workspace of a provider cannot be changed");
    return check_maps(in, reterr);
}

enum err_code method_update_provider(struct rpc_request *q, const ProtobufCMessage *in,
                                     ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__UpdateProviderRequest
        *req = (const Openshell__V1__UpdateProviderRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct change c = {};
    struct str w = {};
    provider *p = NULL;
    if (!req->provider || !req->provider->metadata || !req->provider->metadata->name[0])
        return err_set(reterr, ERR_INVALID, "provider.metadata.name is required");
    enum err_code r = begin(s, req->workspace, WORKSPACE_WRITE, a, &w, reterr);
    if (r == ERR_OK)
        r = provider_by_name(s->store, w, str_of(req->provider->metadata->name), a, &p, reterr);
    if (r == ERR_OK)
        r = check_same(p, req->provider, reterr);
    if (r == ERR_OK)
        r = merge_credentials(s, p, req->provider, a, &c, reterr);
    if (r == ERR_OK)
        r = merge_rest(p, req, a, reterr);
    if (r != ERR_OK)
        return r;
    uint64_t want = req->provider->metadata->resource_version;
    r = add_record(p, STORE_UPDATE, want ? want : p->metadata->resource_version, a, &c, reterr);
    if (r == ERR_OK)
        r = apply(q, s, &c, &p->metadata->resource_version, reterr);
    if (r != ERR_OK)
        return r;
    provider_push_users(s, w, str_of(p->metadata->name));
    inference_push(s, w); // a route may have its key from it
    return answer(p, a, ret, reterr);
}

enum err_code method_delete_provider(struct rpc_request *q, const ProtobufCMessage *in,
                                     ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__DeleteProviderRequest
        *req = (const Openshell__V1__DeleteProviderRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    struct change c = {};
    struct str w = {};
    provider *p = NULL;
    uint64_t version = 0;
    CLEANUP(buf_done) struct buf users;
    buf_init(&users, 64 * KIB);
    Openshell__V1__DeleteProviderResponse *out = arena_new(a, Openshell__V1__DeleteProviderResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__delete_provider_response__init(out);
    if (!req->name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    enum err_code r = begin(s, req->workspace, WORKSPACE_READ, a, &w, reterr);
    if (r == ERR_OK)
        r = provider_by_name(s->store, w, str_of(req->name), a, &p, reterr);
    *ret = &out->base;
    if (r == ERR_NOT_FOUND && w.n > 0)
        return ERR_OK; // deleted stays false
    if (r == ERR_OK)
        r = provider_users(s->store, w, str_of(req->name), &users, reterr);
    if (r == ERR_OK && users.n > 0)
        r = err_set(reterr, ERR_PRECONDITION, "provider '%.*s' is attached to sandbox(es): %.*s",
                    STR_FMT(str_of(req->name)), STR_FMT(buf_str(&users)));
    for (size_t i = 0; r == ERR_OK && i < p->n_credential_handles; i++)
        r = forget_value(p, str_of(p->credential_handles[i]->key), a, &c, reterr);
    if (r == ERR_OK)
        r = add_record(p, STORE_DELETE, p->metadata->resource_version, a, &c, reterr);
    if (r == ERR_OK)
        r = apply(q, s, &c, &version, reterr);
    out->deleted = r == ERR_OK;
    return r;
}

// ---- profiles

enum err_code method_list_provider_profiles(struct rpc_request *q, const ProtobufCMessage *in,
                                            ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__ListProviderProfilesRequest
        *req = (const Openshell__V1__ListProviderProfilesRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    const provider_profile **v = NULL;
    size_t n = 0, limit = req->limit == 0 ? PAGE_DEFAULT : req->limit;
    Openshell__V1__ListProviderProfilesResponse *out = arena_new(a,
                                                                 Openshell__V1__ListProviderProfilesResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_provider_profiles_response__init(out);
    struct str w = str_of(req->workspace); // empty: the platform's
    enum err_code r = w.n > 0 ? begin(s, req->workspace, WORKSPACE_READ, a, &w, reterr) : ERR_OK;
    if (r == ERR_OK)
        r = profile_list(s->profiles, s->store, w, a, &v, &n, reterr);
    if (r != ERR_OK)
        return r;
    size_t first = req->offset < n ? req->offset : n;
    out->profiles = (provider_profile **)(uintptr_t)(v + first); // packing only reads them
    out->n_profiles = n - first < limit ? n - first : limit;
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_get_provider_profile(struct rpc_request *q, const ProtobufCMessage *in,
                                          ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__GetProviderProfileRequest
        *req = (const Openshell__V1__GetProviderProfileRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(q);
    struct arena *a = rpc_request_arena(q);
    const provider_profile *p = NULL;
    Openshell__V1__ProviderProfileResponse *out = arena_new(a, Openshell__V1__ProviderProfileResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__provider_profile_response__init(out);
    if (!req->id[0])
        return err_set(reterr, ERR_INVALID, "id is required");
    struct str w = str_of(req->workspace);
    enum err_code r = w.n > 0 ? begin(s, req->workspace, WORKSPACE_READ, a, &w, reterr) : ERR_OK;
    if (r == ERR_OK)
        r = profile_find(s->profiles, s->store, w, str_of(provider_type(req->id)), a, &p, reterr);
    if (r != ERR_OK)
        return r;
    out->profile = (provider_profile *)(uintptr_t)p;
    *ret = &out->base;
    return ERR_OK;
}
