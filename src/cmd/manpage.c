#include "cmd/manpage.h"

#include "cmd/args.h"

#define MANPAGE_DATE "November 23, 2026" // of the last change to what the pages say

// Text for roff: nothing in it is a request, an escape or a typographic quote.
static void text(struct buf *out, struct str s, bool in_macro)
{
    if (s.n > 0 && (s.p[0] == '.' || s.p[0] == '\'') && !in_macro)
        buf_addf(out, "\\&");
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '\\':
            buf_addf(out, "\\e");
            break;
        case '"':
            buf_addf(out, "\\(dq");
            break;
        case '`':
            buf_addf(out, "\\(ga");
            break;
        case '\'':
            buf_addf(out, "\\(aq");
            break;
        case '~':
            buf_addf(out, "\\(ti");
            break;
        case '^':
            buf_addf(out, "\\(ha");
            break;
        case '-':
            buf_addf(out, "\\-");
            break;
        default:
            buf_addc(out, s.p[i]);
        }
    }
}

static void quoted(struct buf *out, const char *s) // one argument of a macro
{
    buf_addc(out, '"');
    text(out, str_of(s), true);
    buf_addc(out, '"');
}

enum { SOURCE_LINE_MAX = 66 }; // of the source; roff fills lines itself

// Filled lines, with each sentence on lines of its own, so that roff spaces them.
static void sentences(struct buf *out, struct str s)
{
    size_t column = 0;
    struct str word;
    while (s.n > 0 && str_split(&s, ' ', &word)) {
        if (column > 0 && column + 1 + word.n > SOURCE_LINE_MAX) {
            buf_addc(out, '\n');
            column = 0;
        }
        if (column > 0)
            buf_addc(out, ' ');
        text(out, word, column > 0);
        column += word.n + 1;
        bool ends = str_ends(word, STR(".")) && s.n > 0 && s.p[0] >= 'A' && s.p[0] <= 'Z';
        if (ends) {
            buf_addc(out, '\n');
            column = 0;
        }
    }
    if (column > 0)
        buf_addc(out, '\n');
}

// What a table keeps without its full stop.
static void full_sentences(struct buf *out, const char *s, const char *end)
{
    struct buf all;
    buf_init(&all, 4 * KIB);
    buf_addf(&all, "%s%s", s, end);
    sentences(out, buf_str(&all));
    out->full = out->full || all.full;
    buf_done(&all);
}

// Paragraphs as in struct command; indented lines are literal.
static void paragraphs(struct buf *out, const char *all)
{
    struct str rest = str_of(all), line;
    bool literal = false, gap = false;
    while (rest.n > 0 && str_split(&rest, '\n', &line)) {
        if (line.n == 0) {
            gap = true;
            continue;
        }
        bool indented = line.p[0] == ' ';
        if (indented && !literal)
            buf_addf(out, ".Bd -literal -offset indent\n");
        if (!indented && literal)
            buf_addf(out, ".Ed\n");
        if (gap && !indented)
            buf_addf(out, ".Pp\n");
        literal = indented;
        gap = false;
        if (literal) {
            text(out, str_from(line, 2), false);
            buf_addc(out, '\n');
        } else {
            sentences(out, line);
        }
    }
    if (literal)
        buf_addf(out, ".Ed\n");
}

// ---- sections
// -----------------------------------------------------------------------------------------------

void manpage_name(const struct command *const *path, size_t depth, struct buf *out)
{
    for (size_t i = 0; i < depth; i++)
        buf_addf(out, "%s%s", i > 0 ? "-" : "", path[i]->name);
}

