#include "cli/request_arg.h"

#include "tap.h"

static const struct {
    const char *in, *want, *rule; // want: "METHOD host port path?query", with "ws" or "connect" behind
} good[] = {
    {"GET https://api.github.com/zen?x=1", "GET api.github.com 443 /zen ?x=1", "a request"},
    {"GET http://a.test", "GET a.test 80 / ?", "http has port 80, and no path is /"},
    {"GET https://a.test?x", "GET a.test 443 / ?x", "a query without a path"},
    {"GET https://a.test/?", "GET a.test 443 / ?", "an empty query"},
    {"GET https://a.test/a?b?c", "GET a.test 443 /a ?b?c", "the first '?' begins the query"},
    {"GET https://a.test/a#b?c", "GET a.test 443 /a ?", "a fragment is dropped"},
    {"GET https://a.test#b", "GET a.test 443 / ?", "right behind the host too"},
    {"GET https://A.Test:8443/", "GET a.test 8443 / ?", "a port, and a host in capitals"},
    {"GET https://a.test./", "GET a.test 443 / ?", "the root dot does not count"},
    {"GET HTTPS://a.test/", "GET a.test 443 / ?", "schemes have no case"},
    {"GET wss://a.test/s", "GET a.test 443 /s ? ws", "wss has port 443"},
    {"GET ws://a.test/s", "GET a.test 80 /s ? ws", "ws has port 80"},
    {"GET https://[2001:DB8::1]:8080/", "GET 2001:db8::1 8080 / ?", "an IPv6 literal with a port"},
    {"GET https://[::1]/", "GET ::1 443 / ?", "and without"},
    {"GET https://127.0.0.1/", "GET 127.0.0.1 443 / ?", "an IPv4 literal"},
    {"GET https://0x7f.1/", "GET 127.0.0.1 443 / ?", "in any spelling a resolver takes"},
    {"CONNECT db.test:5432", "CONNECT db.test 5432  ? connect", "a connection"},
    {"CONNECT [::1]:1", "CONNECT ::1 1  ? connect", "to an IPv6 literal"},
    {"CONNECT a.test:65535", "CONNECT a.test 65535  ? connect", "the last port"},
    {"  GET   https://a.test/  ", "GET a.test 443 / ?", "blanks around do not count"},
    {"M-SEARCH https://a.test/", "M-SEARCH a.test 443 / ?", "any token is a method"},
    {"connect https://a.test/", "connect a.test 443 / ?", "methods have case"},
};

static const struct {
    const char *in, *want;
} bad[] = {
    {"", "a request is 'METHOD URL' or 'CONNECT HOST:PORT'"},
    {"GET", "a request is 'METHOD URL' or 'CONNECT HOST:PORT'"},
    {"https://a.test/", "a request is 'METHOD URL' or 'CONNECT HOST:PORT'"},
    {"GET https://a.test/a b", "byte 0x20 in the middle of 'https://a.test/a b'"},
    {"GET https://a.test/a\tb", "byte 0x09 in the middle of 'https://a.test/a?b'"},
    {"GET https://a.test/\x7f", "byte 0x7f in the middle of 'https://a.test/?'"},
    {"GET\tX https://a.test/", "'GET?X' is not a method"},
    {"G(T https://a.test/", "'G(T' is not a method"},
    {"GET ftp://a.test/", "'ftp://a.test/' is not a URL of http, https, ws or wss"},
    {"GET a.test/", "'a.test/' is not a URL of http, https, ws or wss"},
    {"GET https://", "the host is missing"},
    {"GET https:///x", "the host is missing"},
    {"GET https://:443/", "the host is missing"},
    {"GET https://u:p@a.test/", "a user name or password before '@' is not part of a request"},
    {"GET https://a.test:/", "port '' is not a number from 1 to 65535"},
    {"GET https://a.test:0/", "port '0' is not a number from 1 to 65535"},
    {"GET https://a.test:65536/", "port '65536' is not a number from 1 to 65535"},
    {"GET https://a.test:+1/", "port '+1' is not a number from 1 to 65535"},
    {"GET https://[::1]x/", "port 'x' is not a number from 1 to 65535"},
    {"GET https://[::1/", "'[' without ']' in '[::1'"},
    {"GET https://::1/", "an IPv6 address stands in brackets, as in [2001:db8::1]"},
    {"GET https://[fe80::1%eth0]/", "host '[fe80::1%eth0]': a policy cannot name a zone"},
    {"CONNECT a.test", "the port is missing, as in a.test:443"},
    {"CONNECT https://a.test:443", "an IPv6 address stands in brackets, as in [2001:db8::1]"},
    {"CONNECT a.test:443/x", "port '443/x' is not a number from 1 to 65535"},
};

