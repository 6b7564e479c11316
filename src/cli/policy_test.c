#include "cli/answer.h"
#include "cmd/diag_render.h"
#include "cmd/input.h"
#include "cmd/policy_file.h"
#include "cli/test_file.h"

#include <limits.h>

enum { ANSWER_MAX = 64 * MIB };

static const char *const formats[] = {"tap", "json", NULL};
enum { OPT_OUTPUT, OPT_POLICY };
static const struct opt test_opts[] = {
    [OPT_OUTPUT] = {.name = "output",
                    .letter = 'o',
                    .type = OPT_ENUM,
                    .value = "FORMAT",
                    .values = formats,
                    .def = "tap",
                    .help = "How to print the result"},
    [OPT_POLICY] = {.name = "policy",
                    .letter = 'p',
                    .type = OPT_PATH,
                    .value = "FILE",
                    .help = "Ask this policy, whatever the files of tests say"},
};
static const struct arg test_args[] = {
    {.name = "FILE", .type = OPT_PATH, .repeat = true, .help = "File of tests, or - for standard input"},
};
static const struct example test_examples[] = {
    {"Run the tests beside a policy", "openshell policy test policy.test.yaml"},
    {"Try a new policy with the tests of the old",
     "openshell policy test --policy new.yaml policy.test.yaml"},
};
static const struct exit_row test_exits[] = {
    {0, "Every answer is as expected"},
    {1, "An answer differs, or a file is not valid or could not be read"},
    {2, "The command line is wrong"},
};

struct run {
    struct cli *cli;
    const char *policy; // of the command line, or NULL
    bool prefix;        // rows begin with the file's name: there are several
    json_t *all;        // or NULL: TAP
    size_t n;
    bool failed, json_ok;
};

// ---- one test
// -----------------------------------------------------------------------------------------------

struct result {
    struct str got, policy, rule, reason;
    bool passed;
};

static bool wanted(struct str want, struct str got)
{
    return want.n == 0 || str_eq(want, got);
}

static bool has_text(struct str s, struct str part)
{
    return part.n == 0 || (s.n > 0 && memmem(s.p, s.n, part.p, part.n));
}

// A path or a query that cannot be read is answered by the proxy where it inspects requests; elsewhere nobody
// looks.
static bool refused_by_proxy(const struct ask *k, const struct snapshot *s)
{
    const struct conn_facts c = {
        .host = str_of(k->request.host),
        .port = k->request.port,
        .who = {.exe = k->binary, .ancestors = k->ancestors, .ancestors_n = k->ancestors_n},
    };
    struct conn_decision conn;
    decide_connection(s, &c, &conn);
    return conn.inspected || conn.d.verdict == VERDICT_DENY;
}

static void judge(const struct test_case *t, const struct snapshot *s, struct explanation *x,
                  struct result *ret)
{
    struct err err = {};
    enum err_code code = ask_policy(t->ask, s, x, &err);
    if (code != ERR_OK) {
        bool refused = code == ERR_INVALID && refused_by_proxy(t->ask, s);
        *ret = (struct result){.got = refused ? STR("deny") : STR("error")};
        (void)arena_dup(t->ask->arena, str_of(err.msg), &ret->reason); // left empty where there is no room
        ret->passed = refused && t->expect == VERDICT_DENY && t->policy.n == 0 && t->rule.n == 0 &&
                      has_text(ret->reason, t->reason);
        return;
    }
    *ret = (struct result){.got = str_of(verdict_name(x->decision.verdict)),
                           .policy = answer_policy(x),
                           .rule = x->rule,
                           .reason = x->reason};
    ret->passed = x->decision.verdict == t->expect && wanted(t->policy, ret->policy) &&
                  wanted(t->rule, ret->rule) && has_text(ret->reason, t->reason);
}

// ---- TAP
// ----------------------------------------------------------------------------------------------------

// A description: '#' would begin a directive.
static void tap_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '#' || s.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i]);
    }
}

// "  key: "value"", quoted as in JSON, which YAML reads too.
static void yaml_field(struct buf *out, const char *key, struct str value)
{
    if (value.n == 0)
        return;
    CLEANUP(json_freep) json_t *text = json_text(value);
    CLEANUP(base_freep) char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        buf_addf(out, "  %s: %s\n", key, quoted);
    else
        out->full = true;
}

