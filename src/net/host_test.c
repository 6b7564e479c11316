#include "net/host.h"
#include "net/ip.h"
#include "tap.h"

#define R4(s) s s s s
#define A60   R4("aaaaaaaaaaaaaaa")
#define L63   A60 "aaa"
#define N253  L63 "." L63 "." L63 "." A60 "a"

static const struct {
    struct str in, want;
    const char *rule;
} good[] = {
    {STR_INIT("api.example.com"), STR_INIT("api.example.com"), "a name is itself"},
    {STR_INIT("API.Example.COM"), STR_INIT("api.example.com"), "case does not count"},
    {STR_INIT("api.example.com."), STR_INIT("api.example.com"), "nor does the root dot"},
    {STR_INIT("localhost"), STR_INIT("localhost"), "one label is a name"},
    {STR_INIT("a"), STR_INIT("a"), "one byte is a name"},
    {STR_INIT("_dmarc.a_b.test"), STR_INIT("_dmarc.a_b.test"), "underscores occur in names"},
    {STR_INIT("a-b.test"), STR_INIT("a-b.test"), "a hyphen inside a label"},
    {STR_INIT("xn--bcher-kva.test"), STR_INIT("xn--bcher-kva.test"), "an A-label"},
    {STR_INIT("XN--P1AI"), STR_INIT("xn--p1ai"), "an A-label in capitals"},
    {STR_INIT("r3---sn-abc.test"), STR_INIT("r3---sn-abc.test"), "hyphens in third and fourth place"},
    {STR_INIT("ab--c_d.test"), STR_INIT("ab--c_d.test"), "only xn-- labels are without underscores"},
    {STR_INIT("1.2.3.4.test"), STR_INIT("1.2.3.4.test"), "numbers ahead of the last label"},
    {STR_INIT("1.2.3.4a"), STR_INIT("1.2.3.4a"), "a last label that is no number"},
    {STR_INIT("1.0xg"), STR_INIT("1.0xg"), "nor a hex number"},
    {STR_INIT("3com"), STR_INIT("3com"), "a label may begin with a digit"},
    {STR_INIT(L63 ".test"), STR_INIT(L63 ".test"), "a label of 63 bytes"},
    {STR_INIT(N253), STR_INIT(N253), "a name of 253 bytes"},
    {STR_INIT(N253 "."), STR_INIT(N253), "and its root dot"},
};

static const struct {
    struct str in;
    const char *want, *rule;
} bad[] = {
    {STR_INIT(""), "a name has 1 to 253 bytes, not 0", "nothing"},
    {{NULL, 0}, "a name has 1 to 253 bytes, not 0", "nothing, nowhere"},
    {STR_INIT("."), "a name has 1 to 253 bytes, not 0", "the root alone"},
    {STR_INIT(N253 "a"), "a name has 1 to 253 bytes, not 254", "254 bytes"},
    {STR_INIT(N253 "a."), "a name has 1 to 253 bytes, not 254", "254 bytes and the root dot"},
    {STR_INIT("a." A60 "aaaa.test"), "label '" A60 "aaaa' has 64 bytes, 63 at most", "a label of 64 bytes"},
    {STR_INIT(".a"), "empty label at offset 0", "an empty first label"},
    {STR_INIT("a..b"), "empty label at offset 2", "an empty label"},
    {STR_INIT("a.."), "empty label at offset 2", "two root dots"},
    {STR_INIT("-a.test"), "label '-a' begins or ends with '-'", "a hyphen at the beginning"},
    {STR_INIT("b.a-.test"), "label 'a-' begins or ends with '-'", "a hyphen at the end"},
    {STR_INIT("a.-"), "label '-' begins or ends with '-'", "a hyphen alone"},
    {STR_INIT("xn--.test"), "label 'xn--' begins or ends with '-'", "an A-label with nothing in it"},
    {STR_INIT("xn--a_b.test"), "label 'xn--a_b' begins with 'xn--' and has a '_'",
     "an A-label that is not LDH"},
    {STR_INIT("Xn--a_b"), "label 'Xn--a_b' begins with 'xn--' and has a '_'", "the same in capitals"},
    {STR_INIT("a.*.test"), "byte 0x2a at offset 2", "a wildcard"},
    {STR_INIT("evil\0.google.com"), "byte 0x00 at offset 4", "a NUL inside"},
    {STR_INIT("a.test\0"), "byte 0x00 at offset 6", "a NUL at the end"},
    {STR_INIT("a\n.test"), "byte 0x0a at offset 1", "a line break"},
    {STR_INIT("b\xc3\xbc"
              "cher.test"),
     "byte 0xc3 at offset 1", "a U-label"},
    {STR_INIT("a\xe3\x80\x82test"), "byte 0xe3 at offset 1", "an ideographic full stop"},
    {STR_INIT("a%2etest"), "byte 0x25 at offset 1", "an escape"},
    {STR_INIT("a test"), "byte 0x20 at offset 1", "a blank"},
    {STR_INIT("a:443"), "byte 0x3a at offset 1", "a port"},
    {STR_INIT("u@a.test"), "byte 0x40 at offset 1", "user information"},
    {STR_INIT("a/b"), "byte 0x2f at offset 1", "a path"},
    {STR_INIT("::1"), "byte 0x3a at offset 0", "an IPv6 address"},
    {STR_INIT("[::1]"), "byte 0x5b at offset 0", "and in brackets"},
    {STR_INIT("127.0.0.1"), "'127.0.0.1' ends in a number, so it is an IPv4 address or nothing",
     "an IPv4 address"},
    {STR_INIT("127.1."), "'127.1' ends in a number, so it is an IPv4 address or nothing",
     "a short one, root dot"},
    {STR_INIT("2130706433"), "'2130706433' ends in a number, so it is an IPv4 address or nothing",
     "in one part"},
    {STR_INIT("a.08"), "'a.08' ends in a number, so it is an IPv4 address or nothing",
     "no valid number either"},
    {STR_INIT("a.0xA9fe"), "'a.0xA9fe' ends in a number, so it is an IPv4 address or nothing",
     "a hex number"},
    {STR_INIT("a.0X"), "'a.0X' ends in a number, so it is an IPv4 address or nothing",
     "a hex number of no digits"},
};

