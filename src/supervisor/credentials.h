// supervisor/credentials.h: the credentials of a sandbox, held by its launcher and by nobody else.
//
// The agent's environment gets placeholders (placeholder.h); the egress asks for one value at a time, for one
// endpoint of one request (vault.h), and here is where the binding is checked. Values are in base/secret.h
// memory. What came before is not kept: of the last revisions only which key was which identity, so that
// an older placeholder of the same identity gives the value of today.
#pragma once
#include "base/arena.h"
#include "base/secret.h"
#include "policy/policy.h"
#include "supervisor/placeholder.h"

#include "openshell.pb-c.h"

enum {
    CREDENTIALS_MAX = 512,           // keys; ours
    CREDENTIAL_ENDPOINTS_MAX = 1024, // of one key; ours
    CREDENTIAL_VALUE_MAX = 16 * KIB, // bytes; a longer one fits no header and is never given out; ours
    CREDENTIAL_GENERATIONS = 8,      // revisions that are remembered (reference 4.1)
    CREDENTIALS_FILE_MAX = MIB,      // ours
};

struct credentials; // one thread
enum err_code credentials_new(struct credentials **ret, struct err *e) NONNULL;
void credentials_free(struct credentials *c); // NULL is fine

// Puts a whole new set in place, at once. Values in `m` are wiped, also on failure. A variable that is
// neither bound nor non-secret is left out: unbound values never reach an agent. ERR_INVALID: a binding
// without identity or endpoints, a bad handle, host or port, a key twice: the whole set is revoked then.
// ERR_LIMIT: likewise.
enum err_code credentials_set(struct credentials *c, Openshell__V1__GetSandboxProviderEnvironmentResponse *m,
                              struct err *e) NONNULL;

// The same from a file, which only its owner, who is us or root, may read or write:
//   {"revision": 0, "environment": {"NAME": "literal"},
//    "credentials": {"NAME": {"value": "…", "endpoints": [{"host": "api.example.com", "port": 443,
//       "path": "/v1/**"}], "identity": "…", "handle": "<64 hex>", "expires_at_ms": 0,
//       "form": "canonical" | "alias" | "shaped"}}}
// Unknown and repeated members are ERR_INVALID. A file that cannot be read or is not valid revokes as above.
enum err_code credentials_set_file(struct credentials *c, const char *path, struct err *e) NONNULL;

void credentials_revoke(struct credentials *c) NONNULL; // everything that is static

[[nodiscard]] uint64_t credentials_revision(const struct credentials *c) NONNULL;
[[nodiscard]] size_t credentials_count(const struct credentials *c) NONNULL; // of bound keys

// "NAME=placeholder" for bound keys and "NAME=value" for literals, in `a`.
enum err_code credentials_env(const struct credentials *c, struct arena *a, struct strs *ret,
                              struct err *e) NONNULL;

struct credential_place {
    struct str host; // canonical, as the egress admitted it
    uint16_t port;
    struct str path; // canonical, without query, placeholders redacted
};
// The value behind one placeholder for one place; *ret is borrowed until the set changes. ERR_NOT_FOUND:
// there is none, or none any more, or it may not be written into a request. ERR_DENIED: it is bound to other
// places.
enum err_code credentials_resolve(const struct credentials *c, struct str placeholder,
                                  const struct credential_place *where, int64_t now_ms, struct str *ret,
                                  struct err *e) NONNULL;
