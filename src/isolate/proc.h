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
enum { PROC_STAT_MAX = 1024 };
[[nodiscard]] bool proc_stat_in(struct str stat, unsigned want, uint64_t *ret) NONNULL; // of its text

enum { PROC_WANTED_MAX = 1 + IDENTITY_ANCESTORS_MAX };
struct proc_wanted { // executables whose content nobody knows yet, open for reading
    int fds[PROC_WANTED_MAX];
    size_t n;
};
void proc_wanted_done(struct proc_wanted *w) NONNULL; // closes them

struct proc_look {
    struct exehash *hashes;
    struct proc_wanted *wanted; // or NULL: what is not known is read
};
// Path and hash of what the process runs; the path in `a`. With `wanted`, an executable that is not known yet
// is put there, and its hash is empty. ERR_NOT_FOUND: it has ended. ERR_DENIED: it cannot be named, and why.
enum err_code proc_program(const struct proc_look *t, int proc_fd, struct arena *a, struct str *ret,
                           char hash[static 65], struct err *e) NONNULL;
// Absolute paths among the argument words, in their text. False: no room.
[[nodiscard]] bool proc_cmdline_in(struct str text, struct arena *a, struct identity *id) NONNULL;

// What the process is. Strings in `a`. ERR_UNAVAILABLE: it ended or became another program while it was
// looked at. ERR_DENIED: it cannot be named, and why.
enum err_code proc_identity(struct exehash *h, uint32_t pid, struct arena *a, struct identity *ret,
                            struct err *e) NONNULL;

// Reference 3.1 item 5: the same executable, hash, ancestors and arguments. A parent and its child are not:
// the child has one ancestor more.
[[nodiscard]] bool proc_same(const struct identity *a, const struct identity *b) NONNULL;
