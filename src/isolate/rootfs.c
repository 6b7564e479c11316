// How the tree is built. One tmpfs, attached where nobody outside sees it, holds an empty root and, beside
// it, the private folders and the upper layers of overlays. What the policy names is cloned from the host as
// detached mounts before that tmpfs covers /tmp, then attached in the order of the paths, parents first.
//
// The host's root as one overlay, which would be shorter, is impossible for an ordinary user: its mounts are
// locked together in a new mount namespace, and the kernel refuses a layer that would show what is below one
// of them. It would also show more than the policy names.
//
// Every path in there is looked up with openat2 below the new root (RESOLVE_IN_ROOT), for a tree of the
// user's own may hold links that point anywhere.
#include "isolate/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/rootfs_mount.h"

enum {
    LINKS_MAX = 40, // as the kernel's own limit for one path
    SENDFILE_BYTES = 4 * MIB,
};

struct item {
    char path[PATH_TEXT_MAX]; // in the new root
    int tree;                 // detached, -1: made in the root
    bool write, dir;
    bool private_copy; // an overlay over `tree`
};

struct build {
    const struct rootfs *r;
    struct item *items;
    size_t n, cap;
    int base, root; // the tmpfs, the new root
    unsigned layers;
    struct {
        char path[PATH_TEXT_MAX], to[PATH_TEXT_MAX];
    } * links; // of the host, on the way to an item
    size_t links_n;
};

bool rootfs_below(struct str path, struct str dir)
{
    return dir.n > 0 && str_starts(path, dir) &&
           (path.n == dir.n || path.p[dir.n] == '/' || (dir.n == 1 && dir.p[0] == '/'));
}

bool rootfs_normal(struct str path, char *dst, size_t size)
{
    if (path.n == 0 || path.p[0] != '/' || size < 2)
        return false;
    size_t n = 0;
    for (struct str part; str_split(&path, '/', &part);) {
        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR("..")) || memchr(part.p, '\0', part.n) || part.n + 2 > size - n)
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

enum err_code rootfs_workdir(const char *path, int idmap, int *ret, struct err *e)
{
    CLEANUP(fd_close) int tree = -1;
    enum err_code r = mnt_clone(AT_FDCWD, path, true, &tree, e);
    if (r != ERR_OK)
        return r;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)idmap};
    if (idmap >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: its file system has no idmapped mounts (%s): give the folder to the agent's "
                       "user, or use another file system",
                       path, fd_strerror(errno));
    *ret = fd_take(&tree);
    return ERR_OK;
}

// ---- what is to be there
// --------------------------------------------------------------------------------

static struct item *item_find(struct build *b, const char *path)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->items[i].path, path) == 0)
            return &b->items[i];
    return NULL;
}

static enum err_code item_add(struct build *b, const char *path, int *tree, bool write, bool dir,
                              struct err *e)
{
    struct item *old = item_find(b, path);
    if (old) {
        old->write |= write;
        old->private_copy = old->write && old->tree >= 0;
        fd_close(tree);
        return ERR_OK;
    }
    if (b->n == b->cap)
        return err_set(e, ERR_LIMIT, "more than %zu paths", b->cap);
    struct item *item = &b->items[b->n++];
    *item = (struct item){.write = write, .dir = dir, .private_copy = write && *tree >= 0};
    (void)snprintf(item->path, sizeof(item->path), "%s", path);
    item->tree = fd_take(tree);
    return ERR_OK;
}

// The first link on the way along `path`, replaced by what it says; it is made again in the new root. Returns
// whether there was one.
static bool follow(struct build *b, char path[static PATH_TEXT_MAX])
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        char to[PATH_TEXT_MAX];
        ssize_t n = readlink(path, to, sizeof(to) - 1);
        if (n > 0) {
            to[n] = '\0';
            char joined[3 * PATH_TEXT_MAX], *dir_end = strrchr(path, '/');
            (void)snprintf(b->links[b->links_n].path, PATH_TEXT_MAX, "%s", path);
            (void)snprintf(b->links[b->links_n].to, PATH_TEXT_MAX, "%s", to);
            (void)snprintf(joined, sizeof(joined), "%.*s/%s/%s", to[0] == '/' ? 0 : (int)(dir_end - path),
                           path, to, slash ? slash + 1 : "");
            b->links_n++;
            if (!mnt_resolve_dots(joined, path))
                path[0] = '\0';
            return true;
        }
        if (!slash)
            return false;
        *slash = '/';
    }
}

