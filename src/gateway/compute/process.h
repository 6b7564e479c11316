// gateway/compute/process.h: a process that outlives the gateway, and is known again by the next one.
//
// Each has a folder. Between gateway and program stands `openshell-gateway launch`, which writes down in
// `process` who it is (pid, start time, boot and pid namespace, which together no other process can have),
// and then becomes the program. It holds a lock on `lock` until then, so that whoever looks into the folder
// first waits until that is written, also where the gateway that began it is dead.
#pragma once
#include "base/base.h"

enum process_state {
    PROCESS_NONE,      // never begun
    PROCESS_RUNS,      // *ret_pidfd is it
    PROCESS_ENDED,     // it was begun on this machine as it runs now
    PROCESS_ELSEWHERE, // it was begun before the machine, or the container that we are in, was started
};

// Blocks while one is being launched. ERR_INTERNAL: the file is not one of ours.
enum err_code process_find(const char *dir, enum process_state *ret, int *ret_pidfd,
                           struct err *reterr) NONNULL;

// argv[0] is the program's absolute path; it runs in a session of its own, in /, with nothing on its standard
// input and the file `log` of the folder behind the others. Returns when it has become the program, or could
// not, which is then told at the end of `log`. The process is a child of ours. ERR_LIMIT, ERR_UNAVAILABLE: no
// process.
enum err_code process_launch(const char *dir, char *const *argv, int *ret_pidfd, struct err *reterr) NONNULL;

// The main() of the process in between (argv: "launch" DIR PROGRAM ARG...).
int process_launch_main(int argc, char **argv) NONNULL;
