#include "store/statements.h"

// ---- labels
// -------------------------------------------------------------------------------------------------

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

enum err_code labels_write(const struct store_label *labels, size_t n, struct buf *ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, STORE_LABELS_BYTES);
    for (size_t i = 0; i < n; i++) {
        const struct store_label *l = &labels[i];
        if (l->key.n == 0 || !is_text(l->key) || str_has(l->key, '=') || !is_text(l->value))
            return err_set(
                reterr, ERR_INVALID,
                "label %zu, '%.*s': a key has one byte or more and no '='; neither it nor a value has "
                "control characters",
                i + 1, STR_FMT(l->key));
        for (size_t k = 0; k < i; k++)
            if (str_eq(labels[k].key, l->key))
                return err_set(reterr, ERR_INVALID, "label '%.*s' is there twice", STR_FMT(l->key));
        buf_add(&text, l->key);
        buf_addc(&text, '=');
        buf_add(&text, l->value);
        buf_addc(&text, '\n');
        if (text.full) // asked in the loop, which is quadratic in what fits
            return buf_check(&text, "labels", reterr);
    }
    *ret = text;
    text = (struct buf){};
    return ERR_OK;
}

enum err_code labels_read(struct str text, struct arena *arena, const struct store_label **ret, size_t *ret_n,
                          struct err *reterr)
{
    size_t n = 0;
    for (struct str rest = text, line; str_line(&rest, &line);)
        n++;
    struct store_label *labels = arena_newn(arena, struct store_label, n);
    struct str copy;
    if (!labels || !arena_dup(arena, text, &copy))
        return arena_limit(arena, "labels", reterr);
    for (size_t i = 0; i < n; i++) {
        struct str line;
        (void)str_line(&copy, &line); // there are n
        (void)str_split(&line, '=', &labels[i].key);
        labels[i].value = line;
    }
    *ret = labels;
    *ret_n = n;
    return ERR_OK;
}

// labels_have(HAVE, WANTED): every line of WANTED is one of HAVE.
static void labels_have(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc; // registered with two
    struct str text[2];
    for (int i = 0; i < 2; i++) // the length is right only behind the call that gives the bytes
        text[i].p = sqlite3_value_blob(argv[i]), text[i].n = (size_t)sqlite3_value_bytes(argv[i]);
    bool all = true;
    for (struct str rest = text[1], want; all && str_line(&rest, &want);) {
        all = false;
        for (struct str lines = text[0], line; !all && str_line(&lines, &line);)
            all = str_eq(line, want);
    }
    sqlite3_result_int(ctx, all);
}

// ---- statements
// ---------------------------------------------------------------------------------------------

#define COLUMNS                                                                                              \
    "id, kind, workspace, name, scope, revision, status, dedup_key, hit_count, payload, created_ms, "        \
    "updated_ms, labels, version"

static const char *const fixed[STMT_LIST] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_INSERT] = "INSERT INTO object (" COLUMNS
                    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1)",
    // The same numbers; ?14 is the version that it must have.
    [STMT_UPDATE] =
        "UPDATE object SET name = ?4, status = ?7, dedup_key = ?8, hit_count = ?9, payload = ?10,"
        " updated_ms = ?12, labels = ?13, version = version + 1"
        " WHERE id = ?1 AND kind = ?2 AND workspace = ?3 AND ?14 IN (0, version) RETURNING version",
    [STMT_DELETE] = "DELETE FROM object WHERE id = ?1 AND kind = ?2 AND workspace = ?3 AND ?4 IN (0, version)"
                    " RETURNING version",
    [STMT_DELETE_SCOPE] = "DELETE FROM object WHERE kind = ?1 AND workspace = ?2 AND scope = ?3",
    [STMT_VERSION] = "SELECT version FROM object WHERE id = ?1 AND kind = ?2 AND workspace = ?3",
    [STMT_GET] = "SELECT " COLUMNS " FROM object WHERE kind = ?1 AND id = ?2",
    [STMT_GET_NAMED] = "SELECT " COLUMNS " FROM object WHERE kind = ?1 AND workspace = ?2 AND name = ?3",
};

