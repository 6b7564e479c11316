#include "gateway/caller.h"

#include "base/fd.h"
#include "tap.h"

#include <ftw.h>
#include <unistd.h>

enum { OWN = 1000 };

static const struct {
    struct rpc_peer peer;
    const char *authorization; // "%s" stands for a token
    bool sandbox;
    enum rpc_code code;
    const char *msg, *rule;
} callers[] = {
    {{.local = true, .uid = OWN}, NULL, false, RPC_OK, "", "the gateway's user"},
    {{.local = true, .uid = OWN + 1},
     NULL,
     false,
     RPC_PERMISSION_DENIED,
     "this gateway serves uid 1000, and the caller is uid 1001",
     "another user"},
    {{.local = true, .uid = 0},
     NULL,
     false,
     RPC_PERMISSION_DENIED,
     "this gateway serves uid 1000, and the caller is uid 0",
     "root is another user"},
    {{.local = true, .nested = true, .uid = OWN},
     NULL,
     false,
     RPC_UNAUTHENTICATED,
     "missing authorization header: a process in another pid namespace is not taken for the user",
     "a process of a sandbox is not the user, whatever its uid"},
    {{.local = true, .nested = true, .uid = OWN + 1},
     NULL,
     false,
     RPC_PERMISSION_DENIED,
     "this gateway serves uid 1000, and the caller is uid 1001",
     "of another user's process the namespace may be unknown; the uid is not"},
    {{.uid = OWN},
     NULL,
     false,
     RPC_UNAUTHENTICATED,
     "missing authorization header",
     "TCP says nothing about a user, whatever the number is"},
    {{.uid = (uid_t)-1}, "Bearer %s", true, RPC_OK, "", "a token over TCP"},
    {{.local = true, .uid = OWN},
     "Bearer %s",
     true,
     RPC_OK,
     "",
     "who shows a token is the sandbox, not the user"},
    {{.local = true, .nested = true, .uid = 7},
     "Bearer %s",
     true,
     RPC_OK,
     "",
     "a token counts from anywhere"},
    {{.local = true, .uid = OWN},
     "Bearer x.y.z",
     false,
     RPC_UNAUTHENTICATED,
     "invalid token",
     "with a token that is none, the user is nobody"},
    {{.local = true, .uid = OWN},
     "bearer %s",
     false,
     RPC_UNAUTHENTICATED,
     "invalid token",
     "bearer in lower case"},
    {{.local = true, .uid = OWN},
     "%s",
     false,
     RPC_UNAUTHENTICATED,
     "invalid token",
     "a token without its word"},
    {{.local = true, .uid = OWN},
     "Bearer  %s",
     false,
     RPC_UNAUTHENTICATED,
     "invalid token",
     "a second space is of the token"},
    {{.local = true, .uid = OWN}, "", false, RPC_UNAUTHENTICATED, "invalid token", "an empty header"},
};

static const struct {
    enum rpc_auth auth;
    bool user, sandbox;
    const char *user_msg, *sandbox_msg, *rule;
} gates[] = {
    {RPC_AUTH_OPEN, true, true, "", "", "Health is for anyone"},
    {RPC_AUTH_BEARER, true, false, "", "sandbox principals may not call this method", "methods of users"},
    {RPC_AUTH_SANDBOX, false, true, "this method requires a sandbox principal", "", "methods of sandboxes"},
    {RPC_AUTH_DUAL, true, true, "", "", "methods of both"},
    {RPC_AUTH_NONE, false, false, "nobody may call this method of a gateway",
     "nobody may call this method of a gateway", "a method without a rule"},
};

static void test_callers(const struct tokens *tokens, const char *token)
{
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        char text[TOKENS_TEXT_MAX + 16] = "";
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        struct rpc_meta meta = {};
        struct caller c = {.sandbox_id = "untouched"};
        struct err err = {};
        enum rpc_code code = RPC_OK;
        const char *given = callers[i].authorization;
        if (given) {
            const char *at = strstr(given, "%s");
            (void)snprintf(text, sizeof(text), "%.*s%s", (int)(at ? at - given : (ptrdiff_t)strlen(given)),
                           given, at ? token : "");
            enum err_code added = rpc_meta_add(&meta, &a, STR("authorization"), str_of(text), &err);
            assert(added == ERR_OK);
        }
        enum err_code r = caller_identify(tokens, NULL, &callers[i].peer, &meta, OWN, &c, &code, &err);
        bool ok = (r == ERR_OK) == (callers[i].code == RPC_OK) && (r == ERR_OK || code == callers[i].code) &&
                  strcmp(err.msg, callers[i].msg) == 0;
        if (r == ERR_OK)
            ok = ok && (c.kind == CALLER_SANDBOX) == callers[i].sandbox &&
                 strcmp(c.sandbox_id, callers[i].sandbox ? "s-1" : "") == 0 &&
                 strcmp(c.subject, callers[i].sandbox ? "spiffe://openshell/sandbox/s-1" : "uid:1000") == 0;
        else
            ok = ok && r == ERR_DENIED && strcmp(c.sandbox_id, "untouched") == 0;
        if (!tap_ok(ok, "%s", callers[i].rule))
            tap_note("%s: %s: %s", rpc_code_name(code), err.msg, c.subject);
    }
}

