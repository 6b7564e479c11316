// One request of a sandbox to a model: chosen route, rewritten body, the key asked of the launcher, and the
// answer relayed as it comes. An answer that breaks off is never ended cleanly.
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/jsonw.h"
#include "base/secret.h"
#include "supervisor/egress/credential.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/inject.h"
#include "supervisor/egress/model_json.h"
#include "supervisor/egress/sink.h"
#include "supervisor/egress/usage.h"

enum {
    HEAD_ROOM = HTTP1_HEAD_MAX + VAULT_VALUE_MAX,
    INLINE_MAX = 32 * KIB, // a body up to here goes out with its head
    FIELDS_MAX = HTTP1_HEADERS_MAX + 4,
};

struct call {
    struct conn *c;
    const struct inference_request *q;
    const struct inference_out *out;
    const struct route_pattern *pattern;
    struct routes *routes; // a share
    const struct route *route;
    struct model_facts facts;
    struct buf body; // as it is sent
    struct injection *injected;
    struct mask mask;
    struct usage usage;
    struct stream *upstream; // owned
    struct reader in;
    struct http1_head response;
    int64_t begun_ns, deadline_ns;
    bool begun; // the head of the response went out
    bool events;
    unsigned status;
};

static void call_done(struct call *k)
{
    buf_done(&k->body);
    mask_done(&k->mask);
    injection_free(k->injected);
    stream_free(k->upstream);
    routes_unref(k->routes);
    explicit_bzero(k->in.b, sizeof(k->in.b)); // it may have held what the model's server wrote back
}

// ---- answers of our own
// -----------------------------------------------------------------------------------------

static enum err_code answer(struct call *k, unsigned status, const char *error, const char *hint,
                            struct err *e)
{
    CLEANUP(buf_done) struct buf body;
    bool first = true;
    buf_init(&body, 2 * KIB);
    buf_addc(&body, '{');
    jsonw_member(&body, &first, "error", str_of(error));
    if (hint)
        jsonw_member(&body, &first, "hint", str_of(hint));
    buf_addc(&body, '}');
    // SDKs try again by themselves what has status 429 or 5xx, unless they are told not to.
    const struct http1_header f[] = {{STR("content-type"), STR("application/json")},
                                     {STR("x-should-retry"), status == 429 ? STR("false") : STR("true")}};
    k->begun = true;
    k->status = status;
    enum err_code r = k->out->head(k->out->ctx, status, f, status == 429 || status == 503 ? 2 : 1,
                                   (int64_t)body.n, e);
    if (r == ERR_OK)
        r = k->out->data(k->out->ctx, buf_str(&body), e);
    return r == ERR_OK ? k->out->end(k->out->ctx, e) : r;
}

// What became of the route's server (reference 5.1).
static enum err_code answer_failure(struct call *k, enum err_code why, struct err *e)
{
    report_failure(k->c, &k->route->target, "inference request failed", str_of(e->msg));
    if (k->begun) {
        static const char text[] = "data: {\"error\":{\"message\":\"response truncated: upstream read "
                                   "error\",\"type\":\"proxy_stream_error\"}}\n\n";
        static const char idle[] = "data: {\"error\":{\"message\":\"response truncated: chunk idle timeout "
                                   "exceeded\",\"type\":\"proxy_stream_error\"}}\n\n";
        struct err ignored;
        if (k->events) // for who reads events; the end that follows is none (pains 11)
            (void)!k->out->data(k->out->ctx, str_of(why == ERR_TIMEOUT ? idle : text), &ignored);
        return why;
    }
    bool gone = why == ERR_UNAVAILABLE || why == ERR_TIMEOUT;
    return gone ? answer(k, 503, "inference service unavailable", NULL, e)
                : answer(k, 502, "inference service error", NULL, e);
}

// ---- the request
// -----------------------------------------------------------------------------------------------

