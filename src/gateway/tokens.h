// gateway/tokens.h: what a supervisor shows for being its sandbox: a JWT (RFC 7519, RFC 8037) that this
// gateway has signed.
//
// One key of the gateway signs and checks; nothing is stored for a token, and none can be taken back before
// it expires. A token names its sandbox and nothing else. All functions but tokens_open() and tokens_free()
// are for any thread and do not block.
#pragma once
#include "base/buf.h"

struct tokens;

enum {
    TOKENS_ID_MAX = 63,        // bytes of a sandbox's id: [A-Za-z0-9-]
    TOKENS_TEXT_MAX = 2 * KIB, // of a token; ours: one that was minted here has about 500
    TOKENS_LEEWAY_S = 60,      // reference: gateway 2.3
};

// The key in the folder `dir` (signing.pem, public.pem, kid; signing.pem for its owner alone), which is made
// where there is no such folder yet. `gateway_id` is [A-Za-z0-9._-], 1 to 63 bytes; ttl_s 0: tokens never
// expire. ERR_PRECONDITION: only a part of the three files, or they do not fit each other. ERR_DENIED: others
// may read the key.
enum err_code tokens_open(const char *dir, struct str gateway_id, int64_t ttl_s, struct tokens **ret,
                          struct err *reterr) NONNULL;
void tokens_free(struct tokens *t); // NULL is fine
static inline void tokens_freep(struct tokens **t)
{
    tokens_free(*t);
}

// Appends a token of that sandbox. *ret_expires_ms is 0 where it never expires. ERR_INVALID: the id.
enum err_code tokens_mint(const struct tokens *t, struct str sandbox_id, int64_t now_s, struct buf *out,
                          int64_t *ret_expires_ms, struct err *reterr) NONNULL;

// Whose token it is. ERR_NOT_FOUND: not one of this gateway's; another may know it. ERR_DENIED: made with
// this gateway's key, and refused all the same, as the reference words it.
enum err_code tokens_check(const struct tokens *t, struct str token, int64_t now_s,
                           char ret_sandbox_id[static TOKENS_ID_MAX + 1], struct err *reterr) NONNULL;
