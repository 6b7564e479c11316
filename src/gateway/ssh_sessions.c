#include "gateway/ssh_sessions.h"

#include <openssl/sha.h>

#include "gateway/ids.h"
#include "gateway/lookup.h"
#include "gateway/services.h"

enum { SWEEP_MAX = 100, PAYLOAD_MAX = 4 * KIB };

typedef Openshell__V1__SshSession SshSession;

void ssh_session_key(struct str token, char dst[static SSH_SESSION_KEY_SIZE])
{
    unsigned char md[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)token.p, token.n, md); // cannot fail
    for (size_t i = 0; i < sizeof(md); i++)
        (void)snprintf(dst + 2 * i, 3, "%02x", md[i]);
}

static bool is_over(const SshSession *s, int64_t now_ms)
{
    return s->revoked || (s->expires_at_ms > 0 && s->expires_at_ms <= now_ms);
}

static enum err_code unpack(const struct store_object *row, struct arena *a, SshSession **ret,
                            struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code c = wire_unpack(&openshell__v1__ssh_session__descriptor, row->payload, a, &m, reterr);
    if (c == ERR_INVALID)
        return err_set(reterr, ERR_INTERNAL, "the record of an SSH session is damaged");
    if (c == ERR_OK)
        *ret = (SshSession *)m;
    return c;
}

static enum err_code write_one(struct store *st, enum store_op op, const struct store_object *o,
                               uint64_t if_version, struct err *reterr)
{
    const struct store_write w = {.op = op, .if_version = if_version, .object = *o};
    uint64_t version = 0;
    size_t failed = 0;
    return store_apply(st, &w, 1, &version, &failed, reterr);
}

// Takes away those of a sandbox that are over, as many as one page has: a failure leaves them to the next
// time.
static void sweep(struct store *st, struct str workspace, struct str sandbox_id, struct arena *a)
{
    const struct store_query q = {.kind = STR(SSH_SESSION_KIND),
                                  .workspace = workspace,
                                  .scope = sandbox_id,
                                  .order = STORE_OLDEST,
                                  .limit = SWEEP_MAX};
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    struct err ignored = {};
    if (store_list(st, &q, a, &rows, &n, &more, &ignored) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        SshSession *s = NULL;
        if (unpack(&rows[i], a, &s, &ignored) != ERR_OK || is_over(s, clock_realtime_ms()))
            (void)write_one(st, STORE_DELETE, &rows[i], 0, &ignored);
    }
}

enum err_code ssh_session_new(struct store *st, struct str workspace, struct str sandbox_id, int64_t ttl_s,
                              struct arena *a, char *dst, size_t size, int64_t *ret_expires_ms,
                              struct err *reterr)
{
    char token[ID_SIZE], key[SSH_SESSION_KEY_SIZE];
    SshSession s = OPENSHELL__V1__SSH_SESSION__INIT;
    CLEANUP(buf_done) struct buf payload;
    buf_init(&payload, PAYLOAD_MAX);
    struct str id = {};
    int64_t now_ms = clock_realtime_ms();
    sweep(st, workspace, sandbox_id, a);
    assert(size >= sizeof(token));
    if (!arena_dup(a, sandbox_id, &id))
        return arena_limit(a, "a session", reterr);
    s.sandbox_id = (char *)(uintptr_t)id.p; // packing only reads it
    s.expires_at_ms = ttl_s ? now_ms + ttl_s * 1000 : 0;
    enum err_code c = id_make(token, reterr);
    if (c == ERR_OK)
        c = wire_pack(&s.base, &payload, reterr);
    if (c != ERR_OK)
        return c;
    ssh_session_key(str_of(token), key);
    const struct store_object o = {.kind = STR(SSH_SESSION_KIND),
                                   .workspace = workspace,
                                   .id = str_of(key),
                                   .scope = sandbox_id,
                                   .payload = buf_str(&payload),
                                   .created_ms = now_ms,
                                   .updated_ms = now_ms};
    c = write_one(st, STORE_CREATE, &o, 0, reterr);
    if (c != ERR_OK)
        return c;
    memcpy(dst, token, sizeof(token));
    *ret_expires_ms = s.expires_at_ms;
    return ERR_OK;
}

