#include "gateway/health.h"

#include "tap.h"

#include <poll.h>
#include <stdatomic.h>

// The store is one of our own here, which answers as it is told.

static struct {
    atomic_int answer; // enum err_code
    atomic_int wait_ms;
    unsigned probes[HEALTH_TIMEOUT + 1];
    struct log log;
} t = {.log = {.fd = -1}};

enum err_code store_get(struct store *st, struct str kind, struct str id, struct arena *arena,
                        struct store_object *ret, struct err *reterr)
{
    (void)st;
    (void)kind;
    (void)id;
    (void)arena;
    (void)ret;
    (void)poll(NULL, 0, atomic_load(&t.wait_ms));
    return err_set(reterr, (enum err_code)atomic_load(&t.answer), "as told");
}

static void on_probed(void *ctx, enum health_outcome outcome, int64_t took_ns)
{
    (void)ctx;
    (void)took_ns;
    t.probes[outcome]++;
}

// Turns the loop until the state is that, at most `ms`.
static bool becomes(uv_loop_t *loop, const struct health *h, enum health_state state, int ms)
{
    for (int i = 0; i < ms / 10 && health_state(h) != state; i++) {
        (void)uv_run(loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 10);
    }
    return health_state(h) == state;
}

static bool page_is(struct health *h, const char *path, unsigned status, const char *part)
{
    struct http_page page = {.status = 200};
    buf_init(&page.body, HTTP_PAGE_MAX);
    for (const struct http_route *r = health_routes; r->path; r++)
        if (strcmp(r->path, path) == 0)
            r->get(h, &page);
    bool ok = page.status == status &&
              (part ? page.body.n > 0 && strstr(page.body.p, part) != NULL : page.body.n == 0);
    if (!ok)
        tap_note("%u %.*s", page.status, (int)page.body.n, page.body.n ? page.body.p : "");
    buf_done(&page.body);
    return ok;
}

int main(void)
{
    uv_loop_t loop;
    struct health *h = NULL;
    struct err err = {};
    if (uv_loop_init(&loop) != 0)
        return 1;
    const struct health_opts opts = {.store = (struct store *)(void *)&t,
                                     .loop = &loop,
                                     .log = &t.log,
                                     .probed = on_probed};
    atomic_store(&t.answer, ERR_NOT_FOUND);
    if (health_new(&opts, &h, &err) != ERR_OK)
        return 1;
    tap_ok(page_is(h, "/readyz", 503, "\"error\":\"readiness monitor still initializing\""),
           "not ready before the store was asked");
    tap_ok(page_is(h, "/healthz", 200, NULL), "but alive");
    tap_ok(becomes(&loop, h, HEALTH_UP, 2000) && page_is(h, "/readyz", 200, "\"latency_ms\":"), "up");
    atomic_store(&t.answer, ERR_UNAVAILABLE);
    tap_ok(becomes(&loop, h, HEALTH_DOWN, 7000) &&
               page_is(h, "/health", 503, "\"status\":\"unhealthy\",\"error\":\"database unavailable\""),
           "a store that fails");
    tap_ok(page_is(h, "/healthz", 200, NULL), "does not make the process dead");
    atomic_store(&t.answer, ERR_NOT_FOUND);
    atomic_store(&t.wait_ms, 3000);
    tap_ok(becomes(&loop, h, HEALTH_SLOW, 9000) &&
               page_is(h, "/readyz", 503, "\"error\":\"database health check timed out\""),
           "a store that does not answer in time");
    tap_ok(becomes(&loop, h, HEALTH_UP, 3000), "is up again when it has answered");
    tap_ok(t.probes[HEALTH_SUCCESS] == 1 && t.probes[HEALTH_ERROR] == 1 && t.probes[HEALTH_TIMEOUT] == 1,
           "each time is told once: %u %u %u", t.probes[0], t.probes[1], t.probes[2]);
    health_close(h);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    atomic_store(&t.wait_ms, 300);
    if (health_new(&opts, &h, &err) != ERR_OK)
        return 1;
    health_close(h); // while a worker has it
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    tap_ok(uv_loop_close(&loop) == 0, "nothing is left of it");
    return tap_done();
}
