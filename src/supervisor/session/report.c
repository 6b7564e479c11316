#include <errno.h>

#include "base/clock.h"
#include "supervisor/session/internal.h"

enum {
    BACKOFF_FIRST_MS = 250, // reference: policy 9.3
    BACKOFF_LAST_MS = 2000,
    ANSWER_MS = 10'000,
    BATCH_LINES = 50,       // reference: policy 9.4
    BATCH_MS = 20,          // ours: who asks for the log after a refusal finds it there
    BATCH_BYTES = 48 * KIB, // that fit beside others into half a queue
    REPORT_ARENA = 64 * KIB,
};

// ---- calls with one answer

static const struct rpc_wait *wait_of(struct rpc_wait *w)
{
    *w = (struct rpc_wait){deadline_in_ms(ANSWER_MS), -1};
    return w;
}

static void send_exit(struct session *s, struct rpc_client_call *call)
{
    struct err ignored; // reading says how it ended
    GATEWAY(ReportMainProcessExitRequest) m = OPENSHELL__V1__REPORT_MAIN_PROCESS_EXIT_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    m.instance_id = s->instance;
    m.exit_code = s->main.exit_code;
    (void)!rpc_write(call, &m.base, RPC_QUEUE, &ignored);
}

static void send_policy(struct session *s, struct rpc_client_call *call)
{
    struct err ignored; // ditto
    GATEWAY(ReportPolicyStatusRequest) m = OPENSHELL__V1__REPORT_POLICY_STATUS_REQUEST__INIT;
    bool failed = s->policy_error[0] != '\0';
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    m.version = s->reported_version;
    m.status = failed ? GW_CASE(POLICY_STATUS__POLICY_STATUS_FAILED)
                      : GW_CASE(POLICY_STATUS__POLICY_STATUS_LOADED);
    m.load_error = s->policy_error;
    (void)!rpc_write(call, &m.base, RPC_QUEUE, &ignored);
}

static void send_refresh(struct session *s, struct rpc_client_call *call)
{
    (void)s;
    struct err ignored; // ditto
    GATEWAY(RefreshSandboxTokenRequest) m = OPENSHELL__V1__REFRESH_SANDBOX_TOKEN_REQUEST__INIT;
    (void)!rpc_write(call, &m.base, RPC_QUEUE, &ignored);
}

static void again(struct report *r)
{
    r->backoff_ms = r->backoff_ms == 0                    ? BACKOFF_FIRST_MS
                    : r->backoff_ms * 2 < BACKOFF_LAST_MS ? r->backoff_ms * 2
                                                          : BACKOFF_LAST_MS;
    r->at_ns = deadline_in_ms(r->backoff_ms);
}

// What a second try would not change: the gateway knows better, or has no use for it.
static bool is_final(const struct session *s)
{
    enum rpc_code code = rpc_client_status(s->client)->code;
    return code == RPC_INVALID_ARGUMENT || code == RPC_NOT_FOUND || code == RPC_UNIMPLEMENTED ||
           code == RPC_FAILED_PRECONDITION;
}

static void move(struct session *s, struct report *r, enum rpc_method_id method,
                 void (*send)(struct session *s, struct rpc_client_call *call))
{
    struct rpc_wait w;
    struct err err;
    if (r->due && !r->call && deadline_passed(r->at_ns)) {
        if (rpc_open(s->client, method, wait_of(&w), &r->call, &err) != ERR_OK) {
            again(r);
            return;
        }
        r->due = false;
        send(s, r->call);
        rpc_write_end(r->call);
    }
    if (!r->call)
        return;
    CLEANUP(arena_wipe) struct arena a; // a token may come
    arena_init(&a, REPORT_ARENA);
    ProtobufCMessage *m = NULL;
    bool end = false;
    enum err_code code = rpc_read(r->call, RPC_QUEUE, &a, &m, &end, &err);
    if (code == ERR_OK && !m && !end)
        return;
    if (code != ERR_OK && !is_final(s)) {
        r->due = true;
        again(r);
    } else {
        r->backoff_ms = 0;
        r->at_ns = 0;
        if (code == ERR_OK && m && r == &s->token_report)
            token_heard(s, (const GATEWAY(RefreshSandboxTokenResponse) *)(const void *)m);
    }
    rpc_close(TAKE(r->call));
}

// ---- events

void session_event(struct session *s, struct str line)
{
    struct event_queue *q = &s->events;
    static const struct str mark = STR_INIT(" OCSF ");
    const char *at = memmem(line.p, line.n, mark.p, mark.n);
    int64_t now_ms = clock_realtime_ms();
    char record[sizeof(now_ms) + EVENT_TEXT_MAX];
    if (!at || q->off)
        return;
    struct str text = str_trim(str_from(line, (size_t)(at - line.p) + mark.n));
    text = str_head(text, EVENT_TEXT_MAX);
    if (text.n == 0)
        return;
    memcpy(record, &now_ms, sizeof(now_ms));
    memcpy(record + sizeof(now_ms), text.p, text.n);
    if (!ring_add(&q->ring, RING_OUT, (struct str){record, sizeof(now_ms) + text.n}))
        q->lost++;
    if (q->flush_by_ns == DEADLINE_NEVER)
        q->flush_by_ns = deadline_in_ms(BATCH_MS);
    if (++q->waiting >= BATCH_LINES)
        q->flush_by_ns = 0;
}