static void tap_row(struct run *run, const char *file, const struct test_case *t, const struct result *r)
{
    const struct term *term = &run->cli->out_term;
    struct buf *out = &run->cli->out;
    term_put(out, term, r->passed ? STYLE_GREEN : STYLE_RED, "%s", r->passed ? "ok" : "not ok");
    buf_addf(out, " %zu - ", run->n);
    if (run->prefix) {
        tap_text(out, str_of(input_name(file)));
        buf_addf(out, ": ");
    }
    tap_text(out, t->name);
    buf_addc(out, '\n');
    if (r->passed)
        return;
    char place[PATH_MAX + 16];
    (void)snprintf(place, sizeof(place), "%s:%u", input_name(file), t->line);
    buf_addf(out, "  ---\n");
    yaml_field(out, "expected", str_of(verdict_name(t->expect)));
    yaml_field(out, "expected_policy", t->policy);
    yaml_field(out, "expected_rule", t->rule);
    yaml_field(out, "expected_reason", t->reason);
    yaml_field(out, "got", r->got);
    yaml_field(out, "policy", r->policy);
    yaml_field(out, "rule", r->rule);
    yaml_field(out, "reason", r->reason);
    yaml_field(out, "at", str_of(place));
    buf_addf(out, "  ...\n");
}

// ---- JSON
// ---------------------------------------------------------------------------------------------------

static json_t *row_json(const struct test_case *t, const struct result *r, bool *ok)
{
    json_t *expected = json_object();
    json_put(expected, "decision", json_string(verdict_name(t->expect)), ok);
    const struct {
        const char *key;
        struct str value;
    } more[] = {{"policy", t->policy}, {"rule", t->rule}, {"reason", t->reason}};
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        if (more[i].value.n > 0)
            json_put(expected, more[i].key, json_text(more[i].value), ok);
    json_t *o = json_object();
    json_put(o, "decision", json_text(r->got), ok);
    json_put(o, "expected", expected, ok);
    json_put(o, "line", json_integer(t->line), ok);
    json_put(o, "name", json_text(t->name), ok);
    json_put(o, "passed", json_boolean(r->passed), ok);
    json_put(o, "policy", json_text(r->policy), ok);
    json_put(o, "reason", json_text(r->reason), ok);
    json_put(o, "rule", json_text(r->rule), ok);
    return o;
}

// ---- one file
// -----------------------------------------------------------------------------------------------

// The policy that a file of tests names, beside that file.
static bool policy_path(const struct run *run, const char *file, struct str policy, char out[static PATH_MAX])
{
    if (run->policy)
        return str_cstr(str_of(run->policy), out, PATH_MAX);
    const char *slash = policy.n > 0 && policy.p[0] == '/' ? NULL : strrchr(file, '/');
    size_t n = slash ? (size_t)(slash - file) + 1 : 0;
    return n < PATH_MAX && str_cstr(str_head(str_of(file), n), out, PATH_MAX) &&
           str_cstr(policy, out + n, PATH_MAX - n);
}

// Reads a file of tests. False: reported.
static bool load(struct run *run, const char *file, struct arena *a, struct test_file *ret)
{
    CLEANUP(buf_done) struct buf text, said;
    buf_init(&text, INPUT_MAX);
    buf_init(&said, CLI_OUT_MAX);
    struct err err = {};
    if (input_read(file, &text, &err) != ERR_OK) {
        (void)report(run->cli, err.msg, "cannot read %s", input_name(file));
        return false;
    }
    struct diags d;
    diags_init(&d, a);
    enum err_code r = test_file_parse(buf_str(&text), a, ret, &d, &err);
    if (r == ERR_OK)
        return true;
    diags_render(&d, input_name(file), buf_str(&text), &run->cli->err_term, &said);
    cli_write_err(run->cli, &said);
    (void)report(run->cli, r == ERR_INVALID ? NULL : err.msg, "%s is not a valid file of tests",
                 input_name(file));
    return false;
}

