// isolate/exehash.h: what an executable's content is, and whether it still is what it was (reference 3.2).
#pragma once
#include "base/base.h"

#include <sys/types.h>
#include <time.h>

enum {
    EXEHASH_FILES_MAX = 1024,      // contents remembered by (device, inode, size, mtime, ctime), a ring; ours
    EXEHASH_PATHS_MAX = 32 * 1024, // executables that may be pinned; ours
    EXEHASH_LEARNT_MAX = 80,       // known for a moment only: those of one process and its ancestors; ours
    EXEHASH_FRESH_MS = 100, // a file changed less long ago is not remembered: ctime ticks, and may stay; ours
};
#define EXEHASH_BYTES_MAX ((off_t)512 * MIB) // of one executable: a second of the caller's time; ours

// The process's; not for two threads.
struct exehash;
enum err_code exehash_new(struct exehash **ret, struct err *e) NONNULL;
void exehash_free(struct exehash *t);

// Hex SHA-256 of the regular file that `fd` is open on, read from its beginning unless it is remembered.
// ERR_DENIED: it cannot be read, is larger than EXEHASH_BYTES_MAX, or changed while it was read.
enum err_code exehash_file(struct exehash *t, int fd, char ret[static 65], struct err *e) NONNULL;

// The same of what is remembered or was learnt; reads nothing. ERR_NOT_FOUND: it must be read.
enum err_code exehash_known(const struct exehash *t, int fd, char ret[static 65], struct err *e) NONNULL;

// For another process to do the reading: what exehash_file() would find, as bytes that can be sent.
struct exehash_key { // an executable's content, as far as one can tell without reading it
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};
[[nodiscard]] bool exehash_same(const struct exehash_key *a, const struct exehash_key *b) NONNULL;
// Of the file that a name in a folder leads to. False: errno says why.
[[nodiscard]] bool exehash_key_at(int dir, const char *name, struct exehash_key *ret) NONNULL;

struct exehash_found {
    struct exehash_key key;
    uint32_t code; // enum err_code; but for ERR_OK the text says why
    bool fresh;
    char hash[65];
    char why[160];
};
void exehash_read(int fd, struct exehash_found *ret) NONNULL;
// What may be remembered is, as by exehash_file(); the rest (contents that are fresh, failures) is known
// until exehash_forget(). More than EXEHASH_LEARNT_MAX of the latter are dropped.
void exehash_learn(struct exehash *t, const struct exehash_found *found) NONNULL;
void exehash_forget(struct exehash *t) NONNULL;

// Trust on first use: the first hash given for a path stays. ERR_DENIED: another is given now; or
// EXEHASH_PATHS_MAX paths are pinned and this is a new one. No pin is ever given up: a program could make
// that happen, and swap what it unpinned.
enum err_code exehash_pin(struct exehash *t, struct str path, const char hash[static 65],
                          struct err *e) NONNULL;
