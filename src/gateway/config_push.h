// gateway/config_push.h: the way to supervisors, one push at a time for each sandbox.
//
// Any worker; never the loop. What is pushed is read from the store when the sandbox's turn has come: so of
// two that change something at once, the later push never brings back the older state, be it a policy, a
// credential or a route.
#pragma once
#include "gateway/config.h"

// Reads what is in force for a sandbox, and sends it by config_send().
typedef enum err_code config_pusher(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                                    void *ctx, struct arena *a, struct err *reterr);

// Takes the sandbox's turn and calls `push`. ERR_UNAVAILABLE: no supervisor is connected; it asks when it
// connects. ERR_TIMEOUT: another push takes too long.
enum err_code config_in_turn(const struct services *s, struct str sandbox_id, int64_t deadline_ns,
                             config_pusher *push, void *ctx, struct arena *a, struct err *reterr)
    __attribute__((nonnull(1, 4, 6, 7)));

// The same for all connected sandboxes, of one workspace or (p == NULL) of every one, several at a time.
// Those that fail are logged and passed over.
void config_push_to(const struct services *s, struct str workspace, config_pusher *push, void *ctx)
    __attribute__((nonnull(1, 3)));

// In a turn: as sessions_push().
enum err_code config_send(const struct services *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                          int64_t deadline_ns, struct push_result *ret, struct err *reterr) NONNULL;
// The same where a refusal is a failure like others: ERR_PRECONDITION, in the supervisor's words.
enum err_code config_deliver(const struct services *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                             int64_t deadline_ns, struct err *reterr) NONNULL;
