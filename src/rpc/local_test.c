#include "rpc/local.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define LONG_DIR                                                                                             \
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" // 84 bytes

static const struct {
    struct local_env env;
    enum err_code code;
    const char *path, *rule;
} rows[] = {
    {{1000, "/run/user/1000", "/s", "/h"}, ERR_OK, "/run/user/1000/openshell/gateway.sock", "runtime first"},
    {{0, "/run/user/0", NULL, NULL}, ERR_OK, "/run/user/0/openshell/gateway.sock", "also for root"},
    {{0, NULL, "/s", "/h"}, ERR_OK, "/run/openshell/gateway.sock", "root has /run"},
    {{1000, NULL, "/s", "/h"}, ERR_OK, "/s/openshell/gateway.sock", "then the state folder"},
    {{1000, NULL, NULL, "/h"}, ERR_OK, "/h/.local/state/openshell/gateway.sock", "then its default"},
    {{1000, "", "x", "/h"},
     ERR_OK,
     "/h/.local/state/openshell/gateway.sock",
     "relative and empty do not count"},
    {{1000, "run", "", "h"}, ERR_NOT_FOUND, NULL, "nothing is left"},
    {{1000, LONG_DIR, NULL, NULL}, ERR_OK, LONG_DIR "/openshell/gateway.sock", "107 bytes fit"},
    {{1000, LONG_DIR "a", NULL, NULL}, ERR_LIMIT, NULL, "108 do not"},
};

static void test_paths(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char dst[LOCAL_PATH_SIZE] = "";
        struct err err = {};
        enum err_code code = local_socket(&rows[i].env, dst, &err);
        bool ok = code == rows[i].code && (code != ERR_OK || strcmp(dst, rows[i].path) == 0);
        if (!tap_ok(ok, "%s", rows[i].rule))
            tap_note("%s %s", dst, err.msg);
    }
}

static void test_folders(void)
{
    char top[] = "/tmp/openshell-local.XXXXXX", path[LOCAL_PATH_SIZE], dir[LOCAL_PATH_SIZE];
    struct err err = {};
    struct stat st;
    if (!mkdtemp(top))
        abort();
    (void)snprintf(dir, sizeof(dir), "%s/a/b", top);
    (void)snprintf(path, sizeof(path), "%s/a/b/gateway.sock", top);
    tap_ok(local_make_dir(path, geteuid(), &err) == ERR_OK && stat(dir, &st) == 0 &&
               (st.st_mode & 07777) == 0700,
           "missing folders are made, for their user alone");
    tap_ok(local_make_dir(path, geteuid(), &err) == ERR_OK, "a folder that is there is fine");
    tap_ok(geteuid() == 0 || local_make_dir(path, geteuid() + 1, &err) == ERR_DENIED,
           "another user's is not");
    (void)chmod(dir, 0770);
    tap_ok(local_make_dir(path, geteuid(), &err) == ERR_DENIED, "nor one that a group may write to");
    (void)chmod(dir, 01777);
    tap_ok(local_make_dir(path, geteuid(), &err) == ERR_OK, "but one like /tmp is");
    (void)rmdir(dir);
    (void)snprintf(dir, sizeof(dir), "%s/a", top);
    (void)rmdir(dir);
    (void)rmdir(top);
}

int main(void)
{
    test_paths();
    test_folders();
    return tap_done();
}
