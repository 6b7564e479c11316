#include "cli/commands.h"
#include "cmd/args.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "tap.h"

static int no_run(struct cli *cli, const struct args *a)
{
    (void)cli;
    return a->words_n > 0;
}

static const char *const colours[] = {"red", "green", NULL};
enum { OPT_FORCE, OPT_COLOUR, OPT_TAG, OPT_SIZE, OPT_FILE, OPT_DEPTH };
static const struct opt leaf_opts[] = {
    [OPT_FORCE] = {.name = "force", .letter = 'f', .type = OPT_FLAG, .help = "Force"},
    [OPT_COLOUR] = {.name = "colour",
                    .letter = 'c',
                    .type = OPT_ENUM,
                    .value = "NAME",
                    .values = colours,
                    .def = "red",
                    .env = "CLI_TEST_COLOUR",
                    .help = "Colour"},
    [OPT_TAG] =
        {.name = "tag", .letter = 't', .type = OPT_STRING, .value = "TEXT", .repeat = true, .help = "Tag"},
    [OPT_SIZE] = {.name = "size", .type = OPT_U32, .value = "N", .help = "Size"},
    [OPT_FILE] = {.name = "file", .type = OPT_PATH, .value = "FILE", .help = "File"},
    [OPT_DEPTH] = {.name = "depth", .letter = 'd', .type = OPT_COUNT, .repeat = true, .help = "Depth"},
};
static const struct arg leaf_args[] = {{.name = "FROM", .type = OPT_PATH},
                                       {.name = "TO", .type = OPT_STRING, .repeat = true}};
static const struct command leaf = {.name = "leaf",
                                    .alias = "lf",
                                    COMMAND_TABLE(args, leaf_args),
                                    COMMAND_TABLE(opts, leaf_opts),
                                    .run = no_run};

static const struct opt strict_opts[] = {
    {.name = "who", .type = OPT_PATH, .value = "PATH", .required = true}};
static const struct arg strict_args[] = {{.name = "KIND", .type = OPT_ENUM, .values = colours}};
static const struct command strict = {.name = "strict",
                                      .alias = "",
                                      COMMAND_TABLE(args, strict_args),
                                      COMMAND_TABLE(opts, strict_opts),
                                      .run = no_run};
static const struct command bare = {.name = "bare", .alias = "", .run = no_run};

static const struct arg run_args[] =
    {{.name = "NAME", .type = OPT_STRING, .optional = true},
     {.name = "WORD", .type = OPT_STRING, .repeat = true, .optional = true, .place = ARG_BEHIND_DASHES}};
static const struct opt run_opts[] = {{.name = "quiet", .type = OPT_FLAG, .repeat = true},
                                      {.name = "loud", .type = OPT_FLAG, .repeat = true},
                                      {.name = "secret", .type = OPT_FLAG, .hidden = true}};
static const struct command run_cmd = {.name = "run",
                                       .alias = "",
                                       COMMAND_TABLE(args, run_args),
                                       COMMAND_TABLE(opts, run_opts),
                                       .run = no_run};
static const struct arg exec_args[] = {
    {.name = "WORD", .type = OPT_STRING, .repeat = true, .place = ARG_REST}};
static const struct command exec_cmd = {.name = "exec",
                                        .alias = "",
                                        COMMAND_TABLE(args, exec_args),
                                        COMMAND_TABLE(opts, run_opts),
                                        .run = no_run};

static const struct command *const group_subs[] = {&leaf, &strict, &bare, &run_cmd, &exec_cmd};
static const struct command group = {.name = "policy", .alias = "pol", COMMAND_TABLE(subs, group_subs)};
static const struct command *const root_subs[] = {&group};
static bool unbuilt(char *path, const char *word) // as the real program has it
{
    return command_root()->unbuilt(path, word);
}
static const struct opt shared_opts[] = {{.name = "where",
                                          .letter = 'w',
                                          .type = OPT_ENUM,
                                          .value = "PLACE",
                                          .values = colours,
                                          .env = "CLI_TEST_WHERE"}};
static const struct command root = {.name = "openshell",
                                    .alias = "",
                                    COMMAND_TABLE(opts, shared_opts),
                                    COMMAND_TABLE(subs, root_subs),
                                    .unbuilt = unbuilt};

static enum args_result parse(const char *line, struct args *a, char *copy, size_t size)
{
    static char *argv[64];
    int argc = 0;
    (void)snprintf(copy, size, "%s", line);
    for (char *p = copy; *p && argc < 63;) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    argv[argc] = NULL;
    return args_parse(argc, argv, &root, a);
}

