#include "gateway/caller.h"

#include <pwd.h>
#include <unistd.h>

enum err_code caller_check(const struct rpc_method *method, const struct rpc_peer *peer, uid_t own,
                           enum rpc_code *ret_code, struct err *reterr)
{
    switch (method->auth) {
    case RPC_AUTH_OPEN:
        return ERR_OK;
    case RPC_AUTH_BEARER:
    case RPC_AUTH_DUAL:
        break;
    case RPC_AUTH_SANDBOX:
        *ret_code = RPC_PERMISSION_DENIED;
        return err_set(reterr, ERR_DENIED, "only a sandbox may call this method");
    case RPC_AUTH_NONE:
    default:
        *ret_code = RPC_PERMISSION_DENIED;
        return err_set(reterr, ERR_DENIED, "nobody may call this method of a gateway");
    }
    if (!peer->local) {
        *ret_code = RPC_UNAUTHENTICATED;
        return err_set(reterr, ERR_DENIED, "callers are known by the gateway's Unix socket only");
    }
    if (peer->uid != own) {
        *ret_code = RPC_PERMISSION_DENIED;
        return err_set(reterr, ERR_DENIED, "this gateway serves uid %u, and the caller is uid %u",
                       (unsigned)own, (unsigned)peer->uid);
    }
    return ERR_OK;
}

static void find_name(uid_t uid, char dst[static CALLER_NAME_SIZE])
{
    char text[4 * KIB];
    struct passwd pw, *found = NULL;
    if (getpwuid_r(uid, &pw, text, sizeof(text), &found) == 0 && found)
        (void)snprintf(dst, CALLER_NAME_SIZE, "%s", found->pw_name);
}

enum err_code caller_admit(struct rpc_request *r, struct err *reterr)
{
    const struct rpc_peer *peer = rpc_request_peer(r);
    enum rpc_code code = RPC_PERMISSION_DENIED;
    if (caller_check(rpc_request_method(r), peer, geteuid(), &code, reterr) != ERR_OK) {
        rpc_request_set_code(r, code);
        return ERR_DENIED;
    }
    if (rpc_request_method(r)->auth == RPC_AUTH_OPEN)
        return ERR_OK;
    struct caller *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(reterr, ERR_LIMIT, "no memory for the caller");
    c->uid = peer->uid;
    (void)snprintf(c->subject, sizeof(c->subject), "uid:%u", (unsigned)c->uid);
    find_name(c->uid, c->name);
    rpc_request_set_principal(r, c, free);
    return ERR_OK;
}
