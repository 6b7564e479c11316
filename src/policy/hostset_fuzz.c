// Lines: a host, then patterns. The set must report what the patterns match one by one, each once.
#include "policy/hostset.h"

enum { ITEMS_MAX = 128 };

struct seen {
    size_t times[ITEMS_MAX];
};

static bool see(void *ctx, const uint32_t *ids, size_t n)
{
    struct seen *s = ctx;
    for (size_t i = 0; i < n; i++)
        s->times[ids[i]]++;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, host, line;
    if (size == 0 || !str_split(&rest, '\n', &host))
        return 0;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    struct hostset_item items[ITEMS_MAX];
    const struct glob *globs[ITEMS_MAX];
    size_t n = 0;
    struct err err;
    while (n < ITEMS_MAX && str_split(&rest, '\n', &line)) {
        if (glob_compile(GLOB_HOST, line, &a, &globs[n], &err) != ERR_OK)
            continue;
        items[n] = (struct hostset_item){line, (uint32_t)n};
        n++;
    }
    const struct hostset *set = NULL;
    if (hostset_build(items, n, &a, &set, &err) != ERR_OK)
        return 0;
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] != char_lower(host.p[i]))
            return 0; // hosts come in lower case
    struct seen seen = {};
    hostset_each(set, host, see, &seen);
    for (size_t i = 0; i < n; i++)
        assert(seen.times[i] == glob_match(globs[i], host));
    return 0;
}
