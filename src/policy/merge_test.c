#include "policy/merge.h"
#include "policy/load.h"
#include "policy/print.h"

#include "alloc_fail.h"
#include "tap.h"

// Rows are written as the flow form of network_policies; `+` is what is added. An operation that fails has an
// error for its result, one that works may have a warning.
struct row {
    const char *rule;
    const char *base;
    enum merge_kind kind;
    const char *name, *host;
    uint32_t port;
    const char *arg; // ADD_RULE: the entry; ADD_ALLOW, ADD_DENY: the list of rules; REMOVE_BINARY: the path
    const char *want, *warning, *error;
    enum err_code code;
    bool is_advised;
};

#define REST  "host: h.test, port: 443, protocol: rest, enforcement: enforce"
#define CURL  "binaries: [{path: /curl}]"
#define GIT   "binaries: [{path: /git}]"
#define GET_X "{allow: {method: GET, path: /x}}"
#define PUT_Y "{allow: {method: PUT, path: /y}}"
#define RO                                                                                                   \
    "{allow: {method: GET, path: \"**\"}}, {allow: {method: HEAD, path: \"**\"}}, "                          \
    "{allow: {method: OPTIONS, path: \"**\"}}"
#define MCP "host: h.test, port: 443, protocol: mcp, enforcement: enforce"

