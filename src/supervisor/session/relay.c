// A relay is one call to the gateway and what it leads to in the sandbox. Bytes move only as the other side
// takes them: a command's output is read while the call has room for it, a call's frames while the command
// has room for its input. Nothing grows, and a peer that does not read stops its own relay only.
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/session/internal.h"

enum {
    CLOSE_MS = 30'000, // for the gateway to end a call that has said everything
    KILL_MS = 100,     // between SIGTERM and SIGKILL where a command's time is over; reference: policy 6.8
    FRAMES_MAX = 16,   // of one relay in one turn, each way
    FRAME_ARENA = 4 * MIB,
    STATUS_TIMEOUT = 124,
    DRAIN_BYTES = MIB, // of a command that has ended: its descendants may go on writing for ever
};

// ---- to the gateway

static void refuse(struct session *s, const char *channel, const char *why)
{
    GATEWAY(RelayOpenResult) result = OPENSHELL__V1__RELAY_OPEN_RESULT__INIT;
    GATEWAY(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    result.channel_id = (char *)(uintptr_t)channel;
    result.success = !why;
    result.error = (char *)(uintptr_t)(why ? why : "");
    m.payload_case = GW_CASE(SUPERVISOR_MESSAGE__PAYLOAD_RELAY_OPEN_RESULT);
    m.relay_open_result = &result;
    session_say(s, &m);
}

static bool put(struct relay *r, const GATEWAY(RelayFrame) * f)
{
    struct err ignored; // the call has ended: reading it says how
    return r->call && rpc_write(r->call, &f->base, RPC_QUEUE, &ignored) == ERR_OK;
}

static bool put_data(struct relay *r, enum ring_source source, const char *p, size_t n)
{
    GATEWAY(RelayFrame) f = OPENSHELL__V1__RELAY_FRAME__INIT;
    ProtobufCBinaryData bytes = {.len = n, .data = (uint8_t *)(uintptr_t)p};
    if (source == RING_ERR) {
        f.payload_case = GW_CASE(RELAY_FRAME__PAYLOAD_ERROR_DATA);
        f.error_data = bytes;
    } else {
        f.payload_case = GW_CASE(RELAY_FRAME__PAYLOAD_DATA);
        f.data = bytes;
    }
    return put(r, &f);
}

static void put_note(struct relay *r, const char *text)
{
    char line[500];
    int n = snprintf(line, sizeof(line), "openshell: %s%s", text, r->ends.tty ? "\r\n" : "\n");
    (void)put_data(r, RING_ERR, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void put_end(struct relay *r, int exit_code)
{
    GATEWAY(RelayFrame) f = OPENSHELL__V1__RELAY_FRAME__INIT;
    f.payload_case = GW_CASE(RELAY_FRAME__PAYLOAD_EXIT_CODE);
    f.exit_code = exit_code;
    (void)put(r, &f);
    rpc_write_end(r->call);
    r->state = RELAY_CLOSING;
    r->close_by_ns = deadline_in_ms(CLOSE_MS);
}

// Opens the call. False: there is no connection.
static bool up(struct session *s, struct relay *r)
{
    struct err err = {};
    const struct rpc_wait wait = {DEADLINE_NEVER, -1};
    GATEWAY(RelayInit) init = OPENSHELL__V1__RELAY_INIT__INIT;
    GATEWAY(RelayFrame) f = OPENSHELL__V1__RELAY_FRAME__INIT;
    init.channel_id = r->channel;
    f.payload_case = GW_CASE(RELAY_FRAME__PAYLOAD_INIT);
    f.init = &init;
    if (!s->client || rpc_open(s->client, RPC_OPEN_SHELL_RELAY_STREAM, &wait, &r->call, &err) != ERR_OK) {
        refuse(s, r->channel, err.msg);
        return false;
    }
    refuse(s, r->channel, NULL);
    r->state = RELAY_OPEN;
    return put(r, &f);
}

// ---- born and gone

static struct relay *relay_new(struct session *s, enum relay_kind kind, const char *channel)
{
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        if (s->relays[i])
            continue;
        struct relay *r = calloc(1, sizeof(*r));
        if (!r)
            return NULL;
        *r = (struct relay){.kind = kind,
                            .at_connect = -1,
                            .timeout_ns = DEADLINE_NEVER,
                            .drain_by_ns = DEADLINE_NEVER,
                            .close_by_ns = DEADLINE_NEVER};
        ends_init(&r->ends);
        (void)snprintf(r->channel, sizeof(r->channel), "%s", channel);
        if (kind != RELAY_ATTACH) {
            s->last_command += 1 + (s->last_command == UINT32_MAX); // 0 is the main process
            r->command = s->last_command;
        }
        return s->relays[i] = r;
    }
    return NULL;
}

static void relay_free(struct session *s, struct relay *r)
{
    if (s->main.owner == r)
        s->main.owner = NULL;
    for (size_t i = 0; i < RELAYS_MAX; i++)
        if (s->relays[i] == r)
            s->relays[i] = NULL;
    rpc_close(r->call);
    ends_done(&r->ends);
    free(r);
}

// Nobody is at the other end: a command is killed with its process group, and its terminal hangs up.
static void lose(struct session *s, struct relay *r)
{
    if (r->kind != RELAY_EXEC || r->exited) {
        relay_free(s, r);
        return;
    }
    rpc_close(TAKE(r->call));
    ends_done(&r->ends);
    session_signal(s, r->command, SIGKILL);
    r->state = RELAY_LOST;
}

void relays_lose(struct session *s)
{
    for (size_t i = 0; i < RELAYS_MAX; i++)
        if (s->relays[i])
            lose(s, s->relays[i]);
}

// ---- what the gateway asks for

static enum err_code ask_exec(struct session *s, struct relay *r, const GATEWAY(ExecRelayTarget) * m,
                              struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SPEC_MAX);
    struct command_spec spec = {.workdir = str_of(m->workdir), .tty = m->tty};
    if (m->n_command == 0 || !m->command[0][0])
        return err_set(e, ERR_INVALID, "no command");
    spec.cols = (uint16_t)(m->cols == 0 || m->cols > UINT16_MAX ? SESSION_COLS : m->cols);
    spec.rows = (uint16_t)(m->rows == 0 || m->rows > UINT16_MAX ? SESSION_ROWS : m->rows);
    spec.argv = (struct strs){.v = arena_newn(&a, struct str, m->n_command), .n = m->n_command};
    if (!spec.argv.v)
        return arena_limit(&a, "the command", e);
    for (size_t i = 0; i < m->n_command; i++)
        spec.argv.v[i] = str_of(m->command[i]);
    enum err_code code = config_env(s, m, &a, &spec.env, e);
    if (code == ERR_OK)
        code = session_exec(s, r->command, &spec, &r->ends, e);
    if (m->timeout_seconds > 0)
        r->timeout_ns = deadline_in_ms((int64_t)m->timeout_seconds * 1000);
    return code;
}

static enum err_code ask_attach(struct session *s, struct relay *r, const GATEWAY(ExecRelayTarget) * m,
                                struct err *e)
{
    r->at = s->main.ring.oldest;
    r->read_only = m->read_only || s->main.owner;
    if (!up(s, r))
        return err_set(e, ERR_UNAVAILABLE, "the gateway is gone");
    if (!r->read_only)
        s->main.owner = r;
    else if (!m->read_only) // the wording is the reference's: policy 6.11
        put_note(r, "canonical main process already has an input owner; attached read-only");
    if (!r->read_only && m->cols > 0 && m->rows > 0)
        ends_resize(&s->main.ends, m->cols, m->rows);
    return ERR_OK;
}

// Loopback only: the rest of the sandbox's network is its way out.
static enum err_code ask_port(struct session *s, struct relay *r, const GATEWAY(TcpRelayTarget) * m,
                              struct err *e)
{
    struct in_addr v4;
    struct in6_addr v6;
    const char *host = strcmp(m->host, "localhost") == 0 ? "127.0.0.1" : m->host;
    if (!host[0])
        return err_set(e, ERR_INVALID, "tcp target host is required");
    if (m->port == 0 || m->port > UINT16_MAX)
        return err_set(e, ERR_INVALID, "tcp target port must be between 1 and 65535");
    if (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127)
        r->to.family = AF_INET;
    else if (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6))
        r->to.family = AF_INET6;
    else
        return err_set(e, ERR_INVALID, "tcp target host must be loopback");
    (void)snprintf(r->to.host, sizeof(r->to.host), "%s", host);
    r->to.port = (uint16_t)m->port;
    const struct ctl_msg q = {.kind = CTL_PORT, .command = r->command, .value = r->to.family};
    return ctl_send(s->launcher->init, &q, NULL, 0, e);
}

