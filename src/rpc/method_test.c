#include "rpc/method.h"
#include "tap.h"

static const struct {
    struct str path;
    enum rpc_method_id id;
    bool in_stream, out_stream;
    enum rpc_auth auth;
    enum rpc_role workspace, global;
    struct str scope;
    const char *in, *out;
} rows[] = {
    {STR_INIT("/openshell.v1.OpenShell/Health"), RPC_OPEN_SHELL_HEALTH, false, false, RPC_AUTH_OPEN,
     RPC_ROLE_NONE, RPC_ROLE_NONE, STR_INIT(""), "openshell.v1.HealthRequest", "openshell.v1.HealthResponse"},
    {STR_INIT("/openshell.v1.OpenShell/CreateWorkspace"), RPC_OPEN_SHELL_CREATE_WORKSPACE, false, false,
     RPC_AUTH_BEARER, RPC_ROLE_NONE, RPC_ROLE_PLATFORM_ADMIN, STR_INIT("workspace:write"),
     "openshell.v1.CreateWorkspaceRequest", "openshell.v1.CreateWorkspaceResponse"},
    {STR_INIT("/openshell.v1.OpenShell/UpdateConfig"), RPC_OPEN_SHELL_UPDATE_CONFIG, false, false,
     RPC_AUTH_DUAL, RPC_ROLE_ADMIN, RPC_ROLE_NONE, STR_INIT("config:write"),
     "openshell.v1.UpdateConfigRequest", "openshell.v1.UpdateConfigResponse"},
    {STR_INIT("/openshell.v1.OpenShell/WatchSandbox"), RPC_OPEN_SHELL_WATCH_SANDBOX, false, true,
     RPC_AUTH_BEARER, RPC_ROLE_USER, RPC_ROLE_NONE, STR_INIT("sandbox:read"),
     "openshell.v1.WatchSandboxRequest", "openshell.v1.SandboxStreamEvent"},
    {STR_INIT("/openshell.v1.OpenShell/PushSandboxLogs"), RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS, true, false,
     RPC_AUTH_SANDBOX, RPC_ROLE_NONE, RPC_ROLE_NONE, STR_INIT(""), "openshell.v1.PushSandboxLogsRequest",
     "openshell.v1.PushSandboxLogsResponse"},
    {STR_INIT("/openshell.v1.OpenShell/ConnectSupervisor"), RPC_OPEN_SHELL_CONNECT_SUPERVISOR, true, true,
     RPC_AUTH_SANDBOX, RPC_ROLE_NONE, RPC_ROLE_NONE, STR_INIT(""), "openshell.v1.SupervisorMessage",
     "openshell.v1.GatewayMessage"},
    {STR_INIT("/openshell.compute.v1.ComputeDriver/GetCapabilities"), RPC_COMPUTE_DRIVER_GET_CAPABILITIES,
     false, false, RPC_AUTH_NONE, RPC_ROLE_NONE, RPC_ROLE_NONE, STR_INIT(""),
     "openshell.compute.v1.GetCapabilitiesRequest", "openshell.compute.v1.GetCapabilitiesResponse"},
    {STR_INIT("/openshell.middleware.v1.SupervisorMiddleware/Describe"), RPC_SUPERVISOR_MIDDLEWARE_DESCRIBE,
     false, false, RPC_AUTH_NONE, RPC_ROLE_NONE, RPC_ROLE_NONE, STR_INIT(""), "google.protobuf.Empty",
     "openshell.middleware.v1.MiddlewareManifest"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct rpc_method *m = rpc_method_find(rows[i].path);
        tap_ok(m == &rpc_methods[rows[i].id] && m->in_stream == rows[i].in_stream &&
                   m->out_stream == rows[i].out_stream && m->auth == rows[i].auth &&
                   m->workspace_role == rows[i].workspace && m->global_role == rows[i].global &&
                   str_eq(m->scope, rows[i].scope) && strcmp(m->in->name, rows[i].in) == 0 &&
                   strcmp(m->out->name, rows[i].out) == 0,
               "%s", rows[i].path.p);
    }
    size_t found = 0;
    size_t open = 0;
    for (size_t i = 0; i < RPC_METHODS; i++) {
        found += rpc_method_find(rpc_methods[i].path) == &rpc_methods[i];
        open += rpc_methods[i].auth == RPC_AUTH_OPEN && !str_starts(rpc_methods[i].path, STR("/grpc."));
    }
    tap_ok(found == RPC_METHODS && RPC_METHODS == 99, "all %d methods are found by their paths", RPC_METHODS);
    tap_ok(open == 1, "one method alone, and gRPC's own, are open to anyone");
    tap_ok(!rpc_method_find(STR("/openshell.v1.OpenShell/")) && !rpc_method_find(STR("")) &&
               !rpc_method_find(STR("openshell.v1.OpenShell/Health")) &&
               !rpc_method_find(STR("/openshell.v1.OpenShell/HealthX")),
           "a part of a path, or more than it, names nothing");
    tap_ok(str_eq(rpc_method_name(&rpc_methods[RPC_OPEN_SHELL_HEALTH]), STR("Health")),
           "a method's name is what stands behind the last slash");
    return tap_done();
}
