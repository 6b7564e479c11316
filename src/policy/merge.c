// Operations are applied one after the other to a copy of the policy, which is handed over only if all of
// them fit.
//
// A rule grants each of its endpoints to each of its binaries. Folding an added rule into an existing one
// therefore may grant more than both together: a new binary gets the old endpoints, an old binary the new
// ones, a port the rules of its neighbours. fold_excess() finds that out by folding copies and looking at the
// result. The added rule then gets a key of its own, which grants exactly what was asked for; where the
// caller named the key of an existing rule, there is no such way out, and the operation is refused.
#include "policy/merge.h"
#include "policy/grant.h"
#include "policy/merge_endpoint.h"
#include "policy/shape.h"

struct ctx {
    struct merge_sink sink;
    const struct policy *base;
    struct policy *w; // the copy; its list of entries has room for one more for each operation
};

static struct policy_entry *find_entry(struct policy *p, struct str key)
{
    for (size_t i = 0; i < p->entries_n; i++)
        if (str_eq(p->entries[i].key, key))
            return &p->entries[i];
    return NULL;
}

static void drop_entry(struct policy *p, struct policy_entry *e)
{
    struct policy_entry *end = p->entries + p->entries_n;
    memmove(e, e + 1, (size_t)(end - e - 1) * sizeof(*e));
    p->entries_n--;
}

static struct str place(struct keypath *kp, struct str key, size_t endpoint)
{
    *kp = (struct keypath){};
    (void)keypath_key(kp, STR("network_policies"));
    (void)keypath_key(kp, key);
    if (endpoint != SIZE_MAX) {
        (void)keypath_key(kp, STR("endpoints"));
        (void)keypath_index(kp, endpoint);
    }
    return keypath_str(kp);
}

static bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
    return str_eq_ci(a->host, b->host) && grant_same_path(a->path, b->path);
}

static bool shares_port(const struct endpoint *a, const struct endpoint *b)
{
    for (size_t i = 0; i < a->ports_n; i++)
        if (grant_has_port(b, a->ports[i]))
            return true;
    return false;
}

static bool has_ports_of(const struct endpoint *big, const struct endpoint *small)
{
    for (size_t i = 0; i < small->ports_n; i++)
        if (!grant_has_port(big, small->ports[i]))
            return false;
    return true;
}

// How many endpoints of `e` the incoming `in` overlaps; *ret_i is the first of them.
static size_t overlaps(const struct policy_entry *e, const struct endpoint *in, size_t *ret_i)
{
    size_t n = 0;
    for (size_t i = e->endpoints_n; i-- > 0;)
        if (is_same_place(&e->endpoints[i], in) && shares_port(&e->endpoints[i], in)) {
            *ret_i = i;
            n++;
        }
    return n;
}

// ---- what folding would grant beyond what was asked for
// ------------------------------------------------------

struct fold {
    bool old_binaries;  // binaries of the existing rule that the added one does not name
    bool new_binaries;  // and the other way round
    bool is_named;      // the caller asked for this very rule
    bool is_shared;     // ret: binaries will share the rules of an endpoint, which such a caller is told
    const char *excess; // ret: what nobody asked for, or NULL
};

static bool names_other_binary(const struct policy_entry *a, const struct policy_entry *than)
{
    if (than->binaries_n == 0) // any
        return false;
    for (size_t i = 0; i < a->binaries_n; i++)
        if (!grant_has_binary(than, a->binaries[i].path))
            return true;
    return a->binaries_n == 0;
}

// Every field but the ports.
static bool is_same_contract(const struct endpoint *a, const struct endpoint *b)
{
    struct endpoint x = *a;
    x.ports = b->ports;
    x.ports_n = b->ports_n;
    return shape_same(&shape_endpoint, &x, b);
}

