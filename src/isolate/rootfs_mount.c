// syscalls: open_tree move_mount mount_setattr fsopen fsconfig fsmount openat2 mount umount2 pivot_root
#include "isolate/rootfs_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef MS_REC // <sys/mount.h> and <linux/mount.h> cannot both be included with this libc
#error "linux/mount.h lacks MS_REC"
#endif
int umount2(const char *target, int flags) __attribute__((nothrow));
enum { DETACH = 2 }; // MNT_DETACH

static enum err_code failed(struct err *e, const char *what, const char *path)
{
    return err_set(e, fd_code(errno), "%s %s: %s", what, path, fd_strerror(errno));
}

enum err_code mnt_open(int root, const char *path, int flags, int *ret, struct err *e)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd < 0)
        return failed(e, "in the sandbox's root, open", path);
    *ret = fd;
    return ERR_OK;
}

enum err_code mnt_private(struct err *e)
{
    if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return failed(e, "mount private", "/");
    return ERR_OK;
}

static enum err_code fs_new(const char *type, const char *const *options, int *ret, struct err *e)
{
    // Terminals are devices; those of an instance of one's own lead nowhere else.
    unsigned attrs = MOUNT_ATTR_NOSUID | (strcmp(type, "devpts") == 0 ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV);
    CLEANUP(fd_close) int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return failed(e, "fsopen", type);
    for (; options && options[0]; options += 2)
        if (syscall(SYS_fsconfig, fs, options[1][0] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[0],
                    options[1][0] ? options[1] : NULL, 0) != 0)
            return failed(e, type, options[0]);
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return failed(e, "make a file system", type);
    int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs);
    if (fd < 0)
        return failed(e, "fsmount", type);
    *ret = fd;
    return ERR_OK;
}

enum err_code mnt_scratch(uint64_t size, int *ret, struct err *e)
{
    char bytes[32];
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
    const char *const options[] = {"size", bytes, "mode", "0755", NULL};
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fs_new("tmpfs", options, &fd, e);
    // Layers of an overlay, and the root to change into, must be attached somewhere.
    if (r == ERR_OK && syscall(SYS_move_mount, fd, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        r = failed(e, "attach the scratch file system to", "/tmp");
    if (r == ERR_OK)
        *ret = fd_take(&fd);
    return r;
}

enum err_code mnt_clone(int dir, const char *path, bool submounts, int *ret, struct err *e)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] ? 0 : AT_EMPTY_PATH) |
                     (submounts ? AT_RECURSIVE : 0);
    int fd = (int)syscall(SYS_open_tree, dir, path, flags);
    if (fd < 0)
        return failed(e, "clone the mount of", path);
    *ret = fd;
    return ERR_OK;
}

enum err_code mnt_attach(int tree, int dir, const char *path, struct err *e)
{
    CLEANUP(fd_close) int at = -1;
    enum err_code r = mnt_open(dir, path, O_PATH, &at, e);
    if (r == ERR_OK &&
        syscall(SYS_move_mount, tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        r = failed(e, "mount at", path);
    return r;
}

static enum err_code set_flags(int tree, bool read_only, unsigned how, struct err *e)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                          (read_only ? MOUNT_ATTR_RDONLY : 0)};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | how, &attr, sizeof(attr)) != 0)
        return failed(e, "mount_setattr", "nosuid,nodev");
    return ERR_OK;
}

enum err_code mnt_flags(int tree, bool read_only, struct err *e)
{
    return set_flags(tree, read_only, AT_RECURSIVE, e);
}

enum err_code mnt_flags_one(int tree, bool read_only, struct err *e)
{
    return set_flags(tree, read_only, 0, e);
}

// The option strings name the layers relative to the working directory, which keeps them short and free of
// characters that would need quotes.
enum err_code mnt_overlay(int base, const char *layer, int *ret, struct err *e)
{
    CLEANUP(fd_close) int dir = openat(base, layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fchdir(dir) != 0)
        return failed(e, "enter", layer);
    const char *const options[] = {"lowerdir", "l", "upperdir", "u", "workdir", "w", "userxattr", "", NULL};
    enum err_code r = fs_new("overlay", options, ret, e);
    if (chdir("/") != 0 && r == ERR_OK)
        r = failed(e, "enter", "/");
    return r;
}