static enum err_code rewrite(struct call *k, struct err *e)
{
    struct str body = k->q->body;
    if (str_eq(k->pattern->method, STR("GET")))
        return ERR_OK;
    enum err_code r = model_read(body, &k->facts, e);
    if (r != ERR_OK)
        return r;
    k->route = routes_choose(k->routes, k->pattern->protocol, str_of(k->facts.model));
    if (!k->route)
        return ERR_OK;
    buf_init(&k->body, body.n + 4 * KIB + 6 * k->route->model.n);
    if (k->route->profile->drops_beta || k->route->m->model_in_path)
        return model_write_vertex(body, &k->facts, &k->body, e);
    if (k->pattern->protocol == ROUTE_BEDROCK) {
        buf_add(&k->body, body);
        return buf_check(&k->body, "the request", e);
    }
    return model_write(body, &k->facts, k->route->model, &k->body, e);
}

struct asking {
    struct vault *vault;
    const struct route *route;
};

static enum err_code ask_key(void *ctx, struct str name, char *value, size_t *ret_n, struct err *e)
{
    const struct asking *a = ctx;
    return vault_ask_route(a->vault, name, target_host(&a->route->target), a->route->target.port, value,
                           VAULT_VALUE_MAX, ret_n, e);
}

// The key, which stays in the injection's block. *ret is empty where the route has none.
static enum err_code key_of(struct call *k, struct str *ret, struct err *e)
{
    struct asking asking = {k->c->e->vault, k->route};
    enum err_code r = injection_new(ask_key, &asking, &k->injected, e);
    if (r == ERR_OK)
        r = injection_ask(k->injected, k->route->name, ret, e);
    mask_init(&k->mask, k->injected);
    return r;
}

static bool has_header(const struct http1_head *h, struct str name)
{
    for (size_t i = 0; i < h->headers_n; i++)
        if (str_eq_ci(h->headers[i].name, name))
            return true;
    return false;
}

static void put_auth(const struct call *k, struct str key, struct buf *out)
{
    if (key.n == 0 || k->route->profile->auth == ROUTE_NO_AUTH)
        return;
    buf_add(out,
            k->route->profile->auth == ROUTE_API_KEY ? STR("X-Api-Key: ") : STR("Authorization: Bearer "));
    buf_add(out, key);
    buf_add(out, STR("\r\n"));
}

static enum err_code put_head(struct call *k, struct str key, struct buf *out, struct err *e)
{
    const struct http1_head *h = k->q->head;
    const struct route *route = k->route;
    CLEANUP(buf_done) struct buf path;
    char authority[HOST_MAX + 16];
    buf_init(&path, HTTP1_HEAD_MAX);
    enum err_code r = route_path(route, k->pattern, k->q->path, k->facts.stream, &path, e);
    if (r != ERR_OK)
        return r;
    http1_write_request_line(out, k->pattern->method, buf_str(&path));
    write_authority(&route->target, route->tls, authority);
    http1_write_header(out, STR("Host"), str_of(authority));
    for (size_t i = 0; i < h->headers_n; i++)
        if (route_passes(route, h->headers[i].name))
            http1_write_header(out, h->headers[i].name, h->headers[i].value);
    const struct http1_header *given = &route->profile->given;
    if (given->name.n > 0 && !has_header(h, given->name))
        http1_write_header(out, given->name, given->value);
    http1_write_header(out, STR("Accept-Encoding"), STR("identity")); // it is looked into on its way back
    put_auth(k, key, out);
    if (!str_eq(k->pattern->method, STR("GET")))
        http1_write_framing(out, FRAMING_LENGTH, k->body.n);
    buf_add(out, STR("\r\n"));
    return buf_check(out, "the head of a request to a model", e);
}

// ---- the connection
// ----------------------------------------------------------------------------------------------

