#include "cmd/complete.h"

#include "cmd/args.h"

const char *const complete_shells[SHELLS + 1] = {
    [SHELL_BASH] = "bash",
    [SHELL_FISH] = "fish",
    [SHELL_ZSH] = "zsh",
    [SHELL_POWERSHELL] = "powershell",
};

bool complete_shell(const char *name, enum shell *ret)
{
    for (size_t i = 0; i < SHELLS; i++) {
        if (strcmp(complete_shells[i], name) == 0) {
            *ret = (enum shell)i;
            return true;
        }
    }
    return false;
}

// What the words in front of the one to complete have said.
struct line {
    const struct command *root, *cmd;
    const struct opt *pending; // an option that still wants its value
    size_t words;              // positional arguments
    bool only_words;           // "--" was there
    char *const *v;
    size_t at;
    struct buf *out;
    bool help; // the shell shows help beside candidates
};

static void candidate(struct line *l, const char *head, const char *name, const char *help, struct str typed)
{
    if (!str_starts(str_of(name), typed))
        return;
    buf_addf(l->out, "%s%s", head, name);
    if (l->help && help)
        buf_addf(l->out, "\t%s", help);
    buf_addc(l->out, '\n');
}

struct named {
    struct line *line;
    const char *head;
    struct str typed;
};

static void add_name(void *ctx, const char *name)
{
    const struct named *n = ctx;
    candidate(n->line, n->head, name, NULL, n->typed);
}

static void values(struct line *l, enum opt_type type, const char *const *list, const char *kind,
                   const char *head, struct str typed)
{
    if (type == OPT_PATH)
        buf_addf(l->out, ":files\n");
    for (size_t i = 0; type == OPT_ENUM && list[i]; i++)
        candidate(l, head, list[i], NULL, typed);
    struct named n = {l, head, typed};
    if (kind && l->root->names)
        l->root->names(kind, l->v, l->at, add_name, &n);
}

// Whether an option that does not repeat is on the line already.
static bool is_given(const struct line *l, const struct opt *opt)
{
    for (size_t i = 1; i < l->at; i++) {
        struct str word = str_of(l->v[i]);
        struct str name;
        if (str_skip(&word, STR("--")) && str_split(&word, '=', &name) && str_eq(name, str_of(opt->name)))
            return !opt->repeat;
    }
    return false;
}

static void opts(struct line *l, const struct opt *list, size_t n, struct str typed)
{
    for (size_t i = 0; i < n; i++)
        if (!list[i].hidden && !is_given(l, &list[i]))
            candidate(l, "--", list[i].name, list[i].help, str_from(typed, 2));
}

static void words(struct line *l, struct str typed)
{
    for (size_t i = 0; i < l->cmd->subs_n; i++)
        candidate(l, "", l->cmd->subs[i]->name, l->cmd->subs[i]->about, typed);
    if (l->cmd->args_n == 0)
        return;
    size_t i = l->words < l->cmd->args_n ? l->words : l->cmd->args_n - 1;
    const struct arg *arg = &l->cmd->args[i];
    if ((l->words < l->cmd->args_n || arg->repeat) && (arg->place != ARG_BEHIND_DASHES || l->only_words))
        values(l, arg->type, arg->values, arg->kind, "", typed);
}

// One word in front of the cursor.
static void pass(struct line *l, struct str word)
{
    if (l->pending && str_eq(word, STR("="))) // bash splits --output=json into three words
        return;
    if (l->pending) {
        l->pending = NULL;
        return;
    }
    if (!l->only_words && str_eq(word, STR("--"))) {
        l->only_words = true;
        return;
    }
    if (!l->only_words && str_starts(word, STR("-")) && word.n > 1) {
        struct str name = str_from(word, 2);
        const struct opt *opt = word.p[1] == '-' ? args_find_opt(l->root, l->cmd, name)
                                : word.n == 2    ? args_find_letter(l->root, l->cmd, word.p[1])
                                                 : NULL;
        l->pending = opt && opt_takes_value(opt) ? opt : NULL;
        return;
    }
    const struct command *sub = args_find_sub(l->cmd, word);
    if (sub) {
        l->cmd = sub;
        return;
    }
    size_t i = l->words < l->cmd->args_n ? l->words : l->cmd->args_n - 1;
    l->only_words = l->only_words || (l->cmd->args_n > 0 && l->cmd->args[i].place == ARG_REST);
    l->words++;
}

