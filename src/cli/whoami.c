#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"

enum { OPT_OUTPUT };
static const struct opt whoami_opts[] = {[OPT_OUTPUT] = SHOW_OUTPUT_OPT};

static const struct example whoami_examples[] = {
    {"Whom does the gateway take me for?", "openshell whoami"},
};

static int print_structured(struct cli *cli, const struct args *a,
                            const Openshell__V1__GetCurrentUserResponse *u)
{
    bool ok = true;
    json_t *o = json_object();
    json_put(o, "display_name", u->display_name[0] ? json_text(str_of(u->display_name)) : json_null(), &ok);
    json_put(o, "identity_provider", json_text(str_of(u->identity_provider)), &ok);
    json_put(o, "roles", show_texts(u->roles, u->n_roles, &ok), &ok);
    json_put(o, "scopes", show_texts(u->scopes, u->n_scopes, &ok), &ok);
    json_put(o, "subject", json_text(str_of(u->subject)), &ok);
    return show_structured(cli, a, &whoami_opts[OPT_OUTPUT], o, ok);
}

static int whoami_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    Openshell__V1__GetCurrentUserRequest req = OPENSHELL__V1__GET_CURRENT_USER_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_GET_CURRENT_USER, &req.base, "say who you are", &m);
    if (status != 0)
        return status;
    const Openshell__V1__GetCurrentUserResponse *u = GATEWAY_ANSWER(Openshell__V1__GetCurrentUserResponse, m);
    if (show_is_structured(a, &whoami_opts[OPT_OUTPUT]))
        return print_structured(cli, a, u);
    show_heading(cli, "Current User");
    show_field(cli, "Subject", u->subject);
    if (u->display_name[0])
        show_field(cli, "Name", u->display_name);
    show_field(cli, "Provider", u->identity_provider);
    show_fields(cli, "Roles", u->roles, u->n_roles);
    show_fields(cli, "Scopes", u->scopes, u->n_scopes);
    return 0;
}

const struct command whoami_command = {
    .name = "whoami",
    .alias = "",
    .section = "GATEWAY COMMANDS",
    .about = "Show whom the gateway takes you for",
    COMMAND_TABLE(opts, whoami_opts),
    COMMAND_TABLE(examples, whoami_examples),
    .run = whoami_run,
};
