// As pid 1 of namespaces of its own, which the test makes; skipped where the kernel forbids that.
#include "isolate/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/identity_test.h"
#include "isolate/netns.h"
#include "tap.h"

// A process that connects, forks `more` times so that others hold its socket too, and stays.
static pid_t client(const struct sockaddr_in *to, int more)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        _exit(1);
    for (int i = 0; i < more; i++)
        if (fork() == 0)
            break;
    for (;;)
        (void)pause();
}

static void test_clients(int listener, const struct sockaddr_in *to, struct identity_table *t)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    struct str exe = {self, n > 0 ? (size_t)n : 0};
    struct identity id = {};
    struct err e = {};
    pid_t pid = client(to, 0);
    bool ok = identify(listener, t, &a, &id, &e) == ERR_OK;
    if (!tap_ok(ok && str_eq(id.exe, exe) && id.pid == (uint32_t)pid && id.ancestors_n == 0 &&
                    strlen(id.hash) == 64,
                "one holder is named by pid, executable and hash; pid 1 is nobody's ancestor"))
        tap_note("%s", e.msg);
    (void)kill(pid, SIGKILL);

    pid = client(to, 1);
    (void)usleep(200'000); // until it has forked: the socket is there before its second holder
    enum err_code r = identify(listener, t, &a, &id, &e);
    tap_ok(r == ERR_DENIED && strstr(e.msg, "ambiguous shared socket ownership: inode "),
           "a socket that a child holds too is nobody's");
    (void)kill(-pid, SIGKILL);

    struct sock_pair none = {.peer = {.family = 4, .b = {127, 0, 0, 1}},
                             .local = {.family = 4, .b = {127, 0, 0, 1}},
                             .peer_port = 1,
                             .local_port = 2};
    tap_ok(identity_of(t, &none, &a, &id, &e) == ERR_DENIED,
           "a connection that does not exist is nobody's: %s", e.msg);
}

// ---- executables
// --------------------------------------------------------------------------------------------

static void test_names(struct place *p)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct identity id = {};
    struct err e = {};
    pid_t pid = start(p->a, "hold", NULL, NULL);
    enum err_code r = identify(p->listener, p->t, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->a)), "an executable by its path: %s", e.msg);
    stop(pid);
    pid = start(p->link, "hold", NULL, NULL);
    r = identify(p->listener, p->t, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->a)), "by a symbolic link: what it leads to");
    stop(pid);
    pid = start(p->script, "x", NULL, NULL);
    r = identify(p->listener, p->t, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->a)) && id.cmdline_n == 1 &&
               str_eq(id.cmdline[0], str_of(p->script)),
           "a script is its interpreter; its path is for the log");
    stop(pid);
    pid = start(p->b, "hold", NULL, NULL);
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    struct sock_pair pair;
    bool ok = fd >= 0 && pair_of(fd, &pair) && unlink(p->b) == 0 &&
              identity_of(p->t, &pair, &a, &id, &e) == ERR_OK;
    char first[65];
    memcpy(first, id.hash, sizeof(first));
    tap_ok(ok && str_eq(id.exe, str_of(p->b)), "a deleted executable keeps its name");
    stop(pid);
    (void)close(fd);
    ok = copy_self(p->self, p->b, "c");
    pid = start(p->b, "hold", NULL, NULL);
    r = identify(p->listener, p->t, &a, &id, &e);
    tap_ok(ok && r == ERR_DENIED && strstr(e.msg, "Binary integrity violation") && strstr(e.msg, first),
           "a swapped executable is refused: %.60s", e.msg);
    stop(pid);
    ok = unlink(p->b) == 0 && copy_self(p->self, p->b, "b");
    pid = start(p->b, "hold", NULL, NULL);
    tap_ok(ok && identify(p->listener, p->t, &a, &id, &e) == ERR_OK, "with its old content it is not");
    stop(pid);
}

// ---- sockets that change hands
// --------------------------------------------------------------------------------------------

static void *alone(void *arg) // a thread whose table is not its process's
{
    if (unshare(CLONE_FILES) != 0 || connected(arg) < 0)
        _exit(1);
    for (;;)
        (void)pause();
}

static void in_thread(struct place *p, int done)
{
    pthread_t thread;
    (void)done;
    (void)pthread_create(&thread, NULL, alone, p);
    for (;;)
        (void)pause();
}

static void inherit(struct place *p, int done) // both have it: this program, and another
{
    char number[12];
    (void)snprintf(number, sizeof(number), "%d", done);
    (void)connected(p);
    (void)start(p->a, "keep", number, NULL);
}

