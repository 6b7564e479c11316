// One endpoint: where it leads, what is looked at there, and whether its fields go together
// (reference 1.4, 1.6).
#include "policy/validate_parts.h"

#include "net/cidr.h"
#include "policy/ssrf.h"

#define W(s) STR_INIT(s)

static const struct str protocols[] = {W("tcp"),      W("rest"), W("websocket"), W("graphql"),
                                       W("json-rpc"), W("mcp"),  W("sql")};
static const struct synonym protocol_synonyms[] = {
    {W("http"), W("rest")},    {W("https"), W("rest")},    {W("http1"), W("rest")},
    {W("ws"), W("websocket")}, {W("wss"), W("websocket")}, {W("gql"), W("graphql")},
    {W("postgres"), W("tcp")}, {W("ssh"), W("tcp")},
};
static const struct words protocol_words = {"protocol", protocols, ARRAY_LEN(protocols), protocol_synonyms,
                                            ARRAY_LEN(protocol_synonyms)};

static const struct str enforcements[] = {W("enforce"), W("audit")};
static const struct synonym enforcement_synonyms[] = {
    {W("block"), W("enforce")}, {W("deny"), W("enforce")}, {W("strict"), W("enforce")},
    {W("true"), W("enforce")},  {W("log"), W("audit")},    {W("warn"), W("audit")},
    {W("observe"), W("audit")},
};
static const struct words enforcement_words = {"enforcement", enforcements, ARRAY_LEN(enforcements),
                                               enforcement_synonyms, ARRAY_LEN(enforcement_synonyms)};

static const struct str presets[] = {W("read-only"), W("read-write"), W("full")};
static const struct synonym preset_synonyms[] = {
    {W("read"), W("read-only")},   {W("ro"), W("read-only")}, {W("rw"), W("read-write")},
    {W("write"), W("read-write")}, {W("all"), W("full")},     {W("admin"), W("full")},
};
static const struct words preset_words = {"access preset", presets, ARRAY_LEN(presets), preset_synonyms,
                                          ARRAY_LEN(preset_synonyms)};

static const struct str tls_modes[] = {W("skip"), W("terminate"), W("passthrough")};
static const struct synonym tls_synonyms[] = {{W("none"), W("skip")},
                                              {W("off"), W("skip")},
                                              {W("false"), W("skip")}};
static const struct words tls_words = {"tls mode", tls_modes, 1, tls_synonyms, ARRAY_LEN(tls_synonyms)};

static const struct str persisted_modes[] = {W("deny"), W("allow_registered")};
static const struct words persisted_words = {"persisted_queries", persisted_modes,
                                             ARRAY_LEN(persisted_modes)};

static const struct str signings[] = {W("sigv4"), W("sigv4:body"), W("sigv4:no_body")};
static const struct words signing_words = {"credential_signing", signings, ARRAY_LEN(signings)};

static const struct str operation_types[] = {W("query"), W("mutation"), W("subscription")};
static const struct words operation_words = {"operation_type", operation_types, ARRAY_LEN(operation_types),
                                             .ci = true};

bool protocol_is_known(struct str protocol)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (str_eq(protocol, protocols[i]))
            return true;
    return protocol.n == 0;
}

// ---- the connection
// -----------------------------------------------------------------------------------------

static void check_ports(struct check *c, const struct endpoint *ep)
{
    if (ep->ports_n == 0)
        check_error(c, "port", NULL, "at least one port is required");
    uint8_t seen[(UINT16_MAX + 1) / 8] = {};
    for (size_t i = 0; i < ep->ports_n; i++) {
        size_t back = ep->ports_n == 1 ? check_down(c, "port") : check_item(c, "ports", i);
        uint32_t port = ep->ports[i];
        if (port == 0 || port > UINT16_MAX) {
            check_error(c, NULL, NULL, "port %u is not in 1..65535", (unsigned)port);
        } else {
            if (seen[port / 8] >> port % 8 & 1)
                check_error(c, NULL, "list each port once", "port %u is given twice", (unsigned)port);
            else if (ep->allowed_ips.n > 0 && ssrf_port_is_blocked((uint16_t)port))
                check_warning(c, NULL, NULL,
                              "port %u is a control-plane port: connections to it are always refused",
                              (unsigned)port);
            seen[port / 8] = (uint8_t)(seen[port / 8] | 1 << port % 8);
        }
        keypath_cut(&c->at, back);
    }
}

