#include "store/db.h"

#include "base/fd.h"
#include "store/schema.h"
#include "store/store.h"

#include <errno.h>

enum err_code db_fail(const char *path, sqlite3 *db, int rc, struct err *reterr)
{
    int primary = rc & 0xff;
    int errnum = db && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) ? sqlite3_system_errno(db) : 0;
    if (primary == SQLITE_FULL || errnum == ENOSPC || errnum == EDQUOT)
        return err_set(
            reterr, ERR_LIMIT,
            "store '%s': the disk is full; nothing acknowledged is lost, free some space and try again",
            path);
    const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    switch (primary) {
    case SQLITE_NOMEM:
        return err_set(reterr, ERR_LIMIT, "store '%s': no memory", path);
    case SQLITE_TOOBIG:
        return err_set(reterr, ERR_LIMIT, "store '%s': a row is too large", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(reterr, ERR_UNAVAILABLE, "store '%s': another process has held it for %d s", path,
                       STORE_BUSY_MS / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(reterr, ERR_INTERNAL,
                       "store '%s' is damaged (%s); move it away or put a copy of it back", path, why);
    case SQLITE_READONLY:
        return err_set(reterr, ERR_UNAVAILABLE, "store '%s': it cannot be written (%s)", path, why);
    default:
        return err_set(reterr, ERR_INTERNAL, "store '%s': %s%s%s", path, why, errnum ? ": " : "",
                       errnum ? fd_strerror(errnum) : "");
    }
}

enum err_code db_exec(const char *path, sqlite3 *db, const char *sql, struct err *reterr)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : db_fail(path, db, rc, reterr);
}

enum err_code db_number(const char *path, sqlite3 *db, const char *sql, int64_t *ret, struct err *reterr)
{
    CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return db_fail(path, db, rc, reterr);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    return ERR_OK;
}

enum err_code db_open(const char *path, sqlite3 **ret, struct err *reterr)
{
    CLEANUP(db_close) sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK)
        return db_fail(path, db, rc, reterr);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, STORE_BUSY_MS);
    // A damaged schema runs nothing, and a damaged file is not written to by the close of a failed open.
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum err_code r = db_exec(path, db, "PRAGMA cell_size_check=1; PRAGMA temp_store=MEMORY", reterr);
    if (r != ERR_OK)
        return r;
    *ret = TAKE(db);
    return ERR_OK;
}

enum err_code db_check(const char *path, sqlite3 *db, struct err *reterr)
{
    int64_t id = 0, objects = 0;
    enum err_code r = db_number(path, db, "PRAGMA application_id", &id, reterr);
    if (r == ERR_OK)
        r = db_number(path, db, "SELECT count(*) FROM sqlite_schema", &objects, reterr);
    if (r != ERR_OK)
        return r;
    if (id != SCHEMA_APPLICATION && (id != 0 || objects != 0))
        return err_set(reterr, ERR_PRECONDITION, "'%s' is another program's database, not a store", path);
    CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return db_fail(path, db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, reterr);
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    if (!text)
        return db_fail(path, db, SQLITE_NOMEM, reterr);
    if (strcmp(text, "ok") != 0)
        return err_set(reterr, ERR_INTERNAL,
                       "store '%s' is damaged (%s); move it away or put a copy of it back", path, text);
    return ERR_OK;
}

enum err_code db_settle(const char *path, sqlite3 *db, struct err *reterr)
{
    CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return db_fail(path, db, rc, reterr);
    const char *mode = (const char *)sqlite3_column_text(stmt, 0);
    if (!mode)
        return db_fail(path, db, SQLITE_NOMEM, reterr);
    if (strcmp(mode, "wal") != 0)
        return err_set(reterr, ERR_UNSUPPORTED, "store '%s': its file system cannot hold a write-ahead log",
                       path);
    db_finalize(&stmt);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return db_exec(path, db, "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=16777216", reterr);
}
