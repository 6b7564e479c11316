#include "net/query.h"
#include "tap.h"

static const struct {
    struct str in;
    const char *want; // "key=value|" for each pair
    const char *rule;
} good[] = {
    {STR_INIT(""), "", "nothing"},
    {STR_INIT("a=1&b=2"), "a=1|b=2|", "two pairs"},
    {STR_INIT("a"), "a=|", "no '=', an empty value"},
    {STR_INIT("a="), "a=|", "nothing behind it, ditto"},
    {STR_INIT("=a"), "=a|", "an empty key is a key"},
    {STR_INIT("="), "=|", "both empty"},
    {STR_INIT("a=b=c"), "a=b=c|", "the first '=' parts"},
    {STR_INIT("&&a=1&&b=2&"), "a=1|b=2|", "empty pairs are none"},
    {STR_INIT("&"), "", "not even one"},
    {STR_INIT("a=1&a=2"), "a=1|a=2|", "a key may come twice"},
    {STR_INIT("A=1&a=1"), "A=1|a=1|", "case counts"},
    {STR_INIT("b=%20x+y"), "b= x y|", "'+' is a blank"},
    {STR_INIT("b=%2B+%2b"), "b=+ +|", "an escaped '+' is none"},
    {STR_INIT("%61%3d=%26%3D"), "a==&=|", "escaped separators do not separate"},
    {STR_INIT("a+b=1"), "a b=1|", "keys are decoded too"},
    {STR_INIT("a=%2541"), "a=%41|", "decoded once"},
    {STR_INIT("a;b=1"), "a;b=1|", "';' does not separate"},
    {STR_INIT("a=%c3%bc\xc3\xbc"), "a=\xc3\xbc\xc3\xbc|", "bytes beyond ASCII pass"},
    {STR_INIT("u=/a?b"), "u=/a?b|", "so do '/' and '?'"},
    {STR_INIT("t%01=%1f%7F"), "t\x01=\x1f\x7f|", "escaped control bytes are text"},
};

static const struct {
    struct str in;
    const char *want, *rule;
} bad[] = {
    {STR_INIT("a=%"), "malformed escape at offset 2", "a bare '%'"},
    {STR_INIT("a=%4"), "malformed escape at offset 2", "half an escape"},
    {STR_INIT("a=%4&b=1"), "malformed escape at offset 2", "an escape does not span pairs"},
    {STR_INIT("a%3=b"), "malformed escape at offset 1", "nor a key and its value"},
    {{"a=%41", 4}, "malformed escape at offset 2", "half an escape, the rest of it out of bounds"},
    {STR_INIT("x=1&a=%g1"), "malformed escape at offset 6", "not hex"},
    {STR_INIT("x=1&a=%1g"), "malformed escape at offset 6", "not hex either"},
    {STR_INIT("a=1%00"), "byte 0x00 at offset 3", "an escaped NUL"},
    {STR_INIT("a=\x1f"), "byte 0x1f at offset 2", "the last control byte as it is"},
    {STR_INIT("a=\0"), "byte 0x00 at offset 2", "a NUL"},
    {STR_INIT("a=b&c=\r"), "byte 0x0d at offset 6", "a carriage return"},
    {STR_INIT("a=\x7f"), "byte 0x7f at offset 2", "DEL as it is"},
};

static void test_tables(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        struct query_item *items = NULL;
        size_t n = 77, len = 0;
        struct err err = {};
        char text[200] = "";
        bool ok = query_decode(good[i].in, &a, &items, &n, &err) == ERR_OK;
        for (size_t k = 0; ok && k < n; k++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s|", STR_FMT(items[k].key),
                                    STR_FMT(items[k].value));
        tap_ok(ok && strcmp(text, good[i].want) == 0, "%s: %s %s", good[i].rule, text, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * KIB);
        struct query_item *items = NULL;
        size_t n = 77;
        struct err err = {};
        bool ok = query_decode(bad[i].in, &a, &items, &n, &err) == ERR_INVALID && !items && n == 77 &&
                  strcmp(err.msg, bad[i].want) == 0;
        tap_ok(ok, "refused, %s: %s", bad[i].rule, err.msg);
    }
}

static void test_limits(void)
{
    static char text[2 * (QUERY_PAIRS_MAX + 1)];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? '&' : 'a';
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct query_item *items = NULL;
    size_t n = 0;
    struct err err = {};
    bool ok = query_decode((struct str){text, 2 * QUERY_PAIRS_MAX}, &a, &items, &n, &err) == ERR_OK;
    tap_ok(ok && n == QUERY_PAIRS_MAX, "512 pairs");
    ok = query_decode((struct str){text, sizeof(text)}, &a, &items, &n, &err) == ERR_LIMIT;
    tap_ok(ok && strcmp(err.msg, "513 query pairs, the limit is 512") == 0, "and one past it: %s", err.msg);
    memset(text, '&', sizeof(text));
    ok = query_decode((struct str){text, sizeof(text)}, &a, &items, &n, &err) == ERR_OK && n == 0;
    tap_ok(ok, "empty pairs do not count");
}

// Every size of arena gives the answer or ERR_LIMIT, and once there is room there is room.
static void test_no_room(void)
{
    bool fits = false, ok = true;
    size_t refused = 0;
    for (size_t max = 0; max < 8192; max += 8) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, max);
        struct query_item *items = NULL;
        size_t n = 0;
        struct err err = {};
        enum err_code r = query_decode(STR("a=1&b=%20&c"), &a, &items, &n, &err);
        ok &= r == ERR_OK ? n == 3 : r == ERR_LIMIT && !items && !fits && strstr(err.msg, "the query");
        fits |= r == ERR_OK;
        refused += r != ERR_OK;
    }
    tap_ok(ok && fits && refused > 0, "no room is ERR_LIMIT");
}

int main(void)
{
    test_tables();
    test_limits();
    test_no_room();
    return tap_done();
}
