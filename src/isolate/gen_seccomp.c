// gen_seccomp: writes the two system call filters as C arrays. Run by the
// build, so that a sandbox spends no time on making them and libseccomp, which
// knows numbers and argument checks of each architecture, is not in the
// executable.
//
// The agent gets two filters, both of which must let a call through: an
// allow-list, and a list of arguments that are refused (libseccomp cannot
// express "all values but these" in one).
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

#define NEW_NAMESPACES                                                                                       \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |               \
     CLONE_NEWCGROUP)

enum { TYPE_MASK = 0xf, MPTCP = 262, SOCK_ANY = -1 }; // SOCK_CLOEXEC and SOCK_NONBLOCK lie above the mask

// Of an argument that the kernel takes as 32 bits wide, the upper ones are the
// caller's to choose, and SCMP_A1_32() compares them all the same: a list of
// what is refused must not look at them.
#define LOW_BITS(arg, value) SCMP_CMP64((arg), SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value))

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "gen_seccomp: %s\n", what);
    exit(1);
}

static int number(const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR)
        die(name);
    return nr; // negative: this architecture does not have it; libseccomp then
               // leaves the rule out
}

static void rule(scmp_filter_ctx c, uint32_t action, const char *name, size_t n,
                 const struct scmp_arg_cmp *args)
{
    int r = seccomp_rule_add_array(c, action, number(name), (unsigned)n, args);
    if (r < 0 && r != -EDOM)
        die(name);
}

// Names with blanks between them, of calls that are allowed or refused whatever
// their arguments are.
static void rules(scmp_filter_ctx c, uint32_t action, const char *names)
{
    char name[64];
    for (struct str rest = str_of(names), one; str_split(&rest, ' ', &one);)
        if (one.n > 0 && str_cstr(one, name, sizeof(name)))
            rule(c, action, name, 0, NULL);
}

static scmp_filter_ctx filter(uint32_t otherwise)
{
    scmp_filter_ctx c = seccomp_init(otherwise);
    if (!c || seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
        seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0) // a binary tree
        die("seccomp_init");
    return c;
}

static void write_out(scmp_filter_ctx c, const char *name)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(c, fd) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        die("seccomp_export_bpf");
    struct sock_filter f;
    (void)printf("static const struct sock_filter %s[] = {\n", name);
    while (read(fd, &f, sizeof(f)) == (ssize_t)sizeof(f))
        (void)printf("    {0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
    (void)printf("};\n");
    (void)close(fd);
    seccomp_release(c);
}

// ---- the agent
// ---------------------------------------------------------------------------------------------------------

// What programs use: compilers, interpreters, version control, package
// managers, shells.
static const char agent_files[] = "access chdir chmod chown close close_range copy_file_range creat dup dup2 "
                                  "dup3 faccessat faccessat2 fadvise64 "
                                  "fallocate fchdir fchmod fchmodat fchown fchownat fcntl fdatasync "
                                  "fgetxattr flistxattr flock fremovexattr fsetxattr "
                                  "fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 "
                                  "getxattr inotify_add_watch inotify_init "
                                  "inotify_init1 inotify_rm_watch lchown lgetxattr link linkat listxattr "
                                  "llistxattr lremovexattr lseek lsetxattr lstat "
                                  "mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv "
                                  "preadv2 pwrite64 pwritev pwritev2 read "
                                  "readahead readlink readlinkat readv removexattr rename renameat renameat2 "
                                  "rmdir sendfile setxattr splice stat "
                                  "statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate "
                                  "umask unlink unlinkat utime utimensat utimes "
                                  "vmsplice write writev";
static const char agent_memory[] = "brk get_mempolicy madvise mbind membarrier mincore mlock mlock2 mlockall "
                                   "mmap mprotect mremap msync "
                                   "munlock "
                                   "munlockall munmap pkey_alloc pkey_free pkey_mprotect set_mempolicy shmat "
                                   "shmctl shmdt shmget";
static const char
    agent_processes[] = "alarm arch_prctl capget capset execve exit exit_group fork futex "
                        "futex_waitv getcpu getegid geteuid "
                        "getgid getgroups "
                        "getitimer getpgid getpgrp getpid getppid getpriority getresgid getresuid "
                        "getrlimit get_robust_list "
                        "getrusage getsid "
                        "gettid get_thread_area getuid ioprio_get ioprio_set kill "
                        "landlock_add_rule landlock_create_ruleset "
                        "landlock_restrict_self nanosleep pause prctl prlimit64 restart_syscall "
                        "rseq rt_sigaction rt_sigpending "
                        "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
                        "rt_tgsigqueueinfo "
                        "sched_getaffinity "
                        "sched_getattr sched_getparam sched_get_priority_max "
                        "sched_get_priority_min sched_getscheduler "
                        "sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam "
                        "sched_setscheduler sched_yield "
                        "setfsgid "
                        "setfsuid setgid setgroups setitimer setpgid setpriority setregid "
                        "setresgid setresuid setreuid setrlimit "
                        "set_robust_list setsid set_thread_area set_tid_address setuid sigaltstack "
                        "signalfd signalfd4 tgkill "
                        "tkill vfork "
                        "wait4 waitid";
