#include "gateway/compute/local_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { ID_MAX = 63, AT_ONCE = 16, KILL_MS = 10'000 /* until a killed process is gone; ours */ };

struct running {
    struct running *next;
    int pidfd;
    char id[ID_MAX + 1];
};

struct local_watch {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t thread;
    int epoll, stop;
    struct running *all;
    void (*tell)(void *ctx, struct str id);
    void *ctx;
};

static struct running **find(struct local_watch *w, struct str id)
{
    struct running **at = &w->all;
    while (*at && !str_eq(str_of((*at)->id), id))
        at = &(*at)->next;
    return at;
}

static void forget(struct local_watch *w, struct running *r)
{
    void (*tell)(void *ctx, struct str id) = NULL;
    void *ctx = NULL;
    siginfo_t info;
    if (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED | WNOHANG) != 0)
        assert(errno == ECHILD); // begun by the gateway before us, and reaped by who adopted it
    (void)pthread_mutex_lock(&w->lock);
    *find(w, str_of(r->id)) = r->next;
    tell = w->tell;
    ctx = w->ctx;
    (void)pthread_cond_broadcast(&w->ended);
    (void)pthread_mutex_unlock(&w->lock);
    // Closing alone is not enough: a process that is just being started has a copy of the descriptor until
    // exec.
    (void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, r->pidfd, NULL); // it is there: it has just told of itself
    fd_close(&r->pidfd);
    if (tell)
        tell(ctx, str_of(r->id));
    free(r);
}

static void *watch(void *arg)
{
    struct local_watch *w = arg;
    struct epoll_event events[AT_ONCE];
    for (;;) {
        int n = epoll_wait(w->epoll, events, AT_ONCE, -1);
        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                return NULL; // `stop`
            forget(w, events[i].data.ptr);
        }
    }
}

enum err_code local_watch_new(struct local_watch **ret, struct err *reterr)
{
    struct local_watch *w = calloc(1, sizeof(*w));
    pthread_condattr_t attr;
    if (!w)
        return err_set(reterr, ERR_LIMIT, "no memory");
    (void)pthread_condattr_init(&attr); // glibc's cannot fail with these
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&w->lock, NULL);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN};
    if (w->epoll < 0 || w->stop < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &e) != 0 ||
        pthread_create(&w->thread, NULL, watch, w) != 0) {
        fd_close(&w->epoll);
        fd_close(&w->stop);
        free(w);
        return err_set(reterr, ERR_LIMIT, "no thread for the sandboxes");
    }
    *ret = w;
    return ERR_OK;
}

void local_watch_free(struct local_watch *w)
{
    if (!w)
        return;
    ssize_t n = write(w->stop, &(uint64_t){1}, sizeof(uint64_t));
    assert(n == sizeof(uint64_t)); // a counter at 0 takes it
    (void)pthread_join(w->thread, NULL);
    for (struct running *r = w->all, *next; r; r = next) {
        next = r->next;
        fd_close(&r->pidfd);
        free(r);
    }
    fd_close(&w->epoll);
    fd_close(&w->stop);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->ended);
    free(w);
}

enum err_code local_watch_add(struct local_watch *w, struct str id, int pidfd, struct err *reterr)
{
    CLEANUP(fd_close) int fd = pidfd;
    struct running *r = calloc(1, sizeof(*r));
    if (!r || !str_cstr(id, r->id, sizeof(r->id))) {
        free(r);
        return err_set(reterr, ERR_LIMIT, "no memory");
    }
    r->pidfd = fd_take(&fd);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = r};
    (void)pthread_mutex_lock(&w->lock);
    r->next = w->all;
    w->all = r;
    bool ok = epoll_ctl(w->epoll, EPOLL_CTL_ADD, r->pidfd, &e) == 0;
    int why = errno;
    if (!ok)
        w->all = r->next;
    (void)pthread_mutex_unlock(&w->lock);
    if (ok)
        return ERR_OK; // r may be gone by now
    fd_close(&r->pidfd);
    free(r);
    return err_set(reterr, fd_code(why), "a process cannot be watched: %s", fd_strerror(why));
}

bool local_watch_has(struct local_watch *w, struct str id)
{
    (void)pthread_mutex_lock(&w->lock);
    bool has = *find(w, id) != NULL;
    (void)pthread_mutex_unlock(&w->lock);
    return has;
}

// With the lock: sends it, and waits for at most `ms`. True: it is gone.
static bool end(struct local_watch *w, struct str id, int sig, int64_t ms)
{
    int64_t deadline = deadline_in_ms(ms);
    const struct timespec until = {.tv_sec = deadline / 1'000'000'000, .tv_nsec = deadline % 1'000'000'000};
    const struct running *r = *find(w, id);
    bool on = true;
    if (r)
        (void)pidfd_send_signal(r->pidfd, sig, NULL, 0); // ESRCH: it has ended
    while (on && *find(w, id))
        on = pthread_cond_timedwait(&w->ended, &w->lock, &until) == 0;
    return !*find(w, id);
}

enum err_code local_watch_end(struct local_watch *w, struct str id, int64_t grace_ms, struct err *reterr)
{
    (void)pthread_mutex_lock(&w->lock);
    bool gone = (grace_ms > 0 && end(w, id, SIGTERM, grace_ms)) || end(w, id, SIGKILL, KILL_MS);
    (void)pthread_mutex_unlock(&w->lock);
    return gone ? ERR_OK : err_set(reterr, ERR_TIMEOUT, "the sandbox's process does not end");
}

void local_watch_tell(struct local_watch *w, void (*ended)(void *ctx, struct str id), void *ctx)
{
    (void)pthread_mutex_lock(&w->lock);
    w->tell = ended;
    w->ctx = ctx;
    (void)pthread_mutex_unlock(&w->lock);
}
