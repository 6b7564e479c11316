// gateway/reflection.h: gRPC's server reflection and health check, for tools and probes that others wrote.
//
// Both are for everybody: the interface is no secret, and neither says anything about users.
#pragma once
#include "base/arena.h"
#include "rpc/serve.h"

#include "grpc_reflection.pb-c.h"

// Answers one question about what `handlers` serves; all in the arena or static. ERR_LIMIT.
enum err_code reflection_answer(const struct rpc_handler *handlers,
                                const Grpc__Reflection__V1__ServerReflectionRequest *req, struct arena *a,
                                Grpc__Reflection__V1__ServerReflectionResponse *ret,
                                struct err *reterr) NONNULL;

void method_reflection(struct rpc_request *r) NONNULL; // both versions
enum err_code method_health_check(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr) NONNULL;
