#include "rpc/core.h"
#include "tap.h"

// A client and a server core, joined by memory. What both see is written down as words.
struct pair {
    struct rpc_core *client, *server;
    struct buf log;
    int64_t now_ns;
    size_t cut;              // bytes of each delivery; 0: all
    struct rpc_stream *call; // the server's, while it holds it
    bool server_idle;        // the server wants no messages
    size_t sent;             // messages of a stream so far
    enum err_code server_code, client_code;
};

enum { STREAM_N = 50 };

static void note_meta(struct pair *p, const struct rpc_meta *meta)
{
    for (const struct rpc_field *f = meta->first; f; f = f->next)
        buf_addf(&p->log, "[%.*s=%.*s]", STR_FMT(f->name), STR_FMT(f->value));
}

static void finish(struct pair *p, struct rpc_stream *s, enum rpc_code code, const char *msg)
{
    struct rpc_status st = {};
    rpc_status_set(&st, code, "%s", msg);
    rpc_stream_finish(s, &st, code == RPC_OK ? STR("") : STR("\x08\x09"));
    p->call = NULL;
}

static void server_call(void *ctx, struct rpc_stream *s)
{
    struct pair *p = ctx;
    struct err err = {};
    struct str path = rpc_stream_path(s);
    buf_addf(&p->log, "call%.*s", STR_FMT(path));
    note_meta(p, rpc_stream_meta(s));
    p->call = s;
    if (!str_eq(path, STR("/stream")))
        rpc_stream_gzip(s);
    if (rpc_stream_header(s, STR("x-head"), STR("h"), &err) != ERR_OK ||
        rpc_stream_trailer(s, STR("x-tail-bin"), STR("\x00\xff"), &err) != ERR_OK)
        buf_addf(&p->log, "!%s", err.msg);
    if (str_eq(path, STR("/refuse")))
        finish(p, s, RPC_NOT_FOUND, "no \xc3\xbc 100%");
    else if (!p->server_idle)
        rpc_stream_want(s, str_eq(path, STR("/unary")) ? 1 : 1000);
}

static void stream_more(struct pair *p, struct rpc_stream *s)
{
    char big[8 * KIB];
    struct err err = {};
    for (; p->sent < STREAM_N; p->sent++) {
        memset(big, 'a' + (int)(p->sent % 26), sizeof(big));
        if (rpc_stream_send(s, (struct str){big, sizeof(big)}, &err) != ERR_OK)
            return;
    }
    finish(p, s, RPC_OK, "");
}

static void server_message(void *ctx, struct rpc_stream *s, struct str m)
{
    struct pair *p = ctx;
    struct err err = {};
    buf_addf(&p->log, " <%.*s", (int)(m.n < 20 ? m.n : 20), m.p);
    if (m.n >= 20)
        buf_addf(&p->log, "..%zu", m.n);
    if (str_eq(rpc_stream_path(s), STR("/stream")))
        stream_more(p, s);
    else if (!str_eq(rpc_stream_path(s), STR("/sink")) && rpc_stream_send(s, m, &err) != ERR_OK)
        buf_addf(&p->log, "!%s", err.msg);
}

static void server_end(void *ctx, struct rpc_stream *s)
{
    struct pair *p = ctx;
    buf_addf(&p->log, " end");
    if (!str_eq(rpc_stream_path(s), STR("/stream")) && !str_eq(rpc_stream_path(s), STR("/hang")))
        finish(p, s, RPC_OK, "");
}

static void server_writable(void *ctx, struct rpc_stream *s)
{
    stream_more(ctx, s);
}

static void server_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    struct pair *p = ctx;
    (void)s;
    buf_addf(&p->log, " gone:%s", rpc_code_name(st->code));
    p->call = NULL;
}

static void client_headers(void *ctx, struct rpc_stream *s)
{
    struct pair *p = ctx;
    buf_addf(&p->log, " head");
    note_meta(p, rpc_stream_meta(s));
}

