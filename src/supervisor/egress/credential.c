// Credentials of one request, whatever version of HTTP it came by: asked of the launcher for this endpoint,
// written by inject.c, and what the client and the log are told where that fails.
#include "supervisor/egress/credential.h"

#include "base/jsonw.h"
#include "supervisor/egress/inject.h"
#include "supervisor/egress/sink.h"

struct asking {
    struct vault *vault;
    struct credential_place where;
};

static enum err_code ask(void *ctx, struct str placeholder, char *value, size_t *ret_n, struct err *e)
{
    const struct asking *a = ctx;
    return vault_ask_credential(a->vault, placeholder, &a->where, value, VAULT_VALUE_MAX, ret_n, e);
}

static enum err_code inject(struct conn *c, const struct target *t, struct incoming *in,
                            enum inject_body kind, struct str body, struct buf *new_body,
                            struct injection **ret, struct err *e)
{
    struct asking asking = {.vault = c->e->vault,
                            .where = {.host = target_host(t), .port = t->port, .path = in->shown}};
    CLEANUP(injection_freep) struct injection *j = NULL;
    enum err_code r = injection_new(ask, &asking, &j, e);
    if (r == ERR_OK)
        r = inject_head(j, &in->head, in->path, &in->path, e);
    if (r == ERR_OK && kind != INJECT_BODY_NONE)
        r = inject_body(j, kind, body, new_body, e);
    c->touched |= injection_is_used(j);
    if (r == ERR_OK && injection_is_used(j))
        *ret = TAKE(j);
    return r;
}

enum err_code credential_inject(struct conn *c, const struct target *t, struct incoming *in,
                                struct injection **ret, struct err *e)
{
    *ret = NULL;
    if (!inject_wanted(&in->head))
        return ERR_OK;
    return inject(c, t, in, INJECT_BODY_NONE, STR(""), NULL, ret, e);
}

enum err_code credential_inject_body(struct conn *c, const struct target *t, struct incoming *in,
                                     struct str body, struct buf *new_body, struct injection **ret,
                                     struct err *e)
{
    *ret = NULL;
    return inject(c, t, in, inject_body_kind(&in->head), body, new_body, ret, e);
}

bool credential_body_wanted(struct conn *c, const struct snapshot *s, const struct incoming *in)
{
    const struct http1_head *h = &in->head;
    if (inject_body_kind(h) == INJECT_BODY_NONE ||
        (h->framing == FRAMING_LENGTH && h->length > INJECT_BODY_MAX))
        return false;
    const struct snap_endpoint *ep = decide_endpoint(s, &c->facts, in->shown);
    return ep && ep->request_body_credential_rewrite;
}

unsigned credential_answer(enum err_code why, bool forward, struct buf *body)
{
    bool mismatch = why == ERR_DENIED, first = true;
    buf_addc(body, '{');
    if (forward) { // the forward door has its own words (reference 2.5 step 17)
        jsonw_member(body, &first, "detail",
                     mismatch ? STR("Credential is not authorized for this request endpoint")
                              : STR("unresolved credential placeholder in request"));
        jsonw_member(body, &first, "error",
                     mismatch ? STR("credential_endpoint_mismatch") : STR("credential_injection_failed"));
    } else {
        jsonw_member(body, &first, "error",
                     mismatch ? STR("credential_endpoint_mismatch") : STR("credential_unavailable"));
        jsonw_member(body, &first, "message",
                     mismatch ? STR("Credential is not authorized for this request endpoint")
                              : STR("Credential placeholder could not be resolved"));
    }
    buf_addc(body, '}');
    return mismatch ? 403 : 500;
}

// ---- events
// ------------------------------------------------------------------------------------------------

static void finding(struct conn *c, const struct target *t, bool denied, struct str title, struct str uid,
                    struct str reason)
{
    const struct event ev = {.class = EVENT_FINDING,
                             .severity = EVENT_HIGH,
                             .action = denied ? EVENT_DENIED : EVENT_ALLOWED,
                             .exe = c->id.exe,
                             .pid = c->id.pid,
                             .host = target_host(t),
                             .port = t->port,
                             .title = title,
                             .uid = uid,
                             .reason = reason,
                             .message = title};
    sink_event(c->e->sink, &ev);
}

void credential_refused(struct conn *c, const struct target *t, const struct incoming *in, enum err_code why,
                        struct str text, unsigned status)
{
    const struct event ev = {.class = EVENT_HTTP,
                             .severity = EVENT_MEDIUM,
                             .action = EVENT_DENIED,
                             .exe = c->id.exe,
                             .pid = c->id.pid,
                             .host = target_host(t),
                             .port = t->port,
                             .method = in->head.method,
                             .path = in->shown,
                             .status = status,
                             .engine = STR("credential-binding"),
                             .reason = text,
                             .message = text};
    sink_event(c->e->sink, &ev);
    if (why == ERR_DENIED)
        finding(c, t, true, STR("Credential used for an endpoint that it is not bound to"),
                STR("openshell.provider_credential.endpoint_mismatch"), text);
}

void credential_in_body(struct conn *c, const struct target *t)
{
    finding(c, t, true, STR("Credential placeholder in a request body that is not rewritten"),
            STR("openshell.credentials.placeholder_in_body"), STR(""));
}

void credential_reflected(struct conn *c, const struct target *t)
{
    finding(c, t, false, STR("Response reflected a credential, which was masked"),
            STR("openshell.credentials.reflected"), STR(""));
}
