// What was acknowledged is there: after kill -9, on a full disk, and with another process at the same file.
#include "store/sqlite.h"
#include "store/store_test.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    ROUNDS = 60,
};

static const char *name_of(char dst[32], unsigned round, uint32_t i, char half)
{
    (void)snprintf(dst, 32, "r%u-%u%c", round, (unsigned)i, half);
    return dst;
}

// The child: two objects at once, and a count of them, then says so.
static void write_until_killed(const struct place *p, unsigned round, int pipe_fd)
{
    struct store *st = place_open(p);
    struct err err = {};
    for (uint32_t i = 1;; i++) {
        char a[32], b[32];
        uint64_t v[3];
        size_t failed;
        struct store_write w[] = {{STORE_CREATE, 0, thing(name_of(a, round, i, 'a'), a)},
                                  {STORE_UPDATE, 0, thing("count", NULL)},
                                  {STORE_CREATE, 0, thing(name_of(b, round, i, 'b'), b)}};
        if (store_apply(st, w, 3, v, &failed, &err) != ERR_OK || write(pipe_fd, &i, sizeof(i)) != sizeof(i))
            break;
    }
    (void)!write(pipe_fd, "?", 1); // a torn number: the parent sees that it did not go well
    _exit(1);
}

// Kills the child some time behind its first acknowledgement; the last one, or 0 if it failed.
static uint32_t round_of(const struct place *p, unsigned round, unsigned *seed)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        write_until_killed(p, round, fds[1]);
    }
    (void)close(fds[1]);
    uint32_t last = 0, i = 0;
    ssize_t n = read(fds[0], &i, sizeof(i));
    for (int64_t end = deadline_in_ms(rand_r(seed) % 40); n == sizeof(i) && !deadline_passed(end);) {
        last = i;
        struct pollfd pfd = {.fd = fds[0], .events = POLLIN};
        if (poll(&pfd, 1, deadline_left_ms(end)) > 0)
            n = read(fds[0], &i, sizeof(i));
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    for (; n == sizeof(i); n = read(fds[0], &i, sizeof(i)))
        last = i; // what it said before it died
    (void)close(fds[0]);
    return n == 0 ? last : 0;
}

static bool has(struct store *st, const char *id)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct store_object o;
    struct err err = {};
    return store_get(st, STR("thing"), str_of(id), &a, &o, &err) == ERR_OK && str_eq(o.payload, STR("p\0q"));
}

static void test_kill(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    struct err err = {};
    uint64_t v;
    bool ok = put(st, STORE_CREATE, 0, thing("count", NULL), &v, &err) == ERR_OK;
    store_free(st);
    uint32_t last[ROUNDS];
    unsigned seed = (unsigned)getpid(), first = seed;
    uint64_t acknowledged = 0, there = 0, lost = 0, torn = 0;
    for (unsigned r = 0; ok && r < ROUNDS; r++) {
        last[r] = round_of(&p, r, &seed);
        acknowledged += last[r];
        ok = last[r] > 0;
    }
    tap_ok(ok, "killed %d times, each behind an acknowledged write (seed %u)", ROUNDS, first);
    st = place_open(&p); // recovers what the last one left
    for (unsigned r = 0; ok && r < ROUNDS; r++)
        for (uint32_t i = 1; i <= last[r] + 1; i++) { // one more: done, but not yet said
            char a[32], b[32];
            bool has_a = has(st, name_of(a, r, i, 'a')), has_b = has(st, name_of(b, r, i, 'b'));
            torn += has_a != has_b;
            lost += i <= last[r] && !has_a;
            there += has_a;
        }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct store_object o = {};
    tap_ok(ok && lost == 0, "each of %llu acknowledged writes is there", (unsigned long long)acknowledged);
    tap_ok(ok && torn == 0, "no write is there by half");
    tap_ok(ok && store_get(st, STR("thing"), STR("count"), &a, &o, &err) == ERR_OK && o.version == there + 1,
           "an update went with each (%llu)", (unsigned long long)there);
    store_free(st);
    place_done(&p);
}

// ---- a full disk
// --------------------------------------------------------------------------------------------

static bool small_disk(const char *folder)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=2m,mode=0700") < 0) {
        printf("ok %d - a full disk # SKIP no tmpfs of our own: %s\n", ++tap_n, strerror(errno));
        return false;
    }
    return true;
}

static bool ballast(const char *path, size_t bytes) // false: no room
{
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && posix_fallocate(fd, 0, (off_t)bytes) == 0;
}

static struct store_object bulky(char id[32], unsigned i)
{
    static const char bytes[20'000];
    (void)snprintf(id, 32, "bulk%u", i);
    struct store_object o = thing(id, id);
    o.payload = (struct str){bytes, sizeof(bytes)};
    return o;
}

static unsigned count(struct store *st, unsigned upto)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    struct err err = {};
    struct store_object o;
    unsigned n = 0;
    for (unsigned i = 0; i < upto; i++) {
        char id[32];
        o = bulky(id, i);
        n += store_get(st, STR("thing"), o.id, &a, &o, &err) == ERR_OK;
    }
    return n;
}

