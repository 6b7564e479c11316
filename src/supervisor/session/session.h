// supervisor/session/session.h: a sandbox that belongs to a gateway.
//
// The supervisor dials the gateway: it asks for the sandbox's configuration, and holds one stream over which
// the gateway asks for relays and pushes what changed. All of it runs in the launcher's poll loop and never
// waits. A sandbox outlives its gateway: what is lost is the connection, with the relays over it.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "supervisor/session/ring.h"

#include <poll.h>

struct credentials;
struct ctl_msg;
struct inference;
struct launcher;
struct session;

struct session_opts { // borrowed
    const char *endpoint;
    const char *sandbox_id;
    const char *token_file; // read again for each connection; NULL: `token`, or none at all
    const char *token;
    const char *tls_ca, *tls_cert, *tls_key,
        *tls_name;                   // for https://; files, read again likewise; NULL: none
    struct credentials *credentials; // of the sandbox: filled from the gateway
    struct inference *inference;     // likewise
};

// What to start, as the gateway has it. Strings live in the arena.
struct session_launch {
    struct str policy; // the text of a policy file
    const char *name, *workdir;
    const char *const *argv; // NULL at the end
    const char *const *env;  // "NAME=value", NULL at the end
    bool tty, verbose;
};

enum {
    SESSION_POLL_MAX = 3 * 66 + 1, // entries of session_poll(): three for each command, and the connection
};

enum err_code session_new(const struct session_opts *opts, struct session **ret, struct err *e) NONNULL;
void session_free(struct session *s); // NULL is fine

// Asks for the configuration, again and again while nobody answers, for as long as `deadline_ns` says.
// Blocks.
enum err_code session_fetch(struct session *s, int64_t deadline_ns, struct arena *a,
                            struct session_launch *ret, struct err *e) NONNULL;
// Tells the gateway, once, that what session_fetch() got cannot be started. Blocks for a moment.
void session_refuse(struct session *s, const struct err *why) NONNULL;

// ---- in the launcher's loop

// The walls stand: the main process starts, and the gateway is dialled.
enum err_code session_begin(struct session *s, struct launcher *l, struct err *e) NONNULL;
[[nodiscard]] size_t session_poll(struct session *s, struct pollfd *p, int64_t *ret_deadline_ns) NONNULL;
void session_move(struct session *s, const struct pollfd *p) NONNULL;

// A message of init about a command; descriptors that are taken become -1. False: it is none of these.
bool session_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n) NONNULL;
// One line of the event log, for the gateway's.
void session_event(struct session *s, struct str line) NONNULL;

// The sandbox is to end. False: it may do so now.
bool session_stop(struct session *s, int sig) NONNULL;
[[nodiscard]] bool session_is_over(const struct session *s) NONNULL; // the main process has ended, and was to
