// sandbox list, get, delete: what there is of sandboxes, and how they end.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/sandbox_out.h"
#include "cmd/json_out.h"

const char *sandbox_phase(const Openshell__V1__Sandbox *s)
{
    static const char *const words[] = {"Unspecified", "Provisioning", "Ready",   "Error",   "Deleting",
                                        "Unknown",     "Stopping",     "Stopped", "Starting"};
    unsigned phase = s->status ? (unsigned)s->status->phase : 0;
    return phase < ARRAY_LEN(words) ? words[phase] : "Unknown";
}

// "2026-01-05 09:12:44"
static void created_at(const Openshell__V1__Sandbox *s, char dst[static CLOCK_RFC3339_SIZE])
{
    clock_rfc3339(s->metadata->created_at_ms, dst);
    dst[10] = ' ';
    dst[19] = '\0';
}

json_t *sandbox_json(const Openshell__V1__Sandbox *s, bool *ok)
{
    char at[CLOCK_RFC3339_SIZE];
    created_at(s, at);
    json_t *o = json_object(), *labels = json_object(), *annotations = json_object();
    for (size_t i = 0; i < s->metadata->n_labels; i++)
        json_put(labels, s->metadata->labels[i]->key, json_text(str_of(s->metadata->labels[i]->value)), ok);
    for (size_t i = 0; i < s->metadata->n_annotations; i++)
        json_put(annotations, s->metadata->annotations[i]->key,
                 json_text(str_of(s->metadata->annotations[i]->value)), ok);
    json_put(o, "annotations", annotations, ok);
    json_put(o, "created_at", json_string(at), ok);
    json_put(o, "current_policy_version", json_integer(s->status ? s->status->current_policy_version : 0),
             ok);
    json_put(o, "id", json_text(str_of(s->metadata->id)), ok);
    json_put(o, "labels", labels, ok);
    json_put(o, "name", json_text(str_of(s->metadata->name)), ok);
    json_put(o, "phase", json_string(sandbox_phase(s)), ok);
    json_put(o, "resource_version", json_integer((json_int_t)s->metadata->resource_version), ok);
    json_put(o, "workspace", json_text(str_of(s->metadata->workspace)), ok);
    return o;
}

enum err_code sandbox_fetch(struct gateway *g, const char *name, const Openshell__V1__Sandbox **ret,
                            struct err *reterr)
{
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.name = (char *)(uintptr_t)name;
    enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_GET_SANDBOX, &req.base, &m, reterr);
    if (r != ERR_OK)
        return r;
    const Openshell__V1__SandboxResponse *out = (const Openshell__V1__SandboxResponse *)(const void *)m;
    if (!out->sandbox || !out->sandbox->metadata)
        return err_set(reterr, ERR_INTERNAL, "the gateway's answer holds no sandbox");
    *ret = out->sandbox;
    return ERR_OK;
}

const char *sandbox_why(const Openshell__V1__Sandbox *s)
{
    return s->status && s->status->n_conditions > 0 ? s->status->conditions[0]->message : "";
}

// ---- list

enum { OPT_LIMIT = GATEWAY_OPTS, OPT_OFFSET, OPT_SELECTOR };
static const struct opt list_opts[] = {
    GATEWAY_OPT_ROWS,
    [OPT_LIMIT] =
        {.name = "limit", .type = OPT_U32, .value = "N", .def = "100", .help = "At most so many, up to 1000"},
    [OPT_OFFSET] =
        {.name = "offset", .type = OPT_U32, .value = "N", .def = "0", .help = "Leave out the first"},
    [OPT_SELECTOR] = {.name = "selector",
                      .type = OPT_STRING,
                      .value = "K=V,...",
                      .help = "Only those with all of these labels"},
};

static uint32_t number(const struct args *a, const struct opt *opt)
{
    uint64_t n = 0;
    const char *v = args_value(a, opt);
    return v && str_u64(str_of(v), UINT32_MAX, &n) ? (uint32_t)n : 0; // the parser has refused all else
}

static void print_list(struct cli *cli, const Openshell__V1__ListSandboxesResponse *out)
{
    size_t width = 4;
    for (size_t i = 0; i < out->n_sandboxes; i++) {
        size_t n = strlen(out->sandboxes[i]->metadata->name);
        width = n > width ? n : width;
    }
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "%-*s  %-19s  %s", (int)width, "NAME", "CREATED",
             "PHASE");
    buf_addc(&cli->out, '\n');
    for (size_t i = 0; i < out->n_sandboxes; i++) {
        const Openshell__V1__Sandbox *s = out->sandboxes[i];
        char at[CLOCK_RFC3339_SIZE];
        created_at(s, at);
        term_name(&cli->out, s->metadata->name);
        buf_pad(&cli->out, ' ', width - strlen(s->metadata->name));
        buf_addf(&cli->out, "  %s  ", at);
        const char *phase = sandbox_phase(s);
        enum style style = strcmp(phase, "Ready") == 0   ? STYLE_GREEN
                           : strcmp(phase, "Error") == 0 ? STYLE_RED
                                                         : STYLE_YELLOW;
        term_put(&cli->out, &cli->out_term, style, "%s", phase);
        buf_addc(&cli->out, '\n');
    }
}