struct batch {
    GATEWAY(SandboxLogLine) lines[BATCH_LINES];
    GATEWAY(SandboxLogLine) * list[BATCH_LINES];
    size_t n;
};

static bool add_line(struct session *s, struct batch *b, struct arena *a, int64_t ms, struct str text)
{
    GATEWAY(SandboxLogLine) *l = &b->lines[b->n];
    struct str copy;
    if (!arena_dup(a, text, &copy))
        return false;
    openshell__v1__sandbox_log_line__init(l);
    l->sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    l->timestamp_ms = ms;
    l->level = (char *)(uintptr_t) "OCSF";
    l->target = (char *)(uintptr_t) "ocsf";
    l->message = (char *)(uintptr_t)copy.p;
    l->source = (char *)(uintptr_t) "sandbox";
    b->list[b->n++] = l;
    return true;
}

static void fill(struct session *s, struct batch *b, struct arena *a)
{
    struct event_queue *q = &s->events;
    char record[RING_RECORD_MAX], note[80];
    enum ring_source source;
    size_t bytes = 0;
    while (b->n < BATCH_LINES - 1 && bytes < BATCH_BYTES) {
        size_t n = 0;
        bool lost = false;
        uint64_t before = q->read;
        bool got = ring_read(&q->ring, &q->at, &source, record, &n, &lost);
        if (lost) {
            q->lost += q->ring.first - before;
            q->read = q->ring.first;
            continue;
        }
        if (!got)
            break;
        int64_t ms;
        memcpy(&ms, record, sizeof(ms));
        q->read++;
        bytes += n;
        if (!add_line(s, b, a, ms, (struct str){record + sizeof(ms), n - sizeof(ms)}))
            break;
    }
    if (q->lost == 0)
        return;
    (void)snprintf(note, sizeof(note), "%llu events were dropped: the gateway was not there for them",
                   (unsigned long long)q->lost);
    if (add_line(s, b, a, clock_realtime_ms(), str_of(note)))
        q->lost = 0;
}

static void push(struct session *s)
{
    struct event_queue *q = &s->events;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct batch *b = arena_new(&a, struct batch);
    if (!b)
        return;
    fill(s, b, &a);
    GATEWAY(PushSandboxLogsRequest) m = OPENSHELL__V1__PUSH_SANDBOX_LOGS_REQUEST__INIT;
    m.sandbox_id = (char *)(uintptr_t)s->opts.sandbox_id;
    m.logs = b->list;
    m.n_logs = b->n;
    struct err ignored; // the call has ended: reading it says how
    if (b->n > 0)
        (void)!rpc_write(q->call, &m.base, RPC_QUEUE, &ignored);
    q->waiting = 0;
    q->flush_by_ns = q->at < q->ring.newest ? 0 : DEADLINE_NEVER;
}

// One call for as long as the connection is there.
static void move_events(struct session *s)
{
    struct event_queue *q = &s->events;
    const struct rpc_wait forever = {DEADLINE_NEVER, -1};
    struct err err;
    if (q->off || q->retry_ns > clock_ns())
        return;
    if (!q->call && (!deadline_passed(q->flush_by_ns) || rpc_open(s->client, RPC_OPEN_SHELL_PUSH_SANDBOX_LOGS,
                                                                  &forever, &q->call, &err) != ERR_OK))
        return;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, REPORT_ARENA);
    ProtobufCMessage *m = NULL;
    bool end = false;
    if (rpc_read(q->call, RPC_QUEUE, &a, &m, &end, &err) != ERR_OK || end || m) {
        enum rpc_code code = rpc_client_status(s->client)->code;
        q->off = code == RPC_UNIMPLEMENTED || code == RPC_UNAUTHENTICATED; // reference: policy 9.4
        q->retry_ns = deadline_in_ms(BACKOFF_LAST_MS);
        rpc_close(TAKE(q->call));
    } else if (deadline_passed(q->flush_by_ns) && rpc_has_room(q->call)) {
        push(s);
    }
}

// ---- all of them

void reports_move(struct session *s)
{
    move(s, &s->exit_report, RPC_OPEN_SHELL_REPORT_MAIN_PROCESS_EXIT, send_exit);
    move(s, &s->policy_report, RPC_OPEN_SHELL_REPORT_POLICY_STATUS, send_policy);
    move(s, &s->token_report, RPC_OPEN_SHELL_REFRESH_SANDBOX_TOKEN, send_refresh);
    move_events(s);
}

void reports_lose(struct session *s)
{
    struct report *const all[] = {&s->exit_report, &s->policy_report, &s->token_report};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i]->due = all[i]->due || all[i]->call; // not answered: perhaps not heard
        rpc_close(TAKE(all[i]->call));
    }
    rpc_close(TAKE(s->events.call));
}

int64_t reports_next_ns(const struct session *s)
{
    int64_t next = DEADLINE_NEVER;
    const struct report *const all[] = {&s->exit_report, &s->policy_report, &s->token_report};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]->due && !all[i]->call && all[i]->at_ns < next)
            next = all[i]->at_ns;
    const struct event_queue *q = &s->events;
    int64_t flush_ns = q->flush_by_ns > q->retry_ns ? q->flush_by_ns : q->retry_ns;
    if (!q->off && q->flush_by_ns != DEADLINE_NEVER && (!q->call || rpc_has_room(q->call)) && flush_ns < next)
        next = flush_ns;
    return next;
}
