// Whole requests to a model: a caller at one end, a server that says what the row says at the other, and the
// launcher's end of the vault; over HTTP/1 and HTTP/2.
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/http2.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/sink.h"
#include "supervisor/inference.h"
#include "supervisor/vault.h"
#include "tap.h"

enum { SEEN_MAX = 64 * KIB, WAIT_MS = 20'000 };

struct bench {
    struct egress egress;
    struct conn conn;
    struct inference *routes;
    struct stream *front; // of the proxy
    int client, listener, vault, sink;
    uint16_t port;
    struct str answer; // of the model's server
    bool close;        // it ends behind it
    char asked[SEEN_MAX], got[SEEN_MAX];
    size_t asked_n, connections;
    pthread_t server, launcher, proxy;
    bool h2;
};

// ---- the others
// ------------------------------------------------------------------------------------------------

// Takes requests until its peer ends; answers each when its body is whole.
static void *model_server(void *arg)
{
    struct bench *b = arg;
    for (;;) {
        int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        b->connections++;
        b->asked_n = 0;
        for (ssize_t n; (n = read(fd, b->asked + b->asked_n, SEEN_MAX - b->asked_n)) > 0;) {
            b->asked_n += (size_t)n;
            struct http1_head h;
            size_t resume = 0, used;
            struct err e;
            if (http1_request((struct str){b->asked, b->asked_n}, HTTP1_HEAD_MAX, &resume, &h, &used, &e) !=
                    HTTP1_DONE ||
                b->asked_n < used + h.length)
                continue;
            if (write(fd, b->answer.p, b->answer.n) != (ssize_t)b->answer.n || b->close)
                break;
            b->asked_n = 0;
        }
        (void)close(fd);
    }
}

static void *launcher(void *arg)
{
    struct bench *b = arg;
    struct err e;
    while (vault_serve(b->vault, NULL, b->routes, &e) == ERR_OK)
        ;
    return NULL;
}

static void *proxy(void *arg)
{
    struct bench *b = arg;
    if (b->h2)
        inference_http2(&b->conn, b->front);
    else
        inference_http1(&b->conn, b->front);
    stream_free(b->front);
    return NULL;
}

static void pair(int type, int fd[2])
{
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) != 0)
        abort();
}

static void listen_here(struct bench *b)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(in);
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(b->listener, (struct sockaddr *)&in, n) != 0 || listen(b->listener, 8) != 0 ||
        getsockname(b->listener, (struct sockaddr *)&in, &n) != 0)
        abort();
    b->port = ntohs(in.sin_port);
}

static void give_routes(struct bench *b)
{
    char url[64], *protocols[] = {(char[]){"openai_chat_completions"}}, key[] = "k3y-s3cr3t-1";
    Openshell__Inference__V1__ResolvedRoute r;
    Openshell__Inference__V1__ResolvedRoute *all[] = {&r};
    Openshell__Inference__V1__GetInferenceBundleResponse m;
    CLEANUP(buf_done) struct buf text;
    struct err e;
    openshell__inference__v1__resolved_route__init(&r);
    openshell__inference__v1__get_inference_bundle_response__init(&m);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1", b->port);
    r.name = (char[]){"chat"};
    r.base_url = url;
    r.model_id = (char[]){"m-1"};
    r.provider_type = (char[]){"openai"};
    r.api_key = key;
    r.n_protocols = 1;
    r.protocols = protocols;
    m.n_routes = 1;
    m.routes = all;
    buf_init(&text, INFERENCE_BUNDLE_MAX);
    struct routes *routes;
    if (inference_new(&b->routes, &e) != ERR_OK || inference_set(b->routes, &m, &e) != ERR_OK ||
        inference_bundle(b->routes, &text, &e) != ERR_OK || routes_new(buf_str(&text), &routes, &e) != ERR_OK)
        abort();
    b->egress.routes = routes;
}

