// gateway/provider_map.h: the three maps of a Provider, edited in an arena.
#pragma once
#include "gateway/providers.h"

typedef Openshell__Datamodel__V1__Provider__CredentialsEntry provider_credential;
typedef Openshell__Datamodel__V1__Provider__ConfigEntry provider_config;
typedef Openshell__Datamodel__V1__Provider__CredentialHandlesEntry provider_handle;
typedef Openshell__Datamodel__V1__Provider__CredentialExpiresAtMsEntry provider_expiry;

[[nodiscard]] const Openshell__Datamodel__V1__CredentialHandle *provider_handle_of(const provider *p,
                                                                                   struct str key);
[[nodiscard]] const char *provider_config_of(const provider *p, const char *key); // NULL: not there
[[nodiscard]] int64_t provider_expiry_of(const provider *p, struct str key);      // 0: none

// Set or replace; keys and values are borrowed. False: the arena is full.
[[nodiscard]] bool provider_set_handle(provider *p, const char *key,
                                       Openshell__Datamodel__V1__CredentialHandle *h,
                                       struct arena *a) NONNULL;
[[nodiscard]] bool provider_set_config(provider *p, const char *key, const char *value,
                                       struct arena *a) NONNULL;
[[nodiscard]] bool provider_set_expiry(provider *p, const char *key, int64_t ms, struct arena *a) NONNULL;
void provider_drop_handle(provider *p, struct str key) NONNULL;
void provider_drop_config(provider *p, struct str key) NONNULL;
void provider_drop_expiry(provider *p, struct str key) NONNULL;
