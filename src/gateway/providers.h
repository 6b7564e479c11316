// gateway/providers.h: where credentials come from, as the store has it.
//
// Any worker; never the loop. A record is a Provider without its values under kind "provider":
// credential_handles say where those are (secrets.h). metadata.resource_version is the store's version.
#pragma once
#include "gateway/profiles.h"
#include "gateway/secrets.h"
#include "gateway/services.h"
#include "rpc/serve.h"

typedef Openshell__Datamodel__V1__Provider provider;

enum {
    PROVIDER_CREDENTIALS_MAX = 32, // reference: gateway 3.1, also the two below
    PROVIDER_CONFIG_MAX = 64,
    PROVIDER_KEY_MAX = 256,
    PROVIDERS_OF_SANDBOX_MAX = 32,
};

#define PROVIDER_REDACTED "REDACTED"

// ERR_NOT_FOUND: "provider not found".
enum err_code provider_by_name(struct store *st, struct str workspace, struct str name, struct arena *a,
                               provider **ret, struct err *reterr) NONNULL;

// For an answer: keys with the value REDACTED, no handles. In `a`.
enum err_code provider_redact(provider *p, struct arena *a, struct err *reterr) NONNULL;

// The names of sandboxes that it is attached to, "a, b"; empty where none is.
enum err_code provider_users(struct store *st, struct str workspace, struct str name, struct buf *out,
                             struct err *reterr) NONNULL;
[[nodiscard]] bool provider_is_used(const Openshell__V1__Sandbox *sandbox, struct str name) NONNULL;

// The value of a credential. ERR_NOT_FOUND: the provider has no such key.
enum err_code provider_value(struct secrets *secrets, const provider *p, struct str key, struct secret *ret,
                             struct err *reterr) NONNULL;

// What GetSandboxProviderEnvironment answers, in `a`: the values of all providers that are attached.
enum err_code provider_environment(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                                   bool bindings, struct arena *a,
                                   Openshell__V1__GetSandboxProviderEnvironmentResponse **ret,
                                   struct err *reterr) NONNULL;
// Its revision alone: changes when anything in the answer may have.
enum err_code provider_env_revision(const struct services *s, const Openshell__V1__Sandbox *sandbox,
                                    struct arena *a, uint64_t *ret, struct err *reterr) NONNULL;

// Sends a connected supervisor what it has now, and waits until that is in force. A sandbox that is not
// connected asks when it connects.
void provider_push(const struct services *s, struct str sandbox_id) NONNULL;
// The same to every sandbox that uses the provider.
void provider_push_users(const struct services *s, struct str workspace, struct str name) NONNULL;
void provider_on_connected(const struct services *s, struct str sandbox_id,
                           const Openshell__V1__SupervisorHello *hello) NONNULL;

// Whether these providers may be attached together: they are there, at most 32, and no two give the same
// variable (reference: gateway 3.2). ERR_PRECONDITION.
enum err_code providers_check(const struct services *s, struct str workspace, char *const *names, size_t n,
                              struct arena *a, struct err *reterr) __attribute__((nonnull(1, 5, 6)));

#define PROVIDER_METHOD(name)                                                                                \
    enum err_code name(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,            \
                       struct err *reterr) NONNULL
PROVIDER_METHOD(method_create_provider);
PROVIDER_METHOD(method_get_provider);
PROVIDER_METHOD(method_list_providers);
PROVIDER_METHOD(method_update_provider);
PROVIDER_METHOD(method_delete_provider);
PROVIDER_METHOD(method_list_provider_profiles);
PROVIDER_METHOD(method_get_provider_profile);
PROVIDER_METHOD(method_list_sandbox_providers);
PROVIDER_METHOD(method_attach_sandbox_provider);
PROVIDER_METHOD(method_detach_sandbox_provider);
PROVIDER_METHOD(method_get_sandbox_provider_environment);
#undef PROVIDER_METHOD