static int list_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    struct err err = {};
    Openshell__V1__ListSandboxesRequest req = OPENSHELL__V1__LIST_SANDBOXES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const char *selector = args_value(a, &list_opts[OPT_SELECTOR]);
    req.limit = number(a, &list_opts[OPT_LIMIT]);
    req.offset = number(a, &list_opts[OPT_OFFSET]);
    req.label_selector = (char *)(uintptr_t)(selector ? selector : "");
    if (gateway_ask(&g, RPC_OPEN_SHELL_LIST_SANDBOXES, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "list sandboxes", &err);
    const Openshell__V1__ListSandboxesResponse
        *out = (const Openshell__V1__ListSandboxesResponse *)(const void *)m;
    for (size_t i = 0; i < out->n_sandboxes; i++)
        if (!out->sandboxes[i]->metadata)
            return report(cli, "a sandbox has no metadata", "the gateway's answer is not understood");
    if (gateway_wants_json(a)) {
        bool ok = true;
        json_t *list = json_array();
        for (size_t i = 0; i < out->n_sandboxes; i++)
            json_push(list, sandbox_json(out->sandboxes[i], &ok), &ok);
        return json_out(cli, list, ok);
    }
    if (out->n_sandboxes == 0)
        buf_add(&cli->out, STR("No sandboxes found.\n"));
    else
        print_list(cli, out);
    return 0;
}

static const struct example list_examples[] = {
    {"Those of a team", "openshell sandbox list --selector team=core"},
};

const struct command sandbox_list_command = {
    .name = "list",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the gateway's sandboxes, the oldest first",
    COMMAND_TABLE(opts, list_opts),
    COMMAND_TABLE(examples, list_examples),
    .run = list_run,
};

// ---- get

static const struct arg get_args[] = {{.name = "NAME", .type = OPT_STRING, .help = "Its name"}};
static const struct example get_examples[] = {
    {"Is it ready?", "openshell sandbox get dev -o json | jq -r .phase"}};

static void add_row(struct cli *cli, const char *label, const char *value)
{
    buf_addf(&cli->out, "  %s: ", label);
    term_name(&cli->out, value);
    buf_addc(&cli->out, '\n');
}

static int get_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    struct err err = {};
    const Openshell__V1__Sandbox *s = NULL;
    if (sandbox_fetch(&g, a->words[0], &s, &err) != ERR_OK)
        return gateway_report(cli, &g, "show the sandbox", &err);
    if (gateway_wants_json(a)) {
        bool ok = true;
        json_t *o = sandbox_json(s, &ok);
        return json_out(cli, o, ok);
    }
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "Sandbox:");
    buf_addf(&cli->out, "\n\n");
    add_row(cli, "Id", s->metadata->id);
    add_row(cli, "Name", s->metadata->name);
    add_row(cli, "Phase", sandbox_phase(s));
    add_row(cli, "Condition", sandbox_why(s));
    if (s->status && s->status->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE)
        buf_addf(&cli->out, "  Exit code: %d\n", (int)s->status->exit_code);
    buf_addf(&cli->out, "  Resource version: %llu\n", (unsigned long long)s->metadata->resource_version);
    for (size_t i = 0; i < s->metadata->n_labels; i++) {
        buf_add(&cli->out, i == 0 ? STR("  Labels:\n    ") : STR("    "));
        term_name(&cli->out, s->metadata->labels[i]->key);
        buf_add(&cli->out, STR(": "));
        term_name(&cli->out, s->metadata->labels[i]->value);
        buf_addc(&cli->out, '\n');
    }
    return 0;
}

const struct command sandbox_get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show a sandbox",
    .opts = gateway_opts,
    .opts_n = GATEWAY_OPTS,
    COMMAND_TABLE(args, get_args),
    COMMAND_TABLE(examples, get_examples),
    .run = get_run,
};

// ---- delete

static const struct arg delete_args[] = {
    {.name = "NAME", .type = OPT_STRING, .repeat = true, .help = "Their names"}};
static const struct example delete_examples[] = {
    {"End one and what it runs", "openshell sandbox delete dev"}};
static const struct opt delete_opts[] = {GATEWAY_OPT_ROWS}; // only the first is offered

static int delete_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    for (size_t i = 0; status == 0 && i < a->words_n; i++) {
        struct err err = {};
        Openshell__V1__DeleteSandboxRequest req = OPENSHELL__V1__DELETE_SANDBOX_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        req.name = (char *)(uintptr_t)a->words[i];
        enum err_code r = gateway_ask(&g, RPC_OPEN_SHELL_DELETE_SANDBOX, &req.base, &m, &err);
        if (r != ERR_OK && r != ERR_NOT_FOUND)
            return gateway_report(cli, &g, "delete the sandbox", &err);
        buf_add(&cli->out, r == ERR_OK ? STR("✓ Deleted sandbox ") : STR("! Sandbox "));
        term_name(&cli->out, a->words[i]);
        buf_add(&cli->out, r == ERR_OK ? STR("\n") : STR(" not found\n"));
    }
    return status;
}

const struct command sandbox_delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "End sandboxes and all that runs in them",
    .text = "A name that there is no sandbox of is said, and is no failure.",
    .opts = delete_opts,
    .opts_n = 1,
    COMMAND_TABLE(args, delete_args),
    COMMAND_TABLE(examples, delete_examples),
    .run = delete_run,
};
