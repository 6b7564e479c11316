#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"

enum { OPT_OUTPUT };
static const struct opt status_opts[] = {[OPT_OUTPUT] = SHOW_OUTPUT_OPT};

static const struct example status_examples[] = {
    {"Does the gateway run, and does it know me?", "openshell status"},
    {"In a script", "openshell status -o json | jq -r .status"},
};

enum auth { AUTH_UNIX, AUTH_NOT_REQUIRED, AUTH_FAILED, AUTH_UNVERIFIED };

struct findings {
    struct str version;
    enum auth auth;
    bool denied; // known, but not allowed to see more
    struct err why;
};

// GetGatewayInfo is the probe: it wants a user.
static void probe(struct gateway *g, struct findings *f)
{
    Openshell__V1__GetGatewayInfoRequest req = OPENSHELL__V1__GET_GATEWAY_INFO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum auth known = g->is_local ? AUTH_UNIX : AUTH_NOT_REQUIRED;
    if (gateway_ask(g, RPC_OPEN_SHELL_GET_GATEWAY_INFO, &req.base, &m, &f->why) == ERR_OK) {
        f->auth = known;
        return;
    }
    enum rpc_code code = rpc_client_status(g->client)->code;
    f->denied = code == RPC_PERMISSION_DENIED;
    f->auth = f->denied ? known : code == RPC_UNAUTHENTICATED ? AUTH_FAILED : AUTH_UNVERIFIED;
}

static json_t *auth_json(const struct findings *f, bool *ok)
{
    static const char *const words[] = {[AUTH_UNIX] = "authenticated",
                                        [AUTH_NOT_REQUIRED] = "not_required",
                                        [AUTH_FAILED] = "failed",
                                        [AUTH_UNVERIFIED] = "unverified"};
    json_t *o = json_object();
    json_put(o, "status", json_string(words[f->auth]), ok);
    switch (f->auth) {
    case AUTH_UNIX:
        json_put(o, "provider", json_string("unix_socket"), ok);
        break;
    case AUTH_NOT_REQUIRED:
        json_put(o, "mode", json_string("gateway"), ok);
        break;
    case AUTH_FAILED:
        json_put(o, "error", json_text(str_of(f->why.msg)), ok);
        break;
    case AUTH_UNVERIFIED:
        json_put(o, "reason", json_text(str_of(f->why.msg)), ok);
        break;
    }
    return o;
}

static int print_json(struct cli *cli, const struct args *a, const struct gateway *g,
                      const struct findings *f)
{
    bool ok = true;
    json_t *o = json_object();
    json_put(o, "authentication", auth_json(f, &ok), &ok);
    json_put(o, "gateway", json_text(str_of(g->name)), &ok);
    json_put(o, "server", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "status", json_string("connected"), &ok);
    json_put(o, "version", json_text(f->version), &ok);
    return show_structured(cli, a, &status_opts[OPT_OUTPUT], o, ok);
}

static int print_table(struct cli *cli, const struct gateway *g, const struct findings *f)
{
    static const char *const words[] = {[AUTH_UNIX] = "Authenticated (Unix socket",
                                        [AUTH_NOT_REQUIRED] = "Not required (gateway",
                                        [AUTH_FAILED] = "Failed (",
                                        [AUTH_UNVERIFIED] = "Unverified ("};
    char auth[600];
    bool failed = f->auth == AUTH_FAILED || f->auth == AUTH_UNVERIFIED;
    (void)snprintf(auth, sizeof(auth), "%s%s%s)", words[f->auth], f->denied ? "; authorization denied" : "",
                   failed ? f->why.msg : "");
    show_heading(cli, "Server Status");
    show_field(cli, "Gateway", g->name);
    show_field(cli, "Server", g->endpoint);
    buf_addf(&cli->out, "  ");
    term_put(&cli->out, &cli->out_term, STYLE_DIM, "Status:");
    buf_addc(&cli->out, ' ');
    term_put(&cli->out, &cli->out_term, STYLE_GREEN, "Connected");
    buf_addc(&cli->out, '\n');
    show_field(cli, "Authentication", auth);
    show_field(cli, "Version", f->version.p);
    return 0;
}

static int none_configured(struct cli *cli, const struct args *a)
{
    if (show_is_structured(a, &status_opts[OPT_OUTPUT])) {
        bool ok = true;
        json_t *o = json_object();
        json_put(o, "status", json_string("not_configured"), &ok);
        return show_structured(cli, a, &status_opts[OPT_OUTPUT], o, ok);
    }
    show_heading(cli, "Gateway Status");
    buf_addf(&cli->out, "  Status: No gateway configured.\n\n"
                        "  A command that needs one starts one for you, as 'openshell sandbox create' does;\n"
                        "  'openshell gateway add' registers another.\n");
    return 0;
}

// Chooses and dials, and never starts one: the question is whether it runs.
static int open_as_is(struct cli *cli, const struct args *a, struct gateway *g, bool *none)
{
    struct err err = {};
    enum err_code r = gateway_choose(a, g, &err);
    *none = r != ERR_OK || !gateway_is_configured(g);
    if (*none)
        return 0;
    r = gateway_dial(g, &err);
    if (r == ERR_UNAVAILABLE && g->is_local)
        return report(cli, err.msg, "no gateway runs at %s; 'openshell-gateway' starts one", g->endpoint);
    return r == ERR_OK ? 0 : report(cli, err.msg, "cannot reach the gateway at %s", g->endpoint);
}

static int status_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    bool none = false;
    int status = open_as_is(cli, a, &g, &none);
    if (none)
        return none_configured(cli, a);
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_HEALTH, &req.base, "say how it is", &m);
    if (status != 0)
        return status;
    struct findings f = {.version = str_of(GATEWAY_ANSWER(Openshell__V1__HealthResponse, m)->version)};
    probe(&g, &f);
    return show_is_structured(a, &status_opts[OPT_OUTPUT]) ? print_json(cli, a, &g, &f)
                                                           : print_table(cli, &g, &f);
}

const struct command status_command = {
    .name = "status",
    .alias = "",
    .section = "GATEWAY COMMANDS",
    .about = "Show whether the gateway runs, and whether it knows you",
    .text = "Where no gateway is configured that is the answer, and the exit status is 0. A gateway that is "
            "configured and cannot be reached is a failure.",
    COMMAND_TABLE(opts, status_opts),
    COMMAND_TABLE(examples, status_examples),
    .run = status_run,
};
