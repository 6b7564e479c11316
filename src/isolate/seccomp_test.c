// In children, since a filter does not come off: calls that must not work are
// tried, and programs that must.
#include "isolate/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

enum { NO_FILTER = 250, MPTCP = 262, PER_LINUX32_ = 8, OTHER_NUMBER = 4000 };

// ---- calls of the agent
// ------------------------------------------------------------------------------------------------

#define ANY (-1L)

static const struct call {
    const char *rule;
    long number, args[5];
    int want; // errno; 0: it works; -1: whatever the kernel says, but neither
              // EPERM nor ENOSYS
} calls[] = {
    {"namespaces: unshare of users", SYS_unshare, {CLONE_NEWUSER}, EPERM},
    {"namespaces: unshare of mounts", SYS_unshare, {CLONE_NEWNS}, ENOSYS},
    {"namespaces: unshare of users among others", SYS_unshare, {CLONE_NEWUSER | CLONE_FILES}, EPERM},
    {"namespaces: clone with users", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
    {"namespaces: clone with a network", SYS_clone, {CLONE_NEWNET | SIGCHLD}, ENOSYS},
    {"namespaces: clone3, whose flags cannot be seen", SYS_clone3, {0}, ENOSYS},
    {"namespaces: setns", SYS_setns, {0, 0}, EPERM},
    {"files of one's own may be unshared", SYS_unshare, {CLONE_FILES}, 0},
    {"mounts: mount", SYS_mount, {0}, EPERM},
    {"mounts: umount2", SYS_umount2, {0}, EPERM},
    {"mounts: pivot_root", SYS_pivot_root, {0}, EPERM},
    {"mounts: chroot", SYS_chroot, {0}, EPERM},
    {"mounts: open_tree", SYS_open_tree, {0}, EPERM},
    {"mounts: move_mount", SYS_move_mount, {0}, EPERM},
    {"mounts: fsopen", SYS_fsopen, {0}, EPERM},
    {"mounts: mount_setattr", SYS_mount_setattr, {0}, EPERM},
    {"other processes: ptrace", SYS_ptrace, {PTRACE_TRACEME}, EPERM},
    {"other processes: process_vm_readv", SYS_process_vm_readv, {0}, EPERM},
    {"other processes: process_vm_writev", SYS_process_vm_writev, {0}, EPERM},
    {"other processes: pidfd_getfd", SYS_pidfd_getfd, {ANY}, EPERM},
    {"other processes: kcmp", SYS_kcmp, {0}, EPERM},
    {"files by handle: open_by_handle_at", SYS_open_by_handle_at, {0}, EPERM},
    {"files by handle: name_to_handle_at", SYS_name_to_handle_at, {0}, EPERM},
    {"the kernel's own: bpf", SYS_bpf, {0}, EPERM},
    {"the kernel's own: perf_event_open", SYS_perf_event_open, {0}, EPERM},
    {"the kernel's own: io_uring_setup", SYS_io_uring_setup, {1}, EPERM},
    {"the kernel's own: io_uring_enter", SYS_io_uring_enter, {ANY}, EPERM},
    {"the kernel's own: userfaultfd", SYS_userfaultfd, {0}, EPERM},
    {"the kernel's own: keyctl", SYS_keyctl, {0}, EPERM},
    {"the kernel's own: add_key", SYS_add_key, {0}, EPERM},
    {"the kernel's own: init_module", SYS_init_module, {0}, EPERM},
    {"the kernel's own: kexec_load", SYS_kexec_load, {0}, EPERM},
    {"the kernel's own: syslog", SYS_syslog, {0}, EPERM},
    {"the kernel's own: reboot", SYS_reboot, {0}, EPERM},
    {"the kernel's own: swapon", SYS_swapon, {0}, EPERM},
    {"the kernel's own: sethostname", SYS_sethostname, {0}, EPERM},
    {"filters: seccomp", SYS_seccomp, {0}, EPERM},
    {"filters: prctl", SYS_prctl, {PR_SET_SECCOMP, 2}, EPERM},
    {"filters: prctl, with bits above the 32 that the kernel reads",
     SYS_prctl,
     {(long)(1UL << 32 | PR_SET_SECCOMP), 2},
     EPERM},
    {"other prctls work", SYS_prctl, {PR_GET_DUMPABLE}, 0},
    {"a file in memory is no program", SYS_memfd_create, {0}, ENOSYS},
    {"execveat of a descriptor alone", SYS_execveat, {ANY, 0, 0, 0, AT_EMPTY_PATH}, ENOSYS},
    {"a number that nobody knows", OTHER_NUMBER, {0}, ENOSYS},
    {"personality: another kernel's", SYS_personality, {PER_LINUX32_}, EPERM},
    {"personality: the question", SYS_personality, {0xffffffffL}, 0},
    {"terminals: typing into one", SYS_ioctl, {ANY, TIOCSTI}, EPERM},
    {"terminals: typing into one, with bits above the 32 that the kernel reads",
     SYS_ioctl,
     {ANY, (long)(1UL << 32 | TIOCSTI)},
     EPERM},
    {"terminals: a virtual console", SYS_ioctl, {ANY, TIOCLINUX}, EPERM},
    {"terminals: the console", SYS_ioctl, {ANY, TIOCCONS}, EPERM},
    {"terminals: line disciplines", SYS_ioctl, {ANY, TIOCSETD}, EPERM},
    {"terminals: a window's size", SYS_ioctl, {ANY, TIOCGWINSZ}, -1},
    {"sockets: TCP", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0}, 0},
    {"sockets: UDP", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDP}, 0},
    {"sockets: local ones", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0},
    {"sockets: interfaces can be asked for", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, 0},
    {"sockets: the kernel's other sides cannot", SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, ENOSYS},
    {"sockets: raw", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}, ENOSYS},
    {"sockets: ping", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, ENOSYS},
    {"sockets: SCTP", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, ENOSYS},
    {"sockets: MPTCP is not there", SYS_socket, {AF_INET, SOCK_STREAM, MPTCP}, EPROTONOSUPPORT},
    {"sockets: packets", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, ENOSYS},
    {"sockets: the hypervisor's", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, ENOSYS},
    {"sockets: the kernel's ciphers", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, ENOSYS},
    {"pairs of sockets: another family's", SYS_socketpair, {AF_INET, SOCK_STREAM, 0}, ENOSYS},
};

