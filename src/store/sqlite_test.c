#include "store/sqlite.h"

#include "store/store_test.h"

#include "alloc_fail.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static unsigned syncs;        // of this process
static bool syncs_fail;       // with EIO
int __real_fsync(int fd);     // NOLINT(bugprone-reserved-identifier): the linker's names
int __wrap_fsync(int fd);     // NOLINT(bugprone-reserved-identifier)
int __real_fdatasync(int fd); // NOLINT(bugprone-reserved-identifier)
int __wrap_fdatasync(int fd); // NOLINT(bugprone-reserved-identifier)
int __wrap_fsync(int fd)      // NOLINT(bugprone-reserved-identifier)
{
    syncs++;
    errno = EIO;
    return syncs_fail ? -1 : __real_fsync(fd);
}
int __wrap_fdatasync(int fd) // NOLINT(bugprone-reserved-identifier)
{
    syncs++;
    errno = EIO;
    return syncs_fail ? -1 : __real_fdatasync(fd);
}

static bool said(enum err_code r, enum err_code want, const struct err *err, const char *msg)
{
    bool ok = r == want && strstr(err->msg, msg);
    if (!ok)
        tap_note("%s: %s; want %s: %s", err_code_name(r), err->msg, err_code_name(want), msg);
    return ok;
}

static void test_round_trip(struct store *st)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct err err = {};
    uint64_t v = 9;
    const struct store_label labels[] = {{STR("app.io/x"), STR("a=b")}, {STR("empty"), STR("")}};
    struct store_object o = thing("rt", "round");
    o.scope = STR("sc"), o.revision = 7, o.status = STR(""), o.dedup_key = STR("d"), o.hit_count = -3;
    o.labels = labels, o.n_labels = 2, o.created_ms = -5, o.updated_ms = INT64_MAX;
    tap_ok(put(st, STORE_CREATE, 0, o, &v, &err) == ERR_OK && v == 1, "create: version 1");
    struct store_object g = {};
    tap_ok(store_get(st, STR("thing"), STR("rt"), &a, &g, &err) == ERR_OK, "get: by id");
    tap_ok(str_eq(g.kind, o.kind) && str_eq(g.workspace, o.workspace) && str_eq(g.id, o.id) &&
               str_eq(g.name, o.name) && str_eq(g.scope, o.scope) && str_eq(g.dedup_key, o.dedup_key),
           "get: every key as it was given");
    tap_ok(g.revision == 7 && g.hit_count == -3 && g.created_ms == -5 && g.updated_ms == INT64_MAX &&
               g.version == 1,
           "get: every number as it was given");
    tap_ok(str_eq(g.payload, STR("p\0q")), "get: a payload is bytes, NUL included");
    tap_ok(g.status.p && g.status.n == 0, "get: an empty status is not an absent one");
    tap_ok(g.n_labels == 2 && str_eq(g.labels[0].key, STR("app.io/x")) &&
               str_eq(g.labels[0].value, STR("a=b")) && str_eq(g.labels[1].key, STR("empty")) &&
               g.labels[1].value.n == 0,
           "get: labels, a value may be empty or hold '='");
    tap_ok(store_get_named(st, STR("thing"), STR("w"), STR("round"), &a, &g, &err) == ERR_OK &&
               str_eq(g.id, STR("rt")),
           "get: by name");
    tap_ok(said(store_get_named(st, STR("thing"), STR("x"), STR("round"), &a, &g, &err), ERR_NOT_FOUND, &err,
                "there is no thing 'round'"),
           "get: another workspace's name is not found");
    tap_ok(said(store_get(st, STR("other"), STR("rt"), &a, &g, &err), ERR_NOT_FOUND, &err,
                "there is no other 'rt'"),
           "get: another kind's id is not found");
    struct arena small;
    arena_init(&small, 100);
    tap_ok(said(store_get(st, STR("thing"), STR("rt"), &small, &g, &err), ERR_LIMIT, &err, "100"),
           "get: a full arena is ERR_LIMIT");
    arena_done(&small);
    struct store_object plain = thing("plain", NULL);
    plain.payload = (struct str){};
    tap_ok(put(st, STORE_CREATE, 0, plain, &v, &err) == ERR_OK &&
               store_get(st, STR("thing"), STR("plain"), &a, &g, &err) == ERR_OK && !g.name.p && !g.scope.p &&
               !g.status.p && !g.dedup_key.p && g.revision == 0 && g.payload.n == 0 && g.n_labels == 0,
           "get: what was absent is absent");
}

