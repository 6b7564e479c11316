#include "isolate/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

enum { CAP_MAX = 63 }; // two words of 32 in the kernel's interface

static enum err_code get(struct __user_cap_data_struct data[2], struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    if (syscall(SYS_capget, &head, data) != 0)
        return err_set(e, ERR_INTERNAL, "cannot read the capabilities: %s", fd_strerror(errno));
    return ERR_OK;
}

static enum err_code bound_check(struct err *e)
{
    for (unsigned long cap = 0; cap <= CAP_MAX; cap++) {
        int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (there < 0)
            return cap > CAP_LAST_CAP / 2
                       ? ERR_OK // the kernel knows no more
                       : err_set(e, ERR_INTERNAL, "the bounding set cannot be read: %s", fd_strerror(errno));
        if (there == 1)
            return err_set(e, ERR_PRECONDITION, "capability %lu is still in the bounding set", cap);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
            return err_set(e, ERR_PRECONDITION, "capability %lu is still ambient", cap);
    }
    return ERR_OK;
}

enum err_code caps_check(struct err *e)
{
    struct __user_cap_data_struct data[2] = {};
    enum err_code r = get(data, e);
    if (r != ERR_OK)
        return r;
    for (int i = 0; i < 2; i++)
        if (data[i].effective || data[i].permitted || data[i].inheritable)
            return err_set(e, ERR_PRECONDITION, "the process still has capabilities");
    r = bound_check(e);
    if (r == ERR_OK && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return err_set(e, ERR_PRECONDITION, "no_new_privs is not set");
    return r;
}

static void bound(void)
{
    // Without CAP_SETPCAP these fail. The securebits are a second lock; the bounding set is read back.
    (void)prctl(PR_SET_SECUREBITS,
                SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                    SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
                0, 0, 0);
    for (unsigned long cap = 0; cap <= CAP_MAX && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

enum err_code caps_bound(struct err *e)
{
    bound();
    return bound_check(e);
}

enum err_code caps_drop(struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(e, ERR_UNSUPPORTED, "cannot set no_new_privs: %s", fd_strerror(errno));
    bound();
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {};
    if (syscall(SYS_capset, &head, none) != 0)
        return err_set(e, ERR_INTERNAL, "cannot drop the capabilities: %s", fd_strerror(errno));
    return caps_check(e);
}
