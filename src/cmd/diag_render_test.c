#include "cmd/diag_render.h"

#include <locale.h>

#include "tap.h"

#define A10   "aaaaaaaaaa"
#define A40   A10 A10 A10 A10
#define BLANK "          "

static const struct {
    const char *text;
    uint32_t line, column, length;
    const char *hint, *want, *rule;
} rows[] = {
    {"a\n  hots: x\nb\n", 2, 3, 4, "did you mean 'host'?",
     "error: m\n --> f:2:3  p\n  |\n2 |   hots: x\n  |   ^^^^ did you mean 'host'?\n",
     "the line and its place"},
    {"a\n", 0, 0, 0, "h", "error: m\n --> f  p\n  = hint: h\n", "no place"},
    {"a\n", 0, 0, 0, "", "error: m\n --> f  p\n", "no place and no hint"},
    {"a", 1, 2, 1, "", "error: m\n --> f:1:2  p\n  |\n1 | a\n  |  ^\n", "behind the last byte"},
    {"a\n", 5, 1, 1, "", "error: m\n --> f:5:1  p\n  |\n5 |\n  | ^\n", "behind the last line"},
    {"ab", 1, 1, 9, "", "error: m\n --> f:1:1  p\n  |\n1 | ab\n  | ^^\n", "marks end with the line"},
    {"ab", 1, 1, 0, "", "error: m\n --> f:1:1  p\n  |\n1 | ab\n  | ^\n", "at least one byte is marked"},
    {"a\r\nbc\r\n", 2, 2, 1, "", "error: m\n --> f:2:2  p\n  |\n2 | bc\n  |  ^\n", "CR LF ends a line"},
    {"a:\tb", 1, 4, 1, "", "error: m\n --> f:1:4  p\n  |\n1 | a:  b\n  |     ^\n",
     "a tab goes to the next stop"},
    {"\t\tb", 1, 3, 1, "", "error: m\n --> f:1:3  p\n  |\n1 |         b\n  |         ^\n", "tabs add up"},
    {"\xc3\xa4\xc3\xb6: x", 1, 7, 1, "", "error: m\n --> f:1:5  p\n  |\n1 | \xc3\xa4\xc3\xb6: x\n  |     ^\n",
     "columns are characters"},
    {"\xe6\xbc\xa2: x", 1, 6, 1, "", "error: m\n --> f:1:4  p\n  |\n1 | \xe6\xbc\xa2: x\n  |     ^\n",
     "a wide character takes two columns on screen"},
    {"e\xcc\x81: x", 1, 6, 1, "", "error: m\n --> f:1:5  p\n  |\n1 | e\xcc\x81: x\n  |    ^\n",
     "a combining one none"},
    {"\xff\x1b[31m: x", 1, 9, 1, "", "error: m\n --> f:1:9  p\n  |\n1 | ??[31m: x\n  |         ^\n",
     "malformed and control bytes are shown as '?'"},
    {"a\nb\nc\nd\ne\nf\ng\nh\ni\nxyz", 10, 2, 1, "", "error: m\n  --> f:10:2  p\n   |\n10 | xyz\n   |  ^\n",
     "two digits"},
    {"ab", 1, 1, 1, A40 " " A40,
     "error: m\n --> f:1:1  p\n  |\n1 | ab\n  | ^\n  = hint: " A40 "\n" BLANK A40 "\n",
     "a long hint has lines of its own"},
};

static void test_rows(void)
{
    const struct term t = {.unicode = true, .width = 80};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct diag d = {.level = DIAG_ERROR,
                               .at = {rows[i].line, rows[i].column, rows[i].length},
                               .path = STR("p"),
                               .msg = STR("m"),
                               .hint = str_of(rows[i].hint)};
        struct buf out;
        buf_init(&out, 64 * KIB);
        diag_render(&d, "f", str_of(rows[i].text), &t, &out);
        if (!tap_ok(out.p && strcmp(out.p, rows[i].want) == 0, "%s", rows[i].rule))
            tap_note("want\n%s\ngot\n%s", rows[i].want, out.p);
        buf_done(&out);
    }
}

// Whatever the line and the place: no output line is wider than the screen, and the caret stands under the
// byte.
static void test_long_lines(void)
{
    for (size_t pass = 0; pass < 2; pass++) {
        const struct term t = {.unicode = pass == 0, .width = 40};
        bool narrow = true, under = true, full = true;
        for (uint32_t column = 1; column <= 200; column++) {
            char line[201];
            memset(line, '.', 200);
            line[200] = '\0';
            line[column - 1] = 'X';
            const struct diag d = {.level = DIAG_WARNING, .at = {1, column, 1}, .msg = STR("m")};
            struct buf out;
            buf_init(&out, 64 * KIB);
            diag_render(&d, "f", str_of(line), &t, &out);
            struct str rest = buf_str(&out), one, source = {};
            while (str_line(&rest, &one)) {
                narrow = narrow && term_columns(one) <= 40;
                if (str_starts(one, STR("1 |")))
                    source = one;
            }
            ptrdiff_t x = str_find(source, 'X'), caret = str_find(one, '^');
            full = full && term_columns(source) >= 36;
            under = under && x > 0 && term_columns(str_head(source, (size_t)x)) == (size_t)caret;
            buf_done(&out);
        }
        tap_ok(narrow, "a long line is cut to the screen, %s", pass ? "ASCII" : "Unicode");
        tap_ok(full, "the screen is used, %s", pass ? "ASCII" : "Unicode");
        tap_ok(under, "wherever the place is, %s", pass ? "ASCII" : "Unicode");
    }
}

static void test_rest(void)
{
    const struct term t = {.unicode = true, .colour = true, .width = 80};
    const struct diag d = {.level = DIAG_WARNING, .at = {1, 1, 1}, .msg = STR("m"), .hint = STR("h")};
    struct buf out;
    buf_init(&out, 64 * KIB);
    diag_render(&d, "f", STR("a"), &t, &out);
    static const char *const want = "\033[1;33mwarning\033[0m\033[1m: \033[0mm\n \033[1;34m-->\033[0m f:1:1\n"
                                    "\033[1;34m  |\033[0m\n\033[1;34m1 |\033[0m a\n\033[1;34m  |\033[0m "
                                    "\033[1;33m^\033[0m\033[1;33m h\033[0m\n";
    if (!tap_ok(out.p && strcmp(out.p, want) == 0, "colours"))
        tap_note("got %s", out.p);
    buf_clear(&out);
    struct diags all = {.v = (struct diag[]){d}, .n = 1, .errors = 2, .warnings = 1};
    diags_render(&all, "f", STR("a"), &(struct term){.width = 80}, &out);
    tap_ok(out.p && str_ends(buf_str(&out), STR("\n\nf: 2 more not shown\n\n")),
           "those that were not kept are counted");
    static const struct {
        size_t errors, warnings;
        const char *want;
    } counts[] = {{0, 0, ""},
                  {1, 0, "1 error"},
                  {2, 0, "2 errors"},
                  {0, 1, "1 warning"},
                  {1, 2, "1 error, 2 warnings"}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_clear(&out);
        diag_counts(counts[i].errors, counts[i].warnings, &out);
        tap_ok(str_eq(buf_str(&out), str_of(counts[i].want)), "counts: %s", counts[i].want);
    }
    buf_done(&out);
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    test_rows();
    test_long_lines();
    test_rest();
    return tap_done();
}
