#include "gateway/methods.h"

#include "gateway/lifecycle.h"
#include "gateway/sandbox_methods.h"
#include "gateway/watch.h"
#include "gateway/caller.h"
#include "gateway/inference.h"
#include "gateway/providers.h"
#include "gateway/exec.h"
#include "gateway/forward.h"
#include "gateway/relays.h"
#include "gateway/ssh_sessions.h"
#include "gateway/token_methods.h"
#include "gateway/config.h"
#include "gateway/logs.h"
#include "gateway/workspace_methods.h"
#include "gateway/reflection.h"
#include "openshell.pb-c.h"

// protobuf-c's strings are char *, and packing only reads them.
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static enum err_code do_health(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                               struct err *reterr)
{
    (void)in; // it has no fields
    Openshell__V1__HealthResponse *out = arena_new(rpc_request_arena(r), Openshell__V1__HealthResponse);
    if (!out)
        return arena_limit(rpc_request_arena(r), "an answer", reterr);
    openshell__v1__health_response__init(out);
    out->status = OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_HEALTHY;
    out->version = text(OPENSHELL_VERSION);
    *ret = &out->base;
    return ERR_OK;
}

static enum err_code add_driver(struct lifecycle *l, struct arena *a,
                                Openshell__V1__GetGatewayInfoResponse *out, struct err *reterr)
{
    Openshell__V1__ComputeDriverInfo **list = arena_newn(a, Openshell__V1__ComputeDriverInfo *, 1),
                                     *d = arena_new(a, Openshell__V1__ComputeDriverInfo);
    Openshell__V1__ComputeDriverCapabilities *c = arena_new(a, Openshell__V1__ComputeDriverCapabilities);
    Openshell__Compute__V1__GetCapabilitiesResponse *says = NULL;
    if (!list || !d || !c)
        return arena_limit(a, "an answer", reterr);
    enum err_code r = lifecycle_capabilities(l, a, &says, reterr);
    if (r != ERR_OK)
        return r;
    openshell__v1__compute_driver_info__init(d);
    openshell__v1__compute_driver_capabilities__init(c);
    d->name = text(lifecycle_driver(l));
    c->driver_name = says->driver_name;
    c->driver_version = says->driver_version;
    d->capabilities = c;
    list[0] = d;
    out->compute_drivers = list;
    out->n_compute_drivers = 1;
    return ERR_OK;
}