static void client_message(void *ctx, struct rpc_stream *s, struct str m)
{
    struct pair *p = ctx;
    size_t *count = rpc_stream_user(s);
    if (count)
        ++*count;
    else
        buf_addf(&p->log, " >%.*s", STR_FMT(m));
}

static void client_closed(void *ctx, struct rpc_stream *s, const struct rpc_status *st)
{
    struct pair *p = ctx;
    buf_addf(&p->log, " %s(%s)", rpc_code_name(st->code), st->msg);
    for (const struct rpc_field *f = rpc_stream_trailers(s)->first; f; f = f->next)
        buf_addf(&p->log, "[%.*s:%zu]", STR_FMT(f->name), f->value.n);
    if (rpc_stream_details(s).n > 0)
        buf_addf(&p->log, "details:%zu", rpc_stream_details(s).n);
}

static const struct rpc_events server_events = {.call = server_call,
                                                .message = server_message,
                                                .end = server_end,
                                                .writable = server_writable,
                                                .closed = server_closed};
static const struct rpc_events client_events = {.headers = client_headers,
                                                .message = client_message,
                                                .closed = client_closed};

static void pair_init(struct pair *p, const struct rpc_config *server, const struct rpc_config *client)
{
    struct err err = {};
    *p = (struct pair){.now_ns = 1'000'000'000};
    buf_init(&p->log, 64 * KIB);
    if (rpc_core_new(RPC_SERVER, server, &server_events, p, p->now_ns, &p->server, &err) != ERR_OK ||
        rpc_core_new(RPC_CLIENT, client, &client_events, p, p->now_ns, &p->client, &err) != ERR_OK)
        abort();
}

static void pair_done(struct pair *p)
{
    rpc_core_free(p->client);
    rpc_core_free(p->server);
    buf_done(&p->log);
}

// Carries what one has to say to the other; false: it has nothing.
static bool carry(struct pair *p, struct rpc_core *from, struct rpc_core *to, enum err_code *ret)
{
    struct str bytes = {};
    struct err err = {};
    rpc_core_run(from);
    if (rpc_core_send(from, &bytes, &err) != ERR_OK || bytes.n == 0)
        return false;
    while (bytes.n > 0 && *ret == ERR_OK) {
        struct str part = str_head(bytes, p->cut ? p->cut : bytes.n);
        bytes = str_from(bytes, part.n);
        *ret = rpc_core_recv(to, part, p->now_ns, &err);
        if (*ret != ERR_OK)
            buf_addf(&p->log, " recv:%s", err.msg);
        rpc_core_run(to);
    }
    return true;
}

static void settle(struct pair *p)
{
    for (bool more = true; more;) {
        more = carry(p, p->client, p->server, &p->server_code);
        more = carry(p, p->server, p->client, &p->client_code) || more;
    }
}

static struct rpc_stream *call(struct pair *p, const char *path, int64_t deadline_ns, void *user)
{
    struct rpc_stream *s = NULL;
    struct err err = {};
    struct arena arena;
    arena_init(&arena, 8 * KIB);
    struct rpc_meta meta = {};
    bool ok = rpc_meta_add(&meta, &arena, STR("x-id"), STR("7"), &err) == ERR_OK &&
              rpc_meta_add(&meta, &arena, STR("x-raw-bin"), STR("ab"), &err) == ERR_OK;
    struct rpc_call_opts opts = {.path = str_of(path),
                                 .meta = &meta,
                                 .deadline_ns = deadline_ns,
                                 .gzip = true};
    opts.user = user;
    if (!ok || rpc_call(p->client, &opts, &s, &err) != ERR_OK)
        buf_addf(&p->log, " !%s", err.msg);
    else
        rpc_stream_want(s, 1000);
    arena_done(&arena);
    return s;
}

static void send_text(struct pair *p, struct rpc_stream *s, struct str text)
{
    assert(s);
    struct err err = {};
    if (rpc_stream_send(s, text, &err) != ERR_OK)
        buf_addf(&p->log, " !%s", err.msg);
}

static void expect(struct pair *p, const char *want, const char *rule)
{
    if (!tap_ok(strcmp(p->log.n ? p->log.p : "", want) == 0, "%s", rule))
        tap_note("got: %s", p->log.n ? p->log.p : "");
}

#define META "[x-id=7][x-raw-bin=ab]"
#define HEAD " head[x-head=h]"
#define TAIL "[x-tail-bin:2]"

static void kinds(struct pair *p)
{
    struct rpc_stream *s = call(p, "/unary", DEADLINE_NEVER, NULL);
    send_text(p, s, STR("hi"));
    rpc_stream_half_close(s);
    settle(p);
    buf_addf(&p->log, "\n");
    s = call(p, "/bidi", DEADLINE_NEVER, NULL);
    send_text(p, s, STR("a"));
    settle(p);
    send_text(p, s, STR(""));
    send_text(p, s, STR("c"));
    settle(p);
    rpc_stream_half_close(s);
    settle(p);
    buf_addf(&p->log, "\n");
    (void)call(p, "/refuse", DEADLINE_NEVER, NULL);
    settle(p);
    buf_addf(&p->log, "\n");
    s = call(p, "/sink", DEADLINE_NEVER, NULL);
    send_text(p, s, STR("x"));
    send_text(p, s, STR("y"));
    rpc_stream_half_close(s);
    settle(p);
}

static const char kinds_want[] = "call/unary" META " <hi end" HEAD " >hi OK()" TAIL "\n"
                                 "call/bidi" META " <a" HEAD " >a < <c > >c end OK()" TAIL "\n"
                                 "call/refuse" META " head[x-head=h][x-tail-bin=] NOT_FOUND(no \xc3\xbc 100%)"
                                 "[x-head:1][x-tail-bin:2]details:2\n"
                                 "call/sink" META
                                 " <x <y end head[x-head=h][x-tail-bin=] OK()[x-head:1]" TAIL;

static void test_kinds(void)
{
    size_t same = 0;
    for (size_t cut = 0; cut <= 24; cut++) {
        struct pair p;
        pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
        p.cut = cut;
        kinds(&p);
        same += strcmp(p.log.p, kinds_want) == 0;
        if (cut == 0)
            expect(&p, kinds_want, "unary, both ways, refused, one way: each ends with its status");
        pair_done(&p);
    }
    tap_ok(same == 25, "the same whatever pieces the bytes come in (%zu of 25)", same);
}

static void test_stream(void)
{
    struct pair p;
    struct rpc_config slow = RPC_CONFIG_CLIENT;
    pair_init(&p, &RPC_CONFIG_SERVER, &slow);
    size_t got = 0;
    struct rpc_stream *s = NULL;
    struct err err = {};
    struct rpc_call_opts opts = {.path = STR("/stream"), .deadline_ns = DEADLINE_NEVER, .user = &got};
    bool ok = rpc_call(p.client, &opts, &s, &err) == ERR_OK;
    if (ok) {
        send_text(&p, s, STR("go"));
        rpc_stream_half_close(s);
        settle(&p);
    }
    // 50 messages of 8 KiB, gzip being off: the window of 256 KiB and the queue of 256 KiB do not hold them
    // all
    tap_ok(ok && got == 0 && p.sent < STREAM_N + 1, "a client that asks for nothing gets nothing");
    rpc_stream_want(s, 3);
    settle(&p);
    tap_ok(got == 3, "then as many as it asked for, not one more (%zu)", got);
    rpc_stream_want(s, 1000);
    settle(&p);
    tap_ok(got == STREAM_N && strstr(p.log.p, " OK()"), "all come in the end, and the status behind them");
    pair_done(&p);

    pair_init(&p, &RPC_CONFIG_SERVER,
              &(struct rpc_config){.message_max = MIB,
                                   .queue_max = KIB,
                                   .header_max = KIB,
                                   .window = 16 * KIB,
                                   .control_burst = 10});
    got = 0;
    ok = rpc_call(p.client, &opts, &s, &err) == ERR_OK;
    if (ok)
        send_text(&p, s, STR("go"));
    settle(&p);
    tap_ok(ok && p.sent >= 16 && p.sent < STREAM_N, "a sender stops at a full queue (%zu sent)", p.sent);
    rpc_stream_want(s, 1000);
    settle(&p);
    tap_ok(got == STREAM_N && p.sent == STREAM_N, "and goes on when there is room");
    pair_done(&p);
}

static void test_back_pressure(void)
{
    struct pair p;
    pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
    p.server_idle = true;
    struct rpc_stream *s = NULL;
    struct err err = {};
    struct rpc_call_opts opts = {.path = STR("/sink"), .deadline_ns = DEADLINE_NEVER};
    enum err_code c = rpc_call(p.client, &opts, &s, &err);
    char big[16 * KIB];
    memset(big, 7, sizeof(big));
    size_t sent = 0;
    while (c == ERR_OK && sent < 1000) {
        c = rpc_stream_send(s, (struct str){big, sizeof(big)}, &err);
        sent += c == ERR_OK;
        settle(&p);
    }
    tap_ok(c == ERR_LIMIT && sent < 64 && !rpc_stream_has_room(s),
           "a server that does not read stops its client (%zu messages)", sent);
    buf_clear(&p.log);
    struct rpc_stream *other = call(&p, "/refuse", DEADLINE_NEVER, NULL);
    rpc_stream_half_close(other);
    settle(&p);
    tap_ok(strstr(p.log.p, "NOT_FOUND"), "and no other call of the connection");
    pair_done(&p);
}

static void count_writable(void *ctx, struct rpc_stream *s)
{
    struct pair *p = ctx;
    (void)s;
    p->sent++;
}

static void test_room(void)
{
    struct pair p;
    struct rpc_config config = RPC_CONFIG_CLIENT;
    config.queue_max = 1000;
    pair_init(&p, &RPC_CONFIG_SERVER, &config);
    struct rpc_events events = client_events;
    events.writable = count_writable;
    rpc_core_free(p.client);
    p.client = NULL;
    struct err err = {};
    if (rpc_core_new(RPC_CLIENT, &config, &events, &p, p.now_ns, &p.client, &err) != ERR_OK)
        abort();
    struct rpc_stream *s = NULL;
    struct rpc_call_opts opts = {.path = STR("/sink"), .deadline_ns = DEADLINE_NEVER};
    char bytes[901] = "";
    bool ok = rpc_call(p.client, &opts, &s, &err) == ERR_OK &&
              rpc_stream_send(s, (struct str){bytes, 95}, &err) == ERR_OK && // 100 with its head
              rpc_stream_send(s, (struct str){bytes, 901}, &err) == ERR_LIMIT;
    rpc_core_run(p.client);
    tap_ok(ok && p.sent == 0, "there is no room as long as what did not fit does not");
    ok = ok && rpc_stream_send(s, (struct str){bytes, 900}, &err) == ERR_OK;
    tap_ok(ok, "what fits to the byte is queued");
    settle(&p);
    tap_ok(ok && p.sent == 1, "and there is room, once, when the queue has drained");
    pair_done(&p);
}

static void test_ends(void)
{
    struct pair p;
    pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
    struct err err = {};
    struct rpc_stream *s = call(&p, "/hang", p.now_ns + 5'000'000, NULL);
    rpc_stream_half_close(s);
    settle(&p);
    buf_clear(&p.log);
    p.now_ns += 4'999'999;
    bool ok = rpc_core_next_ns(p.client) == p.now_ns + 1 &&
              rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK &&
              rpc_core_tick(p.client, p.now_ns, &err) == ERR_OK;
    settle(&p);
    tap_ok(ok && p.log.n == 0, "nothing ends before its deadline");
    p.now_ns += 1'000'001;
    ok = rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK;
    settle(&p);
    expect(&p,
           " gone:DEADLINE_EXCEEDED head[x-head=h][x-tail-bin=] DEADLINE_EXCEEDED(the deadline has "
           "passed)[x-head:1][x-tail-bin:2]",
           "a server ends what has passed its deadline");
    tap_ok(ok && rpc_core_streams(p.server) == 0 && rpc_core_streams(p.client) == 0, "and forgets it");

    buf_clear(&p.log);
    (void)call(&p, "/hang", p.now_ns + 5'000'000, NULL);
    settle(&p);
    buf_clear(&p.log);
    p.now_ns += 5'000'000;
    ok = rpc_core_tick(p.client, p.now_ns, &err) == ERR_OK;
    settle(&p);
    tap_ok(ok, "a tick of a client whose call is late");
    expect(&p, " DEADLINE_EXCEEDED(the deadline has passed) gone:CANCELLED",
           "a client does not wait for the server");

    s = call(&p, "/hang", DEADLINE_NEVER, NULL);
    settle(&p);
    buf_clear(&p.log);
    rpc_stream_cancel(s);
    settle(&p);
    expect(&p, " gone:CANCELLED", "a server learns of a cancelled call");
    tap_ok(rpc_core_streams(p.server) == 0 && rpc_core_streams(p.client) == 0, "of which nothing stays");

    (void)call(&p, "/hang", DEADLINE_NEVER, NULL);
    settle(&p);
    buf_clear(&p.log);
    rpc_core_lost(p.server, "reset");
    rpc_core_lost(p.client, "reset");
    rpc_core_run(p.server);
    rpc_core_run(p.client);
    expect(&p, " gone:UNAVAILABLE UNAVAILABLE(the connection was lost: reset)",
           "a lost connection ends its calls");
    pair_done(&p);
}

static void test_limits(void)
{
    struct pair p;
    struct rpc_config config = RPC_CONFIG_SERVER;
    config.message_max = 1000;
    pair_init(&p, &config, &RPC_CONFIG_CLIENT);
    char big[1001];
    memset(big, 'x', sizeof(big));
    struct rpc_call_opts opts = {.path = STR("/sink"), .deadline_ns = DEADLINE_NEVER};
    struct rpc_stream *s = NULL;
    struct err err = {};
    for (size_t n = 1000; n <= 1001; n++) {
        buf_clear(&p.log);
        opts.gzip = false;
        if (rpc_call(p.client, &opts, &s, &err) != ERR_OK)
            break;
        send_text(&p, s, (struct str){big, n});
        rpc_stream_half_close(s);
        settle(&p);
        tap_ok(strstr(p.log.p, n == 1000 ? " OK()"
                                         : " RESOURCE_EXHAUSTED(a message of 1001 bytes, the limit is 1000)"),
               "a message of %zu bytes where 1000 are allowed", n);
    }
    for (size_t n = 1000; n <= 1001; n++) {
        buf_clear(&p.log);
        opts.gzip = true;
        if (rpc_call(p.client, &opts, &s, &err) != ERR_OK)
            break;
        send_text(&p, s, (struct str){big, n});
        rpc_stream_half_close(s);
        settle(&p);
        tap_ok(strstr(p.log.p,
                      n == 1000 ? " OK()"
                                : " RESOURCE_EXHAUSTED(a message is larger than 1000 bytes when inflated)"),
               "one that inflates to %zu", n);
    }
    pair_done(&p);

    config = RPC_CONFIG_SERVER;
    config.streams_max = 1;
    pair_init(&p, &config, &RPC_CONFIG_CLIENT);
    settle(&p);
    struct rpc_stream *one = call(&p, "/hang", DEADLINE_NEVER, NULL);
    struct rpc_stream *two = call(&p, "/hang", DEADLINE_NEVER, NULL);
    settle(&p);
    tap_ok(one && two && rpc_core_streams(p.server) == 1, "a call too many waits at the client");
    rpc_stream_cancel(one);
    settle(&p);
    tap_ok(rpc_core_streams(p.server) == 1 && p.call, "until another has ended");
    pair_done(&p);
}

static void test_ping(void)
{
    struct pair p;
    pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
    settle(&p);
    struct err err = {};
    p.now_ns += 20'000'000'000;
    bool ok = rpc_core_next_ns(p.server) == p.now_ns && rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK;
    settle(&p);
    p.now_ns += 10'000'000'000;
    tap_ok(ok && rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK, "a peer that answers a PING lives");
    p.now_ns += 10'000'000'000;
    ok = rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK;
    struct str ping = {};
    ok = ok && rpc_core_send(p.server, &ping, &err) == ERR_OK && ping.n == 17;
    p.now_ns += 9'999'999'999;
    ok = ok && rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK &&
         rpc_core_next_ns(p.server) == p.now_ns + 1;
    p.now_ns += 1;
    tap_ok(ok && rpc_core_tick(p.server, p.now_ns, &err) == ERR_TIMEOUT, "one that does not is lost: %s",
           err.msg);
    pair_done(&p);
}

static void test_drain(void)
{
    struct pair p;
    pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
    struct rpc_stream *s = call(&p, "/bidi", DEADLINE_NEVER, NULL);
    settle(&p);
    rpc_core_drain(p.server);
    settle(&p);
    buf_clear(&p.log);
    tap_ok(!call(&p, "/unary", DEADLINE_NEVER, NULL), "a draining server gets no new calls");
    struct err err = {};
    p.now_ns += 1'000'000'000;
    bool ok = rpc_core_tick(p.server, p.now_ns, &err) == ERR_OK && !rpc_core_is_done(p.server);
    buf_clear(&p.log);
    send_text(&p, s, STR("late"));
    rpc_stream_half_close(s);
    settle(&p);
    expect(&p, " <late end head[x-head=h] >late OK()[x-tail-bin:2]", "what runs goes on to its end");
    tap_ok(ok && rpc_core_is_done(p.server), "and then the connection is done");
    pair_done(&p);
}

// Frames by hand, as a hostile client would send them.
static struct str frame(char *dst, size_t n, char type, char flags, char stream)
{
    memset(dst, 0, 9 + n);
    dst[1] = (char)(n >> 8);
    dst[2] = (char)n;
    dst[3] = type;
    dst[4] = flags;
    dst[8] = stream;
    return (struct str){dst, 9 + n};
}

static void test_floods(void)
{
    static const struct {
        char type;
        char n;
        const char *what;
    } kinds_of[] = {{6, 8, "PING"}, {4, 0, "SETTINGS"}};
    for (size_t k = 0; k < ARRAY_LEN(kinds_of); k++) {
        struct pair p;
        struct rpc_config config = RPC_CONFIG_SERVER;
        config.control_burst = 100;
        pair_init(&p, &config, &RPC_CONFIG_CLIENT);
        settle(&p); // the preface, one SETTINGS and one acknowledgement
        struct err err = {};
        char bytes[64];
        enum err_code c = ERR_OK;
        size_t n = 0;
        for (; c == ERR_OK && n < 1000; n++)
            c = rpc_core_recv(p.server, frame(bytes, (size_t)kinds_of[k].n, kinds_of[k].type, 0, 0), p.now_ns,
                              &err);
        tap_ok(c == ERR_LIMIT && n == 99, "of 100 control frames at once the next %s is one too many (%zu)",
               kinds_of[k].what, n);
        pair_done(&p);
    }
    struct pair p;
    pair_init(&p, &RPC_CONFIG_SERVER, &RPC_CONFIG_CLIENT);
    struct err err = {};
    enum err_code c = rpc_core_recv(p.server, STR("GET / HTTP/1.1\r\n\r\n"), p.now_ns, &err);
    tap_ok(c == ERR_INVALID, "what is not HTTP/2 is refused: %s", err.msg);
    pair_done(&p);
}

int main(void)
{
    test_kinds();
    test_stream();
    test_back_pressure();
    test_room();
    test_ends();
    test_limits();
    test_ping();
    test_drain();
    test_floods();
    return tap_done();
}