static enum err_code dial(struct call *k, struct err *e)
{
    const struct target *t = &k->route->target;
    struct egress *g = k->c->e;
    struct wait w = {.deadline_ns = deadline_in_ms(DIAL_TIMEOUT_MS), .cancel_fd = k->out->cancel_fd};
    struct ip addrs[DNS_ADDRS_MAX] = {t->ip};
    size_t n = 1, used;
    k->upstream = pool_take(g->pool, t, k->route->tls);
    if (k->upstream)
        return ERR_OK;
    enum err_code r = t->literal ? ERR_OK : resolver_lookup(g->resolver, target_host(t), &w, addrs, &n, e);
    if (r == ERR_OK)
        r = stream_dial(addrs, n, t->port, &w, &k->upstream, &used, e);
    if (r != ERR_OK || !k->route->tls)
        return r == ERR_OK ? r : err_wrap(e, ERR_UNAVAILABLE, "%s:%u", t->host, t->port);
    struct stream *below = TAKE(k->upstream);
    bool h2;
    r = tls_connect(g->tls, below, target_host(t), t->port, false, &w, &k->upstream, &h2, e);
    if (r != ERR_OK)
        stream_free(below);
    return r == ERR_OK ? r : err_wrap(e, ERR_UNAVAILABLE, "%s:%u", t->host, t->port);
}

static enum err_code send(struct call *k, struct str key, struct err *e)
{
    CLEANUP(secret_buf_done) struct buf out;
    bool inlined = k->body.n <= INLINE_MAX;
    secret_buf_init(&out, HEAD_ROOM + (inlined ? k->body.n : 0));
    enum err_code r = put_head(k, key, &out, e);
    if (r != ERR_OK)
        return r;
    if (inlined)
        buf_add(&out, buf_str(&k->body));
    struct wait w = {.deadline_ns = k->deadline_ns, .cancel_fd = k->out->cancel_fd};
    r = stream_write(k->upstream, buf_str(&out), &w, e);
    return r == ERR_OK && !inlined ? stream_write(k->upstream, buf_str(&k->body), &w, e) : r;
}

// Waits until the model's server says something, or nobody is there any more to hear it.
static enum err_code wait_upstream(struct call *k, int64_t deadline, struct err *e)
{
    if (stream_pending(k->upstream) > 0)
        return ERR_OK;
    struct pollfd p[3] = {{.fd = k->upstream->fd, .events = POLLIN},
                          {.fd = k->out->client_fd, .events = POLLRDHUP},
                          {.fd = k->out->cancel_fd, .events = POLLIN}};
    int n;
    do
        n = poll(p, 3, deadline_left_ms(deadline));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(e, ERR_TIMEOUT, "the model's server says nothing");
    if (n > 0 && !p[0].revents && (p[1].revents || p[2].revents))
        return err_set(e, ERR_DENIED, "the caller is gone");
    return ERR_OK;
}

static enum err_code fill(struct call *k, int64_t deadline, bool *end, struct err *e)
{
    enum err_code r = wait_upstream(k, deadline, e);
    const struct wait w = {.deadline_ns = deadline, .cancel_fd = k->out->cancel_fd};
    return r == ERR_OK ? reader_fill(&k->in, &w, end, e) : r;
}

// ---- the response
// ------------------------------------------------------------------------------------------------

static enum err_code read_head(struct call *k, struct err *e)
{
    size_t resume = 0, used;
    for (;;) {
        switch (http1_response(reader_str(&k->in), HTTP1_HEAD_MAX, k->pattern->method, &resume, &k->response,
                               &used, e)) {
        case HTTP1_BAD:
            return err_wrap(e, ERR_INVALID, "response");
        case HTTP1_DONE:
            k->in.off += used;
            if (k->response.status == 101)
                return err_set(e, ERR_INVALID, "the model's server switched protocols without being asked");
            if (k->response.status >= 200)
                return ERR_OK;
            resume = 0; // what comes before the answer that counts tells a model's caller nothing
            continue;
        case HTTP1_MORE:
            break;
        }
        bool end = false;
        enum err_code r = fill(k, k->deadline_ns, &end, e);
        if (r != ERR_OK)
            return r;
        if (end)
            return err_set(e, ERR_UNAVAILABLE, "the model's server ended before its response");
    }
}

static bool is_events(const struct http1_head *h)
{
    struct str type, head;
    if (!http1_get(h, STR("Content-Type"), &type))
        return false;
    (void)str_split(&type, ';', &head);
    return str_eq_ci(str_trim(head), STR("text/event-stream"));
}

