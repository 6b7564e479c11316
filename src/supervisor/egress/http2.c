// HTTP/2 on both legs, driven by the connection's one thread. The legs are a pair: the server is asked for h2
// where the client offers it, and the client gets what the server chose, so that no request changes version
// on its way. Each stream of the client is a call: admitted or answered here, then a stream of the server.
// A body waits on the leg that it goes to; the leg it came from gives new window when it went out. When one
// leg ends or says that it will, the other is told so.
#include "supervisor/egress/http2_call.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"

static const struct wait no_wait = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

// ---- legs
// ----------------------------------------------------------------------------------------------------

// Sends until the socket takes no more, or there is no more.
static void leg_send(struct pair *p, struct leg *l)
{
    struct err e;
    for (;;) {
        if (l->off == l->out.n) {
            buf_clear(&l->out);
            l->off = 0;
            if (http2_send(l->h, &l->out, LEG_OUT, &e) != ERR_OK) {
                report_failure(p->c, p->target, "HTTP/2 relay error", str_of(e.msg));
                l->ended = true;
            }
            if (l->out.n == 0 || l->ended)
                return;
        }
        size_t n = 0;
        enum err_code r = stream_write_some(l->s, str_from(buf_str(&l->out), l->off), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        if (r != ERR_OK) {
            l->ended = true;
            return;
        }
        l->off += n;
    }
}

static void leg_read(struct pair *p, struct leg *l)
{
    struct err e;
    for (size_t i = 0; i < LEG_READS && !l->ended; i++) {
        size_t n = 0;
        enum err_code r = stream_read(l->s, p->b, sizeof(p->b), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        l->ended = r != ERR_OK || n == 0;
        if (l->ended)
            return;
        if (http2_recv(l->h, (struct str){p->b, n}, p->now_ns, &e) != ERR_OK) {
            report_failure(p->c, p->target,
                           l == &p->client ? "HTTP/2 client refused" : "HTTP/2 server refused",
                           str_of(e.msg));
            leg_send(p, l); // GOAWAY
            l->ended = true;
        }
    }
}

static short leg_events(const struct leg *l)
{
    // What the other leg sent a moment ago may have opened window here: that is sent in the next turn.
    return (short)(POLLIN | (l->off < l->out.n || http2_wants_send(l->h) ? POLLOUT : 0));
}

// ---- the loop
// ----------------------------------------------------------------------------------------------

static void leave(struct pair *p)
{
    if (p->leaving)
        return;
    p->leaving = true;
    http2_leave(p->client.h);
}

// A request in flight ends under the policy that admitted it; without one, a connection that the policy in
// force refuses is not kept.
static void check_policy(struct pair *p)
{
    struct snapshot *s = egress_policy(p->c->e);
    struct conn_decision d;
    decide_connection(s, &p->c->facts, &d);
    snapshot_unref(s);
    p->check = false;
    if (d.d.verdict == VERDICT_DENY)
        leave(p);
}

// The server is gone: who waits for it is told.
static void server_lost(struct pair *p)
{
    leave(p);
    for (struct call *k = p->calls, *next; k; k = next) {
        next = k->next;
        if (!k->up_open)
            continue;
        k->up_open = false;
        if (k->down_open && !k->answered)
            http2_call_lost(p, k, "the server ended the connection");
        else if (k->down_open && !k->done)
            http2_reset(p->client.h, k->down, HTTP2_INTERNAL_ERROR);
        else
            http2_call_drop(p, k);
    }
}

// Calls on which nothing moved for too long, whoever is to blame, and heads that never end. Returns what is
// left until one of these limits is reached, in milliseconds.
static int64_t sweep(struct pair *p)
{
    const int64_t ms = 1'000'000;
    int64_t left = BODY_IDLE_MS;
    for (struct call *k = p->calls; k; k = k->next) {
        int64_t rest = BODY_IDLE_MS - (p->now_ns - k->moved_ns) / ms;
        if (rest <= 0) {
            http2_reset(p->client.h, k->down, HTTP2_CANCEL);
            if (k->up_open)
                http2_reset(p->server.h, k->up, HTTP2_CANCEL);
            k->moved_ns = p->now_ns; // it closes when the resets are out
        } else if (rest < left) {
            left = rest;
        }
    }
    struct leg *legs[2] = {&p->client, &p->server};
    for (size_t i = 0; i < 2; i++) {
        if (!http2_in_head(legs[i]->h)) {
            legs[i]->head_since_ns = 0;
            continue;
        }
        if (legs[i]->head_since_ns == 0)
            legs[i]->head_since_ns = p->now_ns;
        int64_t rest = HEAD_TIMEOUT_MS - (p->now_ns - legs[i]->head_since_ns) / ms;
        legs[i]->ended |= rest <= 0;
        left = rest < left ? rest : left;
    }
    if (!p->calls) {
        int64_t rest = IDLE_TIMEOUT_MS - (p->now_ns - p->idle_since_ns) / ms;
        if (rest <= 0)
            leave(p);
        left = rest < left ? rest : left;
    }
    return left > 0 ? left : 0;
}

// False: the connection has ended.
static bool turn(struct pair *p)
{
    p->now_ns = clock_ns();
    int64_t left = sweep(p);
    // What one leg sends may give the other something to send: window.
    leg_send(p, &p->server);
    leg_send(p, &p->client);
    leg_send(p, &p->server);
    if (p->client.ended || http2_is_over(p->client.h))
        return false;
    if (http2_is_leaving(p->server.h))
        leave(p);
    if (p->check && !p->calls)
        check_policy(p);
    leg_send(p, &p->client); // a GOAWAY of these
    if (p->server.ended || http2_is_over(p->server.h)) {
        if (!p->server.ended || !p->leaving || p->calls)
            server_lost(p);
        p->server.ended = true;
        leg_send(p, &p->client);
    }
    if (p->leaving && !p->calls && p->client.off == p->client.out.n && !http2_wants_send(p->client.h))
        return false;
    struct pollfd f[3] = {{.fd = p->client.s->fd, .events = leg_events(&p->client)},
                          {.fd = p->server.ended ? -1 : p->server.s->fd, .events = leg_events(&p->server)},
                          {.fd = p->leaving ? -1 : p->c->cancel_fd, .events = POLLIN}};
    bool pending = stream_pending(p->client.s) > 0 || (!p->server.ended && stream_pending(p->server.s) > 0);
    int n = poll(f, 3, pending ? 0 : (int)left);
    if (n < 0 && errno != EINTR)
        return false;
    p->now_ns = clock_ns();
    if (f[2].revents)
        leave(p);
    leg_read(p, &p->client);
    if (!p->server.ended)
        leg_read(p, &p->server);
    return true;
}

// What is still in the buffers goes out, to whoever still takes it.
static void leg_end(struct leg *l)
{
    struct err e;
    struct wait w = {.deadline_ns = deadline_in_ms(END_TIMEOUT_MS), .cancel_fd = -1};
    if (!l->ended)
        http2_end(l->h, HTTP2_NO_ERROR);
    enum err_code r = stream_write(l->s, str_from(buf_str(&l->out), l->off), &w, &e);
    buf_clear(&l->out);
    if (r == ERR_OK && http2_send(l->h, &l->out, LEG_OUT_MAX / 2, &e) == ERR_OK &&
        stream_write(l->s, buf_str(&l->out), &w, &e) == ERR_OK)
        (void)stream_end(l->s, &w, &e); // the peer may be gone: nothing to tell it then
    secret_buf_done(&l->out);
}

void http2_serve(struct conn *c, const struct target *t, bool tls, struct stream *client,
                 struct stream *upstream)
{
    struct pair *p = arena_new(&c->arena, struct pair);
    struct err e;
    if (!p || !(p->in = arena_new(&c->arena, struct incoming)))
        return;
    p->c = c;
    p->target = t;
    p->tls = tls;
    p->client.s = client;
    p->server.s = upstream;
    p->now_ns = p->idle_since_ns = clock_ns();
    write_authority(t, tls, p->authority);
    conn_phase(c, PHASE_IDLE);
    buf_init(&p->client.out, LEG_OUT_MAX);
    buf_init(&p->server.out, LEG_OUT_MAX);
    if (http2_new(HTTP2_SERVER, &http2_client_calls, p, &p->client.h, &e) == ERR_OK &&
        http2_new(HTTP2_CLIENT, &http2_server_calls, p, &p->server.h, &e) == ERR_OK) {
        while (turn(p))
            ;
        leg_end(&p->client);
        leg_end(&p->server);
    } else {
        report_failure(c, t, "HTTP/2 relay error", str_of(e.msg));
    }
    http2_free(p->client.h);
    http2_free(p->server.h);
    while (p->calls) {
        p->calls->down_open = p->calls->up_open = false;
        http2_call_drop(p, p->calls);
    }
}
