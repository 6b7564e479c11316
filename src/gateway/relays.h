// gateway/relays.h: a connection into a sandbox, for a call that has none of its own.
//
// The owner of a relay (an ExecSandbox, a ForwardTcp) has it opened: the supervisor is asked over its session
// and answers with a RelayStream, whose frames the owner then takes and gives. All of it is on the loop.
//
//   waiting --asked--> asked --RelayStream--> open
//
// It is the owner's until `closed` or relay_end(), whichever comes first.
#pragma once
#include "gateway/sessions.h"

struct relay;

struct relay_ops {
    void (*opened)(void *owner);
    // One of the frames that were wanted; borrowed. Never init.
    void (*frame)(void *owner, const Openshell__V1__RelayFrame *frame);
    void (*end)(void *owner);      // the supervisor will send no more
    void (*writable)(void *owner); // there is room again, after an ERR_LIMIT of relay_send()
    // It could not be opened, or has broken. RPC_DEADLINE_EXCEEDED also once relay_deadline() has come.
    void (*closed)(void *owner, enum rpc_code code, const char *why);
};

// `target` says what to open, and is the owner's; it must last until `opened` or `closed`. channel_id is set
// here. wait_ms: how long there may be no session. ERR_LIMIT: too many are being opened. ERR_UNAVAILABLE: the
// gateway is ending.
enum err_code relay_open(struct sessions *s, struct str sandbox_id, Openshell__V1__RelayOpen *target,
                         int64_t wait_ms, const struct relay_ops *ops, void *owner, struct relay **ret,
                         struct err *reterr) NONNULL;
void relay_want(struct relay *rl) NONNULL; // one more frame
// ERR_LIMIT: nothing was sent, and `writable` comes. ERR_UNAVAILABLE: it has broken, and `closed` comes.
enum err_code relay_send(struct relay *rl, Openshell__V1__RelayFrame *frame, struct err *reterr) NONNULL;
void relay_deadline(struct relay *rl, int64_t deadline_ns) NONNULL; // once it is open
// RPC_OK: both sides are done. Else the supervisor is told to end what it began, and why.
void relay_end(struct relay *rl, enum rpc_code code, const char *why) NONNULL;

void relay_stream(struct rpc_request *r) NONNULL; // the handler of RelayStream
