// The sessions on a real server: pushes from threads of the test, a supervisor that is the real client.
// Relays and commands are tried by tests/gateway/relays.
#include "gateway/harness_test.h"

enum { NOTES_MAX = 256, BIG = 200 * KIB };

static struct {
    pthread_mutex_t mu; // guards all of it
    char notes[NOTES_MAX][32];
    size_t n;
    int busy; // 1 while the sandbox is being told of; never 2
    bool overlapped;
    unsigned slow_ms;
} seen = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void note(const char *what, const char *which)
{
    (void)pthread_mutex_lock(&seen.mu);
    seen.overlapped |= seen.busy++ > 0;
    unsigned slow_ms = seen.slow_ms;
    (void)pthread_mutex_unlock(&seen.mu);
    (void)usleep(slow_ms * 1000);
    (void)pthread_mutex_lock(&seen.mu);
    seen.busy--;
    if (seen.n < NOTES_MAX)
        (void)snprintf(seen.notes[seen.n++], sizeof(seen.notes[0]), "%s%s", what, which);
    (void)pthread_mutex_unlock(&seen.mu);
}

static void on_connected(void *ctx, struct str sandbox_id, const V1(SupervisorHello) * hello)
{
    (void)ctx, (void)sandbox_id;
    note("+", hello->instance_id);
}

static void on_disconnected(void *ctx, struct str sandbox_id)
{
    (void)ctx, (void)sandbox_id;
    note("-", "");
}

