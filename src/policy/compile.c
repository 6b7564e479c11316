// From the model to the form that decisions are taken on. See compiled.h for the shape and
// docs/internals/policy.md for the reasons.
#include "policy/snapshot.h"

#include "policy/compiled.h"
#include "policy/preset.h"

struct compiler {
    struct snapshot *s;
    struct arena *a;
    const struct policy *policy;
    struct err *err; // of the first failure
};

static const char *const protocol_names[] = {
    [PROTOCOL_L4] = "",
    [PROTOCOL_TCP] = "tcp",
    [PROTOCOL_REST] = "rest",
    [PROTOCOL_WEBSOCKET] = "websocket",
    [PROTOCOL_GRAPHQL] = "graphql",
    [PROTOCOL_JSON_RPC] = "json-rpc",
    [PROTOCOL_MCP] = "mcp",
    [PROTOCOL_SQL] = "sql",
};

const char *protocol_name(enum protocol p)
{
    return protocol_names[p];
}

static enum err_code no_room(const struct compiler *c)
{
    return arena_limit(c->a, "the compiled policy", c->err);
}

static enum err_code dup(const struct compiler *c, struct str s, struct str *ret)
{
    return s.n == 0 ? (*ret = (struct str){}, ERR_OK) : arena_dup(c->a, s, ret) ? ERR_OK : no_room(c);
}

static enum err_code protocol_parse(const struct compiler *c, struct str s, enum protocol *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(protocol_names); i++) {
        if (str_eq(s, str_of(protocol_names[i]))) {
            *ret = (enum protocol)i;
            return ERR_OK;
        }
    }
    return err_set(c->err, ERR_INVALID, "unknown protocol '%.*s'", STR_FMT(s));
}

static enum err_code glob(const struct compiler *c, enum glob_dialect dialect, struct str pattern,
                          const struct glob **ret)
{
    struct str copy;
    enum err_code r = dup(c, pattern, &copy);
    if (r != ERR_OK)
        return r;
    r = glob_compile(dialect, copy, c->a, ret, c->err);
    return r == ERR_OK ? r : err_wrap(c->err, r, "pattern '%.*s'", STR_FMT(pattern));
}

static enum err_code globs(const struct compiler *c, const struct strs *patterns, struct globs *ret)
{
    if (patterns->n == 0)
        return ERR_OK;
    const struct glob **v = arena_newn(c->a, const struct glob *, patterns->n);
    if (!v)
        return no_room(c);
    for (size_t i = 0; i < patterns->n; i++) {
        enum err_code r = glob(c, GLOB_DOTTED, patterns->v[i], &v[i]);
        if (r != ERR_OK)
            return r;
    }
    *ret = (struct globs){v, patterns->n};
    return ERR_OK;
}

static enum err_code matcher_globs(const struct compiler *c, const struct matcher *m, struct globs *ret)
{
    struct str one = m->glob;
    struct strs single = {.v = &one, .n = 1};
    return globs(c, m->any.n > 0 ? &m->any : &single, ret);
}

static enum err_code matchers(const struct compiler *c, const struct matcher *in, size_t n,
                              struct snap_matcher **ret)
{
    if (n == 0)
        return ERR_OK;
    struct snap_matcher *v = arena_newn(c->a, struct snap_matcher, n);
    if (!v)
        return no_room(c);
    for (size_t i = 0; i < n; i++) {
        enum err_code r = dup(c, in[i].key, &v[i].key);
        if (r == ERR_OK)
            r = matcher_globs(c, &in[i], &v[i].globs);
        if (r != ERR_OK)
            return r;
    }
    *ret = v;
    return ERR_OK;
}

// ---- rules
// --------------------------------------------------------------------------------------------------

static bool is_everything(struct str path)
{
    return path.n == 0 || str_eq(path, STR("**")) || str_eq(path, STR("/**"));
}

