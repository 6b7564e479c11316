#include "gateway/inference.h"

#include <openssl/sha.h>

#include "base/clock.h"
#include "gateway/caller.h"
#include "gateway/config_push.h"
#include "gateway/ids.h"
#include "gateway/inference_probe.h"
#include "gateway/provider_map.h"
#include "gateway/records.h"
#include "gateway/workspace.h"

#define KIND "inference_route"

enum { MODEL_MAX = 256, TIMEOUT_MAX_S = 86'400 };

typedef Openshell__Inference__V1__InferenceRoute stored_route;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

// ---- kinds of providers that serve models (reference: gateway 5.7)

static const char *const openai_protocols[] = {"openai_chat_completions", "openai_completions",
                                               "openai_responses", "openai_embeddings", "model_discovery"};
static const char *const anthropic_protocols[] = {"anthropic_messages", "model_discovery"};
static const char *const bedrock_protocols[] = {"aws_bedrock_invoke"};

static const struct kind {
    const char *type, *base, *base_key, *key;
    const char *const *protocols;
    size_t protocols_n;
    bool any_key; // where `key` is not there, the first one by name
} kinds[] = {
    {"openai", "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY", openai_protocols,
     ARRAY_LEN(openai_protocols), true},
    {"nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_BASE_URL", "NVIDIA_API_KEY", openai_protocols,
     ARRAY_LEN(openai_protocols), true},
    {"deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_BASE_URL", "DEEPINFRA_API_KEY",
     openai_protocols, ARRAY_LEN(openai_protocols), true},
    {"anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY",
     anthropic_protocols, ARRAY_LEN(anthropic_protocols), true},
    {"aws-bedrock", NULL, "BEDROCK_BASE_URL", NULL, bedrock_protocols, ARRAY_LEN(bedrock_protocols), false},
};

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

static enum err_code check_base(const char *url, struct err *reterr)
{
    bool ok = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
    for (const char *c = url; ok && *c; c++)
        ok = (unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f && !strchr("?#@\\\"<>", *c);
    return ok ? ERR_OK
              : err_set(reterr, ERR_INVALID,
                        "base address '%.*s': http:// or https://, without user, query and fragment",
                        STR_FMT(str_of(url)));
}

// The credential that a kind wants, else the first by name; "" where none is needed.
static enum err_code key_of(const struct services *s, const provider *p, const struct kind *k,
                            struct arena *a, const char **ret, struct err *reterr)
{
    const char *best = NULL;
    struct secret secret = {};
    struct str kept = {};
    const char *want = k->key;
    *ret = "";
    if (!want)
        return ERR_OK;
    if (provider_handle_of(p, str_of(want)))
        best = want;
    for (size_t i = 0; !best && k->any_key && i < p->n_credential_handles; i++) {
        best = p->credential_handles[i]->key;
        for (size_t j = 0; j < p->n_credential_handles; j++)
            if (strcmp(p->credential_handles[j]->key, best) < 0)
                best = p->credential_handles[j]->key;
    }
    if (!best)
        return err_set(reterr, ERR_PRECONDITION, "provider '%s' has no %s", p->metadata->name, want);
    int64_t expires = provider_expiry_of(p, str_of(best));
    if (expires > 0 && expires <= clock_realtime_ms())
        return err_set(reterr, ERR_PRECONDITION, "credential %s of provider '%s' has expired", best,
                       p->metadata->name);
    enum err_code r = provider_value(s->secrets, p, str_of(best), &secret, reterr);
    if (r == ERR_OK && !arena_dup(a, secret_expose(&secret), &kept))
        r = arena_limit(a, "a key", reterr);
    secret_done(&secret);
    if (r == ERR_OK)
        *ret = kept.p;
    return r;
}

enum err_code inference_resolve(const struct services *s, const provider *p, const char *name,
                                const char *model, uint64_t timeout_s, struct arena *a, inference_route **ret,
                                struct err *reterr)
{
    const struct kind *k = kind_of(p->type);
    inference_route *out = arena_new(a, inference_route);
    const char *key = "";
    if (!out)
        return arena_limit(a, "a route", reterr);
    if (strcmp(p->type, "google-vertex-ai") == 0)
        return err_set(reterr, ERR_UNSUPPORTED,
                       "a route to a provider of type google-vertex-ai is not built yet");
    if (!k)
        return err_set(
            reterr, ERR_INVALID,
            "provider type '%.*s' serves no models: openai, anthropic, nvidia, deepinfra or aws-bedrock do",
            STR_FMT(str_of(p->type)));
    const char *base = provider_config_of(p, k->base_key);
    base = base && base[0] ? base : k->base;
    if (!base)
        return err_set(reterr, ERR_PRECONDITION, "provider '%s' has no %s in its configuration",
                       p->metadata->name, k->base_key);
    enum err_code r = check_base(base, reterr);
    if (r == ERR_OK)
        r = key_of(s, p, k, a, &key, reterr);
    struct str url = str_of(base), kept = {};
    while (url.n > 0 && url.p[url.n - 1] == '/')
        url.n--;
    if (r == ERR_OK && !arena_dup(a, url, &kept))
        r = arena_limit(a, "a route", reterr);
    if (r != ERR_OK)
        return r;
    openshell__inference__v1__resolved_route__init(out);
    out->name = text(name);
    out->base_url = text(kept.p);
    out->protocols = (char **)(uintptr_t)k->protocols;
    out->n_protocols = k->protocols_n;
    out->api_key = text(key);
    out->model_id = text(model);
    out->provider_type = p->type;
    out->timeout_secs = timeout_s;
    *ret = out;
    return ERR_OK;
}

// ---- the store

static enum err_code route_name(const char *given, const char **ret, struct err *reterr)
{
    *ret = given[0] ? given : INFERENCE_USER;
    if (strcmp(*ret, INFERENCE_USER) == 0 || strcmp(*ret, INFERENCE_SYSTEM) == 0)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "route '%.*s': there are %s and %s", STR_FMT(str_of(given)),
                   INFERENCE_USER, INFERENCE_SYSTEM);
}

static enum err_code find_route(struct store *st, struct str workspace, const char *name, struct arena *a,
                                stored_route **ret, struct err *reterr)
{
    struct store_object row = {};
    ProtobufCMessage *m = NULL;
    enum err_code r = store_get_named(st, STR(KIND), workspace, str_of(name), a, &row, reterr);
    if (r == ERR_OK)
        r = wire_unpack(&openshell__inference__v1__inference_route__descriptor, row.payload, a, &m, reterr);
    if (r == ERR_NOT_FOUND)
        return err_set(
            reterr, r,
            "inference route '%s' is not configured in workspace '%.*s'; run 'openshell inference set "
            "--provider <name> --model <id>'",
            name, STR_FMT(workspace));
    if (r != ERR_OK)
        return r;
    stored_route *out = (stored_route *)(void *)m;
    if (!out->metadata || !out->config)
        return err_set(reterr, ERR_INTERNAL, "a stored inference route is damaged");
    out->metadata->resource_version = row.version;
    *ret = out;
    return ERR_OK;
}

static enum err_code put_route(struct store *st, const stored_route *route, bool is_new, struct arena *a,
                               struct err *reterr)
{
    CLEANUP(buf_done) struct buf b;
    struct str packed = {};
    uint64_t version;
    size_t failed;
    buf_init(&b, 64 * KIB);
    enum err_code r = wire_pack(&route->base, &b, reterr);
    if (r == ERR_OK && !arena_dup(a, buf_str(&b), &packed))
        r = arena_limit(a, "a route", reterr);
    const struct store_write w = {.op = is_new ? STORE_CREATE : STORE_UPDATE,
                                  .if_version = is_new ? 0 : route->metadata->resource_version,
                                  .object = {.kind = STR(KIND),
                                             .workspace = str_of(route->metadata->workspace),
                                             .id = str_of(route->metadata->id),
                                             .name = str_of(route->metadata->name),
                                             .payload = packed,
                                             .created_ms = route->metadata->created_at_ms,
                                             .updated_ms = clock_realtime_ms()}};
    return r == ERR_OK ? store_apply(st, &w, 1, &version, &failed, reterr) : r;
}

static enum err_code new_route(struct str workspace, const char *name, struct arena *a, stored_route **ret,
                               struct err *reterr)
{
    char id[ID_SIZE];
    struct str kept = {};
    stored_route *out = arena_new(a, stored_route);
    Openshell__Datamodel__V1__ObjectMeta *m = arena_new(a, Openshell__Datamodel__V1__ObjectMeta);
    Openshell__Inference__V1__InferenceRouteConfig
        *c = arena_new(a, Openshell__Inference__V1__InferenceRouteConfig);
    enum err_code r = id_make(id, reterr);
    if (r == ERR_OK && (!out || !m || !c || !arena_dup(a, str_of(id), &kept)))
        r = arena_limit(a, "a route", reterr);
    if (r != ERR_OK)
        return r;
    openshell__inference__v1__inference_route__init(out);
    openshell__datamodel__v1__object_meta__init(m);
    openshell__inference__v1__inference_route_config__init(c);
    m->id = text(kept.p);
    m->name = text(name);
    m->workspace = text(workspace.p);
    m->created_at_ms = clock_realtime_ms();
    out->metadata = m;
    out->config = c;
    *ret = out;
    return ERR_OK;
}

// ---- SetInferenceRoute

static enum err_code check_set(const Openshell__Inference__V1__SetInferenceRouteRequest *q,
                               struct err *reterr)
{
    struct str model = str_of(q->model_id);
    if (!q->provider_name[0] || model.n == 0)
        return err_set(reterr, ERR_INVALID, "provider_name and model_id are required");
    bool ok = model.n <= MODEL_MAX;
    for (size_t i = 0; ok && i < model.n; i++)
        ok = (unsigned char)model.p[i] > 0x20 && (unsigned char)model.p[i] < 0x7f;
    if (!ok)
        return err_set(reterr, ERR_INVALID, "model_id has at most %d printable bytes, and no space",
                       MODEL_MAX);
    if (q->timeout_secs > TIMEOUT_MAX_S)
        return err_set(reterr, ERR_INVALID, "a timeout has at most %d seconds", TIMEOUT_MAX_S);
    return ERR_OK;
}

static enum err_code verify(const struct services *s, const provider *p, const char *name,
                            const Openshell__Inference__V1__SetInferenceRouteRequest *q, struct arena *a,
                            Openshell__Inference__V1__SetInferenceRouteResponse *out, struct err *reterr)
{
    inference_route *route = NULL;
    const char *url = NULL, *protocol = NULL;
    enum err_code r = inference_resolve(s, p, name, q->model_id, q->timeout_secs, a, &route, reterr);
    if (r != ERR_OK || q->no_verify || strcmp(p->type, "aws-bedrock") == 0)
        return r; // Bedrock's requests are signed in the sandbox; there is nothing to try from here
    r = inference_probe(route, a, &url, &protocol, reterr);
    Openshell__Inference__V1__ValidatedEndpoint
        *e = arena_new(a, Openshell__Inference__V1__ValidatedEndpoint),
        **list = arena_newn(a, Openshell__Inference__V1__ValidatedEndpoint *, 1);
    if (r == ERR_OK && (!e || !list))
        r = arena_limit(a, "an answer", reterr);
    if (r != ERR_OK)
        return r;
    openshell__inference__v1__validated_endpoint__init(e);
    e->url = text(url);
    e->protocol = text(protocol);
    list[0] = e;
    out->validation_performed = true;
    out->validated_endpoints = list;
    out->n_validated_endpoints = 1;
    return ERR_OK;
}

enum err_code method_set_inference_route(struct rpc_request *rq, const ProtobufCMessage *in,
                                         ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__Inference__V1__SetInferenceRouteRequest
        *q = (const Openshell__Inference__V1__SetInferenceRouteRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(rq);
    struct arena *a = rpc_request_arena(rq);
    struct str w = {};
    const char *name = "";
    provider *p = NULL;
    stored_route *route = NULL;
    Openshell__Inference__V1__SetInferenceRouteResponse
        *out = arena_new(a, Openshell__Inference__V1__SetInferenceRouteResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__inference__v1__set_inference_route_response__init(out);
    enum err_code r = check_set(q, reterr);
    if (r == ERR_OK)
        r = route_name(q->route_name, &name, reterr);
    if (r == ERR_OK)
        r = workspace_check(s->store, q->workspace, WORKSPACE_WRITE, a, &w, reterr);
    if (r == ERR_OK)
        r = provider_by_name(s->store, w, str_of(q->provider_name), a, &p, reterr);
    if (r == ERR_NOT_FOUND && w.n > 0 && !p)
        return err_set(reterr, ERR_PRECONDITION, "provider '%.*s' not found",
                       STR_FMT(str_of(q->provider_name)));
    if (r == ERR_OK)
        r = verify(s, p, name, q, a, out, reterr);
    if (r != ERR_OK)
        return r;
    struct err none = {};
    bool is_new = find_route(s->store, w, name, a, &route, &none) == ERR_NOT_FOUND;
    if (!is_new && !route)
        return err_set(reterr, none.code, "%s", none.msg);
    if (is_new)
        r = new_route(w, name, a, &route, reterr);
    if (r != ERR_OK)
        return r;
    route->config->provider_name = q->provider_name;
    route->config->model_id = q->model_id;
    route->config->timeout_secs = q->timeout_secs;
    route->version++;
    r = put_route(s->store, route, is_new, a, reterr);
    if (r == ERR_PRECONDITION || r == ERR_EXISTS)
        return rpc_request_fail(rq, RPC_ABORTED, reterr, "the route was changed meanwhile; try again");
    if (r != ERR_OK)
        return r;
    inference_push(s, w);
    out->provider_name = q->provider_name;
    out->model_id = q->model_id;
    out->version = route->version;
    out->route_name = text(name);
    out->timeout_secs = q->timeout_secs;
    out->workspace = text(w.p);
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_get_inference_route(struct rpc_request *rq, const ProtobufCMessage *in,
                                         ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__Inference__V1__GetInferenceRouteRequest
        *q = (const Openshell__Inference__V1__GetInferenceRouteRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(rq);
    struct arena *a = rpc_request_arena(rq);
    struct str w = {};
    const char *name = "";
    stored_route *route = NULL;
    Openshell__Inference__V1__GetInferenceRouteResponse
        *out = arena_new(a, Openshell__Inference__V1__GetInferenceRouteResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__inference__v1__get_inference_route_response__init(out);
    enum err_code r = route_name(q->route_name, &name, reterr);
    if (r == ERR_OK)
        r = workspace_check(s->store, q->workspace, WORKSPACE_READ, a, &w, reterr);
    if (r == ERR_OK)
        r = find_route(s->store, w, name, a, &route, reterr);
    if (r != ERR_OK)
        return r;
    out->provider_name = route->config->provider_name;
    out->model_id = route->config->model_id;
    out->version = route->version;
    out->route_name = text(name);
    out->timeout_secs = route->config->timeout_secs;
    out->workspace = text(w.p);
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_delete_inference_route(struct rpc_request *rq, const ProtobufCMessage *in,
                                            ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__Inference__V1__DeleteInferenceRouteRequest
        *q = (const Openshell__Inference__V1__DeleteInferenceRouteRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(rq);
    struct arena *a = rpc_request_arena(rq);
    struct str w = {};
    const char *name = "";
    stored_route *route = NULL;
    uint64_t version;
    size_t failed;
    Openshell__Inference__V1__DeleteInferenceRouteResponse
        *out = arena_new(a, Openshell__Inference__V1__DeleteInferenceRouteResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__inference__v1__delete_inference_route_response__init(out);
    *ret = &out->base;
    enum err_code r = route_name(q->route_name, &name, reterr);
    if (r == ERR_OK)
        r = workspace_check(s->store, q->workspace, WORKSPACE_READ, a, &w, reterr);
    if (r != ERR_OK)
        return r;
    r = find_route(s->store, w, name, a, &route, reterr);
    if (r == ERR_NOT_FOUND)
        return ERR_OK; // deleted stays false
    if (r != ERR_OK)
        return r;
    const struct store_write write = {.op = STORE_DELETE,
                                      .object = {.kind = STR(KIND),
                                                 .workspace = w,
                                                 .id = str_of(route->metadata->id)}};
    r = store_apply(s->store, &write, 1, &version, &failed, reterr);
    out->deleted = r == ERR_OK;
    if (r == ERR_OK)
        inference_push(s, w);
    return r == ERR_NOT_FOUND ? ERR_OK : r;
}

// ---- for supervisors

// Opaque, and different when anything of a route is; the keys go in by their hash alone.
static enum err_code revision_of(const Openshell__Inference__V1__GetInferenceBundleResponse *b,
                                 struct arena *a, char **ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf packed;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct str kept = {};
    char hex[17];
    buf_init(&packed, 256 * KIB);
    enum err_code r = wire_pack(&b->base, &packed, reterr);
    if (r != ERR_OK)
        return r;
    (void)SHA256((const uint8_t *)(packed.p ? packed.p : ""), packed.n, hash);
    if (packed.p)
        secret_wipe(packed.p, packed.n);
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    if (!arena_dup(a, str_of(hex), &kept))
        return arena_limit(a, "a revision", reterr);
    *ret = text(kept.p);
    return ERR_OK;
}

enum err_code inference_bundle(const struct services *s, struct str workspace, struct arena *a,
                               Openshell__Inference__V1__GetInferenceBundleResponse **ret, struct err *reterr)
{
    static const char *const names[] = {INFERENCE_USER, INFERENCE_SYSTEM};
    Openshell__Inference__V1__GetInferenceBundleResponse
        *out = arena_new(a, Openshell__Inference__V1__GetInferenceBundleResponse);
    inference_route **list = arena_newn(a, inference_route *, ARRAY_LEN(names));
    if (!out || !list)
        return arena_limit(a, "an answer", reterr);
    openshell__inference__v1__get_inference_bundle_response__init(out);
    out->routes = list;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        stored_route *route = NULL;
        provider *p = NULL;
        struct err e = {};
        enum err_code r = find_route(s->store, workspace, names[i], a, &route, &e);
        if (r == ERR_OK)
            r = provider_by_name(s->store, workspace, str_of(route->config->provider_name), a, &p, &e);
        if (r == ERR_OK)
            r = inference_resolve(s, p, names[i], route->config->model_id, route->config->timeout_secs, a,
                                  &list[out->n_routes], &e);
        out->n_routes += r == ERR_OK;
        if (r != ERR_OK && route) // a route that cannot be used is none, for whoever calls it
            log_warning(s->log, "inference.route", LOG_STR("workspace", workspace),
                        LOG_STR("route", str_of(names[i])), LOG_REASON(&e));
    }
    enum err_code r = revision_of(out, a, &out->revision, reterr);
    out->generated_at_ms = clock_realtime_ms();
    if (r == ERR_OK)
        *ret = out;
    return r;
}

static enum err_code push_bundle(const struct services *s, struct str id, int64_t deadline_ns, void *ctx,
                                 struct arena *a, struct err *reterr)
{
    (void)ctx;
    Openshell__V1__ConfigPush push = OPENSHELL__V1__CONFIG_PUSH__INIT;
    Openshell__V1__Sandbox *sandbox = NULL;
    enum err_code r = record_by_id(s->store, id, a, &sandbox, reterr);
    if (r == ERR_OK)
        r = inference_bundle(s, str_of(sandbox->metadata->workspace), a, &push.inference, reterr);
    return r == ERR_OK ? config_deliver(s, id, &push, deadline_ns, reterr) : r;
}

void inference_push(const struct services *s, struct str workspace)
{
    config_push_to(s, workspace, push_bundle, NULL);
}

void inference_on_connected(const struct services *s, struct str id,
                            const Openshell__V1__SupervisorHello *hello)
{
    CLEANUP(arena_wipe) struct arena a;
    Openshell__V1__Sandbox *sandbox = NULL;
    Openshell__Inference__V1__GetInferenceBundleResponse *b = NULL;
    struct err e = {};
    arena_init(&a, 16 * MIB);
    if (record_by_id(s->store, id, &a, &sandbox, &e) == ERR_OK &&
        inference_bundle(s, str_of(sandbox->metadata->workspace), &a, &b, &e) == ERR_OK && b &&
        (b->n_routes > 0 || hello->inference_revision[0]) && // one that has none needs not hear of none
        strcmp(b->revision, hello->inference_revision) != 0 &&
        config_in_turn(s, id, deadline_in_ms(CONFIG_PUSH_MS), push_bundle, NULL, &a, &e) != ERR_OK)
        log_warning(s->log, "inference.push", LOG_WORD("sandbox", id), LOG_REASON(&e));
}

enum err_code method_get_inference_bundle(struct rpc_request *rq, const ProtobufCMessage *in,
                                          ProtobufCMessage **ret, struct err *reterr)
{
    (void)in; // it has no fields: the sandbox is who calls
    const struct services *s = rpc_request_ctx(rq);
    const struct caller *who = rpc_request_principal(rq);
    struct arena *a = rpc_request_arena(rq);
    Openshell__V1__Sandbox *sandbox = NULL;
    Openshell__Inference__V1__GetInferenceBundleResponse *out = NULL;
    enum err_code r = record_by_id(s->store, str_of(who->sandbox_id), a, &sandbox, reterr);
    if (r == ERR_OK)
        r = inference_bundle(s, str_of(sandbox->metadata->workspace), a, &out, reterr);
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}
