// supervisor/agent.h: from init's child to the agent's program. Each step takes something away for good.
#pragma once
#include "isolate/landlock.h"
#include "supervisor/spec.h"

// The paths that Landlock grants in the finished root: those of the policy, the baseline, the work directory,
// and the sandbox's own devices. In `a`.
enum err_code agent_paths(const struct init_spec *s, struct arena *a, struct landlock_paths *ret,
                          struct err *e) NONNULL;

// Forks a probe that is locked in as the agent will be, and waits for what it found (isolate/selftest.h).
enum err_code agent_selftest(const struct init_spec *s, const struct landlock_paths *paths,
                             struct err *e) NONNULL;

// What a command gets for its standard input, output and error: three descriptors, or a terminal that becomes
// all of them and the one that controls its session. -1: ours stay.
struct agent_io {
    int fds[3], tty;
};

// A new terminal of the sandbox, for its user. Both ends are the caller's.
enum err_code agent_terminal(const struct init_spec *s, int *ret_master, int *ret_slave,
                             struct err *e) NONNULL;

// Forks a command of the sandbox, in a session of its own, locked in as the probe was. Never waits: *ret_hear
// is readable once its program has started or has failed to; agent_heard() says which.
enum err_code agent_start(const struct init_spec *s, const struct command_spec *c,
                          const struct landlock_paths *paths, const struct agent_io *io, pid_t *ret,
                          int *ret_hear, struct err *e) NONNULL;

// True: it runs. False, and *e: it does not; its process ends by itself. ERR_NOT_FOUND, ERR_DENIED: there is
// no such program, or it cannot be run: *ret_status is what a shell would exit with.
bool agent_heard(int hear, int *ret_status, struct err *e) NONNULL;
