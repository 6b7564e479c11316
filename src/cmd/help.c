#include "cmd/help.h"

enum {
    COLUMN_MAX = 30, // where descriptions begin at the latest
    PAGE_WIDTH = 100,
    HELP_LABEL_MAX = ARGS_NAME_MAX + 8,
};

void help_usage(const struct command *const *path, size_t depth, struct buf *out)
{
    const struct command *cmd = path[depth - 1];
    for (size_t i = 0; i < depth; i++)
        buf_addf(out, "%s%s", i > 0 ? " " : "", path[i]->name);
    if (cmd->subs_n > 0 && !cmd->run) {
        buf_addf(out, "%s", depth == 1 ? " <command> <subcommand> [flags]" : " <command> [flags]");
        return;
    }
    char name[ARGS_NAME_MAX];
    buf_addf(out, cmd->subs_n > 0 ? " [OPTIONS] [<command>]" : " [OPTIONS]");
    for (size_t i = 0; i < cmd->opts_n; i++) {
        args_opt_name(&cmd->opts[i], name);
        if (cmd->opts[i].required)
            buf_addf(out, " %s", name);
    }
    for (size_t i = 0; i < cmd->args_n; i++) {
        args_arg_name(&cmd->args[i], name);
        buf_addf(out, " %s", name);
    }
}

static size_t page_width(const struct term *t)
{
    return t->width < PAGE_WIDTH ? t->width : PAGE_WIDTH;
}

static void heading(struct buf *out, const struct term *t, const char *text)
{
    buf_addc(out, '\n');
    term_put(out, t, STYLE_BOLD, "%s", text);
    buf_addc(out, '\n');
}

// "  label   text", the text wrapped in its column.
static void row(struct buf *out, const struct term *t, const char *label, struct str text, size_t column)
{
    size_t n = term_columns(str_of(label)) + 2;
    buf_addf(out, "  %s", label);
    if (n + 2 > column) {
        buf_addc(out, '\n');
        n = 0;
    }
    buf_pad(out, ' ', column - n);
    term_wrap(out, text, column, column, "", page_width(t));
    buf_addc(out, '\n');
}

static void paragraphs(struct buf *out, const struct term *t, const char *text)
{
    struct str rest = str_of(text), line;
    while (rest.n > 0 && str_split(&rest, '\n', &line)) {
        size_t indent = 0;
        while (indent < line.n && line.p[indent] == ' ')
            indent++;
        buf_pad(out, ' ', indent);
        term_wrap(out, str_from(line, indent), indent, indent, "", page_width(t));
        buf_addc(out, '\n');
    }
}

// ---- groups
// -------------------------------------------------------------------------------------------------

static void commands(struct buf *out, const struct term *t, const struct command *cmd)
{
    size_t column = 0;
    for (size_t i = 0; i < cmd->subs_n; i++)
        column = strlen(cmd->subs[i]->name) > column ? strlen(cmd->subs[i]->name) : column;
    column += 5; // two in front, a colon, two behind
    const char *section = "";
    for (size_t i = 0; i < cmd->subs_n; i++) {
        const struct command *sub = cmd->subs[i];
        const char *own = sub->section ? sub->section : "COMMANDS";
        if (strcmp(own, section) != 0)
            heading(out, t, section = own);
        char label[HELP_LABEL_MAX];
        (void)snprintf(label, sizeof(label), "%s:", sub->name);
        row(out, t, label, str_of(sub->about), column);
    }
}

// ---- options
// ------------------------------------------------------------------------------------------------

void help_opt_text(const struct opt *opt, struct buf *out)
{
    buf_add(out, str_of(opt->help));
    for (size_t i = 0; opt->type == OPT_ENUM && opt->values[i]; i++)
        buf_addf(out, "%s%s", i > 0 ? ", " : " [possible values: ", opt->values[i]);
    if (opt->type == OPT_ENUM)
        buf_addc(out, ']');
    if (opt->def)
        buf_addf(out, " [default: %s]", opt->def);
    if (opt->env)
        buf_addf(out, " [env: %s]", opt->env);
}

