// Three layers: the guard counts frames, nghttp2 keeps the states of RFC 9113, and this file holds what is
// waiting to go out on each stream and makes heads of header blocks. Streams of ours live from the first
// HEADERS to nghttp2's on_stream_close. Every call of the owner is made from inside mem_recv or mem_send.
#include "net/http2.h"

#include <malloc.h>
#include <nghttp2/nghttp2.h>

#include "net/http2_internal.h"

enum { FIELDS_MAX = HTTP1_HEADERS_MAX + 8 }; // what we send: a head and its pseudo-headers

struct http2_stream {
    struct http2_stream *next, *prev;
    int32_t id;
    void *user;
    struct buf out; // body on its way: out.p[off, out.n)
    size_t off;
    bool paused;        // nghttp2 asked for body, and there was none
    bool finished;      // nothing will be added
    bool sent;          // the end is out
    bool reset_at_end;  // http2_reset_when_sent
    size_t held;        // given to data(), not consumed yet
    struct arena arena; // of the trailers
    struct http1_header *trailers;
    size_t trailers_n;
};

struct http2 {
    enum http2_role role;
    const struct http2_calls *calls;
    void *ctx;
    nghttp2_session *s;
    struct http2_guard guard;
    struct http2_block block;
    struct http2_stream *streams;
    size_t streams_n;
    size_t memory; // of nghttp2
    bool over;     // the peer broke the protocol
    bool leaving;  // GOAWAY came
    bool left;     // http2_leave
    bool flooded;  // by what we had to reset
    char why[200]; // what nghttp2 said last
};

// ---- memory: nghttp2's is counted, so that no peer can make it grow past HTTP2_MEMORY_MAX
// -----------------------------------------------------------------------------------------

static void *mem_realloc(void *p, size_t n, void *user)
{
    struct http2 *h = user;
    size_t old = p ? malloc_usable_size(p) : 0, others = h->memory - old;
    if (others > HTTP2_MEMORY_MAX || n > HTTP2_MEMORY_MAX - others)
        return NULL;
    void *m = realloc(p, n);
    if (m)
        h->memory = others + malloc_usable_size(m);
    return m;
}

static void *mem_malloc(size_t n, void *user)
{
    return mem_realloc(NULL, n, user);
}

static void *mem_calloc(size_t n, size_t size, void *user)
{
    size_t all;
    if (!mul_ok(n, size, &all))
        return NULL;
    void *p = mem_realloc(NULL, all, user);
    if (p)
        memset(p, 0, all);
    return p;
}

static void mem_free(void *p, void *user)
{
    struct http2 *h = user;
    size_t n = p ? malloc_usable_size(p) : 0;
    h->memory -= n;
    if (n > 0)
        explicit_bzero(p, n); // it may have been a credential
    free(p);
}

// ---- streams
// ------------------------------------------------------------------------------------------------

// Ours, not nghttp2's: it does not know a request before it has sent it.
static struct http2_stream *stream_of(const struct http2 *h, int32_t id)
{
    struct http2_stream *s = h->streams;
    while (s && s->id != id)
        s = s->next;
    return s;
}

static struct http2_stream *stream_new(struct http2 *h)
{
    struct http2_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    buf_init(&s->out, HTTP2_STREAM_WINDOW);
    arena_init(&s->arena, 2 * HTTP2_HEAD_MAX);
    s->next = h->streams;
    if (h->streams)
        h->streams->prev = s;
    h->streams = s;
    h->streams_n++;
    return s;
}

static void stream_drop(struct http2 *h, struct http2_stream *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h->streams_n--;
    buf_done(&s->out);
    arena_done(&s->arena);
    free(s);
}

// ---- what comes in
// ------------------------------------------------------------------------------------------

