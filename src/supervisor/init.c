// Order: the network first, since its sockets come from the namespace and its rules need rights over it; then
// the tree, after which nothing of the host can be named; then a probe that is locked in like the agent tries
// the walls; only then the launcher is told that all stands. What init reads after that are fixed-size
// structs of the launcher and of the egress, and exit statuses.
#include "supervisor/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "isolate/identity.h"
#include "isolate/netns.h"
#include "isolate/ns.h"
#include "isolate/rootfs.h"
#include "supervisor/children.h"
#include "supervisor/control.h"
#include "supervisor/monitor.h"
#include "supervisor/spec.h"

enum {
    CA_TEXT_MAX = 64 * KIB,
    DIALS_TOLD = 20, // in a second, to addresses that nothing answers at; ours
};

struct init {
    struct arena arena;
    struct buf spec_text;
    struct init_spec spec;
    struct landlock_paths paths;
    struct identity_table *ids;
    struct children commands;
    int ended, master, slave;             // a signalfd; the terminal, or -1
    bool gone;                            // CTL_GO came
    struct cidr ranges[NETNS_RANGES_MAX]; // that are captured now
    size_t ranges_n;
    int64_t dials_since_ns; // of this second
    unsigned dials, untold;
};

static enum err_code read_spec(struct init *s, struct err *e)
{
    enum err_code r = fd_read_all(INIT_FD_SPEC, SPEC_MAX, &s->spec_text, e);
    if (r == ERR_OK)
        r = spec_decode(buf_str(&s->spec_text), &s->arena, &s->spec, e);
    (void)close(INIT_FD_SPEC);
    return r;
}

// ---- network
// -----------------------------------------------------------------------------------------------------

static enum err_code hand_over(int fd, enum ctl_socket kind, struct err *e)
{
    const struct ctl_msg m = {.kind = CTL_SOCKET, .socket = kind};
    return ctl_send(INIT_FD_CONTROL, &m, &fd, 1, e);
}

static enum err_code network(struct init *s, struct err *e)
{
    struct netns n;
    enum err_code r = netns_setup(s->spec.ranges, s->spec.ranges_n, &n, e);
    if (r != ERR_OK)
        return r;
    s->ranges_n = s->spec.ranges_n; // netns_setup has refused more than there is room for
    for (size_t i = 0; i < s->ranges_n; i++)
        s->ranges[i] = s->spec.ranges[i];
    r = hand_over(n.proxy, CTL_PROXY, e);
    for (int i = 0; r == ERR_OK && i < 2; i++)
        r = hand_over(n.captured[i], CTL_CAPTURED, e);
    for (int i = 0; r == ERR_OK && i < 2; i++)
        r = hand_over(n.dns[i], CTL_DNS, e);
    netns_close(&n); // the egress has them
    return r == ERR_OK ? identity_table_new(&s->ids, e) : r;
}

// ---- files
// -------------------------------------------------------------------------------------------------------

static enum err_code open_base(const struct init_spec *spec, int *ret, struct err *e)
{
    char path[POLICY_PATH_MAX];
    *ret = AT_FDCWD;
    if (spec->root.n == 0)
        return ERR_OK;
    if (!str_cstr(spec->root, path, sizeof(path)))
        return err_set(e, ERR_INVALID, "the root's path is too long");
    return fd_open(path, O_PATH | O_DIRECTORY, 0, ret, e);
}

static enum err_code open_workdir(const struct init_spec *spec, int *ret, struct err *e)
{
    char path[POLICY_PATH_MAX];
    *ret = -1;
    if (spec->workdir_handed || spec->workdir.n == 0) {
        *ret = spec->workdir_handed ? INIT_FD_WORKDIR : -1;
        return ERR_OK;
    }
    if (!str_cstr(spec->workdir_source, path, sizeof(path)))
        return err_set(e, ERR_INVALID, "the work directory's path is too long");
    return rootfs_workdir(path, -1, ret, e);
}

static enum err_code files(struct init *s, struct err *e)
{
    const struct init_spec *spec = &s->spec;
    const struct rootfs_file etc[] = {{"passwd", spec->passwd},
                                      {"group", spec->group},
                                      {"hosts", spec->hosts},
                                      {"hostname", spec->hostname},
                                      {"resolv.conf", spec->resolv_conf}};
    CLEANUP(fd_close) int base = -1;
    CLEANUP(fd_close) int workdir = -1;
    enum err_code r = open_base(spec, &base, e);
    if (r == ERR_OK)
        r = open_workdir(spec, &workdir, e);
    struct landlock_paths seen = {};
    if (r == ERR_OK)
        r = agent_paths(spec, &s->arena, &seen, e); // what of the baseline the host has
    const struct rootfs root = {.base_fd = base,
                                .read_only = {seen.ro, seen.ro_n},
                                .read_write = {spec->read_write.v, spec->read_write.n},
                                .workdir = spec->workdir,
                                .workdir_fd = workdir,
                                .workdir_writable = spec->workdir_writable,
                                .uid = spec->nested ? 0 : spec->uid,
                                .gid = spec->nested ? 0 : spec->gid,
                                .scratch = spec->scratch,
                                .sockets = spec->sockets,
                                .etc = etc,
                                .etc_n = ARRAY_LEN(etc)};
    if (r == ERR_OK)
        r = rootfs_enter(&root, e);
    if (r == ERR_OK)
        r = rootfs_tls_bundle(INIT_FD_TRUST, e);
    (void)close(INIT_FD_TRUST);
    return r == ERR_OK ? agent_paths(spec, &s->arena, &s->paths, e) : r; // and what the sandbox has
}

