// cmd/input.h: files that commands read, and the one way in which they are replaced.
#pragma once
#include "base/buf.h"

enum { INPUT_MAX = MIB }; // as POLICY_TEXT_MAX

// Reads all of a file, or of standard input for "-". *ret is a new buffer for the caller. May block on a
// pipe. The error says why, without the name: fd_code(), ERR_INVALID for a directory, ERR_LIMIT over
// INPUT_MAX.
enum err_code input_read(const char *path, struct buf *ret, struct err *reterr) NONNULL;

// What messages call it: "<stdin>" for "-".
[[nodiscard]] const char *input_name(const char *path) NONNULL;

// Replaces the contents of `path` at once or not at all, keeping the file's mode. A symbolic link stays, and
// what it points to is replaced.
enum err_code input_replace(const char *path, struct str text, struct err *reterr) NONNULL;
