// What a stored object costs: written and synced, read, listed.
//
//   bench_store [FOLDER]   in a new folder below FOLDER (/tmp); one line a measurement, as
//   name<TAB>value<TAB>unit. tests/bench/peers/store.py runs it in turns with Python's sqlite3 on the same
//   disk.
#include "store/store.h"

#include <time.h>
#include <unistd.h>

enum { WRITES = 500, READS = 20'000, PAGES = 200, PAGE = 100, PAYLOAD = 1000 };

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(enum err_code r, const struct err *err)
{
    if (r != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static struct str name_of(char dst[16], unsigned i)
{
    return (struct str){dst, (size_t)snprintf(dst, 16, "id-%06u", i)};
}

static void writes(struct store *st)
{
    static const char payload[PAYLOAD];
    struct err err = {};
    double start = now_s();
    for (unsigned i = 0; i < WRITES; i++) {
        char id[16];
        uint64_t version;
        size_t failed;
        struct store_write w = {.op = STORE_CREATE,
                                .object = {.kind = STR("sandbox"), .workspace = STR("default")}};
        w.object.id = w.object.name = name_of(id, i);
        w.object.payload = (struct str){payload, sizeof(payload)};
        w.object.created_ms = w.object.updated_ms = i;
        check(store_apply(st, &w, 1, &version, &failed, &err), &err);
    }
    printf("store, create\t%.0f\tper second\n", WRITES / (now_s() - start));
}

static void reads(struct store *st)
{
    struct err err = {};
    double start = now_s();
    for (unsigned i = 0; i < READS; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        char id[16];
        struct store_object o;
        check(store_get(st, STR("sandbox"), name_of(id, i * 7 % WRITES), &a, &o, &err), &err);
    }
    printf("store, get by id\t%.0f\tper second\n", READS / (now_s() - start));
}

static void pages(struct store *st)
{
    struct err err = {};
    double start = now_s();
    for (unsigned i = 0; i < PAGES; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct store_object *rows;
        size_t n;
        bool more;
        const struct store_query q = {.kind = STR("sandbox"),
                                      .workspace = STR("default"),
                                      .limit = PAGE,
                                      .offset = i % (WRITES / PAGE) * PAGE};
        check(store_list(st, &q, &a, &rows, &n, &more, &err), &err);
        if (n != PAGE)
            exit(1);
    }
    printf("store, page of %d\t%.0f\tper second\n", PAGE, PAGES / (now_s() - start));
}

int main(int argc, char **argv)
{
    char folder[200], file[240], path[260];
    (void)snprintf(folder, sizeof(folder), "%s/bench-store-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(file, sizeof(file), "%s/db", folder);
    struct store *st;
    struct err err = {};
    check(store_open(str_of(file), &st, &err), &err);
    writes(st);
    reads(st);
    pages(st);
    store_free(st);
    for (int i = 0; i < 3; i++) { // the log and its index are gone already if all went well
        (void)snprintf(path, sizeof(path), "%s%s", file, (const char *[]){"", "-wal", "-shm"}[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    return 0;
}
