// Amounts: what is taken is neither nothing nor more than the machine's numbers hold, and goes up with a
// unit.
#include "gateway/compute/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    uint64_t milli = 0, bytes = 0, more = 0;
    if (quantity_cpu_milli(s, &milli))
        assert(milli > 0 && milli <= INT64_MAX);
    if (quantity_bytes(s, &bytes)) {
        char wider[64];
        assert(bytes > 0 && bytes <= INT64_MAX);
        if (size > 0 && size < sizeof(wider) - 2 && char_is_digit(s.p[size - 1])) {
            memcpy(wider, data, size);
            memcpy(wider + size, "Ki", 2);
            assert(!quantity_bytes((struct str){wider, size + 2}, &more) || more >= bytes);
        }
    }
    return 0;
}
