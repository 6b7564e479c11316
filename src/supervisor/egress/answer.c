// The answers that a refused client gets. Bodies are those of reference 2.3 and 2.4, keys in alphabetical
// order.
#include "supervisor/egress/egress.h"

#include "base/clock.h"
#include "base/jsonw.h"

enum { ANSWER_TIMEOUT_MS = 5'000 };

static void send(struct conn *c, struct stream *to, const struct buf *out)
{
    struct err e;
    struct wait w = {.deadline_ns = deadline_in_ms(ANSWER_TIMEOUT_MS), .cancel_fd = -1};
    (void)c;
    if (!out->full && stream_write(to, buf_str(out), &w, &e) == ERR_OK)
        (void)stream_end(to, &w, &e); // the client may be gone: nothing to tell it then
}

void answer_bare(struct conn *c, struct stream *to, unsigned status)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, ANSWER_MAX);
    http1_write_status(&out, status, str_of(http1_reason(status)));
    http1_write_header(&out, STR("Content-Length"), STR("0"));
    http1_write_header(&out, STR("Connection"), STR("close"));
    buf_add(&out, STR("\r\n"));
    send(c, to, &out);
}

void answer_json(struct conn *c, struct stream *to, unsigned status, struct str policy,
                 const struct buf *body)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, ANSWER_MAX);
    http1_write_status(&out, status, str_of(http1_reason(status)));
    http1_write_header(&out, STR("Content-Type"), STR("application/json"));
    http1_write_framing(&out, FRAMING_LENGTH, body->n);
    if (policy.n > 0)
        http1_write_header(&out, STR("X-OpenShell-Policy"), policy);
    http1_write_header(&out, STR("Connection"), STR("close"));
    buf_add(&out, STR("\r\n"));
    buf_add(&out, buf_str(body));
    send(c, to, &out);
}

void answer_denial_body(const struct denial *d, struct buf *out)
{
    bool first = true;
    buf_addc(out, '{');
    jsonw_member(out, &first, "detail", str_of(d->detail));
    jsonw_member(out, &first, "error", str_of(d->error));
    if (d->reason[0])
        jsonw_member(out, &first, "reason", str_of(d->reason));
    buf_addc(out, '}');
}

void answer_denial(struct conn *c, struct stream *to, const struct denial *d)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ANSWER_MAX / 2);
    answer_denial_body(d, &body);
    answer_json(c, to, d->status, STR(""), &body);
}

static void member_if(struct buf *out, bool *first, const char *key, struct str value)
{
    if (value.n > 0)
        jsonw_member(out, first, key, value);
}

static void rule_missing(struct buf *out, const struct conn *c, const struct request_line_facts *r)
{
    bool first = true;
    buf_addc(out, '{');
    member_if(out, &first, "binary", c->facts.who.exe);
    member_if(out, &first, "host", c->facts.host);
    jsonw_member(out, &first, "layer", STR("l7"));
    jsonw_member(out, &first, "method", r->method);
    jsonw_member(out, &first, "path", r->path);
    jsonw_key(out, &first, "port");
    buf_addf(out, "%u", c->facts.port);
    jsonw_member(out, &first, "type", STR("rest_allow"));
    buf_addc(out, '}');
}

void answer_l7_body(const struct conn *c, const struct request_line_facts *r, const struct decision *d,
                    struct str reason, struct buf *out)
{
    struct str policy = d->entry ? d->entry->name : STR("");
    char rule[256];
    (void)snprintf(rule, sizeof(rule), "%.*s %.*s", STR_FMT(r->method),
                   (int)(r->path.n < 200 ? r->path.n : 200), r->path.p);
    bool first = true;
    buf_addc(out, '{');
    member_if(out, &first, "binary", c->facts.who.exe);
    jsonw_member(out, &first, "detail", reason);
    jsonw_member(out, &first, "error", STR("policy_denied"));
    member_if(out, &first, "host", c->facts.host);
    jsonw_member(out, &first, "layer", STR("l7"));
    jsonw_member(out, &first, "method", r->method);
    jsonw_key(out, &first, "next_steps");
    buf_add(out, STR("[]"));
    jsonw_member(out, &first, "path", r->path);
    jsonw_member(out, &first, "policy", policy);
    jsonw_key(out, &first, "port");
    buf_addf(out, "%u", c->facts.port);
    jsonw_member(out, &first, "protocol", STR("rest")); // literally so for every protocol (reference 2.4)
    jsonw_member(out, &first, "rule", str_of(rule));
    jsonw_key(out, &first, "rule_missing");
    rule_missing(out, c, r);
    buf_addc(out, '}');
}

void answer_l7(struct conn *c, struct stream *to, const struct snapshot *s,
               const struct request_line_facts *r, const struct decision *d, struct str reason)
{
    (void)s;
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ANSWER_MAX - KIB);
    answer_l7_body(c, r, d, reason, &body);
    answer_json(c, to, 403, d->entry ? d->entry->name : STR(""), &body);
}
