#include "policy/merge_endpoint.h"
#include "policy/grant.h"
#include "policy/preset.h"
#include "policy/shape.h"

#define WARN(s, where, hint, ...)                                                                            \
    do {                                                                                                     \
        if ((s)->warnings)                                                                                   \
            diag_warning((s)->warnings, (where), (hint), __VA_ARGS__);                                       \
    } while (0)

enum err_code merge_no_room(const struct merge_sink *s)
{
    return arena_limit(s->a, "the merged policy", s->err);
}

bool merge_is_mcp(const struct endpoint *e)
{
    return str_eq(e->protocol, STR("mcp"));
}

static enum err_code append_rules(const struct merge_sink *s, struct l7_rule **list, size_t *n,
                                  const struct l7_rule *src, size_t src_n)
{
    if (src_n == 0)
        return ERR_OK;
    struct l7_rule *v = arena_newn(s->a, struct l7_rule, *n + src_n);
    if (!v)
        return merge_no_room(s);
    if (*n > 0)
        memcpy(v, *list, *n * sizeof(*v));
    size_t to = *n;
    for (size_t i = 0; i < src_n; i++) {
        size_t k = 0;
        while (k < to && !shape_same(&shape_rule, &v[k], &src[i]))
            k++;
        if (k == to && !policy_clone_rule(&src[i], s->a, &v[to++]))
            return merge_no_room(s);
    }
    *list = v;
    *n = to;
    return ERR_OK;
}

static enum err_code expand_access(const struct merge_sink *s, struct endpoint *e, struct str where)
{
    const struct l7_rule *v = NULL;
    size_t n = preset_rules(e->access, e->protocol, &v);
    if (n == 0)
        return err_set(s->err, ERR_PRECONDITION, "access '%.*s' stands for no rules under protocol '%.*s'",
                       STR_FMT(e->access), STR_FMT(e->protocol));
    enum err_code r = append_rules(s, &e->rules, &e->rules_n, v, n);
    if (r != ERR_OK)
        return r;
    WARN(s, where, "",
         "the access preset '%.*s' was expanded into %zu explicit rule%s, so that rules can join it",
         STR_FMT(e->access), n, n == 1 ? "" : "s");
    e->access = (struct str){};
    return ERR_OK;
}

enum err_code merge_allow_rules(const struct merge_sink *s, struct endpoint *dst, const struct l7_rule *src,
                                size_t n, struct str where)
{
    enum err_code r = n > 0 && dst->access.n > 0 ? expand_access(s, dst, where) : ERR_OK;
    return r == ERR_OK ? append_rules(s, &dst->rules, &dst->rules_n, src, n) : r;
}

enum err_code merge_deny_rules(const struct merge_sink *s, struct endpoint *dst, const struct l7_rule *src,
                               size_t n)
{
    return append_rules(s, &dst->deny_rules, &dst->deny_rules_n, src, n);
}

static enum err_code merge_ips(const struct merge_sink *s, struct strs *dst, const struct strs *src)
{
    if (src->n == 0)
        return ERR_OK;
    struct str *v = arena_newn(s->a, struct str, dst->n + src->n);
    if (!v)
        return merge_no_room(s);
    if (dst->n > 0)
        memcpy(v, dst->v, dst->n * sizeof(*v));
    size_t n = dst->n;
    for (size_t i = 0; i < src->n; i++) {
        size_t k = 0;
        while (k < n && !str_eq_ci(v[k], src->v[i]))
            k++;
        if (k == n && !arena_dup(s->a, src->v[i], &v[n++]))
            return merge_no_room(s);
    }
    *dst = (struct strs){v, n};
    return ERR_OK;
}

