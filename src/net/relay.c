// Both directions of a tunnel from one thread. Each has a pipe or a buffer between its ends: reading stops
// while it holds something that the other side does not take, so a slow reader slows its writer and nothing
// grows.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/stream.h"
#include "net/stream_wait.h"

enum { BUFFER = 64 * KIB, PIPE = 256 * KIB };

struct way {
    struct stream *from, *to;
    bool spliced;
    int pipe[2];
    size_t held; // in the pipe
    bool ended;  // from has ended, and to was told
    char *buf;   // not spliced
    uint64_t *count;
};

static bool is_plain(const struct stream *s)
{
    return s->ops == &stream_socket_ops;
}

static enum err_code way_open(struct way *w, struct stream *from, struct stream *to, uint64_t *count,
                              struct err *e)
{
    *w = (struct way){.from = from, .to = to, .pipe = {-1, -1}, .count = count};
    w->spliced = is_plain(from) && is_plain(to) && pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) == 0;
    if (w->spliced)
        (void)fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE); // smaller is slower, no more
    else
        w->buf = malloc(BUFFER);
    return w->spliced || w->buf ? ERR_OK : err_set(e, ERR_LIMIT, "no memory for a relay");
}

static void way_close(struct way *w)
{
    fd_close(&w->pipe[0]);
    fd_close(&w->pipe[1]);
    free(w->buf);
}

static enum err_code end(struct way *w, const struct wait *wait, struct err *e)
{
    w->ended = true;
    return stream_end(w->to, wait, e);
}

static enum err_code sock_error(struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE, "relay: %s", fd_strerror(errno));
}

// Moves what moves without waiting. *moved: something did.
static enum err_code way_splice(struct way *w, const struct wait *wait, bool *moved, struct err *e)
{
    for (int turn = 0; turn < 16; turn++) { // then the other way has its turn
        if (w->held == 0) {
            ssize_t n = splice(w->from->fd, NULL, w->pipe[1], NULL, PIPE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (n == 0) {
                *moved = true;
                return end(w, wait, e);
            }
            if (n < 0)
                return errno == EAGAIN || errno == EINTR ? ERR_OK : sock_error(e);
            w->held = (size_t)n;
        }
        ssize_t n = splice(w->pipe[0], NULL, w->to->fd, NULL, w->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? ERR_OK : sock_error(e);
        w->held -= (size_t)n;
        *w->count += (uint64_t)n;
        *moved = true;
    }
    return ERR_OK;
}

// Through a filter (TLS): one read, and all of it written; the write may wait.
static enum err_code way_copy(struct way *w, const struct wait *wait, bool *moved, struct err *e)
{
    struct wait now = {.deadline_ns = clock_ns(), .cancel_fd = -1};
    size_t n;
    enum err_code r = stream_read(w->from, w->buf, BUFFER, &n, &now, e);
    if (r == ERR_TIMEOUT) // part of a record: nothing yet
        return ERR_OK;
    if (r != ERR_OK)
        return r;
    *moved = true;
    if (n == 0)
        return end(w, wait, e);
    *w->count += n;
    return stream_write(w->to, (struct str){w->buf, n}, wait, e);
}

static bool is_ready(const struct way *w, const struct pollfd *from, const struct pollfd *to)
{
    if (w->ended)
        return false;
    if (w->spliced)
        return w->held > 0 ? to->revents & (POLLOUT | POLLERR | POLLHUP) : from->revents != 0;
    return from->revents != 0 || stream_pending(w->from) > 0;
}

static short events_of(const struct way *out, const struct way *in)
{
    bool read = !out->ended && !(out->spliced && out->held > 0);
    bool write = !in->ended && in->spliced && in->held > 0;
    return (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
}

static enum err_code relay_loop(struct way w[static 2], int idle_ms, const struct wait *wait, struct err *e)
{
    int64_t quiet = idle_ms > 0 ? deadline_in_ms(idle_ms) : DEADLINE_NEVER;
    while (!w[0].ended || !w[1].ended) {
        struct pollfd p[3] = {{.fd = w[0].from->fd, .events = events_of(&w[0], &w[1])},
                              {.fd = w[1].from->fd, .events = events_of(&w[1], &w[0])},
                              {.fd = wait->cancel_fd, .events = POLLIN}};
        for (int i = 0; i < 2; i++)
            if (p[i].events == 0)
                p[i].fd = -1; // or its hang-up would be reported for ever
        bool pending = (!w[0].ended && stream_pending(w[0].from) > 0) ||
                       (!w[1].ended && stream_pending(w[1].from) > 0);
        if (poll(p, 3, pending ? 0 : deadline_left_ms(quiet)) < 0 && errno != EINTR)
            return sock_error(e);
        if (p[2].revents)
            return err_set(e, ERR_DENIED, "cancelled");
        bool moved = false;
        for (int i = 0; i < 2; i++) {
            if (!is_ready(&w[i], &p[i], &p[1 - i]))
                continue;
            struct wait step = {.deadline_ns = quiet, .cancel_fd = wait->cancel_fd};
            enum err_code r = w[i].spliced ? way_splice(&w[i], &step, &moved, e)
                                           : way_copy(&w[i], &step, &moved, e);
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
