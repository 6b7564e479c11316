#include "gateway/toml.h"

#include "base/buf.h"
#include "tap.h"

// Documents and what they mean, in a notation of our own: {key: value}, [values], "text", numbers; times and
// floats as they were written, behind '~'. The cases are those that the public suite of TOML tests has, in
// our words.

static void show(const struct toml *t, struct buf *b)
{
    switch (t->type) {
    case TOML_TABLE:
    case TOML_ARRAY:
        buf_addc(b, t->type == TOML_TABLE ? '{' : '[');
        for (const struct toml *i = t->first; i; i = i->next) {
            if (t->type == TOML_TABLE)
                buf_addf(b, "%.*s: ", (int)i->key.n, i->key.p);
            show(i, b);
            if (i->next)
                buf_add(b, STR(", "));
        }
        buf_addc(b, t->type == TOML_TABLE ? '}' : ']');
        break;
    case TOML_STRING:
        buf_addf(b, "\"%.*s\"", (int)t->text.n, t->text.p);
        break;
    case TOML_INT:
        buf_addf(b, "%lld", (long long)t->number);
        break;
    case TOML_BOOL:
        buf_add(b, t->yes ? STR("true") : STR("false"));
        break;
    case TOML_FLOAT:
    case TOML_TIME:
        buf_addf(b, "~%.*s", (int)t->text.n, t->text.p);
        break;
    }
}

static const struct {
    const char *text, *means;
} good[] = {
    {"", "{}"},
    {"\xef\xbb\xbf"
     "a=1",
     "{a: 1}"},
    {"# comment\n\n \t\r\n", "{}"},
    {"a = 1 # one\r\nb=2", "{a: 1, b: 2}"},
    {"a-b_1 = 1\n1234 = 2\n\"a b\" = 3\n'c\"' = 4\n\"\" = 5\n\"\\u00fc\" = 6",
     "{a-b_1: 1, 1234: 2, a b: 3, c\": 4, : 5, \xc3\xbc: 6}"},
    {"a.b.c = 1\na.b.d = 2\na . \"x.y\" = 3", "{a: {b: {c: 1, d: 2}, x.y: 3}}"},
    {"3.14 = 1", "{3: {14: 1}}"},
    {"true = false", "{true: false}"},
    // strings
    {"a = \"x\\b\\t\\n\\f\\r\\\"\\\\y\"", "{a: \"x\b\t\n\f\r\"\\y\"}"},
    {"a = \"\\u00e9\\U0001F600\"", "{a: \"\xc3\xa9\xf0\x9f\x98\x80\"}"},
    {"a = 'C:\\n'", "{a: \"C:\\n\"}"},
    {"a = \"\"\"\nx\ny\"\"\"", "{a: \"x\ny\"}"},
    {"a = \"\"\"x \\\n\n   y\\  \n z\"\"\"", "{a: \"x yz\"}"},
    {"a = \"\"\"\"\"x\"\"\"\"\"", "{a: \"\"\"x\"\"\"}"},
    {"a = \"\"\"x\\\"\"\"\"", "{a: \"x\"\"}"},
    {"a = '''\r\nx\\\r\n'y''''", "{a: \"x\\\n'y'\"}"},
    {"a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''", "{a: \"\", b: \"\", c: \"\", d: \"\"}"},
    {"a = \"tab\there\"", "{a: \"tab\there\"}"},
    {"a = \"# no comment\"", "{a: \"# no comment\"}"},
    // numbers
    {"a = [+99, 42, 0, -17, -0, 1_000, 5_349_221]", "{a: [99, 42, 0, -17, 0, 1000, 5349221]}"},
    {"a = [0xDEAD_beef, 0o755, 0b1101, 0x00]", "{a: [3735928559, 493, 13, 0]}"},
    {"a = [9223372036854775807, -9223372036854775808]", "{a: [9223372036854775807, -9223372036854775808]}"},
    {"a = [1.0, -0.01, 5e+22, 1E06, 6.6e-34, 1_0.0_1, inf, -inf, +nan, 0e0, 0.1e-5]",
     "{a: [~1.0, ~-0.01, ~5e+22, ~1E06, ~6.6e-34, ~1_0.0_1, ~inf, ~-inf, ~+nan, ~0e0, ~0.1e-5]}"},
    // times
    {"a = [1979-05-27T07:32:00Z, 1979-05-27 00:32:00.999999-07:00, 1979-05-27t07:32:60]",
     "{a: [~1979-05-27T07:32:00Z, ~1979-05-27 00:32:00.999999-07:00, ~1979-05-27t07:32:60]}"},
    {"a = 1979-05-27\nb = 07:32:00\nc = 00:32:00.5\nd = 2000-02-29\ne = 1979-05-27 # x",
     "{a: ~1979-05-27, b: ~07:32:00, c: ~00:32:00.5, d: ~2000-02-29, e: ~1979-05-27}"},
    // arrays
    {"a = [1, \"x\", [2.0, []], {b = 1}]", "{a: [1, \"x\", [~2.0, []], {b: 1}]}"},
    {"a = [ # x\n1 # y\n, # z\n2,\n]\n", "{a: [1, 2]}"},
    {"a = []", "{a: []}"},
    // inline tables
    {"a = {}", "{a: {}}"},
    {"a = { b = 1, c.d = 2, c.e = 3 }", "{a: {b: 1, c: {d: 2, e: 3}}}"},
    {"a = { b = [\n1,\n2\n] }", "{a: {b: [1, 2]}}"},
    // tables
    {"[a]\nx=1\n[b]\n[ a . c ]\ny=2", "{a: {x: 1, c: {y: 2}}, b: {}}"},
    {"[a.b.c]\n[a]\nx=1", "{a: {b: {c: {}}, x: 1}}"},
    {"[a.b]\n[a.c]\n[a]", "{a: {b: {}, c: {}}}"},
    {"[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true",
     "{fruit: {apple: {color: 1, taste: {sweet: true}, texture: {smooth: true}}}}"},
    {"[\"a.b\"]\n['c']", "{a.b: {}, c: {}}"},
    {"x.y = 1\n[a]\nx.y = 2", "{x: {y: 1}, a: {x: {y: 2}}}"},
    {"[x.y.z.w]\n[x]", "{x: {y: {z: {w: {}}}}}"},
    // arrays of tables
    {"[[a]]\nx=1\n[[a]]\n[[ a ]]\nx=2", "{a: [{x: 1}, {}, {x: 2}]}"},
    {"[[f]]\nn=1\n[f.p]\nc=1\n[[f.v]]\nn=2\n[[f.v]]\nn=3\n[[f]]\nn=4\n[[f.v]]\nn=5",
     "{f: [{n: 1, p: {c: 1}, v: [{n: 2}, {n: 3}]}, {n: 4, v: [{n: 5}]}]}"},
    {"[a.b]\n[[a.c]]\n[[a.c]]", "{a: {b: {}, c: [{}, {}]}}"},
};

