#include "rpc/method.h"

const struct rpc_method *rpc_method_find(struct str path)
{
    size_t low = 0;
    size_t high = RPC_METHODS;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = str_cmp(path, rpc_methods[mid].path);
        if (c == 0)
            return &rpc_methods[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

struct str rpc_method_name(const struct rpc_method *method)
{
    struct str name = method->path;
    while (str_has(name, '/'))
        name = str_from(name, (size_t)str_find(name, '/') + 1);
    return name;
}
