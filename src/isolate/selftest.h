// isolate/selftest.h: a process that is locked in as the agent will be tries what must fail.
//
// The walls are built by calls that succeeded; this asks the kernel whether they hold. It finds what no
// return value tells: a filter that another layer undid, a kernel that accepts a rule and does not enforce
// it, a descriptor that was inherited.
#pragma once
#include "base/base.h"

#include <sys/types.h>

struct selftest {
    uid_t uid;
    gid_t gid;
    int keep_fd;           // beside 0, 1 and 2 the only descriptor that may be open; -1: none
    bool files;            // Landlock is in force over files
    bool scopes;           // ... and over abstract sockets and signals
    struct str unreadable; // a path that exists and that no rule grants; empty: there is none to try
    struct str unwritable; // a folder that is granted for reading only; empty: ditto
};

// In the confined process. Every attempt is made with arguments that do no harm where the wall is missing.
// ERR_PRECONDITION: a wall is missing, and which.
enum err_code selftest_run(const struct selftest *t, struct err *e) NONNULL;
