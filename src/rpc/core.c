#include "rpc/core_internal.h"

#define SECOND_NS 1'000'000'000

static void noted(struct rpc_core *core, double cost)
{
    double elapsed = (double)(core->now_ns - core->control_ns) / (double)SECOND_NS;
    core->control_ns = core->now_ns;
    core->control_left += elapsed * core->config.control_rate;
    if (core->control_left > core->config.control_burst)
        core->control_left = core->config.control_burst;
    core->control_left -= cost;
    core->flooded |= core->control_left < 0;
}

// ---- what nghttp2 calls; nothing here calls the application

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_core *core = data;
    if (core->side != RPC_SERVER || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct rpc_stream *s = stream_new(core, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; // RST_STREAM
    return nghttp2_session_set_stream_user_data(session, s->id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *data)
{
    (void)flags;
    (void)data;
    struct rpc_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && frame->hd.type == NGHTTP2_HEADERS)
        stream_header(s, (struct str){(const char *)name, name_n}, (struct str){(const char *)value, value_n},
                      s->has_headers);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *data)
{
    (void)flags;
    (void)data;
    struct rpc_stream *s = nghttp2_session_get_stream_user_data(session, id);
    // The connection's window is given back at once, so that one slow reader does not stop the others; the
    // stream's window is what bounds s->in.
    (void)nghttp2_session_consume_connection(session, n);
    if (!s || s->released || s->told_closed) {
        (void)nghttp2_session_consume_stream(session, id, n);
        return 0;
    }
    queue_trim(&s->in, &s->in_off);
    buf_add(&s->in, (struct str){(const char *)bytes, n});
    return s->in.full ? NGHTTP2_ERR_CALLBACK_FAILURE : 0; // no memory: the window bounds the rest
}

// A response that ends: by a header block that ends the stream, or by trailers.
static void headers_done(struct rpc_stream *s, bool ends)
{
    // 1xx responses are followed by another header block of the same kind.
    if (s->core->side == RPC_CLIENT && !s->has_headers && s->http_status >= 100 && s->http_status < 200) {
        s->http_status = 0;
        return;
    }
    s->has_headers = true;
    s->in_end |= ends;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_core *core = data;
    struct rpc_stream *s = frame->hd.stream_id
                               ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                               : NULL;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (s)
            headers_done(s, ends);
        break;
    case NGHTTP2_DATA:
        if (s)
            s->in_end |= ends;
        if (frame->hd.length == 0 && !ends)
            noted(core, 1);
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            core->ping_ns = 0;
        noted(core, 1);
        break;
    case NGHTTP2_GOAWAY:
        core->goaway = true;
        break;
    case NGHTTP2_SETTINGS:
        core->greeted = true;
        noted(core, 1);
        break;
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PRIORITY:
        noted(core, 1);
        break;
    default:
        break;
    }
    return core->flooded ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_core *core = data;
    struct rpc_stream *s = frame->hd.stream_id
                               ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                               : NULL;
    if (!s || core->side != RPC_SERVER || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    s->ended = true;
    if (!s->in_end) // the answer is complete: whatever the client still sends is not wanted
        stream_reset(s, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    struct rpc_core *core = data;
    struct rpc_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s)
        return 0;
    s->closed = true;
    // A client that has the status has all it needs, however the stream was reset behind it.
    bool whole = core->side == RPC_CLIENT ? s->in_end && s->has_headers : s->ended;
    if (!whole && !s->bad && !s->has_status) {
        s->bad = true;
        rpc_status_set(&s->st, stream_code_of(error), "the peer has reset the call (%s)",
                       nghttp2_http2_strerror(error));
    }
    return 0;
}

static enum err_code session_new(struct rpc_core *core)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    enum err_code c = ERR_LIMIT;
    if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&opt) != 0)
        goto out;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(opt, 1);
    int r = core->side == RPC_SERVER ? nghttp2_session_server_new2(&core->session, cb, core, opt)
                                     : nghttp2_session_client_new2(&core->session, cb, core, opt);
    if (r == 0)
        c = ERR_OK;
out:
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    return c;
}

static enum err_code settings_send(struct rpc_core *core)
{
    nghttp2_settings_entry iv[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, core->config.window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)core->config.header_max},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, core->config.streams_max},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    size_t n = core->side == RPC_CLIENT ? 4 : 3;
    int32_t window = core->config.window > MIB ? (int32_t)core->config.window : MIB;
    if (nghttp2_submit_settings(core->session, NGHTTP2_FLAG_NONE, iv, n) != 0 ||
        nghttp2_session_set_local_window_size(core->session, NGHTTP2_FLAG_NONE, 0, window) != 0)
        return ERR_LIMIT;
    return ERR_OK;
}

enum err_code rpc_core_new(enum rpc_side side, const struct rpc_config *config,
                           const struct rpc_events *events, void *ctx, int64_t now_ns, struct rpc_core **ret,
                           struct err *reterr)
{
    CLEANUP(rpc_core_freep) struct rpc_core *core = calloc(1, sizeof(*core));
    if (!core)
        return err_set(reterr, ERR_LIMIT, "no memory for a connection");
    *core = (struct rpc_core){.side = side,
                              .config = *config,
                              .events = events,
                              .ctx = ctx,
                              .now_ns = now_ns,
                              .heard_ns = now_ns,
                              .control_ns = now_ns,
                              .control_left = config->control_burst};
    if (session_new(core) != ERR_OK || settings_send(core) != ERR_OK)
        return err_set(reterr, ERR_LIMIT, "no memory for a connection");
    *ret = TAKE(core);
    return ERR_OK;
}

