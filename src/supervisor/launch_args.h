// supervisor/launch_args.h: what the commands that start a sandbox share.
#pragma once
#include "cmd/report.h"
#include "supervisor/launch.h"

enum {
    EXIT_SETUP = 125,
    PIDS_MAX = 4'194'304, // PID_MAX_LIMIT of the kernel
    NAME_MAX_BYTES = 63,  // of a host name's label
};

// Rows of their tables of options.
#define LAUNCH_OPT_ROOTFS                                                                                    \
    {                                                                                                        \
        .name = "rootfs", .type = OPT_PATH, .value = "host|DIR", .def = "host",                              \
        .help =                                                                                              \
            "What the command sees as its file system: of the host what the policy names, or an unpacked "   \
            "image"                                                                                          \
    }
#define LAUNCH_OPT_LOG_JSON                                                                                  \
    {                                                                                                        \
        .name = "log-json", .type = OPT_PATH, .value = "FILE",                                               \
        .help = "Append every event to this file as an OCSF object, one a line; rotated likewise"            \
    }
#define LAUNCH_OPT_MEMORY                                                                                    \
    {                                                                                                        \
        .name = "memory", .type = OPT_STRING, .value = "SIZE", .help = "Limit its memory, as in 512m or 2g"  \
    }
#define LAUNCH_OPT_PIDS                                                                                      \
    {                                                                                                        \
        .name = "pids", .type = OPT_U32, .value = "N",                                                       \
        .help = "Limit its processes and threads, by cgroup; 4096 for each process's user otherwise"         \
    }
#define LAUNCH_OPT_CPUS                                                                                      \
    {                                                                                                        \
        .name = "cpus", .type = OPT_STRING, .value = "N", .help = "Limit its processors, as in 1.5"          \
    }
#define LAUNCH_OPT_SCRATCH                                                                                   \
    {                                                                                                        \
        .name = "scratch", .type = OPT_STRING, .value = "SIZE",                                              \
        .help = "Memory that private files (/tmp, /sandbox, copies of read_write folders) may take; half "   \
                "of the machine's otherwise"                                                                 \
    }

struct launch_limits { // the rows as they stand in a command's table
    const struct opt *memory, *pids, *cpus, *scratch;
};

// False: it has been reported, as a mistake in the command line.
[[nodiscard]] bool launch_limits(struct cli *cli, const struct args *a, const struct launch_limits *rows,
                                 struct launch_opts *o) NONNULL;
[[nodiscard]] bool launch_is_name(const char *s) NONNULL; // of a host
// Why there is no sandbox: what is wrong with the policy, called `policy`, or else. EXIT_SETUP.
int launch_plan_failed(struct cli *cli, const char *policy, const struct plan *p, const struct diags *diags,
                       const struct err *err) NONNULL;