static enum err_code rule_http(const struct compiler *c, const struct l7_rule *in, struct snap_rule *rule)
{
    if (in->method.n == 0 || str_eq(in->method, STR("*"))) {
        rule->methods = METHOD_ANY;
    } else {
        rule->methods = method_bit(in->method);
        if (rule->methods == METHOD_GET)
            rule->methods |= METHOD_HEAD; // reference 1.5: GET also grants, and denies, HEAD
        rule->method_text = rule->source->method;
    }
    // `**` alone is everything; `/**` is not the empty path, but no canonical path is empty.
    if (!is_everything(in->path)) {
        enum err_code r = glob(c, GLOB_PATH, in->path, &rule->path);
        if (r != ERR_OK)
            return r;
    }
    rule->query_n = in->query_n;
    return matchers(c, in->query, in->query_n, &rule->query);
}

static enum err_code rule_graphql(const struct compiler *c, const struct l7_rule *in, struct snap_rule *rule)
{
    rule->graphql = true;
    rule->any_type = str_eq(in->operation_type, STR("*"));
    if (in->operation_name.n > 0) {
        enum err_code r = glob(c, GLOB_DOTTED, in->operation_name, &rule->op_name);
        if (r != ERR_OK)
            return r;
    }
    return globs(c, &in->fields, &rule->fields);
}

static enum err_code rule_rpc(const struct compiler *c, const struct compiled_endpoint *ep,
                              const struct l7_rule *in, struct snap_rule *rule)
{
    enum err_code r = ERR_OK;
    for (size_t i = 0; i < in->params_n && r == ERR_OK; i++) {
        if (!str_eq(in->params[i].key, STR("name")))
            return err_set(c->err, ERR_INVALID, "only params.name can be matched");
        rule->has_tool = true;
        r = matcher_globs(c, &in->params[i], &rule->tools);
    }
    if (r != ERR_OK)
        return r;
    bool mcp = ep->pub.protocol == PROTOCOL_MCP;
    if (in->method.n == 0 && rule->has_tool && mcp) // reference 1.4: a tool selector alone means tools/call
        return glob(c, GLOB_DOTTED, STR("tools/call"), &rule->rpc_method);
    rule->any_call = in->method.n == 0 || str_eq(in->method, STR("*"));
    if (!rule->any_call && mcp)
        return glob(c, GLOB_DOTTED, in->method, &rule->rpc_method);
    return ERR_OK;
}

static enum err_code rule_compile(const struct compiler *c, const struct compiled_endpoint *ep,
                                  const struct l7_rule *in, struct snap_rule *rule)
{
    struct l7_rule *source = arena_new(c->a, struct l7_rule);
    if (!source || !policy_clone_rule(in, c->a, source))
        return no_room(c);
    rule->source = source;
    switch (ep->pub.protocol) {
    case PROTOCOL_REST:
    case PROTOCOL_SQL:
        return rule_http(c, in, rule);
    case PROTOCOL_WEBSOCKET:
        return in->operation_type.n > 0 ? rule_graphql(c, in, rule) : rule_http(c, in, rule);
    case PROTOCOL_GRAPHQL:
        return rule_graphql(c, in, rule);
    case PROTOCOL_JSON_RPC:
    case PROTOCOL_MCP:
        return rule_rpc(c, ep, in, rule);
    case PROTOCOL_L4:
    case PROTOCOL_TCP:
        break;
    }
    return ERR_OK; // rules without a protocol decide nothing; the validator says so
}

// An index over the paths of HTTP rules, where there are enough of them to pay for it.
static enum err_code paths_index(const struct compiler *c, struct ruleset *set)
{
    if (set->n < PATHS_INDEXED_FROM)
        return ERR_OK;
    struct globset_item *items = calloc(set->n, sizeof(*items));
    if (!items)
        return no_room(c);
    for (size_t i = 0; i < set->n; i++) {
        const struct snap_rule *rule = &set->v[i];
        items[i] = (struct globset_item){rule->path ? rule->source->path : STR("**"), (uint32_t)i};
    }
    enum err_code r = globset_build(items, set->n, c->a, &set->paths, c->err);
    free(items);
    return r;
}

