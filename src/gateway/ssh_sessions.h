// gateway/ssh_sessions.h: the tokens that open connections into a sandbox (CreateSshSession,
// RevokeSshSession).
//
// A token is told once. The store has it under its hash, so that nobody who reads the store can use one.
// Expired and revoked ones go when the sandbox gets its next, and with the sandbox. All of it is for workers.
#pragma once
#include "rpc/serve.h"
#include "store/store.h"

#define SSH_SESSION_KIND "ssh_session"

enum {
    SSH_SESSION_TTL_S = 86'400, // reference: gateway 6
    SSH_SESSION_KEY_SIZE = 65,  // the hash of a token, in hex, and the NUL
};

// A new one. *ret_expires_ms is 0 for ever (ttl_s 0). The token is a UUID, in dst.
enum err_code ssh_session_new(struct store *st, struct str workspace, struct str sandbox_id, int64_t ttl_s,
                              struct arena *a, char *dst, size_t size, int64_t *ret_expires_ms,
                              struct err *reterr) NONNULL;

// Is that a token of this sandbox, now? ERR_DENIED, in the reference's words.
enum err_code ssh_session_check(struct store *st, struct str token, struct str sandbox_id, struct arena *a,
                                struct err *reterr) NONNULL;
// *ret_was: there is such a one.
enum err_code ssh_session_revoke(struct store *st, struct str token, struct arena *a, bool *ret_was,
                                 struct err *reterr) NONNULL;

void ssh_session_key(struct str token, char dst[static SSH_SESSION_KEY_SIZE]) NONNULL;

enum err_code method_create_ssh_session(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_revoke_ssh_session(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr) NONNULL;