static enum err_code parent_of(int root, const char *path, int *ret, const char **ret_last, struct err *e)
{
    char dir[PATH_TEXT_MAX];
    const char *slash = strrchr(path, '/');
    if (!str_cstr(slash ? str_head(str_of(path), (size_t)(slash - path)) : STR("."), dir, sizeof(dir)))
        return err_set(e, ERR_INVALID, "a path is too long");
    *ret_last = slash ? slash + 1 : path;
    enum err_code r = slash ? mnt_mkdirs(root, dir, 0755, NULL, e) : ERR_OK;
    return r == ERR_OK ? mnt_open(root, dir, O_RDONLY | O_DIRECTORY, ret, e) : r;
}

enum err_code mnt_mkdirs(int root, const char *path, mode_t mode, const struct rootfs *owner, struct err *e)
{
    char sofar[PATH_TEXT_MAX];
    size_t n = 0;
    CLEANUP(fd_close) int at = -1;
    enum err_code r = mnt_open(root, ".", O_RDONLY | O_DIRECTORY, &at, e);
    for (struct str rest = str_of(path), part; r == ERR_OK && str_split(&rest, '/', &part);) {
        if (part.n == 0)
            continue;
        if (n + part.n + 2 > sizeof(sofar))
            return err_set(e, ERR_INVALID, "path '%s' is too long", path);
        char *name = sofar + n;
        memcpy(name, part.p, part.n);
        n += part.n;
        sofar[n] = '\0';
        bool is_new = mkdirat(at, name, mode) == 0;
        if (!is_new && errno != EEXIST) {
            int why = errno;
            bool there = faccessat(at, name, F_OK, 0) == 0;
            errno = why;
            if (!there)
                return failed(e, "make the folder", path);
        }
        fd_close(&at);
        r = mnt_open(root, sofar, O_RDONLY | O_DIRECTORY, &at, e); // through links, inside the root
        if (r == ERR_OK && is_new && owner && !rest.p && fchown(at, owner->uid, owner->gid) != 0)
            r = failed(e, "chown", path);
        sofar[n++] = '/';
    }
    return r;
}

enum err_code mnt_touch(int root, const char *path, struct err *e)
{
    CLEANUP(fd_close) int dir = -1;
    const char *name;
    enum err_code r = parent_of(root, path, &dir, &name, e);
    if (r != ERR_OK)
        return r;
    CLEANUP(fd_close) int fd = openat(dir, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd < 0 && errno != EEXIST && faccessat(dir, name, F_OK, 0) != 0 ? failed(e, "make the file", path)
                                                                           : ERR_OK;
}

enum err_code mnt_link(int root, const char *path, const char *to, struct err *e)
{
    CLEANUP(fd_close) int dir = -1;
    const char *name;
    enum err_code r = parent_of(root, path, &dir, &name, e);
    if (r == ERR_OK && symlinkat(to, dir, name) != 0 && errno != EEXIST)
        r = failed(e, "make the link", path);
    return r;
}

enum err_code mnt_file(int dir, const char *name, struct str text, struct err *e)
{
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT) // a link of the image must not lead us elsewhere
        return failed(e, "replace", name);
    CLEANUP(fd_close) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (fd < 0)
        return failed(e, "make the file", name);
    return fd_write_all(fd, text, e);
}

