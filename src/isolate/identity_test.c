// As pid 1 of namespaces of its own, which the test makes; skipped where the kernel forbids that.
#include "isolate/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate/netns.h"
#include "tap.h"

static struct ip ip_of(const struct sockaddr_in *in)
{
    struct ip ip = {.family = 4};
    memcpy(ip.b, &in->sin_addr, 4);
    return ip;
}

static bool pair_of(int fd, struct sock_pair *ret)
{
    struct sockaddr_in peer = {}, local = {};
    socklen_t n = sizeof(peer), m = sizeof(local);
    if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &m) != 0)
        return false;
    *ret = (struct sock_pair){ip_of(&peer), ip_of(&local), ntohs(peer.sin_port), ntohs(local.sin_port)};
    return true;
}

// A process that connects, forks `more` times so that others hold its socket too, and stays.
static pid_t client(const struct sockaddr_in *to, int more)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        _exit(1);
    for (int i = 0; i < more; i++)
        if (fork() == 0)
            break;
    for (;;)
        (void)pause();
}

static enum err_code identify(int listener, struct identity_table *t, struct arena *a, struct identity *id,
                              struct err *e)
{
    struct sock_pair pair;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    enum err_code r = ERR_INTERNAL;
    if (fd >= 0 && pair_of(fd, &pair))
        r = identity_of(t, &pair, a, id, e);
    if (fd >= 0)
        (void)close(fd);
    return r;
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
    (void)kill(pid, SIGKILL);

    struct sock_pair none = {.peer = {.family = 4, .b = {127, 0, 0, 1}},
                             .local = {.family = 4, .b = {127, 0, 0, 1}},
                             .peer_port = 1,
                             .local_port = 2};
    tap_ok(identity_of(t, &none, &a, &id, &e) == ERR_DENIED,
           "a connection that does not exist is nobody's: %s", e.msg);
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
    identity_table_free(t);
    return tap_done();
}

int main(void)
{
    int status = 0;
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
