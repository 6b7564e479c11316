#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"

// Of the process, as its terminal is: signal handlers have nothing else to go by.
static struct {
    volatile sig_atomic_t on;
    int fd;
    struct termios saved, raw;
} state = {.fd = -1};

void terminal_restore(void)
{
    if (!state.on)
        return;
    state.on = 0;
    (void)tcsetattr(state.fd, TCSAFLUSH, &state.saved); // what was typed ahead was for the other side
}

void terminal_again(void)
{
    if (state.on)
        (void)tcsetattr(state.fd, TCSANOW, &state.raw);
}

// The signal ends the process when this returns: SA_RESETHAND.
static void on_fatal(int signum)
{
    int kept = errno;
    if (state.on)
        (void)tcsetattr(state.fd, TCSANOW, &state.saved); // async-signal-safe: signal-safety(7)
    errno = kept;
    (void)raise(signum);
}

static void restore_when_broken(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    struct sigaction act = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &act, NULL);
    (void)atexit(terminal_restore); // once each time, which does no harm
}

enum err_code terminal_raw(int fd, struct err *reterr)
{
    struct termios saved;
    if (tcgetattr(fd, &saved) != 0)
        return err_set(reterr, fd_code(errno), "the terminal: %s", fd_strerror(errno));
    state.saved = state.raw = saved;
    state.fd = fd;
    cfmakeraw(&state.raw);
    restore_when_broken();
    state.on = 1;
    if (tcsetattr(fd, TCSADRAIN, &state.raw) != 0) {
        state.on = 0;
        return err_set(reterr, fd_code(errno), "the terminal: %s", fd_strerror(errno));
    }
    return ERR_OK;
}

bool terminal_size(uint32_t *cols, uint32_t *rows)
{
    struct winsize ws = {};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
            *cols = ws.ws_col;
            *rows = ws.ws_row;
            return true;
        }
    }
    return false;
}

size_t detach_filter(struct detach_keys *k, struct str in, char *out, bool *detach)
{
    size_t n = 0;
    *detach = false;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (k->held && c == DETACH_SECOND) {
            *detach = true;
            return n;
        }
        if (k->held)
            out[n++] = DETACH_FIRST;
        k->held = c == DETACH_FIRST;
        if (!k->held)
            out[n++] = c;
    }
    return n;
}