static const struct {
    const char *text, *msg;
} bad[] = {
    {"a", "line 1, column 2: '=' was expected behind a key"},
    {"a =", "line 1, column 4: a value was expected"},
    {"a = # x\n1", "line 1, column 5: a value was expected"},
    {"= 1", "line 1, column 1: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"a = 1 b = 2", "line 1, column 7: only a comment may follow on this line"},
    {"a b = 1", "line 1, column 3: '=' was expected behind a key"},
    {"a\n= 1", "line 1, column 2: '=' was expected behind a key"},
    {"a. = 1", "line 1, column 4: a key was expected: letters, digits, '-', '_', or in quotes"},
    {".a = 1", "line 1, column 1: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"a..b = 1", "line 1, column 3: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"\xc3\xbc = 1", "line 1, column 1: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"\"\"\"a\"\"\" = 1", "line 1, column 1: a key has no several lines"},
    {"\"a\nb\" = 1", "line 1, column 3: a string does not end on its line"},
    {"\n\na = \xff", "line 3, column 5: this is not UTF-8"},
    {"a = \"\xed\xa0\x80\"", "line 1, column 6: this is not UTF-8"},
    {"a = 1\rb = 2", "line 1, column 6: a carriage return without a newline"},
    {"# \x01", "line 1, column 3: a control character in a comment"},
    {"# \x7f", "line 1, column 3: a control character in a comment"},
    // twice
    {"a = 1\na = 2", "line 2: 'a' was defined on line 1"},
    {"a = 1\n'a' = 2", "line 2: 'a' was defined on line 1"},
    {"a = 1\na.b = 2", "line 2: 'a' was defined on line 1"},
    {"a.b = 1\na = 2", "line 2: 'a' was defined on line 1"},
    {"a.b = 1\na.b.c = 2", "line 2: 'b' was defined on line 1"},
    {"[a]\n[a]", "line 2: 'a' was defined on line 1"},
    {"a = 1\n[a]", "line 2: 'a' was defined on line 1"},
    {"[a]\nb = 1\n[a.b]", "line 3: 'b' was defined on line 2"},
    {"[a]\nb = 1\n[a.b.c]", "line 3: 'b' was defined on line 2"},
    {"[a.b]\n[a]\nb = 1", "line 3: 'b' was defined on line 1"},
    {"[a.b.c]\nz=9\n[a]\nb.c.t = 1", "line 4: 'b' was defined on line 1"},
    {"[a.b.c.d]\nz=9\n[a]\nb.c.d.k.t = 1", "line 4: 'b' was defined on line 1"},
    {"[[a.b]]\n[a]\nb.y = 2", "line 3: 'b' was defined on line 1"},
    {"[a]\nb.c = 1\n[a.b]", "line 3: 'b' was defined on line 2"},
    {"[f]\na.t.s = true\n[f.a.t]", "line 3: 't' was defined on line 2"},
    {"a = {b = 1}\na.c = 2", "line 2: 'a' was defined on line 1"},
    {"a = {b = 1}\n[a]", "line 2: 'a' was defined on line 1"},
    {"a = {b = 1}\n[a.c]", "line 2: 'a' was defined on line 1"},
    {"a = {b.c = 1}\n[a.b.d]", "line 2: 'a' was defined on line 1"},
    {"[t]\na = {b.c = 1}\n[t.a.b]", "line 3: 'a' was defined on line 2"},
    {"a = {b = 1, b = 2}", "line 1: 'b' was defined on line 1"},
    {"a = {b = {c = 1}, b.d = 2}", "line 1: 'b' was defined on line 1"},
    {"a = []\n[[a]]", "line 2: 'a' was defined on line 1"},
    {"a = [{}]\n[a.b]", "line 2: 'a' was defined on line 1"},
    {"[[a]]\n[a]", "line 2: 'a' was defined on line 1"},
    {"[a]\n[[a]]", "line 2: 'a' was defined on line 1"},
    {"[a.b]\n[[a]]", "line 2: 'a' was defined on line 1"},
    {"[[f]]\n[[f.v]]\n[f.v]", "line 3: 'v' was defined on line 2"},
    {"[[f]]\n[f.v]\n[[f.v]]", "line 3: 'v' was defined on line 2"},
    // headers
    {"[]", "line 1, column 2: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"[a", "line 1, column 3: ']' was expected"},
    {"[a]]", "line 1, column 4: only a comment may follow on this line"},
    {"[[a]", "line 1, column 4: ']]' was expected"},
    {"[ [a]]", "line 1, column 3: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"[a.]", "line 1, column 4: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"[a b]", "line 1, column 4: ']' was expected"},
    {"[a] b = 1", "line 1, column 5: only a comment may follow on this line"},
    {"[a\n]", "line 1, column 3: ']' was expected"},
    // strings
    {"a = \"x", "line 1, column 7: a string does not end"},
    {"a = 'x\n'", "line 1, column 7: a string does not end on its line"},
    {"a = \"\"\"x\"\"", "line 1, column 11: a string of several lines does not end"},
    {"a = '''x", "line 1, column 9: a string of several lines does not end"},
    {"a = \"\\x41\"", "line 1, column 7: an escape that TOML does not know"},
    {"a = \"\\e\"", "line 1, column 7: an escape that TOML does not know"},
    {"a = \"\\\n\"", "line 1, column 7: an escape that TOML does not know"},
    {"a = \"\"\"\\ x\"\"\"", "line 1, column 9: an escape that TOML does not know"},
    {"a = \"\\u12g4\"", "line 1, column 10: \\u wants four hex digits"},
    {"a = \"\\ud800\"", "line 1, column 12: this is no Unicode scalar value"},
    {"a = \"\\U00110000\"", "line 1, column 16: this is no Unicode scalar value"},
    {"a = \"\x01\"", "line 1, column 6: a control character in a string"},
    {"a = '\x7f'", "line 1, column 6: a control character in a string"},
    {"a = \"\"\"\x1f\"\"\"", "line 1, column 8: a control character in a string"},
    {"a = \"x\" y", "line 1, column 9: only a comment may follow on this line"},
    {"a = '''x''''''", "line 1, column 14: only a comment may follow on this line"},
    // numbers
    {"a = 01", "line 1, column 5: a number begins with a zero"},
    {"a = -01", "line 1, column 5: a number begins with a zero"},
    {"a = 0_1", "line 1, column 5: a number begins with a zero"},
    {"a = 03.14", "line 1, column 5: a number begins with a zero"},
    {"a = 1__0", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = _1", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = 1_", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = 1.", "line 1, column 5: a number with something that is no digit of it"},
    {"a = .5", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = 1.e5", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 1._5", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 1e", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 1.5.6", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 1x", "line 1, column 5: a number with something that is no digit of it"},
    {"a = ++1", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = 0x", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 0xg", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 0x_1", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 0o8", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 0b2", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 0X1", "line 1, column 5: a number with something that is no digit of it"},
    {"a = +0x1", "line 1, column 5: a number with something that is no digit of it"},
    {"a = 9223372036854775808", "line 1, column 5: an integer has at most 64 bits"},
    {"a = -9223372036854775809", "line 1, column 5: an integer has at most 64 bits"},
    {"a = 0x8000000000000000", "line 1, column 5: an integer has at most 64 bits"},
    {"a = Inf", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = True", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    {"a = word", "line 1, column 5: a value was expected: in quotes, a number, a date, true, false, [ or {"},
    // times
    {"a = 1979-13-01", "line 1, column 5: this is no date or time"},
    {"a = 1979-02-29", "line 1, column 5: this is no date or time"},
    {"a = 1900-02-29", "line 1, column 5: this is no date or time"},
    {"a = 1979-00-01", "line 1, column 5: this is no date or time"},
    {"a = 1979-5-27", "line 1, column 5: this is no date or time"},
    {"a = 1979-05-27T", "line 1, column 5: this is no date or time"},
    {"a = 1979-05-27T07:32", "line 1, column 5: this is no date or time"},
    {"a = 1979-05-27T24:00:00", "line 1, column 5: this is no date or time"},
    {"a = 1979-05-27T07:60:00", "line 1, column 5: this is no date or time"},
    {"a = 1979-05-27T07:32:00+25:00", "line 1, column 5: this is no date or time"},
    {"a = 07:32", "line 1, column 5: this is no date or time"},
    {"a = 07:32:00.", "line 1, column 5: this is no date or time"},
    {"a = 07:32:00Z", "line 1, column 5: this is no date or time"},
    // arrays and inline tables
    {"a = [1 2]", "line 1, column 8: ',' or ']' was expected"},
    {"a = [,1]", "line 1, column 6: a value was expected"},
    {"a = [1,,2]", "line 1, column 8: a value was expected"},
    {"a = [1", "line 1, column 7: ',' or ']' was expected"},
    {"a = [", "line 1, column 6: a value was expected"},
    {"a = [1]]", "line 1, column 8: only a comment may follow on this line"},
    {"a = {b = 1,}", "line 1, column 12: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"a = {b = 1\n}", "line 1, column 11: ',' or '}' was expected"},
    {"a = {\nb = 1}", "line 1, column 6: a key was expected: letters, digits, '-', '_', or in quotes"},
    {"a = {b = 1 # x\n}", "line 1, column 12: ',' or '}' was expected"},
    {"a = {b}", "line 1, column 7: '=' was expected behind a key"},
    {"a = {,}", "line 1, column 6: a key was expected: letters, digits, '-', '_', or in quotes"},
};

static void test_good(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf b;
        arena_init(&a, MIB);
        buf_init(&b, MIB);
        struct toml *t = NULL;
        struct err err = {};
        bool ok = toml_parse(str_of(good[i].text), &a, &t, &err) == ERR_OK;
        if (ok)
            show(t, &b);
        if (!tap_ok(ok && str_eq(buf_str(&b), str_of(good[i].means)), "reads document %zu", i))
            tap_note("%s: %.*s %s", good[i].text, (int)b.n, b.n ? b.p : "", err.msg);
    }
}

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        struct toml *t = NULL;
        struct err err = {};
        bool ok = toml_parse(str_of(bad[i].text), &a, &t, &err) == ERR_INVALID && !t;
        if (!tap_ok(ok && strcmp(err.msg, bad[i].msg) == 0, "refuses document %zu: %s", i, bad[i].msg))
            tap_note("%s: %s", bad[i].text, err.msg);
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct toml *t = NULL;
    struct err err = {};
    tap_ok(toml_parse((struct str){"a = \"\0\"", 7}, &a, &t, &err) == ERR_INVALID, "refuses a NUL: %s",
           err.msg);
}

static void test_limits(void)
{
    static char text[TOML_TEXT_MAX + 1];
    static const char *const open[] = {"[", "{a="};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct toml *t = NULL;
    struct err err = {};
    memset(text, '\n', sizeof(text));
    tap_ok(toml_parse((struct str){text, TOML_TEXT_MAX}, &a, &t, &err) == ERR_OK,
           "reads as much as there may be");
    tap_ok(toml_parse((struct str){text, sizeof(text)}, &a, &t, &err) == ERR_LIMIT, "but not more: %s",
           err.msg);
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, MIB);
        buf_add(&b, STR("a="));
        for (int k = 0; k < 10'000; k++)
            buf_add(&b, str_of(open[i]));
        tap_ok(toml_parse(buf_str(&b), &a, &t, &err) == ERR_INVALID, "no deep nests of '%s': %s", open[i],
               err.msg);
    }
    CLEANUP(arena_done) struct arena small;
    arena_init(&small, 300);
    tap_ok(toml_parse(STR("a=[1,2,3,4,5,6,7,8]"), &small, &t, &err) == ERR_LIMIT, "no room: %s", err.msg);
}

int main(void)
{
    test_good();
    test_bad();
    test_limits();
    return tap_done();
}
