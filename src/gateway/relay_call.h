// gateway/relay_call.h: a client's call whose bytes go through a relay: ExecSandbox, ForwardTcp and their
// kin.
//
// Between the two streams at most one message is held each way: a side is asked for the next one when the
// other has taken the last. So a slow reader stops its writer, and nobody else. All of it is on the loop.
#pragma once
#include "gateway/relays.h"

enum {
    RELAY_CHUNK = 16 * KIB,         // bytes of one frame towards the supervisor; reference: gateway 3.5
    RELAY_CLIENT_CHUNK = 64 * KIB,  // of one towards the client of ForwardTcp; ditto
    RELAY_SESSION_WAIT_MS = 15'000, // ditto
};

struct relay_call;

// What a call is made of. `owner` is whatever begins with a struct relay_call; the last function frees it.
struct relay_call_kind {
    // A frame from inside, for the client: the message, built in *room; NULL: none. It may call
    // relay_call_over().
    ProtobufCMessage *(*output)(struct relay_call *c, const Openshell__V1__RelayFrame *frame, void *room);
    // A message of the client's, behind the first one: gives bytes by relay_call_input() or frames by
    // relay_call_control().
    enum err_code (*input)(struct relay_call *c, const ProtobufCMessage *message, struct err *reterr);
    void (*opened)(struct relay_call *c);
    // The supervisor sends no more, or the relay has broken (code not OK): the kind ends the call by
    // relay_call_finish(), relay_call_fail() or a last relay_call_frame().
    void (*lost)(struct relay_call *c, enum rpc_code code, const char *why);
    void (*release)(struct relay_call *c);
};

enum { RELAY_CALL_ROOM = 256 }; // bytes of the messages that `output` builds

struct relay_call {
    const struct relay_call_kind *kind;
    struct rpc_request *client; // NULL: it has ended
    struct relay *relay;        // NULL: not opened yet, or over
    bool is_open, in_stream;    // in_stream: the client sends more than one message
    bool wanted;                // the client's next one is
    bool client_end;            // it will send no more
    bool in_end, in_end_told;   // no more input; the supervisor knows
    bool over;                  // everything is said: the call ends once what is held is sent
    bool lost;                  // the relay is; told to the kind once what is held is sent
    enum rpc_code lost_code;
    char lost_why[120];
    struct buf in; // bytes that the supervisor has not taken
    size_t in_off;
    struct buf control; // a frame, packed, which goes to it behind them
    struct buf held;    // a frame, packed, whose message the client has not taken
};

void relay_call_init(struct relay_call *c, const struct relay_call_kind *kind,
                     struct rpc_request *client) NONNULL;
// Asks for the relay; on failure the call is failed.
void relay_call_open(struct relay_call *c, struct str sandbox_id, Openshell__V1__RelayOpen *target) NONNULL;
// For `input`. ERR_LIMIT: no memory.
enum err_code relay_call_input(struct relay_call *c, struct str bytes, struct err *reterr) NONNULL;
void relay_call_input_end(struct relay_call *c) NONNULL;
enum err_code relay_call_control(struct relay_call *c, Openshell__V1__RelayFrame *frame,
                                 struct err *reterr) NONNULL;
void relay_call_over(struct relay_call *c) NONNULL;
void relay_call_frame(struct relay_call *c,
                      const Openshell__V1__RelayFrame *frame) NONNULL; // as if from inside
void relay_call_finish(struct relay_call *c) NONNULL;                  // at once, with OK
void relay_call_fail(struct relay_call *c, enum rpc_code code, const char *why) NONNULL;
void relay_call_fail_err(struct relay_call *c, const struct err *e,
                         enum rpc_code code) NONNULL; // RPC_OK: e's own

// ops of the client's stream, for the kinds' own to call.
void relay_call_message(struct relay_call *c, const ProtobufCMessage *message) NONNULL;
void relay_call_client_end(struct relay_call *c) NONNULL;
void relay_call_writable(struct relay_call *c) NONNULL;
void relay_call_closed(struct relay_call *c) NONNULL; // the client has gone
