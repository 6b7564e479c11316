#include "cli/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/show.h"
#include "cli/terminal.h"

enum { READ_SIZE = 32 * KIB, MESSAGE_MAX = 8 * MIB };

// Where output goes: what could not be written yet waits, and nothing more is read from the gateway
// meanwhile.
struct sink {
    int fd;
    int own;        // opened anew, so that not waiting does not change the file that others share; -1: not
    bool is_socket; // which cannot be opened anew
    bool is_file;   // which never waits
    struct str rest;
    int failed; // errno
};

struct session {
    struct cli *cli;
    struct gateway *g;
    const struct attach *at;
    struct rpc_client_call *call;
    struct arena arena; // of one message
    struct sink out[2];
    int signals_fd;
    struct detach_keys keys;
    char in[READ_SIZE + 1]; // keys that wait for room
    size_t in_n;
    bool in_open, in_end_due, in_any, raw, interrupted;
    bool done; // the call has ended
    bool quit; // this has, whatever the call does and whatever waits
    bool has_status;
    int status;
};

// ---- output

static void sink_open(struct sink *s, int fd)
{
    struct stat st = {};
    char path[32];
    *s = (struct sink){.fd = fd, .own = -1};
    if (fstat(fd, &st) != 0)
        return;
    s->is_socket = S_ISSOCK(st.st_mode);
    s->is_file = S_ISREG(st.st_mode);
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    s->own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

// As much as goes now.
static void sink_flush(struct sink *s)
{
    while (s->rest.n > 0 && !s->failed) {
        // A pipe or a terminal that could not be opened anew takes so much without waiting, once poll(2) says
        // so.
        size_t most = s->own >= 0 || s->is_socket || s->is_file || s->rest.n < 512 ? s->rest.n : 512;
        ssize_t n = s->is_socket ? send(s->fd, s->rest.p, most, MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : write(s->own >= 0 ? s->own : s->fd, s->rest.p, most);
        if (n >= 0)
            s->rest = str_from(s->rest, (size_t)n);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            s->failed = errno;
        if (n >= 0 && s->own < 0 && !s->is_socket && !s->is_file)
            return; // one piece for each poll(2)
    }
}

static bool output_waits(const struct session *s)
{
    return s->out[0].rest.n > 0 || s->out[1].rest.n > 0;
}

// A reader that went away ends the session as SIGPIPE would.
static void check_output(struct session *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->out) && !s->quit; i++) {
        if (!s->out[i].failed)
            continue;
        s->quit = s->has_status = true;
        s->status = s->out[i].failed == EPIPE ? 128 + SIGPIPE : EXIT_FAILED;
        if (s->out[i].failed != EPIPE)
            (void)report(s->cli, fd_strerror(s->out[i].failed), "the output cannot be written");
    }
}

// ---- towards the program

static enum err_code send_input(struct session *s, Openshell__V1__ExecSandboxInput *m)
{
    struct err ignored = {};
    return rpc_write(s->call, &m->base, RPC_TRY, &ignored); // a call that has ended says so where it is read
}

// True: sent, or the call has ended anyway. False: later.
static bool send_keys(struct session *s)
{
    Openshell__V1__ExecSandboxInput m = OPENSHELL__V1__EXEC_SANDBOX_INPUT__INIT;
    if (s->in_n > 0) {
        m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_STDIN;
        m.stdin = (ProtobufCBinaryData){.data = (uint8_t *)s->in, .len = s->in_n};
        if (send_input(s, &m) == ERR_LIMIT)
            return false;
        s->in_n = 0;
    }
    if (s->in_end_due) {
        m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_END_OF_INPUT;
        m.end_of_input = true;
        if (send_input(s, &m) == ERR_LIMIT)
            return false;
        s->in_end_due = false;
    }
    return true;
}

static void send_signal(struct session *s, int signum)
{
    Openshell__V1__ExecSandboxInput m = OPENSHELL__V1__EXEC_SANDBOX_INPUT__INIT;
    m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_SIGNAL;
    m.signal = (uint32_t)signum;
    (void)send_input(s, &m); // with a queue that is full of input the next Ctrl-C ends the command
}

