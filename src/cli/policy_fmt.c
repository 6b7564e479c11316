#include "cmd/input.h"
#include "cmd/policy_file.h"
#include "policy/print.h"

enum {
    PRINTED_MAX = 16 * MIB, // aliases may expand a file of 1 MiB
    CANDIDATES_MAX = 200,   // places where a comment may begin; ours: more are taken for one
};

enum { OPT_CHECK, OPT_WRITE, OPT_DROP_COMMENTS };
static const struct opt fmt_opts[] = {
    [OPT_CHECK] =
        {.name = "check",
         .type = OPT_FLAG,
         .help = "Change nothing: name the files that are not formatted, and exit with 1 if there are any"},
    [OPT_WRITE] = {.name = "write",
                   .letter = 'w',
                   .type = OPT_FLAG,
                   .help = "Replace each file by its formatted text"},
    [OPT_DROP_COMMENTS] = {.name = "drop-comments",
                           .type = OPT_FLAG,
                           .help = "With --write: also where comments would be lost"},
};
static const struct arg fmt_args[] = {
    {.name = "FILE", .type = OPT_PATH, .repeat = true, .help = "Policy file, or - for standard input"},
};
static const struct example fmt_examples[] = {
    {"See the formatted text", "openshell policy fmt policy.yaml"},
    {"Format in place", "openshell policy fmt --write policies/*.yaml"},
    {"Ask in a commit hook", "openshell policy fmt --check policies/*.yaml"},
};
static const struct exit_row fmt_exits[] = {
    {0, "Done; with --check: every file is formatted"},
    {1, "A file could not be read, parsed or written; with --check also: one is not formatted"},
    {2, "The command line is wrong"},
};

// Whether `text` is a policy that prints as `want`.
static bool prints_as(struct str text, const struct buf *want)
{
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, POLICY_ARENA_MAX);
    struct diags d;
    diags_init(&d, &arena);
    struct policy *p = NULL;
    struct err ignored;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, PRINTED_MAX);
    if (policy_parse(text, &arena, &p, &d, &ignored) != ERR_OK)
        return false;
    policy_print_yaml(p, &out);
    return !out.full && str_eq(buf_str(&out), buf_str(want));
}

// Whether the text has a comment. The YAML reader drops them without a trace, and to find a '#' outside of
// scalars takes a second YAML reader. So the first one is asked: a '#' at a place where a comment may begin
// (YAML 1.2 section 6.6) begins one if the policy stays the same without the rest of that line. Whatever
// cannot be settled counts as a comment: refusing to write loses nothing.
static bool has_comment(struct str text, const struct buf *formatted, size_t *ret_line)
{
    CLEANUP(base_freep) char *copy = malloc(text.n + 1); // never 0
    size_t line = 1, asked = 0;
    for (size_t i = 0; i < text.n; i++) {
        line += text.p[i] == '\n';
        if (text.p[i] != '#' || (i > 0 && !strchr(" \t\n\r", text.p[i - 1])))
            continue;
        *ret_line = line;
        if (!copy || ++asked > CANDIDATES_MAX)
            return true;
        size_t end = i;
        while (end < text.n && text.p[end] != '\n')
            end++;
        memcpy(copy, text.p, i);
        memcpy(copy + i, text.p + end, text.n - end);
        if (prints_as((struct str){copy, text.n - (end - i)}, formatted))
            return true;
    }
    return false;
}

static int write_file(struct cli *cli, const char *path, const struct policy_file *f,
                      const struct buf *formatted, bool drop_comments)
{
    size_t line = 0;
    struct err err = {};
    char cause[100];
    if (!drop_comments && has_comment(buf_str(&f->text), formatted, &line)) {
        (void)snprintf(cause, sizeof(cause), "line %zu has a comment; --drop-comments gives up all of them",
                       line);
        return report(cli, cause, "%s is left as it is", path);
    }
    if (input_replace(path, buf_str(formatted), &err) != ERR_OK)
        return report(cli, err.msg, "cannot write %s", path);
    return 0;
}

static int fmt_file(struct cli *cli, const struct args *a, size_t i)
{
    const char *path = a->words[i];
    CLEANUP(policy_file_done) struct policy_file f;
    policy_file_init(&f);
    CLEANUP(buf_done) struct buf formatted;
    buf_init(&formatted, PRINTED_MAX);
    struct err err = {};
    enum err_code r = policy_file_parse(path, &f, &err);
    if (r != ERR_OK)
        return policy_file_report(cli, path, &f, r, &err);
    policy_print_yaml(f.policy, &formatted);
    if (buf_check(&formatted, "formatted text", &err) != ERR_OK)
        return report(cli, err.msg, "cannot format %s", input_name(path));

    bool same = str_eq(buf_str(&f.text), buf_str(&formatted));
    log_info(&cli->log, "policy.fmt", LOG_STR("file", str_of(path)), LOG_BOOL("same", same));
    if (args_count(a, &fmt_opts[OPT_CHECK]) > 0) {
        if (!same)
            buf_addf(&cli->out, "%s\n", input_name(path));
        return same ? 0 : EXIT_FAILED;
    }
    if (args_count(a, &fmt_opts[OPT_WRITE]) > 0)
        return same ? 0
                    : write_file(cli, path, &f, &formatted, args_count(a, &fmt_opts[OPT_DROP_COMMENTS]) > 0);
    if (i > 0)
        buf_addf(&cli->out, "---\n");
    buf_add(&cli->out, buf_str(&formatted));
    return 0;
}

static int fmt_run(struct cli *cli, const struct args *a)
{
    bool write = args_count(a, &fmt_opts[OPT_WRITE]) > 0;
    if (write && args_count(a, &fmt_opts[OPT_CHECK]) > 0)
        return report_usage(cli, a, NULL, "the argument '--check' cannot be used with '--write'");
    if (!write && args_count(a, &fmt_opts[OPT_DROP_COMMENTS]) > 0)
        return report_usage(cli, a, NULL, "the argument '--drop-comments' needs '--write'");
    for (size_t i = 0; i < a->words_n; i++)
        if (write && strcmp(a->words[i], "-") == 0)
            return report_usage(cli, a, NULL, "standard input cannot be replaced: leave out '--write'");
    int status = 0;
    for (size_t i = 0; i < a->words_n; i++) {
        int one = fmt_file(cli, a, i);
        status = one > status ? one : status;
        cli_flush(cli);
    }
    return status;
}

const struct command policy_fmt_command = {
    .name = "fmt",
    .alias = "",
    .about = "Print policy files in their canonical form",
    .text = "The canonical form has keys in a fixed order, block style, and no values that are the default. "
            "It means "
            "the same. Comments are not kept, so --write refuses a file that has some unless --drop-comments "
            "is given. "
            "A file needs the right shape for this; whether it is valid is for `openshell policy check` to "
            "say. Several "
            "files are printed as one YAML stream.",
    COMMAND_TABLE(args, fmt_args),
    COMMAND_TABLE(opts, fmt_opts),
    COMMAND_TABLE(examples, fmt_examples),
    COMMAND_TABLE(exits, fmt_exits),
    .run = fmt_run,
};
