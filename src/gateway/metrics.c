#include "gateway/metrics.h"

#define NS_PER_S 1e9

// Upper ends in nanoseconds; the last is without end.
static const int64_t bounds_ns[] = {1'000'000,      2'500'000,     5'000'000,     10'000'000,
                                    25'000'000,     50'000'000,    100'000'000,   250'000'000,
                                    500'000'000,    1'000'000'000, 2'500'000'000, 5'000'000'000,
                                    10'000'000'000, 60'000'000'000};
enum { BUCKETS = ARRAY_LEN(bounds_ns) + 1, CODES = RPC_UNAUTHENTICATED + 1, OUTCOMES = HEALTH_TIMEOUT + 1 };

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t sum_ns;
};

struct metrics {
    struct histogram
        *calls[RPC_METHODS + 1][CODES]; // NULL until there is one; the last is of unknown methods
    struct histogram probes[OUTCOMES];
    bool healthy;
};

static void add(struct histogram *h, int64_t took_ns)
{
    size_t i = 0;
    while (i < ARRAY_LEN(bounds_ns) && took_ns > bounds_ns[i])
        i++;
    h->counts[i]++;
    h->sum_ns += took_ns > 0 ? (uint64_t)took_ns : 0;
}

static uint64_t total(const struct histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        n += h->counts[i];
    return n;
}

enum err_code metrics_new(struct metrics **ret, struct err *reterr)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? ERR_OK : err_set(reterr, ERR_LIMIT, "no memory for metrics");
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i <= RPC_METHODS; i++)
        for (size_t k = 0; k < CODES; k++)
            free(m->calls[i][k]);
    free(m);
}

void metrics_call(struct metrics *m, const struct rpc_method *method, enum rpc_code code, int64_t took_ns)
{
    struct histogram **h = &m->calls[method ? (size_t)(method - rpc_methods) : RPC_METHODS]
                                    [(size_t)code < CODES ? (size_t)code : RPC_UNKNOWN];
    if (!*h && !(*h = calloc(1, sizeof(**h))))
        return; // not counted is better than not served
    add(*h, took_ns);
}

void metrics_probe(struct metrics *m, enum health_outcome outcome, int64_t took_ns)
{
    m->healthy = outcome == HEALTH_SUCCESS;
    add(&m->probes[outcome], took_ns);
}

// ---- writing

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_histogram(struct buf *out, const char *name, const char *labels, const struct histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        n += h->counts[i];
        if (i < ARRAY_LEN(bounds_ns))
            buf_addf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, (double)bounds_ns[i] / NS_PER_S,
                     (unsigned long long)n);
    }
    buf_addf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)n);
    buf_addf(out, "%s_sum{%s} %.9g\n%s_count{%s} %llu\n", name, labels, (double)h->sum_ns / NS_PER_S, name,
             labels, (unsigned long long)n);
}

enum { LABELS_SIZE = 160 };

static void labels_of(size_t method, size_t code, char dst[static LABELS_SIZE])
{
    struct str name = method < RPC_METHODS ? rpc_method_name(&rpc_methods[method]) : STR("unknown");
    (void)snprintf(dst, LABELS_SIZE, "method=\"%.*s\",code=\"%s\"", STR_FMT(name),
                   rpc_code_name((enum rpc_code)code));
}

static void write_calls(const struct metrics *m, struct buf *out, bool times)
{
    static const char count[] = "openshell_server_grpc_requests_total",
                      time[] = "openshell_server_grpc_request_duration_seconds";
    char labels[LABELS_SIZE];
    if (times)
        head(out, time, "histogram", "How long calls took.");
    else
        head(out, count, "counter", "Calls that have ended.");
    for (size_t i = 0; i <= RPC_METHODS; i++)
        for (size_t k = 0; k < CODES; k++) {
            const struct histogram *h = m->calls[i][k];
            if (!h)
                continue;
            labels_of(i, k, labels);
            if (times)
                write_histogram(out, time, labels, h);
            else
                buf_addf(out, "%s{%s} %llu\n", count, labels, (unsigned long long)total(h));
        }
}

void metrics_write(const struct metrics *m, struct buf *out)
{
    static const char *const outcomes[OUTCOMES] = {"success", "db_error", "timeout"};
    static const char healthy[] = "openshell_server_readiness_database_healthy",
                      probe[] = "openshell_server_readiness_database_probe_duration_seconds";
    write_calls(m, out, false);
    write_calls(m, out, true);
    head(out, healthy, "gauge", "Whether the store answered when it was asked last.");
    buf_addf(out, "%s %d\n", healthy, m->healthy);
    head(out, probe, "histogram", "How long the store took to answer.");
    for (size_t i = 0; i < OUTCOMES; i++) {
        char labels[LABELS_SIZE];
        (void)snprintf(labels, sizeof(labels), "outcome=\"%s\"", outcomes[i]);
        if (total(&m->probes[i]) > 0)
            write_histogram(out, probe, labels, &m->probes[i]);
    }
}

static void get_metrics(void *ctx, struct http_page *ret)
{
    ret->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(ctx, &ret->body);
}

const struct http_route metrics_routes[] = {{"/metrics", get_metrics}, {NULL, NULL}};