static void send_size(struct session *s)
{
    Openshell__V1__ExecSandboxInput m = OPENSHELL__V1__EXEC_SANDBOX_INPUT__INIT;
    Openshell__V1__ExecSandboxWindowResize size = OPENSHELL__V1__EXEC_SANDBOX_WINDOW_RESIZE__INIT;
    if (!s->at->start->tty || !terminal_size(&size.cols, &size.rows))
        return;
    m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_RESIZE;
    m.resize = &size;
    (void)send_input(s, &m); // the next change of size says it again
}

static void leave(struct session *s)
{
    s->quit = s->has_status = true;
    s->status = 0;
    terminal_restore();
    show_err_line(s->cli, "\nLeft sandbox %s running; 'openshell sandbox connect %s' comes back.",
                  s->at->name, s->at->name);
}

static void read_keys(struct session *s)
{
    char raw[READ_SIZE];
    bool detach = false;
    ssize_t n = read(STDIN_FILENO, raw, sizeof(raw));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) { // also where the terminal is gone
        s->in_open = false;
        s->in_end_due = s->in_any || !s->at->spare_input;
    } else if (s->at->detachable && s->raw) {
        s->in_n = detach_filter(&s->keys, (struct str){raw, (size_t)n}, s->in, &detach);
    } else {
        memcpy(s->in, raw, (size_t)n);
        s->in_n = (size_t)n;
    }
    s->in_any = s->in_any || n > 0;
    (void)send_keys(s);
    if (detach)
        leave(s);
}

// ---- signals

static void on_signal(struct session *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals_fd, &info, sizeof(info)) != sizeof(info))
        return;
    int signum = (int)info.ssi_signo;
    if (signum == SIGWINCH || signum == SIGCONT) {
        if (signum == SIGCONT)
            terminal_again();
        send_size(s);
    } else if ((signum == SIGINT || signum == SIGQUIT) && !s->interrupted) {
        s->interrupted = signum == SIGINT;
        send_signal(s, signum);
    } else {
        s->quit = s->has_status = true;
        s->status = 128 + signum;
    }
}

static bool open_signals(struct session *s, sigset_t *before)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaddset(&set, signals[i]);
    (void)sigprocmask(SIG_BLOCK, &set, before);
    s->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals_fd >= 0;
}

// ---- from the program

static void on_event(struct session *s, const Openshell__V1__ExecSandboxEvent *e)
{
    const ProtobufCBinaryData *data = NULL;
    size_t which = 0;
    switch (e->payload_case) {
    case OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT:
        data = &e->stdout->data;
        break;
    case OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDERR:
        data = &e->stderr->data;
        which = 1;
        break;
    case OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT:
        s->has_status = true;
        s->status = e->exit->exit_code;
        return;
    case OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD__NOT_SET:
    case _OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD__CASE_IS_INT_SIZE:
        return;
    }
    if (!data)
        return; // of a kind that is newer than this command
    s->out[which].rest = (struct str){(const char *)data->data, data->len}; // lives until the next message
    sink_flush(&s->out[which]);
}

// Messages as long as there are some and their output goes.
static void read_events(struct session *s)
{
    while (!s->done && !s->quit && !output_waits(s)) {
        ProtobufCMessage *m = NULL;
        bool end = false;
        struct err err = {};
        arena_done(&s->arena);
        if (rpc_read(s->call, RPC_TRY, &s->arena, &m, &end, &err) != ERR_OK) {
            s->done = true;
            if (s->has_status) // its exit was told, and that is what counts
                return;
            s->quit = true;
            terminal_restore();
            s->has_status = true;
            s->status = err.code == ERR_UNAVAILABLE ? s->at->lost_status : EXIT_FAILED;
            (void)gateway_report(s->cli, s->g, "keep up the session", &err);
            return;
        }
        if (m)
            on_event(s, GATEWAY_ANSWER(Openshell__V1__ExecSandboxEvent, m));
        s->done = end;
        if (!m)
            return;
    }
}