static bool is_block(const nghttp2_frame *f)
{
    return f->hd.type == NGHTTP2_HEADERS;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    (void)session;
    struct http2 *h = user;
    if (!is_block(f))
        return 0;
    http2_block_begin(&h->block);
    if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct http2_stream *s = stream_new(h);
    if (!s)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    s->id = f->hd.stream_id;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct http2 *h = user;
    if (is_block(f))
        http2_block_add(&h->block, (struct str){(const char *)name, name_n},
                        (struct str){(const char *)value, value_n});
    return 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name,
                             size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)session;
    (void)f;
    (void)name;
    (void)name_n;
    (void)value;
    (void)value_n;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; // never dropped and the rest let through
}

static void refuse(struct http2 *h, int32_t id, uint32_t code, struct str why)
{
    (void)nghttp2_submit_rst_stream(h->s, NGHTTP2_FLAG_NONE, id, code); // no memory: the next call says so
    h->calls->refused(h->ctx, id, why);
}

static void block_end(struct http2 *h, const nghttp2_frame *f)
{
    struct http2_block *b = &h->block;
    int32_t id = f->hd.stream_id;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    bool is_head = h->role == HTTP2_SERVER ? f->headers.cat == NGHTTP2_HCAT_REQUEST : b->status.n > 0;
    enum err_code r;
    if (!is_head)
        r = b->bad ? b->err.code : ERR_OK;
    else if (h->role == HTTP2_SERVER)
        r = http2_block_request(b, end);
    else
        r = http2_block_response(b, end);
    if (r != ERR_OK)
        refuse(h, id, r == ERR_LIMIT ? HTTP2_ENHANCE_YOUR_CALM : HTTP2_PROTOCOL_ERROR, str_of(b->err.msg));
    else if (is_head)
        h->calls->head(h->ctx, id, &b->head, end);
    else
        h->calls->end(h->ctx, id, &b->head); // trailers, which always end a stream (RFC 9113 section 8.1)
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    (void)session;
    struct http2 *h = user;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (is_block(f)) {
        block_end(h, f);
        http2_block_begin(&h->block);
    } else if (f->hd.type == NGHTTP2_DATA && end) {
        h->calls->end(h->ctx, f->hd.stream_id, NULL);
    } else if (f->hd.type == NGHTTP2_GOAWAY) {
        h->leaving = true;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *f, int code, void *user)
{
    (void)session;
    struct http2 *h = user;
    if (f->hd.stream_id == 0)
        return 0; // the connection ends, and http2_recv says why
    h->calls->refused(h->ctx, f->hd.stream_id, str_of(h->why[0] ? h->why : nghttp2_strerror(code)));
    h->why[0] = '\0';
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *user)
{
    (void)flags;
    struct http2 *h = user;
    struct http2_stream *s = stream_of(h, id);
    if (!s)
        return nghttp2_session_consume_connection(session, n);
    s->held += n;
    h->calls->data(h->ctx, id, (struct str){(const char *)p, n});
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = stream_of(h, id);
    if (!s)
        return 0;
    h->calls->closed(h->ctx, id, code);
    // What the stream held weighs on the connection's window no more.
    int r = nghttp2_session_consume_connection(session, s->held);
    stream_drop(h, s);
    return r;
}

static int on_error(nghttp2_session *session, int code, const char *msg, size_t n, void *user)
{
    (void)session;
    (void)code;
    struct http2 *h = user;
    (void)snprintf(h->why, sizeof(h->why), "%.*s", (int)(n < sizeof(h->why) ? n : sizeof(h->why) - 1), msg);
    return 0;
}

// ---- what goes out
// ------------------------------------------------------------------------------------------

static size_t fields_nv(const struct http1_header *f, size_t n, nghttp2_nv *nv)
{
    for (size_t i = 0; i < n; i++) {
        // nghttp2 takes no const, and copies
        nv[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)f[i].name.p,
                             .namelen = f[i].name.n,
                             .value = (uint8_t *)(uintptr_t)f[i].value.p,
                             .valuelen = f[i].value.n,
                             .flags = f[i].secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
    }
    return n;
}

static int send_trailers(struct http2 *h, struct http2_stream *s)
{
    nghttp2_nv nv[FIELDS_MAX];
    return nghttp2_submit_trailer(h->s, s->id, nv, fields_nv(s->trailers, s->trailers_n, nv));
}

static ssize_t on_body(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *user)
{
    (void)session;
    struct http2 *h = user;
    struct http2_stream *s = source->ptr;
    size_t have = s->out.n - s->off;
    if (have == 0 && !s->finished) {
        s->paused = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t take = have < n ? have : n;
    if (take > 0) {
        memcpy(p, s->out.p + s->off, take);
        s->off += take;
        h->calls->took(h->ctx, id, take);
    }
    if (s->finished && take == have) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers_n > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (send_trailers(h, s) != 0)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)take;
}

// A stream that the peer made us reset (CVE-2025-8671): as dear as one that it resets itself.
static void count_reset(struct http2 *h, uint32_t code)
{
    bool ours = code == HTTP2_NO_ERROR || code == HTTP2_INTERNAL_ERROR || code == HTTP2_REFUSED_STREAM ||
                code == HTTP2_CANCEL;
    if (h->role == HTTP2_SERVER && !ours && !http2_guard_reset(&h->guard))
        h->flooded = true;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct http2 *h = user;
    if (f->hd.type == NGHTTP2_RST_STREAM)
        count_reset(h, f->rst_stream.error_code);
    if (f->hd.type == NGHTTP2_DATA && f->hd.length > 0)
        http2_guard_earn(&h->guard, 4); // it may be answered by WINDOW_UPDATE twice, and by PING
    if ((f->hd.type != NGHTTP2_DATA && !is_block(f)) || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct http2_stream *s = stream_of(h, f->hd.stream_id);
    if (s)
        s->sent = true;
    if (s && s->reset_at_end)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

// ---- the object
// ---------------------------------------------------------------------------------------------

static void set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_error_callback2(cb, on_error);
}

static int session_new(struct http2 *h, nghttp2_session_callbacks *cb, nghttp2_option *opt)
{
    nghttp2_mem mem = {h, mem_malloc, mem_free, mem_calloc, mem_realloc};
    set_callbacks(cb);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(opt, 1);
    nghttp2_option_set_max_send_header_block_length(opt, 2 * HTTP2_HEAD_MAX);
    if (h->role == HTTP2_SERVER)
        return nghttp2_session_server_new3(&h->s, cb, h, opt, &mem);
    return nghttp2_session_client_new3(&h->s, cb, h, opt, &mem);
}

static int greet(struct http2 *h)
{
    nghttp2_settings_entry set[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEAD_MAX},
        {h->role == HTTP2_SERVER ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         h->role == HTTP2_SERVER ? HTTP2_STREAMS_MAX : 0},
    };
    int r = nghttp2_submit_settings(h->s, NGHTTP2_FLAG_NONE, set, ARRAY_LEN(set));
    return r != 0 ? r : nghttp2_session_set_local_window_size(h->s, NGHTTP2_FLAG_NONE, 0, HTTP2_WINDOW);
}

enum err_code http2_new(enum http2_role role, const struct http2_calls *calls, void *ctx, struct http2 **ret,
                        struct err *e)
{
    CLEANUP(http2_freep) struct http2 *h = calloc(1, sizeof(*h));
    if (!h)
        return err_set(e, ERR_LIMIT, "no memory for HTTP/2");
    h->role = role;
    h->calls = calls;
    h->ctx = ctx;
    http2_guard_init(&h->guard, role);
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    int r = nghttp2_session_callbacks_new(&cb);
    if (r == 0)
        r = nghttp2_option_new(&opt);
    if (r == 0)
        r = session_new(h, cb, opt);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    if (r == 0)
        r = greet(h);
    if (r != 0)
        return err_set(e, ERR_LIMIT, "HTTP/2: %s", nghttp2_strerror(r));
    *ret = TAKE(h);
    return ERR_OK;
}

void http2_free(struct http2 *h)
{
    if (!h)
        return;
    nghttp2_session_del(h->s);
    while (h->streams)
        stream_drop(h, h->streams);
    arena_done(&h->block.arena);
    free(h);
}

enum err_code http2_recv(struct http2 *h, struct str in, int64_t now_ns, struct err *e)
{
    if (h->over)
        return err_set(e, ERR_INVALID, "bytes behind the end of HTTP/2");
    enum err_code r = http2_guard_feed(&h->guard, in, now_ns, e);
    if (r != ERR_OK) {
        http2_end(h, HTTP2_ENHANCE_YOUR_CALM);
        return r;
    }
    h->why[0] = '\0';
    ssize_t n = nghttp2_session_mem_recv(h->s, (const uint8_t *)in.p, in.n);
    if (h->flooded) {
        http2_end(h, HTTP2_ENHANCE_YOUR_CALM);
        return err_set(e, ERR_LIMIT, "too many requests that had to be reset");
    }
    if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE || n == NGHTTP2_ERR_FLOODED) {
        http2_end(h, HTTP2_ENHANCE_YOUR_CALM);
        return err_set(e, ERR_LIMIT, "HTTP/2: %s", nghttp2_strerror((int)n));
    }
    if (n >= 0 && (nghttp2_session_want_read(h->s) || h->leaving || h->left))
        return ERR_OK;
    if (n < 0)
        http2_end(h, HTTP2_PROTOCOL_ERROR);
    h->over = true;
    return err_set(e, ERR_INVALID, "HTTP/2: %s",
                   h->why[0] ? h->why
                   : n < 0   ? nghttp2_strerror((int)n)
                             : "the peer broke the protocol");
}

