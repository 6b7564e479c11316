#include "rpc/core_internal.h"

enum { NV_MAX = 64, CHUNK_FIELD = 32 }; // fields that we send at most; what RFC 9113 adds for each field

// ---- life

struct rpc_stream *stream_new(struct rpc_core *core, int32_t id)
{
    struct rpc_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct rpc_stream){.core = core,
                             .id = id,
                             .deadline_ns = DEADLINE_NEVER,
                             .prev = core->streams_last};
    arena_init(&s->arena, STREAM_ARENA_MAX);
    buf_init(&s->in, 2 * ((size_t)core->config.window + 64 * KIB)); // queue_trim(); windows begin with 64 KiB
    buf_init(&s->out, RPC_SEND_MAX + RPC_FRAME_HEAD + 2 * core->config.queue_max);
    rpc_frames_init(&s->frames, core->config.message_max);
    if (core->streams_last)
        core->streams_last->next = s;
    else
        core->streams = s;
    core->streams_last = s;
    core->streams_n++;
    return s;
}

void call_free(struct rpc_stream *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        s->core->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        s->core->streams_last = s->prev;
    s->core->streams_n--;
    arena_done(&s->arena);
    buf_done(&s->in);
    buf_done(&s->out);
    rpc_frames_done(&s->frames);
    free(s);
}

enum rpc_code stream_code_of(uint32_t http2_error)
{
    switch (http2_error) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_NO_ERROR: // before a status
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}

void stream_reset(struct rpc_stream *s, uint32_t http2_error)
{
    if (!s->closed && !s->reset) // no memory: the connection will not live long
        (void)nghttp2_submit_rst_stream(s->core->session, NGHTTP2_FLAG_NONE, s->id, http2_error);
    s->reset = true;
}

bool stream_is_known(const struct rpc_stream *s)
{
    return s->core->side == RPC_CLIENT || s->told_headers;
}

static void spoil(struct rpc_stream *s, enum rpc_code code, const char *msg)
{
    if (!s->bad) {
        s->bad = true;
        rpc_status_set(&s->st, code, "%s", msg);
    }
}

// ---- headers of the peer

static void keep(struct rpc_stream *s, struct str value, struct str *ret)
{
    if (!arena_dup(&s->arena, value, ret))
        spoil(s, RPC_RESOURCE_EXHAUSTED, "the header is too large");
}

static void grpc_message(struct rpc_stream *s, struct str value)
{
    struct buf text;
    buf_init(&text, STREAM_ARENA_MAX);
    rpc_percent_decode(value, &text);
    rpc_status_set(&s->st, s->st.code, "%.*s", (int)text.n, text.n ? text.p : "");
    buf_done(&text);
}

static void grpc_field(struct rpc_stream *s, struct str name, struct str value)
{
    enum rpc_code code = RPC_UNKNOWN;
    int64_t timeout = 0;
    if (str_eq(name, STR("grpc-status"))) {
        if (!rpc_code_parse(value, &code))
            code = RPC_UNKNOWN;
        s->has_status = true;
        s->st.code = code;
    } else if (str_eq(name, STR("grpc-message"))) {
        grpc_message(s, value);
    } else if (str_eq(name, STR("grpc-status-details-bin"))) {
        struct buf bytes;
        buf_init(&bytes, value.n);
        if (rpc_base64_decode(value, &bytes))
            keep(s, buf_str(&bytes), &s->details);
        buf_done(&bytes);
    } else if (str_eq(name, STR("grpc-encoding"))) {
        s->frames.gzip = str_eq(value, STR("gzip"));
        s->encoding_bad = !s->frames.gzip && !str_eq(value, STR("identity"));
    } else if (str_eq(name, STR("grpc-accept-encoding"))) {
        for (struct str rest = value, one; str_split(&rest, ',', &one);)
            s->gzip_in |= str_eq(str_trim(one), STR("gzip"));
    } else if (str_eq(name, STR("grpc-timeout")) && s->core->side == RPC_SERVER) {
        if (!rpc_timeout_parse(value, &timeout))
            spoil(s, RPC_INTERNAL, "a malformed grpc-timeout");
        else if (__builtin_add_overflow(s->core->now_ns, timeout, &s->deadline_ns))
            s->deadline_ns = DEADLINE_NEVER;
    }
}

