#include "net/ip.h"
#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const struct {
    struct str in;
    const char *want; // NULL: refused
    bool zone;
    const char *rule;
} any[] = {
    {STR_INIT("127.0.0.1"), "127.0.0.1", false, "a dotted quad"},
    {STR_INIT("127.0.0.1."), "127.0.0.1", false, "a root dot"},
    {STR_INIT("127.0.0.1.."), NULL, false, "two root dots"},
    {STR_INIT("127.1"), "127.0.0.1", false, "two parts: the last fills three bytes"},
    {STR_INIT("127.1.2"), "127.1.0.2", false, "three parts: the last fills two"},
    {STR_INIT("127.1.65535"), "127.1.255.255", false, "to the limit"},
    {STR_INIT("127.1.65536"), NULL, false, "and not past it"},
    {STR_INIT("127.16777215"), "127.255.255.255", false, "three bytes to the limit"},
    {STR_INIT("127.16777216"), NULL, false, "and not past it"},
    {STR_INIT("1.2.3.255"), "1.2.3.255", false, "one byte to the limit"},
    {STR_INIT("1.2.3.256"), NULL, false, "and not past it"},
    {STR_INIT("256.1"), NULL, false, "the first part is one byte"},
    {STR_INIT("1.256.1"), NULL, false, "so is the second"},
    {STR_INIT("1.1.256.1"), NULL, false, "and the third"},
    {STR_INIT("2130706433"), "127.0.0.1", false, "one part"},
    {STR_INIT("4294967295"), "255.255.255.255", false, "one part to the limit"},
    {STR_INIT("4294967296"), NULL, false, "and not past it"},
    {STR_INIT("99999999999999999999999999"), NULL, false, "nor past 64 bits"},
    {STR_INIT("18446744075840258049"), NULL, false, "nor around them"},
    {STR_INIT("0x7f000001"), "127.0.0.1", false, "hex"},
    {STR_INIT("0X7F.0x1"), "127.0.0.1", false, "hex in capitals and parts"},
    {STR_INIT("0x100000000"), NULL, false, "hex past the limit"},
    {STR_INIT("0x00000000000000007f000001"), "127.0.0.1", false, "leading zeros do not overflow"},
    {STR_INIT("0xg"), NULL, false, "not hex"},
    {STR_INIT("0x"), "0.0.0.0", false, "hex of no digits: zero to WHATWG URL"},
    {STR_INIT("017700000001"), "127.0.0.1", false, "octal"},
    {STR_INIT("0177.0.0.01"), "127.0.0.1", false, "octal parts"},
    {STR_INIT("010.0.0.1"), "8.0.0.1", false, "octal is not decimal"},
    {STR_INIT("08"), NULL, false, "8 is not octal"},
    {STR_INIT("0"), "0.0.0.0", false, "zero"},
    {STR_INIT("00"), "0.0.0.0", false, "octal zero"},
    {STR_INIT("1.2.3.4.5"), NULL, false, "five parts"},
    {STR_INIT("1..2"), NULL, false, "an empty part"},
    {STR_INIT(""), NULL, false, "nothing"},
    {{NULL, 0}, NULL, false, "nothing, nowhere"},
    {STR_INIT("."), NULL, false, "a dot"},
    {STR_INIT("1.2.3.4 "), NULL, false, "a blank behind it"},
    {STR_INIT(" 1.2.3.4"), NULL, false, "a blank before it"},
    {STR_INIT("+1"), NULL, false, "a sign"},
    {STR_INIT("1.2.3.4\0"), NULL, false, "a NUL behind it"},
    {STR_INIT("[1.2.3.4]"), NULL, false, "brackets are for IPv6"},
    {STR_INIT("1.2.3.4%eth0"), NULL, false, "so are zones"},
    {STR_INIT("::1"), "::1", false, "IPv6"},
    {STR_INIT("[::1]"), "::1", false, "in brackets"},
    {STR_INIT("[::1"), NULL, false, "half in brackets"},
    {STR_INIT("::1]"), NULL, false, "the other half"},
    {STR_INIT("[[::1]]"), NULL, false, "twice in brackets"},
    {STR_INIT("[:]"), NULL, false, "nothing but a colon"},
    {STR_INIT("fe80::1%eth0"), "fe80::1", true, "a zone"},
    {STR_INIT("[fe80::1%25eth0]"), "fe80::1", true, "a zone in a URL"},
    {STR_INIT("fe80::1%"), NULL, false, "an empty zone"},
    {STR_INIT("fe80::1%a/b"), NULL, false, "a zone with a slash"},
    {STR_INIT("fe80::1%a\0"), NULL, false, "a zone with a NUL"},
    {STR_INIT("fe80::1%a]"), NULL, false, "a zone with a bracket"},
    {STR_INIT("%eth0"), NULL, false, "a zone of nothing"},
    {STR_INIT("::1."), NULL, false, "IPv6 has no root dot"},
    {STR_INIT("::ffff:127.1"), NULL, false, "an embedded quad has four parts"},
};

