#include "gateway/compute/tree.h"

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { DEEP = 3000 }; // folders, so that their path has more than PATH_MAX bytes

static void put(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    fd_close(&fd);
}

static void go_deep(int top)
{
    int at = dup(top);
    for (unsigned i = 0; i < DEEP && at >= 0; i++) {
        put(at, "file");
        if (mkdirat(at, "4", 0700) != 0) // a name that the walk gives, too
            break;
        int next = openat(at, "4", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd_close(&at);
        at = next;
    }
    fd_close(&at);
}

int main(void)
{
    char base[] = "/tmp/tree-XXXXXX";
    struct err err = {};
    if (!mkdtemp(base))
        return 1;
    int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tap_ok(tree_remove(dir, "none", &err) == ERR_OK, "what is not there");
    (void)mkdirat(dir, "keep", 0700);
    int keep = openat(dir, "keep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(keep, "kept");
    (void)mkdirat(dir, "top", 0700);
    int top = openat(dir, "top", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%d", i);
        (void)mkdirat(top, name, 0700);
    }
    (void)symlinkat("../keep", top, "link");
    (void)mkfifoat(top, "fifo", 0600);
    put(top, "file");
    (void)mkdirat(top, "closed", 0700);
    int closed = openat(top, "closed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)symlinkat("../../keep", closed, "link");
    (void)mkdirat(closed, "in", 0700);
    int in = openat(closed, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(in, "file");
    (void)fchmod(in, 0);
    (void)fchmod(closed, 0);
    go_deep(top);
    fd_close(&top);
    fd_close(&closed);
    fd_close(&in);
    bool gone = tree_remove(dir, "top", &err) == ERR_OK && faccessat(dir, "top", F_OK, 0) != 0;
    if (!tap_ok(gone, "a tree deeper than any path, with links and folders that nobody may enter"))
        tap_note("%s", err.msg);
    tap_ok(faccessat(keep, "kept", F_OK, 0) == 0, "and not what a link in it leads to");
    (void)symlinkat("keep", dir, "alias");
    tap_ok(tree_remove(dir, "alias", &err) != ERR_OK && faccessat(keep, "kept", F_OK, 0) == 0,
           "a link in the place of the folder is not followed");
    (void)unlinkat(dir, "alias", 0);
    tap_ok(tree_remove(dir, "keep", &err) == ERR_OK, "a small one");
    fd_close(&keep);
    fd_close(&dir);
    tap_ok(rmdir(base) == 0, "nothing is left");
    return tap_done();
}
