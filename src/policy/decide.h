// policy/decide.h: may this program open that connection, and may it send this request?
//
// Facts in, decision out. No I/O, no clock, no allocation, no lock: any number of threads decide on one
// snapshot. The semantics are reference 1.5 and 1.12; docs/internals/policy.md explains how the compiled form
// gets there.
#pragma once
#include "base/buf.h"
#include "base/base.h"
#include "policy/snapshot.h"

// ---- facts
// --------------------------------------------------------------------------------------------------

struct who {
    struct str exe;              // resolved path of the executable that called connect
    const struct str *ancestors; // executables of its ancestors, nearest first
    size_t ancestors_n;          // at most 64 (reference 3.1)
    const struct str *cmdline;   // absolute paths among argv words; named in reasons, never grant anything
    size_t cmdline_n;
};

struct conn_facts {
    struct str host; // host name or IP literal as host_parse / ip_format write it: lower case, no root dot
    uint16_t port;
    struct who who;
};

struct query_pair {
    struct str key, value; // decoded
};

// One GraphQL operation of a request (fragments expanded by the parser).
struct graphql_op {
    struct str type, name;    // type: query, mutation or subscription
    const struct str *fields; // root fields
    size_t fields_n;
    struct str persisted_id; // n > 0 with `type` empty: a hash-only operation
};

struct graphql_facts {
    struct str error; // n > 0: the body did not parse, and why
    const struct graphql_op *ops;
    size_t ops_n;
};

// One call of a JSON-RPC or MCP body; a batch has several.
struct rpc_call {
    struct str method;
    bool has_tool;   // params.name was a string
    struct str tool; // that string
};

struct rpc_facts {
    struct str error; // n > 0: the body did not parse, and why
    const struct rpc_call *calls;
    size_t calls_n;
    bool has_response;   // a response frame (result or error) from the client is in it
    bool receive_stream; // MCP: GET, Accept includes text/event-stream, no body
};

struct request_facts {
    struct str method; // HTTP method; "WEBSOCKET_TEXT" for a client's text message
    struct str path;   // canonical path (urlpath_canonical), without the query
    const struct query_pair *query;
    size_t query_n;
    const struct graphql_facts *graphql; // the body, or message, read as GraphQL; NULL: it was not
    const struct rpc_facts *rpc;         // the body read as JSON-RPC; NULL: it was not
};

// ---- decisions
// ----------------------------------------------------------------------------------------------

enum verdict {
    VERDICT_DENY,
    VERDICT_ALLOW,
    VERDICT_AUDIT
}; // AUDIT: denied by the rules, forwarded and logged

enum why {              // name table in decide.c
    WHY_NO_ENDPOINT,    // no policy names that host and port
    WHY_NO_BINARY,      // some do, for other programs
    WHY_NO_PATH,        // inspected endpoints, none for that path
    WHY_NO_RULE,        // an endpoint, and no rule of it allows the request
    WHY_DENY_RULE,      // a deny rule matched
    WHY_MALFORMED,      // a GraphQL or JSON-RPC body that did not parse: denied in audit too
    WHY_RESPONSE_FRAME, // a JSON-RPC response frame from the client: denied in audit too
    WHY_NOT_REGISTERED, // a persisted GraphQL query that is not in the registry
    WHY_CONNECTION,     // allowed: by host, port and binary; requests are not inspected there
    WHY_RULE,           // allowed: by a rule
    WHY_PRESET,         // allowed: by an access preset
    WHY_ALL_MCP,        // allowed: by allow_all_known_mcp_methods
    WHY_RECEIVE_STREAM, // allowed: an MCP GET stream carries nothing to the server
    WHY_QUARANTINE,     // no valid policy is in force
};
[[nodiscard]] const char *why_name(enum why why); // "no-endpoint", …: stable, for -o json and events

struct decision {
    enum verdict verdict;
    enum why why;
    const struct snap_entry *entry;       // that decided, or NULL
    const struct snap_endpoint *endpoint; // ditto; for a request: the selected configuration
    const struct snap_rule *rule;         // the allow or deny rule that decided, or NULL
};

// Connection: ALLOW or DENY. Further facts of an allowed connection (reference 1.12, "extended endpoint
// config").
struct conn_decision {
    struct decision d;
    bool tls_skip;                              // from the first extended config
    const struct snap_endpoint *allowed_ips_of; // the first extended config if it has allowed_ips, or NULL
    bool inspected;                             // some matching endpoint has an L7 protocol
    bool exact_declared;                        // unlocks private addresses (reference 2.8)
    bool literal_declared;                      // the policy names this very IP literal
    bool explicit_tcp;                          // a matching endpoint has protocol tcp
    bool uninspected_credentials_refused;       // reference 2.3 step 8
};

void decide_connection(const struct snapshot *s, const struct conn_facts *c,
                       struct conn_decision *ret) NONNULL;

// The request on an allowed connection; a connection that is not allowed gives its own denial. `c` is the
// same as for the connection, read again because the snapshot may be newer.
void decide_request(const struct snapshot *s, const struct conn_facts *c, const struct request_facts *r,
                    struct decision *ret) NONNULL;

// The configuration that applies to `path` before a body is read (protocol, body limits, credential
// rewriting): the L7 endpoint of greatest path specificity, the later on a tie. NULL: none, or not inspected.
[[nodiscard]] const struct snap_endpoint *decide_endpoint(const struct snapshot *s,
                                                          const struct conn_facts *c,
                                                          struct str path) NONNULL;

// Whether some endpoint names `host`, for whatever port and program: what a resolver may answer.
[[nodiscard]] bool decide_name(const struct snapshot *s, struct str host) NONNULL;

// Words for a decision, in the reference's texts; appended to `out`. `r` is NULL for a connection.
void decision_reason(const struct snapshot *s, const struct conn_facts *c, const struct request_facts *r,
                     const struct decision *d, struct buf *out) __attribute__((nonnull(1, 2, 4, 5)));

// Where the deciding rule is: "network_policies.gh.endpoints[0].rules[2]", "….access"; "" where nothing
// decided.
void decision_rule(const struct decision *d, struct buf *out) NONNULL;

[[nodiscard]] const char *verdict_name(enum verdict v); // "deny", "allow", "audit"
