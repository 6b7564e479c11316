#include "cli/show.h"

#include "alloc_fail.h"
#include "tap.h"

static const char *const headings[] = {"NAME", "PHASE"};

static bool prints(struct cli *cli, const char *want)
{
    bool ok = str_eq(buf_str(&cli->out), str_of(want));
    if (!ok)
        tap_note("%.*s", (int)cli->out.n, cli->out.n ? cli->out.p : "");
    buf_clear(&cli->out);
    return ok;
}

static void test_table(struct cli *cli)
{
    CLEANUP(table_done) struct table t;
    table_init(&t, headings, 2);
    table_row(&t);
    table_cell(&t, 0, -1, "brave-otter");
    table_cell(&t, 1, STYLE_GREEN, "Ready");
    table_row(&t);
    table_cellf(&t, 0, "%s%d", "d", 1);
    table_cell(&t, 1, -1, "a\033[2J");
    tap_ok(table_print(&t, cli) == 0 &&
               prints(cli, "NAME         PHASE\nbrave-otter  Ready\nd1           a?[2J\n"),
           "columns are as wide as their longest cell; what moves the cursor does not pass");
    t.marked = true;
    table_mark(&t);
    tap_ok(table_print(&t, cli) == 0 &&
               prints(cli, "  NAME         PHASE\n  brave-otter  Ready\n* d1           a?[2J\n"),
           "a marked row has a star in front");
}

static void test_times(void)
{
    char at[SHOW_TIME_SIZE];
    show_time(1767604364000, at);
    tap_ok(strcmp(at, "2026-01-05 09:12:44") == 0, "a time is UTC to the second");
    show_time(0, at);
    tap_ok(strcmp(at, "-") == 0, "one that is not set is a dash");
}

static void test_no_memory(struct cli *cli)
{
    for (size_t n = 1;; n++) {
        alloc_fail_at(n);
        CLEANUP(table_done) struct table t;
        table_init(&t, headings, 2);
        table_row(&t);
        table_cell(&t, 0, -1, "a");
        alloc_fail_off();
        bool done = alloc_fail_count() < n;
        tap_ok(t.full == !done, "allocation %zu of a table fails", n);
        if (done)
            break;
    }
    buf_clear(&cli->out);
}

int main(void)
{
    struct cli cli;
    cli_init(&cli);
    cli.out_term = (struct term){.unicode = true, .width = 80};
    test_table(&cli);
    test_times();
    char first[] = "a", second[] = "b", *texts[] = {first, second};
    show_fields(&cli, "Roles", texts, 2);
    tap_ok(prints(&cli, "  Roles: a, b\n"), "a field of several texts");
    show_out(&cli, SHOW_DONE, "Deleted sandbox %s", "x\ny");
    tap_ok(prints(&cli, "✓ Deleted sandbox x?y\n"), "a mark, and no line breaks from names");
    test_no_memory(&cli);
    cli_done(&cli);
    return tap_done();
}
