#include "gateway/turns.h"

#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"

enum { WORKERS = 4, ROUNDS = 2000, IDS = 3 };

struct shared {
    struct turns *turns;
    int inside[IDS]; // without a lock: the turn is one
    unsigned done[IDS];
    atomic_bool met;
    atomic_uint looks;
};

static const char *const ids[IDS] = {"a", "b", "c"};

static void work_on(struct shared *s, size_t i)
{
    if (s->inside[i] != 0)
        atomic_store(&s->met, true);
    s->inside[i]++;
    s->done[i]++;
    s->inside[i]--;
}

static void *worker(void *arg)
{
    struct shared *s = arg;
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct err err;
        size_t i = n % IDS;
        if (turn_take(s->turns, str_of(ids[i]), &err) != ERR_OK)
            abort();
        work_on(s, i);
        turn_ask(s->turns, str_of(ids[i]));
        turn_give(s->turns, str_of(ids[i]));
        turn_ask(s->turns, str_of(ids[(n + 1) % IDS]));
    }
    return NULL;
}

static void *looker(void *arg)
{
    struct shared *s = arg;
    char id[TURN_ID_MAX + 1];
    while (turn_next(s->turns, DEADLINE_NEVER, id)) {
        work_on(s, (size_t)(id[0] - 'a'));
        atomic_fetch_add(&s->looks, 1);
        turn_give(s->turns, str_of(id));
    }
    return NULL;
}

static void test_threads(void)
{
    struct shared s = {};
    struct err err = {};
    pthread_t t[WORKERS + 1];
    if (turns_new(&s.turns, &err) != ERR_OK || pthread_create(&t[WORKERS], NULL, looker, &s) != 0)
        abort();
    for (size_t i = 0; i < WORKERS; i++)
        if (pthread_create(&t[i], NULL, worker, &s) != 0)
            abort();
    for (size_t i = 0; i < WORKERS; i++)
        (void)pthread_join(t[i], NULL);
    unsigned before = atomic_load(&s.looks);
    turn_ask(s.turns, STR("a"));
    while (atomic_load(&s.looks) == before)
        (void)sched_yield();
    turns_stop(s.turns);
    (void)pthread_join(t[WORKERS], NULL);
    unsigned all = s.done[0] + s.done[1] + s.done[2];
    tap_ok(!atomic_load(&s.met), "nobody meets in the turn of one sandbox");
    tap_ok(all == WORKERS * ROUNDS + atomic_load(&s.looks) && atomic_load(&s.looks) > 0,
           "and all had theirs");
    turns_free(s.turns);
}

int main(void)
{
    struct turns *t = NULL;
    struct err err = {};
    char id[TURN_ID_MAX + 1] = "", longest[TURN_ID_MAX + 2] = "";
    memset(longest, 'x', TURN_ID_MAX + 1);
    (void)!turns_new(&t, &err);
    tap_ok(!turn_next(t, deadline_in_ms(1), id), "an empty queue ends at the deadline");
    turn_ask(t, STR("a"));
    turn_ask(t, STR("b"));
    turn_ask(t, STR("a"));
    tap_ok(turn_next(t, deadline_in_ms(1000), id) && strcmp(id, "a") == 0, "the first that was asked for");
    turn_ask(t, STR("a"));
    tap_ok(turn_next(t, deadline_in_ms(1000), id) && strcmp(id, "b") == 0, "one whose turn is taken waits");
    turn_give(t, STR("b"));
    tap_ok(!turn_next(t, deadline_in_ms(1), id), "each stands there once");
    turn_give(t, STR("a"));
    tap_ok(turn_next(t, deadline_in_ms(1000), id) && strcmp(id, "a") == 0, "asked for meanwhile: again");
    turn_give(t, STR("a"));
    turn_ask(t, STR("c"));
    tap_ok(turn_take(t, STR("c"), &err) == ERR_OK && !turn_next(t, deadline_in_ms(1), id),
           "who takes the turn takes it out of the queue");
    turn_give(t, STR("c"));
    tap_ok(turn_next(t, deadline_in_ms(1000), id) && strcmp(id, "c") == 0, "and puts it back");
    turn_give(t, STR("c"));
    tap_ok(turn_take(t, STR(""), &err) == ERR_INVALID && turn_take(t, str_of(longest), &err) == ERR_INVALID,
           "an id has 1 to 63 bytes");
    turn_ask(t, STR("d"));
    turns_stop(t);
    tap_ok(!turn_next(t, DEADLINE_NEVER, id), "stopped");
    turns_free(t);
    test_threads();
    return tap_done();
}
