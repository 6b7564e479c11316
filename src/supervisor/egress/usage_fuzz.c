// The counts do not hang on where the bytes are cut.
#include "supervisor/egress/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int events = 0; events < 2; events++) {
        struct usage a, b;
        struct str in = {(const char *)data, size};
        usage_init(&a, events != 0);
        usage_init(&b, events != 0);
        usage_feed(&a, in);
        for (size_t i = 0; i < size; i++)
            usage_feed(&b, str_head(str_from(in, i), 1));
        assert(a.known == b.known && a.in == b.in && a.out == b.out && a.cached == b.cached);
        assert(a.known || (a.in == 0 && a.out == 0));
        assert(a.in <= 10'000'000'000'000'000 && a.json.depth <= USAGE_DEPTH_MAX);
    }
    return 0;
}
