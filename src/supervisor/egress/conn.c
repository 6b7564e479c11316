// A connection's thread, the table of live ones, and what a new policy does to them.
#include "supervisor/egress/egress.h"

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/egress/inference.h"

enum { STACK_SIZE = 512 * KIB };

struct snapshot *egress_policy(struct egress *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct snapshot *s = snapshot_ref(e->policy);
    (void)pthread_mutex_unlock(&e->lock);
    return s;
}

// While we hold a share of it, no other policy can have its address.
struct snapshot *conn_policy(struct conn *c)
{
    if (c->e->policy != c->policy) {
        snapshot_unref(c->policy);
        c->policy = egress_policy(c->e);
    }
    return snapshot_ref(c->policy);
}

void conn_target(struct conn *c, struct str host, uint16_t port)
{
    (void)pthread_mutex_lock(&c->e->lock);
    memcpy(c->host, host.p, host.n);
    c->host[host.n] = '\0';
    c->facts = (struct conn_facts){
        .host = {c->host, host.n},
        .port = port,
        .who = {.exe = c->id.exe,
                .ancestors = c->id.ancestors,
                .ancestors_n = c->id.ancestors_n,
                .cmdline = c->id.cmdline,
                .cmdline_n = c->id.cmdline_n},
    };
    c->has_facts = true;
    (void)pthread_mutex_unlock(&c->e->lock);
}

void conn_phase(struct conn *c, enum phase phase)
{
    c->phase = phase;
}

enum err_code reader_fill(struct reader *r, const struct wait *w, bool *ret_end, struct err *e)
{
    if (r->off > 0) {
        memmove(r->b, r->b + r->off, r->n - r->off);
        r->n -= r->off;
        r->off = 0;
    }
    if (r->n == sizeof(r->b))
        return err_set(e, ERR_LIMIT, "more than %zu bytes", sizeof(r->b));
    size_t got;
    enum err_code code = stream_read(r->s, r->b + r->n, sizeof(r->b) - r->n, &got, w, e);
    if (code != ERR_OK)
        return code;
    *ret_end = got == 0;
    r->n += got;
    return ERR_OK;
}

// ---- the table
// ----------------------------------------------------------------------------------------------

static void table_add(struct conn *c)
{
    struct egress *e = c->e;
    c->next = e->conns;
    if (e->conns)
        e->conns->prev = c;
    e->conns = c;
}

