#include "net/urlpath.h"
#include "tap.h"

static const struct {
    struct str in, want;
    const char *rule;
} good[] = {
    {STR_INIT("/"), STR_INIT("/"), "the root"},
    {STR_INIT("/a/b"), STR_INIT("/a/b"), "a plain path stays"},
    {STR_INIT("/a/b/"), STR_INIT("/a/b/"), "a trailing slash stays"},
    {STR_INIT("//a///b//"), STR_INIT("/a/b/"), "slashes collapse"},
    {STR_INIT("//"), STR_INIT("/"), "down to the root"},
    {STR_INIT("/./a/./b"), STR_INIT("/a/b"), "one dot goes"},
    {STR_INIT("/a/../b"), STR_INIT("/b"), "two dots take a segment with them"},
    {STR_INIT("/a/b/../../c"), STR_INIT("/c"), "twice"},
    {STR_INIT("/a//../b"), STR_INIT("/b"), "an empty segment is none to take"},
    {STR_INIT("/a/b/.."), STR_INIT("/a/"), "a dot segment at the end names a folder"},
    {STR_INIT("/a/."), STR_INIT("/a/"), "so does one dot"},
    {STR_INIT("/a/.."), STR_INIT("/"), "down to the root"},
    {STR_INIT("/.../..a/a../.a"), STR_INIT("/.../..a/a../.a"), "dots in names are names"},
    {STR_INIT("/%2e%2E/a"), {NULL, 0}, "escaped dots above the root"},
    {STR_INIT("/a/%2e%2E/b"), STR_INIT("/b"), "escaped dots are dots"},
    {STR_INIT("/a/.%2e/b"), STR_INIT("/b"), "half escaped too"},
    {STR_INIT("/%61%7e%2D"), STR_INIT("/a~-"), "what needs no escape loses it"},
    {STR_INIT("/%252e%252e/"), STR_INIT("/%252e%252e/"), "decoded once, not twice"},
    {STR_INIT("/a;p=1/b;q"), STR_INIT("/a/b"), "parameters go"},
    {STR_INIT("/a%3Bp/b"), STR_INIT("/a/b"), "escaped ones too, else the form would not be stable"},
    {STR_INIT("/a/..;p/b"), STR_INIT("/b"), "parameters do not hide dots"},
    {STR_INIT("/a/;p"), STR_INIT("/a/"), "parameters alone are an empty segment"},
    {STR_INIT("/a/;p/b"), STR_INIT("/a/b"), "ditto"},
    {STR_INIT("/a/.;"), STR_INIT("/a/"), "an empty parameter"},
    {STR_INIT("/a b\"<>\\^`{|}[]"), STR_INIT("/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"),
     "what is not pchar is escaped"},
    {STR_INIT("/-._~!$&'()*+,=:@"), STR_INIT("/-._~!$&'()*+,=:@"), "what is pchar is not"},
    {STR_INIT("/%3f%23%25"), STR_INIT("/%3F%23%25"), "escaped delimiters stay so, in capitals"},
    {STR_INIT("/%5c"), STR_INIT("/%5C"), "a backslash is legal and is no slash"},
    {STR_INIT("/%c3%bc"), STR_INIT("/%C3%BC"), "UTF-8 stays, in capitals"},
    {STR_INIT("/%e0%a0%80%f0%90%80%80"), STR_INIT("/%E0%A0%80%F0%90%80%80"),
     "the shortest forms are not overlong"},
    {STR_INIT("/%ff%80%e9a%f8%88%fc%84%e1%80"), STR_INIT("/%FF%80%E9a%F8%88%FC%84%E1%80"), "other bytes too"},
    {STR_INIT("/%e0/%80"), STR_INIT("/%E0/%80"), "a slash between them parts them"},
};

