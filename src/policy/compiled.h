// policy/compiled.h: the inside of a snapshot, for compile.c, match.c, decide.c, reason.c and explain.c only.
//
// Entries stand in the order of their keys, endpoints in the order of their entries and then of the file,
// both in one array each; an endpoint's place in that array is its id, a binary's likewise. So "the first
// match" of the reference is the smallest id, and every index below hands out ids in ascending order.
#pragma once
#include <stdatomic.h>

#include "base/arena.h"
#include "policy/decide.h"
#include "policy/globset.h"
#include "policy/hostset.h"
#include "policy/snapshot.h"

enum {
    PATHS_INDEXED_FROM = 8, // with fewer rules than this, trying them in turn is faster than a trie
};

// HTTP methods as bits; one that is not in the table is METHOD_OTHER and compared as text.
enum {
    METHOD_GET = 1 << 0,
    METHOD_HEAD = 1 << 1,
    METHOD_POST = 1 << 2,
    METHOD_PUT = 1 << 3,
    METHOD_DELETE = 1 << 4,
    METHOD_PATCH = 1 << 5,
    METHOD_OPTIONS = 1 << 6,
    METHOD_WEBSOCKET_TEXT = 1 << 7,
    METHOD_OTHER = 1 << 8,
    METHOD_ANY = (1 << 9) - 1,
};
[[nodiscard]] uint32_t method_bit(struct str method);

struct globs { // any of them
    const struct glob **v;
    size_t n;
};

struct snap_matcher {
    struct str key;
    struct globs globs;
};

struct snap_rule {
    const struct compiled_endpoint *endpoint;
    uint32_t index; // in the file's list, or in the preset's
    bool deny, preset;
    bool graphql;                 // it has an operation_type: for operations, not for HTTP
    const struct l7_rule *source; // a copy, for words

    uint32_t methods;        // HTTP
    struct str method_text;  // where methods is METHOD_OTHER alone
    const struct glob *path; // NULL: any
    struct snap_matcher *query;
    size_t query_n;

    bool any_type;              // GraphQL
    const struct glob *op_name; // NULL: any
    struct globs fields;        // n == 0: any

    bool any_call;                 // JSON-RPC and MCP: method `*`
    const struct glob *rpc_method; // NULL with !any_call: compare source->method for equality
    bool has_tool;
    struct globs tools;
};

struct ruleset {
    struct snap_rule *v;
    size_t n;
    const struct globset *paths; // over v[].path; NULL: try them in turn
};

struct compiled_endpoint {
    struct snap_endpoint pub;
    uint32_t entry;          // index
    const struct glob *host; // NULL: hostless
    bool host_exact;
    uint16_t *ports;
    size_t ports_n;
    const struct glob *scope, *scope_rule; // `path` as both engines read it; NULL: everything
    uint32_t specificity;
    bool extended; // takes part in the extended endpoint config (reference 1.12)
    bool mcp_allow_all, mcp_has_tool;
    struct ruleset allow, deny;
    struct graphql_registered *registered;
    size_t registered_n;
};

struct compiled_binary {
    struct str path;
    const struct glob *glob; // NULL: exact
    uint32_t entry;
    bool harness;
};

struct compiled_entry {
    struct snap_entry pub;
    uint32_t endpoints_lo, endpoints_hi; // ids [lo, hi)
    uint32_t binaries_lo, binaries_hi;
};

struct bin_slot { // exact binaries: open addressing, a power of two, never full
    struct str path;
    const uint32_t *ids;
    uint32_t n;
};

struct snapshot {
    struct arena arena; // holds everything but this struct
    atomic_size_t refs;
    uint64_t generation;
    struct str quarantine; // n > 0: deny everything, for that reason
    struct compiled_entry *entries;
    size_t entries_n;
    struct compiled_endpoint *endpoints;
    size_t endpoints_n;
    struct compiled_binary *binaries;
    size_t binaries_n;
    const struct hostset *hosts; // endpoint ids
    uint32_t *hostless;          // endpoint ids
    size_t hostless_n;
    struct bin_slot *bin_slots;
    size_t bin_slots_n;
    const struct globset *bin_globs; // binary ids; NULL: none
};

static inline bool endpoint_is_l7(const struct compiled_endpoint *ep)
{
    return ep->pub.protocol != PROTOCOL_L4 && ep->pub.protocol != PROTOCOL_TCP;
}

// ---- match.c: one thing against one thing
// -------------------------------------------------------------------

// A request with what every rule asks of it worked out once.
struct request_view {
    const struct request_facts *r;
    uint32_t method;
};

enum part {
    PART_NONE,
    PART_METHOD,
    PART_PATH,
    PART_QUERY,
    PART_TYPE,
    PART_NAME,
    PART_FIELDS,
    PART_TOOL,
    PART_BODY
};

[[nodiscard]] bool endpoint_has_port(const struct compiled_endpoint *ep, uint16_t port);
[[nodiscard]] bool endpoint_has_host(const struct compiled_endpoint *ep, struct str host);
[[nodiscard]] bool endpoint_has_path(const struct compiled_endpoint *ep, struct str path);
[[nodiscard]] bool binary_matches(const struct compiled_binary *b, const struct who *who,
                                  struct str *ret_path);

// Which part of an HTTP rule misses; PART_NONE: it matches. `skip_path`: the path is known to match.
[[nodiscard]] enum part rule_http_miss(const struct snap_rule *rule, const struct request_view *v,
                                       bool skip_path);
[[nodiscard]] enum part rule_graphql_miss(const struct snap_rule *rule, const struct graphql_op *op);
[[nodiscard]] enum part rule_rpc_miss(const struct snap_rule *rule, const struct rpc_call *call);

// The operation that a hash-only one stands for in this endpoint's registry; `op` itself where it is not
// hash-only; NULL: not registered there, or the endpoint does not accept persisted queries. `tmp` receives
// the stand-in.
[[nodiscard]] const struct graphql_op *endpoint_operation(const struct compiled_endpoint *ep,
                                                          const struct graphql_op *op,
                                                          struct graphql_op *tmp);

// The first deny rule that matches, or NULL.
[[nodiscard]] const struct snap_rule *endpoint_denies(const struct compiled_endpoint *ep,
                                                      const struct request_view *v);

// What a request is decided on as, which follows from the endpoint that its path selects.
enum lane { LANE_HTTP, LANE_GRAPHQL, LANE_RPC };

// Whether the endpoint's rules of that lane allow the request. *ret_rule is the rule that
// did, or NULL (then *ret_why tells).
[[nodiscard]] bool endpoint_allows(const struct compiled_endpoint *ep, const struct request_view *v,
                                   enum lane lane, const struct snap_rule **ret_rule, enum why *ret_why);