enum err_code http2_send(struct http2 *h, struct buf *out, size_t enough, struct err *e)
{
    while (out->n < enough) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->s, &p);
        if (n < 0)
            return err_set(e, ERR_LIMIT, "HTTP/2: %s", nghttp2_strerror((int)n));
        if (n == 0)
            return ERR_OK;
        buf_add(out, (struct str){(const char *)p, (size_t)n});
        enum err_code r = buf_check(out, "HTTP/2 on its way out", e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

bool http2_wants_send(const struct http2 *h)
{
    return nghttp2_session_want_write(h->s);
}

bool http2_is_over(const struct http2 *h)
{
    return (h->over || !nghttp2_session_want_read(h->s)) && !nghttp2_session_want_write(h->s);
}

bool http2_in_head(const struct http2 *h)
{
    return h->guard.magic > 0 || h->guard.in_block ||
           (h->guard.left > 0 && h->guard.head[3] == NGHTTP2_HEADERS);
}

bool http2_is_leaving(const struct http2 *h)
{
    return h->leaving;
}

size_t http2_streams(const struct http2 *h)
{
    return h->streams_n;
}

static enum err_code submit_error(int code, const char *what, struct err *e)
{
    return err_set(e, code == NGHTTP2_ERR_NOMEM ? ERR_LIMIT : ERR_UNAVAILABLE, "%s: %s", what,
                   nghttp2_strerror(code));
}

enum err_code http2_request(struct http2 *h, const struct http1_header *f, size_t n, bool end,
                            int32_t *ret_id, struct err *e)
{
    nghttp2_nv nv[FIELDS_MAX];
    assert(h->role == HTTP2_CLIENT && n <= FIELDS_MAX);
    if (h->over || h->leaving)
        return err_set(e, ERR_UNAVAILABLE, "the server takes no more requests on this connection");
    struct http2_stream *s = stream_new(h);
    if (!s)
        return err_set(e, ERR_LIMIT, "no memory for a stream");
    s->finished = end;
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_body};
    int32_t id = nghttp2_submit_request(h->s, NULL, nv, fields_nv(f, n, nv), end ? NULL : &body, NULL);
    if (id < 0) {
        stream_drop(h, s);
        return submit_error(id, "request", e);
    }
    s->id = *ret_id = id;
    return ERR_OK;
}

