#include "net/host.h"
#include "net/ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct host host, again;
    struct ip ip;
    struct err err;
    bool zone;
    if (host_parse(in, &host, &err) != ERR_OK)
        return 0;
    assert(host.n > 0 && host.n <= HOST_MAX && host.b[host.n] == '\0' && strlen(host.b) == host.n);
    for (size_t i = 0; i < host.n; i++)
        assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", host.b[i]));
    assert(host.b[0] != '.' && host.b[host.n - 1] != '.' && !strstr(host.b, ".."));
    assert(host_parse(host_str(&host), &again, &err) == ERR_OK && str_eq(host_str(&host), host_str(&again)));
    assert(str_eq_ci(str_head(in, host.n), host_str(&host)) && size - host.n <= 1);
    assert(!host_ends_in_number(in) && ip_parse_any(in, &ip, &zone, &err) != ERR_OK);
    return 0;
}