void relay_ask(struct session *s, const GATEWAY(RelayOpen) * m)
{
    struct err err = {};
    bool exec = m->target_case == GW_CASE(RELAY_OPEN__TARGET_EXEC);
    bool tcp = m->target_case == GW_CASE(RELAY_OPEN__TARGET_TCP);
    if (strlen(m->channel_id) > CHANNEL_MAX || !m->channel_id[0])
        return; // no answer would reach anybody
    if (!exec && !tcp) {
        refuse(s, m->channel_id, "this supervisor has no SSH server: ask for exec or tcp");
        return;
    }
    if (s->main.state < MAIN_RUNNING || s->stop_by_ns > 0) {
        refuse(s, m->channel_id, s->stop_by_ns > 0 ? "the sandbox ends" : "the sandbox does not run yet");
        return;
    }
    enum relay_kind kind = tcp ? RELAY_PORT : m->exec->attach_main ? RELAY_ATTACH : RELAY_EXEC;
    struct relay *r = relay_new(s, kind, m->channel_id);
    if (!r) {
        char why[80];
        (void)snprintf(why, sizeof(why), "%d relays into this sandbox are open, which is the most",
                       RELAYS_MAX);
        refuse(s, m->channel_id, why);
        return;
    }
    enum err_code code = tcp                    ? ask_port(s, r, m->tcp, &err)
                         : m->exec->attach_main ? ask_attach(s, r, m->exec, &err)
                                                : ask_exec(s, r, m->exec, &err);
    if (code == ERR_OK)
        return;
    refuse(s, r->channel, err.msg);
    r->exited = true; // there is no command of it
    relay_free(s, r);
}

