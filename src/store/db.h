// store/db.h: one SQLite connection, set up for durability, and its errors in our words. Inside this layer
// only.
#pragma once
#include "base/base.h"

#include <sqlite3.h>

// Words the failure `rc` of `db`, which may be NULL, on the file `path`.
enum err_code db_fail(const char *path, sqlite3 *db, int rc, struct err *reterr)
    __attribute__((nonnull(1, 4)));

// Opens with the busy timeout. Until db_settle() the file is only read, closing included. For one thread at
// a time. On success *ret is for the caller to sqlite3_close().
enum err_code db_open(const char *path, sqlite3 **ret, struct err *reterr) NONNULL;

// ERR_INTERNAL: the file is damaged; ERR_PRECONDITION: it is another program's.
enum err_code db_check(const char *path, sqlite3 *db, struct err *reterr) NONNULL;

// WAL, every commit synced, a checkpoint when the last connection closes.
enum err_code db_settle(const char *path, sqlite3 *db, struct err *reterr) NONNULL;

enum err_code db_exec(const char *path, sqlite3 *db, const char *sql, struct err *reterr) NONNULL;

// The first column of the first row; 0 if there is none.
enum err_code db_number(const char *path, sqlite3 *db, const char *sql, int64_t *ret,
                        struct err *reterr) NONNULL;

static inline void db_close(sqlite3 **db)
{
    (void)sqlite3_close(*db); // every statement is finalized, so it cannot be refused
    *db = NULL;
}
static inline void db_finalize(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); // repeats the last step's error, which was handled
    *stmt = NULL;
}