static const struct {
    struct str in;
    const char *want, *rule;
} strict[] = {
    {STR_INIT("127.1"), "'127.1' is not an IPv4 address: fewer than four parts", "short forms"},
    {STR_INIT("1.2.3.4.5"), "'1.2.3.4.5' is not an IPv4 address: more than four parts", "five parts"},
    {STR_INIT("1.2.3.4."), "'1.2.3.4.' is not an IPv4 address: more than four parts", "a root dot"},
    {STR_INIT("010.0.0.1"),
     "'010.0.0.1' is not an IPv4 address: a part with a leading zero, which some read as octal", "octal"},
    {STR_INIT("0x7f.0.0.1"),
     "'0x7f.0.0.1' is not an IPv4 address: a part with a leading zero, which some read as octal", "hex"},
    {STR_INIT("1.2.3.256"), "'1.2.3.256' is not an IPv4 address: each part is a decimal number up to 255",
     "256"},
    {STR_INIT("1.2.3."), "'1.2.3.' is not an IPv4 address: each part is a decimal number", "an empty part"},
    {STR_INIT("1.2.3.4\0"), "'1.2.3.4' is not an IPv4 address: each part is a decimal number up to 255",
     "a NUL"},
    {STR_INIT("a.test"), "'a.test' is not an IPv4 address: each part is a decimal number", "a name"},
    {STR_INIT("[::1]"), "'[::1]' is not an IPv6 address", "brackets"},
    {STR_INIT("fe80::1%eth0"), "'fe80::1%eth0' is not an IPv6 address", "a zone"},
    {STR_INIT("1::2::3"), "'1::2::3' is not an IPv6 address", "two gaps"},
    {STR_INIT("1:2:3:4:5:6:7"), "'1:2:3:4:5:6:7' is not an IPv6 address", "seven groups"},
    {STR_INIT("1:2:3:4:5:6:7:8:9"), "'1:2:3:4:5:6:7:8:9' is not an IPv6 address", "nine groups"},
    {STR_INIT("1:2:3:4::5:6:7:8"), "'1:2:3:4::5:6:7:8' is not an IPv6 address", "a gap of nothing"},
    {STR_INIT("12345::"), "'12345::' is not an IPv6 address", "five digits"},
    {STR_INIT("1:2:3:4:5:6:7:1.2.3.4"), "'1:2:3:4:5:6:7:1.2.3.4' is not an IPv6 address",
     "a quad past the end"},
    {STR_INIT("::1.2.3.4:5"), "'::1.2.3.4:5' is not an IPv6 address", "a quad that is not last"},
    {STR_INIT("::01.2.3.4"), "'::01.2.3.4' is not an IPv6 address", "an octal quad inside"},
};