// Parts of /proc that change or tell about the machine, not about processes. Its owner in there, root of the
// namespace, is the agent's own user where an ordinary user started it.
static enum err_code proc_masks(int root, struct err *e)
{
    static const char *const read_only[] = {"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus",
                                            "proc/fs"};
    static const char *const hidden[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/kmsg"};
    for (size_t i = 0; i < ARRAY_LEN(read_only) + ARRAY_LEN(hidden); i++) {
        bool hide = i >= ARRAY_LEN(read_only);
        const char *path = hide ? hidden[i - ARRAY_LEN(read_only)] : read_only[i];
        if (faccessat(root, path, F_OK, 0) != 0)
            continue; // not in this kernel
        CLEANUP(fd_close) int tree = -1;
        enum err_code r = hide ? mnt_clone(AT_FDCWD, "/dev/null", false, &tree, e)
                               : mnt_clone(root, path, false, &tree, e);
        if (r == ERR_OK)
            r = mnt_flags(tree, true, e);
        if (r == ERR_OK)
            r = mnt_attach(tree, root, path, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

enum err_code mnt_proc(int root, struct err *e)
{
    static const char *const options[] = {"hidepid", "invisible", NULL};
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fs_new("proc", options, &fd, e);
    if (r == ERR_OK)
        r = mnt_mkdirs(root, "proc", 0755, NULL, e);
    if (r == ERR_OK)
        r = mnt_attach(fd, root, "proc", e);
    return r == ERR_OK ? proc_masks(root, e) : r;
}

static enum err_code dev_nodes(int root, struct err *e)
{
    static const char *const nodes[] = {"dev/null",   "dev/zero",    "dev/full",
                                        "dev/random", "dev/urandom", "dev/tty"};
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "/%s", nodes[i]);
        CLEANUP(fd_close) int tree = -1;
        enum err_code r = mnt_clone(AT_FDCWD, host, false, &tree, e);
        if (r == ERR_OK)
            r = mnt_touch(root, nodes[i], e);
        if (r == ERR_OK)
            r = mnt_attach(tree, root, nodes[i], e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err_code dev_fs(int root, const char *path, const char *type, const char *const *options,
                            struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fs_new(type, options, &fd, e);
    if (r == ERR_OK)
        r = mnt_mkdirs(root, path, 0755, NULL, e);
    return r == ERR_OK ? mnt_attach(fd, root, path, e) : r;
}

enum err_code mnt_dev(int root, struct err *e)
{
    static const char *const dev[] = {"mode", "0755", "size", "64k", NULL};
    static const char *const shm[] = {"mode", "1777", "size", "64m", NULL};
    static const char *const pts[] = {"newinstance", "", "ptmxmode", "0666", "mode", "0600", NULL};
    static const char *const links[][2] = {{"dev/fd", "/proc/self/fd"},
                                           {"dev/stdin", "/proc/self/fd/0"},
                                           {"dev/stdout", "/proc/self/fd/1"},
                                           {"dev/stderr", "/proc/self/fd/2"},
                                           {"dev/ptmx", "pts/ptmx"}};
    enum err_code r = dev_fs(root, "dev", "tmpfs", dev, e);
    if (r == ERR_OK)
        r = dev_fs(root, "dev/shm", "tmpfs", shm, e);
    if (r == ERR_OK)
        r = dev_fs(root, "dev/pts", "devpts", pts, e);
    if (r == ERR_OK)
        r = dev_nodes(root, e);
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(links); i++)
        r = mnt_link(root, links[i][0], links[i][1], e);
    return r;
}

enum err_code mnt_pivot(int root, struct err *e)
{
    // pivot_root(2): with both names "." the old root ends up on top of the new one, and goes.
    if (fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", DETACH) != 0 ||
        chdir("/") != 0)
        return failed(e, "change the root", "(pivot_root)");
    return ERR_OK;
}

bool mnt_resolve_dots(const char *path, char dst[static PATH_TEXT_MAX])
{
    size_t n = 0;
    for (struct str rest = str_of(path), part; str_split(&rest, '/', &part);) {
        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR(".."))) {
            while (n > 0 && dst[--n] != '/')
                ;
            continue;
        }
        if (n + part.n + 2 > PATH_TEXT_MAX)
            return false;
        dst[n++] = '/';
        memcpy(dst + n, part.p, part.n);
        n += part.n;
    }
    if (n == 0)
        dst[n++] = '/';
    dst[n] = '\0';
    return true;
}
