// The walk from facts to a decision.
//
// The endpoints that a connection falls under are the join of two indexes: the endpoints whose host matches
// (one list of ids for each pattern that does) and the binaries that match the program or an ancestor
// (likewise). Both hand out ids in order, entries first, so the join is a leapfrog: whichever side is behind
// jumps, by galloping search, to where the other stands. It costs the number of true matches, not the length
// of either list.
//
// More patterns than LISTS_MAX may match at once (dozens of overlapping wildcards). Then the walk is the
// plain one over all endpoints: slower, and the same answer.
#include "policy/decide.h"

#include "policy/compiled.h"

enum {
    LISTS_MAX = 32,
    FOUND_MAX = 32, // matches remembered between the passes over one request; more are walked again
};

struct lists {
    struct {
        const uint32_t *v;
        size_t n;
    } list[LISTS_MAX];
    size_t n;
    bool overflow;
};

static bool lists_add(void *ctx, const uint32_t *ids, size_t n)
{
    struct lists *l = ctx;
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].v == ids) // an ancestor's path seen before
            return true;
    if (l->n == LISTS_MAX) {
        l->overflow = true;
        return false;
    }
    if (n > 0) {
        l->list[l->n].v = ids;
        l->list[l->n++].n = n;
    }
    return true;
}

// The first index >= at of v[n] with v[index] >= want: galloping, then bisection.
static size_t gallop(const uint32_t *v, size_t n, uint32_t want)
{
    if (n == 0 || v[0] >= want)
        return 0;
    size_t lo = 0, step = 1; // v[lo] < want
    while (step < n && v[step] < want) {
        lo = step;
        step *= 2;
    }
    size_t hi = step < n ? step : n; // v[hi] >= want, or the end
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (v[mid] < want)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}

#define NO_ID UINT32_MAX // no endpoint, no binary: compile.c keeps ids below it

// The smallest id >= want in any list. Lists only move forward.
static uint32_t lists_next(struct lists *l, uint32_t want)
{
    uint32_t best = NO_ID;
    for (size_t i = 0; i < l->n; i++) {
        size_t skip = gallop(l->list[i].v, l->list[i].n, want);
        l->list[i].v += skip;
        l->list[i].n -= skip;
        if (l->list[i].n > 0 && l->list[i].v[0] < best)
            best = l->list[i].v[0];
    }
    return best;
}

static void exact_binary(const struct snapshot *s, struct str path, struct lists *l)
{
    size_t mask = s->bin_slots_n - 1;
    for (size_t at = str_hash(path, 0) & mask; s->bin_slots[at].n > 0; at = (at + 1) & mask) {
        if (str_eq(s->bin_slots[at].path, path)) {
            (void)lists_add(l, s->bin_slots[at].ids, s->bin_slots[at].n);
            return;
        }
    }
}

static void find_binary(const struct snapshot *s, struct str path, struct lists *l)
{
    exact_binary(s, path, l);
    if (s->bin_globs)
        globset_each(s->bin_globs, path, lists_add, l);
}

// ---- candidates: the endpoints that match host, port and program
// --------------------------------------------

struct walk {
    const struct snapshot *s;
    const struct conn_facts *c;
    struct lists hosts, binaries; // as found; copied for each pass
    bool plain;                   // no index: try every endpoint
    const struct compiled_endpoint *found[FOUND_MAX];
    size_t found_n;
    bool found_all; // found[] holds every match
};

static bool entry_has_binary(const struct snapshot *s, const struct compiled_entry *e, const struct who *who,
                             bool declared_only)
{
    struct str ignored;
    for (uint32_t i = e->binaries_lo; i < e->binaries_hi; i++)
        if (!(declared_only && s->binaries[i].harness) && binary_matches(&s->binaries[i], who, &ignored))
            return true;
    return false;
}

struct pass {
    const struct walk *w;
    size_t at; // in found[], or an endpoint id
    struct lists hosts, binaries;
};

static const struct compiled_endpoint *plain_next(struct pass *p)
{
    const struct snapshot *s = p->w->s;
    const struct conn_facts *c = p->w->c;
    while (p->at < s->endpoints_n) {
        const struct compiled_endpoint *ep = &s->endpoints[p->at++];
        if (endpoint_has_port(ep, c->port) && endpoint_has_host(ep, c->host) &&
            entry_has_binary(s, &s->entries[ep->entry], &c->who, false))
            return ep;
    }
    return NULL;
}

