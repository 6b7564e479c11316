#include "supervisor/session/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static char chunk[ENDS_CHUNK], piece[ENDS_PIECE_MAX];

static void test_pipes(void)
{
    struct ends e;
    struct err err = {};
    int theirs[ENDS];
    size_t n = 0;
    char b[8] = "";
    ends_init(&e);
    tap_ok(ends_pipes(&e, theirs, geteuid(), getegid(), &err) == ERR_OK, "three pipes: %s", err.msg);
    tap_ok(ends_read(&e, ENDS_OUT, chunk, &n) == ENDS_NOTHING, "nothing was said yet");
    tap_ok(write(theirs[ENDS_ERR], "no", 2) == 2 && ends_read(&e, ENDS_ERR, chunk, &n) == ENDS_BYTES &&
               n == 2,
           "errors come by their own");
    ends_input(&e, STR("in"));
    tap_ok(read(theirs[ENDS_IN], b, sizeof(b)) == 2 && memcmp(b, "in", 2) == 0, "input arrives");
    ends_input_end(&e);
    tap_ok(read(theirs[ENDS_IN], b, sizeof(b)) == 0, "and its end");
    ends_input(&e, STR("late"));
    tap_ok(ends_has_room(&e) && e.input.n == 0, "what comes behind that is dropped");
    fd_close(&theirs[ENDS_OUT]);
    tap_ok(ends_read(&e, ENDS_OUT, chunk, &n) == ENDS_END && !ends_is_silent(&e), "one stream ends");
    fd_close(&theirs[ENDS_ERR]);
    tap_ok(ends_read(&e, ENDS_ERR, chunk, &n) == ENDS_END && ends_is_silent(&e), "then the other");
    fd_close(&theirs[ENDS_IN]);
    ends_done(&e);
}

static void test_bound(void)
{
    struct ends e;
    struct err err = {};
    int theirs[ENDS];
    size_t took = 0, given = 0;
    ends_init(&e);
    if (ends_pipes(&e, theirs, geteuid(), getegid(), &err) != ERR_OK)
        return (void)tap_ok(false, "%s", err.msg);
    for (; given < 64 && ends_has_room(&e); given++)
        ends_input(&e, (struct str){chunk, sizeof(chunk)});
    tap_ok(given < 64 && e.input.n - e.input_off <= ENDS_INPUT_MAX + sizeof(chunk),
           "a command that does not read stops its writer: %zu", given);
    ends_input(&e, (struct str){piece, sizeof(piece)});
    tap_ok(!e.input.full, "one piece more fits always");
    ends_input_end(&e);
    size_t want = given * sizeof(chunk) + sizeof(piece);
    for (ssize_t n; (n = read(theirs[ENDS_IN], chunk, sizeof(chunk))) > 0; took += (size_t)n)
        ends_feed(&e);
    tap_ok(took == want, "all of it arrives, and then the end: %zu of %zu", took, want);
    tap_ok(ends_has_room(&e) && e.input.size == 0, "what it took is given back");
    ends_done(&e);
    ends_init(&e);
    for (size_t i = 0; i < ENDS; i++)
        fd_close(&theirs[i]);
    if (ends_pipes(&e, theirs, geteuid(), getegid(), &err) != ERR_OK)
        return (void)tap_ok(false, "%s", err.msg);
    fd_close(&theirs[ENDS_IN]);
    ends_input(&e, STR("to nobody"));
    tap_ok(e.fd[ENDS_IN] < 0 && ends_has_room(&e), "input that nobody reads any more is dropped");
    for (size_t i = 0; i < ENDS; i++)
        fd_close(&theirs[i]);
    ends_done(&e);
}

static void test_terminal(void)
{
    struct ends e;
    struct err err = {};
    struct winsize size = {};
    size_t n = 0;
    char b[8] = "";
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
    CLEANUP(fd_close) int slave = -1;
    ends_init(&e);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 ||
        (slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
        return (void)tap_ok(true, "no terminal here # SKIP %s", fd_strerror(errno));
    tap_ok(ends_one(&e, master, true, &err) == ERR_OK, "a terminal: %s", err.msg);
    ends_resize(&e, 132, 100000);
    tap_ok(ioctl(slave, TIOCGWINSZ, &size) == 0 && size.ws_col == 132 && size.ws_row == UINT16_MAX,
           "has the size it is given");
    ends_input(&e, STR("x\n"));
    tap_ok(read(slave, b, sizeof(b)) == 2 && ends_read(&e, ENDS_OUT, chunk, &n) == ENDS_BYTES && n == 3,
           "input arrives, and comes back as an echo");
    ends_input_end(&e);
    tap_ok(read(slave, b, sizeof(b)) == 0 && e.fd[ENDS_IN] >= 0, "^D ends it, and the terminal stays");
    fd_close(&slave);
    tap_ok(ends_read(&e, ENDS_OUT, chunk, &n) == ENDS_END && ends_is_silent(&e), "the last one out ends it");
    ends_done(&e);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_pipes();
    test_bound();
    test_terminal();
    return tap_done();
}
