#include "supervisor/session/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

enum { END_OF_FILE = 4 }; // ^D, a terminal's default VEOF

void ends_init(struct ends *e)
{
    *e = (struct ends){.fd = {-1, -1, -1}, .at = {-1, -1, -1}};
    buf_init(&e->input, ENDS_INPUT_MAX + ENDS_PIECE_MAX);
}

void ends_done(struct ends *e)
{
    for (size_t i = 0; i < ENDS; i++)
        fd_close(&e->fd[i]);
    buf_done(&e->input);
}

enum err_code ends_pipes(struct ends *e, int theirs[static ENDS], uid_t uid, gid_t gid, struct err *err)
{
    enum err_code r = ERR_OK;
    for (int i = 0; i < ENDS; i++)
        theirs[i] = -1;
    for (int i = 0; r == ERR_OK && i < ENDS; i++) {
        int p[2];
        if (pipe2(p, O_CLOEXEC) != 0) {
            r = err_set(err, fd_code(errno), "pipe: %s", fd_strerror(errno));
            break;
        }
        e->fd[i] = p[i == ENDS_IN ? 1 : 0];
        theirs[i] = p[i == ENDS_IN ? 0 : 1];
        if (!fd_set_nonblock(e->fd[i]) || (uid != geteuid() && fchown(theirs[i], uid, gid) != 0))
            r = err_set(err, fd_code(errno), "a pipe of the sandbox: %s", fd_strerror(errno));
    }
    for (int i = 0; r != ERR_OK && i < ENDS; i++) {
        fd_close(&e->fd[i]);
        fd_close(&theirs[i]);
    }
    return r;
}

enum err_code ends_one(struct ends *e, int fd, bool tty, struct err *err)
{
    e->fd[ENDS_IN] = fd;
    e->fd[ENDS_OUT] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    e->tty = tty;
    if (e->fd[ENDS_OUT] < 0 || !fd_set_nonblock(fd)) // the two share their flags
        return err_set(err, fd_code(errno), "a descriptor of the sandbox: %s", fd_strerror(errno));
    return ERR_OK;
}

// ---- input
// -------------------------------------------------------------------------------------------------------

static size_t waiting(const struct ends *e)
{
    return e->input.n - e->input_off;
}

bool ends_has_room(const struct ends *e)
{
    return waiting(e) < ENDS_INPUT_MAX;
}

static void forget(struct ends *e)
{
    bool large = e->input.size > ENDS_INPUT_MAX;
    size_t max = e->input.max;
    e->input_off = 0;
    buf_clear(&e->input);
    if (large) { // the exception should not stay
        buf_done(&e->input);
        buf_init(&e->input, max);
    }
}

void ends_input(struct ends *e, struct str data)
{
    assert(data.n <= ENDS_PIECE_MAX);
    if (e->input_ends || e->fd[ENDS_IN] < 0)
        return;
    if (e->input_off > 0 && waiting(e) > 0) {
        memmove(e->input.p, e->input.p + e->input_off, waiting(e));
        e->input.n -= e->input_off;
        e->input_off = 0;
    }
    buf_add(&e->input,
            data); // bounded by ends_has_room() and ENDS_PIECE_MAX; no memory: lost as by a full disk
    ends_feed(e);
}

static void close_input(struct ends *e)
{
    if (e->fd[ENDS_OUT] >= 0 && !e->tty)
        (void)shutdown(e->fd[ENDS_IN], SHUT_WR); // a socket; a pipe is closed by closing it
    fd_close(&e->fd[ENDS_IN]);
}

void ends_feed(struct ends *e)
{
    while (waiting(e) > 0 && e->fd[ENDS_IN] >= 0) {
        ssize_t n = write(e->fd[ENDS_IN], e->input.p + e->input_off, waiting(e));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) { // nobody reads any more
            fd_close(&e->fd[ENDS_IN]);
            break;
        }
        e->input_off += (size_t)n;
    }
    forget(e);
    if (e->input_ends && !e->tty && e->fd[ENDS_IN] >= 0)
        close_input(e);
}

void ends_input_end(struct ends *e)
{
    static const char eof[] = {END_OF_FILE};
    if (e->input_ends)
        return;
    if (e->tty)
        ends_input(e, (struct str){eof, sizeof(eof)});
    e->input_ends = true;
    ends_feed(e);
}

// ---- output
// ------------------------------------------------------------------------------------------------------

enum ends_got ends_read(struct ends *e, enum ends_which which, char dst[static ENDS_CHUNK], size_t *ret)
{
    if (e->fd[which] < 0)
        return ENDS_END;
    ssize_t n;
    do
        n = read(e->fd[which], dst, ENDS_CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return ENDS_NOTHING;
    if (n <= 0) { // EIO: the last process has closed the terminal
        fd_close(&e->fd[which]);
        return ENDS_END;
    }
    *ret = (size_t)n;
    return ENDS_BYTES;
}

void ends_resize(const struct ends *e, uint32_t cols, uint32_t rows)
{
    const struct winsize size = {.ws_col = (unsigned short)(cols < UINT16_MAX ? cols : UINT16_MAX),
                                 .ws_row = (unsigned short)(rows < UINT16_MAX ? rows : UINT16_MAX)};
    if (e->tty && e->fd[ENDS_IN] >= 0)
        (void)ioctl(e->fd[ENDS_IN], TIOCSWINSZ, &size); // hung up: reading says so
}

// ---- poll
// --------------------------------------------------------------------------------------------------------

size_t ends_poll(struct ends *e, struct pollfd *p, size_t n, bool output)
{
    const bool wanted[ENDS] = {[ENDS_IN] = waiting(e) > 0, [ENDS_OUT] = output, [ENDS_ERR] = output};
    for (int i = 0; i < ENDS; i++) {
        e->at[i] = -1;
        if (!wanted[i] || e->fd[i] < 0)
            continue;
        e->at[i] = (short)n;
        p[n++] = (struct pollfd){.fd = e->fd[i], .events = i == ENDS_IN ? POLLOUT : POLLIN};
    }
    return n;
}

bool ends_is_ready(const struct ends *e, enum ends_which which, const struct pollfd *p)
{
    return e->at[which] >= 0 && p[e->at[which]].revents != 0;
}