// ---- what init says

static enum err_code dial(struct relay *r, int fd, struct err *e)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(r->to.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(r->to.port)};
    bool is_v4 = r->to.family == AF_INET;
    enum err_code code = ends_one(&r->ends, fd, false, e);
    if (code != ERR_OK)
        return code;
    (void)inet_pton(r->to.family, r->to.host,
                    is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr); // it was parsed
    const struct sockaddr *addr = is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    if (connect(fd, addr, is_v4 ? sizeof(v4) : sizeof(v6)) != 0 && errno != EINPROGRESS)
        return err_set(e, ERR_UNAVAILABLE, "port %u: %s", r->to.port, fd_strerror(errno));
    return ERR_OK;
}

static void failed(struct session *s, struct relay *r, const struct ctl_msg *m)
{
    r->exited = true;
    if (r->state == RELAY_STARTING && r->kind == RELAY_EXEC && m->value >= 126 && up(s, r)) {
        put_note(r, m->msg); // as a shell says it
        put_end(r, m->value);
        return;
    }
    if (r->state == RELAY_STARTING)
        refuse(s, r->channel, m->msg);
    relay_free(s, r);
}

static void socketed(struct session *s, struct relay *r, int *fd)
{
    struct err err = {};
    if (dial(r, fd_take(fd), &err) == ERR_OK)
        return;
    refuse(s, r->channel, err.msg);
    relay_free(s, r);
}

static void exited(struct session *s, struct relay *r, int wait_status)
{
    r->exited = true;
    r->exit_code = r->timed_out ? STATUS_TIMEOUT : session_exit_code(wait_status);
    r->drain_by_ns = deadline_in_ms(DRAIN_MS);
    if (r->state == RELAY_LOST)
        relay_free(s, r);
}

bool relay_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n)
{
    struct relay *r = NULL;
    struct err err = {};
    for (size_t i = 0; i < RELAYS_MAX; i++)
        if (s->relays[i] && s->relays[i]->command == m->command)
            r = s->relays[i];
    bool known = m->kind == CTL_TERMINAL || m->kind == CTL_STARTED || m->kind == CTL_FAILED ||
                 m->kind == CTL_EXITED || m->kind == CTL_SOCKETED;
    bool with_fd = m->kind == CTL_TERMINAL || m->kind == CTL_SOCKETED;
    if (!known || n != (with_fd ? 1 : 0))
        return false;
    if (!r) // it was given up meanwhile
        return true;
    if (m->kind == CTL_TERMINAL && r->state == RELAY_STARTING) {
        if (ends_one(&r->ends, fd_take(&fds[0]), true, &err) != ERR_OK)
            lose(s, r);
    } else if (m->kind == CTL_STARTED && (r->state == RELAY_LOST || !up(s, r))) {
        lose(s, r); // before it had a process to be killed, perhaps
    } else if (m->kind == CTL_FAILED) {
        failed(s, r, m);
    } else if (m->kind == CTL_EXITED) {
        exited(s, r, m->value);
    } else if (m->kind == CTL_SOCKETED) {
        socketed(s, r, &fds[0]);
    }
    return true;
}

