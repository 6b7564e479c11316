#include "gateway/http_serve.h"

#include "base/clock.h"
#include "base/fd.h"
#include "tap.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

// A server in a thread of its own, spoken to in bytes.

static struct {
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    pthread_barrier_t ready;
    struct http_serve *serve;
    uint16_t port;
} t;

static void get_small(void *ctx, struct http_page *ret)
{
    (void)ctx;
    ret->type = "text/plain";
    buf_add(&ret->body, STR("small\n"));
}

static void get_nothing(void *ctx, struct http_page *ret)
{
    (void)ctx;
    (void)ret;
}

static void get_large(void *ctx, struct http_page *ret)
{
    (void)ctx;
    ret->type = "text/plain";
    buf_pad(&ret->body, 'x', 1 * MIB);
}

static void get_endless(void *ctx, struct http_page *ret)
{
    (void)ctx;
    buf_pad(&ret->body, 'x', HTTP_PAGE_MAX + 1);
}

static const struct http_route routes[] = {{"/small", get_small},
                                           {"/nothing", get_nothing},
                                           {"/large", get_large},
                                           {"/endless", get_endless},
                                           {NULL, NULL}};

static void on_stop(uv_async_t *async)
{
    http_serve_close(t.serve);
    uv_close((uv_handle_t *)async, NULL);
}

static void *serve(void *arg)
{
    (void)arg;
    struct err err = {};
    if (uv_loop_init(&t.loop) != 0 || uv_async_init(&t.loop, &t.stop, on_stop) != 0 ||
        http_serve_new(&t.loop, "127.0.0.1", 0, routes, NULL, &t.serve, &t.port, &err) != ERR_OK)
        abort();
    (void)pthread_barrier_wait(&t.ready);
    (void)uv_run(&t.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&t.loop) != 0)
        abort(); // a handle was left
    return NULL;
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons(t.port),
                                     .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 20};
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
        abort();
    return fd;
}

