#include "gateway/token_methods.h"

#include "gateway/caller.h"
#include "gateway/records.h"
#include "gateway/services.h"

// Every caller here has shown a token of this gateway: that of a Kubernetes service account, for which this
// method is, cannot be shown to it.
enum err_code method_issue_sandbox_token(struct rpc_request *r, const ProtobufCMessage *in,
                                         ProtobufCMessage **ret, struct err *reterr)
{
    (void)in;
    (void)ret;
    return rpc_request_fail(
        r, RPC_PERMISSION_DENIED, reterr,
        "IssueSandboxToken is for Kubernetes service accounts; with a token of a sandbox, call "
        "RefreshSandboxToken");
}

// Services of extensions are what a sandbox's policy selects, and no policy can yet.
static enum err_code check_names(struct rpc_request *r, const Openshell__V1__RefreshSandboxTokenRequest *req,
                                 struct err *reterr)
{
    if (req->n_extension_service_names == 0)
        return ERR_OK;
    if (req->n_extension_service_names > EXTENSION_NAMES_MAX)
        return err_set(reterr, ERR_INVALID, "%zu extension services, the limit is %d",
                       req->n_extension_service_names, EXTENSION_NAMES_MAX);
    for (size_t i = 0; i < req->n_extension_service_names; i++) {
        struct str name = str_of(req->extension_service_names[i]);
        if (name.n == 0)
            return err_set(reterr, ERR_INVALID, "an extension service's name is empty");
        for (size_t k = 0; k < i; k++)
            if (str_eq(name, str_of(req->extension_service_names[k])))
                return err_set(reterr, ERR_INVALID, "extension service '%.*s' is named twice", STR_FMT(name));
    }
    return rpc_request_fail(r, RPC_PERMISSION_DENIED, reterr,
                            "extension service '%.*s' is not selected by the sandbox policy",
                            STR_FMT(str_of(req->extension_service_names[0])));
}

enum err_code method_refresh_sandbox_token(struct rpc_request *r, const ProtobufCMessage *in,
                                           ProtobufCMessage **ret, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    const struct caller *who = rpc_request_principal(r);
    struct arena *a = rpc_request_arena(r);
    assert(services->tokens); // the caller's was checked with them
    Openshell__V1__Sandbox *record = NULL;
    enum err_code c = record_by_id(services->store, str_of(who->sandbox_id), a, &record, reterr);
    if (c == ERR_OK)
        c = check_names(r, (const Openshell__V1__RefreshSandboxTokenRequest *)in, reterr);
    if (c != ERR_OK)
        return c;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, TOKENS_TEXT_MAX);
    Openshell__V1__RefreshSandboxTokenResponse *out = arena_new(a,
                                                                Openshell__V1__RefreshSandboxTokenResponse);
    struct str kept = {};
    int64_t expires_ms = 0;
    c = tokens_mint(services->tokens, str_of(who->sandbox_id), clock_realtime_ms() / 1000, &token,
                    &expires_ms, reterr);
    if (c != ERR_OK)
        return c;
    if (!out || !arena_dup(a, buf_str(&token), &kept))
        return arena_limit(a, "an answer", reterr);
    openshell__v1__refresh_sandbox_token_response__init(out);
    out->token = (char *)(uintptr_t)kept.p; // packing only reads it
    out->expires_at_ms = expires_ms;
    *ret = &out->base;
    return ERR_OK;
}
