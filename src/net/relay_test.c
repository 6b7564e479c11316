// Tunnels, spliced and copied: what goes in comes out, each way ends by itself, neither waits for the other.
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/stream.h"
#include "tap.h"

struct tunnel {
    struct stream *a, *b; // ends of the relay
    int client, server;   // their peers
    int cancel_fd, idle_ms;
    uint64_t counts[2];
    enum err_code result;
    struct err e;
    int64_t cpu_ns; // that the relay used
    pthread_t thread;
};

static struct stream *pair(int *peer, bool spliced)
{
    int fd[2];
    struct stream *s = NULL, *whole = NULL;
    struct err e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 || stream_socket(fd[0], &s, &e) != ERR_OK)
        abort();
    *peer = fd[1];
    if (spliced)
        return s;
    for (int i = 0; i < 2; i++, s = whole) // any filter will do; one layer of this kind is seen through
        if (stream_prepend(s, STR(""), &whole, &e) != ERR_OK)
            abort();
    return whole;
}

static void *relay_main(void *arg)
{
    struct tunnel *t = arg;
    struct timespec before, after;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    const struct wait w = {.deadline_ns = DEADLINE_NEVER, .cancel_fd = t->cancel_fd};
    t->result = stream_relay(t->a, t->b, t->idle_ms, &w, t->counts, &t->e);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    t->cpu_ns = (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
    return NULL;
}

static void tunnel_start(struct tunnel *t, bool spliced, int idle_ms)
{
    *t = (struct tunnel){.idle_ms = idle_ms, .cancel_fd = eventfd(0, EFD_CLOEXEC)};
    t->a = pair(&t->client, spliced);
    t->b = pair(&t->server, spliced);
    if (t->cancel_fd < 0 || pthread_create(&t->thread, NULL, relay_main, t) != 0)
        abort();
}

static void tunnel_stop(struct tunnel *t)
{
    (void)pthread_join(t->thread, NULL);
    stream_free(t->a);
    stream_free(t->b);
    fd_close(&t->client);
    fd_close(&t->server);
    fd_close(&t->cancel_fd);
}

static char pattern(uint64_t at)
{
    return (char)(at * 2654435761U >> 13);
}

struct flow {
    int fd;
    uint64_t n; // to send, or received
    bool ok;
};

static void *send_main(void *arg)
{
    struct flow *f = arg;
    char b[16 * KIB];
    for (uint64_t at = 0; at < f->n;) {
        size_t n = f->n - at < sizeof(b) ? (size_t)(f->n - at) : sizeof(b);
        for (size_t i = 0; i < n; i++)
            b[i] = pattern(at + i);
        struct err e;
        if (fd_write_all(f->fd, (struct str){b, n}, &e) != ERR_OK)
            return NULL;
        at += n;
    }
    f->ok = shutdown(f->fd, SHUT_WR) == 0;
    return NULL;
}

static void *receive_main(void *arg)
{
    struct flow *f = arg;
    char b[16 * KIB];
    f->ok = true;
    for (ssize_t n; (n = read(f->fd, b, sizeof(b))) != 0;) {
        if (n < 0) {
            f->ok = false;
            break;
        }
        for (ssize_t i = 0; i < n; i++)
            f->ok &= b[i] == pattern(f->n + (uint64_t)i);
        f->n += (uint64_t)n;
    }
    return NULL;
}

static void test_both_ways(bool spliced)
{
    enum { UP = 3 * MIB + 1, DOWN = 8 * MIB + 7 };
    struct tunnel t;
    tunnel_start(&t, spliced, 0);
    struct flow flow[4] = {{t.client, UP, false},
                           {t.server, 0, false},
                           {t.server, DOWN, false},
                           {t.client, 0, false}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, i % 2 ? receive_main : send_main, &flow[i]) != 0)
            abort();
    for (int i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    tunnel_stop(&t);
    const char *kind = spliced ? "spliced" : "copied";
    tap_ok(flow[1].ok && flow[1].n == UP && flow[3].ok && flow[3].n == DOWN,
           "%s: every byte, both ways at once", kind);
    tap_ok(t.result == ERR_OK && t.counts[0] == UP && t.counts[1] == DOWN, "%s: and counted: %s", kind,
           t.e.msg);
}

static void test_half_close(bool spliced)
{
    struct tunnel t;
    tunnel_start(&t, spliced, 0);
    char b[16] = {};
    bool ok = write(t.client, "ask", 3) == 3 && shutdown(t.client, SHUT_WR) == 0 &&
              read(t.server, b, 16) == 3 && read(t.server, b, 16) == 0;
    (void)usleep(50'000);
    ok = ok && write(t.server, "answer", 6) == 6 && read(t.client, b, 16) == 6;
    fd_close(&t.server);
    ok = ok && read(t.client, b, 16) == 0;
    tunnel_stop(&t);
    tap_ok(ok && t.result == ERR_OK, "%s: an answer comes back behind the end of the question",
           spliced ? "spliced" : "copied");
    tap_ok(t.cpu_ns < 20'000'000, "%s: a half-closed tunnel does not spin", spliced ? "spliced" : "copied");
}

// The server takes nothing, while it sends: what it sends must arrive.
static void test_stuck_way(bool spliced)
{
    struct tunnel t;
    tunnel_start(&t, spliced, 0);
    struct flow up = {t.client, 4 * MIB, false};
    pthread_t thread;
    if (pthread_create(&thread, NULL, send_main, &up) != 0)
        abort();
    (void)usleep(50'000); // everything between is full
    struct timeval tv = {.tv_sec = 5};
    (void)setsockopt(t.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    char b[16];
    bool ok = write(t.server, "now", 3) == 3 && read(t.client, b, sizeof(b)) == 3;
    (void)usleep(50'000);
    (void)shutdown(t.server, SHUT_WR);
    struct flow down = {t.server, 0, false};
    (void)receive_main(&down);
    (void)pthread_join(thread, NULL);
    tunnel_stop(&t);
    const char *kind = spliced ? "spliced" : "copied";
    tap_ok(ok, "%s: a way that is stuck leaves the other running", kind);
    tap_ok(down.ok && down.n == 4 * MIB && t.cpu_ns < 500'000'000, "%s: and goes on when it can", kind);
}

static void test_cancel(bool spliced)
{
    struct tunnel t;
    tunnel_start(&t, spliced, 0);
    struct flow up = {t.client, UINT64_MAX, false}, down = {t.server, 0, false};
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, send_main, &up) != 0 ||
        pthread_create(&threads[1], NULL, receive_main, &down) != 0)
        abort();
    (void)usleep(50'000);
    const uint64_t one = 1;
    bool ok = write(t.cancel_fd, &one, sizeof(one)) == sizeof(one);
    (void)pthread_join(t.thread, NULL);
    t.thread = pthread_self();
    stream_free(t.a);
    stream_free(t.b);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    fd_close(&t.client);
    fd_close(&t.server);
    fd_close(&t.cancel_fd);
    tap_ok(ok && t.result == ERR_DENIED && down.n > 0, "%s: a cancel fd ends it in the middle of a flow",
           spliced ? "spliced" : "copied");
}

static void test_ends(bool spliced)
{
    struct tunnel t;
    const char *kind = spliced ? "spliced" : "copied";
    int64_t t0 = clock_ns();
    tunnel_start(&t, spliced, 80);
    tunnel_stop(&t);
    tap_ok(t.result == ERR_TIMEOUT && clock_ns() - t0 >= 80'000'000 &&
               str_eq(str_of(t.e.msg), STR("nothing moved for 80 ms")),
           "%s: quiet for too long is an end", kind);
    tunnel_start(&t, spliced, 0);
    fd_close(&t.server); // both its directions
    bool ok = write(t.client, "x", 1) == 1;
    (void)usleep(20'000);
    (void)!write(t.client, "x", 1); // may find it gone already
    tunnel_stop(&t);
    tap_ok(ok && t.result == ERR_UNAVAILABLE, "%s: bytes for a gone peer are an error: %s", kind, t.e.msg);
}

// Put back bytes come before what the socket has, without a wake-up from it.
static void test_pending(bool is_spliced)
{
    struct tunnel t = {.cancel_fd = -1};
    struct stream *whole = NULL;
    struct err e;
    struct stream *below = pair(&t.client, is_spliced);
    t.b = pair(&t.server, is_spliced);
    if (stream_prepend(below, STR("early"), &whole, &e) != ERR_OK || shutdown(t.server, SHUT_WR) != 0)
        abort();
    t.a = whole;
    if (pthread_create(&t.thread, NULL, relay_main, &t) != 0)
        abort();
    char b[16];
    bool ok = read(t.server, b, sizeof(b)) == 5 && memcmp(b, "early", 5) == 0;
    ok = ok && write(t.client, "late", 4) == 4 && read(t.server, b, sizeof(b)) == 4 &&
         memcmp(b, "late", 4) == 0;
    (void)shutdown(t.client, SHUT_WR);
    tunnel_stop(&t);
    tap_ok(ok && t.result == ERR_OK && t.counts[0] == 9,
           "bytes that were read ahead are relayed at once, and first");
}

static void test_no_pipes(void)
{
    struct rlimit was, none = {};
    struct tunnel t = {.cancel_fd = -1};
    t.a = pair(&t.client, true);
    t.b = pair(&t.server, true);
    (void)getrlimit(RLIMIT_NOFILE, &was);
    none = (struct rlimit){.rlim_cur = (rlim_t)t.server + 1, .rlim_max = was.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &none); // no descriptor can be made
    if (pthread_create(&t.thread, NULL, relay_main, &t) != 0)
        abort();
    char b[16];
    bool ok = write(t.client, "abc", 3) == 3 && read(t.server, b, sizeof(b)) == 3;
    (void)shutdown(t.client, SHUT_WR);
    (void)shutdown(t.server, SHUT_WR);
    (void)setrlimit(RLIMIT_NOFILE, &was);
    tunnel_stop(&t);
    tap_ok(ok && t.result == ERR_OK, "without a descriptor to spare for a pipe, bytes are copied");
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    for (int spliced = 0; spliced < 2; spliced++) {
        test_both_ways(spliced);
        test_half_close(spliced);
        test_stuck_way(spliced);
        test_cancel(spliced);
        test_ends(spliced);
    }
    test_pending(true);
    test_pending(false);
    test_no_pipes();
    return tap_done();
}
