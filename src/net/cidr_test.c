#include "net/cidr.h"
#include "tap.h"

static const struct {
    struct str in;
    const char *want;
} good[] = {
    {STR_INIT("10.0.0.0/8"), "10.0.0.0/8"},
    {STR_INIT("0.0.0.0/0"), "0.0.0.0/0"},
    {STR_INIT("10.1.2.3"), "10.1.2.3/32"},
    {STR_INIT("10.1.2.3/32"), "10.1.2.3/32"},
    {STR_INIT("172.16.0.0/12"), "172.16.0.0/12"},
    {STR_INIT("fd00::/8"), "fd00::/8"},
    {STR_INIT("::/0"), "::/0"},
    {STR_INIT("FD00::1"), "fd00::1/128"},
    {STR_INIT("fd00::1/128"), "fd00::1/128"},
    {STR_INIT("::ffff:10.0.0.0/104"), "::ffff:10.0.0.0/104"},
};

static const struct {
    struct str in;
    const char *want;
} bad[] = {
    {STR_INIT(""), "'' is not an IPv4 address: each part is a decimal number"},
    {STR_INIT("/8"), "'' is not an IPv4 address: each part is a decimal number"},
    {STR_INIT("10/8"), "'10' is not an IPv4 address: fewer than four parts"},
    {STR_INIT("10.0.0.0/33"), "'10.0.0.0/33': the prefix length is a number from 0 to 32"},
    {STR_INIT("fd00::/129"), "'fd00::/129': the prefix length is a number from 0 to 128"},
    {STR_INIT("10.0.0.0/"), "'10.0.0.0/': the prefix length is a number from 0 to 32"},
    {STR_INIT("10.0.0.0/08"), "'10.0.0.0/08': the prefix length is a number from 0 to 32"},
    {STR_INIT("10.0.0.0/-1"), "'10.0.0.0/-1': the prefix length is a number from 0 to 32"},
    {STR_INIT("10.0.0.0/8/8"), "'10.0.0.0/8/8': the prefix length is a number from 0 to 32"},
    {STR_INIT("10.0.0.0/255.0.0.0"), "'10.0.0.0/255.0.0.0': the prefix length is a number from 0 to 32"},
    {STR_INIT("10.0.0.1/8"), "'10.0.0.1/8' has bits set behind its prefix: is 10.0.0.0/8 meant?"},
    {STR_INIT("10.0.0.1/31"), "'10.0.0.1/31' has bits set behind its prefix: is 10.0.0.0/31 meant?"},
    {STR_INIT("10.128.0.0/8"), "'10.128.0.0/8' has bits set behind its prefix: is 10.0.0.0/8 meant?"},
    {STR_INIT("0.0.0.1/0"), "'0.0.0.1/0' has bits set behind its prefix: is 0.0.0.0/0 meant?"},
    {STR_INIT("fd00:1::/16"), "'fd00:1::/16' has bits set behind its prefix: is fd00::/16 meant?"},
    {STR_INIT("fe80::1%eth0"), "'fe80::1%eth0' is not an IPv6 address"},
};

static const struct {
    const char *range, *ip;
    bool want;
    const char *rule;
} has[] = {
    {"10.0.0.0/8", "10.255.255.255", true, "the last address"},
    {"10.0.0.0/8", "11.0.0.0", false, "one past it"},
    {"10.0.0.0/8", "9.255.255.255", false, "one before the first"},
    {"172.16.0.0/12", "172.31.255.255", true, "a prefix that ends inside a byte"},
    {"172.16.0.0/12", "172.32.0.0", false, "and one past it"},
    {"0.0.0.0/0", "1.2.3.4", true, "no bits, any address"},
    {"0.0.0.0/0", "2000::1", false, "but none of the other family"},
    {"::/0", "1.2.3.4", false, "nor the other way round"},
    {"::/0", "::ffff:1.2.3.4", false, "a mapped address is IPv4"},
    {"10.0.0.0/8", "::ffff:10.1.1.1", true, "and found there"},
    {"::ffff:10.0.0.0/104", "10.1.1.1", true, "a mapped range is IPv4 too"},
    {"::ffff:0.0.0.0/96", "8.8.8.8", true, "the whole of it"},
    {"::ffff:10.0.0.0/104", "::ffff:11.1.1.1", false, "and ends where it ends"},
    {"::fffe:0:0/95", "8.8.8.8", false, "a wider range has no IPv4"},
    {"fd00::/8", "fdff::1", true, "IPv6"},
    {"fd00::/8", "fc00::1", false, "IPv6, outside"},
    {"fd00::1", "fd00::1", true, "a bare address has itself"},
    {"fd00::1", "fd00::2", false, "and no other"},
};

