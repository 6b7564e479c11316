// What is read as an endpoint has a host that the gates accept, a port, and an authority inside the text.
#include "rpc/endpoint.h"

#include "net/ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct rpc_endpoint ep = {};
    struct err err = {};
    if (rpc_endpoint_parse(in, &ep, &err) != ERR_OK)
        return 0;
    if (ep.kind == RPC_ENDPOINT_UNIX) {
        assert(ep.unix_addr.sun_path[0] == '/');
        return 0;
    }
    struct host host;
    struct ip ip;
    struct str name = str_of(ep.host);
    assert(ep.port > 0);
    assert(ep.authority.p > in.p && ep.authority.p + ep.authority.n <= in.p + in.n);
    assert(ip_parse(name, &ip, &err) == ERR_OK || host_parse(name, &host, &err) == ERR_OK);
    return 0;
}
