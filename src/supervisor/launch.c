// One thread, one poll loop. The launcher is the parent of the egress and of the sandbox's init; both die
// with it, by PDEATHSIG, and with init every process of the sandbox. What a kill -9 of the launcher could
// leave are cgroups: a guard that outlives it removes them.
#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "isolate/ns.h"
#include "supervisor/control.h"
#include "supervisor/egress/role.h"
#include "supervisor/eventlog.h"
#include "supervisor/events/event.h"
#include "supervisor/init.h"
#include "supervisor/launcher.h"
#include "supervisor/reload.h"
#include "supervisor/session/session.h"
#include "supervisor/terminal.h"

enum {
    EVENT_BYTES_MAX = 32 * KIB, // of one datagram: the sink's own limit, and room
    END_WAIT_MS = 2000,         // for the egress to report what was under way, and end
    RELOAD_WAIT_MS = 5000,
};

// ---- events
// ------------------------------------------------------------------------------------------------------

static void put_line(struct launcher *l, struct str line)
{
    eventlog_write(l->log, line);
    if (l->opts->session)
        session_event(l->opts->session, line);
}

void launcher_event(struct launcher *l, const struct event *ev)
{
    uint64_t now = (uint64_t)clock_realtime_ms();
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, EVENT_BYTES_MAX);
    event_line(ev, now, &b);
    put_line(l, buf_str(&b));
    if (!l->json)
        return;
    const struct event_host host = {.sandbox_id = str_of(l->opts->id ? l->opts->id : l->opts->name),
                                    .sandbox_name = str_of(l->opts->name),
                                    .hostname = str_of(l->opts->name)};
    buf_clear(&b);
    event_json(ev, &host, now, &b);
    buf_addc(&b, '\n');
    eventlog_write(l->json, buf_str(&b));
}

// Returns whether there may be more.
static bool take_event(struct launcher *l)
{
    char b[EVENT_BYTES_MAX + 1];
    ssize_t n = recv(l->events, b, EVENT_BYTES_MAX, MSG_DONTWAIT);
    if (n <= 0)
        return false;
    if (b[0] != '{') {
        put_line(l, (struct str){b, (size_t)n});
        return true;
    }
    b[n] = '\n';
    if (l->json)
        eventlog_write(l->json, (struct str){b, (size_t)n + 1});
    return true;
}

// ---- starting
// ----------------------------------------------------------------------------------------------------

static enum err_code pair(int type, int *a, int *b, struct err *e)
{
    int p[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p) != 0)
        return err_set(e, fd_code(errno), "socketpair: %s", fd_strerror(errno));
    *a = p[0];
    *b = p[1];
    return ERR_OK;
}

static const char *const no_env[] = {NULL}; // neither role takes anything from its environment

static enum err_code start_egress(struct launcher *l, int monitor, int events, struct err *e)
{
    CLEANUP(fd_close) int theirs = -1;
    CLEANUP(fd_close) int vault = -1;
    enum err_code r = pair(SOCK_SEQPACKET, &l->egress, &theirs, e);
    if (r == ERR_OK)
        r = pair(SOCK_SEQPACKET, &l->vault, &vault, e);
    static const char *const argv[] = {"openshell-sandbox", "egress", NULL};
    const int fds[] = {[EGRESS_FD_CONTROL - 3] = theirs,
                       [EGRESS_FD_MONITOR - 3] = monitor,
                       [EGRESS_FD_EVENTS - 3] = events,
                       [EGRESS_FD_VAULT - 3] = vault};
    const struct ns_spawn s = {.argv = argv, .envp = no_env, .fds = fds, .fds_n = ARRAY_LEN(fds)};
    if (r == ERR_OK)
        r = ns_spawn(&s, &l->egress_child, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "starting the egress");
    const struct str texts[CTL_START_FDS] = {[CTL_FD_POLICY] = buf_str(&l->plan->policy_text),
                                             [CTL_FD_RESOLV_CONF] = buf_str(&l->plan->resolv_conf),
                                             [CTL_FD_HOSTS] = buf_str(&l->plan->hosts),
                                             [CTL_FD_TRUST] = buf_str(&l->plan->trust)};
    int text_fds[CTL_START_FDS] = {-1, -1, -1, -1};
    for (size_t i = 0; r == ERR_OK && i < CTL_START_FDS; i++)
        r = ctl_memfd(texts[i], &text_fds[i], e);
    struct ctl_msg m = {.kind = CTL_START,
                        .generation = l->generation,
                        .json = l->json != NULL,
                        .quiet = !l->json && !l->opts->log && !l->opts->verbose && !l->opts->session};
    m.value = l->opts->credentials ? (int32_t)credentials_count(l->opts->credentials) : 0;
    (void)snprintf(m.name, sizeof(m.name), "%s", l->opts->name);
    (void)snprintf(m.id, sizeof(m.id), "%s", l->opts->id ? l->opts->id : l->opts->name);
    (void)snprintf(m.hostname, sizeof(m.hostname), "%s", l->opts->name);
    if (r == ERR_OK)
        r = ctl_send(l->egress, &m, text_fds, CTL_START_FDS, e);
    if (r == ERR_OK)
        r = launcher_tell_routes(l, e);
    l->trust = fd_take(&text_fds[CTL_FD_TRUST]);
    for (size_t i = 0; i < CTL_START_FDS; i++)
        fd_close(&text_fds[i]);
    return r;
}

