// policy/snapshot.h: a policy compiled for decisions, immutable and shared.
//
// snapshot_compile() copies what it needs: the policy may go. A snapshot is shared by reference count;
// dropping the last share frees it. Everything a decision points to lives as long as the snapshot.
#pragma once
#include "base/base.h"
#include "net/cidr.h"
#include "policy/policy.h"

enum protocol {
    PROTOCOL_L4, // "": opaque, or passed through with credential rewriting
    PROTOCOL_TCP,
    PROTOCOL_REST,
    PROTOCOL_WEBSOCKET,
    PROTOCOL_GRAPHQL,
    PROTOCOL_JSON_RPC,
    PROTOCOL_MCP,
    PROTOCOL_SQL,
};
[[nodiscard]] const char *protocol_name(enum protocol p); // as in the file; "" for L4

struct snap_entry {
    struct str key, name; // name: what logs say
    uint32_t index;       // in order of keys
};

struct snap_rule; // one allow or deny rule; where it stands: decision_rule()

struct snap_endpoint {
    const struct snap_entry *entry;
    uint32_t index; // in the file's list
    struct str host, path;
    enum protocol protocol;
    bool tls_skip, enforce;
    bool allow_encoded_slash, websocket_credential_rewrite, request_body_credential_rewrite;
    bool allow_uninspected_credentials, advisor_proposed, provider_credentialed;
    bool websocket_graphql;    // a websocket endpoint with GraphQL rules
    bool strict_tool_names;    // MCP
    bool persisted_registered; // persisted_queries: allow_registered
    uint32_t graphql_max_body_bytes, json_rpc_max_body_bytes;
    struct str credential_signing, signing_service, signing_region, credential_provider;
    const struct cidr *allowed_ips;
    size_t allowed_ips_n;
    const void *priv; // compile.c and decide.c: ports, path matchers, rules
};

struct snapshot;

// `policy` has passed policy_validate() without errors; what that would have refused gives ERR_INVALID here.
// ERR_LIMIT: no memory, or over POLICY_ARENA_MAX. On success *ret holds one share.
enum err_code snapshot_compile(const struct policy *policy, uint64_t generation, struct snapshot **ret,
                               struct err *reterr) NONNULL;

// A snapshot that denies everything with `reason` (reference 1.9, failure mode fail_closed).
enum err_code snapshot_quarantine(struct str reason, uint64_t generation, struct snapshot **ret,
                                  struct err *reterr) NONNULL;

[[nodiscard]] struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); // NULL is fine
static inline void snapshot_unrefp(struct snapshot **s)
{
    snapshot_unref(*s);
}

[[nodiscard]] uint64_t snapshot_generation(const struct snapshot *s) NONNULL;
[[nodiscard]] size_t snapshot_bytes(const struct snapshot *s) NONNULL; // memory it takes
