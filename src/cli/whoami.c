#include "cli/commands.h"
#include "cli/gateway.h"
#include "cmd/json_out.h"
#include "openshell.pb-c.h"

static const struct example whoami_examples[] = {
    {"Whom does the gateway take me for?", "openshell whoami"},
};

static json_t *list_json(char *const *v, size_t n, bool *ok)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_push(list, json_text(str_of(v[i])), ok);
    return list;
}

static int print_json(struct cli *cli, const Openshell__V1__GetCurrentUserResponse *u)
{
    bool ok = true;
    json_t *o = json_object();
    json_put(o, "display_name", u->display_name[0] ? json_text(str_of(u->display_name)) : json_null(), &ok);
    json_put(o, "identity_provider", json_text(str_of(u->identity_provider)), &ok);
    json_put(o, "roles", list_json(u->roles, u->n_roles, &ok), &ok);
    json_put(o, "scopes", list_json(u->scopes, u->n_scopes, &ok), &ok);
    json_put(o, "subject", json_text(str_of(u->subject)), &ok);
    return json_out(cli, o, ok);
}

static void add_row(struct cli *cli, const char *label, char *const *v, size_t n)
{
    buf_addf(&cli->out, "  %s: ", label);
    for (size_t i = 0; i < n; i++) {
        buf_add(&cli->out, i > 0 ? STR(", ") : STR(""));
        term_name(&cli->out, v[i]);
    }
    buf_addc(&cli->out, '\n');
}

static int whoami_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    struct err err = {};
    Openshell__V1__GetCurrentUserRequest req = OPENSHELL__V1__GET_CURRENT_USER_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (gateway_ask(&g, RPC_OPEN_SHELL_GET_CURRENT_USER, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "say who you are", &err);
    const Openshell__V1__GetCurrentUserResponse
        *u = (const Openshell__V1__GetCurrentUserResponse *)(const void *)m;
    if (gateway_wants_json(a))
        return print_json(cli, u);
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "Current User");
    buf_addf(&cli->out, "\n\n");
    add_row(cli, "Subject", &u->subject, 1);
    if (u->display_name[0])
        add_row(cli, "Name", &u->display_name, 1);
    add_row(cli, "Provider", &u->identity_provider, 1);
    add_row(cli, "Roles", u->roles, u->n_roles);
    add_row(cli, "Scopes", u->scopes, u->n_scopes);
    return 0;
}

const struct command whoami_command = {
    .name = "whoami",
    .alias = "",
    .section = "GATEWAY COMMANDS",
    .about = "Show whom the gateway takes you for",
    .opts = gateway_opts,
    .opts_n = GATEWAY_OPTS,
    COMMAND_TABLE(examples, whoami_examples),
    .run = whoami_run,
};
