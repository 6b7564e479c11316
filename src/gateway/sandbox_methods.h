// gateway/sandbox_methods.h: handlers of sandboxes: what is asked, checked and answered. All are for workers.
#pragma once
#include "rpc/serve.h"

enum err_code method_create_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;
enum err_code method_get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                 struct err *reterr) NONNULL;
enum err_code method_list_sandboxes(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;
enum err_code method_delete_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr) NONNULL;
enum err_code method_stop_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr) NONNULL;
enum err_code method_start_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr) NONNULL;
enum err_code method_report_main_process_exit(struct rpc_request *r, const ProtobufCMessage *in,
                                              ProtobufCMessage **ret, struct err *reterr) NONNULL;
