#include "policy/validate_rows.h"

#define L15 "aaaaaaaaaaaaaaa"
#define L61 L15 L15 L15 L15 "a"
#define L63 L61 "aa"

static const struct row rows[] = {
    // hosts
    {"a plain endpoint is fine", ENDPOINT("host: api.example.com, port: 443"), ""},
    {"a host is required", ENDPOINT("port: 443"),
     "error @.host: host is required unless allowed_ips is given\n"},
    {"allowed_ips stand in for a host", ENDPOINT("port: 443, allowed_ips: [10.1.0.0/16]"), ""},
    {"tcp needs a host even with allowed_ips",
     ENDPOINT("port: 443, protocol: tcp, allowed_ips: [10.1.0.0/16]"),
     "error @.host: protocol tcp requires a host\n"},
    {"tcp takes no IPv4 address", ENDPOINT("host: 192.0.2.1, port: 443, protocol: tcp"),
     "error @.host: protocol tcp needs a host name, not the IP address '192.0.2.1'\n"},
    {"tcp takes no IPv6 address", ENDPOINT("host: \"2001:db8::1\", port: 443, protocol: tcp"),
     "error @.host: protocol tcp needs a host name, not the IP address '2001:db8::1'\n"},
    {"tcp takes a wildcard", ENDPOINT("host: \"*.db.test\", port: 5432, protocol: tcp"), ""},
    {"an address is a host", ENDPOINT("host: 192.0.2.1, port: 443"), ""},
    {"an address has one spelling", ENDPOINT("host: \"2001:DB8:0::1\", port: 443"),
     "error @.host: address '2001:DB8:0::1' is not in its canonical form and can never match\n"},
    {"a loopback address is never reached", ENDPOINT("host: 127.0.0.1, port: 443"),
     "warning @.host: address '127.0.0.1' is loopback, link-local, unspecified or multicast: connections to "
     "it are always refused\n"},
    {"a metadata address is never reached", ENDPOINT("host: 169.254.169.254, port: 80"),
     "warning @.host: address '169.254.169.254' is loopback, link-local, unspecified or multicast: "
     "connections to it are always refused\n"},
    {"localhost is never reached", ENDPOINT("host: LocalHost, port: 443"),
     "warning @.host: host 'LocalHost' resolves to a loopback or metadata address: connections to it are "
     "always refused\n"},
    {"octal is not an address", ENDPOINT("host: 010.0.0.1, port: 443"),
     "error @.host: host '010.0.0.1' is neither a name nor an IP address\n"},
    {"a short quad is not an address", ENDPOINT("host: 10.1, port: 443"),
     "error @.host: host '10.1' is neither a name nor an IP address\n"},
    {"a URL is not a host", ENDPOINT("host: \"https://api.example.com/v1\", port: 443"),
     "error @.host: host 'https://api.example.com/v1' is a URL or has a path\n"},
    {"a range is not a host", ENDPOINT("host: 10.0.0.0/8, port: 443"),
     "error @.host: host '10.0.0.0/8' is a range\n"},
    {"a port does not belong into the host", ENDPOINT("host: \"api.example.com:8443\", port: 443"),
     "error @.host: host 'api.example.com:8443' has a port\n"},
    {"an IPv6 address has no brackets here", ENDPOINT("host: \"[2001:db8::1]\", port: 443"),
     "error @.host: host '[2001:db8::1]' has brackets\n"},
    {"the root dot never matches", ENDPOINT("host: api.example.com., port: 443"),
     "error @.host: host 'api.example.com.' ends with a dot and can never match\n"},
    {"case does not count", ENDPOINT("host: API.Example.COM, port: 443"), ""},
    {"an underscore is in a name", ENDPOINT("host: my_svc.example.com, port: 443"), ""},
    {"a blank is in no name", ENDPOINT("host: \"a b.example.com\", port: 443"),
     "error @.host: host 'a b.example.com': byte 0x20 at offset 1\n"},
    {"an empty label is in no name", ENDPOINT("host: a..example.com, port: 443"),
     "error @.host: host 'a..example.com': empty label at offset 2\n"},
    {"braces are in no name", ENDPOINT("host: \"{a,b}.example.com\", port: 443"),
     "error @.host: host '{a,b}.example.com': byte 0x7b at offset 0\n"},
    {"a U-label is not a name", ENDPOINT("host: \"bücher.example\", port: 443"),
     "error @.host: host 'bücher.example': byte 0xc3 at offset 1\n"},
    {"a name in 253 bytes", ENDPOINT("host: \"" L63 "." L63 "." L63 "." L61 "\", port: 443"), ""},
    {"no name in 254 bytes", ENDPOINT("host: \"" L63 "." L63 "." L63 "." L61 "a\", port: 443"),
     "error @.host: host 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaa': "
     "a name has 1 to 253 bytes, not 254\n"},
    // wildcards
    {"one star for a label", ENDPOINT("host: \"*.example.com\", port: 443"), ""},
    {"two stars for labels", ENDPOINT("host: \"**.example.com\", port: 443"), ""},
    {"a star within the first label", ENDPOINT("host: \"*-aiplatform.example.com\", port: 443"), ""},
    {"a whole star in a later label", ENDPOINT("host: \"api.*.example.com\", port: 443"), ""},
    {"a bare star is refused", ENDPOINT("host: \"*\", port: 443"),
     "error @.host: host wildcard '*' matches every host\n"},
    {"two bare stars are refused", ENDPOINT("host: \"**\", port: 443"),
     "error @.host: host wildcard '**' matches every host\n"},
    {"two stars are the whole first label", ENDPOINT("host: \"**x.example.com\", port: 443"),
     "error @.host: host wildcard '**x.example.com': '**' must be the whole first label\n"},
    {"two stars at the end of the first label", ENDPOINT("host: \"x**.example.com\", port: 443"),
     "error @.host: host wildcard 'x**.example.com': '**' must be the whole first label\n"},
    {"no partial star in a later label", ENDPOINT("host: \"a.b*.example.com\", port: 443"),
     "error @.host: host wildcard 'a.b*.example.com': in a later label only a whole '*' is allowed\n"},
    {"no two stars in a later label", ENDPOINT("host: \"a.**.example.com\", port: 443"),
     "error @.host: host wildcard 'a.**.example.com': in a later label only a whole '*' is allowed\n"},
    {"no wildcard of a TLD", ENDPOINT("host: \"*.com\", port: 443"),
     "error @.host: TLD wildcard '*.com' is not allowed\n"},
    {"no deep wildcard of a TLD", ENDPOINT("host: \"**.com\", port: 443"),
     "error @.host: TLD wildcard '**.com' is not allowed\n"},
    {"no partial wildcard of a TLD", ENDPOINT("host: \"a*.com\", port: 443"),
     "error @.host: TLD wildcard 'a*.com' is not allowed\n"},
    {"a wildcard of a public suffix is broad", ENDPOINT("host: \"*.co.uk\", port: 443"),
     "warning @.host: host wildcard '*.co.uk' is broad: anyone can have a name that it matches\n"},
    {"a wildcard of shared hosting is broad", ENDPOINT("host: \"**.github.io\", port: 443"),
     "warning @.host: host wildcard '**.github.io' is broad: anyone can have a name that it matches\n"},
    {"a wildcard below shared hosting is not", ENDPOINT("host: \"*.me.github.io\", port: 443"), ""},
    {"a wildcard above a TLD is broad", ENDPOINT("host: \"*.*.com\", port: 443"),
     "warning @.host: host wildcard '*.*.com' is broad: anyone can have a name that it matches\n"},
    {"a star at the end is broad", ENDPOINT("host: \"api.example.*\", port: 443"),
     "warning @.host: host wildcard 'api.example.*' is broad: anyone can have a name that it matches\n"},
    {"no wildcard of an address", ENDPOINT("host: \"*.0.0.1\", port: 443"),
     "error @.host: host '*.0.0.1' is neither a name nor an IP address\n"},
    {"a wildcard has the bytes of a name", ENDPOINT("host: \"*.exa mple.com\", port: 443"),
     "error @.host: host '*.exa mple.com': byte 0x20 at offset 5\n"},
    // ports
    {"a port is required", ENDPOINT("host: a.test"), "error @.port: at least one port is required\n"},
    {"port 1", ENDPOINT("host: a.test, port: 1"), ""},
    {"port 65535", ENDPOINT("host: a.test, port: 65535"), ""},
    {"no port 0", ENDPOINT("host: a.test, port: 0"), "error @.port: port 0 is not in 1..65535\n"},
    {"no port 0 in a list", ENDPOINT("host: a.test, ports: [443, 0]"),
     "error @.ports[1]: port 0 is not in 1..65535\n"},
    {"no port 65536", ENDPOINT("host: a.test, port: 65536"),
     "error @.port: expected a whole number from 0 to 65535, found the number 65536\n"},
    {"no port 65536 in a list", ENDPOINT("host: a.test, ports: [65536, 80]"),
     "error @.ports[0]: expected a whole number from 0 to 65535, found the number 65536\n"},
    {"a port once", ENDPOINT("host: a.test, ports: [80, 443, 80]"),
     "error @.ports[2]: port 80 is given twice\n"},
    {"ports apart by 8 are two", ENDPOINT("host: a.test, ports: [80, 88, 81]"), ""},
    {"control-plane ports with allowed_ips",
     ENDPOINT("host: a.test, ports: [443, 6443], allowed_ips: [10.1.0.0/16]"),
     "warning @.ports[1]: port 6443 is a control-plane port: connections to it are always refused\n"},
    {"control-plane ports without allowed_ips", ENDPOINT("host: a.test, port: 6443"), ""},
    // allowed_ips
    {"a range is one", ENDPOINT("host: a.test, port: 443, allowed_ips: [10.0.0.0/33]"),
     "error @.allowed_ips[0]: allowed_ips: '10.0.0.0/33': the prefix length is a number from 0 "
     "to 32\n"},
    {"host bits are refused", ENDPOINT("host: a.test, port: 443, allowed_ips: [10.1.2.3/16]"),
     "error @.allowed_ips[0]: allowed_ips: '10.1.2.3/16' has bits set behind its prefix: is "
     "10.1.0.0/16 meant?\n"},
    {"blanks around a range do not count",
     ENDPOINT("host: a.test, port: 443, allowed_ips: [\" 10.1.0.0/16 \"]"), ""},
    {"no loopback", ENDPOINT("host: a.test, port: 443, allowed_ips: [127.0.0.0/8]"),
     "error @.allowed_ips[0]: allowed_ips '127.0.0.0/8' overlaps addresses that are always blocked\n"},
    {"no link-local", ENDPOINT("host: a.test, port: 443, allowed_ips: [169.254.0.0/16]"),
     "error @.allowed_ips[0]: allowed_ips '169.254.0.0/16' overlaps addresses that are always blocked\n"},
    {"no unspecified", ENDPOINT("host: a.test, port: 443, allowed_ips: [0.0.0.0]"),
     "error @.allowed_ips[0]: allowed_ips '0.0.0.0' overlaps addresses that are always blocked\n"},
    {"no IPv6 loopback", ENDPOINT("host: a.test, port: 443, allowed_ips: [\"::1\"]"),
     "error @.allowed_ips[0]: allowed_ips '::1' overlaps addresses that are always blocked\n"},
    {"no range over all", ENDPOINT("host: a.test, port: 443, allowed_ips: [0.0.0.0/0]"),
     "error @.allowed_ips[0]: allowed_ips '0.0.0.0/0' overlaps addresses that are always blocked\n"},
    {"a prefix of 16 bits", ENDPOINT("host: a.test, port: 443, allowed_ips: [10.0.0.0/16]"), ""},
    {"a prefix of 15 bits is broad", ENDPOINT("host: a.test, port: 443, allowed_ips: [10.0.0.0/15]"),
     "warning @.allowed_ips[0]: allowed_ips '10.0.0.0/15' is broad: its prefix is shorter than /16\n"},
    {"a range twice but for case",
     ENDPOINT("host: a.test, port: 443, allowed_ips: [\"fd00::/16\", \"FD00::/16\"]"),
     "warning @.allowed_ips[1]: allowed_ips 'FD00::/16' is listed twice\n"},
    {"a range twice",
     ENDPOINT("host: a.test, port: 443, allowed_ips: [10.1.0.0/16, 10.2.0.0/16, 10.1.0.0/16]"),
     "warning @.allowed_ips[2]: allowed_ips '10.1.0.0/16' is listed twice\n"},
    // words
    {"protocol is one of seven", ENDPOINT("host: a.test, port: 443, protocol: grpc"),
     "error @.protocol: unknown protocol 'grpc'\n"},
    {"protocol near miss", ENDPOINT("host: a.test, port: 443, protocol: Rest, access: full"),
     "error @.protocol: unknown protocol 'Rest'\n"},
    {"enforcement is enforce or audit",
     ENDPOINT("host: a.test, port: 443, protocol: rest, enforcement: enforced, access: full"),
     "error @.enforcement: unknown enforcement 'enforced'\n"},
    {"access is a preset", REST("access: readonly"), "error @.access: unknown access preset 'readonly'\n"},
    {"tls is skip", ENDPOINT("host: a.test, port: 443, tls: \"off\""),
     "error @.tls: unknown tls mode 'off'\n"},
    {"tls skip is fine", ENDPOINT("host: a.test, port: 443, tls: skip"), ""},
    {"tls terminate is deprecated", ENDPOINT("host: a.test, port: 443, tls: terminate"),
     "warning @.tls: tls 'terminate' is deprecated and treated as automatic\n"},
    {"tls passthrough is deprecated", ENDPOINT("host: a.test, port: 443, tls: passthrough"),
     "warning @.tls: tls 'passthrough' is deprecated and treated as automatic\n"},
    {"tls skip blinds a protocol on 443", REST("access: full, tls: skip"),
     "warning @.tls: tls skip on port 443: protocol 'rest' cannot inspect what it does not decrypt\n"},
    {"tls skip elsewhere may be plain text",
     ENDPOINT("host: a.test, port: 8080, protocol: rest, enforcement: enforce, access: full, tls: skip"), ""},
    {"persisted_queries is deny or allow_registered",
     PROTOCOL("graphql", "access: full, persisted_queries: allow"),
     "error @.persisted_queries: unknown persisted_queries 'allow'\n"},
    {"credential_signing is one of three",
     REST("access: full, credential_signing: sigv3, signing_service: s3"),
     "error @.credential_signing: unknown credential_signing 'sigv3'\n"},
    // signing and binding
    {"signing needs a service", REST("access: full, credential_signing: sigv4"),
     "error @.signing_service: credential_signing requires signing_service\n"},
    {"signing with a service",
     REST("access: full, credential_signing: \"sigv4:body\", signing_service: s3, signing_region: eu-west-1"),
     ""},
    {"signing excludes rewriting",
     REST("access: full, credential_signing: \"sigv4:no_body\", signing_service: s3, "
          "request_body_credential_rewrite: true"),
     "error @.request_body_credential_rewrite: credential_signing and request_body_credential_rewrite "
     "exclude each other\n"},
    {"a service alone signs nothing", REST("access: full, signing_service: s3"),
     "warning @.signing_service: nothing is signed without credential_signing\n"},
    {"a region alone signs nothing", REST("access: full, signing_region: eu-west-1"),
     "warning @.signing_region: nothing is signed without credential_signing\n"},
    {"a binding names a provider", REST("access: full, credential_binding: {provider: \" \"}"),
     "error @.credential_binding.provider: credential_binding.provider is blank\n"},
    {"a binding needs a host",
     ENDPOINT("port: 443, protocol: rest, enforcement: enforce, access: full, allowed_ips: [10.1.0.0/16], "
              "credential_binding: {provider: x}"),
     "error @.credential_binding: credential_binding requires a host\n"},
    // endpoint path
    {"a path begins with a slash", REST("access: full, path: v1/**"),
     "error @.path: endpoint path 'v1/**' must begin with '/' or be '**'\n"},
    {"two stars are a path", REST("access: full, path: \"**\""), ""},
    {"a path has closed brackets", REST("access: full, path: \"/v1/[a\""),
     "error @.path: pattern '/v1/[a': '[' at offset 4 is not closed\n"},
    {"two stars are a component", REST("access: full, path: \"/v1/x**\""),
     "error @.path: endpoint path '/v1/x**' can never match: '**' is glued to text\n"},
    {"no alternatives in an endpoint path", REST("access: full, path: \"/{a,b}/**\""),
     "error @.path: endpoint path '/{a,b}/**' can never match: no '{', '}' or '\\' is known here\n"},
    {"no caret in an endpoint path", REST("access: full, path: \"/[^a]/x\""),
     "error @.path: endpoint path '/[^a]/x' can never match: '[^' does not negate here\n"},
    {"a bang negates in an endpoint path", REST("access: full, path: \"/[!a]/x\""), ""},
    {"a path has no query", REST("access: full, path: \"/x?a=1\""),
     "warning @.path: endpoint path '/x?a=1' is compared without the query string\n"},
    // protocols and fields
    {"a protocol needs a base", REST("path: /v1"), "error @: protocol rest requires rules or access\n"},
    {"websocket needs a base", PROTOCOL("websocket", "path: /v1"),
     "error @: protocol websocket requires rules or access\n"},
    {"graphql needs a base", PROTOCOL("graphql", "path: /v1"),
     "error @: protocol graphql requires rules or access\n"},
    {"sql needs a base", ENDPOINT("host: a.test, port: 443, protocol: sql, enforcement: audit"),
     "error @: protocol sql requires rules or access\n"
     "warning @.protocol: protocol sql: SQL is not inspected, every statement is forwarded\n"},
    {"rules and access exclude each other",
     REST("access: full, rules: [{allow: {method: GET, path: \"/**\"}}]"),
     "error @.access: rules and access exclude each other\n"},
    {"json-rpc needs rules", PROTOCOL("json-rpc", "path: /rpc"),
     "error @.rules: protocol json-rpc requires rules with a method\n"},
    {"json-rpc refuses access", PROTOCOL("json-rpc", "access: full, rules: [{allow: {method: ping}}]"),
     "error @.access: protocol json-rpc does not know access presets\n"},
    {"mcp needs rules", PROTOCOL("mcp", "path: /mcp"),
     "error @.rules: protocol mcp requires rules unless allow_all_known_mcp_methods is true\n"},
    {"mcp refuses access", PROTOCOL("mcp", "access: read-only, rules: [{allow: {method: ping}}]"),
     "error @.access: protocol mcp does not know access presets\n"},
    {"mcp allowing all needs no rules", PROTOCOL("mcp", "mcp: {allow_all_known_mcp_methods: true}"), ""},
    {"mcp options are for mcp", REST("access: full, mcp: {strict_tool_names: true}"),
     "error @.mcp: the mcp section is only for protocol mcp\n"},
    {"deny rules need a protocol",
     ENDPOINT("host: a.test, port: 443, deny_rules: [{method: GET, path: \"/**\"}]"),
     "error @.deny_rules: deny_rules require a protocol\n"},
    {"deny rules need a base", REST("deny_rules: [{method: GET, path: \"/x\"}]"),
     "error @.deny_rules: deny_rules require rules or access to take from\n"},
    {"mcp deny rules do not",
     PROTOCOL("mcp", "mcp: {allow_all_known_mcp_methods: true}, deny_rules: [{tool: rm}]"), ""},
    {"rules without a protocol do nothing",
     ENDPOINT("host: a.test, port: 443, rules: [{allow: {method: GET, path: \"/**\"}}]"),
     "warning @.rules: without a protocol, rules are not enforced: every request is forwarded\n"},
    {"access without a protocol does nothing", ENDPOINT("host: a.test, port: 443, access: read-only"),
     "warning @.access: without a protocol, access presets are not enforced: every request is forwarded\n"},
    {"enforcement without a protocol does nothing", ENDPOINT("host: a.test, port: 443, enforcement: enforce"),
     "warning @.enforcement: 'enforcement' has no effect without a protocol\n"},
    {"a path without a protocol does nothing", ENDPOINT("host: a.test, port: 443, path: /v1"),
     "warning @.path: 'path' has no effect without a protocol\n"},
    {"a path without a protocol places a credential",
     ENDPOINT("host: a.test, port: 443, path: /v1, credential_binding: {provider: x}"), ""},
    {"no enforcement is audit", ENDPOINT("host: a.test, port: 443, protocol: rest, access: full"),
     "warning @.enforcement: audit only: requests that break the rules are forwarded and logged\n"},
    {"audit is audit", ENDPOINT("host: a.test, port: 443, protocol: rest, access: full, enforcement: audit"),
     ""},
    {"sql cannot be enforced", PROTOCOL("sql", "access: full"),
     "error @.enforcement: protocol sql cannot be enforced: SQL is not inspected\n"},
    {"sql is not inspected",
     ENDPOINT("host: a.test, port: 443, protocol: sql, enforcement: audit, access: full"),
     "warning @.protocol: protocol sql: SQL is not inspected, every statement is forwarded\n"},
    {"tcp alone is fine", ENDPOINT("host: a.test, port: 22, protocol: tcp"), ""},
    {"tcp refuses what needs inspection",
     ENDPOINT("host: a.test, port: 22, protocol: tcp, access: full, enforcement: audit, path: /x, "
              "allow_encoded_slash: true, websocket_credential_rewrite: true, "
              "request_body_credential_rewrite: true, persisted_queries: deny, graphql_max_body_bytes: 1, "
              "graphql_persisted_queries: {q: {operation_type: query}}"),
     "error @.access: protocol tcp does not allow 'access'\n"
     "error @.enforcement: protocol tcp does not allow 'enforcement'\n"
     "error @.path: protocol tcp does not allow 'path'\n"
     "error @.allow_encoded_slash: protocol tcp does not allow 'allow_encoded_slash'\n"
     "error @.websocket_credential_rewrite: protocol tcp does not allow 'websocket_credential_rewrite'\n"
     "error @.request_body_credential_rewrite: protocol tcp does not allow "
     "'request_body_credential_rewrite'\n"
     "error @.persisted_queries: protocol tcp does not allow 'persisted_queries'\n"
     "error @.graphql_max_body_bytes: protocol tcp does not allow 'graphql_max_body_bytes'\n"
     "error @.graphql_persisted_queries: protocol tcp does not allow 'graphql_persisted_queries'\n"},
    {"tcp refuses rules",
     ENDPOINT("host: a.test, port: 22, protocol: tcp, rules: [{allow: {method: GET}}], deny_rules: [{method: "
              "GET}]"),
     "error @.rules: protocol tcp does not allow 'rules'\n"
     "error @.deny_rules: protocol tcp does not allow 'deny_rules'\n"},
    {"tcp refuses RPC options",
     ENDPOINT("host: a.test, port: 22, protocol: tcp, json_rpc: {max_body_bytes: 1}"),
     "error @.json_rpc: protocol tcp does not allow 'json_rpc'\n"},
    {"tcp refuses MCP options", ENDPOINT("host: a.test, port: 22, protocol: tcp, mcp: {max_body_bytes: 1}"),
     "error @.mcp: protocol tcp does not allow 'mcp'\n"},
    {"tcp refuses credentials",
     ENDPOINT("host: a.test, port: 22, protocol: tcp, credential_signing: sigv4, signing_service: s3, "
              "signing_region: x, credential_binding: {provider: x}"),
     "error @.credential_signing: protocol tcp does not allow 'credential_signing'\n"
     "error @.signing_service: protocol tcp does not allow 'signing_service'\n"
     "error @.signing_region: protocol tcp does not allow 'signing_region'\n"
     "error @.credential_binding: protocol tcp does not allow 'credential_binding'\n"},
    {"rest ignores what is for GraphQL",
     REST("access: full, persisted_queries: deny, graphql_max_body_bytes: 1, json_rpc: {max_body_bytes: 1}"),
     "warning @.persisted_queries: protocol rest ignores 'persisted_queries'\n"
     "warning @.graphql_max_body_bytes: protocol rest ignores 'graphql_max_body_bytes'\n"
     "warning @.json_rpc: protocol rest ignores 'json_rpc'\n"},
    {"graphql heeds it",
     PROTOCOL("graphql", "access: full, persisted_queries: deny, graphql_max_body_bytes: 1"), ""},
    {"json-rpc heeds its options",
     PROTOCOL("json-rpc", "rules: [{allow: {method: ping}}], json_rpc: {max_body_bytes: 1}"), ""},
    {"mcp ignores rewriting of messages",
     PROTOCOL("mcp", "rules: [{allow: {method: ping}}], websocket_credential_rewrite: true"),
     "warning @.websocket_credential_rewrite: protocol mcp ignores 'websocket_credential_rewrite'\n"},
    {"sql ignores slashes",
     ENDPOINT("host: a.test, port: 443, protocol: sql, enforcement: audit, access: full, "
              "allow_encoded_slash: true"),
     "warning @.protocol: protocol sql: SQL is not inspected, every statement is forwarded\n"
     "warning @.allow_encoded_slash: protocol sql ignores 'allow_encoded_slash'\n"},
    {"without a protocol nothing is rewritten",
     ENDPOINT("host: a.test, port: 443, request_body_credential_rewrite: true"),
     "warning @.request_body_credential_rewrite: 'request_body_credential_rewrite' has no effect without a "
     "protocol\n"},
    // persisted queries
    {"registered queries need the mode",
     PROTOCOL("graphql", "access: full, graphql_persisted_queries: {q: {operation_type: query}}"),
     "warning @.graphql_persisted_queries: registered queries have no effect while persisted_queries is "
     "'deny'\n"},
    {"the mode needs registered queries",
     PROTOCOL("graphql", "access: full, persisted_queries: allow_registered"),
     "warning @.persisted_queries: no persisted query is registered, so none is allowed\n"},
    {"a registered query has a type",
     PROTOCOL("graphql", "access: full, persisted_queries: allow_registered, graphql_persisted_queries: {q: "
                         "{operation_name: x}}"),
     "error @.graphql_persisted_queries.q.operation_type: operation_type is required\n"},
    {"a registered query has one type",
     PROTOCOL("graphql", "access: full, persisted_queries: allow_registered, graphql_persisted_queries: {q: "
                         "{operation_type: \"*\"}}"),
     "error @.graphql_persisted_queries.q.operation_type: unknown operation_type '*'\n"},
    {"a registered field is not empty",
     PROTOCOL("graphql", "access: full, persisted_queries: allow_registered, graphql_persisted_queries: {q: "
                         "{operation_type: query, fields: [a, \"\"]}}"),
     "error @.graphql_persisted_queries.q.fields[1]: a field is empty\n"},
};

