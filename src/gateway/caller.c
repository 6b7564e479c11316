#include "gateway/caller.h"

#include <pwd.h>
#include <unistd.h>

#include "gateway/services.h"

static enum err_code deny(enum rpc_code code, const char *why, enum rpc_code *ret_code, struct err *reterr)
{
    *ret_code = code;
    return err_set(reterr, ERR_DENIED, "%s", why);
}

// The one token of a call; *ret_n counts the fields, for two could be read differently.
static struct str find_token(const struct rpc_meta *meta, unsigned *ret_n)
{
    struct str value = {};
    unsigned n = 0;
    for (const struct rpc_field *f = meta->first; f; f = f->next)
        if (str_eq(f->name, STR("authorization")) && n++ == 0)
            value = f->value;
    *ret_n = n;
    return value;
}

static enum err_code identify_token(const struct tokens *tokens, struct str value, struct caller *ret,
                                    enum rpc_code *ret_code, struct err *reterr)
{
    *ret_code = RPC_UNAUTHENTICATED;
    if (!str_skip(&value, STR("Bearer ")) || !tokens)
        return err_set(reterr, ERR_DENIED, "invalid token");
    struct caller c = {.kind = CALLER_SANDBOX, .uid = (uid_t)-1};
    enum err_code r = tokens_check(tokens, value, clock_realtime_ms() / 1000, c.sandbox_id, reterr);
    if (r == ERR_LIMIT)
        *ret_code = RPC_RESOURCE_EXHAUSTED;
    if (r != ERR_OK)
        return ERR_DENIED; // no other authenticator is behind this one
    (void)snprintf(c.subject, sizeof(c.subject), "spiffe://openshell/sandbox/%s", c.sandbox_id);
    *ret = c;
    return ERR_OK;
}

static void add_role(struct caller *c, const char *role)
{
    (void)snprintf(c->roles[c->roles_n++], CALLER_NAME_SIZE, "%s", role);
}

static enum err_code identify_cert(const struct tls_subject *subject, struct caller *ret,
                                   enum rpc_code *ret_code, struct err *reterr)
{
    struct caller c = {.kind = CALLER_USER, .uid = (uid_t)-1, .provider = "mtls"};
    if (!subject->cn[0]) // else all who have none would be one user
        return deny(RPC_UNAUTHENTICATED, "the client certificate has no common name", ret_code, reterr);
    (void)snprintf(c.subject, sizeof(c.subject), "%s", subject->cn);
    (void)snprintf(c.name, sizeof(c.name), "%s", subject->cn);
    for (size_t i = 0; i < subject->units_n; i++)
        add_role(&c, subject->units[i]);
    *ret = c;
    return ERR_OK;
}

static enum err_code identify_remote(const struct caller_rules *rules, const struct rpc_peer *peer,
                                     struct caller *ret, enum rpc_code *ret_code, struct err *reterr)
{
    if (rules && rules->certificates && peer->has_cert)
        return identify_cert(&peer->cert, ret, ret_code, reterr);
    if (!rules || !rules->unauthenticated)
        return deny(RPC_UNAUTHENTICATED,
                    rules && rules->certificates ? "missing client certificate"
                                                 : "missing authorization header",
                    ret_code, reterr);
    struct caller c = {.kind = CALLER_USER, .uid = (uid_t)-1, .provider = "local_dev", .all_scopes = true};
    (void)snprintf(c.subject, sizeof(c.subject), "unauthenticated-local-dev");
    (void)snprintf(c.name, sizeof(c.name), "Unauthenticated Local Dev");
    add_role(&c, "openshell-user");
    add_role(&c, "openshell-admin");
    *ret = c;
    return ERR_OK;
}

enum err_code caller_identify(const struct tokens *tokens, const struct caller_rules *rules,
                              const struct rpc_peer *peer, const struct rpc_meta *meta, uid_t own,
                              struct caller *ret, enum rpc_code *ret_code, struct err *reterr)
{
    unsigned n = 0;
    struct str value = find_token(meta, &n);
    if (n > 1)
        return deny(RPC_UNAUTHENTICATED, "more than one authorization header", ret_code, reterr);
    if (n == 1)
        return identify_token(tokens, value, ret, ret_code, reterr);
    if (!peer->local)
        return identify_remote(rules, peer, ret, ret_code, reterr);
    if (peer->uid != own) {
        *ret_code = RPC_PERMISSION_DENIED;
        return err_set(reterr, ERR_DENIED, "this gateway serves uid %u, and the caller is uid %u",
                       (unsigned)own, (unsigned)peer->uid);
    }
    if (peer->nested)
        return deny(
            RPC_UNAUTHENTICATED,
            "missing authorization header: a process in another pid namespace is not taken for the user",
            ret_code, reterr);
    *ret = (struct caller){.kind = CALLER_USER,
                           .uid = peer->uid,
                           .provider = "unix_socket",
                           .all_scopes = true};
    (void)snprintf(ret->subject, sizeof(ret->subject), "uid:%u", (unsigned)peer->uid);
    add_role(ret, "openshell-user");
    add_role(ret, "openshell-admin");
    return ERR_OK;
}

enum err_code caller_gate(const struct rpc_method *method, const struct caller *c, struct err *reterr)
{
    switch (method->auth) {
    case RPC_AUTH_OPEN:
    case RPC_AUTH_DUAL:
        return ERR_OK;
    case RPC_AUTH_BEARER:
        return c->kind == CALLER_USER
                   ? ERR_OK
                   : err_set(reterr, ERR_DENIED, "sandbox principals may not call this method");
    case RPC_AUTH_SANDBOX:
        return c->kind == CALLER_SANDBOX
                   ? ERR_OK
                   : err_set(reterr, ERR_DENIED, "this method requires a sandbox principal");
    case RPC_AUTH_NONE:
    default:
        return err_set(reterr, ERR_DENIED, "nobody may call this method of a gateway");
    }
}

enum err_code caller_scope(struct rpc_request *r, struct str sandbox_id, struct err *reterr)
{
    const struct caller *c = rpc_request_principal(r);
    if (c->kind == CALLER_USER || str_eq(str_of(c->sandbox_id), sandbox_id))
        return ERR_OK;
    return rpc_request_fail(r, RPC_PERMISSION_DENIED, reterr,
                            "cross-sandbox access denied: a sandbox may name itself only");
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
    if (rpc_request_method(r)->auth == RPC_AUTH_OPEN)
        return ERR_OK;
    const struct services *services = rpc_request_ctx(r);
    struct caller who = {};
    enum rpc_code code = RPC_PERMISSION_DENIED;
    enum err_code c = caller_identify(services->tokens, services->callers, rpc_request_peer(r),
                                      rpc_request_meta(r), geteuid(), &who, &code, reterr);
    if (c == ERR_OK) {
        code = RPC_PERMISSION_DENIED;
        c = caller_gate(rpc_request_method(r), &who, reterr);
    }
    if (c != ERR_OK) {
        rpc_request_set_code(r, code);
        return c;
    }
    if (who.kind == CALLER_USER && who.uid != (uid_t)-1)
        find_name(who.uid, who.name);
    struct caller *kept = malloc(sizeof(*kept));
    if (!kept)
        return err_set(reterr, ERR_LIMIT, "no memory for the caller");
    *kept = who;
    rpc_request_set_principal(r, kept, free);
    return ERR_OK;
}
