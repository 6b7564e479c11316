// cmd/manpage.h: manual pages, in mdoc(7), from the tables of command.h.
#pragma once
#include "base/buf.h"
#include "cmd/command.h"

// "openshell-policy-check": what the page of path[depth - 1] is called.
void manpage_name(const struct command *const *path, size_t depth, struct buf *out) NONNULL;

void manpage(const struct command *const *path, size_t depth, struct buf *out) NONNULL;

// What a generator's main() is: writes every page of the tree into the folder that is its one argument.
int manpage_main(const struct command *root, int argc, char **argv) NONNULL;