static const struct {
    const char *in;
    enum ip_class want;
    const char *rule;
} classes[] = {
    {"8.8.8.8", IP_PUBLIC, "public"},
    {"0.0.0.0", IP_BLOCKED, "unspecified"},
    {"0.255.255.255", IP_BLOCKED, "the rest of 0/8"},
    {"1.0.0.0", IP_PUBLIC, "past 0/8"},
    {"9.255.255.255", IP_PUBLIC, "before 10/8"},
    {"10.0.0.0", IP_INTERNAL, "10/8"},
    {"10.255.255.255", IP_INTERNAL, "10/8, end"},
    {"11.0.0.0", IP_PUBLIC, "past 10/8"},
    {"100.63.255.255", IP_PUBLIC, "before 100.64/10"},
    {"100.64.0.0", IP_INTERNAL, "100.64/10"},
    {"100.127.255.255", IP_INTERNAL, "100.64/10, end"},
    {"100.128.0.0", IP_PUBLIC, "past 100.64/10"},
    {"126.255.255.255", IP_PUBLIC, "before 127/8"},
    {"127.0.0.1", IP_BLOCKED, "loopback"},
    {"127.255.255.255", IP_BLOCKED, "127/8, end"},
    {"128.0.0.0", IP_PUBLIC, "past 127/8"},
    {"169.253.255.255", IP_PUBLIC, "before 169.254/16"},
    {"169.254.0.0", IP_BLOCKED, "link-local"},
    {"169.254.169.254", IP_BLOCKED, "metadata"},
    {"169.255.0.0", IP_PUBLIC, "past 169.254/16"},
    {"172.15.255.255", IP_PUBLIC, "before 172.16/12"},
    {"172.16.0.0", IP_INTERNAL, "172.16/12"},
    {"172.31.255.255", IP_INTERNAL, "172.16/12, end"},
    {"172.32.0.0", IP_PUBLIC, "past 172.16/12"},
    {"192.0.0.1", IP_INTERNAL, "192.0.0/24"},
    {"192.0.1.0", IP_PUBLIC, "past 192.0.0/24"},
    {"192.0.2.255", IP_INTERNAL, "192.0.2/24"},
    {"192.0.3.0", IP_PUBLIC, "past 192.0.2/24"},
    {"192.31.196.1", IP_INTERNAL, "AS112"},
    {"192.31.197.1", IP_PUBLIC, "past it"},
    {"192.52.193.1", IP_INTERNAL, "AMT"},
    {"192.52.194.1", IP_PUBLIC, "past it"},
    {"192.88.99.1", IP_INTERNAL, "6to4 relays"},
    {"192.88.100.1", IP_PUBLIC, "past it"},
    {"192.167.255.255", IP_PUBLIC, "before 192.168/16"},
    {"192.168.0.0", IP_INTERNAL, "192.168/16"},
    {"192.169.0.0", IP_PUBLIC, "past 192.168/16"},
    {"192.175.48.1", IP_INTERNAL, "AS112, the other"},
    {"192.175.49.1", IP_PUBLIC, "past it"},
    {"198.17.255.255", IP_PUBLIC, "before 198.18/15"},
    {"198.18.0.0", IP_INTERNAL, "198.18/15"},
    {"198.19.255.255", IP_INTERNAL, "198.18/15, end"},
    {"198.20.0.0", IP_PUBLIC, "past 198.18/15"},
    {"198.51.100.1", IP_INTERNAL, "198.51.100/24"},
    {"198.51.101.0", IP_PUBLIC, "past it"},
    {"203.0.113.1", IP_INTERNAL, "203.0.113/24"},
    {"203.0.114.0", IP_PUBLIC, "past it"},
    {"223.255.255.255", IP_PUBLIC, "before 224/4"},
    {"224.0.0.0", IP_BLOCKED, "multicast"},
    {"239.255.255.255", IP_BLOCKED, "multicast, end"},
    {"240.0.0.0", IP_INTERNAL, "reserved"},
    {"255.255.255.255", IP_INTERNAL, "broadcast"},
    {"2606:4700::1111", IP_PUBLIC, "public IPv6"},
    {"::", IP_BLOCKED, "unspecified IPv6"},
    {"::1", IP_BLOCKED, "loopback IPv6"},
    {"::2", IP_BLOCKED, "compatible 0/8"},
    {"fe80::1", IP_BLOCKED, "link-local IPv6"},
    {"febf::1", IP_BLOCKED, "link-local IPv6, end"},
    {"fec0::1", IP_INTERNAL, "site-local"},
    {"fe7f::1", IP_INTERNAL, "before fe80::/10"},
    {"ff02::1", IP_BLOCKED, "multicast IPv6"},
    {"fc00::1", IP_INTERNAL, "unique local"},
    {"fdff::1", IP_INTERNAL, "unique local, end"},
    {"100::1", IP_INTERNAL, "discard"},
    {"5f00::1", IP_INTERNAL, "segment routing"},
    {"1fff::1", IP_INTERNAL, "before 2000::/3"},
    {"2000::1", IP_PUBLIC, "2000::/3"},
    {"3ffe::1", IP_PUBLIC, "2000::/3 too"},
    {"4000::1", IP_INTERNAL, "past 2000::/3"},
    {"2001:1ff::1", IP_INTERNAL, "IETF protocols, end"},
    {"2001:200::1", IP_PUBLIC, "past it"},
    {"2001:db8::1", IP_INTERNAL, "documentation"},
    {"2001:db9::1", IP_PUBLIC, "past it"},
    {"2620:4f:8000::1", IP_INTERNAL, "AS112 IPv6"},
    {"2620:4f:8001::1", IP_PUBLIC, "past it"},
    {"3fff:fff::1", IP_INTERNAL, "documentation, the other"},
    {"3fff:1000::1", IP_PUBLIC, "past it"},
    {"::ffff:8.8.8.8", IP_PUBLIC, "mapped public"},
    {"::ffff:10.0.0.1", IP_INTERNAL, "mapped private"},
    {"::ffff:127.0.0.1", IP_BLOCKED, "mapped loopback"},
    {"::ffff:169.254.169.254", IP_BLOCKED, "mapped link-local"},
    {"::8.8.8.8", IP_INTERNAL, "compatible public: nobody routes it"},
    {"::127.0.0.1", IP_BLOCKED, "compatible loopback"},
    {"::ffff:0:8.8.8.8", IP_INTERNAL, "translated public"},
    {"::ffff:0:127.0.0.1", IP_BLOCKED, "translated loopback"},
    {"64:ff9b::8.8.8.8", IP_PUBLIC, "NAT64 public"},
    {"64:ff9b::10.0.0.1", IP_INTERNAL, "NAT64 private"},
    {"64:ff9b::127.0.0.1", IP_BLOCKED, "NAT64 loopback"},
    {"64:ff9b::0.0.0.1", IP_BLOCKED, "NAT64 0/8"},
    {"64:ff9b:0:1::8.8.8.8", IP_INTERNAL, "past the NAT64 prefix"},
    {"64:ff9b:1::8.8.8.8", IP_INTERNAL, "local NAT64 public"},
    {"64:ff9b:1::127.0.0.1", IP_BLOCKED, "local NAT64, a prefix of 96"},
    {"64:ff9b:1:abcd::127.0.0.1", IP_BLOCKED, "ditto, a subnet"},
    {"64:ff9b:1:7f00:0:100::", IP_BLOCKED, "local NAT64, a prefix of 48"},
    {"64:ff9b:1:7f:0:1::", IP_BLOCKED, "local NAT64, a prefix of 56"},
    {"64:ff9b:1:0:7f:0:100::", IP_BLOCKED, "local NAT64, a prefix of 64"},
    {"64:ff9b:1:7f00:0:100::1", IP_INTERNAL, "a suffix that is not zero is not that form"},
    {"64:ff9b:1:7f00:100:100::", IP_INTERNAL, "nor is a byte 8 that is not zero"},
    {"64:ff9b:1:a00:0:100::", IP_INTERNAL, "zeros are another prefix length"},
    {"2002:808:808::1", IP_INTERNAL, "6to4 public"},
    {"2002:7f00:1::1", IP_BLOCKED, "6to4 loopback"},
    {"2002:a9fe:a9fe::", IP_BLOCKED, "6to4 metadata"},
    {"2001:0:1:2:3:4:f7f7:f7f7", IP_INTERNAL, "Teredo public"},
    {"2001:0:1:2:3:4:80ff:fffe", IP_BLOCKED, "Teredo loopback, inverted"},
    {"2001:0:7f00:1:3:4:f7f7:f7f7", IP_INTERNAL, "Teredo's server does not count"},
};

