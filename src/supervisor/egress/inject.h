// supervisor/egress/inject.h: credentials written into one request, and looked for in its response.
//
// The rules of where a placeholder may stand are reference 4.2. Everything that holds a value lives in the
// injection's own block, which is wiped when the exchange is over.
#pragma once
#include "base/buf.h"
#include "net/http1.h"
#include "supervisor/vault.h"

enum {
    INJECT_BLOCK = 96 * KIB,    // values, and what was made with them, of one request's head; ours
    INJECT_VALUES_MAX = 32,     // of one request; ours
    INJECT_MASK_MIN = 8,        // a shorter value is not looked for in responses: it would be everywhere
    INJECT_BODY_MAX = 256 * KIB // reference 2.11
};

struct injection;

// Where values come from: vault_ask_credential, or a test's own. `value` has VAULT_VALUE_MAX bytes of room.
typedef enum err_code inject_ask(void *ctx, struct str placeholder, char *value, size_t *ret_n,
                                 struct err *e);

// ERR_LIMIT: no memory.
enum err_code injection_new(inject_ask *ask, void *ctx, struct injection **ret, struct err *e)
    __attribute__((nonnull(1, 3, 4)));
void injection_free(struct injection *j); // wipes; NULL is fine
static inline void injection_freep(struct injection **j)
{
    injection_free(*j);
}
[[nodiscard]] bool injection_is_used(const struct injection *j); // a value was written; false for NULL

// One value, as `ask` gives it; *ret lies in the block. Errors as inject_head, and those of the asking.
enum err_code injection_ask(struct injection *j, struct str name, struct str *ret, struct err *e) NONNULL;

// Whether a mark is anywhere in the head: nothing needs to be done where none is.
[[nodiscard]] bool inject_wanted(const struct http1_head *h) NONNULL;

// Replaces placeholders in header values, path and query. `path` is canonical; *ret_path and what changes in
// *h lie in the block. Where a value was written, Accept-Encoding asks for an answer that can be looked into.
// ERR_NOT_FOUND: one cannot be resolved, or stands where none may; ERR_DENIED: it is bound to other
// endpoints; messages say where ("… in header"). Others as the asking fails.
enum err_code inject_head(struct injection *j, struct http1_head *h, struct str path, struct str *ret_path,
                          struct err *e) NONNULL;

// How a body is read (reference 2.11); INJECT_BODY_NONE: not at all.
enum inject_body { INJECT_BODY_NONE, INJECT_BODY_TEXT, INJECT_BODY_JSON, INJECT_BODY_FORM };
[[nodiscard]] enum inject_body inject_body_kind(const struct http1_head *h) NONNULL;

// Writes the body with its placeholders replaced; `out` was born with room for it, so that it never moves,
// and is the caller's to wipe. ERR_INVALID: not UTF-8.
enum err_code inject_body(struct injection *j, enum inject_body kind, struct str body, struct buf *out,
                          struct err *e) NONNULL;

// ---- what must not come back
// A stream of bytes in which what was written is made unreadable, byte for byte, so that lengths stay.
struct mask {
    const struct injection *j; // NULL: nothing to mask
    struct buf work;           // what may be the beginning of a value stays here
    size_t given;              // bytes of it that were handed out
    bool hit;                  // something was masked
};
enum { MASK_WORK_MAX = 64 * KIB };
void mask_init(struct mask *m, const struct injection *j) __attribute__((nonnull(1)));
void mask_done(struct mask *m); // wipes; NULL is fine
// *ret: what may go on, valid until the next call. `end`: no more follows. ERR_LIMIT: no memory.
enum err_code mask_feed(struct mask *m, struct str data, bool end, struct str *ret, struct err *e) NONNULL;

// Header values of a response; what is masked is copied into the injection's block. ERR_LIMIT: no room.
enum err_code mask_head(struct injection *j, struct http1_head *h, bool *ret_hit, struct err *e) NONNULL;

// Whether the response's body cannot be looked into: it is encoded, although nobody asked for that.
[[nodiscard]] bool mask_is_blind(const struct http1_head *response) NONNULL;

// ---- what must not leave
// A request body that is not rewritten. `work` keeps what may be the beginning of a mark.
struct scan {
    char held[PLACEHOLDER_HELD_MAX];
    size_t held_n;
    struct buf work;
    bool found; // a mark, which ends it
};
static inline void scan_init(struct scan *s)
{
    *s = (struct scan){};
    buf_init(&s->work, 64 * KIB);
}
static inline void scan_done(struct scan *s)
{
    buf_done(&s->work);
}
// *ret: what may go on. ERR_DENIED: a placeholder's mark is in it.
enum err_code scan_feed(struct scan *s, struct str data, bool end, struct str *ret, struct err *e) NONNULL;
