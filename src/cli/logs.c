#include "base/clock.h"
#include "cli/commands.h"
#include "cli/sandbox.h"
#include "cli/show.h"

enum { OPT_LINES, OPT_TAIL, OPT_SINCE, OPT_SOURCE, OPT_LEVEL };
static const char *const sources[] = {"gateway", "sandbox", "all", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", "trace", NULL};
static const struct opt logs_opts[] = {
    [OPT_LINES] = {.name = "lines",
                   .letter = 'n',
                   .type = OPT_U32,
                   .value = "N",
                   .def = "200",
                   .help = "The last lines, at most so many"},
    [OPT_TAIL] = {.name = "tail", .type = OPT_FLAG, .help = "Go on with those that come, until Ctrl-C"},
    [OPT_SINCE] = {.name = "since",
                   .type = OPT_STRING,
                   .value = "DURATION",
                   .help = "Only those of the last 30s, 5m, 2h"},
    [OPT_SOURCE] = {.name = "source",
                    .type = OPT_ENUM,
                    .value = "SOURCE",
                    .values = sources,
                    .repeat = true,
                    .help = "Who said it; without it, all"},
    [OPT_LEVEL] = {.name = "level",
                   .type = OPT_ENUM,
                   .value = "LEVEL",
                   .values = levels,
                   .help = "At least as severe; without it, all"},
};
static const struct arg logs_args[] = {SANDBOX_NAME_ARG};
static const struct example logs_examples[] = {
    {"What was denied lately?", "openshell logs dev --since 5m --source sandbox | grep -i deny"},
    {"What happens now?", "openshell logs dev --tail"},
};

// ---- lines

static int by_key(const void *a, const void *b)
{
    const Openshell__V1__SandboxLogLine__FieldsEntry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

// "[1767604003.007] [sandbox] [INFO ] [target] message k=v"
static void print_line(struct buf *out, const Openshell__V1__SandboxLogLine *line)
{
    const char *source = line->source[0] ? line->source : "gateway";
    long long ms = line->timestamp_ms < 0 ? 0 : line->timestamp_ms;
    buf_addf(out, "[%lld.%03lld] [", ms / 1000, ms % 1000);
    term_name(out, source);
    buf_pad(out, ' ', strlen(source) < 7 ? 7 - strlen(source) : 0);
    buf_addf(out, "] [");
    term_name(out, line->level);
    buf_pad(out, ' ', strlen(line->level) < 5 ? 5 - strlen(line->level) : 0);
    buf_addf(out, "] [");
    term_name(out, line->target);
    buf_addf(out, "] ");
    term_name(out, line->message);
    if (line->n_fields > 0)
        qsort(line->fields, line->n_fields, sizeof(void *), by_key);
    for (size_t i = 0; i < line->n_fields; i++) {
        buf_addc(out, ' ');
        term_name(out, line->fields[i]->key);
        buf_addc(out, '=');
        term_name(out, line->fields[i]->value);
    }
    buf_addc(out, '\n');
}

// ---- what is asked for

struct wanted {
    uint32_t lines;
    int64_t since_ms; // 0: from the start
    char *sources[2], level[8];
    size_t sources_n; // 0: all
};

static bool parse_since(const char *text, int64_t now_ms, int64_t *ret)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60'000}, {'h', 3'600'000}};
    struct str s = str_of(text);
    uint64_t n = 0;
    if (s.n < 2 || !str_u64(str_head(s, s.n - 1), 1'000'000'000, &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (s.p[s.n - 1] != units[i].unit)
            continue;
        *ret = now_ms - (int64_t)n * units[i].ms;
        if (*ret < 1)
            *ret = 1; // before the first line that can be
        return true;
    }
    return false;
}

static int read_wanted(struct cli *cli, const struct args *a, struct wanted *w)
{
    const char *since = args_value(a, &logs_opts[OPT_SINCE]), *level = args_value(a, &logs_opts[OPT_LEVEL]);
    bool has[2] = {}, all = false;
    w->lines = args_u32(a, &logs_opts[OPT_LINES]);
    if (since && !parse_since(since, clock_realtime_ms(), &w->since_ms))
        return report(cli, "a number with s, m or h behind it, as in 30s, 5m or 2h", "'%s' is no duration",
                      since);
    for (size_t i = 0; level && level[i] && i + 1 < sizeof(w->level); i++)
        w->level[i] = (char)(char_is_alpha(level[i]) ? level[i] & ~0x20 : level[i]);
    for (size_t i = 0; i < args_count(a, &logs_opts[OPT_SOURCE]); i++) {
        const char *s = args_nth(a, &logs_opts[OPT_SOURCE], i);
        for (size_t k = 0; k < ARRAY_LEN(has); k++)
            has[k] = has[k] || strcmp(s, sources[k]) == 0;
        all = all || strcmp(s, "all") == 0;
    }
    for (size_t k = 0; !all && k < ARRAY_LEN(has); k++)
        if (has[k])
            w->sources[w->sources_n++] = gateway_text(sources[k]);
    return 0;
}

static int print_kept(struct cli *cli, struct gateway *g, const char *id, struct wanted *w)
{
    Openshell__V1__GetSandboxLogsRequest req = OPENSHELL__V1__GET_SANDBOX_LOGS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.sandbox_id = gateway_text(id);
    req.workspace = g->workspace;
    req.lines = w->lines;
    req.since_ms = w->since_ms;
    req.sources = w->sources;
    req.n_sources = w->sources_n;
    req.min_level = w->level;
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_GET_SANDBOX_LOGS, &req.base, "tell the log", &m);
    if (status != 0)
        return status;
    const Openshell__V1__GetSandboxLogsResponse *out = GATEWAY_ANSWER(Openshell__V1__GetSandboxLogsResponse,
                                                                      m);
    if (w->since_ms > 0 && out->buffer_total > 0)
        show_err(cli, SHOW_WARNING, "The gateway keeps the last %u lines; older ones are not shown.",
                 out->buffer_total);
    for (size_t i = 0; i < out->n_logs; i++)
        print_line(&cli->out, out->logs[i]);
    return 0;
}

// Until the sandbox is gone, the reader is, or somebody presses Ctrl-C.
static int follow(struct cli *cli, struct gateway *g, const char *id, struct wanted *w)
{
    const struct rpc_wait wait = {DEADLINE_NEVER, -1};
    CLEANUP(rpc_closep) struct rpc_client_call *call = NULL;
    CLEANUP(arena_done) struct arena one;
    struct err err = {};
    Openshell__V1__WatchSandboxRequest req = OPENSHELL__V1__WATCH_SANDBOX_REQUEST__INIT;
    arena_init(&one, 8 * MIB);
    req.id = gateway_text(id);
    req.follow_logs = true;
    req.log_tail_lines = w->lines;
    req.log_since_ms = w->since_ms;
    req.log_sources = w->sources;
    req.n_log_sources = w->sources_n;
    req.log_min_level = w->level;
    enum err_code r = rpc_open(g->client, RPC_OPEN_SHELL_WATCH_SANDBOX, &wait, &call, &err);
    if (r == ERR_OK)
        r = rpc_write(call, &req.base, RPC_BLOCK, &err);
    if (r == ERR_OK)
        rpc_write_end(call);
    while (r == ERR_OK && cli->write_errno == 0) {
        ProtobufCMessage *m = NULL;
        bool end = false;
        arena_done(&one);
        r = rpc_read(call, RPC_BLOCK, &one, &m, &end, &err);
        if (r != ERR_OK || end)
            break;
        const Openshell__V1__SandboxStreamEvent *e = GATEWAY_ANSWER(Openshell__V1__SandboxStreamEvent, m);
        if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG)
            print_line(&cli->out, e->log);
        if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_WARNING)
            show_err(cli, SHOW_WARNING, "%s", e->warning->message);
        cli_flush(cli);
    }
    return r == ERR_OK ? 0 : gateway_report(cli, g, "go on with the log", &err);
}

static int logs_run(struct cli *cli, const struct args *a)
{
    struct wanted w = {};
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const Openshell__V1__Sandbox *s = NULL;
    int status = read_wanted(cli, a, &w);
    if (status == 0)
        status = sandbox_open(cli, a, &g, &s);
    if (status != 0)
        return status;
    return args_count(a, &logs_opts[OPT_TAIL]) > 0 ? follow(cli, &g, s->metadata->id, &w)
                                                   : print_kept(cli, &g, s->metadata->id, &w);
}

const struct command logs_command = {
    .name = "logs",
    .alias = "lg",
    .section = "SANDBOX COMMANDS",
    .about = "Show what a sandbox and the gateway say about it",
    .text =
        "Each line is [SECONDS.MMM] [SOURCE] [LEVEL] [TARGET] MESSAGE KEY=VALUE..., the seconds since 1970.",
    COMMAND_TABLE(opts, logs_opts),
    COMMAND_TABLE(args, logs_args),
    COMMAND_TABLE(examples, logs_examples),
    .run = logs_run,
};
