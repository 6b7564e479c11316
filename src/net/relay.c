// Both directions of a tunnel from one thread. Each has a pipe or a buffer between its ends: reading stops
// while it holds something that the other side does not take, so a slow reader slows its writer and nothing
// grows. Only poll(2) waits, for both at once, so a stuck way leaves the other running.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/stream.h"
#include "net/stream_wait.h"

enum {
    BUFFER = 32 * KIB,   // two TLS records
    PIPE = 64 * KIB,     // at first, as the kernel makes them: what a user may have of pipes is limited
    PIPE_BULK = 1 * MIB, // of a way that moves much: a quarter less work for each byte
    BULK = 4 * MIB,      // bytes, after which a way is taken for one that moves much
    FRONT_MAX = 4 * KIB, // PIPE_BUF: what any pipe takes whole
    TURNS = 32,          // steps of one way in a row
};

struct way {
    struct stream *from, *to;
    bool spliced;
    int pipe[2];
    size_t size; // of the pipe
    bool grown;
    char *buf;   // where not spliced
    size_t off;  // into buf
    size_t held; // bytes read and not yet written, in the pipe or at buf + off
    enum { WAY_FLOWS, WAY_ENDING, WAY_ENDED } state; // ending: `from` has ended, `to` is still to be told
    uint64_t *count;
};

static bool is_plain(const struct stream *s)
{
    return s->ops == &stream_socket_ops;
}

static enum err_code sock_error(struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE, "relay: %s", fd_strerror(errno));
}

static enum err_code way_open(struct way *w, struct stream *from, struct stream *to, uint64_t *count,
                              struct err *e)
{
    struct str front, ignored;
    struct stream *a = stream_peel(from, &front), *b = stream_peel(to, &ignored);
    *w = (struct way){.from = from, .to = to, .pipe = {-1, -1}, .count = count};
    w->spliced = is_plain(a) && is_plain(b) && front.n <= FRONT_MAX &&
                 pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) == 0;
    if (w->spliced) {
        w->size = PIPE;
        w->from = a;
        w->to = b;
        w->held = front.n;
        if (front.n > 0 && write(w->pipe[1], front.p, front.n) != (ssize_t)front.n)
            return sock_error(e); // an empty pipe takes them
        stream_peeled(from);
    } else {
        w->buf = malloc(BUFFER);
    }
    return w->spliced || w->buf ? ERR_OK : err_set(e, ERR_LIMIT, "no memory for a relay");
}

static void way_close(struct way *w)
{
    fd_close(&w->pipe[0]);
    fd_close(&w->pipe[1]);
    free(w->buf);
}

// The three steps of a way. None waits: ERR_TIMEOUT means not now.
static const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

static enum err_code spliced(ssize_t n, struct err *e)
{
    if (n >= 0)
        return ERR_OK;
    return errno == EAGAIN || errno == EINTR ? ERR_TIMEOUT : sock_error(e);
}

static enum err_code take(struct way *w, struct err *e)
{
    enum err_code r;
    if (w->spliced) {
        ssize_t n = splice(w->from->fd, NULL, w->pipe[1], NULL, w->size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        r = spliced(n, e);
        w->held = n > 0 ? (size_t)n : 0;
        if (*w->count >= BULK && !w->grown) {
            w->grown = true; // once: where the user has no more it is slower, no more
            if (fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE_BULK) == PIPE_BULK)
                w->size = PIPE_BULK;
        }
    } else {
        w->off = 0;
        r = stream_read(w->from, w->buf, BUFFER, &w->held, &now, e);
    }
    if (r == ERR_OK && w->held == 0)
        w->state = WAY_ENDING;
    return r;
}

