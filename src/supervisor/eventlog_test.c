#include "supervisor/eventlog.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static char dir[] = "/tmp/eventlog-XXXXXX", path[64];

static size_t size_of(const char *suffix)
{
    char name[80];
    struct stat st;
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (size_t)st.st_size : 0;
}

static void test_file(void)
{
    struct err e = {};
    struct eventlog *l = NULL;
    tap_ok(eventlog_open(path, false, &l, &e) == ERR_OK, "a file is made: %s", e.msg);
    struct stat st = {};
    tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for its owner alone");
    eventlog_write(l, STR("t OCSF NET:OPEN [INFO] x\n"));
    tap_ok(size_of("") == 25, "a file gets what is informational, too");
    eventlog_free(l);
    l = NULL;
    tap_ok(eventlog_open(path, false, &l, &e) == ERR_OK, "it is opened again");
    eventlog_write(l, STR("second\n"));
    tap_ok(size_of("") == 32, "and appended to");
    eventlog_free(l);
}

static void test_rotation(void)
{
    struct err e = {};
    struct eventlog *l = NULL;
    static char line[MIB];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    if (eventlog_open(path, false, &l, &e) != ERR_OK)
        return;
    for (size_t i = 0; i < 4 * (EVENTLOG_FILE_MAX / MIB); i++)
        eventlog_write(l, (struct str){line, sizeof(line)});
    tap_ok(size_of("") > 0 && size_of("") <= EVENTLOG_FILE_MAX, "a file never passes its size");
    tap_ok(size_of(".1") > 0 && size_of(".1") <= EVENTLOG_FILE_MAX && size_of(".2") > 0,
           "older ones are kept");
    tap_ok(size_of(".3") == 0, "but not more than there may be");
    eventlog_free(l);
}

static void test_lost(void)
{
    struct err e = {};
    struct eventlog *l = NULL;
    if (eventlog_open(path, false, &l, &e) != ERR_OK)
        return;
    // The descriptor behind the log is the lowest free one: a full device takes its place.
    CLEANUP(fd_close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int fd = full - 1;
    CLEANUP(fd_close) int keep = dup(fd);
    size_t before = size_of("");
    (void)dup2(full, fd);
    eventlog_write(l, STR("lost\n"));
    eventlog_write(l, STR("lost too\n"));
    (void)dup2(keep, fd);
    eventlog_write(l, STR("kept\n"));
    CLEANUP(buf_done) struct buf text = {};
    tap_ok(file_read(path, 64 * MIB, &text, &e) == ERR_OK && text.n > before, "the log goes on");
    tap_ok(text.n > 0 && strstr(text.p + before, "2 events were lost") && strstr(text.p + before, "kept\n"),
           "and says how many lines are missing");
    eventlog_free(l);
}

static void test_refused(void)
{
    struct err e = {};
    struct eventlog *l = NULL;
    tap_ok(eventlog_open("/dev/null", false, &l, &e) == ERR_INVALID && strstr(e.msg, "not a regular file"),
           "a device is refused: %s", e.msg);
    tap_ok(eventlog_open("/no/such/dir/x", false, &l, &e) == ERR_NOT_FOUND,
           "so is a folder that is not there: %s", e.msg);
}

static void test_stderr(void)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return;
    int keep = dup(STDERR_FILENO);
    (void)dup2(p[1], STDERR_FILENO);
    struct err e = {};
    struct eventlog *l = NULL;
    char got[256] = "";
    bool ok = eventlog_open(NULL, false, &l, &e) == ERR_OK;
    eventlog_write(l, STR("t OCSF NET:OPEN [INFO] allowed\n"));
    eventlog_write(l, STR("t OCSF NET:OPEN [MED] denied\n"));
    eventlog_free(l);
    (void)dup2(keep, STDERR_FILENO);
    (void)close(keep);
    (void)close(p[1]);
    ssize_t n = read(p[0], got, sizeof(got) - 1);
    (void)close(p[0]);
    tap_ok(ok && n > 0 && strcmp(got, "t OCSF NET:OPEN [MED] denied\n") == 0,
           "standard error gets what somebody should look at");
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    test_file();
    test_lost();
    test_rotation();
    test_refused();
    test_stderr();
    char name[80];
    for (int i = 0; i < EVENTLOG_FILES; i++) {
        (void)snprintf(name, sizeof(name), i ? "%s.%d" : "%s", path, i);
        (void)unlink(name);
    }
    (void)rmdir(dir);
    return tap_done();
}
