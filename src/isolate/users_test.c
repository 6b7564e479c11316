#include "isolate/users.h"

#include "tap.h"

#define ROOT "root:x:0:0:root:/root:/bin/bash\n"

static const struct {
    const char *user, *group, *passwd, *groups;
    bool free_ids;
    unsigned uid, gid;
    const char *name, *error, *rule; // error NULL: it is resolved
} rows[] = {
    {"", "", ROOT, "root:x:0:\n", false, 1000, 1000, "sandbox", NULL,
     "nothing said is 'sandbox', invented from 1000"},
    {"sandbox", "sandbox", "", "", false, 1000, 1000, "sandbox", NULL, "empty files know nobody"},
    {"sandbox", "sandbox", "sandbox:x:4711:4712::/:/bin/sh\n", "sandbox:x:4712:\n", false, 4711, 4712,
     "sandbox", NULL, "the files' sandbox is the agent"},
    {"sandbox", "sandbox", "a:x:1000:1000::/:\nb:x:1001:1:::\n", "c:x:1002:\n", true, 1003, 1003, "sandbox",
     NULL, "an invented id is nobody's, in either file"},
    {"sandbox", "sandbox", "a:x:1000:1000::/:\n", "", false, 1000, 1000, "a", NULL,
     "in a user namespace an invented id may have a name"},
    {"1234", "1235", ROOT, "", true, 1234, 1235, "sandbox", NULL, "a number needs no line"},
    {"1234", "1235", "dev:x:1234:5::/:\n", "", true, 1234, 1235, "dev", NULL,
     "a number that has a name takes it"},
    {"4294967294", "1", "", "", false, 4294967294U, 1, "sandbox", NULL, "the greatest id"},
    {"4294967295", "1", "", "", false, 0, 0, "",
     "run_as_user '4294967295': give 'sandbox' or a number from 1 to 4294967294",
     "one past the greatest id: it means 'no change'"},
    {"0", "1", "", "", false, 0, 0, "", "run_as_user: 0 is root: give 'sandbox' or another id",
     "root is refused"},
    {"1", "0", "", "", false, 0, 0, "", "run_as_group: 0 is root: give 'sandbox' or another id",
     "root's group is refused"},
    {"000", "1", "", "", false, 0, 0, "", NULL, NULL}, // below: refused, whichever way
    {"dev", "1", "dev:x:1234:5::/:\n", "", false, 0, 0, "",
     "run_as_user 'dev': give 'sandbox' or a number from 1 to 4294967294",
     "another name is refused, known or not"},
    {"1", "-1", "", "", false, 0, 0, "", "run_as_group '-1': give 'sandbox' or a number from 1 to 4294967294",
     "a sign is no digit"},
    {"", "", "sandbox:x:0:0::/:\n", "", false, 0, 0, "", "user 'sandbox' has no usable id, '0'",
     "a file that makes the agent root is refused"},
    {"", "", "sandbox:x:many:0::/:\n", "", false, 0, 0, "", "user 'sandbox' has no usable id, 'many'",
     "an id is a number"},
    {"", "", "sandbox:x:5:5::/:\nsandbox:x:6:6::/:\n", "", false, 0, 0, "",
     "user file: 'sandbox' has two lines", "two lines of one name are refused"},
    {"", "", "sandbox:x:5:5::/:\n", "sandbox:x:5:\nsandbox:x:6:\n", false, 0, 0, "",
     "group file: 'sandbox' has two lines", "two lines of one group are refused"},
    {"", "", "sandbox:x\n", "", false, 1000, 1000, "sandbox", NULL, "a line of two fields is none"},
    {"", "", "sandboxer:x:7:7::/:\n", "", false, 1000, 1000, "sandbox", NULL, "a name is compared whole"},
};

static void resolve(size_t i)
{
    struct users u = {};
    struct err e = {};
    enum err_code r = users_resolve(str_of(rows[i].user), str_of(rows[i].group), str_of(rows[i].passwd),
                                    str_of(rows[i].groups), rows[i].free_ids, &u, &e);
    if (!rows[i].rule) {
        (void)tap_ok(r == ERR_INVALID, "'%s' is not a way around root's refusal", rows[i].user);
        return;
    }
    bool ok = rows[i].error ? r == ERR_INVALID && strcmp(e.msg, rows[i].error) == 0
                            : r == ERR_OK && u.uid == rows[i].uid && u.gid == rows[i].gid &&
                                  strcmp(u.name, rows[i].name) == 0;
    if (!tap_ok(ok, "%s", rows[i].rule))
        tap_note("%d %s; %u %u %s", r, e.msg, u.uid, u.gid, u.name);
}

