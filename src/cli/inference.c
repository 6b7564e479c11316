// inference set, update, get, delete: where model calls of sandboxes go.
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"
#include "inference.pb-c.h"

#define IV1(name) Openshell__Inference__V1__##name

enum { VERIFY_MS = 120'000, TIMEOUT_DEFAULT_S = 60 }; // each protocol may take 30 seconds; reference: CLI 7.3

enum { SET_PROVIDER, SET_MODEL, SET_SYSTEM, SET_NO_VERIFY, SET_TIMEOUT };
#define PROVIDER_ROW(must)                                                                                   \
    {                                                                                                        \
        .name = "provider", .type = OPT_STRING, .value = "NAME", .required = (must), .kind = "provider",     \
        .help = "Whose address and key are used"                                                             \
    }
#define MODEL_ROW(must)                                                                                      \
    {                                                                                                        \
        .name = "model", .type = OPT_STRING, .value = "ID", .required = (must),                              \
        .help = "The model; what a caller asks for is replaced by it"                                        \
    }
#define SYSTEM_ROW                                                                                           \
    {                                                                                                        \
        .name = "system", .type = OPT_FLAG, .help = "The route of the sandbox's own supervisor"              \
    }
#define NO_VERIFY_ROW                                                                                        \
    {                                                                                                        \
        .name = "no-verify", .type = OPT_FLAG, .help = "Do not try the endpoint first"                       \
    }
static const struct opt set_opts[] = {
    [SET_PROVIDER] = PROVIDER_ROW(true),
    [SET_MODEL] = MODEL_ROW(true),
    [SET_SYSTEM] = SYSTEM_ROW,
    [SET_NO_VERIFY] = NO_VERIFY_ROW,
    [SET_TIMEOUT] = {.name = "timeout",
                     .type = OPT_U32,
                     .value = "SECONDS",
                     .def = "0",
                     .help = "For an answer that is not a stream; 0: 60"},
};
static const struct opt update_opts[] = {
    [SET_PROVIDER] = PROVIDER_ROW(false),
    [SET_MODEL] = MODEL_ROW(false),
    [SET_SYSTEM] = SYSTEM_ROW,
    [SET_NO_VERIFY] = NO_VERIFY_ROW,
    [SET_TIMEOUT] = {.name = "timeout",
                     .type = OPT_U32,
                     .value = "SECONDS",
                     .help = "For an answer that is not a stream; 0: 60"},
};

static const char *route_of(const struct args *a, const struct opt *system)
{
    return args_count(a, system) > 0 ? "sandbox-system" : "";
}

static void show_timeout(struct cli *cli, uint64_t s)
{
    char text[32];
    if (s == 0)
        (void)snprintf(text, sizeof(text), "%ds (default)", TIMEOUT_DEFAULT_S);
    else
        (void)snprintf(text, sizeof(text), "%llus", (unsigned long long)s);
    show_field(cli, "Timeout", text);
}

static void show_version(struct cli *cli, uint64_t version)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)version);
    show_field(cli, "Version", text);
}

static int send_set(struct cli *cli, struct gateway *g, IV1(SetInferenceRouteRequest) * req, const char *done)
{
    ProtobufCMessage *m = NULL;
    g->wait_ms = VERIFY_MS;
    req->workspace = g->workspace;
    int status = gateway_call(cli, g, RPC_INFERENCE_SET_INFERENCE_ROUTE, &req->base,
                              "set the inference route", &m);
    if (status != 0)
        return status;
    const IV1(SetInferenceRouteResponse) *out = GATEWAY_ANSWER(IV1(SetInferenceRouteResponse), m);
    char heading[64];
    (void)snprintf(heading, sizeof(heading), "%s %s:", req->route_name[0] ? "System inference" : "Inference",
                   done);
    show_heading(cli, heading);
    show_field(cli, "Workspace", out->workspace);
    show_field(cli, "Route", out->route_name);
    show_field(cli, "Provider", out->provider_name);
    show_field(cli, "Model", out->model_id);
    show_version(cli, out->version);
    show_timeout(cli, out->timeout_secs);
    if (out->n_validated_endpoints > 0)
        buf_add(&cli->out, STR("  Validated Endpoints:\n"));
    for (size_t i = 0; i < out->n_validated_endpoints; i++) {
        buf_add(&cli->out, STR("    - "));
        term_name(&cli->out, out->validated_endpoints[i]->url);
        buf_add(&cli->out, STR(" ("));
        term_name(&cli->out, out->validated_endpoints[i]->protocol);
        buf_add(&cli->out, STR(")\n"));
    }
    return 0;
}

