#include "gateway/lookup.h"

#include "gateway/offload.h"
#include "gateway/records.h"
#include "gateway/services.h"
#include "gateway/sessions_internal.h"

enum { LOOKUP_ARENA = 8 * MIB };

struct lookup {
    void (*done)(struct rpc_request *r, const struct err *failed);
    char sandbox_id[SESSION_ID_MAX + 1];
};

// Ready; or its main process has ended by itself, and its supervisor still has what that said.
static bool is_reachable(const Openshell__V1__SandboxStatus *s)
{
    bool ended = s && s->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
    return s && (s->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY ||
                 (ended && s->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR));
}

enum err_code lookup_ready_now(struct rpc_request *r, struct str sandbox_id, struct arena *a,
                               struct str *ret_workspace, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    Openshell__V1__Sandbox *record = NULL;
    if (sandbox_id.n == 0)
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    enum err_code c = record_by_id(services->store, sandbox_id, a, &record, reterr);
    if (c != ERR_OK)
        return c;
    if (!is_reachable(record->status))
        return err_set(reterr, ERR_PRECONDITION, "sandbox is not ready");
    *ret_workspace = str_of(record->metadata ? record->metadata->workspace : NULL);
    return ERR_OK;
}

static enum err_code look(struct rpc_request *r, void *arg, struct err *reterr)
{
    const struct lookup *l = arg;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LOOKUP_ARENA);
    struct str ignored = {};
    return lookup_ready_now(r, str_of(l->sandbox_id), &a, &ignored, reterr);
}

static void looked(struct rpc_request *r, void *arg, const struct err *failed)
{
    const struct lookup *l = arg;
    l->done(r, failed);
}

static const struct offload_ops ops = {.work = look, .done = looked};

void lookup_ready(struct sessions *s, struct rpc_request *r, struct str sandbox_id,
                  void (*done)(struct rpc_request *r, const struct err *failed))
{
    struct lookup *l = calloc(1, sizeof(*l));
    struct err err = {};
    if (l && sandbox_id.n > 0 && str_cstr(sandbox_id, l->sandbox_id, sizeof(l->sandbox_id))) {
        l->done = done;
        offload(s->loop, r, &ops, l);
        return;
    }
    if (!l)
        err_fill(&err, ERR_LIMIT, "no memory for the call");
    else if (sandbox_id.n == 0)
        err_fill(&err, ERR_INVALID, "sandbox_id is required");
    else
        err_fill(&err, ERR_NOT_FOUND, "sandbox not found");
    free(l);
    done(r, &err);
}