void stream_header(struct rpc_stream *s, struct str name, struct str value, bool trailer)
{
    s->header_bytes += name.n + value.n + CHUNK_FIELD;
    if (s->header_bytes > s->core->config.header_max) {
        spoil(s, RPC_RESOURCE_EXHAUSTED, "the header is too large");
        return;
    }
    uint64_t status = 0;
    struct err err = {};
    enum err_code c = ERR_OK;
    if (str_eq(name, STR(":path")))
        keep(s, value, &s->path);
    else if (str_eq(name, STR(":method")))
        keep(s, value, &s->method);
    else if (str_eq(name, STR(":authority")))
        keep(s, value, &s->authority);
    else if (str_eq(name, STR("content-type")))
        keep(s, value, &s->content_type);
    else if (str_eq(name, STR(":status")))
        s->http_status = str_u64(value, 999, &status) ? (int)status : 0;
    else if (str_starts(name, STR("grpc-")))
        grpc_field(s, name, value);
    else if (!str_starts(name, STR(":")))
        c = rpc_meta_receive(trailer ? &s->trailers : &s->meta, &s->arena, name, value, &err);
    if (c != ERR_OK)
        spoil(s, s->core->side == RPC_SERVER ? rpc_code_of(c) : RPC_INTERNAL, err.msg);
}

static bool is_grpc(struct str content_type)
{
    return str_skip(&content_type, STR("application/grpc")) &&
           (content_type.n == 0 || content_type.p[0] == '+' || content_type.p[0] == ';');
}

// ---- sending

struct nv_list {
    nghttp2_nv nv[NV_MAX];
    size_t n;
};

static void nv_add(struct nv_list *l, struct str name, struct str value)
{
    if (l->n == NV_MAX)
        return; // rpc_meta_add callers are bounded below this by field_add()
    l->nv[l->n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)(value.n ? value.p : ""),
                                 name.n, value.n, NGHTTP2_NV_FLAG_NONE};
}

static void nv_add_meta(struct rpc_stream *s, struct nv_list *l, const struct rpc_meta *meta)
{
    struct err ignored = {};
    for (const struct rpc_field *f = meta->first; f; f = f->next) {
        struct str wire = {};
        if (rpc_meta_wire(f, &s->arena, &wire, &ignored) == ERR_OK) // was made room for by field_add()
            nv_add(l, f->name, wire);
    }
}

static void nv_add_status(struct rpc_stream *s, struct nv_list *l, char code[static 4])
{
    (void)snprintf(code, 4, "%d", (int)s->st.code);
    nv_add(l, STR("grpc-status"), str_of(code));
    struct buf text;
    buf_init(&text, STREAM_ARENA_MAX);
    struct str kept = {};
    if (s->st.msg[0]) {
        rpc_percent_encode(str_of(s->st.msg), &text);
        if (arena_dup(&s->arena, buf_str(&text), &kept))
            nv_add(l, STR("grpc-message"), kept);
    }
    buf_clear(&text);
    if (s->details.n > 0) {
        rpc_base64_encode(s->details, &text);
        if (!text.full && arena_dup(&s->arena, buf_str(&text), &kept))
            nv_add(l, STR("grpc-status-details-bin"), kept);
    }
    buf_done(&text);
    nv_add_meta(s, l, &s->out_trailers);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *dst, size_t size, uint32_t *flags,
                       nghttp2_data_source *source, void *data)
{
    (void)data;
    struct rpc_stream *s = source->ptr;
    struct str left = str_from(buf_str(&s->out), s->out_off);
    struct str part = str_head(left, size);
    if (part.n > 0)
        memcpy(dst, part.p, part.n);
    s->out_off += part.n;
    if (part.n == left.n) {
        buf_clear(&s->out);
        s->out_off = 0;
        if (s->out_end) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (s->core->side == RPC_SERVER) {
                struct nv_list l = {};
                char code[4];
                nv_add_status(s, &l, code);
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                if (nghttp2_submit_trailer(session, id, l.nv, l.n) != 0)
                    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            }
        } else if (part.n == 0) {
            s->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)part.n;
}

static void resume(struct rpc_stream *s)
{
    if (s->deferred && !s->closed) {
        s->deferred = false;
        (void)nghttp2_session_resume_data(s->core->session, s->id); // fails only for a stream that is gone
    }
}

static void response_head(struct rpc_stream *s, struct nv_list *l)
{
    nv_add(l, STR(":status"), STR("200"));
    nv_add(l, STR("content-type"), STR("application/grpc"));
    nv_add(l, STR("grpc-accept-encoding"), STR("identity,gzip"));
    if (s->gzip_out)
        nv_add(l, STR("grpc-encoding"), STR("gzip"));
    nv_add_meta(s, l, &s->out_meta);
}

