#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    CLEANUP(base_freep) char *p = malloc(size + 1);
    if (!p)
        return 0;
    if (size > 0)
        memcpy(p, in.p, size);
    utf8_clean(p, size);
    struct str out = {p, size};

    if (!utf8_is_valid(out)) // whatever came in, what goes out can be printed
        abort();
    for (struct str s = out; s.n > 0; s = str_from(s, utf8_next(s)))
        if (!utf8_is_plain(str_head(s, utf8_next(s))))
            abort();
    if (utf8_columns(out) > size)
        abort();
    if (utf8_is_valid(in) && utf8_columns(in) > utf8_columns(out)) // a '?' for each byte that went
        abort();
    return 0;
}
