#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"
#include "net/ip.h"

enum { OPT_NAME, OPT_REMOTE, OPT_LOCAL, OPT_OIDC, OPT_OIDC_ID, OPT_OIDC_AUDIENCE, OPT_OIDC_SCOPES };
#define UNBUILT(word, what)                                                                                  \
    {                                                                                                        \
        .name = (word), .type = OPT_STRING, .value = (what), .hidden = true, .help = "Not built yet"         \
    }
static const struct opt add_opts[] = {
    [OPT_NAME] = {.name = "name",
                  .type = OPT_STRING,
                  .value = "NAME",
                  .help = "What to call it; without it 'openshell' for this machine, else its host"},
    [OPT_REMOTE] = {.name = "remote",
                    .type = OPT_STRING,
                    .value = "SSH_DEST",
                    .help = "It runs on a machine that you reach by ssh so; it is known by certificates"},
    [OPT_LOCAL] = {.name = "local",
                   .type = OPT_FLAG,
                   .help = "It runs on this machine; its certificates are taken over"},
    [OPT_OIDC] = UNBUILT("oidc-issuer", "URL"),
    [OPT_OIDC_ID] = UNBUILT("oidc-client-id", "ID"),
    [OPT_OIDC_AUDIENCE] = UNBUILT("oidc-audience", "AUDIENCE"),
    [OPT_OIDC_SCOPES] = UNBUILT("oidc-scopes", "SCOPES"),
};
static const struct arg add_args[] = {
    {.name = "ENDPOINT", .type = OPT_STRING, .help = "https://HOST:PORT, http://HOST:PORT or unix:///PATH"}};
static const struct example add_examples[] = {
    {"One with certificates on this machine", "openshell gateway add https://127.0.0.1:17670 --local"},
    {"One without TLS", "openshell gateway add http://127.0.0.1:17670 --local"},
    {"Another user's socket",
     "openshell gateway add unix:///run/user/1001/openshell/gateway.sock --name other"},
};

static bool is_loopback(const struct rpc_endpoint *ep)
{
    static const struct ip one = {.family = 6, .b = {[15] = 1}};
    struct ip ip;
    struct err ignored = {};
    if (ep->kind == RPC_ENDPOINT_UNIX || strcmp(ep->host, "localhost") == 0)
        return true;
    return ip_parse(str_of(ep->host), &ip, &ignored) == ERR_OK &&
           (ip.family == 4 ? ip.b[0] == 127 : ip_eq(&ip, &one));
}

// ---- what was said, as an entry

static int fill(struct cli *cli, const struct args *a, struct registered *g, struct rpc_endpoint *ep)
{
    struct err err = {};
    const char *name = args_value(a, &add_opts[OPT_NAME]), *remote = args_value(a, &add_opts[OPT_REMOTE]);
    const char *scheme = strstr(a->words[0], ":/") ? "" : "https://";
    int n = snprintf(g->endpoint, sizeof(g->endpoint), "%s%s", scheme, a->words[0]);
    if (n >= (int)sizeof(g->endpoint))
        return report(cli, NULL, "the endpoint is longer than %zu bytes", sizeof(g->endpoint) - 1);
    if (str_starts(str_of(g->endpoint), STR("ssh://")))
        return report(cli, "give its https:// endpoint and --remote DEST", "not built yet: ssh:// endpoints");
    if (rpc_endpoint_parse(str_of(g->endpoint), ep, &err) != ERR_OK)
        return report(cli, err.msg, "that is no gateway's endpoint");
    bool here = is_loopback(ep);
    const char *own = ep->kind == RPC_ENDPOINT_UNIX ? GATEWAY_LOCAL : here ? "openshell" : ep->host;
    if (!name)
        name = own;
    if (!str_cstr(str_of(name), g->name, sizeof(g->name)) || !registry_is_name(&g->name[0]))
        return report(cli, "a name is one folder's: without '/', and not '.' or '..'",
                      "'%s' is no gateway's name", name);
    if (remote && !str_cstr(str_of(remote), g->remote_host, sizeof(g->remote_host)))
        return report(cli, NULL, "--remote is longer than %zu bytes", sizeof(g->remote_host) - 1);
    static const char *const auths[] = {[RPC_ENDPOINT_UNIX] = "unix_socket",
                                        [RPC_ENDPOINT_HTTP] = "plaintext",
                                        [RPC_ENDPOINT_HTTPS] = "mtls"};
    (void)snprintf(g->auth, sizeof(g->auth), "%s", auths[ep->kind]);
    g->is_remote = remote || (!here && args_count(a, &add_opts[OPT_LOCAL]) == 0);
    return 0;
}

// ---- certificates

static bool has_bundle(const char *dir)
{
    static const char *const files[] = {"ca.crt", "client/tls.crt", "client/tls.key"};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof(path), "%.4000s/%s", dir, files[i]);
        if (access(path, R_OK) != 0)
            return false;
    }
    return true;
}