static void hand_over(struct place *p, int done) // a child gets it by SCM_RIGHTS, and we give it up
{
    int s[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) != 0)
        _exit(1);
    union {
        char b[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {};
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    if (fork() == 0) {
        char number[12];
        (void)snprintf(number, sizeof(number), "%d", done);
        if (recvmsg(s[1], &msg, 0) == 1)
            (void)execl(p->a, p->a, "keep", number, NULL);
        _exit(1);
    }
    int fd = connected(p);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    if (sendmsg(s[0], &msg, 0) != 1)
        _exit(1);
    (void)close(fd);
}

static void descend(struct place *p, int depth)
{
    for (; depth > 0; depth--)
        if (fork() != 0)
            for (;;)
                (void)pause();
    if (connected(p) < 0)
        _exit(1);
}

static void deep(struct place *p, int done)
{
    (void)done;
    descend(p, IDENTITY_ANCESTORS_MAX);
}

static void too_deep(struct place *p, int done)
{
    (void)done;
    descend(p, IDENTITY_ANCESTORS_MAX + 1);
}

// Runs `what` in a process group of its own and names its connection. `waits`: until somebody wrote to
// `done`.
static enum err_code named(struct place *p, void (*what)(struct place *, int), bool waits, struct arena *a,
                           struct identity *id, struct err *e)
{
    int done[2];
    char byte;
    if (pipe(done) != 0)
        return ERR_INTERNAL;
    pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)close(p->listener);
        what(p, done[1]);
        for (;;)
            (void)pause();
    }
    if (waits && read(done[0], &byte, 1) != 1)
        return ERR_INTERNAL;
    enum err_code r = identify(p->listener, p->t, a, id, e);
    (void)kill(-pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    (void)close(done[0]);
    (void)close(done[1]);
    return r;
}

static void test_hands(struct place *p)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    tap_ok(named(p, in_thread, false, &a, &id, &e) == ERR_OK && str_eq(id.exe, str_of(p->self)),
           "a socket in a thread's own table is found: %s", e.msg);
    tap_ok(named(p, inherit, true, &a, &id, &e) == ERR_DENIED && strstr(e.msg, "ambiguous shared socket"),
           "an inherited socket, held by two programs, is nobody's");
    enum err_code r = named(p, hand_over, true, &a, &id, &e);
    tap_ok(r == ERR_OK && str_eq(id.exe, str_of(p->a)) && id.ancestors_n == 1 &&
               str_eq(id.ancestors[0], str_of(p->self)),
           "a socket that was passed on belongs to who has it: %s", e.msg);
    r = named(p, deep, false, &a, &id, &e);
    tap_ok(r == ERR_OK && id.ancestors_n == IDENTITY_ANCESTORS_MAX, "as many ancestors as the limit: %s",
           e.msg);
    r = named(p, too_deep, false, &a, &id, &e);
    tap_ok(r == ERR_DENIED && strstr(e.msg, "more than 64 ancestors"), "one more is refused: %s", e.msg);
}

// A process that is another program each time one looks is one of the two, with that one's content, or
// nobody.
static void test_flipping(struct place *p)
{
    struct identity id = {};
    struct err e = {};
    pid_t pid = fork();
    if (pid == 0) {
        if (connected(p) >= 0)
            (void)execl(p->a, p->a, "flip", p->a, p->b, NULL);
        _exit(1);
    }
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    struct sock_pair pair;
    bool ok = fd >= 0 && pair_of(fd, &pair);
    char hash[2][65] = {};
    int seen[2] = {}, refused = 0;
    for (int i = 0; i < 2000 && ok; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        if (identity_of(p->t, &pair, &a, &id, &e) != ERR_OK) {
            ok = !strstr(e.msg, "violation");
            refused++;
            continue;
        }
        int which = str_eq(id.exe, str_of(p->b));
        if (str_eq(id.exe, str_of(p->self)))
            continue; // not yet
        if (!seen[which]++)
            memcpy(hash[which], id.hash, 65);
        ok = strcmp(hash[which], id.hash) == 0;
    }
    tap_ok(ok && seen[0] > 0 && seen[1] > 0 && strcmp(hash[0], hash[1]) != 0,
           "a program that changes is never two (%d, %d, refused %d): %s", seen[0], seen[1], refused, e.msg);
    stop(pid);
    (void)close(fd);
}

static int inside(void)
{
    struct err e = {};
    struct netns ns;
    struct identity_table *t = NULL;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ready = mount("proc", "/proc", "proc", 0, NULL) == 0 && netns_setup(NULL, 0, &ns, &e) == ERR_OK &&
                 identity_table_new(&t, &e) == ERR_OK &&
                 bind(listener, (const struct sockaddr *)&at, n) == 0 && listen(listener, 8) == 0 &&
                 getsockname(listener, (struct sockaddr *)&at, &n) == 0;
    if (!ready) {
        printf("1..0 # SKIP the namespaces cannot be set up here: %s, errno %d\n", e.msg, errno);
        return 0;
    }
    test_clients(listener, &at, t);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    struct place p = {.listener = listener, .to = at, .t = t};
    if (tap_ok(place_make(&p), "a place for executables")) {
        test_names(&p);
        test_hands(&p);
        test_flipping(&p);
    }
    place_remove(&p);
    identity_table_free(t);
    return tap_done();
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc > 1)
        return role(argv);
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
