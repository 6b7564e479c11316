// What was read may be written with another model, and then has that one, and nothing else has changed.
#include "supervisor/egress/model_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf out, again, vertex;
    struct str in = {(const char *)data, size};
    struct model_facts f, g;
    struct err e;
    buf_init(&out, 2 * MIB);
    buf_init(&again, 2 * MIB);
    buf_init(&vertex, 2 * MIB);
    if (size > MIB || model_read(in, &f, &e) != ERR_OK)
        return 0;
    assert(model_write(in, &f, STR("m/1"), &out, &e) == ERR_OK);
    assert(model_read(buf_str(&out), &g, &e) == ERR_OK);
    assert(g.has_model && strcmp(g.model, "m/1") == 0 && g.stream == f.stream);
    assert(model_write(buf_str(&out), &g, STR("m/1"), &again, &e) == ERR_OK);
    assert(str_eq(buf_str(&out), buf_str(&again)));
    assert(model_write_vertex(in, &f, &vertex, &e) == ERR_OK);
    assert(model_read(buf_str(&vertex), &g, &e) == ERR_OK && !g.has_model && g.version_at.n > 0);
    return 0;
}
