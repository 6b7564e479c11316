#include "policy/globset.h"

#include "alloc_fail.h"
#include "tap.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

enum { ITEMS_MAX = 200 };

struct seen {
    uint32_t ids[2 * ITEMS_MAX];
    size_t n, calls, stop_after; // 0: never
    bool ascending;
};

static bool see(void *ctx, const uint32_t *ids, size_t n)
{
    struct seen *s = ctx;
    s->calls++;
    for (size_t i = 0; i < n && s->n < ARRAY_LEN(s->ids); i++) {
        s->ascending = s->ascending && (i == 0 || ids[i - 1] <= ids[i]);
        s->ids[s->n++] = ids[i];
    }
    return s->calls != s->stop_after;
}

static int id_cmp(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

// Asks, with the ids of all patterns sorted into one list.
static struct seen ask(const struct globset *set, struct str path)
{
    struct seen s = {.ascending = true};
    CLEANUP(base_freep)
    char *own = malloc(path.n + 1); // so that a sanitizer sees what is read behind the path
    if (!own)
        return s;
    char *at = own + 1;
    if (path.n > 0)
        memcpy(at, path.p, path.n);
    globset_each(set, (struct str){at, path.n}, see, &s);
    qsort(s.ids, s.n, sizeof(s.ids[0]), id_cmp);
    return s;
}

// ---- rows: the patterns are numbered from 0; the wanted ones are digits
// ----------------------------------------

static const struct {
    const char *patterns; // one a line
    const char *path, *want, *rule;
} rows[] = {
    {"/a\n/b", "/a", "0", "a literal has itself"},
    {"/a/b\n/a", "/a", "1", "and not its parent"},
    {"/a\n/a\n/b", "/a", "01", "a pattern that occurs twice has both ids"},
    {"/a/**\n/a/*\n/a/b", "/a/b", "012", "all that match are reported"},
    {"/a/**\n/a/*\n/a/b", "/a/b/c", "0", "and no others"},
    {"/a/**\n/a/*", "/a", "", "a recursive end is not its parent"},
    {"/a/**\n/a/*", "/a/", "01", "an empty component is one"},
    {"**\n/**\n*", "", "02", "the empty path"},
    {"**/b\n/**/b\n/a/**/b", "/a/x/b", "012", "recursive components skip"},
    {"**/b\n/**/b\n/a/**/b", "/a/b", "012", "none too"},
    {"**/b\n/**/b\n/a/**/b", "b", "0", "the first may skip the root"},
    {"/**/a/**", "/a/a/a", "0", "a recursive end is reported once"},
    {"/**/a/**/a", "/a/a/a/a", "0", "so is what many ways lead to"},
    {"/a*\n/*b\n/a*b\n/[a]b\n/?b", "/ab", "01234", "components with wildcards are tried"},
    {"/a*\n/*b\n/a*b\n/[!a]b\n/?b", "/bb", "134", "each by itself"},
    {"/aa*\n/a*\n/aab*", "/aa", "01", "by the length of their first literals"},
    {"/" A64 "*\n/" A64 "b*\n/" A64 "c", "/" A64 "b", "01", "of which 63 count"},
    {"/aaa*\n/a*", "/aa", "1", "a component shorter than those"},
    {"/[ab]x\n/[bc]x", "/bx", "01", "classes differ by their members"},
    {"/[ab]x\n/[bc]x", "/ax", "0", "not by their place"},
    {"/x[ab]\n/x[ba]", "/xa", "01", "spelt apart, read the same"},
    {"/{a,b}/c\n/{a/c,d}", "/a/c", "01", "braces"},
    {"/{a,*}/c\n/{*,**/c}", "/a/c", "01", "a pattern is reported once, whatever leads to it"},
    {"/{a/**,b}c", "/a/xc", "0", "a recursive end inside a component"},
    {"/x{**/a,b}\n/xa", "/xa", "01", "a recursive start inside one"},
    {"/a\\*\n/a*", "/a*", "01", "an escaped star is literal"},
    {"/a\\*\n/a*", "/ab", "1", "and no wildcard"},
    {"a//b\na/*/b\na/**/b", "a//b", "012", "an empty component in the middle"},
};

static size_t split_lines(const char *patterns, struct globset_item *items)
{
    size_t n = 0;
    struct str line;
    for (struct str rest = str_of(patterns); str_split(&rest, '\n', &line); n++)
        items[n] = (struct globset_item){line, (uint32_t)n};
    return n;
}

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        struct globset_item items[16];
        size_t n = split_lines(rows[i].patterns, items);
        const struct globset *set = NULL;
        struct err err = {};
        bool ok = globset_build(items, n, &a, &set, &err) == ERR_OK;
        struct seen s = ok ? ask(set, str_of(rows[i].path)) : (struct seen){};
        ok = ok && s.n == strlen(rows[i].want);
        for (size_t k = 0; ok && k < s.n; k++)
            ok = s.ids[k] == (uint32_t)(rows[i].want[k] - '0');
        (void)tap_ok(ok, "%s %s", rows[i].rule, err.msg);
    }
}