static const struct {
    const char *a, *b;
    bool want;
} overlaps[] = {
    {"10.0.0.0/8", "10.1.0.0/16", true},
    {"10.0.0.0/8", "11.0.0.0/8", false},
    {"0.0.0.0/0", "8.8.8.8", true},
    {"10.0.0.0/8", "fd00::/8", false},
    {"::ffff:10.0.0.0/104", "10.9.0.0/16", true},
    {"::/0", "10.0.0.0/8", false},
    {"fd00::/8", "fd12::/16", true},
    {"10.0.0.0/9", "10.128.0.0/9", false},
};

static const struct {
    const char *range;
    bool want;
} blocked[] = {
    {"127.0.0.1", true},
    {"126.0.0.0/8", false},
    {"126.0.0.0/7", true},
    {"169.254.0.0/16", true},
    {"169.255.0.0/16", false},
    {"169.254.1.0/24", true},
    {"0.0.0.0", true},
    {"0.0.0.0/0", true},
    {"1.0.0.0/8", false},
    {"224.0.0.0/4", true},
    {"192.0.0.0/2", true},
    {"192.0.0.0/3", false},
    {"240.0.0.0/4", false},
    {"10.0.0.0/8", false},
    {"::1", true},
    {"::", true},
    {"::/0", true},
    {"fe80::/64", true},
    {"fe00::/8", true},
    {"fec0::/10", false},
    {"ff02::1", true},
    {"fd00::/8", false},
    {"fc00::/6", true},
    {"2000::/3", true},
    {"2000::/16", false},
    {"2001::/32", true},
    {"2001::/96", true},
    {"2001:0:1:2:3:4:f500:0/104", false},
    {"2001:0:1:2:3:4:8000:0/104", true},
    {"2002::/16", true},
    {"2002:7f00::/24", true},
    {"2002:a00::/24", false},
    {"2002:7f00:1::/48", true},
    {"2003::/16", false},
    {"64:ff9b::/96", true},
    {"64:ff9b::a00:0/104", false},
    {"64:ff9b::a9fe:0/112", true},
    {"64:ff9b:1::/48", true},
    {"64:ff9b:1:7f00::/56", true},
    {"64:ff9b:1::a00:0/104", false},
    {"64:ff9b:1::7f00:0/104", true},
    {"64:ff9b:1:7f00:0:100::", true},
    {"64:ff9b:1:a00:0:100::", false},
    {"64:ff9b:1:a00:0:100::/96", true},
    {"64:ff9b:1:7f:0:1::", true},
    {"64:ff9b:1:0:7f:0:100::", true},
    {"::ffff:127.0.0.0/104", true},
    {"::ffff:10.0.0.0/104", false},
    {"::ffff:0:127.0.0.0/104", true},
    {"::ffff:0:10.0.0.0/104", false},
    {"::127.0.0.0/104", true},
    {"::10.0.0.0/104", false},
    {"::fffe:0:0/95", true},
};

static struct cidr read_range(const char *text)
{
    struct cidr c = {};
    struct err err;
    if (cidr_parse(str_of(text), &c, &err) != ERR_OK)
        tap_ok(false, "a range in the table: %s", err.msg);
    return c;
}