static int port_cmp(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum err_code merge_ports(const struct merge_sink *s, struct endpoint *dst, const struct endpoint *src)
{
    uint32_t *v = arena_newn(s->a, uint32_t, dst->ports_n + src->ports_n);
    if (!v)
        return merge_no_room(s);
    if (dst->ports_n > 0)
        memcpy(v, dst->ports, dst->ports_n * sizeof(*v));
    size_t n = dst->ports_n;
    for (size_t i = 0; i < src->ports_n; i++)
        if (!grant_has_port(dst, src->ports[i]))
            v[n++] = src->ports[i];
    qsort(v, n, sizeof(*v), port_cmp);
    dst->ports = v;
    dst->ports_n = n;
    return ERR_OK;
}

// What `dst` says stays; where it says nothing, `src` is heard.
static void keep_or_adopt(const struct merge_sink *s, struct str *dst, struct str src, const char *what,
                          struct str where)
{
    if (src.n == 0)
        return;
    if (dst->n == 0)
        *dst = src;
    else if (!str_eq(*dst, src))
        WARN(s, where, "to change it, replace the rule",
             "the existing %s '%.*s' was kept, '%.*s' was ignored", what, STR_FMT(*dst), STR_FMT(src));
}

static uint32_t body_max(uint32_t given)
{
    return given ? given : POLICY_BODY_DEFAULT;
}

static enum err_code check_mcp(const struct merge_sink *s, const struct endpoint *dst,
                               const struct endpoint *src)
{
    const char *what = NULL;
    if ((dst->strict_tool_names == NO) != (src->strict_tool_names == NO))
        what = "strict_tool_names";
    else if ((dst->allow_all_known_mcp_methods == YES) != (src->allow_all_known_mcp_methods == YES))
        what = "allow_all_known_mcp_methods";
    else if (body_max(dst->json_rpc_max_body_bytes) != body_max(src->json_rpc_max_body_bytes))
        what = "max_body_bytes";
    if (!what)
        return ERR_OK;
    return err_set(s->err, ERR_PRECONDITION, "MCP contract conflict on %.*s: mcp.%s differs",
                   STR_FMT(dst->host), what);
}

static void adopt_mcp(struct endpoint *dst, const struct endpoint *src)
{
    dst->has_mcp = src->has_mcp;
    dst->strict_tool_names = src->strict_tool_names;
    dst->allow_all_known_mcp_methods = src->allow_all_known_mcp_methods;
    dst->json_rpc_max_body_bytes = src->json_rpc_max_body_bytes;
}

// Settles the protocol. *ret_foreign: the two disagree, and nothing of L7 is taken from `src`.
static enum err_code merge_protocol(const struct merge_sink *s, struct endpoint *dst,
                                    const struct endpoint *src, struct str where, bool *ret_foreign)
{
    *ret_foreign = false;
    if (src->protocol.n == 0)
        return ERR_OK;
    if (str_eq(dst->protocol, src->protocol))
        return merge_is_mcp(dst) ? check_mcp(s, dst, src) : ERR_OK;
    if (dst->protocol.n == 0) {
        dst->protocol = src->protocol;
        adopt_mcp(dst, src);
        WARN(s, where, "", "the endpoint was not inspected; it is now inspected as %.*s",
             STR_FMT(src->protocol));
        return ERR_OK;
    }
    if (merge_is_mcp(dst) || merge_is_mcp(src))
        return err_set(
            s->err, ERR_PRECONDITION,
            "conflicting inspection contract: MCP and non-MCP ('%.*s' and '%.*s') cannot share %.*s",
            STR_FMT(dst->protocol), STR_FMT(src->protocol), STR_FMT(dst->host));
    if (src->rules_n > 0 || src->deny_rules_n > 0)
        return err_set(
            s->err, ERR_PRECONDITION,
            "conflicting inspection contract: %.*s is inspected as '%.*s', the new rules are for '%.*s'",
            STR_FMT(dst->host), STR_FMT(dst->protocol), STR_FMT(src->protocol));
    *ret_foreign = true;
    keep_or_adopt(s, &dst->protocol, src->protocol, "protocol", where);
    return ERR_OK;
}

static enum err_code merge_allows(const struct merge_sink *s, struct endpoint *dst,
                                  const struct endpoint *src, struct str where)
{
    if (src->rules_n > 0)
        return merge_allow_rules(s, dst, src->rules, src->rules_n, where);
    if (src->access.n > 0 && dst->rules_n > 0) {
        WARN(s, where, "add the rules one by one",
             "the incoming access '%.*s' was ignored, because rules exist", STR_FMT(src->access));
        return ERR_OK;
    }
    keep_or_adopt(s, &dst->access, src->access, "access", where);
    return ERR_OK;
}

static void merge_flags(struct endpoint *dst, const struct endpoint *src)
{
    dst->allow_encoded_slash |= src->allow_encoded_slash;
    dst->websocket_credential_rewrite |= src->websocket_credential_rewrite;
    dst->request_body_credential_rewrite |= src->request_body_credential_rewrite;
    dst->allow_uninspected_credentials |= src->allow_uninspected_credentials;
    dst->advisor_proposed |= src->advisor_proposed;
    dst->provider_credentialed |= src->provider_credentialed;
}

// Which credentials go where, and how large a query may be, is not for an incremental change to alter.
static void warn_dropped(const struct merge_sink *s, const struct endpoint *dst, const struct endpoint *src,
                         struct str where)
{
    const char *what = NULL;
    if (src->credential_signing.n > 0 || src->signing_service.n > 0 || src->signing_region.n > 0)
        what = "credential signing";
    else if (src->credential_provider.n > 0 && !str_eq(src->credential_provider, dst->credential_provider))
        what = "credential binding";
    else if (src->persisted_queries.n > 0 || src->registered_n > 0)
        what = "persisted queries";
    else if (src->graphql_max_body_bytes != 0)
        what = "graphql_max_body_bytes";
    else if (body_max(src->json_rpc_max_body_bytes) != body_max(dst->json_rpc_max_body_bytes))
        what = "json_rpc.max_body_bytes";
    if (what)
        WARN(s, where, "to change it, replace the rule", "the incoming %s was dropped: the endpoint exists",
             what);
}

enum err_code merge_endpoints(const struct merge_sink *s, struct endpoint *dst, const struct endpoint *src,
                              struct str where)
{
    bool is_foreign;
    enum err_code r = merge_protocol(s, dst, src, where, &is_foreign);
    if (r != ERR_OK)
        return r;
    bool is_inspected = grant_is_inspected(dst);
    if (!is_inspected && (src->rules_n > 0 || src->deny_rules_n > 0))
        return err_set(s->err, ERR_PRECONDITION, "%.*s has no L7 inspection, so rules cannot join it",
                       STR_FMT(dst->host));
    keep_or_adopt(s, &dst->tls, src->tls, "tls", where);
    if (!is_foreign && is_inspected) {
        keep_or_adopt(s, &dst->enforcement, src->enforcement, "enforcement", where);
        r = merge_allows(s, dst, src, where);
        if (r == ERR_OK)
            r = merge_deny_rules(s, dst, src->deny_rules, src->deny_rules_n);
    }
    if (r == ERR_OK)
        r = merge_ips(s, &dst->allowed_ips, &src->allowed_ips);
    if (r == ERR_OK)
        r = merge_ports(s, dst, src);
    if (r != ERR_OK)
        return r;
    merge_flags(dst, src);
    warn_dropped(s, dst, src, where);
    return ERR_OK;
}