static const struct {
    struct str in;
    bool want;
} number[] = {
    {STR_INIT(""), false},      {STR_INIT("."), false},      {STR_INIT("1"), true},
    {STR_INIT("1."), true},     {STR_INIT("1.."), false},    {STR_INIT("a.1"), true},
    {STR_INIT("1.a"), false},   {STR_INIT("0x"), true},      {STR_INIT("0x."), true},
    {STR_INIT("0XfF"), true},   {STR_INIT("0xg"), false},    {STR_INIT("x1"), false},
    {STR_INIT("1x"), false},    {STR_INIT("a.0"), true},     {STR_INIT("a.09"), true},
    {STR_INIT("a.1e3"), false}, {STR_INIT("a.-1"), false},   {STR_INIT("\xff.1"), true},
    {STR_INIT("a.1\0"), false}, {STR_INIT("a.00x1"), false}, {STR_INIT("ff"), false},
};

static void test_tables(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct host host;
        struct err err = {};
        bool ok = host_parse(good[i].in, &host, &err) == ERR_OK && str_eq(host_str(&host), good[i].want) &&
                  host.b[host.n] == '\0';
        tap_ok(ok, "a name: %s %s", good[i].rule, err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct host host = {.n = 77};
        struct err err = {};
        bool ok = host_parse(bad[i].in, &host, &err) == ERR_INVALID && host.n == 77 &&
                  strcmp(err.msg, bad[i].want) == 0;
        if (!tap_ok(ok, "not a name: %s", bad[i].rule))
            tap_note("%s", err.msg);
    }
    for (size_t i = 0; i < ARRAY_LEN(number); i++)
        tap_ok(host_ends_in_number(number[i].in) == number[i].want, "'%.*s' %s in a number",
               STR_FMT(number[i].in), number[i].want ? "ends" : "does not end");
}

// Each byte alone between two letters: the gate has no byte that was forgotten.
static void test_bytes(void)
{
    size_t legal = 0, lower = 0;
    for (int c = 0; c < 256; c++) {
        char text[] = {'a', (char)c, 'b'};
        struct host host;
        struct err err;
        if (host_parse((struct str){text, 3}, &host, &err) != ERR_OK)
            continue;
        legal++;
        lower += host.b[1] == (char)c;
    }
    tap_ok(legal == 26 + 26 + 10 + 3 && lower == legal - 26,
           "65 bytes may stand in a name, capitals become small");
}

// Nothing is both a name and an address, and nothing that is neither passes as a name.
static void test_gap(void)
{
    static const char abc[] = "0189axX.-";
    size_t both = 0, names = 0, numbers = 0;
    char text[6];
    for (size_t n = 1; n <= sizeof(text); n++) {
        size_t count = 1;
        for (size_t i = 0; i < n; i++)
            count *= sizeof(abc) - 1;
        for (size_t k = 0; k < count; k++) {
            for (size_t i = 0, v = k; i < n; i++, v /= sizeof(abc) - 1)
                text[i] = abc[v % (sizeof(abc) - 1)];
            struct host host;
            struct ip ip;
            struct err err;
            bool zone;
            bool is_name = host_parse((struct str){text, n}, &host, &err) == ERR_OK;
            bool is_ip = ip_parse_any((struct str){text, n}, &ip, &zone, &err) == ERR_OK;
            both += is_name && is_ip;
            names += is_name;
            numbers += is_ip;
        }
    }
    tap_ok(both == 0 && names > 0 && numbers > 0, "no text is a name and an address (%zu and %zu)", names,
           numbers);
}

int main(void)
{
    test_tables();
    test_bytes();
    test_gap();
    return tap_done();
}
