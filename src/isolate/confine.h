// isolate/confine.h: how the processes of ours that face the agent lock themselves in.
#pragma once
#include "base/base.h"

// For the egress, after it has read what it needs and before it reads a byte from outside: a user namespace
// of its own with no other uid (as root: another uid first), mount, ipc and uts namespaces, an empty
// read-only root, no capability, no new privileges, no core, not dumpable, no way to start a program, a
// seccomp allow-list for threads, sockets that are open or made for dialling (AF_INET, AF_INET6), memory,
// clock and random. Leaves: the network namespace it is in. Ends with its parent (PR_SET_PDEATHSIG).
// ERR_UNSUPPORTED: the kernel refuses one of these, and which.
enum err_code confine_egress(struct err *e) NONNULL;
