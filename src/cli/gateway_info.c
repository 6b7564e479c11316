#include "cli/commands.h"
#include "cli/gateway.h"
#include "cmd/json_out.h"
#include "openshell.pb-c.h"

static const struct example info_examples[] = {
    {"What can this gateway run?", "openshell gateway info"},
};

static const char *health_word(Openshell__V1__ServiceStatus status)
{
    static const char *const words[] = {"unknown", "healthy", "degraded", "unhealthy"};
    return (unsigned)status < ARRAY_LEN(words) ? words[status] : words[0];
}

static json_t *driver_json(const Openshell__V1__ComputeDriverInfo *d, bool *ok)
{
    json_t *o = json_object();
    json_put(o, "name", json_text(str_of(d->name)), ok);
    if (d->capabilities) {
        json_t *c = json_object();
        json_put(c, "driver_name", json_text(str_of(d->capabilities->driver_name)), ok);
        json_put(c, "driver_version", json_text(str_of(d->capabilities->driver_version)), ok);
        json_put(o, "capabilities", c, ok);
    }
    return o;
}

static int print_json(struct cli *cli, const struct gateway *g,
                      const Openshell__V1__GetGatewayInfoResponse *info)
{
    bool ok = true;
    json_t *o = json_object(), *drivers = json_array();
    for (size_t i = 0; i < info->n_compute_drivers; i++)
        json_push(drivers, driver_json(info->compute_drivers[i], &ok), &ok);
    json_put(o, "auth", json_null(), &ok); // "bearer" where a token is sent, and none is
    json_put(o, "compute_drivers", drivers, &ok);
    json_put(o, "gateway", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "server", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "status", json_string(health_word(info->status)), &ok);
    json_put(o, "version", json_text(str_of(info->gateway_version)), &ok);
    return json_out(cli, o, ok);
}

static void add_row(struct cli *cli, const char *label, const char *value)
{
    buf_addf(&cli->out, "  %s: ", label);
    term_name(&cli->out, value);
    buf_addc(&cli->out, '\n');
}

static int print_table(struct cli *cli, const struct gateway *g,
                       const Openshell__V1__GetGatewayInfoResponse *info)
{
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "Gateway Info");
    buf_addf(&cli->out, "\n\n");
    add_row(cli, "Gateway", g->endpoint);
    add_row(cli, "Server", g->endpoint);
    add_row(cli, "Status", health_word(info->status));
    add_row(cli, "Version", info->gateway_version);
    buf_addf(&cli->out, "  Compute drivers:%s\n", info->n_compute_drivers == 0 ? " none" : "");
    for (size_t i = 0; i < info->n_compute_drivers; i++) {
        const Openshell__V1__ComputeDriverInfo *d = info->compute_drivers[i];
        buf_addf(&cli->out, "    ");
        term_name(&cli->out, d->name);
        buf_addc(&cli->out, '\n');
        if (!d->capabilities)
            continue;
        if (strcmp(d->capabilities->driver_name, d->name) != 0)
            add_row(cli, "    Driver name", d->capabilities->driver_name);
        add_row(cli, "    Driver version", d->capabilities->driver_version);
    }
    return 0;
}

static int info_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    if (status != 0)
        return status;
    struct err err = {};
    Openshell__V1__GetGatewayInfoRequest req = OPENSHELL__V1__GET_GATEWAY_INFO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (gateway_ask(&g, RPC_OPEN_SHELL_GET_GATEWAY_INFO, &req.base, &m, &err) != ERR_OK)
        return gateway_report(cli, &g, "tell about itself", &err);
    const Openshell__V1__GetGatewayInfoResponse
        *info = (const Openshell__V1__GetGatewayInfoResponse *)(const void *)m;
    return gateway_wants_json(a) ? print_json(cli, &g, info) : print_table(cli, &g, info);
}

const struct command gateway_info_command = {
    .name = "info",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show version, state and compute drivers of the gateway",
    .opts = gateway_opts,
    .opts_n = GATEWAY_OPTS,
    COMMAND_TABLE(examples, info_examples),
    .run = info_run,
};
