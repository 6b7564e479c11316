#include "store/statements.h"

#include "store/store_test.h"

// Every shape of a query is SQL that the schema understands, with its parameters in their places.
int main(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    struct conn c = {};
    struct err err = {};
    tap_ok(st && conn_open(p.file, &c, &err) == ERR_OK, "open");
    for (unsigned i = 0; c.db && i < STMT_MAX; i++) {
        sqlite3_stmt *stmt = NULL, *again = NULL;
        bool ok = stmt_prepare(&c, i, &stmt, &err) == ERR_OK;
        if (i >= STMT_LIST)
            ok = ok && sqlite3_bind_parameter_count(stmt) == ((i - STMT_LIST) & 16 ? 11 : 7);
        ok = ok && stmt_prepare(&c, i, &again, &err) == ERR_OK && again == stmt;
        if (!tap_ok(ok, "statement %u", i))
            tap_note("%s", err.msg);
    }
    conn_done(&c);
    store_free(st);
    place_done(&p);

    struct store_label many[2] = {{STR("a"), {}}, {STR("b"), {}}};
    char *big = calloc(1, STORE_LABELS_BYTES);
    if (!big)
        return 1;
    memset(big, 'x', STORE_LABELS_BYTES);
    CLEANUP(buf_done) struct buf text = {};
    many[0].value = (struct str){big, STORE_LABELS_BYTES - 3};
    tap_ok(labels_write(many, 1, &text, &err) == ERR_OK && text.n == STORE_LABELS_BYTES,
           "labels: up to the limit");
    tap_ok(labels_write(many, 2, &text, &err) == ERR_LIMIT &&
               strstr(err.msg, "labels: more than 65536 bytes"),
           "labels: not one more");
    free(big);
    return tap_done();
}
