#include "store/schema.h"

#include "base/clock.h"

// The expression on names puts the rows without one first, and lets lists of a workspace, and of all of them,
// come out of an index in their order.
const struct migration schema_migrations[] = {
    {"CREATE TABLE object ("
     " id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT, scope TEXT,"
     " revision INTEGER, status TEXT, dedup_key TEXT, hit_count INTEGER NOT NULL, payload BLOB NOT NULL,"
     " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, labels TEXT NOT NULL,"
     " version INTEGER NOT NULL);"
     "CREATE UNIQUE INDEX object_name ON object (kind, workspace, name) WHERE name IS NOT NULL;"
     "CREATE UNIQUE INDEX object_revision ON object (kind, scope, revision) WHERE revision IS NOT NULL;"
     "CREATE UNIQUE INDEX object_dedup_key ON object (kind, scope, dedup_key) WHERE dedup_key IS NOT NULL;"
     "CREATE INDEX object_scope ON object (kind, scope) WHERE scope IS NOT NULL;"
     "CREATE INDEX object_page ON object (kind, workspace, created_ms, ifnull(name, ''), id);"
     "CREATE INDEX object_page_all ON object (kind, created_ms, ifnull(name, ''), workspace, id);"},
};
const size_t schema_n = ARRAY_LEN(schema_migrations);

// FNV-1a, which finds mistakes, not malice: who can change the file can change this, too. Not str_hash(),
// which may change with a release.
static int64_t checksum(const char *text)
{
    uint64_t h = 0xcbf29ce484222325;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3;
    return (int64_t)h; // the same bits, as gcc and clang define it
}

// What is recorded must be the beginning of `list`. *ret becomes the number of applied ones.
static enum err_code compare(const char *path, sqlite3 *db, const struct migration *list, size_t n,
                             size_t *ret, struct err *reterr)
{
    CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT version, checksum FROM migration ORDER BY version", -1, &stmt,
                                NULL);
    size_t known = 0;
    if (rc == SQLITE_OK) {
        for (; (rc = sqlite3_step(stmt)) == SQLITE_ROW; known++) {
            int64_t version = sqlite3_column_int64(stmt, 0);
            if (version > (int64_t)n)
                return err_set(reterr, ERR_PRECONDITION,
                               "store '%s' was written by a newer release: its schema is %lld, this release "
                               "knows up to %zu",
                               path, (long long)version, n);
            if (version != (int64_t)known + 1 || sqlite3_column_int64(stmt, 1) != checksum(list[known].sql))
                return err_set(reterr, ERR_PRECONDITION,
                               "store '%s': migration %zu is not the one that this release knows", path,
                               known + 1);
        }
    }
    if (rc != SQLITE_DONE)
        return db_fail(path, db, rc, reterr);
    *ret = known;
    return ERR_OK;
}

static enum err_code record(const char *path, sqlite3 *db, size_t version, const char *sql,
                            struct err *reterr)
{
    CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "INSERT INTO migration VALUES (?, ?, ?)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_int64(stmt, 1, (int64_t)version); // a fresh statement takes any number
        (void)sqlite3_bind_int64(stmt, 2, checksum(sql));
        (void)sqlite3_bind_int64(stmt, 3, clock_realtime_ms());
        rc = sqlite3_step(stmt);
    }
    return rc == SQLITE_DONE ? ERR_OK : db_fail(path, db, rc, reterr);
}

static enum err_code bring_up(const char *path, sqlite3 *db, const struct migration *list, size_t n,
                              struct err *reterr)
{
    enum err_code r = db_exec(path, db,
                              "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY,"
                              " checksum INTEGER NOT NULL, applied_ms INTEGER NOT NULL)",
                              reterr);
    size_t known = 0;
    if (r == ERR_OK)
        r = compare(path, db, list, n, &known, reterr);
    if (r == ERR_OK && known == 0)
        r = db_exec(path, db, "PRAGMA application_id=0x4f53484c", reterr);
    for (size_t i = known; r == ERR_OK && i < n; i++) {
        r = db_exec(path, db, list[i].sql, reterr);
        if (r == ERR_OK)
            r = record(path, db, i + 1, list[i].sql, reterr);
        if (r != ERR_OK)
            return err_wrap(reterr, r, "migration %zu", i + 1);
    }
    return r;
}

enum err_code schema_apply(const char *path, sqlite3 *db, const struct migration *list, size_t n,
                           struct err *reterr)
{
    enum err_code r = db_exec(path, db, "BEGIN IMMEDIATE", reterr);
    if (r != ERR_OK)
        return r;
    r = bring_up(path, db, list, n, reterr);
    if (r == ERR_OK)
        r = db_exec(path, db, "COMMIT", reterr);
    return r;
}
