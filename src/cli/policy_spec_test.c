#include "cli/policy_spec.h"

#include "tap.h"

static const struct {
    const char *text, *host;
    uint32_t port;
    const char *access, *protocol, *enforcement, *rule;
} good[] = {
    {"h.test:443", "h.test", 443, "", "", "", "host and port"},
    {"h.test:443:read-only", "h.test", 443, "read-only", "", "", "an access"},
    {"h.test:443:full:rest", "h.test", 443, "full", "rest", "", "a protocol"},
    {"h.test:443::rest:audit", "h.test", 443, "", "rest", "audit", "an empty access in the middle"},
    {"*.h.test:1:read-write:websocket:enforce", "*.h.test", 1, "read-write", "websocket", "enforce",
     "a pattern of hosts"},
    {"db:5432::tcp", "db", 5432, "", "tcp", "", "tcp"},
    {"h:65535:full:rest:enforce:request-body-credential-rewrite,allowed-ip=fd00::/8", "h", 65535, "full",
     "rest", "enforce", "options, with colons of their own"},
};

static const struct {
    const char *text, *want;
} bad[] = {
    {"", "HOST:PORT is needed, and what follows is optional"},
    {"h", "HOST:PORT is needed, and what follows is optional"},
    {":443", "'' is no host: a name, without blanks and '/'"},
    {"https://h:443", "'//h' is no port: 1 to 65535"},
    {"a b:443", "'a b' is no host: a name, without blanks and '/'"},
    {"a/b:443", "'a/b' is no host: a name, without blanks and '/'"},
    {"h:0", "'0' is no port: 1 to 65535"},
    {"h:65536", "'65536' is no port: 1 to 65535"},
    {"h:+1", "'+1' is no port: 1 to 65535"},
    {"h:1:", "the last segment is empty: leave its ':' out"},
    {"h:1:full:rest:enforce:", "the last segment is empty: leave its ':' out"},
    {"h:1:all", "'all' is no access: read-only, read-write, full"},
    {"h:1:full:http", "'http' is no protocol: tcp, rest, websocket, sql"},
    {"h:1:full:rest:on", "'on' is no enforcement: enforce, audit"},
    {"h:1:full::enforce", "an enforcement needs a protocol"},
    {"h:1:full:tcp", "protocol tcp takes neither an access nor an enforcement"},
    {"h:1::tcp:enforce", "protocol tcp takes neither an access nor an enforcement"},
    {"h:1:full:rest:enforce:fast", "'fast' is no option: allow-uninspected-credentials, "
                                   "websocket-credential-rewrite, request-body-credential-rewrite, "
                                   "allowed-ip=ADDRESS"},
    {"h:1:full:sql::websocket-credential-rewrite",
     "'websocket-credential-rewrite' needs protocol rest or websocket"},
    {"h:1:full:websocket::request-body-credential-rewrite",
     "'request-body-credential-rewrite' needs protocol rest"},
};

static const struct {
    const char *text, *want, *rule; // want: the error, or ""
} rules[] = {
    {"h:443:get:/a/**", "", "a method in any case"},
    {"h:443:*:**", "", "all of them"},
    {"h:443:GET:**/x", "", "a path behind any folder"},
    {"h:443:GET", "HOST:PORT:METHOD:PATH is needed", "three segments"},
    {"h:443:GET:/a:b", "HOST:PORT:METHOD:PATH is needed", "five"},
    {"h:443::/a", "the method is empty: a name such as GET, or *", "no method"},
    {"h:443:GET:a", "'a' is no path: it begins with '/' or '**/', or is '**'", "a path from nowhere"},
    {"h:443:GET:", "'' is no path: it begins with '/' or '**/', or is '**'", "no path"},
    {"h:x:GET:/", "'x' is no port: 1 to 65535", "no port"},
};

static void test_endpoints(struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct endpoint ep = {};
        struct err err = {};
        bool ok = policy_spec_endpoint(str_of(good[i].text), a, &ep, &err) == ERR_OK &&
                  str_eq(ep.host, str_of(good[i].host)) && ep.ports_n == 1 && ep.ports[0] == good[i].port &&
                  str_eq(ep.access, str_of(good[i].access)) &&
                  str_eq(ep.protocol, str_of(good[i].protocol)) &&
                  str_eq(ep.enforcement, str_of(good[i].enforcement));
        tap_ok(ok, "%s %s", good[i].rule, err.msg);
    }
    struct endpoint ep = {};
    struct err err = {};
    enum err_code r = policy_spec_endpoint(str_of(good[6].text), a, &ep, &err);
    tap_ok(r == ERR_OK && ep.request_body_credential_rewrite && !ep.websocket_credential_rewrite &&
               ep.allowed_ips.n == 1 && str_eq(ep.allowed_ips.v[0], STR("fd00::/8")),
           "options are kept");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = (struct err){};
        r = policy_spec_endpoint(str_of(bad[i].text), a, &ep, &err);
        if (!tap_ok(r == ERR_INVALID && strcmp(err.msg, bad[i].want) == 0, "refuses '%s'", bad[i].text))
            tap_note("%s", err.msg);
    }
    r = policy_spec_endpoint(STR("h:1:full:rest:enforce:allowed-ip=x"), a, &ep, &err);
    tap_ok(r == ERR_INVALID && str_starts(str_of(err.msg), STR("allowed-ip 'x': ")),
           "refuses what is no address");
}

static void test_rules(struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct l7_rule rule = {};
        struct str host = {};
        uint32_t port = 0;
        struct err err = {};
        enum err_code r = policy_spec_rule(str_of(rules[i].text), a, &host, &port, &rule, &err);
        if (!tap_ok((r == ERR_OK) == !rules[i].want[0] && strcmp(err.msg, rules[i].want) == 0, "a rule: %s",
                    rules[i].rule))
            tap_note("%s", err.msg);
        if (i == 0)
            tap_ok(str_eq(rule.method, STR("GET")) && str_eq(rule.path, STR("/a/**")) && port == 443 &&
                       str_eq(host, STR("h")),
                   "which becomes capital letters");
    }
    struct str host = {};
    uint32_t port = 0;
    struct err err = {};
    tap_ok(policy_spec_place(STR("h:1"), &host, &port, &err) == ERR_OK && port == 1, "a place");
    tap_ok(policy_spec_place(STR("h:1:full"), &host, &port, &err) == ERR_INVALID &&
               policy_spec_place(STR("h"), &host, &port, &err) == ERR_INVALID,
           "is two segments");
}

int main(void)
{
    struct arena a;
    arena_init(&a, MIB);
    test_endpoints(&a);
    test_rules(&a);
    arena_done(&a);
    struct err err = {};
    struct endpoint ep = {};
    arena_init(&a, 1);
    tap_ok(policy_spec_endpoint(STR("h:1"), &a, &ep, &err) == ERR_LIMIT, "no room is said");
    arena_done(&a);
    return tap_done();
}
