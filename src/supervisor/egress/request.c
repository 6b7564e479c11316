// A request under decision, whatever version of HTTP it came by: whom it is for, what it asks, whether the
// policy in force lets it. What is decided on is the canonical form that is sent on.
#include "supervisor/egress/egress.h"

#include "net/query.h"
#include "supervisor/placeholder.h"

enum { METHOD_TEXT_MAX = 64 }; // of an overriding method; a longer one is none that a policy names

bool request_is_for(const struct target *for_whom, bool tls, const struct http1_head *head)
{
    uint16_t port = tls ? 443 : 80;
    struct target t;
    struct err e;
    struct str given[2] = {head->host, head->authority};
    bool has[2] = {head->has_host, head->form == FORM_ABSOLUTE};
    if (!has[0] && !has[1])
        return head->minor == 0; // HTTP/1.0 may leave Host out
    for (size_t i = 0; i < 2; i++) {
        if (!has[i])
            continue;
        if (target_parse(given[i], port, &t, &e) != ERR_OK || t.port != for_whom->port ||
            !str_eq(target_host(&t), target_host(for_whom)))
            return false;
    }
    return true;
}

void report_authority(struct conn *c, const struct target *t, const struct http1_head *head)
{
    struct denial deny = {.status = 403, .error = "request_authority_mismatch", .stage = "request-authority"};
    (void)snprintf(deny.detail, sizeof(deny.detail), "the request names '%.*s'",
                   STR_FMT(head->authority.n > 0 ? head->authority : head->host));
    report_denial(c, t, head->method, STR(""), &deny);
}

// The canonical path; %2F only where the endpoint that applies allows it, which is known only with the path.
static enum err_code canonical(const struct conn *c, const struct snapshot *s, struct incoming *in,
                               struct err *e)
{
    struct str raw = in->head.form == FORM_ASTERISK ? STR("/") : in->head.path;
    struct err first;
    if (urlpath_canonical(raw, false, in->path_text, &in->path, &first) == ERR_OK)
        return ERR_OK;
    enum err_code r = urlpath_canonical(raw, true, in->path_text, &in->path, e);
    if (r != ERR_OK)
        return r;
    const struct snap_endpoint *ep = decide_endpoint(s, &c->facts, in->path);
    if (ep && ep->allow_encoded_slash)
        return ERR_OK;
    *e = first;
    return first.code;
}

static enum err_code redacted(struct arena *a, struct str text, struct str *ret, struct err *e)
{
    size_t held, room = 2 * text.n + PLACEHOLDER_REDACTED.n;
    *ret = text;
    if (!placeholder_has_mark(text, &held))
        return ERR_OK;
    char *out = arena_alloc(a, room);
    return out && placeholder_redact(text, out, room, ret) ? ERR_OK : arena_limit(a, "the request", e);
}

bool request_keep(struct incoming *in)
{
    struct http1_head *h = &in->head;
    struct str *const texts[] = {&h->method, &h->target, &h->scheme, &h->authority, &h->path,
                                 &h->query,  &h->host,   &in->path,  &in->shown,    &in->shown_target};
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_LEN(texts); i++)
        ok = arena_dup(&in->arena, *texts[i], texts[i]);
    for (size_t i = 0; ok && i < h->headers_n; i++)
        ok = arena_dup(&in->arena, h->headers[i].name, &h->headers[i].name) &&
             arena_dup(&in->arena, h->headers[i].value, &h->headers[i].value);
    return ok;
}

enum err_code request_facts(const struct conn *c, const struct snapshot *s, struct incoming *in,
                            struct err *e)
{
    if (in->head.form == FORM_AUTHORITY)
        return err_set(e, ERR_INVALID, "CONNECT inside a tunnel");
    if (in->head.form == FORM_ASTERISK && !str_eq(in->head.method, STR("OPTIONS")))
        return err_set(e, ERR_INVALID, "'*' is a target of OPTIONS only");
    enum err_code r = canonical(c, s, in, e);
    if (r != ERR_OK)
        return r;
    struct query_item *items = NULL;
    size_t n = 0;
    r = query_decode(in->head.query, &in->arena, &items, &n, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "query");
    struct query_pair *pairs = arena_newn(&in->arena, struct query_pair, n);
    if (!pairs)
        return arena_limit(&in->arena, "the query", e);
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        pairs[i].key = items[i].key;
        r = redacted(&in->arena, items[i].value, &pairs[i].value, e);
    }
    if (r == ERR_OK)
        r = redacted(&in->arena, in->path, &in->shown, e);
    if (r == ERR_OK)
        r = redacted(&in->arena, in->head.target, &in->shown_target, e);
    if (r != ERR_OK)
        return r;
    in->facts = (struct request_facts){.method = in->head.method,
                                       .path = in->shown,
                                       .query = pairs,
                                       .query_n = n};
    return ERR_OK;
}

// Whether the server may take `in` for a request of another method, which these headers name for those that
// heed them; some APIs of great providers do.
static bool is_override(struct str name)
{
    static const struct str names[] = {STR_INIT("X-HTTP-Method-Override"), STR_INIT("X-HTTP-Method"),
                                       STR_INIT("X-Method-Override")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_ci(name, names[i]))
            return true;
    return false;
}

// The policy lets a request be what its method says, and also what it says it is really. The first that is
// refused stays in *ret and *facts.
static void decide_all(const struct conn *c, const struct snapshot *s, const struct incoming *in,
                       struct request_facts *facts, struct decision *ret)
{
    decide_request(s, &c->facts, facts, ret);
    for (size_t i = 0; i < in->head.headers_n && ret->verdict != VERDICT_DENY; i++) {
        if (!is_override(in->head.headers[i].name))
            continue;
        char method[METHOD_TEXT_MAX];
        struct str value = str_trim(in->head.headers[i].value);
        size_t n = value.n < sizeof(method) ? value.n : sizeof(method);
        for (size_t k = 0; k < n; k++) // as a server would: a lower-case name is no other method
            method[k] = value.p[k] >= 'a' && value.p[k] <= 'z' ? (char)(value.p[k] - 0x20) : value.p[k];
        const struct request_facts named = *facts;
        facts->method = (struct str){method, n};
        decide_request(s, &c->facts, facts, ret);
        facts->method = named.method;
        if (ret->verdict == VERDICT_DENY)
            facts->method = value;
    }
}

bool request_decide(struct conn *c, const struct target *t, const struct snapshot *s,
                    const struct incoming *in, struct decision *ret, struct buf *reason)
{
    struct request_facts facts = in->facts;
    decide_all(c, s, in, &facts, ret);
    decision_reason(s, &c->facts, &facts, ret, reason);
    bool allowed = ret->verdict != VERDICT_DENY;
    report_request(c, t, in->head.method, in->shown, s, ret, buf_str(reason), allowed ? 0 : 403);
    return allowed;
}