static enum err_code look_at_endpoint(struct ctx *c, const struct endpoint *old, const struct endpoint *in,
                                      struct fold *f)
{
    struct merge_sink trial = c->sink;
    trial.warnings = NULL;
    struct endpoint joined;
    if (!policy_clone_endpoint(old, c->sink.a, &joined))
        return merge_no_room(&c->sink);
    enum err_code r = merge_endpoints(&trial, &joined, in, (struct str){});
    if (r != ERR_OK)
        return r;
    joined.ports = old->ports;
    joined.ports_n = old->ports_n;
    bool is_changed = !is_same_contract(&joined, old);
    bool is_open = in->protocol.n == 0 && in->access.n == 0 &&
                   in->rules_n == 0; // it leaves the contract to us
    bool is_more = !is_open && !grant_covers_rules(in, &joined);
    if (f->old_binaries && !has_ports_of(old, in))
        f->excess = "the binaries of that rule would inherit a new port";
    else if ((is_changed && !has_ports_of(in, old)) || (is_more && !has_ports_of(old, in)))
        f->excess = "a port that the other one does not declare would change";
    else if ((f->old_binaries && is_changed) || (f->new_binaries && is_more)) {
        f->is_shared = true;
        if (!f->is_named)
            f->excess = "binaries would inherit rules that they were not given";
    }
    return ERR_OK;
}

static bool is_within(const struct endpoint *e, const struct policy_entry *in)
{
    for (size_t p = 0; p < e->ports_n; p++) {
        size_t i = 0;
        while (i < in->endpoints_n &&
               !(is_same_place(e, &in->endpoints[i]) && grant_has_port(&in->endpoints[i], e->ports[p])))
            i++;
        if (i == in->endpoints_n)
            return false;
    }
    return true;
}