static const struct {
    const char *in, *want; // NULL: none
} embedded[] = {
    {"::ffff:1.2.3.4", "1.2.3.4"},
    {"::1.2.3.4", "1.2.3.4"},
    {"::2", "0.0.0.2"},
    {"::", NULL},
    {"::1", NULL},
    {"::ffff:0:1.2.3.4", "1.2.3.4"},
    {"64:ff9b::102:304", "1.2.3.4"},
    {"64:ff9b:1:102:3:400::", "1.2.3.4"},
    {"64:ff9b:1::102:304", "1.2.3.4"},
    {"64:ff9b:1:1:2:304::", "1.2.3.4"},
    {"64:ff9b:1::1:203:400:0", "1.2.3.4"},
    {"2002:102:304::1", "1.2.3.4"},
    {"2001::fefd:fcfb", "1.2.3.4"},
    {"2001:db8::1", NULL},
    {"64:ff9b:2::102:304", NULL},
    {"1.2.3.4", NULL},
};

static const struct {
    const char *in;
    bool want;
} metadata[] = {
    {"169.254.169.254", true},    {"169.254.169.253", false},         {"100.100.100.200", true},
    {"fd00:ec2::254", true},      {"fd00:ec2::253", false},           {"::ffff:169.254.169.254", true},
    {"64:ff9b::a9fe:a9fe", true}, {"2002:6464:64c8::", true},         {"2001::5601:5601", true},
    {"::100.100.100.200", true},  {"64:ff9b:1:a9fe:a9:fe00::", true}, {"64:ff9b:1::169.254.169.254", true},
    {"8.8.8.8", false},
};

