#include "convert/policy_wire.h"

#define WIRE(name) Openshell__Sandbox__V1__##name

struct work {
    struct arena *a;
    struct err *err;
    bool failed;    // *err says why
    struct str key; // of the entry that is being translated
};

static void fail_limit(struct work *w)
{
    if (!w->failed)
        (void)arena_limit(w->a, "a policy", w->err);
    w->failed = true;
}

// `is_set`: the policy says something here that is not translated.
static void refuse(struct work *w, bool is_set, const char *what)
{
    if (!is_set || w->failed)
        return;
    w->failed = true;
    if (w->key.n == 0 && what[0] == ':')
        what += 2;
    err_fill(w->err, ERR_UNSUPPORTED, "policy: %s%.*s%s is not built yet, so it cannot be enforced",
             w->key.n > 0 ? "network_policies." : "", STR_FMT(w->key), what);
}

// Items for a list, zeroed; never NULL for n > 0 unless w->failed.
static void *many(struct work *w, size_t n, size_t size)
{
    void *p = n > 0 ? arena_array(w->a, n, size) : NULL;
    if (n > 0 && !p)
        fail_limit(w);
    return p;
}
#define MANY(w, type, n) ((type *)many((w), (n), sizeof(type)))

// ---- to the wire

static char *text_out(struct work *w, struct str s)
{
    struct str copy = {};
    if (s.n > 0 && memchr(s.p, '\0', s.n))
        refuse(w, true, ": a NUL byte");
    else if (!arena_dup(w->a, s, &copy))
        fail_limit(w);
    return copy.p ? (char *)(uintptr_t)copy.p : (char *)(uintptr_t)protobuf_c_empty_string;
}

static char **texts_out(struct work *w, const struct strs *s, size_t *ret_n)
{
    char **v = MANY(w, char *, s->n);
    for (size_t i = 0; v && i < s->n; i++)
        v[i] = text_out(w, s->v[i]);
    *ret_n = v ? s->n : 0;
    return v;
}

#define NEW(w, var, type, init)                                                                              \
    type *var = arena_new((w)->a, type);                                                                     \
    if (!var) {                                                                                              \
        fail_limit(w);                                                                                       \
        return NULL;                                                                                         \
    }                                                                                                        \
    init(var)

static WIRE(L7QueryMatcher) * matcher_out(struct work *w, const struct matcher *s)
{
    NEW(w, m, WIRE(L7QueryMatcher), openshell__sandbox__v1__l7_query_matcher__init);
    m->glob = text_out(w, s->glob);
    m->any = texts_out(w, &s->any, &m->n_any);
    return m;
}

static void rule_check(struct work *w, const struct l7_rule *s)
{
    refuse(w, s->command.n > 0, ": a rule's command");
    refuse(w, s->operation_type.n > 0 || s->operation_name.n > 0 || s->fields.n > 0, ": a rule for GraphQL");
    refuse(w, s->params_n > 0, ": a rule's params");
}

