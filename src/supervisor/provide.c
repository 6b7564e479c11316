// What the gateway, or a file, provides to a running sandbox: its credentials, and its routes to models.
#include "base/fd.h"
#include "supervisor/control.h"
#include "supervisor/events/event.h"
#include "supervisor/inference.h"
#include "supervisor/launcher.h"
#include "supervisor/vault.h"

static void tell_egress(struct launcher *l)
{
    const struct ctl_msg m = {.kind = CTL_PROVIDED,
                              .value = (int32_t)credentials_count(l->opts->credentials)};
    struct err ignored; // the loop sees that the egress is gone
    if (l->egress >= 0)
        (void)!ctl_send(l->egress, &m, NULL, 0, &ignored);
}

static void provided(struct launcher *l, enum err_code r, const struct err *why)
{
    const struct credentials *c = l->opts->credentials;
    char text[500];
    if (r == ERR_OK)
        (void)snprintf(text, sizeof(text), "Provider environment refreshed [revision:%llu env_count:%zu]",
                       (unsigned long long)credentials_revision(c), credentials_count(c));
    else
        (void)snprintf(text, sizeof(text), "Provider environment refused, all credentials are revoked: %s",
                       why->msg);
    const struct event ev = {.class = EVENT_CONFIG,
                             .severity = r == ERR_OK ? EVENT_INFO : EVENT_HIGH,
                             .state = r == ERR_OK ? STR("updated") : STR("fail_closed"),
                             .message = str_of(text)};
    launcher_event(l, &ev);
    tell_egress(l);
}

enum err_code launcher_set_credentials(struct launcher *l,
                                       Openshell__V1__GetSandboxProviderEnvironmentResponse *m, struct err *e)
{
    assert(l->opts->credentials);
    enum err_code r = credentials_set(l->opts->credentials, m, e);
    provided(l, r, e);
    return r;
}

// ---- routes to models
// ------------------------------------------------------------------------------------------------------

enum err_code launcher_tell_routes(struct launcher *l, struct err *e)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(fd_close) int fd = -1;
    buf_init(&text, INFERENCE_BUNDLE_MAX);
    if (!l->opts->inference)
        return ERR_OK;
    enum err_code r = inference_bundle(l->opts->inference, &text, e);
    if (r == ERR_OK)
        r = ctl_memfd(buf_str(&text), &fd, e);
    const struct ctl_msg m = {.kind = CTL_ROUTES};
    return r == ERR_OK ? ctl_send(l->egress, &m, &fd, 1, e) : r;
}

static enum err_code routed(struct launcher *l, enum err_code r, struct err *e)
{
    char text[500];
    if (r == ERR_OK)
        r = launcher_tell_routes(l, e);
    if (r == ERR_OK)
        (void)snprintf(text, sizeof(text), "Inference routes loaded [revision:%s routes:%zu]",
                       inference_revision(l->opts->inference), inference_count(l->opts->inference));
    else
        (void)snprintf(text, sizeof(text), "Inference routes refused, the previous ones stay: %s", e->msg);
    const struct event ev = {.class = EVENT_CONFIG,
                             .severity = r == ERR_OK ? EVENT_INFO : EVENT_MEDIUM,
                             .state = r == ERR_OK ? STR("loaded") : STR("failed"),
                             .message = str_of(text)};
    launcher_event(l, &ev);
    return r;
}

enum err_code launcher_set_inference(struct launcher *l,
                                     Openshell__Inference__V1__GetInferenceBundleResponse *m, struct err *e)
{
    assert(l->opts->inference);
    return routed(l, inference_set(l->opts->inference, m, e), e);
}

void launcher_reread_credentials(struct launcher *l)
{
    struct err e = {};
    if (l->opts->credentials_file)
        provided(l, credentials_set_file(l->opts->credentials, l->opts->credentials_file, &e), &e);
    if (l->opts->inference_file) {
        enum err_code r = inference_set_file(l->opts->inference, l->opts->inference_file, &e);
        (void)!routed(l, r, &e); // an event tells
    }
}

enum err_code launcher_serve_vault(struct launcher *l, struct err *e)
{
    enum err_code r = vault_serve(l->vault, l->opts->credentials, l->opts->inference, e);
    return r == ERR_OK ? r : err_wrap(e, r, "the egress asked for a credential");
}
