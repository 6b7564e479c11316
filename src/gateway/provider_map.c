#include "gateway/provider_map.h"

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

// Each map is a list of entries whose first field is the key.
#define FIND(list, n, k)                                                                                     \
    ({                                                                                                       \
        size_t at_ = 0;                                                                                      \
        while (at_ < (n) && !str_eq(str_of((list)[at_]->key), (k)))                                          \
            at_++;                                                                                           \
        at_;                                                                                                 \
    })

#define DROP(list, n, k)                                                                                     \
    do {                                                                                                     \
        size_t i_ = FIND(list, n, k);                                                                        \
        bool there_ = i_ < (n);                                                                              \
        for (; i_ + 1 < (n); i_++)                                                                           \
            (list)[i_] = (list)[i_ + 1];                                                                     \
        (n) -= there_;                                                                                       \
    } while (0)

// An entry for `k`: the one that is there, or a new one at the end of a copy of the list. NULL: no room.
#define ENTRY(type, init, list, n, k, a)                                                                     \
    ({                                                                                                       \
        size_t i_ = FIND(list, n, str_of(k));                                                                \
        type *e_ = i_ < (n) ? (list)[i_] : NULL;                                                             \
        if (!e_) {                                                                                           \
            type **v_ = arena_newn((a), type *, (n) + 1);                                                    \
            e_ = arena_new((a), type);                                                                       \
            if (v_ && e_) {                                                                                  \
                for (size_t c_ = 0; c_ < (n); c_++)                                                          \
                    v_[c_] = (list)[c_];                                                                     \
                init(e_);                                                                                    \
                e_->key = text(k);                                                                           \
                v_[(n)++] = e_;                                                                              \
                (list) = v_;                                                                                 \
            } else {                                                                                         \
                e_ = NULL;                                                                                   \
            }                                                                                                \
        }                                                                                                    \
        e_;                                                                                                  \
    })

const Openshell__Datamodel__V1__CredentialHandle *provider_handle_of(const provider *p, struct str key)
{
    size_t i = FIND(p->credential_handles, p->n_credential_handles, key);
    return i < p->n_credential_handles ? p->credential_handles[i]->value : NULL;
}

const char *provider_config_of(const provider *p, const char *key)
{
    size_t i = FIND(p->config, p->n_config, str_of(key));
    return i < p->n_config ? p->config[i]->value : NULL;
}

int64_t provider_expiry_of(const provider *p, struct str key)
{
    size_t i = FIND(p->credential_expires_at_ms, p->n_credential_expires_at_ms, key);
    return i < p->n_credential_expires_at_ms ? p->credential_expires_at_ms[i]->value : 0;
}

bool provider_set_handle(provider *p, const char *key, Openshell__Datamodel__V1__CredentialHandle *h,
                         struct arena *a)
{
    provider_handle *e = ENTRY(provider_handle,
                               openshell__datamodel__v1__provider__credential_handles_entry__init,
                               p->credential_handles, p->n_credential_handles, key, a);
    if (e)
        e->value = h;
    return e != NULL;
}

bool provider_set_config(provider *p, const char *key, const char *value, struct arena *a)
{
    provider_config *e = ENTRY(provider_config, openshell__datamodel__v1__provider__config_entry__init,
                               p->config, p->n_config, key, a);
    if (e)
        e->value = text(value);
    return e != NULL;
}

bool provider_set_expiry(provider *p, const char *key, int64_t ms, struct arena *a)
{
    provider_expiry *e = ENTRY(provider_expiry,
                               openshell__datamodel__v1__provider__credential_expires_at_ms_entry__init,
                               p->credential_expires_at_ms, p->n_credential_expires_at_ms, key, a);
    if (e)
        e->value = ms;
    return e != NULL;
}

void provider_drop_handle(provider *p, struct str key)
{
    DROP(p->credential_handles, p->n_credential_handles, key);
}

void provider_drop_config(provider *p, struct str key)
{
    DROP(p->config, p->n_config, key);
}

void provider_drop_expiry(provider *p, struct str key)
{
    DROP(p->credential_expires_at_ms, p->n_credential_expires_at_ms, key);
}
