#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct hello h = {};
    struct err e = {};
    (void)tls_asks_again(in, &e);
    if (tls_hello(in, &h, &e) != HELLO_DONE)
        return 0;
    assert(h.used <= in.n && tls_hello(str_head(in, h.used), &h, &e) == HELLO_DONE);
    assert(h.sni.n == 0 || (h.sni.p >= in.p && h.sni.p + h.sni.n <= in.p + in.n && !str_has(h.sni, '\0')));
    return 0;
}
