// base/buf.h: bytes that grow up to a maximum.
//
// Born with its limit; reaching it, or the end of memory, sets `full`, after which additions do nothing. So a
// printer adds line after line and asks once, at the end, with buf_check().
#pragma once
#include "base/base.h"

struct buf {
    char *p; // p[n] is NUL once something was added
    size_t n, size, max;
    bool full; // something did not fit, and is not there
};

static inline void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}
void buf_done(struct buf *b); // NULL is fine

void buf_add(struct buf *b, struct str s) NONNULL;
void buf_addc(struct buf *b, char c) NONNULL;
void buf_addf(struct buf *b, const char *fmt, ...) NONNULL PRINTF(2, 3);
void buf_pad(struct buf *b, char c, size_t times) NONNULL;

static inline struct str buf_str(const struct buf *b) // borrowed until the next addition
{
    return (struct str){b->n ? b->p : "", b->n};
}
static inline void buf_clear(struct buf *b) // keeps the memory
{
    b->n = 0;
    b->full = false;
}

// ERR_LIMIT, "<what>: more than N bytes", when something did not fit.
enum err_code buf_check(const struct buf *b, const char *what, struct err *reterr) NONNULL;
