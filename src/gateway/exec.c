#include "gateway/exec.h"

#include "gateway/check.h"
#include "gateway/lookup.h"
#include "gateway/relay_call.h"
#include "gateway/services.h"

enum { EXEC_ARENA_MAX = 8 * MIB }; // a request of 1 MiB, and what it becomes as messages

struct exec {
    struct relay_call call;                       // first
    struct arena arena;                           // of what follows
    const Openshell__V1__ExecSandboxRequest *req; // NULL: not there yet
    Openshell__V1__RelayOpen ask;
    Openshell__V1__ExecRelayTarget target;
};

// ---- what may be asked for

static enum err_code check_variable(struct str key, struct str value, size_t *total, struct err *reterr)
{
    if (!str_eq(key, STR("OPENSHELL_PYFUNC_B64"))) { // the Python SDK's
        enum err_code c = check_env(key, STR(""), reterr);
        if (c != ERR_OK)
            return c;
    }
    if (value.n > EXEC_ARG_MAX || str_has(value, '\r') || str_has(value, '\n'))
        return err_set(reterr, ERR_INVALID, "variable %.*s: a value has at most %d bytes and no line break",
                       STR_FMT(key), EXEC_ARG_MAX);
    *total += key.n + value.n + 2;
    return ERR_OK;
}

static enum err_code check_attach(const Openshell__V1__ExecSandboxRequest *req, struct err *reterr)
{
    if (req->n_command > 0 || req->workdir[0] || req->n_environment > 0 || req->timeout_seconds > 0)
        return err_set(
            reterr, ERR_INVALID,
            "attach_main is for the main process, which has its command, workdir, environment and time");
    if (req->read_only && req->stdin.len > 0)
        return err_set(reterr, ERR_INVALID, "read_only takes no input");
    return ERR_OK;
}

enum err_code exec_check(const Openshell__V1__ExecSandboxRequest *req, struct err *reterr)
{
    size_t total = strlen(req->workdir);
    if (!req->sandbox_id[0])
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    if (req->cols > EXEC_SIDE_MAX || req->rows > EXEC_SIDE_MAX)
        return err_set(reterr, ERR_INVALID, "a terminal has at most %d columns and rows", EXEC_SIDE_MAX);
    if (req->attach_main)
        return check_attach(req, reterr);
    if (req->read_only)
        return err_set(reterr, ERR_INVALID, "read_only is for attach_main");
    if (req->n_command == 0 || !req->command[0][0])
        return err_set(reterr, ERR_INVALID, "command is required");
    if (req->n_command > EXEC_ARGS_MAX)
        return err_set(reterr, ERR_INVALID, "%zu arguments, the limit is %d", req->n_command, EXEC_ARGS_MAX);
    for (size_t i = 0; i < req->n_command; i++) {
        size_t n = strlen(req->command[i]);
        if (n > EXEC_ARG_MAX)
            return err_set(reterr, ERR_INVALID, "argument %zu has %zu bytes, the limit is %d", i, n,
                           EXEC_ARG_MAX);
        total += n + 1;
    }
    if (strlen(req->workdir) > EXEC_WORKDIR_MAX || strpbrk(req->workdir, "\r\n"))
        return err_set(reterr, ERR_INVALID, "workdir has at most %d bytes and no line break",
                       EXEC_WORKDIR_MAX);
    for (size_t i = 0; i < req->n_environment; i++) {
        enum err_code c = check_variable(str_of(req->environment[i]->key), str_of(req->environment[i]->value),
                                         &total, reterr);
        if (c != ERR_OK)
            return c;
    }
    if (total > EXEC_COMMAND_MAX)
        return err_set(reterr, ERR_INVALID, "the command has %zu bytes, the limit is %d", total,
                       EXEC_COMMAND_MAX);
    return ERR_OK;
}

// ---- frames and messages

union room {
    struct {
        Openshell__V1__ExecSandboxEvent event;
        union {
            Openshell__V1__ExecSandboxStdout out;
            Openshell__V1__ExecSandboxStderr error;
            Openshell__V1__ExecSandboxExit exit;
        };
    };
};
static_assert(sizeof(union room) <= RELAY_CALL_ROOM, "what `output` builds fits");

static ProtobufCMessage *output(struct relay_call *c, const Openshell__V1__RelayFrame *frame, void *space)
{
    union room *room = space;
    openshell__v1__exec_sandbox_event__init(&room->event);
    switch (frame->payload_case) {
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA:
        openshell__v1__exec_sandbox_stdout__init(&room->out);
        room->out.data = frame->data;
        room->event.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT;
        room->event.stdout = &room->out;
        return frame->data.len > 0 ? &room->event.base : NULL;
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_ERROR_DATA:
        openshell__v1__exec_sandbox_stderr__init(&room->error);
        room->error.data = frame->error_data;
        room->event.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDERR;
        room->event.stderr = &room->error;
        return frame->error_data.len > 0 ? &room->event.base : NULL;
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_EXIT_CODE:
        openshell__v1__exec_sandbox_exit__init(&room->exit);
        room->exit.exit_code = frame->exit_code;
        room->event.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT;
        room->event.exit = &room->exit;
        relay_call_over(c);
        return &room->event.base;
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD__NOT_SET: // of a newer interface
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_INIT:     // these are never sent this way
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_RESIZE:
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_SIGNAL:
    case OPENSHELL__V1__RELAY_FRAME__PAYLOAD_END_OF_INPUT:
    case _OPENSHELL__V1__RELAY_FRAME__PAYLOAD__CASE_IS_INT_SIZE:
    default:
        return NULL;
    }
}