static const struct {
    struct str in;
    bool allow;
    const char *want, *rule;
} bad[] = {
    {STR_INIT(""), true, "a path begins with '/'", "nothing"},
    {STR_INIT("a"), true, "a path begins with '/'", "no slash"},
    {STR_INIT("*"), true, "a path begins with '/'", "the asterisk form"},
    {STR_INIT("%2Fa"), true, "a path begins with '/'", "an escaped slash at the beginning"},
    {STR_INIT("/a\0b"), true, "byte 0x00 at offset 2", "a NUL"},
    {STR_INIT("/a\n"), true, "byte 0x0a at offset 2", "a line break"},
    {STR_INIT("/\x1f"), true, "byte 0x1f at offset 1", "the last control byte"},
    {STR_INIT("/\x7f"), true, "byte 0x7f at offset 1", "DEL"},
    {STR_INIT("/\x80"), true, "byte 0x80 at offset 1", "the first byte beyond ASCII"},
    {STR_INIT("/a?b"), true, "byte 0x3f at offset 2", "a query"},
    {STR_INIT("/a#b"), true, "byte 0x23 at offset 2", "a fragment"},
    {STR_INIT("/%"), true, "malformed escape at offset 1", "half an escape"},
    {STR_INIT("/%4"), true, "malformed escape at offset 1", "two thirds of one"},
    {{"/%41", 3}, true, "malformed escape at offset 1", "two thirds, the rest of it out of bounds"},
    {STR_INIT("/a%g0"), true, "malformed escape at offset 2", "not hex"},
    {STR_INIT("/a%0g"), true, "malformed escape at offset 2", "not hex either"},
    {STR_INIT("/%u002e"), true, "malformed escape at offset 1", "an escape of another world"},
    {STR_INIT("/ab%00"), true, "byte 0x00, escaped, at offset 3", "an escaped NUL"},
    {STR_INIT("/%01"), true, "byte 0x01, escaped, at offset 1", "the byte that we use for a slash"},
    {STR_INIT("/%0d%0a"), true, "byte 0x0d, escaped, at offset 1", "an escaped line break"},
    {STR_INIT("/%1F"), true, "byte 0x1f, escaped, at offset 1", "the last one"},
    {STR_INIT("/%7f"), true, "byte 0x7f, escaped, at offset 1", "an escaped DEL"},
    {STR_INIT("/a%2fb"), false, "escaped '/' at offset 2, which the endpoint does not allow",
     "an escaped slash"},
    {STR_INIT("/a;%2Fb"), false, "escaped '/' at offset 3, which the endpoint does not allow",
     "in a parameter"},
    {STR_INIT("/.."), true, "segment 1: '..' above the root", "above the root"},
    {STR_INIT("/a/../.."), true, "segment 3: '..' above the root", "above it later"},
    {STR_INIT("/a/../../b"), true, "segment 3: '..' above the root", "and back"},
    {STR_INIT("//.."), true, "segment 2: '..' above the root", "an empty segment is no way down"},
    {STR_INIT("/a/..%2fb"), true, "segment 2: a dot segment beside an escaped '/'", "dots before"},
    {STR_INIT("/a%2F.."), true, "segment 1: a dot segment beside an escaped '/'", "dots behind"},
    {STR_INIT("/a%2F.%2Fb"), true, "segment 1: a dot segment beside an escaped '/'", "one dot between"},
    {STR_INIT("/a%2f%2e%2e;p"), true, "segment 1: a dot segment beside an escaped '/'", "behind a parameter"},
    {STR_INIT("/%c0%af"), true, "overlong UTF-8 at offset 1", "two bytes for a slash"},
    {STR_INIT("/%C1"), true, "overlong UTF-8 at offset 1", "C1 alone"},
    {STR_INIT("/a%e0%80%af"), true, "overlong UTF-8 at offset 5", "three bytes"},
    {STR_INIT("/a%e0%9f"), true, "overlong UTF-8 at offset 5", "the last of three"},
    {STR_INIT("/%f0%80%80%af"), true, "overlong UTF-8 at offset 4", "four bytes"},
    {STR_INIT("/%f0%8f"), true, "overlong UTF-8 at offset 4", "the last of four"},
    {STR_INIT("/%f8%87"), true, "overlong UTF-8 at offset 4", "five bytes"},
    {STR_INIT("/%fc%83"), true, "overlong UTF-8 at offset 4", "six bytes"},
};

static const struct {
    struct str in, want;
} slashes[] = {
    {STR_INIT("/a%2fb"), STR_INIT("/a%2Fb")},       {STR_INIT("/%2f"), STR_INIT("/%2F")},
    {STR_INIT("/a%2F%2F..b/../c"), STR_INIT("/c")}, {STR_INIT("/a;x%2F../b"), STR_INIT("/a/b")},
    {STR_INIT("/a/..;%2f"), STR_INIT("/")},         {STR_INIT("/%252F"), STR_INIT("/%252F")},
};

