#include "cli/sandbox_watch.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/show.h"

enum { SPIN_MS = 120, EVENT_TAIL = 50, STEP_MAX = 80, DETAIL_MAX = 120 };

int64_t sandbox_wait_ms(const char *variable, int64_t def_seconds)
{
    uint64_t n = 0;
    const char *v = getenv(variable);
    bool ok = v && v[0] && str_u64(str_of(v), 1'000'000, &n);
    return (ok ? (int64_t)n : def_seconds) * 1000;
}

void sandbox_elapsed(int64_t ms, char dst[static ELAPSED_SIZE])
{
    long long s = ms / 1000;
    if (s < 60)
        (void)snprintf(dst, ELAPSED_SIZE, "%llds", s);
    else
        (void)snprintf(dst, ELAPSED_SIZE, "%lldm %llds", s / 60, s % 60);
}

// ---- progress

struct progress {
    struct cli *cli;
    enum progress_kind kind;
    int64_t start_ns, step_ns; // of all, of the step
    size_t spin, lines;        // lines: that stand above the changing one
    char step[STEP_MAX], detail[DETAIL_MAX];
};

static int64_t ms_since(int64_t ns)
{
    return (clock_ns() - ns) / 1'000'000;
}

// The line that changes: "⠋ Requesting sandbox... (3s)".
static void draw(struct progress *p)
{
    static const char *const frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const ascii[] = {"|", "/", "-", "\\"};
    struct buf *out = &p->cli->out;
    const struct term *t = &p->cli->out_term;
    char elapsed[ELAPSED_SIZE];
    if (p->kind != PROGRESS_TERMINAL)
        return;
    sandbox_elapsed(ms_since(p->step_ns), elapsed);
    buf_addf(out, "\r\033[K");
    term_put(out, t, STYLE_CYAN, "%s",
             t->unicode ? frames[p->spin % ARRAY_LEN(frames)] : ascii[p->spin % ARRAY_LEN(ascii)]);
    p->spin++;
    buf_addf(out, " %s... ", p->step);
    size_t used = strlen(p->step) + strlen(elapsed) + 10;
    if (p->detail[0] && used + strlen(p->detail) < t->width) {
        term_put(out, t, STYLE_DIM, "%s", p->detail);
        buf_addc(out, ' ');
    }
    term_put(out, t, STYLE_DIM, "(%s)", elapsed);
    cli_flush(p->cli);
}

static void progress_start(struct progress *p, const char *step)
{
    p->start_ns = p->step_ns = clock_ns();
    (void)snprintf(p->step, sizeof(p->step), "%s", step);
    if (p->kind == PROGRESS_LINES) {
        buf_addf(&p->cli->out, "  [0.0s] Requesting compute...\n");
        cli_flush(p->cli);
    }
    draw(p);
}

// Takes the block away again.
static void progress_end(struct progress *p)
{
    if (p->kind != PROGRESS_TERMINAL)
        return;
    buf_addf(&p->cli->out, "\r\033[K");
    for (size_t i = 0; i < p->lines; i++)
        buf_addf(&p->cli->out, "\033[A\033[K");
    cli_flush(p->cli);
}

static void step_line(struct progress *p, const char *text)
{
    struct buf *out = &p->cli->out;
    char elapsed[ELAPSED_SIZE];
    if (p->kind == PROGRESS_LINES) {
        buf_addf(out, "[%.1fs] ", (double)ms_since(p->start_ns) / 1000);
        term_name(out, text);
        buf_addc(out, '\n');
    } else if (p->kind == PROGRESS_TERMINAL) {
        sandbox_elapsed(ms_since(p->step_ns), elapsed);
        buf_addf(out, "\r\033[K");
        term_put(out, &p->cli->out_term, STYLE_GREEN, "%s", p->cli->out_term.unicode ? "✓" : "+");
        buf_addc(out, ' ');
        term_name(out, text);
        buf_addf(out, " (%s)\n", elapsed);
        p->lines++;
    }
    cli_flush(p->cli);
}

static const char *meta(const Openshell__V1__PlatformEvent *e, const char *key)
{
    for (size_t i = 0; i < e->n_metadata; i++)
        if (strcmp(e->metadata[i]->key, key) == 0)
            return e->metadata[i]->value;
    return "";
}

// What a step is called while it lasts.
static const char *step_name(const char *id)
{
    static const struct {
        const char *id, *name;
    } names[] = {{"requesting_sandbox", "Requesting sandbox"},
                 {"pulling_image", "Pulling image"},
                 {"starting_sandbox", "Starting sandbox"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i].id, id) == 0)
            return names[i].name;
    return "";
}

// Whether it was news of progress.
static bool on_event(struct progress *p, const Openshell__V1__PlatformEvent *e)
{
    const char *done = meta(e, "openshell.progress.complete_step"), *label = done;
    const char *active = step_name(meta(e, "openshell.progress.active_step"));
    const char *detail = meta(e, "openshell.progress.active_detail");
    char line[STEP_MAX + DETAIL_MAX];
    if (done[0] && meta(e, "openshell.progress.complete_label")[0])
        label = meta(e, "openshell.progress.complete_label");
    if (done[0])
        step_line(p, label);
    if (active[0] || done[0])
        p->step_ns = clock_ns();
    if (active[0])
        (void)snprintf(p->step, sizeof(p->step), "%s", active);
    if (active[0] || detail[0])
        (void)snprintf(p->detail, sizeof(p->detail), "%s", detail);
    utf8_clean(p->detail, strlen(p->detail));
    (void)snprintf(line, sizeof(line), "%s%s%s", active, active[0] ? " " : "", detail);
    if (detail[0] && p->kind == PROGRESS_LINES)
        step_line(p, line);
    draw(p);
    return done[0] || active[0] || detail[0];
}

