#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno; // a clean-up must not hide why the function is leaving
    int r = close(*fd);
    assert(r == 0 || errno != EBADF); // closed twice: it may be someone else's by now
    (void)r;
    errno = saved;
    *fd = -1;
}

static const struct {
    int errnum;
    enum err_code code;
} codes[] = {
    {ENOENT, ERR_NOT_FOUND},
    {ESRCH, ERR_NOT_FOUND},
    {ENXIO, ERR_NOT_FOUND},
    {ENODEV, ERR_NOT_FOUND},
    {EEXIST, ERR_EXISTS},
    {EACCES, ERR_DENIED},
    {EPERM, ERR_DENIED},
    {EROFS, ERR_DENIED},
    {ENOMEM, ERR_LIMIT},
    {EMFILE, ERR_LIMIT},
    {ENFILE, ERR_LIMIT},
    {ENOSPC, ERR_LIMIT},
    {EDQUOT, ERR_LIMIT},
    {EFBIG, ERR_LIMIT},
    {EINVAL, ERR_INVALID},
    {ENAMETOOLONG, ERR_INVALID},
    {ENOTDIR, ERR_INVALID},
    {EISDIR, ERR_INVALID},
    {ELOOP, ERR_INVALID},
    {ENOTEMPTY, ERR_PRECONDITION},
    {EBUSY, ERR_UNAVAILABLE},
    {EAGAIN, ERR_UNAVAILABLE},
    {EPIPE, ERR_UNAVAILABLE},
    {ECONNREFUSED, ERR_UNAVAILABLE},
    {ECONNRESET, ERR_UNAVAILABLE},
    {EHOSTUNREACH, ERR_UNAVAILABLE},
    {ENETUNREACH, ERR_UNAVAILABLE},
    {ETIMEDOUT, ERR_TIMEOUT},
    {ENOSYS, ERR_UNSUPPORTED},
    {EOPNOTSUPP, ERR_UNSUPPORTED},
};

enum err_code fd_code(int errnum)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].errnum == errnum)
            return codes[i].code;
    return ERR_INTERNAL;
}

const char *fd_strerror(int errnum)
{
    const char *text = strerrordesc_np(errnum);
    return text ? text : "unknown error";
}

static enum err_code fail(int errnum, const char *what, struct err *reterr)
{
    return err_set(reterr, fd_code(errnum), "%s: %s", what, fd_strerror(errnum));
}

enum err_code fd_open(const char *path, int flags, mode_t mode, int *ret, struct err *reterr)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR); // a FIFO, or a slow file system
    if (fd < 0)
        return fail(errno, "open", reterr);
    *ret = fd;
    return ERR_OK;
}

bool fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

enum err_code fd_read_all(int fd, size_t max, struct buf *ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, max);
    for (;;) {
        char chunk[16 * KIB];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(errno, "read", reterr);
        if (n == 0)
            break;
        if ((size_t)n > max - b.n)
            return err_set(reterr, ERR_LIMIT, "more than %zu bytes", max);
        buf_add(&b, (struct str){chunk, (size_t)n});
        if (b.full)
            return err_set(reterr, ERR_LIMIT, "no memory for more than %zu bytes", b.n);
    }
    *ret = b;
    b = (struct buf){};
    return ERR_OK;
}

enum err_code fd_write_all(int fd, struct str bytes, struct err *reterr)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(errno, "write", reterr);
        bytes = str_from(bytes, (size_t)n);
    }
    return ERR_OK;
}

enum err_code file_read(const char *path, size_t max, struct buf *ret, struct err *reterr)
{
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_RDONLY, 0, &fd, reterr);
    if (r == ERR_OK)
        r = fd_read_all(fd, max, ret, reterr);
    return r == ERR_OK ? r : err_wrap(reterr, r, "%s", path);
}

// The temporary file has a short name of its own, so that a long `path` still has room.
struct replacement {
    char *folder; // "" where path has none; ends in a slash otherwise
    char *name;   // of the temporary file; "" when there is none to remove
    int fd;
};

static void replacement_done(struct replacement *t)
{
    fd_close(&t->fd);
    if (t->name && t->name[0] != '\0')
        (void)unlink(t->name); // best effort: we are already reporting why
    free(t->name);
    free(t->folder);
}

static enum err_code replacement_open(const char *path, struct replacement *ret, struct err *reterr)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    const struct str suffix = STR(".openshell-XXXXXX");
    ret->folder = calloc(1, n + 1);
    ret->name = calloc(1, n + suffix.n + 1);
    if (!ret->folder || !ret->name)
        return err_set(reterr, ERR_LIMIT, "no memory for the name of a temporary file");
    memcpy(ret->folder, path, n);
    memcpy(ret->name, path, n);
    memcpy(ret->name + n, suffix.p, suffix.n);
    ret->fd = mkostemp(ret->name, O_CLOEXEC);
    if (ret->fd < 0) {
        int errnum = errno;
        ret->name[0] = '\0'; // not ours to remove
        return fail(errnum, "make a temporary file in its folder", reterr);
    }
    return ERR_OK;
}

static enum err_code sync_folder(const char *folder, struct err *reterr)
{
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(folder[0] != '\0' ? folder : ".", O_RDONLY | O_DIRECTORY, 0, &fd, reterr);
    if (r == ERR_OK && fsync(fd) != 0)
        r = fail(errno, "fsync", reterr);
    return r == ERR_OK ? r : err_wrap(reterr, r, "written, but a power cut may undo it: folder");
}

static enum err_code write_atomic(const char *path, struct str bytes, mode_t mode, struct err *reterr)
{
    CLEANUP(replacement_done) struct replacement t = {.fd = -1};
    enum err_code r = replacement_open(path, &t, reterr);
    if (r == ERR_OK)
        r = fd_write_all(t.fd, bytes, reterr);
    if (r != ERR_OK)
        return r;
    if (fchmod(t.fd, mode) != 0)
        return fail(errno, "fchmod", reterr);
    if (fsync(t.fd) != 0) // before the rename: otherwise the name may reach the disk before the bytes
        return fail(errno, "fsync", reterr);
    if (rename(t.name, path) != 0)
        return fail(errno, "rename", reterr);
    t.name[0] = '\0';
    return sync_folder(t.folder, reterr);
}

enum err_code file_write_atomic(const char *path, struct str bytes, mode_t mode, struct err *reterr)
{
    enum err_code r = write_atomic(path, bytes, mode, reterr);
    return r == ERR_OK ? r : err_wrap(reterr, r, "%s", path);
}