// What was noted so far, once it is `n` notes or 10 s have passed; then forgotten.
static const char *noted(size_t n, char dst[static 1024])
{
    for (int64_t end_ns = deadline_in_ms(10'000); !deadline_passed(end_ns);) {
        (void)pthread_mutex_lock(&seen.mu);
        bool enough = seen.n >= n;
        (void)pthread_mutex_unlock(&seen.mu);
        if (enough)
            break;
        (void)usleep(2000);
    }
    (void)usleep(20'000); // one too many would come about now
    size_t at = 0;
    dst[0] = '\0';
    (void)pthread_mutex_lock(&seen.mu);
    for (size_t i = 0; i < seen.n && at < 900; i++)
        at += (size_t)snprintf(dst + at, 1024 - at, "%s ", seen.notes[i]);
    seen.n = 0;
    (void)pthread_mutex_unlock(&seen.mu);
    return dst;
}

// ---- the sessions of a harness

struct on_loop {
    struct harness *h;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool done;
    void (*fn)(struct harness *h);
};

static void run_on_loop(void *arg)
{
    struct on_loop *o = arg;
    o->fn(o->h);
    (void)pthread_mutex_lock(&o->mu);
    o->done = true;
    (void)pthread_cond_signal(&o->cond);
    (void)pthread_mutex_unlock(&o->mu);
}

static void do_on_loop(struct harness *h, void (*fn)(struct harness *h))
{
    struct on_loop o = {.h = h, .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .fn = fn};
    harness_must(rpc_server_post(h->server, run_on_loop, &o, &h->err), &h->err);
    (void)pthread_mutex_lock(&o.mu);
    while (!o.done)
        (void)pthread_cond_wait(&o.cond, &o.mu);
    (void)pthread_mutex_unlock(&o.mu);
}

static void attach(struct harness *h)
{
    sessions_attach(h->services.sessions, h->server, &h->loop);
}

static void end_sessions(struct harness *h)
{
    sessions_stop(h->services.sessions);
}

// ---- a supervisor

struct peer {
    struct rpc_client *client;
    struct rpc_client_call *call;
    struct rpc_meta meta;
    struct arena arena;
};

static const struct rpc_wait wait_long = {DEADLINE_NEVER, -1};

static bool next_message(struct peer *p, struct arena *a, V1(GatewayMessage) * *ret, struct err *err)
{
    ProtobufCMessage *m = NULL;
    bool end = false;
    if (rpc_read(p->call, RPC_BLOCK, a, &m, &end, err) != ERR_OK || end)
        return false;
    *ret = (V1(GatewayMessage) *)m;
    return true;
}

static bool greet(struct harness *h, struct peer *p, const char *id, const char *instance)
{
    *p = (struct peer){};
    arena_init(&p->arena, 64 * KIB);
    p->client = harness_supervisor(h, id, &p->meta, &p->arena);
    struct err err = {};
    V1(SupervisorHello) hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    V1(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    hello.sandbox_id = (char *)(uintptr_t)id;
    hello.instance_id = (char *)(uintptr_t)instance;
    m.payload_case = OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO;
    m.hello = &hello;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    V1(GatewayMessage) *in = NULL;
    return rpc_open(p->client, RPC_OPEN_SHELL_CONNECT_SUPERVISOR, &wait_long, &p->call, &err) == ERR_OK &&
           rpc_write(p->call, &m.base, RPC_BLOCK, &err) == ERR_OK && next_message(p, &a, &in, &err) &&
           in->payload_case == OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_SESSION_ACCEPTED;
}

static void leave(struct peer *p)
{
    rpc_close(p->call);
    rpc_client_free(p->client);
    arena_done(&p->arena);
}

static void answer(struct peer *p, uint64_t push_id, uint32_t version, uint32_t cut, const char *error)
{
    struct err err = {};
    V1(ConfigResult) result = OPENSHELL__V1__CONFIG_RESULT__INIT;
    V1(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    result.push_id = push_id;
    result.policy_version = version;
    result.connections_cut = cut;
    result.error = (char *)(uintptr_t)error;
    m.payload_case = OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_CONFIG_RESULT;
    m.config_result = &result;
    harness_must(rpc_write(p->call, &m.base, RPC_BLOCK, &err), &err);
}

// ---- pushes, each from a thread of its own

struct pusher {
    struct harness *h;
    pthread_t thread;
    const char *id;
    int64_t ms;
    char *hash; // of the policy, which makes it large; NULL: none
    enum err_code code;
    struct push_result result;
    struct err err;
};

static void *push_run(void *arg)
{
    struct pusher *p = arg;
    SB1(GetSandboxConfigResponse) config = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_RESPONSE__INIT;
    V1(ConfigPush) push = OPENSHELL__V1__CONFIG_PUSH__INIT;
    if (p->hash)
        config.policy_hash = p->hash;
    push.config = &config;
    p->code = sessions_push(p->h->services.sessions, str_of(p->id), &push, deadline_in_ms(p->ms), &p->result,
                            &p->err);
    return NULL;
}

static void push_start(struct pusher *p)
{
    if (pthread_create(&p->thread, NULL, push_run, p) != 0)
        abort();
}

static bool push_is(struct pusher *p, enum err_code code, const char *msg)
{
    (void)pthread_join(p->thread, NULL);
    bool ok = p->code == code && strcmp(p->err.msg, msg) == 0;
    if (!ok)
        tap_note("%s: %s", err_code_name(p->code), p->err.msg);
    return ok;
}

static uint64_t take_push(struct peer *p, size_t *ret_size)
{
    struct err err = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    V1(GatewayMessage) *m = NULL;
    if (!next_message(p, &a, &m, &err) ||
        m->payload_case != OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_CONFIG_PUSH)
        return 0;
    *ret_size = strlen(m->config_push->config->policy_hash);
    return m->config_push->push_id;
}

static void test_push(struct harness *h)
{
    struct peer p = {};
    size_t size = 0;
    struct pusher none = {.h = h, .id = "s-2", .ms = 5000};
    push_start(&none);
    tap_ok(push_is(&none, ERR_UNAVAILABLE, "supervisor session not connected"), "push: nobody is connected");
    tap_ok(greet(h, &p, "s-1", "i") && sessions_has(h->services.sessions, STR("s-1")) &&
               !sessions_has(h->services.sessions, STR("s-2")),
           "one is connected, and just that one");
    struct pusher good = {.h = h, .id = "s-1", .ms = 5000};
    push_start(&good);
    uint64_t id = take_push(&p, &size);
    answer(&p, id + 1, 9, 9, "to nobody");
    answer(&p, id, 7, 3, "");
    tap_ok(push_is(&good, ERR_OK, "") && good.result.policy_version == 7 &&
               good.result.connections_cut == 3 && !good.result.error[0],
           "push: its own answer, and no other");
    struct pusher refused = {.h = h, .id = "s-1", .ms = 5000};
    push_start(&refused);
    answer(&p, take_push(&p, &size), 7, 0, "line 3\x1b[31m");
    tap_ok(push_is(&refused, ERR_OK, "") && strcmp(refused.result.error, "line 3?[31m") == 0,
           "push: a refusal, printable");
    struct pusher late = {.h = h, .id = "s-1", .ms = 200};
    push_start(&late);
    uint64_t late_id = take_push(&p, &size);
    tap_ok(push_is(&late, ERR_TIMEOUT, "the supervisor has not answered yet"), "push: no answer in time");
    answer(&p, late_id, 8, 0, "");
    struct pusher next = {.h = h, .id = "s-1", .ms = 5000};
    push_start(&next);
    answer(&p, take_push(&p, &size), 9, 0, "");
    tap_ok(push_is(&next, ERR_OK, "") && next.result.policy_version == 9,
           "push: an answer that is late is for nobody");
    struct pusher cut = {.h = h, .id = "s-1", .ms = 5000};
    push_start(&cut);
    (void)take_push(&p, &size);
    leave(&p);
    tap_ok(push_is(&cut, ERR_UNAVAILABLE, "the supervisor is gone"),
           "push: a session that ends ends the wait");
}

// More than the stream's queue and window hold: what does not fit waits for room, in order.
static void test_large(struct harness *h)
{
    enum { PUSHES = 6 };
    static char big[BIG + 1];
    struct pusher all[PUSHES];
    struct peer p = {};
    memset(big, 'x', BIG);
    bool ok = greet(h, &p, "s-1", "i");
    for (size_t i = 0; i < PUSHES; i++) {
        all[i] = (struct pusher){.h = h, .id = "s-1", .ms = i == 4 ? 300 : 20'000, .hash = big};
        push_start(&all[i]);
        (void)usleep(20'000); // so that they are in this order
    }
    tap_ok(ok && push_is(&all[4], ERR_TIMEOUT, "the supervisor has not answered yet"),
           "large pushes: who gives up before its turn is left out");
    uint64_t before = 0;
    for (size_t i = 0; i < PUSHES - 1; i++) {
        size_t size = 0;
        uint64_t id = take_push(&p, &size);
        ok = ok && id > before && size == BIG;
        before = id;
        answer(&p, id, (uint32_t)i + 1, 0, "");
    }
    for (size_t i = 0; i < PUSHES; i++)
        if (i != 4)
            ok = push_is(&all[i], ERR_OK, "") && all[i].result.policy_version == (i < 4 ? i + 1 : i) && ok;
    tap_ok(ok, "large pushes: the others come whole and in order");
    leave(&p);
}

static void test_notes(struct harness *h)
{
    char text[1024];
    struct peer a = {}, b = {};
    (void)noted(2 * 2, text); // of the tests before
    bool ok = greet(h, &a, "s-1", "one");
    ok = ok && greet(h, &b, "s-1", "two");
    leave(&a);
    ok = ok && strcmp(noted(2, text), "+one +two ") == 0;
    tap_ok(ok, "a newer session is told, and that the older one ended is not");
    leave(&b);
    tap_ok(strcmp(noted(1, text), "- ") == 0 && !sessions_has(h->services.sessions, STR("s-1")),
           "the end of the last one is");
    (void)pthread_mutex_lock(&seen.mu);
    seen.slow_ms = 5;
    (void)pthread_mutex_unlock(&seen.mu);
    char want[1024] = "";
    size_t at = 0;
    for (int i = 0; i < 10; i++) {
        ok = greet(h, &a, "s-1", "x") && ok;
        leave(&a);
        at += (size_t)snprintf(want + at, sizeof(want) - at, "+x - ");
    }
    tap_ok(ok && strcmp(noted(20, text), want) == 0 && !seen.overlapped,
           "coming and going is told in order, one by one");
    tap_note("%s", text);
}

static void test_drop(struct harness *h)
{
    struct peer p = {};
    struct err err = {};
    char text[1024];
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    V1(GatewayMessage) *m = NULL;
    bool ok = greet(h, &p, "s-1", "i");
    sessions_drop(h->services.sessions, STR("s-2"));
    sessions_drop(h->services.sessions, STR("s-1"));
    tap_ok(ok && !next_message(&p, &a, &m, &err) && strcmp(err.msg, "the sandbox was stopped") == 0 &&
               rpc_client_status(p.client)->code == RPC_UNAVAILABLE,
           "drop: its session ends");
    tap_ok(strcmp(noted(2, text), "+i - ") == 0 && !sessions_has(h->services.sessions, STR("s-1")),
           "drop: and is told");
    leave(&p);
    ok = greet(h, &p, "s-1", "i") && strcmp(noted(1, text), "+i ") == 0;
    do_on_loop(h, end_sessions);
    tap_ok(ok && !next_message(&p, &a, &m, &err) && strcmp(err.msg, "the gateway is ending") == 0,
           "the end of the gateway: its sessions end");
    tap_ok(noted(0, text)[0] == '\0', "and nobody is told that sandboxes are away");
    leave(&p);
    tap_ok(!greet(h, &p, "s-1", "i"), "nor may another begin");
    leave(&p);
}

int main(void)
{
    struct harness h;
    harness_start(&h, place_new("/tmp"));
    const struct sessions_ops ops = {.connected = on_connected, .disconnected = on_disconnected};
    harness_must(sessions_new(&ops, &h.services.sessions, &h.err), &h.err);
    do_on_loop(&h, attach);
    harness_sandbox(&h, "s-1", "one", NULL);
    harness_sandbox(&h, "s-2", "two", NULL);
    test_push(&h);
    test_large(&h);
    test_notes(&h);
    test_drop(&h);
    harness_stop(&h);
    sessions_free(h.services.sessions);
    place_done(&h.place);
    return tap_done();
}
