#include "cmd/args.h"

#include "base/utf8.h"
#include "policy/diag.h"

// The parser's place in the command line.
struct words {
    char *const *v;
    int n, at;
    bool only_words; // "--" was seen
};

__attribute__((format(printf, 2, 3))) static enum args_result bad(struct args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(a->error, sizeof(a->error), fmt, ap);
    va_end(ap);
    for (char *line = a->error; *line;) { // "\n" is ours, in the list of possible values; the rest is cleaned
        size_t n = strcspn(line, "\n");
        utf8_clean(line, n);
        line += n + (line[n] == '\n');
    }
    return ARGS_BAD;
}

void args_opt_name(const struct opt *opt, char out[static ARGS_NAME_MAX])
{
    if (opt_takes_value(opt))
        (void)snprintf(out, ARGS_NAME_MAX, "--%s <%s>", opt->name, opt->value);
    else
        (void)snprintf(out, ARGS_NAME_MAX, "--%s", opt->name);
}

void args_arg_name(const struct arg *arg, char out[static ARGS_NAME_MAX])
{
    const char *more = arg->repeat ? "..." : "";
    if (arg->place == ARG_BEHIND_DASHES)
        (void)snprintf(out, ARGS_NAME_MAX, "[-- <%s>%s]", arg->name, more);
    else
        (void)snprintf(out, ARGS_NAME_MAX, arg->optional ? "[%s]%s" : "<%s>%s", arg->name, more);
}

void args_path(const struct args *a, size_t depth, char out[static COMMAND_PATH_MAX])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < depth && i < a->depth && n < COMMAND_PATH_MAX; i++)
        n += (size_t)snprintf(out + n, COMMAND_PATH_MAX - n, "%s%s", i > 0 ? " " : "", a->path[i]->name);
}

// ---- look-up
// ------------------------------------------------------------------------------------------------

static const struct opt *find_in(const struct opt *opts, size_t n, struct str name, char letter)
{
    for (size_t i = 0; i < n; i++)
        if (letter ? opts[i].letter == letter : str_eq(name, str_of(opts[i].name)))
            return &opts[i];
    return NULL;
}

const struct opt *args_find_opt(const struct command *root, const struct command *cmd, struct str name)
{
    const struct opt *opt = find_in(cmd->opts, cmd->opts_n, name, 0);
    if (!opt)
        opt = find_in(root->opts, root->opts_n, name, 0);
    return opt ? opt : find_in(command_globals(), GLOBALS, name, 0);
}

const struct opt *args_find_letter(const struct command *root, const struct command *cmd, char letter)
{
    if (letter == 0)
        return NULL;
    const struct opt *opt = find_in(cmd->opts, cmd->opts_n, (struct str){}, letter);
    if (!opt)
        opt = find_in(root->opts, root->opts_n, (struct str){}, letter);
    return opt ? opt : find_in(command_globals(), GLOBALS, (struct str){}, letter);
}

const struct command *args_find_sub(const struct command *cmd, struct str name)
{
    for (size_t i = 0; i < cmd->subs_n; i++) {
        const struct command *sub = cmd->subs[i];
        if (str_eq(name, str_of(sub->name)) || (sub->alias[0] && str_eq(name, str_of(sub->alias))))
            return sub;
    }
    return NULL;
}

// ---- suggestions
// --------------------------------------------------------------------------------------------

enum { NAMES_MAX = 32 };

static void suggest(struct args *a, struct str word, const struct str *names, size_t n, const char *what,
                    const char *dashes)
{
    struct str near = diag_suggest(word, names, n);
    if (near.n > 0)
        (void)snprintf(a->tip, sizeof(a->tip), "a similar %s exists: '%s%.*s'", what, dashes, STR_FMT(near));
}