// What was understood, as one line.
static void describe(const struct args *a, enum args_result r, struct buf *out)
{
    static const char *const results[] = {"run", "help", "version", "unbuilt", "bad"};
    buf_addf(out, "%s", results[r]);
    if (r == ARGS_BAD) {
        buf_addf(out, " %s", a->error);
        if (a->tip[0])
            buf_addf(out, " | %s", a->tip);
        return;
    }
    if (r == ARGS_UNBUILT) {
        buf_addf(out, " %s", a->unbuilt);
        return;
    }
    char path[COMMAND_PATH_MAX];
    args_path(a, a->depth, path);
    buf_addf(out, " %s", path);
    for (size_t i = 0; i < a->given_n; i++)
        buf_addf(out, " --%s%s%s", a->given[i].opt->name, a->given[i].value ? "=" : "",
                 a->given[i].value ? a->given[i].value : "");
    for (size_t i = 0; i < a->words_n; i++)
        buf_addf(out, " %s", a->words[i]);
}

static const struct {
    const char *line, *want, *rule;
} rows[] = {
    {"openshell", "help openshell", "the bare program is its help"},
    {"openshell policy", "help openshell policy", "so is a bare group"},
    {"openshell pol lf a b", "run openshell policy leaf a b", "aliases stand for names"},
    {"openshell policy leaf a b c", "run openshell policy leaf a b c", "the last argument repeats"},
    {"openshell policy leaf --force a --tag x b", "run openshell policy leaf --force --tag=x a b",
     "options stand between arguments"},
    {"openshell policy leaf --tag=x --tag y=z a b", "run openshell policy leaf --tag=x --tag=y=z a b",
     "--opt=value and --opt value, repeated"},
    {"openshell policy leaf --tag= a b", "run openshell policy leaf --tag= a b", "an empty value after '='"},
    {"openshell policy leaf -fdd -tx -t y -c=green a b",
     "run openshell policy leaf --force --depth --depth --tag=x --tag=y --colour=green a b",
     "letters: clusters, attached values, values of their own, '='"},
    {"openshell policy leaf a -- --force -x", "run openshell policy leaf a --force -x", "-- ends options"},
    {"openshell policy leaf -- --", "bad the following required arguments were not provided:\n  <TO>...",
     "the second -- is an argument"},
    {"openshell policy leaf - b", "run openshell policy leaf - b", "a dash is an argument"},
    {"openshell policy leaf --file - a b", "run openshell policy leaf --file=- a b", "and a value"},
    {"openshell -v policy -v leaf -v a b", "run openshell policy leaf --verbose --verbose --verbose a b",
     "global options before, between and after"},
    {"openshell policy leaf --help --bogus", "help openshell policy leaf --help", "help ends the reading"},
    {"openshell -h policy", "help openshell --help", "help of the root before the group"},
    {"openshell policy leaf -V", "version openshell policy leaf --version", "the version everywhere"},
    {"openshell policy bare", "run openshell policy bare", "a command without arguments"},
    {"openshell policy leaf --size 4294967295 a b", "run openshell policy leaf --size=4294967295 a b",
     "the largest number"},
    {"openshell policy strict --who /x green", "run openshell policy strict --who=/x green",
     "an enum argument"},

    {"openshell policy leaf --forse a b",
     "bad unexpected argument '--forse' found | a similar argument exists: '--force'", "an unknown option"},
    {"openshell policy leaf --forc a b",
     "bad unexpected argument '--forc' found | a similar argument exists: '--force'", "no abbreviations"},
    {"openshell policy leaf --zzzzzz=3 a b", "bad unexpected argument '--zzzzzz' found",
     "its value is not shown, and nothing is near"},
    {"openshell policy leaf -fx a", "bad unexpected argument '-x' found", "an unknown letter in a cluster"},
    {"openshell --force policy leaf a b", "bad unexpected argument '--force' found",
     "a command's option before the command"},
    {"openshell policy leaf --force=1 a b",
     "bad unexpected value '1' for '--force' found; no more were expected", "a flag has no value"},
    {"openshell policy leaf --force -f a b", "bad the argument '--force' cannot be used multiple times",
     "a flag twice"},
    {"openshell policy leaf -c red --colour red a b",
     "bad the argument '--colour <NAME>' cannot be used multiple times", "a value twice"},
    {"openshell policy leaf --tag", "bad a value is required for '--tag <TEXT>' but none was supplied",
     "a value at the end is missing"},
    {"openshell policy leaf --tag -- a", "bad a value is required for '--tag <TEXT>' but none was supplied",
     "what begins with a dash is no value"},
    {"openshell policy leaf -t", "bad a value is required for '--tag <TEXT>' but none was supplied",
     "of a letter too"},
    {"openshell policy leaf --file= a", "bad a value is required for '--file <FILE>' but none was supplied",
     "an empty path"},
    {"openshell policy leaf -c blue a b",
     "bad invalid value 'blue' for '--colour <NAME>'\n  [possible values: red, green]",
     "not one of the values"},
    {"openshell policy leaf -c gren a b",
     "bad invalid value 'gren' for '--colour <NAME>'\n  [possible values: red, green] | a similar value "
     "exists: "
     "'green'",
     "near one of them"},
    {"openshell policy leaf --size 4294967296 a b",
     "bad invalid value '4294967296' for '--size <N>': a number from 0 to 4294967295 is needed",
     "one past the largest"},
    {"openshell policy leaf --size=-1 a b",
     "bad invalid value '-1' for '--size <N>': a number from 0 to 4294967295 is needed", "no sign"},
    {"openshell policy leaf", "bad the following required arguments were not provided:\n  <FROM>\n  <TO>...",
     "both arguments are missing"},
    {"openshell policy strict",
     "bad the following required arguments were not provided:\n  --who <PATH>\n  <KIND>",
     "a required option too"},
    {"openshell policy strict --who x blue",
     "bad invalid value 'blue' for '<KIND>'\n  [possible values: red, green]", "an argument has values too"},
    {"openshell policy strict --who x red more", "bad unexpected argument 'more' found",
     "one argument too many"},
    {"openshell policy bare more", "bad unexpected argument 'more' found", "an argument where there is none"},
    {"openshell polcy", "bad unrecognized subcommand 'polcy' | a similar subcommand exists: 'policy'",
     "an unknown command"},
    {"openshell policy laef", "bad unrecognized subcommand 'laef' | a similar subcommand exists: 'leaf'",
     "an unknown subcommand"},
    {"openshell x\033[31my", "bad unrecognized subcommand 'x?[31my'",
     "an escape does not colour the terminal"},
    {"openshell policy leaf --x\ny", "bad unexpected argument '--x\ny' found", "a line break stays one"},

    {"openshell sandbox upload x", "unbuilt sandbox upload", "a command that is not built"},
    {"openshell sb ssh-config", "unbuilt sandbox ssh-config", "by its alias"},
    {"openshell workspace member add", "unbuilt workspace member add", "of three words"},
    {"openshell sandbox --name x create", "unbuilt sandbox", "its options are not known"},
    {"openshell sandbox --help upload", "unbuilt sandbox upload", "nor its help"},
    {"openshell gw login x", "unbuilt gateway login", "in a group that is built"},
    {"openshell ws member add", "unbuilt workspace member add", "an alias in front"},
    {"openshell term", "unbuilt term", "of one word"},
    {"openshell sandbox bogus", "unbuilt sandbox", "the part that exists"},
    {"openshell create", "bad unrecognized subcommand 'create'", "not without its group"},
    {"openshell workspace", "unbuilt workspace", "a name that is also a part of another path"},
    {"openshell policy workspace", "bad unrecognized subcommand 'workspace'",
     "a path is not any two of its words"},
    {"openshell policy run", "run openshell policy run", "arguments that need not be there"},
    {"openshell policy run a", "run openshell policy run a", "and one that is"},
    {"openshell policy run a b", "bad unexpected argument 'b' found", "words that stand behind -- only"},
    {"openshell policy run a -- b --quiet", "run openshell policy run a b --quiet",
     "behind it, all are words"},
    {"openshell policy exec a --quiet -x", "run openshell policy exec a --quiet -x",
     "words that take the rest of the line"},
    {"openshell policy exec --quiet -- a", "run openshell policy exec --quiet a", "options in front of them"},
    {"openshell policy exec", "bad the following required arguments were not provided:\n  <WORD>...",
     "one is needed"},
    {"openshell -w red policy bare", "run openshell policy bare --where=red",
     "an option of the root in front"},
    {"openshell policy bare --where green", "run openshell policy bare --where=green", "and behind"},
    {"openshell policy bare --where blue",
     "bad invalid value 'blue' for '--where <PLACE>'\n  [possible values: red, green]",
     "is checked as others are"},
    {"openshell policy run --secret", "run openshell policy run --secret", "a hidden option is understood"},
    {"openshell policy run --secre", "bad unexpected argument '--secre' found", "and not suggested"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char copy[300];
        struct args a;
        struct buf got;
        buf_init(&got, 4 * KIB);
        enum args_result r = parse(rows[i].line, &a, copy, sizeof(copy));
        describe(&a, r, &got);
        if (!tap_ok(got.p && strcmp(got.p, rows[i].want) == 0, "%s", rows[i].rule))
            tap_note("want %s, got %s", rows[i].want, got.p);
        buf_done(&got);
        args_done(&a);
    }
}

