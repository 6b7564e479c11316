#include "supervisor/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"

enum { CHUNK = 16 * KIB };

struct terminal {
    int master;
    bool saved, in_ended;
    struct termios before;
    size_t off, n; // typed and not yet taken by the sandbox: typed[off, n)
    char typed[CHUNK];
};

void terminal_resize(struct terminal *t)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(t->master, TIOCSWINSZ, &size); // hung up: the next move says so
}

enum err_code terminal_join(int master, struct terminal **ret, struct err *e)
{
    struct terminal *t = calloc(1, sizeof(*t));
    if (!t) {
        (void)close(master);
        return err_set(e, ERR_LIMIT, "no memory for the terminal");
    }
    t->master = master;
    if (!fd_set_nonblock(master)) {
        terminal_part(t);
        return err_set(e, fd_code(errno), "the sandbox's terminal: %s", fd_strerror(errno));
    }
    terminal_resize(t);
    if (tcgetattr(STDIN_FILENO, &t->before) == 0) {
        struct termios raw = t->before;
        cfmakeraw(&raw);
        t->saved = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    *ret = t;
    return ERR_OK;
}

void terminal_part(struct terminal *t)
{
    if (!t)
        return;
    if (t->saved)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &t->before); // a terminal that is gone needs no mode
    fd_close(&t->master);
    free(t);
}

void terminal_poll(const struct terminal *t, struct pollfd p[static 2])
{
    bool waiting = t->off < t->n;
    p[0] = (struct pollfd){.fd = t->in_ended || waiting ? -1 : STDIN_FILENO, .events = POLLIN};
    p[1] = (struct pollfd){.fd = t->master, .events = (short)(POLLIN | (waiting ? POLLOUT : 0))};
}

static void take_typed(struct terminal *t)
{
    ssize_t n = read(STDIN_FILENO, t->typed, sizeof(t->typed));
    if (n > 0) {
        t->off = 0;
        t->n = (size_t)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        t->in_ended = true; // what reads in there sees the end as a terminal shows it
        t->typed[0] = 4;    // ^D
        t->off = 0;
        t->n = 1;
    }
}

static bool give_typed(struct terminal *t)
{
    ssize_t n = write(t->master, t->typed + t->off, t->n - t->off);
    if (n > 0)
        t->off += (size_t)n;
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool show(struct terminal *t)
{
    char b[CHUNK];
    ssize_t n = read(t->master, b, sizeof(b));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    struct err ignored; // nobody looks any more: go on, for the agent's sake
    (void)!fd_write_all(STDOUT_FILENO, (struct str){b, (size_t)n}, &ignored);
    return n > 0;
}

bool terminal_move(struct terminal *t, const struct pollfd p[static 2])
{
    if (p[0].revents)
        take_typed(t);
    if (t->off < t->n && !give_typed(t))
        return false;
    return !(p[1].revents & (POLLIN | POLLHUP | POLLERR)) || show(t);
}