static void test_calls(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    static const struct globset_item items[] = {{STR_INIT("/a"), 9},       {STR_INIT("/*"), 7},
                                                {STR_INIT("/a"), 3},       {STR_INIT("/**"), 5},
                                                {STR_INIT("/{a/**}b"), 1}, {STR_INIT("/a"), 3},
                                                {STR_INIT("/{**/a}"), 2}};
    const struct globset *set = NULL;
    struct err err;
    bool ok = globset_build(items, ARRAY_LEN(items), &a, &set, &err) == ERR_OK;
    struct seen s = ok ? ask(set, STR("/a")) : (struct seen){};
    (void)tap_ok(s.calls == 4 && s.n == 6 && s.ascending, "one call for each pattern, ids ascending");
    for (size_t stop = 1; ok && stop <= 4; stop++) {
        struct seen t = {.stop_after = stop};
        globset_each(set, STR("/a"), see, &t);
        (void)tap_ok(t.calls == stop, "false stops after %zu", stop);
    }
    static const struct globset_item bad[] = {{STR_INIT("/z"), 0}, {STR_INIT("/x"), 1}, {STR_INIT("/a["), 2}};
    struct err e = {};
    enum err_code r = globset_build(bad, ARRAY_LEN(bad), &a, &set, &e);
    (void)tap_ok(r == ERR_INVALID && strcmp(e.msg, "pattern 3, '/a[': '[' at offset 2 is not closed") == 0,
                 "a bad pattern is named: %s", e.msg);
    const struct globset *empty = NULL;
    ok = globset_build(NULL, 0, &a, &empty, &err) == ERR_OK && ask(empty, STR("/a")).calls == 0;
    (void)tap_ok(ok, "the empty set has nothing");
}

// ---- against the patterns one by one
// ---------------------------------------------------------------------------

static uint32_t rnd(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 20) % n;
}

static struct str random_text(uint64_t *state, const char *const *atoms, uint32_t atoms_n, uint32_t max,
                              char *dst)
{
    struct str s = {dst, 0};
    for (uint32_t k = rnd(state, max + 1); k > 0; k--) {
        const char *atom = atoms[rnd(state, atoms_n)];
        size_t n = strlen(atom);
        memcpy(dst + s.n, atom, n);
        s.n += n;
    }
    return s;
}

static bool same_as_one_by_one(const struct globset *set, const struct glob *const *globs, size_t n,
                               struct str path)
{
    struct seen s = ask(set, path);
    size_t at = 0;
    bool ok = s.ascending;
    for (size_t i = 0; i < n; i++)
        if (globs[i] && glob_match(globs[i], path))
            ok = ok && at < s.n && s.ids[at++] == i;
    ok = ok && at == s.n;
    if (!ok)
        tap_note("on '%.*s'", STR_FMT(path));
    return ok;
}

static void test_random(const char *what, const char *const *atoms, uint32_t atoms_n, size_t sets,
                        size_t size)
{
    static const char *const path_atoms[] = {"/", "/", "/", "a", "b", "/a", "/b", "ab"};
    uint64_t state = 0x1234'5678'9abc'def1;
    size_t wrong = 0, hits = 0;
    for (size_t round = 0; round < sets && wrong < 5; round++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * MIB);
        static char text[ITEMS_MAX][64];
        struct globset_item items[ITEMS_MAX];
        const struct glob *globs[ITEMS_MAX] = {};
        size_t n = 0;
        while (n < size) {
            struct str p = random_text(&state, atoms, atoms_n, 7, text[n]);
            struct err err;
            if (glob_compile(GLOB_PATH, p, &a, &globs[n], &err) == ERR_OK) {
                items[n] = (struct globset_item){p, (uint32_t)n};
                n++;
            }
        }
        const struct globset *set = NULL;
        struct err err;
        wrong += globset_build(items, n, &a, &set, &err) != ERR_OK;
        for (size_t k = 0; set && k < 60; k++) {
            char path[64];
            struct str p = random_text(&state, path_atoms, ARRAY_LEN(path_atoms), 9, path);
            wrong += !same_as_one_by_one(set, globs, n, p);
            hits += ask(set, p).n;
        }
    }
    (void)tap_ok(wrong == 0 && hits > sets, "%s: as one by one, %zu hits", what, hits);
}

