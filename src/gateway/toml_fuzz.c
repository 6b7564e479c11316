// What is read has the types that it says, strings inside their memory, and parents that end.
#include "gateway/toml.h"

#include "base/utf8.h"

static size_t walk(const struct toml *t, unsigned depth)
{
    size_t n = 1;
    assert(depth <= 4 * TOML_DEPTH_MAX);
    assert(t->type <= TOML_TIME && toml_type_name(t->type));
    if (t->type == TOML_STRING)
        assert(utf8_is_valid(t->text));
    for (const struct toml *i = t->first; i; i = i->next) {
        assert(t->type == TOML_TABLE || (t->type == TOML_ARRAY && i->key.n == 0));
        assert(t->type != TOML_TABLE || toml_find(t, i->key) == i); // no key twice
        n += walk(i, depth + 1);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, size > 0 && data[0] == '#' ? 2 * KIB : 8 * MIB);
    struct toml *t = NULL;
    struct err err = {};
    enum err_code c = toml_parse((struct str){(const char *)data, size}, &a, &t, &err);
    assert(c == ERR_OK || c == ERR_INVALID || c == ERR_LIMIT);
    if (c == ERR_OK)
        assert(walk(t, 0) <= size + 1);
    return 0;
}