static const struct compiled_endpoint *join_next(struct pass *p)
{
    const struct snapshot *s = p->w->s;
    uint32_t id = lists_next(&p->hosts, (uint32_t)p->at);
    while (id != NO_ID) {
        uint32_t entry = s->endpoints[id].entry;
        uint32_t binary = lists_next(&p->binaries, s->entries[entry].binaries_lo);
        if (binary == NO_ID)
            break;
        if (binary >= s->entries[entry].binaries_hi) { // the next program match is in a later entry
            id = lists_next(&p->hosts, s->entries[s->binaries[binary].entry].endpoints_lo);
            continue;
        }
        if (endpoint_has_port(&s->endpoints[id], p->w->c->port)) {
            p->at = (size_t)id + 1;
            return &s->endpoints[id];
        }
        id = lists_next(&p->hosts, id + 1);
    }
    p->at = s->endpoints_n;
    return NULL;
}

static const struct compiled_endpoint *pass_next(struct pass *p)
{
    if (p->w->found_all)
        return p->at < p->w->found_n ? p->w->found[p->at++] : NULL;
    return p->w->plain ? plain_next(p) : join_next(p);
}

static void pass_start(struct pass *p, const struct walk *w)
{
    p->w = w;
    p->at = 0;
    if (!w->found_all && !w->plain) {
        p->hosts = w->hosts;
        p->binaries = w->binaries;
    }
}

static void walk_start(struct walk *w, const struct snapshot *s, const struct conn_facts *c)
{
    w->s = s;
    w->c = c;
    w->hosts.n = w->binaries.n = w->found_n = 0;
    w->hosts.overflow = w->binaries.overflow = w->found_all = false;
    (void)lists_add(&w->hosts, s->hostless, s->hostless_n);
    hostset_each(s->hosts, c->host, lists_add, &w->hosts);
    if (w->hosts.n > 0 || w->hosts.overflow) {
        find_binary(s, c->who.exe, &w->binaries);
        for (size_t i = 0; i < c->who.ancestors_n; i++)
            find_binary(s, c->who.ancestors[i], &w->binaries);
    }
    w->plain = w->hosts.overflow || w->binaries.overflow;

    struct pass p UNINIT;
    pass_start(&p, w);
    const struct compiled_endpoint *ep;
    while ((ep = pass_next(&p))) {
        if (w->found_n == FOUND_MAX)
            return;
        w->found[w->found_n++] = ep;
    }
    w->found_all = true;
}

// ---- connections
// --------------------------------------------------------------------------------------------

static bool is_exact_host(const struct compiled_endpoint *ep, struct str host)
{
    return ep->host && ep->host_exact && str_eq(ep->pub.host, host);
}

struct credential_facts { // over all endpoints that receive provider credentials (reference 2.3 step 8)
    bool any, all_allow, all_l7, any_skip;
};

static void connection_fact(const struct walk *w, const struct compiled_endpoint *ep, bool *seen_extended,
                            struct credential_facts *cred, struct conn_decision *d)
{
    if (ep->extended && !*seen_extended) {
        *seen_extended = true;
        d->tls_skip = ep->pub.tls_skip;
        d->allowed_ips_of = ep->pub.allowed_ips_n > 0 ? &ep->pub : NULL;
    }
    d->inspected |= endpoint_is_l7(ep);
    d->explicit_tcp |= ep->pub.protocol == PROTOCOL_TCP;
    if (is_exact_host(ep, w->c->host)) {
        d->literal_declared = true; // read only where the host is a literal
        if (!ep->pub.advisor_proposed && !d->exact_declared)
            d->exact_declared = entry_has_binary(w->s, &w->s->entries[ep->entry], &w->c->who, true);
    }
    if (ep->pub.provider_credentialed) {
        cred->any = true;
        cred->all_allow &= ep->pub.allow_uninspected_credentials;
        cred->all_l7 &= endpoint_is_l7(ep);
        cred->any_skip |= ep->pub.tls_skip;
    }
}

static bool host_is_literal(struct str host)
{
    struct ip ip;
    struct err ignored;
    return host.n > 0 && (char_is_digit(host.p[0]) || str_has(host, ':')) &&
           ip_parse(host, &ip, &ignored) == ERR_OK;
}

static bool some_endpoint(const struct snapshot *s, const struct conn_facts *c)
{
    struct lists hosts UNINIT;
    hosts.n = 0;
    hosts.overflow = false;
    (void)lists_add(&hosts, s->hostless, s->hostless_n);
    hostset_each(s->hosts, c->host, lists_add, &hosts);
    if (hosts.overflow) {
        for (size_t i = 0; i < s->endpoints_n; i++)
            if (endpoint_has_port(&s->endpoints[i], c->port) && endpoint_has_host(&s->endpoints[i], c->host))
                return true;
        return false;
    }
    for (uint32_t id = lists_next(&hosts, 0); id != NO_ID; id = lists_next(&hosts, id + 1))
        if (endpoint_has_port(&s->endpoints[id], c->port))
            return true;
    return false;
}