// The folder of a gateway's package or of generate-certs (reference: CLI 3.1).
static bool find_bundle(char dst[static PATH_MAX])
{
    const char *given = getenv("OPENSHELL_LOCAL_TLS_DIR"), *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (given && given[0]) {
        (void)snprintf(dst, PATH_MAX, "%s", given);
        return has_bundle(dst);
    }
    (void)snprintf(dst, PATH_MAX, "/usr/local/var/openshell/tls");
    if (has_bundle(dst))
        return true;
    if (state && state[0] == '/')
        (void)snprintf(dst, PATH_MAX, "%s/openshell/tls", state);
    else
        (void)snprintf(dst, PATH_MAX, "%s/.local/state/openshell/tls", home ? home : "");
    return has_bundle(dst);
}

static int take_bundle(struct cli *cli, const struct registry *r, const struct registered *g)
{
    char dir[PATH_MAX];
    struct err err = {};
    if (!find_bundle(dir))
        return report(
            cli, "start the gateway first, or make them with 'openshell-gateway generate-certs', then retry",
            "no certificates of a gateway on this machine: ca.crt, client/tls.crt and client/tls.key are "
            "not in %s",
            dir);
    if (registry_import(r, g->name, dir, &err) != ERR_OK)
        return report(cli, err.msg, "the certificates in %s cannot be taken over", dir);
    return 0;
}

// ---- the rest

// Whether it answers; saying so is all that comes of it.
static void probe(struct cli *cli, const struct args *a, const struct registered *one)
{
    struct err err = {};
    CLEANUP(gateway_done) struct gateway g;
    gateway_init(&g);
    Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum err_code r = gateway_choose_named(a, &g, one->name, &err);
    if (r == ERR_OK)
        r = gateway_dial(&g, &err);
    if (r == ERR_OK)
        r = gateway_ask(&g, RPC_OPEN_SHELL_HEALTH, &req.base, &m, &err);
    if (r == ERR_OK)
        return;
    show_err(cli, SHOW_ATTENTION, "Gateway is not reachable at %s", one->endpoint);
    show_err_line(cli, "  %s. It is registered all the same; 'openshell status' asks again.", err.msg);
}

static int add(struct cli *cli, const struct args *a, const struct registry *r, const struct registered *g,
               const struct rpc_endpoint *ep)
{
    struct err err = {};
    struct registered old;
    bool tls = ep->kind == RPC_ENDPOINT_HTTPS;
    if (registry_find(r, g->name, &old, &err) != ERR_NOT_FOUND && !old.is_system)
        return report(cli,
                      "'openshell gateway remove' forgets it; --name registers this one under another name",
                      "gateway '%s' already exists", g->name);
    int status = tls && args_count(a, &add_opts[OPT_LOCAL]) > 0 ? take_bundle(cli, r, g) : 0;
    if (status != 0)
        return status;
    if (registry_add(r, g, &err) != ERR_OK || registry_select(r, g->name, &err) != ERR_OK)
        return report(cli, err.msg, "gateway '%s' cannot be registered", g->name);
    probe(cli, a, g);
    show_err(cli, SHOW_DONE, "Gateway '%s' added and set as active", g->name);
    show_err_line(cli, "  Endpoint: %s", g->endpoint);
    show_err_line(cli, "  Type: %s", g->is_remote ? "remote" : "local");
    if (!tls)
        show_err_line(cli, "  Auth: %s", g->auth);
    char dir[PATH_MAX], path[PATH_MAX];
    registry_bundle(r, g->name, dir);
    (void)snprintf(path, sizeof(path), "%.4000s/tls.key", dir);
    if (tls && access(path, R_OK) == 0)
        show_err(cli, SHOW_DONE, "TLS certificates present");
    else if (tls)
        show_err(cli, SHOW_ATTENTION, "No certificates yet: put ca.crt, tls.crt and tls.key into %s", dir);
    return 0;
}

static int add_run(struct cli *cli, const struct args *a)
{
    struct registry r;
    struct registered g = {};
    struct rpc_endpoint ep;
    int status = report_conflict(cli, a, &add_opts[OPT_REMOTE], &add_opts[OPT_LOCAL]);
    for (size_t i = OPT_OIDC; status == 0 && i < ARRAY_LEN(add_opts); i++)
        if (args_count(a, &add_opts[i]) > 0)
            return report(cli, NULL, "not built yet: '--%s' of 'gateway add'", add_opts[i].name);
    if (status == 0)
        status = fill(cli, a, &g, &ep);
    if (status != 0)
        return status;
    bool certificates = args_count(a, &add_opts[OPT_REMOTE]) + args_count(a, &add_opts[OPT_LOCAL]) > 0;
    if (ep.kind == RPC_ENDPOINT_HTTPS && !certificates)
        return report(cli, "for a gateway that knows you by certificates say --local, or --remote DEST",
                      "not built yet: gateways that one logs in to with a browser");
    registry_init(&r);
    return add(cli, a, &r, &g, &ep);
}

const struct command gateway_add_command = {
    .name = "add",
    .alias = "",
    .section = "COMMANDS",
    .about = "Register a gateway and make it the active one",
    .text =
        "A gateway that is not reached now is registered all the same, and that is said. For https:// the "
        "certificate of its authority and yours are kept in the folder of the gateway.",
    COMMAND_TABLE(opts, add_opts),
    COMMAND_TABLE(args, add_args),
    COMMAND_TABLE(examples, add_examples),
    .run = add_run,
};
