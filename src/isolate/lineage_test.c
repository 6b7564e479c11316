// As pid 1 of a pid namespace of its own; skipped where the kernel forbids that.
#include "isolate/lineage.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "isolate/identity_test.h"
#include "tap.h"

enum { MANY = 200, FEW = 24 };

static enum err_code of(struct lineage *l, pid_t pid, struct arena *a, struct identity *id, struct err *e)
{
    CLEANUP(proc_wanted_done) struct proc_wanted wanted = {};
    assert(l);
    enum err_code r = lineage_of(l, (uint32_t)pid, a, &wanted, id, e);
    for (size_t i = 0; r == ERR_OK && i < wanted.n; i++)
        if (wanted.fds[i] < 0)
            return ERR_INTERNAL;
    return r == ERR_OK && wanted.n > 0 ? ERR_PRECONDITION : r;
}

static pid_t child(void (*what)(void))
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    if (what)
        what();
    for (;;)
        (void)pause();
}

static void parent_of_one(void)
{
    (void)child(NULL);
}

static void test_one(struct place *p, struct exehash *h, struct lineage *l)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    pid_t pid = child(NULL);
    tap_ok(of(l, pid, &a, &id, &e) == ERR_PRECONDITION && id.hash[0] == '\0' &&
               str_eq(id.exe, str_of(p->self)),
           "an executable that nobody has read is wanted: %s", e.msg);
    char hash[65];
    CLEANUP(fd_close) int fd = open(p->self, O_RDONLY | O_CLOEXEC);
    (void)usleep(2 * EXEHASH_FRESH_MS * 1000); // it may have been linked just now
    bool same = exehash_file(h, fd, hash, &e) == ERR_OK;
    for (int i = 0; i < 3 && same; i++)
        same = of(l, pid, &a, &id, &e) == ERR_OK && id.pid == (uint32_t)pid && id.ancestors_n == 0 &&
               strcmp(id.hash, hash) == 0 && str_eq(id.exe, str_of(p->self));
    tap_ok(same, "it is named by path and hash, again and again: %s", e.msg);
    stop(pid);
    tap_ok(of(l, pid, &a, &id, &e) == ERR_UNAVAILABLE, "who has ended is nobody: %s", e.msg);
    tap_ok(lineage_dir(l, (uint32_t)pid) < 0, "and has no folder");
}

static void test_exec(struct place *p, struct exehash *h, struct lineage *l)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    struct identity id = {};
    struct err e = {};
    char hash[2][65];
    CLEANUP(fd_close) int a_fd = open(p->a, O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close) int b_fd = open(p->b, O_RDONLY | O_CLOEXEC);
    (void)usleep(2 * EXEHASH_FRESH_MS * 1000);
    bool ok = exehash_file(h, a_fd, hash[0], &e) == ERR_OK && exehash_file(h, b_fd, hash[1], &e) == ERR_OK;
    pid_t pid = child(NULL);
    ok = ok && of(l, pid, &a, &id, &e) == ERR_OK && str_eq(id.exe, str_of(p->self));
    stop(pid);
    pid = fork();
    if (pid == 0) {
        (void)execl(p->a, p->a, "flip", p->a, p->b, NULL);
        _exit(1);
    }
    int seen[2] = {}, refused = 0;
    for (int i = 0; i < 2000 && ok; i++) {
        CLEANUP(arena_done) struct arena one;
        arena_init(&one, MIB);
        enum err_code r = of(l, pid, &one, &id, &e);
        if (r != ERR_OK) {
            ok = r == ERR_UNAVAILABLE;
            refused++;
            continue;
        }
        if (str_eq(id.exe, str_of(p->self)))
            continue; // not yet
        int which = str_eq(id.exe, str_of(p->b));
        seen[which]++;
        ok = strcmp(id.hash, hash[which]) == 0;
    }
    tap_ok(ok && seen[0] > 0 && seen[1] > 0, "a program that changes is never two (%d, %d, refused %d): %s",
           seen[0], seen[1], refused, e.msg);
    stop(pid);
}

static pid_t only_child_of(pid_t parent)
{
    for (pid_t pid = parent + 1; pid < parent + 10; pid++) {
        CLEANUP(fd_close) int dir = proc_open((uint32_t)pid);
        uint64_t of = 0;
        if (dir >= 0 && proc_stat_field(dir, 4, &of) && of == (uint64_t)parent)
            return pid;
    }
    return -1;
}

static void test_ancestors(struct place *p, struct lineage *l)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    struct identity id = {};
    struct err e = {};
    pid_t parent = child(parent_of_one), below = -1;
    for (int i = 0; i < 500 && below < 0; i++) {
        (void)usleep(2000);
        below = only_child_of(parent);
    }
    bool ok = below > 0;
    for (int i = 0; i < 2 && ok; i++)
        ok = of(l, below, &a, &id, &e) == ERR_OK && id.ancestors_n == 1 &&
             str_eq(id.ancestors[0], str_of(p->self));
    tap_ok(ok, "a parent is an ancestor, pid 1 is not: %s", e.msg);
    stop(parent);
    tap_ok(of(l, below, &a, &id, &e) == ERR_OK && id.ancestors_n == 0, "one that has ended no longer is: %s",
           e.msg);
    (void)kill(below, SIGKILL);
    pid_t many[MANY];
    for (int i = 0; i < MANY; i++)
        many[i] = child(NULL);
    ok = true;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY && ok; i++)
            ok = of(l, many[i], &a, &id, &e) == ERR_OK && id.pid == (uint32_t)many[i];
    tap_ok(ok, "more processes than are kept: %s", e.msg);
    for (int i = 0; i < MANY; i++)
        (void)kill(many[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void test_few_descriptors(struct exehash *h)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    struct identity id = {};
    struct err e = {};
    struct lineage *l = NULL;
    struct rlimit was, few = {.rlim_cur = FEW};
    bool ok = getrlimit(RLIMIT_NOFILE, &was) == 0;
    few.rlim_max = was.rlim_max;
    ok = ok && setrlimit(RLIMIT_NOFILE, &few) == 0 && lineage_new(h, &l, &e) == ERR_OK;
    pid_t some[FEW];
    for (int i = 0; i < FEW; i++)
        some[i] = child(NULL);
    for (int i = 0; i < FEW && ok; i++)
        ok = of(l, some[i], &a, &id, &e) == ERR_OK && id.pid == (uint32_t)some[i];
    tap_ok(ok && setrlimit(RLIMIT_NOFILE, &was) == 0, "where few descriptors may be open, fewer are kept: %s",
           e.msg);
    lineage_free(l);
    for (int i = 0; i < FEW; i++)
        stop(some[i]);
}

static int inside(void)
{
    struct err e = {};
    struct place p = {};
    struct exehash *h = NULL;
    struct lineage *l = NULL;
    if (mount("proc", "/proc", "proc", 0, NULL) != 0) {
        printf("1..0 # SKIP no /proc here: errno %d\n", errno);
        return 0;
    }
    if (tap_ok(place_make(&p) && exehash_new(&h, &e) == ERR_OK && lineage_new(h, &l, &e) == ERR_OK,
               "a place")) {
        test_one(&p, h, l);
        test_exec(&p, h, l);
        test_ancestors(&p, l);
        lineage_free(TAKE(l)); // and what it keeps open
        test_few_descriptors(h);
    }
    lineage_free(l);
    exehash_free(h);
    place_remove(&p);
    return tap_done();
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc > 1)
        return role(argv);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0) {
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
