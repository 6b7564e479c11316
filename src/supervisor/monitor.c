// One question, one answer. The answer is a fixed head, then the strings end to end in the order of the
// head's counts; the asker checks every length again, although it is the supervisor who wrote them.
#include "supervisor/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "supervisor/monitor_wire.h"

struct mon {
    int fd;
    pthread_mutex_t lock; // one question at a time
};

enum err_code mon_new(int fd, struct mon **ret, struct err *e)
{
    struct mon *m = malloc(sizeof(*m));
    if (!m) {
        (void)close(fd);
        return err_set(e, ERR_LIMIT, "no memory for the monitor");
    }
    m->fd = fd;
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

static enum err_code ask(struct mon *m, const struct mon_request *q, char *b, size_t size, size_t *ret,
                         struct err *e)
{
    ssize_t n;
    do
        n = send(m->fd, q, sizeof(*q), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(*q)) {
        do
            n = recv(m->fd, b, size, 0);
        while (n < 0 && errno == EINTR);
    }
    if (n <= 0)
        return err_set(e, ERR_UNAVAILABLE, "the supervisor is gone");
    *ret = (size_t)n;
    return ERR_OK;
}

enum err_code mon_ask_identify(struct mon *m, const struct sock_pair *pair, struct arena *a,
                               struct identity *ret, struct err *e)
{
    const struct mon_request q = {.kind = MON_IDENTIFY, .pair = *pair};
    CLEANUP(base_freep) char *b = malloc(MON_ANSWER_MAX);
    if (!b)
        return err_set(e, ERR_LIMIT, "no memory for the monitor's answer");
    size_t n = 0;
    (void)pthread_mutex_lock(&m->lock);
    enum err_code r = ask(m, &q, b, MON_ANSWER_MAX, &n, e);
    (void)pthread_mutex_unlock(&m->lock);
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
    ssize_t n;
    do
        n = send(fd, out.p, out.n, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
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