static enum err_code resize(struct exec *ex, const Openshell__V1__ExecSandboxWindowResize *size,
                            struct err *reterr)
{
    Openshell__V1__RelayFrame f = OPENSHELL__V1__RELAY_FRAME__INIT;
    Openshell__V1__RelayResize to = OPENSHELL__V1__RELAY_RESIZE__INIT;
    if (size->cols > EXEC_SIDE_MAX || size->rows > EXEC_SIDE_MAX)
        return err_set(reterr, ERR_INVALID, "a terminal has at most %d columns and rows", EXEC_SIDE_MAX);
    if (!ex->req->tty && !ex->req->attach_main)
        return ERR_OK; // there is nothing to resize
    to.cols = size->cols;
    to.rows = size->rows;
    f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_RESIZE;
    f.resize = &to;
    return relay_call_control(&ex->call, &f, reterr);
}

static enum err_code input(struct relay_call *c, const ProtobufCMessage *message, struct err *reterr)
{
    struct exec *ex = (struct exec *)c;
    const Openshell__V1__ExecSandboxInput *m = (const Openshell__V1__ExecSandboxInput *)message;
    Openshell__V1__RelayFrame f = OPENSHELL__V1__RELAY_FRAME__INIT;
    switch (m->payload_case) {
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_STDIN:
        if (ex->req->read_only)
            return err_set(reterr, ERR_INVALID, "read_only takes no input");
        return relay_call_input(c, (struct str){(const char *)m->stdin.data, m->stdin.len}, reterr);
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_RESIZE:
        return resize(ex, m->resize, reterr);
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_SIGNAL:
        if (m->signal < 1 || m->signal > 64)
            return err_set(reterr, ERR_INVALID, "%u is no signal: 1 to 64", m->signal);
        if (ex->req->read_only)
            return err_set(reterr, ERR_INVALID, "read_only sends no signals");
        f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_SIGNAL;
        f.signal = m->signal;
        return relay_call_control(c, &f, reterr);
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_END_OF_INPUT:
        if (m->end_of_input)
            relay_call_input_end(c);
        return ERR_OK;
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START:
        return err_set(reterr, ERR_INVALID, "a second start payload");
    case OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD__NOT_SET: // of a newer interface
    case _OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD__CASE_IS_INT_SIZE:
    default:
        return ERR_OK;
    }
}

static void opened(struct relay_call *c)
{
    const struct exec *ex = (const struct exec *)c;
    if (ex->req->timeout_seconds > 0)
        relay_deadline(c->relay, deadline_in_ms(((int64_t)ex->req->timeout_seconds + EXEC_GRACE_S) * 1000));
}

static void lost(struct relay_call *c, enum rpc_code code, const char *why)
{
    const struct exec *ex = (const struct exec *)c;
    Openshell__V1__RelayFrame f = OPENSHELL__V1__RELAY_FRAME__INIT;
    if (code == RPC_OK) {
        relay_call_fail(c, RPC_UNAVAILABLE, "the command has ended without an exit status");
    } else if (code == RPC_DEADLINE_EXCEEDED && c->is_open && ex->req->timeout_seconds > 0) {
        f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_EXIT_CODE;
        f.exit_code = EXEC_TIMED_OUT;
        relay_call_frame(c, &f);
    } else {
        relay_call_fail(c, code, why);
    }
}

static void release(struct relay_call *c)
{
    struct exec *ex = (struct exec *)c;
    arena_done(&ex->arena);
    free(ex);
}

static const struct relay_call_kind exec_kind = {.output = output,
                                                 .input = input,
                                                 .opened = opened,
                                                 .lost = lost,
                                                 .release = release};

// ---- beginning

