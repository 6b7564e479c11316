// syscalls: landlock_create_ruleset landlock_add_rule landlock_restrict_self openat fstat close prctl
#include "isolate/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

// Newer than the headers we are built with (landlock(7)).
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) // ABI 3
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) // ABI 5
#endif
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) // ABI 6
#define SCOPE_SIGNAL               (1ULL << 1)

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5, ABI_SCOPES = 6, PATH_BYTES = 4096 };

struct ruleset_attr { // as of ABI 6; older kernels take a shorter one
    uint64_t fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_ABI1 ((1ULL << 13) - 1)
#define FS_OF_FILE                                                                                           \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |             \
     LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

static uint64_t rights_of(int abi)
{
    uint64_t r = FS_ABI1;
    r |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    r |= abi >= ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
    return r | (abi >= ABI_IOCTL_DEV ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0);
}

enum err_code landlock_probe(int *ret_abi, struct err *e)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi > 0) {
        *ret_abi = (int)abi;
        return ERR_OK;
    }
    const char *why = errno == ENOSYS ? "this kernel does not have Landlock"
                      : errno == EOPNOTSUPP
                          ? "Landlock is not enabled in this kernel (lsm= on its command line)"
                      : errno == EPERM ? "Landlock is blocked here, by a container's profile perhaps"
                                       : fd_strerror(errno);
    return err_set(e, ERR_UNSUPPORTED, "%s", why);
}

// ---- the baseline
// -----------------------------------------------------------------------------------------------------

static bool named(const struct landlock_paths *p, struct str path)
{
    for (size_t i = 0; i < p->ro_n; i++)
        if (str_eq(p->ro[i], path))
            return true;
    for (size_t i = 0; i < p->rw_n; i++)
        if (str_eq(p->rw[i], path))
            return true;
    return false;
}

static bool exists(struct str path)
{
    char name[PATH_BYTES];
    return str_cstr(path, name, sizeof(name)) && access(name, F_OK) == 0;
}

enum err_code landlock_baseline(const struct landlock_paths *policy, struct arena *a,
                                struct landlock_paths *ret, struct err *e)
{
    static const struct str ro[] = {STR_INIT("/usr"),        STR_INIT("/lib"),     STR_INIT("/etc"),
                                    STR_INIT("/app"),        STR_INIT("/var/log"), STR_INIT("/proc"),
                                    STR_INIT("/dev/urandom")};
    static const struct str rw[] = {STR_INIT("/tmp")};
    struct str *all_ro = arena_newn(a, struct str, policy->ro_n + ARRAY_LEN(ro));
    struct str *all_rw = arena_newn(a, struct str, policy->rw_n + ARRAY_LEN(rw));
    if (!all_ro || !all_rw)
        return arena_limit(a, "the sandbox's paths", e);
    struct landlock_paths p = {.ro = all_ro, .rw = all_rw};
    for (size_t i = 0; i < policy->rw_n; i++)
        all_rw[p.rw_n++] = policy->rw[i];
    for (size_t i = 0; i < policy->ro_n; i++) // what is writable is not read-only, too (reference 1.3)
        all_ro[p.ro_n++] = policy->ro[i];
    for (size_t i = 0; i < ARRAY_LEN(ro); i++)
        if (!named(policy, ro[i]) && exists(ro[i]))
            all_ro[p.ro_n++] = ro[i];
    for (size_t i = 0; i < ARRAY_LEN(rw); i++)
        if (!named(policy, rw[i]) && exists(rw[i]))
            all_rw[p.rw_n++] = rw[i];
    *ret = p;
    return ERR_OK;
}

// ---- the rules
// --------------------------------------------------------------------------------------------------------

static void note(struct landlock_report *r, const char *what, struct str path, const char *why)
{
    r->skipped++;
    if (!r->why[0])
        (void)snprintf(r->why, sizeof(r->why), "%s '%.*s': %s", what, STR_FMT(path), why);
}

static enum err_code allow(int ruleset, struct str path, uint64_t rights, bool hard,
                           struct landlock_report *r, struct err *e)
{
    char name[PATH_BYTES];
    if (!str_cstr(path, name, sizeof(name)))
        return err_set(e, ERR_INVALID, "path '%.*s' is too long, or holds a NUL", STR_FMT(path));
    CLEANUP(fd_close) int fd = open(name, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (hard)
            return err_set(e, ERR_UNSUPPORTED, "path '%s': %s, and the policy says hard_requirement", name,
                           fd_strerror(errno));
        note(r, "path", path, fd_strerror(errno));
        return ERR_OK;
    }
    if (!S_ISDIR(st.st_mode))
        rights &= FS_OF_FILE;
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
        if (hard)
            return err_set(e, ERR_UNSUPPORTED, "Landlock rule for '%s': %s", name, fd_strerror(errno));
        note(r, "rule", path, fd_strerror(errno));
        return ERR_OK;
    }
    r->applied++;
    return ERR_OK;
}

static enum err_code add_all(int ruleset, const struct landlock_paths *p, bool hard,
                             struct landlock_report *r, struct err *e)
{
    uint64_t all = rights_of(r->abi);
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < p->ro_n; i++)
        code = allow(ruleset, p->ro[i], FS_READ, hard, r, e);
    for (size_t i = 0; code == ERR_OK && i < p->rw_n; i++)
        code = allow(ruleset, p->rw[i], all, hard, r, e);
    return code;
}

static enum err_code restrict_to(const struct landlock_paths *p, bool hard, struct landlock_report *r,
                                 struct err *e)
{
    bool files = p->ro_n + p->rw_n > 0;
    const struct ruleset_attr attr = {.fs = files ? rights_of(r->abi) : 0,
                                      .scoped = r->abi >= ABI_SCOPES
                                                    ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL
                                                    : 0};
    size_t size = r->abi >= ABI_SCOPES ? sizeof(attr) : r->abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    if (attr.fs == 0 && attr.scoped == 0)
        return ERR_OK;
    CLEANUP(fd_close) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return err_set(e, ERR_UNSUPPORTED, "a Landlock ruleset: %s", fd_strerror(errno));
    enum err_code code = add_all(ruleset, p, hard, r, e);
    if (code == ERR_OK && files && r->applied == 0)
        code = err_set(e, ERR_UNSUPPORTED, "none of the policy's paths can be used: %s", r->why);
    if (code == ERR_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        code = err_set(e, ERR_UNSUPPORTED, "Landlock cannot be put in force: %s", fd_strerror(errno));
    r->files = code == ERR_OK && files;
    r->scopes = code == ERR_OK && attr.scoped != 0;
    return code;
}

enum err_code landlock_apply(const struct landlock_paths *p, bool hard, struct landlock_report *ret,
                             struct err *e)
{
    struct landlock_report r = {};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(e, ERR_UNSUPPORTED, "no_new_privs: %s", fd_strerror(errno));
    enum err_code code = landlock_probe(&r.abi, e);
    if (code == ERR_OK)
        code = restrict_to(p, hard, &r, e);
    if (code == ERR_UNSUPPORTED && !hard) { // reference 6.6, best_effort: said, and gone on
        (void)snprintf(r.why, sizeof(r.why), "%.*s", (int)sizeof(r.why) - 1, e->msg);
        code = ERR_OK;
    }
    if (code == ERR_OK)
        *ret = r;
    return code;
}