static unsigned fill(struct store *st, unsigned from, enum err_code *r, struct err *err)
{
    *r = ERR_OK;
    for (; *r == ERR_OK && from < 1000; from++) {
        char id[32];
        uint64_t v;
        *r = put(st, STORE_CREATE, 0, bulky(id, from), &v, err);
    }
    return from - 1; // acknowledged ones
}

static void test_full(void)
{
    struct place p = place_new("/tmp");
    if (!small_disk(p.folder))
        return place_done(&p);
    struct err err = {};
    char extra[100], id[32];
    uint64_t v;
    enum err_code r;
    (void)snprintf(extra, sizeof(extra), "%s/ballast", p.folder);
    bool ok = ballast(extra, 512 * KIB);
    struct store *st = place_open(&p);
    unsigned n = fill(st, 0, &r, &err);
    tap_ok(ok && n > 10 && r == ERR_LIMIT && strstr(err.msg, p.file) &&
               strstr(err.msg, "the disk is full; nothing acknowledged is lost, free some space"),
           "full: an error with the path and what to do, behind %u writes", n);
    tap_ok(count(st, n + 1) == n,
           "full: all that was acknowledged can be read, and what was not is not there");
    tap_ok(put(st, STORE_CREATE, 0, bulky(id, n), &v, &err) == ERR_LIMIT, "full: it stays refused");
    (void)unlink(extra);
    unsigned more = fill(st, n, &r, &err);
    tap_ok(more > n + 5 && r == ERR_LIMIT, "space is back: it works again as it is, %u writes", more - n);
    store_free(st);
    st = place_open(&p);
    tap_ok(count(st, more + 1) == more, "reopened on a full disk: all %u are there", more);
    store_free(st);

    char other[120];
    (void)snprintf(other, sizeof(other), "%s/t", p.folder);
    while (ballast(extra, 4096) && strlen(extra) < sizeof(extra) - 2) // the last pages, too
        extra[strlen(extra) + 1] = '\0', extra[strlen(extra)] = 'x';
    (void)snprintf(other, sizeof(other), "%s/t/db", p.folder);
    st = NULL;
    r = store_open(str_of(other), &st, &err);
    if (!tap_ok(r == ERR_LIMIT && strstr(err.msg, "free some space"),
                "a store cannot be made on a full disk"))
        tap_note("%s: %s", err_code_name(r), err.msg);
    store_free(st);
    (void)umount2(p.folder, MNT_DETACH);
    place_done(&p);
}

// ---- two processes
// ------------------------------------------------------------------------------------------

// Counts one object up `n` times, each time from the version that was seen. The number of conflicts, or -1.
static int count_up(struct store *st, int n)
{
    int conflicts = 0;
    uint64_t seen = 1;
    struct err err = {};
    while (n > 0) {
        enum err_code r = put(st, STORE_UPDATE, seen, thing("shared", NULL), &seen, &err);
        if (r == ERR_OK)
            n--;
        else if (r == ERR_PRECONDITION)
            conflicts++;
        else
            return tap_note("%s", err.msg), -1;
    }
    return conflicts;
}

static void test_two(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    struct err err = {};
    uint64_t v;
    (void)!put(st, STORE_CREATE, 0, thing("shared", NULL), &v, &err);
    store_free(st); // no connection crosses a fork
    pid_t pid = fork();
    st = place_open(&p);
    int conflicts = count_up(st, 200);
    if (pid == 0) {
        store_free(st);
        _exit(conflicts < 0 ? 1 : 0);
    }
    int status = 1;
    (void)waitpid(pid, &status, 0);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct store_object o = {};
    tap_ok(conflicts >= 0 && status == 0 &&
               store_get(st, STR("thing"), STR("shared"), &a, &o, &err) == ERR_OK && o.version == 401,
           "two processes: no update is lost, %d conflicts", conflicts);

    sqlite3 *other = NULL;
    (void)sqlite3_open(p.file, &other);
    (void)sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    tap_ok(store_get(st, STR("thing"), STR("shared"), &a, &o, &err) == ERR_OK,
           "another's write does not stop reads");
    int64_t start = clock_ns();
    enum err_code r = put(st, STORE_UPDATE, 0, thing("shared", NULL), &v, &err);
    int64_t ms = (clock_ns() - start) / 1'000'000;
    tap_ok(r == ERR_UNAVAILABLE && strstr(err.msg, "another process has held it for 5 s") &&
               ms > STORE_BUSY_MS / 2,
           "a write waits, then says that another process holds it (%lld ms)", (long long)ms);
    (void)sqlite3_close(other);
    tap_ok(put(st, STORE_UPDATE, 0, thing("shared", NULL), &v, &err) == ERR_OK && v == 402,
           "and works afterwards");
    store_free(st);
    place_done(&p);
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0); // nothing that a fork could print twice
    test_kill();
    test_two();
    test_full(); // last: the mount namespace stays
    return tap_done();
}