// ---- the loop

static void turn(struct session *s)
{
    enum { OUT, ERR, RPC, SIGNALS, IN, FDS };
    struct rpc_client *c = s->g->client;
    struct pollfd fds[FDS] = {
        [RPC] = {.fd = rpc_client_fd(c), .events = rpc_client_poll(c)},
        [SIGNALS] = {.fd = s->signals_fd, .events = POLLIN},
        [IN] = {.fd = s->in_open && s->in_n == 0 ? STDIN_FILENO : -1, .events = POLLIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(s->out); i++) {
        const struct sink *k = &s->out[i];
        fds[i] = (struct pollfd){.fd = k->rest.n > 0 ? k->own >= 0 ? k->own : k->fd : -1, .events = POLLOUT};
    }
    struct err ignored = {};
    if (poll(fds, FDS, deadline_left_ms(rpc_client_next_ns(c))) < 0 && errno != EINTR)
        s->quit = true;
    for (size_t i = 0; i < ARRAY_LEN(s->out); i++)
        if (fds[i].revents)
            sink_flush(&s->out[i]);
    check_output(s);
    if (fds[SIGNALS].revents)
        on_signal(s);
    if (fds[IN].revents && !s->quit)
        read_keys(s);
    (void)rpc_client_pump(c, &ignored); // rpc_read() says what is wrong
    (void)send_keys(s);
}

static void run(struct session *s)
{
    while (!s->quit) {
        read_events(s);
        check_output(s);
        if (s->quit || (s->done && !output_waits(s)))
            return;
        turn(s);
    }
}

static int open_call(struct session *s)
{
    const struct rpc_wait wait = {DEADLINE_NEVER, -1};
    struct err err = {};
    Openshell__V1__ExecSandboxRequest start = *s->at->start;
    Openshell__V1__ExecSandboxInput first = OPENSHELL__V1__EXEC_SANDBOX_INPUT__INIT;
    first.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START;
    first.start = &start;
    if (start.tty)
        (void)terminal_size(&start.cols, &start.rows); // else the gateway's own choice
    enum err_code r = rpc_open(s->g->client, RPC_OPEN_SHELL_EXEC_SANDBOX_INTERACTIVE, &wait, &s->call, &err);
    if (r == ERR_OK)
        r = rpc_write(s->call, &first.base, RPC_BLOCK, &err);
    if (r == ERR_OK && s->raw)
        r = terminal_raw(STDIN_FILENO, &err);
    return r == ERR_OK ? 0 : gateway_report(s->cli, s->g, "open a session", &err);
}

static void session_done(struct session *s)
{
    terminal_restore();
    rpc_close(s->call);
    arena_done(&s->arena);
    fd_close(&s->signals_fd);
    for (size_t i = 0; i < ARRAY_LEN(s->out); i++)
        fd_close(&s->out[i].own);
    free(s);
}

int attach_run(struct cli *cli, struct gateway *g, const struct attach *at)
{
    sigset_t before;
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return report(cli, NULL, "no memory for a session");
    s->cli = cli;
    s->g = g;
    s->at = at;
    s->signals_fd = -1;
    arena_init(&s->arena, MESSAGE_MAX);
    cli_flush(cli);
    sink_open(&s->out[0], STDOUT_FILENO);
    sink_open(&s->out[1], STDERR_FILENO);
    s->in_open = true;
    s->raw = at->start->tty && isatty(STDIN_FILENO);
    int status = EXIT_FAILED;
    if (!open_signals(s, &before))
        (void)report(cli, fd_strerror(errno), "signals cannot be taken");
    else
        status = open_call(s);
    if (status == 0) {
        run(s);
        status = s->has_status ? s->status & 0xff : at->lost_status;
        terminal_restore();
        if (!s->has_status)
            (void)report(cli, NULL, "the session with sandbox %s ended without an exit status", at->name);
    }
    session_done(s);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
