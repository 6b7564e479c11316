#include "cli/commands.h"
#include "cli/gateway.h"
#include "cmd/json_out.h"
#include "openshell.pb-c.h"

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
    enum auth known = g->local ? AUTH_UNIX : AUTH_NOT_REQUIRED;
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

static int print_json(struct cli *cli, const struct gateway *g, const struct findings *f)
{
    bool ok = true;
    json_t *o = json_object();
    json_put(o, "authentication", auth_json(f, &ok), &ok);
    json_put(o, "gateway", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "server", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "status", json_string("connected"), &ok);
    json_put(o, "version", json_text(f->version), &ok);
    return json_out(cli, o, ok);
}

static int print_table(struct cli *cli, const struct gateway *g, const struct findings *f)
{
    static const char *const words[] = {[AUTH_UNIX] = "Authenticated (Unix socket",
                                        [AUTH_NOT_REQUIRED] = "Not required (gateway",
                                        [AUTH_FAILED] = "Failed (",
                                        [AUTH_UNVERIFIED] = "Unverified ("};
    const struct term *t = &cli->out_term;
    term_put(&cli->out, t, STYLE_BOLD, "Server Status");
    buf_addf(&cli->out, "\n\n  Gateway: ");
    term_name(&cli->out, g->endpoint);
    buf_addf(&cli->out, "\n  Server: ");
    term_name(&cli->out, g->endpoint);
    buf_addf(&cli->out, "\n  Status: ");
    term_put(&cli->out, t, STYLE_GREEN, "Connected");
    buf_addf(&cli->out, "\n  Authentication: %s", words[f->auth]);
    if (f->denied)
        buf_add(&cli->out, STR("; authorization denied"));
    if (f->auth == AUTH_FAILED || f->auth == AUTH_UNVERIFIED)
        buf_add(&cli->out, str_of(f->why.msg));
    buf_addf(&cli->out, ")\n  Version: ");
    term_name(&cli->out, f->version.p);
    buf_addc(&cli->out, '\n');
    return 0;
}

static int none_configured(struct cli *cli, bool json, const char *hint)
{
    if (json) {
        bool ok = true;
        json_t *o = json_object();
        json_put(o, "status", json_string("not_configured"), &ok);
        return json_out(cli, o, ok);
    }
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "Gateway Status");
    buf_addf(&cli->out, "\n\n  Status: No gateway configured.\n\n  To have one, %s\n", hint);
    return 0;
}

static int status_run(struct cli *cli, const struct args *a)
{
    bool json = gateway_wants_json(a);
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    struct err err = {};
    if (gateway_choose(a, &g, &err) == ERR_NOT_FOUND)
        return none_configured(cli, json, err.msg);
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (gateway_ask(&g, RPC_OPEN_SHELL_HEALTH, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "say how it is", &err);
    const Openshell__V1__HealthResponse *health = (const Openshell__V1__HealthResponse *)(const void *)m;
    struct findings f = {.version = str_of(health->version)};
    probe(&g, &f);
    return json ? print_json(cli, &g, &f) : print_table(cli, &g, &f);
}

const struct command status_command = {
    .name = "status",
    .alias = "",
    .section = "GATEWAY COMMANDS",
    .about = "Show whether the gateway runs, and whether it knows you",
    .text = "Where no gateway is configured that is the answer, and the exit status is 0. A gateway that is "
            "configured and cannot be reached is a failure.",
    .opts = gateway_opts,
    .opts_n = GATEWAY_OPTS,
    COMMAND_TABLE(examples, status_examples),
    .run = status_run,
};
