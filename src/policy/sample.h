// policy/sample.h: a policy that uses every field, made by hand. Test code.
#pragma once
#include "policy/policy.h"

#define SAMPLE_STRS(...)                                                                                     \
    {                                                                                                        \
        (struct str[]){__VA_ARGS__}, sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str)                \
    }
#define S(lit) STR_INIT(lit)

static struct matcher sample_query[] = {
    {.key = S("q"), .glob = S("*")},
    {.key = S("page size"), .any = SAMPLE_STRS(S("1"), S("2.5"), S("true"))},
    {.key = S("empty"), .glob = S("")},
};
static struct matcher sample_tool[] = {{.key = S("name"), .glob = S("search_*")}};
static struct matcher sample_params[] = {
    {.key = S("name"), .any = SAMPLE_STRS(S("a"), S("b"))},
    {.key = S("arguments.repo.owner"), .glob = S("me")},
};
static struct l7_rule sample_rules[] = {
    {.method = S("GET"), .path = S("/repos/**"), .command = S("SELECT"), .query = sample_query, .query_n = 3},
    {.operation_type = S("query"),
     .operation_name = S("Viewer*"),
     .fields = SAMPLE_STRS(S("viewer"), S("*"))},
};
static struct l7_rule sample_denies[] = {{.method = S("*"), .path = S("/admin/**")}};
static struct l7_rule sample_mcp_rules[] = {
    {.method = S("*")},
    {.method = S("tools/call"), .params = sample_tool, .params_n = 1},
    {.method = S("tools/call")},
    {.method = S("*"), .params = sample_params, .params_n = 2},
};
static struct graphql_registered sample_registered[] = {
    {.id = S("sha:1"), .operation_type = S("query"), .operation_name = S("A"), .fields = SAMPLE_STRS(S("a"))},
    {.id = S("007")},
};
static uint32_t sample_ports[] = {443, 8443, 0};
static struct endpoint sample_endpoints[] = {
    {.host = S("*.example.com"),
     .path = S("/v1/**"),
     .ports = sample_ports,
     .ports_n = 3,
     .protocol = S("rest"),
     .tls = S("skip"),
     .enforcement = S("enforce"),
     .access = S("full"),
     .rules = sample_rules,
     .rules_n = 2,
     .deny_rules = sample_denies,
     .deny_rules_n = 1,
     .allowed_ips = SAMPLE_STRS(S("10.0.0.0/8"), S("::1")),
     .allow_encoded_slash = true,
     .websocket_credential_rewrite = true,
     .request_body_credential_rewrite = true,
     .allow_uninspected_credentials = true,
     .persisted_queries = S("allow_registered"),
     .registered = sample_registered,
     .registered_n = 2,
     .graphql_max_body_bytes = 1,
     .json_rpc_max_body_bytes = UINT32_MAX,
     .credential_signing = S("sigv4:body"),
     .signing_service = S("bedrock"),
     .signing_region = S("us-east-1"),
     .credential_provider = S("aws")},
    {.host = S("mcp.example.com"),
     .ports = sample_ports,
     .ports_n = 1,
     .protocol = S("mcp"),
     .rules = sample_mcp_rules,
     .rules_n = 4,
     .deny_rules = sample_mcp_rules + 1,
     .deny_rules_n = 1,
     .json_rpc_max_body_bytes = 5,
     .has_mcp = true,
     .strict_tool_names = NO,
     .allow_all_known_mcp_methods = YES},
    {.host = S("strict.example.com"),
     .ports = sample_ports + 2,
     .ports_n = 1,
     .protocol = S("mcp"),
     .rules = sample_mcp_rules,
     .rules_n = 2,
     .has_mcp = true,
     .allow_all_known_mcp_methods = NO},
    {.has_mcp = true},
};
static struct binary sample_binaries[] = {{.path = S("/usr/bin/curl")}, {.path = S("")}};
static struct policy_entry sample_entries[] = {
    {.key = S("gh"),
     .name = S("git: hub #1"),
     .endpoints = sample_endpoints,
     .endpoints_n = 4,
     .binaries = sample_binaries,
     .binaries_n = 2},
    {.key = S("no")},
};
static struct value sample_list[] = {{.kind = VALUE_NUMBER, .number = 0.1},
                                     {.kind = VALUE_LIST},
                                     {.kind = VALUE_MAP}};
static struct value sample_nested[] = {{.kind = VALUE_LIST, .items = sample_list, .n = 3}};
static struct value sample_config[] = {
    {.kind = VALUE_NULL},
    {.kind = VALUE_BOOL, .boolean = true},
    {.kind = VALUE_NUMBER, .number = -1e300},
    {.kind = VALUE_NUMBER, .number = 1152921504606846976.0},
    {.kind = VALUE_STRING, .string = S("null")},
    {.kind = VALUE_LIST, .items = sample_nested, .n = 1},
};
static struct str sample_keys[] = {S("z"), S("bool"), S("big"), S("2^60"), S("~"), S("a")};
static struct middleware sample_middlewares[] = {
    {.key = S("redact"),
     .name = S("r"),
     .implementation = S("openshell/regex"),
     .order = -7,
     .config = {.kind = VALUE_MAP, .items = sample_config, .keys = sample_keys, .n = 6},
     .on_error = S("fail_open"),
     .include = SAMPLE_STRS(S("*.example.com")),
     .exclude = SAMPLE_STRS(S("x.test"))},
    {.key = S("bare")},
};
static struct policy sample_policy = {
    .version = 1,
    .has_filesystem = true,
    .has_landlock = true,
    .has_process = true,
    .filesystem = {.include_workdir = true,
                   .read_only = SAMPLE_STRS(S("/usr"), S("/lib")),
                   .read_write = SAMPLE_STRS(S("/tmp"))},
    .landlock = {.compatibility = S("hard_requirement")},
    .process = {.run_as_user = S("1000"), .run_as_group = S("sandbox")},
    .entries = sample_entries,
    .entries_n = 2,
    .middlewares = sample_middlewares,
    .middlewares_n = 2,
};
#undef S
