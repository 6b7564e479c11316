// Decisions per second, and what a large policy costs to load and to keep.
//
//   bench_policy            the table of docs/SPECIFICATION.md, one line a measurement, as
//   name<TAB>value<TAB>unit bench_policy --emit N   the policy of N rules as YAML, for a peer that measures
//   the same
#include <time.h>

#include "policy/decide.h"
#include "policy/load.h"
#include "policy/print.h"

enum { WARM_UP = 20'000, CALLS = 400'000, ROUNDS = 5, REQUESTS = 1024 };

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// ---- policies
// -----------------------------------------------------------------------------------------------

// Each rule for a host of its own: the common large policy.
static void by_host(struct buf *out, unsigned n)
{
    buf_add(out, STR("version: 1\nnetwork_policies:\n"));
    for (unsigned i = 0; i < n; i++)
        buf_addf(
            out,
            "  p%u: {endpoints: [{host: h%u.test, port: 443, protocol: rest, enforcement: enforce, rules: "
            "[{allow: {method: GET, path: /v1/**}}]}], binaries: [{path: /usr/bin/curl}]}\n",
            i, i);
}

// All rules on one endpoint, told apart by path.
static void by_path(struct buf *out, unsigned n)
{
    buf_add(
        out,
        STR("version: 1\nnetwork_policies:\n  p:\n    endpoints:\n      - host: h0.test\n        port: 443\n"
            "        protocol: rest\n        enforcement: enforce\n        rules:\n"));
    for (unsigned i = 0; i < n; i++)
        buf_addf(out, "          - {allow: {method: GET, path: \"/repos/o%u/*/issues/**\"}}\n", i);
    buf_add(out, STR("    binaries: [{path: /usr/bin/curl}]\n"));
}

// The same host in every entry, each for another program.
static void by_binary(struct buf *out, unsigned n)
{
    buf_add(out, STR("version: 1\nnetwork_policies:\n"));
    for (unsigned i = 0; i < n; i++)
        buf_addf(
            out,
            "  p%u: {endpoints: [{host: h0.test, port: 443, protocol: rest, enforcement: enforce, access: "
            "read-only}], binaries: [{path: /usr/bin/b%u}]}\n",
            i, i);
}

// Wildcards that share their tail.
static void by_wildcard(struct buf *out, unsigned n)
{
    buf_add(out, STR("version: 1\nnetwork_policies:\n"));
    for (unsigned i = 0; i < n; i++)
        buf_addf(out,
                 "  p%u: {endpoints: [{host: \"*.z%u.test\", port: 443, protocol: rest, enforcement: "
                 "enforce, access: "
                 "read-only}], binaries: [{path: /usr/bin/curl}]}\n",
                 i, i);
}

static const struct shape {
    const char *name;
    void (*text)(struct buf *out, unsigned n);
    const char *host, *path, *binary; // printf formats of the rule's number
} shapes[] = {
    {"by-host", by_host, "h%u.test", "/v1/items/%u", "/usr/bin/curl"},
    {"by-path", by_path, "h0.test", "/repos/o%u/r/issues/7", "/usr/bin/curl"},
    {"by-binary", by_binary, "h0.test", "/x", "/usr/bin/b%u"},
    {"by-wildcard", by_wildcard, "a.z%u.test", "/x", "/usr/bin/curl"},
};

static struct snapshot *compile(struct str text, double *ret_load_s)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, POLICY_ARENA_MAX);
    struct diags diags;
    diags_init(&diags, &a);
    struct policy *policy = NULL;
    struct snapshot *s = NULL;
    struct err e;
    double start = now_s();
    if (policy_load(text, POLICY_USE_FILE, &a, &policy, &diags, &e) != ERR_OK ||
        snapshot_compile(policy, 1, &s, &e) != ERR_OK) {
        (void)fprintf(stderr, "bench_policy: %s\n", e.msg);
        exit(1);
    }
    *ret_load_s = now_s() - start;
    return s;
}

// ---- decisions
// ----------------------------------------------------------------------------------------------

// Requests spread over the rules, half of them refused, so that no branch and no cache line is always the
// same.
static struct request {
    char host[40], path[64], binary[40];
} requests[REQUESTS];

static void make_requests(const struct shape *shape, unsigned n)
{
    uint32_t x = 12345;
    for (unsigned i = 0; i < REQUESTS; i++) {
        x = x * 1664525 + 1013904223;
        unsigned k = (x >> 8) % n;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(requests[i].host, sizeof(requests[i].host), shape->host, k);
        (void)snprintf(requests[i].path, sizeof(requests[i].path), shape->path, k);
        (void)snprintf(requests[i].binary, sizeof(requests[i].binary), shape->binary, k);
#pragma GCC diagnostic pop
    }
}

static unsigned decide_all(const struct snapshot *s, unsigned calls)
{
    static const struct str ancestors[] = {STR_INIT("/usr/bin/bash"), STR_INIT("/usr/bin/node")};
    unsigned allowed = 0;
    for (unsigned i = 0; i < calls; i++) {
        const struct request *q = &requests[i % REQUESTS];
        const struct conn_facts c = {.host = str_of(q->host),
                                     .port = 443,
                                     .who = {.exe = str_of(q->binary),
                                             .ancestors = ancestors,
                                             .ancestors_n = ARRAY_LEN(ancestors)}};
        const struct request_facts r = {.method = i & 1 ? STR("GET") : STR("DELETE"),
                                        .path = str_of(q->path)};
        struct decision d;
        decide_request(s, &c, &r, &d);
        allowed += d.verdict == VERDICT_ALLOW;
    }
    return allowed;
}

static double measure(const struct snapshot *s, const char *name)
{
    double best = 1e9; // the least of some rounds: what the machine's other work did not disturb
    unsigned allowed = decide_all(s, WARM_UP);
    if (allowed != WARM_UP / 2) { // a benchmark of wrong answers would say nothing
        (void)fprintf(stderr, "bench_policy: %s: %u of %d allowed, not half\n", name, allowed, WARM_UP);
        exit(1);
    }
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_s();
        (void)decide_all(s, CALLS);
        double took = (now_s() - start) / CALLS;
        best = took < best ? took : best;
    }
    return best * 1e9;
}

static void emit(unsigned n)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 16 * MIB);
    by_host(&text, n);
    (void)fwrite(text.p, 1, text.n, stdout);
}

int main(int argc, char **argv)
{
    uint64_t n;
    if (argc == 3 && str_eq(str_of(argv[1]), STR("--emit")) && str_u64(str_of(argv[2]), 1'000'000, &n)) {
        emit((unsigned)n);
        return 0;
    }
    static const unsigned sizes[] = {10, 1000, 5000, 10000};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            CLEANUP(buf_done) struct buf text;
            buf_init(&text, 16 * MIB);
            shapes[i].text(&text, sizes[k]);
            if (text.n > POLICY_TEXT_MAX) // a file may not be larger: the most rules of this shape that fit
                continue;
            double load_s;
            CLEANUP(snapshot_unrefp) struct snapshot *s = compile(buf_str(&text), &load_s);
            make_requests(&shapes[i], sizes[k]);
            double ns = measure(s, shapes[i].name);
            printf("decide %s %u rules\t%.0f\tns\n", shapes[i].name, sizes[k], ns);
            printf("load %s %u rules\t%.1f\tms\n", shapes[i].name, sizes[k], load_s * 1e3);
            printf("keep %s %u rules\t%.2f\tMiB\n", shapes[i].name, sizes[k],
                   (double)snapshot_bytes(s) / MIB);
        }
    }
    return 0;
}