enum err_code ssh_session_check(struct store *st, struct str token, struct str sandbox_id, struct arena *a,
                                struct err *reterr)
{
    char key[SSH_SESSION_KEY_SIZE];
    struct store_object row = {};
    SshSession *s = NULL;
    ssh_session_key(token, key);
    enum err_code c = store_get(st, STR(SSH_SESSION_KIND), str_of(key), a, &row, reterr);
    if (c == ERR_NOT_FOUND)
        return err_set(reterr, ERR_DENIED, "SSH session token not found");
    if (c == ERR_OK)
        c = unpack(&row, a, &s, reterr);
    if (c != ERR_OK)
        return c;
    if (s->revoked || !str_eq(str_of(s->sandbox_id), sandbox_id))
        return err_set(reterr, ERR_DENIED, "SSH session token is not valid");
    if (is_over(s, clock_realtime_ms()))
        return err_set(reterr, ERR_DENIED, "SSH session token expired");
    return ERR_OK;
}

enum err_code ssh_session_revoke(struct store *st, struct str token, struct arena *a, bool *ret_was,
                                 struct err *reterr)
{
    char key[SSH_SESSION_KEY_SIZE];
    struct store_object row = {};
    SshSession *s = NULL;
    CLEANUP(buf_done) struct buf payload;
    buf_init(&payload, PAYLOAD_MAX);
    ssh_session_key(token, key);
    enum err_code c = store_get(st, STR(SSH_SESSION_KIND), str_of(key), a, &row, reterr);
    if (c == ERR_NOT_FOUND) {
        *ret_was = false;
        return ERR_OK;
    }
    if (c == ERR_OK)
        c = unpack(&row, a, &s, reterr);
    if (c != ERR_OK)
        return c;
    s->revoked = true; // the one change there is, so whoever writes meanwhile writes the same
    c = wire_pack(&s->base, &payload, reterr);
    row.payload = buf_str(&payload);
    row.updated_ms = clock_realtime_ms();
    if (c == ERR_OK)
        c = write_one(st, STORE_UPDATE, &row, 0, reterr);
    if (c != ERR_OK && c != ERR_NOT_FOUND) // it went meanwhile
        return c;
    *ret_was = true;
    return ERR_OK;
}

// ---- methods

enum err_code method_create_ssh_session(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    const Openshell__V1__CreateSshSessionRequest *req = (const Openshell__V1__CreateSshSessionRequest *)in;
    struct arena *a = rpc_request_arena(r);
    struct str workspace = {};
    Openshell__V1__CreateSshSessionResponse *out = arena_new(a, Openshell__V1__CreateSshSessionResponse);
    char *token = arena_alloc(a, ID_SIZE);
    if (!out || !token)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__create_ssh_session_response__init(out);
    enum err_code c = lookup_ready_now(r, str_of(req->sandbox_id), a, &workspace, reterr);
    if (c == ERR_OK)
        c = ssh_session_new(services->store, workspace, str_of(req->sandbox_id), SSH_SESSION_TTL_S, a, token,
                            ID_SIZE, &out->expires_at_ms, reterr);
    if (c != ERR_OK)
        return c;
    out->sandbox_id = req->sandbox_id;
    out->token = token;
    out->gateway_host = (char *)(uintptr_t)services->address.host; // packing only reads it
    out->gateway_port = services->address.port;
    out->gateway_scheme = (char *)(uintptr_t)(services->address.tls ? "https" : "http");
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_revoke_ssh_session(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    const Openshell__V1__RevokeSshSessionRequest *req = (const Openshell__V1__RevokeSshSessionRequest *)in;
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__RevokeSshSessionResponse *out = arena_new(a, Openshell__V1__RevokeSshSessionResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__revoke_ssh_session_response__init(out);
    bool was = false;
    if (!req->token[0])
        return err_set(reterr, ERR_INVALID, "token is required");
    enum err_code c = ssh_session_revoke(services->store, str_of(req->token), a, &was, reterr);
    if (c != ERR_OK)
        return c;
    out->revoked = was;
    *ret = &out->base;
    return ERR_OK;
}
