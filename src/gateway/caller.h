// gateway/caller.h: who calls, and whether they may.
//
// On the gateway's Unix socket the kernel says whose process is at the other end. The gateway belongs to one
// user: that user may do everything that a user may, and nobody else may do anything, root neither, because
// whoever means to act as that user can become them first.
#pragma once
#include "rpc/serve.h"

enum { CALLER_NAME_SIZE = 64 };

struct caller {
    uid_t uid;
    char subject[CALLER_NAME_SIZE]; // "uid:1000"
    char name[CALLER_NAME_SIZE];    // of the account; empty where the machine knows none
};

// May `peer` call that method of a gateway of user `own`? ERR_DENIED; *ret_code is gRPC's code for it.
enum err_code caller_check(const struct rpc_method *method, const struct rpc_peer *peer, uid_t own,
                           enum rpc_code *ret_code, struct err *reterr) NONNULL;

// The `admit` of struct rpc_server_opts; keeps a struct caller as the principal of methods for users. May
// block on the account data base.
enum err_code caller_admit(struct rpc_request *r, struct err *reterr) NONNULL;
