// Decisions as events: the messages of reference 8.4.
#include "supervisor/egress/egress.h"
#include "supervisor/egress/sink.h"

static struct event base_event(const struct conn *c, const struct target *t)
{
    struct event e = {.class = EVENT_NET,
                      .activity = EVENT_OPEN,
                      .severity = EVENT_INFO,
                      .exe = c->id.exe,
                      .pid = c->id.pid,
                      .engine = STR("opa")};
    if (t) {
        e.host = target_host(t);
        e.port = t->port;
    }
    return e;
}

static struct str policy_of(const struct decision *d)
{
    return d->entry ? d->entry->name : STR("");
}

void report_connection(struct conn *c, const struct target *t, const struct admission *a, bool inspected)
{
    char text[HOST_MAX + 64];
    (void)snprintf(text, sizeof(text), "%s allowed %s:%u",
                   c->door == DOOR_CAPTURED ? "Transparent TCP"
                   : inspected              ? "CONNECT_L7"
                                            : "CONNECT",
                   t->host, t->port);
    struct event e = base_event(c, t);
    e.action = EVENT_ALLOWED;
    e.policy = policy_of(&a->d.d);
    e.message = str_of(text);
    e.reason = c->door == DOOR_CAPTURED ? STR("transparent_tcp_allowed") : STR("");
    e.generation = snapshot_generation(a->policy);
    sink_event(c->e->sink, &e);
}

void report_denial(struct conn *c, const struct target *t, struct str method, struct str path,
                   const struct denial *d)
{
    struct event e = base_event(c, t);
    e.action = EVENT_DENIED;
    e.severity = EVENT_MEDIUM;
    e.policy = policy_of(&d->d);
    bool connection = str_eq(method, STR("CONNECT"));
    if (!connection) {
        e.class = EVENT_HTTP;
        e.method = method;
        e.path = path;
        e.status = d->status;
    }
    if (str_eq(str_of(d->error), STR("ssrf_denied")))
        e.engine = STR("ssrf");
    else if (!str_eq(str_of(d->error), STR("policy_denied")))
        e.engine = STR("l7");
    e.reason = d->reason[0] ? str_of(d->reason) : str_of(d->detail);
    e.message = str_of(d->detail);
    sink_event(c->e->sink, &e);
}

void report_request(struct conn *c, const struct target *t, struct str method, struct str path,
                    const struct snapshot *s, const struct decision *d, struct str reason, unsigned status)
{
    CLEANUP(buf_done) struct buf rule, text;
    buf_init(&rule, KIB);
    buf_init(&text, 2 * KIB);
    decision_rule(d, &rule);
    bool inspected = d->why != WHY_CONNECTION;
    buf_addf(&text, "%s %s", inspected ? "L7_REQUEST" : "HTTP_REQUEST",
             inspected ? verdict_name(d->verdict) : "");
    buf_addf(&text, "%s%.*s %s:%u%.*s", inspected ? " " : "", STR_FMT(method), t->host, t->port,
             STR_FMT(path));
    struct event e = base_event(c, t);
    e.class = EVENT_HTTP;
    e.action = d->verdict == VERDICT_DENY ? EVENT_DENIED : EVENT_ALLOWED;
    e.severity = d->verdict == VERDICT_DENY ? EVENT_MEDIUM : EVENT_INFO;
    e.method = method;
    e.path = path;
    e.status = status;
    e.policy = policy_of(d);
    e.engine = inspected ? STR("l7") : STR("opa");
    e.rule = buf_str(&rule);
    e.reason = reason;
    e.message = buf_str(&text);
    e.generation = snapshot_generation(s);
    sink_event(c->e->sink, &e);
}

void report_failure(struct conn *c, const struct target *t, const char *what, struct str why)
{
    struct event e = base_event(c, t);
    e.activity = EVENT_FAIL;
    e.severity = EVENT_LOW;
    e.engine = STR("");
    e.message = str_of(what);
    e.reason = why;
    sink_event(c->e->sink, &e);
}