// Allow and deny rules are two messages with the same fields.
#define RULE_OUT(fn, Type, type, Entry, entry_init)                                                          \
    static Type *fn(struct work *w, const struct l7_rule *s)                                                 \
    {                                                                                                        \
        NEW(w, m, Type, type##__init);                                                                       \
        rule_check(w, s);                                                                                    \
        m->method = text_out(w, s->method);                                                                  \
        m->path = text_out(w, s->path);                                                                      \
        m->query = MANY(w, Entry *, s->query_n);                                                             \
        for (size_t i = 0; m->query && i < s->query_n; i++) {                                                \
            Entry *e = arena_new(w->a, Entry);                                                               \
            if (!e) {                                                                                        \
                fail_limit(w);                                                                               \
                return NULL;                                                                                 \
            }                                                                                                \
            entry_init(e);                                                                                   \
            e->key = text_out(w, s->query[i].key);                                                           \
            e->value = matcher_out(w, &s->query[i]);                                                         \
            m->query[m->n_query++] = e;                                                                      \
        }                                                                                                    \
        return m;                                                                                            \
    }
RULE_OUT(allow_out, WIRE(L7Allow), openshell__sandbox__v1__l7_allow, WIRE(L7Allow__QueryEntry),
         openshell__sandbox__v1__l7_allow__query_entry__init)
RULE_OUT(deny_out, WIRE(L7DenyRule), openshell__sandbox__v1__l7_deny_rule, WIRE(L7DenyRule__QueryEntry),
         openshell__sandbox__v1__l7_deny_rule__query_entry__init)

static WIRE(L7Rule) * rule_out(struct work *w, const struct l7_rule *s)
{
    NEW(w, m, WIRE(L7Rule), openshell__sandbox__v1__l7_rule__init);
    m->allow = allow_out(w, s);
    return m;
}

static void endpoint_check(struct work *w, const struct endpoint *s)
{
    refuse(w, s->has_mcp || s->strict_tool_names != UNSET || s->allow_all_known_mcp_methods != UNSET,
           ": mcp");
    refuse(w, s->json_rpc_max_body_bytes != 0, ": json_rpc");
    refuse(w, s->persisted_queries.n > 0 || s->registered_n > 0 || s->graphql_max_body_bytes != 0,
           ": graphql");
    refuse(w, s->credential_signing.n > 0 || s->signing_service.n > 0 || s->signing_region.n > 0,
           ": credential_signing");
    refuse(w, s->credential_provider.n > 0, ": credential_binding");
    refuse(w, s->advisor_proposed || s->provider_credentialed, ": a mark of a gateway");
}

static WIRE(NetworkEndpoint) * endpoint_out(struct work *w, const struct endpoint *s)
{
    NEW(w, m, WIRE(NetworkEndpoint), openshell__sandbox__v1__network_endpoint__init);
    endpoint_check(w, s);
    m->host = text_out(w, s->host);
    m->path = text_out(w, s->path);
    m->protocol = text_out(w, s->protocol);
    m->tls = text_out(w, s->tls);
    m->enforcement = text_out(w, s->enforcement);
    m->access = text_out(w, s->access);
    m->allowed_ips = texts_out(w, &s->allowed_ips, &m->n_allowed_ips);
    m->allow_encoded_slash = s->allow_encoded_slash;
    m->websocket_credential_rewrite = s->websocket_credential_rewrite;
    m->request_body_credential_rewrite = s->request_body_credential_rewrite;
    m->allow_uninspected_credentials = s->allow_uninspected_credentials;
    m->ports = MANY(w, uint32_t, s->ports_n);
    for (size_t i = 0; m->ports && i < s->ports_n; i++)
        m->ports[m->n_ports++] = s->ports[i];
    m->rules = MANY(w, WIRE(L7Rule) *, s->rules_n);
    for (size_t i = 0; m->rules && i < s->rules_n; i++)
        m->rules[m->n_rules++] = rule_out(w, &s->rules[i]);
    m->deny_rules = MANY(w, WIRE(L7DenyRule) *, s->deny_rules_n);
    for (size_t i = 0; m->deny_rules && i < s->deny_rules_n; i++)
        m->deny_rules[m->n_deny_rules++] = deny_out(w, &s->deny_rules[i]);
    return m;
}

static WIRE(NetworkPolicyRule) * entry_out(struct work *w, const struct policy_entry *s)
{
    NEW(w, m, WIRE(NetworkPolicyRule), openshell__sandbox__v1__network_policy_rule__init);
    w->key = s->key;
    m->name = text_out(w, s->name);
    m->endpoints = MANY(w, WIRE(NetworkEndpoint) *, s->endpoints_n);
    for (size_t i = 0; m->endpoints && i < s->endpoints_n; i++)
        m->endpoints[m->n_endpoints++] = endpoint_out(w, &s->endpoints[i]);
    m->binaries = MANY(w, WIRE(NetworkBinary) *, s->binaries_n);
    for (size_t i = 0; m->binaries && i < s->binaries_n; i++) {
        NEW(w, b, WIRE(NetworkBinary), openshell__sandbox__v1__network_binary__init);
        refuse(w, s->binaries[i].harness, ": a binary's harness");
        b->path = text_out(w, s->binaries[i].path);
        m->binaries[m->n_binaries++] = b;
    }
    w->key = (struct str){};
    return m;
}

static WIRE(SandboxPolicy) * all_out(struct work *w, const struct policy *p)
{
    NEW(w, m, WIRE(SandboxPolicy), openshell__sandbox__v1__sandbox_policy__init);
    m->version = p->version;
    if (p->has_filesystem) {
        NEW(w, f, WIRE(FilesystemPolicy), openshell__sandbox__v1__filesystem_policy__init);
        f->include_workdir = p->filesystem.include_workdir;
        f->read_only = texts_out(w, &p->filesystem.read_only, &f->n_read_only);
        f->read_write = texts_out(w, &p->filesystem.read_write, &f->n_read_write);
        m->filesystem = f;
    }
    if (p->has_landlock) {
        NEW(w, l, WIRE(LandlockPolicy), openshell__sandbox__v1__landlock_policy__init);
        l->compatibility = text_out(w, p->landlock.compatibility);
        m->landlock = l;
    }
    if (p->has_process) {
        NEW(w, u, WIRE(ProcessPolicy), openshell__sandbox__v1__process_policy__init);
        u->run_as_user = text_out(w, p->process.run_as_user);
        u->run_as_group = text_out(w, p->process.run_as_group);
        m->process = u;
    }
    m->network_policies = MANY(w, WIRE(SandboxPolicy__NetworkPoliciesEntry) *, p->entries_n);
    for (size_t i = 0; m->network_policies && i < p->entries_n; i++) {
        NEW(w, e, WIRE(SandboxPolicy__NetworkPoliciesEntry),
            openshell__sandbox__v1__sandbox_policy__network_policies_entry__init);
        e->key = text_out(w, p->entries[i].key);
        e->value = entry_out(w, &p->entries[i]);
        m->network_policies[m->n_network_policies++] = e;
    }
    return m;
}

enum err_code policy_to_wire(const struct policy *p, struct arena *a, WIRE(SandboxPolicy) * *ret,
                             struct err *reterr)
{
    struct work w = {.a = a, .err = reterr};
    refuse(&w, p->middlewares_n > 0, "network_middlewares");
    WIRE(SandboxPolicy) *m = all_out(&w, p);
    if (w.failed || !m)
        return reterr->code;
    *ret = m;
    return ERR_OK;
}

// ---- from the wire

// A field that the other side knows and we do not.
static void refuse_unknown(struct work *w, const ProtobufCMessage *m)
{
    refuse(w, m->n_unknown_fields > 0, ": a field that this version does not know");
}

static struct strs texts_in(struct work *w, char *const *v, size_t n)
{
    struct strs s = {.v = MANY(w, struct str, n)};
    for (size_t i = 0; s.v && i < n; i++)
        s.v[s.n++] = str_of(v[i]);
    return s;
}

static void matcher_in(struct work *w, const char *key, const WIRE(L7QueryMatcher) * m, struct matcher *ret)
{
    ret->key = str_of(key);
    if (!m)
        return;
    refuse_unknown(w, &m->base);
    ret->glob = str_of(m->glob);
    ret->any = texts_in(w, m->any, m->n_any);
}

#define RULE_IN(fn, Type)                                                                                    \
    static void fn(struct work *w, const Type *m, struct l7_rule *ret)                                       \
    {                                                                                                        \
        refuse_unknown(w, &m->base);                                                                         \
        *ret = (struct l7_rule){.method = str_of(m->method),                                                 \
                                .path = str_of(m->path),                                                     \
                                .command = str_of(m->command),                                               \
                                .operation_type = str_of(m->operation_type),                                 \
                                .operation_name = str_of(m->operation_name),                                 \
                                .fields = {.n = m->n_fields},                                                \
                                .params_n = m->n_params};                                                    \
        rule_check(w, ret);                                                                                  \
        ret->query = MANY(w, struct matcher, m->n_query);                                                    \
        for (size_t i = 0; ret->query && i < m->n_query; i++)                                                \
            matcher_in(w, m->query[i]->key, m->query[i]->value, &ret->query[ret->query_n++]);                \
    }
RULE_IN(allow_in, WIRE(L7Allow))
RULE_IN(deny_in, WIRE(L7DenyRule))

// A member of `ports`, or `port` where there are none (reference: policy 1.2).
static void ports_in(struct work *w, const WIRE(NetworkEndpoint) * m, struct endpoint *ret)
{
    size_t n = m->n_ports > 0 ? m->n_ports : m->port != 0;
    ret->ports = MANY(w, uint32_t, n);
    for (size_t i = 0; ret->ports && i < n; i++)
        ret->ports[ret->ports_n++] = m->n_ports > 0 ? m->ports[i] : m->port;
}

static void endpoint_in(struct work *w, const WIRE(NetworkEndpoint) * m, struct endpoint *ret)
{
    refuse_unknown(w, &m->base);
    *ret = (struct endpoint){.host = str_of(m->host),
                             .path = str_of(m->path),
                             .protocol = str_of(m->protocol),
                             .tls = str_of(m->tls),
                             .enforcement = str_of(m->enforcement),
                             .access = str_of(m->access),
                             .allow_encoded_slash = m->allow_encoded_slash,
                             .websocket_credential_rewrite = m->websocket_credential_rewrite,
                             .request_body_credential_rewrite = m->request_body_credential_rewrite,
                             .allow_uninspected_credentials = m->allow_uninspected_credentials,
                             .advisor_proposed = m->advisor_proposed,
                             .provider_credentialed = m->provider_credentialed,
                             .persisted_queries = str_of(m->persisted_queries),
                             .registered_n = m->n_graphql_persisted_queries,
                             .graphql_max_body_bytes = m->graphql_max_body_bytes,
                             .json_rpc_max_body_bytes = m->json_rpc_max_body_bytes,
                             .has_mcp = m->mcp != NULL,
                             .credential_signing = str_of(m->credential_signing),
                             .signing_service = str_of(m->signing_service),
                             .signing_region = str_of(m->signing_region)};
    refuse(w, m->credential_binding != NULL, ": credential_binding");
    endpoint_check(w, ret);
    ret->allowed_ips = texts_in(w, m->allowed_ips, m->n_allowed_ips);
    ports_in(w, m, ret);
    ret->rules = MANY(w, struct l7_rule, m->n_rules);
    for (size_t i = 0; ret->rules && i < m->n_rules; i++) {
        refuse_unknown(w, &m->rules[i]->base);
        refuse(w, !m->rules[i]->allow, ": a rule that allows nothing");
        if (m->rules[i]->allow)
            allow_in(w, m->rules[i]->allow, &ret->rules[ret->rules_n++]);
    }
    ret->deny_rules = MANY(w, struct l7_rule, m->n_deny_rules);
    for (size_t i = 0; ret->deny_rules && i < m->n_deny_rules; i++)
        deny_in(w, m->deny_rules[i], &ret->deny_rules[ret->deny_rules_n++]);
}

static void entry_in(struct work *w, const char *key, const WIRE(NetworkPolicyRule) * m,
                     struct policy_entry *ret)
{
    ret->key = w->key = str_of(key);
    if (!m)
        return;
    refuse_unknown(w, &m->base);
    ret->name = str_of(m->name);
    ret->endpoints = MANY(w, struct endpoint, m->n_endpoints);
    for (size_t i = 0; ret->endpoints && i < m->n_endpoints; i++)
        endpoint_in(w, m->endpoints[i], &ret->endpoints[ret->endpoints_n++]);
    ret->binaries = MANY(w, struct binary, m->n_binaries);
    for (size_t i = 0; ret->binaries && i < m->n_binaries; i++) {
        refuse_unknown(w, &m->binaries[i]->base);
        // `harness` is deprecated; what it marked is no part of any policy that is accepted here.
        ret->binaries[ret->binaries_n++].path = str_of(m->binaries[i]->path);
    }
    w->key = (struct str){};
}

static void statics_in(struct work *w, const WIRE(SandboxPolicy) * m, struct policy *p)
{
    p->has_filesystem = m->filesystem != NULL;
    p->has_landlock = m->landlock != NULL;
    p->has_process = m->process != NULL;
    p->filesystem.include_workdir = !m->filesystem || m->filesystem->include_workdir;
    if (m->filesystem) {
        refuse_unknown(w, &m->filesystem->base);
        p->filesystem.read_only = texts_in(w, m->filesystem->read_only, m->filesystem->n_read_only);
        p->filesystem.read_write = texts_in(w, m->filesystem->read_write, m->filesystem->n_read_write);
    }
    if (m->landlock) {
        refuse_unknown(w, &m->landlock->base);
        p->landlock.compatibility = str_of(m->landlock->compatibility);
    }
    if (m->process) {
        refuse_unknown(w, &m->process->base);
        p->process.run_as_user = str_of(m->process->run_as_user);
        p->process.run_as_group = str_of(m->process->run_as_group);
    }
}

enum err_code policy_from_wire(const WIRE(SandboxPolicy) * m, struct arena *a, struct policy **ret,
                               struct err *reterr)
{
    struct work w = {.a = a, .err = reterr};
    struct policy *p = arena_new(a, struct policy);
    if (!p)
        return arena_limit(a, "a policy", reterr);
    p->version = m->version;
    refuse_unknown(&w, &m->base);
    refuse(&w, m->n_network_middlewares > 0, "network_middlewares");
    statics_in(&w, m, p);
    p->entries = MANY(&w, struct policy_entry, m->n_network_policies);
    for (size_t i = 0; p->entries && i < m->n_network_policies; i++)
        entry_in(&w, m->network_policies[i]->key, m->network_policies[i]->value, &p->entries[p->entries_n++]);
    if (w.failed)
        return reterr->code;
    *ret = p;
    return ERR_OK;
}