static enum err_code placed(void *ctx, pid_t pid, struct err *e)
{
    return limits_place(ctx, pid, e);
}

static enum err_code start_init(struct launcher *l, int monitor, struct err *e)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(fd_close) int theirs = -1;
    CLEANUP(fd_close) int spec = -1;
    buf_init(&text, SPEC_MAX);
    l->plan->spec.limits_soft = l->limits.soft;
    enum err_code r = spec_encode(&l->plan->spec, &text, e);
    if (r == ERR_OK)
        r = ctl_memfd(buf_str(&text), &spec, e);
    if (r == ERR_OK)
        r = pair(SOCK_SEQPACKET, &l->init, &theirs, e);
    static const char *const argv[] = {"openshell-sandbox", "init", NULL};
    const int fds[] = {[INIT_FD_CONTROL - 3] = theirs,
                       [INIT_FD_MONITOR - 3] = monitor,
                       [INIT_FD_SPEC - 3] = spec,
                       [INIT_FD_TRUST - 3] = l->trust,
                       [INIT_FD_WORKDIR - 3] = l->plan->workdir_fd};
    const struct ns_spawn s = {.argv = argv,
                               .envp = no_env,
                               .fds = fds,
                               .fds_n = l->plan->workdir_fd >= 0 ? 5 : 4,
                               .isolated = true,
                               .placed = placed,
                               .ctx = &l->limits};
    if (r == ERR_OK)
        r = ns_spawn(&s, &l->init_child, e);
    fd_close(&l->plan->workdir_fd);
    fd_close(&l->trust);
    return r == ERR_OK ? r : err_wrap(e, r, "starting the sandbox");
}

// Outlives a launcher that is killed; ends with one that ended by itself, which has removed everything then.
static enum err_code start_guard(struct launcher *l, struct err *e)
{
    if (l->limits.dirs_n == 0)
        return ERR_OK;
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return err_set(e, fd_code(errno), "pipe: %s", fd_strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        ssize_t n;
        (void)setsid(); // no terminal, no signal from it
        (void)prctl(PR_SET_NAME, "openshell-guard");
        (void)dup2(p[0], 0);
        (void)syscall(SYS_close_range, 1U, ~0U, 0);
        do
            n = read(0, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 0)
            limits_done(&l->limits);
        _exit(0);
    }
    (void)close(p[0]);
    l->guard = p[1];
    l->guard_pid = pid;
    return pid < 0 ? err_set(e, fd_code(errno), "fork: %s", fd_strerror(errno)) : ERR_OK;
}

static enum err_code start(struct launcher *l, struct err *e)
{
    CLEANUP(fd_close) int mon_egress = -1;
    CLEANUP(fd_close) int mon_init = -1;
    CLEANUP(fd_close) int events = -1;
    enum err_code r = pair(SOCK_SEQPACKET, &mon_egress, &mon_init, e);
    if (r == ERR_OK)
        r = pair(SOCK_SEQPACKET, &l->events, &events, e);
    if (r == ERR_OK)
        r = limits_new(&l->opts->limits, &l->limits, e);
    if (r == ERR_OK)
        r = start_guard(l, e);
    if (r == ERR_OK)
        r = start_egress(l, mon_egress, events, e);
    return r == ERR_OK ? start_init(l, mon_init, e) : r;
}