static enum err_code hostname(const struct init_spec *spec, struct err *e)
{
    if (sethostname(spec->hostname.p, spec->hostname.n) != 0)
        return err_set(e, fd_code(errno), "sethostname: %s", fd_strerror(errno));
    return ERR_OK;
}

static enum err_code terminal(struct init *s, struct err *e)
{
    return s->spec.tty ? agent_terminal(&s->spec, &s->master, &s->slave, e) : ERR_OK;
}

// ---- who dials what
// ---------------------------------------------------------------------------------------------------

// Nothing answers there, so the dial is reset; people want to know who tried.
static void dialed(void *ctx, const struct dial *d)
{
    struct init *s = ctx;
    if (netns_answers(s->ranges, s->ranges_n, &d->ip) || !identity_is_stream(d))
        return;
    int64_t now = clock_ns();
    if (now - s->dials_since_ns >= 1'000'000'000) {
        s->dials_since_ns = now;
        s->dials = 0;
    }
    if (s->dials == DIALS_TOLD) {
        s->untold++;
        return;
    }
    s->dials++;
    struct ctl_msg m = {.kind = CTL_DIALED, .value = d->port, .cut = d->id->pid, .generation = s->untold};
    (void)ip_format(&d->ip, m.name);
    (void)snprintf(m.msg, sizeof(m.msg), "%.*s", (int)d->id->exe.n, d->id->exe.p);
    struct err ignored;
    if (ctl_send_now(INIT_FD_CONTROL, &m, &ignored) == ERR_OK) // else the launcher has no time for this one
        s->untold = 0;
    else
        s->untold++;
}

// After the probe, which dials, and whom nobody would answer. A kernel without it names by holders.
static enum err_code watch_dials(struct init *s, struct err *e)
{
    enum err_code r = identity_watch(s->ids, dialed, s, e);
    return r == ERR_UNSUPPORTED ? ERR_OK : r;
}

// ---- building
// ----------------------------------------------------------------------------------------------------

static enum err_code watch_children(struct init *s, struct err *e)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    s->ended = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->ended < 0 ? err_set(e, fd_code(errno), "signalfd: %s", fd_strerror(errno)) : ERR_OK;
}

static enum err_code build(struct init *s, struct err *e)
{
    enum err_code r = ns_tie(INIT_FD_CONTROL, e);
    if (r == ERR_OK)
        r = watch_children(s, e);
    if (r == ERR_OK)
        r = read_spec(s, e);
    if (r == ERR_OK && (r = network(s, e)) != ERR_OK)
        return err_wrap(e, r, "the sandbox's network");
    if (r == ERR_OK)
        r = hostname(&s->spec, e);
    if (r == ERR_OK && (r = files(s, e)) != ERR_OK)
        return err_wrap(e, r, "the sandbox's files");
    if (r == ERR_OK)
        r = agent_selftest(&s->spec, &s->paths, e);
    if (r == ERR_OK)
        r = terminal(s, e);
    if (r == ERR_OK)
        r = watch_dials(s, e);
    const struct ctl_msg built = {.kind = CTL_BUILT};
    if (r == ERR_OK)
        r = ctl_send(INIT_FD_CONTROL, &built, &s->master, s->master >= 0 ? 1 : 0, e);
    fd_close(&s->master); // the launcher's now: at its end the terminal hangs up
    return r;
}

static void say_done(enum err_code code, int value, const struct err *why)
{
    struct ctl_msg m = {.kind = CTL_DONE, .code = (uint32_t)code, .value = value};
    struct err ignored; // a launcher that is gone takes us along
    if (code != ERR_OK)
        memcpy(m.msg, why->msg, sizeof(m.msg));
    (void)!ctl_send(INIT_FD_CONTROL, &m, NULL, 0, &ignored);
}

// ---- the agent's life
// --------------------------------------------------------------------------------------------