static bool compile(struct run *run, const char *file, const struct test_file *f, struct snapshot **ret)
{
    char path[PATH_MAX];
    if (!run->policy && f->policy.n == 0) {
        (void)report(run->cli, "it has no `policy`, and --policy is not given", "cannot run %s",
                     input_name(file));
        return false;
    }
    if (!policy_path(run, file, f->policy, path)) {
        (void)report(run->cli, "the path of its policy is too long, or has a NUL", "cannot run %s",
                     input_name(file));
        return false;
    }
    return policy_file_compile(run->cli, path, ret) == ERR_OK;
}

static void file_failed(struct run *run, const char *file, json_t *o)
{
    run->failed = true;
    if (o) {
        json_put(o, "loaded", json_false(), &run->json_ok);
        return;
    }
    buf_addf(&run->cli->out, "not ok %zu - ", ++run->n);
    tap_text(&run->cli->out, str_of(input_name(file)));
    buf_addf(&run->cli->out, ": the file and its policy are valid\n");
}

static void run_file(struct run *run, const char *file)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, ANSWER_MAX);
    CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
    struct test_file f = {};
    json_t *o = run->all ? json_object() : NULL, *rows = run->all ? json_array() : NULL;
    bool loaded = load(run, file, &a, &f) && compile(run, file, &f, &s);
    if (!loaded)
        file_failed(run, file, o);
    for (size_t i = 0; loaded && i < f.tests_n; i++) {
        CLEANUP(arena_done) struct arena one; // what an answer says is dropped with its row
        arena_init(&one, ANSWER_MAX);
        f.tests[i].ask->arena = &one;
        struct explanation x;
        struct result r;
        judge(&f.tests[i], s, &x, &r);
        run->n++;
        run->failed = run->failed || !r.passed;
        if (rows)
            json_push(rows, row_json(&f.tests[i], &r, &run->json_ok), &run->json_ok);
        else
            tap_row(run, file, &f.tests[i], &r);
    }
    if (run->all) {
        json_put(o, "file", json_text(str_of(input_name(file))), &run->json_ok);
        if (loaded)
            json_put(o, "loaded", json_true(), &run->json_ok);
        json_put(o, "tests", rows, &run->json_ok);
        json_push(run->all, o, &run->json_ok);
    }
    cli_flush(run->cli);
}

static int test_run(struct cli *cli, const struct args *a)
{
    struct run run = {.cli = cli,
                      .policy = args_value(a, &test_opts[OPT_POLICY]),
                      .prefix = a->words_n > 1,
                      .json_ok = true};
    bool json = args_is(a, &test_opts[OPT_OUTPUT], "json");
    run.all = json ? json_array() : NULL;
    if (json && !run.all)
        return report(cli, "memory ran out", "cannot write JSON");
    if (!json)
        buf_addf(&cli->out, "TAP version 13\n");
    for (size_t i = 0; i < a->words_n; i++)
        run_file(&run, a->words[i]);
    if (json && json_out(cli, run.all, run.json_ok) != 0)
        return EXIT_FAILED;
    if (!json)
        buf_addf(&cli->out, "1..%zu\n", run.n);
    return run.failed ? EXIT_FAILED : 0;
}

const struct command policy_test_command = {
    .name = "test",
    .alias = "",
    .about = "Ask a policy many questions and compare the answers with what is expected",
    .text = "A file of tests is YAML:\n\n"
            "  policy: policy.yaml            # relative to this file\n"
            "  tests:\n"
            "    - name: curl reads the API   # optional\n"
            "      binary: /usr/bin/curl\n"
            "      ancestors: [/usr/bin/bash] # optional, the nearest first\n"
            "      request: GET https://api.github.com/zen\n"
            "      expect: allow              # or deny, or audit\n"
            "      policy: github-read        # optional: the entry that decides\n"
            "      rule: network_policies.gh.endpoints[0].access  # optional\n"
            "      reason: not permitted      # optional: a part of the reason\n\n"
            "Bodies: graphql, mcp and json_rpc take what the options --graphql-operation, --mcp and "
            "--json-rpc of "
            "`openshell policy explain` take, one or a list; websocket_text and event_stream are true or "
            "false. The "
            "result is in the Test Anything Protocol.",
    COMMAND_TABLE(args, test_args),
    COMMAND_TABLE(opts, test_opts),
    COMMAND_TABLE(examples, test_examples),
    COMMAND_TABLE(exits, test_exits),
    .run = test_run,
};
