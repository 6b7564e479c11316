// As pid 1 of namespaces of its own, whose children's connect() it is told of; skipped where the kernel
// forbids that.
#include "isolate/dialers.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "isolate/identity_test.h"
#include "isolate/netns.h"
#include "tap.h"

enum { PATIENCE_MS = 20'000, BIG = 400 * MIB };

static struct told { // of the last dial
    unsigned n;
    uint32_t pid;
    struct ip ip;
    uint16_t port;
    bool stream;
} told;

static void dialed(void *ctx, const struct dial *d)
{
    (void)ctx;
    told = (struct told){told.n + 1, d->id->pid, d->ip, d->port, identity_is_stream(d)};
}

// Serves dialers until `fd` can be read; false: it could not in time.
static bool serve_until(const struct place *p, int fd)
{
    for (int64_t until = deadline_in_ms(PATIENCE_MS); !deadline_passed(until);) {
        struct pollfd q[1 + IDENTITY_FDS] = {{.fd = fd, .events = POLLIN}};
        identity_poll(p->t, q + 1);
        if (poll(q, ARRAY_LEN(q), deadline_left_ms(until)) < 0 && errno != EINTR)
            return false;
        identity_serve(p->t, q + 1);
        if (q[0].revents)
            return true;
    }
    return false;
}

static enum err_code named(const struct place *p, struct arena *a, struct identity *id, struct err *e)
{
    if (!serve_until(p, p->listener))
        return err_set(e, ERR_TIMEOUT, "nobody came");
    return identify(p->listener, p->t, a, id, e);
}

static int done[2]; // children write a byte to [1]

static bool wait_for_child(const struct place *p)
{
    char byte;
    return serve_until(p, done[0]) && read(done[0], &byte, 1) == 1;
}

static pid_t run(const struct place *p, void (*what)(const struct place *))
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    what(p);
    for (;;)
        (void)pause();
}

static void stop_all(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void say_done(void)
{
    if (write(done[1], "d", 1) != 1)
        _exit(1);
}

static void keep_number(char number[static 12])
{
    (void)snprintf(number, 12, "%d", done[1]);
}

// ---- what children do
// ----------------------------------------------------------------------------------------

static void dials(const struct place *p)
{
    (void)connected(p);
}

static void dials_and_becomes(const struct place *p)
{
    char number[12];
    keep_number(number);
    if (connected(p) >= 0)
        (void)execl(p->a, p->a, "keep", number, NULL);
}

static void dials_what_it_inherited(const struct place *p) // the other holder waits; it never dials
{
    char number[12];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    keep_number(number);
    if (start(p->a, "keep", number, NULL) < 0 ||
        connect(fd, (const struct sockaddr *)&p->to, sizeof(p->to)) != 0)
        _exit(1);
}

static void again(const struct place *p, int fd) // to learn how it went: EISCONN
{
    if (connect(fd, (const struct sockaddr *)&p->to, sizeof(p->to)) == 0 || errno != EISCONN)
        _exit(1);
}

static void dials_twice(const struct place *p)
{
    again(p, connected(p));
    say_done();
}

static void two_dial(const struct place *p)
{
    char number[12];
    int fd = connected(p);
    (void)snprintf(number, sizeof(number), "%d", fd);
    (void)start(p->a, "again", number, NULL);
}

static void *alone(void *arg)
{
    if (unshare(CLONE_FILES) != 0 || connected(arg) < 0)
        _exit(1);
    for (;;)
        (void)pause();
}

static void in_thread(const struct place *p)
{
    pthread_t thread;
    struct place copy = *p;
    (void)pthread_create(&thread, NULL, alone, &copy);
    for (;;)
        (void)pause();
}

static void dials_and_many_others_do(const struct place *p)
{
    const struct sockaddr_in nowhere = {.sin_family = AF_INET,
                                        .sin_port = htons(9),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    (void)connected(p);
    for (int i = 0; i < DIALERS_SOCKETS_MAX; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&nowhere, sizeof(nowhere)) != 0)
            _exit(1);
        (void)close(fd);
    }
    say_done();
}

static void speaks_local(const struct place *p)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", p->folder);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(l, (const struct sockaddr *)&un, sizeof(un)) != 0 || listen(l, 1) != 0 ||
        connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 || unlink(un.sun_path) != 0)
        _exit(1);
    const int none = getpid() > 0 ? -1 : 0; // which no analyzer sees through
    if (connect(none, (const struct sockaddr *)&un, sizeof(un)) == 0 || errno != EBADF ||
        connect(0, NULL, 16) == 0 || errno == ENOSYS)
        _exit(1);
    say_done();
}

