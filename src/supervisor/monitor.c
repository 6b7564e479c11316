// One question, one answer. The answer is a fixed head, then the strings end to end in the order of the
// head's counts; the asker checks every length again, although it is the supervisor who wrote them.
#include "supervisor/monitor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/monitor_wire.h"

struct mon {
    int fd;
    pthread_mutex_t lock; // one question at a time; guards serial
    uint32_t serial;
};

enum err_code mon_new(int fd, struct mon **ret, struct err *e)
{
    struct mon *m = malloc(sizeof(*m));
    if (!m) {
        (void)close(fd);
        return err_set(e, ERR_LIMIT, "no memory for the monitor");
    }
    m->fd = fd;
    m->serial = 0;
    (void)pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return ERR_OK;
}

void mon_free(struct mon *m)
{
    if (!m)
        return;
    (void)close(m->fd);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

// ---- the wire
// -----------------------------------------------------------------------------------------------

static bool put_text(struct buf *out, struct str s, uint16_t *len)
{
    *len = (uint16_t)s.n;
    buf_add(out, s);
    return s.n <= UINT16_MAX;
}

bool mon_encode(enum err_code code, const struct identity *id, const char *msg, struct buf *out)
{
    struct mon_answer head = {.code = (uint32_t)code};
    bool ok = true;
    buf_clear(out);
    buf_add(out, (struct str){(const char *)&head, sizeof(head)}); // room; written again below
    if (code != ERR_OK) {
        ok = put_text(out, str_of(msg), &head.exe_len);
    } else {
        head.pid = id->pid;
        memcpy(head.hash, id->hash, sizeof(head.hash));
        head.ancestors_n = (uint32_t)id->ancestors_n;
        head.cmdline_n = (uint32_t)id->cmdline_n;
        ok = put_text(out, id->exe, &head.exe_len);
        for (size_t i = 0; ok && i < id->ancestors_n; i++)
            ok = put_text(out, id->ancestors[i], &head.ancestor_len[i]);
        for (size_t i = 0; ok && i < id->cmdline_n; i++)
            ok = put_text(out, id->cmdline[i], &head.cmdline_len[i]);
    }
    if (!ok || out->full || out->n > sizeof(head) + IDENTITY_TEXT_MAX)
        return false;
    memcpy(out->p, &head, sizeof(head));
    return true;
}

void mon_number(struct buf *out, uint32_t serial)
{
    assert(out->n >= sizeof(struct mon_answer));
    memcpy(out->p + offsetof(struct mon_answer, serial), &serial, sizeof(serial));
}

bool mon_is_to(struct str in, uint32_t serial)
{
    struct mon_answer head;
    if (in.n < sizeof(head))
        return false;
    memcpy(&head, in.p, sizeof(head));
    return head.serial == serial;
}

static bool take(struct str *in, size_t n, struct arena *a, struct str *ret)
{
    if (n > in->n || !arena_dup(a, str_head(*in, n), ret))
        return false;
    *in = str_from(*in, n);
    return true;
}

static enum err_code failure(const struct mon_answer *head, struct str in, struct err *e)
{
    if (head->code > ERR_INTERNAL || head->exe_len > in.n)
        return err_set(e, ERR_INTERNAL, "the supervisor's answer is not well-formed");
    enum err_code code = (enum err_code)head->code;
    return err_set(e, code, "%.*s", (int)head->exe_len, in.n ? in.p : "");
}

enum err_code mon_decode(struct str in, struct arena *a, struct identity *ret, struct err *e)
{
    struct mon_answer head;
    if (in.n < sizeof(head))
        return err_set(e, ERR_INTERNAL, "the supervisor's answer is cut");
    memcpy(&head, in.p, sizeof(head));
    in = str_from(in, sizeof(head));
    if (head.code != ERR_OK)
        return failure(&head, in, e);
    bool ok = head.ancestors_n <= IDENTITY_ANCESTORS_MAX && head.cmdline_n <= IDENTITY_CMDLINE_MAX &&
              memchr(head.hash, '\0', sizeof(head.hash)) && head.exe_len > 0;
    struct identity id = {.pid = head.pid};
    ok = ok && take(&in, head.exe_len, a, &id.exe);
    for (; ok && id.ancestors_n < head.ancestors_n; id.ancestors_n++)
        ok = take(&in, head.ancestor_len[id.ancestors_n], a, &id.ancestors[id.ancestors_n]);
    for (; ok && id.cmdline_n < head.cmdline_n; id.cmdline_n++)
        ok = take(&in, head.cmdline_len[id.cmdline_n], a, &id.cmdline[id.cmdline_n]);
    if (!ok || in.n > 0)
        return err_set(e, ERR_INTERNAL, "the supervisor's answer is not well-formed");
    memcpy(id.hash, head.hash, sizeof(id.hash));
    *ret = id;
    return ERR_OK;
}

// ---- asking
// -------------------------------------------------------------------------------------------------

static enum err_code ready(int fd, short events, int64_t deadline, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do
        n = poll(&p, 1, deadline_left_ms(deadline));
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return ERR_OK; // also where the other end is gone: the call that follows says so
    return err_set(e, ERR_TIMEOUT, "the supervisor did not answer in %d s", MON_ASK_MS / 1000);
}

static enum err_code ask(struct mon *m, const struct mon_request *q, int64_t deadline, char *b, size_t *ret,
                         struct err *e)
{
    ssize_t n = 0;
    enum err_code r = ready(m->fd, POLLOUT, deadline, e);
    if (r == ERR_OK && send(m->fd, q, sizeof(*q), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(*q))
        return err_set(e, ERR_UNAVAILABLE, "the supervisor is gone");
    while (r == ERR_OK) {
        r = ready(m->fd, POLLIN, deadline, e);
        if (r != ERR_OK)
            return r;
        n = recv(m->fd, b, MON_ANSWER_MAX, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return err_set(e, ERR_UNAVAILABLE, "the supervisor is gone");
        if (mon_is_to((struct str){b, (size_t)n}, q->serial))
            break; // else it is the answer that another asker did not wait for
    }
    *ret = (size_t)n;
    return r;
}

enum err_code mon_ask_identify(struct mon *m, const struct sock_pair *pair, struct arena *a,
                               struct identity *ret, struct err *e)
{
    const int64_t deadline = deadline_in_ms(MON_ASK_MS);
    // On the wall clock, which ThreadSanitizer knows: a step of it changes how long a turn is waited for.
    const int64_t until_ms = clock_realtime_ms() + MON_ASK_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1'000'000};
    CLEANUP(base_freep) char *b = malloc(MON_ANSWER_MAX);
    if (!b)
        return err_set(e, ERR_LIMIT, "no memory for the monitor's answer");
    size_t n = 0;
    enum err_code r = ERR_OK;
    if (pthread_mutex_timedlock(&m->lock, &until) == 0) {
        const struct mon_request q = {.kind = MON_IDENTIFY, .serial = ++m->serial, .pair = *pair};
        r = ask(m, &q, deadline, b, &n, e);
        (void)pthread_mutex_unlock(&m->lock);
    } else {
        r = err_set(e, ERR_TIMEOUT, "others ask the supervisor, for %d s by now", MON_ASK_MS / 1000);
    }
    return r == ERR_OK ? mon_decode((struct str){b, n}, a, ret, e) : r;
}

// ---- answering
// ----------------------------------------------------------------------------------------------

static enum err_code mon_do_identify(int fd, const struct mon_request *q, struct identity_table *t,
                                     struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf out;
    arena_init(&a, MIB);
    buf_init(&out, MON_ANSWER_MAX);
    struct identity id;
    struct err why = {};
    enum err_code code = identity_of(t, &q->pair, &a, &id, &why);
    if (!mon_encode(code, &id, why.msg, &out) &&
        !mon_encode(ERR_DENIED, &id, "failed to resolve peer binary: its paths are too long", &out))
        return err_set(e, ERR_INTERNAL, "an answer that does not fit");
    mon_number(&out, q->serial);
    ssize_t n;
    do
        n = send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) // one that asks and does not listen keeps nobody
        return err_set(e, ERR_INVALID, "the egress does not read its answers");
    return n == (ssize_t)out.n ? ERR_OK : err_set(e, ERR_UNAVAILABLE, "the egress is gone");
}

enum err_code mon_serve(int fd, struct identity_table *t, struct err *e)
{
    struct mon_request q;
    struct iovec iov = {.iov_base = &q, .iov_len = sizeof(q)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return err_set(e, ERR_UNAVAILABLE, "the egress is gone");
    if (n != (ssize_t)sizeof(q) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return err_set(e, ERR_INVALID, "a request of %zd bytes", n);
    if (q.kind != MON_IDENTIFY)
        return err_set(e, ERR_INVALID, "an unknown request");
    bool families = (q.pair.peer.family == 4 || q.pair.peer.family == 6) &&
                    q.pair.peer.family == q.pair.local.family;
    if (!families)
        return err_set(e, ERR_INVALID, "a request with an address of no family");
    return mon_do_identify(fd, &q, t, e);
}
