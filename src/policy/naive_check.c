#include "policy/naive.h"

struct answers {
    struct conn_decision engine_conn;
    struct decision engine;
    const struct snap_endpoint *engine_endpoint;
    struct naive_conn model_conn;
    struct naive_decision model;
    struct str model_entry;
    int model_endpoint;
};

static void rule_naive(const struct naive_decision *d, char out[static 200])
{
    out[0] = '\0';
    if (d->rule >= 0)
        (void)snprintf(out, 200, "network_policies.%.*s.endpoints[%d].%s[%d]", STR_FMT(d->entry), d->endpoint,
                       d->deny_rule ? "deny_rules" : "rules", d->rule);
    else if (d->why == WHY_PRESET)
        (void)snprintf(out, 200, "network_policies.%.*s.endpoints[%d].access", STR_FMT(d->entry),
                       d->endpoint);
}

static void say(struct buf *out, enum verdict verdict, enum why why, struct str entry, int endpoint,
                struct str rule)
{
    buf_addf(out, "%s %s entry '%.*s' endpoint %d rule '%.*s'", verdict_name(verdict), why_name(why),
             STR_FMT(entry), endpoint, STR_FMT(rule));
}

static void say_engine(const struct decision *d, struct buf *out)
{
    struct buf rule;
    buf_init(&rule, 4 * KIB);
    if (d->rule || d->why == WHY_PRESET)
        decision_rule(d, &rule);
    say(out, d->verdict, d->why, d->entry ? d->entry->key : STR(""),
        d->endpoint ? (int)d->endpoint->index : -1, buf_str(&rule));
    if (d->endpoint && d->endpoint->entry != d->entry)
        buf_add(out, STR(" of another entry"));
    buf_done(&rule);
}

static void say_naive(const struct naive_decision *d, struct buf *out)
{
    char rule[200];
    rule_naive(d, rule);
    say(out, d->verdict, d->why, d->entry, d->endpoint, str_of(rule));
}

static void say_further(struct buf *out, bool skip, struct str ips_entry, int ips_endpoint,
                        const bool flags[5])
{
    buf_addf(out, "; skip %d ips of '%.*s' %d inspected %d exact %d literal %d tcp %d refused %d", skip,
             STR_FMT(ips_entry), ips_endpoint, flags[0], flags[1], flags[2], flags[3], flags[4]);
}

static void say_connection_engine(const struct conn_decision *d, struct buf *out)
{
    const struct snap_endpoint *ips = d->allowed_ips_of;
    say_engine(&d->d, out);
    say_further(out, d->tls_skip, ips ? ips->entry->key : STR(""), ips ? (int)ips->index : -1,
                (bool[]){d->inspected, d->exact_declared, d->literal_declared, d->explicit_tcp,
                         d->uninspected_credentials_refused});
}

static void say_connection_naive(const struct naive_conn *d, struct buf *out)
{
    say_naive(&d->d, out);
    say_further(out, d->tls_skip, d->allowed_ips_entry, d->allowed_ips_endpoint,
                (bool[]){d->inspected, d->exact_declared, d->literal_declared, d->explicit_tcp,
                         d->uninspected_credentials_refused});
}

static void say_selected(struct buf *out, struct str entry, int endpoint)
{
    buf_addf(out, "\n  selected '%.*s' %d\n  ", STR_FMT(entry), endpoint);
}

static bool place_agrees(const struct snap_entry *e, const struct snap_endpoint *ep, struct str entry,
                         int index)
{
    bool same_entry = e ? str_eq(e->key, entry) : entry.n == 0;
    return same_entry && (ep ? ep->entry == e && (int)ep->index == index : index == -1);
}

static bool agrees(const struct decision *d, const struct naive_decision *n)
{
    if (d->verdict != n->verdict || d->why != n->why || (d->rule != NULL) != (n->rule >= 0) ||
        !place_agrees(d->entry, d->endpoint, n->entry, n->endpoint))
        return false;
    if (!d->rule && d->why != WHY_PRESET)
        return true;
    char want[200];
    struct buf rule;
    buf_init(&rule, 4 * KIB);
    decision_rule(d, &rule);
    rule_naive(n, want);
    bool same = str_eq(buf_str(&rule), str_of(want));
    buf_done(&rule);
    return same;
}

static bool connection_agrees(const struct conn_decision *d, const struct naive_conn *n)
{
    const struct snap_endpoint *ips = d->allowed_ips_of;
    return agrees(&d->d, &n->d) &&
           place_agrees(ips ? ips->entry : NULL, ips, n->allowed_ips_entry, n->allowed_ips_endpoint) &&
           d->tls_skip == n->tls_skip && d->inspected == n->inspected &&
           d->exact_declared == n->exact_declared && d->literal_declared == n->literal_declared &&
           d->explicit_tcp == n->explicit_tcp &&
           d->uninspected_credentials_refused == n->uninspected_credentials_refused;
}

// Only where the two differ are they put into words.
static void report(const struct answers *a, struct buf *out)
{
    const struct snap_endpoint *ep = a->engine_endpoint;
    buf_add(out, STR("engine:\n  "));
    say_connection_engine(&a->engine_conn, out);
    say_selected(out, ep ? ep->entry->key : STR(""), ep ? (int)ep->index : -1);
    say_engine(&a->engine, out);
    buf_add(out, STR("\nmodel:\n  "));
    say_connection_naive(&a->model_conn, out);
    say_selected(out, a->model_entry, a->model_endpoint);
    say_naive(&a->model, out);
    buf_addc(out, '\n');
}

bool naive_check(const struct policy *p, const struct snapshot *s, const struct conn_facts *c,
                 const struct request_facts *r, enum why *ret_why, struct buf *out)
{
    struct answers a = {.model_endpoint = -1};
    decide_connection(s, c, &a.engine_conn);
    decide_request(s, c, r, &a.engine);
    a.engine_endpoint = decide_endpoint(s, c, r->path);
    naive_connection(p, c, &a.model_conn);
    naive_request(p, c, r, &a.model);
    (void)naive_endpoint(p, c, r->path, &a.model_entry, &a.model_endpoint); // none: both stay as they are
    *ret_why = a.engine.why;

    const struct snap_endpoint *ep = a.engine_endpoint;
    if (connection_agrees(&a.engine_conn, &a.model_conn) && agrees(&a.engine, &a.model) &&
        place_agrees(ep ? ep->entry : NULL, ep, a.model_entry, a.model_endpoint))
        return true;
    report(&a, out);
    return false;
}
