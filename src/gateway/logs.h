// gateway/logs.h: lines from supervisors, and lines for those who ask once. Following them is WatchSandbox.
#pragma once
#include "rpc/serve.h"

enum { LOGS_BATCH_MAX = 100 }; // lines of one message that are kept; reference: gateway 4.6

void method_push_sandbox_logs(struct rpc_request *r) NONNULL; // a stream
enum err_code method_get_sandbox_logs(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr) NONNULL;