static enum args_result unknown_opt(struct args *a, struct str shown, struct str name)
{
    struct str names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < a->cmd->opts_n && n < NAMES_MAX; i++)
        if (!a->cmd->opts[i].hidden)
            names[n++] = str_of(a->cmd->opts[i].name);
    for (size_t i = 0; a->depth > 1 && i < a->path[0]->opts_n && n < NAMES_MAX; i++)
        names[n++] = str_of(a->path[0]->opts[i].name);
    for (size_t i = 0; i < GLOBALS && n < NAMES_MAX; i++)
        names[n++] = str_of(command_globals()[i].name);
    suggest(a, name, names, n, "argument", "--");
    return bad(a, "unexpected argument '%.*s' found", STR_FMT(shown));
}

static enum args_result unknown_sub(struct args *a, const char *word)
{
    struct str names[NAMES_MAX];
    size_t n = 0;
    for (; n < a->cmd->subs_n && n < NAMES_MAX; n++)
        names[n] = str_of(a->cmd->subs[n]->name);
    suggest(a, str_of(word), names, n, "subcommand", "");
    return bad(a, "unrecognized subcommand '%.*s'", STR_FMT(str_of(word)));
}

// ---- values
// -------------------------------------------------------------------------------------------------

static enum args_result bad_value(struct args *a, const char *value, const char *name,
                                  const char *const *values)
{
    char list[200] = "";
    size_t used = 0, n = 0;
    struct str names[NAMES_MAX];
    for (; n < NAMES_MAX && values[n]; n++) {
        names[n] = str_of(values[n]);
        int more = snprintf(list + used, sizeof(list) - used, "%s%s", n > 0 ? ", " : "", values[n]);
        used += more > 0 && (size_t)more < sizeof(list) - used ? (size_t)more : 0;
    }
    suggest(a, str_of(value), names, n, "value", "");
    return bad(a, "invalid value '%.*s' for '%s'\n  [possible values: %s]", STR_FMT(str_of(value)), name,
               list);
}

static enum args_result check_value(struct args *a, enum opt_type type, const char *const *values,
                                    const char *name, const char *value)
{
    uint64_t number;
    if (type == OPT_ENUM) {
        for (size_t i = 0; values[i]; i++)
            if (strcmp(values[i], value) == 0)
                return ARGS_RUN;
        return bad_value(a, value, name, values);
    }
    if (type == OPT_U32 && !str_u64(str_of(value), UINT32_MAX, &number))
        return bad(a, "invalid value '%.*s' for '%s': a number from 0 to 4294967295 is needed",
                   STR_FMT(str_of(value)), name);
    if (type == OPT_PATH && value[0] == '\0')
        return bad(a, "a value is required for '%s' but none was supplied", name);
    return ARGS_RUN;
}

static enum args_result give(struct args *a, const struct opt *opt, const char *value)
{
    char name[ARGS_NAME_MAX];
    args_opt_name(opt, name);
    if (!opt->repeat && args_count(a, opt) > 0)
        return bad(a, "the argument '%s' cannot be used multiple times", name);
    if (value) {
        enum args_result r = check_value(a, opt->type, opt->values, name, value);
        if (r != ARGS_RUN)
            return r;
    }
    a->given[a->given_n++] = (struct args_given){opt, value};
    if (opt == &command_globals()[GLOBAL_HELP])
        return ARGS_HELP;
    return opt == &command_globals()[GLOBAL_VERSION] ? ARGS_VERSION : ARGS_RUN;
}

// The next word as the value of an option that has none attached.
static enum args_result give_next(struct args *a, const struct opt *opt, struct words *w)
{
    char name[ARGS_NAME_MAX];
    args_opt_name(opt, name);
    const char *next = w->at < w->n ? w->v[w->at] : NULL;
    if (!next || (next[0] == '-' && next[1] != '\0'))
        return bad(a, "a value is required for '%s' but none was supplied", name);
    w->at++;
    return give(a, opt, next);
}

// ---- options
// ------------------------------------------------------------------------------------------------

