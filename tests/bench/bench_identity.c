// What naming the program behind one connection costs among many processes. In namespaces of its own.
//
//   bench_identity          one line a measurement: name<TAB>value<TAB>unit
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "isolate/identity.h"
#include "isolate/netns.h"

enum { LOOKUPS = 200, WARM_UP = 20, DESCRIPTORS = 16 };

static void *idle(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static void bystander(unsigned threads)
{
    for (int i = 0; i < DESCRIPTORS; i++)
        if (dup(0) < 0)
            _exit(1);
    for (unsigned i = 1; i < threads; i++) {
        pthread_t t;
        (void)pthread_create(&t, NULL, idle, NULL);
    }
    (void)idle(NULL);
}

static bool pair_of(int fd, struct sock_pair *ret)
{
    struct sockaddr_in peer = {}, local = {};
    socklen_t n = sizeof(peer), m = sizeof(local);
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&peer, &n) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &m) != 0)
        return false;
    *ret = (struct sock_pair){.peer = {.family = 4},
                              .local = {.family = 4},
                              .peer_port = ntohs(peer.sin_port),
                              .local_port = ntohs(local.sin_port)};
    memcpy(ret->peer.b, &peer.sin_addr, 4);
    memcpy(ret->local.b, &local.sin_addr, 4);
    return true;
}

// Among `processes` others; they end with this one, which is their pid 1.
static bool measure(struct identity_table *t, const struct sock_pair *pair, unsigned processes,
                    unsigned threads, const char *how)
{
    struct err e = {};
    struct identity id;
    pid_t group = 0;
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            bystander(threads);
        if (pid < 0)
            return false;
        group = group ? group : pid;
        (void)setpgid(pid, group);
    }
    (void)usleep(500'000); // until their threads run
    int64_t start = 0;
    for (int i = -WARM_UP; i < LOOKUPS; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        if (i == 0)
            start = clock_ns();
        if (identity_of(t, pair, &a, &id, &e) != ERR_OK) {
            (void)fprintf(stderr, "bench_identity: %s\n", e.msg);
            return false;
        }
    }
    printf("identity %s, among %u processes of %u threads\t%.4f\tms\n", how, processes, threads,
           (double)(clock_ns() - start) / LOOKUPS / 1e6);
    if (group)
        (void)kill(-group, SIGKILL);
    for (unsigned i = 0; i < processes; i++)
        (void)wait(NULL);
    return true;
}

// A client that dials while somebody takes note of it, or nobody does. Its end of the connection.
static bool accepted(struct identity_table *t, int listener, const struct sockaddr_in *to,
                     struct sock_pair *ret)
{
    if (fork() == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
            (void)idle(NULL);
        _exit(1);
    }
    for (;;) {
        struct pollfd p[1 + IDENTITY_FDS] = {{.fd = listener, .events = POLLIN}};
        identity_poll(t, p + 1);
        if (poll(p, ARRAY_LEN(p), 10'000) <= 0)
            return false;
        identity_serve(t, p + 1);
        if (p[0].revents) {
            CLEANUP(fd_close) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            return pair_of(fd, ret);
        }
    }
}

static int inside(void)
{
    struct err e = {};
    struct netns ns;
    struct sock_pair pair;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (mount("proc", "/proc", "proc", 0, NULL) != 0 || netns_setup(NULL, 0, &ns, &e) != ERR_OK ||
        bind(listener, (const struct sockaddr *)&at, n) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &n) != 0) {
        (void)fprintf(stderr, "bench_identity: the namespaces cannot be set up here: %s\n", e.msg);
        return 1;
    }
    struct identity_table *t = NULL;
    bool ok = identity_table_new(&t, &e) == ERR_OK && accepted(t, listener, &at, &pair);
    ok = ok && measure(t, &pair, 0, 1, "by holders") && measure(t, &pair, 50, 1, "by holders") &&
         measure(t, &pair, 500, 1, "by holders") && measure(t, &pair, 50, 10, "by holders");
    if (ok && identity_watch(t, NULL, NULL, &e) != ERR_OK)
        (void)fprintf(stderr, "bench_identity: %s\n", e.msg);
    else
        ok = ok && accepted(t, listener, &at, &pair) && measure(t, &pair, 0, 1, "by who dialled") &&
             measure(t, &pair, 500, 1, "by who dialled");
    identity_table_free(t);
    return ok ? 0 : 1;
}

int main(void)
{
    int status = 1;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0) {
        (void)fprintf(stderr, "bench_identity: no namespaces here: errno %d\n", errno);
        return 1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        status = inside();
        (void)fflush(stdout);
        _exit(status);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