// ---- messages of the children
// ------------------------------------------------------------------------------------

// Both sides are ready: the agent may start.
static enum err_code go(struct launcher *l, struct err *e)
{
    if (!l->built || l->ca.n == 0)
        return ERR_OK;
    int fds[CTL_GO_FDS] = {-1};
    enum err_code r = ctl_memfd(buf_str(&l->ca), &fds[CTL_FD_CA], e);
    const struct ctl_msg m = {.kind = CTL_GO, .value = !l->opts->session};
    if (r == ERR_OK)
        r = ctl_send(l->init, &m, fds, CTL_GO_FDS, e);
    fd_close(&fds[CTL_FD_CA]);
    return r == ERR_OK && l->opts->session ? session_begin(l->opts->session, l, e) : r;
}

static enum err_code from_egress(struct launcher *l, struct err *e)
{
    struct ctl_msg m;
    int fds[CTL_START_FDS];
    size_t n;
    enum err_code r = ctl_recv(l->egress, &m, fds, &n, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "the egress ended");
    if (m.kind == CTL_READY && n == 1 && l->ca.n == 0)
        r = fd_read_all(fds[0], 64 * KIB, &l->ca, e);
    else if (m.kind == CTL_DONE && m.code != ERR_OK && m.code <= ERR_INTERNAL)
        r = err_set(e, (enum err_code)m.code, "the egress: %s", m.msg);
    else
        r = err_set(e, ERR_INTERNAL, "the egress said something unexpected");
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    return r == ERR_OK ? go(l, e) : r;
}

static enum err_code agent_failed(struct launcher *l, const struct ctl_msg *m, struct err *e)
{
    l->status = m->value > 0 ? m->value : 1;
    if ((m->kind != CTL_DONE && m->kind != CTL_FAILED) || m->code == ERR_OK || m->code > ERR_INTERNAL)
        return err_set(e, ERR_INTERNAL, "the sandbox said something unexpected");
    return err_set(e, (enum err_code)m->code, "%s", m->msg);
}

static void agent_ended(struct launcher *l, int status)
{
    l->ended = !l->opts->session; // a gateway's sandbox stays until it is ended
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (l->ended)
        l->status = code;
    const struct event ev = {.class = EVENT_PROCESS,
                             .activity = EVENT_CLOSE,
                             .severity = EVENT_INFO,
                             .process = str_of(l->opts->argv[0]),
                             .pid = (uint32_t)l->agent,
                             .exit_code = code};
    launcher_event(l, &ev);
}

static void agent_started(struct launcher *l, int pid)
{
    l->agent = pid;
    const struct event ev = {.class = EVENT_PROCESS,
                             .activity = EVENT_OPEN,
                             .severity = EVENT_INFO,
                             .process = str_of(l->opts->argv[0]),
                             .pid = (uint32_t)pid};
    launcher_event(l, &ev);
}

static void dialed(struct launcher *l, const struct ctl_msg *m)
{
    const struct event ev =
        {.class = EVENT_NET,
         .activity = EVENT_REFUSE,
         .severity = EVENT_MEDIUM,
         .action = EVENT_DENIED,
         .exe = str_of(m->msg),
         .pid = m->cut,
         .host = str_of(m->name),
         .port = (uint16_t)m->value,
         .policy = STR("bypass-detect"),
         .engine = STR("seccomp"),
         .reason = STR("nothing answers there: use names or the proxy, or name the address in the policy")};
    launcher_event(l, &ev);
    if (m->generation == 0)
        return;
    char text[80];
    (void)snprintf(text, sizeof(text), "%llu dials to such addresses before it were not told",
                   (unsigned long long)m->generation);
    const struct event gap = {.class = EVENT_CONFIG,
                              .severity = EVENT_MEDIUM,
                              .state = STR("degraded"),
                              .message = str_of(text)};
    launcher_event(l, &gap);
}