static void go(struct init *s, const int *fds, bool start)
{
    struct err e = {};
    CLEANUP(buf_done) struct buf ca = {};
    enum err_code r = fd_read_all(fds[CTL_FD_CA], CA_TEXT_MAX, &ca, &e);
    if (r == ERR_OK)
        r = rootfs_tls_file("openshell-ca.pem", buf_str(&ca), &e);
    if (r == ERR_OK)
        r = rootfs_tls_bundle_add(buf_str(&ca), &e);
    const struct agent_io io = {.fds = {-1, -1, -1}, .tty = s->slave};
    if (r != ERR_OK)
        say_done(r, 1, &e);
    else if (start)
        children_first(&s->commands, &io);
    fd_close(&s->slave);
    s->gone = true;
}

// The sockets of this network can be made here only; where they lead to is the launcher's business.
static void port(uint32_t command, int family)
{
    struct err e = {};
    CLEANUP(fd_close) int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ctl_msg m = {.kind = fd >= 0 ? CTL_SOCKETED : CTL_FAILED, .command = command};
    if (fd < 0) {
        err_fill(&e, fd_code(errno), "a socket of the sandbox: %s", fd_strerror(errno));
        m.code = e.code;
        memcpy(m.msg, e.msg, sizeof(m.msg));
    }
    (void)!ctl_send(INIT_FD_CONTROL, &m, &fd, fd >= 0 ? 1 : 0, &e);
}

static void capture(struct init *s, int fd)
{
    CLEANUP(buf_done) struct buf text = {};
    struct err e = {};
    struct cidr ranges[NETNS_RANGES_MAX];
    enum err_code r = fd_read_all(fd, sizeof(ranges), &text, &e);
    if (r == ERR_OK && text.n % sizeof(ranges[0]) != 0)
        r = err_set(&e, ERR_INVALID, "address ranges of %zu bytes", text.n);
    if (r == ERR_OK) {
        if (text.n > 0)
            memcpy(ranges, text.p, text.n);
        r = netns_capture(ranges, text.n / sizeof(ranges[0]), &e);
    }
    if (r == ERR_OK) {
        s->ranges_n = text.n / sizeof(ranges[0]);
        memcpy(s->ranges, ranges, text.n);
    }
    say_done(r, 0, &e);
}

static bool is_signal(int sig)
{
    return sig > 0 && sig < NSIG;
}

static bool control(struct init *s) // false: the launcher is gone, or broke the protocol
{
    struct ctl_msg m;
    int fds[CTL_START_FDS];
    size_t n;
    struct err e;
    if (ctl_recv(INIT_FD_CONTROL, &m, fds, &n, &e) != ERR_OK)
        return false;
    bool ok = true;
    if (m.kind == CTL_GO && n == CTL_GO_FDS && !s->gone)
        go(s, fds, m.value != 0);
    else if (m.kind == CTL_EXEC && n >= 1 && s->gone)
        children_exec(&s->commands, m.command, fds, n);
    else if (m.kind == CTL_PORT && n == 0 && s->gone && (m.value == AF_INET || m.value == AF_INET6))
        port(m.command, m.value);
    else if (m.kind == CTL_CAPTURE && n == 1)
        capture(s, fds[0]);
    else if (m.kind == CTL_SIGNAL && n == 0 && is_signal(m.value))
        children_signal(&s->commands, m.command, m.value);
    else
        ok = false;
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    return ok;
}

// Every process of the sandbox whose parent ended becomes ours.
static void reap(struct init *s)
{
    struct signalfd_siginfo info;
    while (read(s->ended, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
    children_reap(&s->commands);
}

enum { POLL_IDENTITY = 3, OWN_FDS = POLL_IDENTITY + IDENTITY_FDS };

static void loop(struct init *s)
{
    for (;;) {
        struct pollfd p[OWN_FDS + CTL_COMMANDS_MAX] = {{.fd = INIT_FD_CONTROL, .events = POLLIN},
                                                       {.fd = INIT_FD_MONITOR, .events = POLLIN},
                                                       {.fd = s->ended, .events = POLLIN}};
        identity_poll(s->ids, p + POLL_IDENTITY);
        size_t n = children_poll(&s->commands, p + OWN_FDS);
        if (poll(p, OWN_FDS + n, -1) < 0) {
            if (errno != EINTR)
                return;
            continue;
        }
        struct err e;
        children_hear(&s->commands, p + OWN_FDS, n); // before reaping, which may free entries
        if (p[2].revents)
            reap(s);
        identity_serve(s->ids, p + POLL_IDENTITY);
        if (p[1].revents && mon_serve(INIT_FD_MONITOR, s->ids, &e) != ERR_OK)
            return; // without an egress, or with one that lies, there is no sandbox
        if (p[0].revents && !control(s))
            return;
    }
}

int init_main(void)
{
    static struct init s = {.master = -1, .slave = -1};
    struct err e = {};
    s.commands = (struct children){.spec = &s.spec, .paths = &s.paths, .control = INIT_FD_CONTROL};
    arena_init(&s.arena, SPEC_MAX);
    enum err_code r = build(&s, &e);
    if (r != ERR_OK) {
        say_done(r, 1, &e);
        return 1;
    }
    loop(&s);
    return 0;
}
