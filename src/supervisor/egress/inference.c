// Routes as the egress has them, and what a route makes of a request.
#include "supervisor/egress/inference.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "rpc/wire.h"

enum { ROUTES_ARENA_MAX = 4 * MIB };

struct routes {
    struct arena arena;
    atomic_size_t refs;
    struct route v[ROUTES_MAX];
    size_t n;
};

enum err_code routes_new(struct str packed, struct routes **ret, struct err *e)
{
    struct routes *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, ERR_LIMIT, "no memory for the inference routes");
    arena_init(&r->arena, ROUTES_ARENA_MAX);
    atomic_init(&r->refs, 1);
    ProtobufCMessage *m = NULL;
    enum err_code code = wire_unpack(&openshell__inference__v1__get_inference_bundle_response__descriptor,
                                     packed, &r->arena, &m, e);
    const Openshell__Inference__V1__GetInferenceBundleResponse
        *b = (Openshell__Inference__V1__GetInferenceBundleResponse *)m;
    if (code == ERR_OK && b->n_routes > ROUTES_MAX)
        code = err_set(e, ERR_LIMIT, "more than %d inference routes", ROUTES_MAX);
    for (; code == ERR_OK && r->n < b->n_routes; r->n++)
        code = route_parse(b->routes[r->n], &r->v[r->n], e);
    if (code != ERR_OK) {
        routes_unref(r);
        return code;
    }
    *ret = r;
    return ERR_OK;
}

struct routes *routes_ref(struct routes *r)
{
    if (r)
        atomic_fetch_add(&r->refs, 1);
    return r;
}

void routes_unref(struct routes *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    arena_done(&r->arena);
    free(r);
}

struct routes *egress_routes(struct egress *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct routes *r = routes_ref(e->routes);
    (void)pthread_mutex_unlock(&e->lock);
    return r;
}

void egress_set_routes(struct egress *e, struct routes *r)
{
    (void)pthread_mutex_lock(&e->lock);
    struct routes *old = e->routes;
    e->routes = r;
    (void)pthread_mutex_unlock(&e->lock);
    routes_unref(old);
}

size_t routes_count(const struct routes *r)
{
    return r ? r->n : 0;
}

static bool has_model(const struct route *route, struct str model)
{
    if (str_eq(route->model, model))
        return true;
    for (size_t i = 0; i < route->m->n_aliases; i++)
        if (str_eq(str_of(route->m->aliases[i]), model))
            return true;
    return false;
}

const struct route *routes_choose(const struct routes *r, enum route_protocol protocol, struct str model)
{
    const struct route *first = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct route *route = &r->v[i];
        if (!(route->protocols & protocol) ||
            str_eq(route->name, STR("sandbox-system"))) // the supervisor's own
            continue;
        if (model.n > 0 && has_model(route, model))
            return route;
        first = first ? first : route;
    }
    return first;
}

// ---- what is sent
// --------------------------------------------------------------------------------------------------

static bool has_v1(struct str path)
{
    for (struct str rest = path, segment; str_split(&rest, '/', &segment);)
        if (str_eq(segment, STR("v1")))
            return true;
    return false;
}

static void add_segment(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool plain = char_is_alpha(s.p[i]) || char_is_digit(s.p[i]) || str_has(STR("-._~"), s.p[i]);
        if (plain)
            buf_addc(out, s.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)s.p[i]);
    }
}

enum err_code route_path(const struct route *route, const struct route_pattern *p, struct str path,
                         bool stream, struct buf *out, struct err *e)
{
    buf_add(out, route->base_path);
    if (route->m->_request_path_override_case ==
        OPENSHELL__INFERENCE__V1__RESOLVED_ROUTE___REQUEST_PATH_OVERRIDE_REQUEST_PATH_OVERRIDE) {
        struct str given = str_of(route->m->request_path_override), raw = STR(":rawPredict");
        if (stream && str_ends(given, raw)) { // Vertex has a method of its own for streams
            buf_add(out, str_head(given, given.n - raw.n));
            buf_add(out, STR(":streamRawPredict"));
        } else {
            buf_add(out, given);
        }
    } else if (p->protocol == ROUTE_BEDROCK) {
        buf_add(out, STR("/model/"));
        add_segment(out, route->model);
        buf_add(out, STR("/invoke"));
    } else {
        buf_add(out, has_v1(route->base_path) && str_starts(path, STR("/v1/")) ? str_from(path, 3) : path);
    }
    return buf_check(out, "the path", e);
}

bool route_passes(const struct route *route, struct str name)
{
    static const struct str always[] = {STR_INIT("content-type"), STR_INIT("accept"), STR_INIT("user-agent")};
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        if (str_eq_ci(name, always[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(route->profile->passthrough); i++)
        if (route->profile->passthrough[i].n > 0 && str_eq_ci(name, route->profile->passthrough[i]))
            return true;
    return false;
}

// ---- the door
// --------------------------------------------------------------------------------------------------------

void inference_serve(struct conn *c, struct str early)
{
    const struct target t = {.host = "inference.local", .host_n = INFERENCE_HOST.n, .port = 443};
    struct err e;
    bool h2 = false;
    if (early.n > 0) {
        struct stream *whole;
        if (stream_prepend(c->client, early, &whole, &e) != ERR_OK)
            return;
        c->client = whole;
    }
    struct wait w = conn_wait(c, deadline_in_ms(TLS_TIMEOUT_MS));
    struct stream *client;
    if (tls_accept(c->e->ca, c->client, INFERENCE_HOST, true, &w, &client, &h2, &e) != ERR_OK) {
        report_failure(c, &t, "TLS relay error", str_of(e.msg));
        return;
    }
    c->client = client;
    c->touched = true; // a model's server may write its key back
    if (h2)
        inference_http2(c, client);
    else
        inference_http1(c, client);
}