static void synopsis(const struct command *const *path, size_t depth, struct buf *out)
{
    const struct command *cmd = path[depth - 1];
    buf_addf(out, ".Sh SYNOPSIS\n.Nm %s", path[0]->name);
    for (size_t i = 1; i < depth; i++)
        buf_addf(out, " %s", path[i]->name);
    buf_addc(out, '\n');
    if (cmd->subs_n > 0) {
        buf_addf(out, ".Ar command\n.Op Ar options\n");
        return;
    }
    for (size_t i = 0; i < cmd->opts_n; i++) {
        const struct opt *o = &cmd->opts[i];
        if (o->hidden)
            continue;
        buf_addf(out, o->required ? ".Fl -%s" : ".Op Fl -%s", o->name);
        if (opt_takes_value(o)) {
            buf_addf(out, " Ar ");
            quoted(out, o->value);
        }
        if (o->repeat)
            buf_addf(out, " ...");
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < cmd->args_n; i++) {
        const struct arg *arg = &cmd->args[i];
        const char *dashes = arg->place == ARG_BEHIND_DASHES ? "Fl -\n.Ar " : "Ar ";
        buf_addf(out, ".%s%s%s%s\n", arg->optional && !strchr(dashes, '\n') ? "Op " : "", dashes, arg->name,
                 arg->repeat ? " ..." : "");
    }
}

static void description(const struct command *const *path, size_t depth, struct buf *out)
{
    const struct command *cmd = path[depth - 1];
    buf_addf(out, ".Sh DESCRIPTION\n");
    paragraphs(out, cmd->text ? cmd->text : cmd->about);
    if (cmd->subs_n + cmd->args_n == 0)
        return;
    buf_addf(out, ".Pp\n%s\n.Bl -tag -width Ds\n",
             cmd->subs_n > 0 ? "The commands are:" : "The arguments are:");
    for (size_t i = 0; i < cmd->subs_n; i++) {
        buf_addf(out, ".It Cm %s\n", cmd->subs[i]->name);
        text(out, str_of(cmd->subs[i]->about), false);
        buf_addf(out, ";\nsee\n.Xr ");
        manpage_name(path, depth, out);
        buf_addf(out, "-%s 1 .\n", cmd->subs[i]->name);
    }
    for (size_t i = 0; i < cmd->args_n; i++) {
        buf_addf(out, ".It Ar %s\n", cmd->args[i].name);
        sentences(out, str_of(cmd->args[i].help));
    }
    buf_addf(out, ".El\n");
}

static void option(const struct opt *o, struct buf *out)
{
    buf_addf(out, ".It ");
    if (o->letter) {
        buf_addf(out, "Fl %c", o->letter);
        buf_addf(out, " , ");
    }
    buf_addf(out, "Fl -%s", o->name);
    if (opt_takes_value(o)) {
        buf_addf(out, " Ar ");
        quoted(out, o->value);
    }
    buf_addc(out, '\n');
    full_sentences(out, o->help, ".");
    for (size_t i = 0; o->type == OPT_ENUM && o->values[i]; i++)
        buf_addf(out, "%s%s%s", i == 0 ? "Values: " : ", ", o->values[i], o->values[i + 1] ? "" : ".\n");
    if (o->def)
        buf_addf(out, "The default is\n.Cm %s .\n", o->def);
    if (o->env)
        buf_addf(out, "Where it is not given,\n.Ev %s\ncounts.\n", o->env);
    if (o->repeat && opt_takes_value(o))
        buf_addf(out, "May be given several times.\n");
}

