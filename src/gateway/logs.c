#include "gateway/logs.h"

#include "gateway/caller.h"
#include "gateway/records.h"
#include "gateway/services.h"
#include "gateway/watch_internal.h"
#include "gateway/workspace.h"
#include "rpc/wire.h"

typedef Openshell__V1__PushSandboxLogsRequest Batch;

enum { BATCH_BYTES = 1 * MIB, RECORD_ARENA_MAX = 16 * MIB };

// ---- PushSandboxLogs, on the loop

// One call. The first batch waits until a worker has seen that there is such a sandbox.
struct pusher {
    struct watch_call call; // first
    struct rpc_request *r;
    const struct services *services;
    uv_work_t work;
    char id[TOKENS_ID_MAX + 1];
    bool checking, closed, ended;
    struct buf first; // packed
    enum err_code result;
    struct err err;
};

static void pusher_free(struct pusher *x)
{
    buf_done(&x->first);
    rpc_request_unref(x->r);
    free(x);
}

static void let_go(struct pusher *x)
{
    watch_call_remove(&x->call);
    x->closed = true;
    if (!x->checking)
        pusher_free(x);
}

static void fail(struct pusher *x, const struct err *e)
{
    rpc_request_finish_err(x->r, e);
    let_go(x);
}

static void on_ending(struct watch_call *c, const struct err *why)
{
    fail((struct pusher *)(void *)c, why);
}

static void finish(struct pusher *x)
{
    struct err err = {};
    Openshell__V1__PushSandboxLogsResponse m = OPENSHELL__V1__PUSH_SANDBOX_LOGS_RESPONSE__INIT;
    if (rpc_request_send(x->r, &m.base, &err) == ERR_OK)
        rpc_request_finish_ok(x->r);
    else
        rpc_request_finish_err(x->r, &err);
    let_go(x);
}

static void keep(const struct pusher *x, const Batch *m)
{
    for (size_t i = 0; i < m->n_logs && i < LOGS_BATCH_MAX; i++) {
        Openshell__V1__SandboxLogLine line = *m->logs[i];
        line.source = (char *)(uintptr_t) "sandbox"; // whatever it says itself
        watch_log(x->services->watch, str_of(x->id), &line);
    }
}

static void on_check(uv_work_t *work)
{
    struct pusher *x = work->data;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, RECORD_ARENA_MAX);
    Openshell__V1__Sandbox *sandbox = NULL;
    x->result = record_by_id(x->services->store, str_of(x->id), &a, &sandbox, &x->err);
}

static void after_check(uv_work_t *work, int status)
{
    struct pusher *x = work->data;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * BATCH_BYTES);
    ProtobufCMessage *m = NULL;
    x->checking = false;
    if (x->closed) {
        pusher_free(x);
        return;
    }
    if (status != 0)
        x->result = err_set(&x->err, ERR_UNAVAILABLE, "cancelled");
    if (x->result == ERR_OK)
        x->result = wire_unpack(&openshell__v1__push_sandbox_logs_request__descriptor, buf_str(&x->first), &a,
                                &m, &x->err);
    buf_done(&x->first);
    buf_init(&x->first, BATCH_BYTES);
    if (x->result != ERR_OK) {
        fail(x, &x->err);
        return;
    }
    keep(x, (const Batch *)(const void *)m);
    if (x->ended)
        finish(x);
    else
        rpc_request_want(x->r, 1);
}

// The first batch with an id.
static void begin(struct pusher *x, const Batch *m)
{
    struct err err = {};
    enum err_code c = str_cstr(str_of(m->sandbox_id), x->id, sizeof(x->id))
                          ? caller_scope(x->r, str_of(x->id), &err)
                          : err_set(&err, ERR_NOT_FOUND, "sandbox not found");
    if (c == ERR_OK)
        c = wire_pack(&m->base, &x->first, &err);
    x->work.data = x;
    if (c == ERR_OK && uv_queue_work(x->services->watch->loop, &x->work, on_check, after_check) != 0)
        c = err_set(&err, ERR_UNAVAILABLE, "the server has too much to do; try again");
    if (c == ERR_OK)
        x->checking = true;
    else
        fail(x, &err);
}

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct pusher *x = rpc_request_user(r);
    const Batch *m = (const Batch *)(const void *)message;
    struct err err = {};
    if (!m->sandbox_id[0]) {
        rpc_request_want(r, 1);
    } else if (!x->id[0]) {
        begin(x, m);
    } else if (strcmp(x->id, m->sandbox_id) != 0) {
        rpc_request_set_code(r, RPC_PERMISSION_DENIED);
        err_fill(&err, ERR_DENIED, "log stream sandbox_id changed after validation");
        fail(x, &err);
    } else {
        keep(x, m);
        rpc_request_want(r, 1);
    }
}

static void on_end(struct rpc_request *r)
{
    struct pusher *x = rpc_request_user(r);
    x->ended = true;
    if (!x->checking)
        finish(x);
}

static void on_closed(struct rpc_request *r)
{
    let_go(rpc_request_user(r));
}

void method_push_sandbox_logs(struct rpc_request *r)
{
    static const struct rpc_stream_ops ops = {.message = on_message, .end = on_end, .closed = on_closed};
    const struct services *s = rpc_request_ctx(r);
    struct pusher *x = calloc(1, sizeof(*x));
    if (!x || !watch_call_add(s->watch, &x->call)) {
        struct err err = {};
        err_fill(&err, ERR_UNAVAILABLE, x ? "the gateway is ending" : "no memory for a stream of logs");
        rpc_request_finish_err(r, &err);
        free(x);
        return;
    }
    x->call.end = on_ending;
    x->r = rpc_request_ref(r);
    x->services = s;
    buf_init(&x->first, BATCH_BYTES);
    rpc_request_begin(r, &ops, x);
    rpc_request_want(r, 1);
}

// ---- GetSandboxLogs, on a worker

enum err_code method_get_sandbox_logs(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__GetSandboxLogsRequest
        *req = (const Openshell__V1__GetSandboxLogsRequest *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__Sandbox *sandbox = NULL;
    Openshell__V1__SandboxLogLine **lines = NULL;
    struct str workspace = {};
    size_t n = 0;
    Openshell__V1__GetSandboxLogsResponse *out = arena_new(a, Openshell__V1__GetSandboxLogsResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__get_sandbox_logs_response__init(out);
    if (!req->sandbox_id[0])
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    enum err_code c = workspace_check(s->store, req->workspace, WORKSPACE_READ, a, &workspace, reterr);
    if (c == ERR_OK)
        c = record_by_id(s->store, str_of(req->sandbox_id), a, &sandbox, reterr);
    if (c == ERR_OK && req->workspace[0] && !str_eq(str_of(sandbox->metadata->workspace), workspace))
        c = err_set(reterr, ERR_NOT_FOUND, "sandbox not found");
    if (c == ERR_OK)
        c = watch_tail(s->watch, str_of(req->sandbox_id), req->lines > 0 ? req->lines : WATCH_LOG_LINES, a,
                       &lines, &n, reterr);
    if (c != ERR_OK)
        return c;
    const struct watch_filter f = {.since_ms = req->since_ms,
                                   .sources = req->sources,
                                   .n_sources = req->n_sources,
                                   .min_level = req->min_level};
    out->buffer_total = (uint32_t)n;
    out->logs = lines;
    for (size_t i = 0; i < n; i++)
        if (watch_passes(&f, lines[i]))
            lines[out->n_logs++] = lines[i];
    *ret = &out->base;
    return ERR_OK;
}
