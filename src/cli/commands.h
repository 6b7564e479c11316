// cli/commands.h: the tree of commands, one object each, in the file of its name.
#pragma once
#include "cmd/command.h"

[[nodiscard]] const struct command *command_root(void); // the tree that is built

extern const struct command policy_check_command, policy_explain_command, policy_test_command,
    policy_fmt_command, policy_diff_command, completions_command;
