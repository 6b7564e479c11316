// gateway/methods.h: the methods that this gateway serves. The others answer UNIMPLEMENTED with their name.
#pragma once
#include "gateway/services.h"
#include "rpc/serve.h"

extern const struct rpc_handler gateway_handlers[RPC_METHODS];
