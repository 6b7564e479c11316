#include "cli/commands.h"
#include "cli/sandbox.h"
#include "cli/show.h"

enum { OPT_LIMIT, OPT_OFFSET, OPT_IDS, OPT_NAMES, OPT_SELECTOR, OPT_ALL, OPT_OUTPUT };
static const struct opt list_opts[] = {
    [OPT_LIMIT] =
        {.name = "limit", .type = OPT_U32, .value = "N", .def = "100", .help = "At most so many, up to 1000"},
    [OPT_OFFSET] =
        {.name = "offset", .type = OPT_U32, .value = "N", .def = "0", .help = "Leave out the first"},
    [OPT_IDS] = {.name = "ids", .type = OPT_FLAG, .help = "Print nothing but ids"},
    [OPT_NAMES] = {.name = "names", .type = OPT_FLAG, .help = "Print nothing but names"},
    [OPT_SELECTOR] = {.name = "selector",
                      .type = OPT_STRING,
                      .value = "K=V,...",
                      .help = "Only those with all of these labels"},
    [OPT_ALL] = {.name = "all-workspaces", .type = OPT_FLAG, .help = "Those of every workspace"},
    [OPT_OUTPUT] = SHOW_OUTPUT_OPT,
};

static int print_table(struct cli *cli, const Openshell__V1__ListSandboxesResponse *out, bool all)
{
    static const char *const headings[] = {"WORKSPACE", "NAME", "CREATED", "PHASE"};
    CLEANUP(table_done) struct table t;
    size_t shift = all ? 0 : 1;
    table_init(&t, headings + shift, ARRAY_LEN(headings) - shift);
    for (size_t i = 0; i < out->n_sandboxes; i++) {
        const Openshell__V1__Sandbox *s = out->sandboxes[i];
        char at[SHOW_TIME_SIZE];
        show_time(s->metadata->created_at_ms, at);
        table_row(&t);
        if (all)
            table_cell(&t, 0, -1, s->metadata->workspace);
        table_cell(&t, 1 - shift, -1, s->metadata->name);
        table_cell(&t, 2 - shift, -1, at);
        table_cell(&t, 3 - shift, sandbox_phase_style(s), sandbox_phase(s));
    }
    return table_print(&t, cli);
}

static int print_words(struct cli *cli, const Openshell__V1__ListSandboxesResponse *out, bool ids, bool all)
{
    for (size_t i = 0; i < out->n_sandboxes; i++) {
        const Openshell__Datamodel__V1__ObjectMeta *meta = out->sandboxes[i]->metadata;
        if (all && !ids) {
            term_name(&cli->out, meta->workspace);
            buf_addc(&cli->out, '/');
        }
        term_name(&cli->out, ids ? meta->id : meta->name);
        buf_addc(&cli->out, '\n');
    }
    return 0;
}

static int print_json(struct cli *cli, const struct args *a, const Openshell__V1__ListSandboxesResponse *out)
{
    bool ok = true;
    json_t *list = json_array();
    for (size_t i = 0; i < out->n_sandboxes; i++)
        json_push(list, sandbox_json(out->sandboxes[i], &ok), &ok);
    return show_structured(cli, a, &list_opts[OPT_OUTPUT], list, ok);
}

static int print(struct cli *cli, const struct args *a, const Openshell__V1__ListSandboxesResponse *out)
{
    bool all = args_count(a, &list_opts[OPT_ALL]) > 0, ids = args_count(a, &list_opts[OPT_IDS]) > 0;
    for (size_t i = 0; i < out->n_sandboxes; i++)
        if (!out->sandboxes[i]->metadata)
            return report(cli, "a sandbox has no metadata", "the gateway's answer is not understood");
    if (show_is_structured(a, &list_opts[OPT_OUTPUT]))
        return print_json(cli, a, out);
    if (ids || args_count(a, &list_opts[OPT_NAMES]) > 0)
        return print_words(cli, out, ids, all);
    if (out->n_sandboxes > 0)
        return print_table(cli, out, all);
    buf_add(&cli->out, STR("No sandboxes found.\n"));
    return 0;
}

static int list_run(struct cli *cli, const struct args *a)
{
    const struct opt *ids = &list_opts[OPT_IDS], *names = &list_opts[OPT_NAMES];
    int status = report_conflict(cli, a, ids, names);
    if (status == 0)
        status = report_conflict(cli, a, ids, &list_opts[OPT_OUTPUT]);
    if (status == 0)
        status = report_conflict(cli, a, names, &list_opts[OPT_OUTPUT]);
    if (status != 0)
        return status;
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    status = gateway_open(cli, a, &g);
    Openshell__V1__ListSandboxesRequest req = OPENSHELL__V1__LIST_SANDBOXES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const char *selector = args_value(a, &list_opts[OPT_SELECTOR]);
    req.limit = args_u32(a, &list_opts[OPT_LIMIT]);
    req.offset = args_u32(a, &list_opts[OPT_OFFSET]);
    req.all_workspaces = args_count(a, &list_opts[OPT_ALL]) > 0;
    if (!req.all_workspaces)
        req.workspace = g.workspace;
    req.label_selector = gateway_text(selector ? selector : "");
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_LIST_SANDBOXES, &req.base, "list sandboxes", &m);
    return status == 0 ? print(cli, a, GATEWAY_ANSWER(Openshell__V1__ListSandboxesResponse, m)) : status;
}

static const struct example list_examples[] = {
    {"Those of a team", "openshell sandbox list --selector team=core"},
    {"For a script", "openshell sandbox list -o json | jq -r '.[] | select(.phase == \"Error\") | .name'"},
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