static enum err_code respond(struct call *k, struct err *e)
{
    struct http1_head *h = &k->response;
    struct http1_header f[FIELDS_MAX];
    size_t n = 0;
    bool hit = false;
    if (h->framing != FRAMING_NONE && mask_is_blind(h))
        return err_set(e, ERR_UNSUPPORTED,
                       "the model's server encoded its answer although it was asked not to");
    enum err_code r = mask_head(k->injected, h, &hit, e);
    if (r != ERR_OK)
        return r;
    k->mask.hit |= hit;
    for (size_t i = 0; i < h->headers_n; i++)
        if (!http1_is_hop_by_hop(h, h->headers[i].name))
            f[n++] = h->headers[i];
    if (k->facts.has_model && !str_eq(str_of(k->facts.model), k->route->model))
        f[n++] = (struct http1_header){STR("x-openshell-model"), k->route->model};
    k->events = is_events(h);
    usage_init(&k->usage, k->events);
    k->begun = true;
    k->status = h->status;
    int64_t length = h->framing == FRAMING_LENGTH ? (int64_t)h->length : h->framing == FRAMING_NONE ? 0 : -1;
    return k->out->head(k->out->ctx, h->status, f, n, length, e);
}

static enum err_code pass(struct call *k, struct str data, bool end, struct err *e)
{
    usage_feed(&k->usage, data);
    enum err_code r = mask_feed(&k->mask, data, end, &data, e);
    return r == ERR_OK && data.n > 0 ? k->out->data(k->out->ctx, data, e) : r;
}

// Pieces go on as they come. *ret_upstream: false where the failure is the caller's.
static enum err_code relay(struct call *k, bool *ret_upstream, struct err *e)
{
    struct http1_body body;
    const int64_t idle_ms = k->route->timeout_ms > 0 ? k->route->timeout_ms : INFERENCE_TIMEOUT_MS;
    http1_body_init(&body, k->response.framing, k->response.length);
    *ret_upstream = true;
    for (;;) {
        struct str rest = reader_str(&k->in), data;
        enum http1_result state = http1_body_next(&body, &rest, &data, e);
        k->in.off = k->in.n - rest.n;
        if (state == HTTP1_BAD)
            return ERR_INVALID;
        enum err_code r = pass(k, data, state == HTTP1_DONE, e);
        if (r != ERR_OK) {
            *ret_upstream = false;
            return r;
        }
        if (state == HTTP1_DONE)
            return ERR_OK;
        if (data.n > 0)
            continue;
        bool end = false;
        r = fill(k, k->events ? deadline_in_ms(idle_ms) : k->deadline_ns, &end, e);
        if (r != ERR_OK)
            return r;
        if (!end)
            continue;
        if (body.framing != FRAMING_CLOSE)
            return err_set(e, ERR_UNAVAILABLE, "the model's server ended in the middle of its answer");
        r = pass(k, STR(""), true, e);
        *ret_upstream = r == ERR_OK;
        return r;
    }
}

// ---- events
// --------------------------------------------------------------------------------------------------

static void report_begin(const struct call *k)
{
    char text[300];
    (void)snprintf(text, sizeof(text),
                   "Intercepted inference request, routing locally: %.*s %.*s (protocol=%s, kind=%s)",
                   STR_FMT(k->pattern->method), STR_FMT(k->q->path),
                   route_protocol_name(k->pattern->protocol), k->pattern->kind);
    const struct event ev = {.class = EVENT_NET,
                             .activity = EVENT_OPEN,
                             .severity = EVENT_INFO,
                             .action = EVENT_ALLOWED,
                             .exe = k->c->id.exe,
                             .pid = k->c->id.pid,
                             .host = INFERENCE_HOST,
                             .port = 443,
                             .engine = STR("inference"),
                             .message = str_of(text),
                             .reason = str_of(text)};
    sink_event(k->c->e->sink, &ev);
}

