#include "rpc/core.h"
#include "tap.h"

// A server core and requests written by hand, byte by byte, as no client of ours would write them.

struct seen {
    struct buf log;
    bool answer;
};

static void on_call(void *ctx, struct rpc_stream *s)
{
    struct seen *seen = ctx;
    buf_addf(&seen->log, "call ");
    if (seen->answer)
        rpc_stream_finish(s, &(struct rpc_status){.code = RPC_NOT_FOUND, .msg = "no"}, STR(""));
    else
        rpc_stream_want(s, 10);
}

static void on_message(void *ctx, struct rpc_stream *s, struct str message)
{
    struct seen *seen = ctx;
    (void)s;
    buf_addf(&seen->log, "message:%zu ", message.n);
}

static void on_end(void *ctx, struct rpc_stream *s)
{
    struct seen *seen = ctx;
    (void)s;
    buf_addf(&seen->log, "end ");
}

static void on_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    struct seen *seen = ctx;
    (void)s;
    buf_addf(&seen->log, "%s:%s", rpc_code_name(st->code), st->msg);
}

static const struct rpc_events events = {.call = on_call,
                                         .message = on_message,
                                         .end = on_end,
                                         .closed = on_closed};

static void frame(struct buf *out, char type, char flags, char stream, struct str payload)
{
    char head[9] =
        {(char)(payload.n >> 16), (char)(payload.n >> 8), (char)payload.n, type, flags, 0, 0, 0, stream};
    buf_add(out, (struct str){head, sizeof(head)});
    buf_add(out, payload);
}

// HPACK: a literal without indexing, with a new name; lengths below 127.
static void field(struct buf *out, struct str name, struct str value)
{
    buf_addc(out, 0);
    buf_addc(out, (char)name.n);
    buf_add(out, name);
    buf_addc(out, (char)value.n);
    buf_add(out, value);
}

enum { END_STREAM = 1, END_HEADERS = 4 };
enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS };

static const struct {
    struct str method, type, encoding, timeout, data; // data: empty, none
    size_t fields;                                    // more of them, 100 bytes each with what RFC 9113 adds
    bool answer, end;
    const char *log;
    const char *rule;
} rows[] = {
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"),
     STR_INIT("\0\0\0\0\1x"), 0, false, true, "call message:1 end ", "a call"},
    {STR_INIT("POST"), STR_INIT("application/grpc+proto"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""),
     0, false, true, "call end ", "a suffix of the content type"},
    {STR_INIT("POST"), STR_INIT("application/grpcx"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 0,
     false, true, "", "but no other type that begins so"},
    {STR_INIT("POST"), STR_INIT("text/html"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 0, false,
     true, "", "what is no gRPC is no call"},
    {STR_INIT("GET"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 0,
     false, true, "", "nor is what is no POST"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("snappy"), STR_INIT("1S"), STR_INIT(""), 0,
     false, true, "", "nor a compression that we do not know"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1x"), STR_INIT(""), 0,
     false, true, "", "nor a malformed timeout"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"),
     STR_INIT("\0\0\0\0\5x"), 0, false, true, "call INTERNAL:the last message is cut off",
     "a message that ends too early"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT("\0\0"),
     0, false, true, "call INTERNAL:the last message is cut off", "so does one without its length"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"),
     STR_INIT("\1\0\0\0\1x"), 0, false, true, "call INTERNAL:a compressed message without grpc-encoding",
     "a compression that was not announced"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 6,
     false, true, "call end ", "a header of less than 1000 bytes where 1000 are allowed"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 7,
     false, true, "", "one of more is no call"},
    {STR_INIT("POST"), STR_INIT("application/grpc"), STR_INIT("identity"), STR_INIT("1S"), STR_INIT(""), 0,
     true, false, "call ", "an answer ends a call whose client goes on"},
};

static void request(size_t i, struct buf *out)
{
    struct buf head;
    buf_init(&head, 4 * KIB);
    field(&head, STR(":method"), rows[i].method);         // 43 bytes
    field(&head, STR(":scheme"), STR("http"));            // 43
    field(&head, STR(":path"), STR("/a/b"));              // 41
    field(&head, STR(":authority"), STR("x"));            // 43
    field(&head, STR("content-type"), rows[i].type);      // 60
    field(&head, STR("grpc-encoding"), rows[i].encoding); // 53
    field(&head, STR("grpc-timeout"), rows[i].timeout);   // 46
    char value[67];
    memset(value, 'v', sizeof(value));
    for (size_t k = 0; k < rows[i].fields; k++)
        field(&head, STR("x"), (struct str){value, sizeof(value)});
    buf_add(out, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    frame(out, SETTINGS, 0, 0, STR(""));
    bool only_head = rows[i].data.n == 0 && rows[i].end;
    frame(out, HEADERS, (char)(END_HEADERS | (only_head ? END_STREAM : 0)), 1, buf_str(&head));
    if (rows[i].data.n > 0)
        frame(out, DATA, rows[i].end ? END_STREAM : 0, 1, rows[i].data);
    buf_done(&head);
}

// Type and stream of each frame that came out.
static bool has_reset(struct str out)
{
    while (out.n >= 9) {
        size_t n = (size_t)(unsigned char)out.p[0] << 16 | (size_t)(unsigned char)out.p[1] << 8 |
                   (unsigned char)out.p[2];
        if (out.p[3] == RST_STREAM && out.p[8] == 1)
            return true;
        out = str_from(out, 9 + n);
    }
    return false;
}

static void test_row(size_t i)
{
    struct seen seen = {.answer = rows[i].answer};
    buf_init(&seen.log, KIB);
    buf_addf(&seen.log, "%s", "");
    struct rpc_config config = RPC_CONFIG_SERVER;
    config.header_max = 1000;
    CLEANUP(rpc_core_freep) struct rpc_core *core = NULL;
    struct err err = {};
    struct buf in;
    struct buf out;
    struct str part = {};
    buf_init(&in, 8 * KIB);
    buf_init(&out, 8 * KIB);
    request(i, &in);
    bool ok = rpc_core_new(RPC_SERVER, &config, &events, &seen, 0, &core, &err) == ERR_OK &&
              rpc_core_recv(core, buf_str(&in), 0, &err) == ERR_OK;
    for (int turn = 0; ok && turn < 3; turn++) {
        rpc_core_run(core);
        while (rpc_core_send(core, &part, &err) == ERR_OK && part.n > 0)
            buf_add(&out, part);
    }
    bool open = str_ends(buf_str(&seen.log), STR("end ")); // waits for the application's answer
    ok = ok && strcmp(seen.log.p, rows[i].log) == 0 && rpc_core_streams(core) == (open ? 1U : 0U) &&
         has_reset(buf_str(&out)) == !rows[i].end;
    if (!tap_ok(ok, "%s", rows[i].rule))
        tap_note("got: '%s' %zu streams, %s", seen.log.p, core ? rpc_core_streams(core) : 0, err.msg);
    buf_done(&in);
    buf_done(&out);
    buf_done(&seen.log);
}

// A header that comes in two parts, of which the first is bad already.
static void test_half_header(void)
{
    struct seen seen = {};
    buf_init(&seen.log, KIB);
    buf_addf(&seen.log, "%s", "");
    struct rpc_core *core = NULL;
    struct err err = {};
    struct buf in;
    struct buf head;
    buf_init(&in, KIB);
    buf_init(&head, KIB);
    field(&head, STR(":method"), STR("POST"));
    field(&head, STR("grpc-timeout"), STR("x"));
    buf_add(&in, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    frame(&in, SETTINGS, 0, 0, STR(""));
    frame(&in, HEADERS, 0, 1, buf_str(&head));
    bool ok = rpc_core_new(RPC_SERVER, &RPC_CONFIG_SERVER, &events, &seen, 0, &core, &err) == ERR_OK &&
              rpc_core_recv(core, buf_str(&in), 0, &err) == ERR_OK;
    if (ok) {
        rpc_core_run(core);
        ok = rpc_core_tick(core, 0, &err) == ERR_OK;
        rpc_core_run(core);
        rpc_core_lost(core, "reset");
        rpc_core_run(core);
    }
    tap_ok(ok && strcmp(seen.log.p, "") == 0 && rpc_core_streams(core) == 0,
           "nobody is told of a call whose header never came: '%s'", seen.log.p);
    rpc_core_free(core);
    buf_done(&in);
    buf_done(&head);
    buf_done(&seen.log);
}

int main(void)
{
    test_half_header();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        test_row(i);
    return tap_done();
}