// ---- moving

static void take_frame(struct session *s, struct relay *r, const GATEWAY(RelayFrame) * f)
{
    struct ends *ends = r->kind == RELAY_ATTACH ? &s->main.ends : &r->ends;
    if (r->kind == RELAY_ATTACH && r->read_only)
        return;
    switch ((int)f->payload_case) { // newer fields than ours are passed over
    case GW_CASE(RELAY_FRAME__PAYLOAD_DATA):
        ends_input(ends, (struct str){(const char *)f->data.data, f->data.len});
        break;
    case GW_CASE(RELAY_FRAME__PAYLOAD_END_OF_INPUT):
        if (f->end_of_input)
            ends_input_end(ends);
        break;
    case GW_CASE(RELAY_FRAME__PAYLOAD_RESIZE):
        ends_resize(ends, f->resize->cols, f->resize->rows);
        break;
    case GW_CASE(RELAY_FRAME__PAYLOAD_SIGNAL):
        if (r->kind != RELAY_PORT && f->signal > 0 && f->signal < NSIG)
            session_signal(s, r->command, (int)f->signal);
        break;
    case GW_CASE(RELAY_FRAME__PAYLOAD_INIT):
    case GW_CASE(RELAY_FRAME__PAYLOAD_ERROR_DATA):
    case GW_CASE(RELAY_FRAME__PAYLOAD_EXIT_CODE):
    case GW_CASE(RELAY_FRAME__PAYLOAD__NOT_SET):
    default:
        break; // they go the other way
    }
}

// False: the call has ended, with or without what it still had to say.
static bool take_frames(struct session *s, struct relay *r)
{
    const struct ends *ends = r->kind == RELAY_ATTACH ? &s->main.ends : &r->ends;
    for (int i = 0; r->read_only || ends_has_room(ends); i++) {
        if (i == FRAMES_MAX) {
            s->again = true;
            return true;
        }
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, FRAME_ARENA);
        ProtobufCMessage *m = NULL;
        bool end = false;
        struct err ignored;
        if (rpc_read(r->call, RPC_QUEUE, &a, &m, &end, &ignored) != ERR_OK || end)
            return false;
        if (!m)
            return true;
        const GATEWAY(RelayFrame) *f = (const GATEWAY(RelayFrame) *)(const void *)m;
        take_frame(s, r, f);
        if (f->payload_case == GW_CASE(RELAY_FRAME__PAYLOAD_SIGNAL))
            i = FRAMES_MAX - 1; // one in a turn: init must keep up with them
    }
    return !rpc_has_ended(r->call);
}

static void give_output(struct relay *r)
{
    char b[ENDS_CHUNK];
    for (enum ends_which which = ENDS_OUT; which <= ENDS_ERR; which++)
        for (int i = 0; i < FRAMES_MAX && rpc_has_room(r->call); i++) {
            size_t n = 0;
            enum ends_got got = ends_read(&r->ends, which, b, &n);
            if (got == ENDS_BYTES)
                (void)put_data(r, which == ENDS_ERR ? RING_ERR : RING_OUT, b, n);
            if (got == ENDS_NOTHING && r->exited && deadline_passed(r->drain_by_ns))
                fd_close(&r->ends.fd[which]); // a descendant still has it
            if (got != ENDS_BYTES)
                break;
            if (r->exited && (r->drained += n) > DRAIN_BYTES)
                fd_close(&r->ends.fd[which]);
        }
}

