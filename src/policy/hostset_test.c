#include "policy/hostset.h"

#include "alloc_fail.h"
#include "tap.h"

enum { ITEMS_MAX = 64 };

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

static struct seen ask(const struct hostset *set, struct str host)
{
    struct seen s = {.ascending = true};
    hostset_each(set, host, see, &s);
    return s;
}

static bool saw(const struct seen *s, uint32_t id)
{
    bool found = false;
    for (size_t i = 0; i < s->n; i++)
        found = found || s->ids[i] == id;
    return found;
}

static const struct {
    const char *patterns; // one a line, numbered from 0
    const char *host, *want, *rule;
} rows[] = {
    {"api.example.com\nb.test", "api.example.com", "0", "an exact name"},
    {"API.Example.com", "api.example.com", "0", "patterns have no case"},
    {"A.test\na.test", "a.test", "01", "so two of them may be one"},
    {"*.example.com\na.example.com", "a.example.com", "01", "an exact name and a wildcard"},
    {"*.example.com", "example.com", "", "a star is not the apex"},
    {"*.example.com", "a.b.example.com", "", "nor two labels"},
    {"**.example.com", "a.b.example.com", "0", "two stars are"},
    {"**.example.com", "a.example.com", "0", "and one"},
    {"**.example.com", "example.com", "", "but not the apex"},
    {"**.example.com", "a..example.com", "", "an empty label is no name"},
    {"**.example.com", "a.example.com.", "", "nor at the end"},
    {"**.example.com", ".example.com", "", "nor at the start"},
    {"*-ai.example.com\nus-*.example.com", "us-ai.example.com", "01", "stars within the first label"},
    {"*-ai.example.com", "us-ai.x.example.com", "", "stay in it"},
    {"US-*.example.com", "us-ai.example.com", "0", "without case as well"},
    {"api.*.com\n*.*.com", "api.x.com", "01", "later labels can be stars"},
    {"api.*.com\n*.*.com", "x.y.com", "1", "each where it stands"},
    {"a.*.*\na.b.*\n*.b.c", "a.b.c", "012", "all ways through the trie are taken"},
    {"10.0.0.1\n10.0.0.*", "10.0.0.1", "0", "addresses match exact patterns only"},
    {"::1", "::1", "0", "of both kinds"},
    {"**.b.c", "::a.b.c", "", "what has a colon is no name"},
    {"a.b.*", "a.b.", "", "no star stands for the root"},
    {"a.b.*", "a.b.1x", "0", "a label that begins with a digit is a name"},
    {"a.b.*", "a.b.x1", "0", "or ends with one"},
    {"a.b.c", "", "", "the empty host is in no set"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        struct hostset_item items[8];
        size_t n = 0;
        struct str line;
        for (struct str rest = str_of(rows[i].patterns); str_split(&rest, '\n', &line); n++)
            items[n] = (struct hostset_item){line, (uint32_t)n};
        const struct hostset *set = NULL;
        struct err err = {};
        bool ok = hostset_build(items, n, &a, &set, &err) == ERR_OK;
        struct seen s = ok ? ask(set, str_of(rows[i].host)) : (struct seen){};
        ok = ok && s.n == strlen(rows[i].want);
        for (size_t k = 0; ok && k < s.n; k++)
            ok = saw(&s, (uint32_t)(rows[i].want[k] - '0'));
        (void)tap_ok(ok, "%s %s", rows[i].rule, err.msg);
    }
}

static void test_calls(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    static const struct hostset_item items[] = {{STR_INIT("a.b.c"), 9},  {STR_INIT("*.b.c"), 4},
                                                {STR_INIT("A.b.c"), 2},  {STR_INIT("**.b.c"), 1},
                                                {STR_INIT("a*.b.c"), 0}, {STR_INIT("a.*.c"), 7},
                                                {STR_INIT("*.B.c"), 3}};
    const struct hostset *set = NULL;
    struct err err;
    bool ok = hostset_build(items, ARRAY_LEN(items), &a, &set, &err) == ERR_OK;
    struct seen s = ok ? ask(set, STR("a.b.c")) : (struct seen){};
    (void)tap_ok(s.calls == 5 && s.n == 7 && s.ascending && s.ids[0] == 2 && s.ids[1] == 9,
                 "one call for each pattern, the exact one first, ids ascending");
    for (size_t stop = 1; ok && stop <= 5; stop++) {
        struct seen t = {.stop_after = stop};
        hostset_each(set, STR("a.b.c"), see, &t);
        (void)tap_ok(t.calls == stop, "false stops after %zu", stop);
    }
    static const struct hostset_item bad[] = {{STR_INIT("a.test"), 0}, {STR_INIT("*.com"), 1}};
    struct err e = {};
    enum err_code r = hostset_build(bad, ARRAY_LEN(bad), &a, &set, &e);
    (void)tap_ok(r == ERR_INVALID &&
                     strcmp(e.msg, "pattern 2, '*.com': a wildcard needs a domain of two labels, as "
                                   "in *.example.com") == 0,
                 "a bad pattern is named: %s", e.msg);
    const struct hostset *empty = NULL;
    ok = hostset_build(NULL, 0, &a, &empty, &err) == ERR_OK && ask(empty, STR("a.b")).calls == 0;
    (void)tap_ok(ok, "the empty set has nothing");
}

