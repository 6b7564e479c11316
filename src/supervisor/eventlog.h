// supervisor/eventlog.h: where events end: a file that is rotated, or standard error.
#pragma once
#include "base/buf.h"

enum {
    EVENTLOG_FILE_MAX = 16 * MIB, // then FILE becomes FILE.1 and so on; ours
    EVENTLOG_FILES = 3,           // FILE, FILE.1, FILE.2, as many as the reference keeps (8.1)
};

struct eventlog;

// `path` NULL: standard error, where without `all` only what is more than informational is shown. A file gets
// everything; it is made with mode 0600, and appended to where it exists. ERR_INVALID: it is not a regular
// file.
enum err_code eventlog_open(const char *path, bool all, struct eventlog **ret, struct err *e)
    __attribute__((nonnull(3, 4)));
void eventlog_free(struct eventlog *l);

// One line with its newline. What cannot be written (a full disk) is counted, and the next line that can be
// says so.
void eventlog_write(struct eventlog *l, struct str line) NONNULL;
