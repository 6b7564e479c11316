// The gate that every door leads through: policy, resolution, internal ranges, and the addresses pinned for
// the dial.
#include "supervisor/egress/egress.h"

#include "base/clock.h"
#include "policy/ssrf.h"

// "host", "host:port", "[v6]", "[v6]:port" into host and port; an empty port text is an error.
static enum err_code split_port(struct str authority, struct str *host, struct str *port, struct err *e)
{
    *host = authority;
    *port = (struct str){};
    ptrdiff_t colon = -1;
    if (authority.n > 0 && authority.p[0] == '[') {
        ptrdiff_t end = str_find(authority, ']');
        if (end < 0)
            return err_set(e, ERR_INVALID, "authority '%.*s': no ']'", STR_FMT(authority));
        *host = str_head(authority, (size_t)end + 1);
        struct str rest = str_from(authority, (size_t)end + 1);
        if (rest.n == 0)
            return ERR_OK;
        if (rest.p[0] != ':')
            return err_set(e, ERR_INVALID, "authority '%.*s': text behind ']'", STR_FMT(authority));
        colon = end + 1;
    } else {
        colon = str_find(authority, ':');
        if (colon < 0)
            return ERR_OK;
        *host = str_head(authority, (size_t)colon);
    }
    *port = str_from(authority, (size_t)colon + 1);
    if (port->n == 0)
        return err_set(e, ERR_INVALID, "authority '%.*s': no port behind ':'", STR_FMT(authority));
    return ERR_OK;
}

enum err_code target_parse(struct str authority, uint16_t default_port, struct target *ret, struct err *e)
{
    struct str host, port_text;
    enum err_code r = split_port(authority, &host, &port_text, e);
    if (r != ERR_OK)
        return r;
    struct target t = {.port = default_port};
    if (port_text.p) {
        uint64_t port;
        if (!str_u64(port_text, UINT16_MAX, &port) || port == 0)
            return err_set(e, ERR_INVALID, "port '%.*s' is not in 1..65535", STR_FMT(port_text));
        t.port = (uint16_t)port;
    } else if (default_port == 0) {
        return err_set(e, ERR_INVALID, "authority '%.*s' has no port", STR_FMT(authority));
    }
    bool zone = false;
    struct err ignored;
    if (ip_parse_any(host, &t.ip, &zone, &ignored) == ERR_OK) {
        if (zone) // an address that depends on an interface is link-local, and means nothing outside
            return err_set(e, ERR_INVALID, "host '%.*s': zone ids are not accepted", STR_FMT(host));
        t.literal = true;
        t.host_n = ip_format(&t.ip, t.host);
    } else {
        struct host name;
        r = host_parse(host, &name, e);
        if (r != ERR_OK)
            return err_wrap(e, r, "host '%.*s'", STR_FMT(host));
        memcpy(t.host, name.b, name.n + 1);
        t.host_n = name.n;
    }
    *ret = t;
    return ERR_OK;
}

void admission_done(struct admission *a)
{
    if (!a)
        return;
    snapshot_unref(a->policy);
    *a = (struct admission){};
}

// "CONNECT h:p" or "METHOD h:p/path", as the denial texts have it.
static void what_text(const struct target *t, struct str what, struct str path, char *out, size_t size)
{
    bool v6 = t->literal && t->ip.family == 6;
    (void)snprintf(out, size, "%.*s %s%s%s:%u%.*s", STR_FMT(what), v6 ? "[" : "", t->host, v6 ? "]" : "",
                   t->port, (int)(path.n < 200 ? path.n : 200), path.n > 0 ? path.p : "");
}

static enum err_code refused(const struct target *t, struct str what, struct str path,
                             const struct snapshot *s, const struct conn_facts *f, const char *id_error,
                             struct denial *deny, struct err *e)
{
    char text[400];
    what_text(t, what, path, text, sizeof(text));
    deny->status = 403;
    deny->error = "policy_denied";
    (void)snprintf(deny->detail, sizeof(deny->detail), "%s not permitted by policy", text);
    CLEANUP(buf_done) struct buf why;
    buf_init(&why, sizeof(deny->reason) - 1);
    if (id_error)
        buf_add(&why, str_of(id_error));
    else
        decision_reason(s, f, NULL, &deny->d, &why);
    struct str reason = buf_str(&why);
    memcpy(deny->reason, reason.p, reason.n);
    deny->reason[reason.n] = '\0';
    return err_set(e, ERR_DENIED, "%s", deny->detail);
}

static enum err_code ssrf_refused(const struct target *t, struct str what, const char *kind,
                                  struct denial *deny, struct err *e)
{
    char text[400];
    what_text(t, what, STR(""), text, sizeof(text));
    deny->status = 403;
    deny->error = "ssrf_denied";
    deny->stage = "ssrf";
    (void)snprintf(deny->detail, sizeof(deny->detail), "%s blocked: %s", text, kind);
    (void)snprintf(deny->reason, sizeof(deny->reason), "%s", e->msg);
    return ERR_DENIED;
}

// Resolves and checks; on success the addresses are those that may be dialled.
static enum err_code pin(struct conn *c, const struct target *t, struct str what, struct admission *a,
                         struct denial *deny, struct err *e)
{
    const struct ssrf_facts f = {.host = target_host(t),
                                 .port = t->port,
                                 .trusted_gateway = c->e->trusted_gateway};
    if (t->literal) {
        a->addrs[0] = t->ip;
        a->addrs_n = 1;
    } else {
        struct wait w = conn_wait(c, deadline_in_ms(DIAL_TIMEOUT_MS));
        enum err_code r = resolver_lookup(c->e->resolver, target_host(t), &w, a->addrs, &a->addrs_n, e);
        if (r != ERR_OK) {
            (void)err_wrap(e, r, "DNS resolution failed for %s:%u", t->host, t->port);
            return ssrf_refused(t, what, ssrf_kind(ssrf_mode(&f, &a->d)), deny, e);
        }
    }
    if (ssrf_check(&f, &a->d, a->addrs, a->addrs_n, e) != ERR_OK)
        return ssrf_refused(t, what, ssrf_kind(ssrf_mode(&f, &a->d)), deny, e);
    return ERR_OK;
}

enum err_code admit(struct conn *c, const struct target *t, const char *stage, struct str what,
                    struct str path, struct admission *ret, struct denial *deny, struct err *e)
{
    *deny = (struct denial){.stage = stage};
    conn_target(c, target_host(t), t->port);
    CLEANUP(admission_done) struct admission a = {.policy = egress_policy(c->e)};
    decide_connection(a.policy, &c->facts, &a.d);
    deny->d = a.d.d;
    const char *id_error = c->id_error[0] ? c->id_error : NULL;
    if (a.d.d.verdict == VERDICT_DENY || id_error)
        return refused(t, what, path, a.policy, &c->facts, id_error, deny, e);
    if (a.d.uninspected_credentials_refused) {
        deny->status = 403;
        deny->error = "uninspected_credentials";
        (void)snprintf(deny->detail, sizeof(deny->detail),
                       "credentialed endpoint requires L7 inspection; raw tunnel is not explicitly allowed");
        return err_set(e, ERR_DENIED, "%s", deny->detail);
    }
    enum err_code r = pin(c, t, what, &a, deny, e);
    if (r != ERR_OK)
        return r;
    *ret = a;
    a.policy = NULL; // its share went along
    return ERR_OK;
}
