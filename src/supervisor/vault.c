#include "supervisor/vault.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/inference.h"

struct vault {
    int fd;
    pthread_mutex_t lock; // one question at a time; guards serial and q
    uint32_t serial;
    struct vault_request q;
};

enum err_code vault_new(int fd, struct vault **ret, struct err *e)
{
    struct vault *v = calloc(1, sizeof(*v));
    if (!v) {
        (void)close(fd);
        return err_set(e, ERR_LIMIT, "no memory for the vault");
    }
    v->fd = fd;
    (void)pthread_mutex_init(&v->lock, NULL);
    *ret = v;
    return ERR_OK;
}

void vault_free(struct vault *v)
{
    if (!v)
        return;
    (void)close(v->fd);
    (void)pthread_mutex_destroy(&v->lock);
    free(v);
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
    return n > 0 ? ERR_OK
                 : err_set(e, ERR_TIMEOUT, "the launcher did not answer in %d s", VAULT_ASK_MS / 1000);
}

// The answer to v->q; those to questions that others gave up on are dropped.
static enum err_code receive(const struct vault *v, int64_t deadline, char *value, size_t size,
                             struct vault_answer *head, size_t *ret_n, struct err *e)
{
    for (;;) {
        enum err_code r = ready(v->fd, POLLIN, deadline, e);
        if (r != ERR_OK)
            return r;
        struct iovec iov[2] = {{head, sizeof(*head)}, {value, size}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        ssize_t n = recvmsg(v->fd, &msg, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return err_set(e, ERR_UNAVAILABLE, "the launcher is gone");
        if (n < (ssize_t)sizeof(*head))
            return err_set(e, ERR_INTERNAL, "the launcher's answer is cut");
        if (head->serial != v->q.serial)
            continue;
        *ret_n = (size_t)n - sizeof(*head);
        if (msg.msg_flags & MSG_TRUNC)
            return err_set(e, ERR_LIMIT, "a value of more than %zu bytes", size);
        return *ret_n == head->value_len && head->code <= ERR_INTERNAL
                   ? ERR_OK
                   : err_set(e, ERR_INTERNAL, "the launcher's answer is not well-formed");
    }
}

// `ret_n` NULL: nothing is answered.
static enum err_code ask(struct vault *v, char *value, size_t size, size_t *ret_n, struct err *e)
{
    const int64_t deadline = deadline_in_ms(VAULT_ASK_MS);
    struct vault_answer head = {};
    v->q.serial = ++v->serial;
    enum err_code r = ready(v->fd, POLLOUT, deadline, e);
    if (r == ERR_OK && send(v->fd, &v->q, sizeof(v->q), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(v->q))
        r = err_set(e, ERR_UNAVAILABLE, "the launcher is gone");
    if (r == ERR_OK && ret_n)
        r = receive(v, deadline, value, size, &head, ret_n, e);
    if (r != ERR_OK || head.code == ERR_OK)
        return r;
    return err_set(e, (enum err_code)head.code, "%.*s", (int)*ret_n, value);
}

static bool put(struct str s, char *to, size_t size, uint16_t *len)
{
    if (s.n > size)
        return false;
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    *len = (uint16_t)s.n;
    return true;
}

struct question {
    enum vault_kind kind;
    struct str text, host, path;
    uint16_t port;
    uint64_t tokens[3];
};

static enum err_code in_turn(struct vault *v, const struct question *what, char *value, size_t size,
                             size_t *ret_n, struct err *e)
{
    // On the wall clock, which ThreadSanitizer knows: a step of it changes how long a turn is waited for.
    const int64_t until_ms = clock_realtime_ms() + VAULT_ASK_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1'000'000};
    if (pthread_mutex_timedlock(&v->lock, &until) != 0)
        return err_set(e, ERR_TIMEOUT, "others ask the launcher, for %d s by now", VAULT_ASK_MS / 1000);
    struct vault_request *q = &v->q;
    *q = (struct vault_request){.kind = what->kind, .port = what->port};
    memcpy(q->tokens, what->tokens, sizeof(q->tokens));
    enum err_code r;
    if (put(what->text, q->text, sizeof(q->text), &q->text_len) &&
        put(what->host, q->host, sizeof(q->host), &q->host_len) &&
        put(what->path, q->path, sizeof(q->path), &q->path_len))
        r = ask(v, value, size, ret_n, e);
    else
        r = err_set(e, ERR_NOT_FOUND, "a placeholder or a place that is too long");
    (void)pthread_mutex_unlock(&v->lock);
    return r;
}

enum err_code vault_ask_credential(struct vault *v, struct str placeholder,
                                   const struct credential_place *where, char *value, size_t size,
                                   size_t *ret_n, struct err *e)
{
    const struct question q = {VAULT_CREDENTIAL, placeholder, where->host, where->path, where->port, {}};
    return in_turn(v, &q, value, size, ret_n, e);
}

enum err_code vault_ask_route(struct vault *v, struct str name, struct str host, uint16_t port, char *value,
                              size_t size, size_t *ret_n, struct err *e)
{
    const struct question q = {VAULT_ROUTE, name, host, STR(""), port, {}};
    return in_turn(v, &q, value, size, ret_n, e);
}

enum err_code vault_tell_used(struct vault *v, struct str name, const uint64_t tokens[static 3],
                              struct err *e)
{
    const struct question q = {VAULT_USED, name, STR(""), STR(""), 0, {tokens[0], tokens[1], tokens[2]}};
    return in_turn(v, &q, NULL, 0, NULL, e);
}

// ---- answering
// ----------------------------------------------------------------------------------------------

static enum err_code answer(int fd, const struct vault_request *q, enum err_code code, struct str value,
                            struct err *e)
{
    struct vault_answer head = {.code = (uint32_t)code, .serial = q->serial, .value_len = (uint32_t)value.n};
    // sendmsg takes no const
    struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)value.p, value.n}};
    const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) // one that asks and does not listen keeps nobody
        return err_set(e, ERR_INVALID, "the egress does not read its answers");
    return n == (ssize_t)(sizeof(head) + value.n) ? ERR_OK
                                                  : err_set(e, ERR_UNAVAILABLE, "the egress is gone");
}

