// isolate/rootfs_mount.h: the single steps that rootfs.c puts together. Paths are relative to a descriptor
// and looked up below it, without magic links; links count as inside it.
#pragma once
#include "isolate/rootfs.h"

enum { PATH_TEXT_MAX = 4096 };

enum err_code mnt_private(struct err *e) NONNULL; // nothing mounted here is seen outside
enum err_code mnt_scratch(uint64_t size, int *ret, struct err *e) NONNULL;
enum err_code mnt_clone(int dir, const char *path, bool submounts, int *ret, struct err *e) NONNULL;
enum err_code mnt_attach(int tree, int dir, const char *path, struct err *e) NONNULL;
enum err_code mnt_flags(int tree, bool read_only, struct err *e) NONNULL;     // and no setuid, no devices
enum err_code mnt_flags_one(int tree, bool read_only, struct err *e) NONNULL; // without what is mounted below
enum err_code mnt_overlay(int base, const char *layer, int *ret, struct err *e) NONNULL; // of l, u and w
enum err_code mnt_proc(int root, struct err *e) NONNULL;
enum err_code mnt_dev(int root, struct err *e) NONNULL;
enum err_code mnt_pivot(int root, struct err *e) NONNULL;

enum err_code mnt_open(int root, const char *path, int flags, int *ret, struct err *e) NONNULL;
// Like mkdir -p; the last one, where it is new, is given to owner->uid and gid (owner may be NULL).
enum err_code mnt_mkdirs(int root, const char *path, mode_t mode, const struct rootfs *owner, struct err *e)
    __attribute__((nonnull(2, 5)));
enum err_code mnt_touch(int root, const char *path, struct err *e) NONNULL;
enum err_code mnt_link(int root, const char *path, const char *to, struct err *e) NONNULL;
enum err_code mnt_file(int dir, const char *name, struct str text, struct err *e) NONNULL; // replaces

// "/a/./b//../c" -> "/a/c", lexically, for what a link says. False: too long.
[[nodiscard]] bool mnt_resolve_dots(const char *path, char dst[static PATH_TEXT_MAX]) NONNULL;
