// Many threads at one store, for ThreadSanitizer too: versions decide, and no update is lost.
#include "store/store_test.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    WRITERS = 6,
    LISTERS = 6, // more than there are connections to read with
    OBJECTS = 3,
    TIMES = 60,
};

struct shared {
    struct store *st;
    atomic_uint done, conflicts, made, taken, wrong, pages;
};

static bool step(struct shared *s,
                 const char *id) // one more, from the version and the payload that are there
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct err err = {};
    struct store_object o;
    uint64_t n = 0, v = 0;
    char text[24];
    if (store_get(s->st, STR("thing"), str_of(id), &a, &o, &err) != ERR_OK ||
        !str_u64(o.payload, 1'000'000, &n) || n + 1 != o.version) {
        s->wrong++;
        return true;
    }
    o.payload = (struct str){text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)n + 1)};
    enum err_code r = put(s->st, STORE_UPDATE, o.version, o, &v, &err);
    if (r == ERR_PRECONDITION && v > o.version) {
        s->conflicts++;
        return false;
    }
    s->wrong += r != ERR_OK || v != o.version + 1;
    return true;
}

static void *write_all(void *arg)
{
    struct shared *s = arg;
    struct err err = {};
    uint64_t v;
    for (int i = 0; i < TIMES; i++) {
        char id[] = {'o', (char)('0' + i % OBJECTS), '\0'};
        while (!step(s, id))
            ;
        char once[16], mine[32];
        (void)snprintf(once, sizeof(once), "name%d", i);
        (void)snprintf(mine, sizeof(mine), "%s-%p", once, (void *)&v);
        enum err_code r = put(s->st, STORE_CREATE, 0, thing(mine, once), &v, &err);
        s->made += r == ERR_OK;
        s->taken += r == ERR_EXISTS;
    }
    s->done++;
    return NULL;
}

static void *list_all(void *arg)
{
    struct shared *s = arg;
    struct err err = {};
    while (s->done < WRITERS) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct store_object *rows;
        size_t n;
        bool more;
        const struct store_query q = {.kind = STR("thing"), .workspace = STR("w"), .limit = 20};
        if (store_list(s->st, &q, &a, &rows, &n, &more, &err) != ERR_OK)
            s->wrong++;
        s->pages++;
    }
    return NULL;
}

int main(void)
{
    struct place p = place_new("/tmp");
    struct shared s = {.st = place_open(&p)};
    struct err err = {};
    uint64_t v;
    for (int i = 0; i < OBJECTS; i++) {
        char id[] = {'o', (char)('0' + i), '\0'};
        struct store_object o = thing(id, NULL);
        o.payload = STR("0");
        if (put(s.st, STORE_CREATE, 0, o, &v, &err) != ERR_OK)
            tap_note("%s", err.msg);
    }
    pthread_t threads[WRITERS + LISTERS];
    for (int i = 0; i < WRITERS + LISTERS; i++)
        if (pthread_create(&threads[i], NULL, i < WRITERS ? write_all : list_all, &s) != 0)
            return 1;
    for (int i = 0; i < WRITERS + LISTERS; i++)
        (void)pthread_join(threads[i], NULL);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    uint64_t sum = 0;
    for (int i = 0; i < OBJECTS; i++) {
        char id[] = {'o', (char)('0' + i), '\0'};
        struct store_object o = {};
        if (store_get(s.st, STR("thing"), str_of(id), &a, &o, &err) == ERR_OK)
            sum += o.version - 1;
    }
    tap_ok(sum == WRITERS * TIMES, "no update is lost: %llu", (unsigned long long)sum);
    tap_ok(s.wrong == 0, "payload and version always belong together");
    tap_ok(s.conflicts > 0, "there were %u conflicts, each told a later version", s.conflicts);
    tap_ok(s.made == TIMES && s.taken == TIMES * (WRITERS - 1),
           "each name was made once, and taken for all others");
    tap_ok(s.pages > 0, "%u lists went beside it", s.pages);
    store_free(s.st);
    place_done(&p);
    return tap_done();
}