static const struct {
    struct caller_rules rules;
    struct rpc_peer peer;
    const char *subject, *provider, *msg, *rule;
    size_t roles;
} remote[] = {
    {{.certificates = true},
     {.tls = true, .has_cert = true, .cert = {.cn = "ann", .units = {"a", "b"}, .units_n = 2}},
     "ann",
     "mtls",
     "",
     "a certificate's name is the user, its units are the roles",
     2},
    {{.certificates = true},
     {.tls = true, .has_cert = true, .cert = {.cn = "", .units = {"a"}, .units_n = 1}},
     NULL,
     NULL,
     "the client certificate has no common name",
     "a certificate without a name is nobody",
     0},
    {{.certificates = true}, {.tls = true}, NULL, NULL, "missing client certificate", "no certificate", 0},
    {{.certificates = false},
     {.tls = true, .has_cert = true, .cert = {.cn = "ann"}},
     NULL,
     NULL,
     "missing authorization header",
     "a certificate where certificates do not count",
     0},
    {{.unauthenticated = true},
     {},
     "unauthenticated-local-dev",
     "local_dev",
     "",
     "everybody, where configured",
     2},
    {{.certificates = true, .unauthenticated = true},
     {.tls = true, .has_cert = true, .cert = {.cn = "ann"}},
     "ann",
     "mtls",
     "",
     "a certificate goes before that",
     0},
    {{.certificates = true, .unauthenticated = true},
     {.local = true, .uid = OWN + 1},
     NULL,
     NULL,
     "this gateway serves uid 1000, and the caller is uid 1001",
     "on the socket both change nothing",
     0},
};

static void test_remote(void)
{
    for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
        const struct rpc_meta none = {};
        struct caller c = {};
        struct err err = {};
        enum rpc_code code = RPC_OK;
        enum err_code r = caller_identify(NULL, &remote[i].rules, &remote[i].peer, &none, OWN, &c, &code,
                                          &err);
        bool ok = remote[i].subject
                      ? r == ERR_OK && c.kind == CALLER_USER && c.uid == (uid_t)-1 &&
                            strcmp(c.subject, remote[i].subject) == 0 &&
                            strcmp(c.provider, remote[i].provider) == 0 && c.roles_n == remote[i].roles
                      : r == ERR_DENIED && code != RPC_OK && c.subject[0] == '\0';
        if (!tap_ok(ok && strcmp(err.msg, remote[i].msg) == 0, "%s", remote[i].rule))
            tap_note("%s %s", c.subject, err.msg);
    }
}

static void test_other(const struct tokens *tokens, const char *token)
{
    char text[TOKENS_TEXT_MAX + 16];
    (void)snprintf(text, sizeof(text), "Bearer %s", token);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct rpc_meta meta = {};
    const struct rpc_peer peer = {.local = true, .uid = OWN};
    struct caller c = {};
    struct err err = {};
    enum rpc_code code = RPC_OK;
    enum err_code r = rpc_meta_add(&meta, &a, STR("authorization"), str_of(text), &err);
    assert(r == ERR_OK);
    tap_ok(caller_identify(NULL, NULL, &peer, &meta, OWN, &c, &code, &err) == ERR_DENIED &&
               code == RPC_UNAUTHENTICATED,
           "a gateway without tokens knows none");
    r = rpc_meta_add(&meta, &a, STR("authorization"), STR("Bearer other"), &err);
    assert(r == ERR_OK);
    tap_ok(caller_identify(tokens, NULL, &peer, &meta, OWN, &c, &code, &err) == ERR_DENIED &&
               strcmp(err.msg, "more than one authorization header") == 0,
           "two tokens are none");
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        const struct rpc_method method = {.auth = gates[i].auth};
        const struct caller user = {.kind = CALLER_USER}, sandbox = {.kind = CALLER_SANDBOX};
        struct err user_err = {}, sandbox_err = {};
        tap_ok((caller_gate(&method, &user, &user_err) == ERR_OK) == gates[i].user &&
                   strcmp(user_err.msg, gates[i].user_msg) == 0,
               "%s: a user", gates[i].rule);
        tap_ok((caller_gate(&method, &sandbox, &sandbox_err) == ERR_OK) == gates[i].sandbox &&
                   strcmp(sandbox_err.msg, gates[i].sandbox_msg) == 0,
               "%s: a sandbox", gates[i].rule);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int main(void)
{
    char dir[] = "/tmp/caller_test.XXXXXX", keys[64];
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(keys, sizeof(keys), "%s/jwt", dir);
    CLEANUP(tokens_freep) struct tokens *tokens = NULL;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, TOKENS_TEXT_MAX);
    struct err err = {};
    int64_t expires_ms = 0;
    if (tap_ok(tokens_open(keys, STR("openshell"), 0, &tokens, &err) == ERR_OK &&
                   tokens_mint(tokens, STR("s-1"), 1, &token, &expires_ms, &err) == ERR_OK,
               "a token")) {
        test_callers(tokens, token.p);
        test_remote();
        test_other(tokens, token.p);
    }
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
