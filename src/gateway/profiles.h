// gateway/profiles.h: the kinds of providers: which credentials one has, where they may go, and who may use
// them.
//
// Those of share/providers are part of the program and read-only. Users' own are stored under kind
// "provider_profile": of a workspace, or of the platform (""). One of a workspace comes before one of the
// platform. Any worker; never the loop.
#pragma once
#include "policy/diag.h"
#include "store/store.h"

#include "openshell.pb-c.h"

typedef Openshell__V1__ProviderProfile provider_profile;

struct profiles; // what is built in

// Reads what is built in; ERR_INTERNAL names what is wrong with it.
enum err_code profiles_new(struct profiles **ret, struct err *reterr) NONNULL;
void profiles_free(struct profiles *p); // NULL is fine

// The profile that `id` means in a workspace, with its source and scope. *ret lives in `a` or in `p`.
// ERR_NOT_FOUND: "provider profile 'ID' not found".
enum err_code profile_find(const struct profiles *p, struct store *st, struct str workspace, struct str id,
                           struct arena *a, const provider_profile **ret, struct err *reterr) NONNULL;

// All that a workspace sees, sorted by id; with the platform's behind those that hide them.
enum err_code profile_list(const struct profiles *p, struct store *st, struct str workspace, struct arena *a,
                           const provider_profile ***ret, size_t *ret_n, struct err *reterr) NONNULL;

// What is wrong with a profile (reference: gateway 5.2), as diagnostics with the field as their path.
void profile_check(const provider_profile *profile, struct diags *d) NONNULL;

// The credential that a variable belongs to; NULL: none of the profile's.
[[nodiscard]] const Openshell__V1__ProviderProfileCredential *profile_credential(
    const provider_profile *profile, struct str variable);

// Whether a provider of this kind may have no value at all (reference: gateway 5.1): every credential that is
// required comes from a refresh or a grant, or there is none.
[[nodiscard]] bool profile_allows_empty(const provider_profile *profile) NONNULL;
