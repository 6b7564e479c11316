#include "gateway/watch.h"

#include "gateway/harness_test.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct harness h;

typedef V1(SandboxStreamEvent) Event;

static struct rpc_wait soon(int64_t ms)
{
    return (struct rpc_wait){deadline_in_ms(ms), -1};
}

static void say_as(const char *id, const char *level, const char *source, int64_t ms, const char *fmt,
                   unsigned i)
{
    char text[64];
    V1(SandboxLogLine) m = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    (void)snprintf(text, sizeof(text), "%s %u", fmt, i);
    m.level = (char *)(uintptr_t)level;
    m.source = (char *)(uintptr_t)source;
    m.timestamp_ms = ms;
    m.message = text;
    watch_log(h.services.watch, str_of(id), &m);
}

static void say(const char *id, unsigned i)
{
    say_as(id, "INFO", "sandbox", 1000 + i, "line", i);
}

static void happen(const char *id, const char *reason)
{
    V1(PlatformEvent) m = OPENSHELL__V1__PLATFORM_EVENT__INIT;
    m.reason = (char *)(uintptr_t)reason;
    watch_event(h.services.watch, str_of(id), &m);
}

// ---- a watcher

struct viewer {
    struct rpc_client *client;
    struct rpc_client_call *call;
    struct arena arena;
    struct err err;
    bool end;
};

