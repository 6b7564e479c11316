// isolate/proc.h: what /proc tells of a process: its executable, its ancestors, its arguments.
//
// For pid 1 of a sandbox, whose /proc lists the sandbox's processes and no others.
#pragma once
#include "isolate/exehash.h"
#include "isolate/identity.h"

[[nodiscard]] bool proc_is_pid(const char *name, uint32_t *ret) NONNULL; // of an entry of /proc
[[nodiscard]] int proc_open(uint32_t pid);                               // the folder; -1: errno says why
// At most `size` bytes of a file in the folder. False: errno says why.
[[nodiscard]] bool proc_read(int dir, const char *name, char *out, size_t size, size_t *ret) NONNULL;
// Field `want` (from 3, behind the command's name) of its stat: 4 is the parent, 9 flags, 22 the start time.
[[nodiscard]] bool proc_stat_field(int dir, unsigned want, uint64_t *ret) NONNULL;

enum { PROC_WANTED_MAX = 1 + IDENTITY_ANCESTORS_MAX };
struct proc_wanted { // executables whose content nobody knows yet, open for reading
    int fds[PROC_WANTED_MAX];
    size_t n;
};
void proc_wanted_done(struct proc_wanted *w) NONNULL; // closes them

// What the process (or thread) is. Strings in `a`. With `wanted`, an executable that is not known yet is put
// there instead of being read, and *ret then lacks its hash: it is no identity. ERR_UNAVAILABLE: it ended or
// became another program while it was looked at. ERR_DENIED: it cannot be named, and why.
enum err_code proc_identity(struct exehash *h, uint32_t pid, struct arena *a, struct proc_wanted *wanted,
                            struct identity *ret, struct err *e) __attribute__((nonnull(1, 3, 5, 6)));

// Reference 3.1 item 5: the same executable, hash, ancestors and arguments. A parent and its child are not:
// the child has one ancestor more.
[[nodiscard]] bool proc_same(const struct identity *a, const struct identity *b) NONNULL;