static void options(const struct command *root, const struct command *cmd, struct buf *out)
{
    buf_addf(out, ".Sh OPTIONS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < cmd->opts_n; i++)
        if (!cmd->opts[i].hidden)
            option(&cmd->opts[i], out);
    for (size_t i = 0; cmd != root && i < root->opts_n; i++)
        option(&root->opts[i], out);
    for (size_t i = 0; i < GLOBALS; i++)
        option(&command_globals()[i], out);
    buf_addf(out, ".El\n");
}

static void environment(const struct command *root, struct buf *out)
{
    bool command = false; // that prints the scripts
    for (size_t i = 0; i < root->subs_n; i++)
        command = command || strcmp(root->subs[i]->name, "completions") == 0;
    buf_addf(out, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
                  ".It Ev NO_COLOR\nWhere it is set and not empty, output has no colour.\n"
                  "Output that does not go to a terminal has none either.\n.It Ev COMPLETE\n");
    if (command)
        buf_addf(out, "Set by the scripts of\n.Xr %s-completions 1 :\n", root->name);
    else
        buf_addf(out,
                 "Set by the scripts for bash, fish, zsh and powershell, which\n.Nm %s\n"
                 "prints where this names one of them and there are no arguments:\n",
                 root->name);
    buf_addf(out, "the words of a command line are completed, and no command is run.\n.El\n");
}

static void exits(const struct command *cmd, struct buf *out)
{
    static const struct exit_row usual[] = {{0, "Success"},
                                            {1, "A failure, which is reported on standard error"},
                                            {2, "The command line is wrong"}};
    const struct exit_row *rows = cmd->exits_n > 0 ? cmd->exits : usual;
    size_t n = cmd->exits_n > 0 ? cmd->exits_n : ARRAY_LEN(usual);
    buf_addf(out, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, ".It %d\n", rows[i].status);
        full_sentences(out, rows[i].help, ".");
    }
    buf_addf(out, ".El\n");
}

static void examples(const struct command *cmd, struct buf *out)
{
    if (cmd->examples_n == 0)
        return;
    buf_addf(out, ".Sh EXAMPLES\n");
    for (size_t i = 0; i < cmd->examples_n; i++) {
        if (i > 0)
            buf_addf(out, ".Pp\n");
        full_sentences(out, cmd->examples[i].what,
                       str_ends(str_of(cmd->examples[i].what), STR("?")) ? "" : ":");
        buf_addf(out, ".Bd -literal -offset indent\n");
        text(out, str_of(cmd->examples[i].line), false);
        buf_addf(out, "\n.Ed\n");
    }
}

// The parent's page and those of its other commands, in the order of the alphabet, as mdoc wants.
static void see_also(const struct command *const *path, size_t depth, struct buf *out)
{
    if (depth == 1)
        return; // its commands are cross-referenced in the description
    const struct command *cmd = path[depth - 1], *parent = path[depth - 2];
    buf_addf(out, ".Sh SEE ALSO\n.Xr ");
    manpage_name(path, depth - 1, out);
    buf_addf(out, " 1");
    for (const char *last = "";;) {
        const char *next = NULL;
        for (size_t i = 0; i < parent->subs_n; i++) {
            const char *name = parent->subs[i]->name;
            if (strcmp(name, last) > 0 && (!next || strcmp(name, next) < 0))
                next = name;
        }
        if (!next)
            break;
        last = next;
        if (strcmp(next, cmd->name) == 0)
            continue;
        buf_addf(out, " ,\n.Xr ");
        manpage_name(path, depth - 1, out);
        buf_addf(out, "-%s 1", next);
    }
    buf_addc(out, '\n');
}

void manpage(const struct command *const *path, size_t depth, struct buf *out)
{
    const struct command *cmd = path[depth - 1];
    struct buf name;
    buf_init(&name, KIB);
    manpage_name(path, depth, &name);
    buf_addf(out, ".Dd %s\n.Dt ", MANPAGE_DATE);
    for (size_t i = 0; i < name.n; i++)
        buf_addc(out, char_is_alpha(name.p[i]) ? (char)(name.p[i] & ~0x20) : name.p[i]);
    buf_addf(out, " 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", name.n ? name.p : "");
    text(out, str_of(cmd->about), false);
    buf_addc(out, '\n');
    buf_done(&name);
    synopsis(path, depth, out);
    description(path, depth, out);
    options(path[0], cmd, out);
    if (depth == 1)
        environment(path[0], out);
    exits(cmd, out);
    examples(cmd, out);
    see_also(path, depth, out);
}
