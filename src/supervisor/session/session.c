#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/credentials.h"
#include "supervisor/events/event.h"
#include "supervisor/reload.h"
#include "supervisor/session/internal.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_LAST_MS = 2000,
    CONNECT_MS = 10'000, // reference: policy 9.1
    ACCEPT_MS = 10'000,
    HEARTBEAT_MIN_S = 5, // reference: policy 9.3
    STOP_MS = 5000,      // between the signal and the end
    EVENTS_MAX = 256 * KIB,
    MESSAGES_MAX = 16, // of the gateway in one turn
    REFUSE_MS = 3000,
    ANSWER_MAX = 8 * MIB, // GetSandboxConfig, unpacked
};

// Many streams with little in each, and a peer that is asked soon whether it is there.
static const struct rpc_config config = {.message_max = 1 * MIB,
                                         .queue_max = 128 * KIB,
                                         .header_max = 16 * KIB,
                                         .window = 64 * KIB,
                                         .streams_max = 0,
                                         .ping_ns = 10'000'000'000, // reference: policy 9.1
                                         .ping_timeout_ns = 20'000'000'000,
                                         .control_burst = 1000,
                                         .control_rate = 200};

static_assert(ENDS_PIECE_MAX >= 1 * MIB, "a frame's data is at most a message");

// ---- made
// --------------------------------------------------------------------------------------------------------

static enum err_code uuid(char dst[static INSTANCE_SIZE], struct err *e)
{
    uint8_t b[16];
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b)) // up to 256 bytes come whole
        return err_set(e, ERR_UNAVAILABLE, "the system has no random numbers");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); // RFC 9562 section 5.4
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof(b); i++)
        at += (size_t)snprintf(dst + at, INSTANCE_SIZE - at, "%s%02x",
                               i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    return ERR_OK;
}

enum err_code session_new(const struct session_opts *opts, struct session **ret, struct err *e)
{
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, ERR_LIMIT, "no memory for a session");
    s->opts = *opts;
    s->events.flush_by_ns = DEADLINE_NEVER;
    s->events.ring.size = EVENTS_MAX;
    ends_init(&s->main.ends);
    enum err_code r = uuid(s->instance, e);
    if (r != ERR_OK) {
        session_free(s);
        return r;
    }
    *ret = s;
    return ERR_OK;
}

static void hang_up(struct session *s)
{
    rpc_close(TAKE(s->call));
    rpc_client_free(TAKE(s->client));
    s->accepted = false;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < RELAYS_MAX; i++)
        if (s->relays[i]) {
            rpc_close(s->relays[i]->call);
            ends_done(&s->relays[i]->ends);
            free(s->relays[i]);
        }
    reports_lose(s);
    hang_up(s);
    ends_done(&s->main.ends);
    ring_done(&s->main.ring);
    ring_done(&s->events.ring);
    secret_done(&s->bearer);
    free(s);
}

// ---- dialled
// -----------------------------------------------------------------------------------------------------

// What to show and whom to believe, for https://; from files that may have been renewed.
static enum err_code tls_of(const struct session *s, struct rpc_dial_opts *ret, struct err *e)
{
    const struct session_opts *o = &s->opts;
    const struct tls_files files = {.cert = o->tls_cert, .key = o->tls_key, .ca = o->tls_ca};
    *ret = (struct rpc_dial_opts){.server_name = str_of(o->tls_name)};
    if (!str_starts(str_of(o->endpoint), STR("https://")))
        return ERR_OK;
    enum err_code r = tls_side_load(&files, &ret->tls, e);
    return r == ERR_OK ? r : err_wrap(e, r, "TLS to the gateway");
}

static enum err_code dial_begin(struct session *s, struct err *e)
{
    struct rpc_dial_opts tls;
    enum err_code r = tls_of(s, &tls, e);
    if (r == ERR_OK)
        r = rpc_dial_begin_with(str_of(s->opts.endpoint), &tls, &config, &s->client, e);
    tls_side_unref(tls.tls);
    return r;
}

