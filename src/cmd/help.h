// cmd/help.h: help pages from the tables of command.h.
#pragma once
#include "cmd/args.h"
#include "cmd/term.h"

// "openshell policy check [OPTIONS] <FILE>..."
void help_usage(const struct command *const *path, size_t depth, struct buf *out) NONNULL;

// The page of path[depth - 1].
void help_page(const struct command *const *path, size_t depth, const struct term *t,
               struct buf *out) NONNULL;

// "Treat warnings as errors [possible values: table, json] [default: table]"
void help_opt_text(const struct opt *opt, struct buf *out) NONNULL;