static void bench_start(struct bench *b, struct str answer, bool close_behind, bool h2)
{
    static const struct event_host host = {};
    int s[2], v[2], ev[2];
    struct err e;
    memset(b, 0, sizeof(*b));
    b->answer = answer;
    b->close = close_behind;
    b->h2 = h2;
    pair(SOCK_STREAM, s);
    pair(SOCK_SEQPACKET, v);
    pair(SOCK_SEQPACKET, ev);
    listen_here(b);
    give_routes(b);
    b->client = s[0];
    b->vault = v[1];
    b->sink = ev[1];
    (void)pthread_mutex_init(&b->egress.lock, NULL);
    b->conn.e = &b->egress;
    b->conn.cancel_fd = eventfd(0, EFD_CLOEXEC);
    arena_init(&b->conn.arena, CONN_ARENA_MAX);
    if (stream_socket(s[1], &b->front, &e) != ERR_OK || vault_new(v[0], &b->egress.vault, &e) != ERR_OK ||
        pool_new(&b->egress.pool, &e) != ERR_OK ||
        sink_new(ev[0], false, true, &host, &b->egress.sink, &e) != ERR_OK ||
        pthread_create(&b->launcher, NULL, launcher, b) != 0 ||
        pthread_create(&b->server, NULL, model_server, b) != 0 ||
        pthread_create(&b->proxy, NULL, proxy, b) != 0)
        abort();
}

static void bench_end(struct bench *b)
{
    (void)pthread_join(b->proxy, NULL);
    pool_free(b->egress.pool);
    vault_free(b->egress.vault);
    (void)shutdown(b->listener, SHUT_RDWR);
    (void)pthread_join(b->server, NULL);
    (void)pthread_join(b->launcher, NULL);
    sink_free(b->egress.sink);
    routes_unref(b->egress.routes);
    inference_free(b->routes);
    arena_done(&b->conn.arena);
    fd_close(&b->conn.cancel_fd);
    fd_close(&b->client);
    fd_close(&b->listener);
    fd_close(&b->vault);
    fd_close(&b->sink);
    (void)pthread_mutex_destroy(&b->egress.lock);
}

// ---- HTTP/1
// ----------------------------------------------------------------------------------------------------

#define ASK(body, n)                                                                                         \
    "POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nAuthorization: Bearer mine\r\n"          \
    "Cookie: a=b\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " n               \
    "\r\n\r\n" body
#define HELLO ASK("{\"model\":\"x\",\"n\": 1}", "20")
#define OK    "HTTP/1.1 200 OK\r\n"
#define JSON  "Content-Type: application/json\r\n"
#define SSE   "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define NAMED "x-openshell-model: m-1\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define OURS  "content-type: application/json\r\n"
#define BROKEN                                                                                               \
    "data: {\"error\":{\"message\":\"response truncated: upstream read "                                     \
    "error\",\"type\":\"proxy_stream_error\"}}\n\n"

static const struct {
    const char *rule;
    struct str ask, answer, got;
    bool close;
} rows[] = {
    {"an answer in one piece", STR_INIT(HELLO), STR_INIT(OK JSON "Content-Length: 2\r\n\r\nhi"),
     STR_INIT(OK JSON NAMED "Content-Length: 2\r\n" CLOSE "hi"), false},
    {"events, piece by piece", STR_INIT(HELLO),
     STR_INIT(OK SSE "8\r\ndata: a\n\r\n1\r\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n"),
     STR_INIT(OK "Content-Type: text/event-stream\r\n" NAMED "Transfer-Encoding: chunked\r\n" CLOSE
                 "8\r\ndata: a\n\r\n1\r\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n"),
     false},
    {"events that break off get an error, and no end", STR_INIT(HELLO),
     STR_INIT(OK SSE "9\r\ndata: a\n\n\r\n9\r\nda"),
     STR_INIT(OK "Content-Type: text/event-stream\r\n" NAMED "Transfer-Encoding: chunked\r\n" CLOSE
                 "9\r\ndata: a\n\n\r\n2\r\nda\r\n63\r\n" BROKEN "\r\n"),
     true},
    {"an answer that breaks off stays short", STR_INIT(HELLO),
     STR_INIT(OK JSON "Content-Length: 9\r\n\r\nhi"),
     STR_INIT(OK JSON NAMED "Content-Length: 9\r\n" CLOSE "hi"), true},
    {"an answer that ends with its connection", STR_INIT(HELLO), STR_INIT(OK JSON "\r\nhi"),
     STR_INIT(OK JSON NAMED "Transfer-Encoding: chunked\r\n" CLOSE "2\r\nhi\r\n0\r\n\r\n"), true},
    {"a key that comes back is masked", STR_INIT(HELLO),
     STR_INIT(OK "X-Echo: k3y-s3cr3t-1\r\nContent-Length: 14\r\n\r\n<k3y-s3cr3t-1>"),
     STR_INIT(OK "X-Echo: ************\r\n" NAMED "Content-Length: 14\r\n" CLOSE "<************>"), false},
    {"an error of the model's server goes on as it is", STR_INIT(HELLO),
     STR_INIT("HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"),
     STR_INIT("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n" NAMED "Content-Length: 0\r\n" CLOSE),
     false},
    {"interim responses stay", STR_INIT(HELLO),
     STR_INIT("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi"),
     STR_INIT(OK NAMED "Content-Length: 2\r\n" CLOSE "hi"), false},
    {"an answer that is encoded unasked", STR_INIT(HELLO),
     STR_INIT(OK "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi"),
     STR_INIT("HTTP/1.1 502 Bad Gateway\r\n" OURS "Content-Length: 35\r\n" CLOSE
              "{\"error\":\"inference service error\"}"),
     true},
    {"no HTTP", STR_INIT(HELLO), STR_INIT("hello\r\n\r\n"),
     STR_INIT("HTTP/1.1 502 Bad Gateway\r\n" OURS "Content-Length: 35\r\n" CLOSE
              "{\"error\":\"inference service error\"}"),
     true},
    {"no answer", STR_INIT(HELLO), STR_INIT(""),
     STR_INIT("HTTP/1.1 503 Service Unavailable\r\n" OURS
              "x-should-retry: true\r\nContent-Length: 41\r\n" CLOSE
              "{\"error\":\"inference service unavailable\"}"),
     true},
    {"two models", STR_INIT(ASK("{\"model\":1,\"model\":2}", "21")), STR_INIT(""),
     STR_INIT("HTTP/1.1 400 Bad Request\r\n" OURS "Content-Length: 119\r\n" CLOSE
              "{\"error\":\"the request's body is not a JSON object that names one model\",\"hint\":\"JSON "
              "at offset "
              "11: a second \\\"model\\\"\"}"),
     false},
    {"more than a request may have", STR_INIT(ASK("", "10485761")), STR_INIT(""),
     STR_INIT("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n" CLOSE), false},
};