// The same, waiting.
static enum err_code dial_now(struct session *s, const struct rpc_wait *wait, struct err *e)
{
    struct rpc_dial_opts tls;
    enum err_code r = tls_of(s, &tls, e);
    if (r == ERR_OK)
        r = rpc_dial_with(str_of(s->opts.endpoint), &tls, &config, wait, &s->client, e);
    tls_side_unref(tls.tls);
    return r;
}

static void meta_to(struct session *s)
{
    rpc_client_set_meta(s->client, s->meta.first ? &s->meta : NULL);
}

void session_say(struct session *s, const GATEWAY(SupervisorMessage) * m)
{
    struct err ignored; // its end is seen where it is read
    if (s->call)
        (void)!rpc_write(s->call, &m->base, RPC_QUEUE, &ignored);
}

static void say_hello(struct session *s)
{
    GATEWAY(SupervisorHello) hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    GATEWAY(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    hello.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    hello.instance_id = s->instance;
    hello.policy_version = s->version;
    hello.config_revision = s->revision;
    hello.provider_env_revision = s->provider_revision;
    hello.inference_revision = s->inference_revision;
    m.payload_case = GW_CASE(SUPERVISOR_MESSAGE__PAYLOAD_HELLO);
    m.hello = &hello;
    session_say(s, &m);
}

static enum err_code dial(struct session *s, struct err *e)
{
    const struct rpc_wait wait = {DEADLINE_NEVER, -1};
    enum err_code r = token_take(s, e);
    if (r == ERR_OK)
        r = dial_begin(s, e);
    if (r != ERR_OK)
        return r;
    meta_to(s);
    r = rpc_open(s->client, RPC_OPEN_SHELL_CONNECT_SUPERVISOR, &wait, &s->call, e);
    if (r != ERR_OK)
        return r;
    say_hello(s);
    s->accept_by_ns = deadline_in_ms(ACCEPT_MS);
    return ERR_OK;
}

static void tell(struct session *s, struct str state, const char *why)
{
    char text[500];
    (void)snprintf(text, sizeof(text), "Gateway session %.*s [endpoint:%s]%s%s", STR_FMT(state),
                   s->opts.endpoint, why[0] ? " " : "", why);
    const struct event ev = {.class = EVENT_CONFIG,
                             .severity = why[0] ? EVENT_LOW : EVENT_INFO,
                             .state = state,
                             .message = str_of(text)};
    launcher_event(s->launcher, &ev);
}

// Between 100 ms and 2 s, and up to a quarter more, so that sandboxes do not come all at once.
static void wait_longer(struct session *s)
{
    uint8_t jitter = 0;
    (void)!getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK);
    s->backoff_ms = s->backoff_ms == 0                    ? BACKOFF_FIRST_MS
                    : s->backoff_ms * 2 < BACKOFF_LAST_MS ? s->backoff_ms * 2
                                                          : BACKOFF_LAST_MS;
    s->retry_ns = deadline_in_ms(s->backoff_ms + s->backoff_ms * jitter / 1024);
}

static void lost(struct session *s, const char *why)
{
    if (!s->told_lost)
        tell(s, STR("lost"), why);
    s->told_lost = true;
    relays_lose(s);
    reports_lose(s);
    hang_up(s);
    wait_longer(s);
}

// ---- the first questions
// -----------------------------------------------------------------------------------------

static enum err_code ask_config(struct session *s, struct arena *a,
                                const Openshell__Sandbox__V1__GetSandboxConfigResponse **ret, struct err *e)
{
    Openshell__Sandbox__V1__GetSandboxConfigRequest
        m = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    const struct rpc_wait wait = {deadline_in_ms(CONNECT_MS), -1};
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    hang_up(s);
    enum err_code r = token_take(s, e);
    if (r == ERR_OK)
        r = dial_now(s, &wait, e);
    if (r != ERR_OK)
        return r;
    meta_to(s);
    r = rpc_unary(s->client, RPC_OPEN_SHELL_GET_SANDBOX_CONFIG, &m.base, &wait, a, &answer, e);
    if (r == ERR_OK)
        *ret = (const Openshell__Sandbox__V1__GetSandboxConfigResponse *)(const void *)answer;
    return r;
}