static void test_versions(struct store *st)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct err err = {};
    uint64_t v = 0;
    struct store_object o = thing("v", "versions"), g;
    (void)!put(st, STORE_CREATE, 0, o, &v, &err);
    o.payload = STR("two"), o.created_ms = 99, o.scope = STR("moved");
    tap_ok(put(st, STORE_UPDATE, 1, o, &v, &err) == ERR_OK && v == 2, "update: one version more");
    tap_ok(store_get(st, STR("thing"), STR("v"), &a, &g, &err) == ERR_OK && str_eq(g.payload, STR("two")) &&
               g.version == 2 && g.created_ms == 1 && !g.scope.p,
           "update: writes the payload, never the birth or the scope");
    tap_ok(said(put(st, STORE_UPDATE, 1, o, &v, &err), ERR_PRECONDITION, &err,
                "thing 'v' is at version 2, not 1") &&
               v == 2,
           "update: another version is refused, and the present one told");
    tap_ok(put(st, STORE_UPDATE, 0, o, &v, &err) == ERR_OK && v == 3,
           "update: 0 is whatever version there is");
    tap_ok(said(put(st, STORE_DELETE, 2, o, &v, &err), ERR_PRECONDITION, &err, "at version 3, not 2") &&
               v == 3,
           "delete: another version is refused");
    struct store_object alien = o;
    alien.workspace = STR("x");
    tap_ok(said(put(st, STORE_UPDATE, 0, alien, &v, &err), ERR_NOT_FOUND, &err, "there is no thing 'v'"),
           "update: not from another workspace");
    tap_ok(said(put(st, STORE_DELETE, 0, alien, &v, &err), ERR_NOT_FOUND, &err, "there is no thing 'v'"),
           "delete: not from another workspace");
    tap_ok(put(st, STORE_DELETE, 3, o, &v, &err) == ERR_OK && v == 0, "delete: with the right version");
    tap_ok(said(put(st, STORE_DELETE, 0, o, &v, &err), ERR_NOT_FOUND, &err, "no thing 'v'"),
           "delete: not twice");
    tap_ok(said(put(st, STORE_UPDATE, 0, o, &v, &err), ERR_NOT_FOUND, &err, "no thing 'v'"),
           "update: what is gone is not found");
}

