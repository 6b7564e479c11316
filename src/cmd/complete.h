// cmd/complete.h: shell completion.
//
// The script that `openshell completions SHELL` prints, as does each program of ours without arguments and
// with COMPLETE=SHELL in its environment, calls back `COMPLETE=SHELL openshell AT WORD…`, where WORD… are the
// words of the line, `openshell` first, and AT is the index of the one to complete. The answer is one
// candidate a line, for zsh, fish and PowerShell with a tab and its help behind it; or the line
// ":files", which asks the shell to complete file names itself, since it knows its own quoting. What cannot
// be completed has no candidates.
#pragma once
#include "base/buf.h"
#include "cmd/command.h"

enum shell { SHELL_BASH, SHELL_FISH, SHELL_ZSH, SHELL_POWERSHELL, SHELLS };
[[nodiscard]] bool complete_shell(const char *name, enum shell *ret) NONNULL;

void complete_words(const struct command *root, char *const *v, size_t n, size_t at, enum shell shell,
                    struct buf *out) NONNULL;

// The registration script of `program`: what its executable is called.
void complete_script(const char *program, enum shell shell, struct buf *out) NONNULL;

extern const char *const complete_shells[]; // their names, by enum shell, and NULL
