#include "gateway/state.h"

#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#include "store/store_test.h"

static bool said(enum err_code r, enum err_code want, const struct err *err, const char *msg)
{
    bool ok = r == want && strstr(err->msg, msg);
    if (!ok)
        tap_note("%s: %s; want %s: %s", err_code_name(r), err->msg, err_code_name(want), msg);
    return ok;
}

static bool is_private(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0700;
}

static void test_place(const struct place *p)
{
    struct state s = {};
    struct err err = {};
    char want[200], file[STATE_PATH_SIZE];
    (void)snprintf(want, sizeof(want), "%s/x/openshell/gateway", p->folder);
    (void)snprintf(file, sizeof(file), "%s/x", p->folder);
    (void)setenv("XDG_STATE_HOME", file, 1);
    (void)setenv("HOME", "relative", 1);
    tap_ok(state_open(NULL, &s, &err) == ERR_OK && strcmp(s.dir, want) == 0 && is_private(want),
           "XDG_STATE_HOME says where, and what is missing is made");
    state_done(&s);
    (void)setenv("XDG_STATE_HOME", "relative", 1);
    (void)setenv("HOME", p->folder, 1);
    (void)snprintf(want, sizeof(want), "%s/.local/state/openshell/gateway", p->folder);
    tap_ok(state_open(NULL, &s, &err) == ERR_OK && strcmp(s.dir, want) == 0 && is_private(want),
           "without it HOME does");
    (void)snprintf(want, sizeof(want), "%s/.local/state/openshell/gateway/db", p->folder);
    tap_ok(state_path(&s, "db", file, &err) == ERR_OK && strcmp(file, want) == 0, "a file in it");
    char longest[STATE_PATH_SIZE];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    tap_ok(said(state_path(&s, longest, file, &err), ERR_LIMIT, &err, "too long"), "a path that is too long");
    tap_ok(said(state_open(longest, &s, &err), ERR_INVALID, &err, "no absolute path"),
           "a folder that is not absolute");
    longest[0] = '/';
    tap_ok(state_open(longest, &s, &err) != ERR_OK && strstr(err.msg, "/aaa"),
           "a folder that cannot be made");
    state_done(&s);
    state_done(&s);
}

static void test_lock(const struct place *p)
{
    struct state s = {}, second = {};
    struct err err = {};
    char dir[100];
    (void)snprintf(dir, sizeof(dir), "%s/lock", p->folder);
    tap_ok(state_open(dir, &s, &err) == ERR_OK, "one gateway");
    tap_ok(said(state_open(dir, &second, &err), ERR_EXISTS, &err, "another gateway uses") && !second.dir[0],
           "and no other");
    state_done(&s);
    tap_ok(state_open(dir, &second, &err) == ERR_OK, "until it ends");
    state_done(&second);
    (void)chmod(dir, 0750);
    tap_ok(said(state_open(dir, &s, &err), ERR_DENIED, &err, "not a folder of this user alone"),
           "a folder that others may enter is refused");
}

int main(void)
{
    struct place p = place_new("/tmp");
    test_place(&p);
    test_lock(&p);
    place_done(&p);
    return tap_done();
}