// ---- the wait

struct waiting {
    const struct sandbox_wait *w;
    struct cli *cli;
    struct gateway *g;
    struct progress progress;
    const Openshell__V1__Sandbox *last; // as it was seen last
    int64_t deadline_ns;
    bool reached, news;
};

// Of a sandbox that was seen; NULL where there is nothing to say.
static const char *cause(const struct waiting *x)
{
    const char *why = x->last ? sandbox_why(x->last, &x->g->arena) : "";
    return why[0] ? why : NULL;
}

static int failed(struct waiting *x)
{
    const Openshell__V1__Sandbox *s = x->last;
    progress_end(&x->progress);
    return report(x->cli, cause(x), "sandbox %s is in phase %s", x->w->name, sandbox_phase(s));
}

// 0: go on, or x->reached.
static int on_sandbox(struct waiting *x, const Openshell__V1__Sandbox *s)
{
    if (!s->metadata)
        return report(x->cli, "a sandbox has no metadata", "the gateway's answer is not understood");
    x->last = s;
    x->reached = sandbox_is(s, x->w->want) || (x->w->ended_is_enough && sandbox_has_ended(s));
    bool hopeless = sandbox_is(s, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR) ||
                    sandbox_is(s, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_DELETING);
    return !x->reached && hopeless ? failed(x) : 0;
}

static int on_message(struct waiting *x, const Openshell__V1__SandboxStreamEvent *e)
{
    switch (e->payload_case) {
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX:
        return on_sandbox(x, e->sandbox);
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT:
        x->news = on_event(&x->progress, e->event) || x->news;
        return 0;
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_WARNING:
        show_err(x->cli, SHOW_WARNING, "%s", e->warning->message);
        return 0;
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG:
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_DRAFT_POLICY_UPDATE:
    case OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD__NOT_SET:
    case _OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

static int timed_out(struct waiting *x)
{
    progress_end(&x->progress);
    return report(x->cli, cause(x),
                  "timed out: sandbox %s is in phase %s after %lld s (%s); it was left as it is", x->w->name,
                  x->last ? sandbox_phase(x->last) : "Unknown", (long long)(x->w->idle_ms / 1000),
                  x->w->variable);
}

// Until the next message, the next frame, or the end of the time.
static void turn(struct waiting *x)
{
    struct pollfd p = {.fd = rpc_client_fd(x->g->client), .events = rpc_client_poll(x->g->client)};
    int64_t until = rpc_client_next_ns(x->g->client);
    int64_t frame = x->progress.kind == PROGRESS_TERMINAL ? deadline_in_ms(SPIN_MS) : DEADLINE_NEVER;
    until = x->deadline_ns < until ? x->deadline_ns : until;
    until = frame < until ? frame : until;
    struct err ignored = {};
    if (poll(&p, 1, deadline_left_ms(until)) == 0)
        draw(&x->progress);
    (void)rpc_client_pump(x->g->client, &ignored); // rpc_read() says what is wrong
}

static int follow(struct waiting *x, struct rpc_client_call *call)
{
    while (!x->reached) {
        ProtobufCMessage *m = NULL;
        bool end = false;
        struct err err = {};
        enum err_code r = rpc_read(call, RPC_TRY, &x->g->arena, &m, &end, &err);
        if (r != ERR_OK) {
            progress_end(&x->progress);
            return gateway_report(x->cli, x->g, "tell how the sandbox is", &err);
        }
        if (end) {
            progress_end(&x->progress);
            return report(x->cli, NULL, "sandbox %s is gone", x->w->name);
        }
        int status = m ? on_message(x, GATEWAY_ANSWER(Openshell__V1__SandboxStreamEvent, m)) : 0;
        if (status != 0)
            return status;
        if (x->news)
            x->deadline_ns = deadline_in_ms(x->w->idle_ms);
        x->news = false;
        if (deadline_passed(x->deadline_ns))
            return timed_out(x);
        if (!m)
            turn(x);
    }
    return 0;
}

int sandbox_wait(struct cli *cli, struct gateway *g, const struct sandbox_wait *w,
                 const Openshell__V1__Sandbox **ret)
{
    struct waiting x = {.w = w, .cli = cli, .g = g, .progress = {.cli = cli, .kind = w->kind}};
    const struct rpc_wait wait = {DEADLINE_NEVER, -1};
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    struct err err = {};
    Openshell__V1__WatchSandboxRequest req = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    req.id = gateway_text(w->id);
    req.follow_status = req.follow_events = true;
    req.event_tail = EVENT_TAIL;
    x.deadline_ns = deadline_in_ms(w->idle_ms);
    progress_start(&x.progress, "Requesting sandbox");
    enum err_code r = rpc_open(g->client, RPC_OPEN_SHELL_WATCH_SANDBOX, &wait, &call, &err);
    if (r == ERR_OK)
        r = rpc_write(call, &req.base, RPC_BLOCK, &err);
    if (r != ERR_OK) {
        progress_end(&x.progress);
        return gateway_report(cli, g, "tell how the sandbox is", &err);
    }
    rpc_write_end(call);
    int status = follow(&x, call);
    if (status == 0) {
        progress_end(&x.progress);
        *ret = x.last;
    }
    return status;
}