static void test_values(void)
{
    char copy[300];
    struct args a;
    const struct opt *colour = &leaf_opts[OPT_COLOUR];
    (void)unsetenv("CLI_TEST_COLOUR");
    tap_ok(parse("openshell policy leaf a b", &a, copy, sizeof(copy)) == ARGS_RUN &&
               args_is(&a, colour, "red"),
           "the default where nothing is given");
    tap_ok(!args_value(&a, &leaf_opts[OPT_TAG]), "no value without a default");
    args_done(&a);
    (void)setenv("CLI_TEST_COLOUR", "green", 1);
    tap_ok(parse("openshell policy leaf a b", &a, copy, sizeof(copy)) == ARGS_RUN &&
               args_is(&a, colour, "green"),
           "the variable before the default");
    args_done(&a);
    tap_ok(parse("openshell policy leaf -c red a b", &a, copy, sizeof(copy)) == ARGS_RUN &&
               args_is(&a, colour, "red"),
           "the option before the variable");
    args_done(&a);
    (void)setenv("CLI_TEST_COLOUR", "", 1);
    tap_ok(parse("openshell policy leaf a b", &a, copy, sizeof(copy)) == ARGS_RUN &&
               args_is(&a, colour, "red"),
           "an empty variable is none");
    args_done(&a);
    (void)setenv("CLI_TEST_COLOUR", "blue", 1);
    tap_ok(parse("openshell policy leaf a b", &a, copy, sizeof(copy)) == ARGS_BAD &&
               strstr(a.error, "invalid value 'blue'"),
           "a variable is checked like an option");
    args_done(&a);
    (void)unsetenv("CLI_TEST_COLOUR");
    const struct opt *tag = &leaf_opts[OPT_TAG];
    tap_ok(parse("openshell policy leaf -t 1 -t 2 a b", &a, copy, sizeof(copy)) == ARGS_RUN &&
               args_count(&a, tag) == 2 && strcmp(args_nth(&a, tag, 1), "2") == 0 && !args_nth(&a, tag, 2),
           "the values of a repeated option in order");
    args_done(&a);
}