enum err_code http2_respond(struct http2 *h, int32_t id, const struct http1_header *f, size_t n, bool end,
                            struct err *e)
{
    nghttp2_nv nv[FIELDS_MAX];
    assert(h->role == HTTP2_SERVER && n > 0 && n <= FIELDS_MAX && f[0].value.n == 3);
    struct http2_stream *s = stream_of(h, id);
    if (!s)
        return ERR_OK; // reset meanwhile: nobody to tell
    (void)fields_nv(f, n, nv);
    int r;
    if (f[0].value.p[0] == '1') {
        r = nghttp2_submit_headers(h->s, NGHTTP2_FLAG_NONE, id, NULL, nv, n, NULL);
    } else {
        nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_body};
        s->finished = end;
        r = nghttp2_submit_response(h->s, id, nv, n, end ? NULL : &body);
    }
    return r == 0 ? ERR_OK : submit_error(r, "response", e);
}

static enum err_code resume(struct http2 *h, struct http2_stream *s, struct err *e)
{
    if (!s->paused)
        return ERR_OK;
    s->paused = false;
    int r = nghttp2_session_resume_data(h->s, s->id);
    return r == NGHTTP2_ERR_NOMEM ? submit_error(r, "body", e) : ERR_OK;
}

enum err_code http2_write(struct http2 *h, int32_t id, struct str bytes, struct err *e)
{
    struct http2_stream *s = stream_of(h, id);
    if (!s || s->finished || bytes.n == 0)
        return ERR_OK;
    if (s->off > 0) {
        memmove(s->out.p, s->out.p + s->off, s->out.n - s->off);
        s->out.n -= s->off;
        s->off = 0;
    }
    buf_add(&s->out, bytes);
    enum err_code r = buf_check(&s->out, "a body on its way", e);
    return r == ERR_OK ? resume(h, s, e) : r;
}

