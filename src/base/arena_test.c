#include "base/arena.h"

#include "alloc_fail.h"
#include "tap.h"

enum {
    CHUNK_HEAD_MAX = 64
}; // the head of a chunk and, under a sanitizer, a red zone; counted against the maximum

static void test_alloc(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    char *seen[100];
    bool aligned = true, zeroed = true, apart = true;
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        seen[i] = arena_alloc(&a, i * 7); // sizes that need rounding, and more than one chunk
        aligned = aligned && seen[i] && (uintptr_t)seen[i] % _Alignof(max_align_t) == 0;
        if (!seen[i])
            break;
        for (size_t k = 0; k < i * 7; k++)
            zeroed = zeroed && seen[i][k] == 0;
        memset(seen[i], (int)i + 1, i * 7);
    }
    for (size_t i = 0; aligned && i < ARRAY_LEN(seen); i++)
        for (size_t k = 0; k < i * 7; k++)
            apart = apart && seen[i][k] == (char)(i + 1);
    tap_ok(aligned, "alloc: aligned for any type");
    tap_ok(zeroed, "alloc: zeroed");
    tap_ok(apart, "alloc: no two overlap");
    tap_ok(seen[0] && seen[0] != seen[1], "alloc: size 0 is a pointer of its own");

    int *one = arena_new(&a, int), *three = arena_newn(&a, int, 3);
    tap_ok(one && three && *one == 0 && three[2] == 0, "new: one and several of a type");
    arena_done(&a);
    tap_ok(a.used == 0 && !a.chunks && a.max == MIB, "done: empty and ready for another round");
    tap_ok(arena_alloc(&a, 10), "done: it can be used again");
    arena_done(NULL);
    tap_ok(true, "done: NULL is fine");
}

static void test_reuse_is_zeroed(void)
{
    bool zeroed = true; // malloc gives the same block again, full of what was there
    for (int round = 0; round < 3; round++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        unsigned char *p = arena_alloc(&a, 1000);
        for (size_t i = 0; p && i < 1000; i++)
            zeroed = zeroed && p[i] == 0;
        if (p)
            memset(p, 0xa5, 1000);
    }
    tap_ok(zeroed, "alloc: zeroed where the memory was used before");
}

static void test_limits(void)
{
    struct err err = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 10'000);
    char *p = arena_alloc(&a, 10'000 - CHUNK_HEAD_MAX);
    tap_ok(p && a.used <= a.max, "limit: nearly all of it in one piece");
    size_t used = a.used;
    tap_ok(!arena_alloc(&a, 100) && a.used == used, "limit: past it nothing is given and nothing taken");
    tap_ok(arena_limit(&a, "the policy", &err) == ERR_LIMIT &&
               strcmp(err.msg,
                      "no room for the policy: it needs more than the 10000 bytes set aside, or memory "
                      "ran out") == 0,
           "limit: %s", err.msg);

    CLEANUP(arena_done) struct arena tiny;
    arena_init(&tiny, 1);
    tap_ok(!arena_alloc(&tiny, 0) && !arena_alloc(&tiny, 1), "limit: too small for any chunk");
    arena_init(&tiny, 0);
    tap_ok(!arena_alloc(&tiny, 1), "limit: nothing at all");

    CLEANUP(arena_done) struct arena big;
    arena_init(&big, SIZE_MAX);
    tap_ok(!arena_alloc(&big, SIZE_MAX) && !arena_alloc(&big, SIZE_MAX - 15),
           "limit: rounding up does not wrap");
    tap_ok(!arena_array(&big, SIZE_MAX / 2, 3), "array: a product that overflows");
    tap_ok(!arena_array(&big, SIZE_MAX / 8 + 2, 8), "array: one that wraps to a small number");

    size_t n = 0;
    CLEANUP(arena_done) struct arena many;
    arena_init(&many, 100'000);
    while (arena_alloc(&many, 100))
        n++;
    tap_ok(many.used <= many.max && n >= 600 && n <= 1000, "limit: many small ones use what there is (%zu)",
           n);
}

static void test_strings(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    char text[] = "a\0b";
    struct str s = {};
    tap_ok(arena_dup(&a, (struct str){text, 3}, &s) && s.n == 3 && s.p != text && memcmp(s.p, "a\0b", 4) == 0,
           "dup: a copy with a NUL behind it");
    tap_ok(arena_dup(&a, (struct str){}, &s) && s.n == 0 && s.p && s.p[0] == '\0', "dup: of NULL");
    tap_ok(arena_fmt(&a, &s, "%d-%s", 42, "x") && str_eq(s, STR("42-x")) && s.p[4] == '\0', "fmt: formats");
    tap_ok(arena_fmt(&a, &s, "%s", "") && s.n == 0 && s.p[0] == '\0', "fmt: nothing");

    CLEANUP(arena_done) struct arena tiny;
    arena_init(&tiny, 200);
    s = STR("as before");
    tap_ok(!arena_dup(&tiny, (struct str){"", SIZE_MAX}, &s) && !arena_fmt(&tiny, &s, "%300s", "") &&
               str_eq(s, STR("as before")),
           "dup, fmt: no room leaves the result alone");
}

static void test_no_memory(void)
{
    size_t n = 0;
    bool ok = true;
    for (bool done = false; !done;) {
        n++;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        struct str s = STR("as before");
        alloc_fail_at(n);
        bool first = arena_alloc(&a, 100);
        size_t used = a.used;
        bool second = arena_fmt(&a, &s, "%5000s", "x");
        bool third = arena_alloc(&a, 20'000);
        alloc_fail_off();
        done = alloc_fail_count() < n;
        ok = ok && first == (n != 1) && (n != 1 || used == 0) && second == (n != 2) && third == (n != 3);
        ok = ok && (second || str_eq(s, STR("as before")));
        ok = ok && arena_alloc(&a, 10); // a failure is no end
    }
    tap_ok(ok, "alloc: malloc fails at each of %zu places", n - 1);
    tap_ok(n == 4, "alloc: three chunks were needed");
}

int main(void)
{
    test_alloc();
    test_reuse_is_zeroed();
    test_limits();
    test_strings();
    test_no_memory();
    return tap_done();
}
