// supervisor/children.h: the commands of a sandbox, as its init has them: started, told of, signalled,
// reaped.
//
// Nothing here waits. A command that was forked says over a pipe whether its program started; its end is told
// only after that.
#pragma once
#include "supervisor/agent.h"
#include "supervisor/control.h"

#include <poll.h>

struct child_entry {
    pid_t pid; // 0: free
    uint32_t command;
    int hear; // -1: it runs
};

struct children {
    const struct init_spec *spec;
    const struct landlock_paths *paths;
    int control; // where the launcher is told; borrowed
    struct child_entry v[CTL_COMMANDS_MAX];
};

// The specification's own command, as command 0. What went wrong is told, as for the other.
void children_first(struct children *c, const struct agent_io *io) NONNULL;
// What a CTL_EXEC brought, with n descriptors.
void children_exec(struct children *c, uint32_t command, const int *fds, size_t n) NONNULL;
void children_signal(const struct children *c, uint32_t command, int sig) NONNULL;

// For poll(2): at most CTL_COMMANDS_MAX entries; returns how many. Then the same entries, polled.
[[nodiscard]] size_t children_poll(const struct children *c, struct pollfd *p) NONNULL;
void children_hear(struct children *c, const struct pollfd *p, size_t n) NONNULL;
// Takes in every process that has ended, those that were left to init among them.
void children_reap(struct children *c) NONNULL;
