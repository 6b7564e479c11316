// supervisor/session/internal.h: the session's parts, for each other.
//
//   session.c  the connection: dialled, greeted, lost, dialled again; what the gateway says on its stream
//   config.c   the gateway's messages as what the launcher works with
//   relay.c    relays: commands, attached readers, ports
//   main.c     the main process and its replay
//   token.c    by what the gateway knows us
//   report.c   what the gateway is told until it has heard it; events on their way to it
#pragma once
#include "base/secret.h"
#include "rpc/dial.h"
#include "supervisor/control.h"
#include "supervisor/launcher.h"
#include "supervisor/session/ends.h"
#include "supervisor/session/session.h"

#include "openshell.pb-c.h"

#define GATEWAY(name) Openshell__V1__##name
#define GW_CASE(name) OPENSHELL__V1__##name

enum {
    RELAYS_MAX = CTL_COMMANDS_MAX - 1,
    CHANNEL_MAX = 64,   // bytes of a channel's id, a UUID
    REVISION_SIZE = 72, // of an inference bundle, a hash in hex
    INSTANCE_SIZE = 37, // a UUID and the NUL
    SESSION_COLS = 80,  // of a terminal whose size nobody names; reference: gateway 3.5
    SESSION_ROWS = 24,
    DRAIN_MS = 500,          // after a command has ended, for its output to end; reference: gateway 3.5
    MESSAGE_ARENA = 4 * MIB, // of one message of the gateway, unpacked
};

struct relay;

// ---- main.c

struct main_process {
    struct ends ends;
    struct ring ring;
    enum main_state { MAIN_NEW, MAIN_STARTING, MAIN_RUNNING, MAIN_ENDED } state;
    int exit_code;       // once ended
    int64_t drain_by_ns; // then its output is taken for complete
    struct relay *owner; // of its input
    bool held;           // a reader is waited for
};

// Sends a command to init; without a terminal, *ends has our ends of its pipes.
enum err_code session_exec(struct session *s, uint32_t command, const struct command_spec *spec,
                           struct ends *ends, struct err *e) NONNULL;
void session_signal(struct session *s, uint32_t command, int sig) NONNULL;
[[nodiscard]] int session_exit_code(int wait_status);

enum err_code main_start(struct session *s, struct err *e) NONNULL;
bool main_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n) NONNULL;
void main_move(struct session *s, const struct pollfd *p) NONNULL;
// Whether a reader needs a moment before more is taken; *deadline_ns is when it no longer counts.
[[nodiscard]] bool main_is_held(struct session *s, int64_t *deadline_ns) NONNULL;
[[nodiscard]] bool main_is_quiet(
    const struct session *s) NONNULL; // it has ended, and all that it said is in the ring

// ---- relay.c

enum relay_kind { RELAY_EXEC, RELAY_ATTACH, RELAY_PORT };
enum relay_state {
    RELAY_STARTING, // init was asked, or connect() is under way
    RELAY_OPEN,     // its call is open
    RELAY_CLOSING,  // everything was said: the gateway ends the call
    RELAY_LOST,     // nobody is there any more: the command was killed, and its end will be told
    RELAY_STATES
};

struct relay {
    enum relay_kind kind;
    enum relay_state state;
    char channel[CHANNEL_MAX + 1];
    uint32_t command; // its number at init; attached: 0
    struct rpc_client_call *call;
    struct ends ends;   // not of an attached one, which uses the main process's
    short at_connect;   // in the poll array, while a port is connected to; else -1
    size_t drained;     // bytes since the command has ended
    uint64_t at;        // attached: position in the ring
    bool read_only;     // attached
    int64_t hold_by_ns; // attached: until then the main process waits for it; 0: it keeps up
    bool exited, timed_out, out_ended;
    int exit_code;
    int64_t drain_by_ns, timeout_ns, close_by_ns;
    struct {
        int family;
        char host[46];
        uint16_t port;
    } to; // a port
};

