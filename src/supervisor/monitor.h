// supervisor/monitor.h: what the egress may ask of the supervisor, and nothing else.
//
// A SOCK_SEQPACKET pair made before either process existed. Requests are fixed-size structs; the monitor is a
// table of request, exact size and handler; a wrong size or an unknown number ends the egress (STYLE section
// 10). Answers carry an err_code, and strings with their lengths, which the egress checks again.
#pragma once
#include "base/arena.h"
#include "isolate/identity.h"

enum {
    MON_ANSWER_MAX = 64 * KIB,
    MON_ASK_MS = 10'000, // for a question, the turn before it included; ours
};

// ---- asking (egress) ----
struct mon; // any number of threads; requests take turns
enum err_code mon_new(int fd, struct mon **ret, struct err *e) NONNULL; // owns fd
void mon_free(struct mon *m);

// Who holds the other end of this connection. ERR_DENIED: nobody we can name, with the reason for the denial;
// ERR_UNAVAILABLE: the supervisor is gone. ERR_TIMEOUT: no answer in MON_ASK_MS; a later one is dropped.
enum err_code mon_ask_identify(struct mon *m, const struct sock_pair *pair, struct arena *a,
                               struct identity *ret, struct err *e) NONNULL;

// ---- answering (supervisor) ----
// Handles one request waiting on `fd`; never waits for the asker. ERR_INVALID: the asker broke the protocol,
// or does not read its answers, and must be ended.
// ERR_UNAVAILABLE: it is gone.
enum err_code mon_serve(int fd, struct identity_table *t, struct err *e) NONNULL;