static int set_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    IV1(SetInferenceRouteRequest) req = OPENSHELL__INFERENCE__V1__SET_INFERENCE_ROUTE_REQUEST__INIT;
    int status = gateway_open(cli, a, &g);
    req.provider_name = gateway_text(args_value(a, &set_opts[SET_PROVIDER]));
    req.model_id = gateway_text(args_value(a, &set_opts[SET_MODEL]));
    req.route_name = gateway_text(route_of(a, &set_opts[SET_SYSTEM]));
    req.no_verify = args_count(a, &set_opts[SET_NO_VERIFY]) > 0;
    req.verify = !req.no_verify;
    req.timeout_secs = args_u32(a, &set_opts[SET_TIMEOUT]);
    return status == 0 ? send_set(cli, &g, &req, "configured") : status;
}

// ERR_OK: *ret is there.
static int fetch(struct gateway *g, const char *route, const IV1(GetInferenceRouteResponse) * *ret,
                 struct err *reterr)
{
    IV1(GetInferenceRouteRequest) req = OPENSHELL__INFERENCE__V1__GET_INFERENCE_ROUTE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.route_name = gateway_text(route);
    req.workspace = g->workspace;
    enum err_code r = gateway_ask(g, RPC_INFERENCE_GET_INFERENCE_ROUTE, &req.base, &m, reterr);
    if (r == ERR_OK)
        *ret = GATEWAY_ANSWER(IV1(GetInferenceRouteResponse), m);
    return (int)r;
}

static int update_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    IV1(SetInferenceRouteRequest) req = OPENSHELL__INFERENCE__V1__SET_INFERENCE_ROUTE_REQUEST__INIT;
    const IV1(GetInferenceRouteResponse) *now = NULL;
    struct err e = {};
    const char *name = args_value(a, &update_opts[SET_PROVIDER]),
               *model = args_value(a, &update_opts[SET_MODEL]);
    bool timed = args_count(a, &update_opts[SET_TIMEOUT]) > 0;
    if (!name && !model && !timed)
        return report_usage(cli, a, "give --provider, --model or --timeout", "there is nothing to change");
    int status = gateway_open(cli, a, &g);
    req.route_name = gateway_text(route_of(a, &update_opts[SET_SYSTEM]));
    if (status == 0 && fetch(&g, req.route_name, &now, &e) != ERR_OK)
        status = gateway_report(cli, &g, "find the inference route", &e);
    if (status != 0 || !now)
        return status;
    req.provider_name = name ? gateway_text(name) : now->provider_name;
    req.model_id = model ? gateway_text(model) : now->model_id;
    req.timeout_secs = timed ? args_u32(a, &update_opts[SET_TIMEOUT]) : now->timeout_secs;
    req.no_verify = args_count(a, &update_opts[SET_NO_VERIFY]) > 0;
    req.verify = !req.no_verify;
    return send_set(cli, &g, &req, "updated");
}

// ---- get and delete

enum { GET_SYSTEM };
static const struct opt get_opts[] = {[GET_SYSTEM] = SYSTEM_ROW};

