#include "base/base.h"

#include "tap.h"

#define NUL_STR ((struct str){})

static const struct {
    struct str a, b;
    bool eq, eq_ci;
    int cmp; // sign
    const char *rule;
} pairs[] = {
    {STR_INIT("abc"), STR_INIT("abc"), true, true, 0, "equal bytes are equal"},
    {STR_INIT("abc"), STR_INIT("abd"), false, false, -1, "the last byte counts"},
    {STR_INIT("abc"), STR_INIT("ABC"), false, true, 1, "case counts unless told otherwise"},
    {STR_INIT("ab"), STR_INIT("abc"), false, false, -1, "a prefix is another string and comes first"},
    {STR_INIT("abc"), STR_INIT("ab"), false, false, 1, "a longer string comes behind its prefix"},
    {STR_INIT("a\0b"), STR_INIT("a\0c"), false, false, -1, "a NUL does not end a string"},
    {STR_INIT("\xff"), STR_INIT("a"), false, false, 1, "bytes compare unsigned"},
    {STR_INIT("@"), STR_INIT("`"), false, false, -1,
     "only letters have a case: @ and ` differ by the same bit"},
    {STR_INIT("["), STR_INIT("{"), false, false, -1, "the byte behind Z has no case"},
    {STR_INIT("\xc3\x84"), STR_INIT("\xc3\xa4"), false, false, -1, "only ASCII letters have a case"},
    {STR_INIT("Zz"), STR_INIT("zZ"), false, true, -1, "z is the last letter"},
    {{NULL, 0}, STR_INIT(""), true, true, 0, "NULL and empty are the same string"},
    {{NULL, 0}, STR_INIT("a"), false, false, -1, "NULL comes before everything"},
};

static void test_pairs(void)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        int cmp = str_cmp(pairs[i].a, pairs[i].b);
        bool ok = str_eq(pairs[i].a, pairs[i].b) == pairs[i].eq &&
                  str_eq_ci(pairs[i].a, pairs[i].b) == pairs[i].eq_ci &&
                  (cmp > 0) - (cmp < 0) == pairs[i].cmp &&
                  (str_hash(pairs[i].a, 1) == str_hash(pairs[i].b, 1)) == pairs[i].eq;
        tap_ok(ok, "compare: %s", pairs[i].rule);
    }
}

static const struct {
    struct str s, part;
    bool starts, ends;
    const char *rule;
} parts[] = {
    {STR_INIT("abc"), STR_INIT("ab"), true, false, "a head is no tail"},
    {STR_INIT("abc"), STR_INIT("bc"), false, true, "a tail is no head"},
    {STR_INIT("abc"), STR_INIT("abc"), true, true, "a string is its own head and tail"},
    {STR_INIT("abc"), STR_INIT("abcd"), false, false, "what is longer is neither"},
    {STR_INIT("abc"), STR_INIT(""), true, true, "the empty string is both"},
    {{NULL, 0}, {NULL, 0}, true, true, "of NULL, too"},
    {STR_INIT("abc"), STR_INIT("AB"), false, false, "case counts"},
};

static void test_parts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct str s = parts[i].s;
        bool skipped = str_skip(&s, parts[i].part);
        bool ok = str_starts(parts[i].s, parts[i].part) == parts[i].starts &&
                  str_ends(parts[i].s, parts[i].part) == parts[i].ends && skipped == parts[i].starts &&
                  s.n == parts[i].s.n - (skipped ? parts[i].part.n : 0) && (skipped || s.p == parts[i].s.p);
        tap_ok(ok, "head and tail: %s", parts[i].rule);
    }
    struct str s = STR("GET /x");
    tap_ok(str_skip(&s, STR("GET ")) && str_eq(s, STR("/x")), "skip: leaves what is behind the head");
}

