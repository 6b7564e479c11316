#include "rpc/wire.h"
#include "rpc/method.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct rpc_method *method = &rpc_methods[data[0] % RPC_METHODS];
    struct str bytes = {(const char *)data + 1, size - 1};
    struct arena arena;
    arena_init(&arena, 4 * MIB);
    ProtobufCMessage *m = NULL;
    struct err err;
    if (wire_unpack(data[0] & 128 ? method->out : method->in, bytes, &arena, &m, &err) == ERR_OK) {
        struct buf out;
        buf_init(&out, 8 * MIB);
        (void)wire_pack(m, &out, &err);
        buf_done(&out);
    }
    arena_done(&arena);
    return 0;
}
