// gateway/commands.h: the command line of openshell-gateway.
#pragma once
#include "cmd/command.h"

[[nodiscard]] const struct command *gateway_root(void);
extern const struct command generate_certs_command;
