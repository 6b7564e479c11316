// gateway/inference.h: where a workspace's model calls go.
//
// Two routes for each workspace: "inference.local", which is what sandboxes call under that name, and
// "sandbox-system" for the supervisor itself. A route names a provider and a model, and is resolved to an
// address and a key each time it is asked for, so a changed credential counts with the next request. Any
// worker.
#pragma once
#include "gateway/providers.h"

#include "inference.pb-c.h"

#define INFERENCE_USER   "inference.local"
#define INFERENCE_SYSTEM "sandbox-system"

typedef Openshell__Inference__V1__ResolvedRoute inference_route;

// A provider and a model as a route: its base address, protocols and key. ERR_INVALID: the kind of provider
// serves no models, or its configuration is wrong; ERR_PRECONDITION: it has no key that can be used.
enum err_code inference_resolve(const struct services *s, const provider *p, const char *name,
                                const char *model, uint64_t timeout_s, struct arena *a, inference_route **ret,
                                struct err *reterr) NONNULL;

// What GetInferenceBundle answers for a workspace.
enum err_code inference_bundle(const struct services *s, struct str workspace, struct arena *a,
                               Openshell__Inference__V1__GetInferenceBundleResponse **ret,
                               struct err *reterr) NONNULL;

// Sends every connected sandbox of the workspace what its routes are now.
void inference_push(const struct services *s, struct str workspace) NONNULL;
void inference_on_connected(const struct services *s, struct str sandbox_id,
                            const Openshell__V1__SupervisorHello *hello) NONNULL;

#define INFERENCE_METHOD(name)                                                                               \
    enum err_code name(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,            \
                       struct err *reterr) NONNULL
INFERENCE_METHOD(method_set_inference_route);
INFERENCE_METHOD(method_get_inference_route);
INFERENCE_METHOD(method_delete_inference_route);
INFERENCE_METHOD(method_get_inference_bundle);
#undef INFERENCE_METHOD
