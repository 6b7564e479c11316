// What was found reads as a placeholder; what was redacted holds no mark; a text fed in two parts, as a body
// comes, gives the same answer as the whole.
#include "supervisor/placeholder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    size_t at, n, held;
    for (size_t from = 0; placeholder_find(text, from, &at, &n) == PLACEHOLDER_FOUND; from = at + n) {
        struct placeholder p;
        assert(at >= from && n > 0 && n <= size - at);
        assert(placeholder_parse(str_head(str_from(text, at), n), &p));
        assert(placeholder_has_mark(text, &held));
    }
    bool whole = placeholder_has_mark(text, &held);
    assert(whole || held <= PLACEHOLDER_HELD_MAX);
    for (size_t cut = 0; cut < size && cut < 100; cut++) {
        size_t keep, rest;
        bool first = placeholder_has_mark(str_head(text, cut), &keep);
        bool second = !first && placeholder_has_mark(str_from(text, cut - keep), &rest);
        assert((first || second) == whole);
    }
    static char out[64 * KIB];
    struct str clean;
    if (placeholder_redact(text, out, sizeof(out), &clean))
        assert(placeholder_find(clean, 0, &at, &n) == PLACEHOLDER_NONE);
    return 0;
}