// Those of the providers that are attached. A gateway without such a method has none.
static enum err_code ask_credentials(struct session *s, struct err *e)
{
    GATEWAY(GetSandboxProviderEnvironmentRequest)
    m = OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_REQUEST__INIT;
    struct arena a;
    ProtobufCMessage *answer = NULL;
    const struct rpc_wait wait = {deadline_in_ms(CONNECT_MS), -1};
    arena_init(&a, ANSWER_MAX);
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    m.supports_static_credential_bindings = true;
    enum err_code r = rpc_unary(s->client, RPC_OPEN_SHELL_GET_SANDBOX_PROVIDER_ENVIRONMENT, &m.base, &wait,
                                &a, &answer, e);
    if (r == ERR_OK) {
        GATEWAY(GetSandboxProviderEnvironmentResponse) *env = (void *)answer;
        s->provider_revision = env->provider_env_revision;
        r = credentials_set(s->opts.credentials, env, e);
    } else if (rpc_client_status(s->client)->code == RPC_UNIMPLEMENTED) {
        r = ERR_OK;
    }
    arena_wipe(&a);
    return r;
}

enum err_code session_fetch(struct session *s, int64_t deadline_ns, struct arena *a,
                            struct session_launch *ret, struct err *e)
{
    const Openshell__Sandbox__V1__GetSandboxConfigResponse *m = NULL;
    CLEANUP(arena_done) struct arena answer = {};
    enum err_code r;
    for (;;) {
        arena_done(&answer);
        arena_init(&answer, ANSWER_MAX);
        r = ask_config(s, &answer, &m, e);
        if (r == ERR_OK)
            r = ask_credentials(s, e);
        if (r == ERR_OK)
            r = routes_ask(s, e);
        wait_longer(s);
        if ((r != ERR_UNAVAILABLE && r != ERR_TIMEOUT) || s->retry_ns > deadline_ns)
            break;
        (void)poll(NULL, 0, deadline_left_ms(s->retry_ns));
    }
    s->backoff_ms = 0;
    s->retry_ns = 0;
    if (r != ERR_OK)
        return err_wrap(e, r, "asking the gateway for the sandbox's configuration");
    s->version = m->version;
    s->revision = m->config_revision;
    r = config_launch(m, a, ret, e);
    hang_up(s);
    return r;
}

void session_refuse(struct session *s, const struct err *why)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    struct err ignored; // the caller says it as well
    const struct rpc_wait wait = {deadline_in_ms(REFUSE_MS), -1};
    ProtobufCMessage *answer = NULL;
    GATEWAY(ReportPolicyStatusRequest) m = OPENSHELL__V1__REPORT_POLICY_STATUS_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    m.version = s->version;
    m.status = GW_CASE(POLICY_STATUS__POLICY_STATUS_FAILED);
    m.load_error = (char *)(uintptr_t)why->msg;
    hang_up(s);
    if (token_take(s, &ignored) != ERR_OK || dial_now(s, &wait, &ignored) != ERR_OK)
        return;
    meta_to(s);
    (void)!rpc_unary(s->client, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, &m.base, &wait, &a, &answer, &ignored);
}

// ---- what the gateway says
// ---------------------------------------------------------------------------------------

