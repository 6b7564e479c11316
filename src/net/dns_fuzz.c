#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_query q = {};
    struct err e;
    char out[512];
    const struct ip ip = {.family = 4, .b = {198, 18, 1, 0}};
    if (dns_query_parse((struct str){(const char *)data, size}, &q, &e) != ERR_OK)
        return 0;
    assert(q.name.n > 0 && q.name.n <= HOST_MAX && q.question.n <= size);
    size_t n = dns_answer(&q, DNS_NOERROR, &ip, 1, 30, out, sizeof(out));
    assert(n >= 12 + q.question.n);
    // What was answered repeats the question: read as a query again it names the same host.
    out[2] = (char)(out[2] & 0x7f);
    out[3] = 0;
    out[6] = out[7] = out[10] = out[11] = 0;
    struct dns_query again = {};
    assert(dns_query_parse((struct str){out, 12 + q.question.n}, &again, &e) == ERR_OK);
    assert(str_eq(host_str(&again.name), host_str(&q.name)) && again.type == q.type);
    return 0;
}