static enum err_code do_credential(int fd, const struct vault_request *q, const struct credentials *c,
                                   struct err *e)
{
    const struct credential_place where = {.host = {q->host, q->host_len},
                                           .port = q->port,
                                           .path = {q->path, q->path_len}};
    struct str value = {};
    struct err why = {};
    enum err_code code = c ? credentials_resolve(c, (struct str){q->text, q->text_len}, &where,
                                                 clock_realtime_ms(), &value, &why)
                           : err_set(&why, ERR_NOT_FOUND, "this sandbox has no credentials");
    return answer(fd, q, code, code == ERR_OK ? value : str_of(why.msg), e);
}

static enum err_code do_route(int fd, const struct vault_request *q, const struct inference *i, struct err *e)
{
    struct str value = {};
    struct err why = {};
    enum err_code code = i ? inference_key(i, (struct str){q->text, q->text_len},
                                           (struct str){q->host, q->host_len}, q->port, &value, &why)
                           : err_set(&why, ERR_NOT_FOUND, "this sandbox has no inference routes");
    return answer(fd, q, code, code == ERR_OK ? value : str_of(why.msg), e);
}

// Nobody waits for it: a call's way back is not longer for being counted.
static void do_used(const struct vault_request *q, struct inference *i)
{
    if (i)
        inference_used(i, (struct str){q->text, q->text_len}, q->tokens);
}

enum err_code vault_serve(int fd, const struct credentials *c, struct inference *i, struct err *e)
{
    struct vault_request q;
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
    if (q.text_len > sizeof(q.text) || q.host_len > sizeof(q.host) || q.path_len > sizeof(q.path))
        return err_set(e, ERR_INVALID, "a request with lengths that do not fit");
    switch (q.kind) {
    case VAULT_CREDENTIAL:
        return do_credential(fd, &q, c, e);
    case VAULT_ROUTE:
        return do_route(fd, &q, i, e);
    case VAULT_USED:
        do_used(&q, i);
        return ERR_OK;
    default:
        return err_set(e, ERR_INVALID, "an unknown request");
    }
}
