// gateway/workspace_methods.h: workspaces and their members, by request. Reference: gateway 4.8.
#pragma once
#include "rpc/serve.h"

enum { WORKSPACE_MEMBERS_MAX = 1000 }; // reference

enum err_code method_create_workspace(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_get_workspace(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr) NONNULL;
enum err_code method_list_workspaces(struct rpc_request *r, const ProtobufCMessage *in,
                                     ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_delete_workspace(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_add_member(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                struct err *reterr) NONNULL;
enum err_code method_remove_member(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr) NONNULL;
enum err_code method_list_members(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr) NONNULL;
