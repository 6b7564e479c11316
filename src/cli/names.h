// cli/names.h: names for shell completion: of gateways from the registry, of all else from the gateway that
// the line means. Quick, and silent where there are none.
#pragma once
#include "cmd/command.h"

void names_list(const char *kind, char *const *v, size_t n, void (*add)(void *ctx, const char *name),
                void *ctx) __attribute__((nonnull(1, 4)));
