// What the engine says unasked. After each (re)connection everything is told anew, and what was there before
// and is not any more as deleted: so an engine that was restarted, or events that were missed, change nothing
// in the end.
#include "gateway/compute/docker_internal.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"

enum { AGAIN_MS = 1000, KNOWN_MAX = 10'000 }; // ours

struct watching {
    struct docker *d;
    char (*known)[DOCKER_ID];
    size_t n;
};

static void forget(struct watching *w, const char *id)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->known[i], id) == 0) {
            memcpy(w->known[i], w->known[--w->n], DOCKER_ID);
            return;
        }
}

static void remember(struct watching *w, const char *id)
{
    forget(w, id);
    if (w->n < KNOWN_MAX)
        (void)snprintf(w->known[w->n++], DOCKER_ID, "%s", id);
}

static void deleted(struct watching *w, const char *id)
{
    forget(w, id);
    if (w->d->events.deleted)
        w->d->events.deleted(w->d->events.ctx, str_of(id));
}

static bool on_event(void *ctx, json_t *o)
{
    struct watching *w = ctx;
    const json_t *actor = json_object_get(o, "Actor"), *labels = json_object_get(actor, "Attributes");
    const char *action = json_string_value(json_object_get(o, "Action"));
    const char *container = json_string_value(json_object_get(actor, "ID"));
    const char *id = json_string_value(json_object_get(labels, LABEL_ID));
    Openshell__Compute__V1__DriverSandbox *s = NULL;
    struct err gone;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, DOCKER_ARENA);
    if (!action || !container || !id || strncmp(action, "exec_", strlen("exec_")) == 0)
        return true;
    if (strcmp(action, "destroy") == 0 || strcmp(action, "remove") == 0) {
        deleted(w, id);
    } else if (docker_inspect(w->d, str_of(container), &a, &s, &gone) == ERR_OK) {
        remember(w, id);
        docker_tell(w->d, s);
    }
    return true;
}

static enum err_code resync(struct watching *w, struct err *reterr)
{
    Openshell__Compute__V1__DriverSandbox **v = NULL;
    size_t n = 0;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * MIB);
    enum err_code r = w->d->driver.ops->list(&w->d->driver, &a, &v, &n, reterr);
    if (r != ERR_OK)
        return r;
    for (size_t i = w->n; i-- > 0;) {
        bool there = false;
        for (size_t k = 0; k < n; k++)
            there = there || strcmp(v[k]->id, w->known[i]) == 0;
        char id[DOCKER_ID];
        memcpy(id, w->known[i], sizeof(id));
        if (!there)
            deleted(w, id);
    }
    for (size_t i = 0; i < n; i++) {
        remember(w, v[i]->id);
        docker_tell(w->d, v[i]);
    }
    return ERR_OK;
}

static bool wait_again(struct docker *d) // false: the driver is ending
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += AGAIN_MS / 1000;
    (void)pthread_mutex_lock(&d->lock);
    int timed_out = 0;
    while (!d->ending && timed_out == 0)
        timed_out = pthread_cond_timedwait(&d->changed, &d->lock, &until);
    bool ending = d->ending;
    (void)pthread_mutex_unlock(&d->lock);
    return !ending;
}

// From `since_s` on, so that nothing falls between the list and the stream; a second of events comes twice.
static enum err_code follow(struct watching *w, int64_t since_s, struct err *reterr)
{
    CLEANUP(buf_done) struct buf path;
    CLEANUP(buf_done) struct buf filter;
    buf_init(&path, 4 * KIB);
    buf_init(&filter, KIB);
    buf_addf(&filter, "{\"type\":[\"container\"],\"label\":[\"" LABEL_NAMESPACE "=%s\"]}", w->d->namespace);
    buf_addf(&path, DOCKER_API "/events?since=%lld&filters=", (long long)since_s);
    engine_escape(buf_str(&filter), &path);
    buf_addc(&path, '\0');
    enum err_code r = buf_check(&path, "a request", reterr);
    return r == ERR_OK ? engine_stream(w->d->engine, "GET", path.p, on_event, w, reterr) : r;
}

static void *watch_main(void *arg)
{
    struct watching w = {.d = arg};
    struct docker *d = w.d;
    bool up = true;
    w.known = calloc(KNOWN_MAX, sizeof(*w.known));
    if (!w.known)
        log_error(d->log, "docker.watch", LOG_STR("error", STR("no memory")));
    while (w.known) {
        struct err e = {};
        int64_t since_s = clock_realtime_ms() / 1000;
        enum err_code r = resync(&w, &e);
        if (r == ERR_OK && !up)
            log_info(d->log, "docker.engine-back", LOG_STR("driver", str_of(d->driver.name)));
        up = up || r == ERR_OK;
        if (r == ERR_OK)
            r = follow(&w, since_s, &e);
        if (!wait_again(d))
            break;
        if (r != ERR_OK && up) {
            log_warning(d->log, "docker.engine-lost", LOG_STR("driver", str_of(d->driver.name)),
                        LOG_STR("error", str_of(e.msg)));
            up = false;
        }
    }
    free(w.known);
    return NULL;
}

enum err_code watch_start(struct docker *d, struct err *reterr)
{
    if (pthread_create(&d->watcher, NULL, watch_main, d) != 0)
        return err_set(reterr, ERR_LIMIT, "no thread to watch the engine");
    d->watching = true;
    return ERR_OK;
}

void watch_end(struct docker *d)
{
    if (!d->watching)
        return;
    (void)pthread_mutex_lock(&d->lock);
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
    (void)pthread_join(d->watcher, NULL);
    d->watching = false;
}