static void test_unique(struct store *st)
{
    struct err err = {};
    uint64_t v[3] = {};
    size_t failed = 9;
    struct store_object o = thing("u1", "unique");
    o.scope = STR("us"), o.revision = 1, o.dedup_key = STR("k");
    (void)!put(st, STORE_CREATE, 0, o, v, &err);
    struct store_object same = o;
    tap_ok(said(put(st, STORE_CREATE, 0, same, v, &err), ERR_EXISTS, &err, "already"),
           "create: an id only once");
    same.id = STR("u2"), same.dedup_key = (struct str){}, same.revision = 2;
    tap_ok(said(put(st, STORE_CREATE, 0, same, v, &err), ERR_EXISTS, &err, "a thing named 'unique' is there"),
           "create: a name only once");
    same.workspace = STR("x"), same.revision = 1;
    tap_ok(said(put(st, STORE_CREATE, 0, same, v, &err), ERR_EXISTS, &err, "revision 1 of the thing of 'us'"),
           "create: a revision only once, whatever the workspace");
    same.revision = 2, same.dedup_key = STR("k");
    tap_ok(said(put(st, STORE_CREATE, 0, same, v, &err), ERR_EXISTS, &err, "'us' with the key 'k'"),
           "create: a key against duplicates only once");
    same.dedup_key = (struct str){};
    tap_ok(put(st, STORE_CREATE, 0, same, v, &err) == ERR_OK, "create: the same name in another workspace");
    const struct store_write several[] = {{STORE_CREATE, 0, thing("u3", NULL)},
                                          {STORE_UPDATE, 9, o},
                                          {STORE_CREATE, 0, thing("u4", NULL)}};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct store_object g;
    tap_ok(said(store_apply(st, several, 3, v, &failed, &err), ERR_PRECONDITION, &err, "version 1, not 9") &&
               failed == 1 && v[1] == 1,
           "apply: names the write at fault");
    tap_ok(store_get(st, STR("thing"), STR("u3"), &a, &g, &err) == ERR_NOT_FOUND, "apply: all or nothing");
    const struct store_write good[] = {{STORE_CREATE, 0, thing("u3", NULL)},
                                       {STORE_UPDATE, 1, o},
                                       {STORE_DELETE, 1, thing("u3", NULL)}};
    tap_ok(store_apply(st, good, 3, v, &failed, &err) == ERR_OK && v[0] == 1 && v[1] == 2 && v[2] == 0,
           "apply: in order, each sees those before it");
    struct store_object other = thing("u1", NULL);
    other.scope = STR("us");
    tap_ok(put(st, STORE_DELETE_SCOPE, 0, other, v, &err) == ERR_OK &&
               store_get(st, STR("thing"), STR("u1"), &a, &g, &err) == ERR_NOT_FOUND &&
               store_get(st, STR("thing"), STR("u2"), &a, &g, &err) == ERR_OK,
           "delete a scope: all of it in its workspace, none of another's");
    tap_ok(put(st, STORE_DELETE_SCOPE, 0, other, v, &err) == ERR_OK, "delete a scope: an empty one is fine");
}

