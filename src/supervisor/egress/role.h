// supervisor/egress/role.h: the egress as a process of its own.
#pragma once
#include "base/base.h"

// Descriptors that the supervisor leaves open across exec, by number.
enum { EGRESS_FD_CONTROL = 3, EGRESS_FD_MONITOR = 4, EGRESS_FD_EVENTS = 5, EGRESS_FD_VAULT = 6 };

// Runs until the control channel closes; the process's exit status. Locks itself in before it reads a byte
// that the agent or the network sent.
[[nodiscard]] int egress_main(void);
