#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { REDZONE = 16 };
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
enum { REDZONE = 0 };
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum {
    ALIGN = _Alignof(max_align_t),
    CHUNK_MIN = 4 * KIB,  // a small arena stays small
    CHUNK_MAX = 256 * KIB // a large one makes few calls
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size; // of data[]
    _Alignas(max_align_t) char data[];
};

static struct arena_chunk *chunk_add(struct arena *a, size_t need)
{
    size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    size_t left = a->max - a->used;
    if (left < sizeof(struct arena_chunk) || left - sizeof(struct arena_chunk) < need)
        return NULL;
    left -= sizeof(struct arena_chunk);
    if (size < need)
        size = need;
    if (size > left)
        size = left;
    struct arena_chunk *c = malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    *c = (struct arena_chunk){.next = a->chunks, .size = size};
    POISON(c->data, size);
    a->chunks = c;
    a->used += sizeof(*c) + size;
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need;
    if (!add_ok(size, ALIGN - 1 + REDZONE, &need))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (need == 0)
        need = ALIGN;
    struct arena_chunk *c = a->chunks;
    if (!c || c->size - c->used < need)
        c = chunk_add(a, need);
    if (!c)
        return NULL;
    char *p = c->data + c->used;
    c->used += need;
    UNPOISON(p, size);
    memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total;
    return mul_ok(n, size, &total) ? arena_alloc(a, total) : NULL;
}

bool arena_dup(struct arena *a, struct str s, struct str *ret)
{
    size_t size;
    char *p = add_ok(s.n, 1, &size) ? arena_alloc(a, size) : NULL;
    if (!p)
        return false;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    *ret = (struct str){p, s.n};
    return true;
}

bool arena_fmt(struct arena *a, struct str *ret, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    if (!p)
        return false;
    *ret = (struct str){p, (size_t)n};
    return true;
}

enum err_code arena_limit(const struct arena *a, const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_LIMIT,
                   "no room for %s: it needs more than the %zu bytes set aside, or memory ran out", what,
                   a->max);
}

static void drop(struct arena *a, bool wipe)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        UNPOISON(c->data, c->size);
        if (wipe)
            explicit_bzero(c->data, c->size);
        free(c);
    }
    *a = (struct arena){.max = a->max};
}

void arena_done(struct arena *a)
{
    if (a)
        drop(a, false);
}

void arena_wipe(struct arena *a)
{
    if (a)
        drop(a, true);
}