static void table_remove(struct conn *c)
{
    struct egress *e = c->e;
    (void)pthread_mutex_lock(&e->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        e->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    e->conns_n--;
    (void)pthread_cond_broadcast(&e->changed);
    (void)pthread_mutex_unlock(&e->lock);
}

static void conn_free(struct conn *c)
{
    stream_free(c->client);
    if (c->cancel_fd >= 0)
        (void)close(c->cancel_fd);
    snapshot_unref(c->policy);
    if (c->touched)
        arena_wipe(&c->arena);
    else
        arena_done(&c->arena);
    free(c);
}

static bool is_cut(const struct conn *c, const struct snapshot *policy)
{
    if (!c->has_facts || c->phase == PHASE_REQUEST)
        return false;
    struct conn_decision d;
    decide_connection(policy, &c->facts, &d);
    return d.d.verdict == VERDICT_DENY;
}

// Signals those that are to end; how many there are. Called again until none is left, since a request that
// was in flight may have become a tunnel in between.
static size_t cut_refused(struct egress *e)
{
    size_t n = 0;
    for (struct conn *c = e->conns; c; c = c->next) {
        if (!is_cut(c, e->policy))
            continue;
        n++;
        const uint64_t one = 1;
        (void)!write(c->cancel_fd, &one, sizeof(one)); // a counter: only full after 2^64 - 2 writes
    }
    return n;
}

static struct timespec in_ms(int ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1'000'000;
    if (t.tv_nsec >= 1'000'000'000) {
        t.tv_sec++;
        t.tv_nsec -= 1'000'000'000;
    }
    return t;
}

void egress_end(struct egress *e, int timeout_ms)
{
    const struct timespec until = in_ms(timeout_ms);
    const uint64_t one = 1;
    int r = 0;
    (void)pthread_mutex_lock(&e->lock);
    for (struct conn *c = e->conns; c; c = c->next)
        (void)!write(c->cancel_fd, &one, sizeof(one));
    while (e->conns_n > 0 && r == 0)
        r = pthread_cond_timedwait(&e->changed, &e->lock, &until);
    (void)pthread_mutex_unlock(&e->lock);
}

enum err_code egress_reload(struct egress *e, struct snapshot *policy, int timeout_ms, size_t *ret_cut,
                            struct err *err)
{
    const struct timespec until = in_ms(timeout_ms);
    (void)pthread_mutex_lock(&e->lock);
    struct snapshot *old = e->policy;
    e->policy = policy;
    size_t left = cut_refused(e);
    *ret_cut = left;
    int r = 0;
    while (left > 0 && r == 0) {
        r = pthread_cond_timedwait(&e->changed, &e->lock, &until);
        left = cut_refused(e);
    }
    (void)pthread_mutex_unlock(&e->lock);
    snapshot_unref(old);
    if (left > 0)
        return err_set(err, ERR_TIMEOUT, "%zu connections that the new policy refuses are still open", left);
    return ERR_OK;
}

// ---- doors
// --------------------------------------------------------------------------------------------------

static void serve_connect(struct conn *c, const struct http1_head *head, struct reader *in)
{
    struct err e;
    struct target t;
    if (target_parse(head->target, 0, &t, &e) != ERR_OK) {
        answer_bare(c, c->client, 400);
        report_failure(c, NULL, "CONNECT target refused", str_of(e.msg));
        return;
    }
    if (str_eq(target_host(&t), INFERENCE_HOST) && t.port == 443) {
        struct wait w = conn_wait(c, deadline_in_ms(HEAD_TIMEOUT_MS));
        if (stream_write(c->client, STR("HTTP/1.1 200 Connection Established\r\n\r\n"), &w, &e) == ERR_OK)
            inference_serve(c, reader_str(in));
        return;
    }
    CLEANUP(admission_done) struct admission a = {};
    struct denial deny;
    if (admit(c, &t, "connect", STR("CONNECT"), STR(""), &a, &deny, &e) != ERR_OK) {
        answer_denial(c, c->client, &deny);
        report_denial(c, &t, STR("CONNECT"), STR(""), &deny);
        return;
    }
    struct wait w = conn_wait(c, deadline_in_ms(DIAL_TIMEOUT_MS));
    CLEANUP(stream_freep) struct stream *upstream = NULL;
    size_t used;
    if (stream_dial(a.addrs, a.addrs_n, t.port, &w, &upstream, &used, &e) != ERR_OK) {
        deny.status = 502;
        deny.error = "upstream_unreachable";
        (void)snprintf(deny.detail, sizeof(deny.detail), "connection to %s:%u failed", t.host, t.port);
        answer_denial(c, c->client, &deny);
        report_failure(c, &t, "upstream unreachable", str_of(e.msg));
        return;
    }
    if (stream_write(c->client, STR("HTTP/1.1 200 Connection Established\r\n\r\n"), &w, &e) != ERR_OK)
        return;
    report_connection(c, &t, &a, a.d.inspected);
    tunnel_serve(c, &t, &a, TAKE(upstream), reader_str(in));
}

static bool forward_target(const struct http1_head *head, struct target *t, struct conn *c)
{
    struct err e;
    if (str_eq_ci(head->scheme, STR("https"))) {
        static const char
            text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 26\r\n\r\nUse CONNECT for HTTPS URLs";
        struct wait w = conn_wait(c, deadline_in_ms(HEAD_TIMEOUT_MS));
        (void)stream_write(c->client, str_of(text), &w, &e); // the connection ends either way
        return false;
    }
    if (!str_eq_ci(head->scheme, STR("http"))) {
        struct denial deny = {.status = 400, .error = "unsupported_proxy_scheme"};
        (void)snprintf(deny.detail, sizeof(deny.detail), "Forward proxy requests must use http");
        answer_denial(c, c->client, &deny);
        return false;
    }
    if (target_parse(head->authority, 80, t, &e) != ERR_OK) {
        answer_bare(c, c->client, 400);
        return false;
    }
    return true;
}

static void serve_forward(struct conn *c, const struct http1_head *head, const struct reader *in)
{
    struct target t;
    if (!forward_target(head, &t, c))
        return;
    CLEANUP(admission_done) struct admission a = {};
    struct denial deny;
    struct err e;
    if (admit(c, &t, "forward", head->method, head->path, &a, &deny, &e) != ERR_OK) {
        if (str_eq(str_of(deny.error), STR("policy_denied")))
            deny.reason[0] = '\0'; // the forward answer has none (reference 2.5)
        answer_denial(c, c->client, &deny);
        report_denial(c, &t, head->method, head->path, &deny);
        return;
    }
    struct http_session *h = arena_new(&c->arena, struct http_session);
    if (!h)
        return;
    *h = (struct http_session){.c = c, .client = c->client, .target = &t, .admission = &a, .once = true};
    h->in = *in; // the head is read again, as the session reads every head
    h->out.s = NULL;
    http_serve(h);
    stream_free(h->upstream);
}

// Reads the head that says what a client wants of the proxy.
static void serve_proxy(struct conn *c)
{
    struct reader *in = arena_new(&c->arena, struct reader);
    struct http1_head *head = arena_new(&c->arena, struct http1_head);
    if (!in || !head)
        return;
    in->s = c->client;
    struct wait w = conn_wait(c, deadline_in_ms(HEAD_TIMEOUT_MS));
    size_t resume = 0, used;
    struct err e;
    for (;;) {
        switch (http1_request(reader_str(in), HTTP1_PROXY_HEAD_MAX, &resume, head, &used, &e)) {
        case HTTP1_BAD:
            answer_bare(c, c->client, e.code == ERR_LIMIT ? 431 : 400);
            report_failure(c, NULL, "request head refused", str_of(e.msg));
            return;
        case HTTP1_MORE: {
            bool end;
            if (reader_fill(in, &w, &end, &e) != ERR_OK || end)
                return;
            continue;
        }
        case HTTP1_DONE:
            break;
        }
        break;
    }
    if (head->form == FORM_AUTHORITY) {
        in->off += used;
        serve_connect(c, head, in);
    } else if (head->form == FORM_ABSOLUTE) {
        serve_forward(c, head, in);
    } else {
        answer_bare(c, c->client, 400);
        report_failure(c, NULL, "request head refused", STR("neither CONNECT nor an absolute URL"));
    }
}

static void *conn_main(void *arg)
{
    struct conn *c = arg;
    struct err e;
    if (mon_ask_identify(c->e->mon, &c->pair, &c->arena, &c->id, &e) != ERR_OK)
        memcpy(c->id_error, e.msg, sizeof(c->id_error));
    if (c->door == DOOR_PROXY)
        serve_proxy(c);
    else
        captured_serve(c);
    table_remove(c);
    conn_free(c);
    return NULL;
}

// ---- starting
// -----------------------------------------------------------------------------------------------

static bool ip_of(const struct sockaddr_storage *ss, struct ip *ip, uint16_t *port)
{
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, ss, sizeof(in));
        *ip = (struct ip){.family = 4};
        memcpy(ip->b, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
        return true;
    }
    if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, ss, sizeof(in6));
        *ip = (struct ip){.family = 6};
        memcpy(ip->b, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

static bool pair_of(int fd, struct sock_pair *ret)
{
    struct sockaddr_storage ss = {};
    socklen_t n = sizeof(ss);
    if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0 || !ip_of(&ss, &ret->peer, &ret->peer_port))
        return false;
    n = sizeof(ss);
    return getsockname(fd, (struct sockaddr *)&ss, &n) == 0 && ip_of(&ss, &ret->local, &ret->local_port);
}