static const char
    agent_waiting[] = "clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 "
                      "epoll_ctl epoll_ctl_old "
                      "epoll_pwait "
                      "epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 gettimeofday pipe "
                      "pipe2 poll ppoll pselect6 "
                      "select time "
                      "timer_create timer_delete timerfd_create timerfd_gettime timerfd_settime "
                      "timer_getoverrun timer_gettime "
                      "timer_settime times";
static const char agent_talking[] = "accept accept4 bind connect getpeername getsockname getsockopt listen "
                                    "mq_getsetattr mq_notify mq_open "
                                    "mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd "
                                    "recvfrom recvmmsg recvmsg semctl "
                                    "semget semop "
                                    "semtimedop sendmmsg sendmsg sendto setsockopt shutdown";
static const char agent_rest[] = "getrandom io_cancel io_destroy io_getevents "
                                 "io_pgetevents io_setup io_submit ioctl "
                                 "personality sysinfo uname";

// Known, and refused with EPERM. What stands in no list is answered with
// ENOSYS, upon which C libraries fall back.
static const char
    agent_refused[] = "acct add_key adjtimex bpf chroot clock_adjtime clock_settime "
                      "delete_module fanotify_init fanotify_mark "
                      "finit_module "
                      "fsconfig fsmount fsopen fspick init_module io_uring_enter "
                      "io_uring_register io_uring_setup ioperm iopl "
                      "kcmp "
                      "kexec_file_load kexec_load keyctl lookup_dcookie migrate_pages modify_ldt "
                      "mount mount_setattr "
                      "move_mount "
                      "move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree "
                      "perf_event_open pidfd_getfd "
                      "pivot_root "
                      "process_madvise process_mrelease process_vm_readv process_vm_writev "
                      "ptrace quotactl quotactl_fd reboot "
                      "remap_file_pages request_key seccomp setdomainname sethostname setns "
                      "settimeofday swapoff swapon syslog "
                      "umount2 "
                      "userfaultfd uselib vhangup";

static void agent_sockets(scmp_filter_ctx c)
{
    static const struct {
        int family, type, protocol;
    } kinds[] = {
        {AF_UNIX, SOCK_ANY, SOCK_ANY}, {AF_INET, SOCK_STREAM, 0}, {AF_INET, SOCK_STREAM, 6},
        {AF_INET, SOCK_DGRAM, 0},      {AF_INET, SOCK_DGRAM, 17}, {AF_INET6, SOCK_STREAM, 0},
        {AF_INET6, SOCK_STREAM, 6},    {AF_INET6, SOCK_DGRAM, 0}, {AF_INET6, SOCK_DGRAM, 17},
        {AF_NETLINK, SOCK_ANY, 0}, // NETLINK_ROUTE: C libraries ask for
                                   // interfaces; changing one needs a capability
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct scmp_arg_cmp args[3] = {SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)kinds[i].family)};
        size_t n = 1;
        if (kinds[i].type != SOCK_ANY)
            args[n++] = SCMP_A1_32(SCMP_CMP_MASKED_EQ, TYPE_MASK, (uint32_t)kinds[i].type);
        if (kinds[i].protocol != SOCK_ANY)
            args[n++] = SCMP_A2_32(SCMP_CMP_EQ, (uint32_t)kinds[i].protocol);
        rule(c, SCMP_ACT_ALLOW, "socket", n, args);
    }
    const struct scmp_arg_cmp local = SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX);
    rule(c, SCMP_ACT_ALLOW, "socketpair", 1, &local);
    const struct scmp_arg_cmp mptcp = SCMP_A2_32(SCMP_CMP_EQ,
                                                 MPTCP); // Go's runtime asks, and takes this for a no
    rule(c, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", 1, &mptcp);
}

static void agent_allow(void)
{
    scmp_filter_ctx c = filter(SCMP_ACT_ERRNO(ENOSYS));
    static const char *const lists[] = {agent_files,   agent_memory,  agent_processes,
                                        agent_waiting, agent_talking, agent_rest};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        rules(c, SCMP_ACT_ALLOW, lists[i]);
    rules(c, SCMP_ACT_ERRNO(EPERM), agent_refused);
    const struct scmp_arg_cmp no_namespace = SCMP_A0(SCMP_CMP_MASKED_EQ, NEW_NAMESPACES, 0);
    rule(c, SCMP_ACT_ALLOW, "clone", 1, &no_namespace);
    rule(c, SCMP_ACT_ALLOW, "unshare", 1, &no_namespace);
    const struct scmp_arg_cmp users = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
    rule(c, SCMP_ACT_ERRNO(EPERM), "clone", 1, &users);
    rule(c, SCMP_ACT_ERRNO(EPERM), "unshare", 1, &users);
    const struct scmp_arg_cmp named = SCMP_A4(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0);
    rule(c, SCMP_ACT_ALLOW, "execveat", 1, &named);
    agent_sockets(c);
    write_out(c, "agent_allowed");
}