static void check_range(struct check *c, struct str text)
{
    struct cidr range;
    struct err err;
    if (cidr_parse(text, &range, &err) != ERR_OK)
        check_error(c, NULL, "write an address or a range, as in 10.1.0.0/16", "allowed_ips: %s", err.msg);
    else if (cidr_touches_blocked(&range))
        check_error(c, NULL, "loopback, link-local, unspecified and multicast addresses are never reachable",
                    "allowed_ips '%.*s' overlaps addresses that are always blocked", STR_FMT(text));
    else if (range.bits < 16)
        check_warning(c, NULL, "list the networks that are needed",
                      "allowed_ips '%.*s' is broad: its prefix is shorter than /16", STR_FMT(text));
}

static void check_ranges(struct check *c, const struct endpoint *ep)
{
    size_t n = ep->allowed_ips.n;
    struct str *texts = check_scratch(c, n, sizeof(*texts));
    size_t *firsts = check_scratch(c, n, sizeof(*firsts));
    if (!texts || !firsts)
        return;
    for (size_t i = 0; i < n; i++)
        texts[i] = str_trim(ep->allowed_ips.v[i]);
    if (!check_firsts(c, texts, n, true, firsts))
        return;
    for (size_t i = 0; i < n; i++) {
        size_t back = check_item(c, "allowed_ips", i);
        check_range(c, texts[i]);
        if (firsts[i] != i)
            check_warning(c, NULL, NULL, "allowed_ips '%.*s' is listed twice", STR_FMT(texts[i]));
        keypath_cut(&c->at, back);
    }
}

static void check_tls(struct check *c, const struct endpoint *ep)
{
    if (str_eq(ep->tls, STR("terminate")) || str_eq(ep->tls, STR("passthrough"))) {
        check_warning(c, "tls", "leave `tls` out: TLS is recognised and inspected by itself",
                      "tls '%.*s' is deprecated and treated as automatic", STR_FMT(ep->tls));
        return;
    }
    check_word(c, "tls", ep->tls, &tls_words);
    if (!str_eq(ep->tls, STR("skip")) || !endpoint_has_l7(ep))
        return;
    for (size_t i = 0; i < ep->ports_n; i++)
        if (ep->ports[i] == 443)
            check_warning(c, "tls", "leave `tls: skip` out, or leave the protocol out",
                          "tls skip on port 443: protocol '%.*s' cannot inspect what it does not decrypt",
                          STR_FMT(ep->protocol));
}

// ---- the endpoint path
// --------------------------------------------------------------------------------------

// Both engines of the reference read this pattern, each its own way (1.5), and both must match. What one of
// them takes literally, or fails to read, can therefore never match.
static void check_scope(struct check *c, const struct endpoint *ep)
{
    struct str path = ep->path;
    if (path.n == 0 || str_eq(path, STR("**")))
        return;
    if (path.n > POLICY_PATH_MAX) {
        check_error(c, "path", NULL, "path exceeds maximum length (%zu > %d): '%.*s'", path.n,
                    POLICY_PATH_MAX, STR_FMT(path));
        return;
    }
    if (path.p[0] != '/') {
        check_error(c, "path", NULL, "endpoint path '%.*s' must begin with '/' or be '**'", STR_FMT(path));
        return;
    }
    if (!check_glob(c, "path", GLOB_PATH, path))
        return;
    struct str rest = path, part;
    bool glued = false;
    while (str_split(&rest, '/', &part))
        glued = glued || (part.n > 2 && memmem(part.p, part.n, "**", 2));
    if (glued)
        check_error(c, "path", "make '**' a whole component, as in /v1/**",
                    "endpoint path '%.*s' can never match: '**' is glued to text", STR_FMT(path));
    else if (str_has_any(path, "{}\\"))
        check_error(c, "path", "write one endpoint for each alternative",
                    "endpoint path '%.*s' can never match: no '{', '}' or '\\' is known here", STR_FMT(path));
    else if (memmem(path.p, path.n, "[^", 2))
        check_error(c, "path", "negate with '[!…]'",
                    "endpoint path '%.*s' can never match: '[^' does not negate here", STR_FMT(path));
    else if (str_has_any(path, "?") && str_has(path, '='))
        check_warning(c, "path", NULL, "endpoint path '%.*s' is compared without the query string",
                      STR_FMT(path));
}

// ---- fields and protocols
// -----------------------------------------------------------------------------------

// Which protocols make use of a field. Others ignore it: a warning; tcp refuses them all (1.6 rule 4).
enum { ANY_L4 = 1, REST = 2, WEBSOCKET = 4, GRAPHQL = 8, JSON_RPC = 16, MCP = 32, SQL = 64 };
enum { HTTP = REST | WEBSOCKET | GRAPHQL | JSON_RPC | MCP, ANY = ANY_L4 | HTTP | SQL };

