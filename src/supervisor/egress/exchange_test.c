// One request out and one response back, with both peers at the other ends of socket pairs: what each of them
// gets to see, byte for byte.
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/egress/egress.h"
#include "tap.h"

enum { SEEN_MAX = 64 * KIB };

struct bench {
    struct egress egress;
    struct conn conn;
    struct target target;
    struct http_session h;
    struct http1_head head;
    int client, server; // the peers' ends
    char seen[SEEN_MAX];
};

static struct stream *pair(int *peer)
{
    int fd[2];
    struct stream *s = NULL;
    struct err e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 || stream_socket(fd[0], &s, &e) != ERR_OK)
        abort();
    *peer = fd[1];
    return s;
}

// The head is where http.c has it: in the reader, before the body.
static void bench_start(struct bench *b, struct str request, bool once)
{
    struct err e;
    memset(b, 0, sizeof(*b));
    (void)pthread_mutex_init(&b->egress.lock, NULL);
    b->conn.e = &b->egress;
    b->conn.cancel_fd = -1;
    b->h = (struct http_session){.c = &b->conn, .target = &b->target, .once = once};
    if (target_parse(STR("api.test:80"), 0, &b->target, &e) != ERR_OK || request.n > sizeof(b->h.in.b))
        abort();
    b->h.client = b->h.in.s = pair(&b->client);
    b->h.upstream = b->h.out.s = pair(&b->server);
    memcpy(b->h.in.b, request.p, request.n);
    b->h.in.n = request.n;
    size_t resume = 0, used = 0;
    if (http1_request(request, HTTP1_HEAD_MAX, &resume, &b->head, &used, &e) != HTTP1_DONE)
        abort();
    size_t again = 0;
    (void)http1_request(reader_str(&b->h.in), HTTP1_HEAD_MAX, &again, &b->head, &used, &e); // into the reader
    b->h.in.off = used;
}

static enum err_code bench_run(struct bench *b, struct err *e)
{
    unsigned status = 0;
    return http_exchange(&b->h, &b->head, b->head.path, &status, e);
}

// Everything that a peer was sent.
static struct str seen(struct bench *b, int fd, struct stream *to)
{
    size_t n = 0;
    if (to)
        (void)shutdown(to->fd, SHUT_WR);
    for (ssize_t got; (got = read(fd, b->seen + n, sizeof(b->seen) - n)) > 0;)
        n += (size_t)got;
    return (struct str){b->seen, n};
}

static void bench_done(struct bench *b)
{
    stream_free(b->h.client);
    stream_free(b->h.upstream);
    fd_close(&b->client);
    fd_close(&b->server);
    (void)pthread_mutex_destroy(&b->egress.lock);
}

