#include "gateway/logs.h"

#include "gateway/harness_test.h"

static struct harness h;

struct stream {
    struct arena arena;
    struct rpc_meta meta;
    struct rpc_client *client;
    struct rpc_client_call *call;
    struct err err;
};

static void begin(struct stream *s, const char *as)
{
    *s = (struct stream){};
    const struct rpc_wait wait = {deadline_in_ms(20'000), -1};
    arena_init(&s->arena, MIB);
    s->client = harness_supervisor(&h, as, &s->meta, &s->arena);
    harness_must(rpc_open(s->client, RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS, &wait, &s->call, &s->err), &s->err);
}

static void push(struct stream *s, const char *id, unsigned from, unsigned n)
{
    enum { MOST = 150 };
    V1(PushSandboxLogsRequest) m = OPENSHELL__V1__PUSH_SANDBOX_LOGS_REQUEST__INIT;
    V1(SandboxLogLine) lines[MOST], *list[MOST];
    char texts[MOST][24];
    for (unsigned i = 0; i < n && i < MOST; i++) {
        list[i] = &lines[i];
        openshell__v1__sandbox_log_line__init(&lines[i]);
        (void)snprintf(texts[i], sizeof(texts[i]), "line %u", from + i);
        lines[i].message = texts[i];
        lines[i].source = (char *)(uintptr_t) "gateway"; // a lie
        lines[i].sandbox_id = (char *)(uintptr_t) "l-2";
        lines[i].level = (char *)(uintptr_t)((from + i) % 2 ? "DEBUG" : "OCSF");
        lines[i].timestamp_ms = from + i;
    }
    m.sandbox_id = (char *)(uintptr_t)id;
    m.logs = list;
    m.n_logs = n;
    (void)!rpc_write(s->call, &m.base, RPC_BLOCK, &s->err); // a call that has ended says so to its reader
}

// How it ended.
static enum rpc_code end(struct stream *s)
{
    bool ended = false;
    ProtobufCMessage *m = NULL;
    rpc_write_end(s->call);
    enum err_code c = rpc_read(s->call, RPC_BLOCK, &s->arena, &m, &ended, &s->err);
    if (c == ERR_OK && m)
        c = rpc_read(s->call, RPC_BLOCK, &s->arena, &m, &ended, &s->err);
    enum rpc_code code = c == ERR_OK && ended ? RPC_OK : rpc_client_status(s->client)->code;
    rpc_close(s->call);
    rpc_client_free(s->client);
    arena_done(&s->arena);
    return code;
}

static const V1(GetSandboxLogsResponse) *
    get(const char *id, uint32_t lines, int64_t since, const char *level)
{
    V1(GetSandboxLogsRequest) m = OPENSHELL__V1__GET_SANDBOX_LOGS_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t)id;
    m.lines = lines;
    m.since_ms = since;
    m.min_level = (char *)(uintptr_t)level;
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_GET_SANDBOX_LOGS, &m.base);
}

static void test_push(void)
{
    struct stream s;
    begin(&s, "l-1");
    push(&s, "", 500, 3);
    push(&s, "l-1", 0, 10);
    push(&s, "", 500, 3);
    push(&s, "l-1", 10, 150);
    push(&s, "l-1", 160, 1);
    tap_ok(end(&s) == RPC_OK, "a stream of batches");
    const V1(GetSandboxLogsResponse) *g = get("l-1", 0, 0, "");
    tap_ok(g && g->n_logs == 111 && g->buffer_total == 111 &&
               strcmp(g->logs[109]->message, "line 109") == 0 &&
               strcmp(g->logs[110]->message, "line 160") == 0,
           "of each the first hundred lines are kept, of one without an id none");
    tap_ok(g && strcmp(g->logs[0]->source, "sandbox") == 0 && strcmp(g->logs[0]->sandbox_id, "l-1") == 0,
           "whose they are is not what they say");
    g = get("l-2", 0, 0, "");
    tap_ok(g && g->n_logs == 0, "and no other sandbox has them");
}

static void test_refusals(void)
{
    struct stream s;
    begin(&s, "l-1");
    push(&s, "l-2", 0, 1);
    tap_ok(end(&s) == RPC_PERMISSION_DENIED, "another sandbox's");
    begin(&s, "l-1");
    push(&s, "l-1", 900, 1);
    push(&s, "l-2", 901, 1);
    (void)usleep(1000);
    enum rpc_code code = end(&s);
    tap_ok(code == RPC_PERMISSION_DENIED &&
               strcmp(s.err.msg, "log stream sandbox_id changed after validation") == 0,
           "one that changes");
    begin(&s, "l-9");
    push(&s, "l-9", 0, 1);
    tap_ok(end(&s) == RPC_NOT_FOUND, "one that was deleted");
    begin(&s, "l-1");
    tap_ok(end(&s) == RPC_OK, "none at all");
    for (unsigned i = 0; i < 30; i++) {
        begin(&s, "l-2");
        push(&s, "l-2", i, 1);
        rpc_close(s.call);
        rpc_client_free(s.client);
        arena_done(&s.arena);
    }
    tap_ok(get("l-2", 0, 0, "") != NULL, "a supervisor may leave at any moment");
}

static void test_get(void)
{
    const V1(GetSandboxLogsResponse) *g = get("l-1", 4, 0, "");
    tap_ok(g && g->n_logs == 4 && strcmp(g->logs[3]->message, "line 900") == 0, "the last four");
    g = get("l-1", 11, 100, "");
    tap_ok(g && g->buffer_total == 11 && g->n_logs == 11 && g->logs[0]->timestamp_ms == 101,
           "the tail is taken first");
    g = get("l-1", 11, 108, "info");
    tap_ok(g && g->buffer_total == 11 && g->n_logs == 3 && strcmp(g->logs[0]->message, "line 108") == 0,
           "then the time and the level decide");
    tap_ok(!get("", 0, 0, "") && harness_code(&h) == RPC_INVALID_ARGUMENT, "an id is needed");
    tap_ok(!get("l-9", 0, 0, "") && harness_code(&h) == RPC_NOT_FOUND, "of a sandbox");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    harness_sandbox(&h, "l-1", "one", NULL);
    harness_sandbox(&h, "l-2", "two", NULL);
    test_push();
    test_refusals();
    test_get();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
