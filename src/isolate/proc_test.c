#include "isolate/proc.h"

#include "tap.h"

static void test_stat(void)
{
    static const struct {
        const char *rule, *stat;
        unsigned field;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"the parent", "7 (sh) S 4 7 7 0", 4, true, 4},
        {"a name may hold parentheses and numbers", "7 (a) S 1 (b) R 9 7", 4, true, 9},
        {"a name may hold a newline", "7 (a\n) S 5 7", 4, true, 5},
        {"a line that ends before the field", "7 (sh) S 4", 5, false, 0},
        {"a field that is no number", "7 (sh) S 4 -1", 5, false, 0},
        {"no name", "7 sh S 4", 4, false, 0},
        {"nothing", "", 4, false, 0},
        {"nothing behind the name", "7 (sh)", 4, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t got = 0;
        bool ok = proc_stat_in(str_of(rows[i].stat), rows[i].field, &got);
        tap_ok(ok == rows[i].ok && got == rows[i].want, "stat: %s", rows[i].rule);
    }
    uint32_t pid = 0;
    tap_ok(proc_is_pid("123", &pid) && pid == 123 && !proc_is_pid("12x", &pid) &&
               !proc_is_pid("self", &pid) && !proc_is_pid("2147483648", &pid),
           "a process's folder by its name");
}

static void test_cmdline(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct identity id = {.exe = STR("/usr/bin/python3")};
    tap_ok(proc_cmdline_in(STR("python3\0/tmp/x\0-v\0/usr/bin/python3\0\0/tmp/x\0/tmp/y"), &a, &id) &&
               id.cmdline_n == 2 && str_eq(id.cmdline[0], STR("/tmp/x")) &&
               str_eq(id.cmdline[1], STR("/tmp/y")),
           "absolute paths, each once, and not the executable's");
    char many[4 * (IDENTITY_CMDLINE_MAX + 1)];
    for (size_t i = 0; i <= IDENTITY_CMDLINE_MAX; i++)
        memcpy(many + 4 * i, ((char[]){'/', (char)('!' + i % 90), (char)('!' + i / 90), '\0'}), 4);
    id = (struct identity){};
    tap_ok(proc_cmdline_in((struct str){many, sizeof(many)}, &a, &id) && id.cmdline_n == IDENTITY_CMDLINE_MAX,
           "not more than the limit");
    CLEANUP(arena_done) struct arena none;
    arena_init(&none, 1);
    id = (struct identity){};
    tap_ok(!proc_cmdline_in(STR("/a"), &none, &id), "no room");
}

static void test_same(void)
{
    const struct identity a = {.exe = STR("/a"), .hash = "1", .ancestors = {STR("/b")}, .ancestors_n = 1};
    struct identity b = a;
    tap_ok(proc_same(&a, &b), "the same label, whatever the pid");
    b.ancestors_n = 0;
    tap_ok(!proc_same(&a, &b), "one ancestor less");
    b = a;
    b.hash[0] = '2';
    tap_ok(!proc_same(&a, &b), "another content");
    b = a;
    b.cmdline[b.cmdline_n++] = STR("/c");
    tap_ok(!proc_same(&a, &b), "another argument");
    b = a;
    b.exe = STR("/z");
    tap_ok(!proc_same(&a, &b), "another executable");
}

int main(void)
{
    test_stat();
    test_cmdline();
    test_same();
    return tap_done();
}