static unsigned protocol_bit(const struct endpoint *ep)
{
    static const struct {
        struct str name;
        unsigned bit;
    } bits[] = {
        {W(""), ANY_L4},         {W("rest"), REST},         {W("websocket"), WEBSOCKET},
        {W("graphql"), GRAPHQL}, {W("json-rpc"), JSON_RPC}, {W("mcp"), MCP},
        {W("sql"), SQL},
    };
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (str_eq(ep->protocol, bits[i].name))
            return bits[i].bit;
    return ANY; // tcp and unknown ones have had their error
}

struct field {
    const char *name;
    bool given;
    unsigned users; // protocols that heed it
};
enum { FIELDS_MAX = 20 };

static size_t list_fields(const struct endpoint *ep, struct field out[static FIELDS_MAX])
{
    bool bound = ep->credential_provider.n > 0 || ep->credential_signing.n > 0;
    const struct field all[] = {
        {"access", ep->access.n > 0, ANY}, // these three have words of their own without a protocol
        {"rules", ep->rules_n > 0, ANY},
        {"deny_rules", ep->deny_rules_n > 0, ANY},
        {"enforcement", ep->enforcement.n > 0, ANY & ~ANY_L4},
        {"path", ep->path.n > 0, bound ? ANY : ANY & ~ANY_L4},
        {"allow_encoded_slash", ep->allow_encoded_slash, HTTP},
        {"websocket_credential_rewrite", ep->websocket_credential_rewrite,
         ANY_L4 | REST | WEBSOCKET | GRAPHQL},
        {"request_body_credential_rewrite", ep->request_body_credential_rewrite, HTTP},
        {"persisted_queries", ep->persisted_queries.n > 0, GRAPHQL | WEBSOCKET},
        {"graphql_persisted_queries", ep->registered_n > 0, GRAPHQL | WEBSOCKET},
        {"graphql_max_body_bytes", ep->graphql_max_body_bytes > 0, GRAPHQL | WEBSOCKET},
        {"json_rpc", ep->json_rpc_max_body_bytes > 0 && !ep->has_mcp, JSON_RPC | MCP},
        {"mcp", ep->has_mcp, ANY}, // an error of its own
        {"credential_signing", ep->credential_signing.n > 0, ANY},
        {"signing_service", ep->signing_service.n > 0, ANY},
        {"signing_region", ep->signing_region.n > 0, ANY},
        {"credential_binding", ep->credential_provider.n > 0, ANY},
    };
    static_assert(ARRAY_LEN(all) <= FIELDS_MAX, "");
    memcpy(out, all, sizeof(all));
    return ARRAY_LEN(all);
}

static void check_fields(struct check *c, const struct endpoint *ep)
{
    struct field fields[FIELDS_MAX];
    size_t n = list_fields(ep, fields);
    bool tcp = protocol_is(ep, "tcp");
    unsigned bit = protocol_bit(ep);
    for (size_t i = 0; i < n; i++) {
        if (!fields[i].given)
            continue;
        if (tcp)
            check_error(c, fields[i].name, "leave it out: nothing is inspected there",
                        "protocol tcp does not allow '%s'", fields[i].name);
        else if (!(fields[i].users & bit) && ep->protocol.n == 0)
            check_warning(c, fields[i].name, NULL, "'%s' has no effect without a protocol", fields[i].name);
        else if (!(fields[i].users & bit))
            check_warning(c, fields[i].name, NULL, "protocol %.*s ignores '%s'", STR_FMT(ep->protocol),
                          fields[i].name);
    }
    if (ep->has_mcp && !tcp && !protocol_is(ep, "mcp"))
        check_error(c, "mcp", "write `protocol: mcp`", "the mcp section is only for protocol mcp");
}

static void check_enforcement(struct check *c, const struct endpoint *ep)
{
    if (protocol_is(ep, "sql")) {
        if (str_eq(ep->enforcement, STR("enforce")))
            check_error(c, "enforcement", "write `enforcement: audit`",
                        "protocol sql cannot be enforced: SQL is not inspected");
        else
            check_warning(c, "protocol", "allow the connection alone with `protocol: tcp`",
                          "protocol sql: SQL is not inspected, every statement is forwarded");
    } else if (endpoint_has_l7(ep) && ep->enforcement.n == 0) {
        check_warning(c, "enforcement", "write `enforcement: enforce`",
                      "audit only: requests that break the rules are forwarded and logged");
    }
}