enum { // the shape of a query: its order times 32, and these
    BY_WORKSPACE = 1,
    BY_SCOPE = 2,
    BY_STATUS = 4,
    BY_LABELS = 8,
    BY_AFTER = 16,
};

unsigned stmt_of_query(const struct store_query *q)
{
    return STMT_LIST + ((unsigned)q->order << 5) + (q->all_workspaces ? 0 : BY_WORKSPACE) +
           (q->scope.p ? BY_SCOPE : 0) + (q->status.p ? BY_STATUS : 0) + (q->n_labels ? BY_LABELS : 0) +
           (q->after ? BY_AFTER : 0);
}

static void list_sql(unsigned shape, struct buf *sql)
{
    static const char *const after[] = {
        [STORE_OLDEST] = " AND (created_ms, ifnull(name, ''), workspace, id) > (?8, ?9, ?10, ?11)",
        [STORE_NEWEST] = " AND (created_ms, ifnull(name, ''), workspace, id) < (?8, ?9, ?10, ?11)",
        [STORE_LAST_REVISION] = " AND (revision, workspace, id) < (?8, ?10, ?11)",
    };
    static const char *const order[] = {
        [STORE_OLDEST] = "created_ms, ifnull(name, ''), workspace, id",
        [STORE_NEWEST] = "created_ms DESC, ifnull(name, '') DESC, workspace DESC, id DESC",
        [STORE_LAST_REVISION] = "revision DESC, workspace DESC, id DESC",
    };
    unsigned by = shape >> 5;
    buf_addf(sql, "SELECT " COLUMNS " FROM object WHERE kind = ?1%s%s%s%s%s%s",
             shape & BY_WORKSPACE ? " AND workspace = ?2" : "", shape & BY_SCOPE ? " AND scope = ?3" : "",
             shape & BY_STATUS ? " AND status = ?4" : "",
             by == STORE_LAST_REVISION ? " AND revision IS NOT NULL" : "",
             shape & BY_LABELS ? " AND labels_have(labels, ?5)" : "", shape & BY_AFTER ? after[by] : "");
    buf_addf(sql, " ORDER BY %s LIMIT ?6 OFFSET ?7", order[by]);
}

enum err_code stmt_prepare(struct conn *c, unsigned which, sqlite3_stmt **ret, struct err *reterr)
{
    if (!c->stmts[which]) {
        CLEANUP(buf_done) struct buf sql;
        buf_init(&sql, 4 * KIB);
        if (which < STMT_LIST)
            buf_add(&sql, str_of(fixed[which]));
        else
            list_sql(which - STMT_LIST, &sql);
        enum err_code r = buf_check(&sql, "a statement", reterr);
        if (r != ERR_OK)
            return r;
        int rc = sqlite3_prepare_v3(c->db, sql.p, (int)sql.n, SQLITE_PREPARE_PERSISTENT, &c->stmts[which],
                                    NULL);
        if (rc != SQLITE_OK)
            return db_fail(c->path, c->db, rc, reterr);
    }
    *ret = c->stmts[which];
    return ERR_OK;
}

void stmt_done(sqlite3_stmt **stmt)
{
    if (*stmt) {
        (void)sqlite3_reset(*stmt); // repeats the last step's error, which was handled
        (void)sqlite3_clear_bindings(*stmt);
        *stmt = NULL;
    }
}

enum err_code conn_open(const char *path, struct conn *ret, struct err *reterr)
{
    CLEANUP(db_close) sqlite3 *db = NULL;
    enum err_code r = db_open(path, &db, reterr);
    if (r != ERR_OK)
        return r;
    int rc = sqlite3_create_function(db, "labels_have", 2,
                                     SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL, labels_have,
                                     NULL, NULL);
    if (rc != SQLITE_OK)
        return db_fail(path, db, rc, reterr);
    *ret = (struct conn){.db = TAKE(db), .path = path};
    return ERR_OK;
}

void conn_done(struct conn *c)
{
    for (size_t i = 0; i < ARRAY_LEN(c->stmts); i++)
        db_finalize(&c->stmts[i]);
    db_close(&c->db);
}
