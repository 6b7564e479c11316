// rpc/wire.h: protobuf messages in and out of an arena.
//
// protobuf-c unpacks by recursion without a bound and stops C strings at a NUL. So the bytes of a peer go
// through wire_check() first: nesting is at most WIRE_DEPTH_MAX, every length lies inside its parent, and
// each string is UTF-8 without a NUL; only then are they unpacked, into an arena whose maximum bounds what
// few bytes may grow to.
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

enum { WIRE_DEPTH_MAX = 100 }; // that of other implementations of protobuf

// ERR_INVALID names the message type and the offset.
enum err_code wire_check(const ProtobufCMessageDescriptor *type, struct str bytes,
                         struct err *reterr) NONNULL;

// Checks and unpacks. *ret lives in the arena and is never freed by itself. ERR_INVALID; ERR_LIMIT: the
// arena.
enum err_code wire_unpack(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *arena,
                          ProtobufCMessage **ret, struct err *reterr) NONNULL;

// Appends the packed message. ERR_LIMIT: it does not fit into `out`.
enum err_code wire_pack(const ProtobufCMessage *message, struct buf *out, struct err *reterr) NONNULL;