static void opt_label(const struct opt *opt, char label[static HELP_LABEL_MAX])
{
    char name[ARGS_NAME_MAX], letter[] = "-x, ";
    args_opt_name(opt, name);
    letter[1] = opt->letter;
    (void)snprintf(label, HELP_LABEL_MAX, "%s%s%s", opt->letter ? letter : "    ", name,
                   opt->repeat && opt_takes_value(opt) ? "..." : "");
}

static void options(struct buf *out, const struct term *t, const struct opt *opts, size_t n, size_t column)
{
    for (size_t i = 0; i < n; i++) {
        char label[HELP_LABEL_MAX];
        if (opts[i].hidden)
            continue;
        opt_label(&opts[i], label);
        struct buf text;
        buf_init(&text, 4 * KIB);
        help_opt_text(&opts[i], &text);
        row(out, t, label, buf_str(&text), column);
        buf_done(&text);
    }
}

// At least `column`, and as much more as labels of these need.
static size_t opts_column(const struct opt *opts, size_t n, size_t column)
{
    for (size_t i = 0; i < n; i++) {
        char label[HELP_LABEL_MAX];
        opt_label(&opts[i], label);
        size_t wide = strlen(label) + 4;
        if (!opts[i].hidden && wide <= COLUMN_MAX && wide > column)
            column = wide;
    }
    return column;
}

// ---- pages
// --------------------------------------------------------------------------------------------------

static void details(struct buf *out, const struct term *t, const struct command *root,
                    const struct command *cmd)
{
    size_t root_n = cmd == root ? 0 : root->opts_n;
    size_t column = opts_column(command_globals(), GLOBALS, opts_column(cmd->opts, cmd->opts_n, 0));
    column = opts_column(root->opts, root_n, column);
    for (size_t i = 0; i < cmd->args_n; i++) {
        if (i == 0)
            heading(out, t, "ARGUMENTS");
        char label[ARGS_NAME_MAX];
        args_arg_name(&cmd->args[i], label);
        row(out, t, label, str_of(cmd->args[i].help), column);
    }
    if (cmd->opts_n > 0) {
        heading(out, t, cmd == root && cmd->subs_n > 0 ? "GATEWAY FLAGS" : "FLAGS");
        options(out, t, cmd->opts, cmd->opts_n, column);
    }
    if (root_n > 0) {
        heading(out, t, "GATEWAY FLAGS");
        options(out, t, root->opts, root_n, column);
    }
    heading(out, t, "GLOBAL FLAGS");
    options(out, t, command_globals(), GLOBALS, column);
    for (size_t i = 0; i < cmd->exits_n; i++) {
        if (i == 0)
            heading(out, t, "EXIT STATUS");
        char label[16];
        (void)snprintf(label, sizeof(label), "%d", cmd->exits[i].status);
        row(out, t, label, str_of(cmd->exits[i].help), 5);
    }
}

void help_page(const struct command *const *path, size_t depth, const struct term *t, struct buf *out)
{
    const struct command *cmd = path[depth - 1];
    buf_addf(out, "%s\n", cmd->about);
    if (cmd->text) {
        buf_addc(out, '\n');
        paragraphs(out, t, cmd->text);
    }
    heading(out, t, "USAGE");
    buf_addf(out, "  ");
    help_usage(path, depth, out);
    buf_addc(out, '\n');
    commands(out, t, cmd);
    details(out, t, path[0], cmd);
    if (cmd->alias[0]) {
        heading(out, t, "ALIAS");
        buf_addf(out, "  %s\n", cmd->alias);
    }
    for (size_t i = 0; i < cmd->examples_n; i++) {
        if (i == 0)
            heading(out, t, "EXAMPLES");
        term_put(out, t, STYLE_DIM, "  # %s", cmd->examples[i].what);
        buf_addf(out, "\n  $ %s\n", cmd->examples[i].line);
    }
    if (cmd->subs_n > 0) {
        heading(out, t, "LEARN MORE");
        buf_addf(out, "  Use `");
        for (size_t i = 0; i < depth; i++)
            buf_addf(out, "%s ", path[i]->name);
        buf_addf(out, "<command> --help` for more about a command.\n");
    }
}
