// What the gateway, or a file, provides to a running sandbox: its credentials.
#include "supervisor/control.h"
#include "supervisor/events/event.h"
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

void launcher_reread_credentials(struct launcher *l)
{
    struct err e = {};
    if (!l->opts->credentials_file)
        return;
    enum err_code r = credentials_set_file(l->opts->credentials, l->opts->credentials_file, &e);
    provided(l, r, &e);
}

enum err_code launcher_serve_vault(struct launcher *l, struct err *e)
{
    enum err_code r = vault_serve(l->vault, l->opts->credentials, e);
    return r == ERR_OK ? r : err_wrap(e, r, "the egress asked for a credential");
}
