// A path may be deeper than any path that the kernel takes, and deeper than there are descriptors. So nothing
// is walked down: what is found two levels down is moved up to the first one and is its turn later.
#include "gateway/compute/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { ROUNDS_MAX = 1000, MOVED_NAME = 32 };

struct walk {
    DIR *top;
    unsigned moved; // names given
    bool found;     // in this round
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

// A folder that its owner may not enter is made enterable first.
static int enter(int dir, const char *name)
{
    char path[40];
    CLEANUP(fd_close) int at = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
    if (chmod(path, 0700) != 0)
        return -1;
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Below the first level: a folder that is not empty goes up.
static bool move_up(struct walk *w, int dir, const char *name)
{
    char moved[MOVED_NAME];
    int self = enter(dir, name); // to move it one must be able to write in it
    fd_close(&self);
    bool done;
    do {
        (void)snprintf(moved, sizeof(moved), "%u", w->moved++);
        done = renameat2(dir, name, dirfd(w->top), moved, RENAME_NOREPLACE) == 0;
    } while (!done && errno == EEXIST);
    return done;
}

static bool remove_plain(int dir, const char *name)
{
    return unlinkat(dir, name, 0) == 0 || errno == ENOENT || unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

// False: errno says why something in it stays.
static bool empty_one(struct walk *w, const char *name)
{
    int fd = enter(dirfd(w->top), name);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        fd_close(&fd);
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d));)
        if (!is_dots(e->d_name))
            ok = remove_plain(dirfd(d), e->d_name) || move_up(w, dirfd(d), e->d_name);
    int why = errno;
    (void)closedir(d);
    errno = why;
    return ok;
}

static bool empty_top(struct walk *w)
{
    bool ok = true;
    w->found = false;
    rewinddir(w->top);
    for (struct dirent *e; ok && (e = readdir(w->top));) {
        if (is_dots(e->d_name))
            continue;
        w->found = true;
        ok = remove_plain(dirfd(w->top), e->d_name) || empty_one(w, e->d_name);
    }
    return ok;
}

enum err_code tree_remove(int dir, const char *name, struct err *reterr)
{
    int fd = enter(dir, name);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    struct walk w = {.top = fd < 0 ? NULL : fdopendir(fd)};
    if (!w.top) {
        enum err_code r = err_set(reterr, fd_code(errno), "%s: %s", name, fd_strerror(errno));
        fd_close(&fd);
        return r;
    }
    bool ok = true;
    w.found = true;
    for (unsigned i = 0; ok && w.found; i++)
        ok = empty_top(&w) || (errno == ENOTEMPTY && i < ROUNDS_MAX);
    int why = errno;
    (void)closedir(w.top);
    if (ok && unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        ok = false;
        why = errno;
    }
    return ok ? ERR_OK : err_set(reterr, fd_code(why), "%s cannot be removed: %s", name, fd_strerror(why));
}
