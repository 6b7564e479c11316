// Routes to models: asked for with the first configuration, then pushed.
#include "base/clock.h"
#include "supervisor/inference.h"
#include "supervisor/session/internal.h"

enum { ASK_MS = 10'000 };

static void note(struct session *s)
{
    (void)snprintf(s->inference_revision, sizeof(s->inference_revision), "%s",
                   inference_revision(s->opts.inference));
}

enum err_code routes_ask(struct session *s, struct err *e)
{
    CLEANUP(arena_wipe) struct arena a; // there are keys in it
    const Openshell__Inference__V1__GetInferenceBundleRequest
        q = OPENSHELL__INFERENCE__V1__GET_INFERENCE_BUNDLE_REQUEST__INIT;
    const struct rpc_wait wait = {deadline_in_ms(ASK_MS), -1};
    ProtobufCMessage *answer = NULL;
    arena_init(&a, 8 * MIB);
    enum err_code r = rpc_unary(s->client, RPC_INFERENCE_GET_INFERENCE_BUNDLE, &q.base, &wait, &a, &answer,
                                e);
    if (r != ERR_OK) // a gateway without such a method has none
        return rpc_client_status(s->client)->code == RPC_UNIMPLEMENTED ? ERR_OK : r;
    r = inference_set(s->opts.inference,
                      (Openshell__Inference__V1__GetInferenceBundleResponse *)(void *)answer, e);
    note(s);
    return r;
}

enum err_code routes_take(struct session *s, Openshell__Inference__V1__GetInferenceBundleResponse *m,
                          struct err *e)
{
    enum err_code r = launcher_set_inference(s->launcher, m, e);
    note(s);
    return r;
}
