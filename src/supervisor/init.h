// supervisor/init.h: pid 1 of a sandbox, in namespaces of its own.
#pragma once
#include "base/base.h"

// Descriptors that the launcher leaves open across exec, by number. The last is the work directory's mount,
// where the specification says that it is handed over.
enum {
    INIT_FD_CONTROL = 3,
    INIT_FD_MONITOR = 4,
    INIT_FD_SPEC = 5,
    INIT_FD_TRUST = 6, // PEM bundle that the sandbox's own CA is put behind; the egress reads the same file
    INIT_FD_WORKDIR = 7,
};

// Builds the walls, tests them, starts the agent, and tells the egress who is calling, until the launcher
// closes the control channel. With it ends every process of the sandbox. The process's exit status.
[[nodiscard]] int init_main(void);
