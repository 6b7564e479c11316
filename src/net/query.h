// net/query.h: the query of a request target, decoded pair by pair for the policy. The bytes that are
// forwarded stay as they were.
#pragma once
#include "base/arena.h"
#include "base/base.h"

enum { QUERY_PAIRS_MAX = 512 }; // ours; with heads of at most 16 KiB no client comes near it

struct query_item {
    struct str key, value; // decoded, in the arena
};

// "a=1&b=%20x+y": '+' is a blank, %XX strict; a pair without '=' has an empty value; empty pairs ("&&") are
// skipped. ERR_INVALID for a malformed %XX, a raw control byte or a decoded NUL (other decoded control bytes
// are text, as forms send it); ERR_LIMIT for too many pairs or no room.
enum err_code query_decode(struct str in, struct arena *a, struct query_item **ret, size_t *ret_n,
                           struct err *reterr) NONNULL;
