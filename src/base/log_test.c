#include "base/log.h"

#include "base/utf8.h"
#include "tap.h"

#include <errno.h>
#include <unistd.h>

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names, see
// tests/alloc_fail.c
ssize_t __wrap_write(int fd, const void *p, size_t n);

static struct {
    char text[2 * LOG_LINE_MAX];
    size_t n;
    unsigned calls;
    int fd, errnum, eintr; // errnum: what each call fails with; eintr: so many interruptions first
    size_t shorten;        // take so many bytes less
} sys;

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    sys.calls++;
    sys.fd = fd;
    errno = sys.eintr > 0 ? EINTR : sys.errnum;
    if (sys.eintr > 0)
        sys.eintr--;
    if (errno)
        return -1;
    errno = ERANGE; // may be left in any state
    memcpy(sys.text, p, n);
    sys.n = n;
    return (ssize_t)(n - sys.shorten);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

static bool wrote(struct str want)
{
    bool ok = str_eq((struct str){sys.text, sys.n}, want);
    if (!ok)
        tap_note("%.*s", (int)sys.n, sys.text);
    return ok;
}

static const struct {
    struct log_field f;
    struct str want;
    const char *rule;
} fields[] = {
    {{"host", LOG_KIND_STR, .s = STR_INIT("evil.test")},
     STR_INIT("host=\"evil.test\""),
     "a string is quoted"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("")}, STR_INIT("s=\"\""), "an empty one too"},
    {{"s", LOG_KIND_STR, .s = {NULL, 0}}, STR_INIT("s=\"\""), "and NULL"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("a\" b=\"c")},
     STR_INIT("s=\"a\\\" b=\\\"c\""),
     "quotes cannot be closed"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("a\\")}, STR_INIT("s=\"a\\\\\""), "nor escaped"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("a\nb\rc\td")},
     STR_INIT("s=\"a\\nb\\rc\\td\""),
     "a line cannot be ended"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("\033[31m\0\x7f")},
     STR_INIT("s=\"\\x1b[31m\\x00\\x7f\""),
     "no control gets through"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("gr\xc3\xbc\xc3\x9f")},
     STR_INIT("s=\"gr\xc3\xbc\xc3\x9f\""),
     "UTF-8 stays"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("\xc2\x9b")}, STR_INIT("s=\"\\xc2\\x9b\""), "C1 controls do not"},
    {{"s", LOG_KIND_STR,
      .s = STR_INIT("\xe2\x80\xae"
                    "a\xe2\x80\xa8")},
     STR_INIT("s=\"\\xe2\\x80\\xae"
              "a\\xe2\\x80\\xa8\""),
     "nothing is reordered or broken"},
    {{"s", LOG_KIND_STR, .s = STR_INIT("a\xff\xe2\x82")},
     STR_INIT("s=\"a\\xff\\xe2\\x82\""),
     "malformed bytes are spelt out"},
    {{"why", LOG_KIND_WORD, .s = STR_INIT("no-rule")}, STR_INIT("why=no-rule"), "a word is bare"},
    {{"w", LOG_KIND_WORD, .s = STR_INIT("aZ09._:/@+-")},
     STR_INIT("w=aZ09._:/@+-"),
     "each byte that a word may have"},
    {{"w", LOG_KIND_WORD, .s = STR_INIT("a b")}, STR_INIT("w=\"a b\""), "a word with any other is a string"},
    {{"w", LOG_KIND_WORD, .s = STR_INIT("a=b")}, STR_INIT("w=\"a=b\""), "with an equals sign, too"},
    {{"w", LOG_KIND_WORD, .s = STR_INIT("")}, STR_INIT("w=\"\""), "so is an empty one"},
    {{"u", LOG_KIND_U64, .u = 0}, STR_INIT("u=0"), "zero"},
    {{"u", LOG_KIND_U64, .u = UINT64_MAX}, STR_INIT("u=18446744073709551615"), "the largest number"},
    {{"i", LOG_KIND_I64, .i = -1}, STR_INIT("i=-1"), "a negative one"},
    {{"i", LOG_KIND_I64, .i = 7}, STR_INIT("i=7"), "a positive one"},
    {{"i", LOG_KIND_I64, .i = INT64_MIN}, STR_INIT("i=-9223372036854775808"), "the least number"},
    {{"b", LOG_KIND_BOOL, .u = 1}, STR_INIT("b=true"), "true"},
    {{"b", LOG_KIND_BOOL, .u = 0}, STR_INIT("b=false"), "false"},
};

static void test_fields(void)
{
    const struct log l = {.fd = 3, .level = LOG_LEVEL_INFO};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        char text[LOG_LINE_MAX];
        size_t n = log_format(&l, LOG_LEVEL_INFO, 0, "x", &fields[i].f, 1, text);
        struct str got = {text, n};
        if (!tap_ok(str_skip(&got, STR("info x ")) && str_eq(got, fields[i].want), "field: %s",
                    fields[i].rule))
            tap_note("%.*s", (int)n, text);
    }
}