static void answer_push(struct session *s, uint64_t push_id, uint32_t cut, const char *error)
{
    GATEWAY(ConfigResult) result = OPENSHELL__V1__CONFIG_RESULT__INIT;
    GATEWAY(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    result.push_id = push_id;
    result.policy_version = s->version;
    result.connections_cut = cut;
    result.error = (char *)(uintptr_t)error;
    m.payload_case = GW_CASE(SUPERVISOR_MESSAGE__PAYLOAD_CONFIG_RESULT);
    m.config_result = &result;
    session_say(s, &m);
}

// Each part whole or not at all. What a policy refuses keeps the credentials from being changed, too.
static enum err_code apply(struct session *s, const GATEWAY(ConfigPush) * m, uint32_t *ret_cut, struct err *e)
{
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = m->config ? config_policy(m->config, &text, e) : ERR_OK;
    if (r == ERR_OK && m->config)
        r = reload_text(s->launcher, buf_str(&text), ret_cut, e);
    if (r == ERR_OK && m->config) {
        s->version = m->config->version;
        s->revision = m->config->config_revision;
    }
    if (r == ERR_OK && m->provider_environment) {
        s->provider_revision = m->provider_environment->provider_env_revision;
        r = launcher_set_credentials(s->launcher, m->provider_environment, e);
    }
    return r == ERR_OK && m->inference ? routes_take(s, m->inference, e) : r;
}

static void take_push(struct session *s, const GATEWAY(ConfigPush) * m)
{
    struct err err = {};
    uint32_t cut = 0;
    enum err_code r = apply(s, m, &cut, &err);
    answer_push(s, m->push_id, cut, r == ERR_OK ? "" : err.msg);
}

static void take_accepted(struct session *s, const GATEWAY(SessionAccepted) * m)
{
    uint32_t seconds = m->heartbeat_interval_secs;
    seconds = seconds < HEARTBEAT_MIN_S ? HEARTBEAT_MIN_S : seconds;
    s->accepted = true;
    s->told_lost = false;
    s->backoff_ms = 0;
    s->heartbeat_every_ns = (int64_t)seconds * 1'000'000'000;
    s->heartbeat_ns = clock_ns() + s->heartbeat_every_ns;
    s->token_report.due = s->meta.first && !s->token_fresh;
    tell(s, STR("connected"), "");
}

// False: the session is over.
static bool take_message(struct session *s, const GATEWAY(GatewayMessage) * m)
{
    switch ((int)m->payload_case) { // newer fields than ours are passed over
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_SESSION_ACCEPTED):
        take_accepted(s, m->session_accepted);
        return true;
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_SESSION_REJECTED):
        lost(s, m->session_rejected->reason);
        return false;
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_RELAY_OPEN):
        relay_ask(s, m->relay_open);
        return true;
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_CONFIG_PUSH):
        take_push(s, m->config_push);
        return true;
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_HEARTBEAT):
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD_RELAY_CLOSE): // its call ends; that is what counts
    case GW_CASE(GATEWAY_MESSAGE__PAYLOAD__NOT_SET):
    default:
        return true;
    }
}

static bool take_messages(struct session *s)
{
    for (int i = 0; i < MESSAGES_MAX; i++) {
        CLEANUP(arena_wipe) struct arena a; // credentials come by here
        arena_init(&a, MESSAGE_ARENA);
        ProtobufCMessage *m = NULL;
        bool end = false;
        struct err err = {};
        enum err_code r = rpc_read(s->call, RPC_QUEUE, &a, &m, &end, &err);
        if (r != ERR_OK && rpc_client_status(s->client)->code == RPC_UNAUTHENTICATED)
            s->token_fresh = false; // there may be a better one in the file
        if (r != ERR_OK || end) {
            lost(s, end ? "the gateway has ended it" : err.msg);
            return false;
        }
        if (!m)
            return true;
        if (!take_message(s, (const GATEWAY(GatewayMessage) *)(const void *)m))
            return false;
    }
    s->again = true;
    return true;
}

// ---- in the launcher's loop
// --------------------------------------------------------------------------------------

enum err_code session_begin(struct session *s, struct launcher *l, struct err *e)
{
    s->launcher = l;
    s->reported_version = s->version;
    s->policy_report.due = true;
    return main_start(s, e);
}

