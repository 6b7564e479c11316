#include "net/cidr.h"

// One range a line, the first two are compared.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, line;
    struct cidr c[2];
    struct err err;
    for (size_t i = 0; i < 2; i++) {
        struct cidr again;
        char text[CIDR_TEXT_MAX];
        if (!str_line(&rest, &line) || cidr_parse(line, &c[i], &err) != ERR_OK)
            return 0;
        size_t n = cidr_format(&c[i], text);
        assert(n == strlen(text) && n < CIDR_TEXT_MAX);
        assert(cidr_parse((struct str){text, n}, &again, &err) == ERR_OK && again.bits == c[i].bits &&
               ip_eq(&again.net, &c[i].net));
        // ::/0 and the like hold mapped addresses by their bits only, so that not even their own base may be
        // in them.
        struct ip v4;
        bool mapped_base = ip_embedded_v4(&c[i].net, &v4) && c[i].bits < 96;
        assert(mapped_base || cidr_has(&c[i], &c[i].net));
        assert(mapped_base || cidr_overlaps(&c[i], &c[i]));
        if (ip_classify(&c[i].net) == IP_BLOCKED)
            assert(cidr_touches_blocked(&c[i]));
    }
    bool overlap = cidr_overlaps(&c[0], &c[1]);
    assert(overlap == cidr_overlaps(&c[1], &c[0]));
    assert(overlap || !cidr_has(&c[0], &c[1].net) || c[1].bits < 96); // a shared address is an overlap
    return 0;
}