enum err_code launcher_heard(struct launcher *l, const struct ctl_msg *m, int *fds, size_t n, struct err *e)
{
    bool taken = l->opts->session && session_said(l->opts->session, m, fds, n);
    if (m->kind == CTL_SOCKET && n == 1) {
        const struct ctl_msg listen = {.kind = CTL_LISTEN, .socket = m->socket};
        return ctl_send(l->egress, &listen, fds, 1, e);
    }
    if (m->kind == CTL_BUILT && n == (l->plan->spec.tty ? 1U : 0U)) {
        l->built = true;
        enum err_code r = n == 1 ? terminal_join(fd_take(&fds[0]), &l->terminal, e) : ERR_OK;
        return r == ERR_OK ? go(l, e) : r;
    }
    if (m->kind == CTL_STARTED && m->command == 0 && n == 0)
        agent_started(l, m->value);
    else if (m->kind == CTL_DIALED && n == 0)
        dialed(l, m);
    else if (m->kind == CTL_EXITED && m->command == 0 && n == 0)
        agent_ended(l, m->value);
    else if (!taken)
        return agent_failed(l, m, e);
    return ERR_OK;
}

static enum err_code from_init(struct launcher *l, struct err *e)
{
    struct ctl_msg m;
    int fds[CTL_START_FDS];
    size_t n;
    enum err_code r = ctl_recv(l->init, &m, fds, &n, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "the sandbox ended");
    r = launcher_heard(l, &m, fds, n, e);
    for (size_t i = 0; i < n; i++)
        fd_close(&fds[i]);
    return r;
}

// ---- signals
// -----------------------------------------------------------------------------------------------------

static const int forwarded[] = {SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP};

static int watch_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        (void)sigaddset(&set, forwarded[i]);
    (void)sigaddset(&set, SIGWINCH);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); // a child starts with none blocked (ns_spawn)
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// A hang-up that the kernel sends means that the terminal is gone; one that somebody sends asks for the
// policy to be read again. A shell that is hung up on passes that on by itself: then there is no terminal any
// more, either.
static bool asks_for_reload(const struct launcher *l, const struct signalfd_siginfo *s)
{
    if (s->ssi_code == SI_KERNEL)
        return false;
    if (!l->had_terminal)
        return true;
    CLEANUP(fd_close) int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd >= 0;
}

// A gateway's sandbox: nobody at a terminal means its main process by a signal.
static void stop(struct launcher *l, int sig)
{
    if (sig != SIGTERM && sig != SIGINT)
        return;
    l->status = 0; // as it was asked to
    l->ended = !session_stop(l->opts->session, SIGTERM);
}

