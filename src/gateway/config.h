// gateway/config.h: what a sandbox runs under, and how it gets there.
//
// Any worker; never the loop. What is in force is derived from the store each time it is asked for: the
// newest revision of the sandbox, or the policy of the whole gateway where there is one, and the settings.
// Whoever changes one of these stores it and then calls config_push(), which reads again: so of two that
// change something at once, the later push never brings back the older state.
#pragma once
#include "gateway/services.h"
#include "gateway/sessions.h"
#include "rpc/serve.h"
#include "store/store.h"

#include "openshell.pb-c.h"

struct config; // who is pushing to whom: config_push.h

// The way to supervisors: sessions_has() and sessions_push(), or a test's own. NULL: there is none.
struct config_ops {
    bool (*has)(void *ctx, struct str sandbox_id);
    enum err_code (*push)(void *ctx, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                          int64_t deadline_ns, struct push_result *ret, struct err *reterr);
    void *ctx;
};

enum err_code config_new(const struct config_ops *ops, struct config **ret, struct err *reterr)
    __attribute__((nonnull(2, 3)));
void config_free(struct config *c); // NULL is fine

enum { CONFIG_PUSH_MS = 5000 }; // how long UpdateConfig waits for a supervisor

// What GetSandboxConfig answers, in `a`. Stores the policy that the sandbox was created with as its revision
// 1, loaded, where it has none yet.
enum err_code config_of(const struct services *s, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                        Openshell__Sandbox__V1__GetSandboxConfigResponse **ret, struct err *reterr) NONNULL;

// Sends a connected supervisor what is in force now, waits for its answer, and stores what became of the
// revision. ERR_UNAVAILABLE: none is connected; it asks when it connects. ERR_TIMEOUT. A refusal by the
// supervisor is stored, and ERR_OK. `a` is used for all that.
enum err_code config_push(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                          struct arena *a, struct err *reterr) NONNULL;
// All that are connected; those that do not answer are logged and passed over.
void config_push_all(const struct services *s) NONNULL;

// The supervisor of that sandbox has connected: takes note of the revision that it says is in force, and
// pushes where that is not what should be.
void config_on_connected(const struct services *s, struct str sandbox_id,
                         const Openshell__V1__SupervisorHello *hello) NONNULL;

// What a supervisor made of a revision: stores it, and what the sandbox's record says of it. ERR_NOT_FOUND:
// "policy revision not found".
enum err_code config_report(const struct services *s, const Openshell__V1__Sandbox *sandbox, uint32_t number,
                            Openshell__V1__PolicyStatus status, struct str why, struct arena *a,
                            struct err *reterr) NONNULL;

// The newest revision of a sandbox; the first is stored here as by config_of(). ERR_NOT_FOUND: it has none.
struct revision;
enum err_code config_latest(struct store *st, const Openshell__V1__Sandbox *sandbox, struct arena *a,
                            struct revision *ret, struct err *reterr) NONNULL;
// The policy of the whole gateway, where there is one.
enum err_code config_global(struct store *st, struct arena *a, struct revision *ret, bool *ret_is,
                            struct err *reterr) NONNULL;

// The writes that remove what is stored here for a sandbox, to go with the removal of its record.
enum { CONFIG_REMOVE_WRITES = 3 };
void config_remove_writes(const Openshell__V1__Sandbox *sandbox,
                          struct store_write ret[static CONFIG_REMOVE_WRITES]) NONNULL;

// A policy as it came in a request, converted and validated as a gateway must (reference: gateway 4.9).
// ERR_INVALID: "policy contains unsafe content: …", or a reserved key; ERR_PRECONDITION: "network endpoint
// ambiguity validation failed: …"; ERR_UNSUPPORTED names what is not built.
struct policy;
enum err_code config_check_policy(const Openshell__Sandbox__V1__SandboxPolicy *m, struct arena *a,
                                  struct policy **ret, struct err *reterr) NONNULL;
enum err_code config_check_parsed(const struct policy *p, struct arena *a, struct err *reterr) NONNULL;

enum err_code method_get_sandbox_config(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_get_gateway_config(struct rpc_request *r, const ProtobufCMessage *in,
                                        ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_update_config(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr) NONNULL;
enum err_code method_get_policy_status(struct rpc_request *r, const ProtobufCMessage *in,
                                       ProtobufCMessage **ret, struct err *reterr) NONNULL;
enum err_code method_list_policies(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr) NONNULL;
enum err_code method_report_policy_status(struct rpc_request *r, const ProtobufCMessage *in,
                                          ProtobufCMessage **ret, struct err *reterr) NONNULL;