static struct str read_all(int fd, char *to)
{
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (ssize_t got = 1; got > 0 && n < SEEN_MAX && poll(&p, 1, WAIT_MS) > 0;) {
        got = read(fd, to + n, SEEN_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    }
    return (struct str){to, n};
}

static void row(struct bench *b, size_t i)
{
    bench_start(b, rows[i].answer, rows[i].close, false);
    bool sent = write(b->client, rows[i].ask.p, rows[i].ask.n) == (ssize_t)rows[i].ask.n;
    struct str got = read_all(b->client, b->got);
    if (!tap_ok(sent && str_eq(got, rows[i].got), "http/1: %s", rows[i].rule))
        tap_note("%.*s", (int)got.n, got.p);
    (void)shutdown(b->client, SHUT_RDWR);
    bench_end(b);
}

static void asked(struct bench *b)
{
    const struct str two = STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    const struct str ask = STR(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nX-Mine: 1\r\n"
        "Authorization: Bearer mine\r\nOpenAI-Organization: o\r\nContent-Length: 20\r\n\r\n"
        "{\"model\":\"x\",\"n\": 1}");
    bench_start(b, two, false, false);
    const size_t want = sizeof(OK NAMED "Content-Length: 2\r\n\r\nhi") - 1;
    bool ok = true;
    for (int i = 0; i < 3 && ok; i++) {
        ok = write(b->client, ask.p, ask.n) == (ssize_t)ask.n;
        struct pollfd p = {.fd = b->client, .events = POLLIN};
        for (size_t n = 0; ok && n < want;) {
            ssize_t got = poll(&p, 1, WAIT_MS) > 0 ? read(b->client, b->got + n, SEEN_MAX - n) : -1;
            ok = got > 0;
            n += ok ? (size_t)got : 0;
        }
    }
    tap_ok(ok && b->connections == 1, "http/1: three requests, one connection to the model");
    (void)shutdown(b->client, SHUT_RDWR);
    bench_end(b);
}

static void sent(struct bench *b)
{
    bench_start(b, STR(""), true, false);
    const struct str ask = STR(HELLO);
    bool ok = write(b->client, ask.p, ask.n) == (ssize_t)ask.n;
    (void)read_all(b->client, b->got);
    (void)shutdown(b->client, SHUT_RDWR);
    bench_end(b);
    char want[512];
    (void)snprintf(
        want, sizeof(want),
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: identity\r\nAuthorization: Bearer k3y-s3cr3t-1\r\nContent-Length: 22\r\n\r\n"
        "{\"model\":\"m-1\",\"n\": 1}",
        b->port);
    if (!tap_ok(ok && str_eq((struct str){b->asked, b->asked_n}, str_of(want)),
                "what the model's server gets"))
        tap_note("%.*s", (int)b->asked_n, b->asked);
}

// ---- HTTP/2
// ----------------------------------------------------------------------------------------------------

struct caller {
    struct http2 *h;
    unsigned status;
    struct buf body;
    bool ended, closed;
    uint32_t code;
};

static void on_head(void *ctx, int32_t id, const struct http1_head *h, bool end)
{
    struct caller *c = ctx;
    (void)id;
    c->status = h->status;
    c->ended |= end;
}

static void on_data(void *ctx, int32_t id, struct str bytes)
{
    struct caller *c = ctx;
    buf_add(&c->body, bytes);
    http2_consume(c->h, id, bytes.n);
}

static void on_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct caller *c = ctx;
    (void)id;
    (void)trailers;
    c->ended = true;
}

