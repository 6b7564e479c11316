// gateway/token_methods.h: a supervisor's new token for its old one.
#pragma once
#include "rpc/serve.h"

enum { EXTENSION_NAMES_MAX = 64 }; // reference: gateway 2.3

enum err_code method_issue_sandbox_token(struct rpc_request *r, const ProtobufCMessage *in,
                                         ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_refresh_sandbox_token(struct rpc_request *r, const ProtobufCMessage *in,
                                           ProtobufCMessage **ret, struct err *reterr) NONNULL;