static struct ip read_ip(const char *text)
{
    struct ip ip = {};
    struct err err;
    if (ip_parse(str_of(text), &ip, &err) != ERR_OK)
        tap_ok(false, "an address in the table: %s", err.msg);
    return ip;
}

static void test_text(void)
{
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        struct ip ip = {.family = 77};
        struct err err = {};
        bool zone = !any[i].zone;
        char text[IP_TEXT_MAX] = "", want_err[200];
        enum err_code r = ip_parse_any(any[i].in, &ip, &zone, &err);
        (void)snprintf(want_err, sizeof(want_err), "'%.*s' is not an IP address", STR_FMT(any[i].in));
        bool ok = any[i].want ? r == ERR_OK && zone == any[i].zone && ip_format(&ip, text) == strlen(text) &&
                                    strcmp(text, any[i].want) == 0
                              : r == ERR_INVALID && ip.family == 77 && zone && strcmp(err.msg, want_err) == 0;
        if (!tap_ok(ok, "%s %s", any[i].want ? "taken:" : "refused:", any[i].rule))
            tap_note("%s %s", text, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(strict); i++) {
        struct ip ip = {.family = 77};
        struct err err = {};
        bool ok = ip_parse(strict[i].in, &ip, &err) == ERR_INVALID && ip.family == 77 &&
                  strcmp(err.msg, strict[i].want) == 0;
        if (!tap_ok(ok, "a policy may not say: %s", strict[i].rule))
            tap_note("%s", err.msg);
    }
}

