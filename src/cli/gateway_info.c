#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"

enum { OPT_OUTPUT };
static const struct opt info_opts[] = {[OPT_OUTPUT] = SHOW_OUTPUT_OPT};

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

static int print_json(struct cli *cli, const struct args *a, const struct gateway *g,
                      const Openshell__V1__GetGatewayInfoResponse *info)
{
    bool ok = true;
    json_t *o = json_object(), *drivers = json_array();
    for (size_t i = 0; i < info->n_compute_drivers; i++)
        json_push(drivers, driver_json(info->compute_drivers[i], &ok), &ok);
    json_put(o, "auth", json_null(), &ok); // "bearer" where a token is sent, and none is
    json_put(o, "compute_drivers", drivers, &ok);
    json_put(o, "gateway", json_text(str_of(g->name)), &ok);
    json_put(o, "server", json_text(str_of(g->endpoint)), &ok);
    json_put(o, "status", json_string(health_word(info->status)), &ok);
    json_put(o, "version", json_text(str_of(info->gateway_version)), &ok);
    return show_structured(cli, a, &info_opts[OPT_OUTPUT], o, ok);
}

static int print_table(struct cli *cli, const struct gateway *g,
                       const Openshell__V1__GetGatewayInfoResponse *info)
{
    show_heading(cli, "Gateway Info");
    show_field(cli, "Gateway", g->name);
    show_field(cli, "Server", g->endpoint);
    show_field(cli, "Status", health_word(info->status));
    show_field(cli, "Version", info->gateway_version);
    buf_addf(&cli->out, "  Compute drivers:%s\n", info->n_compute_drivers == 0 ? " none" : "");
    for (size_t i = 0; i < info->n_compute_drivers; i++) {
        const Openshell__V1__ComputeDriverInfo *d = info->compute_drivers[i];
        buf_addf(&cli->out, "    ");
        term_name(&cli->out, d->name);
        buf_addc(&cli->out, '\n');
        if (!d->capabilities)
            continue;
        if (strcmp(d->capabilities->driver_name, d->name) != 0)
            show_field(cli, "    Driver name", d->capabilities->driver_name);
        show_field(cli, "    Driver version", d->capabilities->driver_version);
    }
    return 0;
}

static int info_run(struct cli *cli, const struct args *a)
{
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    int status = gateway_open(cli, a, &g);
    Openshell__V1__GetGatewayInfoRequest req = OPENSHELL__V1__GET_GATEWAY_INFO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (status == 0)
        status = gateway_call(cli, &g, RPC_OPEN_SHELL_GET_GATEWAY_INFO, &req.base, "tell about itself", &m);
    if (status != 0)
        return status;
    const Openshell__V1__GetGatewayInfoResponse *info = GATEWAY_ANSWER(Openshell__V1__GetGatewayInfoResponse,
                                                                       m);
    return show_is_structured(a, &info_opts[OPT_OUTPUT]) ? print_json(cli, a, &g, info)
                                                         : print_table(cli, &g, info);
}

const struct command gateway_info_command = {
    .name = "info",
    .alias = "",
    .section = "COMMANDS",
    .about = "Show version, state and compute drivers of the gateway",
    COMMAND_TABLE(opts, info_opts),
    COMMAND_TABLE(examples, info_examples),
    .run = info_run,
};