static void long_name(void)
{
    struct users u = {};
    struct err e = {};
    char text[100];
    (void)snprintf(text, sizeof(text), "%064d:x:9:9::/:\n", 0);
    (void)tap_ok(users_resolve(STR("9"), STR("9"), str_of(text), STR(""), false, &u, &e) == ERR_OK &&
                     strcmp(u.name, "sandbox") == 0,
                 "a name of 64 bytes has no room: the agent is 'sandbox'");
    (void)snprintf(text, sizeof(text), "%063d:x:9:9::/:\n", 0);
    (void)tap_ok(users_resolve(STR("9"), STR("9"), str_of(text), STR(""), false, &u, &e) == ERR_OK &&
                     strlen(u.name) == 63,
                 "a name of 63 bytes fits");
}

// Files of one line of `line` bytes, or of many empty ones up to `total`.
static enum err_code big(size_t line, size_t total, struct err *e)
{
    CLEANUP(buf_done) struct buf b = {};
    buf_init(&b, 2 * MIB);
    for (size_t i = 0; i < line; i++)
        buf_addc(&b, 'x');
    while (buf_str(&b).n < total)
        buf_addc(&b, '\n');
    struct users u;
    return users_resolve(STR("1"), STR("1"), buf_str(&b), STR(""), false, &u, e);
}

static void limits(void)
{
    struct err e = {};
    (void)tap_ok(big(USERS_LINE_MAX, 0, &e) == ERR_OK, "a line of the limit is read");
    (void)tap_ok(big(USERS_LINE_MAX + 1, 0, &e) == ERR_LIMIT &&
                     strcmp(e.msg, "passwd, line 1: more than 8192 bytes") == 0,
                 "a line of one byte more is refused");
    (void)tap_ok(big(0, USERS_TEXT_MAX, &e) == ERR_OK, "a file of the limit is read");
    (void)tap_ok(big(0, USERS_TEXT_MAX + 1, &e) == ERR_LIMIT &&
                     strcmp(e.msg, "passwd: more than 1048576 bytes") == 0,
                 "a file of one byte more is refused");
}

// ---- what the sandbox reads
// ----------------------------------------------------------------------------------------------

static const struct {
    const char *before, *passwd, *group, *rule;
} written[] = {
    {"", "dev:x:7:8::/sandbox:/bin/sh\n", "dev:x:8:\n", "an empty file gets the agent's line"},
    {"root:x:0:0\n", "dev:x:7:8::/sandbox:/bin/sh\nroot:x:0:0\n", "dev:x:8:\nroot:x:0:0\n",
     "others stay, behind the agent's"},
    {"dev:x:1:1\nroot:x:0:0", "dev:x:7:8::/sandbox:/bin/sh\nroot:x:0:0\n", "dev:x:8:\nroot:x:0:0\n",
     "the agent's old line goes; a last line without an end gets one"},
    {"sandbox:x:0:0\n\n", "dev:x:7:8::/sandbox:/bin/sh\n", "dev:x:8:\n",
     "another 'sandbox' and empty lines go"},
    {"devel:x:9:9\n", "dev:x:7:8::/sandbox:/bin/sh\ndevel:x:9:9\n", "dev:x:8:\ndevel:x:9:9\n",
     "a name that begins like the agent's stays"},
};

static void write_files(size_t i)
{
    const struct users u = {.uid = 7, .gid = 8, .name = "dev"};
    CLEANUP(buf_done) struct buf p = {}, g = {};
    buf_init(&p, 4 * KIB);
    buf_init(&g, 4 * KIB);
    struct err e = {};
    (void)tap_ok(users_passwd(str_of(written[i].before), &u, &p, &e) == ERR_OK &&
                     str_eq(buf_str(&p), str_of(written[i].passwd)),
                 "passwd: %s", written[i].rule);
    (void)tap_ok(users_group(str_of(written[i].before), &u, &g, &e) == ERR_OK &&
                     str_eq(buf_str(&g), str_of(written[i].group)),
                 "group: %s", written[i].rule);
}

static void full(void)
{
    const struct users u = {.uid = 7, .gid = 8, .name = "dev"};
    CLEANUP(buf_done) struct buf b = {};
    buf_init(&b, 8);
    struct err e = {};
    (void)tap_ok(users_passwd(STR(""), &u, &b, &e) == ERR_LIMIT, "a full buffer is a limit");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        resolve(i);
    long_name();
    limits();
    for (size_t i = 0; i < ARRAY_LEN(written); i++)
        write_files(i);
    full();
    return tap_done();
}
