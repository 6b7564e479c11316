// cli/attach.h: a program inside a sandbox at the user's own input, output and signals.
//
// One ExecSandboxInteractive call. With a terminal: raw keys, the window's size, Ctrl-P Ctrl-Q to leave.
// Without: standard input is streamed to its end, Ctrl-C is passed on as SIGINT, a second one ends the
// command. SIGTERM and SIGHUP end it at once; whatever ends it, the terminal is as it was before.
//
// Nothing waits for a slow reader but the reading of more: PINGs of the gateway are answered meanwhile.
#pragma once
#include "cli/gateway.h"

struct attach {
    const Openshell__V1__ExecSandboxRequest *start; // tty says whether it has a terminal
    const char *name;                               // of the sandbox, for messages
    bool detachable;                                // Ctrl-P Ctrl-Q leaves it running
    bool spare_input;                               // input that is empty from the start ends nothing
    int lost_status;                                // exit status where the connection is lost
};

// Returns the exit status of the program; 0 after it was left; 128 and the number of the signal that ended
// this. What fails has been reported.
[[nodiscard]] int attach_run(struct cli *cli, struct gateway *g, const struct attach *at) NONNULL;
