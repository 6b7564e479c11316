#include "base/buf.h"

// Room for `more` bytes and a NUL behind them; false sets b->full.
static bool buf_grow(struct buf *b, size_t more)
{
    if (b->full || more > b->max - b->n || more >= SIZE_MAX - b->n) {
        b->full = true;
        return false;
    }
    size_t need = b->n + more + 1;
    if (need <= b->size)
        return true;
    size_t size = b->size < 256 ? 256 : b->size;
    while (size < need)
        size = size > SIZE_MAX / 2 ? need : size * 2;
    if (size - 1 > b->max) // not max + 1, which a maximum of SIZE_MAX has not
        size = b->max + 1;
    char *p = realloc(b->p, size);
    if (!p) {
        b->full = true;
        return false;
    }
    b->p = p;
    b->size = size;
    return true;
}

void buf_add(struct buf *b, struct str s)
{
    if (!buf_grow(b, s.n))
        return;
    if (s.n > 0)
        memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = '\0';
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, (struct str){&c, 1});
}

void buf_pad(struct buf *b, char c, size_t times)
{
    if (!buf_grow(b, times))
        return;
    if (times > 0)
        memset(b->p + b->n, c, times);
    b->n += times;
    b->p[b->n] = '\0';
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && buf_grow(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    } else if (n < 0) {
        b->full = true;
    }
    va_end(again);
}

enum err_code buf_check(const struct buf *b, const char *what, struct err *reterr)
{
    if (b->full)
        return err_set(reterr, ERR_LIMIT, "%s: more than %zu bytes, or memory ran out", what, b->max);
    return ERR_OK;
}

void buf_done(struct buf *b)
{
    if (!b)
        return;
    free(b->p);
    *b = (struct buf){.max = b->max};
}
