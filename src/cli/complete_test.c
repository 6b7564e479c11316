#include "cli/commands.h"
#include "cmd/complete.h"

#include "tap.h"

// The words stand between blanks, '_' is an empty one; the last is completed.
static const struct {
    enum shell shell;
    const char *line, *want, *rule;
} rows[] = {
    {SHELL_BASH, "openshell _",
     "sandbox\nlogs\npolicy\nsettings\nprovider\ninference\ngateway\nstatus\nwhoami\ndoctor\ncompletions\n",
     "commands"},
    {SHELL_BASH, "openshell po", "policy\n", "that begin with what was typed"},
    {SHELL_BASH, "openshell wor", "", "none that is not built"},
    {SHELL_BASH, "openshell pol _", "set\nupdate\nget\nlist\ndelete\ncheck\nexplain\ntest\nfmt\ndiff\n",
     "behind an alias"},
    {SHELL_FISH, "openshell comp", "completions\tPrint a script that completes commands in a shell\n",
     "with help where the shell shows it"},
    {SHELL_BASH, "openshell policy check --st", "--strict\n", "options"},
    {SHELL_BASH, "openshell policy check -",
     "--output\n--strict\n--quiet\n--gateway\n--gateway-endpoint\n--gateway-insecure\n--workspace\n--"
     "verbose\n--help\n--version\n",
     "all of them behind one dash"},
    {SHELL_BASH, "openshell policy check --strict --s", "", "not one that is there and does not repeat"},
    {SHELL_BASH, "openshell policy explain --mcp x --mc", "--mcp\n", "one that repeats"},
    {SHELL_BASH, "openshell policy check --output=json --out", "", "one that is there with '='"},
    {SHELL_BASH, "openshell policy check --output _", "table\njson\n", "values"},
    {SHELL_BASH, "openshell policy check -o j", "json\n", "of a letter"},
    {SHELL_BASH, "openshell policy check --output = j", "json\n", "as bash splits --output=j"},
    {SHELL_BASH, "openshell policy check --output =", "table\njson\n", "as bash splits --output="},
    {SHELL_ZSH, "openshell policy check --output=j", "--output=json\n", "as zsh does not"},
    {SHELL_ZSH, "openshell policy check --strict=", "", "a flag has no values"},
    {SHELL_ZSH, "openshell policy check --nope=", "", "nor has what is unknown"},
    {SHELL_BASH, "openshell policy check _", ":files\n", "files as arguments"},
    {SHELL_BASH, "openshell policy check a.yaml b", ":files\n", "again where the argument repeats"},
    {SHELL_BASH, "openshell policy diff a b _", "", "not where there are enough"},
    {SHELL_BASH, "openshell policy test --policy _", ":files\n", "files as values"},
    {SHELL_ZSH, "openshell policy test --policy=x", ":files\n", "behind '='"},
    {SHELL_BASH, "openshell policy explain a.yaml _", "", "nothing for free text"},
    {SHELL_BASH, "openshell policy explain --mcp _", "", "nor for its options"},
    {SHELL_BASH, "openshell policy check -- --st", ":files\n", "no options behind --"},
    {SHELL_BASH, "openshell completions _", "bash\nfish\nzsh\npowershell\n", "values of an argument"},
    {SHELL_BASH, "openshell completions bash _", "", "one argument only"},
    {SHELL_BASH, "openshell nope _",
     "sandbox\nlogs\npolicy\nsettings\nprovider\ninference\ngateway\nstatus\nwhoami\ndoctor\ncompletions\n",
     "an unknown word does not end it"},
};

static void run(const char *line, enum shell shell, struct buf *out)
{
    char copy[200], *words[20];
    size_t n = 0;
    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (char *p = copy; *p && n < 20;) {
        words[n++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    if (n == 0)
        return;
    if (strcmp(words[n - 1], "_") == 0)
        words[n - 1][0] = '\0';
    complete_words(command_root(), words, n, n - 1, shell, out);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        buf_init(&out, 64 * KIB);
        run(rows[i].line, rows[i].shell, &out);
        if (!tap_ok(str_eq(buf_str(&out), str_of(rows[i].want)), "%s", rows[i].rule))
            tap_note("got %s", out.p);
        buf_done(&out);
    }
    struct buf out;
    buf_init(&out, 64 * KIB);
    char program[] = "openshell";
    char *words[] = {program};
    complete_words(command_root(), words, 1, 9, SHELL_BASH, &out);
    tap_ok(str_eq(buf_str(&out), STR("sandbox\nlogs\npolicy\nsettings\nprovider\ninference\ngateway\nstatus\n"
                                     "whoami\ndoctor\ncompletions\n")),
           "a place behind the last word is an empty one");
    buf_clear(&out);
    complete_words(command_root(), words, 0, 0, SHELL_BASH, &out);
    tap_ok(out.n > 0, "no words at all");
    buf_done(&out);
    enum shell shell = SHELLS;
    tap_ok(!complete_shell("tcsh", &shell) && shell == SHELLS, "an unknown shell");
    tap_ok(complete_shell("powershell", &shell) && shell == SHELL_POWERSHELL, "a known one");
    return tap_done();
}