static void test_slices(void)
{
    struct str s = STR("abc");
    tap_ok(str_find(s, 'c') == 2 && str_find(s, 'd') == -1 && str_find(NUL_STR, 'a') == -1,
           "find: an offset, or -1");
    tap_ok(str_find(STR("aa"), 'a') == 0, "find: the first one");
    tap_ok(str_has(STR("a\0b"), '\0') && !str_has(s, '\0'), "has: a NUL only where the length covers it");
    tap_ok(str_eq(str_from(s, 1), STR("bc")) && str_eq(str_from(s, 3), STR("")) &&
               str_eq(str_from(s, 4), STR("")),
           "from: empty at and past the end");
    tap_ok(str_eq(str_head(s, 2), STR("ab")) && str_eq(str_head(s, 3), s) && str_eq(str_head(s, 4), s),
           "head: all of it where it is shorter");
    tap_ok(str_eq(str_trim(STR(" \t\v\f\r\n a b \n")), STR("a b")),
           "trim: white space at both ends, none within");
    tap_ok(str_eq(str_trim(STR(" \t ")), STR("")) && str_eq(str_trim(NUL_STR), STR("")),
           "trim: nothing is left");
    tap_ok(str_eq(str_trim(STR("\0x\x0e")), STR("\0x\x0e")), "trim: other controls are not white space");
    tap_ok(str_eq(str_of(NULL), STR("")) && str_of(NULL).p && str_eq(str_of("ab"), STR("ab")),
           "of: NULL gives an empty string with a pointer");
}

static const struct {
    struct str in;
    size_t n;
    struct str want[4];
    const char *rule;
} splits[] = {
    {STR_INIT("a,b"), 2, {STR_INIT("a"), STR_INIT("b")}, "two parts"},
    {STR_INIT("a"), 1, {STR_INIT("a")}, "without a separator all of it"},
    {STR_INIT("a,"), 2, {STR_INIT("a"), STR_INIT("")}, "behind the last separator is an empty part"},
    {STR_INIT(",a"), 2, {STR_INIT(""), STR_INIT("a")}, "so is before the first"},
    {STR_INIT(",,"), 3, {STR_INIT(""), STR_INIT(""), STR_INIT("")}, "and between two"},
    {STR_INIT(""), 1, {STR_INIT("")}, "the empty string is one empty part"},
    {{NULL, 0}, 0, {}, "NULL has no part, which ends the loop"},
};
static const struct {
    struct str in;
    size_t n;
    struct str want[4];
    const char *rule;
} line_rows[] = {
    {STR_INIT("a\nb"), 2, {STR_INIT("a"), STR_INIT("b")}, "the last needs no newline"},
    {STR_INIT("a\nb\n"), 2, {STR_INIT("a"), STR_INIT("b")}, "a newline ends a line and begins none"},
    {STR_INIT("a\r\nb\r\n"), 2, {STR_INIT("a"), STR_INIT("b")}, "CR before LF is cut"},
    {STR_INIT("a\r\r\n"), 1, {STR_INIT("a\r")}, "one CR only"},
    {STR_INIT("a\rb\nc\r"), 2, {STR_INIT("a\rb"), STR_INIT("c\r")}, "CR elsewhere stays"},
    {STR_INIT("\n\n"), 2, {STR_INIT(""), STR_INIT("")}, "blank lines count"},
    {STR_INIT(""), 0, {}, "the empty string has none"},
    {{NULL, 0}, 0, {}, "nor has NULL"},
};

static void test_loops(void)
{
    for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
        size_t n = 0;
        bool ok = true;
        struct str x;
        for (struct str rest = splits[i].in; str_split(&rest, ',', &x); n++)
            ok = ok && n < splits[i].n && str_eq(x, splits[i].want[n]);
        tap_ok(ok && n == splits[i].n, "split: %s", splits[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(line_rows); i++) {
        size_t n = 0;
        bool ok = true;
        struct str x;
        for (struct str rest = line_rows[i].in; str_line(&rest, &x); n++)
            ok = ok && n < line_rows[i].n && str_eq(x, line_rows[i].want[n]);
        tap_ok(ok && n == line_rows[i].n, "line: %s", line_rows[i].rule);
    }
}

static const struct {
    struct str in;
    uint64_t max, want;
    bool ok;
    const char *rule;
} numbers[] = {
    {STR_INIT("0"), 9, 0, true, "zero"},
    {STR_INIT("65535"), 65535, 65535, true, "the maximum itself"},
    {STR_INIT("65536"), 65535, 0, false, "one more"},
    {STR_INIT("18446744073709551615"), UINT64_MAX, UINT64_MAX, true, "the largest of all"},
    {STR_INIT("18446744073709551616"), UINT64_MAX, 0, false, "overflow in the sum"},
    {STR_INIT("99999999999999999999"), UINT64_MAX, 0, false, "overflow in the product"},
    {STR_INIT("0007"), 9, 7, true, "leading zeros are digits"},
    {STR_INIT(""), 9, 0, false, "no digit"},
    {STR_INIT("+1"), 9, 0, false, "a sign"},
    {STR_INIT("-1"), 9, 0, false, "a minus"},
    {STR_INIT(" 1"), 9, 0, false, "a blank before"},
    {STR_INIT("1 "), 9, 0, false, "a blank behind"},
    {STR_INIT("1\0"), 9, 0, false, "a NUL behind"},
    {STR_INIT("1:"), 9, 0, false, "the byte behind 9"},
    {STR_INIT("1/"), 9, 0, false, "the byte before 0"},
    {STR_INIT("0x1"), 9, 0, false, "another base"},
    {{NULL, 0}, 9, 0, false, "NULL"},
};

static void test_numbers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t v = 4711;
        bool ok = str_u64(numbers[i].in, numbers[i].max, &v);
        tap_ok(ok == numbers[i].ok && v == (ok ? numbers[i].want : 4711), "u64: %s", numbers[i].rule);
    }
}