static enum args_result parse_long(struct args *a, const char *word, struct words *w)
{
    struct str name = str_of(word + 2);
    ptrdiff_t eq = str_find(name, '=');
    const char *value = eq >= 0 ? name.p + eq + 1 : NULL;
    name = str_head(name, eq >= 0 ? (size_t)eq : name.n);
    const struct opt *opt = args_find_opt(a->path[0], a->cmd, name);
    if (!opt)
        return unknown_opt(a, (struct str){word, name.n + 2}, name);
    if (value && !opt_takes_value(opt))
        return bad(a, "unexpected value '%.*s' for '--%s' found; no more were expected",
                   STR_FMT(str_of(value)), opt->name);
    if (value || !opt_takes_value(opt))
        return give(a, opt, value);
    return give_next(a, opt, w);
}

static enum args_result parse_letters(struct args *a, const char *word, struct words *w)
{
    for (const char *c = word + 1; *c; c++) {
        const struct opt *opt = args_find_letter(a->path[0], a->cmd, *c);
        if (!opt) {
            size_t n = utf8_next(str_of(c));
            char shown[8] = "-";
            memcpy(shown + 1, c, n ? n : 1);
            return unknown_opt(a, str_of(shown), (struct str){});
        }
        enum args_result r;
        if (opt_takes_value(opt)) {
            c++;
            r = *c ? give(a, opt, c + (*c == '=')) : give_next(a, opt, w);
            return r;
        }
        r = give(a, opt, NULL);
        if (r != ARGS_RUN)
            return r;
    }
    return ARGS_RUN;
}

// ---- words
// --------------------------------------------------------------------------------------------------

// A word behind `path`, which is not built: the deepest command that the line names.
static enum args_result parse_unbuilt(struct args *a, struct words *w)
{
    while (w->at < w->n) {
        const char *word = w->v[w->at++];
        if (word[0] != '-' && !a->path[0]->unbuilt(a->unbuilt, word))
            break;
    }
    return ARGS_UNBUILT;
}

static enum args_result parse_word(struct args *a, const char *word, struct words *w)
{
    const struct command *cmd = a->cmd;
    if (cmd->subs_n > 0) {
        const struct command *sub = args_find_sub(cmd, str_of(word));
        if (sub && a->depth < COMMAND_DEPTH_MAX) {
            a->path[a->depth++] = a->cmd = sub;
            return ARGS_RUN;
        }
        bool (*unbuilt)(char *path, const char *word) = a->path[0]->unbuilt;
        a->unbuilt[0] = '\0';
        bool open = unbuilt != NULL; // a group that is built whole has nothing more
        for (size_t i = 1; open && i < a->depth; i++)
            open = unbuilt(a->unbuilt, a->path[i]->name);
        return open && unbuilt(a->unbuilt, word) ? parse_unbuilt(a, w) : unknown_sub(a, word);
    }
    size_t i = a->words_n < cmd->args_n ? a->words_n : cmd->args_n - 1;
    if (cmd->args_n == 0 || (a->words_n >= cmd->args_n && !cmd->args[i].repeat) ||
        (cmd->args[i].place == ARG_BEHIND_DASHES && !w->only_words))
        return bad(a, "unexpected argument '%.*s' found", STR_FMT(str_of(word)));
    w->only_words = w->only_words || cmd->args[i].place == ARG_REST;
    char name[ARGS_NAME_MAX];
    args_arg_name(&cmd->args[i], name);
    enum args_result r = check_value(a, cmd->args[i].type, cmd->args[i].values, name, word);
    if (r == ARGS_RUN)
        a->words[a->words_n++] = word;
    return r;
}

// Values that come from variables and defaults.
static enum args_result check_values(struct args *a, const struct command *cmd)
{
    for (size_t i = 0; i < cmd->opts_n; i++) {
        const struct opt *opt = &cmd->opts[i];
        const char *value = args_value(a, opt);
        char name[ARGS_NAME_MAX];
        args_opt_name(opt, name);
        enum args_result r = value && args_count(a, opt) == 0
                                 ? check_value(a, opt->type, opt->values, name, value)
                                 : ARGS_RUN;
        if (r != ARGS_RUN)
            return r;
    }
    return ARGS_RUN;
}

