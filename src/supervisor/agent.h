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

// Forks the agent. It has returned when the program has started. `tty`: its terminal, or -1. ERR_NOT_FOUND,
// ERR_DENIED: there is no such program, or it cannot be run: *ret_status is what a shell would exit with.
enum err_code agent_start(const struct init_spec *s, const struct landlock_paths *paths, int tty, pid_t *ret,
                          int *ret_status, struct err *e) NONNULL;