static int64_t earliest(const struct session *s)
{
    int64_t next = s->stop_by_ns > 0 ? s->stop_by_ns : DEADLINE_NEVER;
    int64_t all[4] = {DEADLINE_NEVER, DEADLINE_NEVER, DEADLINE_NEVER, DEADLINE_NEVER};
    if (!s->client) {
        all[0] = s->main.state < MAIN_RUNNING ? DEADLINE_NEVER : s->retry_ns;
    } else {
        all[0] = rpc_client_next_ns(s->client);
        all[1] = s->accepted ? s->heartbeat_ns : s->accept_by_ns;
        all[2] = s->accepted ? reports_next_ns(s) : DEADLINE_NEVER;
    }
    if (s->main.state == MAIN_ENDED && !s->main.held && !main_is_quiet(s))
        all[3] = s->main.drain_by_ns;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        next = all[i] < next ? all[i] : next;
    return s->again ? 0 : next;
}

size_t session_poll(struct session *s, struct pollfd *p, int64_t *ret_deadline_ns)
{
    *ret_deadline_ns = DEADLINE_NEVER;
    if (!s->launcher)
        return 0;
    size_t n = 1;
    p[0] = (struct pollfd){.fd = -1};
    if (s->client)
        p[0] = (struct pollfd){.fd = rpc_client_fd(s->client), .events = rpc_client_poll(s->client)};
    int64_t deadline_ns = DEADLINE_NEVER;
    s->main.held = main_is_held(s, &deadline_ns);
    n = ends_poll(&s->main.ends, p, n, !s->main.held);
    int64_t next_ns = earliest(s);
    deadline_ns = next_ns < deadline_ns ? next_ns : deadline_ns;
    n = relays_poll(s, p, n, &deadline_ns);
    *ret_deadline_ns = deadline_ns;
    return n;
}

static void move_connection(struct session *s)
{
    struct err err = {};
    if (s->main.state < MAIN_RUNNING)
        return; // the gateway takes a session for a sandbox that is ready
    if (!s->client) {
        if (deadline_passed(s->retry_ns) && dial(s, &err) != ERR_OK)
            lost(s, err.msg);
    } else if (rpc_client_pump(s->client, &err) != ERR_OK) {
        lost(s, err.msg);
    }
    if (!s->client || !take_messages(s))
        return;
    if (!s->accepted && deadline_passed(s->accept_by_ns)) {
        lost(s, "the gateway does not answer");
    } else if (s->accepted && deadline_passed(s->heartbeat_ns)) {
        GATEWAY(SupervisorHeartbeat) beat = OPENSHELL__V1__SUPERVISOR_HEARTBEAT__INIT;
        GATEWAY(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
        m.payload_case = GW_CASE(SUPERVISOR_MESSAGE__PAYLOAD_HEARTBEAT);
        m.heartbeat = &beat;
        session_say(s, &m);
        s->heartbeat_ns = clock_ns() + s->heartbeat_every_ns;
    }
}

void session_move(struct session *s, const struct pollfd *p)
{
    if (!s->launcher)
        return;
    s->again = false;
    main_move(s, p);
    move_connection(s);
    relays_move(s, p);
    if (s->client && s->accepted)
        reports_move(s);
    if (s->client)
        rpc_client_flush(s->client);
}

bool session_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n)
{
    bool taken = m->command > 0 ? relay_said(s, m, fds, n) : main_said(s, m, fds, n);
    if (s->client)
        rpc_client_flush(s->client); // what that gave to say
    s->again = true;                 // an end may be all that a relay waited for
    return taken;
}

bool session_stop(struct session *s, int sig)
{
    if (!s->launcher || s->main.state == MAIN_ENDED || s->main.state == MAIN_NEW)
        return false;
    session_signal(s, 0, sig);
    if (s->stop_by_ns == 0)
        s->stop_by_ns = deadline_in_ms(STOP_MS);
    return true;
}

bool session_is_over(const struct session *s)
{
    return s->stop_by_ns > 0 && (s->main.state == MAIN_ENDED || deadline_passed(s->stop_by_ns));
}
