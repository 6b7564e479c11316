#include "net/dns.h"

#include "tap.h"

#define HEAD(flags, qd, ar) "\x12\x34" flags "\0" qd "\0\0\0\0\0" ar
#define Q_A                                                                                                  \
    "\x01"                                                                                                   \
    "a"                                                                                                      \
    "\x04"                                                                                                   \
    "test"                                                                                                   \
    "\0"                                                                                                     \
    "\0\x01"                                                                                                 \
    "\0\x01"
#define OPT                                                                                                  \
    "\0"                                                                                                     \
    "\0\x29"                                                                                                 \
    "\x04\xd0"                                                                                               \
    "\0\0\0\0"                                                                                               \
    "\0\0"
#define L63                                                                                                  \
    "\x3f"                                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    struct str in;
    const char *want, *rule; // want: "name type", or the error
} rows[] = {
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") Q_A), "a.test 1", "a plain question"},
    {STR_INIT(HEAD("\0\0", "\x01", "\0") "\x01"
                                         "A"
                                         "\x04"
                                         "TEST"
                                         "\0"
                                         "\0\x1c"
                                         "\0\x01"),
     "a.test 28", "names are folded"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\x01") Q_A OPT), "a.test 1", "an OPT record is no question"},
    {STR_INIT("\x12\x34\x01\0\0\x01\0\0\0\0\0"), "a message of 11 bytes", "a header has 12 bytes"},
    {STR_INIT(HEAD("\x81\0", "\x01", "\0") Q_A), "not a standard query", "a response is no query"},
    {STR_INIT(HEAD("\x28\0", "\x01", "\0") Q_A), "not a standard query", "an update is no query"},
    {STR_INIT(HEAD("\x01\0", "\0", "\0")), "not exactly one question", "no question"},
    {STR_INIT(HEAD("\x01\0", "\x02", "\0") Q_A Q_A), "not exactly one question", "two questions"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\xc0\x0c"
                                           "\0\x01\0\x01"),
     "a compressed or oversized label in a question", "no pointer in a question"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x05"
                                           "a"),
     "the name is cut, or longer than 253 bytes", "a label past the end"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x01"
                                           "a"),
     "the name is cut", "no root label"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x03"
                                           "a.b"
                                           "\0"
                                           "\0\x01\0\x01"),
     "a dot inside a label", "a dot is not two labels"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x03"
                                           "a\0b"
                                           "\0"
                                           "\0\x01\0\x01"),
     "byte 0x00 at offset 1", "a NUL is not a name"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x01"
                                           "a"
                                           "\0"
                                           "\0\x01\0"),
     "the question is cut", "half a class"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") "\x01"
                                           "a"
                                           "\0"
                                           "\0\x01\0\x03"),
     "a class other than IN", "class CHAOS"},
    {STR_INIT(HEAD("\x01\0", "\x01", "\0") L63 L63 L63 L63 "\0"
                                                           "\0\x01\0\x01"),
     "the name is cut, or longer than 253 bytes", "255 bytes are no name"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_query q = {};
        struct err e = {};
        char got[400];
        if (dns_query_parse(rows[i].in, &q, &e) == ERR_OK)
            (void)snprintf(got, sizeof(got), "%s %u", q.name.b, q.type);
        else
            (void)snprintf(got, sizeof(got), "%s", e.msg);
        if (!tap_ok(str_eq(str_of(got), str_of(rows[i].want)), "%s", rows[i].rule))
            tap_note("got %s", got);
    }
}

static void test_answer(void)
{
    static const char want[] = "\x12\x34\x81\x80\0\x01\0\x01\0\0\0\x01" Q_A
                               "\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\xc6\x12\x01\0" OPT;
    struct dns_query q = {};
    struct err e;
    char out[512];
    const struct ip addrs[] = {{.family = 4, .b = {198, 18, 1, 0}}, {.family = 6}};
    bool parsed = dns_query_parse(STR(HEAD("\x01\0", "\x01", "\x01") Q_A OPT), &q, &e) == ERR_OK;
    size_t n = dns_answer(&q, DNS_NOERROR, addrs, 2, 30, out, sizeof(out));
    tap_ok(parsed && str_eq((struct str){out, n}, (struct str){want, sizeof(want) - 1}),
           "an answer repeats the question and has the addresses of its family");
    tap_ok(dns_answer(&q, DNS_NOERROR, addrs, 2, 30, out, n) == n, "a buffer of the exact size is enough");
    tap_ok(dns_answer(&q, DNS_NOERROR, addrs, 2, 30, out, n - 1) == 0, "one byte less is not");
    struct dns_query broken = {};
    bool failed = dns_query_parse(STR(HEAD("\x01\0", "\x02", "\0")), &broken, &e) == ERR_INVALID;
    n = dns_answer(&broken, DNS_FORMERR, addrs, 0, 0, out, sizeof(out));
    tap_ok(failed && n == 12 && out[0] == 0x12 && (out[3] & 0xf) == DNS_FORMERR,
           "FORMERR carries the id and no question");
}

int main(void)
{
    test_rows();
    test_answer();
    return tap_done();
}