static void on_alarm(int sig)
{
    (void)sig;
}

static void dials_among_signals(const struct place *p) // its executable is one that must be read first
{
    (void)execl(p->b, p->b, "alarmed", NULL);
}

static void dials_afar(const struct place *p)
{
    const struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                                    .sin6_port = htons(4711),
                                    .sin6_addr = {.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, 7}}};
    (void)p;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno != ECONNREFUSED)
        _exit(1);
    say_done();
}

static int alarmed(const struct sockaddr_in *to)
{
    const struct itimerval often = {{0, 500}, {0, 500}};
    const struct sigaction sa = {.sa_handler = on_alarm}; // no SA_RESTART
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (sigaction(SIGALRM, &sa, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0)
        return 1;
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        return 1;
    for (;;)
        (void)pause();
}

static int dialers_role(char **argv)
{
    uint64_t port = 0, fd = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (!str_u64(str_of(getenv("PORT")), UINT16_MAX, &port))
        return 1;
    to.sin_port = htons((uint16_t)port);
    if (strcmp(argv[1], "alarmed") == 0)
        return alarmed(&to);
    if (strcmp(argv[1], "again") != 0)
        return role(argv);
    if (!str_u64(str_of(argv[2]), INT32_MAX, &fd))
        return 1;
    again(&(struct place){.to = to}, (int)fd);
    if (!str_u64(str_of(getenv("DONE")), INT32_MAX, &fd))
        return 1;
    done[1] = (int)fd;
    say_done();
    for (;;)
        (void)pause();
}

// ---- tests
// ---------------------------------------------------------------------------------------------------

static void test_who(const struct place *p)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    pid_t pid = run(p, dials);
    enum err_code r = named(p, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->self)) && id.pid == (uint32_t)pid && strlen(id.hash) == 64,
           "who dials is named: %s", e.msg);
    tap_ok(told.n > 0 && told.pid == (uint32_t)pid && told.port == ntohs(p->to.sin_port) && told.stream,
           "and told of");
    stop_all(pid);

    pid = run(p, dials_and_becomes);
    bool became = wait_for_child(p);
    r = named(p, &a, &id, &e);
    tap_ok(became && r == ERR_OK && str_eq(id.exe, str_of(p->self)),
           "a program that dialled and became another is what it was: %s", e.msg);
    stop_all(pid);

    pid = run(p, dials_what_it_inherited);
    became = wait_for_child(p);
    r = named(p, &a, &id, &e);
    tap_ok(became && r == ERR_OK && str_eq(id.exe, str_of(p->self)) && id.pid == (uint32_t)pid,
           "of two holders the one that dials is named: %s", e.msg);
    stop_all(pid);

    pid = run(p, in_thread);
    r = named(p, &a, &id, &e);
    tap_ok(r == ERR_OK && id.pid == (uint32_t)pid, "a thread with descriptors of its own, by its process: %s",
           e.msg);
    stop_all(pid);
    pid = start(p->link, "hold", NULL, NULL);
    r = named(p, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->a)), "an executable that had to be read: %s", e.msg);
    stop_all(pid);
}

static void test_twice(const struct place *p)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    pid_t pid = run(p, dials_twice);
    bool ok = wait_for_child(p);
    enum err_code r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_OK && id.pid == (uint32_t)pid, "who calls connect() again is the same: %s", e.msg);
    stop_all(pid);
    pid = run(p, two_dial);
    ok = wait_for_child(p);
    r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_DENIED && strstr(e.msg, "ambiguous shared socket ownership: inode ") &&
               strstr(e.msg, "with different policy identities"),
           "a socket that two programs dialled is nobody's: %s", e.msg);
    stop_all(pid);
    pid = run(p, dials_and_many_others_do);
    ok = wait_for_child(p);
    r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_DENIED && strstr(e.msg, "no process was seen dialling socket inode "),
           "a note that had to go leaves a connection that is nobody's: %s", e.msg);
    stop_all(pid);
}

static void test_others(const struct place *p)
{
    pid_t pid = run(p, speaks_local);
    unsigned before = told.n;
    tap_ok(wait_for_child(p) && told.n == before, "local sockets, bad descriptors and addresses go on");
    stop_all(pid);
    pid = run(p, dials_afar);
    bool ok = wait_for_child(p);
    struct ip want = {.family = 4, .b = {192, 0, 2, 7}};
    tap_ok(ok && told.n == before + 1 && told.port == 4711 && told.stream &&
               memcmp(&told.ip, &want, sizeof(want)) == 0,
           "a dial that nobody answers is refused at once, and told of by its address");
    stop_all(pid);
}

