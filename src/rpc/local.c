#include "rpc/local.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

struct local_env local_env(void)
{
    return (struct local_env){.uid = geteuid(),
                              .runtime_dir = getenv("XDG_RUNTIME_DIR"),
                              .state_home = getenv("XDG_STATE_HOME"),
                              .home = getenv("HOME")};
}

static bool is_absolute(const char *dir)
{
    return dir && dir[0] == '/';
}

enum err_code local_socket(const struct local_env *env, char dst[static LOCAL_PATH_SIZE], struct err *reterr)
{
    const char *dir = NULL, *below = "";
    if (is_absolute(env->runtime_dir)) {
        dir = env->runtime_dir;
    } else if (env->uid == 0) {
        dir = "/run";
    } else if (is_absolute(env->state_home)) {
        dir = env->state_home;
    } else if (is_absolute(env->home)) {
        dir = env->home;
        below = "/.local/state";
    } else {
        return err_set(reterr, ERR_NOT_FOUND, "none of XDG_RUNTIME_DIR, XDG_STATE_HOME and HOME is set");
    }
    int n = snprintf(dst, LOCAL_PATH_SIZE, "%s%s/openshell/gateway.sock", dir, below);
    if (n < 0 || n >= LOCAL_PATH_SIZE)
        return err_set(reterr, ERR_LIMIT, "'%.*s%s' is too long for the path of a socket, at most %d bytes",
                       STR_FMT(str_of(dir)), below, LOCAL_PATH_SIZE - 1);
    return ERR_OK;
}

enum err_code local_make_dir(const char *path, uid_t uid, struct err *reterr)
{
    char dir[LOCAL_PATH_SIZE];
    const char *name = strrchr(path, '/');
    if (!name || name == path)
        return ERR_OK; // the root or the working directory, which are there
    if (!str_cstr((struct str){path, (size_t)(name - path)}, dir, sizeof(dir)))
        return err_set(reterr, ERR_LIMIT, "the path is too long for a socket, at most %d bytes",
                       LOCAL_PATH_SIZE - 1);
    for (char *at = dir + 1;; at++) {
        if (*at && *at != '/')
            continue;
        char was = *at;
        *at = '\0';
        if (mkdir(dir, 0700) != 0 && errno != EEXIST)
            return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
        *at = was;
        if (!was)
            break;
    }
    struct stat st;
    if (stat(dir, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    // A sticky folder (/tmp) is fine: in it nobody can take away or replace what is another's.
    bool guarded = (st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX) != 0;
    if ((st.st_uid != uid && st.st_uid != 0) || !guarded)
        return err_set(reterr, ERR_DENIED, "%s: other users could replace a socket in that folder", dir);
    return ERR_OK;
}