static void test_refused(struct store *st)
{
    struct err err = {};
    uint64_t v = 0;
    const struct store_label eq[] = {{STR("a=b"), STR("c")}}, nl[] = {{STR("a"), STR("b\nc=d")}},
                             twice[] = {{STR("a"), STR("b")}, {STR("a"), STR("c")}},
                             none[] = {{STR(""), STR("b")}};
    struct store_object no_kind = thing("r", NULL), no_id = thing("", NULL), no_scope = thing("r", NULL),
                        big = thing("r", NULL), old = thing("r", NULL), nothing = thing("r", NULL),
                        l_eq = thing("r", NULL), l_nl = l_eq, l_twice = l_eq, l_none = l_eq;
    no_kind.kind = STR(""), no_scope.revision = 1, old.scope = STR("s"), old.revision = -1;
    char *bytes = calloc(1, STORE_PAYLOAD_MAX + 1);
    big.payload = (struct str){bytes, STORE_PAYLOAD_MAX + 1};
    l_eq.labels = eq, l_nl.labels = nl, l_twice.labels = twice, l_none.labels = none;
    l_eq.n_labels = l_nl.n_labels = l_none.n_labels = 1, l_twice.n_labels = 2;
    const struct {
        struct store_object o;
        enum store_op op;
        enum err_code code;
        const char *want;
    } rows[] = {
        {no_kind, STORE_CREATE, ERR_INVALID, "needs a kind and an id"},
        {no_id, STORE_CREATE, ERR_INVALID, "needs a kind and an id"},
        {no_scope, STORE_CREATE, ERR_INVALID, "needs a scope"},
        {old, STORE_CREATE, ERR_INVALID, "revision -1: they begin at 1"},
        {nothing, STORE_DELETE_SCOPE, ERR_INVALID, "which scope"},
        {big, STORE_CREATE, ERR_LIMIT, "has 16777217 bytes, the limit is 16777216"},
        {l_eq, STORE_CREATE, ERR_INVALID, "label 1, 'a=b'"},
        {l_nl, STORE_CREATE, ERR_INVALID, "label 1, 'a'"},
        {l_twice, STORE_UPDATE, ERR_INVALID, "label 'a' is there twice"},
        {l_none, STORE_CREATE, ERR_INVALID, "label 1, ''"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tap_ok(said(put(st, rows[i].op, 0, rows[i].o, &v, &err), rows[i].code, &err, rows[i].want),
               "refused: %s", rows[i].want);
    big.payload.n--;
    tap_ok(bytes && put(st, STORE_CREATE, 0, big, &v, &err) == ERR_OK &&
               put(st, STORE_DELETE, 0, big, &v, &err) == ERR_OK,
           "a payload at the limit is taken");
    free(bytes);
}

// ---- lists
// --------------------------------------------------------------------------------------------------

// The ids of a list, as a text.
static const char *ids(struct store *st, const struct store_query *q, bool *more)
{
    static char text[512];
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const struct store_object *rows;
    size_t n = 0, at = 0;
    struct err err = {};
    text[0] = '\0';
    if (store_list(st, q, &a, &rows, &n, more, &err) != ERR_OK)
        return tap_note("%s", err.msg), "failed";
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s ", STR_FMT(rows[i].id));
    return text;
}

static void list_fill(struct store *st)
{
    static const struct {
        const char *id, *workspace, *name, *scope, *status;
        int64_t created, revision;
        const char *key, *value;
    } rows[] = {
        {"a", "w", "n2", NULL, NULL, 10, 0, "tier", "x"},  {"b", "w", "n1", NULL, NULL, 10, 0, "tier", "y"},
        {"c", "w", NULL, "s1", "on", 20, 1, "tier", "x"},  {"d", "w", NULL, "s1", "off", 20, 2, NULL, NULL},
        {"e", "w", NULL, "s2", "on", 5, 10, "tier", "xx"}, {"f", "v", "n1", NULL, NULL, 10, 0, "tier", "x"},
    };
    struct err err = {};
    uint64_t v;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_object o = thing(rows[i].id, rows[i].name);
        struct store_label labels[2] = {{str_of(rows[i].key), str_of(rows[i].value)}, {STR("k"), STR("v")}};
        o.kind = STR("row"), o.workspace = str_of(rows[i].workspace), o.created_ms = rows[i].created;
        o.scope = rows[i].scope ? str_of(rows[i].scope) : (struct str){}, o.revision = rows[i].revision;
        o.status = rows[i].status ? str_of(rows[i].status) : (struct str){};
        o.labels = labels, o.n_labels = rows[i].key ? 2 : 0;
        if (put(st, STORE_CREATE, 0, o, &v, &err) != ERR_OK)
            tap_note("fill: %s", err.msg);
    }
}

static void test_list(struct store *st)
{
    list_fill(st);
    static const struct store_label x[] = {{STR_INIT("tier"), STR_INIT("x")}},
                                    xk[] = {{STR_INIT("k"), STR_INIT("v")},
                                            {STR_INIT("tier"), STR_INIT("x")}},
                                    xn[] = {{STR_INIT("k"), STR_INIT("w")},
                                            {STR_INIT("tier"), STR_INIT("x")}};
#define Q .kind = STR("row"), .workspace = STR("w"), .limit = 10
    const struct {
        struct store_query q;
        const char *want, *rule;
        bool more;
    } rows[] = {
        {{Q}, "e b a c d ", "oldest first, then by name, then by id", false},
        {{Q, .order = STORE_NEWEST}, "d c a b e ", "newest first is the other end", false},
        {{Q, .all_workspaces = true}, "e f b a c d ", "all workspaces, by name and then workspace", false},
        {{Q, .order = STORE_LAST_REVISION}, "e d c ", "revisions, the highest first", false},
        {{Q, .order = STORE_LAST_REVISION, .scope = STR("s1")}, "d c ", "revisions of a scope", false},
        {{Q, .scope = STR("s1"), .status = STR("on")}, "c ", "a status in a scope", false},
        {{Q, .status = STR("on")}, "e c ", "a status", false},
        {{Q, .scope = STR("")}, "", "an empty scope is not any scope", false},
        {{Q, .labels = x, .n_labels = 1}, "a c ", "a label, whole and in its workspace", false},
        {{Q, .labels = xk, .n_labels = 2}, "a c ", "every label must be there, in any order", false},
        {{Q, .labels = xn, .n_labels = 2}, "", "one that is there is not enough", false},
        {{.kind = STR("row"), .workspace = STR("w"), .limit = 2},
         "e b ",
         "a page says that there is more",
         true},
        {{.kind = STR("row"), .workspace = STR("w"), .limit = 5},
         "e b a c d ",
         "the last page says so",
         false},
        {{.kind = STR("row"), .workspace = STR("w"), .limit = 2, .offset = 3}, "c d ", "an offset", false},
        {{Q, .offset = UINT64_MAX}, "", "an offset past everything", false},
        {{.kind = STR("ro"), .workspace = STR("w"), .limit = 2}, "", "no other kind", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool more = !rows[i].more;
        const char *got = ids(st, &rows[i].q, &more);
        if (!tap_ok(strcmp(got, rows[i].want) == 0 && more == rows[i].more, "list: %s", rows[i].rule))
            tap_note("got '%s'", got);
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const struct store_object *none;
    size_t n;
    bool more;
    struct err err = {};
    for (uint32_t limit = 0; limit <= STORE_PAGE_MAX + 1; limit += STORE_PAGE_MAX + 1)
        tap_ok(said(store_list(st, &(struct store_query){.kind = STR("row"), .limit = limit}, &a, &none, &n,
                               &more, &err),
                    ERR_INVALID, &err, "a page has 1 to 1000 objects, not"),
               "list: a limit of %u is refused", (unsigned)limit);
}

// Pages by cursor, one row each, give every row once; also while the row of the cursor goes away.
static void test_cursor(struct store *st)
{
    for (int order = 0; order <= STORE_LAST_REVISION; order++)
        for (int all = 0; all < 2; all++) {
            struct store_query q = {Q, .order = (enum store_order)order, .all_workspaces = all};
            bool more;
            char whole[512], paged[512] = "";
            (void)snprintf(whole, sizeof(whole), "%s", ids(st, &q, &more));
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, MIB);
            const struct store_object *rows = NULL;
            size_t n = 1, at = 0;
            struct err err = {};
            for (q.limit = 1; n == 1; q.after = rows) {
                if (store_list(st, &q, &a, &rows, &n, &more, &err) != ERR_OK || n != 1)
                    break;
                at += (size_t)snprintf(paged + at, sizeof(paged) - at, "%.*s ", STR_FMT(rows[0].id));
                uint64_t v;
                if (put(st, STORE_DELETE, 0, rows[0], &v, &err) != ERR_OK ||
                    put(st, STORE_CREATE, 0, rows[0], &v, &err) != ERR_OK)
                    tap_note("%s", err.msg);
            }
            if (!tap_ok(strcmp(whole, paged) == 0, "cursor: order %d, all %d", order, all))
                tap_note("'%s' and '%s'", whole, paged);
        }
}

// Order and filter come out of an index: the plan sorts nothing, or a page would read the whole table.
static void test_plan(const struct place *p)
{
    static const char *const sql[] = {
        "SELECT id FROM object WHERE kind='k' AND workspace='w' ORDER BY created_ms, ifnull(name, ''), "
        "workspace, id",
        "SELECT id FROM object WHERE kind='k' ORDER BY created_ms DESC, ifnull(name, '') DESC, workspace "
        "DESC, id "
        "DESC",
    };
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct err err = {};
    if (db_open(p->file, &db, &err) != ERR_OK)
        tap_note("%s", err.msg);
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql[i]);
        CLEANUP(db_finalize) sqlite3_stmt *stmt = NULL;
        bool ok = sqlite3_prepare_v2(db, text, -1, &stmt, NULL) == SQLITE_OK, index = false;
        while (ok && sqlite3_step(stmt) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(stmt, 3);
            index = index || strstr(line, "object_page");
            ok = !strstr(line, "TEMP B-TREE");
        }
        tap_ok(ok && index, "plan %zu: in the order of an index", i);
    }
}