static const struct {
    const char *rule, *in, *out; // out: all that comes until the server closes
} rows[] = {
#define OK_SMALL                                                                                             \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 6\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define BAD   "HTTP/1.1 400 Bad Request\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE
#define HEAD  " HTTP/1.1\r\nHost: x\r\n"
    {"a page", "GET /small" HEAD CLOSE, OK_SMALL CLOSE "small\n"},
    {"with a query", "GET /small?a=b" HEAD CLOSE, OK_SMALL CLOSE "small\n"},
    {"HTTP/1.0 closes", "GET /small HTTP/1.0\r\n\r\n", OK_SMALL CLOSE "small\n"},
    {"HEAD has no body", "HEAD /small" HEAD CLOSE, OK_SMALL CLOSE},
    {"a page without a body", "GET /nothing" HEAD CLOSE,
     "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE},
    {"two in one piece", "GET /small" HEAD "\r\nGET /small" HEAD CLOSE,
     OK_SMALL "\r\nsmall\n" OK_SMALL CLOSE "small\n"},
    {"no such page", "GET /none" HEAD CLOSE,
     "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE},
    {"a page is its whole path", "GET /small/" HEAD CLOSE,
     "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE},
    {"absolute form is for proxies", "GET http://x/small" HEAD CLOSE,
     "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE},
    {"another method", "DELETE /small" HEAD CLOSE,
     "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nCache-Control: no-store\r\nContent-Length: "
     "0\r\n" CLOSE},
    {"a body ends it", "GET /small" HEAD "Content-Length: 3\r\n\r\nabc", BAD},
    {"so does one in chunks", "GET /small" HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD},
    {"what is no HTTP", "hello\r\n\r\n", BAD},
    {"no Host", "GET /small HTTP/1.1\r\n\r\n", BAD},
    {"a page that is too long", "GET /endless" HEAD "\r\n",
     "HTTP/1.1 500 Internal Server Error\r\nCache-Control: no-store\r\nContent-Length: 0\r\n" CLOSE},
};

static void test_rows(size_t step)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(fd_close) int fd = dial();
        struct str in = str_of(rows[i].in);
        struct err err = {};
        CLEANUP(buf_done) struct buf out = {};
        bool ok = true;
        for (size_t at = 0; ok && at < in.n; at += step) {
            struct str part = str_head(str_from(in, at), step);
            ok = send(fd, part.p, part.n, MSG_NOSIGNAL) == (ssize_t)part.n ||
                 at > 0; // refused before its end
            if (step < in.n)
                (void)poll(NULL, 0, 1);
        }
        enum err_code c = fd_read_all(fd, MIB, &out, &err);
        if (!tap_ok((ok && c == ERR_OK && str_eq(buf_str(&out), str_of(rows[i].out))) ||
                        (step < in.n && c != ERR_OK && str_eq(str_of(rows[i].out), STR(BAD))),
                    "%s", rows[i].rule))
            tap_note("%s: %.*s", err.msg, (int)out.n, out.n ? out.p : "");
    }
}

static void test_limits(void)
{
    static char many[16 * KIB];
    memset(many, 'a', sizeof(many));
    CLEANUP(fd_close) int fd = dial();
    char answer[64] = "";
    memcpy(many, "GET /", 5);
    bool ok = send(fd, many, sizeof(many), MSG_NOSIGNAL) > 0 && recv(fd, answer, sizeof(answer) - 1, 0) > 0;
    tap_ok(ok && strstr(answer, " 431 "), "a head without end: %.30s", answer);
    CLEANUP(fd_close) int slow = dial();
    CLEANUP(buf_done) struct buf out = {};
    struct err err = {};
    int64_t from_ns = clock_ns();
    ok = send(slow, "GET /", 5, MSG_NOSIGNAL) == 5 && fd_read_all(slow, MIB, &out, &err) == ERR_OK;
    int64_t ms = (clock_ns() - from_ns) / 1'000'000;
    tap_ok(ok && out.n == 0 && ms > 9000 && ms < 19'000, "a head that does not end is waited for: %lld ms",
           (long long)ms);
}

// Answers that nobody reads do not pile up, and do not keep others from theirs.
static void test_unread(void)
{
    enum { REQUESTS = 100 };
    CLEANUP(fd_close) int lazy = dial();
    bool ok = true;
    for (int i = 0; ok && i < REQUESTS; i++)
        ok = send(lazy, "GET /large" HEAD "\r\n", strlen("GET /large" HEAD "\r\n"), MSG_NOSIGNAL) > 0;
    CLEANUP(fd_close) int other = dial();
    CLEANUP(buf_done) struct buf out = {};
    struct err err = {};
    ok = ok && send(other, "GET /small" HEAD CLOSE, strlen("GET /small" HEAD CLOSE), MSG_NOSIGNAL) > 0 &&
         fd_read_all(other, MIB, &out, &err) == ERR_OK;
    tap_ok(ok && str_ends(buf_str(&out), STR("small\n")), "a client that does not read keeps nobody waiting");
    size_t got = 0;
    static char b[64 * KIB];
    for (ssize_t n = 1; ok && n > 0 && got < REQUESTS * (size_t)MIB;) {
        n = recv(lazy, b, sizeof(b), 0);
        got += n > 0 ? (size_t)n : 0;
    }
    tap_ok(got >= REQUESTS * (size_t)MIB, "and gets all when it does: %zu", got);
}

static void test_many(void)
{
    enum { CONNS = 80 };
    int fds[CONNS];
    unsigned closed = 0;
    for (size_t i = 0; i < CONNS; i++)
        fds[i] = dial();
    (void)poll(NULL, 0, 200);
    for (size_t i = 0; i < CONNS; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLIN};
        closed += poll(&p, 1, 0) == 1;
        fd_close(&fds[i]);
    }
    tap_ok(closed == CONNS - 64, "more connections than there may be are closed: %u", closed);
    (void)poll(NULL, 0, 100);
}

int main(void)
{
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_barrier_init(&t.ready, NULL, 2) != 0 ||
        pthread_create(&t.thread, NULL, serve, NULL) != 0)
        return 1;
    (void)pthread_barrier_wait(&t.ready);
    test_rows(SIZE_MAX);
    test_rows(5);
    test_many();
    test_limits();
    test_unread();
    uv_loop_t other;
    struct http_serve *none = NULL;
    struct err err = {};
    uint16_t port = 0;
    if (uv_loop_init(&other) != 0)
        return 1;
    tap_ok(http_serve_new(&other, "127.0.0.1", t.port, routes, NULL, &none, &port, &err) == ERR_EXISTS,
           "a port that is taken: %s", err.msg);
    tap_ok(http_serve_new(&other, "nowhere", 0, routes, NULL, &none, &port, &err) == ERR_INVALID,
           "an address that is none: %s", err.msg);
    (void)uv_run(&other, UV_RUN_DEFAULT);
    tap_ok(uv_loop_close(&other) == 0, "nothing is left of either");
    CLEANUP(fd_close) int open = dial(); // closed with the server
    tap_ok(open >= 0, "a connection is there when it ends");
    (void)uv_async_send(&t.stop);
    if (pthread_join(t.thread, NULL) != 0)
        return 1;
    return tap_done();
}