static void begin(struct rpc_stream *s, bool only_trailers)
{
    if (s->begun || s->closed)
        return;
    s->begun = true;
    struct nv_list l = {};
    char code[4];
    response_head(s, &l);
    if (only_trailers)
        nv_add_status(s, &l, code);
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read};
    if (nghttp2_submit_response(s->core->session, s->id, l.nv, l.n, only_trailers ? NULL : &provider) != 0)
        stream_reset(s, NGHTTP2_INTERNAL_ERROR);
}

// The server's answer, from s->st.
static void answer(struct rpc_stream *s)
{
    s->out_end = true;
    s->released = true;
    if (!s->begun)
        begin(s, true);
    else
        resume(s);
}

// Refuses what is no gRPC at all, in HTTP's words.
static void answer_http(struct rpc_stream *s, const char *status)
{
    s->released = s->out_end = s->begun = true;
    struct nv_list l = {};
    nv_add(&l, STR(":status"), str_of(status));
    if (!s->closed && nghttp2_submit_response(s->core->session, s->id, l.nv, l.n, NULL) != 0)
        stream_reset(s, NGHTTP2_INTERNAL_ERROR);
}

void stream_fail(struct rpc_stream *s, enum rpc_code code, const char *msg)
{
    spoil(s, code, msg);
    if (s->closed)
        return;
    if (s->core->side == RPC_CLIENT) {
        stream_reset(s, NGHTTP2_CANCEL);
    } else if (!s->out_end) { // what is queued and not yet out will not be waited for
        buf_clear(&s->out);
        s->out_off = 0;
        bool released = s->released;
        answer(s);
        s->released = released;
    }
}

// Whether a message of that size can be queued: an empty queue takes any.
static bool fits(const struct rpc_stream *s, size_t n)
{
    size_t queued = s->out.n - s->out_off;
    return queued == 0 || queued + n <= s->core->config.queue_max;
}

// ---- events

static void tell_closed(struct rpc_stream *s)
{
    if (s->told_closed || s->released)
        return;
    s->told_closed = true;
    if (s->core->events->closed)
        s->core->events->closed(s->core->ctx, s, &s->st);
}

static void run_call(struct rpc_stream *s)
{
    s->told_headers = true;
    if (!str_eq(s->method, STR("POST")))
        answer_http(s, "405");
    else if (!is_grpc(s->content_type))
        answer_http(s, "415");
    else if (s->encoding_bad && !s->bad)
        spoil(s, RPC_UNIMPLEMENTED, "this grpc-encoding is not supported; gzip and identity are");
    if (s->released)
        return;
    if (s->bad) {
        answer(s);
        return;
    }
    if (s->core->events->call)
        s->core->events->call(s->core->ctx, s);
}

