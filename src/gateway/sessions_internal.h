// gateway/sessions_internal.h: what sessions.c (who is connected), session_push.c (configuration on its way),
// session_notes.c (telling others) and relays.c share. All of it is the loop's, but for what says otherwise.
#pragma once
#include "gateway/ids.h"
#include "gateway/sessions.h"

enum { SESSIONS_BUCKETS = 4096 }; // 10,000 supervisors are two or three to a bucket

struct push; // session_push.c

struct session {
    struct sessions *owner;
    struct rpc_request *r;
    struct session *next;                                   // in its bucket
    struct session *beat_next, *beat_prev;                  // of all that were accepted, by beat_ns
    struct push *pushes;                                    // that have no answer yet, the oldest first
    int64_t beat_ns;                                        // when it gets a heartbeat
    enum { SESSION_NEW, SESSION_ASKING, SESSION_ON } state; // before hello; asking the store; accepted
    char id[ID_SIZE];
    char sandbox_id[SESSION_ID_MAX + 1];
};

struct sessions {
    struct sessions_ops ops;
    struct rpc_server *server;
    uv_loop_t *loop;
    uv_timer_t beat, relay_timer;
    struct session *beat_first, *beat_last;
    struct teller *tellers[SESSIONS_BUCKETS]; // session_notes.c
    struct relay *relays;                     // relays.c
    size_t relays_pending;
    struct forward *forwards; // forward.c
    int64_t relay_due_ns;     // when relay_timer fires; DEADLINE_NEVER: it does not
    uint64_t push_id;         // the last one
    bool stopping;
    uv_mutex_t lock;                           // guards the buckets; only the loop changes them
    struct session *buckets[SESSIONS_BUCKETS]; // the session that counts of each sandbox
};

// The session that counts, or NULL. Loop, or under the lock.
struct session *session_find(struct sessions *s, struct str sandbox_id) NONNULL;
// ERR_LIMIT: it does not fit now; `writable` will come.
enum err_code session_send(struct session *ss, Openshell__V1__GatewayMessage *m, struct err *reterr) NONNULL;
[[nodiscard]] size_t sessions_bucket(struct str sandbox_id);

// session_push.c
void pushes_writable(struct session *ss) NONNULL;
void pushes_answer(struct session *ss, const Openshell__V1__ConfigResult *result) NONNULL;
void pushes_end(struct session *ss, const char *why) NONNULL;

// session_notes.c
void notes_connected(struct sessions *s, struct str sandbox_id,
                     const Openshell__V1__SupervisorHello *hello) NONNULL;
void notes_disconnected(struct sessions *s, struct str sandbox_id) NONNULL;

// relays.c
void relays_session(struct session *ss) NONNULL;  // there is one, or a newer one: asks it for what waits
void relays_writable(struct session *ss) NONNULL; // asks for what did not fit
void relays_lost(struct sessions *s, struct str sandbox_id) NONNULL; // there is none any more
void relays_drop(struct sessions *s, struct str sandbox_id,
                 const char *why) NONNULL; // ends all of the sandbox's
void relays_refused(struct sessions *s, struct str sandbox_id, struct str channel, const char *why) NONNULL;
void relays_on_timer(uv_timer_t *timer) NONNULL;
