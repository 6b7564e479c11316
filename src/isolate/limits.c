#include "isolate/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
enum {
    CGROUP2_MAGIC = 0x63677270, // linux/magic.h
    PERIOD_US = 100'000,        // cpu quota, the kernel's default period
    REMOVE_TRIES = 50,          // the kernel removes members a moment after they are reaped
};

static const char *const controllers[LIMITS_DIRS_MAX] = {"memory", "pids", "cpu"};

// ---- words
// ---------------------------------------------------------------------------------------------------

bool limits_bytes(struct str s, uint64_t *ret)
{
    unsigned shift = 0;
    if (s.n > 0) {
        static const char units[] = "kmgt";
        const char *u = memchr(units, char_lower(s.p[s.n - 1]), sizeof(units) - 1);
        shift = u ? 10 * (unsigned)(u - units + 1) : 0;
        s.n -= u != NULL;
    }
    uint64_t v;
    if (!str_u64(s, UINT64_MAX >> shift, &v) || v == 0)
        return false;
    *ret = v << shift;
    return true;
}

bool limits_cpus(struct str s, uint64_t *ret)
{
    struct str whole;
    uint64_t n, milli = 0;
    (void)str_split(&s, '.', &whole);
    if (!str_u64(whole, 100'000, &n))
        return false;
    if (s.p) {
        if (s.n > 3 || !str_u64(s, 999, &milli))
            return false;
        for (size_t i = s.n; i < 3; i++)
            milli *= 10;
    }
    if (n * 1000 + milli == 0)
        return false;
    *ret = n * 1000 + milli;
    return true;
}

void limits_name(pid_t pid, uint64_t start_time, char dst[static LIMITS_NAME_MAX])
{
    (void)snprintf(dst, LIMITS_NAME_MAX, "openshell-%d-%llu", pid, (unsigned long long)start_time);
}

bool limits_name_parse(struct str name, pid_t *ret_pid, uint64_t *ret_start)
{
    struct str pid;
    uint64_t p, start;
    if (!str_skip(&name, STR("openshell-")) || !str_split(&name, '-', &pid) || !str_u64(pid, INT32_MAX, &p) ||
        p == 0 || !str_u64(name, UINT64_MAX, &start))
        return false;
    *ret_pid = (pid_t)p;
    *ret_start = start;
    return true;
}

// Field 22 of /proc/PID/stat, counted behind the name, which may hold anything. 0: no such process.
static uint64_t start_time(pid_t pid)
{
    char path[40];
    struct err e;
    CLEANUP(buf_done) struct buf text = {};
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (file_read(path, 4 * KIB, &text, &e) != ERR_OK)
        return 0;
    const char *close_paren = memrchr(text.p, ')', text.n);
    if (!close_paren)
        return 0;
    struct str rest = str_from(buf_str(&text), (size_t)(close_paren - text.p) + 2), word;
    uint64_t v = 0;
    for (int i = 3; i <= 22 && str_split(&rest, ' ', &word); i++)
        if (i == 22 && !str_u64(word, UINT64_MAX, &v))
            return 0;
    return v;
}

// ---- folders
// -------------------------------------------------------------------------------------------------

static bool is_v2(void)
{
    struct statfs s;
    return statfs(CGROUP_ROOT, &s) == 0 && s.f_type == CGROUP2_MAGIC;
}

static enum err_code put(const char *dir, const char *file, struct str text, struct err *e)
{
    char path[LIMITS_PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_WRONLY, 0, &fd, e);
    if (r == ERR_OK)
        r = fd_write_all(fd, text, e);
    return r == ERR_OK ? r : err_wrap(e, r, "%s", path);
}

static void kill_members(const char *dir)
{
    char path[LIMITS_PATH_MAX + 64];
    struct err e;
    CLEANUP(buf_done) struct buf text = {};
    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    if (file_read(path, MIB, &text, &e) != ERR_OK)
        return;
    for (struct str rest = buf_str(&text), l; str_line(&rest, &l);) {
        uint64_t pid;
        if (str_u64(l, INT32_MAX, &pid) && pid > 1)
            (void)kill((pid_t)pid, SIGKILL); // in a folder of ours: a member of that sandbox
    }
}

static void remove_dir(const char *dir)
{
    for (int i = 0; i < REMOVE_TRIES && rmdir(dir) != 0 && errno == EBUSY; i++) {
        kill_members(dir);
        (void)nanosleep(&(struct timespec){.tv_nsec = 2'000'000}, NULL); // cgroups v1 tell nobody
    }
}

// What launchers left that were killed.
static void sweep(const char *parent)
{
    DIR *d = opendir(parent);
    if (!d)
        return;
    for (struct dirent *entry; (entry = readdir(d));) {
        pid_t pid;
        uint64_t start;
        char path[LIMITS_PATH_MAX];
        if (!limits_name_parse(str_of(entry->d_name), &pid, &start) || start_time(pid) == start)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
        remove_dir(path);
    }
    (void)closedir(d);
}

static enum err_code set_limit(const char *dir, size_t which, const struct limits_want *want, bool v2,
                               struct err *e)
{
    char text[64];
    if (which == 0) {
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)want->memory);
        return put(dir, v2 ? "memory.max" : "memory.limit_in_bytes", str_of(text), e);
    }
    if (which == 1) {
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)want->pids);
        return put(dir, "pids.max", str_of(text), e);
    }
    unsigned long long quota = want->cpu_milli * PERIOD_US / 1000;
    (void)snprintf(text, sizeof(text), v2 ? "%llu %d" : "%llu", quota, PERIOD_US);
    return put(dir, v2 ? "cpu.max" : "cpu.cfs_quota_us", str_of(text), e);
}