static enum err_code ruleset(const struct compiler *c, const struct compiled_endpoint *ep,
                             const struct l7_rule *in, size_t n, bool deny, bool preset, struct ruleset *ret)
{
    struct ruleset set = {.v = arena_newn(c->a, struct snap_rule, n), .n = n};
    if (!set.v)
        return no_room(c);
    bool http = ep->pub.protocol == PROTOCOL_REST || ep->pub.protocol == PROTOCOL_WEBSOCKET;
    for (size_t i = 0; i < n; i++) {
        struct snap_rule *rule = &set.v[i];
        *rule = (struct snap_rule){.endpoint = ep, .index = (uint32_t)i, .deny = deny, .preset = preset};
        enum err_code r = rule_compile(c, ep, &in[i], rule);
        if (r != ERR_OK)
            return err_wrap(c->err, r, "%s[%zu]", deny ? "deny_rules" : "rules", i);
    }
    enum err_code r = http ? paths_index(c, &set) : ERR_OK;
    if (r == ERR_OK)
        *ret = set;
    return r;
}

static enum err_code endpoint_rules(const struct compiler *c, const struct endpoint *in,
                                    struct compiled_endpoint *ep)
{
    const struct l7_rule *rules = in->rules;
    size_t n = in->rules_n;
    bool preset = n == 0 && in->access.n > 0;
    if (preset)
        n = preset_rules(in->access, in->protocol, &rules);
    enum err_code r = ruleset(c, ep, rules, n, false, preset, &ep->allow);
    if (r == ERR_OK)
        r = ruleset(c, ep, in->deny_rules, in->deny_rules_n, true, false, &ep->deny);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < ep->allow.n; i++) {
        ep->pub.websocket_graphql |= ep->pub.protocol == PROTOCOL_WEBSOCKET && ep->allow.v[i].graphql;
        ep->mcp_has_tool |= ep->allow.v[i].has_tool;
    }
    return ERR_OK;
}

// ---- endpoints and entries
// ----------------------------------------------------------------------------------

static enum err_code endpoint_texts(const struct compiler *c, const struct endpoint *in,
                                    struct snap_endpoint *pub)
{
    const struct {
        struct str from;
        struct str *to;
    } texts[] = {
        {in->path, &pub->path},
        {in->credential_signing, &pub->credential_signing},
        {in->signing_service, &pub->signing_service},
        {in->signing_region, &pub->signing_region},
        {in->credential_provider, &pub->credential_provider},
    };
    enum err_code r = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(texts) && r == ERR_OK; i++)
        r = dup(c, texts[i].from, texts[i].to);
    return r;
}

static uint32_t specificity(struct str path)
{
    uint32_t n = 0;
    for (size_t i = 0; i < path.n; i++)
        n += path.p[i] != '*';
    return n;
}

// Hosts compare in lower case. A final dot, which no canonical name has, would never match: the validator
// refuses it.
static enum err_code endpoint_host(const struct compiler *c, const struct endpoint *in,
                                   struct compiled_endpoint *ep)
{
    char *lower = arena_alloc(c->a, in->host.n + 1);
    if (!lower)
        return no_room(c);
    for (size_t i = 0; i < in->host.n; i++)
        lower[i] = char_lower(in->host.p[i]);
    ep->pub.host = (struct str){lower, in->host.n};
    if (in->host.n == 0)
        return ERR_OK;
    ep->host_exact = !glob_has_wildcard(GLOB_HOST, in->host);
    return glob(c, GLOB_HOST, ep->pub.host, &ep->host);
}

static enum err_code endpoint_ranges(const struct compiler *c, const struct endpoint *in,
                                     struct snap_endpoint *pub)
{
    struct cidr *v = arena_newn(c->a, struct cidr, in->allowed_ips.n);
    if (!v)
        return no_room(c);
    for (size_t i = 0; i < in->allowed_ips.n; i++) {
        enum err_code r = cidr_parse(str_trim(in->allowed_ips.v[i]), &v[i], c->err);
        if (r != ERR_OK)
            return err_wrap(c->err, r, "allowed_ips[%zu]", i);
    }
    pub->allowed_ips = v;
    pub->allowed_ips_n = in->allowed_ips.n;
    return ERR_OK;
}

static enum err_code endpoint_ports(const struct compiler *c, const struct endpoint *in,
                                    struct compiled_endpoint *ep)
{
    ep->ports = arena_newn(c->a, uint16_t, in->ports_n);
    if (!ep->ports)
        return no_room(c);
    for (size_t i = 0; i < in->ports_n; i++) {
        if (in->ports[i] == 0 || in->ports[i] > UINT16_MAX)
            return err_set(c->err, ERR_INVALID, "port %u is not in 1..65535", in->ports[i]);
        ep->ports[i] = (uint16_t)in->ports[i];
    }
    ep->ports_n = in->ports_n;
    return ERR_OK;
}

