// Two pseudo-terminals: one is the user's, at this process's standard input, the other the sandbox's.
#include "supervisor/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "tap.h"

enum { PATIENCE_MS = 2000, ROWS = 31, COLUMNS = 97, MANY = 200 * 1024 };

struct pair {
    int master, slave;
};

static bool pair_open(struct pair *p)
{
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->master < 0 || grantpt(p->master) != 0 || unlockpt(p->master) != 0)
        return false;
    p->slave = open(ptsname(p->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    return p->slave >= 0;
}

static void raw(int fd)
{
    struct termios t;
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        (void)tcsetattr(fd, TCSANOW, &t);
    }
}

static int tap_fd = -1, input_fd = -1; // where the standard ones are kept

// Standard input and output become `in` and `out` until stdio_back().
static void stdio_to(int in, int out)
{
    (void)fflush(stdout);
    input_fd = dup(STDIN_FILENO);
    tap_fd = dup(STDOUT_FILENO);
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
}

static void stdio_back(void)
{
    (void)dup2(input_fd, STDIN_FILENO);
    (void)dup2(tap_fd, STDOUT_FILENO);
    (void)close(input_fd);
    (void)close(tap_fd);
}

// One turn of the launcher's loop. False: the sandbox's side has hung up.
static bool turn(struct terminal *t, int ms)
{
    struct pollfd p[2];
    terminal_poll(t, p);
    return poll(p, 2, ms) <= 0 || terminal_move(t, p);
}

// Waits for bytes at `fd`, turning the loop meanwhile.
static size_t comes(struct terminal *t, int fd, char *b, size_t n)
{
    size_t got = 0;
    for (int i = 0; i < PATIENCE_MS / 10 && got < n; i++) {
        (void)turn(t, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r = poll(&p, 1, 10) == 1 ? read(fd, b + got, n - got) : 0;
        got += r > 0 ? (size_t)r : 0;
    }
    return got;
}

static void conversation(void)
{
    struct pair user, box;
    if (!pair_open(&user) || !pair_open(&box)) {
        (void)tap_ok(true, "terminals # SKIP no pseudo-terminals: %s", strerror(errno));
        return;
    }
    const struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};
    struct winsize seen = {};
    struct termios before = {}, during = {}, after = {};
    struct terminal *t = NULL;
    struct err e = {};
    char b[64] = {};
    raw(box.slave);
    (void)ioctl(user.slave, TIOCSWINSZ, &size);
    (void)tcgetattr(user.slave, &before);
    stdio_to(user.slave, user.slave);
    bool joined = terminal_join(box.master, &t, &e) == ERR_OK;
    (void)tcgetattr(user.slave, &during);
    bool sized = ioctl(box.slave, TIOCGWINSZ, &seen) == 0 && seen.ws_row == ROWS && seen.ws_col == COLUMNS;
    bool typed = joined && write(user.master, "a\003\n", 3) == 3 && comes(t, box.slave, b, 3) == 3 &&
                 memcmp(b, "a\003\n", 3) == 0;
    bool shown = joined && write(box.slave, "hello", 5) == 5 && comes(t, user.master, b, 5) == 5 &&
                 memcmp(b, "hello", 5) == 0;
    const struct winsize wide = {.ws_row = 5, .ws_col = 6};
    (void)ioctl(user.slave, TIOCSWINSZ, &wide);
    if (joined)
        terminal_resize(t);
    bool resized = ioctl(box.slave, TIOCGWINSZ, &seen) == 0 && seen.ws_row == 5 && seen.ws_col == 6;
    (void)close(box.slave);
    bool hung_up = joined && !turn(t, PATIENCE_MS);
    terminal_part(t);
    (void)tcgetattr(user.slave, &after);
    stdio_back();
    (void)tap_ok(joined, "the two are joined %s", e.msg);
    (void)tap_ok((before.c_lflag & ICANON) && !(during.c_lflag & (ICANON | ECHO | ISIG)),
                 "the user's is raw meanwhile: ^C is the sandbox's to read");
    (void)tap_ok(sized, "the sandbox's has the size of the user's");
    (void)tap_ok(typed, "what is typed arrives, ^C among it");
    (void)tap_ok(shown, "what is printed is shown");
    (void)tap_ok(resized, "a change of size is passed on");
    (void)tap_ok(hung_up, "that nobody holds the sandbox's side is seen");
    (void)tap_ok(after.c_lflag == before.c_lflag && after.c_iflag == before.c_iflag,
                 "the user's is put back");
    (void)close(user.slave);
    (void)close(user.master);
}