static bool seen(void *ctx, const uint32_t *ids, size_t n)
{
    (void)ids;
    *(bool *)ctx = n > 0;
    return false;
}

bool decide_name(const struct snapshot *s, struct str host)
{
    bool named = false;
    if (s->quarantine.n == 0)
        hostset_each(s->hosts, host, seen, &named);
    return named;
}

static struct decision denied(enum why why)
{
    return (struct decision){.verdict = VERDICT_DENY, .why = why};
}

// Why no endpoint matched.
static struct decision connection_denied(const struct snapshot *s, const struct conn_facts *c)
{
    if (s->quarantine.n > 0)
        return denied(WHY_QUARANTINE);
    return denied(some_endpoint(s, c) ? WHY_NO_BINARY : WHY_NO_ENDPOINT);
}

static struct decision connection_allowed(const struct compiled_endpoint *first)
{
    return (struct decision){.verdict = VERDICT_ALLOW,
                             .why = WHY_CONNECTION,
                             .entry = first->pub.entry,
                             .endpoint = &first->pub};
}

void decide_connection(const struct snapshot *s, const struct conn_facts *c, struct conn_decision *ret)
{
    *ret = (struct conn_decision){};
    if (s->quarantine.n > 0) {
        ret->d = denied(WHY_QUARANTINE);
        return;
    }
    struct walk w UNINIT;
    walk_start(&w, s, c);
    if (w.found_n == 0) {
        ret->d = connection_denied(s, c);
        return;
    }
    ret->d = connection_allowed(w.found[0]);
    bool seen_extended = false;
    struct credential_facts cred = {.all_allow = true, .all_l7 = true};
    struct pass p UNINIT;
    pass_start(&p, &w);
    const struct compiled_endpoint *ep;
    while ((ep = pass_next(&p)))
        connection_fact(&w, ep, &seen_extended, &cred, ret);
    ret->literal_declared &= host_is_literal(c->host);
    ret->uninspected_credentials_refused = cred.any && !cred.all_allow && (!cred.all_l7 || cred.any_skip);
}

// ---- requests
// -----------------------------------------------------------------------------------------------

// The configuration for a path: greatest specificity, the later on a tie. *ret_l7: some candidate is
// inspected.
static const struct compiled_endpoint *select_endpoint(const struct walk *w, struct str path, bool *ret_l7)
{
    const struct compiled_endpoint *best = NULL;
    struct pass p UNINIT;
    pass_start(&p, w);
    const struct compiled_endpoint *ep;
    *ret_l7 = false;
    while ((ep = pass_next(&p))) {
        if (!endpoint_is_l7(ep))
            continue;
        *ret_l7 = true;
        if ((!best || ep->specificity >= best->specificity) && endpoint_has_path(ep, path))
            best = ep;
    }
    return best;
}

const struct snap_endpoint *decide_endpoint(const struct snapshot *s, const struct conn_facts *c,
                                            struct str path)
{
    if (s->quarantine.n > 0)
        return NULL;
    struct walk w UNINIT;
    walk_start(&w, s, c);
    bool l7;
    const struct compiled_endpoint *ep = select_endpoint(&w, path, &l7);
    return ep ? &ep->pub : NULL;
}

// What no rule can allow, in audit neither. False: nothing of the kind.
static bool hard_denial(const struct compiled_endpoint *sel, const struct request_facts *r, enum why *ret)
{
    bool rpc = sel->pub.protocol == PROTOCOL_JSON_RPC || sel->pub.protocol == PROTOCOL_MCP;
    bool graphql = sel->pub.protocol == PROTOCOL_GRAPHQL || sel->pub.websocket_graphql;
    if ((graphql && r->graphql && r->graphql->error.n > 0) || (rpc && r->rpc && r->rpc->error.n > 0)) {
        *ret = WHY_MALFORMED;
        return true;
    }
    if (sel->pub.protocol == PROTOCOL_JSON_RPC && r->rpc && r->rpc->has_response) {
        *ret = WHY_RESPONSE_FRAME;
        return true;
    }
    return false;
}

// Frames that ask the server for nothing: the MCP GET stream, and a body of responses alone.
static bool is_harmless_mcp(const struct compiled_endpoint *sel, const struct request_facts *r)
{
    if (sel->pub.protocol != PROTOCOL_MCP || !r->rpc)
        return false;
    bool responses_only = r->rpc->has_response && r->rpc->calls_n == 0 &&
                          method_bit(r->method) == METHOD_POST;
    return r->rpc->receive_stream || responses_only;
}

