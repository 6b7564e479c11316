#include "base/secret.h"

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names, see
// tests/alloc_fail.c
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
// What mmap() is called where files have 64-bit offsets, as Meson asks for everywhere.
void *__real_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t off);
int __real_munmap(void *p, size_t n);
int __wrap_munmap(void *p, size_t n);
int __real_mprotect(void *p, size_t n, int prot);
int __wrap_mprotect(void *p, size_t n, int prot);

static struct {
    size_t read_chunk; // at most this many bytes a read
    bool read_eintr;   // every second read is interrupted
    unsigned reads;
    bool no_mmap, no_mprotect;
    int mapped;       // maps less unmaps
    size_t bytes;     // the same in bytes
    const char *find; // to be looked for when pages go
    bool found;
} sys = {.read_chunk = SIZE_MAX};

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (sys.read_eintr && sys.reads++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return __real_read(fd, p, n < sys.read_chunk ? n : sys.read_chunk);
}

void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    if (sys.no_mmap) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    sys.mapped++;
    sys.bytes += n;
    return __real_mmap64(at, n, prot, flags, fd, off);
}

int __wrap_munmap(void *p, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (sys.find && memmem((char *)p + page, n - 2 * page, sys.find, strlen(sys.find)))
        sys.found = true;
    sys.mapped--;
    sys.bytes -= n;
    return __real_munmap(p, n);
}

