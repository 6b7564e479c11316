#include "gateway/turns.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"

enum { BUCKETS = 1024 };

struct slot {
    struct slot *chain;
    struct slot *prev, *next; // in the queue
    char id[TURN_ID_MAX + 1];
    unsigned users; // those that have it or wait for it
    bool taken, asked, queued;
};

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t given, wanted;
    bool stopped;
    struct slot *first, *last;
    struct slot *buckets[BUCKETS];
};

static struct slot **place_of(struct turns *t, struct str id)
{
    struct slot **at = &t->buckets[str_hash(id, 0) % BUCKETS];
    while (*at && !str_eq(str_of((*at)->id), id))
        at = &(*at)->chain;
    return at;
}

static struct slot *get(struct turns *t, struct str id)
{
    struct slot **at = place_of(t, id), *s = *at;
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (s)
        memcpy(s->id, id.p, id.n); // at most TURN_ID_MAX, the rest is zero
    *at = s;
    return s;
}

static void enqueue(struct turns *t, struct slot *s)
{
    s->queued = true;
    s->asked = false;
    s->prev = t->last;
    s->next = NULL;
    *(t->last ? &t->last->next : &t->first) = s;
    t->last = s;
    (void)pthread_cond_signal(&t->wanted);
}

static void dequeue(struct turns *t, struct slot *s)
{
    *(s->prev ? &s->prev->next : &t->first) = s->next;
    *(s->next ? &s->next->prev : &t->last) = s->prev;
    s->queued = false;
}

static void drop_if_idle(struct turns *t, struct slot *s)
{
    if (s->users > 0 || s->queued)
        return;
    *place_of(t, str_of(s->id)) = s->chain;
    free(s);
}

enum err_code turns_new(struct turns **ret, struct err *reterr)
{
    struct turns *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(reterr, ERR_LIMIT, "no memory");
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); // glibc's cannot fail with these
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->wanted, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->given, NULL);
    *ret = t;
    return ERR_OK;
}

void turns_free(struct turns *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct slot *s = t->buckets[i], *next; s; s = next) {
            next = s->chain;
            free(s);
        }
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->given);
    (void)pthread_cond_destroy(&t->wanted);
    free(t);
}

enum err_code turn_take(struct turns *t, struct str id, struct err *reterr)
{
    if (id.n == 0 || id.n > TURN_ID_MAX)
        return err_set(reterr, ERR_INVALID, "an id has 1 to %d bytes", TURN_ID_MAX);
    (void)pthread_mutex_lock(&t->lock);
    struct slot *s = get(t, id);
    if (s) {
        s->users++;
        while (s->taken)
            (void)pthread_cond_wait(&t->given, &t->lock);
        s->taken = true;
        if (s->queued) { // whoever has the turn looks for themselves, and afterwards it is looked at again
            dequeue(t, s);
            s->asked = true;
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return s ? ERR_OK : err_set(reterr, ERR_LIMIT, "no memory");
}

void turn_give(struct turns *t, struct str id)
{
    (void)pthread_mutex_lock(&t->lock);
    struct slot *s = *place_of(t, id);
    assert(s && s->taken);
    s->taken = false;
    s->users--;
    if (s->asked && s->users == 0) // else the next one passes it on
        enqueue(t, s);
    (void)pthread_cond_broadcast(&t->given);
    drop_if_idle(t, s);
    (void)pthread_mutex_unlock(&t->lock);
}

void turn_ask(struct turns *t, struct str id)
{
    if (id.n == 0 || id.n > TURN_ID_MAX)
        return;
    (void)pthread_mutex_lock(&t->lock);
    struct slot *s = t->stopped ? NULL : get(t, id);
    if (s && s->users > 0)
        s->asked = true;
    else if (s && !s->queued)
        enqueue(t, s);
    (void)pthread_mutex_unlock(&t->lock);
}

bool turn_next(struct turns *t, int64_t deadline_ns, char ret_id[static TURN_ID_MAX + 1])
{
    const struct timespec until = {.tv_sec = deadline_ns / 1'000'000'000,
                                   .tv_nsec = deadline_ns % 1'000'000'000};
    bool on = true;
    (void)pthread_mutex_lock(&t->lock);
    while (on && !t->stopped && !t->first)
        on = pthread_cond_timedwait(&t->wanted, &t->lock, &until) == 0;
    struct slot *s = t->stopped ? NULL : t->first;
    if (s) {
        dequeue(t, s);
        s->users++;
        s->taken = true; // nobody has it: those that are queued have no users
        (void)snprintf(ret_id, TURN_ID_MAX + 1, "%s", s->id);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return s != NULL;
}

void turns_stop(struct turns *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->stopped = true;
    (void)pthread_cond_broadcast(&t->wanted);
    (void)pthread_mutex_unlock(&t->lock);
}