static bool has_unregistered(const struct compiled_endpoint *sel, const struct request_facts *r)
{
    if (sel->pub.protocol != PROTOCOL_GRAPHQL || !r->graphql)
        return false;
    for (size_t i = 0; i < r->graphql->ops_n; i++) {
        struct graphql_op tmp;
        if (!endpoint_operation(sel, &r->graphql->ops[i], &tmp))
            return true;
    }
    return false;
}

static struct decision of_rule(enum verdict verdict, enum why why, const struct compiled_endpoint *ep,
                               const struct snap_rule *rule)
{
    return (struct decision){.verdict = verdict,
                             .why = why,
                             .entry = ep->pub.entry,
                             .endpoint = &ep->pub,
                             .rule = rule};
}

// A denial by the rules; on an endpoint in audit mode the request goes through and is logged.
static enum verdict refused(const struct compiled_endpoint *sel)
{
    return sel->pub.enforce ? VERDICT_DENY : VERDICT_AUDIT;
}

static bool denied_by_rule(const struct walk *w, const struct request_view *v,
                           const struct compiled_endpoint *sel, struct decision *ret)
{
    struct pass p UNINIT;
    pass_start(&p, w);
    const struct compiled_endpoint *ep;
    while ((ep = pass_next(&p))) {
        if (!endpoint_is_l7(ep) || ep->deny.n == 0 || !endpoint_has_path(ep, v->r->path))
            continue;
        const struct snap_rule *rule = endpoint_denies(ep, v);
        if (rule) {
            *ret = of_rule(refused(sel), WHY_DENY_RULE, ep, rule);
            return true;
        }
    }
    return false;
}

// What kind of rule may allow: a request that is decided on as operations or calls is opened by no rule of
// another kind.
static enum lane lane_of(const struct compiled_endpoint *sel, const struct request_facts *r)
{
    switch (sel->pub.protocol) {
    case PROTOCOL_GRAPHQL:
        return LANE_GRAPHQL;
    case PROTOCOL_JSON_RPC:
    case PROTOCOL_MCP:
        return LANE_RPC;
    case PROTOCOL_WEBSOCKET:
        return sel->pub.websocket_graphql && r->graphql ? LANE_GRAPHQL : LANE_HTTP;
    case PROTOCOL_L4:
    case PROTOCOL_TCP:
    case PROTOCOL_REST:
    case PROTOCOL_SQL:
        break;
    }
    return LANE_HTTP;
}

static bool allowed_by_rule(const struct walk *w, const struct request_view *v,
                            const struct compiled_endpoint *sel, struct decision *ret)
{
    enum lane lane = lane_of(sel, v->r);
    struct pass p UNINIT;
    pass_start(&p, w);
    const struct compiled_endpoint *ep;
    while ((ep = pass_next(&p))) {
        const struct snap_rule *rule;
        enum why why;
        if (!endpoint_is_l7(ep) || !endpoint_has_path(ep, v->r->path) ||
            !endpoint_allows(ep, v, lane, &rule, &why))
            continue;
        *ret = of_rule(VERDICT_ALLOW, why, ep, rule);
        return true;
    }
    return false;
}

static struct decision decide_selected(const struct walk *w, const struct request_facts *r,
                                       const struct compiled_endpoint *sel)
{
    struct decision d;
    enum why why;
    if (sel->pub.protocol == PROTOCOL_SQL) // relayed uninspected: there is no SQL parser (reference 1.12)
        return of_rule(VERDICT_ALLOW, WHY_CONNECTION, sel, NULL);
    if (hard_denial(sel, r, &why))
        return of_rule(VERDICT_DENY, why, sel, NULL);
    struct request_view v = {.r = r, .method = method_bit(r->method)};
    if (denied_by_rule(w, &v, sel, &d) || (!is_harmless_mcp(sel, r) && allowed_by_rule(w, &v, sel, &d)))
        return d;
    if (is_harmless_mcp(sel, r))
        return of_rule(VERDICT_ALLOW, WHY_RECEIVE_STREAM, sel, NULL);
    return of_rule(refused(sel), has_unregistered(sel, r) ? WHY_NOT_REGISTERED : WHY_NO_RULE, sel, NULL);
}

void decide_request(const struct snapshot *s, const struct conn_facts *c, const struct request_facts *r,
                    struct decision *ret)
{
    if (s->quarantine.n > 0) {
        *ret = denied(WHY_QUARANTINE);
        return;
    }
    struct walk w UNINIT;
    walk_start(&w, s, c);
    if (w.found_n == 0) {
        *ret = connection_denied(s, c);
        return;
    }
    bool l7;
    const struct compiled_endpoint *sel = select_endpoint(&w, r->path, &l7);
    if (sel)
        *ret = decide_selected(&w, r, sel);
    else if (l7)
        *ret = denied(WHY_NO_PATH);
    else
        *ret = connection_allowed(w.found[0]);
}