#define GET     "GET / HTTP/1.1\r\nHost: api.test\r\n"
#define GET_OUT "GET / HTTP/1.1\r\nHost: api.test\r\n"
#define OK2     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static const struct {
    const char *rule;
    struct str request, answer; // what the client and the server say
    struct str to_server, to_client;
    bool again, kept, once;
} rows[] = {
    {"a plain exchange leaves both connections open", STR_INIT(GET "\r\n"), STR_INIT(OK2),
     STR_INIT(GET_OUT "\r\n"), STR_INIT(OK2), true, true, false},
    {"a body of no bytes is still a body",
     STR_INIT("POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"), STR_INIT(OK2),
     STR_INIT("POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"), STR_INIT(OK2), true, true,
     false},
    {"a length is kept, and what follows is the next request",
     STR_INIT(
         "POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\n\r\n"),
     STR_INIT(OK2), STR_INIT("POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc"),
     STR_INIT(OK2), true, true, false},
    {"chunks are framed anew, extensions and trailers dropped",
     STR_INIT("PUT /a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: "
              "chunked\r\n\r\n003;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
     STR_INIT(OK2),
     STR_INIT("PUT /a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
     STR_INIT(OK2), true, true, false},
    {"what is for one hop stays behind",
     STR_INIT(GET "Connection: x-mine\r\nX-Mine: 1\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\nX-Kept: "
                  "2\r\n\r\n"),
     STR_INIT(
         "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, x-theirs\r\nX-Theirs: 1\r\n"
         "Content-Length: 0\r\n\r\n"),
     STR_INIT(GET_OUT "X-Kept: 2\r\n\r\n"), STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), true,
     true, false},
    {"the Host is the target's, however it was spelled",
     STR_INIT("GET / HTTP/1.1\r\nHost: API.test:80\r\n\r\n"), STR_INIT(OK2), STR_INIT(GET_OUT "\r\n"),
     STR_INIT(OK2), true, true, false},
    {"a client that closes is told so", STR_INIT(GET "Connection: close\r\n\r\n"), STR_INIT(OK2),
     STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"), false, true, false},
    {"a server that closes does not close the client", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
     STR_INIT(GET_OUT "\r\n"), STR_INIT(OK2), true, false, false},
    {"HEAD has the length and no body", STR_INIT("HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
     STR_INIT("HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), true, true, false},
    {"204 has neither", STR_INIT(GET "\r\n"), STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"),
     STR_INIT(GET_OUT "\r\n"), STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"), true, true, false},
    {"304 may say how long it would be", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n"),
     STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n"), true, true, false},
    {"interim answers go through", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" OK2),
     STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" OK2), true,
     true, false},
    {"but not to HTTP/1.0", STR_INIT("GET / HTTP/1.0\r\nHost: api.test\r\n\r\n"),
     STR_INIT("HTTP/1.1 103 Early Hints\r\n\r\n" OK2), STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"), false, true, false},
    {"HTTP/1.0 may stay", STR_INIT("GET / HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n"),
     STR_INIT(OK2), STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"), true, true, false},
    {"unless only the end would end the body",
     STR_INIT("GET / HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
     STR_INIT(GET_OUT "\r\n"), STR_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"), false, true,
     false},
    {"a body without framing becomes chunks", STR_INIT(GET "\r\n"), STR_INIT("HTTP/1.1 200 OK\r\n\r\nhi"),
     STR_INIT(GET_OUT "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), true, false,
     false},
    {"a request that a server must wait for, with its body", // the client does not wait: nor do we
     STR_INIT("POST / HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
     STR_INIT(""),
     STR_INIT("POST / HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
     STR_INIT(""), false, false, false},
    {"the forward door closes, and says who it is",
     STR_INIT("GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n"), STR_INIT(OK2),
     STR_INIT(GET_OUT "Connection: close\r\nVia: 1.1 openshell-sandbox\r\n\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"), false, true, true},
};

// The server says its part ahead of time and ends; that is an answer behind a request without a body.
static void test_rows(struct bench *b)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {};
        bench_start(b, rows[i].request, rows[i].once);
        if (write(b->server, rows[i].answer.p, rows[i].answer.n) != (ssize_t)rows[i].answer.n)
            abort();
        (void)shutdown(b->server, SHUT_WR);
        enum err_code r = bench_run(b, &e);
        bool ok = (r == ERR_OK) == (rows[i].answer.n > 0) && b->h.again == rows[i].again;
        ok = ok && (r != ERR_OK || (b->h.upstream != NULL) == rows[i].kept);
        struct str s = seen(b, b->server, b->h.upstream);
        bool out = str_eq(s, rows[i].to_server);
        if (!out)
            tap_note("to the server: %.*s", STR_FMT(s));
        s = seen(b, b->client, b->h.client);
        bool back = str_eq(s, rows[i].to_client);
        if (!back)
            tap_note("to the client: %.*s", STR_FMT(s));
        tap_ok(ok && out && back, "%s %s", rows[i].rule, r == ERR_OK ? "" : e.msg);
        bench_done(b);
    }
}

static const struct {
    const char *rule;
    struct str request, answer;
    const char *want;
} bad[] = {
    {"101 that was not asked for", STR_INIT(GET "\r\n"), STR_INIT("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
     "the server switched protocols without being asked"},
    {"two lengths", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), NULL},
    {"a length beside chunks", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), NULL},
    {"an end before the answer", STR_INIT(GET "\r\n"), STR_INIT("HTTP/1.1 200 O"),
     "the server ended before its response"},
    {"an end within a body", STR_INIT(GET "\r\n"), STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
     "the server ended in the middle of a body"},
    {"an end within chunks", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
     "the server ended in the middle of a body"},
    {"chunks that are none", STR_INIT(GET "\r\n"),
     STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n"), NULL},
    {"chunks that are none, from the client",
     STR_INIT("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"), STR_INIT(OK2),
     NULL},
};

static void test_bad(struct bench *b)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {};
        bench_start(b, bad[i].request, false);
        if (write(b->server, bad[i].answer.p, bad[i].answer.n) != (ssize_t)bad[i].answer.n)
            abort();
        (void)shutdown(b->server, SHUT_WR);
        bool ok = bench_run(b, &e) != ERR_OK && (!bad[i].want || str_eq(str_of(e.msg), str_of(bad[i].want)));
        tap_ok(ok, "refused: %s: %s", bad[i].rule, e.msg);
        struct str s = seen(b, b->client, b->h.client);
        tap_ok(!str_ends(s, STR("0\r\n\r\n")), "and never made a clean end");
        bench_done(b);
    }
}

// ---- peers that wait for one another
// ------------------------------------------------------------------------

struct talk {
    int client, server;
    bool refuse; // the body, by a final answer
    bool ok;
};

// Reads until `what` was read.
static bool read_exactly(int fd, struct str what)
{
    char b[512];
    size_t n = 0;
    for (ssize_t got; n < what.n && (got = read(fd, b + n, what.n - n)) > 0;)
        n += (size_t)got;
    return str_eq((struct str){b, n}, what);
}

static bool say(int fd, struct str what)
{
    return write(fd, what.p, what.n) == (ssize_t)what.n;
}

#define POST "POST / HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

static void *talk_main(void *arg)
{
    struct talk *t = arg;
    t->ok = read_exactly(t->server, STR(POST));
    if (t->refuse) {
        t->ok = t->ok && say(t->server, STR("HTTP/1.1 413 \r\nContent-Length: 0\r\n\r\n"));
        return NULL;
    }
    t->ok = t->ok && say(t->server, STR("HTTP/1.1 100 Continue\r\n\r\n")) &&
            read_exactly(t->client, STR("HTTP/1.1 100 Continue\r\n\r\n")) && say(t->client, STR("abc")) &&
            read_exactly(t->server, STR("abc")) && say(t->server, STR(OK2)) &&
            read_exactly(t->client, STR(OK2));
    return NULL;
}

static void test_continue(struct bench *b, bool refuse)
{
    struct err e = {};
    bench_start(b, STR(POST), false);
    struct talk t = {b->client, b->server, refuse, false};
    pthread_t thread;
    if (pthread_create(&thread, NULL, talk_main, &t) != 0)
        abort();
    enum err_code r = bench_run(b, &e);
    (void)pthread_join(thread, NULL);
    if (refuse) {
        struct str s = seen(b, b->client, b->h.client);
        tap_ok(r == ERR_OK && t.ok && !b->h.again && !b->h.upstream && str_starts(s, STR("HTTP/1.1 413")),
               "a body that is refused is not asked for, and both connections end");
    } else {
        tap_ok(r == ERR_OK && t.ok && b->h.again && b->h.upstream, "a body that is awaited is asked for: %s",
               e.msg);
    }
    bench_done(b);
}

int main(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    if (!b)
        return 1;
    test_rows(b);
    test_bad(b);
    test_continue(b, false);
    test_continue(b, true);
    free(b);
    return tap_done();
}
