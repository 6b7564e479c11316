// cmd/program.h: main() of a program that has a tree of commands.
#pragma once
#include "cmd/command.h"

// Parses, runs or explains; the exit status. COMPLETE=SHELL in the environment makes it a completion helper
// (complete.h).
[[nodiscard]] int program_main(const struct command *root, int argc, char **argv) NONNULL;
