#include "gateway/metrics.h"

#include "tap.h"

static bool has(const struct buf *b, const char *line)
{
    return memmem(b->p, b->n, line, strlen(line)) != NULL;
}

// Each line is a comment, or a name, perhaps labels, and a number; no two lines name the same.
static bool is_sound(struct str text)
{
    struct str seen[4096];
    size_t n = 0;
    for (struct str line; str_line(&text, &line);) {
        if (str_starts(line, STR("# ")))
            continue;
        size_t at = line.n;
        while (at > 0 && line.p[at - 1] != ' ')
            at--;
        if (at < 2 || at == line.n || n == ARRAY_LEN(seen) || !str_starts(line, STR("openshell_")))
            return false;
        seen[n] = str_head(line, at - 1);
        for (size_t i = 0; i < n; i++)
            if (str_eq(seen[i], seen[n]))
                return false;
        n++;
    }
    return n > 0;
}

int main(void)
{
    struct metrics *m = NULL;
    struct err err = {};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, HTTP_PAGE_MAX);
    if (metrics_new(&m, &err) != ERR_OK)
        return 1;
    assert(m);
    metrics_write(m, &b);
    tap_ok(is_sound(buf_str(&b)) && has(&b, "\nopenshell_server_readiness_database_healthy 0\n"),
           "before anything has happened");
    const struct rpc_method *health = rpc_method_find(STR("/openshell.v1.OpenShell/Health"));
    metrics_call(m, health, RPC_OK, 1'000'000);
    metrics_call(m, health, RPC_OK, 1'000'001);
    metrics_call(m, health, RPC_NOT_FOUND, 120'000'000'000);
    metrics_call(m, NULL, RPC_UNIMPLEMENTED, 0);
    metrics_call(m, health, (enum rpc_code)99, -5);
    metrics_probe(m, HEALTH_SUCCESS, 2'000'000);
    buf_clear(&b);
    metrics_write(m, &b);
    tap_ok(is_sound(buf_str(&b)), "names are unique, lines are whole");
    static const char *const lines[] = {
        "# TYPE openshell_server_grpc_requests_total counter\n",
        "\nopenshell_server_grpc_requests_total{method=\"Health\",code=\"OK\"} 2\n",
        "\nopenshell_server_grpc_requests_total{method=\"Health\",code=\"NOT_FOUND\"} 1\n",
        "\nopenshell_server_grpc_requests_total{method=\"Health\",code=\"UNKNOWN\"} 1\n",
        "\nopenshell_server_grpc_requests_total{method=\"unknown\",code=\"UNIMPLEMENTED\"} 1\n",
        "_duration_seconds_bucket{method=\"Health\",code=\"OK\",le=\"0.001\"} 1\n",
        "_duration_seconds_bucket{method=\"Health\",code=\"OK\",le=\"0.0025\"} 2\n",
        "_duration_seconds_bucket{method=\"Health\",code=\"NOT_FOUND\",le=\"60\"} 0\n",
        "_duration_seconds_bucket{method=\"Health\",code=\"NOT_FOUND\",le=\"+Inf\"} 1\n",
        "_duration_seconds_sum{method=\"Health\",code=\"NOT_FOUND\"} 120\n",
        "_duration_seconds_count{method=\"Health\",code=\"OK\"} 2\n",
        "\nopenshell_server_readiness_database_healthy 1\n",
        "_probe_duration_seconds_count{outcome=\"success\"} 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        tap_ok(has(&b, lines[i]), "%.*s", (int)(strlen(lines[i]) - 1) - (lines[i][0] == '\n'),
               lines[i] + (lines[i][0] == '\n'));
    metrics_probe(m, HEALTH_TIMEOUT, 2'000'000'000);
    buf_clear(&b);
    metrics_write(m, &b);
    tap_ok(has(&b, "\nopenshell_server_readiness_database_healthy 0\n"),
           "a store that does not answer is not healthy");
    metrics_free(m);
    return tap_done();
}
