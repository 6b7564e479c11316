#include "alloc_fail.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

// The linker's names: a call to malloc() in a linked object arrives at __wrap_malloc(), and __real_malloc()
// is the one it would have reached (the sanitizer's, where there is one). They are reserved names, for
// exactly this. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
int __wrap_posix_memalign(void **ret, size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static struct {
    bool on, onward; // onward: all behind `at` fail too
    size_t at, count;
} state;

static bool refused(void)
{
    if (!state.on)
        return false;
    state.count++;
    bool refuse = state.count == state.at || (state.onward && state.count > state.at);
    if (refuse)
        errno = ENOMEM;
    return refuse;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return refused() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return refused() ? NULL : __real_reallocarray(p, n, size);
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
    return refused() ? ENOMEM : __real_posix_memalign(ret, align, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return refused() ? NULL : __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *s)
{
    return refused() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return refused() ? NULL : __real_strndup(s, n);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

static void start(size_t n, bool onward)
{
    state.on = true;
    state.onward = onward;
    state.at = n;
    state.count = 0;
}

void alloc_fail_at(size_t n)
{
    start(n, false);
}

void alloc_fail_from(size_t n)
{
    start(n, true);
}

void alloc_fail_off(void)
{
    state.on = false;
}

size_t alloc_fail_count(void)
{
    return state.count;
}