static const struct {
    struct log l;
    enum log_level level;
    int64_t ms;
    struct str want;
    const char *rule;
} heads[] = {
    {{.time = true},
     LOG_LEVEL_INFO,
     1,
     STR_INIT("1970-01-01T00:00:00.001Z info a.b"),
     "the time, where asked for"},
    {{}, LOG_LEVEL_ERROR, 1, STR_INIT("error a.b"), "error"},
    {{}, LOG_LEVEL_WARNING, 1, STR_INIT("warning a.b"), "warning"},
    {{}, LOG_LEVEL_DEBUG, 1, STR_INIT("debug a.b"), "debug"},
    {{.colour = true},
     LOG_LEVEL_ERROR,
     1,
     STR_INIT("\033[31merror\033[0m a.b"),
     "an error is red, where asked for"},
    {{.colour = true}, LOG_LEVEL_WARNING, 1, STR_INIT("\033[33mwarning\033[0m a.b"), "a warning yellow"},
    {{.colour = true}, LOG_LEVEL_INFO, 1, STR_INIT("\033[32minfo\033[0m a.b"), "information green"},
    {{.colour = true}, LOG_LEVEL_DEBUG, 1, STR_INIT("\033[2mdebug\033[0m a.b"), "the rest faint"},
};

static void test_heads(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char text[LOG_LINE_MAX];
        size_t n = log_format(&heads[i].l, heads[i].level, heads[i].ms, "a.b", NULL, 0, text);
        tap_ok(str_eq((struct str){text, n}, heads[i].want), "head: %s", heads[i].rule);
    }
}

static void test_lines(void)
{
    struct log l = {.fd = 42, .level = LOG_LEVEL_INFO};
    struct err err = {.code = ERR_DENIED, .msg = "no \"way\""};
    errno = EDOM;
    log_info(&l, "egress.deny", LOG_WORD("sandbox", STR("s-41")), LOG_U64("rule", 7),
             LOG_STR("host", STR("evil.test")), LOG_WORD("why", STR("no-rule")));
    tap_ok(wrote(STR("info egress.deny sandbox=s-41 rule=7 host=\"evil.test\" why=no-rule\n")),
           "line: as in the header");
    tap_ok(sys.calls == 1 && sys.fd == 42, "line: one write, to the descriptor given");
    tap_ok(errno == EDOM, "line: keeps errno");
    log_warning(&l, "x.y");
    tap_ok(wrote(STR("warning x.y\n")), "line: no field at all");
    log_error(&l, "x.y", LOG_REASON(&err), LOG_I64("i", -2), LOG_BOOL("b", true));
    tap_ok(wrote(STR("error x.y code=denied error=\"no \\\"way\\\"\" i=-2 b=true\n")),
           "line: an error in two fields");

    int computed = 0;
    log_debug(&l, "x.y", LOG_U64("n", (uint64_t)++computed));
    tap_ok(computed == 0 && sys.calls == 3, "level: what is off computes nothing and writes nothing");
    l.level = LOG_LEVEL_DEBUG;
    log_debug(&l, "x.y", LOG_U64("n", (uint64_t)++computed));
    tap_ok(computed == 1 && wrote(STR("debug x.y n=1\n")), "level: what is on does, once");
    l.level = LOG_LEVEL_ERROR;
    log_warning(&l, "x.y");
    tap_ok(sys.calls == 4, "level: a warning is less than an error");
    l.time = true;
    log_error(&l, "x.y");
    tap_ok(sys.n == strlen("2026-11-23T23:45:01.123Z error x.y\n") && sys.text[0] == '2' &&
               sys.text[10] == 'T',
           "line: the time of now");
}

static void test_lost(void)
{
    struct log l = {.fd = 42, .level = LOG_LEVEL_INFO};
    sys.calls = 0;
    sys.eintr = 2;
    log_info(&l, "a");
    tap_ok(sys.calls == 3 && wrote(STR("info a\n")), "lost: an interruption loses nothing");
    sys.errnum = EAGAIN;
    log_info(&l, "b");
    log_info(&l, "c");
    tap_ok(l.lost == 2 && sys.calls == 5, "lost: a full pipe is not waited for");
    sys.errnum = 0;
    log_info(&l, "d");
    tap_ok(wrote(STR("info d lost=2\n")) && l.lost == 0, "lost: the next line says how many");
    sys.shorten = 1;
    log_info(&l, "e");
    sys.shorten = 0;
    log_info(&l, "f");
    tap_ok(wrote(STR("info f lost=1\n")), "lost: half a line is a lost one");
}