// ---- the file
// -----------------------------------------------------------------------------------------------

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void test_private(void)
{
    struct place p = place_new("/tmp");
    struct err err = {};
    mode_t old = umask(0);
    struct store *st = place_open(&p);
    (void)umask(old);
    uint64_t v;
    char folder[80], side[100];
    (void)snprintf(folder, sizeof(folder), "%s/s", p.folder);
    (void)!put(st, STORE_CREATE, 0, thing("a", NULL), &v, &err);
    bool ok = mode_of(p.file) == 0600 && mode_of(folder) == 0700;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(side, sizeof(side), "%s%s", p.file, i ? "-shm" : "-wal");
        ok = ok && mode_of(side) == 0600;
    }
    tap_ok(ok, "files are 0600 and the folder 0700, whatever the umask");
    store_free(st);
    st = NULL;
    (void)chmod(p.file, 0644);
    store_free(place_open(&p));
    tap_ok(mode_of(p.file) == 0600, "a file that others could read is taken from them");
    (void)chmod(folder, 0750);
    tap_ok(said(store_open(str_of(p.file), &st, &err), ERR_DENIED, &err, "with mode 0700, not of user"),
           "a folder that others can enter is refused");
    (void)chmod(folder, 0700);
    char link[120];
    (void)snprintf(link, sizeof(link), "%s/link", folder);
    ok = symlink(p.file, link) == 0;
    tap_ok(ok && said(store_open(str_of(link), &st, &err), ERR_DENIED, &err, "and no link"),
           "a link is refused");
    tap_ok(said(store_open(STR("db"), &st, &err), ERR_INVALID, &err, "an absolute path") &&
               said(store_open(STR(":memory:"), &st, &err), ERR_INVALID, &err, "an absolute path"),
           "a path that is not absolute is refused");
    (void)snprintf(link, sizeof(link), "%s/no/where/db", folder);
    tap_ok(said(store_open(str_of(link), &st, &err), ERR_NOT_FOUND, &err, "make folder '/tmp/store-"),
           "only the last folder is made");
    place_done(&p);
}