static void give_replay(struct session *s, struct relay *r)
{
    char b[RING_RECORD_MAX];
    bool lost = false;
    for (int i = 0; i < FRAMES_MAX && rpc_has_room(r->call); i++) {
        enum ring_source source = RING_OUT;
        size_t n = 0;
        if (!ring_read(&s->main.ring, &r->at, &source, b, &n, &lost))
            break;
        (void)put_data(r, source, b, n);
    }
    if (lost) {
        put_note(r, "this reader fell behind by more than is kept; attach again");
        rpc_write_end(r->call);
        r->state = RELAY_CLOSING;
        r->close_by_ns = deadline_in_ms(CLOSE_MS);
    } else if (main_is_quiet(s) && r->at == s->main.ring.newest && rpc_has_room(r->call)) {
        put_end(r, s->main.exit_code);
    }
}

static void check_time(struct session *s, struct relay *r)
{
    if (r->exited || !deadline_passed(r->timeout_ns))
        return;
    session_signal(s, r->command, r->timed_out ? SIGKILL : SIGTERM);
    r->timeout_ns = r->timed_out ? DEADLINE_NEVER : deadline_in_ms(KILL_MS);
    r->timed_out = true;
}

static void move_port(struct session *s, struct relay *r, const struct pollfd *p)
{
    if (r->state == RELAY_STARTING) {
        int failed = 0;
        socklen_t size = sizeof(failed);
        if (r->at_connect < 0 || !p[r->at_connect].revents)
            return;
        (void)getsockopt(r->ends.fd[ENDS_IN], SOL_SOCKET, SO_ERROR, &failed, &size);
        if (failed) {
            char why[100];
            (void)snprintf(why, sizeof(why), "port %u: %s", r->to.port, fd_strerror(failed));
            refuse(s, r->channel, why);
        }
        if (failed || !up(s, r))
            relay_free(s, r);
        return;
    }
    give_output(r);
    if (ends_is_silent(&r->ends) && !r->out_ended) {
        rpc_write_end(r->call);
        r->out_ended = true;
    }
}

static void move(struct session *s, struct relay *r, const struct pollfd *p)
{
    if (ends_is_ready(&r->ends, ENDS_IN, p) && r->state != RELAY_STARTING)
        ends_feed(&r->ends);
    check_time(s, r);
    if (r->state == RELAY_LOST || (r->state == RELAY_STARTING && r->kind != RELAY_PORT))
        return;
    if (r->state != RELAY_STARTING && !take_frames(s, r)) {
        lose(s, r);
        return;
    }
    if (r->state == RELAY_CLOSING) {
        if (deadline_passed(r->close_by_ns))
            relay_free(s, r);
        return;
    }
    if (r->kind == RELAY_PORT) {
        move_port(s, r, p);
    } else if (r->kind == RELAY_ATTACH) {
        give_replay(s, r);
    } else {
        give_output(r);
        if (r->exited && ends_is_silent(&r->ends))
            put_end(r, r->exit_code);
    }
}

void relays_move(struct session *s, const struct pollfd *p)
{
    for (size_t i = 0; i < RELAYS_MAX; i++)
        if (s->relays[i])
            move(s, s->relays[i], p);
}

static void earlier(int64_t *deadline_ns, int64_t other_ns)
{
    if (other_ns < *deadline_ns)
        *deadline_ns = other_ns;
}

size_t relays_poll(struct session *s, struct pollfd *p, size_t n, int64_t *deadline_ns)
{
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *r = s->relays[i];
        if (!r)
            continue;
        bool has_room = r->call && rpc_has_room(r->call);
        r->at_connect = -1;
        if (r->kind == RELAY_PORT && r->state == RELAY_STARTING && r->ends.fd[ENDS_IN] >= 0) {
            r->at_connect = (short)n;
            p[n++] = (struct pollfd){.fd = r->ends.fd[ENDS_IN], .events = POLLOUT};
        } else {
            n = ends_poll(&r->ends, p, n, r->state == RELAY_OPEN && has_room);
        }
        if (!r->exited)
            earlier(deadline_ns, r->timeout_ns);
        if (r->kind == RELAY_ATTACH && r->state == RELAY_OPEN && has_room && r->at < s->main.ring.newest)
            *deadline_ns = 0; // no descriptor tells of what is in the ring
        if (r->state == RELAY_CLOSING)
            earlier(deadline_ns, r->close_by_ns);
        if (r->kind == RELAY_EXEC && r->exited && r->state == RELAY_OPEN && has_room)
            earlier(deadline_ns, r->drain_by_ns);
    }
    return n;
}