// `/a` or `/*` at each of `bits` places, and `tail`.
static struct str stairs(size_t i, size_t bits, struct str tail, char *dst)
{
    struct str s = {dst, 0};
    for (size_t bit = 0; bit <= bits; bit++) {
        struct str part = bit == bits ? tail : i >> bit & 1 ? STR("/*") : STR("/a");
        memcpy(dst + s.n, part.p, part.n);
        s.n += part.n;
    }
    return s;
}

// More nodes at one component than there is room for; then more of those that stay alive, at few components
// each.
static void test_overflow(void)
{
    for (int held = 0; held < 2; held++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * MIB);
        static char text[ITEMS_MAX][64];
        struct globset_item items[ITEMS_MAX];
        const struct glob *globs[ITEMS_MAX] = {};
        bool ok = true;
        size_t n = held ? 96 : 128;
        struct err err;
        for (size_t i = 0; ok && i < n; i++) {
            struct str p = held ? stairs(i, i < 64 ? 6 : 5, STR("/**/b"), text[i])
                                : stairs(i, 7, STR("/b"), text[i]);
            items[i] = (struct globset_item){p, (uint32_t)i};
            ok = glob_compile(GLOB_PATH, p, &a, &globs[i], &err) == ERR_OK;
        }
        const struct globset *set = NULL;
        ok = ok && globset_build(items, n, &a, &set, &err) == ERR_OK;
        struct str path = held ? STR("/a/a/a/a/a/a/b") : STR("/a/a/a/a/a/a/a/b");
        ok = ok && same_as_one_by_one(set, globs, n, path) && ask(set, path).calls == n &&
             same_as_one_by_one(set, globs, n, STR("/a/b/a/b/b/b/a/b"));
        (void)tap_ok(ok, "more live nodes than room: nothing is lost, held %d", held);
    }
}

static void test_room(void)
{
    static const struct globset_item items[] = {{STR_INIT("/a/{b,c}/**"), 0},
                                                {STR_INIT("/**/[a]*"), 1},
                                                {STR_INIT("/a"), 2}};
    size_t limited = 0, done = 0, other = 0;
    for (size_t max = 0; done == 0 && max < 64 * KIB; max += 16) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, max);
        const struct globset *set = NULL;
        struct err err;
        enum err_code r = globset_build(items, ARRAY_LEN(items), &a, &set, &err);
        limited += r == ERR_LIMIT;
        done += r == ERR_OK;
        other += r != ERR_OK && r != ERR_LIMIT;
    }
    (void)tap_ok(limited > 3 && done == 1 && other == 0, "too little room is ERR_LIMIT");
}

static void test_memory(void)
{
    static const struct globset_item items[] = {{STR_INIT("/a/{b,c}/**"), 0}, {STR_INIT("/**/[a]*"), 1}};
    bool ok = true;
    size_t n = 1;
    for (bool done = false; ok && !done; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct globset *set = NULL;
        struct err err = {};
        alloc_fail_at(n);
        enum err_code r = globset_build(items, ARRAY_LEN(items), &a, &set, &err);
        alloc_fail_off();
        done = alloc_fail_count() < n;
        // The sort may fail to get its own room, and does without.
        ok = r == ERR_OK ? set != NULL : !done && r == ERR_LIMIT && err.code == ERR_LIMIT;
    }
    (void)tap_ok(ok && n > 3, "no memory is ERR_LIMIT, wherever");
}

int main(void)
{
    static const char *const plain[] = {"/", "/",  "a",  "b",  "*",    "/**", "**/",
                                        "?", "/a", "/*", "/b", "[ab]", "a*",  "ab"};
    static const char *const deep[] = {"/**", "/**/", "/a", "/*", "/b", "**", "/"};
    static const char *const braces[] = {"/",   "/a", "/{a,b}", "{a,*}", "{/a/**,/b}", "{**/a,b}",
                                         "/**", "*",  "b",      "{a}",   "/*"};
    test_rows();
    test_calls();
    test_overflow();
    test_room();
    test_memory();
    test_random("components", plain, ARRAY_LEN(plain), 300, 60);
    test_random("many recursive ones", deep, ARRAY_LEN(deep), 300, ITEMS_MAX);
    test_random("braces", braces, ARRAY_LEN(braces), 300, 40);
    return tap_done();
}