static void test_syncs(struct store *st)
{
    struct err err = {};
    uint64_t v;
    unsigned before = syncs;
    enum err_code r = put(st, STORE_CREATE, 0, thing("sync", NULL), &v, &err);
    tap_ok(r == ERR_OK && syncs > before, "a write is synced before it is acknowledged");
    before = syncs;
    r = put(st, STORE_DELETE, 0, thing("sync", NULL), &v, &err);
    tap_ok(r == ERR_OK && syncs > before, "a delete, too");
    syncs_fail = true;
    r = put(st, STORE_CREATE, 0, thing("sync2", NULL), &v, &err);
    syncs_fail = false;
    tap_ok(said(r, ERR_INTERNAL, &err, "store '/"), "a sync that fails is not acknowledged");
    r = put(st, STORE_CREATE, 0, thing("sync3", NULL), &v, &err);
    tap_ok(r == ERR_OK, "and the next write works");
}

static bool same_bytes(const char *path, const struct buf *want)
{
    CLEANUP(buf_done) struct buf now = {};
    struct err err;
    return file_read(path, 10 * MIB, &now, &err) == ERR_OK && str_eq(buf_str(&now), buf_str(want));
}

static void test_damage(void)
{
    static const struct {
        off_t at; // -1: a text instead of the file; -2: a foreign database
        enum err_code code;
        const char *want, *rule;
    } rows[] = {
        {0, ERR_INTERNAL, "is damaged (file is not a database)", "the head"},
        {4096, ERR_INTERNAL, "is damaged (", "the page behind it"},
        {-1, ERR_INTERNAL, "is damaged (file is not a database)", "a text"},
        {-2, ERR_PRECONDITION, "is another program's database", "another program's database"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct place p = place_new("/tmp");
        struct err err = {};
        struct store *st = place_open(&p);
        uint64_t v;
        (void)!put(st, STORE_CREATE, 0, thing("a", "n"), &v, &err);
        store_free(st);
        st = NULL;
        if (rows[i].at == -2) {
            sqlite3 *db = NULL;
            (void)unlink(p.file);
            (void)sqlite3_open(p.file, &db);
            (void)sqlite3_exec(db, "CREATE TABLE t (a)", NULL, NULL, NULL);
            (void)sqlite3_close(db);
        } else {
            CLEANUP(fd_close) int fd = open(p.file, O_WRONLY | O_CLOEXEC);
            char junk[4096];
            memset(junk, 'j', sizeof(junk));
            (void)!ftruncate(fd, rows[i].at < 0 ? 0 : 4096 * 20);
            (void)!pwrite(fd, junk, sizeof(junk), rows[i].at < 0 ? 0 : rows[i].at);
        }
        CLEANUP(buf_done) struct buf before = {};
        bool ok = file_read(p.file, 10 * MIB, &before, &err) == ERR_OK;
        tap_ok(said(store_open(str_of(p.file), &st, &err), rows[i].code, &err, rows[i].want), "damaged: %s",
               rows[i].rule);
        tap_ok(ok && same_bytes(p.file, &before), "and the file is left as it is: %s", rows[i].rule);
        place_done(&p);
    }
}

// Damage that nothing but the check finds, beside a log that a close would bring home over it.
static void test_damage_beside_log(void)
{
    struct place p = place_new("/tmp"), q = place_new("/tmp");
    struct err err = {};
    uint64_t v;
    int64_t page = 0;
    store_free(place_open(&p));
    store_free(place_open(&q));
    struct store *st = place_open(&p);
    bool ok = put(st, STORE_CREATE, 0, thing("a", "n"), &v, &err) == ERR_OK;
    for (int i = 0; i < 2; i++) { // a copy as a crash would leave it
        char from[100], to[100];
        (void)snprintf(from, sizeof(from), "%s%s", p.file, i ? "-wal" : "");
        (void)snprintf(to, sizeof(to), "%s%s", q.file, i ? "-wal" : "");
        CLEANUP(buf_done) struct buf bytes = {};
        ok = ok && file_read(from, 10 * MIB, &bytes, &err) == ERR_OK && bytes.n > 4096 &&
             file_write_atomic(to, buf_str(&bytes), 0600, &err) == ERR_OK;
    }
    CLEANUP(db_close) sqlite3 *db = NULL;
    const char *sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'object_dedup_key'";
    ok = ok && db_open(p.file, &db, &err) == ERR_OK && db_number(p.file, db, sql, &page, &err) == ERR_OK &&
         page > 1;
    db_close(&db);
    store_free(st);
    st = NULL;
    CLEANUP(fd_close) int fd = open(q.file, O_WRONLY | O_CLOEXEC);
    ok = ok && pwrite(fd, "jjjjjjjjjjjjjjjj", 16, (page - 1) * 4096) == 16;
    CLEANUP(buf_done) struct buf before = {};
    ok = ok && file_read(q.file, 10 * MIB, &before, &err) == ERR_OK;
    tap_ok(ok && said(store_open(str_of(q.file), &st, &err), ERR_INTERNAL, &err, "is damaged ("),
           "damaged: an index that is not used at once");
    store_free(st);
    tap_ok(ok && same_bytes(q.file, &before), "and the close brings no log home over it");
    place_done(&p);
    place_done(&q);
}

// ---- allocations
// --------------------------------------------------------------------------------------------

static void test_alloc(void)
{
    struct place p = place_new(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    bool ok = true;
    size_t opened = 0, used = 0;
    store_free(place_open(&p)); // what SQLite allocates once, and the schema
    for (size_t n = 1; ok; n++) {
        struct err err = {};
        struct store *st = NULL;
        alloc_fail_at(n);
        enum err_code r = store_open(str_of(p.file), &st, &err);
        alloc_fail_off();
        ok = (r == ERR_OK) == !!st && (r == ERR_OK || r == ERR_LIMIT);
        if (!ok)
            tap_note("allocation %zu: %s: %s", n, err_code_name(r), err.msg);
        store_free(st);
        opened = n;
        if (alloc_fail_count() < n)
            break;
    }
    tap_ok(ok && opened > 50, "open: each of %zu allocations fails", opened);
    for (size_t n = 1; ok; n++) {
        struct store *st = place_open(&p); // anew: nothing is prepared
        struct err err = {};
        uint64_t v[2];
        size_t failed, got = 0;
        bool more;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        const struct store_object *rows;
        const struct store_label label = {STR("a"), STR("b")};
        struct store_write w[] = {{STORE_CREATE, 0, thing("x", "x")}, {STORE_CREATE, 0, thing("y", NULL)}};
        w[0].object.labels = &label, w[0].object.n_labels = 1;
        const struct store_query q = {.kind = STR("thing"),
                                      .workspace = STR("w"),
                                      .labels = &label,
                                      .n_labels = 1,
                                      .limit = 10};
        alloc_fail_at(n);
        enum err_code r = store_apply(st, w, 2, v, &failed, &err);
        enum err_code l = store_list(st, &q, &a, &rows, &got, &more, &err);
        alloc_fail_off();
        ok = (r == ERR_OK || r == ERR_LIMIT) && (l == ERR_OK || l == ERR_LIMIT) &&
             (l || got == (r == ERR_OK));
        struct store_write d[] = {{STORE_DELETE, 0, thing("x", NULL)}, {STORE_DELETE, 0, thing("y", NULL)}};
        if (!ok)
            tap_note("allocation %zu: %s %s: %s, %zu rows", n, err_code_name(r), err_code_name(l), err.msg,
                     got);
        enum err_code gone = store_apply(st, d, 2, v, &failed, &err);
        ok = ok && gone == (r == ERR_OK ? ERR_OK : ERR_NOT_FOUND) && (gone == ERR_OK || failed == 0);
        store_free(st);
        used = n;
        if (alloc_fail_count() < n)
            break;
    }
    tap_ok(ok && used > 50, "apply and list: each of %zu allocations fails, all or nothing was written",
           used);
    place_done(&p);
}

int main(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    tap_ok(access(p.file, F_OK) == 0, "open: makes folder and file");
    test_round_trip(st);
    test_versions(st);
    test_unique(st);
    test_refused(st);
    test_list(st);
    test_cursor(st);
    test_plan(&p);
    test_syncs(st);
    store_free(st);
    st = place_open(&p);
    bool more;
    tap_ok(strcmp(ids(st, &(struct store_query){Q}, &more), "e b a c d ") == 0, "all is there when reopened");
    store_free(st);
    store_free(NULL);
    place_done(&p);
    test_private();
    test_damage();
    test_damage_beside_log();
    test_alloc();
    return tap_done();
}
