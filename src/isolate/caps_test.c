// In children, since what is dropped does not come back.
#include "isolate/caps.h"

#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

enum { GOOD = 0, BAD = 1, SKIP = 77, CAP_SYS_ADMIN_ = 21 };

static int checks_a_fresh_root(void)
{
    struct err e = {};
    if (geteuid() != 0)
        return SKIP;
    return caps_check(&e) == ERR_PRECONDITION && strcmp(e.msg, "the process still has capabilities") == 0
               ? GOOD
               : BAD;
}

static int drops(void)
{
    struct err e = {};
    if (geteuid() != 0) // without CAP_SETPCAP the bounding set stays, and that is said
        return SKIP;
    return caps_drop(&e) == ERR_OK && caps_check(&e) == ERR_OK ? GOOD : BAD;
}

static int drops_without_root(void)
{
    struct err e = {};
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return BAD;
    return caps_drop(&e) == ERR_PRECONDITION && strstr(e.msg, "is still in the bounding set") ? GOOD : BAD;
}

static int bounding_set_is_empty(void)
{
    struct err e = {};
    if (geteuid() != 0)
        return SKIP;
    if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN_, 0, 0, 0) != 1)
        return SKIP; // taken already
    if (caps_bound(&e) != ERR_OK || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN_, 0, 0, 0) != 0)
        return BAD;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? GOOD : BAD; // a change of user comes next
}

static int exec_brings_nothing_back(void)
{
    struct err e = {};
    if (geteuid() != 0)
        return SKIP;
    if (caps_drop(&e) != ERR_OK)
        return BAD;
    (void)execl(
        "/bin/sh", "sh", "-c",
        "while read -r name value; do case $name in Cap*) test \"$value\" = 0000000000000000 || exit 1;; "
        "NoNewPrivs:) test \"$value\" = 1 || exit 1;; esac; done </proc/self/status; exit 0",
        (char *)NULL);
    return BAD;
}

static int bits_are_locked(void)
{
    struct err e = {};
    if (geteuid() != 0)
        return SKIP;
    if (caps_bound(&e) != ERR_OK)
        return BAD;
    unsigned long bits = (unsigned long)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    static const unsigned long one[] = {SECBIT_NOROOT, SECBIT_NO_CAP_AMBIENT_RAISE};
    for (size_t i = 0; i < ARRAY_LEN(one); i++) // still with CAP_SETPCAP
        if (!(bits & one[i]) || prctl(PR_SET_SECUREBITS, bits & ~one[i], 0, 0, 0) == 0)
            return BAD;
    return GOOD;
}

int main(void)
{
    static const struct {
        int (*run)(void);
        const char *rule;
    } rows[] = {
        {checks_a_fresh_root, "the check sees that root has capabilities"},
        {drops, "nothing is left after the drop"},
        {drops_without_root, "a bounding set that cannot be emptied is said, not passed over"},
        {bounding_set_is_empty, "the bounding set is emptied, and no_new_privs is not set yet"},
        {bits_are_locked, "the securebits cannot be taken back"},
        {exec_brings_nothing_back, "root's exec brings no capability back"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)fflush(stdout);
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(rows[i].run());
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
            status = BAD << 8;
        bool skip = WEXITSTATUS(status) == SKIP;
        (void)tap_ok(skip || WEXITSTATUS(status) == GOOD, "%s%s", rows[i].rule,
                     skip ? " # SKIP needs root" : "");
    }
    return tap_done();
}