static void test_cstr(void)
{
    char dst[4];
    tap_ok(str_cstr(STR("abc"), dst, sizeof(dst)) && strcmp(dst, "abc") == 0, "cstr: fits with its NUL");
    tap_ok(!str_cstr(STR("abcd"), dst, sizeof(dst)), "cstr: one byte too many");
    tap_ok(!str_cstr(STR("a\0b"), dst, sizeof(dst)), "cstr: refuses a NUL inside");
    tap_ok(str_cstr(NUL_STR, dst, 1) && dst[0] == '\0', "cstr: the empty string needs one byte");
    tap_ok(!str_cstr(NUL_STR, dst, 0), "cstr: and not less");
}

static void test_chars(void)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    bool lower = true, digit = true, alpha = true, hex = true;
    for (int c = -128; c < 128; c++) {
        char ch = (char)c;
        bool upper = memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", c & 0xff, 26),
             small = memchr("abcdefghijklmnopqrstuvwxyz", c & 0xff, 26);
        const char *at = memchr(digits, c & 0xff, 32);
        int value = at ? (int)((at - digits) % 16) : -1;
        lower = lower && char_lower(ch) == (upper ? ch + 32 : ch);
        digit = digit && char_is_digit(ch) == (at && value < 10);
        alpha = alpha && char_is_alpha(ch) == (upper || small);
        hex = hex && char_hex(ch) == value;
    }
    tap_ok(lower && digit && alpha && hex,
           "char: lower, digit, alpha and hex agree with the alphabet for every byte");
}

static void test_hash(void)
{
    bool differ = true; // each prefix of this, so that each length of the last word occurs, and each byte
                        // flipped
    char text[] = "0123456789abcdefghij";
    for (size_t n = 0; n <= 20; n++) {
        uint64_t h = str_hash((struct str){text, n}, 7);
        differ = differ && h != str_hash((struct str){text, n}, 8);
        for (size_t i = 0; i < n; i++) {
            text[i] ^= 1;
            differ = differ && h != str_hash((struct str){text, n}, 7);
            text[i] ^= 1;
        }
    }
    tap_ok(differ, "hash: the seed and every byte count");
    tap_ok(str_hash(STR("a"), 0) != str_hash(STR("a\0"), 0),
           "hash: the length counts, not only the padded word");
}

static void test_sums(void)
{
    size_t n = 0;
    tap_ok(add_ok(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX && !add_ok(SIZE_MAX, 1, &n),
           "add_ok: up to SIZE_MAX");
    tap_ok(mul_ok(SIZE_MAX / 2, 2, &n) && n == SIZE_MAX - 1 && !mul_ok(SIZE_MAX / 2 + 1, 2, &n),
           "mul_ok: up to SIZE_MAX");
    char *p = malloc(1), *was = p;
    CLEANUP(base_freep) char *taken = TAKE(p);
    tap_ok(taken == was && !p, "TAKE: moves and leaves NULL");
}

int main(void)
{
    test_pairs();
    test_parts();
    test_slices();
    test_loops();
    test_numbers();
    test_cstr();
    test_chars();
    test_hash();
    test_sums();
    return tap_done();
}
