#include "supervisor/session/ring.h"

// A record is a head and its bytes, both of which may go round the end.
struct head {
    uint16_t n; // less one
    uint8_t source, pad;
};

enum { HEAD = sizeof(struct head) };

void ring_done(struct ring *r)
{
    if (r)
        free(r->p);
}

static void copy_in(struct ring *r, uint64_t at, const void *src, size_t n)
{
    size_t off = (size_t)(at % r->size), first = n < r->size - off ? n : r->size - off;
    memcpy(r->p + off, src, first);
    memcpy(r->p, (const char *)src + first, n - first);
}

static void copy_out(const struct ring *r, uint64_t at, void *dst, size_t n)
{
    size_t off = (size_t)(at % r->size), first = n < r->size - off ? n : r->size - off;
    memcpy(dst, r->p + off, first);
    memcpy((char *)dst + first, r->p, n - first);
}

bool ring_add(struct ring *r, enum ring_source source, struct str s)
{
    assert(s.n > 0 && s.n <= RING_RECORD_MAX);
    r->size = r->size > 0 ? r->size : RING_MAX;
    if (!r->p && !(r->p = calloc(1, r->size))) // of fresh pages only those count that were used
        return false;
    while (r->newest + HEAD + s.n - r->oldest > r->size) {
        struct head old;
        copy_out(r, r->oldest, &old, HEAD);
        r->oldest += HEAD + (uint64_t)old.n + 1;
        r->first++;
    }
    const struct head h = {.n = (uint16_t)(s.n - 1), .source = (uint8_t)source};
    copy_in(r, r->newest, &h, HEAD);
    copy_in(r, r->newest + HEAD, s.p, s.n);
    r->newest += HEAD + s.n;
    return true;
}

bool ring_read(const struct ring *r, uint64_t *at, enum ring_source *ret_source,
               char dst[static RING_RECORD_MAX], size_t *ret_n, bool *ret_lost)
{
    *ret_lost = *at < r->oldest;
    if (*ret_lost)
        *at = r->oldest;
    if (*ret_lost || *at >= r->newest)
        return false;
    struct head h;
    copy_out(r, *at, &h, HEAD);
    size_t n = (size_t)h.n + 1;
    copy_out(r, *at + HEAD, dst, n);
    *at += HEAD + n;
    *ret_source = h.source == RING_ERR ? RING_ERR : RING_OUT;
    *ret_n = n;
    return true;
}