// clang-format off
static const struct row rows[] = {
    // AddRule: which rule
    {.rule = "a rule without a name is called after its endpoint", .base = "{}",
     .arg = "{endpoints: [{host: api.my-host.test, port: 8443}], " CURL "}",
     .want = "{allow_api_my_host_test_8443: {endpoints: [{host: api.my-host.test, port: 8443}], " CURL "}}"},
    {.rule = "the same key: merge", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: i.test, port: 80}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}, {host: i.test, port: 80}], " CURL "}}"},
    {.rule = "another key: the rule that shares an endpoint, host without case",
     .base = "{r: {endpoints: [{" REST ", rules: [" GET_X "]}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: H.Test, port: 443, protocol: rest, rules: [" PUT_Y "]}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " CURL "}}"},
    {.rule = "of several, the first by key",
     .base = "{s: {endpoints: [{" REST ", access: full}], " CURL "}, r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443, allowed_ips: [10.0.0.1]}], " CURL "}",
     .want = "{s: {endpoints: [{" REST ", access: full}], " CURL "}, "
             "r: {endpoints: [{" REST ", access: full, allowed_ips: [10.0.0.1]}], " CURL "}}"},
    {.rule = "a provider's rule is never the one", .base = "{_provider_p: {endpoints: [{host: h.test, port: 443}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " CURL "}",
     .want = "{_provider_p: {endpoints: [{host: h.test, port: 443}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443}], " CURL "}}"},
    {.rule = "another path is another endpoint", .base = "{r: {endpoints: [{" REST ", path: /a, access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", path: /b, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", path: /a, access: full}], " CURL "}, "
             "n: {endpoints: [{" REST ", path: /b, access: full}], " CURL "}}"},
    {.rule = "/** is the same path as none", .base = "{r: {endpoints: [{" REST ", path: /**, access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", path: /**, access: full}], " CURL "}}"},
    {.rule = "another port is another endpoint", .base = "{r: {endpoints: [{host: h.test, port: 80}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 81}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 80}], " CURL "}, n: {endpoints: [{host: h.test, port: 81}], " CURL "}}"},
    // AddRule: fold refused
    {.rule = "a new binary does not inherit the other endpoints",
     .base = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 443}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 443}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443}], " GIT "}}",
     .warning = "kept as a rule of its own instead of being folded into 'r': a new binary would inherit the other"},
    {.rule = "a new binary does not inherit another port of the endpoint",
     .base = "{r: {endpoints: [{host: h.test, ports: [80, 443]}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, ports: [80, 443]}], " CURL "}, n: {endpoints: [{host: h.test, port: 443}], " GIT "}}",
     .warning = "a new binary would inherit"},
    {.rule = "the existing binaries do not inherit a new endpoint",
     .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443}, {host: i.test, port: 80}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 80}], " GIT "}}",
     .warning = "the binaries of that rule would inherit the new endpoint"},
    {.rule = "the existing binaries do not inherit a new port",
     .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, ports: [443, 80]}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}, n: {endpoints: [{host: h.test, ports: [443, 80]}], " GIT "}}",
     .warning = "would inherit a new port"},
    {.rule = "a port that the added rule does not declare does not change",
     .base = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, rules: [" GET_X "]}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: rest, rules: [" PUT_Y "]}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, rules: [" GET_X "]}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443, protocol: rest, rules: [" PUT_Y "]}], " CURL "}}",
     .warning = "a port that the other one does not declare"},
    {.rule = "a port that only the added rule declares gets no more than it asks for",
     .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: rest, access: full}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, ports: [443, 80], protocol: rest, access: read-only}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443, protocol: rest, access: full}], " CURL "}, "
             "n: {endpoints: [{host: h.test, ports: [443, 80], protocol: rest, access: read-only}], " CURL "}}",
     .warning = "a port that the other one does not declare"},
    {.rule = "a new binary does not inherit rules", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", access: read-only}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}, n: {endpoints: [{" REST ", access: read-only}], " GIT "}}",
     .warning = "binaries would inherit rules that they were not given"},
    {.rule = "the existing binaries do not inherit rules", .base = "{r: {endpoints: [{" REST ", rules: [" GET_X "]}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" GET_X "]}], " CURL "}, "
             "n: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " GIT "}}",
     .warning = "binaries would inherit rules"},
    {.rule = "a new binary joins where it gets nothing else", .base = "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", access: read-only}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: read-only}], binaries: [{path: /curl}, {path: /git}]}}"},
    {.rule = "any binary is more than some", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443}]}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}, n: {endpoints: [{host: h.test, port: 443}]}}",
     .warning = "that rule is for some binaries, this one for any"},
    {.rule = "by name: binary inheritance is an error",
     .base = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 443}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): binary inheritance: folding into rule 'r' is refused, "
              "a new binary would inherit the other endpoints of that rule"},
    {.rule = "by name: an undeclared port is an error",
     .base = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, rules: [" GET_X "]}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, rules: [" PUT_Y "]}]}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): binary inheritance: folding into rule 'r' is refused, "
              "a port that the other one does not declare would change"},
    {.rule = "by name: rules are shared, with a warning", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" REST ", access: full}, {" REST ", access: read-only}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], binaries: [{path: /curl}, {path: /git}]}}",
     .warning = "all binaries of the rule now share"},
    // AddRule: binaries
    {.rule = "no binary means any, which is kept", .base = "{r: {endpoints: [{host: h.test, port: 443}]}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443}], " CURL "}", .want = "{r: {endpoints: [{host: h.test, port: 443}]}}",
     .warning = "the wider scope of the rule, any binary, was kept"},
    {.rule = "no binary means any, who do not inherit an endpoint", .base = "{r: {endpoints: [{host: h.test, port: 443}]}}",
     .name = "r", .arg = "{endpoints: [{host: i.test, port: 443}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): binary inheritance: folding into rule 'r' is refused, "
              "the binaries of that rule would inherit the new endpoint"},
    {.rule = "who names a rule and no binary means those of the rule", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{host: i.test, port: 443}]}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 443}], " CURL "}}",
     .warning = "the rule keeps its binaries"},
    // AddRule: scalars
    {.rule = "the existing protocol wins", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: websocket, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .warning = "the existing protocol 'rest' was kept, 'websocket' was ignored"},
    {.rule = "rules for another protocol are refused", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: websocket, rules: [" GET_X "]}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): conflicting inspection contract: h.test is inspected as 'rest', the new rules "
              "are for 'websocket'"},
    {.rule = "the existing enforcement wins", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: rest, enforcement: audit, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .warning = "the existing enforcement 'enforce' was kept, 'audit' was ignored"},
    {.rule = "the existing tls wins", .base = "{r: {endpoints: [{host: h.test, port: 443, tls: skip}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, tls: terminate}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443, tls: skip}], " CURL "}}",
     .warning = "the existing tls 'skip' was kept, 'terminate' was ignored"},
    {.rule = "the existing access wins", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: read-only}], " CURL "}", .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .warning = "the existing access 'full' was kept, 'read-only' was ignored"},
    {.rule = "what is not set is adopted", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", tls: terminate, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", tls: terminate, access: full}], " CURL "}}",
     .warning = "the endpoint was not inspected; it is now inspected as rest"},
    {.rule = "tcp stays without access", .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: tcp}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" REST ", access: full}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443, protocol: tcp}], " CURL "}}", .warning = "the existing protocol 'tcp' was kept"},
    {.rule = "rules cannot join what is not inspected", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{host: h.test, port: 443, rules: [" GET_X "]}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): h.test has no L7 inspection, so rules cannot join it"},
    // AddRule: access, rules, lists, flags
    {.rule = "a preset in the way of rules is expanded", .base = "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" RO ", " PUT_Y "]}], " CURL "}}",
     .warning = "the access preset 'read-only' was expanded into 3 explicit rules"},
    {.rule = "access that meets rules is ignored", .base = "{r: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" REST ", access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}}",
     .warning = "the incoming access 'full' was ignored, because rules exist"},
    {.rule = "no access is not one that was ignored", .base = "{r: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" REST "}], " CURL "}", .want = "{r: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}}"},
    {.rule = "lists get what they do not have",
     .base = "{r: {endpoints: [{" REST ", rules: [" GET_X "], deny_rules: [{method: PUT, path: /p}], allowed_ips: [10.0.0.1]}], " CURL "}}",
     .name = "r",
     .arg = "{endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y ", " PUT_Y "], deny_rules: [{method: PUT, path: /p}, "
            "{method: PUT, path: /q}], allowed_ips: [10.0.0.1, 10.0.0.2]}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "], deny_rules: [{method: PUT, path: /p}, "
             "{method: PUT, path: /q}], allowed_ips: [10.0.0.1, 10.0.0.2]}], " CURL "}}"},
    {.rule = "ports are joined and sorted", .base = "{r: {endpoints: [{host: h.test, ports: [443, 80]}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, ports: [22, 443]}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, ports: [22, 80, 443]}], " CURL "}}"},
    {.rule = "flags are joined", .base = "{r: {endpoints: [{" REST ", access: full, allow_encoded_slash: true}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, websocket_credential_rewrite: true, request_body_credential_rewrite: true, "
            "allow_uninspected_credentials: true}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full, allow_encoded_slash: true, websocket_credential_rewrite: true, "
             "request_body_credential_rewrite: true, allow_uninspected_credentials: true}], " CURL "}}"},
    {.rule = "signing fields are dropped", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, credential_signing: sigv4, signing_service: s3, signing_region: x}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .warning = "the incoming credential signing was dropped"},
    {.rule = "a credential binding is dropped", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .warning = "the incoming credential binding was dropped"},
    {.rule = "persisted queries are dropped",
     .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: graphql, access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: graphql, access: full, persisted_queries: allow_registered, "
            "graphql_persisted_queries: {q: {operation_type: query}}}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443, protocol: graphql, access: full}], " CURL "}}",
     .warning = "the incoming persisted queries was dropped"},
    {.rule = "GraphQL options are dropped",
     .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: graphql, access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: graphql, access: full, graphql_max_body_bytes: 9}], " CURL "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443, protocol: graphql, access: full}], " CURL "}}",
     .warning = "the incoming graphql_max_body_bytes was dropped"},
    // AddRule: MCP
    {.rule = "MCP: strict_tool_names must be equal", .base = "{r: {endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true}}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true, strict_tool_names: false}}], " CURL "}",
     .code = ERR_PRECONDITION, .error = "operation 1 (add-rule r): MCP contract conflict on h.test: mcp.strict_tool_names differs"},
    {.rule = "MCP: allow_all must be equal", .base = "{r: {endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true}}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" MCP ", rules: [{allow: {method: ping}}]}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): MCP contract conflict on h.test: mcp.allow_all_known_mcp_methods differs"},
    {.rule = "MCP: max_body_bytes must be equal", .base = "{r: {endpoints: [{" MCP ", mcp: {max_body_bytes: 9}}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" MCP ", rules: [{allow: {method: ping}}]}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): MCP contract conflict on h.test: mcp.max_body_bytes differs"},
    {.rule = "MCP: equal contracts merge", .base = "{r: {endpoints: [{" MCP ", rules: [{allow: {method: ping}}]}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" MCP ", mcp: {strict_tool_names: true, max_body_bytes: 65536}, "
     "rules: [{allow: {method: initialize}}]}], " CURL "}",
     .want = "{r: {endpoints: [{" MCP ", rules: [{allow: {method: ping}}, {allow: {method: initialize}}]}], " CURL "}}"},
    {.rule = "L4 is promoted to MCP", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true, max_body_bytes: 9}}], " CURL "}",
     .want = "{r: {endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true, max_body_bytes: 9}}], " CURL "}}",
     .warning = "it is now inspected as mcp"},
    {.rule = "MCP and another protocol do not share an endpoint", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "r", .arg = "{endpoints: [{" MCP ", mcp: {allow_all_known_mcp_methods: true}}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): conflicting inspection contract: MCP and non-MCP ('rest' and 'mcp') cannot share h.test"},
    {.rule = "MCP and non-MCP are not mixed on one host and port", .base = "{r: {endpoints: [{" REST ", path: /a, access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" MCP ", path: /b, mcp: {allow_all_known_mcp_methods: true}}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule n): conflicting inspection contract: h.test:443 would be both MCP and non-MCP"},
    {.rule = "a mix that was there already is no obstacle",
     .base = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" MCP ", path: /b, mcp: {allow_all_known_mcp_methods: true}}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST ", path: /c, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" MCP ", path: /b, mcp: {allow_all_known_mcp_methods: true}}], " CURL "}, "
             "n: {endpoints: [{" REST ", path: /c, access: full}], " CURL "}}"},
    {.rule = "who leaves the contract open joins the one in force", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], binaries: [{path: /curl}, {path: /git}]}}"},
    {.rule = "a protocol alone is a contract that allows nothing", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{" REST "}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}, n: {endpoints: [{" REST "}], " GIT "}}",
     .warning = "binaries would inherit rules"},
    {.rule = "access alone is a contract", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443, access: read-only}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}, n: {endpoints: [{host: h.test, port: 443, access: read-only}], " GIT "}}",
     .warning = "binaries would inherit rules"},
    {.rule = "rules alone are a contract", .base = "{r: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " CURL "}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443, rules: [" GET_X "]}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443, rules: [" GET_X "]}], " GIT "}}",
     .warning = "binaries would inherit rules"},
    {.rule = "any and any are any", .base = "{r: {endpoints: [{host: h.test, port: 443}]}}", .name = "n",
     .arg = "{endpoints: [{host: h.test, port: 443}]}", .want = "{r: {endpoints: [{host: h.test, port: 443}]}}"},
    {.rule = "the access of another protocol is not adopted", .base = "{r: {endpoints: [{" REST "}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, port: 443, protocol: websocket, access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST "}], " CURL "}}", .warning = "the existing protocol 'rest' was kept"},
    {.rule = "a signing service alone is dropped", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, signing_service: s3}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .warning = "the incoming credential signing was dropped"},
    {.rule = "a signing region alone is dropped", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, signing_region: x}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .warning = "the incoming credential signing was dropped"},
    {.rule = "a persisted_queries word alone is dropped", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, persisted_queries: allow_registered}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .warning = "the incoming persisted queries was dropped"},
    {.rule = "the same credential binding is not worth a warning",
     .base = "{r: {endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}}"},
    {.rule = "no credential binding is not one that was dropped",
     .base = "{r: {endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{" REST ", access: full}], " CURL "}",
     .want = "{r: {endpoints: [{" REST ", access: full, credential_binding: {provider: p}}], " CURL "}}"},
    // AddRule: advisor
    {.rule = "a proposal takes over the contract of its host and its port only", .is_advised = true,
     .base = "{q: {endpoints: [{host: g.test, port: 443, protocol: websocket, access: full}, {host: h.test, port: 80, tls: skip}], " CURL "}, "
             "r: {endpoints: [{" REST ", access: full}, {host: i.test, port: 443, allow_encoded_slash: true}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{q: {endpoints: [{host: g.test, port: 443, protocol: websocket, access: full}, {host: h.test, port: 80, tls: skip}], " CURL "}, "
             "r: {endpoints: [{" REST ", access: full}, {host: i.test, port: 443, allow_encoded_slash: true}], " CURL "}, "
             "n: {endpoints: [{" REST ", access: full}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "the same contract in two rules is one", .is_advised = true,
     .base = "{r: {endpoints: [{" REST ", access: read-only}, {host: i.test, port: 1}], " CURL "}, "
             "s: {endpoints: [{host: H.test, port: 443, protocol: rest, enforcement: enforce, access: full}, {host: i.test, port: 1}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: read-only}, {host: i.test, port: 1}], " CURL "}, "
             "s: {endpoints: [{host: H.test, port: 443, protocol: rest, enforcement: enforce, access: full}, {host: i.test, port: 1}], " CURL "}, "
             "n: {endpoints: [{" REST ", access: read-only}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "two paths are two contracts", .is_advised = true,
     .base = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" REST ", path: /b, access: full}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule n): conflicting inspection contract: h.test:443 has several, and the proposal fits none alone"},
    {.rule = "of which a proposal may name one", .is_advised = true,
     .base = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" REST ", path: /b, access: read-only}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443, path: /b}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" REST ", path: /b, access: read-only}], " CURL "}, "
             "n: {endpoints: [{" REST ", path: /b, access: read-only}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "a proposal that is inspected does not take over that nothing is", .is_advised = true,
     .base = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 1}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443, protocol: rest, access: read-only}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, port: 443}, {host: i.test, port: 1}], " CURL "}, "
             "n: {endpoints: [{host: h.test, port: 443, protocol: rest, access: read-only}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "a proposal of two ports takes nothing over", .is_advised = true, .base = "{r: {endpoints: [{" REST ", access: full}, {host: i.test, port: 1}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, ports: [443, 80]}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: full}, {host: i.test, port: 1}], " CURL "}, "
             "n: {endpoints: [{host: h.test, ports: [443, 80]}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "a proposal takes over the contract in force", .is_advised = true,
     .base = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, enforcement: enforce, access: read-only}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}",
     .want = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, enforcement: enforce, access: read-only}], " CURL "}, "
             "n: {endpoints: [{" REST ", access: read-only}], " GIT "}}", .warning = "kept as a rule of its own"},
    {.rule = "a proposal keeps the rules it has", .is_advised = true, .base = "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443, protocol: rest, rules: [" PUT_Y "]}], " GIT "}",
     .want = "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}, n: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " GIT "}}",
     .warning = "kept as a rule of its own"},
    {.rule = "a proposal for which several contracts are in force is refused", .is_advised = true,
     .base = "{r: {endpoints: [{" REST ", path: /a, access: full}, {" REST ", path: /b, access: full, allow_encoded_slash: true}], " CURL "}}",
     .name = "n", .arg = "{endpoints: [{host: h.test, port: 443}], " GIT "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule n): conflicting inspection contract: h.test:443 has several, and the proposal fits none alone"},
    // AddRule: malformed
    {.rule = "a rule needs an endpoint", .base = "{}", .name = "n", .arg = "{" CURL "}", .code = ERR_INVALID,
     .error = "operation 1 (add-rule n): a rule needs at least one endpoint"},
    {.rule = "an endpoint needs a port", .base = "{}", .arg = "{endpoints: [{host: h.test}]}", .code = ERR_INVALID,
     .error = "operation 1 (add-rule): endpoint 1 needs a port"},
    {.rule = "no host, no generated name", .base = "{}", .arg = "{endpoints: [{port: 1, allowed_ips: [10.0.0.1]}]}", .code = ERR_INVALID,
     .error = "operation 1 (add-rule): a rule whose first endpoint has no host needs a name"},
    {.rule = "reserved names are refused", .base = "{}", .name = "_provider_x", .arg = "{endpoints: [{host: h.test, port: 1}]}",
     .code = ERR_INVALID, .error = "operation 1 (add-rule _provider_x): rule names that begin with '_provider_' are reserved"},
    {.rule = "an endpoint that overlaps two is ambiguous",
     .base = "{r: {endpoints: [{host: h.test, port: 80}, {host: h.test, port: 443}], " CURL "}}", .name = "r",
     .arg = "{endpoints: [{host: h.test, ports: [80, 443]}], " CURL "}", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-rule r): ambiguous: endpoint h.test overlaps 2 endpoints of rule 'r'"},
    // RemoveEndpoint
    {.rule = "the last port takes the endpoint and the rule along", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}",
     .kind = MERGE_REMOVE_ENDPOINT, .host = "H.test", .port = 443, .want = "{}"},
    {.rule = "other ports stay", .base = "{r: {endpoints: [{host: h.test, ports: [80, 443]}], " CURL "}}",
     .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test", .port = 443, .want = "{r: {endpoints: [{host: h.test, port: 80}], " CURL "}}"},
    {.rule = "without a rule: of all rules, on all paths",
     .base = "{r: {endpoints: [{" REST ", path: /a, access: full}, {host: i.test, port: 1}], " CURL "}, s: {endpoints: [{" REST ", access: full}], " CURL "}}",
     .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test", .port = 443, .want = "{r: {endpoints: [{host: i.test, port: 1}], " CURL "}}"},
    {.rule = "with a rule: of this one", .base = "{r: {endpoints: [{host: h.test, port: 1}]}, s: {endpoints: [{host: h.test, port: 1}]}}",
     .kind = MERGE_REMOVE_ENDPOINT, .name = "s", .host = "h.test", .port = 1, .want = "{r: {endpoints: [{host: h.test, port: 1}]}}"},
    {.rule = "a provider's endpoint is not there to be removed", .base = "{_provider_p: {endpoints: [{host: h.test, port: 443}], " CURL "}}",
     .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test", .port = 443, .code = ERR_NOT_FOUND,
     .error = "operation 1 (remove-endpoint h.test:443): endpoint not found"},
    {.rule = "another port is not found", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .kind = MERGE_REMOVE_ENDPOINT,
     .host = "h.test", .port = 80, .code = ERR_NOT_FOUND, .error = "operation 1 (remove-endpoint h.test:80): endpoint not found"},
    {.rule = "another rule is not found", .base = "{r: {endpoints: [{host: h.test, port: 443}], " CURL "}}", .kind = MERGE_REMOVE_ENDPOINT,
     .name = "q", .host = "h.test", .port = 443, .code = ERR_NOT_FOUND, .error = "operation 1 (remove-endpoint h.test:443): rule 'q' not found"},
    {.rule = "port 0 is no port", .base = "{}", .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test", .code = ERR_INVALID,
     .error = "operation 1 (remove-endpoint h.test:0): a host and a port from 1 to 65535 are needed"},
    {.rule = "nor is 65536", .base = "{}", .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test", .port = 65536, .code = ERR_INVALID,
     .error = "operation 1 (remove-endpoint h.test:65536): a host and a port from 1 to 65535 are needed"},
    {.rule = "65535 is one", .base = "{r: {endpoints: [{host: h.test, port: 65535}]}}", .kind = MERGE_REMOVE_ENDPOINT, .host = "h.test",
     .port = 65535, .want = "{}"},
    {.rule = "a host is needed", .base = "{}", .kind = MERGE_REMOVE_ENDPOINT, .port = 1, .code = ERR_INVALID,
     .error = "operation 1 (remove-endpoint :1): a host and a port from 1 to 65535 are needed"},
    // RemoveRule
    {.rule = "a rule is removed", .base = "{r: {endpoints: [{host: h.test, port: 1}]}, s: {endpoints: [{host: h.test, port: 1}]}}",
     .kind = MERGE_REMOVE_RULE, .name = "r", .want = "{s: {endpoints: [{host: h.test, port: 1}]}}"},
    {.rule = "a rule that is not there", .base = "{}", .kind = MERGE_REMOVE_RULE, .name = "r", .code = ERR_NOT_FOUND,
     .error = "operation 1 (remove-rule r): rule 'r' not found"},
    {.rule = "a rule without a name", .base = "{}", .kind = MERGE_REMOVE_RULE, .code = ERR_INVALID,
     .error = "operation 1 (remove-rule): the name of a rule is needed"},
    // RemoveBinary
    {.rule = "a binary is removed", .base = "{r: {endpoints: [{host: h.test, port: 1}], binaries: [{path: /curl}, {path: /git}]}}",
     .kind = MERGE_REMOVE_BINARY, .name = "r", .arg = "/git", .want = "{r: {endpoints: [{host: h.test, port: 1}], " CURL "}}"},
    {.rule = "the last binary takes the rule along", .base = "{r: {endpoints: [{host: h.test, port: 1}], " CURL "}}",
     .kind = MERGE_REMOVE_BINARY, .name = "r", .arg = "/curl", .want = "{}"},
    {.rule = "none can be taken from any", .base = "{r: {endpoints: [{host: h.test, port: 1}]}}", .kind = MERGE_REMOVE_BINARY, .name = "r",
     .arg = "/curl", .code = ERR_PRECONDITION, .error = "operation 1 (remove-binary r): rule 'r' is for any binary, so none can be taken from it"},
    {.rule = "a binary that is not there", .base = "{r: {endpoints: [{host: h.test, port: 1}], " CURL "}}", .kind = MERGE_REMOVE_BINARY,
     .name = "r", .arg = "/git", .code = ERR_NOT_FOUND, .error = "operation 1 (remove-binary r): binary '/git' not found in rule 'r'"},
    {.rule = "a rule that is not there has no binary", .base = "{}", .kind = MERGE_REMOVE_BINARY, .name = "r", .arg = "/git",
     .code = ERR_NOT_FOUND, .error = "operation 1 (remove-binary r): rule 'r' not found"},
    {.rule = "a binary has a path", .base = "{}", .kind = MERGE_REMOVE_BINARY, .name = "r", .arg = "", .code = ERR_INVALID,
     .error = "operation 1 (remove-binary r): the path of a binary is needed"},
    // AddAllow, AddDeny
    {.rule = "an allow rule is added", .base = "{r: {endpoints: [{" REST ", rules: [" GET_X "]}], " CURL "}}", .kind = MERGE_ADD_ALLOW,
     .host = "H.TEST", .port = 443, .arg = "[" GET_X ", " PUT_Y "]", .want = "{r: {endpoints: [{" REST ", rules: [" GET_X ", " PUT_Y "]}], " CURL "}}"},
    {.rule = "a preset is expanded for it", .base = "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}}", .kind = MERGE_ADD_ALLOW,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .want = "{r: {endpoints: [{" REST ", rules: [" RO ", " PUT_Y "]}], " CURL "}}",
     .warning = "the access preset 'read-only' was expanded"},
    {.rule = "a preset that is none is not", .base = "{r: {endpoints: [{" REST ", access: some}], " CURL "}}", .kind = MERGE_ADD_ALLOW,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-allow h.test:443): access 'some' stands for no rules under protocol 'rest'"},
    {.rule = "a deny rule is added, the preset stays", .base = "{r: {endpoints: [{" REST ", access: full}], " CURL "}}", .kind = MERGE_ADD_DENY,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]",
     .want = "{r: {endpoints: [{" REST ", access: full, deny_rules: [{method: PUT, path: /y}]}], " CURL "}}"},
    {.rule = "websocket takes rules", .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: websocket, rules: [" GET_X "]}], " CURL "}}",
     .kind = MERGE_ADD_DENY, .host = "h.test", .port = 443, .arg = "[" PUT_Y "]",
     .want = "{r: {endpoints: [{host: h.test, port: 443, protocol: websocket, rules: [" GET_X "], deny_rules: [{method: PUT, path: /y}]}], " CURL "}}"},
    {.rule = "a deny rule needs something to deny", .base = "{r: {endpoints: [{" REST "}], " CURL "}}", .kind = MERGE_ADD_DENY,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-deny h.test:443): no base allow: the endpoint has neither rules nor access"},
    {.rule = "no endpoint, no rule", .base = "{r: {endpoints: [{" REST "}], " CURL "}}", .kind = MERGE_ADD_ALLOW, .host = "h.test", .port = 80,
     .arg = "[" PUT_Y "]", .code = ERR_NOT_FOUND, .error = "operation 1 (add-allow h.test:80): endpoint not found"},
    {.rule = "a provider's endpoint takes no rule", .base = "{_provider_p: {endpoints: [{" REST ", access: full}]}}", .kind = MERGE_ADD_ALLOW,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_NOT_FOUND, .error = "operation 1 (add-allow h.test:443): endpoint not found"},
    {.rule = "two endpoints are ambiguous",
     .base = "{r: {endpoints: [{" REST ", access: full}]}, s: {endpoints: [{" REST ", access: full}]}}", .kind = MERGE_ADD_ALLOW,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-allow h.test:443): ambiguous endpoint: 2 match, in rules 'r' and 's'"},
    {.rule = "three are, too",
     .base = "{r: {endpoints: [{" REST ", path: /a}, {" REST ", path: /b}]}, s: {endpoints: [{" REST "}]}}", .kind = MERGE_ADD_DENY,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-deny h.test:443): ambiguous endpoint: 3 match, in rules 'r' and 'r' and more"},
    {.rule = "no L7 inspection, no rule", .base = "{r: {endpoints: [{host: h.test, port: 443}]}}", .kind = MERGE_ADD_ALLOW, .host = "h.test",
     .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-allow h.test:443): the endpoint in rule 'r' has no L7 inspection"},
    {.rule = "graphql is an unsupported protocol", .base = "{r: {endpoints: [{host: h.test, port: 443, protocol: graphql, access: full}]}}",
     .kind = MERGE_ADD_ALLOW, .host = "h.test", .port = 443, .arg = "[" PUT_Y "]", .code = ERR_PRECONDITION,
     .error = "operation 1 (add-allow h.test:443): unsupported protocol 'graphql': rest and websocket take rules so"},
    {.rule = "other ports of the endpoint stay as they are",
     .base = "{r: {endpoints: [{host: h.test, ports: [80, 443], protocol: rest, rules: [" GET_X "]}], " CURL "}}", .kind = MERGE_ADD_ALLOW,
     .host = "h.test", .port = 443, .arg = "[" PUT_Y "]",
     .want = "{r: {endpoints: [{host: h.test, port: 80, protocol: rest, rules: [" GET_X "]}, "
             "{host: h.test, port: 443, protocol: rest, rules: [" GET_X ", " PUT_Y "]}], " CURL "}}", .warning = "port 443 was split off"},
    {.rule = "a rule says something", .base = "{r: {endpoints: [{" REST ", access: full}]}}", .kind = MERGE_ADD_ALLOW, .host = "h.test",
     .port = 443, .arg = "[" GET_X ", {allow: {}}]", .code = ERR_INVALID, .error = "operation 1 (add-allow h.test:443): rule 2 says nothing"},
    {.rule = "no rule is no operation", .base = "{r: {endpoints: [{" REST ", access: full}]}}", .kind = MERGE_ADD_DENY, .host = "h.test",
     .port = 443, .arg = "[]", .code = ERR_INVALID, .error = "operation 1 (add-deny h.test:443): at least one rule is needed"},
};
// clang-format on

static struct policy *parse(struct arena *a, const char *head, const char *text, const char *tail)
{
    struct str s;
    struct policy *p = NULL;
    struct diags d;
    struct err err = {};
    diags_init(&d, a);
    if (!arena_fmt(a, &s, "version: 1\nnetwork_policies: %s%s%s\n", head, text, tail) ||
        policy_parse(s, a, &p, &d, &err) != ERR_OK) {
        tap_note("%s: %s", text, err.msg);
        return NULL;
    }
    return p;
}

static struct str print(const struct policy *p, struct arena *a)
{
    struct buf b;
    struct str s = {};
    buf_init(&b, MIB);
    policy_print_yaml(p, &b);
    if (b.full || !arena_dup(a, buf_str(&b), &s))
        s = (struct str){};
    buf_done(&b);
    return s;
}

// The operation of a row, its argument parsed into `a`. False: the row itself is wrong.
static bool op_of(const struct row *r, struct arena *a, struct merge_op *op)
{
    *op = (struct merge_op){.kind = r->kind,
                            .name = str_of(r->name),
                            .host = str_of(r->host),
                            .port = r->port,
                            .binary = str_of(r->arg)};
    struct policy *p;
    if (r->kind == MERGE_ADD_RULE) {
        if (!(p = parse(a, "{in: ", r->arg, "}")))
            return false;
        op->entry = &p->entries[0];
        if (r->is_advised)
            p->entries[0].endpoints[0].advisor_proposed = true;
    } else if ((r->kind == MERGE_ADD_ALLOW || r->kind == MERGE_ADD_DENY) && strcmp(r->arg, "[]") != 0) {
        if (!(p = parse(a, "{in: {endpoints: [{host: x, port: 1, protocol: rest, rules: ", r->arg, "}]}}")))
            return false;
        op->rules = p->entries[0].endpoints[0].rules;
        op->rules_n = p->entries[0].endpoints[0].rules_n;
    }
    return true;
}

static bool is_right(const struct row *r, struct arena *a)
{
    struct policy *base = parse(a, r->base, "", ""), *got = NULL;
    struct merge_op op;
    struct diags w;
    struct err err = {};
    diags_init(&w, a);
    if (!base || !op_of(r, a, &op))
        return false;
    struct str before = print(base, a);
    enum err_code code = policy_merge(base, &op, 1, a, &got, &w, &err);
    if (!str_eq(before, print(base, a))) {
        tap_note("the base has changed");
        return false;
    }
    if (code != r->code || (code != ERR_OK && (strcmp(err.msg, r->error) != 0 || got || w.n > 0))) {
        tap_note("%s: %s", err_code_name(code), err.msg);
        return false;
    }
    if (code != ERR_OK)
        return true;
    const char *warning = w.n > 0 ? w.v[0].msg.p : NULL;
    if (r->warning ? !warning || !strstr(warning, r->warning) : warning != NULL) {
        tap_note("warning: %s", warning ? warning : "none");
        return false;
    }
    struct policy *want = parse(a, r->want, "", "");
    if (!want || !str_eq(print(want, a), print(got, a))) {
        tap_note("%s", print(got, a).p);
        return false;
    }
    return true;
}

static void batch(struct arena *a)
{
    struct policy *base = parse(a, "{r: {endpoints: [{" REST ", access: read-only}], " CURL "}}", "", ""),
                  *got = NULL;
    struct policy *in = parse(a, "{in: {endpoints: [{" REST ", rules: [" PUT_Y "]}], " CURL "}}", "", "");
    if (!base || !in) {
        tap_ok(false, "batch");
        return;
    }
    struct merge_op ops[] = {
        {.kind = MERGE_ADD_RULE, .name = STR("n"), .entry = &in->entries[0]},
        {.kind = MERGE_ADD_DENY,
         .host = STR("h.test"),
         .port = 443,
         .rules = in->entries[0].endpoints[0].rules,
         .rules_n = 1},
        {.kind = MERGE_REMOVE_RULE, .name = STR("absent")},
        {.kind = (enum merge_kind)(MERGE_REMOVE_BINARY + 1)},
    };
    struct diags w;
    struct err err = {};
    diags_init(&w, a);
    tap_ok(policy_merge(base, ops, 2, a, &got, &w, &err) == ERR_OK &&
               got->entries[0].endpoints[0].deny_rules_n == 1 && got->entries[0].endpoints[0].rules_n == 4 &&
               w.warnings == 1 && w.n == 1 && str_eq(w.v[0].path, STR("network_policies.r.endpoints[0]")),
           "operations apply in order, each to the result of the one before: %s", err.msg);
    diags_init(&w, a);
    got = NULL;
    tap_ok(policy_merge(base, ops, 3, a, &got, &w, &err) == ERR_NOT_FOUND && !got && w.n == 0 &&
               w.warnings == 0 &&
               strcmp(err.msg, "operation 3 (remove-rule absent): rule 'absent' not found") == 0,
           "all or nothing, warnings included: %s", err.msg);
    tap_ok(policy_merge(base, ops + 3, 1, a, &got, &w, &err) == ERR_INVALID && !got &&
               strcmp(err.msg, "operation 1: unknown kind") == 0,
           "an unknown kind: %s", err.msg);
    tap_ok(policy_merge(base, ops, 0, a, &got, &w, &err) == ERR_OK && str_eq(print(got, a), print(base, a)),
           "no operation, no change");
}

// The result of each row lives on when everything that it was made of is gone.
static void shares_nothing(void)
{
    struct arena from, to;
    arena_init(&from, 4 * MIB);
    arena_init(&to, 4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *base = parse(&from, rows[i].base, "", ""), *got = NULL;
        struct merge_op op;
        struct diags w;
        struct err err;
        diags_init(&w, &to);
        if (!base || !op_of(&rows[i], &from, &op))
            continue;
        enum err_code r = policy_merge(base, &op, 1, &to, &got, &w, &err);
        arena_done(&from);
        if (r == ERR_OK && print(got, &to).n == 0)
            tap_ok(false, "%s: printed", rows[i].rule);
    }
    tap_ok(true, "the result shares nothing with base and operation");
    arena_done(&to);
}

// Too little room, at every size, and each allocation that fails.
static void no_room(const struct row *row, struct arena *a)
{
    struct policy *base = parse(a, row->base, "", "");
    struct merge_op op;
    if (!base || !op_of(row, a, &op))
        return;
    enum err_code r = ERR_LIMIT;
    for (size_t max = 0; r == ERR_LIMIT && max < 64 * KIB; max += 16) {
        struct arena small;
        struct policy *got = NULL;
        struct diags w;
        struct err err = {};
        arena_init(&small, max);
        diags_init(&w, &small);
        r = policy_merge(base, &op, 1, &small, &got, &w, &err);
        if (r != row->code && (r != ERR_LIMIT || got || err.code != ERR_LIMIT))
            tap_ok(false, "%s: %zu bytes: %s", row->rule, max, err.msg);
        arena_done(&small);
    }
    if (r != row->code)
        tap_ok(false, "%s: with enough room", row->rule);
}

int main(void)
{
    struct arena a;
    arena_init(&a, 64 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tap_ok(is_right(&rows[i], &a), "%s", rows[i].rule);
        arena_done(&a);
    }
    batch(&a);
    shares_nothing();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        no_room(&rows[i], &a);
    tap_ok(true, "ERR_LIMIT at every size that is too small");
    arena_done(&a);
    return tap_done();
}
