#include "gateway/ports.h"

struct ports {
    struct health *health; // NULL once it is being closed
    struct metrics *metrics;
    struct http_serve *health_port, *metrics_port;
};

static void on_probe(void *ctx, enum health_outcome outcome, int64_t took_ns)
{
    struct ports *p = ctx;
    metrics_probe(p->metrics, outcome, took_ns);
}

static enum err_code listen_at(const struct conf_addr *addr, const char *what, uv_loop_t *loop,
                               const struct http_route *routes, void *ctx, struct log *log,
                               struct http_serve **ret, struct err *reterr)
{
    uint16_t port = 0;
    if (!addr->set)
        return ERR_OK;
    enum err_code r = http_serve_new(loop, addr->ip, addr->port, routes, ctx, ret, &port, reterr);
    if (r == ERR_OK)
        log_info(log, what, LOG_WORD("address", str_of(addr->ip)), LOG_U64("port", port));
    return r;
}

enum err_code ports_open(const struct conf *config, uv_loop_t *loop, struct store *store, struct log *log,
                         struct ports **ret, struct err *reterr)
{
    struct ports *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(reterr, ERR_LIMIT, "no memory for listeners");
    const struct health_opts opts = {.loop = loop, .store = store, .log = log, .probed = on_probe, .ctx = p};
    enum err_code r = metrics_new(&p->metrics, reterr);
    if (r == ERR_OK)
        r = health_new(&opts, &p->health, reterr);
    if (r == ERR_OK)
        r = listen_at(&config->health, "gateway.health-listening", loop, health_routes, p->health, log,
                      &p->health_port, reterr);
    if (r == ERR_OK)
        r = listen_at(&config->metrics, "gateway.metrics-listening", loop, metrics_routes, p->metrics, log,
                      &p->metrics_port, reterr);
    *ret = p; // also after a failure, which ends the process: its handles are in the loop
    return r;
}

struct health *ports_health(const struct ports *p)
{
    return p->health;
}

void ports_observe(struct ports *p, const struct rpc_method *method, enum rpc_code code, int64_t took_ns)
{
    metrics_call(p->metrics, method, code, took_ns);
}

void ports_close(struct ports *p)
{
    if (!p)
        return;
    http_serve_close(TAKE(p->health_port));
    http_serve_close(TAKE(p->metrics_port));
    health_close(TAKE(p->health));
}

void ports_free(struct ports *p)
{
    if (!p)
        return;
    metrics_free(p->metrics);
    free(p);
}
