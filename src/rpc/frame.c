#include "rpc/frame.h"

#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, GZIP_MIN = 512 }; // below, compressing gains nothing

static void zlib_end(z_stream **z)
{
    (void)inflateEnd(*z);
}

// Inflates all of body into plain, which grows as it fills, never beyond the maximum.
static enum err_code inflate_body(struct rpc_frames *f, struct err *reterr)
{
    z_stream state = {};
    CLEANUP(zlib_end) z_stream *z = &state;
    if (inflateInit2(z, GZIP_WINDOW) != Z_OK)
        return err_set(reterr, ERR_LIMIT, "no memory to inflate a message");
    buf_clear(&f->plain);
    z->next_in = (Bytef *)f->body.p;
    z->avail_in = (uInt)f->body.n;
    for (int r = Z_OK; r != Z_STREAM_END;) {
        char chunk[4 * KIB];
        z->next_out = (Bytef *)chunk;
        z->avail_out = sizeof(chunk);
        r = inflate(z, Z_NO_FLUSH);
        if (r != Z_OK && r != Z_STREAM_END)
            return err_set(reterr, ERR_INVALID, "a compressed message is no gzip");
        buf_add(&f->plain, (struct str){chunk, sizeof(chunk) - z->avail_out});
        if (f->plain.full)
            return err_set(reterr, ERR_LIMIT, "a message is larger than %zu bytes when inflated", f->max);
    }
    if (z->avail_in > 0)
        return err_set(reterr, ERR_INVALID, "bytes behind the end of a compressed message");
    return ERR_OK;
}

void rpc_frames_init(struct rpc_frames *f, size_t max)
{
    *f = (struct rpc_frames){.max = max};
    buf_init(&f->body, max);
    buf_init(&f->plain, max);
}

void rpc_frames_done(struct rpc_frames *f)
{
    if (f) {
        buf_done(&f->body);
        buf_done(&f->plain);
    }
}

static enum err_code head_check(struct rpc_frames *f, struct err *reterr)
{
    if (f->head[0] > 1)
        return err_set(reterr, ERR_INVALID, "a message with the flag 0x%02x", f->head[0]);
    if (f->head[0] == 1 && !f->gzip)
        return err_set(reterr, ERR_UNSUPPORTED, "a compressed message without grpc-encoding");
    f->left = (size_t)f->head[1] << 24 | (size_t)f->head[2] << 16 | (size_t)f->head[3] << 8 | f->head[4];
    if (f->left > f->max)
        return err_set(reterr, ERR_LIMIT, "a message of %zu bytes, the limit is %zu", f->left, f->max);
    buf_clear(&f->body);
    return ERR_OK;
}

enum err_code rpc_frames_take(struct rpc_frames *f, struct str *in, bool *ret_whole, struct str *ret,
                              struct err *reterr)
{
    *ret_whole = false;
    while (f->head_n < RPC_FRAME_HEAD) {
        if (in->n == 0)
            return ERR_OK;
        f->head[f->head_n++] = (unsigned char)in->p[0];
        *in = str_from(*in, 1);
        enum err_code c = f->head_n == RPC_FRAME_HEAD ? head_check(f, reterr) : ERR_OK;
        if (c != ERR_OK)
            return c;
    }
    struct str part = str_head(*in, f->left);
    buf_add(&f->body, part);
    if (f->body.full)
        return err_set(reterr, ERR_LIMIT, "no memory for a message");
    f->left -= part.n;
    *in = str_from(*in, part.n);
    if (f->left > 0)
        return ERR_OK;
    f->head_n = 0;
    enum err_code c = f->head[0] == 1 ? inflate_body(f, reterr) : ERR_OK;
    if (c != ERR_OK)
        return c;
    *ret = buf_str(f->head[0] == 1 ? &f->plain : &f->body);
    *ret_whole = true;
    return ERR_OK;
}

// False: it did not become shorter, or there was no memory; then it goes as it is.
static bool deflated(struct str message, struct buf *ret)
{
    z_stream z = {};
    if (message.n < GZIP_MIN || message.n > UINT32_MAX ||
        deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    buf_init(ret, message.n);
    buf_pad(ret, '\0', message.n - 1);
    int r = Z_MEM_ERROR;
    if (!ret->full) {
        z.next_in = (z_const Bytef *)(uintptr_t)message.p;
        z.avail_in = (uInt)message.n;
        z.next_out = (Bytef *)ret->p;
        z.avail_out = (uInt)ret->n;
        r = deflate(&z, Z_FINISH);
        ret->n -= z.avail_out;
    }
    (void)deflateEnd(&z);
    return r == Z_STREAM_END;
}

enum err_code rpc_frame_add(struct buf *out, struct str message, bool gzip, struct err *reterr)
{
    struct buf shorter;
    buf_init(&shorter, 0);
    bool is_shorter = gzip && deflated(message, &shorter);
    struct str body = is_shorter ? buf_str(&shorter) : message;
    enum err_code c = ERR_OK;
    if (body.n > UINT32_MAX || out->max - out->n < RPC_FRAME_HEAD ||
        body.n > out->max - out->n - RPC_FRAME_HEAD) {
        c = err_set(reterr, ERR_LIMIT, "a message of %zu bytes does not fit into a queue of %zu", body.n,
                    out->max);
    } else {
        char head[RPC_FRAME_HEAD] = {(char)is_shorter, (char)(body.n >> 24), (char)(body.n >> 16),
                                     (char)(body.n >> 8), (char)body.n};
        size_t before = out->n;
        buf_add(out, (struct str){head, sizeof(head)});
        buf_add(out, body);
        if (out->full) { // no memory: take back the half
            out->n = before;
            out->full = false;
            c = err_set(reterr, ERR_LIMIT, "no memory for a message of %zu bytes", body.n);
        }
    }
    buf_done(&shorter);
    return c;
}