static enum err_code endpoint_scope(const struct compiler *c, const struct endpoint *in,
                                    struct compiled_endpoint *ep)
{
    ep->specificity = specificity(in->path);
    if (is_everything(in->path))
        return ERR_OK;
    enum err_code r = glob(c, GLOB_SCOPE, in->path, &ep->scope);
    return r == ERR_OK ? glob(c, GLOB_PATH, in->path, &ep->scope_rule) : r;
}

static enum err_code endpoint_registry(const struct compiler *c, const struct endpoint *in,
                                       struct compiled_endpoint *ep)
{
    ep->registered = arena_newn(c->a, struct graphql_registered, in->registered_n);
    if (!ep->registered)
        return no_room(c);
    ep->registered_n = in->registered_n;
    for (size_t i = 0; i < in->registered_n; i++) {
        const struct graphql_registered *from = &in->registered[i];
        struct graphql_registered *to = &ep->registered[i];
        if (dup(c, from->id, &to->id) != ERR_OK ||
            dup(c, from->operation_type, &to->operation_type) != ERR_OK ||
            dup(c, from->operation_name, &to->operation_name) != ERR_OK ||
            !policy_clone_strs(&from->fields, c->a, &to->fields))
            return no_room(c);
    }
    return ERR_OK;
}

static void endpoint_flags(const struct endpoint *in, struct compiled_endpoint *ep)
{
    struct snap_endpoint *pub = &ep->pub;
    pub->tls_skip = str_eq(in->tls, STR("skip"));
    pub->enforce = str_eq(in->enforcement, STR("enforce"));
    pub->allow_encoded_slash = in->allow_encoded_slash;
    pub->websocket_credential_rewrite = in->websocket_credential_rewrite;
    pub->request_body_credential_rewrite = in->request_body_credential_rewrite;
    pub->allow_uninspected_credentials = in->allow_uninspected_credentials;
    pub->advisor_proposed = in->advisor_proposed;
    pub->provider_credentialed = in->provider_credentialed;
    pub->strict_tool_names = in->strict_tool_names != NO;
    pub->persisted_registered = str_eq(in->persisted_queries, STR("allow_registered"));
    pub->graphql_max_body_bytes = in->graphql_max_body_bytes ? in->graphql_max_body_bytes
                                                             : POLICY_BODY_DEFAULT;
    pub->json_rpc_max_body_bytes = in->json_rpc_max_body_bytes ? in->json_rpc_max_body_bytes
                                                               : POLICY_BODY_DEFAULT;
    ep->mcp_allow_all = pub->protocol == PROTOCOL_MCP && in->allow_all_known_mcp_methods == YES;
    ep->extended = endpoint_is_l7(ep) || in->allowed_ips.n > 0 || in->tls.n > 0;
}

static enum err_code endpoint_compile(const struct compiler *c, const struct endpoint *in,
                                      struct compiled_endpoint *ep)
{
    ep->pub.priv = ep;
    enum err_code r = protocol_parse(c, in->protocol, &ep->pub.protocol);
    if (r == ERR_OK && in->host.n == 0 && in->allowed_ips.n == 0)
        r = err_set(c->err, ERR_INVALID, "neither host nor allowed_ips");
    if (r == ERR_OK)
        r = endpoint_host(c, in, ep);
    if (r == ERR_OK)
        r = endpoint_ports(c, in, ep);
    if (r == ERR_OK)
        r = endpoint_scope(c, in, ep);
    if (r == ERR_OK)
        r = endpoint_texts(c, in, &ep->pub);
    if (r == ERR_OK)
        r = endpoint_ranges(c, in, &ep->pub);
    if (r == ERR_OK)
        r = endpoint_registry(c, in, ep);
    if (r != ERR_OK)
        return r;
    endpoint_flags(in, ep);
    return endpoint_rules(c, in, ep);
}

