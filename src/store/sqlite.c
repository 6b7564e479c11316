// The store on SQLite. One connection writes, under a lock; a few others read, each lent to one thread at a
// time. In WAL mode neither waits for the other. Every statement stands for a transaction of its own, except
// in store_apply().
#include "base/fd.h"
#include "store/schema.h"
#include "store/sqlite.h"
#include "store/statements.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READERS = 4,     // ours: as many as workers that usually read at once
    PATH_MAX_ = 4000 // of the file; leaves room for "-journal"
};

struct store {
    char path[PATH_MAX_];
    pthread_mutex_t write_lock; // guards `writer`
    struct conn writer;
    pthread_mutex_t pool_lock; // guards `lent`
    pthread_cond_t returned;
    struct conn readers[READERS]; // guarded by being lent
    bool lent[READERS];
};

// ---- the file
// -----------------------------------------------------------------------------------------------

static enum err_code private_folder(const char *folder, struct err *reterr)
{
    struct stat st;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set(reterr, fd_code(errno), "make folder '%s': %s", folder, fd_strerror(errno));
    if (stat(folder, &st) < 0)
        return err_set(reterr, fd_code(errno), "folder '%s': %s", folder, fd_strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(reterr, ERR_DENIED,
                       "'%s' must be a folder of user %u with mode 0700, not of user %u with mode %04o",
                       folder, (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    return ERR_OK;
}

// A file that is there is never opened here: closing it would drop this process's locks on it.
static enum err_code private_file(const char *path, const char *folder, struct err *reterr)
{
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        CLEANUP(fd_close) int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0 || fsync(dir) < 0) // a name that survives
            return err_set(reterr, fd_code(errno), "make '%s': %s", path, fd_strerror(errno));
        return ERR_OK;
    }
    struct stat st;
    if (errno != EEXIST || lstat(path, &st) < 0)
        return err_set(reterr, fd_code(errno), "make '%s': %s%s", path, fd_strerror(errno),
                       errno == ENOSPC ? "; free some space and try again" : "");
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return err_set(reterr, ERR_DENIED, "'%s' must be a file of user %u, and no link", path,
                       (unsigned)geteuid());
    if ((st.st_mode & 07777) != 0600 && chmod(path, 0600) < 0)
        return err_set(reterr, fd_code(errno), "chmod '%s': %s", path, fd_strerror(errno));
    return ERR_OK;
}

static enum err_code ready_file(const char *path, struct err *reterr)
{
    char folder[PATH_MAX_];
    size_t n = (size_t)(strrchr(path, '/') - path); // absolute
    memcpy(folder, path, n);
    folder[n] = '\0';
    enum err_code r = private_folder(n ? folder : "/", reterr);
    return r == ERR_OK ? private_file(path, n ? folder : "/", reterr) : r;
}

// ---- binding and reading rows
// -------------------------------------------------------------------------------

static int bind_str(sqlite3_stmt *stmt, int at, struct str s) // p == NULL: SQL's NULL
{
    return sqlite3_bind_text64(stmt, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_here(sqlite3_stmt *stmt, int at, struct str s) // p == NULL: empty
{
    return bind_str(stmt, at, s.p ? s : STR(""));
}

static int bind_int(sqlite3_stmt *stmt, int at, int64_t n)
{
    return sqlite3_bind_int64(stmt, at, n);
}

// False: the arena is full, or SQLite had no memory.
static bool column(sqlite3_stmt *stmt, int at, struct arena *arena, struct str *ret)
{
    if (sqlite3_column_type(stmt, at) == SQLITE_NULL) {
        *ret = (struct str){};
        return true;
    }
    const char *p = sqlite3_column_blob(stmt, at); // first: the length is that of the bytes given last
    size_t n = (size_t)sqlite3_column_bytes(stmt, at);
    return (p || n == 0) && arena_dup(arena, p ? (struct str){p, n} : STR(""), ret);
}

static enum err_code row(sqlite3_stmt *stmt, struct arena *arena, struct store_object *ret,
                         struct err *reterr)
{
    struct store_object o = {
        .revision = sqlite3_column_int64(stmt, COL_REVISION),
        .hit_count = sqlite3_column_int64(stmt, COL_HIT_COUNT),
        .created_ms = sqlite3_column_int64(stmt, COL_CREATED_MS),
        .updated_ms = sqlite3_column_int64(stmt, COL_UPDATED_MS),
        .version = (uint64_t)sqlite3_column_int64(stmt, COL_VERSION),
    };
    const struct {
        int at;
        struct str *to;
    } text[] = {
        {COL_ID, &o.id},
        {COL_KIND, &o.kind},
        {COL_WORKSPACE, &o.workspace},
        {COL_NAME, &o.name},
        {COL_SCOPE, &o.scope},
        {COL_STATUS, &o.status},
        {COL_DEDUP_KEY, &o.dedup_key},
        {COL_PAYLOAD, &o.payload},
    };
    for (size_t i = 0; i < ARRAY_LEN(text); i++)
        if (!column(stmt, text[i].at, arena, text[i].to))
            return arena_limit(arena, "a stored object", reterr);
    const char *labels = sqlite3_column_blob(stmt, COL_LABELS);
    size_t n = (size_t)sqlite3_column_bytes(stmt, COL_LABELS);
    enum err_code r = labels_read((struct str){labels, n}, arena, &o.labels, &o.n_labels, reterr);
    if (r == ERR_OK)
        *ret = o;
    return r;
}

// ---- reading
// ------------------------------------------------------------------------------------------------

static struct conn *borrow(struct store *st)
{
    (void)pthread_mutex_lock(&st->pool_lock);
    for (;;) {
        for (size_t i = 0; i < READERS; i++)
            if (!st->lent[i]) {
                st->lent[i] = true;
                (void)pthread_mutex_unlock(&st->pool_lock);
                return &st->readers[i];
            }
        (void)pthread_cond_wait(&st->returned, &st->pool_lock);
    }
}

static void give_back(struct store *st, struct conn *c)
{
    (void)pthread_mutex_lock(&st->pool_lock);
    st->lent[c - st->readers] = false;
    (void)pthread_cond_signal(&st->returned);
    (void)pthread_mutex_unlock(&st->pool_lock);
}

static enum err_code get_one(struct conn *c, unsigned which, const struct str *keys, int n,
                             struct arena *arena, struct store_object *ret, struct err *reterr)
{
    CLEANUP(stmt_done) sqlite3_stmt *stmt = NULL;
    enum err_code r = stmt_prepare(c, which, &stmt, reterr);
    if (r != ERR_OK)
        return r;
    int rc = SQLITE_OK;
    for (int i = 0; i < n && rc == SQLITE_OK; i++)
        rc = bind_here(stmt, i + 1, keys[i]);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        return err_set(reterr, ERR_NOT_FOUND, "there is no %.*s '%.*s'", STR_FMT(keys[0]),
                       STR_FMT(keys[n - 1]));
    return rc == SQLITE_ROW ? row(stmt, arena, ret, reterr) : db_fail(c->path, c->db, rc, reterr);
}

enum err_code store_get(struct store *st, struct str kind, struct str id, struct arena *arena,
                        struct store_object *ret, struct err *reterr)
{
    struct conn *c = borrow(st);
    enum err_code r = get_one(c, STMT_GET, (struct str[]){kind, id}, 2, arena, ret, reterr);
    give_back(st, c);
    return r;
}

enum err_code store_get_named(struct store *st, struct str kind, struct str workspace, struct str name,
                              struct arena *arena, struct store_object *ret, struct err *reterr)
{
    struct conn *c = borrow(st);
    enum err_code r = get_one(c, STMT_GET_NAMED, (struct str[]){kind, workspace, name}, 3, arena, ret,
                              reterr);
    give_back(st, c);
    return r;
}

static int bind_query(sqlite3_stmt *stmt, const struct store_query *q, struct str labels)
{
    int rc = bind_here(stmt, 1, q->kind);
    if (rc == SQLITE_OK && !q->all_workspaces)
        rc = bind_here(stmt, 2, q->workspace);
    if (rc == SQLITE_OK)
        rc = bind_str(stmt, 3, q->scope);
    if (rc == SQLITE_OK)
        rc = bind_str(stmt, 4, q->status);
    if (rc == SQLITE_OK)
        rc = bind_str(stmt, 5, labels);
    if (rc == SQLITE_OK)
        rc = bind_int(stmt, 6, (int64_t)q->limit + 1); // the one too many says whether there are more
    if (rc == SQLITE_OK)
        rc = bind_int(stmt, 7, q->offset > INT64_MAX ? INT64_MAX : (int64_t)q->offset);
    const struct store_object *a = q->after;
    if (rc == SQLITE_OK && a)
        rc = bind_int(stmt, 8, q->order == STORE_LAST_REVISION ? a->revision : a->created_ms);
    if (rc == SQLITE_OK && a && q->order != STORE_LAST_REVISION)
        rc = bind_here(stmt, 9, a->name);
    if (rc == SQLITE_OK && a)
        rc = bind_here(stmt, 10, a->workspace);
    if (rc == SQLITE_OK && a)
        rc = bind_here(stmt, 11, a->id);
    return rc;
}

static enum err_code list(struct conn *c, const struct store_query *q, struct str labels, struct arena *arena,
                          const struct store_object **ret, size_t *ret_n, bool *ret_more, struct err *reterr)
{
    CLEANUP(stmt_done) sqlite3_stmt *stmt = NULL;
    enum err_code r = stmt_prepare(c, stmt_of_query(q), &stmt, reterr);
    if (r != ERR_OK)
        return r;
    CLEANUP(base_freep) struct store_object *rows = calloc(q->limit, sizeof(*rows));
    if (!rows)
        return err_set(reterr, ERR_LIMIT, "no memory for a list of %u objects", (unsigned)q->limit);
    int rc = bind_query(stmt, q, labels);
    size_t n = 0;
    if (rc == SQLITE_OK)
        for (; (rc = sqlite3_step(stmt)) == SQLITE_ROW && n < q->limit; n++)
            if ((r = row(stmt, arena, &rows[n], reterr)) != ERR_OK)
                return r;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return db_fail(c->path, c->db, rc, reterr);
    struct store_object *out = arena_newn(arena, struct store_object, n);
    if (!out)
        return arena_limit(arena, "a list of stored objects", reterr);
    if (n > 0)
        memcpy(out, rows, n * sizeof(*out));
    *ret = out;
    *ret_n = n;
    *ret_more = rc == SQLITE_ROW;
    return ERR_OK;
}

enum err_code store_list(struct store *st, const struct store_query *query, struct arena *arena,
                         const struct store_object **ret, size_t *ret_n, bool *ret_more, struct err *reterr)
{
    if (query->limit == 0 || query->limit > STORE_PAGE_MAX)
        return err_set(reterr, ERR_INVALID, "a page has 1 to %d objects, not %u", STORE_PAGE_MAX,
                       (unsigned)query->limit);
    CLEANUP(buf_done) struct buf labels = {};
    enum err_code r = labels_write(query->labels, query->n_labels, &labels, reterr);
    if (r != ERR_OK)
        return r;
    struct conn *c = borrow(st);
    r = list(c, query, buf_str(&labels), arena, ret, ret_n, ret_more, reterr);
    give_back(st, c);
    return r;
}

// ---- writing
// ------------------------------------------------------------------------------------------------

static int bind_object(sqlite3_stmt *stmt, const struct store_object *o, struct str labels)
{
    const struct {
        int at;
        struct str text;
        bool may_be_absent;
    } text[] = {
        {COL_ID, o->id, false},
        {COL_KIND, o->kind, false},
        {COL_WORKSPACE, o->workspace, false},
        {COL_NAME, o->name, true},
        {COL_SCOPE, o->scope, true},
        {COL_STATUS, o->status, true},
        {COL_DEDUP_KEY, o->dedup_key, true},
        {COL_LABELS, labels, false},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_LEN(text) && rc == SQLITE_OK; i++)
        rc = (text[i].may_be_absent ? bind_str : bind_here)(stmt, text[i].at + 1, text[i].text);
    if (rc == SQLITE_OK && o->revision != 0)
        rc = bind_int(stmt, COL_REVISION + 1, o->revision);
    if (rc == SQLITE_OK)
        rc = bind_int(stmt, COL_HIT_COUNT + 1, o->hit_count);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob64(stmt, COL_PAYLOAD + 1, o->payload.p ? o->payload.p : "", o->payload.n,
                                 SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = bind_int(stmt, COL_CREATED_MS + 1, o->created_ms);
    return rc == SQLITE_OK ? bind_int(stmt, COL_UPDATED_MS + 1, o->updated_ms) : rc;
}

// Which of the unique keys was taken, as the message of SQLite names its columns.
static enum err_code write_fail(struct conn *c, const struct store_object *o, int rc, struct err *reterr)
{
    if ((rc & 0xff) != SQLITE_CONSTRAINT)
        return db_fail(c->path, c->db, rc, reterr);
    const char *what = sqlite3_errmsg(c->db);
    if (strstr(what, "object.name"))
        return err_set(reterr, ERR_EXISTS, "a %.*s named '%.*s' is there already", STR_FMT(o->kind),
                       STR_FMT(o->name));
    if (strstr(what, "object.revision"))
        return err_set(reterr, ERR_EXISTS, "revision %lld of the %.*s of '%.*s' is there already",
                       (long long)o->revision, STR_FMT(o->kind), STR_FMT(o->scope));
    if (strstr(what, "object.dedup_key"))
        return err_set(reterr, ERR_EXISTS, "a %.*s of '%.*s' with the key '%.*s' is there already",
                       STR_FMT(o->kind), STR_FMT(o->scope), STR_FMT(o->dedup_key));
    if (strstr(what, "object.id"))
        return err_set(reterr, ERR_EXISTS, "an object with the id '%.*s' is there already", STR_FMT(o->id));
    return db_fail(c->path, c->db, rc, reterr);
}

static int bind_keys(sqlite3_stmt *stmt, struct str a, struct str b, struct str c)
{
    int rc = bind_here(stmt, 1, a);
    if (rc == SQLITE_OK)
        rc = bind_here(stmt, 2, b);
    return rc == SQLITE_OK ? bind_here(stmt, 3, c) : rc;
}

// No row had both the key and the version: which was it? *version becomes what there is.
static enum err_code no_match(struct conn *c, const struct store_write *w, uint64_t *version,
                              struct err *reterr)
{
    const struct store_object *o = &w->object;
    CLEANUP(stmt_done) sqlite3_stmt *stmt = NULL;
    enum err_code r = stmt_prepare(c, STMT_VERSION, &stmt, reterr);
    if (r != ERR_OK)
        return r;
    int rc = bind_keys(stmt, o->id, o->kind, o->workspace);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        return err_set(reterr, ERR_NOT_FOUND, "there is no %.*s '%.*s'", STR_FMT(o->kind), STR_FMT(o->id));
    if (rc != SQLITE_ROW)
        return db_fail(c->path, c->db, rc, reterr);
    *version = (uint64_t)sqlite3_column_int64(stmt, 0);
    return err_set(reterr, ERR_PRECONDITION, "%.*s '%.*s' is at version %llu, not %llu", STR_FMT(o->kind),
                   STR_FMT(o->id), (unsigned long long)*version, (unsigned long long)w->if_version);
}

static enum err_code check_write(const struct store_write *w, struct err *reterr)
{
    const struct store_object *o = &w->object;
    if (o->kind.n == 0 || (o->id.n == 0 && w->op != STORE_DELETE_SCOPE))
        return err_set(reterr, ERR_INVALID, "an object needs a kind and an id");
    if (w->op == STORE_DELETE_SCOPE && !o->scope.p)
        return err_set(reterr, ERR_INVALID, "which scope to delete?");
    if ((o->revision != 0 || o->dedup_key.p) &&
        !o->scope.p) // SQL's NULL is unlike itself: nothing would be unique
        return err_set(reterr, ERR_INVALID, "a revision or a key against duplicates needs a scope");
    if (o->revision < 0)
        return err_set(reterr, ERR_INVALID, "revision %lld: they begin at 1", (long long)o->revision);
    if (o->payload.n > STORE_PAYLOAD_MAX)
        return err_set(reterr, ERR_LIMIT, "the payload of %.*s '%.*s' has %zu bytes, the limit is %d",
                       STR_FMT(o->kind), STR_FMT(o->id), o->payload.n, STORE_PAYLOAD_MAX);
    return ERR_OK;
}

static enum err_code write_one(struct conn *c, const struct store_write *w, uint64_t *version,
                               struct err *reterr)
{
    static const unsigned which[] = {
        [STORE_CREATE] = STMT_INSERT,
        [STORE_UPDATE] = STMT_UPDATE,
        [STORE_DELETE] = STMT_DELETE,
        [STORE_DELETE_SCOPE] = STMT_DELETE_SCOPE,
    };
    const struct store_object *o = &w->object;
    CLEANUP(buf_done) struct buf labels = {};
    CLEANUP(stmt_done) sqlite3_stmt *stmt = NULL;
    enum err_code r = check_write(w, reterr);
    if (r == ERR_OK && (w->op == STORE_CREATE || w->op == STORE_UPDATE))
        r = labels_write(o->labels, o->n_labels, &labels, reterr);
    if (r == ERR_OK)
        r = stmt_prepare(c, which[w->op], &stmt, reterr);
    if (r != ERR_OK)
        return r;
    int rc;
    if (w->op == STORE_DELETE)
        rc = bind_keys(stmt, o->id, o->kind, o->workspace);
    else if (w->op == STORE_DELETE_SCOPE)
        rc = bind_keys(stmt, o->kind, o->workspace, o->scope);
    else
        rc = bind_object(stmt, o, buf_str(&labels));
    if (rc == SQLITE_OK && (w->op == STORE_UPDATE || w->op == STORE_DELETE))
        rc = bind_int(stmt, w->op == STORE_UPDATE ? COL_VERSION + 1 : 4, (int64_t)w->if_version);
    uint64_t now = w->op == STORE_CREATE;
    bool matched = w->op == STORE_CREATE || w->op == STORE_DELETE_SCOPE;
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) { // what RETURNING says, at most once
            matched = true;
            now = w->op == STORE_UPDATE ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
        }
    if (rc != SQLITE_DONE)
        return write_fail(c, o, rc, reterr);
    if (!matched)
        return no_match(c, w, version, reterr);
    *version = now;
    return ERR_OK;
}

static enum err_code run(struct conn *c, unsigned which, struct err *reterr)
{
    CLEANUP(stmt_done) sqlite3_stmt *stmt = NULL;
    enum err_code r = stmt_prepare(c, which, &stmt, reterr);
    if (r != ERR_OK)
        return r;
    int rc = sqlite3_step(stmt);
    return rc == SQLITE_DONE ? ERR_OK : db_fail(c->path, c->db, rc, reterr);
}

static enum err_code apply(struct conn *c, const struct store_write *writes, size_t n, uint64_t *versions,
                           size_t *ret_failed, struct err *reterr)
{
    *ret_failed = n;
    enum err_code r = run(c, STMT_BEGIN, reterr);
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        r = write_one(c, &writes[i], &versions[i], reterr);
        if (r != ERR_OK)
            *ret_failed = i;
    }
    if (r == ERR_OK)
        r = run(c, STMT_COMMIT, reterr);
    if (r != ERR_OK && !sqlite3_get_autocommit(c->db))           // a full disk has rolled back by itself
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL); // what it could fail at, it has undone
    return r;
}

enum err_code store_apply(struct store *st, const struct store_write *writes, size_t n, uint64_t *versions,
                          size_t *ret_failed, struct err *reterr)
{
    (void)pthread_mutex_lock(&st->write_lock);
    enum err_code r = apply(&st->writer, writes, n, versions, ret_failed, reterr);
    (void)pthread_mutex_unlock(&st->write_lock);
    return r;
}

// ---- opening and closing
// ------------------------------------------------------------------------------------

static enum err_code open_all(struct store *st, const struct migration *list, size_t n, struct err *reterr)
{
    enum err_code r = ready_file(st->path, reterr);
    if (r == ERR_OK)
        r = conn_open(st->path, &st->writer, reterr);
    if (r == ERR_OK)
        r = db_check(st->path, st->writer.db, reterr);
    if (r == ERR_OK)
        r = db_settle(st->path, st->writer.db, reterr);
    if (r == ERR_OK)
        r = schema_apply(st->path, st->writer.db, list, n, reterr);
    for (size_t i = 0; r == ERR_OK && i < READERS; i++) {
        r = conn_open(st->path, &st->readers[i], reterr);
        if (r == ERR_OK)
            r = db_exec(st->path, st->readers[i].db, "PRAGMA query_only=1", reterr);
    }
    return r;
}

enum err_code sqlite_open(struct str path, const struct migration *list, size_t n, struct store **ret,
                          struct err *reterr)
{
    assert(sqlite3_threadsafe());
    CLEANUP(store_freep) struct store *st = calloc(1, sizeof(*st));
    if (!st)
        return err_set(reterr, ERR_LIMIT, "no memory for the store");
    (void)pthread_mutex_init(&st->write_lock, NULL); // default attributes: cannot fail on Linux
    (void)pthread_mutex_init(&st->pool_lock, NULL);
    (void)pthread_cond_init(&st->returned, NULL);
    if (!str_starts(path, STR("/")) || !str_cstr(path, st->path, sizeof(st->path))) // no URI, no ":memory:"
        return err_set(reterr, ERR_INVALID, "store '%.*s': an absolute path of less than %d bytes is needed",
                       STR_FMT(path), PATH_MAX_);
    enum err_code r = open_all(st, list, n, reterr);
    if (r != ERR_OK)
        return r;
    *ret = TAKE(st);
    return ERR_OK;
}

enum err_code store_open(struct str path, struct store **ret, struct err *reterr)
{
    return sqlite_open(path, schema_migrations, schema_n, ret, reterr);
}

void store_free(struct store *st)
{
    if (!st)
        return;
    for (size_t i = 0; i < READERS; i++)
        conn_done(&st->readers[i]);
    conn_done(&st->writer); // last: its close brings the log home
    (void)pthread_mutex_destroy(&st->write_lock);
    (void)pthread_mutex_destroy(&st->pool_lock);
    (void)pthread_cond_destroy(&st->returned);
    free(st);
}
