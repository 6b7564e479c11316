#include "base/buf.h"

#include "alloc_fail.h"
#include "tap.h"

static void test_add(void)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, KIB);
    tap_ok(str_eq(buf_str(&b), STR("")) && buf_str(&b).p, "str: of an empty one");
    buf_add(&b, STR("ab"));
    buf_addc(&b, 'c');
    buf_addf(&b, "%d", 42);
    buf_pad(&b, '.', 3);
    tap_ok(str_eq(buf_str(&b), STR("abc42...")) && b.p[b.n] == '\0',
           "add: each appends, a NUL stands behind");
    buf_add(&b, (struct str){});
    buf_pad(&b, 'x', 0);
    buf_addf(&b, "%s", "");
    tap_ok(b.n == 8 && !b.full && b.p[8] == '\0', "add: nothing adds nothing");
    buf_add(&b, STR("\0x"));
    tap_ok(b.n == 10 && b.p[8] == '\0' && b.p[9] == 'x', "add: a NUL is a byte");
    char *p = b.p;
    buf_clear(&b);
    buf_addc(&b, 'z');
    tap_ok(str_eq(buf_str(&b), STR("z")) && b.p == p, "clear: keeps the memory");
    buf_done(&b);
    tap_ok(!b.p && b.n == 0 && b.max == KIB, "done: empty and ready for another round");
    buf_done(NULL);

    size_t total = 0;
    bool ok = true;
    buf_init(&b, MIB);
    for (int i = 0; i < 1000; i++) {
        buf_addf(&b, "%d,", i);
        total += i < 10 ? 2 : i < 100 ? 3 : 4;
        ok = ok && b.n == total && b.n < b.size && b.p[b.n] == '\0';
    }
    tap_ok(ok && str_starts(buf_str(&b), STR("0,1,2,")) && str_ends(buf_str(&b), STR(",998,999,")),
           "add: growing keeps what is there");
}

enum how { ADD, ADDC, ADDF, PAD };
static const char *const how_names[] = {"add", "addc", "addf", "pad"};

static void add_n(struct buf *b, enum how how, size_t n)
{
    static const char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    switch (how) {
    case ADD:
        buf_add(b, (struct str){text, n});
        break;
    case ADDC:
        for (; n > 0; n--)
            buf_addc(b, 'x');
        break;
    case ADDF:
        buf_addf(b, "%.*s", (int)n, text);
        break;
    case PAD:
        buf_pad(b, 'x', n);
        break;
    }
}

static void test_limits(void)
{
    for (enum how how = ADD; how <= PAD; how++) {
        CLEANUP(buf_done) struct buf b;
        struct err err = {};
        buf_init(&b, 20);
        add_n(&b, how, 20);
        tap_ok(!b.full && b.n == 20 && b.size == 21 && buf_check(&b, "the list", &err) == ERR_OK,
               "%s: the maximum itself, and no byte more of memory than it needs", how_names[how]);
        add_n(&b, how, 1);
        tap_ok(b.full && b.n == 20 && b.p[20] == '\0', "%s: one past it", how_names[how]);
        tap_ok(buf_check(&b, "the list", &err) == ERR_LIMIT &&
                   strcmp(err.msg, "the list: more than 20 bytes, or memory ran out") == 0,
               "check: %s", err.msg);
        buf_clear(&b);
        add_n(&b, how, 20);
        tap_ok(!b.full && b.n == 20, "%s: fits again after a clear", how_names[how]);
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 10);
    buf_add(&b, STR("12345678901"));
    buf_add(&b, STR("1"));
    tap_ok(b.full && b.n == 0, "full: nothing is added behind what is missing");
    buf_init(&b, 0);
    buf_add(&b, STR(""));
    tap_ok(!b.full && b.n == 0, "limit: nothing fits into nothing");
    buf_addc(&b, 'x');
    tap_ok(b.full && b.n == 0, "limit: one byte does not");
    buf_done(&b);
    buf_init(&b, SIZE_MAX);
    buf_add(&b, STR("abc"));
    tap_ok(!b.full && str_eq(buf_str(&b), STR("abc")), "limit: a maximum of SIZE_MAX is none");
    buf_add(&b, (struct str){"", SIZE_MAX - 3});
    tap_ok(b.full && b.n == 3, "limit: and even there the NUL needs its byte");
}

static void test_no_memory(void)
{
    size_t n = 0;
    bool ok = true;
    for (bool done = false; !done;) {
        n++;
        CLEANUP(buf_done) struct buf b;
        struct err err = {};
        buf_init(&b, MIB);
        alloc_fail_at(n);
        buf_add(&b, STR("head"));
        buf_pad(&b, '.', 1000);
        buf_addf(&b, "%2000s", "x");
        alloc_fail_off();
        done = alloc_fail_count() < n;
        size_t had = n == 1 ? 0 : n == 2 ? 4 : n == 3 ? 1004 : 3004;
        ok = ok && b.full == !done && b.n == had && (had == 0 || b.p[had] == '\0');
        ok = ok && buf_check(&b, "text", &err) == (done ? ERR_OK : ERR_LIMIT);
    }
    tap_ok(ok, "add: realloc fails at each of %zu places, what was there stays", n - 1);
    tap_ok(n == 4, "add: it grew three times");

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, MIB);
    alloc_fail_from(1);
    buf_addc(&b, 'x');
    buf_clear(&b);
    buf_addc(&b, 'x');
    alloc_fail_off();
    tap_ok(b.full && alloc_fail_count() == 2, "add: fails again while there is no memory");
}

int main(void)
{
    test_add();
    test_limits();
    test_no_memory();
    return tap_done();
}