static enum err_code binary_compile(const struct compiler *c, const struct binary *in, uint32_t entry,
                                    struct compiled_binary *ret)
{
    *ret = (struct compiled_binary){.entry = entry, .harness = in->harness};
    enum err_code r = dup(c, in->path, &ret->path);
    if (r == ERR_OK && str_has(in->path, '*')) // reference 1.5: no star, exact
        r = glob(c, GLOB_PATH, ret->path, &ret->glob);
    return r;
}

static enum err_code entry_compile(const struct compiler *c, const struct policy_entry *in, uint32_t index)
{
    struct snapshot *s = c->s;
    struct compiled_entry *entry = &s->entries[index];
    *entry = (struct compiled_entry){
        .endpoints_lo = (uint32_t)s->endpoints_n,
        .binaries_lo = (uint32_t)s->binaries_n,
    };
    entry->pub.index = index;
    enum err_code r = dup(c, in->key, &entry->pub.key);
    if (r == ERR_OK)
        r = dup(c, policy_entry_name(in), &entry->pub.name);
    for (size_t i = 0; i < in->endpoints_n && r == ERR_OK; i++) {
        struct compiled_endpoint *ep = &s->endpoints[s->endpoints_n++];
        ep->entry = index;
        ep->pub.entry = &entry->pub;
        ep->pub.index = (uint32_t)i;
        r = endpoint_compile(c, &in->endpoints[i], ep);
        if (r != ERR_OK)
            r = err_wrap(c->err, r, "network_policies.%.*s.endpoints[%zu]", STR_FMT(in->key), i);
    }
    for (size_t i = 0; i < in->binaries_n && r == ERR_OK; i++) {
        r = binary_compile(c, &in->binaries[i], index, &s->binaries[s->binaries_n++]);
        if (r != ERR_OK)
            r = err_wrap(c->err, r, "network_policies.%.*s.binaries[%zu]", STR_FMT(in->key), i);
    }
    entry->endpoints_hi = (uint32_t)s->endpoints_n;
    entry->binaries_hi = (uint32_t)s->binaries_n;
    return r;
}

// ---- indexes
// ------------------------------------------------------------------------------------------------

static enum err_code hosts_index(const struct compiler *c)
{
    struct snapshot *s = c->s;
    CLEANUP(base_freep) struct hostset_item *items = calloc(s->endpoints_n + 1, sizeof(*items));
    s->hostless = arena_newn(c->a, uint32_t, s->endpoints_n);
    if (!items || !s->hostless)
        return no_room(c);
    size_t n = 0;
    for (size_t i = 0; i < s->endpoints_n; i++) {
        if (s->endpoints[i].host)
            items[n++] = (struct hostset_item){s->endpoints[i].pub.host, (uint32_t)i};
        else
            s->hostless[s->hostless_n++] = (uint32_t)i;
    }
    return hostset_build(items, n, c->a, &s->hosts, c->err);
}

static int by_path_then_id(const void *a, const void *b, void *binaries)
{
    const struct compiled_binary *v = binaries;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = str_cmp(v[x].path, v[y].path);
    return order != 0 ? order : x < y ? -1 : x > y;
}

// Exact paths into an open-addressing table of at most half load; `ids` are sorted by path, then by id.
static enum err_code binaries_table(const struct compiler *c, const uint32_t *ids, size_t n)
{
    struct snapshot *s = c->s;
    size_t slots = 8;
    while (slots < n * 2)
        slots *= 2;
    s->bin_slots = arena_newn(c->a, struct bin_slot, slots);
    if (!s->bin_slots)
        return no_room(c);
    s->bin_slots_n = slots;
    for (size_t i = 0, next; i < n; i = next) {
        struct str path = s->binaries[ids[i]].path;
        for (next = i + 1; next < n && str_eq(s->binaries[ids[next]].path, path);)
            next++;
        size_t at = str_hash(path, 0) & (slots - 1);
        while (s->bin_slots[at].n > 0)
            at = (at + 1) & (slots - 1);
        s->bin_slots[at] = (struct bin_slot){path, ids + i, (uint32_t)(next - i)};
    }
    return ERR_OK;
}

