// isolate/limits.h: how much of the machine a sandbox may take.
//
// cgroups where the caller may make them: version 2, or the version 1 controllers of a hybrid machine. An
// ordinary user without delegation gets per-process limits instead (memory, processes) and processor
// affinity; limits_in_force() says which, for the log. A cgroup's name carries the launcher's pid and start
// time, so that the next start can tell, and remove, what a killed launcher left.
#pragma once
#include "base/base.h"

#include <sys/types.h>

enum {
    LIMITS_DIRS_MAX = 3,   // memory, pids, cpu
    LIMITS_NAME_MAX = 64,  // "openshell-PID-STARTTIME"
    LIMITS_PATH_MAX = 512, // ours
};

struct limits_want {    // 0: no limit
    uint64_t memory;    // bytes
    uint64_t pids;      // processes and threads
    uint64_t cpu_milli; // thousandths of a processor
};

struct limits {
    struct limits_want want;
    struct {
        char path[LIMITS_PATH_MAX];
    } dirs[LIMITS_DIRS_MAX];
    size_t dirs_n;
    bool soft; // no cgroup: limits_self() in the sandbox
};

// Makes the cgroups that `want` needs; none where it is empty. Removes what dead launchers left. ERR_DENIED:
// as root, the machine refuses, with the reason.
enum err_code limits_new(const struct limits_want *want, struct limits *ret, struct err *e) NONNULL;
void limits_done(struct limits *l) NONNULL; // kills what is left inside, removes
enum err_code limits_place(const struct limits *l, pid_t pid, struct err *e) NONNULL;

// In a process of the sandbox, before its program: no core file; with `soft` the limits of `want`, too.
enum err_code limits_self(const struct limits_want *want, bool soft, struct err *e) NONNULL;

[[nodiscard]] const char *limits_in_force(const struct limits *l) NONNULL; // "none", "cgroup", "per process"

// The name, and whether the process that it was made for still runs. False: not a name of ours.
void limits_name(pid_t pid, uint64_t start_time, char dst[static LIMITS_NAME_MAX]) NONNULL;
[[nodiscard]] bool limits_name_parse(struct str name, pid_t *ret_pid, uint64_t *ret_start) NONNULL;

// "512m", "2g", "1048576": powers of 1024. "1.5" processors: thousandths. False: not such a number.
[[nodiscard]] bool limits_bytes(struct str s, uint64_t *ret) NONNULL;
[[nodiscard]] bool limits_cpus(struct str s, uint64_t *ret) NONNULL;
