#include "gateway/health.h"

#include "base/clock.h"
#include "base/jsonw.h"

#include <stdatomic.h>

enum { EVERY_MS = 5000, PATIENCE_MS = 2000 };
#define NS_PER_MS 1'000'000

struct health {
    struct health_opts opts;
    uv_timer_t timer;
    uv_work_t work;
    bool asking, late, closing, closed; // closed: the timer's handle is
    _Atomic enum health_state state;    // the loop writes it
    int64_t asked_ns, took_ns;
    enum err_code answer; // of the worker
};

static void set_state(struct health *h, enum health_state state)
{
    static const char *const names[] = {"starting", "up", "down", "slow"};
    if (h->state == state)
        return;
    if (state != HEALTH_UP)
        log_error(h->opts.log, "gateway.store-unhealthy", LOG_WORD("state", str_of(names[state])));
    else if (h->state != HEALTH_STARTING)
        log_info(h->opts.log, "gateway.store-healthy", LOG_WORD("was", str_of(names[h->state])));
    h->state = state;
}

static void tell(struct health *h, enum health_outcome outcome, int64_t took_ns)
{
    if (h->opts.probed)
        h->opts.probed(h->opts.ctx, outcome, took_ns);
}

// A row that is never there: the answer is that of the index.
static void on_work(uv_work_t *work)
{
    struct health *h = work->data;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct store_object none;
    struct err err = {};
    h->answer = store_get(h->opts.store, STR("health"), STR("none"), &a, &none, &err);
}

static void on_timer(uv_timer_t *timer);

static void finish(struct health *h)
{
    if (h->closed && !h->asking)
        free(h);
}

static void after_work(uv_work_t *work, int status)
{
    struct health *h = work->data;
    h->asking = false;
    h->took_ns = clock_ns() - h->asked_ns;
    bool up = status == 0 && (h->answer == ERR_OK || h->answer == ERR_NOT_FOUND);
    if (h->closing) {
        finish(h);
        return;
    }
    if (!h->late)
        tell(h, up ? HEALTH_SUCCESS : HEALTH_ERROR, h->took_ns);
    set_state(h, up ? HEALTH_UP : HEALTH_DOWN);
    (void)uv_timer_start(&h->timer, on_timer, EVERY_MS, 0); // fails only for a handle that is being closed
}

static void ask(struct health *h)
{
    h->asking = true;
    h->late = false;
    h->asked_ns = clock_ns();
    h->work.data = h;
    if (uv_queue_work(h->timer.loop, &h->work, on_work, after_work) != 0) {
        h->asking = false;
        set_state(h, HEALTH_DOWN);
    }
    (void)uv_timer_start(&h->timer, on_timer, h->asking ? PATIENCE_MS : EVERY_MS, 0); // as above
}

static void on_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    if (!h->asking) {
        ask(h);
        return;
    }
    h->late = true; // the worker may still come; until then nothing else is asked
    tell(h, HEALTH_TIMEOUT, clock_ns() - h->asked_ns);
    set_state(h, HEALTH_SLOW);
}

static void on_closed(uv_handle_t *handle)
{
    struct health *h = handle->data;
    h->closed = true;
    finish(h);
}

enum err_code health_new(const struct health_opts *opts, struct health **ret, struct err *reterr)
{
    struct health *h = calloc(1, sizeof(*h));
    if (!h)
        return err_set(reterr, ERR_LIMIT, "no memory to watch over the store");
    h->opts = *opts;
    (void)uv_timer_init(opts->loop, &h->timer); // cannot fail
    h->timer.data = h;
    ask(h);
    *ret = h;
    return ERR_OK;
}

void health_close(struct health *h)
{
    if (!h || h->closing)
        return;
    h->closing = true;
    uv_close((uv_handle_t *)&h->timer, on_closed);
}

enum health_state health_state(const struct health *h)
{
    return h->state;
}

// ---- pages

static void get_alive(void *ctx, struct http_page *ret) // the loop turns, or nobody would read this
{
    (void)ctx;
    (void)ret;
}

static void get_ready(void *ctx, struct http_page *ret)
{
    static const char *const why[] = {[HEALTH_STARTING] = "readiness monitor still initializing",
                                      [HEALTH_DOWN] = "database unavailable",
                                      [HEALTH_SLOW] = "database health check timed out"};
    const struct health *h = ctx;
    bool up = h->state == HEALTH_UP, first = true, inner = true;
    struct buf *b = &ret->body;
    struct str word = up ? STR("healthy") : STR("unhealthy");
    ret->status = up ? 200 : 503;
    ret->type = "application/json";
    buf_addc(b, '{');
    jsonw_member(b, &first, "status", word);
    jsonw_member(b, &first, "version", STR(OPENSHELL_VERSION));
    jsonw_key(b, &first, "checks");
    buf_add(b, STR("{\"database\":{"));
    jsonw_member(b, &inner, "status", word);
    if (up) {
        jsonw_key(b, &inner, "latency_ms");
        buf_addf(b, "%lld", (long long)(h->took_ns / NS_PER_MS));
    } else {
        jsonw_member(b, &inner, "error", str_of(why[h->state]));
    }
    buf_add(b, STR("}}}\n"));
}

const struct http_route health_routes[] = {{"/healthz", get_alive},
                                           {"/readyz", get_ready},
                                           {"/health", get_ready},
                                           {NULL, NULL}};
