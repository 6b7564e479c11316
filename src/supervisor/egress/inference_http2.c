// inference.local over HTTP/2. The connection's thread drives the session; each request, when it is whole, is
// called by a thread of its own, so that one model's silence holds up nobody. Between the two lies a bounded
// buffer for each call. What both touch is guarded by front.lock.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http2.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/inject.h"

enum {
    STACK_SIZE = 512 * KIB,
    OUT_MAX = 64 * KIB + MASK_WORK_MAX, // of a call, not sent yet
    OUT_FULL = 64 * KIB,                // the model waits from here on
    LEG_OUT = 16 * KIB,
    LEG_OUT_MAX = 256 * KIB,
    LEG_READS = 8,
    END_TIMEOUT_MS = 5'000,
    WORKERS_MAX = 512, // threads of all connections; one more is answered 503
};

struct call {
    struct call *next;
    struct front *front;
    int32_t id;
    struct incoming in;
    struct buf body;
    pthread_t thread;
    int cancel_fd;
    bool started, open; // the thread; the stream

    // under front->lock
    struct buf out;
    struct arena arena; // of the head of the response
    struct http1_header *head;
    size_t head_n;
    bool head_empty;              // it has no body
    bool ended, failed, finished; // by the call; its thread is about to end
    pthread_cond_t room;

    // of the connection's thread
    bool responded, closed_out;
    size_t waiting; // written to the session, not sent yet
};

struct front {
    struct conn *c;
    struct stream *client;
    struct http2 *h;
    pthread_mutex_t lock;
    int wake_fd;
    struct call *calls;
    struct buf out;
    size_t off;
    bool ended, leaving;
    int64_t now_ns, idle_since_ns;
    char b[LEG_OUT];
};

static void wake(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one)); // a counter: only full after 2^64 - 2 writes
}

// ---- on a call's thread
// ----------------------------------------------------------------------------------------

static enum err_code out_head(void *ctx, unsigned status, const struct http1_header *f, size_t n,
                              int64_t length, struct err *e)
{
    struct call *k = ctx;
    char code[4];
    (void)snprintf(code, sizeof(code), "%03u", status % 1000);
    (void)pthread_mutex_lock(&k->front->lock);
    struct http1_header *v = arena_newn(&k->arena, struct http1_header, n + 1);
    bool ok = v && arena_dup(&k->arena, str_of(code), &v[0].value);
    for (size_t i = 0; ok && i < n; i++) {
        char *name = arena_alloc(&k->arena, f[i].name.n + 1);
        ok = name && arena_dup(&k->arena, f[i].value, &v[i + 1].value);
        for (size_t b = 0; ok && b < f[i].name.n; b++)
            name[b] = char_lower(f[i].name.p[b]);
        v[i + 1].name = (struct str){name, f[i].name.n};
    }
    if (ok)
        v[0].name = STR(":status");
    k->head = ok ? v : NULL;
    k->head_n = n + 1;
    k->head_empty = length == 0;
    (void)pthread_mutex_unlock(&k->front->lock);
    wake(k->front->wake_fd);
    return ok ? ERR_OK : err_set(e, ERR_LIMIT, "no room for the head of a response");
}

static enum err_code out_data(void *ctx, struct str bytes, struct err *e)
{
    struct call *k = ctx;
    (void)pthread_mutex_lock(&k->front->lock);
    while (k->out.n >= OUT_FULL && !k->failed)
        (void)pthread_cond_wait(&k->room, &k->front->lock);
    bool gone = k->failed;
    if (!gone)
        buf_add(&k->out, bytes);
    bool full = k->out.full;
    (void)pthread_mutex_unlock(&k->front->lock);
    wake(k->front->wake_fd);
    if (gone)
        return err_set(e, ERR_DENIED, "the caller is gone");
    return full ? err_set(e, ERR_LIMIT, "no room for a response") : ERR_OK;
}

static enum err_code out_end(void *ctx, struct err *e)
{
    struct call *k = ctx;
    (void)e;
    (void)pthread_mutex_lock(&k->front->lock);
    k->ended = true;
    (void)pthread_mutex_unlock(&k->front->lock);
    return ERR_OK;
}

