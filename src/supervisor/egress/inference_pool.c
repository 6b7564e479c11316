// Connections to models that have answered and may be asked again.
#include <pthread.h>

#include "base/clock.h"
#include "supervisor/egress/inference.h"

struct idle {
    struct stream *s; // NULL: free
    struct target target;
    bool tls;
    int64_t since_ns;
};

struct pool {
    pthread_mutex_t lock; // guards v
    struct idle v[INFERENCE_POOL_MAX];
};

enum err_code pool_new(struct pool **ret, struct err *e)
{
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, ERR_LIMIT, "no memory for connections to models");
    (void)pthread_mutex_init(&p->lock, NULL);
    *ret = p;
    return ERR_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < INFERENCE_POOL_MAX; i++)
        stream_free(p->v[i].s);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

static bool is_for(const struct idle *i, const struct target *t, bool tls)
{
    return i->s && i->tls == tls && i->target.port == t->port &&
           str_eq(target_host(&i->target), target_host(t));
}

// Open, and with nothing to say that nobody asked for.
static bool is_quiet(struct stream *s)
{
    const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};
    char b[1];
    size_t n;
    struct err ignored;
    return stream_read(s, b, sizeof(b), &n, &now, &ignored) == ERR_TIMEOUT;
}

struct stream *pool_take(struct pool *p, const struct target *t, bool tls)
{
    for (;;) {
        struct idle *best = NULL;
        (void)pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i < INFERENCE_POOL_MAX; i++)
            if (is_for(&p->v[i], t, tls) && (!best || p->v[i].since_ns > best->since_ns))
                best = &p->v[i];
        struct stream *s = best ? best->s : NULL;
        int64_t since = best ? best->since_ns : 0;
        if (best)
            best->s = NULL;
        (void)pthread_mutex_unlock(&p->lock);
        if (!s)
            return NULL;
        if (clock_ns() - since < (int64_t)INFERENCE_POOL_IDLE_MS * 1'000'000 && is_quiet(s))
            return s;
        stream_free(s);
    }
}

void pool_put(struct pool *p, const struct target *t, bool tls, struct stream *s)
{
    struct stream *gone;
    struct idle *to = &p->v[0];
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < INFERENCE_POOL_MAX && to->s; i++)
        if (!p->v[i].s || p->v[i].since_ns < to->since_ns)
            to = &p->v[i];
    gone = to->s;
    *to = (struct idle){.s = s, .target = *t, .tls = tls, .since_ns = clock_ns()};
    (void)pthread_mutex_unlock(&p->lock);
    stream_free(gone);
}