static void show_route(struct cli *cli, const IV1(GetInferenceRouteResponse) * r)
{
    show_field(cli, "Workspace", r->workspace);
    show_field(cli, "Provider", r->provider_name);
    show_field(cli, "Model", r->model_id);
    show_version(cli, r->version);
    show_timeout(cli, r->timeout_secs);
}

static void show_one(struct cli *cli, struct gateway *g, const char *heading, const char *route)
{
    const IV1(GetInferenceRouteResponse) *r = NULL;
    struct err e = {};
    show_heading(cli, heading);
    enum err_code c = (enum err_code)fetch(g, route, &r, &e);
    if (c == ERR_OK && r)
        show_route(cli, r);
    else if (c == ERR_NOT_FOUND)
        buf_add(&cli->out, STR("  Not configured\n"));
    else
        show_field(cli, "Error", e.msg);
}

static int get_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    const IV1(GetInferenceRouteResponse) *r = NULL;
    struct err e = {};
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    if (args_count(a, &get_opts[GET_SYSTEM]) == 0) {
        show_one(cli, &g, "Inference:", "");
        buf_addc(&cli->out, '\n');
        show_one(cli, &g, "System inference:", "sandbox-system");
        return 0;
    }
    if (fetch(&g, "sandbox-system", &r, &e) != ERR_OK)
        return gateway_report(cli, &g, "find the inference route", &e);
    show_heading(cli, "System inference:");
    if (r)
        show_route(cli, r);
    return 0;
}

static int delete_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    IV1(DeleteInferenceRouteRequest) req = OPENSHELL__INFERENCE__V1__DELETE_INFERENCE_ROUTE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int status = gateway_open(cli, a, &g);
    req.route_name = gateway_text(route_of(a, &get_opts[GET_SYSTEM]));
    req.workspace = g.workspace;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_INFERENCE_DELETE_INFERENCE_ROUTE, &req.base,
                              "delete the inference route", &m);
    if (status != 0)
        return status;
    buf_addf(&cli->out, "%s %s\n", req.route_name[0] ? "System inference route" : "Inference route",
             GATEWAY_ANSWER(IV1(DeleteInferenceRouteResponse), m)->deleted ? "deleted."
                                                                           : "not found (already deleted).");
    return 0;
}

static const struct example set_examples[] = {
    {"Model calls go to Anthropic", "openshell inference set --provider claude --model claude-sonnet-4-5"},
    {"To a server of your own, which is not up yet",
     "openshell inference set --provider local --model qwen3 --no-verify"},
};

static const struct command set_command = {
    .name = "set",
    .alias = "",
    .section = "COMMANDS",
    .about = "Say which provider and model answer at https://inference.local",
    .text = "One small request is made to the endpoint first. Sandboxes that run have the new route with "
            "their next "
            "request.",
    COMMAND_TABLE(opts, set_opts),
    COMMAND_TABLE(examples, set_examples),
    .run = set_run,
};
static const struct command update_command = {
    .name = "update",
    .alias = "",
    .section = "COMMANDS",
    .about = "Change parts of a route",
    COMMAND_TABLE(opts, update_opts),
    .run = update_run,
};
static const struct command get_command = {
    .name = "get",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show where model calls go",
    COMMAND_TABLE(opts, get_opts),
    .run = get_run,
};
static const struct command delete_command = {
    .name = "delete",
    .alias = "",
    .section = "COMMANDS",
    .about = "Remove a route",
    COMMAND_TABLE(opts, get_opts),
    .run = delete_run,
};
static const struct command *const inference_subs[] = {&set_command, &update_command, &get_command,
                                                       &delete_command};

const struct command inference_command = {
    .name = "inference",
    .alias = "",
    .section = "SANDBOX COMMANDS",
    .about = "Say where model calls of sandboxes go",
    .text = "A program in a sandbox calls https://inference.local as it would call OpenAI or Anthropic, with "
            "any key or "
            "none. What it sent as a key is dropped; the provider's is added outside of the sandbox.",
    COMMAND_TABLE(subs, inference_subs),
};