static void *call_main(void *arg)
{
    struct call *k = arg;
    struct err e;
    const struct inference_request q = {.head = &k->in.head, .path = k->in.path, .body = buf_str(&k->body)};
    const struct inference_out out = {.ctx = k,
                                      .head = out_head,
                                      .data = out_data,
                                      .end = out_end,
                                      .client_fd = -1,
                                      .cancel_fd = k->cancel_fd};
    enum err_code r = inference_call(k->front->c, &q, &out, &e);
    atomic_fetch_sub(&k->front->c->e->workers, 1);
    (void)pthread_mutex_lock(&k->front->lock);
    k->failed |= r != ERR_OK;
    k->finished = true;
    (void)pthread_mutex_unlock(&k->front->lock);
    wake(k->front->wake_fd);
    return NULL;
}

// ---- calls
// ---------------------------------------------------------------------------------------------------

static struct call *call_new(struct front *f, int32_t id)
{
    struct call *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    *k = (struct call){.front = f, .id = id, .open = true, .next = f->calls};
    k->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_cond_init(&k->room, NULL);
    buf_init(&k->body, INFERENCE_BODY_MAX);
    buf_init(&k->out, OUT_MAX);
    arena_init(&k->arena, 64 * KIB);
    arena_init(&k->in.arena, REQUEST_ARENA_MAX);
    f->calls = k;
    return k;
}

static void call_free(struct call *k)
{
    if (k->started)
        (void)pthread_join(k->thread, NULL);
    if (k->cancel_fd >= 0)
        (void)close(k->cancel_fd);
    (void)pthread_cond_destroy(&k->room);
    buf_done(&k->body);
    buf_done(&k->out);
    arena_done(&k->arena);
    arena_done(&k->in.arena);
    free(k);
}

// Nobody waits for it any more.
static void call_cancel(struct call *k)
{
    k->open = false;
    (void)pthread_mutex_lock(&k->front->lock);
    k->failed = true;
    (void)pthread_cond_signal(&k->room);
    (void)pthread_mutex_unlock(&k->front->lock);
    wake(k->cancel_fd);
}

static bool call_is_over(struct call *k)
{
    if (k->open)
        return false;
    (void)pthread_mutex_lock(&k->front->lock);
    bool over = !k->started || k->finished;
    (void)pthread_mutex_unlock(&k->front->lock);
    return over;
}

static void sweep(struct front *f)
{
    bool had = f->calls != NULL;
    struct call **at = &f->calls;
    for (struct call *k = f->calls, *next; k; k = next) {
        next = k->next;
        if (call_is_over(k)) {
            *at = next;
            call_free(k);
        } else {
            at = &k->next;
        }
    }
    if (!had || f->calls)
        return;
    f->idle_since_ns = f->now_ns;
    conn_phase(f->c, PHASE_IDLE);
}

static void refuse(struct front *f, struct call *k, unsigned status)
{
    char code[4];
    struct err e;
    (void)snprintf(code, sizeof(code), "%03u", status % 1000);
    const struct http1_header head[] = {{STR(":status"), str_of(code)}};
    k->responded = k->closed_out = true;
    if (http2_respond(f->h, k->id, head, 1, true, &e) != ERR_OK)
        http2_reset(f->h, k->id, HTTP2_INTERNAL_ERROR);
    else
        http2_reset_when_sent(f->h, k->id);
}

static void call_start(struct front *f, struct call *k)
{
    pthread_attr_t attr;
    bool room = atomic_fetch_add(&f->c->e->workers, 1) < WORKERS_MAX;
    if (room && pthread_attr_init(&attr) == 0) {
        k->started = pthread_attr_setstacksize(&attr, STACK_SIZE) == 0 &&
                     pthread_create(&k->thread, &attr, call_main, k) == 0;
        (void)pthread_attr_destroy(&attr);
    }
    if (k->started)
        return;
    atomic_fetch_sub(&f->c->e->workers, 1);
    refuse(f, k, 503);
}

// ---- what the client sends
// --------------------------------------------------------------------------------------

static bool is_call(const struct http1_head *h)
{
    static const struct target me = {.host = "inference.local", .host_n = 15, .port = 443};
    return request_is_for(&me, true, h) && h->form != FORM_AUTHORITY && h->form != FORM_ASTERISK;
}