static void test_tables(void)
{
    char out[URLPATH_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct str path = {};
        struct err err = {};
        enum err_code r = urlpath_canonical(good[i].in, false, out, &path, &err);
        bool ok = good[i].want.p ? r == ERR_OK && str_eq(path, good[i].want) && path.p == out && !out[path.n]
                                 : r == ERR_INVALID;
        tap_ok(ok, "%s: %.*s %s", good[i].rule, STR_FMT(path), err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str path = {};
        struct err err = {};
        enum err_code r = urlpath_canonical(bad[i].in, bad[i].allow, out, &path, &err);
        tap_ok(r == ERR_INVALID && !path.p && strcmp(err.msg, bad[i].want) == 0, "refused, %s: %s",
               bad[i].rule, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(slashes); i++) {
        struct str path = {};
        struct err err = {};
        enum err_code r = urlpath_canonical(slashes[i].in, true, out, &path, &err);
        tap_ok(r == ERR_OK && str_eq(path, slashes[i].want), "an escaped '/' where it is allowed: %.*s %s",
               STR_FMT(path), err.msg);
    }
}

static bool canonical(struct str in, char *out, struct str *path, const char *want_err)
{
    struct err err = {};
    enum err_code r = urlpath_canonical(in, false, out, path, &err);
    return want_err ? r == ERR_INVALID && strcmp(err.msg, want_err) == 0 : r == ERR_OK;
}

static void test_limits(void)
{
    static char in[URLPATH_MAX + 2];
    char out[URLPATH_MAX + 1];
    struct str path = {};
    memset(in, 'a', sizeof(in));
    in[0] = '/';
    bool ok = canonical((struct str){in, URLPATH_MAX}, out, &path, NULL) && path.n == URLPATH_MAX;
    tap_ok(ok, "a path of the longest length");
    tap_ok(canonical((struct str){in, URLPATH_MAX + 1}, out, &path,
                     "a path has at most 4096 bytes, not 4097"),
           "and one byte past it");

    memset(in, ' ', sizeof(in));
    in[0] = '/';
    ok = canonical((struct str){in, 1 + 4095 / 3}, out, &path, NULL) && path.n == URLPATH_MAX;
    tap_ok(ok, "escapes to the longest length");
    const char *more = "the canonical path has more than 4096 bytes";
    tap_ok(canonical((struct str){in, 2 + 4095 / 3}, out, &path, more), "and one escape past it");
    in[1] = 'a';
    // '/', 'a' and 1364 escapes are 4094 bytes: two more letters fit and a third does not.
    memset(in + 2 + 1364, 'b', 3);
    ok = canonical((struct str){in, 2 + 1364 + 2}, out, &path, NULL) && path.n == URLPATH_MAX;
    tap_ok(ok && canonical((struct str){in, 2 + 1364 + 3}, out, &path, more), "and one letter past it");

    memset(in, ' ', sizeof(in));
    in[0] = '/';
    memcpy(in + URLPATH_MAX - 3, "/..", 3);
    ok = canonical((struct str){in, URLPATH_MAX}, out, &path, NULL) && str_eq(path, STR("/"));
    tap_ok(ok, "what is resolved away does not count");
}

// ---- the same, said slowly: whole-string rewriting until nothing changes
// ------------------------------------

struct text {
    char b[64];
    size_t n;
};

static void cut(struct text *t, size_t from, size_t to)
{
    memmove(t->b + from, t->b + to, t->n - to);
    t->n -= to - from;
    t->b[t->n] = '\0';
}

static bool naive_decode(struct str in, bool allow, struct text *t)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            if (i + 2 >= in.n || char_hex(in.p[i + 1]) < 0 || char_hex(in.p[i + 2]) < 0)
                return false;
            c = (char)(char_hex(in.p[i + 1]) * 16 + char_hex(in.p[i + 2]));
            i += 2;
            if ((c == '/' && !allow) || (unsigned char)c < 0x20)
                return false;
            c = c == '/' ? '\n' : c;
        }
        t->b[t->n++] = c;
    }
    t->b[t->n] = '\0';
    return true;
}

