#include "rpc/frame.h"
#include "tap.h"

static enum err_code take_all(struct rpc_frames *f, struct str in, size_t cut, struct buf *log,
                              struct err *err)
{
    while (in.n > 0) {
        struct str part = str_head(in, cut);
        in = str_from(in, part.n);
        while (part.n > 0) {
            bool whole = false;
            struct str message = {};
            enum err_code c = rpc_frames_take(f, &part, &whole, &message, err);
            if (c != ERR_OK)
                return c;
            if (whole)
                buf_addf(log, "<%.*s>", STR_FMT(message));
        }
    }
    return ERR_OK;
}

static const struct {
    struct str bytes;
    bool gzip;
    enum err_code code;
    const char *want;
} rows[] = {
    {STR_INIT("\0\0\0\0\2ab\0\0\0\0\0\0\0\0\0\1c"), false, ERR_OK, "<ab><><c>"},
    {STR_INIT("\2\0\0\0\0"), true, ERR_INVALID, "a message with the flag 0x02"},
    {STR_INIT("\1\0\0\0\0"), false, ERR_UNSUPPORTED, "a compressed message without grpc-encoding"},
    {STR_INIT("\0\0\0\0\x11"), false, ERR_LIMIT, "a message of 17 bytes, the limit is 16"},
    {STR_INIT("\0\xff\xff\xff\xff"), false, ERR_LIMIT, "a message of 4294967295 bytes, the limit is 16"},
    {STR_INIT("\1\0\0\0\0"), true, ERR_INVALID, "a compressed message is no gzip"},
    {STR_INIT("\1\0\0\0\4none"), true, ERR_INVALID, "a compressed message is no gzip"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool same = true;
        struct err err = {};
        for (size_t cut = 1; cut <= rows[i].bytes.n; cut++) {
            struct rpc_frames f;
            struct buf log;
            rpc_frames_init(&f, 16);
            f.gzip = rows[i].gzip;
            buf_init(&log, KIB);
            buf_addf(&log, "%s", "");
            enum err_code c = take_all(&f, rows[i].bytes, cut, &log, &err);
            same = same && c == rows[i].code && strcmp(c == ERR_OK ? log.p : err.msg, rows[i].want) == 0;
            buf_done(&log);
            rpc_frames_done(&f);
        }
        tap_ok(same, "in pieces of any size: %s", rows[i].want);
    }
}

static void test_gzip(void)
{
    struct buf out;
    struct buf log;
    struct err err = {};
    buf_init(&out, MIB);
    buf_init(&log, MIB);
    char text[100 * KIB];
    memset(text, 'x', sizeof(text));
    struct str message = {text, sizeof(text)};
    bool ok = rpc_frame_add(&out, message, true, &err) == ERR_OK && out.n < KIB && out.p[0] == 1;
    tap_ok(ok, "what becomes shorter is compressed");
    for (size_t max = sizeof(text) - 1; max <= sizeof(text); max++) {
        struct rpc_frames f;
        rpc_frames_init(&f, max);
        f.gzip = true;
        struct str in = buf_str(&out);
        bool whole = false;
        struct str back = {};
        enum err_code c = rpc_frames_take(&f, &in, &whole, &back, &err);
        if (max == sizeof(text))
            tap_ok(c == ERR_OK && whole && str_eq(back, message), "and comes back as it was");
        else
            tap_ok(c == ERR_LIMIT && !whole && strstr(err.msg, "larger than 102399 bytes when inflated"),
                   "but not past the maximum: %s", err.msg);
        rpc_frames_done(&f);
    }
    buf_addc(&out, 'y');
    out.p[4]++; // one byte more in the message, behind the end of its gzip
    struct rpc_frames f;
    rpc_frames_init(&f, MIB);
    f.gzip = true;
    struct str in = buf_str(&out);
    bool whole = false;
    struct str back = {};
    enum err_code c = rpc_frames_take(&f, &in, &whole, &back, &err);
    tap_ok(c == ERR_INVALID && strcmp(err.msg, "bytes behind the end of a compressed message") == 0,
           "refuses %s", err.msg);
    rpc_frames_done(&f);
    buf_clear(&out);
    ok = rpc_frame_add(&out, STR("short"), true, &err) == ERR_OK && out.n == 10 && out.p[0] == 0;
    tap_ok(ok, "what is short is sent as it is");
    buf_done(&out);
    buf_init(&out, 10);
    ok = rpc_frame_add(&out, STR("12345"), false, &err) == ERR_OK;
    enum err_code full = rpc_frame_add(&out, STR(""), false, &err);
    tap_ok(ok && full == ERR_LIMIT && out.n == 10 && !out.full,
           "a full queue takes nothing and keeps what it has");
    buf_done(&out);
    buf_done(&log);
}

int main(void)
{
    test_rows();
    test_gzip();
    return tap_done();
}