void complete_words(const struct command *root, char *const *v, size_t n, size_t at, enum shell shell,
                    struct buf *out)
{
    struct line l =
        {.root = root, .cmd = root, .v = v, .at = at < n ? at : n, .out = out, .help = shell != SHELL_BASH};
    for (size_t i = 1; i < l.at; i++)
        pass(&l, str_of(v[i]));
    struct str typed = at < n ? str_of(v[at]) : STR("");
    if (l.pending) {
        values(&l, l.pending->type, l.pending->values, l.pending->kind, "",
               str_eq(typed, STR("=")) ? STR("") : typed);
        return;
    }
    if (l.only_words || !str_starts(typed, STR("-"))) {
        words(&l, typed);
        return;
    }
    ptrdiff_t eq = str_find(typed, '=');
    if (eq > 2) {
        char head[ARGS_NAME_MAX];
        const struct opt *opt = args_find_opt(root, l.cmd, (struct str){typed.p + 2, (size_t)eq - 2});
        if (opt && opt_takes_value(opt) && str_cstr(str_head(typed, (size_t)eq + 1), head, sizeof(head)))
            values(&l, opt->type, opt->values, opt->kind, head, str_from(typed, (size_t)eq + 1));
        return;
    }
    if (typed.n == 1 || typed.p[1] == '-') {
        opts(&l, l.cmd->opts, l.cmd->opts_n, typed);
        if (l.cmd != root)
            opts(&l, root->opts, root->opts_n, typed);
        opts(&l, command_globals(), GLOBALS, typed);
    }
}

// ---- scripts
// ------------------------------------------------------------------------------------------------

static const char *const scripts[SHELLS] = {
    [SHELL_BASH] =
        "# openshell completion for bash\n"
        "_openshell() {\n"
        "    local answer\n"
        "    COMPREPLY=()\n"
        "    answer=$(COMPLETE=bash openshell \"$COMP_CWORD\" \"${COMP_WORDS[@]}\" 2>/dev/null) || return 0\n"
        "    if [[ $answer == ':files' ]]; then\n"
        "        compopt -o default 2>/dev/null\n"
        "        return 0\n"
        "    fi\n"
        "    [[ -n $answer ]] && mapfile -t COMPREPLY <<<\"$answer\"\n"
        "    return 0\n"
        "}\n"
        "complete -F _openshell openshell\n",
    [SHELL_FISH] =
        "# openshell completion for fish\n"
        "function __openshell_complete\n"
        "    set -l token (commandline -ct)\n"
        "    set -l words (commandline -opc)\n"
        "    set -l answer (env COMPLETE=fish openshell (count $words) $words \"$token\" 2>/dev/null)\n"
        "    if test \"$answer\" = ':files'\n"
        "        set -l head (string match -r -- '^--[^=]*=' \"$token\")\n"
        "        set -l rest (string replace -r -- '^--[^=]*=' '' \"$token\")\n"
        "        for path in (__fish_complete_path \"$rest\")\n"
        "            printf '%s%s\\n' \"$head\" $path\n"
        "        end\n"
        "        return\n"
        "    end\n"
        "    test (count $answer) -gt 0; and printf '%s\\n' $answer\n"
        "end\n"
        "complete -c openshell -f -a '(__openshell_complete)'\n",
    [SHELL_ZSH] =
        "#compdef openshell\n"
        "# openshell completion for zsh\n"
        "_openshell() {\n"
        "    local -a answer described\n"
        "    local line value\n"
        "    answer=(\"${(@f)$(COMPLETE=zsh openshell $((CURRENT - 1)) \"${(@Q)words}\" 2>/dev/null)}\")\n"
        "    [[ -z $answer[1] ]] && return 1\n"
        "    if [[ $answer[1] == ':files' ]]; then\n"
        "        [[ $words[CURRENT] == --*=* ]] && compset -P '--*='\n"
        "        _files\n"
        "        return\n"
        "    fi\n"
        "    for line in $answer; do\n"
        "        value=${line%%$'\\t'*}\n"
        "        if [[ $line == *$'\\t'* ]]; then\n"
        "            described+=(\"${value//:/\\\\:}:${line#*$'\\t'}\")\n"
        "        else\n"
        "            described+=(\"${value//:/\\\\:}\")\n"
        "        fi\n"
        "    done\n"
        "    _describe openshell described\n"
        "}\n"
        "if [[ $funcstack[1] == _openshell ]]; then\n"
        "    _openshell \"$@\"\n"
        "else\n"
        "    compdef _openshell openshell\n"
        "fi\n",
    [SHELL_POWERSHELL] =
        "# openshell completion for PowerShell\n"
        "Register-ArgumentCompleter -Native -CommandName openshell -ScriptBlock {\n"
        "    param($wordToComplete, $commandAst, $cursorPosition)\n"
        "    $words = @($commandAst.CommandElements |\n"
        "        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { "
        "$_.Extent.Text })\n"
        "    $at = $words.Count\n"
        "    if ($wordToComplete -ne '') { $at = $at - 1 }\n"
        "    $before = $env:COMPLETE\n"
        "    $env:COMPLETE = 'powershell'\n"
        "    try { $answer = @(openshell $at @words 2>$null) } finally { $env:COMPLETE = $before }\n"
        "    foreach ($line in $answer) {\n"
        "        if ($line -eq ':files') { return }\n"
        "        $value, $help = $line -split \"`t\", 2\n"
        "        if (-not $help) { $help = $value }\n"
        "        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', "
        "$help)\n"
        "    }\n"
        "}\n",
};

void complete_script(const char *program, enum shell shell, struct buf *out)
{
    static const char written[] = "openshell";
    const char *rest = scripts[shell];
    for (const char *at; (at = strstr(rest, written)); rest = at + strlen(written))
        buf_addf(out, "%.*s%s", (int)(at - rest), rest, program);
    buf_add(out, str_of(rest));
}
