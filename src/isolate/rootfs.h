// isolate/rootfs.h: what a sandbox sees as "/".
//
// Of the host's tree a sandbox gets what its policy names and nothing else: the named folders, read-only, at
// their own places in an empty root; folders named as writable as a private copy (overlay, in memory); the
// work directory itself, writable. A tree of the user's own (an unpacked image) is there as a whole, as an
// overlay. Then /proc, /dev, /tmp and /run of its own, so no socket of the host can be reached by name.
// Landlock, inside, decides what of it the agent may use: this is the wall behind that wall.
#pragma once
#include "base/base.h"

#include <sys/types.h>

struct rootfs_list {
    const struct str *v;
    size_t n;
};

struct rootfs_file { // put below /etc, whatever the host has there
    const char *name;
    struct str text;
};

struct rootfs {
    int base_fd;                              // the tree; AT_FDCWD: the host's own
    struct rootfs_list read_only, read_write; // absolute, normalised, without ".."
    struct str workdir;                       // where the work directory is to be seen
    int workdir_fd;                           // detached mount (rootfs_workdir), taken; -1: none
    bool workdir_writable;
    uid_t uid; // who owns /tmp, /sandbox and what is created
    gid_t gid;
    struct str sockets; // of the host, one path a line: those that the tree shows are covered, unless it
                        // names them
    uint64_t scratch;   // bytes of memory that private files may take
    const struct rootfs_file *etc;
    size_t etc_n;
};

// The folder as a detached mount to hand to the sandbox's init. Where `idmap` (from ns_idmap) is not -1,
// files of the folder's owner are the agent's in there. ERR_UNSUPPORTED: the file system knows no such
// mounts, and what to do.
enum err_code rootfs_workdir(const char *path, int idmap, int *ret, struct err *e) NONNULL;

// In init: builds the tree, moves into it and forgets the old one. The process may die with ENOSPC later, but
// nothing outside changes.
enum err_code rootfs_enter(const struct rootfs *r, struct err *e) NONNULL;

// Afterwards, in init: a file below /etc/openshell-tls, mode 0444.
enum err_code rootfs_tls_file(const char *name, struct str text, struct err *e) NONNULL;

// The bundle among those files, ca-bundle.pem: what `fd` holds from its beginning. It also takes the place of
// the system's own, for programs that know only that. Then the sandbox's own CA is put behind the others.
enum err_code rootfs_tls_bundle(int fd, struct err *e) NONNULL;
enum err_code rootfs_tls_bundle_add(struct str pem, struct err *e) NONNULL;

// Lexically, as the policy's paths are read: no "." and no empty component, no "/" at the end. False: not
// absolute, has "..", or longer than size.
[[nodiscard]] bool rootfs_normal(struct str path, char *dst, size_t size) NONNULL;

// Whether `path` is `dir` or below it, both normal.
[[nodiscard]] bool rootfs_below(struct str path, struct str dir);
