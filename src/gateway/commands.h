// gateway/commands.h: the command line of openshell-gateway: one command, which serves.
#pragma once
#include "cmd/command.h"

[[nodiscard]] const struct command *gateway_root(void);