static struct conn *conn_new(struct egress *e, int fd, enum door door)
{
    struct err err;
    struct conn *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)close(fd);
        return NULL;
    }
    *c = (struct conn){.e = e, .door = door, .phase = PHASE_IDLE};
    arena_init(&c->arena, CONN_ARENA_MAX);
    c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool named = pair_of(fd, &c->pair);
    if (stream_socket(fd, &c->client, &err) != ERR_OK || c->cancel_fd < 0 || !named) {
        conn_free(c);
        return NULL;
    }
    return c;
}

static bool thread_start(struct conn *c)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    bool ok = pthread_attr_setstacksize(&attr, STACK_SIZE) == 0 &&
              pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attr, conn_main, c) == 0;
    (void)pthread_attr_destroy(&attr);
    return ok;
}

void egress_serve(struct egress *e, int fd, enum door door)
{
    struct conn *c = conn_new(e, fd, door);
    if (!c)
        return;
    (void)pthread_mutex_lock(&e->lock);
    bool room = e->conns_n < EGRESS_THREADS_MAX;
    if (room) {
        e->conns_n++;
        table_add(c);
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (room && thread_start(c))
        return;
    if (room)
        table_remove(c);
    if (door == DOOR_PROXY)
        answer_bare(c, c->client, 503);
    conn_free(c);
}