static void report_end(const struct call *k)
{
    char text[400], in[24] = "?", out[24] = "?";
    if (k->usage.known) {
        (void)snprintf(in, sizeof(in), "%llu", (unsigned long long)k->usage.in);
        (void)snprintf(out, sizeof(out), "%llu", (unsigned long long)k->usage.out);
    }
    (void)snprintf(text, sizeof(text), "Model call: %.*s via %.*s (%sin, %sout)", STR_FMT(k->route->model),
                   STR_FMT(str_of(k->route->m->base_url)), in, out);
    const struct event ev = {.class = EVENT_HTTP,
                             .severity = EVENT_INFO,
                             .action = EVENT_ALLOWED,
                             .exe = k->c->id.exe,
                             .pid = k->c->id.pid,
                             .host = target_host(&k->route->target),
                             .port = k->route->target.port,
                             .method = k->pattern->method,
                             .path = k->q->path,
                             .status = k->status,
                             .engine = STR("inference"),
                             .message = str_of(text),
                             .reason = str_of(text),
                             .duration_ns = (uint64_t)(clock_ns() - k->begun_ns)};
    sink_event(k->c->e->sink, &ev);
}

static void settle(struct call *k)
{
    struct err ignored; // a launcher that is gone counts nothing
    const uint64_t tokens[3] = {k->usage.in, k->usage.out, k->usage.cached};
    if (k->response.status >= 200 && k->response.status < 300)
        (void)!vault_tell_used(k->c->e->vault, k->route->name, tokens, &ignored);
    if (k->mask.hit)
        credential_reflected(k->c, &k->route->target);
    report_end(k);
}

// ---- all of it
// ---------------------------------------------------------------------------------------------------

static enum err_code exchange(struct call *k, struct err *e)
{
    struct str key = {};
    bool upstream = true;
    enum err_code r = key_of(k, &key, e);
    if (r == ERR_LIMIT)
        return answer(k, 429, "inference budget exhausted", e->msg, e);
    if (r == ERR_OK)
        r = dial(k, e);
    k->in.s = k->upstream;
    if (r == ERR_OK)
        r = send(k, key, e);
    if (r == ERR_OK)
        r = read_head(k, e);
    if (r == ERR_OK)
        r = respond(k, e);
    if (r == ERR_OK)
        r = relay(k, &upstream, e);
    if (k->response.status > 0)
        settle(k);
    if (r != ERR_OK)
        return upstream && r != ERR_DENIED ? answer_failure(k, r, e) : r;
    if (k->response.keep_alive && k->response.framing != FRAMING_CLOSE && reader_str(&k->in).n == 0)
        pool_put(k->c->e->pool, &k->route->target, k->route->tls, TAKE(k->upstream));
    return k->out->end(k->out->ctx, e);
}

static enum err_code serve(struct call *k, struct err *e)
{
    if (routes_count(k->routes) == 0)
        return answer(k, 503, "cluster inference is not configured",
                      "run: openshell cluster inference set --help", e);
    k->pattern = route_pattern(k->q->head->method, k->q->path);
    if (!k->pattern) {
        struct denial deny = {.status = 403, .error = "policy_denied"};
        const struct target t = {.host = "inference.local", .host_n = INFERENCE_HOST.n, .port = 443};
        (void)snprintf(deny.detail, sizeof(deny.detail), "no request that a model may be asked");
        report_denial(k->c, &t, k->q->head->method, k->q->path, &deny);
        return answer(k, 403, "connection not allowed by policy", NULL, e);
    }
    k->route = routes_choose(k->routes, k->pattern->protocol, STR(""));
    if (!k->route)
        return answer(k, 400, "no compatible inference route available", NULL, e);
    enum err_code r = rewrite(k, e);
    if (r != ERR_OK)
        return answer(k, 400, "the request's body is not a JSON object that names one model", e->msg, e);
    report_begin(k);
    int64_t ms = k->route->timeout_ms > 0 ? k->route->timeout_ms : INFERENCE_TIMEOUT_MS;
    k->begun_ns = clock_ns();
    k->deadline_ns = deadline_in_ms(ms);
    return exchange(k, e);
}

enum err_code inference_call(struct conn *c, const struct inference_request *q,
                             const struct inference_out *out, struct err *e)
{
    struct call *k = calloc(1, sizeof(*k));
    if (!k)
        return err_set(e, ERR_LIMIT, "no memory for a request to a model");
    k->c = c;
    k->q = q;
    k->out = out;
    k->routes = egress_routes(c->e);
    enum err_code r = serve(k, e);
    call_done(k);
    free(k);
    return r;
}
