// What is in force and what became of it: the methods that read, and the report of a supervisor that polls.
#include "gateway/caller.h"
#include "gateway/config.h"
#include "gateway/records.h"
#include "gateway/revisions.h"
#include "gateway/settings.h"
#include "gateway/workspace.h"

#define SB(name) Openshell__Sandbox__V1__##name

enum { PAGE_DEFAULT = 50 }; // reference: gateway 4.4

enum err_code method_get_sandbox_config(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr)
{
    const SB(GetSandboxConfigRequest) *req = (const SB(GetSandboxConfigRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__Sandbox *sandbox = NULL;
    SB(GetSandboxConfigResponse) *out = NULL;
    if (!req->sandbox_id[0])
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    enum err_code c = caller_scope(r, str_of(req->sandbox_id), reterr);
    if (c == ERR_OK)
        c = record_by_id(s->store, str_of(req->sandbox_id), a, &sandbox, reterr);
    if (c == ERR_OK)
        c = config_of(s, sandbox, a, &out, reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

enum err_code method_get_gateway_config(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr)
{
    (void)in; // it has no fields
    typedef SB(GetGatewayConfigResponse__SettingsEntry) entry;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct settings now = {};
    SB(GetGatewayConfigResponse) *out = arena_new(a, SB(GetGatewayConfigResponse));
    entry *entries = arena_newn(a, entry, SETTINGS_N), **list = arena_newn(a, entry *, SETTINGS_N);
    setting_value *none = arena_newn(a, setting_value, SETTINGS_N);
    if (!out || !entries || !list || !none)
        return arena_limit(a, "an answer", reterr);
    enum err_code c = settings_read(s->store, SETTINGS_GLOBAL, a, &now, reterr);
    if (c != ERR_OK)
        return c;
    openshell__sandbox__v1__get_gateway_config_response__init(out);
    for (size_t i = 0; i < SETTINGS_N; i++) {
        openshell__sandbox__v1__get_gateway_config_response__settings_entry__init(&entries[i]);
        openshell__sandbox__v1__setting_value__init(&none[i]);
        entries[i].key = (char *)(uintptr_t)settings_key(i); // packing only reads both
        entries[i].value = now.value[i] ? (setting_value *)(uintptr_t)now.value[i] : &none[i];
        list[i] = &entries[i];
    }
    out->settings = list;
    out->n_settings = SETTINGS_N;
    out->settings_revision = now.revision;
    *ret = &out->base;
    return ERR_OK;
}

// Whose revisions are asked for. A sandbox's first one is stored here, so that it is there to be seen.
static enum err_code find_scope(const struct services *s, bool global, const char *workspace,
                                const char *name, struct arena *a, struct revision_scope *ret,
                                uint32_t *ret_active, struct err *reterr)
{
    struct str w = {};
    Openshell__V1__Sandbox *sandbox = NULL;
    struct revision v = {};
    if (global) {
        *ret = REVISION_GLOBAL;
        *ret_active = 0;
        return ERR_OK;
    }
    if (!name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    enum err_code c = workspace_check(s->store, workspace, WORKSPACE_READ, a, &w, reterr);
    if (c == ERR_OK)
        c = record_by_name(s->store, w, str_of(name), a, &sandbox, reterr);
    if (c == ERR_OK)
        c = config_latest(s->store, sandbox, a, &v, reterr);
    if (c != ERR_OK && (c != ERR_NOT_FOUND || !sandbox))
        return c;
    *ret = (struct revision_scope){w, str_of(sandbox->metadata->id)};
    *ret_active = sandbox->status ? sandbox->status->current_policy_version : 0;
    return ERR_OK;
}

enum err_code method_get_policy_status(struct rpc_request *r, const ProtobufCMessage *in,
                                       ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__GetSandboxPolicyStatusRequest
        *req = (const Openshell__V1__GetSandboxPolicyStatusRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct revision_scope scope = {};
    struct revision v = {};
    Openshell__V1__GetSandboxPolicyStatusResponse
        *out = arena_new(a, Openshell__V1__GetSandboxPolicyStatusResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__get_sandbox_policy_status_response__init(out);
    enum err_code c = find_scope(s, req->global, req->workspace, req->name, a, &scope, &out->active_version,
                                 reterr);
    if (c != ERR_OK)
        return c;
    c = req->version > 0 ? revision_get(s->store, scope, req->version, a, &v, reterr)
                         : revision_latest(s->store, scope, a, &v, reterr);
    if (c == ERR_NOT_FOUND)
        return err_set(reterr, c, "no %spolicy revision found%s", req->global ? "global " : "",
                       req->global ? "" : " for this sandbox");
    if (c == ERR_OK)
        c = revision_message(&v, false, a, &out->revision, reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

enum err_code method_list_policies(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr)
{
    const Openshell__V1__ListSandboxPoliciesRequest
        *req = (const Openshell__V1__ListSandboxPoliciesRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct revision_scope scope = {};
    struct revision *v = NULL;
    size_t n = 0;
    uint32_t active = 0, limit = req->limit == 0               ? PAGE_DEFAULT
                                 : req->limit > STORE_PAGE_MAX ? STORE_PAGE_MAX
                                                               : req->limit;
    Openshell__V1__ListSandboxPoliciesResponse *out = arena_new(a,
                                                                Openshell__V1__ListSandboxPoliciesResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_sandbox_policies_response__init(out);
    enum err_code c = find_scope(s, req->global, req->workspace, req->name, a, &scope, &active, reterr);
    if (c == ERR_OK)
        c = revision_list(s->store, scope, limit, req->offset, a, &v, &n, reterr);
    if (c != ERR_OK)
        return c;
    out->revisions = arena_newn(a, Openshell__V1__SandboxPolicyRevision *, n);
    if (!out->revisions)
        return arena_limit(a, "an answer", reterr);
    for (size_t i = 0; c == ERR_OK && i < n; i++)
        c = revision_message(&v[i], true, a, &out->revisions[out->n_revisions++], reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

enum err_code method_report_policy_status(struct rpc_request *r, const ProtobufCMessage *in,
                                          ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__ReportPolicyStatusRequest
        *req = (const Openshell__V1__ReportPolicyStatusRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__Sandbox *sandbox = NULL;
    Openshell__V1__ReportPolicyStatusResponse *out = arena_new(a, Openshell__V1__ReportPolicyStatusResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__report_policy_status_response__init(out);
    if (!req->sandbox_id[0] || req->version == 0)
        return err_set(reterr, ERR_INVALID, "sandbox_id and version are required");
    if (req->status != OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED &&
        req->status != OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED)
        return err_set(reterr, ERR_INVALID, "the status of a report is LOADED or FAILED");
    enum err_code c = caller_scope(r, str_of(req->sandbox_id), reterr);
    if (c == ERR_OK)
        c = record_by_id(s->store, str_of(req->sandbox_id), a, &sandbox, reterr);
    if (c == ERR_OK)
        c = config_report(s, sandbox, req->version, req->status, str_of(req->load_error), a, reterr);
    if (c == ERR_EXISTS || c == ERR_PRECONDITION)
        return rpc_request_fail(r, RPC_ABORTED, reterr,
                                "report policy status failed due to concurrent modification "
                                "(current resource_version: unknown)");
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}
