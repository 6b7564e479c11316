#include "cli/answer.h"
#include "cmd/input.h"
#include "cmd/policy_file.h"

enum {
    OPT_BINARY,
    OPT_ANCESTOR,
    OPT_GRAPHQL,
    OPT_MCP,
    OPT_JSON_RPC,
    OPT_EVENT_STREAM,
    OPT_WEBSOCKET_TEXT,
    OPT_OUTPUT,
    OPT_EXIT_CODE,
};
static const struct opt explain_opts[] = {
    [OPT_BINARY] = {.name = "binary",
                    .letter = 'b',
                    .type = OPT_PATH,
                    .value = "PATH",
                    .required = true,
                    .help = "Program that asks: the absolute path of its executable in the sandbox"},
    [OPT_ANCESTOR] = {.name = "ancestor",
                      .type = OPT_PATH,
                      .value = "PATH",
                      .repeat = true,
                      .help = "Program that started it, the nearest first"},
    [OPT_GRAPHQL] = {.name = "graphql-operation",
                     .type = OPT_STRING,
                     .value = "TYPE[:NAME][:FIELD,FIELD]",
                     .repeat = true,
                     .help = "The body has this GraphQL operation, with these root fields"},
    [OPT_MCP] = {.name = "mcp",
                 .type = OPT_STRING,
                 .value = "METHOD[:TOOL]",
                 .repeat = true,
                 .help = "The body has this MCP call"},
    [OPT_JSON_RPC] = {.name = "json-rpc",
                      .type = OPT_STRING,
                      .value = "METHOD",
                      .repeat = true,
                      .help = "The body has this JSON-RPC call"},
    [OPT_EVENT_STREAM] = {.name = "event-stream",
                          .type = OPT_FLAG,
                          .help = "The request is an MCP GET that accepts text/event-stream and has no body"},
    [OPT_WEBSOCKET_TEXT] = {.name = "websocket-text",
                            .type = OPT_FLAG,
                            .help = "Ask about a text message on the WebSocket that the request opens"},
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = command_table_or_json,
                    .def = "table",
                    .help = "How to print the result"},
    [OPT_EXIT_CODE] = {.name = "exit-code", .type = OPT_FLAG, .help = "Exit with 1 when the answer is deny"},
};
static const struct arg explain_args[] = {
    {.name = "FILE", .type = OPT_PATH, .help = "Policy file, or - for standard input"},
    {.name = "REQUEST", .type = OPT_STRING, .repeat = true, .help = "METHOD URL, or CONNECT HOST:PORT"},
};
static const struct example explain_examples[] = {
    {"A request", "openshell policy explain p.yaml --binary /usr/bin/curl GET https://api.github.com/zen"},
    {"A connection that is not inspected",
     "openshell policy explain p.yaml --binary /usr/bin/psql CONNECT db.internal.example:5432"},
    {"A tool call of an agent's helper", "openshell policy explain p.yaml --binary /usr/bin/node --ancestor "
                                         "/usr/bin/claude --mcp tools/call:search POST "
                                         "https://mcp.example.com/"},
    {"A GraphQL query",
     "openshell policy explain p.yaml --binary /usr/bin/gh --graphql-operation query::viewer POST "
     "https://api.github.com/graphql"},
};
static const struct exit_row explain_exits[] = {
    {0, "The question was answered, whatever the answer is"},
    {1, "The policy is not valid or could not be read; with --exit-code also: the answer is deny"},
    {2, "The command line is wrong, or the request is one that no proxy would parse"},
};

typedef enum err_code ask_fn(struct ask *k, struct str text, struct err *reterr);

static enum err_code each(const struct args *a, size_t opt, struct ask *k, ask_fn *add, struct err *reterr)
{
    const char *value;
    for (size_t i = 0; (value = args_nth(a, &explain_opts[opt], i)); i++) {
        enum err_code r = add(k, str_of(value), reterr);
        if (r != ERR_OK)
            return err_wrap(reterr, r, "--%s", explain_opts[opt].name);
    }
    return ERR_OK;
}