// What must be there and is not, and variables that stand for options.
static enum args_result check_whole(struct args *a)
{
    const struct command *cmd = a->cmd;
    char name[ARGS_NAME_MAX], missing[300] = "";
    size_t n = 0;
    enum args_result r = check_values(a, cmd);
    if (r == ARGS_RUN && a->depth > 1)
        r = check_values(a, a->path[0]);
    if (r != ARGS_RUN)
        return r;
    for (size_t i = 0; i < cmd->opts_n; i++) {
        args_opt_name(&cmd->opts[i], name);
        if (cmd->opts[i].required && !args_value(a, &cmd->opts[i]) && n < sizeof(missing))
            n += (size_t)snprintf(missing + n, sizeof(missing) - n, "\n  %s", name);
    }
    for (size_t i = a->words_n; i < cmd->args_n; i++) {
        args_arg_name(&cmd->args[i], name);
        if (!cmd->args[i].optional && n < sizeof(missing))
            n += (size_t)snprintf(missing + n, sizeof(missing) - n, "\n  %s", name);
    }
    if (n > 0)
        return bad(a, "the following required arguments were not provided:%s", missing);
    return ARGS_RUN;
}

enum args_result args_parse(int argc, char *const *argv, const struct command *root, struct args *a)
{
    *a = (struct args){.path = {root}, .depth = 1, .cmd = root};
    size_t letters = 1;
    for (int i = 1; i < argc; i++) // an option takes at least a byte, and so does a letter of a cluster
        letters += strlen(argv[i]) + 1;
    a->given = calloc(letters, sizeof(*a->given));
    a->words = calloc((size_t)argc + 1, sizeof(*a->words));
    if (!a->given || !a->words)
        return bad(a, "no memory for the command line");
    struct words w = {.v = argv, .n = argc, .at = 1};
    enum args_result r = ARGS_RUN;
    while (r == ARGS_RUN && w.at < w.n) {
        const char *word = w.v[w.at++];
        if (!w.only_words && strcmp(word, "--") == 0)
            w.only_words = true;
        else if (!w.only_words && word[0] == '-' && word[1] == '-')
            r = parse_long(a, word, &w);
        else if (!w.only_words && word[0] == '-' && word[1] != '\0')
            r = parse_letters(a, word, &w);
        else
            r = parse_word(a, word, &w);
    }
    if (r == ARGS_RUN && !a->cmd->run)
        return ARGS_HELP; // a bare group
    return r == ARGS_RUN ? check_whole(a) : r;
}

void args_done(struct args *a)
{
    free(a->given);
    free(a->words);
    *a = (struct args){};
}

// ---- answers
// ------------------------------------------------------------------------------------------------

size_t args_count(const struct args *a, const struct opt *opt)
{
    size_t n = 0;
    for (size_t i = 0; i < a->given_n; i++)
        n += a->given[i].opt == opt;
    return n;
}

const char *args_nth(const struct args *a, const struct opt *opt, size_t i)
{
    for (size_t k = 0; k < a->given_n; k++)
        if (a->given[k].opt == opt && i-- == 0)
            return a->given[k].value;
    return NULL;
}

bool args_later(const struct args *a, const struct opt *opt, const struct opt *than)
{
    for (size_t k = a->given_n; k-- > 0;)
        if (a->given[k].opt == opt || a->given[k].opt == than)
            return a->given[k].opt == opt;
    return false;
}

uint32_t args_u32(const struct args *a, const struct opt *opt)
{
    uint64_t n = 0;
    const char *v = args_value(a, opt);
    return v && str_u64(str_of(v), UINT32_MAX, &n) ? (uint32_t)n : 0; // the parser has refused all else
}

const char *args_value(const struct args *a, const struct opt *opt)
{
    const char *value = args_nth(a, opt, 0);
    if (value)
        return value;
    const char *env = opt->env ? getenv(opt->env) : NULL;
    return env && env[0] ? env : opt->def;
}
