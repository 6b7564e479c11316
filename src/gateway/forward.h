// gateway/forward.h: ForwardTcp: a connection to a port inside a sandbox, for who has a token of
// CreateSshSession.
#pragma once
#include "rpc/serve.h"

#include "openshell.pb-c.h"

enum {
    FORWARDS_OF_TOKEN = 3,    // at a time; reference: gateway 3.5
    FORWARDS_OF_SANDBOX = 20, // ditto
};

// What the first frame asks for, but for the token.
enum err_code forward_check(const Openshell__V1__TcpForwardInit *init, struct err *reterr) NONNULL;

void forward_tcp(struct rpc_request *r) NONNULL; // the handler
