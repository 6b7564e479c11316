// gateway/sessions.h: the supervisors that are connected, what is pushed to them, and the relays into their
// sandboxes.
//
// A session is one ConnectSupervisor stream; the newest of a sandbox is the one that counts. It lives on the
// loop. Workers ask through the functions marked "worker", which wait for the loop, and for the supervisor.
#pragma once
#include "rpc/serve.h"

#include "openshell.pb-c.h"

struct sessions;

enum {
    SESSION_ID_MAX = 63,           // bytes of a sandbox's id
    SESSIONS_HEARTBEAT_S = 15,     // reference: gateway 3.5
    SESSIONS_RELAYS_PENDING = 256, // ditto
    SESSIONS_RELAYS_OF_ONE = 32,   // ditto: pending, of one sandbox
    SESSIONS_CLAIM_MS = 10'000,    // ditto: until the supervisor has opened a RelayStream
};

// Both run on a worker, one after the other for each sandbox. Either may be NULL.
struct sessions_ops {
    void (*connected)(void *ctx, struct str sandbox_id, const Openshell__V1__SupervisorHello *hello);
    void (*disconnected)(void *ctx, struct str sandbox_id); // none is left
    void *ctx;
};

enum err_code sessions_new(const struct sessions_ops *ops, struct sessions **ret, struct err *reterr) NONNULL;
void sessions_attach(struct sessions *s, struct rpc_server *server, uv_loop_t *loop) NONNULL;
// On the loop, when the gateway begins to end: sessions end and are not begun, nobody is told of it (a
// sandbox survives its gateway), and what is on the loop of it goes. Twice is fine.
void sessions_stop(struct sessions *s) NONNULL;
void sessions_free(struct sessions *s); // after the loop has ended; NULL is fine

// Any thread: a moment's answer.
[[nodiscard]] bool sessions_has(struct sessions *s, struct str sandbox_id) NONNULL;
// Any thread: ends the session, as when the sandbox was stopped.
void sessions_drop(struct sessions *s, struct str sandbox_id) NONNULL;

struct push_result {
    uint32_t policy_version;  // in force now
    uint32_t connections_cut; // by it
    char error[400];          // empty, or why the supervisor refused it
};

// Worker: sends what changed and waits until it is in force. push_id is set here. ERR_UNAVAILABLE: no
// session, or it ended; ERR_TIMEOUT. A refusal is ERR_OK with ret->error.
enum err_code sessions_push(struct sessions *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                            int64_t deadline_ns, struct push_result *ret, struct err *reterr) NONNULL;

void sessions_connect(struct rpc_request *r) NONNULL; // the handler of ConnectSupervisor