static bool fill_target(struct exec *ex)
{
    const Openshell__V1__ExecSandboxRequest *req = ex->req;
    Openshell__V1__ExecRelayTarget *t = &ex->target;
    openshell__v1__exec_relay_target__init(t);
    t->command = req->command;
    t->n_command = req->n_command;
    t->workdir = req->workdir;
    t->tty = req->tty;
    t->cols = req->cols;
    t->rows = req->rows;
    t->timeout_seconds = req->timeout_seconds;
    t->attach_main = req->attach_main;
    t->read_only = req->read_only;
    t->environment = arena_newn(&ex->arena, Openshell__V1__ExecRelayTarget__EnvironmentEntry *,
                                req->n_environment);
    for (size_t i = 0; t->environment && i < req->n_environment; i++) {
        Openshell__V1__ExecRelayTarget__EnvironmentEntry
            *e = arena_new(&ex->arena, Openshell__V1__ExecRelayTarget__EnvironmentEntry);
        if (!e)
            return false;
        openshell__v1__exec_relay_target__environment_entry__init(e);
        e->key = req->environment[i]->key;
        e->value = req->environment[i]->value;
        t->environment[t->n_environment++] = e;
    }
    openshell__v1__relay_open__init(&ex->ask);
    ex->ask.target_case = OPENSHELL__V1__RELAY_OPEN__TARGET_EXEC;
    ex->ask.exec = t;
    return t->environment != NULL;
}

static void looked_up(struct rpc_request *r, const struct err *failed)
{
    struct exec *ex = rpc_request_user(r);
    if (failed)
        relay_call_fail_err(&ex->call, failed, RPC_OK);
    else
        relay_call_open(&ex->call, str_of(ex->req->sandbox_id), &ex->ask);
}

// The first message, which is borrowed: what is needed of it is copied.
static enum err_code take(struct exec *ex, const Openshell__V1__ExecSandboxRequest *req, struct err *reterr)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, EXEC_ARENA_MAX);
    ProtobufCMessage *copy = NULL;
    enum err_code c = exec_check(req, reterr);
    if (c == ERR_OK)
        c = wire_pack(&req->base, &bytes, reterr);
    if (c == ERR_OK)
        c = wire_unpack(&openshell__v1__exec_sandbox_request__descriptor, buf_str(&bytes), &ex->arena, &copy,
                        reterr);
    if (c != ERR_OK)
        return c;
    ex->req = (const Openshell__V1__ExecSandboxRequest *)copy;
    if (!fill_target(ex))
        return arena_limit(&ex->arena, "a command", reterr);
    c = relay_call_input(&ex->call, (struct str){(const char *)req->stdin.data, req->stdin.len}, reterr);
    if (!ex->call.in_stream || req->read_only)
        relay_call_input_end(&ex->call);
    return c;
}

static void begin(struct exec *ex, const Openshell__V1__ExecSandboxRequest *req)
{
    const struct services *services = rpc_request_ctx(ex->call.client);
    struct err err = {};
    enum err_code c = take(ex, req, &err);
    if (c == ERR_OK && !services->sessions)
        c = err_set(&err, ERR_UNAVAILABLE, "supervisor session not connected");
    if (c != ERR_OK)
        relay_call_fail_err(&ex->call, &err, RPC_OK);
    else
        lookup_ready(services->sessions, ex->call.client, str_of(ex->req->sandbox_id), looked_up);
}

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct exec *ex = rpc_request_user(r);
    const Openshell__V1__ExecSandboxInput *m = (const Openshell__V1__ExecSandboxInput *)message;
    if (ex->req)
        relay_call_message(&ex->call, message);
    else if (!ex->call.in_stream)
        begin(ex, (const Openshell__V1__ExecSandboxRequest *)message);
    else if (m->payload_case != OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START)
        relay_call_fail(&ex->call, RPC_INVALID_ARGUMENT, "first message must be a start payload");
    else
        begin(ex, m->start);
}

static void on_end(struct rpc_request *r)
{
    struct exec *ex = rpc_request_user(r);
    if (ex->call.in_stream && !ex->req)
        relay_call_fail(&ex->call, RPC_INVALID_ARGUMENT, "first message must be a start payload");
    else if (ex->call.in_stream)
        relay_call_client_end(&ex->call);
}

static void on_writable(struct rpc_request *r)
{
    relay_call_writable(rpc_request_user(r));
}

static void on_closed(struct rpc_request *r)
{
    relay_call_closed(rpc_request_user(r));
}

static const struct rpc_stream_ops client_ops = {.message = on_message,
                                                 .end = on_end,
                                                 .writable = on_writable,
                                                 .closed = on_closed};

static void start(struct rpc_request *r, bool in_stream)
{
    struct err err = {};
    struct exec *ex = calloc(1, sizeof(*ex));
    if (!ex) {
        err_fill(&err, ERR_LIMIT, "no memory for the call");
        rpc_request_finish_err(r, &err);
        return;
    }
    relay_call_init(&ex->call, &exec_kind, r);
    ex->call.in_stream = in_stream;
    arena_init(&ex->arena, EXEC_ARENA_MAX);
    rpc_request_begin(r, &client_ops, ex);
    rpc_request_want(r, 1); // the first one; ExecSandbox's is wanted anyway
}

void exec_sandbox(struct rpc_request *r)
{
    start(r, false);
}

void exec_sandbox_interactive(struct rpc_request *r)
{
    start(r, true);
}