static bool grow(const char *path, off_t size)
{
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && ftruncate(fd, size) == 0;
}

static void test_large(const struct place *p)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    bool ok = grow(p->b, BIG);
    (void)usleep(2 * EXEHASH_FRESH_MS * 1000);
    pid_t large = start(p->b, "hold", NULL, NULL), small = 0;
    struct pollfd q[IDENTITY_FDS] = {};
    for (int i = 0; i < 200 && q[1].fd <= 0; i++) { // until it is being read
        identity_poll(p->t, q);
        (void)poll(q, 1, 20);
        identity_serve(p->t, q);
        identity_poll(p->t, q);
    }
    ok = ok && q[1].fd > 0;
    small = run(p, dials);
    enum err_code r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_OK && id.pid == (uint32_t)small,
           "a large executable keeps no other dialler waiting: %s", e.msg);
    r = named(p, &a, &id, &e);
    tap_ok(r == ERR_OK && id.pid == (uint32_t)large && str_eq(id.exe, str_of(p->b)),
           "and is named when read: %s", e.msg);
    (void)kill(large, SIGKILL);
    stop_all(small);
    ok = grow(p->b, BIG + 1);
    pid_t pid = run(p, dials_among_signals);
    r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_DENIED && strstr(e.msg, "Binary integrity violation"),
           "signals do not end a call that waits; a changed executable is refused: %.80s", e.msg);
    stop_all(pid);
    ok = grow(p->b, BIG + 2);
    pid = start(p->b, "hold", NULL, NULL);
    for (int i = 0; i < 200 && (i == 0 || q[1].fd <= 0); i++) {
        identity_poll(p->t, q);
        (void)poll(q, 1, 20);
        identity_serve(p->t, q);
        identity_poll(p->t, q);
    }
    stop(pid);
    pid = run(p, dials);
    r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_OK && id.pid == (uint32_t)pid, "one that is killed while it waits keeps nobody: %s",
           e.msg);
    stop_all(pid);
    ok = grow(p->b, EXEHASH_BYTES_MAX + 1);
    pid = start(p->b, "hold", NULL, NULL);
    r = named(p, &a, &id, &e);
    tap_ok(ok && r == ERR_DENIED && strstr(e.msg, "more than 512 MiB"), "too large an executable: %s", e.msg);
    stop_all(pid);
}

static int inside(void)
{
    struct err e = {};
    struct netns ns;
    char number[12];
    struct place p = {.to = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}}};
    socklen_t n = sizeof(p.to);
    p.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ready = mount("proc", "/proc", "proc", 0, NULL) == 0 && netns_setup(NULL, 0, &ns, &e) == ERR_OK &&
                 identity_table_new(&p.t, &e) == ERR_OK &&
                 bind(p.listener, (const struct sockaddr *)&p.to, n) == 0 && listen(p.listener, 8) == 0 &&
                 getsockname(p.listener, (struct sockaddr *)&p.to, &n) == 0 && pipe(done) == 0;
    keep_number(number);
    if (!ready || setenv("DONE", number, 1) != 0 || identity_watch(p.t, dialed, NULL, &e) != ERR_OK) {
        printf("1..0 # SKIP not here: %s, errno %d\n", e.msg, errno);
        return 0;
    }
    if (tap_ok(place_make(&p), "a place for executables")) {
        test_who(&p);
        test_twice(&p);
        test_others(&p);
        test_large(&p);
    }
    struct err why = {};
    struct identity_table *second = NULL;
    tap_ok(identity_table_new(&second, &why) == ERR_OK &&
               identity_watch(second, NULL, NULL, &why) == ERR_UNSUPPORTED,
           "there is one watcher: %s", why.msg);
    identity_table_free(second);
    place_remove(&p);
    identity_table_free(p.t);
    return tap_done();
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc > 1)
        return dialers_role(argv);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0) {
        printf("1..0 # SKIP no namespaces here: errno %d\n", errno);
        return 0;
    }
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int r = inside();
        (void)fflush(stdout);
        _exit(r);
    }
    bool ended = waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    _exit(ended ? WEXITSTATUS(status) : 1); // LeakSanitizer cannot make its thread in here any more
}
