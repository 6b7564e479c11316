// cli/sandbox_watch.h: waiting until a sandbox is in a phase, and telling meanwhile what happens to it.
#pragma once
#include "cli/sandbox.h"

// How progress is told (reference: CLI 4.5): a line that changes on a terminal, a line for each step
// elsewhere.
enum progress_kind { PROGRESS_NONE, PROGRESS_LINES, PROGRESS_TERMINAL };

struct sandbox_wait {
    const char *id, *name;
    Openshell__V1__SandboxPhase want;
    int64_t idle_ms;      // without news of progress for so long: a failure
    const char *variable; // that sets it, for the report
    enum progress_kind kind;
    bool ended_is_enough; // a short command may have ended before anyone saw it run
};

// Reported where it fails; 0 or the exit status. *ret lives as long as `g`: the sandbox as it was seen last.
[[nodiscard]] int sandbox_wait(struct cli *cli, struct gateway *g, const struct sandbox_wait *w,
                               const Openshell__V1__Sandbox **ret) NONNULL;

// Milliseconds of a variable that holds seconds; `def` where it holds none.
[[nodiscard]] int64_t sandbox_wait_ms(const char *variable, int64_t def_seconds) NONNULL;

// "3s", "1m 12s".
enum { ELAPSED_SIZE = 32 };
void sandbox_elapsed(int64_t ms, char dst[static ELAPSED_SIZE]) NONNULL;

// Deletes, and says so on standard output; not found is no failure. 0 or the exit status.
[[nodiscard]] int sandbox_delete(struct cli *cli, struct gateway *g, const char *name) NONNULL;