static void test_longest(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    static char host[255], wild[253];
    for (size_t i = 0; i < sizeof(host); i++)
        host[i] = i % 2 ? '.' : 'a';
    for (size_t i = 0; i < sizeof(wild); i++)
        wild[i] = i % 2 ? '.' : '*';
    const struct hostset_item items[] = {{{wild, 253}, 0},
                                         {STR_INIT("**.a.a"), 1},
                                         {{host, 253}, 2},
                                         {{host, 255}, 3}};
    const struct hostset *set = NULL;
    struct err err;
    bool ok = hostset_build(items, ARRAY_LEN(items), &a, &set, &err) == ERR_OK;
    (void)tap_ok(ok && ask(set, (struct str){host, 253}).n == 3, "127 labels");
    (void)tap_ok(ok && ask(set, (struct str){host, 255}).n == 1,
                 "one more is no name, though it equals itself");

    // A `*` leaves every node of the path of literals: as many ways not yet taken as there can be.
    static char stairs[127][253];
    struct hostset_item steps[127];
    for (size_t i = 0; i < 127; i++) {
        for (size_t k = 0; k < 253; k++)
            stairs[i][k] = k % 2 ? '.' : k / 2 <= i ? '*' : 'a';
        steps[i] = (struct hostset_item){{stairs[i], 253}, (uint32_t)i};
    }
    ok = hostset_build(steps, 127, &a, &set, &err) == ERR_OK;
    (void)tap_ok(ok && ask(set, (struct str){host, 253}).calls == 127, "a star beside each of 127 labels");
}

static uint32_t rnd(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 20) % n;
}

static struct str random_text(uint64_t *state, const char *const *atoms, uint32_t atoms_n, char *dst)
{
    struct str s = {dst, 0};
    for (uint32_t k = rnd(state, 8); k > 0; k--) {
        const char *atom = atoms[rnd(state, atoms_n)];
        size_t n = strlen(atom);
        memcpy(dst + s.n, atom, n);
        s.n += n;
    }
    return s;
}

static void test_random(void)
{
    static const char *const atoms[] = {"a", "b", ".", ".", "*", "*.", "**.", ".a", ".b", ".*", "A"};
    static const char *const host_atoms[] = {"a", "b", ".", ".a", ".b", "a.", "1"};
    uint64_t state = 0x1234'5678'9abc'def1;
    size_t wrong = 0, hits = 0;
    for (size_t round = 0; round < 1000 && wrong < 5; round++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        static char text[ITEMS_MAX][32];
        struct hostset_item items[ITEMS_MAX];
        const struct glob *globs[ITEMS_MAX];
        size_t n = 0;
        struct err err;
        while (n < ITEMS_MAX) {
            struct str p = random_text(&state, atoms, ARRAY_LEN(atoms), text[n]);
            if (glob_compile(GLOB_HOST, p, &a, &globs[n], &err) == ERR_OK) {
                items[n] = (struct hostset_item){p, (uint32_t)n};
                n++;
            }
        }
        const struct hostset *set = NULL;
        wrong += hostset_build(items, n, &a, &set, &err) != ERR_OK;
        for (size_t k = 0; set && k < 60; k++) {
            char host[32];
            struct str h = random_text(&state, host_atoms, ARRAY_LEN(host_atoms), host);
            struct seen s = ask(set, h);
            size_t want = 0;
            for (uint32_t i = 0; i < n; i++) {
                bool match = glob_match(globs[i], h);
                want += match;
                if (match != saw(&s, i) && wrong++ < 5)
                    tap_note("'%.*s' on '%.*s'", STR_FMT(items[i].pattern), STR_FMT(h));
            }
            wrong += want != s.n || !s.ascending;
            hits += s.n;
        }
    }
    (void)tap_ok(wrong == 0 && hits > 1000, "as one by one, %zu hits", hits);
}

static void test_room(void)
{
    static const struct hostset_item items[] = {{STR_INIT("a.b.c"), 0},
                                                {STR_INIT("*.b.c"), 1},
                                                {STR_INIT("x-*.b.c"), 2},
                                                {STR_INIT("**.c.d"), 3}};
    size_t limited = 0, done = 0, other = 0;
    for (size_t max = 0; done == 0 && max < 64 * KIB; max += 16) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, max);
        const struct hostset *set = NULL;
        struct err err;
        enum err_code r = hostset_build(items, ARRAY_LEN(items), &a, &set, &err);
        limited += r == ERR_LIMIT;
        done += r == ERR_OK;
        other += r != ERR_OK && r != ERR_LIMIT;
    }
    (void)tap_ok(limited > 3 && done == 1 && other == 0, "too little room is ERR_LIMIT");
}

static void test_memory(void)
{
    static const struct hostset_item items[] = {{STR_INIT("a.b.c"), 0}, {STR_INIT("x-*.b.c"), 1}};
    bool ok = true;
    size_t n = 1;
    for (bool done = false; ok && !done; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct hostset *set = NULL;
        struct err err = {};
        alloc_fail_at(n);
        enum err_code r = hostset_build(items, ARRAY_LEN(items), &a, &set, &err);
        alloc_fail_off();
        done = alloc_fail_count() < n;
        // The sort may fail to get its own room, and does without.
        ok = r == ERR_OK ? set != NULL : !done && r == ERR_LIMIT && err.code == ERR_LIMIT;
    }
    (void)tap_ok(ok && n > 3, "no memory is ERR_LIMIT, wherever");
}

int main(void)
{
    test_rows();
    test_calls();
    test_longest();
    test_random();
    test_room();
    test_memory();
    return tap_done();
}
