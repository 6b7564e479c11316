// policy/policy.h: a policy as its author wrote it, the model that every other module of src/policy works on.
//
// It mirrors the wire form (shared facts: openshell.sandbox.v1.SandboxPolicy) so that YAML, protobuf and
// merge operations mean the same thing; what the words mean is decided once, in compile.c. Values are kept as
// given, wrong ones included: load.c checks shape and types, validate.c checks meaning.
//
// A policy and everything in it lives in one arena and is never changed after it was built; merge and compose
// make a new one that may share parts with the old, so both arenas must outlive it (or call policy_clone).
// An absent string is empty (n == 0); an absent list has n == 0; maps are arrays in the order of the file.
#pragma once
#include "base/arena.h"
#include "base/base.h"

// Limits. The sources are sections of the reference; "ours" are bounds it leaves open.
enum {
    POLICY_TEXT_MAX = MIB,          // bytes of a policy file; ours
    POLICY_DEPTH_MAX = 32,          // nesting of a policy file; ours
    POLICY_NODES_MAX = 400'000,     // YAML nodes after aliases were expanded; ours
    POLICY_ARENA_MAX = 64 * MIB,    // model, diagnostics and compiled form, each; ours
    POLICY_FS_PATHS_MAX = 256,      // reference 1.3
    POLICY_PATH_MAX = 4096,         // reference 1.3, bytes
    POLICY_MIDDLEWARES_MAX = 10,    // reference 1.7
    POLICY_SELECTORS_MAX = 32,      // reference 1.7, include and exclude together
    POLICY_BODY_DEFAULT = 64 * KIB, // reference 1.4, GraphQL, JSON-RPC and MCP bodies
    POLICY_ID_MAX = 0xffff'fffe,    // reference 1.3, highest uid and gid
};

struct strs {
    struct str *v;
    size_t n;
};

// google.protobuf.Struct and YAML values without a schema: the `config` of a middleware.
struct value {
    enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST, VALUE_MAP } kind;
    bool boolean;
    double number;
    struct str string;
    struct value *items; // LIST and MAP
    struct str *keys;    // MAP: keys[i] names items[i]
    size_t n;
};

// A query or parameter matcher: `glob` or, where any.n > 0, one of `any`.
struct matcher {
    struct str key;
    struct str glob;
    struct strs any;
};

// What `allow:` holds, and what an item of deny_rules is.
struct l7_rule {
    struct str method, path, command;
    struct matcher *query;
    size_t query_n;
    struct str operation_type, operation_name;
    struct strs fields;
    struct matcher *params; // keys flattened with dots; `tool: X` is params.name = X
    size_t params_n;
};

struct graphql_registered { // an entry of graphql_persisted_queries
    struct str id, operation_type, operation_name;
    struct strs fields;
};

enum tristate { UNSET = 0, NO, YES };

struct endpoint {
    struct str host, path;
    uint32_t *ports; // `port: N` is a list of one; a value may be out of range until validated
    size_t ports_n;
    struct str protocol, tls, enforcement, access;
    struct l7_rule *rules, *deny_rules;
    size_t rules_n, deny_rules_n;
    struct strs allowed_ips;
    bool allow_encoded_slash, websocket_credential_rewrite, request_body_credential_rewrite;
    bool allow_uninspected_credentials;
    bool advisor_proposed, provider_credentialed; // never from YAML: set by the gateway
    struct str persisted_queries;
    struct graphql_registered *registered;
    size_t registered_n;
    uint32_t graphql_max_body_bytes;  // 0: not given
    uint32_t json_rpc_max_body_bytes; // ditto; mcp.max_body_bytes, which wins, is kept here too
    bool has_mcp;                     // an `mcp:` stanza was given
    enum tristate strict_tool_names, allow_all_known_mcp_methods;
    struct str credential_signing, signing_service, signing_region;
    struct str credential_provider; // credential_binding.provider
};

struct binary {
    struct str path;
    bool harness; // deprecated in YAML and ignored there; on the wire it marks what an advisor proposed
};

struct policy_entry { // one key of network_policies
    struct str key;
    struct str name; // empty: the key
    struct endpoint *endpoints;
    size_t endpoints_n;
    struct binary *binaries;
    size_t binaries_n;
};

struct middleware { // one key of network_middlewares
    struct str key, name, implementation;
    int32_t order;
    struct value config;
    struct str on_error;
    struct strs include, exclude;
};

struct policy {
    uint32_t version;
    bool has_filesystem, has_landlock, has_process;
    struct {
        bool include_workdir; // as enforced: true too where the whole section is absent (reference 1.3)
        struct strs read_only, read_write;
    } filesystem;
    struct {
        struct str compatibility;
    } landlock;
    struct {
        struct str run_as_user, run_as_group;
    } process;
    struct policy_entry *entries;
    size_t entries_n;
    struct middleware *middlewares;
    size_t middlewares_n;
};

// The key prefix of entries that the gateway derives from attached providers.
#define POLICY_PROVIDER_PREFIX STR("_provider_")

// What logs and denials call an entry.
[[nodiscard]] static inline struct str policy_entry_name(const struct policy_entry *e)
{
    return e->name.n > 0 ? e->name : e->key;
}

// A deep copy that shares nothing with `src`. False: no room, see arena_limit().
[[nodiscard]] bool policy_clone(const struct policy *src, struct arena *a, struct policy **ret) NONNULL;

// The parts of it, for merge and compose. Same result and same failure.
[[nodiscard]] bool policy_clone_strs(const struct strs *src, struct arena *a, struct strs *ret) NONNULL;
[[nodiscard]] bool policy_clone_rule(const struct l7_rule *src, struct arena *a, struct l7_rule *ret) NONNULL;
[[nodiscard]] bool policy_clone_endpoint(const struct endpoint *src, struct arena *a,
                                         struct endpoint *ret) NONNULL;
[[nodiscard]] bool policy_clone_entry(const struct policy_entry *src, struct arena *a,
                                      struct policy_entry *ret) NONNULL;