static void port_65536(struct policy *p)
{
    p->entries[0].endpoints[0].ports[1] = 65536;
}

static void host_with_nul(struct policy *p)
{
    p->entries[0].endpoints[0].host = STR("a\0.test");
}

static void empty_id(struct policy *p)
{
    p->entries[0].endpoints[0].registered[0].id = STR("");
}

static void long_path(struct policy *p)
{
    static char path[POLICY_PATH_MAX + 1];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    p->entries[0].endpoints[0].path = (struct str){path, POLICY_PATH_MAX};
    p->entries[0].endpoints[1].path = (struct str){path, POLICY_PATH_MAX + 1};
}

int main(void)
{
    rows_run(rows, ARRAY_LEN(rows), POLICY_USE_FILE);
    rows_edited("no port 65536 from the wire", ENDPOINT("host: a.test, ports: [1, 2]"), POLICY_USE_GATEWAY,
                port_65536, "error @.ports[1]: port 65536 is not in 1..65535\n");
    rows_edited("no NUL in a host", ENDPOINT("host: a.test, port: 1"), POLICY_USE_GATEWAY, host_with_nul,
                "error @.host: host 'a': byte 0x00 at offset 1\n");
    rows_edited("a persisted query has an id",
                PROTOCOL("graphql", "access: full, persisted_queries: allow_registered, "
                                    "graphql_persisted_queries: {q: {operation_type: query}}"),
                POLICY_USE_GATEWAY, empty_id,
                "error @.graphql_persisted_queries.\"\": the id of a persisted query is empty\n");
    rows_edited("an endpoint path has 4096 bytes at most",
                ENTRY("{host: a.test, port: 443, protocol: rest, enforcement: enforce, access: full}, "
                      "{host: b.test, port: 443, protocol: rest, enforcement: enforce, access: full}"),
                POLICY_USE_GATEWAY, long_path,
                "error network_policies.a.endpoints[1].path: path exceeds maximum length (4097 > 4096): "
                "'/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n");
    return tap_done();
}