// What a child answers; 128 + signal where one ended it.
static int in_child(int (*f)(const void *), const void *arg)
{
    (void)fflush(stdout);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(f(arg));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return NO_FILTER;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int try_call(const void *arg)
{
    const struct call *c = arg;
    struct err e;
    if (seccomp_agent(&e) != ERR_OK)
        return NO_FILTER;
    long r = syscall(c->number, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4]);
    return r < 0 ? errno : 0;
}

static void one_call(const struct call *c)
{
    int got = in_child(try_call, c);
    bool ok = c->want >= 0 ? got == c->want : got > 0 && got < 128 && got != EPERM && got != ENOSYS;
    if (!tap_ok(ok, "%s", c->rule))
        tap_note("answered %d (%s), expected %d", got, got < 128 ? strerror(got) : "-", c->want);
}

#if defined(__x86_64__)
static int call_x32(const void *arg)
{
    (void)arg;
    struct err e;
    if (seccomp_agent(&e) != ERR_OK)
        return NO_FILTER;
    return syscall(0x40000000L | SYS_getpid) < 0 ? errno : 0;
}

static int call_i386(const void *arg)
{
    (void)arg;
    struct err e;
    if (seccomp_agent(&e) != ERR_OK)
        return NO_FILTER;
    long r = 20; // getpid there
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : 1;
}

static void other_architectures(void)
{
    int x32 = in_child(call_x32, NULL), i386 = in_child(call_i386, NULL);
    (void)tap_ok(x32 == 128 + SIGSYS, "the x32 numbers kill (%d)", x32);
    (void)tap_ok(i386 == 128 + SIGSYS || i386 == 128 + SIGSEGV, "32-bit calls kill (%d)", i386);
}
#else
static void other_architectures(void)
{
}
#endif

static int second_thread(const void *arg)
{
    (void)arg;
    struct err e;
    if (seccomp_agent(&e) != ERR_OK)
        return NO_FILTER;
    return seccomp_agent(&e) == ERR_UNSUPPORTED &&
                   strstr(e.msg, "the kernel refuses a system call filter: ") &&
                   prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
               ? 0
               : 1;
}

// ---- programs of the agent
// ---------------------------------------------------------------------------------------------

