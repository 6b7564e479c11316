#include "gateway/caller.h"

#include "tap.h"

static const struct {
    enum rpc_auth auth;
    struct rpc_peer peer;
    enum err_code code;
    enum rpc_code rpc;
    const char *rule;
} rows[] = {
    {RPC_AUTH_BEARER, {.local = true, .uid = 1000}, ERR_OK, RPC_OK, "the gateway's user"},
    {RPC_AUTH_DUAL, {.local = true, .uid = 1000}, ERR_OK, RPC_OK, "also where a sandbox may call, too"},
    {RPC_AUTH_BEARER, {.local = true, .uid = 1001}, ERR_DENIED, RPC_PERMISSION_DENIED, "another user"},
    {RPC_AUTH_BEARER, {.local = true, .uid = 0}, ERR_DENIED, RPC_PERMISSION_DENIED, "root is another user"},
    {RPC_AUTH_BEARER,
     {.local = false, .uid = 1000},
     ERR_DENIED,
     RPC_UNAUTHENTICATED,
     "TCP says nothing about a user, whatever the number is"},
    {RPC_AUTH_OPEN, {.local = true, .uid = 1001}, ERR_OK, RPC_OK, "Health is for anyone"},
    {RPC_AUTH_OPEN, {.local = false}, ERR_OK, RPC_OK, "also over TCP"},
    {RPC_AUTH_SANDBOX,
     {.local = true, .uid = 1000},
     ERR_DENIED,
     RPC_PERMISSION_DENIED,
     "a user is no sandbox"},
    {RPC_AUTH_NONE,
     {.local = true, .uid = 1000},
     ERR_DENIED,
     RPC_PERMISSION_DENIED,
     "a method without a rule is for nobody"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct rpc_method method = {.auth = rows[i].auth};
        enum rpc_code rpc = RPC_OK;
        struct err err = {};
        enum err_code code = caller_check(&method, &rows[i].peer, 1000, &rpc, &err);
        if (!tap_ok(code == rows[i].code && rpc == rows[i].rpc, "%s", rows[i].rule))
            tap_note("%s: %s", rpc_code_name(rpc), err.msg);
    }
    return tap_done();
}