// Input that is no terminal, and ends.
static void from_a_pipe(void)
{
    struct pair box;
    int in[2], out[2];
    if (!pair_open(&box) || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        (void)tap_ok(true, "a pipe # SKIP %s", strerror(errno));
        return;
    }
    struct terminal *t = NULL;
    struct err e = {};
    char b[8] = {};
    raw(box.slave);
    stdio_to(in[0], out[1]);
    bool joined = terminal_join(box.master, &t, &e) == ERR_OK;
    bool typed = joined && write(in[1], "x", 1) == 1 && comes(t, box.slave, b, 1) == 1 && b[0] == 'x';
    (void)close(in[1]);
    bool ended = joined && comes(t, box.slave, b, 1) == 1 && b[0] == 4;
    struct pollfd p[2] = {};
    if (joined) {
        (void)turn(t, 0);
        terminal_poll(t, p);
    }
    stdio_back();
    (void)tap_ok(typed, "input may be a pipe");
    (void)tap_ok(ended, "its end is ^D");
    (void)tap_ok(joined && p[0].fd == -1, "and it is not asked again");
    stdio_to(in[0], out[1]);
    terminal_part(t);
    stdio_back();
    (void)close(box.slave);
    (void)close(in[0]);
    (void)close(out[0]);
    (void)close(out[1]);
}

// A sandbox that reads nothing: what is typed waits, and input is left alone meanwhile.
static void nobody_reads(void)
{
    struct pair box;
    int in[2], out[2];
    if (!pair_open(&box) || pipe2(in, O_CLOEXEC | O_NONBLOCK) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        (void)tap_ok(true, "a full terminal # SKIP %s", strerror(errno));
        return;
    }
    struct terminal *t = NULL;
    struct err e = {};
    static char b[MANY];
    memset(b, 'y', sizeof(b));
    raw(box.slave);
    stdio_to(in[0], out[1]);
    bool joined = terminal_join(box.master, &t, &e) == ERR_OK;
    size_t sent = 0, got = 0;
    struct pollfd p[2] = {};
    for (int i = 0; joined && i < 100; i++) { // until neither takes any more
        ssize_t n = write(in[1], b, sizeof(b) - sent > 4096 ? 4096 : sizeof(b) - sent);
        sent += n > 0 ? (size_t)n : 0;
        (void)turn(t, 0);
    }
    if (joined)
        terminal_poll(t, p);
    bool waits = joined && p[0].fd == -1 && (p[1].events & POLLOUT);
    if (joined)
        got = comes(t, box.slave, b, sent);
    stdio_back();
    (void)tap_ok(waits, "what the sandbox does not take holds up what is typed");
    (void)tap_ok(joined && sent > 0 && got == sent && !memchr(b, 0, got),
                 "and all of it arrives later (%zu of %zu)", got, sent);
    stdio_to(in[0], out[1]);
    terminal_part(t);
    stdio_back();
    (void)close(box.slave);
    (void)close(in[0]);
    (void)close(in[1]);
    (void)close(out[0]);
    (void)close(out[1]);
}

int main(void)
{
    conversation();
    from_a_pipe();
    nobody_reads();
    terminal_part(NULL);
    return tap_done();
}
