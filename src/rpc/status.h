// rpc/status.h: how a call ended, in gRPC's words and in ours.
//
// One table has a row for each of gRPC's codes: its name, our err_code, and the exit status of the command
// line. Messages travel as they are, except ERR_INTERNAL's: the peer gets a number, and the log has the text
// under it.
#pragma once
#include "base/buf.h"

enum rpc_code { // gRPC's numbers
    RPC_OK,
    RPC_CANCELLED,
    RPC_UNKNOWN,
    RPC_INVALID_ARGUMENT,
    RPC_DEADLINE_EXCEEDED,
    RPC_NOT_FOUND,
    RPC_ALREADY_EXISTS,
    RPC_PERMISSION_DENIED,
    RPC_RESOURCE_EXHAUSTED,
    RPC_FAILED_PRECONDITION,
    RPC_ABORTED,
    RPC_OUT_OF_RANGE,
    RPC_UNIMPLEMENTED,
    RPC_INTERNAL,
    RPC_UNAVAILABLE,
    RPC_DATA_LOSS,
    RPC_UNAUTHENTICATED,
};

enum { RPC_MESSAGE_MAX = 400 }; // as struct err: bytes of a status message, its NUL included

struct rpc_status {
    enum rpc_code code;
    char msg[RPC_MESSAGE_MAX]; // printable, as err_fill() makes it; empty for RPC_OK
};

[[nodiscard]] const char *rpc_code_name(enum rpc_code code); // "INVALID_ARGUMENT"; "UNKNOWN" past the last
[[nodiscard]] bool rpc_code_parse(struct str digits, enum rpc_code *ret) NONNULL; // grpc-status: "0" to "16"
[[nodiscard]] enum rpc_code rpc_code_of(enum err_code code);                      // of a failure of ours
enum err_code rpc_code_err(enum rpc_code code);                                   // of a failure of a peer's
[[nodiscard]] int rpc_exit_status(enum err_code code);                            // of the command line

// A status with that code and text; what is not printable becomes '?'.
void rpc_status_set(struct rpc_status *st, enum rpc_code code, const char *fmt, ...) NONNULL PRINTF(3, 4);

// The status that tells a peer of `e`. For ERR_INTERNAL the message is "internal error <number>" and true is
// returned: the caller logs e->msg under that number.
bool rpc_status_of(const struct err *e, uint32_t number, struct rpc_status *ret) NONNULL;

// A struct err from what a peer said: code and message. Not for RPC_OK.
enum err_code rpc_status_err(const struct rpc_status *st, struct err *reterr) NONNULL;

// grpc-message: percent-encoding of all but the printable ASCII, and of '%'. Decoding leaves a '%' alone that
// no two hex digits follow, as the protocol asks for.
void rpc_percent_encode(struct str text, struct buf *out) NONNULL;
void rpc_percent_decode(struct str text, struct buf *out) NONNULL;
