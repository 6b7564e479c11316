// gateway/exec.h: commands in a sandbox: ExecSandbox and ExecSandboxInteractive.
//
// A relay to a command (RelayOpen.exec), whose frames become events. What is asked for is checked here as the
// reference has it (gateway 3.1), so that the supervisor gets nothing else.
#pragma once
#include "rpc/serve.h"

#include "openshell.pb-c.h"

enum {
    EXEC_ARGS_MAX = 1024,         // reference: gateway 3.1, as all below
    EXEC_ARG_MAX = 32 * KIB,      // bytes of an argument, or of a variable's value
    EXEC_WORKDIR_MAX = 4096,      //
    EXEC_COMMAND_MAX = 256 * KIB, // of arguments, variables and folder together
    EXEC_SIDE_MAX = 65'535,       // columns or rows: struct winsize has 16 bits
    EXEC_GRACE_S = 3,             // ours: after a timeout, until it is ended without the supervisor
    EXEC_TIMED_OUT = 124,         // the exit code then
};

enum err_code exec_check(const Openshell__V1__ExecSandboxRequest *req, struct err *reterr) NONNULL;

void exec_sandbox(struct rpc_request *r) NONNULL;             // the handlers
void exec_sandbox_interactive(struct rpc_request *r) NONNULL; //