static void test_classes(void)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        struct ip ip = read_ip(classes[i].in);
        bool ok = ip_classify(&ip) == classes[i].want;
        ok &= ip_range_touches_blocked(&ip, 128) == (classes[i].want == IP_BLOCKED);
        tap_ok(ok, "%s: %s", classes[i].in, classes[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(embedded); i++) {
        struct ip ip = read_ip(embedded[i].in), v4 = {.family = 77};
        bool has = ip_embedded_v4(&ip, &v4);
        struct ip want = embedded[i].want ? read_ip(embedded[i].want) : (struct ip){};
        bool ok = embedded[i].want ? has && ip_eq(&v4, &want) : !has && v4.family == 77;
        tap_ok(ok, "%s has %s inside", embedded[i].in, embedded[i].want ? embedded[i].want : "nothing");
    }
    for (size_t i = 0; i < ARRAY_LEN(metadata); i++) {
        struct ip ip = read_ip(metadata[i].in);
        tap_ok(ip_is_metadata(&ip) == metadata[i].want, "%s %s metadata", metadata[i].in,
               metadata[i].want ? "is" : "is not");
    }
    struct ip none = {}, v4 = read_ip("1.2.3.4"), v6 = {.family = 6, .b = {1, 2, 3, 4}};
    tap_ok(ip_classify(&none) == IP_BLOCKED, "what is no address is never reachable");
    tap_ok(!ip_eq(&v4, &v6) && !ip_prefix_eq(&v4, &v6, 8), "the families never compare equal");
    struct ip first = read_ip("169.254.0.0"), past = read_ip("169.255.0.0"), six = read_ip("febf::1"),
              six_past = read_ip("fec0::1"), mapped = read_ip("::ffff:169.254.0.1");
    tap_ok(ip_is_link_local(&first) && !ip_is_link_local(&past) && ip_is_link_local(&six) &&
               !ip_is_link_local(&six_past) && !ip_is_link_local(&mapped),
           "link-local");
}

// RFC 5952 section 4, and what it says about the embedded quad in section 5.
static void test_format(void)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"0:1:1:1:1:1:1:1", "0:1:1:1:1:1:1:1"},
        {"1:0:0:0:0:0:0:0", "1::"},
        {"0:0:1:1:1:1:0:0", "::1:1:1:1:0:0"},
        {"::ffff:a00:1", "::ffff:10.0.0.1"},
        {"::1.2.3.4", "::102:304"},
        {"::fffe:1.2.3.4", "::fffe:102:304"},
        {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
        {"::ffff:255.255.255.255", "::ffff:255.255.255.255"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip ip = read_ip(rows[i].in);
        char text[IP_TEXT_MAX];
        tap_ok(ip_format(&ip, text) == strlen(text) && strcmp(text, rows[i].want) == 0, "%s is written %s",
               rows[i].in, text);
    }
}

// The libc writes compatible addresses with a quad, "::1.2.3.4"; we, as RFC 5952 section 5 read with RFC
// 4291's deprecation, do not. Everything else is the same.
static void test_format_libc(void)
{
    uint64_t seed = 1;
    size_t wrong = 0, rounds = 200'000;
    for (size_t i = 0; i < rounds; i++) {
        struct ip ip = {.family = i % 4 == 0 ? 4 : 6}, again;
        for (size_t k = 0; k < (ip.family == 4 ? 4u : 16u); k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bool zero = (seed >> 40) % 4 != 0 && ip.family == 6;
            ip.b[k] = zero ? 0 : (uint8_t)(seed >> 56);
        }
        if (i % 16 == 3)
            memcpy(ip.b, (const uint8_t[12]){[10] = 0xff, 0xff}, 12);
        char ours[IP_TEXT_MAX], libc[INET6_ADDRSTRLEN];
        struct err err;
        ip_format(&ip, ours);
        inet_ntop(ip.family == 4 ? AF_INET : AF_INET6, ip.b, libc, sizeof(libc));
        bool compatible = ip.family == 6 && strncmp(libc, "::", 2) == 0 && strchr(libc, '.') &&
                          strncmp(libc, "::ffff:", 7) != 0;
        wrong += !compatible && strcmp(ours, libc) != 0;
        wrong += ip_parse(str_of(ours), &again, &err) != ERR_OK || !ip_eq(&ip, &again);
    }
    tap_ok(wrong == 0, "%zu addresses are written as by inet_ntop, and read back", rounds);
}

