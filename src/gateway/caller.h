// gateway/caller.h: who calls, and whether they may.
//
// A caller who shows a token is the sandbox that it names, or nobody; whose process it is does not matter
// then. On the gateway's Unix socket the kernel says whose process is at the other end. The gateway belongs
// to one user: that user may do everything that a user may, and nobody else may do anything, root neither,
// because whoever means to act as that user can become them first. A process in another pid namespace is
// never taken for the user, so no process of a sandbox is, whatever uid it has. Over TCP a user is who shows
// a client certificate, where certificates count; or everybody, where the configuration says so.
#pragma once
#include "gateway/tokens.h"
#include "rpc/serve.h"

enum { CALLER_NAME_SIZE = TLS_NAME_SIZE };

enum caller_kind { CALLER_USER, CALLER_SANDBOX };

// Who counts as a user over TCP (reference: gateway 2.2).
struct caller_rules {
    bool certificates;    // the common name of a client certificate is the user, its units are the roles
    bool unauthenticated; // who shows nothing is the developer
};

struct caller {
    enum caller_kind kind;
    const char *provider;                        // of a user: "unix_socket", "mtls", "local_dev"
    char roles[TLS_UNITS_MAX][CALLER_NAME_SIZE]; // of a user
    size_t roles_n;
    bool all_scopes;
    char sandbox_id[TOKENS_ID_MAX + 1]; // of a sandbox; else empty
    uid_t uid;                          // of a user
    char subject[CALLER_NAME_SIZE];     // "uid:1000", a common name, "spiffe://openshell/sandbox/ID"
    char name[CALLER_NAME_SIZE];        // of the account; empty where the machine knows none
};

// Who that is, to a gateway of user `own`. `tokens` NULL: there are none; `rules` NULL: nobody is a user over
// TCP. ERR_DENIED; *ret_code is gRPC's code for it.
enum err_code caller_identify(const struct tokens *tokens, const struct caller_rules *rules,
                              const struct rpc_peer *peer, const struct rpc_meta *meta, uid_t own,
                              struct caller *ret, enum rpc_code *ret_code, struct err *reterr)
    __attribute__((nonnull(3, 4, 6, 7, 8)));

// May they call that method? ERR_DENIED, in the reference's words.
enum err_code caller_gate(const struct rpc_method *method, const struct caller *c,
                          struct err *reterr) NONNULL;

// A handler that was given the id of a sandbox asks this first: a sandbox may name itself only, a user any.
// ERR_DENIED; the call's code is set.
enum err_code caller_scope(struct rpc_request *r, struct str sandbox_id, struct err *reterr) NONNULL;

// The `admit` of struct rpc_server_opts; keeps a struct caller as the principal of all methods but those for
// anyone. May block on the account data base.
enum err_code caller_admit(struct rpc_request *r, struct err *reterr) NONNULL;