static enum rpc_code code_of_http(int status)
{
    switch (status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

static void run_response(struct rpc_stream *s)
{
    s->told_headers = true;
    char msg[80];
    if (s->http_status != 200 && !s->has_status) {
        (void)snprintf(msg, sizeof(msg), "the server answered with HTTP status %d", s->http_status);
        stream_fail(s, code_of_http(s->http_status), msg);
    } else if (!is_grpc(s->content_type)) {
        stream_fail(s, RPC_UNKNOWN, "the server's answer is no gRPC");
    } else if (s->encoding_bad) {
        stream_fail(s, RPC_INTERNAL, "the server's grpc-encoding was not offered");
    } else if (s->core->events->headers) {
        s->core->events->headers(s->core->ctx, s);
    }
}

// Takes bytes as long as messages are wanted; what is taken opens the peer's window.
static void run_messages(struct rpc_stream *s)
{
    while (s->want > 0 && s->in_off < s->in.n && !s->released && !s->bad) {
        struct str in = str_from(buf_str(&s->in), s->in_off);
        size_t before = in.n;
        bool whole = false;
        struct str message = {};
        struct err err = {};
        enum err_code c = rpc_frames_take(&s->frames, &in, &whole, &message, &err);
        s->in_off += before - in.n;
        if (!s->closed)
            (void)nghttp2_session_consume_stream(s->core->session, s->id, before - in.n);
        if (s->in_off == s->in.n) {
            buf_clear(&s->in);
            s->in_off = 0;
        }
        if (c != ERR_OK) {
            stream_fail(s, c == ERR_INVALID || c == ERR_UNSUPPORTED ? RPC_INTERNAL : RPC_RESOURCE_EXHAUSTED,
                        err.msg);
            return;
        }
        if (!whole)
            return;
        s->want--;
        if (s->core->events->message)
            s->core->events->message(s->core->ctx, s, message);
    }
}

// The peer is done and all of it was taken.
static void run_end(struct rpc_stream *s)
{
    if (!s->in_end || s->in_off < s->in.n || s->released || s->bad)
        return;
    if (rpc_frames_inside(&s->frames)) {
        stream_fail(s, RPC_INTERNAL, "the last message is cut off");
        return;
    }
    if (s->core->side == RPC_SERVER) {
        if (!s->told_end) {
            s->told_end = true;
            if (s->core->events->end)
                s->core->events->end(s->core->ctx, s);
        }
        return;
    }
    if (!s->has_status)
        spoil(s, RPC_INTERNAL, "the server has ended the call without a status");
    tell_closed(s);
    stream_reset(s, NGHTTP2_NO_ERROR); // the status is there, though we may not have ended our side
}

void stream_run(struct rpc_stream *s)
{
    if (s->released || s->told_closed)
        return;
    if (s->closed && !s->told_headers && s->core->side == RPC_SERVER) {
        s->released = true; // reset before it was seen: nobody was told of it
        return;
    }
    if (s->has_headers && !s->told_headers) {
        if (s->core->side == RPC_SERVER)
            run_call(s);
        else if (!s->bad)
            run_response(s);
    }
    if (s->told_headers && !s->released)
        run_messages(s);
    if (s->told_headers)
        run_end(s);
    if (s->released || s->told_closed || !stream_is_known(s))
        return;
    if (s->bad) {
        if (s->core->side == RPC_CLIENT)
            stream_reset(s, NGHTTP2_CANCEL);
        tell_closed(s);
        return;
    }
    if (s->blocked && (s->out.n == s->out_off || (rpc_stream_has_room(s) && fits(s, s->blocked)))) {
        s->blocked = 0;
        if (s->core->events->writable)
            s->core->events->writable(s->core->ctx, s);
    }
}

// ---- what applications call

static enum err_code submit_request(struct rpc_stream *s, const struct rpc_call_opts *opts,
                                    struct err *reterr)
{
    struct nv_list l = {};
    char timeout[RPC_TIMEOUT_SIZE];
    nv_add(&l, STR(":method"), STR("POST"));
    nv_add(&l, STR(":scheme"), opts->secure ? STR("https") : STR("http"));
    nv_add(&l, STR(":path"), opts->path);
    nv_add(&l, STR(":authority"), opts->authority.n ? opts->authority : STR("localhost"));
    nv_add(&l, STR("te"), STR("trailers"));
    nv_add(&l, STR("content-type"), STR("application/grpc"));
    nv_add(&l, STR("user-agent"), STR("openshell/" OPENSHELL_VERSION));
    nv_add(&l, STR("grpc-accept-encoding"), STR("identity,gzip"));
    if (opts->gzip)
        nv_add(&l, STR("grpc-encoding"), STR("gzip"));
    if (opts->deadline_ns != DEADLINE_NEVER) {
        rpc_timeout_print(opts->deadline_ns - s->core->now_ns, timeout);
        nv_add(&l, STR("grpc-timeout"), str_of(timeout));
    }
    if (opts->meta)
        nv_add_meta(s, &l, opts->meta);
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read};
    s->id = nghttp2_submit_request(s->core->session, NULL, l.nv, l.n, &provider, s);
    if (s->id < 0)
        return err_set(reterr, s->id == NGHTTP2_ERR_NOMEM ? ERR_LIMIT : ERR_UNAVAILABLE, "a call: %s",
                       nghttp2_strerror(s->id));
    return ERR_OK;
}

enum err_code rpc_call(struct rpc_core *core, const struct rpc_call_opts *opts, struct rpc_stream **ret,
                       struct err *reterr)
{
    assert(core->side == RPC_CLIENT);
    if (core->goaway || core->lost || !nghttp2_session_check_request_allowed(core->session))
        return err_set(reterr, ERR_UNAVAILABLE, "the connection takes no more calls");
    struct rpc_stream *s = stream_new(core, 0);
    if (!s)
        return err_set(reterr, ERR_LIMIT, "no memory for a call");
    s->user = opts->user;
    s->deadline_ns = opts->deadline_ns;
    s->gzip_out = opts->gzip;
    s->begun = true;
    enum err_code c = submit_request(s, opts, reterr);
    if (c != ERR_OK) {
        call_free(s);
        return c;
    }
    *ret = s;
    return ERR_OK;
}

void rpc_stream_half_close(struct rpc_stream *s)
{
    s->out_end = true;
    resume(s);
}

bool rpc_stream_has_ended(const struct rpc_stream *s)
{
    return s->in_end || s->closed || s->bad;
}

bool rpc_stream_has_room(const struct rpc_stream *s)
{
    return s->out.n - s->out_off <= s->core->config.queue_max / 2;
}

enum err_code rpc_stream_send(struct rpc_stream *s, struct str message, struct err *reterr)
{
    if (s->closed || s->bad || s->out_end)
        return err_set(reterr, ERR_UNAVAILABLE, "the call has ended");
    size_t queued = s->out.n - s->out_off;
    if (message.n > RPC_SEND_MAX)
        return err_set(reterr, ERR_INVALID, "a message of %zu bytes, the limit is %d", message.n,
                       RPC_SEND_MAX);
    if (!fits(s, message.n)) {
        s->blocked = message.n + 1;
        return err_set(reterr, ERR_LIMIT, "%zu bytes wait to be sent", queued);
    }
    queue_trim(&s->out, &s->out_off);
    if (s->core->side == RPC_SERVER)
        begin(s, false);
    enum err_code c = rpc_frame_add(&s->out, message, s->gzip_out, reterr);
    if (c != ERR_OK) // not ERR_LIMIT: no `writable` would come
        return err_set(reterr, ERR_UNAVAILABLE, "no memory for a message of %zu bytes", message.n);
    resume(s);
    return ERR_OK;
}

void rpc_stream_want(struct rpc_stream *s, unsigned messages)
{
    if (__builtin_add_overflow(s->want, messages, &s->want))
        s->want = UINT32_MAX;
}

static enum err_code field_add(struct rpc_stream *s, struct rpc_meta *meta, struct str name, struct str value,
                               struct err *reterr)
{
    enum { FIELDS_MAX = 24 };
    size_t n = 0;
    for (const struct rpc_field *f = meta->first; f; f = f->next)
        n++;
    if (n == FIELDS_MAX)
        return err_set(reterr, ERR_LIMIT, "%d fields of metadata at most", FIELDS_MAX);
    return rpc_meta_add(meta, &s->arena, name, value, reterr);
}

enum err_code rpc_stream_header(struct rpc_stream *s, struct str name, struct str value, struct err *reterr)
{
    if (s->begun)
        return err_set(reterr, ERR_PRECONDITION, "the initial metadata is sent already");
    return field_add(s, &s->out_meta, name, value, reterr);
}

enum err_code rpc_stream_trailer(struct rpc_stream *s, struct str name, struct str value, struct err *reterr)
{
    return field_add(s, &s->out_trailers, name, value, reterr);
}

void rpc_stream_begin(struct rpc_stream *s)
{
    begin(s, false);
}

void rpc_stream_gzip(struct rpc_stream *s)
{
    if (!s->begun)
        s->gzip_out = s->gzip_in;
}

void rpc_stream_finish(struct rpc_stream *s, const struct rpc_status *st, struct str details)
{
    assert(s->core->side == RPC_SERVER && !s->released);
    if (!s->bad) {
        s->st = *st;
        if (details.n > 0 && !arena_dup(&s->arena, details, &s->details))
            s->details = (struct str){};
    }
    if (!s->out_end)
        answer(s);
    s->released = true;
}

void rpc_stream_cancel(struct rpc_stream *s)
{
    s->released = true;
    s->out_end = true;
    stream_reset(s, NGHTTP2_CANCEL);
}

struct str rpc_stream_path(const struct rpc_stream *s)
{
    return s->path;
}
const struct rpc_meta *rpc_stream_meta(const struct rpc_stream *s)
{
    return &s->meta;
}
const struct rpc_meta *rpc_stream_trailers(const struct rpc_stream *s)
{
    // A status without messages comes as one block, whose fields are both.
    return s->trailers.first ? &s->trailers : &s->meta;
}
struct str rpc_stream_details(const struct rpc_stream *s)
{
    return s->details;
}
int64_t rpc_stream_deadline_ns(const struct rpc_stream *s)
{
    return s->deadline_ns;
}
struct arena *rpc_stream_arena(struct rpc_stream *s)
{
    return &s->arena;
}
void rpc_stream_set_user(struct rpc_stream *s, void *user)
{
    s->user = user;
}
void *rpc_stream_user(const struct rpc_stream *s)
{
    return s->user;
}
struct rpc_core *rpc_stream_core(const struct rpc_stream *s)
{
    return s->core;
}
