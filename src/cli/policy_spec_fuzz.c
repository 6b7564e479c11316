#include "cli/policy_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    struct arena a;
    struct err err = {};
    struct endpoint ep = {};
    struct l7_rule rule = {};
    struct str host = {};
    uint32_t port = 0;
    arena_init(&a, 64 * KIB);
    if (policy_spec_endpoint(text, &a, &ep, &err) == ERR_OK)
        assert(ep.ports_n == 1 && ep.ports[0] >= 1 && ep.ports[0] <= 65535 && ep.host.n > 0);
    if (policy_spec_rule(text, &a, &host, &port, &rule, &err) == ERR_OK)
        assert(port >= 1 && port <= 65535 && host.n > 0 && rule.path.n > 0 && rule.method.n > 0);
    if (policy_spec_place(text, &host, &port, &err) == ERR_OK)
        assert(!str_has(host, ':') && port >= 1);
    arena_done(&a);
    return 0;
}