static void on_signal(struct launcher *l)
{
    struct signalfd_siginfo s;
    while (read(l->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
        int sig = (int)s.ssi_signo;
        if (sig == SIGWINCH) {
            if (l->terminal)
                terminal_resize(l->terminal);
        } else if (l->opts->session) {
            stop(l, sig);
        } else if (sig == SIGHUP && asks_for_reload(l, &s)) {
            launcher_reread_credentials(l);
            reload_file(l);
        } else if (l->agent == 0) { // nobody to pass it on to yet
            l->ended = true;
            l->status = 128 + sig;
        } else {
            const struct ctl_msg m = {.kind = CTL_SIGNAL, .value = sig};
            struct err ignored; // the loop sees that the sandbox is gone
            (void)!ctl_send(l->init, &m, NULL, 0, &ignored);
        }
    }
}

// ---- the loop
// ----------------------------------------------------------------------------------------------------

enum { OWN_POLLS = 8 };

// What was there when polled may have been read since, by a reload that waited for its answer.
static bool has_message(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static enum err_code turn(struct launcher *l, struct err *e)
{
    struct pollfd p[OWN_POLLS + SESSION_POLL_MAX] = {{.fd = l->signals, .events = POLLIN},
                                                     {.fd = l->egress, .events = POLLIN},
                                                     {.fd = l->init, .events = POLLIN},
                                                     {.fd = l->events, .events = POLLIN},
                                                     {.fd = l->reloads, .events = POLLIN},
                                                     {.fd = -1},
                                                     {.fd = -1},
                                                     {.fd = l->vault, .events = POLLIN}};
    int64_t deadline_ns = DEADLINE_NEVER;
    size_t more = 0;
    if (l->terminal)
        terminal_poll(l->terminal, p + 5);
    if (l->opts->session)
        more = session_poll(l->opts->session, p + OWN_POLLS, &deadline_ns);
    if (poll(p, OWN_POLLS + more, deadline_left_ms(deadline_ns)) < 0)
        return errno == EINTR ? ERR_OK : err_set(e, ERR_INTERNAL, "poll: %s", fd_strerror(errno));
    if (p[0].revents)
        on_signal(l);
    if (p[3].revents)
        for (int budget = 256; budget > 0 && take_event(l); budget--)
            ;
    if (l->terminal && !terminal_move(l->terminal, p + 5)) {
        terminal_part(l->terminal); // its last process has closed it; the agent's status is on the way
        l->terminal = NULL;
    }
    if (more > 0)
        session_move(l->opts->session, p + OWN_POLLS); // before init's messages, which change what was polled
    enum err_code r = p[2].revents && !l->ended && has_message(l->init) ? from_init(l, e) : ERR_OK;
    if (r == ERR_OK && p[1].revents && !l->ended && has_message(l->egress))
        r = from_egress(l, e);
    if (r == ERR_OK && p[7].revents && !l->ended)
        r = launcher_serve_vault(l, e);
    if (r == ERR_OK && p[4].revents && !l->ended)
        reload_accept(l);
    if (l->opts->session && session_is_over(l->opts->session))
        l->ended = true;
    return r;
}

// What the sandbox's terminal still holds is shown; then everything ends: init and with it all of the
// sandbox, the egress after it has reported what was under way.
static void finish(struct launcher *l)
{
    if (l->terminal) {
        struct pollfd p[2] = {{.fd = -1}, {.revents = POLLIN}};
        while (terminal_move(l->terminal, p) &&
               poll(&(struct pollfd){.fd = l->init, .events = 0}, 1, 0) == 0) {
            struct pollfd q[2];
            terminal_poll(l->terminal, q);
            q[0].fd = -1;
            if (poll(q, 2, 20) <= 0)
                break;
        }
        terminal_part(l->terminal);
        l->terminal = NULL;
    }
    fd_close(&l->init);
    fd_close(&l->egress); // while init ends: it waits for those whose clients end with that
    if (l->init_child.pid > 0) {
        (void)waitpid(l->init_child.pid, NULL, 0);
        fd_close(&l->init_child.pidfd);
    }
    int64_t until = deadline_in_ms(END_WAIT_MS);
    while (l->egress_child.pid > 0) {
        struct pollfd p[2] = {{.fd = l->egress_child.pidfd, .events = POLLIN},
                              {.fd = l->events, .events = POLLIN}};
        if (poll(p, 2, deadline_left_ms(until)) == 0)
            (void)kill(l->egress_child.pid, SIGKILL); // ours and not reaped: the number is its own
        while (p[1].revents && take_event(l))
            ;
        if (p[0].revents || deadline_passed(until)) {
            (void)waitpid(l->egress_child.pid, NULL, 0);
            l->egress_child.pid = 0;
        }
    }
    while (l->events >= 0 && take_event(l))
        ;
    fd_close(&l->egress_child.pidfd);
}

static void clean_up(struct launcher *l)
{
    limits_done(&l->limits);
    if (l->guard_pid > 0) {
        struct err ignored;
        (void)!fd_write_all(l->guard, STR("."), &ignored); // it was killed: then there is nothing to stop
        (void)waitpid(l->guard_pid, NULL, 0);
    }
    fd_close(&l->guard);
    fd_close(&l->events);
    fd_close(&l->signals);
    fd_close(&l->reloads);
    fd_close(&l->vault);
    fd_close(&l->trust);
    buf_done(&l->ca);
    eventlog_free(l->log);
    eventlog_free(l->json);
    arena_done(&l->policy_arena);
}

enum err_code launch(const struct launch_opts *o, struct plan *p, int *ret_status, struct err *e)
{
    struct launcher l = {.opts = o,
                         .plan = p,
                         .generation = 1,
                         .egress = -1,
                         .init = -1,
                         .events = -1,
                         .signals = watch_signals(),
                         .reloads = -1,
                         .vault = -1,
                         .guard = -1,
                         .trust = -1,
                         .egress_child = {.pidfd = -1},
                         .init_child = {.pidfd = -1},
                         .status = 1};
    int tty = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    l.had_terminal = tty >= 0;
    fd_close(&tty);
    enum err_code r = eventlog_open(o->log, o->verbose, &l.log, e);
    if (r == ERR_OK && o->log_json)
        r = eventlog_open(o->log_json, true, &l.json, e);
    if (r == ERR_OK)
        r = reload_listen(&l.reloads, e);
    if (r == ERR_OK)
        r = start(&l, e);
    while (r == ERR_OK && !l.ended)
        r = turn(&l, e);
    finish(&l);
    clean_up(&l);
    *ret_status = l.status;
    return r;
}
