// cli/ask.h: a question to a policy, as the command line and test files ask it: who, where, what. And the
// answer.
#pragma once
#include "base/arena.h"
#include "cmd/report.h"
#include "cli/request_arg.h"
#include "policy/explain.h"

enum {
    ASK_ANCESTORS_MAX = 64, // reference: policy 3.1
    ASK_CALLS_MAX = 256,    // operations or calls of one body; ours
};

struct ask {
    struct arena *arena; // everything added lives in it
    struct str binary;
    struct str *ancestors;
    size_t ancestors_n;
    struct request_arg request;
    struct str method; // "WEBSOCKET_TEXT" for a text message, else the request's
    struct str path;   // canonical; set by ask_policy
    struct graphql_op *graphql;
    size_t graphql_n;
    struct rpc_call *rpc;
    size_t rpc_n;
    bool websocket_text, event_stream;
};

// Each checks one part. ERR_INVALID with what would be right; ERR_LIMIT for too many, or no room.
enum err_code ask_binary(struct ask *k, struct str path, struct err *reterr) NONNULL;
enum err_code ask_ancestor(struct ask *k, struct str path, struct err *reterr) NONNULL;
enum err_code ask_request(struct ask *k, struct str text, struct err *reterr) NONNULL;
enum err_code ask_graphql(struct ask *k, struct str text,
                          struct err *reterr) NONNULL; // TYPE[:NAME][:FIELD,FIELD…]
enum err_code ask_mcp(struct ask *k, struct str text, struct err *reterr) NONNULL; // METHOD[:TOOL]
enum err_code ask_json_rpc(struct ask *k, struct str method, struct err *reterr) NONNULL;

// Whether the parts fit together: a CONNECT has no body, a request is not GraphQL and JSON-RPC at once.
enum err_code ask_check(const struct ask *k, struct err *reterr) NONNULL;

// The answer, in the arena and in the snapshot. ERR_INVALID: the path or the query is one that the proxy
// refuses.
enum err_code ask_policy(struct ask *k, const struct snapshot *s, struct explanation *ret,
                         struct err *reterr) NONNULL;
