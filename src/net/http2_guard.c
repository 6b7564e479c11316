// What nghttp2 would do work for without end: counted from the frame heads alone, so that the count does not
// depend on a library's version. The limits are those of http2.h.
#include "net/http2_internal.h"

enum frame { // RFC 9113 section 6
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
};
enum { FLAG_ACK = 0x1, FLAG_END_STREAM = 0x1, FLAG_END_HEADERS = 0x4 };
enum { MAGIC_LEN = 24, MILLI = 1'000 };

static void bucket_init(struct http2_bucket *b, int64_t max, int64_t rate)
{
    *b = (struct http2_bucket){.left = max * MILLI, .max = max * MILLI, .rate = rate};
}

static void bucket_add(struct http2_bucket *b, int64_t milli)
{
    b->left = b->max - b->left < milli ? b->max : b->left + milli;
}

static void bucket_fill(struct http2_bucket *b, int64_t now_ns)
{
    int64_t ms = (now_ns - b->filled_ns) / 1'000'000;
    if (ms <= 0)
        return;
    b->filled_ns = now_ns;
    bucket_add(b, ms > b->max ? b->max : ms * b->rate); // rate a second is rate thousandths a millisecond
}

static bool bucket_take(struct http2_bucket *b)
{
    if (b->left < MILLI)
        return false;
    b->left -= MILLI;
    return true;
}

void http2_guard_init(struct http2_guard *g, enum http2_role role)
{
    *g = (struct http2_guard){.magic = role == HTTP2_SERVER ? MAGIC_LEN : 0,
                              .counts_resets = role == HTTP2_SERVER}; // a server resets what it was asked
    bucket_init(&g->cheap, HTTP2_CHEAP_BURST, HTTP2_CHEAP_RATE);
    bucket_init(&g->resets, HTTP2_RESETS_BURST, HTTP2_RESETS_RATE);
}

void http2_guard_earn(struct http2_guard *g, unsigned n)
{
    bucket_add(&g->cheap, (int64_t)n * MILLI);
}

bool http2_guard_reset(struct http2_guard *g)
{
    return bucket_take(&g->resets);
}

static enum err_code header_block(struct http2_guard *g, unsigned type, unsigned flags, struct err *e)
{
    if (type == FRAME_CONTINUATION) {
        g->continuations++;
    } else {
        g->continuations = 0;
        g->block = 0;
    }
    g->block += g->left;
    g->in_block = !(flags & FLAG_END_HEADERS);
    if (g->continuations > HTTP2_CONTINUATIONS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d CONTINUATION frames behind one head",
                       HTTP2_CONTINUATIONS_MAX);
    if (g->block > HTTP2_BLOCK_MAX)
        return err_set(e, ERR_LIMIT, "a head of more than %d bytes", HTTP2_BLOCK_MAX);
    return ERR_OK;
}

static enum err_code frame(struct http2_guard *g, struct err *e)
{
    unsigned type = g->head[3], flags = g->head[4];
    g->left = (uint32_t)g->head[0] << 16 | (uint32_t)g->head[1] << 8 | g->head[2];
    bool cheap = true;
    switch (type) {
    case FRAME_HEADERS:
    case FRAME_PUSH_PROMISE:
    case FRAME_CONTINUATION:
        return header_block(g, type, flags, e);
    case FRAME_DATA:
        cheap = g->left == 0 && !(flags & FLAG_END_STREAM);
        if (!cheap)
            http2_guard_earn(g, 1);
        break;
    case FRAME_RST_STREAM:
        cheap = false;
        if (g->counts_resets && !bucket_take(&g->resets))
            return err_set(e, ERR_LIMIT, "too many streams begun and reset");
        break;
    case FRAME_SETTINGS:
    case FRAME_PING:
        cheap = !(flags & FLAG_ACK); // one that answers nothing is nghttp2's to refuse or ignore
        break;
    default:
        break;
    }
    if (cheap && !bucket_take(&g->cheap))
        return err_set(e, ERR_LIMIT, "too many frames that carry nothing, the last of type %u", type);
    return ERR_OK;
}

enum err_code http2_guard_feed(struct http2_guard *g, struct str in, int64_t now_ns, struct err *e)
{
    bucket_fill(&g->cheap, now_ns);
    bucket_fill(&g->resets, now_ns);
    while (in.n > 0) {
        size_t n;
        if (g->magic > 0) {
            n = in.n < g->magic ? in.n : g->magic;
            g->magic -= n;
        } else if (g->left > 0) {
            n = in.n < g->left ? in.n : g->left;
            g->left -= (uint32_t)n;
        } else {
            n = 1;
            g->head[g->head_n++] = (unsigned char)in.p[0];
            if (g->head_n == sizeof(g->head)) {
                g->head_n = 0;
                enum err_code r = frame(g, e);
                if (r != ERR_OK)
                    return r;
            }
        }
        in = str_from(in, n);
    }
    return ERR_OK;
}