static enum err_code fold_excess(struct ctx *c, const struct policy_entry *old, const struct policy_entry *in,
                                 struct fold *f)
{
    // Whoever names a rule and no binary means the binaries of that rule.
    bool is_silent = f->is_named && in->binaries_n == 0;
    f->old_binaries = !is_silent && names_other_binary(old, in);
    f->new_binaries = !is_silent && names_other_binary(in, old);
    if (f->new_binaries && in->binaries_n == 0)
        f->excess = "that rule is for some binaries, this one for any";
    for (size_t i = 0; f->new_binaries && !f->excess && i < old->endpoints_n; i++)
        if (!is_within(&old->endpoints[i], in))
            f->excess = "a new binary would inherit the other endpoints of that rule";
    for (size_t i = 0; !f->excess && i < in->endpoints_n; i++) {
        size_t at = 0, n = overlaps(old, &in->endpoints[i], &at);
        if (n > 1)
            return err_set(c->sink.err, ERR_PRECONDITION,
                           "ambiguous: endpoint %.*s overlaps %zu endpoints of rule '%.*s'",
                           STR_FMT(in->endpoints[i].host), n, STR_FMT(old->key));
        if (n == 0 && f->old_binaries)
            f->excess = "the binaries of that rule would inherit the new endpoint";
        enum err_code r = n > 0 ? look_at_endpoint(c, &old->endpoints[at], &in->endpoints[i], f) : ERR_OK;
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

// ---- add-rule
// ----------------------------------------------------------------------------------------------

static enum err_code fold_binaries(struct ctx *c, struct policy_entry *e, const struct policy_entry *in)
{
    struct keypath kp;
    if (e->binaries_n == 0 || in->binaries_n == 0) {
        if (e->binaries_n != in->binaries_n && c->sink.warnings)
            diag_warning(c->sink.warnings, place(&kp, e->key, SIZE_MAX), "", "%s",
                         e->binaries_n == 0 ? "the wider scope of the rule, any binary, was kept"
                                            : "the rule keeps its binaries; the added one names none");
        return ERR_OK;
    }
    struct binary *v = arena_newn(c->sink.a, struct binary, e->binaries_n + in->binaries_n);
    if (!v)
        return merge_no_room(&c->sink);
    memcpy(v, e->binaries, e->binaries_n * sizeof(*v));
    size_t n = e->binaries_n;
    for (size_t i = 0; i < in->binaries_n; i++)
        if (!grant_has_binary(e, in->binaries[i].path))
            v[n++] = in->binaries[i];
    e->binaries = v;
    e->binaries_n = n;
    return ERR_OK;
}

static enum err_code fold(struct ctx *c, struct policy_entry *e, const struct policy_entry *in)
{
    struct endpoint *v = arena_newn(c->sink.a, struct endpoint, e->endpoints_n + in->endpoints_n);
    if (!v)
        return merge_no_room(&c->sink);
    if (e->endpoints_n > 0)
        memcpy(v, e->endpoints, e->endpoints_n * sizeof(*v));
    e->endpoints = v;
    for (size_t i = 0; i < in->endpoints_n; i++) {
        size_t at = 0;
        if (overlaps(e, &in->endpoints[i], &at) == 0) {
            e->endpoints[e->endpoints_n++] = in->endpoints[i];
            continue;
        }
        struct keypath kp;
        enum err_code r = merge_endpoints(&c->sink, &e->endpoints[at], &in->endpoints[i],
                                          place(&kp, e->key, at));
        if (r != ERR_OK)
            return r;
    }
    return fold_binaries(c, e, in);
}

// The rule that shares an endpoint with `in`: the first by key, so that the order of the file does not
// matter.
static struct policy_entry *find_overlap(struct policy *p, const struct policy_entry *in)
{
    struct policy_entry *first = NULL;
    for (size_t i = 0; i < p->entries_n; i++) {
        struct policy_entry *e = &p->entries[i];
        if (grant_is_provider_key(e->key) || (first && str_cmp(first->key, e->key) <= 0))
            continue;
        size_t at = 0;
        for (size_t k = 0; k < in->endpoints_n; k++)
            if (overlaps(e, &in->endpoints[k], &at) > 0)
                first = e;
    }
    return first;
}

static enum err_code fold_or_append(struct ctx *c, const struct policy_entry *in)
{
    struct policy_entry *e = find_entry(c->w, in->key);
    struct fold f = {.is_named = e != NULL};
    if (!e)
        e = find_overlap(c->w, in);
    struct keypath kp;
    enum err_code r = e ? fold_excess(c, e, in, &f) : ERR_OK;
    if (r != ERR_OK)
        return r;
    if (f.excess && f.is_named)
        return err_set(c->sink.err, ERR_PRECONDITION,
                       "binary inheritance: folding into rule '%.*s' is refused, %s", STR_FMT(e->key),
                       f.excess);
    if (e && !f.excess) {
        if (f.is_shared && c->sink.warnings)
            diag_warning(c->sink.warnings, place(&kp, e->key, SIZE_MAX),
                         "use another rule name to keep them apart",
                         "all binaries of the rule now share the rules of its endpoints");
        return fold(c, e, in);
    }
    if (f.excess && c->sink.warnings)
        diag_warning(c->sink.warnings, place(&kp, in->key, SIZE_MAX), "",
                     "kept as a rule of its own instead of being folded into '%.*s': %s", STR_FMT(e->key),
                     f.excess);
    c->w->entries[c->w->entries_n++] = *in;
    return ERR_OK;
}

// Whether `p` has, at host and port, an endpoint that is MCP (or is not).
static bool has_kind(const struct policy *p, struct str host, uint32_t port, bool is_mcp)
{
    for (size_t i = 0; i < p->entries_n; i++)
        for (size_t k = 0; k < p->entries[i].endpoints_n; k++) {
            const struct endpoint *e = &p->entries[i].endpoints[k];
            if (merge_is_mcp(e) == is_mcp && str_eq_ci(e->host, host) && grant_has_port(e, port))
                return true;
        }
    return false;
}

static bool is_mixed(const struct policy *p, struct str host, uint32_t port)
{
    return has_kind(p, host, port, true) && has_kind(p, host, port, false);
}

static enum err_code check_mcp_mix(const struct ctx *c, const struct policy_entry *in)
{
    for (size_t i = 0; i < in->endpoints_n; i++)
        for (size_t k = 0; k < in->endpoints[i].ports_n; k++) {
            struct str host = in->endpoints[i].host;
            uint32_t port = in->endpoints[i].ports[k];
            if (is_mixed(c->w, host, port) && !is_mixed(c->base, host, port))
                return err_set(c->sink.err, ERR_PRECONDITION,
                               "conflicting inspection contract: %.*s:%u would be both MCP and non-MCP",
                               STR_FMT(host), port);
        }
    return ERR_OK;
}

// Whether two endpoints are looked into in the same way; what they allow is another matter.
static bool is_same_inspection(const struct endpoint *a, const struct endpoint *b)
{
    struct endpoint x = *a, y = *b;
    x.rules_n = y.rules_n = x.deny_rules_n = y.deny_rules_n = 0;
    x.access = y.access = (struct str){};
    x.host = y.host; // the same but for case
    if (!grant_same_path(x.path, y.path))
        return false;
    x.path = y.path;
    return is_same_contract(&x, &y);
}

// An advisor has seen a host and a port, not the contract that is in force there, so its single endpoint
// takes that over (reference 7.3), as long as there is only one.
static enum err_code adopt_contract(struct ctx *c, struct policy_entry *in)
{
    struct endpoint *e = in->endpoints;
    if (in->endpoints_n != 1 || !e->advisor_proposed || e->ports_n != 1 || e->host.n == 0)
        return ERR_OK;
    const struct endpoint *found = NULL;
    for (size_t i = 0; i < c->w->entries_n; i++)
        for (size_t k = 0; k < c->w->entries[i].endpoints_n; k++) {
            const struct endpoint *x = &c->w->entries[i].endpoints[k];
            if (!str_eq_ci(x->host, e->host) || !grant_has_port(x, e->ports[0]) ||
                (e->path.n > 0 && !grant_same_path(x->path, e->path)))
                continue;
            if (found && !is_same_inspection(found, x))
                return err_set(
                    c->sink.err, ERR_PRECONDITION,
                    "conflicting inspection contract: %.*s:%u has several, and the proposal fits none alone",
                    STR_FMT(e->host), e->ports[0]);
            found = found ? found : x;
        }
    if (!found || (e->protocol.n > 0 && !str_eq(e->protocol, found->protocol)))
        return ERR_OK; // where the protocols conflict, folding says so
    struct endpoint taken;
    if (!policy_clone_endpoint(found, c->sink.a, &taken))
        return merge_no_room(&c->sink);
    taken.ports = e->ports;
    taken.ports_n = 1;
    if (e->rules_n > 0 || e->access.n > 0) {
        taken.access = e->access;
        taken.rules = e->rules;
        taken.rules_n = e->rules_n;
    }
    *e = taken;
    return ERR_OK;
}

static enum err_code add_rule(struct ctx *c, const struct merge_op *op)
{
    if (!op->entry || op->entry->endpoints_n == 0)
        return err_set(c->sink.err, ERR_INVALID, "a rule needs at least one endpoint");
    for (size_t i = 0; i < op->entry->endpoints_n; i++)
        if (op->entry->endpoints[i].ports_n == 0)
            return err_set(c->sink.err, ERR_INVALID, "endpoint %zu needs a port", i + 1);
    struct policy_entry in;
    struct str key = op->name;
    const struct endpoint *first = op->entry->endpoints;
    if (key.n == 0 && first->host.n == 0)
        return err_set(c->sink.err, ERR_INVALID, "a rule whose first endpoint has no host needs a name");
    if (!policy_clone_entry(op->entry, c->sink.a, &in) ||
        !(key.n > 0 ? arena_dup(c->sink.a, key, &in.key)
                    : merge_rule_name(first->host, first->ports[0], c->sink.a, &in.key)))
        return merge_no_room(&c->sink);
    enum err_code r = adopt_contract(c, &in);
    if (r == ERR_OK)
        r = fold_or_append(c, &in);
    return r == ERR_OK ? check_mcp_mix(c, &in) : r;
}

// ---- the others
// --------------------------------------------------------------------------------------------

static bool drop_port(struct endpoint *e, uint32_t port)
{
    size_t n = 0;
    for (size_t i = 0; i < e->ports_n; i++)
        if (e->ports[i] != port)
            e->ports[n++] = e->ports[i];
    bool is_dropped = n < e->ports_n;
    e->ports_n = n;
    return is_dropped;
}

static enum err_code remove_endpoint(struct ctx *c, const struct merge_op *op)
{
    bool is_found = false;
    if (op->name.n > 0 && !find_entry(c->w, op->name))
        return err_set(c->sink.err, ERR_NOT_FOUND, "rule '%.*s' not found", STR_FMT(op->name));
    for (size_t i = c->w->entries_n; i-- > 0;) {
        struct policy_entry *e = &c->w->entries[i];
        if (op->name.n > 0 ? !str_eq(e->key, op->name) : grant_is_provider_key(e->key))
            continue;
        bool is_hit = false;
        size_t n = 0;
        for (size_t k = 0; k < e->endpoints_n; k++) {
            struct endpoint x = e->endpoints[k];
            bool is_dropped = str_eq_ci(x.host, op->host) && drop_port(&x, op->port);
            is_hit |= is_dropped;
            if (!is_dropped || x.ports_n > 0)
                e->endpoints[n++] = x;
        }
        e->endpoints_n = n;
        if (is_hit && n == 0)
            drop_entry(c->w, e);
        is_found |= is_hit;
    }
    if (!is_found)
        return err_set(c->sink.err, ERR_NOT_FOUND, "endpoint not found");
    return ERR_OK;
}

static enum err_code remove_rule(struct ctx *c, const struct merge_op *op)
{
    struct policy_entry *e = find_entry(c->w, op->name);
    if (!e)
        return err_set(c->sink.err, ERR_NOT_FOUND, "rule '%.*s' not found", STR_FMT(op->name));
    drop_entry(c->w, e);
    return ERR_OK;
}

static enum err_code remove_binary(struct ctx *c, const struct merge_op *op)
{
    struct policy_entry *e = find_entry(c->w, op->name);
    if (!e)
        return err_set(c->sink.err, ERR_NOT_FOUND, "rule '%.*s' not found", STR_FMT(op->name));
    if (e->binaries_n == 0)
        return err_set(c->sink.err, ERR_PRECONDITION,
                       "rule '%.*s' is for any binary, so none can be taken from it", STR_FMT(e->key));
    size_t n = 0;
    for (size_t i = 0; i < e->binaries_n; i++)
        if (!str_eq(e->binaries[i].path, op->binary))
            e->binaries[n++] = e->binaries[i];
    if (n == e->binaries_n)
        return err_set(c->sink.err, ERR_NOT_FOUND, "binary '%.*s' not found in rule '%.*s'",
                       STR_FMT(op->binary), STR_FMT(e->key));
    e->binaries_n = n;
    if (n == 0) // a rule without binaries would be one for any
        drop_entry(c->w, e);
    return ERR_OK;
}

// The only endpoint at host and port, or an error that names the rules of all.
static enum err_code find_one(struct ctx *c, const struct merge_op *op, struct policy_entry **ret,
                              size_t *ret_i)
{
    size_t n = 0;
    struct str rules[2] = {};
    for (size_t i = 0; i < c->w->entries_n; i++) {
        struct policy_entry *e = &c->w->entries[i];
        for (size_t k = 0; !grant_is_provider_key(e->key) && k < e->endpoints_n; k++) {
            if (!str_eq_ci(e->endpoints[k].host, op->host) || !grant_has_port(&e->endpoints[k], op->port))
                continue;
            if (n < 2)
                rules[n] = e->key;
            if (n++ == 0) {
                *ret = e;
                *ret_i = k;
            }
        }
    }
    if (n == 0)
        return err_set(c->sink.err, ERR_NOT_FOUND, "endpoint not found");
    if (n > 1)
        return err_set(c->sink.err, ERR_PRECONDITION,
                       "ambiguous endpoint: %zu match, in rules '%.*s' and '%.*s'%s", n, STR_FMT(rules[0]),
                       STR_FMT(rules[1]), n > 2 ? " and more" : "");
    return ERR_OK;
}

// The operation is about one port: an endpoint that has others is split, so that those stay as they are.
static enum err_code single_out(struct ctx *c, struct policy_entry *e, size_t *i, uint32_t port)
{
    if (e->endpoints[*i].ports_n == 1)
        return ERR_OK;
    struct endpoint *v = arena_newn(c->sink.a, struct endpoint, e->endpoints_n + 1);
    uint32_t *ports = arena_newn(c->sink.a, uint32_t, 1);
    if (!v || !ports || !policy_clone_endpoint(&e->endpoints[*i], c->sink.a, &v[e->endpoints_n]))
        return merge_no_room(&c->sink);
    memcpy(v, e->endpoints, e->endpoints_n * sizeof(*v));
    (void)drop_port(&v[*i], port);
    struct keypath kp;
    if (c->sink.warnings)
        diag_warning(c->sink.warnings, place(&kp, e->key, *i), "",
                     "port %u was split off, so that the endpoint's other ports do not change", port);
    *i = e->endpoints_n;
    ports[0] = port;
    v[*i].ports = ports;
    v[*i].ports_n = 1;
    e->endpoints = v;
    e->endpoints_n++;
    return ERR_OK;
}

static enum err_code add_l7(struct ctx *c, const struct merge_op *op)
{
    static const struct l7_rule nothing;
    if (op->rules_n == 0)
        return err_set(c->sink.err, ERR_INVALID, "at least one rule is needed");
    for (size_t i = 0; i < op->rules_n; i++)
        if (shape_same(&shape_rule, &op->rules[i], &nothing))
            return err_set(c->sink.err, ERR_INVALID, "rule %zu says nothing", i + 1);
    struct policy_entry *e = NULL;
    size_t i = 0;
    enum err_code r = find_one(c, op, &e, &i);
    if (r != ERR_OK)
        return r;
    const struct endpoint *x = &e->endpoints[i];
    if (!grant_is_inspected(x))
        return err_set(c->sink.err, ERR_PRECONDITION, "the endpoint in rule '%.*s' has no L7 inspection",
                       STR_FMT(e->key));
    if (!str_eq(x->protocol, STR("rest")) && !str_eq(x->protocol, STR("websocket")))
        return err_set(c->sink.err, ERR_PRECONDITION,
                       "unsupported protocol '%.*s': rest and websocket take rules so", STR_FMT(x->protocol));
    if (op->kind == MERGE_ADD_DENY && x->rules_n == 0 && x->access.n == 0)
        return err_set(c->sink.err, ERR_PRECONDITION,
                       "no base allow: the endpoint has neither rules nor access");
    r = single_out(c, e, &i, op->port);
    if (r != ERR_OK)
        return r;
    struct keypath kp;
    return op->kind == MERGE_ADD_DENY
               ? merge_deny_rules(&c->sink, &e->endpoints[i], op->rules, op->rules_n)
               : merge_allow_rules(&c->sink, &e->endpoints[i], op->rules, op->rules_n, place(&kp, e->key, i));
}

// ---- a batch
// -----------------------------------------------------------------------------------------------

static const struct kind {
    const char *word;
    bool has_name, has_host, has_binary; // required, beside what the function itself asks for
    enum err_code (*apply)(struct ctx *c, const struct merge_op *op);
} kinds[] = {
    [MERGE_ADD_RULE] = {"add-rule", false, false, false, add_rule},
    [MERGE_REMOVE_ENDPOINT] = {"remove-endpoint", false, true, false, remove_endpoint},
    [MERGE_REMOVE_RULE] = {"remove-rule", true, false, false, remove_rule},
    [MERGE_ADD_ALLOW] = {"add-allow", false, true, false, add_l7},
    [MERGE_ADD_DENY] = {"add-deny", false, true, false, add_l7},
    [MERGE_REMOVE_BINARY] = {"remove-binary", true, false, true, remove_binary},
};

static bool is_known(const struct merge_op *op)
{
    return (unsigned)op->kind < ARRAY_LEN(kinds);
}

static enum err_code apply(struct ctx *c, const struct merge_op *op)
{
    const struct kind *k = &kinds[op->kind];
    if (k->has_name && op->name.n == 0)
        return err_set(c->sink.err, ERR_INVALID, "the name of a rule is needed");
    if (grant_is_provider_key(op->name))
        return err_set(c->sink.err, ERR_INVALID, "rule names that begin with '_provider_' are reserved");
    if (k->has_host && (op->host.n == 0 || op->port == 0 || op->port > UINT16_MAX))
        return err_set(c->sink.err, ERR_INVALID, "a host and a port from 1 to 65535 are needed");
    if (k->has_binary && op->binary.n == 0)
        return err_set(c->sink.err, ERR_INVALID, "the path of a binary is needed");
    return k->apply(c, op);
}

static enum err_code in_operation(const struct merge_op *op, size_t i, enum err_code r, struct err *reterr)
{
    if (!is_known(op))
        return err_wrap(reterr, r, "operation %zu", i + 1);
    const char *word = kinds[op->kind].word;
    if (kinds[op->kind].has_host)
        return err_wrap(reterr, r, "operation %zu (%s %.*s:%u)", i + 1, word, STR_FMT(op->host), op->port);
    return err_wrap(reterr, r, "operation %zu (%s%s%.*s)", i + 1, word, op->name.n ? " " : "",
                    STR_FMT(op->name));
}

enum err_code policy_merge(const struct policy *base, const struct merge_op *ops, size_t n, struct arena *a,
                           struct policy **ret, struct diags *warnings, struct err *reterr)
{
    struct ctx c = {.sink = {a, warnings, reterr}, .base = base};
    size_t room;
    struct policy_entry *entries = add_ok(base->entries_n, n, &room)
                                       ? arena_newn(a, struct policy_entry, room)
                                       : NULL;
    if (!entries || !policy_clone(base, a, &c.w))
        return merge_no_room(&c.sink);
    if (base->entries_n > 0)
        memcpy(entries, c.w->entries, base->entries_n * sizeof(*entries));
    c.w->entries = entries;

    struct diags before = *warnings;
    for (size_t i = 0; i < n; i++) {
        enum err_code r = is_known(&ops[i]) ? apply(&c, &ops[i])
                                            : err_set(reterr, ERR_INVALID, "unknown kind");
        if (r != ERR_OK) {
            *warnings = before; // nothing was done, so there is nothing to be warned of
            return r == ERR_LIMIT ? r : in_operation(&ops[i], i, r, reterr);
        }
    }
    if (warnings->no_room)
        return arena_limit(warnings->arena, "the warnings of a merge", reterr);
    *ret = c.w;
    return ERR_OK;
}

bool merge_rule_name(struct str host, uint32_t port, struct arena *a, struct str *ret)
{
    struct str name;
    if (!arena_fmt(a, &name, "allow_%.*s_%u", (int)str_head(host, INT32_MAX).n, host.n > 0 ? host.p : "",
                   port))
        return false;
    char *p = arena_alloc(a, name.n);
    if (!p)
        return false;
    for (size_t i = 0; i < name.n; i++)
        p[i] = name.p[i] == '.' || name.p[i] == '-' ? '_' : name.p[i];
    *ret = (struct str){p, name.n};
    return true;
}
