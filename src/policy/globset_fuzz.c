// Lines: a path, then patterns. The set must report what the patterns match one by one, each once.
#include "policy/globset.h"

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
    struct str rest = {(const char *)data, size}, path, line;
    if (size == 0 || !str_split(&rest, '\n', &path))
        return 0;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    struct globset_item items[ITEMS_MAX];
    const struct glob *globs[ITEMS_MAX];
    size_t n = 0;
    struct err err;
    while (n < ITEMS_MAX && str_split(&rest, '\n', &line)) {
        if (glob_compile(GLOB_PATH, line, &a, &globs[n], &err) != ERR_OK)
            continue;
        items[n] = (struct globset_item){line, (uint32_t)n};
        n++;
    }
    const struct globset *set = NULL;
    if (globset_build(items, n, &a, &set, &err) != ERR_OK)
        return 0;
    struct seen seen = {};
    globset_each(set, path, see, &seen);
    for (size_t i = 0; i < n; i++)
        assert(seen.times[i] == glob_match(globs[i], path));
    return 0;
}