int __wrap_mprotect(void *p, size_t n, int prot)
{
    if (sys.no_mprotect) {
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(p, n, prot);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

static const struct {
    struct str secret, guess;
    bool want;
    const char *rule;
} guesses[] = {
    {STR_INIT("hunter2"), STR_INIT("hunter2"), true, "itself"},
    {STR_INIT("hunter2"), STR_INIT("hunter3"), false, "the last byte counts"},
    {STR_INIT("hunter2"), STR_INIT("Hunter2"), false, "so does the first"},
    {STR_INIT("hunter2"), STR_INIT("hunter"), false, "a prefix is not enough"},
    {STR_INIT("hunter2"), STR_INIT("hunter22"), false, "more is too much"},
    {STR_INIT("a\0b"), STR_INIT("a\0c"), false, "a NUL does not end it"},
    {STR_INIT("ab"), STR_INIT("ba"), false, "differences do not cancel out"},
    {STR_INIT(""), STR_INIT(""), true, "the empty one, where it was set"},
    {STR_INIT(""), STR_INIT("a"), false, "the empty one is nothing else"},
};

static void test_eq(void)
{
    for (size_t i = 0; i < ARRAY_LEN(guesses); i++) {
        CLEANUP(secret_done) struct secret s = {};
        struct err err = {};
        bool ok = secret_init(&s, guesses[i].secret, &err) == ERR_OK && secret_is_set(&s) &&
                  secret_eq(&s, guesses[i].guess) == guesses[i].want &&
                  str_eq(secret_expose(&s), guesses[i].secret);
        tap_ok(ok, "eq: %s", guesses[i].rule);
    }
    CLEANUP(secret_done) struct secret s = {};
    struct err err = {};
    tap_ok(secret_init(&s, STR("hunter2"), &err) == ERR_OK && secret_eq(&s, (struct str){"hunter2x", 7}),
           "eq: what stands behind the guess does not count");
    struct secret none = {};
    tap_ok(!secret_is_set(&none) && !secret_eq(&none, STR("")) && !secret_eq(&none, (struct str){}),
           "eq: one that is not set equals nothing");
}

static void test_pages(void)
{
    struct err err = {};
    struct secret s = {};
    sys.mapped = 0, sys.bytes = 0;
    sys.found = false;
    sys.find = "hunter2";
    bool set = secret_init(&s, STR("hunter2"), &err) == ERR_OK;
    tap_ok(set && sys.mapped == 1, "init: a mapping of its own");
    secret_done(&s);
    tap_ok(sys.mapped == 0 && sys.bytes == 0 && !sys.found && !secret_is_set(&s),
           "done: wiped before it is unmapped");
    sys.find = NULL;
    secret_done(&s);
    secret_done(NULL);
    tap_ok(sys.mapped == 0, "done: once is enough, and NULL is fine");

    char copy[] = "hunter2";
    secret_wipe(copy, sizeof(copy));
    tap_ok(!memmem(copy, sizeof(copy), "h", 1) && copy[6] == 0, "wipe: a copy elsewhere");
}

// Whether the VmFlags of the mapping at `p` have `flag`; /proc/self/smaps prints them last for each mapping.
static bool vm_has(const char *p, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[512];
    bool here = false, has = false;
    while (f && fgets(line, sizeof(line), f)) {
        uintptr_t from, to;
        char dash;
        // NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers
        if (sscanf(line, "%lx%c%lx ", &from, &dash, &to) == 3 && dash == '-')
            here = (uintptr_t)p >= from && (uintptr_t)p < to;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    if (f)
        (void)fclose(f);
    return has;
}

static bool touch_dies(const char *at)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL); // not the sanitizer's report
        const volatile char *p = at;
        _exit(*p ? 1 : 0);
    }
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void test_fences(void)
{
    CLEANUP(secret_done) struct secret s = {};
    struct err err = {};
    if (secret_init(&s, STR("hunter2"), &err) != ERR_OK) {
        tap_ok(false, "init: %s", err.msg);
        return;
    }
    const char *p = secret_expose(&s).p;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const char *first = p - (uintptr_t)p % page;
    tap_ok(vm_has(p, " dd"), "pages: left out of dumps");
    tap_ok(touch_dies(first - 1), "pages: the byte before them cannot be read");
    tap_ok(touch_dies(first + page), "pages: nor the byte behind them");
    tap_ok(!touch_dies(first + page - 1), "pages: their last byte can");
}

static void test_init_limits(void)
{
    struct err err = {};
    CLEANUP(base_freep) char *text = malloc(SECRET_MAX + 1);
    if (!text)
        return;
    memset(text, 'x', SECRET_MAX + 1);
    CLEANUP(secret_done) struct secret s = {};
    tap_ok(secret_init(&s, (struct str){text, SECRET_MAX}, &err) == ERR_OK &&
               secret_expose(&s).n == SECRET_MAX,
           "init: the longest");
    struct secret none = {};
    tap_ok(secret_init(&none, (struct str){text, SECRET_MAX + 1}, &err) == ERR_LIMIT &&
               !secret_is_set(&none) &&
               strcmp(err.msg, "a secret of 1048577 bytes, the limit is 1048576") == 0,
           "init: %s", err.msg);
    sys.mapped = 0, sys.bytes = 0;
    sys.no_mmap = true;
    tap_ok(secret_init(&none, STR("x"), &err) == ERR_LIMIT && strcmp(err.msg, "no memory for a secret") == 0,
           "init: no memory");
    sys.no_mmap = false;
    sys.no_mprotect = true;
    tap_ok(secret_init(&none, STR("x"), &err) == ERR_LIMIT && sys.mapped == 0 && sys.bytes == 0,
           "init: no memory to unlock, and no leak");
    sys.no_mprotect = false;
}

static const struct {
    struct str in;
    size_t max;
    enum err_code code;
    struct str want;
    const char *rule;
} reads[] = {
    {STR_INIT("hunter2"), 7, ERR_OK, STR_INIT("hunter2"), "the maximum itself"},
    {STR_INIT("hunter22"), 7, ERR_LIMIT, {}, "one past it"},
    {STR_INIT("hunter222"), 7, ERR_LIMIT, {}, "two past it"},
    {STR_INIT("hunter2222"), 7, ERR_LIMIT, {}, "more than that"},
    {STR_INIT("hunter2\n"), 7, ERR_OK, STR_INIT("hunter2"), "a newline at the end is none of it"},
    {STR_INIT("hunter22\n"), 7, ERR_LIMIT, {}, "one past it before a newline"},
    {STR_INIT("a\n\n"), 7, ERR_OK, STR_INIT("a\n"), "one newline only"},
    {STR_INIT("a\nb"), 7, ERR_OK, STR_INIT("a\nb"), "a newline within stays"},
    {STR_INIT(""), 7, ERR_OK, STR_INIT(""), "nothing"},
    {STR_INIT("\n"), 0, ERR_OK, STR_INIT(""), "nothing but a newline"},
};

static bool read_row(size_t i)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    bool ok = write(fds[1], reads[i].in.p, reads[i].in.n) == (ssize_t)reads[i].in.n;
    (void)close(fds[1]);
    CLEANUP(secret_done) struct secret s = {};
    struct err err = {};
    ok = ok && secret_read(fds[0], reads[i].max, &s, &err) == reads[i].code;
    (void)close(fds[0]);
    if (reads[i].code == ERR_OK)
        return ok && str_eq(secret_expose(&s), reads[i].want);
    return ok && !secret_is_set(&s) && strcmp(err.msg, "a secret of more than 7 bytes") == 0;
}

static void test_read(void)
{
    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        tap_ok(read_row(i), "read: %s", reads[i].rule);
    sys.read_chunk = 1;
    sys.read_eintr = true;
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        ok = read_row(i) && ok;
    sys.read_chunk = SIZE_MAX;
    sys.read_eintr = false;
    tap_ok(ok, "read: the same byte by byte, with interruptions");

    struct secret none = {};
    struct err err = {};
    sys.mapped = 0, sys.bytes = 0;
    tap_ok(secret_read(-1, 7, &none, &err) == ERR_INTERNAL &&
               strcmp(err.msg, "read a secret: Bad file descriptor") == 0 && sys.mapped == 0,
           "read: %s", err.msg);
    sys.no_mmap = true;
    tap_ok(secret_read(0, 7, &none, &err) == ERR_LIMIT && !secret_is_set(&none), "read: no memory");
    sys.no_mmap = false;
    CLEANUP(secret_done) struct secret s = {};
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    tap_ok(secret_read(zero, SIZE_MAX, &s, &err) == ERR_LIMIT &&
               strcmp(err.msg, "a secret of more than 1048576 bytes") == 0,
           "read: %s, whatever the caller would take", err.msg);
    (void)close(zero);
}

int main(void)
{
    test_eq();
    test_pages();
    test_fences();
    test_init_limits();
    test_read();
    return tap_done();
}