static void view_begin(struct viewer *v, const V1(WatchSandboxRequest) * m)
{
    *v = (struct viewer){};
    arena_init(&v->arena, 16 * MIB);
    const struct rpc_config config = RPC_CONFIG_CLIENT;
    const struct rpc_wait wait = soon(20'000);
    harness_must(rpc_dial(str_of(h.socket), &config, &wait, &v->client, &v->err), &v->err);
    harness_must(rpc_open(v->client, RPC_OPEN_SHELL_WATCH_SANDBOX, &wait, &v->call, &v->err), &v->err);
    harness_must(rpc_write(v->call, &m->base, RPC_BLOCK, &v->err), &v->err);
    rpc_write_end(v->call);
}

// NULL: it has ended; v->end: well.
static const Event *view_next(struct viewer *v)
{
    ProtobufCMessage *m = NULL;
    if (rpc_read(v->call, RPC_BLOCK, &v->arena, &m, &v->end, &v->err) != ERR_OK)
        return NULL;
    return (const Event *)(const void *)m;
}

static bool view_line(struct viewer *v, const char *message)
{
    const Event *e = view_next(v);
    bool ok = e && e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG &&
              strcmp(e->log->message, message) == 0;
    if (!ok)
        tap_note("case %d '%s', wanted '%s'; %s", e ? (int)e->payload_case : -1,
                 e && e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG ? e->log->message
                                                                                          : "",
                 message, v->err.msg);
    return ok;
}

static bool view_sandbox(struct viewer *v, V1(SandboxPhase) phase)
{
    const Event *e = view_next(v);
    return e && e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX &&
           e->sandbox->status && e->sandbox->status->phase == phase;
}

static enum rpc_code view_code(struct viewer *v)
{
    while (view_next(v))
        ;
    return v->end ? RPC_OK : rpc_client_status(v->client)->code;
}

static void view_end(struct viewer *v)
{
    rpc_close(v->call);
    rpc_client_free(v->client);
    arena_done(&v->arena);
}

static V1(WatchSandboxRequest) request(const char *id)
{
    V1(WatchSandboxRequest) m = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    m.id = (char *)(uintptr_t)id;
    return m;
}

static int to_ready(V1(Sandbox) * sandbox, void *ctx, struct arena *a, struct err *reterr)
{
    (void)a, (void)reterr;
    V1(SandboxPhase) *phase = ctx;
    sandbox->status->phase = *phase;
    return ERR_OK;
}

static void set_phase(const char *id, V1(SandboxPhase) phase)
{
    V1(Sandbox) *sandbox = NULL;
    uint64_t version;
    harness_must(record_update(h.services.store, str_of(id), 0, to_ready, &phase, &h.arena, &sandbox,
                               &version, &h.err),
                 &h.err);
    watch_changed(h.services.watch, str_of(id));
}
#define PHASE(name) OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_##name

// ---- the stream

static void test_snapshot(void)
{
    struct viewer v;
    V1(WatchSandboxRequest) m = request("");
    view_begin(&v, &m);
    tap_ok(view_code(&v) == RPC_INVALID_ARGUMENT && strcmp(v.err.msg, "id is required") == 0,
           "an id is required");
    view_end(&v);
    m = request("none");
    m.follow_status = true;
    view_begin(&v, &m);
    tap_ok(view_code(&v) == RPC_NOT_FOUND && strcmp(v.err.msg, "sandbox not found") == 0, "of a sandbox");
    view_end(&v);
    m = request("w-1");
    view_begin(&v, &m);
    tap_ok(view_sandbox(&v, PHASE(UNSPECIFIED)) && !view_next(&v) && v.end,
           "the record comes also where nothing is followed, and that is all");
    view_end(&v);
    m.follow_status = true;
    m.stop_on_terminal = true;
    view_begin(&v, &m);
    tap_ok(view_sandbox(&v, PHASE(UNSPECIFIED)), "the record comes first");
    set_phase("w-1", PHASE(ERROR));
    tap_ok(view_sandbox(&v, PHASE(ERROR)), "an error does not end it");
    set_phase("w-1", PHASE(READY));
    tap_ok(view_sandbox(&v, PHASE(READY)) && !view_next(&v) && v.end, "ready does");
    view_end(&v);
    view_begin(&v, &m);
    tap_ok(view_sandbox(&v, PHASE(READY)) && !view_next(&v) && v.end, "at once where it is so");
    view_end(&v);
}

static void test_tail(void)
{
    struct viewer v;
    for (unsigned i = 0; i < 300; i++)
        say("w-1", i);
    happen("w-1", "Pulling");
    happen("w-1", "Started");
    V1(WatchSandboxRequest) m = request("w-1");
    m.follow_logs = true;
    m.log_tail_lines = 3;
    view_begin(&v, &m);
    tap_ok(view_next(&v) && view_line(&v, "line 297") && view_line(&v, "line 298") &&
               view_line(&v, "line 299"),
           "the last lines first");
    say("w-1", 300);
    tap_ok(view_line(&v, "line 300"), "then what comes");
    view_end(&v);
    m.log_tail_lines = 0;
    view_begin(&v, &m);
    tap_ok(view_next(&v) && view_line(&v, "line 101"), "200 of them where it is not said how many");
    view_end(&v);
    m = request("w-1");
    m.follow_events = true;
    m.event_tail = 1;
    view_begin(&v, &m);
    (void)view_next(&v);
    const Event *e = view_next(&v);
    tap_ok(e && e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT &&
               strcmp(e->event->reason, "Started") == 0,
           "the last event");
    happen("w-1", "Ended");
    e = view_next(&v);
    tap_ok(e && strcmp(e->event->reason, "Ended") == 0, "and what happens");
    view_end(&v);
    m.event_tail = 0;
    view_begin(&v, &m);
    (void)view_next(&v);
    say("w-1", 301);
    happen("w-1", "Again");
    e = view_next(&v);
    tap_ok(e && e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT &&
               strcmp(e->event->reason, "Again") == 0,
           "no event of before, and no line, where that was not asked for");
    view_end(&v);
}

static void test_filters(void)
{
    struct viewer v;
    char *sources[] = {(char *)(uintptr_t) "gateway"};
    say_as("w-2", "INFO", "", 2000, "ours", 0);
    say_as("w-2", "DEBUG", "gateway", 2000, "quiet", 0);
    say_as("w-2", "WARN", "sandbox", 2000, "theirs", 0);
    say_as("w-2", "INFO", "gateway", 1000, "old", 0);
    V1(WatchSandboxRequest) m = request("w-2");
    m.follow_logs = true;
    m.log_sources = sources;
    m.n_log_sources = 1;
    m.log_min_level = (char *)(uintptr_t) "info";
    m.log_since_ms = 1500;
    view_begin(&v, &m);
    tap_ok(view_next(&v) && view_line(&v, "ours 0"), "a line without a source is the gateway's");
    say_as("w-2", "TRACE", "gateway", 2000, "quiet", 1);
    say_as("w-2", "ERROR", "sandbox", 2000, "theirs", 1);
    say_as("w-2", "error", "gateway", 10, "live", 1);
    tap_ok(view_line(&v, "live 1"), "source and level hold for what comes, the time for what was");
    view_end(&v);
}

static void test_slow(void)
{
    struct viewer v;
    V1(WatchSandboxRequest) m = request("w-3");
    m.follow_logs = true;
    view_begin(&v, &m);
    tap_ok(view_next(&v) != NULL, "a watcher that then reads nothing");
    enum { MANY = 30'000 };
    V1(HealthRequest) health = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    for (unsigned i = 0; i < MANY; i++) {
        say("w-3", i);
        if (i % 64 == 0 && !harness_call(&h, RPC_OPEN_SHELL_HEALTH, &health.base)) // the loop keeps up
            tap_note("%s", h.err.msg);
    }
    unsigned got = 0;
    uint64_t lost = 0;
    const Event *e;
    bool in_order = true;
    while ((e = view_next(&v))) {
        char want[32];
        (void)snprintf(want, sizeof(want), "line %u", got++);
        in_order = in_order && strcmp(e->log->message, want) == 0;
    }
    struct str words = str_of(v.err.msg), number = {};
    if (str_skip(&words, STR("watch stream lagged; dropped ")) && str_split(&words, ' ', &number))
        (void)!str_u64(number, MANY, &lost);
    tap_ok(!v.end && rpc_client_status(v.client)->code == RPC_RESOURCE_EXHAUSTED && in_order &&
               got + lost == MANY,
           "is told how many it has missed: %u came, %llu were lost", got, (unsigned long long)lost);
    view_end(&v);
}

static void test_slow_status(void)
{
    struct viewer v;
    V1(WatchSandboxRequest) m = request("w-5");
    V1(HealthRequest) health = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    m.follow_status = true;
    view_begin(&v, &m);
    (void)view_next(&v);
    for (unsigned i = 0; i < 60; i++) {
        set_phase("w-5", i % 2 ? PHASE(PROVISIONING) : PHASE(ERROR));
        for (unsigned k = 0; k < 4; k++) // its turn comes
            (void)harness_call(&h, RPC_OPEN_SHELL_HEALTH, &health.base);
    }
    set_phase("w-5", PHASE(STOPPED));
    unsigned seen = 0;
    bool last = false;
    for (const Event *e; !last && (e = view_next(&v)); seen++)
        last = e->sandbox->status->phase == PHASE(STOPPED);
    tap_ok(last && seen < 60, "a slow watcher misses states (it saw %u of 60), but not the last", seen);
    view_end(&v);
}

static void test_gone(void)
{
    struct viewer status, logs;
    V1(WatchSandboxRequest) m = request("w-4");
    m.follow_logs = true;
    view_begin(&logs, &m);
    m.follow_status = true;
    view_begin(&status, &m);
    (void)view_next(&logs);
    (void)view_next(&status);
    say("w-4", 1);
    harness_must(record_remove(h.services.store, STR("w-4"), &h.err), &h.err);
    watch_changed(h.services.watch, STR("w-4"));
    watch_forget(h.services.watch, STR("w-4"));
    tap_ok(view_line(&status, "line 1") && view_code(&status) == RPC_OK,
           "a sandbox that is removed ends the stream that follows it");
    tap_ok(view_line(&logs, "line 1") && view_code(&logs) == RPC_CANCELLED &&
               strcmp(logs.err.msg, "stream closed") == 0,
           "and closes others");
    view_end(&status);
    view_end(&logs);
    say("w-4", 2);
    V1(SandboxLogLine) **lines = NULL;
    size_t n = 9;
    tap_ok(watch_tail(h.services.watch, STR("w-4"), 10, &h.arena, &lines, &n, &h.err) == ERR_OK && n == 0,
           "its lines are gone, and late ones are dropped");
}

static void test_leaving(void)
{
    for (unsigned i = 0; i < 50; i++) {
        struct viewer v;
        V1(WatchSandboxRequest) m = request("w-1");
        m.follow_logs = m.follow_status = m.follow_events = true;
        view_begin(&v, &m);
        if (i % 3)
            (void)view_next(&v);
        say("w-1", i);
        watch_changed(h.services.watch, STR("w-1"));
        view_end(&v);
    }
    V1(HealthRequest) health = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    tap_ok(harness_call(&h, RPC_OPEN_SHELL_HEALTH, &health.base) != NULL, "watchers may leave at any moment");
}

static void stop_watching(void *arg)
{
    watch_stop(arg);
}

static void test_ending(void)
{
    struct viewer v;
    V1(WatchSandboxRequest) m = request("w-1");
    m.follow_status = true;
    view_begin(&v, &m);
    (void)view_next(&v);
    harness_must(rpc_server_post(h.server, stop_watching, h.services.watch, &h.err), &h.err);
    tap_ok(view_code(&v) == RPC_UNAVAILABLE && strcmp(v.err.msg, "the gateway is ending") == 0,
           "a gateway that ends says so to watchers");
    view_end(&v);
    view_begin(&v, &m);
    tap_ok(view_code(&v) == RPC_UNAVAILABLE, "and begins no more");
    view_end(&v);
}

// ---- rings and files

static size_t tail(const char *id, size_t n, V1(SandboxLogLine) * **ret)
{
    size_t got = 0;
    harness_must(watch_tail(h.services.watch, str_of(id), n, &h.arena, ret, &got, &h.err), &h.err);
    return got;
}

static void test_ring(void)
{
    V1(SandboxLogLine) **v = NULL;
    for (unsigned i = 0; i < 2500; i++)
        say("r-1", i);
    tap_ok(tail("r-1", 9999, &v) == WATCH_LOG_LINES && strcmp(v[0]->message, "line 500") == 0 &&
               strcmp(v[1999]->message, "line 2499") == 0 && strcmp(v[0]->sandbox_id, "r-1") == 0,
           "2000 lines are kept");
    tap_ok(tail("r-1", 2, &v) == 2 && strcmp(v[0]->message, "line 2498") == 0, "the last two of them");
    tap_ok(tail("nobody", 2, &v) == 0, "a sandbox that nobody knows has none");
    static char big[100'000];
    V1(SandboxLogLine) m = OPENSHELL__V1__SANDBOX_LOG_LINE__INIT;
    memset(big, 'a', sizeof(big) - 1);
    memcpy(big + WATCH_LINE_MAX - 1, "\xc3\xa4", 2); // a character across the limit
    m.message = m.target = m.level = big;
    watch_log(h.services.watch, STR("r-2"), &m);
    tap_ok(tail("r-2", 1, &v) == 1 && strlen(v[0]->message) == WATCH_LINE_MAX - 1 &&
               strlen(v[0]->target) == 256,
           "a long line is cut, in front of a character that does not fit");
    m.message = (char *)(uintptr_t) "\x1b[31mred\x1b[0m\r\n\x07 event";
    m.target = m.level = (char *)(uintptr_t) "x";
    watch_log(h.services.watch, STR("r-2"), &m);
    tap_ok(tail("r-2", 1, &v) == 1 && strcmp(v[0]->message, m.message) == 0,
           "control characters are kept as they are, for whoever shows them to deal with");
    for (unsigned i = 0; i < 300; i++) {
        m.message = big;
        watch_log(h.services.watch, STR("r-2"), &m);
    }
    size_t n = tail("r-2", 9999, &v);
    tap_ok(n > 40 && n < 64, "and a mebibyte of lines (%zu)", n);
    watch_log(h.services.watch, STR("../r-3"), &m);
    tap_ok(tail("../r-3", 1, &v) == 0, "an id that would be another file is none");
}

static off_t size_of(const char *name)
{
    char path[256];
    struct stat st = {};
    (void)snprintf(path, sizeof(path), "%s/logs/%s", h.place.folder, name);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void restart(void)
{
    struct place place = h.place;
    harness_stop(&h);
    harness_start(&h, place);
}

static void test_files(void)
{
    V1(SandboxLogLine) **v = NULL;
    for (unsigned i = 0; i < 10; i++)
        say("f-1", i);
    restart();
    say("f-1", 10);
    tap_ok(tail("f-1", 99, &v) == 11 && strcmp(v[0]->message, "line 0") == 0 &&
               strcmp(v[10]->message, "line 10") == 0 && v[0]->timestamp_ms == 1000 &&
               strcmp(v[0]->source, "sandbox") == 0,
           "lines are there after a restart, before those that came since");
    tap_ok(tail("r-1", 9999, &v) == 2000 && strcmp(v[0]->message, "line 500") == 0, "as many as were kept");
    restart();
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/logs/f-1.log", h.place.folder);
    off_t whole = size_of("f-1.log");
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    tap_ok(fd >= 0 && write(fd, "\x40\0\0\0half", 8) == 8, "a record that a crash has cut off");
    (void)close(fd);
    tap_ok(tail("f-1", 99, &v) == 11 && size_of("f-1.log") == whole, "is taken away");
    say("f-1", 11);
    restart();
    tap_ok(tail("f-1", 99, &v) == 12 && strcmp(v[11]->message, "line 11") == 0, "so that others can follow");
    for (unsigned k = 0; k < 8; k++) {
        for (unsigned i = 0; i < 8000; i++)
            say_as("f-2", "INFO", "sandbox", 1, "a line that is a little longer than the others of this",
                   k * 8000 + i);
        restart();
    }
    off_t now = size_of("f-2.log"), older = size_of("f-2.1.log");
    tap_ok(older >= WATCH_FILE_MAX && older < 3 * WATCH_FILE_MAX && now < 3 * WATCH_FILE_MAX,
           "two files at most, of bounded size (%lld, %lld)", (long long)now, (long long)older);
    size_t n = tail("f-2", 9999, &v);
    tap_ok(n == 2000 && strstr(v[1999]->message, " 63999"), "which have the last lines");
    watch_forget(h.services.watch, STR("f-2"));
    watch_forget(h.services.watch, STR("f-1"));
    restart();
    tap_ok(size_of("f-2.log") < 0 && size_of("f-2.1.log") < 0 && size_of("f-1.log") < 0,
           "and go with their sandbox");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    harness_sandbox(&h, "w-1", "one", NULL);
    harness_sandbox(&h, "w-2", "two", NULL);
    harness_sandbox(&h, "w-3", "three", NULL);
    harness_sandbox(&h, "w-4", "four", NULL);
    SB1(SandboxPolicy) large = OPENSHELL__SANDBOX__V1__SANDBOX_POLICY__INIT;
    SB1(FilesystemPolicy) files = OPENSHELL__SANDBOX__V1__FILESYSTEM_POLICY__INIT;
    static char path[100'000], *paths[] = {path};
    memset(path, 'p', sizeof(path) - 1);
    files.read_only = paths;
    files.n_read_only = 1;
    large.filesystem = &files;
    harness_sandbox(&h, "w-5", "five", &large); // as it would never be made, but it is only shown
    test_snapshot();
    test_tail();
    test_filters();
    test_slow();
    test_slow_status();
    test_gone();
    test_leaving();
    test_ending();
    test_ring();
    test_files();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