static void test_long(void)
{
    struct log l = {.fd = 42, .level = LOG_LEVEL_INFO};
    static char x[5000], nul[5000];
    memset(x, 'x', sizeof(x));
    struct str most = {x, LOG_VALUE_MAX - 1}, more = {x, LOG_VALUE_MAX + 1};

    log_info(&l, "e", LOG_STR("s", most));
    tap_ok(sys.n == strlen("info e s=\"\"\n") + most.n, "long: a string just short of its maximum is whole");
    log_info(&l, "e", LOG_STR("s", more), LOG_U64("n", 1));
    tap_ok(str_ends((struct str){sys.text, sys.n}, STR("x\"... n=1\n")),
           "long: a longer one is cut and says so");
    log_info(&l, "e", LOG_WORD("s", ((struct str){x, LOG_VALUE_MAX})));
    tap_ok(sys.n == strlen("info e s=\n") + LOG_VALUE_MAX, "long: the longest word is bare");
    log_info(&l, "e", LOG_WORD("s", more));
    tap_ok(str_ends((struct str){sys.text, sys.n}, STR("x\"...\n")), "long: so is a word");
    log_info(&l, "e", LOG_STR("s", ((struct str){nul, sizeof(nul)})), LOG_U64("n", 1));
    tap_ok(str_ends((struct str){sys.text, sys.n}, STR("\\x00\"... n=1\n")) && sys.n < LOG_VALUE_MAX + 40,
           "long: escapes count as what they take, so none can crowd out the rest");

    log_info(&l, "e", LOG_STR("a", more), LOG_STR("b", more), LOG_STR("c", more), LOG_STR("d", more),
             LOG_U64("n", 1));
    struct str line = {sys.text, sys.n};
    tap_ok(sys.n <= LOG_LINE_MAX && str_ends(line, STR("... n=1 cut=true\n")) &&
               !memmem(line.p, line.n, " d=", 3),
           "long: a field that does not fit is left out whole, a shorter one behind it stays");
    atomic_store(&l.lost, UINT32_MAX);
    static const char name[] = "a-name-of-a-field-that-fills-the-line-up-to-the-tail";
    for (size_t n = 800; n <= 1100; n++) { // wherever the line ends, the tail has room
        struct str s = {x, n};
        log_info(&l, "e", LOG_STR("a", s), LOG_STR("b", s), LOG_STR("c", s), LOG_STR("d", s),
                 LOG_STR(name, s));
        if (sys.n > LOG_LINE_MAX || sys.text[sys.n - 1] != '\n')
            tap_ok(false, "long: %zu bytes", sys.n);
        atomic_store(&l.lost, UINT32_MAX);
    }
    tap_ok(str_ends((struct str){sys.text, sys.n}, STR(" cut=true lost=4294967295\n")),
           "long: the tail always fits");

    memset(x, 'e', sizeof(x) - 1);
    x[sizeof(x) - 1] = '\0';
    log_info(&l, x);
    tap_ok(sys.n < LOG_VALUE_MAX + 50 && sys.text[sys.n - 1] == '\n',
           "long: even an event's name has an end");
}

static void test_levels(void)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    tap_ok(log_level_parse(STR("error"), &level) && level == LOG_LEVEL_ERROR, "parse: error");
    tap_ok(log_level_parse(STR("warning"), &level) && level == LOG_LEVEL_WARNING, "parse: warning");
    tap_ok(log_level_parse(STR("info"), &level) && level == LOG_LEVEL_INFO, "parse: info");
    tap_ok(log_level_parse(STR("debug"), &level) && level == LOG_LEVEL_DEBUG, "parse: debug");
    tap_ok(!log_level_parse(STR("Info"), &level) && !log_level_parse(STR(""), &level) &&
               level == LOG_LEVEL_DEBUG,
           "parse: nothing else");
}

// For every byte, and each pair with a quote or a backslash: between the quotes is no bare quote, no control,
// and undoing the escapes gives the bytes again.
static bool reads_back(struct str in)
{
    const struct log l = {.level = LOG_LEVEL_INFO};
    struct log_field f = LOG_STR("s", in);
    char text[LOG_LINE_MAX], out[8];
    struct str got = {text, log_format(&l, LOG_LEVEL_INFO, 0, "x", &f, 1, text)};
    if (!utf8_is_valid(got) || !str_skip(&got, STR("info x s=\"")) || !str_ends(got, STR("\"")))
        return false;
    got.n--;
    size_t n = 0;
    for (size_t i = 0; i < got.n; i++) {
        char c = got.p[i];
        if ((unsigned char)c < 0x20 || c == 0x7f || c == '"')
            return false;
        if (c == '\\') {
            c = got.p[++i];
            if (c == 'x') {
                c = (char)(char_hex(got.p[i + 1]) * 16 + char_hex(got.p[i + 2]));
                i += 2;
            } else {
                c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
            }
        }
        out[n++] = c;
    }
    return str_eq(in, (struct str){out, n});
}

static void test_every_pair(void)
{
    bool ok = true;
    for (int i = 0; i < 0x1'0000; i++) {
        char in[2] = {(char)(i >> 8), (char)i};
        ok = ok && reads_back((struct str){in, 2});
    }
    tap_ok(ok, "quoting: every pair of bytes reads back, and stays between its quotes");
}

int main(void)
{
    test_fields();
    test_heads();
    test_lines();
    test_lost();
    test_long();
    test_levels();
    test_every_pair();
    return tap_done();
}
