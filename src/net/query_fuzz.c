#include "net/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    // Now and then too little room, which must be a plain refusal.
    arena_init(&a, size > 0 && data[0] == '&' ? 200 : MIB);
    struct str in = {(const char *)data, size};
    struct query_item *items = NULL;
    size_t n = 0, total = 0;
    struct err err;
    enum err_code r = query_decode(in, &a, &items, &n, &err);
    assert(r == ERR_OK || r == ERR_INVALID || r == ERR_LIMIT);
    if (r != ERR_OK)
        return 0;
    assert(n <= QUERY_PAIRS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct str parts[] = {items[i].key, items[i].value};
        for (size_t k = 0; k < 2; k++) {
            total += parts[k].n;
            for (size_t j = 0; j < parts[k].n; j++)
                assert(parts[k].p[j] != '\0');
        }
    }
    assert(total <= size); // decoding never lengthens
    return 0;
}