static void test_no_memory(void)
{
    for (size_t n = 1;; n++) {
        char copy[300];
        struct args a;
        alloc_fail_at(n);
        enum args_result r = parse("openshell policy leaf -t 1 a b", &a, copy, sizeof(copy));
        alloc_fail_off();
        bool done = alloc_fail_count() < n;
        tap_ok(done ? r == ARGS_RUN : r == ARGS_BAD, "allocation %zu fails", n);
        args_done(&a);
        if (done)
            break;
    }
}

// Every row of the real tables is usable: what the parser, help and the manual rely on.
static void test_tree(const struct command *cmd)
{
    bool ok = cmd->name && cmd->alias && cmd->about && (cmd->run != NULL) == (cmd->subs_n == 0);
    ok = ok && !str_ends(str_of(cmd->about), STR("."));
    for (size_t i = 0; i < cmd->opts_n; i++) {
        const struct opt *o = &cmd->opts[i];
        ok = ok && o->help && opt_takes_value(o) == (o->value != NULL) &&
             (o->type == OPT_ENUM) == (o->values != NULL);
        ok = ok && !str_ends(str_of(o->help), STR("."));
        ok = ok && args_find_opt(command_root(), cmd, str_of(o->name)) == o &&
             (!o->letter || args_find_letter(command_root(), cmd, o->letter) == o);
        for (size_t g = 0; g < GLOBALS; g++)
            ok = ok && strcmp(o->name, command_globals()[g].name) != 0 &&
                 o->letter != command_globals()[g].letter;
    }
    for (size_t i = 0; i < cmd->args_n; i++)
        ok = ok && cmd->args[i].help && (!cmd->args[i].repeat || i + 1 == cmd->args_n);
    tap_ok(ok, "the table of %s is consistent", cmd->name);
    for (size_t i = 0; i < cmd->subs_n; i++) {
        char path[COMMAND_PATH_MAX] = "";
        if (cmd != command_root() && cmd->name)
            (void)command_root()->unbuilt(path, cmd->name);
        tap_ok(cmd->subs[i]->subs_n > 0 || !command_root()->unbuilt(path, cmd->subs[i]->name),
               "%s is not said to be missing", cmd->subs[i]->name);
        test_tree(cmd->subs[i]);
    }
}

int main(void)
{
    test_rows();
    test_values();
    test_no_memory();
    char path[COMMAND_PATH_MAX] = "";
    tap_ok(!command_root()->unbuilt(path, "sandbox provider") && !path[0], "two words are not one");
    tap_ok(!command_root()->unbuilt(path, ""), "no word is no command");
    test_tree(command_root());
    return tap_done();
}
