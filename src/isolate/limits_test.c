// The words, and what the machine then does. Cgroups need root; what a machine lacks is skipped by name.
#include "isolate/limits.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

// ---- words
// ---------------------------------------------------------------------------------------------------------

static const struct {
    const char *text;
    uint64_t want; // 0: refused
    const char *rule;
} bytes[] =
    {
        {"1", 1, "bytes"},
        {"1048576", 1048576, "bytes without a unit"},
        {"2k", 2048, "k is 1024"},
        {"512m", 512ULL << 20, "m"},
        {"2G", 2ULL << 30, "a unit in capitals"},
        {"1t", 1ULL << 40, "t"},
        {"16777215t", 16777215ULL << 40, "the greatest number of t"},
        {"16777216t", 0, "one past it does not wrap to 0"},
        {"18446744073709551615", UINT64_MAX, "the greatest number"},
        {"18446744073709551616", 0, "one past the greatest number"},
        {"0", 0, "no bytes are no limit that one can mean"},
        {"0g", 0, "nor is nothing with a unit"},
        {"", 0, "nothing"},
        {"g", 0, "a unit alone"},
        {"1gb", 0, "one letter is a unit"},
        {"1.5g", 0, "a fraction"},
        {"-1", 0, "a sign"},
        {" 1", 0, "a blank"},
        {"1p", 0, "an unknown unit"},
},
  cpus[] = {
      {"1", 1000, "one processor"},
      {"1.5", 1500, "a half is 500 thousandths, not 5"},
      {"0.25", 250, "hundredths"},
      {"0.001", 1, "the least"},
      {"0.0001", 0, "one digit more"},
      {"100000", 100'000'000, "the greatest"},
      {"100001", 0, "one past the greatest"},
      {"0", 0, "none"},
      {"0.0", 0, "none, with a dot"},
      {"1.", 0, "a dot without a digit"},
      {".5", 0, "a dot without a number before it"},
      {"", 0, "nothing"},
      {"1.5.5", 0, "two dots"},
      {"2x", 0, "a letter"},
      {"-1", 0, "a sign"},
};

static void words(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        uint64_t v = 0;
        bool ok = limits_bytes(str_of(bytes[i].text), &v);
        (void)tap_ok(v == bytes[i].want && ok == (v != 0), "bytes '%s': %s", bytes[i].text, bytes[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
        uint64_t v = 0;
        bool ok = limits_cpus(str_of(cpus[i].text), &v);
        (void)tap_ok(v == cpus[i].want && ok == (v != 0), "cpus '%s': %s", cpus[i].text, cpus[i].rule);
    }
}

// ---- names
// ---------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    bool ours;
    const char *rule;
} folders[] = {
    {"openshell-1-2", true, "a pid and a time"},
    {"openshell-2147483647-18446744073709551615", true, "the greatest of both"},
    {"openshell-2147483648-1", false, "no pid is that great"},
    {"openshell-0-1", false, "0 is no pid"},
    {"openshell-1", false, "a time is missing"},
    {"openshell-1-", false, "a time is empty"},
    {"openshell-1-2-3", false, "a number too many"},
    {"openshell-a-1", false, "a pid is a number"},
    {"docker-1-2", false, "another program's"},
    {"", false, "nothing"},
};