// What has a place of its own in every sandbox and is never the host's.
static bool is_own(struct str path)
{
    static const struct str whole[] = {STR_INIT("/"), STR_INIT("/tmp"), STR_INIT("/run"),
                                       STR_INIT("/var/tmp"), STR_INIT("/sandbox")};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_eq(path, whole[i]))
            return true;
    return rootfs_below(path, STR("/proc")) || rootfs_below(path, STR("/dev")) ||
           rootfs_below(path, STR("/sys"));
}

static enum err_code host_path(struct build *b, struct str given, bool write, struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (!rootfs_normal(given, path, sizeof(path)))
        return err_set(e, ERR_INVALID, "path '%.*s' is not absolute and plain", STR_FMT(given));
    for (unsigned i = 0; i < LINKS_MAX && b->links_n < b->cap; i++)
        if (!follow(b, path))
            break;
    if (path[0] == '\0' || is_own(str_of(path)) || rootfs_below(str_of(path), b->r->workdir))
        return ERR_OK;
    CLEANUP(fd_close) int tree = -1;
    struct stat st;
    if (stat(path, &st) != 0)
        return write ? item_add(b, path, &tree, true, true, e) : ERR_OK; // reference 6.4: created
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
        return ERR_OK; // devices and pipes of the host are never named by way of a policy
    if (write && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_UNSUPPORTED, "read_write path '%s' is a file: name its folder", path);
    enum err_code r = mnt_clone(AT_FDCWD, path, true, &tree, e);
    return r == ERR_OK ? item_add(b, path, &tree, write, S_ISDIR(st.st_mode), e) : r;
}

// Links right below "/", as /bin and /lib64 of a merged /usr: everything that runs expects them.
static enum err_code top_links(struct build *b, struct err *e)
{
    DIR *dir = opendir("/");
    if (!dir)
        return err_set(e, fd_code(errno), "/: %s", fd_strerror(errno));
    for (struct dirent *d; (d = readdir(dir)) && b->links_n < b->cap;) {
        if (d->d_type != DT_LNK)
            continue;
        char path[PATH_TEXT_MAX];
        (void)snprintf(path, sizeof(path), "/%s", d->d_name);
        (void)follow(b, path);
    }
    (void)closedir(dir);
    return ERR_OK;
}

