#include "policy/validate_rows.h"

// A policy with one endpoint, and middlewares.
#define MW_OF(endpoint, middlewares) ENTRY(endpoint) "network_middlewares:\n  " middlewares "\n"
#define MW(middlewares)              MW_OF("{host: a.test, port: 443}", middlewares)
// An endpoint that is not decrypted, and a middleware that has to see everything.
#define SKIP(host, endpoints)                                                                                \
    MW_OF("{host: \"" host "\", port: 443, tls: skip}", "m: {middleware: x, endpoints: {" endpoints "}}")

static const struct row rows[] = {
    // one middleware
    {"a middleware",
     MW("m: {middleware: openshell/regex, order: 1, config: {mode: redact}, endpoints: {include: "
        "[\"*.example.com\"]}}"),
     ""},
    {"an implementation is required", MW("m: {middleware: \"\", endpoints: {include: [a.test]}}"),
     "error network_middlewares.m.middleware: middleware is required\n"},
    {"on_error is one of two", MW("m: {middleware: x, on_error: fail-open, endpoints: {include: [a.test]}}"),
     "error network_middlewares.m.on_error: unknown on_error 'fail-open'\n"},
    {"something is included", MW("m: {middleware: x, endpoints: {include: [], exclude: [a.test]}}"),
     "error network_middlewares.m.endpoints.include: include is required\n"},
    {"a pattern is not empty", MW("m: {middleware: x, endpoints: {include: [\"\"]}}"),
     "error network_middlewares.m.endpoints.include[0]: a host pattern is empty\n"},
    {"a pattern has no empty label",
     MW("m: {middleware: x, endpoints: {include: [a..test], exclude: [.test]}}"),
     "error network_middlewares.m.endpoints.include[0]: host pattern 'a..test' has an empty label\n"
     "error network_middlewares.m.endpoints.exclude[0]: host pattern '.test' has an empty label\n"},
    {"a pattern has no braces", MW("m: {middleware: x, endpoints: {include: [\"{a,b}.test\"]}}"),
     "error network_middlewares.m.endpoints.include[0]: host pattern '{a,b}.test': only '*' and '**' are "
     "known here\n"},
    {"a pattern has no blank", MW("m: {middleware: x, endpoints: {include: [\"a b.test\"]}}"),
     "error network_middlewares.m.endpoints.include[0]: host pattern 'a b.test' is not a host name\n"},
    {"a pattern is not a URL", MW("m: {middleware: x, endpoints: {include: [\"https://a.test\"]}}"),
     "error network_middlewares.m.endpoints.include[0]: host pattern 'https://a.test' is not a host name\n"},
    {"stars anywhere",
     MW("m: {middleware: x, endpoints: {include: [\"**\", \"*\", \"a.**.test\", \"x*.test\"]}}"), ""},
    // all of them
    {"orders differ",
     MW("m: {middleware: x, endpoints: {include: [a.test]}}\n  n: {middleware: y, order: 1, endpoints: "
        "{include: [a.test]}}\n  o: {middleware: z, endpoints: {include: [a.test]}}"),
     "error network_middlewares.o.order: order 0 is that of middleware 'm' already\n"},
    {"names differ",
     MW("m: {middleware: x, endpoints: {include: [a.test]}}\n  n: {name: m, middleware: y, order: 1, "
        "endpoints: {include: [a.test]}}"),
     "error network_middlewares.n.name: name 'm' is that of middleware 'm' already\n"},
    // tls skip
    {"fail closed cannot look into tls skip", SKIP("api.test", "include: [\"*.test\"]"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects '*.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"fail closed elsewhere", SKIP("api.test", "include: [\"*.example\"]"), ""},
    {"the second pattern reaches it", SKIP("api.test", "include: [a.example, API.test]"),
     "error network_middlewares.m.endpoints.include[1]: fail_closed middleware selects 'API.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"fail open may",
     MW_OF("{host: api.test, port: 443, tls: skip}",
           "m: {middleware: x, on_error: fail_open, endpoints: {include: [\"*.test\"]}}"),
     ""},
    {"fail closed by name",
     MW_OF("{host: api.test, port: 443, tls: skip}",
           "m: {middleware: x, on_error: fail_closed, endpoints: {include: [\"**.test\"]}}"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects '**.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"an exact host is excluded", SKIP("api.test", "include: [\"*.test\"], exclude: [\"a*.test\"]"), ""},
    {"another host is excluded", SKIP("api.test", "include: [\"*.test\"], exclude: [b.test]"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects '*.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"a wildcard overlaps a wildcard", SKIP("*.a.test", "include: [\"x.**.test\"]"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects 'x.**.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"a wildcard is excluded as a whole", SKIP("*.a.test", "include: [\"**.test\"], exclude: [\"*.A.test\"]"),
     ""},
    {"a wildcard is excluded in part", SKIP("*.a.test", "include: [\"**.test\"], exclude: [x.a.test]"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects '**.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"an endpoint without a host is every host",
     MW_OF("{port: 443, allowed_ips: [10.1.0.0/16], tls: skip}",
           "m: {middleware: x, endpoints: {include: [a.test]}}"),
     "error network_middlewares.m.endpoints.include[0]: fail_closed middleware selects 'a.test', which "
     "overlaps a.endpoints[0] with tls: skip\n"},
    {"an endpoint without a host is excluded by all",
     MW_OF("{port: 443, allowed_ips: [10.1.0.0/16], tls: skip}",
           "m: {middleware: x, endpoints: {include: [a.test], exclude: [\"**\"]}}"),
     ""},
};

// `n` middlewares, each with `patterns` host patterns, the last of them excluded.
static void check_limit(const char *rule, size_t n, size_t patterns, const char *want)
{
    CLEANUP(buf_done) struct buf yaml = {};
    buf_init(&yaml, MIB);
    buf_add(&yaml, STR("version: 1\nnetwork_middlewares:\n"));
    for (size_t i = 0; i < n; i++) {
        buf_addf(&yaml, "  m%zu: {middleware: x, order: %zu, endpoints: {include: [", i, i);
        for (size_t k = 0; k + 1 < patterns; k++)
            buf_addf(&yaml, "h%zu.test, ", k);
        buf_add(&yaml, STR("], exclude: [x.test]}}\n"));
    }
    (void)rows_check(&(struct row){rule, yaml.p, want}, POLICY_USE_FILE);
}

int main(void)
{
    rows_run(rows, ARRAY_LEN(rows), POLICY_USE_FILE);
    check_limit("ten middlewares", 10, 2, "");
    check_limit("not eleven", 11, 2, "error network_middlewares: too many middlewares (11 > 10)\n");
    check_limit("thirty-two host patterns", 1, 32, "");
    check_limit("not thirty-three", 1, 33,
                "error network_middlewares.m0.endpoints: too many host patterns (33 > 32)\n");
    return tap_done();
}
