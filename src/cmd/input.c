#include "cmd/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

const char *input_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

enum err_code input_read(const char *path, struct buf *ret, struct err *reterr)
{
    bool is_stdin = strcmp(path, "-") == 0;
    CLEANUP(fd_close) int own_fd = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int fd = is_stdin ? STDIN_FILENO : own_fd;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s", fd_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(reterr, ERR_INVALID, "it is a directory");
    enum err_code r = fd_read_all(fd, INPUT_MAX, ret, reterr);
    if (r == ERR_LIMIT)
        return err_set(reterr, r, "it is larger than 1 MiB, or memory ran out");
    return r;
}

enum err_code input_replace(const char *path, struct str text, struct err *reterr)
{
    CLEANUP(base_freep) char *real = realpath(path, NULL);
    struct stat st;
    if (!real || stat(real, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s", fd_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(reterr, ERR_INVALID, "it is not a regular file");
    return file_write_atomic(real, text, st.st_mode & 07777, reterr);
}
