#include "store/schema.h"

#include "store/sqlite.h"
#include "store/store_test.h"

static const struct migration two[] = {{"CREATE TABLE a (x); INSERT INTO a VALUES (1)"},
                                       {"ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1"}},
                              changed[] = {{"CREATE TABLE a (x)"}, {"ALTER TABLE a ADD COLUMN y"}},
                              broken[] = {{"CREATE TABLE a (x); INSERT INTO a VALUES (1)"},
                                          {"CREATE TABLE b (x); ALTER TABLE absent ADD COLUMN y"}};

static int64_t number(const struct place *p, const char *sql)
{
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct err err = {};
    int64_t n = -1;
    if (db_open(p->file, &db, &err) != ERR_OK || db_number(p->file, db, sql, &n, &err) != ERR_OK)
        return -1;
    return n;
}

static enum err_code open_with(const struct place *p, const struct migration *list, size_t n, struct err *err)
{
    struct store *st = NULL;
    enum err_code r = sqlite_open(str_of(p->file), list, n, &st, err);
    store_free(st);
    return r;
}

int main(void)
{
    struct err err = {};
    struct place p = place_new("/tmp");
    tap_ok(open_with(&p, two, 1, &err) == ERR_OK && number(&p, "SELECT x FROM a") == 1,
           "the first migration");
    tap_ok(open_with(&p, broken, 2, &err) == ERR_INTERNAL && strstr(err.msg, "migration 2: store") &&
               strstr(err.msg, "no such table: absent"),
           "one that fails says which");
    tap_ok(number(&p, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'") == 0 &&
               number(&p, "SELECT count(*) FROM migration") == 1,
           "and leaves nothing behind");
    tap_ok(open_with(&p, two, 2, &err) == ERR_OK && number(&p, "SELECT y FROM a") == 2,
           "the next one finds what is there");
    tap_ok(open_with(&p, two, 2, &err) == ERR_OK && number(&p, "SELECT count(*) FROM a") == 1,
           "none is applied twice");
    tap_ok(open_with(&p, two, 1, &err) == ERR_PRECONDITION &&
               strstr(err.msg, "written by a newer release: its schema is 2, this release knows up to 1"),
           "a newer schema is refused");
    tap_ok(open_with(&p, changed, 2, &err) == ERR_PRECONDITION &&
               strstr(err.msg, "migration 1 is not the one that this release knows"),
           "another text than the one applied is refused");
    tap_ok(number(&p, "SELECT y FROM a") == 2 && number(&p, "SELECT count(*) FROM migration") == 2,
           "and what was refused is unharmed");
    place_done(&p);

    struct place q = place_new("/tmp");
    struct store *st = place_open(&q);
    store_free(st);
    // Of every store that a release has made. A change here means that those stores no longer open.
    tap_ok(number(&q, "SELECT checksum FROM migration WHERE version = 1") == -7326027547489585657,
           "the text of migration 1 is pinned");
    tap_ok(number(&q, "SELECT count(*) FROM migration") == (int64_t)schema_n, "all of ours are recorded");
    place_done(&q);
    return tap_done();
}
