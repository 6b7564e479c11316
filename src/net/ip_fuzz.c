#include "net/ip.h"
#include "net/host.h"

static void check_address(const struct ip *ip)
{
    struct ip again, v4;
    struct err err;
    char text[IP_TEXT_MAX], twice[IP_TEXT_MAX];
    size_t n = ip_format(ip, text);
    assert(n == strlen(text) && n < IP_TEXT_MAX);
    assert(ip_parse((struct str){text, n}, &again, &err) == ERR_OK && ip_eq(ip, &again));
    assert(ip_format(&again, twice) == n && memcmp(text, twice, n) == 0);

    enum ip_class class = ip_classify(ip);
    assert(class == ip_classify(&again));
    assert(ip_range_touches_blocked(ip, 128) == (class == IP_BLOCKED));
    if (ip_embedded_v4(ip, &v4))
        assert(ip->family == 6 && v4.family == 4 && class >= ip_classify(&v4));
    if (ip_is_metadata(ip))
        assert(class != IP_PUBLIC);
    if (ip_is_link_local(ip))
        assert(class == IP_BLOCKED);
    // A wider range touches whatever a narrower one does.
    bool wider = class == IP_BLOCKED;
    for (size_t bits = ip->family == 4 ? 32 : 128; bits > 0; bits -= bits < 7 ? bits : 7) {
        bool touches = ip_range_touches_blocked(ip, bits);
        assert(touches || !wider);
        wider = touches;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct ip strict, any;
    struct host host;
    struct err err;
    bool zone = true;
    bool is_strict = ip_parse(in, &strict, &err) == ERR_OK;
    bool is_any = ip_parse_any(in, &any, &zone, &err) == ERR_OK;
    assert(!is_strict || (is_any && !zone)); // the strict reading is one of the lenient ones
    if (is_any)
        assert(host_parse(in, &host, &err) != ERR_OK);
    // "010" is 8 to one and refused by the other, but where both read it they read the same.
    assert(!is_strict || ip_eq(&strict, &any));
    if (is_any)
        check_address(&any);
    if (size == 4 || size == 16) {
        struct ip raw = {.family = size == 4 ? 4 : 6};
        memcpy(raw.b, data, size);
        check_address(&raw);
    }
    return 0;
}
