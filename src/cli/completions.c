#include "cmd/complete.h"
#include "cmd/report.h"

static const struct arg completions_args[] = {
    {.name = "SHELL", .type = OPT_ENUM, .values = complete_shells, .help = "bash, fish, zsh or powershell"},
};
static const struct example completions_examples[] = {
    {"This bash only", "source <(openshell completions bash)"},
    {"Every bash, with the bash-completion package",
     "openshell completions bash > ~/.local/share/bash-completion/completions/openshell"},
    {"Every fish", "openshell completions fish > ~/.config/fish/completions/openshell.fish"},
    {"Every zsh, where ~/.zshrc has fpath=(~/.zfunc $fpath) in front of compinit",
     "openshell completions zsh > ~/.zfunc/_openshell"},
    {"Every PowerShell", "openshell completions powershell >> $PROFILE"},
};

static int completions_run(struct cli *cli, const struct args *a)
{
    enum shell shell;
    if (!complete_shell(a->words[0], &shell))
        return EXIT_USAGE; // the parser has refused other names
    complete_script("openshell", shell, &cli->out);
    return 0;
}

const struct command completions_command = {
    .name = "completions",
    .alias = "",
    .section = "ADDITIONAL COMMANDS",
    .about = "Print a script that completes commands in a shell",
    .text = "The script calls openshell back for every completion, so openshell must be on PATH. Packages "
            "install these "
            "scripts where bash, fish and zsh look for them.",
    COMMAND_TABLE(args, completions_args),
    COMMAND_TABLE(examples, completions_examples),
    .run = completions_run,
};