static void names(void)
{
    pid_t pid = 0;
    uint64_t start = 0;
    char name[LIMITS_NAME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        (void)tap_ok(limits_name_parse(str_of(folders[i].name), &pid, &start) == folders[i].ours, "'%s': %s",
                     folders[i].name, folders[i].rule);
    limits_name(INT32_MAX, UINT64_MAX, name);
    (void)tap_ok(limits_name_parse(str_of(name), &pid, &start) && pid == INT32_MAX && start == UINT64_MAX,
                 "the longest name fits and is read back");
}

// ---- per process
// ------------------------------------------------------------------------------------------------------

// Runs `child` in a child of its own: true if it answered 0.
static bool in_child(bool (*child)(void))
{
    (void)fflush(stdout);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(child() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool resource_is(int resource, rlim_t want)
{
    struct rlimit l;
    return getrlimit((__rlimit_resource_t)resource, &l) == 0 && l.rlim_cur == want && l.rlim_max == want;
}

static bool no_core_file(void)
{
    static const int others[] = {RLIMIT_AS, RLIMIT_NPROC};
    struct err e;
    const struct limits_want want = {.memory = 1ULL << 40, .pids = 999};
    struct rlimit before[ARRAY_LEN(others)], after;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (getrlimit((__rlimit_resource_t)others[i], &before[i]) != 0)
            return false;
    bool ok = limits_self(&want, false, &e) == ERR_OK && resource_is(RLIMIT_CORE, 0);
    for (size_t i = 0; ok && i < ARRAY_LEN(others); i++)
        ok = getrlimit((__rlimit_resource_t)others[i], &after) == 0 && after.rlim_cur == before[i].rlim_cur;
    return ok;
}

static bool soft_limits(void)
{
    struct err e;
    cpu_set_t set;
    const struct limits_want want = {.memory = 1ULL << 46, .pids = 77, .cpu_milli = 500};
    return limits_self(&want, true, &e) == ERR_OK && resource_is(RLIMIT_AS, 1ULL << 46) &&
           resource_is(RLIMIT_NPROC, 77) && sched_getaffinity(0, sizeof(set), &set) == 0 &&
           CPU_COUNT(&set) == 1;
}

static bool never_raised(void)
{
    struct err e;
    const struct limits_want want = {.pids = 200};
    return setrlimit(RLIMIT_NPROC, &(struct rlimit){100, 100}) == 0 &&
           limits_self(&want, true, &e) == ERR_OK && resource_is(RLIMIT_NPROC, 100);
}

// ---- cgroups
// -------------------------------------------------------------------------------------------------------

enum { MEMBERS = 20 };

// A child that waits until it is in its cgroup, then does `job`. What it answers.
static int placed(const struct limits *l, int (*job)(void))
{
    int gate[2], status = 0;
    struct err e;
    (void)fflush(stdout);
    if (pipe(gate) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        (void)close(gate[1]);
        _exit(read(gate[0], &c, 1) == 1 ? job() : 99);
    }
    (void)close(gate[0]);
    bool in = pid > 0 && limits_place(l, pid, &e) == ERR_OK && write(gate[1], "x", 1) == 1;
    (void)close(gate[1]);
    if (pid <= 0 || waitpid(pid, &status, 0) != pid || !in)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int fork_many(void) // how many processes it could have at once
{
    pid_t pids[MEMBERS];
    int n = 0;
    while (n < MEMBERS && (pids[n] = fork()) >= 0) {
        if (pids[n] == 0) {
            (void)pause();
            _exit(0);
        }
        n++;
    }
    for (int i = 0; i < n; i++) {
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    return n;
}

static int touch_64_mib(void)
{
    char *p = malloc(64 * MIB);
    if (!p)
        return 1;
    for (size_t i = 0; i < 64 * MIB; i += 4096)
        ((volatile char *)p)[i] = 1;
    free(p);
    return 0;
}

static int linger(void) // leaves a process behind
{
    if (fork() == 0) {
        (void)pause();
        _exit(0);
    }
    return 0;
}

static void cgroup(const struct limits_want *want, int (*job)(void), int expected, const char *rule)
{
    struct limits l = {};
    struct err e = {};
    enum err_code r = limits_new(want, &l, &e);
    if (geteuid() != 0 || r != ERR_OK) {
        (void)tap_ok(true, "%s # SKIP no cgroups of our own here", rule);
        limits_done(&l);
        return;
    }
    char dir[LIMITS_PATH_MAX];
    memcpy(dir, l.dirs[0].path, sizeof(dir));
    int got = placed(&l, job);
    bool ok = got == expected && strcmp(limits_in_force(&l), "cgroup") == 0 && access(dir, F_OK) == 0;
    limits_done(&l);
    struct stat st;
    ok = ok && stat(dir, &st) != 0 && errno == ENOENT;
    if (!tap_ok(ok, "%s, and nothing is left", rule))
        tap_note("answered %d, expected %d; %s", got, expected, dir);
}

static void nothing_wanted(void)
{
    const struct limits_want none = {};
    struct limits l = {};
    struct err e;
    (void)tap_ok(limits_new(&none, &l, &e) == ERR_OK && l.dirs_n == 0 && !l.soft &&
                     strcmp(limits_in_force(&l), "none") == 0,
                 "nothing wanted makes nothing");
    l = (struct limits){.want = {.pids = 1}, .soft = true};
    (void)tap_ok(strcmp(limits_in_force(&l), "per process") == 0, "limits without a cgroup are told apart");
}

static void sweeps(void) // a folder of a launcher that is dead goes at the next start
{
    const struct limits_want want = {.pids = 5};
    struct limits l = {};
    struct err e = {};
    const char *rule = "what a dead launcher left is removed";
    if (geteuid() != 0 || limits_new(&want, &l, &e) != ERR_OK) {
        (void)tap_ok(true, "%s # SKIP no cgroups of our own here", rule);
        return;
    }
    char dead[LIMITS_PATH_MAX];
    char *slash = strrchr(l.dirs[0].path, '/');
    (void)snprintf(dead, sizeof(dead), "%.*s/openshell-%d-1", (int)(slash - l.dirs[0].path), l.dirs[0].path,
                   getpid()); // this pid, but not its start time
    struct limits second = {};
    struct stat st;
    bool made = mkdir(dead, 0755) == 0;
    bool ok = made && limits_new(&want, &second, &e) == ERR_OK && stat(dead, &st) != 0;
    (void)tap_ok(ok, "%s", rule);
    limits_done(&l);
    if (made)
        (void)rmdir(dead); // where the sweep did not
}

int main(void)
{
    words();
    names();
    (void)tap_ok(in_child(no_core_file), "no core file, and nothing else where a cgroup is in force");
    (void)tap_ok(in_child(soft_limits), "per process: memory, processes, processors");
    (void)tap_ok(in_child(never_raised), "a lower limit of the user's is not raised");
    nothing_wanted();
    cgroup(&(struct limits_want){.pids = 5}, fork_many, 4, "five processes are one and four");
    cgroup(&(struct limits_want){.memory = 24 * MIB}, touch_64_mib, 128 + SIGKILL,
           "who takes more memory is killed");
    cgroup(&(struct limits_want){.memory = 256 * MIB, .pids = 50, .cpu_milli = 1500}, touch_64_mib, 0,
           "three limits at once, none of them reached");
    cgroup(&(struct limits_want){.pids = 5}, linger, 0, "who stays behind is killed");
    sweeps();
    return tap_done();
}
