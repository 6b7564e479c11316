// policy/naive.h: the decisions of decide.h once more, slowly. Test code: no program links it.
//
// A transcription of reference 1.5 and 1.12 sentence by sentence, on the policy as its author wrote it:
// nothing is compiled, every question is answered by loops over everything, and the globs are read byte by
// byte by matchers of their own. Whoever doubts the engine reads this; decide_random_test and
// decide_small_test compare the two.
//
// Where the text leaves a choice, the stricter reading holds:
//
//   - an IP literal as host is matched by the same literal and by hostless endpoints, never by a wildcard
//   - an extended config is one with any `tls`, the deprecated words too; only `skip` skips
//   - a denied connection carries no entry, no endpoint and none of the further facts
//   - WHY_NO_PATH names no entry and no endpoint, for none was selected
//   - rules of an sql endpoint name SQL verbs: they neither allow nor deny what another endpoint was selected
//   for
//   - a GraphQL body that did not parse is refused in audit too on a websocket endpoint with GraphQL rules
//   - on a selected graphql endpoint only GraphQL rules allow, its own and those of siblings (websocket ones
//   too);
//     on a selected json-rpc or mcp endpoint only rules about calls do; deny rules of every sibling count
//   - a message read as GraphQL, on a selected websocket endpoint with GraphQL rules, is allowed by GraphQL
//   rules only
//   - GET and responses are told apart by the method: a body of MCP responses only needs POST to pass
//   - an MCP rule without a method, where allow_all_known_mcp_methods is off, allows nothing and denies every
//   method
//   - a persisted GraphQL operation that is not registered keeps its empty type: only a deny rule for `*`
//   meets it
//   - of several calls or operations the first tells which rule is reported
#pragma once
#include "policy/decide.h"
#include "policy/policy.h"

struct naive_decision {
    enum verdict verdict;
    enum why why;
    struct str entry;   // key, or empty
    int endpoint, rule; // index in the entry, in the endpoint's (deny) rules; -1: none
    bool deny_rule;     // `rule` counts deny_rules
};

struct naive_conn {
    struct naive_decision d;
    bool tls_skip;
    struct str allowed_ips_entry; // where allowed_ips come from: key, or empty
    int allowed_ips_endpoint;     // index, or -1
    bool inspected, exact_declared, literal_declared, explicit_tcp, uninspected_credentials_refused;
};

void naive_connection(const struct policy *p, const struct conn_facts *c, struct naive_conn *ret) NONNULL;
void naive_request(const struct policy *p, const struct conn_facts *c, const struct request_facts *r,
                   struct naive_decision *ret) NONNULL;

// The selected configuration: false where there is none.
[[nodiscard]] bool naive_endpoint(const struct policy *p, const struct conn_facts *c, struct str path,
                                  struct str *ret_entry, int *ret_endpoint) NONNULL;

// naive_glob.c. Patterns are well formed and short.
[[nodiscard]] bool naive_host_glob(struct str pattern, struct str host);
[[nodiscard]] bool naive_path_glob(struct str pattern, struct str text);
[[nodiscard]] bool naive_dotted_glob(struct str pattern, struct str text);
[[nodiscard]] bool naive_scope_glob(struct str pattern, struct str text);

// naive_check.c. Asks the engine and the model about one connection, the selected configuration and one
// request. True: they agree. Otherwise both answers are added to `out`. `ret_why` is the engine's word on the
// request.
[[nodiscard]] bool naive_check(const struct policy *p, const struct snapshot *s, const struct conn_facts *c,
                               const struct request_facts *r, enum why *ret_why, struct buf *out) NONNULL;
