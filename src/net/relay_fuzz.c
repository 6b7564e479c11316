#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

enum { BYTES_MAX = 32 * KIB, STEP = 64 }; // one way; less than any socket buffer

// What both ends have said before the relay runs, in an order that the input gives: then each must have heard
// what the other said, to the byte, unless one was closed in between.
struct end {
    int far; // ours; -1: closed
    struct stream *near;
    struct buf said; // by us
    bool ended;
};

static void end_new(struct end *x, struct str front)
{
    int p[2];
    struct err e;
    struct stream *s;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) == 0);
    *x = (struct end){.far = p[0]};
    buf_init(&x->said, 2 * BYTES_MAX);
    assert(stream_socket(p[1], &s, &e) == ERR_OK);
    x->near = s;
    if (front.n == 0)
        return;
    assert(stream_prepend(s, front, &x->near, &e) == ERR_OK);
    buf_add(&x->said, front);
}

static void say(struct end *x, unsigned char what)
{
    char b[STEP * 256];
    size_t n = (size_t)what * STEP + 1;
    if (x->far < 0 || x->ended || x->said.n + n > BYTES_MAX)
        return;
    for (size_t i = 0; i < n; i++)
        b[i] = (char)(what + i * 7);
    ssize_t sent = write(x->far, b, n);
    if (sent > 0)
        buf_add(&x->said, (struct str){b, (size_t)sent});
}

static void step(struct end *x, unsigned char op, unsigned char what)
{
    if (op < 4) {
        say(x, what);
    } else if (op == 4 && x->far >= 0 && !x->ended) {
        (void)shutdown(x->far, SHUT_WR);
        x->ended = true;
    } else if (op == 5) {
        fd_close(&x->far);
    }
}

static void heard(const struct end *x, const struct end *other)
{
    static char b[4 * BYTES_MAX];
    size_t n = 0;
    for (ssize_t got; n < sizeof(b) && (got = read(x->far, b + n, sizeof(b) - n)) > 0;)
        n += (size_t)got;
    assert(str_eq((struct str){b, n}, buf_str(&other->said)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    (void)signal(SIGPIPE, SIG_IGN);
    struct end x[2];
    struct str text = {(const char *)data, size};
    for (int i = 0; i < 2; i++)
        end_new(&x[i], str_head(text, data[i] % 8 == 0 ? size : data[i] % 8 == 1 ? 1 : 0));
    for (size_t i = 2; i + 1 < size; i += 2)
        step(&x[data[i] & 1], (data[i] >> 1) % 6, data[i + 1]);
    bool whole = x[0].far >= 0 && x[1].far >= 0;
    for (int i = 0; i < 2; i++)
        step(&x[i], 4, 0);
    const struct wait w = {.deadline_ns = 0, .cancel_fd = -1};
    uint64_t counts[2];
    struct err e;
    enum err_code r = stream_relay(x[0].near, x[1].near, 1000, &w, counts, &e);
    assert(r == ERR_OK || !whole);
    for (int i = 0; i < 2 && whole; i++) {
        heard(&x[1 - i], &x[i]);
        assert(counts[i] == x[i].said.n);
    }
    for (int i = 0; i < 2; i++) {
        stream_free(x[i].near);
        fd_close(&x[i].far);
        buf_done(&x[i].said);
    }
    return 0;
}
