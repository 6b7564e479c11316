// gateway/methods.h: the methods that this gateway serves. The others answer UNIMPLEMENTED with their name.
#pragma once
#include "gateway/services.h"
#include "rpc/serve.h"

enum err_code method_create_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;
enum err_code method_get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                 struct err *reterr) NONNULL;
enum err_code method_list_sandboxes(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;
enum err_code method_delete_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;

extern const struct rpc_handler gateway_handlers[RPC_METHODS];
