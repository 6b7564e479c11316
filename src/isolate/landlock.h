// isolate/landlock.h: which files the agent may use (reference 6.6).
//
// Every right over files that the running kernel knows is handled, and the scopes for abstract sockets and
// signals. TCP rights are not: the network namespace is that wall, and captured clients may dial anywhere.
#pragma once
#include "base/arena.h"
#include "base/base.h"

struct landlock_paths { // absolute
    const struct str *ro, *rw;
    size_t ro_n, rw_n;
};

struct landlock_report {
    int abi;                 // 0: the kernel has no Landlock
    size_t applied, skipped; // paths
    bool files, scopes;      // what is in force
    char why[200];           // empty, or why something is not
};

// ERR_UNSUPPORTED: the kernel does not have it, has it off, or refuses it, and which.
enum err_code landlock_probe(int *ret_abi, struct err *e) NONNULL;

// The policy's paths and, of the reference's baseline (1.3), what exists and the policy does not name.
enum err_code landlock_baseline(const struct landlock_paths *policy, struct arena *a,
                                struct landlock_paths *ret, struct err *e) NONNULL;

// Sets no_new_privs and restricts the calling thread, for good. `hard`: a path that cannot be opened, or a
// kernel without Landlock, is an error; else *ret says what is missing, for the caller to print. No path at
// all leaves files unrestricted, as in the reference; the report says so.
enum err_code landlock_apply(const struct landlock_paths *p, bool hard, struct landlock_report *ret,
                             struct err *e) NONNULL;