static enum err_code do_info(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                             struct err *reterr)
{
    (void)in; // it has no fields
    Openshell__V1__GetGatewayInfoResponse *out = arena_new(rpc_request_arena(r),
                                                           Openshell__V1__GetGatewayInfoResponse);
    if (!out)
        return arena_limit(rpc_request_arena(r), "an answer", reterr);
    openshell__v1__get_gateway_info_response__init(out);
    out->status = OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_HEALTHY;
    out->gateway_version = text(OPENSHELL_VERSION);
    const struct services *services = rpc_request_ctx(r);
    enum err_code c = services->lifecycle ? add_driver(services->lifecycle, rpc_request_arena(r), out, reterr)
                                          : ERR_OK;
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

// Without a role policy every user that is served may do everything (reference: gateway 2.2); what is told
// here is what they came with.
static enum err_code do_user(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                             struct err *reterr)
{
    (void)in; // it has no fields
    struct arena *a = rpc_request_arena(r);
    const struct caller *c = rpc_request_principal(r);
    Openshell__V1__GetCurrentUserResponse *out = arena_new(a, Openshell__V1__GetCurrentUserResponse);
    char **roles = arena_newn(a, char *, TLS_UNITS_MAX), **scopes = arena_newn(a, char *, 1);
    if (!out || !roles || !scopes)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__get_current_user_response__init(out);
    out->subject = text(c->subject); // they live as long as the request
    out->display_name = text(c->name);
    for (size_t i = 0; i < c->roles_n; i++)
        roles[i] = text(c->roles[i]);
    out->roles = roles;
    out->n_roles = c->roles_n;
    scopes[0] = text("openshell:all");
    out->scopes = scopes;
    out->n_scopes = c->all_scopes;
    out->identity_provider = text(c->provider);
    *ret = &out->base;
    return ERR_OK;
}

const struct rpc_handler gateway_handlers[RPC_METHODS] = {
    [RPC_INFERENCE_SET_INFERENCE_ROUTE] = {.unary = method_set_inference_route},
    [RPC_INFERENCE_GET_INFERENCE_ROUTE] = {.unary = method_get_inference_route},
    [RPC_INFERENCE_DELETE_INFERENCE_ROUTE] = {.unary = method_delete_inference_route},
    [RPC_INFERENCE_GET_INFERENCE_BUNDLE] = {.unary = method_get_inference_bundle},
    [RPC_GRPC_REFLECTION_V1_SERVER_REFLECTION_INFO] = {.stream = method_reflection},
    [RPC_GRPC_REFLECTION_V1ALPHA_SERVER_REFLECTION_INFO] = {.stream = method_reflection},
    [RPC_GRPC_HEALTH_V1_CHECK] = {.unary = method_health_check},
    [RPC_OPEN_SHELL_CREATE_PROVIDER] = {.unary = method_create_provider},
    [RPC_OPEN_SHELL_GET_PROVIDER] = {.unary = method_get_provider},
    [RPC_OPEN_SHELL_LIST_PROVIDERS] = {.unary = method_list_providers},
    [RPC_OPEN_SHELL_UPDATE_PROVIDER] = {.unary = method_update_provider},
    [RPC_OPEN_SHELL_DELETE_PROVIDER] = {.unary = method_delete_provider},
    [RPC_OPEN_SHELL_LIST_PROVIDER_PROFILES] = {.unary = method_list_provider_profiles},
    [RPC_OPEN_SHELL_GET_PROVIDER_PROFILE] = {.unary = method_get_provider_profile},
    [RPC_OPEN_SHELL_LIST_SANDBOX_PROVIDERS] = {.unary = method_list_sandbox_providers},
    [RPC_OPEN_SHELL_ATTACH_SANDBOX_PROVIDER] = {.unary = method_attach_sandbox_provider},
    [RPC_OPEN_SHELL_DETACH_SANDBOX_PROVIDER] = {.unary = method_detach_sandbox_provider},
    [RPC_OPEN_SHELL_GET_SANDBOX_PROVIDER_ENVIRONMENT] = {.unary = method_get_sandbox_provider_environment},
    [RPC_OPEN_SHELL_HEALTH] = {.unary = do_health},
    [RPC_OPEN_SHELL_GET_CURRENT_USER] = {.unary = do_user},
    [RPC_OPEN_SHELL_GET_GATEWAY_INFO] = {.unary = do_info},
    [RPC_OPEN_SHELL_CREATE_SANDBOX] = {.unary = method_create_sandbox},
    [RPC_OPEN_SHELL_GET_SANDBOX] = {.unary = method_get_sandbox},
    [RPC_OPEN_SHELL_LIST_SANDBOXES] = {.unary = method_list_sandboxes},
    [RPC_OPEN_SHELL_DELETE_SANDBOX] = {.unary = method_delete_sandbox},
    [RPC_OPEN_SHELL_STOP_SANDBOX] = {.unary = method_stop_sandbox},
    [RPC_OPEN_SHELL_START_SANDBOX] = {.unary = method_start_sandbox},
    [RPC_OPEN_SHELL_REPORT_MAIN_PROCESS_EXIT] = {.unary = method_report_main_process_exit},
    [RPC_OPEN_SHELL_WATCH_SANDBOX] = {.stream = method_watch_sandbox},
    [RPC_OPEN_SHELL_GET_SANDBOX_CONFIG] = {.unary = method_get_sandbox_config},
    [RPC_OPEN_SHELL_CONNECT_SUPERVISOR] = {.stream = sessions_connect},
    [RPC_OPEN_SHELL_RELAY_STREAM] = {.stream = relay_stream},
    [RPC_OPEN_SHELL_EXEC_SANDBOX] = {.stream = exec_sandbox},
    [RPC_OPEN_SHELL_EXEC_SANDBOX_INTERACTIVE] = {.stream = exec_sandbox_interactive},
    [RPC_OPEN_SHELL_FORWARD_TCP] = {.stream = forward_tcp},
    [RPC_OPEN_SHELL_CREATE_SSH_SESSION] = {.unary = method_create_ssh_session},
    [RPC_OPEN_SHELL_REVOKE_SSH_SESSION] = {.unary = method_revoke_ssh_session},
    [RPC_OPEN_SHELL_ISSUE_SANDBOX_TOKEN] = {.unary = method_issue_sandbox_token},
    [RPC_OPEN_SHELL_REFRESH_SANDBOX_TOKEN] = {.unary = method_refresh_sandbox_token},
    [RPC_OPEN_SHELL_GET_GATEWAY_CONFIG] = {.unary = method_get_gateway_config},
    [RPC_OPEN_SHELL_UPDATE_CONFIG] = {.unary = method_update_config},
    [RPC_OPEN_SHELL_GET_SANDBOX_POLICY_STATUS] = {.unary = method_get_policy_status},
    [RPC_OPEN_SHELL_LIST_SANDBOX_POLICIES] = {.unary = method_list_policies},
    [RPC_OPEN_SHELL_REPORT_POLICY_STATUS] = {.unary = method_report_policy_status},
    [RPC_OPEN_SHELL_CREATE_WORKSPACE] = {.unary = method_create_workspace},
    [RPC_OPEN_SHELL_GET_WORKSPACE] = {.unary = method_get_workspace},
    [RPC_OPEN_SHELL_LIST_WORKSPACES] = {.unary = method_list_workspaces},
    [RPC_OPEN_SHELL_DELETE_WORKSPACE] = {.unary = method_delete_workspace},
    [RPC_OPEN_SHELL_ADD_WORKSPACE_MEMBER] = {.unary = method_add_member},
    [RPC_OPEN_SHELL_REMOVE_WORKSPACE_MEMBER] = {.unary = method_remove_member},
    [RPC_OPEN_SHELL_LIST_WORKSPACE_MEMBERS] = {.unary = method_list_members},
    [RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS] = {.stream = method_push_sandbox_logs},
    [RPC_OPEN_SHELL_GET_SANDBOX_LOGS] = {.unary = method_get_sandbox_logs},
};