static enum err_code collect(struct build *b, struct err *e)
{
    enum err_code r = top_links(b, e);
    for (size_t i = 0; r == ERR_OK && i < b->r->read_only.n; i++)
        r = host_path(b, b->r->read_only.v[i], false, e);
    for (size_t i = 0; r == ERR_OK && i < b->r->read_write.n; i++)
        r = host_path(b, b->r->read_write.v[i], true, e);
    return r;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

// ---- putting it there
// -----------------------------------------------------------------------------------

// A pair of folders for an overlay: layers/N/u and layers/N/w.
static enum err_code layer_new(struct build *b, char dst[static 64], struct err *e)
{
    (void)snprintf(dst, 64, "layers/%u", b->layers++);
    char sub[80];
    (void)snprintf(sub, sizeof(sub), "%s/w", dst);
    enum err_code r = mnt_mkdirs(b->base, sub, 0755, NULL, e);
    (void)snprintf(sub, sizeof(sub), "%s/u", dst);
    return r == ERR_OK ? mnt_mkdirs(b->base, sub, 0755, NULL, e) : r;
}

static enum err_code etc_files(struct build *b, int upper, struct err *e)
{
    enum err_code r = mnt_mkdirs(upper, "openshell-tls", 0755, NULL, e);
    for (size_t i = 0; r == ERR_OK && i < b->r->etc_n; i++)
        r = mnt_file(upper, b->r->etc[i].name, b->r->etc[i].text, e);
    return r;
}

// What does not exist on the host and is to be writable below a folder that does: made in that folder's upper
// layer.
static enum err_code missing_below(struct build *b, const struct item *item, int upper, bool *ret_any,
                                   struct err *e)
{
    *ret_any = false;
    for (size_t i = 0; i < b->n; i++) {
        const struct item *x = &b->items[i];
        if (x->tree >= 0 || x == item || !rootfs_below(str_of(x->path), str_of(item->path)))
            continue;
        *ret_any = true;
        enum err_code r = ERR_OK;
        if (upper >= 0)
            r = mnt_mkdirs(upper, x->path + strlen(item->path) + 1, 0755, b->r, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

// A private copy of item->tree, which it replaces.
static enum err_code overlaid(struct build *b, struct item *item, struct err *e)
{
    char layer[64], sub[80];
    enum err_code r = layer_new(b, layer, e);
    if (r != ERR_OK)
        return r;
    (void)snprintf(sub, sizeof(sub), "%s/u", layer);
    CLEANUP(fd_close) int upper = openat(b->base, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0)
        return err_set(e, fd_code(errno), "%s: %s", sub, fd_strerror(errno));
    if (strcmp(item->path, "/etc") == 0)
        r = etc_files(b, upper, e);
    bool any;
    if (r == ERR_OK)
        r = missing_below(b, item, upper, &any, e);
    if (r == ERR_OK && item->write && fchown(upper, b->r->uid, b->r->gid) != 0 && errno != EINVAL)
        r = err_set(e, fd_code(errno), "chown: %s", fd_strerror(errno));
    // The layers must have a place in this namespace: the lower one gets one beside them.
    char lower[80];
    (void)snprintf(lower, sizeof(lower), "%s/l", layer);
    if (r == ERR_OK)
        r = mnt_mkdirs(b->base, lower, 0755, NULL, e);
    if (r == ERR_OK)
        r = mnt_attach(item->tree, b->base, lower, e);
    CLEANUP(fd_close) int tree = -1;
    if (r == ERR_OK)
        r = mnt_overlay(b->base, layer, &tree, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "a private copy of %s", item->path);
    fd_close(&item->tree);
    item->tree = fd_take(&tree);
    return ERR_OK;
}

// A folder of the sandbox's own, writable, in the shared tmpfs.
static enum err_code own_dir(struct build *b, const char *name, const char *path, mode_t mode, bool agents,
                             struct err *e)
{
    CLEANUP(fd_close) int tree = -1;
    enum err_code r = mnt_mkdirs(b->base, name, 0755, agents ? b->r : NULL, e);
    if (r == ERR_OK && fchmodat(b->base, name, mode, 0) != 0)
        r = err_set(e, fd_code(errno), "chmod: %s", fd_strerror(errno));
    if (r == ERR_OK)
        r = mnt_clone(b->base, name, false, &tree, e);
    if (r == ERR_OK)
        r = mnt_flags(tree, false, e);
    if (r == ERR_OK)
        r = mnt_mkdirs(b->root, path, 0755, NULL, e);
    return r == ERR_OK ? mnt_attach(tree, b->root, path, e) : r;
}

// One entry of a folder that cannot be overlaid, at the same name below `path`.
static enum err_code spread_entry(struct build *b, int from, const struct dirent *d, const char *path,
                                  struct err *e)
{
    char to[PATH_TEXT_MAX + 256], link[PATH_TEXT_MAX];
    (void)snprintf(to, sizeof(to), "%s/%s", path, d->d_name);
    if (d->d_type == DT_LNK) {
        ssize_t n = readlinkat(from, d->d_name, link, sizeof(link) - 1);
        if (n < 0)
            return err_set(e, fd_code(errno), "readlink %s: %s", to, fd_strerror(errno));
        link[n] = '\0';
        return mnt_link(b->root, to, link, e);
    }
    if (d->d_type != DT_DIR && d->d_type != DT_REG)
        return ERR_OK; // devices, pipes and sockets of the host
    CLEANUP(fd_close) int tree = -1;
    enum err_code r = mnt_clone(from, d->d_name, true, &tree, e);
    if (r == ERR_OK)
        r = mnt_flags(tree, true, e);
    if (r == ERR_OK)
        r = d->d_type == DT_DIR ? mnt_mkdirs(b->root, to, 0755, NULL, e) : mnt_touch(b->root, to, e);
    return r == ERR_OK ? mnt_attach(tree, b->root, to, e) : r;
}

static bool is_etc_file(const struct rootfs *r, const char *name)
{
    for (size_t i = 0; i < r->etc_n; i++)
        if (strcmp(r->etc[i].name, name) == 0)
            return true;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "openshell-tls") == 0;
}

// /etc where something is mounted below it, as containers have it: such a folder is locked to what covers it
// and cannot be a layer of an overlay (mount_namespaces(7)). A folder of our own takes its place, and its
// entries one by one theirs.
static enum err_code etc_spread(struct build *b, int from, struct err *e)
{
    enum err_code r = own_dir(b, "etc", "etc", 0755, false, e);
    CLEANUP(fd_close) int etc = -1;
    if (r == ERR_OK)
        r = mnt_open(b->root, "etc", O_RDONLY | O_DIRECTORY, &etc, e);
    if (r == ERR_OK)
        r = etc_files(b, etc, e);
    int list = r == ERR_OK ? openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *dir = list >= 0 ? fdopendir(list) : NULL;
    if (r == ERR_OK && !dir) {
        fd_close(&list);
        r = err_set(e, fd_code(errno), "/etc: %s", fd_strerror(errno));
    }
    for (struct dirent *d; r == ERR_OK && dir && (d = readdir(dir));)
        if (!is_etc_file(b->r, d->d_name))
            r = spread_entry(b, from, d, "etc", e);
    if (dir)
        (void)closedir(dir);
    return r;
}

static enum err_code item_put(struct build *b, struct item *item, struct err *e)
{
    bool etc = strcmp(item->path, "/etc") == 0, any = false;
    if (item->tree < 0) // unless it is in an upper layer already
        return mnt_mkdirs(b->root, item->path + 1, 0755, b->r, e);
    enum err_code r = missing_below(b, item, -1, &any, e);
    bool overlay = r == ERR_OK && item->dir && (item->private_copy || etc || any);
    if (overlay)
        r = overlaid(b, item, e);
    if (r == ERR_INVALID && etc && !item->write && !any)
        return etc_spread(b, item->tree, e);
    if (r == ERR_INVALID && overlay)
        return err_wrap(
            e, ERR_UNSUPPORTED,
            "something is mounted below %s, so that it cannot be made writable; name a folder below it",
            item->path);
    if (r == ERR_OK)
        r = mnt_flags(item->tree, !overlay || (!item->write && !etc && !any), e);
    if (r == ERR_OK)
        r = item->dir ? mnt_mkdirs(b->root, item->path + 1, 0755, NULL, e)
                      : mnt_touch(b->root, item->path + 1, e);
    return r == ERR_OK ? mnt_attach(item->tree, b->root, item->path + 1, e) : r;
}

static enum err_code links_put(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->links_n; i++) {
        enum err_code r = mnt_link(b->root, b->links[i].path + 1, b->links[i].to, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err_code work_dir(struct build *b, struct err *e)
{
    const struct rootfs *r = b->r;
    char path[PATH_TEXT_MAX];
    if (!str_cstr(r->workdir, path, sizeof(path)) || path[0] != '/')
        return err_set(e, ERR_INVALID, "the work directory is not an absolute path");
    enum err_code c = mnt_flags(r->workdir_fd, !r->workdir_writable, e);
    if (c == ERR_OK)
        c = mnt_mkdirs(b->root, path + 1, 0755, NULL, e);
    return c == ERR_OK ? mnt_attach(r->workdir_fd, b->root, path + 1, e) : c;
}

static bool is_named(const struct rootfs_list *list, const char *path)
{
    char named[PATH_TEXT_MAX];
    for (size_t i = 0; i < list->n; i++)
        if (rootfs_normal(list->v[i], named, sizeof(named)) && strcmp(named, path) == 0)
            return true;
    return false;
}

// A socket of the host that lies in a folder which the sandbox shows would be a way out to whoever listens
// there: no right of Landlock covers it, and a read-only mount does not keep anybody from connecting.
// Something that is no socket is mounted over each.
static enum err_code cover_socket(struct build *b, const char *path, struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(fd_close) int cover = -1;
    struct stat st;
    struct err absent;
    if (is_named(&b->r->read_only, path) || is_named(&b->r->read_write, path) ||
        mnt_open(b->root, path + 1, O_PATH | O_NOFOLLOW, &fd, &absent) != ERR_OK || fstat(fd, &st) != 0 ||
        !S_ISSOCK(st.st_mode))
        return ERR_OK;
    enum err_code r = mnt_touch(b->base, "covered", e);
    if (r == ERR_OK)
        r = mnt_clone(b->base, "covered", false, &cover, e);
    if (r == ERR_OK)
        r = mnt_flags(cover, true, e);
    return r == ERR_OK ? mnt_attach(cover, b->root, path + 1, e) : r;
}

static enum err_code cover_sockets(struct build *b, struct err *e)
{
    enum err_code r = ERR_OK;
    char path[PATH_TEXT_MAX];
    for (struct str rest = b->r->sockets, line; r == ERR_OK && str_line(&rest, &line);)
        if (rootfs_normal(line, path, sizeof(path)) && path[1])
            r = cover_socket(b, path, e);
    return r;
}

static enum err_code fill(struct build *b, struct err *e)
{
    enum err_code r = links_put(b, e);
    if (r == ERR_OK)
        r = own_dir(b, "tmp", "tmp", 01777, false, e);
    if (r == ERR_OK)
        r = own_dir(b, "run", "run", 0755, false, e);
    if (r == ERR_OK)
        r = own_dir(b, "home", "sandbox", 0755, true, e);
    for (size_t i = 0; r == ERR_OK && i < b->n; i++)
        r = item_put(b, &b->items[i], e);
    if (r == ERR_OK)
        r = mnt_proc(b->root, e);
    if (r == ERR_OK)
        r = mnt_dev(b->root, e);
    if (r == ERR_OK && b->r->workdir_fd >= 0)
        r = work_dir(b, e);
    return r == ERR_OK ? cover_sockets(b, e) : r;
}

// The host's tree: an empty root. A tree of the user's own: an overlay of it, /etc included.
static enum err_code root_new(struct build *b, struct err *e)
{
    CLEANUP(fd_close) int tree = -1;
    enum err_code r;
    if (b->r->base_fd == AT_FDCWD) {
        r = mnt_mkdirs(b->base, "root", 0755, NULL, e);
        if (r == ERR_OK)
            r = mnt_clone(b->base, "root", false, &tree, e);
    } else {
        struct item image = {.path = "/", .dir = true};
        r = mnt_clone(b->r->base_fd, "", true, &image.tree, e);
        if (r == ERR_OK)
            r = overlaid(b, &image, e);
        tree = image.tree;
        if (r == ERR_OK)
            r = mnt_mkdirs(b->base, "root", 0755, NULL, e);
    }
    if (r == ERR_OK)
        r = mnt_attach(tree, b->base, "root", e);
    if (r == ERR_OK)
        b->root = fd_take(&tree);
    return r;
}

static enum err_code image_etc(struct build *b, struct err *e)
{
    enum err_code r = mnt_mkdirs(b->root, "etc", 0755, NULL, e);
    CLEANUP(fd_close) int etc = -1;
    if (r == ERR_OK)
        r = mnt_open(b->root, "etc", O_RDONLY | O_DIRECTORY, &etc, e);
    if (r == ERR_OK)
        r = etc_files(b, etc, e);
    for (size_t i = 0; r == ERR_OK && i < b->r->read_write.n; i++) {
        char path[PATH_TEXT_MAX];
        if (!rootfs_normal(b->r->read_write.v[i], path, sizeof(path)))
            r = err_set(e, ERR_INVALID, "path '%.*s'", STR_FMT(b->r->read_write.v[i]));
        else if (!is_own(str_of(path)) && !rootfs_below(str_of(path), b->r->workdir))
            r = mnt_mkdirs(b->root, path + 1, 0755, b->r, e);
    }
    return r;
}

static enum err_code build(struct build *b, struct err *e)
{
    bool host = b->r->base_fd == AT_FDCWD;
    enum err_code r = mnt_private(e);
    if (r == ERR_OK && host)
        r = collect(b, e); // before /tmp is covered
    if (r == ERR_OK)
        qsort(b->items, b->n, sizeof(b->items[0]), by_path);
    if (r == ERR_OK)
        r = mnt_scratch(b->r->scratch, &b->base, e);
    if (r == ERR_OK)
        r = root_new(b, e);
    if (r == ERR_OK && !host)
        r = image_etc(b, e);
    if (r == ERR_OK)
        r = fill(b, e);
    if (r == ERR_OK && host)
        r = mnt_flags_one(b->root, true, e);
    return r == ERR_OK ? mnt_pivot(b->root, e) : r;
}

enum err_code rootfs_enter(const struct rootfs *r, struct err *e)
{
    struct build b = {.r = r, .base = -1, .root = -1, .cap = r->read_only.n + r->read_write.n + 64};
    b.items = calloc(b.cap, sizeof(b.items[0]));
    b.links = calloc(b.cap, sizeof(b.links[0]));
    enum err_code code = b.items && b.links ? build(&b, e) : err_set(e, ERR_LIMIT, "no memory for the paths");
    for (size_t i = 0; b.items && i < b.n; i++)
        fd_close(&b.items[i].tree);
    free(b.items);
    free(b.links);
    fd_close(&b.base);
    fd_close(&b.root);
    return code;
}

enum err_code rootfs_tls_file(const char *name, struct str text, struct err *e)
{
    CLEANUP(fd_close) int dir = -1;
    enum err_code r = fd_open("/etc/openshell-tls", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &dir, e);
    return r == ERR_OK ? mnt_file(dir, name, text, e) : r;
}

static const char bundle[] = "/etc/openshell-tls/ca-bundle.pem";

enum err_code rootfs_tls_bundle(int fd, struct err *e)
{
    static const char *const places[] = {"etc/ssl/certs/ca-certificates.crt",
                                         "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/ca-bundle.pem",
                                         "etc/ssl/cert.pem"}; // reference 2.10
    CLEANUP(fd_close) int root = -1;
    CLEANUP(fd_close) int file = -1;
    enum err_code r = rootfs_tls_file("ca-bundle.pem", STR(""), e);
    if (r == ERR_OK)
        r = fd_open(bundle, O_WRONLY | O_NOFOLLOW, 0, &file, e);
    off_t at = 0; // our own: others read from the same descriptor
    for (ssize_t n = 1; r == ERR_OK && n > 0;)
        if ((n = sendfile(file, fd, &at, SENDFILE_BYTES)) < 0)
            r = err_set(e, fd_code(errno), "%s: %s", bundle, fd_strerror(errno));
    if (r == ERR_OK)
        r = fd_open("/", O_PATH | O_DIRECTORY, 0, &root, e);
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(places); i++) {
        CLEANUP(fd_close) int tree = -1;
        CLEANUP(fd_close) int place = -1;
        struct stat st;
        struct err absent;
        if (mnt_open(root, places[i], O_PATH, &place, &absent) != ERR_OK || fstat(place, &st) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        r = mnt_clone(AT_FDCWD, bundle, false, &tree, e);
        if (r == ERR_OK)
            r = mnt_flags(tree, true, e);
        if (r == ERR_OK)
            r = mnt_attach(tree, root, places[i], e);
    }
    return r;
}

enum err_code rootfs_tls_bundle_add(struct str pem, struct err *e)
{
    CLEANUP(fd_close) int file = -1;
    enum err_code r = fd_open(bundle, O_WRONLY | O_APPEND | O_NOFOLLOW, 0, &file, e);
    if (r == ERR_OK)
        r = fd_write_all(file, STR("\n"), e); // the last of the others may lack its own
    return r == ERR_OK ? fd_write_all(file, pem, e) : r;
}