void rpc_core_free(struct rpc_core *core)
{
    if (!core)
        return;
    nghttp2_session_del(core->session); // calls back for streams that are open
    while (core->streams)
        call_free(core->streams);
    free(core);
}

enum err_code rpc_core_recv(struct rpc_core *core, struct str bytes, int64_t now_ns, struct err *reterr)
{
    core->now_ns = now_ns;
    core->heard_ns = now_ns;
    ssize_t n = nghttp2_session_mem_recv(core->session, (const uint8_t *)bytes.p, bytes.n);
    if (core->flooded) {
        (void)nghttp2_session_terminate_session(core->session, NGHTTP2_ENHANCE_YOUR_CALM);
        return err_set(reterr, ERR_LIMIT, "too many control frames");
    }
    if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE)
        return err_set(reterr, ERR_LIMIT, "no memory for what was received");
    if (n == NGHTTP2_ERR_FLOODED)
        return err_set(reterr, ERR_LIMIT, "too many control frames");
    if (n < 0)
        return err_set(reterr, ERR_INVALID, "HTTP/2: %s", nghttp2_strerror((int)n));
    return ERR_OK;
}

void rpc_core_run(struct rpc_core *core)
{
    assert(!core->running); // an event must not drive its own connection
    core->running = true;
    for (struct rpc_stream *s = core->streams, *next; s; s = next) {
        stream_run(s);
        next = s->next; // read after the events: they may have begun new calls
        if (s->closed && (s->released || s->told_closed))
            call_free(s);
    }
    core->running = false;
}

enum err_code rpc_core_send(struct rpc_core *core, struct str *ret, struct err *reterr)
{
    const uint8_t *p = NULL;
    ssize_t n = nghttp2_session_mem_send(core->session, &p);
    if (n < 0)
        return err_set(reterr, n == NGHTTP2_ERR_NOMEM ? ERR_LIMIT : ERR_INTERNAL, "HTTP/2: %s",
                       nghttp2_strerror((int)n));
    *ret = (struct str){(const char *)p, (size_t)n};
    return ERR_OK;
}

static enum err_code tick_ping(struct rpc_core *core, struct err *reterr)
{
    const struct rpc_config *config = &core->config;
    if (config->ping_ns == 0)
        return ERR_OK;
    if (core->ping_ns && core->now_ns - core->ping_ns >= config->ping_timeout_ns)
        return err_set(reterr, ERR_TIMEOUT, "no answer to a PING");
    if (!core->ping_ns && core->now_ns - core->heard_ns >= config->ping_ns) {
        (void)nghttp2_submit_ping(core->session, NGHTTP2_FLAG_NONE,
                                  NULL); // no memory: the next tick asks again
        core->ping_ns = core->now_ns;
    }
    return ERR_OK;
}

enum err_code rpc_core_tick(struct rpc_core *core, int64_t now_ns, struct err *reterr)
{
    core->now_ns = now_ns;
    for (struct rpc_stream *s = core->streams; s; s = s->next) {
        if (s->deadline_ns > now_ns || s->closed || !stream_is_known(s))
            continue;
        s->deadline_ns = DEADLINE_NEVER; // once
        if (!s->released && !s->told_closed && !s->bad)
            stream_fail(s, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
        else // an answer that nobody has fetched in time
            stream_reset(s, NGHTTP2_CANCEL);
    }
    if (core->drain_ns && now_ns >= core->drain_ns) {
        core->drain_ns = 0;
        (void)nghttp2_submit_goaway(core->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(core->session), NGHTTP2_NO_ERROR,
                                    NULL, 0);
    }
    return tick_ping(core, reterr);
}

int64_t rpc_core_next_ns(const struct rpc_core *core)
{
    int64_t next = DEADLINE_NEVER;
    if (core->config.ping_ns > 0)
        next = core->ping_ns ? core->ping_ns + core->config.ping_timeout_ns
                             : core->heard_ns + core->config.ping_ns;
    if (core->drain_ns && core->drain_ns < next)
        next = core->drain_ns;
    for (const struct rpc_stream *s = core->streams; s; s = s->next)
        if (!s->closed && stream_is_known(s) && s->deadline_ns < next)
            next = s->deadline_ns;
    return next;
}

void rpc_core_lost(struct rpc_core *core, const char *why)
{
    core->lost = true;
    for (struct rpc_stream *s = core->streams; s; s = s->next) {
        bool whole = s->core->side == RPC_CLIENT && s->in_end && s->has_headers;
        if (!s->closed && !whole && !s->bad) {
            s->bad = true;
            rpc_status_set(&s->st, RPC_UNAVAILABLE, "the connection was lost: %s", why);
        }
        s->closed = true;
    }
}

void rpc_core_drain(struct rpc_core *core)
{
    if (core->goaway || core->side != RPC_SERVER)
        return;
    core->goaway = true;
    core->drain_ns = core->now_ns + SECOND_NS;
    (void)nghttp2_submit_shutdown_notice(core->session);
}

bool rpc_core_is_done(const struct rpc_core *core)
{
    if (core->lost)
        return true;
    if (core->goaway && core->drain_ns == 0 && core->streams_n == 0 &&
        !nghttp2_session_want_write(core->session))
        return true;
    return !nghttp2_session_want_read(core->session) && !nghttp2_session_want_write(core->session);
}

bool rpc_core_is_greeted(const struct rpc_core *core)
{
    return core->greeted;
}

size_t rpc_core_streams(const struct rpc_core *core)
{
    return core->streams_n;
}