struct tally {
    size_t asked, taken, wrong;
};

// What inet_aton takes we take, with the same result; we also take one root dot and, as WHATWG URL does,
// "0x".
static void compare_aton(struct str text, const char *cstr, struct tally *t)
{
    struct in_addr want;
    struct ip ip;
    struct err err;
    bool zone;
    bool libc = inet_aton(cstr, &want) != 0;
    bool ours = !str_has(text, ':') && ip_parse_any(text, &ip, &zone, &err) == ERR_OK;
    t->asked++;
    t->taken += ours;
    if (libc) {
        t->wrong += !ours || memcmp(ip.b, &want, 4) != 0;
    } else if (ours) {
        char spelt[64]; // every part "0x" is made "0x0" and the root dot is dropped
        size_t n = 0;
        for (size_t i = 0; i < text.n; i++) {
            bool end = i + 1 == text.n || text.p[i + 1] == '.';
            if (text.p[i] == '.' && i + 1 == text.n)
                break;
            spelt[n++] = text.p[i];
            if (char_lower(text.p[i]) == 'x' && end)
                spelt[n++] = '0';
        }
        spelt[n] = '\0';
        t->wrong += strcmp(spelt, cstr) == 0 || inet_aton(spelt, &want) == 0 || memcmp(ip.b, &want, 4) != 0;
    }
}

static void compare_pton(struct str text, const char *cstr, struct tally *t)
{
    uint8_t want[16];
    struct ip ip;
    struct err err;
    int family = str_has(text, ':') ? AF_INET6 : AF_INET;
    bool libc = inet_pton(family, cstr, want) == 1;
    bool ours = ip_parse(text, &ip, &err) == ERR_OK;
    t->asked++;
    t->taken += ours;
    t->wrong += libc != ours || (ours && memcmp(ip.b, want, family == AF_INET ? 4 : 16) != 0);
}

// All words of up to `max` letters, each a string, through `compare`.
static void each_word(const char *const *abc, size_t abc_n, size_t max,
                      void (*compare)(struct str, const char *, struct tally *), struct tally *t)
{
    for (size_t n = 0, count = 1; n <= max; n++, count *= abc_n) {
        for (size_t k = 0; k < count; k++) {
            char text[64];
            size_t len = 0;
            for (size_t i = 0, v = k; i < n; i++, v /= abc_n)
                for (const char *p = abc[v % abc_n]; *p; p++)
                    text[len++] = *p;
            text[len] = '\0';
            compare((struct str){text, len}, text, t);
        }
    }
}

static void test_libc(void)
{
    static const char *const numbers[] = {"0", "1", "7", "8", "x", "a", ".", ":"};
    static const char *const parts[] = {".", "0x", "255", "256", "65536", "0377", "0400", "16777215"};
    static const char *const groups[] = {":", "::", "1", "fFf0", "0", "1.2.3.4", ".", "01"};
    struct tally aton = {}, pton = {};
    each_word(numbers, ARRAY_LEN(numbers), 6, compare_aton, &aton);
    each_word(parts, ARRAY_LEN(parts), 5, compare_aton, &aton);
    tap_ok(aton.wrong == 0 && aton.taken > 10'000, "%zu of %zu words are addresses as to inet_aton",
           aton.taken, aton.asked);
    each_word(numbers, ARRAY_LEN(numbers), 6, compare_pton, &pton);
    each_word(groups, ARRAY_LEN(groups), 5, compare_pton, &pton);
    static const char *const eight[] = {":", "1:", ":1", "::", "1.2.3.4", "2:3:4:5"};
    each_word(eight, ARRAY_LEN(eight), 6, compare_pton, &pton);
    tap_ok(pton.wrong == 0 && pton.taken > 1'000, "%zu of %zu words are addresses as to inet_pton",
           pton.taken, pton.asked);
}

int main(void)
{
    test_text();
    test_classes();
    test_format();
    test_format_libc();
    test_libc();
    return tap_done();
}
