#include "isolate/exehash.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

// sha256sum of "abc" and of nothing (FIPS 180-2, appendix B.1).
#define OF_ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool put(int fd, const char *text)
{
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text);
}

static void test_files(struct exehash *t)
{
    CLEANUP(fd_close) int fd = memfd_create("exe", MFD_CLOEXEC);
    char hash[65] = "";
    struct err e = {};
    tap_ok(fd >= 0 && exehash_file(t, fd, hash, &e) == ERR_OK && str_eq(str_of(hash), STR(OF_NOTHING)),
           "an empty file");
    tap_ok(put(fd, "abc") && exehash_file(t, fd, hash, &e) == ERR_OK && str_eq(str_of(hash), STR(OF_ABC)),
           "a file's content");
    (void)lseek(fd, 2, SEEK_SET);
    tap_ok(exehash_file(t, fd, hash, &e) == ERR_OK && str_eq(str_of(hash), STR(OF_ABC)),
           "from its beginning, wherever the descriptor stands");
    bool always = true;
    for (int i = 0; i < 2000 && always; i++) {
        char was[65];
        memcpy(was, hash, sizeof(was));
        always = put(fd, i % 2 ? "abc" : "abd") && exehash_file(t, fd, hash, &e) == ERR_OK &&
                 str_eq(str_of(hash), STR(OF_ABC)) == (i % 2 == 1) && !str_eq(str_of(was), str_of(hash));
    }
    tap_ok(always, "a change of equal length within a tick of the clock is seen");
    (void)usleep(2 * EXEHASH_FRESH_MS * 1000);
    // NOLINTNEXTLINE(misc-redundant-expression): the second time it is remembered
    bool same = exehash_file(t, fd, hash, &e) == ERR_OK && exehash_file(t, fd, hash, &e) == ERR_OK;
    tap_ok(same && str_eq(str_of(hash), STR(OF_ABC)), "what is remembered is the same");
    tap_ok(put(fd, "") && exehash_file(t, fd, hash, &e) == ERR_OK && str_eq(str_of(hash), STR(OF_NOTHING)),
           "what was remembered does not outlive a change");
}

static void test_refusals(struct exehash *t)
{
    CLEANUP(fd_close) int fd = memfd_create("exe", MFD_CLOEXEC);
    CLEANUP(fd_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close) int write_only = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    char hash[65] = "untouched";
    struct err e = {};
    tap_ok(ftruncate(fd, EXEHASH_BYTES_MAX + 1) == 0 && exehash_file(t, fd, hash, &e) == ERR_DENIED &&
               str_eq(str_of(hash), STR("untouched")),
           "one byte more than the limit is refused: %s", e.msg);
    tap_ok(exehash_file(t, null, hash, &e) == ERR_DENIED, "a device is refused: %s", e.msg);
    tap_ok(write_only >= 0 && put(write_only, "x") && exehash_file(t, write_only, hash, &e) == ERR_DENIED,
           "what cannot be read is refused: %s", e.msg);
    tap_ok(exehash_file(t, -1, hash, &e) == ERR_DENIED, "no descriptor is refused: %s", e.msg);
}

static void test_pins(struct exehash *t)
{
    struct err e = {};
    static const char abc[65] = OF_ABC, nothing[65] = OF_NOTHING;
    tap_ok(exehash_pin(t, STR("/bin/a"), abc, &e) == ERR_OK &&
               exehash_pin(t, STR("/bin/a"), abc, &e) == ERR_OK,
           "a path keeps its hash");
    tap_ok(exehash_pin(t, STR("/bin/a"), nothing, &e) == ERR_DENIED &&
               str_eq(str_of(e.msg),
                      STR("binary integrity check failed: Binary integrity violation: /bin/a hash changed "
                          "(cached: " OF_ABC ", current: " OF_NOTHING ")")),
           "another hash is refused");
    tap_ok(exehash_pin(t, STR("/bin/a"), abc, &e) == ERR_OK, "and does not take the place of the first");
    tap_ok(exehash_pin(t, STR("/bin/b"), nothing, &e) == ERR_OK, "another path has its own");
    char path[40];
    bool ok = true;
    for (int i = 2; i < EXEHASH_PATHS_MAX && ok; i++) {
        (void)snprintf(path, sizeof(path), "/tmp/%d", i);
        ok = exehash_pin(t, str_of(path), abc, &e) == ERR_OK;
    }
    tap_ok(ok, "as many paths as the limit");
    tap_ok(exehash_pin(t, STR("/tmp/more"), abc, &e) == ERR_DENIED, "one more is refused: %s", e.msg);
    tap_ok(exehash_pin(t, STR("/bin/a"), nothing, &e) == ERR_DENIED &&
               exehash_pin(t, STR("/bin/a"), abc, &e) == ERR_OK &&
               exehash_pin(t, str_of(path), abc, &e) == ERR_OK,
           "a flood of paths unpins none");
}

int main(void)
{
    struct exehash *t = NULL;
    struct err e = {};
    if (!tap_ok(exehash_new(&t, &e) == ERR_OK, "a table"))
        return tap_done();
    test_files(t);
    test_refusals(t);
    test_pins(t);
    exehash_free(t);
    return tap_done();
}