static enum err_code binaries_index(const struct compiler *c)
{
    struct snapshot *s = c->s;
    CLEANUP(base_freep) struct globset_item *items = calloc(s->binaries_n + 1, sizeof(*items));
    uint32_t *ids = arena_newn(c->a, uint32_t, s->binaries_n);
    if (!items || !ids)
        return no_room(c);
    size_t exact = 0, globbed = 0;
    for (size_t i = 0; i < s->binaries_n; i++) {
        if (s->binaries[i].glob)
            items[globbed++] = (struct globset_item){s->binaries[i].path, (uint32_t)i};
        else
            ids[exact++] = (uint32_t)i;
    }
    qsort_r(ids, exact, sizeof(*ids), by_path_then_id, s->binaries);
    enum err_code r = binaries_table(c, ids, exact);
    if (r != ERR_OK || globbed == 0)
        return r;
    return globset_build(items, globbed, c->a, &s->bin_globs, c->err);
}

static int by_key(const void *a, const void *b)
{
    const struct policy_entry *const *x = a, *const *y = b;
    return str_cmp((*x)->key, (*y)->key);
}

static enum err_code entries_compile(const struct compiler *c)
{
    const struct policy *p = c->policy;
    size_t endpoints = 0, binaries = 0;
    CLEANUP(base_freep)
    const struct policy_entry **order = calloc(p->entries_n + 1, sizeof(const struct policy_entry *));
    if (!order)
        return no_room(c);
    for (size_t i = 0; i < p->entries_n; i++) {
        order[i] = &p->entries[i];
        endpoints += p->entries[i].endpoints_n;
        binaries += p->entries[i].binaries_n;
    }
    qsort(order, p->entries_n, sizeof(const struct policy_entry *), by_key);

    struct snapshot *s = c->s;
    s->entries = arena_newn(c->a, struct compiled_entry, p->entries_n);
    s->endpoints = arena_newn(c->a, struct compiled_endpoint, endpoints);
    s->binaries = arena_newn(c->a, struct compiled_binary, binaries);
    if (!s->entries || !s->endpoints || !s->binaries || endpoints >= UINT32_MAX || binaries >= UINT32_MAX)
        return no_room(c);
    for (size_t i = 0; i < p->entries_n; i++) {
        if (i > 0 && str_eq(order[i]->key, order[i - 1]->key))
            return err_set(c->err, ERR_INVALID, "network_policies.%.*s: given twice", STR_FMT(order[i]->key));
        enum err_code r = entry_compile(c, order[i], (uint32_t)i);
        if (r != ERR_OK)
            return r;
    }
    s->entries_n = p->entries_n;
    return ERR_OK;
}

// ---- snapshots
// ----------------------------------------------------------------------------------------------

static struct snapshot *snapshot_new(uint64_t generation)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    arena_init(&s->arena, POLICY_ARENA_MAX);
    atomic_init(&s->refs, 1);
    s->generation = generation;
    return s;
}

enum err_code snapshot_compile(const struct policy *policy, uint64_t generation, struct snapshot **ret,
                               struct err *reterr)
{
    CLEANUP(snapshot_unrefp) struct snapshot *s = snapshot_new(generation);
    if (!s)
        return err_set(reterr, ERR_LIMIT, "no memory for the compiled policy");
    struct compiler c = {.s = s, .a = &s->arena, .policy = policy, .err = reterr};
    enum err_code r = entries_compile(&c);
    if (r == ERR_OK)
        r = hosts_index(&c);
    if (r == ERR_OK)
        r = binaries_index(&c);
    if (r == ERR_OK)
        *ret = TAKE(s);
    return r;
}

enum err_code snapshot_quarantine(struct str reason, uint64_t generation, struct snapshot **ret,
                                  struct err *reterr)
{
    CLEANUP(snapshot_unrefp) struct snapshot *s = snapshot_new(generation);
    if (!s ||
        !arena_dup(&s->arena, reason.n > 0 ? reason : STR("no valid policy is in force"), &s->quarantine))
        return err_set(reterr, ERR_LIMIT, "no memory for the compiled policy");
    *ret = TAKE(s);
    return ERR_OK;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    // Release, so that every use of this share is over; acquire, so that the last one sees them all.
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_done(&s->arena);
    free(s);
}

uint64_t snapshot_generation(const struct snapshot *s)
{
    return s->generation;
}

size_t snapshot_bytes(const struct snapshot *s)
{
    return sizeof(*s) + s->arena.used;
}