static enum err_code give(struct way *w, struct err *e)
{
    enum err_code r;
    size_t n = 0;
    if (w->spliced) {
        ssize_t sent = splice(w->pipe[0], NULL, w->to->fd, NULL, w->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        r = spliced(sent, e);
        n = sent > 0 ? (size_t)sent : 0;
    } else {
        r = stream_write_some(w->to, (struct str){w->buf + w->off, w->held}, &n, &now, e);
    }
    if (r != ERR_OK)
        return r;
    w->off += n;
    w->held -= n;
    *w->count += n;
    return ERR_OK;
}

static enum err_code end(struct way *w, struct err *e)
{
    enum err_code r = stream_end(w->to, &now, e);
    if (r == ERR_OK)
        w->state = WAY_ENDED;
    return r;
}

// Moves what moves without waiting. *moved: something did.
static enum err_code way_move(struct way *w, bool *moved, struct err *e)
{
    for (int turn = 0; turn < TURNS && w->state != WAY_ENDED; turn++) { // then the other way has its turn
        enum err_code r = w->held > 0 ? give(w, e) : w->state == WAY_ENDING ? end(w, e) : take(w, e);
        if (r == ERR_TIMEOUT)
            return ERR_OK;
        if (r != ERR_OK)
            return r;
        *moved = true;
    }
    return ERR_OK;
}

static bool wants_write(const struct way *w)
{
    return w->held > 0 || w->state == WAY_ENDING;
}

static bool wants_read(const struct way *w)
{
    return w->held == 0 && w->state == WAY_FLOWS;
}

static bool is_pending(const struct way *w)
{
    return wants_read(w) && stream_pending(w->from) > 0;
}

static short events_of(const struct way *out, const struct way *in)
{
    return (short)((wants_read(out) ? POLLIN : 0) | (wants_write(in) ? POLLOUT : 0));
}

static enum err_code relay_loop(struct way w[static 2], int idle_ms, const struct wait *wait, struct err *e)
{
    int64_t quiet = idle_ms > 0 ? deadline_in_ms(idle_ms) : DEADLINE_NEVER;
    while (w[0].state != WAY_ENDED || w[1].state != WAY_ENDED) {
        struct pollfd p[3] = {{.fd = w[0].from->fd, .events = events_of(&w[0], &w[1])},
                              {.fd = w[1].from->fd, .events = events_of(&w[1], &w[0])},
                              {.fd = wait->cancel_fd, .events = POLLIN}};
        for (int i = 0; i < 2; i++)
            if (p[i].events == 0)
                p[i].fd = -1; // or its hang-up would be reported for ever
        bool pending = is_pending(&w[0]) || is_pending(&w[1]);
        if (poll(p, 3, pending ? 0 : deadline_left_ms(quiet)) < 0) {
            if (errno != EINTR)
                return sock_error(e);
            continue; // revents are not set
        }
        if (p[2].revents)
            return err_set(e, ERR_DENIED, "cancelled");
        bool moved = false;
        for (int i = 0; i < 2; i++) {
            bool ready = wants_write(&w[i]) ? p[1 - i].revents != 0 : p[i].revents != 0 || is_pending(&w[i]);
            if (!ready)
                continue;
            enum err_code r = way_move(&w[i], &moved, e);
            if (r != ERR_OK)
                return r;
        }
        if (moved && idle_ms > 0)
            quiet = deadline_in_ms(idle_ms);
        else if (deadline_passed(quiet))
            return err_set(e, ERR_TIMEOUT, "nothing moved for %d ms", idle_ms);
    }
    return ERR_OK;
}

enum err_code stream_relay(struct stream *a, struct stream *b, int idle_ms, const struct wait *wait,
                           uint64_t counts[static 2], struct err *e)
{
    struct way w[2];
    counts[0] = counts[1] = 0;
    enum err_code r = way_open(&w[0], a, b, &counts[0], e);
    if (r != ERR_OK)
        return r;
    r = way_open(&w[1], b, a, &counts[1], e);
    if (r == ERR_OK)
        r = relay_loop(w, idle_ms, wait, e);
    way_close(&w[0]);
    way_close(&w[1]);
    return r;
}
