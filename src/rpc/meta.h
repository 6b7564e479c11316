// rpc/meta.h: metadata of calls, and what else gRPC writes into header fields.
//
// Fields live in the arena that they were added with. A value whose name ends in "-bin" is any bytes here and
// base64 on the wire; all others are printable ASCII.
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct rpc_field {
    struct str name, value;
    struct rpc_field *next;
};

struct rpc_meta { // all zero is empty
    struct rpc_field *first, *last;
};

// Copies both. ERR_INVALID: a name that is not [a-z0-9_.-]+ or that gRPC or HTTP has taken ("grpc-...", "te",
// "content-type", ...), a value that is not printable ASCII. ERR_LIMIT: the arena.
enum err_code rpc_meta_add(struct rpc_meta *meta, struct arena *arena, struct str name, struct str value,
                           struct err *reterr) NONNULL;

// The first value of that name in *ret; false: none.
bool rpc_meta_get(const struct rpc_meta *meta, struct str name, struct str *ret) NONNULL;

// Adds a field as it came from the wire; "-bin" is decoded, also where it is a list with commas. Fields that
// rpc_meta_add() refuses for their names are left out. ERR_INVALID: no base64; ERR_LIMIT: the arena.
enum err_code rpc_meta_receive(struct rpc_meta *meta, struct arena *arena, struct str name, struct str value,
                               struct err *reterr) NONNULL;

// The value as the wire has it, in the arena. ERR_LIMIT.
enum err_code rpc_meta_wire(const struct rpc_field *field, struct arena *arena, struct str *ret,
                            struct err *reterr) NONNULL;

// Base64 (RFC 4648 section 4); encoding without padding, decoding with or without. False: malformed.
void rpc_base64_encode(struct str bytes, struct buf *out) NONNULL;
[[nodiscard]] bool rpc_base64_decode(struct str text, struct buf *out) NONNULL;

// grpc-timeout: one to eight digits and a unit. Parsing saturates; printing rounds up, and never says 0.
[[nodiscard]] bool rpc_timeout_parse(struct str text, int64_t *ret_ns) NONNULL;
enum { RPC_TIMEOUT_SIZE = 10 };
void rpc_timeout_print(int64_t ns, char dst[static RPC_TIMEOUT_SIZE]) NONNULL;
