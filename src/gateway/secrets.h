// gateway/secrets.h: credentials, encrypted at rest.
//
// Each value is encrypted with a key of its own (AES-256-GCM), and that key with one for all, which is in a
// file that only the gateway's user can read and which is never in the store: who has the store alone has
// nothing. Both encryptions are bound to the value's id, its provider and its key, so that a row that was
// moved to another place is no credential there. What is sealed becomes a write for the caller's own
// transaction, so that a record and its values are stored together or not at all. Any worker.
#pragma once
#include "base/secret.h"
#include "store/store.h"

#include "datamodel.pb-c.h"

struct secrets;

enum {
    SECRETS_VALUE_MAX = 8192, // bytes of a credential; reference: gateway 3.1
};

#define SECRETS_DRIVER "openshell-driver-db-credstore"

// The key for all is in `dir`/key-encryption-key.bin, 32 bytes, mode 0600; made where it is missing, unless
// the store has values already, which it then would lock out: ERR_PRECONDITION. ERR_DENIED: others may read
// it. `st` outlives it.
enum err_code secrets_open(struct store *st, const char *dir, struct secrets **ret,
                           struct err *reterr) NONNULL;
void secrets_free(struct secrets *s); // wipes the key; NULL is fine

// What a value belongs to. The workspace is part of it.
struct secrets_owner {
    struct str workspace, provider, key; // provider: its id
};

// Makes the handle and the write that stores the value; both live in `a`. ERR_INVALID: more than
// SECRETS_VALUE_MAX bytes, or none.
enum err_code secrets_seal(struct secrets *s, const struct secrets_owner *owner, struct str value,
                           struct arena *a, Openshell__Datamodel__V1__CredentialHandle **ret,
                           struct store_write *ret_write, struct err *reterr) NONNULL;

// ERR_NOT_FOUND; ERR_INTERNAL: it does not decrypt as this owner's.
enum err_code secrets_unseal(struct secrets *s, const struct secrets_owner *owner,
                             const Openshell__Datamodel__V1__CredentialHandle *handle, struct secret *ret,
                             struct err *reterr) NONNULL;

// The write that removes a value.
enum err_code secrets_forget(const struct secrets_owner *owner,
                             const Openshell__Datamodel__V1__CredentialHandle *handle, struct arena *a,
                             struct store_write *ret, struct err *reterr) NONNULL;