static void on_took(void *ctx, int32_t id, size_t n)
{
    (void)ctx;
    (void)id;
    (void)n;
}

static void on_closed(void *ctx, int32_t id, uint32_t code)
{
    struct caller *c = ctx;
    (void)id;
    c->closed = true;
    c->code = code;
}

static void on_refused(void *ctx, int32_t id, struct str why)
{
    (void)ctx;
    (void)id;
    (void)why;
}

static const struct http2_calls calls = {on_head, on_data, on_end, on_took, on_closed, on_refused};

static void http2_ask(struct bench *b, struct caller *c)
{
    static const struct http1_header f[] = {{STR_INIT(":method"), STR_INIT("POST")},
                                            {STR_INIT(":scheme"), STR_INIT("https")},
                                            {STR_INIT(":authority"), STR_INIT("inference.local")},
                                            {STR_INIT(":path"), STR_INIT("/v1/chat/completions")}};
    static char in[16 * KIB];
    struct err e;
    int32_t id;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 64 * KIB);
    buf_init(&c->body, SEEN_MAX);
    if (http2_new(HTTP2_CLIENT, &calls, c, &c->h, &e) != ERR_OK ||
        http2_request(c->h, f, ARRAY_LEN(f), false, &id, &e) != ERR_OK ||
        http2_write(c->h, id, STR("{\"messages\":[]}"), &e) != ERR_OK ||
        http2_finish(c->h, id, NULL, 0, &e) != ERR_OK)
        abort();
    while (!c->closed) {
        struct pollfd p = {.fd = b->client, .events = POLLIN};
        buf_clear(&out);
        if (http2_send(c->h, &out, 16 * KIB, &e) != ERR_OK ||
            (out.n > 0 && write(b->client, out.p, out.n) != (ssize_t)out.n) || poll(&p, 1, WAIT_MS) <= 0)
            break;
        ssize_t n = read(b->client, in, sizeof(in));
        if (n <= 0 || http2_recv(c->h, (struct str){in, (size_t)n}, clock_ns(), &e) != ERR_OK)
            break;
    }
}

static const struct {
    const char *rule, *answer, *body;
    bool close, ended;
    unsigned status;
} streams[] = {
    {"an answer in one piece", OK JSON "Content-Length: 2\r\n\r\nhi", "hi", false, true, 200},
    {"events", OK SSE "9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n", "data: a\n\ndata: b\n\n", false,
     true, 200},
    {"events that break off get an error, and a reset", OK SSE "9\r\ndata: a\n\n\r\n9\r\nda",
     "data: a\n\nda" BROKEN, true, false, 200},
    {"an answer that breaks off is reset", OK JSON "Content-Length: 9\r\n\r\nhi", "hi", true, false, 200},
    {"no answer", "", "{\"error\":\"inference service unavailable\"}", true, true, 503},
};

static void stream_row(struct bench *b, size_t i)
{
    struct caller c = {};
    bench_start(b, str_of(streams[i].answer), streams[i].close, true);
    http2_ask(b, &c);
    bool ok = c.closed && c.status == streams[i].status && c.ended == streams[i].ended &&
              str_eq(buf_str(&c.body), str_of(streams[i].body)) && (c.code == 0) == streams[i].ended;
    if (!tap_ok(ok, "http/2: %s", streams[i].rule))
        tap_note("closed %d status %u ended %d code %u: %.*s", c.closed, c.status, c.ended, c.code,
                 (int)c.body.n, c.body.n ? c.body.p : "");
    (void)shutdown(b->client, SHUT_RDWR);
    http2_free(c.h);
    buf_done(&c.body);
    bench_end(b);
}

int main(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    if (!b)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row(b, i);
    sent(b);
    asked(b);
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        stream_row(b, i);
    free(b);
    return tap_done();
}
