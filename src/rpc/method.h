// rpc/method.h: every method of the interface, from proto/*.proto.
//
// The table is generated at build time (scripts/gen-methods), sorted by path. rpc_method_id names its rows:
// RPC_OPEN_SHELL_CREATE_SANDBOX is /openshell.v1.OpenShell/CreateSandbox.
#pragma once
#include "base/base.h"
#include "rpc_methods.h"

#include <protobuf-c/protobuf-c.h>

// Who may call, by what they show. A method without a rule (the services of drivers and middleware, which
// others call at their socket) is RPC_AUTH_NONE, and the gateway serves it to nobody.
enum rpc_auth {
    RPC_AUTH_NONE,
    RPC_AUTH_OPEN,    // anyone
    RPC_AUTH_BEARER,  // a user
    RPC_AUTH_SANDBOX, // a supervisor
    RPC_AUTH_DUAL,    // either
};

enum rpc_role { RPC_ROLE_NONE, RPC_ROLE_USER, RPC_ROLE_ADMIN, RPC_ROLE_PLATFORM_ADMIN };

struct rpc_method {
    struct str path; // "/package.Service/Method"
    const ProtobufCMessageDescriptor *in, *out;
    bool in_stream, out_stream;
    enum rpc_auth auth;
    enum rpc_role workspace_role; // least role in the workspace of the object
    enum rpc_role global_role;    // least role in the gateway
    struct str scope;             // "sandbox:read"; empty: none is asked for
};

extern const struct rpc_method rpc_methods[RPC_METHODS];

// The method of that path, or NULL.
[[nodiscard]] const struct rpc_method *rpc_method_find(struct str path);

// What stands behind the last slash of the path.
[[nodiscard]] struct str rpc_method_name(const struct rpc_method *method) NONNULL;