// Reference 1.6, rules 5 to 8.
static void check_base(struct check *c, const struct endpoint *ep)
{
    bool rpc = protocol_is(ep, "json-rpc"), mcp = protocol_is(ep, "mcp");
    bool base = ep->rules_n > 0 || ep->access.n > 0;
    if (!rpc && !mcp && ep->rules_n > 0 && ep->access.n > 0)
        check_error(c, "access", "write the preset or the rules", "rules and access exclude each other");
    if (ep->protocol.n == 0) {
        if (ep->deny_rules_n > 0)
            check_error(c, "deny_rules", "write `protocol: rest`", "deny_rules require a protocol");
        if (base)
            check_warning(c, ep->rules_n > 0 ? "rules" : "access",
                          "write `protocol: rest` to inspect requests",
                          "without a protocol, %s are not enforced: every request is forwarded",
                          ep->rules_n > 0 ? "rules" : "access presets");
        return;
    }
    if ((rpc || mcp) && ep->access.n > 0)
        check_error(c, "access", "write rules with a method", "protocol %.*s does not know access presets",
                    STR_FMT(ep->protocol));
    if (!endpoint_has_l7(ep))
        return;
    bool all_mcp = mcp && ep->allow_all_known_mcp_methods == YES;
    if (rpc && ep->rules_n == 0)
        check_error(c, "rules", NULL, "protocol json-rpc requires rules with a method");
    else if (mcp && ep->rules_n == 0 && !all_mcp)
        check_error(c, "rules", "list rules, or write `mcp: {allow_all_known_mcp_methods: true}`",
                    "protocol mcp requires rules unless allow_all_known_mcp_methods is true");
    else if (!rpc && !mcp && !base && ep->deny_rules_n > 0)
        check_error(c, "deny_rules", "`access: full` allows everything else",
                    "deny_rules require rules or access to take from");
    else if (!rpc && !mcp && !base)
        check_error(c, NULL, "`access: read-only` allows reading", "protocol %.*s requires rules or access",
                    STR_FMT(ep->protocol));
}

static void check_signing(struct check *c, const struct endpoint *ep)
{
    check_word(c, "credential_signing", ep->credential_signing, &signing_words);
    if (ep->credential_signing.n == 0) {
        if (ep->signing_service.n > 0 || ep->signing_region.n > 0)
            check_warning(c, ep->signing_service.n > 0 ? "signing_service" : "signing_region",
                          "write `credential_signing: sigv4`",
                          "nothing is signed without credential_signing");
    } else {
        if (ep->signing_service.n == 0)
            check_error(c, "signing_service", "name the service, as in `signing_service: s3`",
                        "credential_signing requires signing_service");
        if (ep->request_body_credential_rewrite)
            check_error(c, "request_body_credential_rewrite", NULL,
                        "credential_signing and request_body_credential_rewrite exclude each other");
    }
    if (ep->credential_provider.n == 0)
        return;
    if (str_trim(ep->credential_provider).n == 0)
        check_error(c, "credential_binding.provider", NULL, "credential_binding.provider is blank");
    if (ep->host.n == 0)
        check_error(c, "credential_binding", NULL, "credential_binding requires a host");
}

static void check_registered(struct check *c, const struct endpoint *ep)
{
    check_word(c, "persisted_queries", ep->persisted_queries, &persisted_words);
    bool open = str_eq(ep->persisted_queries, STR("allow_registered"));
    if (open && ep->registered_n == 0)
        check_warning(c, "persisted_queries", "list them in graphql_persisted_queries",
                      "no persisted query is registered, so none is allowed");
    if (!open && ep->registered_n > 0 && !protocol_is(ep, "tcp"))
        check_warning(c, "graphql_persisted_queries", "write `persisted_queries: allow_registered`",
                      "registered queries have no effect while persisted_queries is 'deny'");
    size_t back = check_down(c, "graphql_persisted_queries");
    for (size_t i = 0; i < ep->registered_n; i++) {
        const struct graphql_registered *r = &ep->registered[i];
        size_t here = keypath_key(&c->at, r->id);
        if (r->id.n == 0)
            check_error(c, NULL, NULL, "the id of a persisted query is empty");
        if (r->operation_type.n == 0)
            check_error(c, "operation_type", NULL, "operation_type is required");
        check_word(c, "operation_type", r->operation_type, &operation_words);
        for (size_t k = 0; k < r->fields.n; k++) {
            size_t item = check_item(c, "fields", k);
            if (r->fields.v[k].n == 0)
                check_error(c, NULL, NULL, "a field is empty");
            keypath_cut(&c->at, item);
        }
        keypath_cut(&c->at, here);
    }
    keypath_cut(&c->at, back);
}

void check_endpoint(struct check *c, const struct endpoint *ep)
{
    check_host(c, ep);
    check_ports(c, ep);
    check_word(c, "protocol", ep->protocol, &protocol_words);
    check_tls(c, ep);
    check_scope(c, ep);
    check_ranges(c, ep);
    check_fields(c, ep);
    check_word(c, "enforcement", ep->enforcement, &enforcement_words);
    check_word(c, "access", ep->access, &preset_words);
    if (protocol_is_known(ep->protocol)) {
        check_enforcement(c, ep);
        check_base(c, ep);
    }
    check_signing(c, ep);
    check_registered(c, ep);
    check_rules(c, ep);
}