void relay_ask(struct session *s, const GATEWAY(RelayOpen) * m) NONNULL;
bool relay_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n) NONNULL;
void relays_move(struct session *s, const struct pollfd *p) NONNULL;
void relays_lose(struct session *s) NONNULL; // the connection is gone
[[nodiscard]] size_t relays_poll(struct session *s, struct pollfd *p, size_t n, int64_t *deadline_ns) NONNULL;

// ---- report.c

struct report { // one unary call, made again until it is answered
    bool due;
    struct rpc_client_call *call;
    int64_t at_ns, backoff_ms;
};

enum { EVENT_TEXT_MAX = 8 * KIB }; // of one line; ours

struct event_queue {
    struct ring ring;
    uint64_t at, read;   // position of the next record, and how many came before it
    uint64_t lost;       // lines that will not get there, and nobody has been told
    int64_t flush_by_ns; // DEADLINE_NEVER: nothing waits
    int64_t retry_ns;
    size_t waiting;
    bool off; // the gateway does not take them
    struct rpc_client_call *call;
};

void reports_move(struct session *s) NONNULL;
void reports_lose(struct session *s) NONNULL;
[[nodiscard]] int64_t reports_next_ns(const struct session *s) NONNULL;

// ---- token.c

// Sets s->meta: a token that the gateway gave, else that of the file. ERR_INVALID: it is none.
enum err_code token_take(struct session *s, struct err *e) NONNULL;
void token_heard(struct session *s, const GATEWAY(RefreshSandboxTokenResponse) * m) NONNULL;
// How long a token is used before another one is asked for.
[[nodiscard]] int64_t token_life_ms(int64_t expires_at_ms, int64_t now_ms, size_t token_n);

// ---- config.c

// The text of a message's policy. ERR_UNSUPPORTED, ERR_INVALID: it says what cannot be enforced.
enum err_code config_policy(const Openshell__Sandbox__V1__GetSandboxConfigResponse *m, struct buf *out,
                            struct err *e) NONNULL;
enum err_code config_launch(const Openshell__Sandbox__V1__GetSandboxConfigResponse *m, struct arena *a,
                            struct session_launch *ret, struct err *e) NONNULL;
// The environment of a command: that of the main process (NULL: of itself), and in its place what the gateway
// asks for.
enum err_code config_env(const struct session *s, const GATEWAY(ExecRelayTarget) * m, struct arena *a,
                         struct strs *ret, struct err *e) __attribute__((nonnull(1, 3, 4, 5)));

// ---- session.c

struct session {
    struct session_opts opts;
    char instance[INSTANCE_SIZE];
    struct launcher *launcher; // NULL until session_begin()

    struct rpc_client *client;    // NULL: not connected
    struct rpc_client_call *call; // ConnectSupervisor
    struct secret bearer;
    bool token_fresh; // it is the gateway's, not the file's
    struct rpc_field field;
    struct rpc_meta meta;
    bool accepted, told_lost;
    int64_t accept_by_ns, retry_ns, backoff_ms, heartbeat_ns, heartbeat_every_ns;

    uint32_t version; // of the policy in force
    uint64_t revision, provider_revision;
    char inference_revision[REVISION_SIZE];

    struct main_process main;
    struct relay *relays[RELAYS_MAX];
    uint32_t last_command;
    bool again;         // there is more to do than one turn does
    int64_t stop_by_ns; // 0: nobody has said so

    struct report exit_report, policy_report, token_report;
    uint32_t reported_version;
    char policy_error[400]; // of policy_report; empty: it is in force
    struct event_queue events;
};

// ---- provisions.c

// Routes to models, before the sandbox is built, and from a push.
enum err_code routes_ask(struct session *s, struct err *e) NONNULL;
enum err_code routes_take(struct session *s, Openshell__Inference__V1__GetInferenceBundleResponse *m,
                          struct err *e) NONNULL;

// Something to the gateway on the session's stream; lost where there is none.
void session_say(struct session *s, const GATEWAY(SupervisorMessage) * m) NONNULL;
