// cmd/report.h: what a running command has at hand, and how it says that something failed.
//
// Results go to cli->out and reach standard output when cli_flush() is called, at the latest at the end. A
// failure is one framed report on standard error (reference: CLI 1.6):
//
//     Error:   × cannot read p.yaml
//       ╰─▶ No such file or directory
#pragma once
#include "base/buf.h"
#include "base/log.h"
#include "cmd/args.h"
#include "cmd/term.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli {
    struct buf out; // born with CLI_OUT_MAX
    struct term out_term, err_term;
    struct log log;  // what -v asks for
    int write_errno; // why standard output could not be written; what follows is dropped
};

enum { CLI_OUT_MAX = 64 * MIB }; // ours: a screenful for each of many files; flushed after each

void cli_init(struct cli *cli) NONNULL;
void cli_done(struct cli *cli) NONNULL;
void cli_flush(struct cli *cli) NONNULL;
void cli_write_err(struct cli *cli, const struct buf *b) NONNULL; // behind what is in cli->out

// One framed report: the message, then its causes, each deeper than the one before. `causes` ends with NULL.
void report_frame(const struct term *t, const char *msg, const char *const *causes, struct buf *out) NONNULL;

// The same, written to standard error behind what is in cli->out. Both return EXIT_FAILED. `cause` may be
// NULL.
int report(struct cli *cli, const char *cause, const char *fmt, ...) __attribute__((nonnull(1, 3)))
PRINTF(3, 4);

// Two options that exclude each other: EXIT_USAGE, reported, where both were given; else 0.
[[nodiscard]] int report_conflict(struct cli *cli, const struct args *a, const struct opt *one,
                                  const struct opt *other) NONNULL;

// A mistake in the command line that the parser cannot see: "error: …", usage, and where to find help.
// EXIT_USAGE.
int report_usage(struct cli *cli, const struct args *a, const char *tip, const char *fmt, ...)
    __attribute__((nonnull(1, 2, 4))) PRINTF(4, 5);