static void on_request(void *ctx, int32_t id, const struct http1_head *head, bool end)
{
    struct front *f = ctx;
    struct err e;
    if (!f->calls)
        conn_phase(f->c, PHASE_REQUEST);
    struct call *k = call_new(f, id);
    if (!k || k->cancel_fd < 0) {
        http2_reset(f->h, id, HTTP2_INTERNAL_ERROR);
        if (k)
            k->open = false;
        return;
    }
    http2_set(f->h, id, k);
    f->c->requests++;
    k->in.head = *head;
    if (!is_call(head) || urlpath_canonical(head->path, false, k->in.path_text, &k->in.path, &e) != ERR_OK) {
        refuse(f, k, 400);
        return;
    }
    k->in.shown = k->in.path;
    k->in.shown_target = k->in.head.target;
    if (!request_keep(&k->in))
        refuse(f, k, 400);
    else if (end)
        call_start(f, k);
}

static void on_data(void *ctx, int32_t id, struct str bytes)
{
    struct front *f = ctx;
    struct call *k = http2_get(f->h, id);
    http2_consume(f->h, id, bytes.n);
    if (!k || k->closed_out)
        return;
    buf_add(&k->body, bytes);
    if (k->body.full)
        refuse(f, k, 413);
}

static void on_end(void *ctx, int32_t id, const struct http1_head *trailers)
{
    struct front *f = ctx;
    struct call *k = http2_get(f->h, id);
    (void)trailers;
    if (k && !k->closed_out && !k->started)
        call_start(f, k);
}

static void on_took(void *ctx, int32_t id, size_t n)
{
    struct front *f = ctx;
    struct call *k = http2_get(f->h, id);
    if (k)
        k->waiting -= n;
}

static void on_closed(void *ctx, int32_t id, uint32_t code)
{
    struct front *f = ctx;
    struct call *k = http2_get(f->h, id);
    (void)code;
    if (k)
        call_cancel(k);
}

static void on_refused(void *ctx, int32_t id, struct str why)
{
    struct front *f = ctx;
    (void)id;
    report_failure(f->c, NULL, "inference request refused", why);
}

static const struct http2_calls calls = {on_request, on_data, on_end, on_took, on_closed, on_refused};

// ---- what calls have to say
// -------------------------------------------------------------------------------------

// Moves what a call has made into the session, as far as that has room.
static void move(struct front *f, struct call *k)
{
    struct err e;
    bool ok = true, end = false;
    if (!k->open || k->closed_out)
        return;
    (void)pthread_mutex_lock(&f->lock);
    if (k->head && !k->responded) {
        k->responded = true;
        ok = http2_respond(f->h, k->id, k->head, k->head_n, false, &e) == ERR_OK;
    }
    size_t room = HTTP2_STREAM_WINDOW - k->waiting;
    size_t n = k->out.n < room ? k->out.n : room;
    if (ok && k->responded && n > 0) {
        ok = http2_write(f->h, k->id, str_head(buf_str(&k->out), n), &e) == ERR_OK;
        memmove(k->out.p, k->out.p + n, k->out.n - n);
        k->out.n -= n;
        k->waiting += n;
        (void)pthread_cond_signal(&k->room);
    }
    bool failed = k->failed || (k->finished && !k->ended);
    end = k->out.n == 0 && (k->ended || (failed && k->waiting == 0)); // a reset drops what waits
    (void)pthread_mutex_unlock(&f->lock);
    if (!ok || (end && failed)) {
        k->closed_out = true;
        if (ok)
            http2_reset(f->h, k->id, HTTP2_INTERNAL_ERROR); // never turned into a clean end
        else
            http2_reset(f->h, k->id, HTTP2_CANCEL);
    } else if (end) {
        k->closed_out = true;
        if (http2_finish(f->h, k->id, NULL, 0, &e) != ERR_OK)
            http2_reset(f->h, k->id, HTTP2_INTERNAL_ERROR);
    }
}

// ---- the loop
// -------------------------------------------------------------------------------------------------

static const struct wait no_wait = {.deadline_ns = DEADLINE_NOW, .cancel_fd = -1};