static bool naive_segments(struct text *t)
{
    for (char *p; (p = strchr(t->b, ';'));)
        cut(t, (size_t)(p - t->b), (size_t)(p - t->b) + strcspn(p, "/"));
    for (char *p; (p = strstr(t->b, "//"));)
        cut(t, (size_t)(p - t->b), (size_t)(p - t->b) + 1);
    // Looked for before later segments take them away.
    static const char *const hidden[] = {"/.\n", "/..\n", "\n.\n", "\n..\n", "\n./", "\n../"};
    struct text probe = *t;
    probe.b[probe.n++] = '/';
    probe.b[probe.n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (strstr(probe.b, hidden[i]))
            return false;
    if ((t->n >= 2 && strcmp(t->b + t->n - 2, "/.") == 0) ||
        (t->n >= 3 && strcmp(t->b + t->n - 3, "/..") == 0))
        t->b[t->n++] = '/';
    t->b[t->n] = '\0';
    for (char *p; (p = strstr(t->b, "/./"));)
        cut(t, (size_t)(p - t->b), (size_t)(p - t->b) + 2);
    for (char *p; (p = strstr(t->b, "/../"));) {
        if (p == t->b)
            return false;
        char *start = memrchr(t->b, '/', (size_t)(p - t->b));
        cut(t, (size_t)(start - t->b), (size_t)(p - t->b) + 3);
    }
    return true;
}

static bool naive_canonical(struct str in, bool allow, struct text *ret)
{
    struct text t = {};
    if (in.n == 0 || in.p[0] != '/' || !naive_decode(in, allow, &t) || !naive_segments(&t))
        return false;
    *ret = (struct text){};
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.b[i];
        bool plain = char_is_alpha((char)c) || char_is_digit((char)c) || strchr("/-._~!$&'()*+,;=:@", c);
        ret->n += (size_t)snprintf(ret->b + ret->n, sizeof(ret->b) - ret->n, plain ? "%c" : "%%%02X",
                                   c == '\n' ? '/' : c);
    }
    return true;
}

static size_t disagreements(struct str in, bool allow, size_t *taken)
{
    char out[URLPATH_MAX + 1], twice[URLPATH_MAX + 1];
    struct str path, again;
    struct text want;
    struct err err;
    bool ours = urlpath_canonical(in, allow, out, &path, &err) == ERR_OK;
    bool naive = naive_canonical(in, allow, &want);
    *taken += ours;
    if (ours != naive)
        return 1;
    if (!ours)
        return 0;
    bool same = str_eq(path, (struct str){want.b, want.n}) &&
                urlpath_canonical(path, allow, twice, &again, &err) == ERR_OK && str_eq(path, again);
    return !same;
}

static void test_exhaustive(void)
{
    static const char abc[] = "/.%2ef;a";
    size_t wrong = 0, taken = 0, asked = 0, letters = sizeof(abc) - 1;
    char text[8] = "/";
    for (size_t n = 0, count = 1; n <= 6;
         n++, count *= letters) { // behind the first '/', without which none passes
        for (size_t k = 0; k < count; k++) {
            for (size_t i = 0, v = k; i < n; i++, v /= letters)
                text[i + 1] = abc[v % letters];
            wrong += disagreements((struct str){text, n + 1}, false, &taken);
            wrong += disagreements((struct str){text, n + 1}, true, &taken);
            asked += 2;
        }
    }
    tap_ok(wrong == 0 && taken > asked / 4, "%zu of %zu paths pass, as slowly, and are stable", taken, asked);
}

// The same over whole tokens, which reaches deeper.
static void test_tokens(void)
{
    static const char *const abc[] = {"/", "..", ".", "%2e", "%2F", ";", "a", "%3b"};
    size_t wrong = 0, taken = 0, asked = 0;
    for (size_t n = 0, count = 1; n <= 6; n++, count *= ARRAY_LEN(abc)) {
        for (size_t k = 0; k < count; k++) {
            char text[32] = "/";
            size_t len = 1;
            for (size_t i = 0, v = k; i < n; i++, v /= ARRAY_LEN(abc))
                for (const char *p = abc[v % ARRAY_LEN(abc)]; *p; p++)
                    text[len++] = *p;
            wrong += disagreements((struct str){text, len}, true, &taken);
            asked++;
        }
    }
    tap_ok(wrong == 0 && taken > asked / 4, "%zu of %zu sequences of tokens pass, as slowly", taken, asked);
}

int main(void)
{
    test_tables();
    test_limits();
    test_exhaustive();
    test_tokens();
    return tap_done();
}