static const struct program {
    const char *needs, *script;
} programs[] = {
    {"sh", "x=$(echo a | tr a b); test $x = b"},
    {"bash", "bash -c 'set -o pipefail; diff <(echo 1) <(echo 1)'"},
    {"python3", "python3 -c 'import subprocess,threading,socket,tempfile\n"
                "t=threading.Thread(target=lambda: None); t.start(); t.join()\n"
                "assert subprocess.run([\"true\"]).returncode == 0\n"
                "tempfile.TemporaryFile().write(b\"x\")\n"
                "socket.socketpair()'"},
    {"python3", "python3 -c 'import multiprocessing as "
                "m\nprint(m.Pool(2).map(abs, [-1, 2]))'"},
    {"node", "node -e 'const c=require(\"child_process\"); "
             "c.execSync(\"true\"); setTimeout(()=>{}, 1)'"},
    {"git", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; cd $d; git init -q .; echo "
            "a >a; git add a; "
            "git -c user.name=a -c user.email=a@a.test commit -qm a; git "
            "status >/dev/null; git gc -q"},
    {"gcc", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; echo 'int "
            "main(void){return 7;}' >$d/a.c; gcc -o $d/a $d/a.c; "
            "r=0; $d/a || r=$?; test $r = 7"},
    {"perl", "perl -e 'my $p = fork; if (!$p) { exit 3 } waitpid $p, 0; "
             "exit($? >> 8 != 3)'"},
    {"tar", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; echo a >$d/a; tar -C $d "
            "-czf $d/a.tgz a; tar -tzf $d/a.tgz"},
    {"find", "find /etc -maxdepth 1 -name passwd | grep -q passwd"},
    {"make", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; printf "
             "'a:\\n\\ttrue\\nb:\\n\\ttrue\\n' >$d/Makefile; "
             "make -s -j2 -C $d a b"},
    {"curl", "curl -s file:///etc/hostname"},
    {"go", "go version"},
    {"cargo", "cargo --version"},
    {"ssh-keygen", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; ssh-keygen -q -t "
                   "ed25519 -N '' -f $d/k"},
    {"sqlite3", "d=$(mktemp -d); trap 'rm -rf $d' EXIT; sqlite3 $d/a 'create "
                "table a(b); select count(*) from a'"},
};

static int run_program(const void *arg)
{
    const struct program *p = arg;
    struct err e;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || seccomp_agent(&e) != ERR_OK)
        return NO_FILTER;
    (void)execl("/bin/sh", "sh", "-ec", p->script, (char *)NULL);
    return NO_FILTER;
}

static bool has(const char *program)
{
    for (struct str rest = STR("/usr/local/bin:/usr/bin:/bin"), dir; str_split(&rest, ':', &dir);) {
        char path[256];
        (void)snprintf(path, sizeof(path), "%.*s/%s", STR_FMT(dir), program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

// ---- the egress
// --------------------------------------------------------------------------------------------------------

static const struct call egress[] = {
    {"egress: TCP", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0},
    {"egress: local sockets", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, EPERM},
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    {"egress: files", SYS_openat, {AT_FDCWD, 0, 0}, EPERM},
    {"egress: programs", SYS_execve, {0}, EPERM},
    {"egress: packets", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, EPERM},
    {"egress: a process of its own kills", SYS_clone, {SIGCHLD}, 128 + SIGSYS},
    {"egress: another filter kills", SYS_seccomp, {0}, 128 + SIGSYS},
    {"egress: a signal to another kills", SYS_kill, {1, 0}, 128 + SIGSYS},
    {"egress: a mount kills", SYS_mount, {0}, 128 + SIGSYS},
#endif
};

static int try_egress(const void *arg)
{
    const struct call *c = arg;
    struct err e;
    if (seccomp_egress(&e) != ERR_OK)
        return NO_FILTER;
    long r = syscall(c->number, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4]);
    return r < 0 ? errno : 0;
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        one_call(&calls[i]);
    other_architectures();
    (void)tap_ok(in_child(second_thread, NULL) == 0,
                 "a filter cannot be loaded behind ours, and that is said");
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        bool there = has(programs[i].needs);
        int got = there ? in_child(run_program, &programs[i]) : 0;
        if (!tap_ok(got == 0, "%s runs%s", programs[i].needs, there ? "" : " # SKIP not installed"))
            tap_note("%d: %s", got, programs[i].script);
    }
    for (size_t i = 0; i < ARRAY_LEN(egress); i++) {
        int got = in_child(try_egress, &egress[i]);
        (void)tap_ok(got == egress[i].want, "%s (%d)", egress[i].rule, got);
    }
    return tap_done();
}