static void send(struct front *f)
{
    struct err e;
    while (!f->ended) {
        if (f->off == f->out.n) {
            buf_clear(&f->out);
            f->off = 0;
            f->ended |= http2_send(f->h, &f->out, LEG_OUT, &e) != ERR_OK;
            if (f->out.n == 0 || f->ended)
                return;
        }
        size_t n = 0;
        enum err_code r = stream_write_some(f->client, str_from(buf_str(&f->out), f->off), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        f->ended = r != ERR_OK;
        f->off += n;
    }
}

static void receive(struct front *f)
{
    struct err e;
    for (size_t i = 0; i < LEG_READS && !f->ended; i++) {
        size_t n = 0;
        enum err_code r = stream_read(f->client, f->b, sizeof(f->b), &n, &no_wait, &e);
        if (r == ERR_TIMEOUT)
            return;
        f->ended = r != ERR_OK || n == 0;
        if (!f->ended && http2_recv(f->h, (struct str){f->b, n}, f->now_ns, &e) != ERR_OK) {
            report_failure(f->c, NULL, "HTTP/2 client refused", str_of(e.msg));
            send(f); // GOAWAY
            f->ended = true;
        }
    }
}

// False: the connection has ended.
static bool turn(struct front *f)
{
    uint64_t count;
    f->now_ns = clock_ns();
    for (int i = 0; i < 2; i++) { // what has gone out makes room, and lets broken answers end
        for (struct call *k = f->calls; k; k = k->next)
            move(f, k);
        send(f);
    }
    sweep(f);
    if (f->ended || http2_is_over(f->h) || (f->leaving && !f->calls))
        return false;
    int64_t idle_ms = IDLE_TIMEOUT_MS - (f->now_ns - f->idle_since_ns) / 1'000'000;
    if (!f->calls && idle_ms <= 0)
        return false;
    short events = (short)(POLLIN | (f->off < f->out.n || http2_wants_send(f->h) ? POLLOUT : 0));
    struct pollfd p[3] = {{.fd = f->client->fd, .events = events},
                          {.fd = f->wake_fd, .events = POLLIN},
                          {.fd = f->leaving ? -1 : f->c->cancel_fd, .events = POLLIN}};
    int timeout = stream_pending(f->client) > 0 ? 0 : f->calls ? -1 : (int)idle_ms;
    if (poll(p, 3, timeout) < 0 && errno != EINTR)
        return false;
    if (p[1].revents)
        (void)!read(f->wake_fd, &count, sizeof(count)); // back to zero
    if (p[2].revents) {
        f->leaving = true;
        http2_leave(f->h);
    }
    receive(f);
    return true;
}

static void finish(struct front *f)
{
    struct err e;
    const struct wait w = {.deadline_ns = deadline_in_ms(END_TIMEOUT_MS), .cancel_fd = -1};
    for (struct call *k = f->calls; k; k = k->next)
        call_cancel(k);
    if (!f->ended)
        http2_end(f->h, HTTP2_NO_ERROR);
    if (!f->ended && stream_write(f->client, str_from(buf_str(&f->out), f->off), &w, &e) == ERR_OK) {
        buf_clear(&f->out);
        if (http2_send(f->h, &f->out, LEG_OUT_MAX / 2, &e) == ERR_OK &&
            stream_write(f->client, buf_str(&f->out), &w, &e) == ERR_OK)
            (void)stream_end(f->client, &w, &e); // the client may be gone: nothing to tell it then
    }
    while (f->calls) {
        struct call *k = f->calls;
        f->calls = k->next;
        call_free(k); // waits for its thread, which has been told
    }
}

void inference_http2(struct conn *c, struct stream *client)
{
    struct front *f = arena_new(&c->arena, struct front);
    struct err e;
    if (!f)
        return;
    f->c = c;
    f->client = client;
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->now_ns = f->idle_since_ns = clock_ns();
    buf_init(&f->out, LEG_OUT_MAX);
    (void)pthread_mutex_init(&f->lock, NULL);
    conn_phase(c, PHASE_IDLE);
    if (f->wake_fd >= 0 && http2_new(HTTP2_SERVER, &calls, f, &f->h, &e) == ERR_OK) {
        while (turn(f))
            ;
        finish(f);
    }
    http2_free(f->h);
    if (f->wake_fd >= 0)
        (void)close(f->wake_fd);
    buf_done(&f->out);
    (void)pthread_mutex_destroy(&f->lock);
}