static void agent_arguments(void)
{
    scmp_filter_ctx c = filter(SCMP_ACT_ALLOW);
    static const uint32_t ioctls[] = {
        TIOCSTI,   // types into whatever terminal it is given
        TIOCLINUX, // pastes into a virtual console
        TIOCCONS,  // takes over the console's output
        TIOCSETD,  // loads line disciplines
    };
    for (size_t i = 0; i < ARRAY_LEN(ioctls); i++) {
        const struct scmp_arg_cmp request = LOW_BITS(1, ioctls[i]);
        rule(c, SCMP_ACT_ERRNO(EPERM), "ioctl", 1, &request);
    }
    const struct scmp_arg_cmp own_filter = LOW_BITS(0, PR_SET_SECCOMP); // reference 6.7
    rule(c, SCMP_ACT_ERRNO(EPERM), "prctl", 1, &own_filter);
    const struct scmp_arg_cmp persona = SCMP_A0_32(SCMP_CMP_MASKED_EQ, 0x00ff,
                                                   0x0008); // PER_LINUX32 and its kin
    rule(c, SCMP_ACT_ERRNO(EPERM), "personality", 1, &persona);
    // These dial without connect(): a program that is told no goes on with it.
    static const struct {
        const char *name;
        unsigned flags;
    } sends[] = {{"sendto", 3}, {"sendmsg", 2}, {"sendmmsg", 3}};
    for (size_t i = 0; i < ARRAY_LEN(sends); i++) {
        const struct scmp_arg_cmp fast = SCMP_CMP64(sends[i].flags, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN,
                                                    MSG_FASTOPEN);
        rule(c, SCMP_ACT_ERRNO(EOPNOTSUPP), sends[i].name, 1, &fast);
    }
    write_out(c, "agent_refused_arguments");
}

static void agent_watch(void)
{
    scmp_filter_ctx c = filter(SCMP_ACT_ALLOW);
    rule(c, SCMP_ACT_NOTIFY, "connect", 0, NULL);
    write_out(c, "agent_watched");
}

// ---- the egress
// --------------------------------------------------------------------------------------------------------

static const char egress_allowed[] = "accept4 brk clock_getres clock_gettime clock_nanosleep close connect "
                                     "eventfd2 exit exit_group fcntl fstat futex "
                                     "getcpu getpeername getpid getrandom getsockname getsockopt gettid "
                                     "gettimeofday lseek madvise membarrier mmap mprotect "
                                     "mremap munmap nanosleep newfstatat pipe2 poll ppoll prlimit64 read "
                                     "readv recvfrom recvmsg restart_syscall rseq "
                                     "rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield "
                                     "sendmsg sendto set_robust_list setsockopt "
                                     "shutdown sigaltstack splice sysinfo tgkill uname write writev "
                                     "memfd_create recvmmsg sendmmsg bind select pselect6";
static const char egress_refused[] = "open openat openat2 readlink readlinkat "
                                     "access faccessat faccessat2 stat lstat "
                                     "socketpair execve execveat";

static void egress(void)
{
    scmp_filter_ctx c = filter(SCMP_ACT_KILL_PROCESS);
    rules(c, SCMP_ACT_ALLOW, egress_allowed);
    rules(c, SCMP_ACT_ERRNO(EPERM), egress_refused);
    rules(c, SCMP_ACT_ERRNO(ENOSYS),
          "clone3"); // its flags cannot be seen; the C library goes on with clone
    const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | NEW_NAMESPACES,
                                               CLONE_THREAD);
    rule(c, SCMP_ACT_ALLOW, "clone", 1, &thread);
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        for (unsigned type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
            const struct scmp_arg_cmp dial[] = {SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]),
                                                SCMP_A1_32(SCMP_CMP_MASKED_EQ, TYPE_MASK, type)};
            rule(c, SCMP_ACT_ALLOW, "socket", 2, dial);
        }
    static const int others[] = {AF_UNIX, AF_NETLINK, AF_PACKET};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct scmp_arg_cmp family = SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)others[i]);
        rule(c, SCMP_ACT_ERRNO(EPERM), "socket", 1, &family);
    }
    static const uint32_t requests[] = {FIONBIO, FIONREAD};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        const struct scmp_arg_cmp request = SCMP_A1_32(SCMP_CMP_EQ, requests[i]);
        rule(c, SCMP_ACT_ALLOW, "ioctl", 1, &request);
    }
    const struct scmp_arg_cmp name = SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME);
    rule(c, SCMP_ACT_ALLOW, "prctl", 1, &name);
    const struct scmp_arg_cmp vma = SCMP_A0_32(SCMP_CMP_EQ,
                                               0x53564d41); // PR_SET_VMA: the C library names its arenas
    rule(c, SCMP_ACT_ALLOW, "prctl", 1, &vma);
    write_out(c, "egress_filter");
}

int main(void)
{
    (void)printf("// Made by gen_seccomp.\n");
    agent_allow();
    agent_arguments();
    agent_watch();
    egress();
    return 0;
}