static enum err_code request(const struct args *a, struct ask *k, struct err *reterr)
{
    CLEANUP(buf_done) struct buf words;
    buf_init(&words, 2 * REQUEST_TEXT_MAX);
    for (size_t i = 1; i < a->words_n; i++)
        buf_addf(&words, "%s%s", i > 1 ? " " : "", a->words[i]);
    enum err_code r = buf_check(&words, "the request", reterr);
    struct str text;
    if (r == ERR_OK && !arena_dup(k->arena, buf_str(&words), &text))
        r = arena_limit(k->arena, "the request", reterr);
    return r == ERR_OK ? ask_request(k, text, reterr) : r;
}

static enum err_code question(const struct args *a, struct ask *k, struct err *reterr)
{
    static const struct {
        size_t opt;
        ask_fn *add;
    } parts[] = {
        {OPT_BINARY, ask_binary}, {OPT_ANCESTOR, ask_ancestor}, {OPT_GRAPHQL, ask_graphql},
        {OPT_MCP, ask_mcp},       {OPT_JSON_RPC, ask_json_rpc},
    };
    k->event_stream = args_count(a, &explain_opts[OPT_EVENT_STREAM]) > 0;
    k->websocket_text = args_count(a, &explain_opts[OPT_WEBSOCKET_TEXT]) > 0;
    enum err_code r = request(a, k, reterr);
    for (size_t i = 0; i < ARRAY_LEN(parts) && r == ERR_OK; i++)
        r = each(a, parts[i].opt, k, parts[i].add, reterr);
    return r == ERR_OK ? ask_check(k, reterr) : r;
}

static int explain_run(struct cli *cli, const struct args *a)
{
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, POLICY_ARENA_MAX);
    struct ask *k = arena_new(&arena, struct ask);
    if (!k)
        return report(cli, "memory ran out", "cannot ask");
    k->arena = &arena;
    struct err err = {};
    if (question(a, k, &err) != ERR_OK)
        return report_usage(cli, a, NULL, "%s", err.msg);

    CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
    if (policy_file_compile(cli, a->words[0], &s) != ERR_OK)
        return EXIT_FAILED;
    struct explanation x;
    enum err_code r = ask_policy(k, s, &x, &err);
    if (r == ERR_INVALID)
        return report_usage(cli, a, NULL, "%s", err.msg);
    if (r != ERR_OK)
        return report(cli, err.msg, "cannot explain");
    if (args_is(a, &explain_opts[OPT_OUTPUT], "json")) {
        bool ok = true;
        json_t *answer = answer_json(k, &x, &ok);
        if (json_out(cli, answer, ok) != 0)
            return EXIT_FAILED;
    } else {
        answer_human(k, &x, &cli->out_term, &cli->out);
    }
    bool denied = x.decision.verdict == VERDICT_DENY && args_count(a, &explain_opts[OPT_EXIT_CODE]) > 0;
    return denied ? EXIT_FAILED : 0;
}

const struct command policy_explain_command = {
    .name = "explain",
    .alias = "",
    .about = "Say whether a program may send a request, and why",
    .text = "Decides as a sandbox would and shows what was looked at, what matched, and what would have to "
            "change. "
            "AUDIT means that the rules deny the request but the endpoint does not enforce them: it is "
            "forwarded and "
            "logged as a violation.\n\n"
            "Bodies are described by their facts (--graphql-operation, --mcp, --json-rpc); a batch repeats "
            "the option. "
            "Names are not resolved: whether an address may be dialled is decided when the sandbox knows it.",
    COMMAND_TABLE(args, explain_args),
    COMMAND_TABLE(opts, explain_opts),
    COMMAND_TABLE(examples, explain_examples),
    COMMAND_TABLE(exits, explain_exits),
    .run = explain_run,
};
