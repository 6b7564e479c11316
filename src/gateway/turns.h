// gateway/turns.h: for each sandbox one piece of work at a time, and a queue of those that want a look.
//
// A worker takes a sandbox's turn for an operation that must not meet another one (stop, delete, …). Who only
// heard that something changed asks for a look, from any thread, and one thread goes through the queue: each
// sandbox stands in it at most once, and not while its turn is taken.
#pragma once
#include "base/base.h"

struct turns;

enum { TURN_ID_MAX = 63 };

enum err_code turns_new(struct turns **ret, struct err *reterr) NONNULL; // ERR_LIMIT: no memory
void turns_free(struct turns *t);                                        // nobody may be inside; NULL is fine

// ERR_INVALID: the id is empty or longer than TURN_ID_MAX. ERR_LIMIT: no memory. Blocks while somebody else
// has it.
enum err_code turn_take(struct turns *t, struct str id, struct err *reterr) NONNULL;
void turn_give(struct turns *t, struct str id) NONNULL;

// Any thread, does not block. Lost where there is no memory: the sweep comes by.
void turn_ask(struct turns *t, struct str id) NONNULL;
// The next one that somebody asked for; its turn is taken. False: the deadline passed, or turns_stop().
[[nodiscard]] bool turn_next(struct turns *t, int64_t deadline_ns,
                             char ret_id[static TURN_ID_MAX + 1]) NONNULL;
void turns_stop(struct turns *t) NONNULL; // turn_next() returns false from now on
