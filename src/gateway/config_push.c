#include "gateway/config_push.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

enum { STRIPES = 64, PAGE = 500, ARENA_MAX = 8 * MIB, SWEEP_ARENA = 256 * MIB, PUSHERS = 16 };

struct config {
    struct config_ops ops;
    pthread_mutex_t mu;
    pthread_cond_t done;
    bool pushing[STRIPES]; // by a sandbox's id: over one push and what follows from it
};

enum err_code config_new(const struct config_ops *ops, struct config **ret, struct err *reterr)
{
    struct config *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(reterr, ERR_LIMIT, "no memory for configurations");
    pthread_condattr_t clock;
    (void)pthread_condattr_init(&clock); // none of these can fail
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&c->mu, NULL);
    (void)pthread_cond_init(&c->done, &clock);
    (void)pthread_condattr_destroy(&clock);
    c->ops = ops ? *ops : (struct config_ops){};
    *ret = c;
    return ERR_OK;
}

static bool is_connected(const struct services *s, struct str sandbox_id)
{
    return s->config && s->config->ops.has && s->config->ops.has(s->config->ops.ctx, sandbox_id);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    (void)pthread_cond_destroy(&c->done);
    (void)pthread_mutex_destroy(&c->mu);
    free(c);
}

// False: its turn did not come until then.
static bool begin_push(struct config *c, bool *pushing, int64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = deadline_ns / 1'000'000'000,
                                   .tv_nsec = deadline_ns % 1'000'000'000};
    (void)pthread_mutex_lock(&c->mu);
    while (*pushing && pthread_cond_timedwait(&c->done, &c->mu, &until) == 0)
        ;
    bool free_now = !*pushing;
    *pushing = true;
    (void)pthread_mutex_unlock(&c->mu);
    return free_now;
}

enum err_code config_in_turn(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                             config_pusher *push, void *ctx, struct arena *a, struct err *reterr)
{
    if (!is_connected(s, sandbox_id))
        return err_set(reterr, ERR_UNAVAILABLE, "no supervisor of the sandbox is connected");
    bool *pushing = &s->config->pushing[str_hash(sandbox_id, 0) % STRIPES];
    if (!begin_push(s->config, pushing, deadline_ns))
        return err_set(reterr, ERR_TIMEOUT, "another push to the sandbox takes too long");
    enum err_code c = push(s, sandbox_id, deadline_ns, ctx, a, reterr);
    (void)pthread_mutex_lock(&s->config->mu);
    *pushing = false;
    (void)pthread_cond_broadcast(&s->config->done);
    (void)pthread_mutex_unlock(&s->config->mu);
    return c;
}

enum err_code config_send(const struct services *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                          int64_t deadline_ns, struct push_result *ret, struct err *reterr)
{
    return s->config->ops.push(s->config->ops.ctx, sandbox_id, push, deadline_ns, ret, reterr);
}

enum err_code config_deliver(const struct services *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                             int64_t deadline_ns, struct err *reterr)
{
    struct push_result result = {};
    enum err_code c = config_send(s, sandbox_id, push, deadline_ns, &result, reterr);
    return c == ERR_OK && result.error[0] ? err_set(reterr, ERR_PRECONDITION, "%s", result.error) : c;
}

// ---- to many

// A page of sandboxes; several threads take one after the other from it, so that a supervisor that does not
// answer holds up none but itself.
struct sweep {
    const struct services *s;
    const struct store_object *rows;
    config_pusher *push;
    void *ctx;
    size_t n;
    atomic_size_t next;
};

static void *push_some(void *arg)
{
    struct sweep *w = arg;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;) {
        CLEANUP(arena_wipe) struct arena a; // there may be credentials in it
        struct err err = {};
        arena_init(&a, ARENA_MAX);
        if (is_connected(w->s, w->rows[i].id) &&
            config_in_turn(w->s, w->rows[i].id, deadline_in_ms(CONFIG_PUSH_MS), w->push, w->ctx, &a, &err) !=
                ERR_OK)
            log_warning(w->s->log, "config.push", LOG_WORD("sandbox", w->rows[i].id), LOG_REASON(&err));
    }
    return NULL;
}

static void push_page(struct sweep *w)
{
    pthread_t threads[PUSHERS - 1];
    size_t started = 0, connected = 0;
    for (size_t i = 0; i < w->n; i++)
        connected += is_connected(w->s, w->rows[i].id);
    while (started < PUSHERS - 1 && started + 1 < connected &&
           pthread_create(&threads[started], NULL, push_some, w) == 0)
        started++;
    (void)push_some(w); // this one, too, and alone where there are no others
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

void config_push_to(const struct services *s, struct str workspace, config_pusher *push, void *ctx)
{
    CLEANUP(arena_done) struct arena a;
    struct store_query q = {.kind = STR("sandbox"),
                            .all_workspaces = !workspace.p,
                            .workspace = workspace,
                            .limit = PAGE};
    struct err err = {};
    bool more = s->config && s->config->ops.has;
    arena_init(&a, SWEEP_ARENA);
    while (more) {
        struct sweep w = {.s = s, .push = push, .ctx = ctx};
        if (store_list(s->store, &q, &a, &w.rows, &w.n, &more, &err) != ERR_OK) {
            log_error(s->log, "config.push", LOG_REASON(&err));
            return;
        }
        push_page(&w);
        more = more && w.n > 0;
        q.after = w.n > 0 ? &w.rows[w.n - 1] : NULL;
    }
}
