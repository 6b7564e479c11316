#include "net/dns.h"
#include "net/host.h"

// The two texts with a NUL between them: resolv.conf, which must only be read, and hosts, where whatever is
// found for a name stands in the text.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size}, resolv;
    struct resolver *r = NULL;
    struct err e;
    (void)str_split(&all, '\0', &resolv);
    if (resolver_new(resolv, all, &r, &e) == ERR_OK)
        resolver_free(r);
    r = NULL;
    if (resolver_new(STR(""), all, &r, &e) != ERR_OK)
        return 0;
    const struct wait now = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};
    struct ip found[DNS_ADDRS_MAX];
    size_t n = 0;
    struct str names[] = {STR("a.test"), STR("localhost"), all.n < HOST_MAX ? all : STR("b")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (resolver_lookup(r, names[i], &now, found, &n, &e) != ERR_OK) // it has no servers to ask
            continue;
        assert(n > 0 && n <= DNS_ADDRS_MAX && names[i].n > 0);
        for (size_t k = 0; k < n; k++)
            assert(found[k].family == 4 || found[k].family == 6);
    }
    resolver_free(r);
    return 0;
}
