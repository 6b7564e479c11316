#include "gateway/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static bool is_absolute(const char *dir)
{
    return dir && dir[0] == '/';
}

static enum err_code too_long(struct err *reterr)
{
    return err_set(reterr, ERR_LIMIT, "the path of the gateway's folder is too long, at most %d bytes",
                   STATE_PATH_SIZE - 1);
}

static enum err_code find(const char *given, char dst[static STATE_PATH_SIZE], struct err *reterr)
{
    const char *state_home = getenv("XDG_STATE_HOME"), *home = getenv("HOME"), *dir = given, *below = "";
    if (!given && is_absolute(state_home)) {
        dir = state_home;
        below = "/openshell/gateway";
    } else if (!given && is_absolute(home)) {
        dir = home;
        below = "/.local/state/openshell/gateway";
    } else if (!given && geteuid() == 0) {
        dir = "/var/lib/openshell/gateway";
    }
    if (!dir)
        return err_set(reterr, ERR_NOT_FOUND, "neither XDG_STATE_HOME nor HOME is set");
    if (dir[0] != '/')
        return err_set(reterr, ERR_INVALID, "'%.*s' is no absolute path", STR_FMT(str_of(dir)));
    int n = snprintf(dst, STATE_PATH_SIZE, "%s%s", dir, below);
    return n < 0 || n >= STATE_PATH_SIZE ? too_long(reterr) : ERR_OK;
}

static enum err_code make_dirs(char *dir, struct err *reterr)
{
    for (char *at = dir + 1;; at++) {
        if (*at && *at != '/')
            continue;
        char was = *at;
        *at = '\0';
        int failed = mkdir(dir, 0700) != 0 && errno != EEXIST ? errno : 0;
        if (failed != 0)
            return err_set(reterr, fd_code(failed), "%s: %s", dir, fd_strerror(failed));
        *at = was;
        if (!was)
            return ERR_OK;
    }
}

enum err_code state_open(const char *given, struct state *ret, struct err *reterr)
{
    struct state s = {};
    char path[STATE_PATH_SIZE];
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = find(given, s.dir, reterr);
    if (r == ERR_OK)
        r = make_dirs(s.dir, reterr);
    if (r != ERR_OK)
        return r;
    if (stat(s.dir, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s: %s", s.dir, fd_strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(reterr, ERR_DENIED, "%s is not a folder of this user alone (mode 0700)", s.dir);
    r = state_path(&s, "lock", path, reterr);
    if (r == ERR_OK)
        r = fd_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, reterr);
    if (r != ERR_OK)
        return r;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(reterr, errno == EWOULDBLOCK ? ERR_EXISTS : fd_code(errno),
                       errno == EWOULDBLOCK ? "another gateway uses %s" : "%s: no lock", s.dir);
    s.lock_fd = fd_take(&fd);
    *ret = s;
    return ERR_OK;
}

void state_done(struct state *s)
{
    if (s->dir[0])
        fd_close(&s->lock_fd);
    s->dir[0] = '\0';
}

enum err_code state_path(const struct state *s, const char *name, char dst[static STATE_PATH_SIZE],
                         struct err *reterr)
{
    int n = snprintf(dst, STATE_PATH_SIZE, "%s/%s", s->dir, name);
    return n < 0 || n >= STATE_PATH_SIZE ? too_long(reterr) : ERR_OK;
}