enum err_code http2_finish(struct http2 *h, int32_t id, const struct http1_header *f, size_t n, struct err *e)
{
    struct http2_stream *s = stream_of(h, id);
    assert(n <= FIELDS_MAX);
    if (!s || s->finished)
        return ERR_OK;
    if (n > 0) {
        s->trailers = arena_newn(&s->arena, struct http1_header, n);
        for (size_t i = 0; s->trailers && i < n; i++)
            if (!arena_dup(&s->arena, f[i].name, &s->trailers[i].name) ||
                !arena_dup(&s->arena, f[i].value, &s->trailers[i].value))
                return arena_limit(&s->arena, "trailers", e);
        if (!s->trailers)
            return arena_limit(&s->arena, "trailers", e);
    }
    s->trailers_n = n;
    s->finished = true;
    return resume(h, s, e);
}

void http2_consume(struct http2 *h, int32_t id, size_t n)
{
    struct http2_stream *s = stream_of(h, id);
    if (!s)
        return; // what it held was given back when it closed
    assert(n <= s->held);
    s->held -= n;
    (void)nghttp2_session_consume(h->s, id, n); // no memory: the next call says so
}

void http2_reset(struct http2 *h, int32_t id, uint32_t code)
{
    if (stream_of(h, id))
        (void)nghttp2_submit_rst_stream(h->s, NGHTTP2_FLAG_NONE, id, code); // ditto
}

void http2_reset_when_sent(struct http2 *h, int32_t id)
{
    struct http2_stream *s = stream_of(h, id);
    if (s && s->sent)
        http2_reset(h, id, HTTP2_NO_ERROR);
    else if (s)
        s->reset_at_end = true;
}

void http2_leave(struct http2 *h)
{
    h->left = true;
    (void)nghttp2_submit_goaway(h->s, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->s),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

void http2_end(struct http2 *h, uint32_t code)
{
    h->over = true;
    (void)nghttp2_session_terminate_session(h->s, code);
}

void http2_set(struct http2 *h, int32_t id, void *user)
{
    struct http2_stream *s = stream_of(h, id);
    if (s)
        s->user = user;
}

void *http2_get(const struct http2 *h, int32_t id)
{
    const struct http2_stream *s = stream_of(h, id);
    return s ? s->user : NULL;
}
