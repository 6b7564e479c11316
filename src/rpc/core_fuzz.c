#include "rpc/core.h"

// The first byte says which side is tried and how the rest is cut; a server gets the client's preface for
// free.

static void on_call(void *ctx, struct rpc_stream *s)
{
    (void)ctx;
    assert(!rpc_stream_user(s)); // told of once
    rpc_stream_set_user(s, s);
    rpc_stream_gzip(s);
    rpc_stream_want(s, 3);
}

static void on_message(void *ctx, struct rpc_stream *s, struct str message)
{
    (void)ctx;
    struct err err;
    (void)rpc_stream_send(s, message, &err); // a full queue is an answer, too
}

static void on_end(void *ctx, struct rpc_stream *s)
{
    (void)ctx;
    rpc_stream_finish(s, &(struct rpc_status){.code = RPC_NOT_FOUND, .msg = "no"}, STR("d"));
}

// Nobody is told of the end of a call that he was not told of, nor twice.
static void on_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    (void)ctx;
    (void)st;
    assert(rpc_stream_user(s) == s);
    rpc_stream_set_user(s, NULL);
}

static const struct rpc_events server_events = {.call = on_call,
                                                .message = on_message,
                                                .end = on_end,
                                                .closed = on_closed};
static const struct rpc_events client_events = {.message = on_message, .closed = on_closed};

static void flush(struct rpc_core *core)
{
    struct str out = {};
    struct err err;
    rpc_core_run(core);
    while (rpc_core_send(core, &out, &err) == ERR_OK && out.n > 0)
        continue;
}

static void begin_calls(struct rpc_core *core)
{
    struct err err;
    for (int i = 0; i < 3; i++) {
        struct rpc_stream *s = NULL;
        struct rpc_call_opts opts = {.path = STR("/a/b"), .deadline_ns = 1000 * (i + 1)};
        if (rpc_call(core, &opts, &s, &err) != ERR_OK)
            return;
        rpc_stream_set_user(s, s);
        rpc_stream_want(s, 2);
        if (i > 0)
            rpc_stream_half_close(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool server = data[0] & 1;
    size_t piece = data[0] >> 1 ? data[0] >> 1 : size;
    struct rpc_config config = {.message_max = 4 * KIB,
                                .queue_max = KIB,
                                .header_max = 2 * KIB,
                                .window = 32 * KIB,
                                .streams_max = 8,
                                .control_burst = 50};
    CLEANUP(rpc_core_freep) struct rpc_core *core = NULL;
    struct err err;
    if (rpc_core_new(server ? RPC_SERVER : RPC_CLIENT, &config, server ? &server_events : &client_events,
                     NULL, 0, &core, &err) != ERR_OK)
        return 0;
    enum err_code c = ERR_OK;
    if (server)
        c = rpc_core_recv(core, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0, &err);
    else
        begin_calls(core);
    flush(core);
    struct str rest = {(const char *)data + 1, size - 1};
    for (int64_t now_ns = 0; rest.n > 0 && c == ERR_OK; now_ns += 100) {
        c = rpc_core_recv(core, str_head(rest, piece), now_ns, &err);
        rest = str_from(rest, piece);
        if (c == ERR_OK)
            c = rpc_core_tick(core, now_ns, &err);
        flush(core);
    }
    rpc_core_lost(core, "end");
    rpc_core_run(core);
    return 0;
}
