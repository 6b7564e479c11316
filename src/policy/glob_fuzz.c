// First byte: the dialect. Then lines: a pattern, a second pattern for overlap, a text.
#include "policy/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum glob_dialect dialect = (enum glob_dialect)(data[0] % (GLOB_SCOPE + 1));
    struct str text = {(const char *)data + 1, size - 1}, lines[2] = {};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!str_split(&text, '\n', &lines[i]))
            return 0;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    const struct glob *g[2] = {};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(g); i++)
        if (glob_compile(dialect, lines[i], &a, &g[i], &err) != ERR_OK)
            return 0;
    struct str literal;
    bool hosts = dialect == GLOB_HOST || dialect == GLOB_SELECTOR;
    if (glob_is_literal(g[0], &literal) && literal.n <= 253)
        assert(glob_match(g[0], literal));
    bool both = glob_match(g[0], text) && glob_match(g[1], text);
    if (hosts)
        assert(!both || glob_hosts_overlap(g[0], g[1]));
    return 0;
}
