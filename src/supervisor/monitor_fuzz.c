#include "supervisor/monitor_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf out;
    arena_init(&a, MIB);
    buf_init(&out, MIB);
    struct identity id, again;
    struct err e = {};
    if (mon_decode((struct str){(const char *)data, size}, &a, &id, &e) != ERR_OK)
        return 0;
    if (!mon_encode(ERR_OK, &id, "", &out))
        return 0;
    assert(mon_decode(buf_str(&out), &a, &again, &e) == ERR_OK);
    assert(str_eq(again.exe, id.exe) && again.ancestors_n == id.ancestors_n &&
           again.cmdline_n == id.cmdline_n);
    return 0;
}