static void test_text(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct cidr c, again;
        struct err err = {};
        char text[CIDR_TEXT_MAX] = "";
        bool ok = cidr_parse(good[i].in, &c, &err) == ERR_OK && cidr_format(&c, text) == strlen(text) &&
                  strcmp(text, good[i].want) == 0 && cidr_parse(str_of(text), &again, &err) == ERR_OK &&
                  again.bits == c.bits && ip_eq(&again.net, &c.net);
        tap_ok(ok, "'%.*s' is the range %s %s", STR_FMT(good[i].in), text, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cidr c = {.bits = 77};
        struct err err = {};
        bool ok = cidr_parse(bad[i].in, &c, &err) == ERR_INVALID && c.bits == 77 &&
                  strcmp(err.msg, bad[i].want) == 0;
        tap_ok(ok, "no range: %s", err.msg);
    }
}

static void test_questions(void)
{
    for (size_t i = 0; i < ARRAY_LEN(has); i++) {
        struct cidr c = read_range(has[i].range), one = read_range(has[i].ip);
        tap_ok(cidr_has(&c, &one.net) == has[i].want, "%s %s %s: %s", has[i].range,
               has[i].want ? "has" : "has not", has[i].ip, has[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(overlaps); i++) {
        struct cidr a = read_range(overlaps[i].a), b = read_range(overlaps[i].b);
        bool ok = cidr_overlaps(&a, &b) == overlaps[i].want && cidr_overlaps(&b, &a) == overlaps[i].want;
        tap_ok(ok, "%s and %s %s", overlaps[i].a, overlaps[i].b,
               overlaps[i].want ? "overlap" : "do not overlap");
    }
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++) {
        struct cidr c = read_range(blocked[i].range);
        tap_ok(cidr_touches_blocked(&c) == blocked[i].want, "%s %s what is never reachable", blocked[i].range,
               blocked[i].want ? "touches" : "stays clear of");
    }
}

// Every address of small ranges around the places where blocked addresses stand, asked one by one.
static void test_exhaustive(void)
{
    static const char *const bases[] = {
        "126.255.255.0",
        "128.0.0.0",
        "169.253.255.0",
        "169.255.0.0",
        "223.255.255.0",
        "240.0.0.0",
        "0.255.255.0",
        "1.0.0.0",
        "::",
        "::100",
        "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ff00",
        "fec0::",
        "::ffff:126.255.255.0",
        "::128.0.0.0",
        "64:ff9b::a9fd:ff00",
        "64:ff9b::aa00:0",
        "2001:0:1:1:1:1:80ff:ff00",
        "2001:0:1:1:1:1:7fff:ff00",
        "64:ff9b:1::",
        "64:ff9b:1::7eff:ff00",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1::e000:0",
        "2002:7f00:1::ff00",
        "64:ff9b:1:0:e0::",
        "64:ff9b:1:a00:0:100::",
        "::ffff:0:223.255.255.0",
        "2600::100",
    };
    size_t wrong = 0, asked = 0;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        for (unsigned free_bits = 0; free_bits <= 9; free_bits++) {
            struct cidr c = read_range(bases[i]);
            size_t last = c.net.family == 4 ? 3 : 15;
            unsigned low = (unsigned)c.net.b[last - 1] << 8 | c.net.b[last];
            low &= ~((1u << free_bits) - 1);
            c.bits = (uint8_t)(c.bits - free_bits);
            bool any = false;
            for (unsigned k = 0; k < 1u << free_bits; k++) {
                c.net.b[last - 1] = (uint8_t)((low | k) >> 8);
                c.net.b[last] = (uint8_t)((low | k) & 0xff);
                any |= ip_classify(&c.net) == IP_BLOCKED;
            }
            c.net.b[last - 1] = (uint8_t)(low >> 8);
            c.net.b[last] = (uint8_t)(low & 0xff);
            wrong += cidr_touches_blocked(&c) != any;
            asked++;
        }
    }
    tap_ok(wrong == 0 && asked == 10 * ARRAY_LEN(bases), "%zu ranges agree with each of their addresses",
           asked);
}

int main(void)
{
    test_text();
    test_questions();
    test_exhaustive();
    return tap_done();
}
