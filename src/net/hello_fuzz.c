#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct hello h = {};
    struct err e = {};
    if (tls_hello(in, &h, &e) != HELLO_DONE)
        return 0;
    assert(h.sni.n == 0 || (h.sni.p >= in.p && h.sni.p + h.sni.n <= in.p + in.n && !str_has(h.sni, '\0')));
    return 0;
}