static void test_good(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct request_arg r = {};
        struct err err = {};
        char got[300] = "";
        if (request_arg_parse(str_of(good[i].in), &r, &err) == ERR_OK)
            (void)snprintf(got, sizeof(got), "%.*s %s %u %.*s ?%.*s%s%s",
                           STR_FMT(r.connect ? STR("CONNECT") : r.method), r.host, r.port, STR_FMT(r.path),
                           STR_FMT(r.query), r.websocket ? " ws" : "", r.connect ? " connect" : "");
        if (!tap_ok(strcmp(got, good[i].want) == 0, "%s", good[i].rule))
            tap_note("want %s, got %s %s", good[i].want, got, err.msg);
    }
}

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct request_arg r = {.port = 77};
        struct err err = {};
        enum err_code code = request_arg_parse(str_of(bad[i].in), &r, &err);
        if (!tap_ok(code == ERR_INVALID && strcmp(err.msg, bad[i].want) == 0 && r.port == 77, "refuses %s",
                    bad[i].want))
            tap_note("got %s", err.msg);
    }
}

static void test_limits(void)
{
    char text[REQUEST_TEXT_MAX + 2];
    struct request_arg r = {};
    struct err err = {};
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET https://a.test/", 19);
    tap_ok(request_arg_parse((struct str){text, REQUEST_TEXT_MAX}, &r, &err) == ERR_OK, "8192 bytes");
    tap_ok(request_arg_parse((struct str){text, REQUEST_TEXT_MAX + 1}, &r, &err) == ERR_INVALID &&
               strcmp(err.msg, "the request has 8193 bytes, 8192 at most") == 0,
           "one more");
    memset(text, 'A', 33);
    memcpy(text + 32, " https://a.test/", 16);
    tap_ok(request_arg_parse((struct str){text, 48}, &r, &err) == ERR_OK && r.method.n == 32,
           "a method of 32 bytes");
    memset(text, 'A', 33);
    memcpy(text + 33, " https://a.test/", 16);
    tap_ok(request_arg_parse((struct str){text, 49}, &r, &err) == ERR_INVALID &&
               strcmp(err.msg, "the method has 33 bytes, 32 at most") == 0,
           "of one more");
    tap_ok(request_arg_parse((struct str){}, &r, &err) == ERR_INVALID, "no bytes at all");
    tap_ok(request_arg_parse(STR("GET https://a.test/\0b"), &r, &err) == ERR_INVALID, "a NUL in the path");
    tap_ok(request_arg_parse(STR("G\0T https://a.test/"), &r, &err) == ERR_INVALID, "a NUL in the method");
    tap_ok(request_arg_parse(STR("GET https://a..test/"), &r, &err) == ERR_INVALID &&
               str_starts(str_of(err.msg), STR("host 'a..test': ")),
           "a host that is none");
    tap_ok(request_arg_parse(STR("GET https://[a.test]/"), &r, &err) == ERR_INVALID &&
               str_starts(str_of(err.msg), STR("host '[a.test]': ")),
           "a name in brackets");
}

int main(void)
{
    test_good();
    test_bad();
    test_limits();
    return tap_done();
}
