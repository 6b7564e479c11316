// base/fd.h: file descriptors, and whole files.
//
// Every descriptor made here is close-on-exec. All calls may block, for as long as what is behind the
// descriptor does. Errors carry the system's text; the code follows from errno (fd_code).
#pragma once
#include "base/buf.h"

#include <sys/types.h>

// For CLEANUP(fd_close) int fd = -1; closes unless negative and sets -1. Never retried on EINTR: Linux has
// closed the descriptor by then, and its number may belong to another thread. Keeps errno.
void fd_close(int *fd) NONNULL;

[[nodiscard]] static inline int fd_take(int *fd) // moves ownership out of a CLEANUP variable
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

// ENOENT is ERR_NOT_FOUND, EACCES is ERR_DENIED, ENOSPC is ERR_LIMIT, …; ERR_INTERNAL for what has no better
// name.
enum err_code fd_code(int errnum);
[[nodiscard]] const char *fd_strerror(int errnum); // static text, unlike strerror() safe in threads

// open(2) with O_CLOEXEC | O_NOCTTY added. `mode` counts only with O_CREAT.
enum err_code fd_open(const char *path, int flags, mode_t mode, int *ret, struct err *reterr) NONNULL;

[[nodiscard]] bool fd_set_nonblock(int fd); // false: errno says why

// Reads to the end. More than `max` bytes is ERR_LIMIT, found out by one byte too many, never by trusting a
// size. *ret is a new buffer for the caller to buf_done().
enum err_code fd_read_all(int fd, size_t max, struct buf *ret, struct err *reterr) NONNULL;

// Writes everything, over short writes and EINTR. For blocking descriptors: EAGAIN is ERR_UNAVAILABLE.
enum err_code fd_write_all(int fd, struct str bytes, struct err *reterr) NONNULL;

// Messages of these two begin with the path. A `path` that is no regular file (a pipe from a shell) is fine.
enum err_code file_read(const char *path, size_t max, struct buf *ret, struct err *reterr) NONNULL;

// Afterwards `path` holds either its old bytes or all of the new ones with exactly `mode`, also after a power
// cut. A symbolic link at `path` is replaced, not followed. On failure nothing is left behind; when only the
// last step, syncing the folder, fails, the new bytes are in place and the error says so.
enum err_code file_write_atomic(const char *path, struct str bytes, mode_t mode, struct err *reterr) NONNULL;
