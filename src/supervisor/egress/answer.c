// The answers that a refused client gets. Bodies are those of reference 2.3 and 2.4, keys in alphabetical
// order.
#include "supervisor/egress/egress.h"

#include "base/clock.h"
#include "base/jsonw.h"

enum { ANSWER_TIMEOUT_MS = 5'000, ANSWER_MAX = 16 * KIB };

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

static void json_answer(struct conn *c, struct stream *to, unsigned status, struct str policy,
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

void answer_denial(struct conn *c, struct stream *to, const struct denial *d)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ANSWER_MAX / 2);
    bool first = true;
    buf_addc(&body, '{');
    jsonw_member(&body, &first, "detail", str_of(d->detail));
    jsonw_member(&body, &first, "error", str_of(d->error));
    if (d->reason[0])
        jsonw_member(&body, &first, "reason", str_of(d->reason));
    buf_addc(&body, '}');
    json_answer(c, to, d->status, STR(""), &body);
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

void answer_l7(struct conn *c, struct stream *to, const struct snapshot *s,
               const struct request_line_facts *r, const struct decision *d, struct str reason)
{
    (void)s;
    struct str policy = d->entry ? d->entry->name : STR("");
    char rule[256];
    (void)snprintf(rule, sizeof(rule), "%.*s %.*s", STR_FMT(r->method),
                   (int)(r->path.n < 200 ? r->path.n : 200), r->path.p);
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ANSWER_MAX - KIB);
    bool first = true;
    buf_addc(&body, '{');
    member_if(&body, &first, "binary", c->facts.who.exe);
    jsonw_member(&body, &first, "detail", reason);
    jsonw_member(&body, &first, "error", STR("policy_denied"));
    member_if(&body, &first, "host", c->facts.host);
    jsonw_member(&body, &first, "layer", STR("l7"));
    jsonw_member(&body, &first, "method", r->method);
    jsonw_key(&body, &first, "next_steps");
    buf_add(&body, STR("[]"));
    jsonw_member(&body, &first, "path", r->path);
    jsonw_member(&body, &first, "policy", policy);
    jsonw_key(&body, &first, "port");
    buf_addf(&body, "%u", c->facts.port);
    jsonw_member(&body, &first, "protocol", STR("rest")); // literally so for every protocol (reference 2.4)
    jsonw_member(&body, &first, "rule", str_of(rule));
    jsonw_key(&body, &first, "rule_missing");
    rule_missing(&body, c, r);
    buf_addc(&body, '}');
    json_answer(c, to, 403, policy, &body);
}
