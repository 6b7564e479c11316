// store/statements.h: the statements of one connection, prepared once. Inside this layer only.
#pragma once
#include "base/buf.h"
#include "store/db.h"
#include "store/store.h"

enum {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_DELETE_SCOPE,
    STMT_VERSION,
    STMT_GET,
    STMT_GET_NAMED,
    STMT_LIST, // and one for each shape of a query
    STMT_LIST_SHAPES = 3 << 5,
    STMT_MAX = STMT_LIST + STMT_LIST_SHAPES,
};

struct conn {
    sqlite3 *db;
    const char *path; // the store's
    sqlite3_stmt *stmts[STMT_MAX];
};

enum err_code conn_open(const char *path, struct conn *ret, struct err *reterr) NONNULL; // as db_open()
void conn_done(struct conn *c) NONNULL;

// *ret belongs to the connection; stmt_done() when it was stepped.
enum err_code stmt_prepare(struct conn *c, unsigned which, sqlite3_stmt **ret, struct err *reterr) NONNULL;
void stmt_done(sqlite3_stmt **stmt) NONNULL;

// The parameters of a list: 1 kind, 2 workspace, 3 scope, 4 status, 5 labels, 6 limit, 7 offset; with `after`
// also 8 revision or creation time, 9 name, 10 workspace, 11 id.
unsigned stmt_of_query(const struct store_query *query) NONNULL;

// The columns of an object, in the order that INSERT binds and SELECT gives them.
enum {
    COL_ID,
    COL_KIND,
    COL_WORKSPACE,
    COL_NAME,
    COL_SCOPE,
    COL_REVISION,
    COL_STATUS,
    COL_DEDUP_KEY,
    COL_HIT_COUNT,
    COL_PAYLOAD,
    COL_CREATED_MS,
    COL_UPDATED_MS,
    COL_LABELS,
    COL_VERSION,
};

// Labels as a text, one "key=value\n" each. ERR_INVALID, ERR_LIMIT. The caller frees *ret.
enum err_code labels_write(const struct store_label *labels, size_t n, struct buf *ret, struct err *reterr)
    __attribute__((nonnull(3, 4)));
enum err_code labels_read(struct str text, struct arena *arena, const struct store_label **ret, size_t *ret_n,
                          struct err *reterr) NONNULL;