static bool wanted(const struct limits_want *want, size_t which)
{
    return (which == 0 ? want->memory : which == 1 ? want->pids : want->cpu_milli) != 0;
}

static enum err_code make_dirs(struct limits *l, struct err *e)
{
    bool v2 = is_v2();
    char name[LIMITS_NAME_MAX];
    limits_name(getpid(), start_time(getpid()), name);
    for (size_t i = 0; i < LIMITS_DIRS_MAX; i++) {
        if (!wanted(&l->want, i))
            continue;
        char parent[LIMITS_PATH_MAX / 2], enable[32];
        (void)snprintf(parent, sizeof(parent), CGROUP_ROOT "%s%s", v2 ? "" : "/", v2 ? "" : controllers[i]);
        sweep(parent);
        (void)snprintf(enable, sizeof(enable), "+%s", controllers[i]);
        enum err_code r = v2 ? put(parent, "cgroup.subtree_control", str_of(enable), e) : ERR_OK;
        if (r != ERR_OK)
            return r;
        bool again = v2 && l->dirs_n > 0; // one folder serves all controllers of version 2
        char *path = l->dirs[again ? 0 : l->dirs_n].path;
        if (!again) {
            (void)snprintf(path, LIMITS_PATH_MAX, "%s/%s", parent, name);
            if (mkdir(path, 0755) != 0 && errno != EEXIST)
                return err_set(e, fd_code(errno), "%s: %s", path, fd_strerror(errno));
            l->dirs_n++;
        }
        r = set_limit(path, i, &l->want, v2, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

enum err_code limits_new(const struct limits_want *want, struct limits *ret, struct err *e)
{
    struct limits l = {.want = *want};
    enum err_code r = make_dirs(&l, e);
    if (r != ERR_OK) {
        limits_done(&l);
        if (geteuid() == 0)
            return err_wrap(e, r, "limits: this machine's cgroups refuse");
        l = (struct limits){.want = *want, .soft = true}; // documented: per process (limits_in_force)
    }
    *ret = l;
    return ERR_OK;
}

void limits_done(struct limits *l)
{
    for (size_t i = 0; i < l->dirs_n; i++)
        remove_dir(l->dirs[i].path);
    l->dirs_n = 0;
}

enum err_code limits_place(const struct limits *l, pid_t pid, struct err *e)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%d", pid);
    for (size_t i = 0; i < l->dirs_n; i++) {
        enum err_code r = put(l->dirs[i].path, "cgroup.procs", str_of(text), e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err_code lower(int resource, const char *name, uint64_t value, struct err *e)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        return err_set(e, ERR_INTERNAL, "getrlimit %s: %s", name, fd_strerror(errno));
    rlim_t v = value < now.rlim_max ? (rlim_t)value : now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &(struct rlimit){v, v}) != 0)
        return err_set(e, fd_code(errno), "setrlimit %s: %s", name, fd_strerror(errno));
    return ERR_OK;
}

static enum err_code affinity(uint64_t cpu_milli, struct err *e)
{
    cpu_set_t have, take;
    CPU_ZERO(&take);
    if (sched_getaffinity(0, sizeof(have), &have) != 0)
        return err_set(e, fd_code(errno), "sched_getaffinity: %s", fd_strerror(errno));
    uint64_t left = (cpu_milli + 999) / 1000;
    for (size_t i = 0; i < CPU_SETSIZE && left > 0; i++)
        if (CPU_ISSET(i, &have)) {
            CPU_SET(i, &take);
            left--;
        }
    if (sched_setaffinity(0, sizeof(take), &take) != 0)
        return err_set(e, fd_code(errno), "sched_setaffinity: %s", fd_strerror(errno));
    return ERR_OK;
}

enum err_code limits_self(const struct limits_want *want, bool soft, struct err *e)
{
    enum err_code r = lower(RLIMIT_CORE, "core", 0, e);
    if (r == ERR_OK && soft && want->memory)
        r = lower(RLIMIT_AS, "as", want->memory, e);
    if (r == ERR_OK && soft && want->pids)
        r = lower(RLIMIT_NPROC, "nproc", want->pids, e);
    return r == ERR_OK && soft && want->cpu_milli ? affinity(want->cpu_milli, e) : r;
}

const char *limits_in_force(const struct limits *l)
{
    bool any = wanted(&l->want, 0) || wanted(&l->want, 1) || wanted(&l->want, 2);
    return !any ? "none" : l->soft ? "per process" : "cgroup";
}
