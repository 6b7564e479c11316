// supervisor/commands.h: the commands of openshell-sandbox, one object each, in the file of its name.
#pragma once
#include "cmd/command.h"

[[nodiscard]] const struct command *sandbox_root(void);

extern const struct command run_command, supervise_command, reload_command, doctor_command;
