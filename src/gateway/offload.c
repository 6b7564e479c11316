#include "gateway/offload.h"

struct job {
    uv_work_t work;
    struct rpc_request *r; // a share of it
    const struct offload_ops *ops;
    void *arg;
    enum err_code result;
    struct err err;
};

static void job_free(struct job *j)
{
    rpc_request_unref(j->r);
    free(j->arg);
    free(j);
}

static void on_work(uv_work_t *work)
{
    struct job *j = work->data;
    j->result = rpc_request_is_open(j->r) ? j->ops->work(j->r, j->arg, &j->err)
                                          : err_set(&j->err, ERR_UNAVAILABLE, "cancelled");
}

static void after_work(uv_work_t *work, int status)
{
    struct job *j = work->data;
    if (status != 0)
        j->result = err_set(&j->err, ERR_UNAVAILABLE, "cancelled");
    if (rpc_request_is_open(j->r))
        j->ops->done(j->r, j->arg, j->result == ERR_OK ? NULL : &j->err);
    job_free(j);
}

void offload(uv_loop_t *loop, struct rpc_request *r, const struct offload_ops *ops, void *arg)
{
    struct job *j = calloc(1, sizeof(*j));
    struct err err = {};
    if (!j) {
        err_fill(&err, ERR_LIMIT, "no memory for the call");
        ops->done(r, arg, &err);
        free(arg);
        return;
    }
    *j = (struct job){.r = rpc_request_ref(r), .ops = ops, .arg = arg};
    j->work.data = j;
    if (uv_queue_work(loop, &j->work, on_work, after_work) == 0)
        return;
    err_fill(&err, ERR_UNAVAILABLE, "no worker for the call");
    ops->done(r, arg, &err);
    job_free(j);
}
