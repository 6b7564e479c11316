// A setting that is read and not enforced would be worse than none.
#include "policy/unbuilt.h"

static enum err_code refuse(const struct policy_entry *entry, size_t i, const char *what, struct str value,
                            struct err *e)
{
    return err_set(
        e, ERR_UNSUPPORTED,
        "network_policies.%.*s.endpoints[%zu]: %s '%.*s' is not built yet, so it cannot be enforced",
        STR_FMT(entry->key), i, what, STR_FMT(value));
}

static bool protocol_built(struct str protocol)
{
    static const struct str built[] = {STR_INIT(""), STR_INIT("tcp"), STR_INIT("rest")};
    for (size_t i = 0; i < ARRAY_LEN(built); i++)
        if (str_eq(protocol, built[i]))
            return true;
    return false;
}

enum err_code policy_unbuilt(const struct policy *p, struct err *e)
{
    if (p->middlewares_n > 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "network_middlewares.%.*s: middlewares are not built yet, so it cannot be enforced",
                       STR_FMT(p->middlewares[0].key));
    for (size_t i = 0; i < p->entries_n; i++)
        for (size_t j = 0; j < p->entries[i].endpoints_n; j++) {
            const struct endpoint *ep = &p->entries[i].endpoints[j];
            if (!protocol_built(ep->protocol))
                return refuse(&p->entries[i], j, "protocol", ep->protocol, e);
            if (ep->websocket_credential_rewrite)
                return refuse(&p->entries[i], j, "websocket_credential_rewrite", STR("true"), e);
            if (ep->credential_signing.n > 0)
                return refuse(&p->entries[i], j, "credential_signing", ep->credential_signing, e);
            if (ep->credential_provider.n > 0)
                return refuse(&p->entries[i], j, "credential_binding.provider", ep->credential_provider, e);
        }
    return ERR_OK;
}
