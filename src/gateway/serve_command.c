// The gateway's process: one loop with the server, and two signals.
//
// SIGTERM or SIGINT: no new connections; calls in flight go on for at most DRAIN_MS, then everything ends. A
// second signal ends everything at once.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/report.h"
#include "gateway/caller.h"
#include "gateway/certs.h"
#include "gateway/commands.h"
#include "gateway/conf.h"
#include "gateway/config.h"
#include "gateway/hooks.h"
#include "gateway/methods.h"
#include "gateway/open_driver.h"
#include "gateway/ports.h"
#include "gateway/profiles.h"
#include "gateway/secrets.h"
#include "gateway/sessions.h"
#include "gateway/state.h"
#include "gateway/tokens.h"
#include "gateway/watch.h"
#include "gateway/workspace.h"
#include "rpc/local.h"

enum {
    OPT_SOCKET,
    OPT_STATE,
    OPT_PROGRAM,
    OPT_CONFIG,
    OPT_BIND, // before the ports, which take its address
    OPT_PORT,
    OPT_HEALTH,
    OPT_METRICS,
    OPT_LOG_LEVEL,
    OPT_CERT,
    OPT_KEY,
    OPT_CLIENT_CA,
    OPT_NO_TLS,
    OPT_MTLS,
    OPT_DRIVERS,
    OPT_RATE,
    OPT_RATE_WINDOW,
};
#define WORKERS "32"        // ours: threads that may block; libuv makes them with the first call
enum { DRAIN_MS = 10'000 }; // ours: below what service managers wait before they kill (systemd: 90 s)

static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const booleans[] = {"true", "false", NULL};

static const struct opt serve_opts[] = {
    [OPT_SOCKET] = {.name = "socket",
                    .type = OPT_PATH,
                    .value = "PATH",
                    .help = "The Unix socket to listen on, instead of the user's own place"},
    [OPT_STATE] = {.name = "state-dir",
                   .type = OPT_PATH,
                   .value = "DIR",
                   .help = "The folder for what must survive, instead of the user's own place"},
    [OPT_PROGRAM] =
        {.name = "sandbox-program",
         .type = OPT_PATH,
         .value = "PATH",
         .help = "The openshell-sandbox to run sandboxes with, instead of the one beside this program"},
    [OPT_CONFIG] = {.name = "config",
                    .type = OPT_PATH,
                    .value = "FILE",
                    .env = "OPENSHELL_GATEWAY_CONFIG",
                    .help = "The configuration, instead of the user's own gateway.toml"},
    [OPT_BIND] = {.name = "bind-address",
                  .type = OPT_STRING,
                  .value = "IP",
                  .env = "OPENSHELL_BIND_ADDRESS",
                  .help = "Listen on TCP, too, at this address (127.0.0.1 where only --port is given)"},
    [OPT_PORT] =
        {.name = "port",
         .type = OPT_U32,
         .value = "PORT",
         .env = "OPENSHELL_SERVER_PORT",
         .help = "Listen on TCP, too, at this port (17670 where only --bind-address is given); 0 takes "
                 "a free one"},
    [OPT_HEALTH] = {.name = "health-port",
                    .type = OPT_U32,
                    .value = "PORT",
                    .env = "OPENSHELL_HEALTH_PORT",
                    .help = "Serve /healthz and /readyz over plain HTTP at this port; 0 does not"},
    [OPT_METRICS] = {.name = "metrics-port",
                     .type = OPT_U32,
                     .value = "PORT",
                     .env = "OPENSHELL_METRICS_PORT",
                     .help = "Serve /metrics over plain HTTP at this port; 0 does not"},
    [OPT_LOG_LEVEL] = {.name = "log-level",
                       .type = OPT_ENUM,
                       .value = "LEVEL",
                       .values = levels,
                       .env = "OPENSHELL_LOG_LEVEL",
                       .help = "What to tell on standard error; info where nothing is said"},
    [OPT_CERT] = {.name = "tls-cert",
                  .type = OPT_PATH,
                  .value = "FILE",
                  .env = "OPENSHELL_TLS_CERT",
                  .help = "The certificate to show, with those that lead to its CA, as PEM"},
    [OPT_KEY] = {.name = "tls-key",
                 .type = OPT_PATH,
                 .value = "FILE",
                 .env = "OPENSHELL_TLS_KEY",
                 .help = "The certificate's key"},
    [OPT_CLIENT_CA] = {.name = "tls-client-ca",
                       .type = OPT_PATH,
                       .value = "FILE",
                       .env = "OPENSHELL_TLS_CLIENT_CA",
                       .help = "Ask clients for a certificate of this CA"},
    [OPT_NO_TLS] = {.name = "disable-tls",
                    .type = OPT_FLAG,
                    .env = "OPENSHELL_DISABLE_TLS",
                    .help = "Speak plain HTTP/2 over TCP"},
    [OPT_MTLS] =
        {.name = "enable-mtls-auth",
         .type = OPT_ENUM,
         .value = "BOOL",
         .values = booleans,
         .env = "OPENSHELL_ENABLE_MTLS_AUTH",
         .help = "Whether a client certificate says who the user is; true where there is a client CA"},
    [OPT_DRIVERS] = {.name = "drivers",
                     .type = OPT_STRING,
                     .value = "NAME",
                     .env = "OPENSHELL_DRIVERS",
                     .help = "What sandboxes run on"},
    [OPT_RATE] = {.name = "grpc-rate-limit-requests",
                  .type = OPT_U32,
                  .value = "N",
                  .env = "OPENSHELL_GRPC_RATE_LIMIT_REQUESTS",
                  .help = "Calls that are taken in each window, of all callers together"},
    [OPT_RATE_WINDOW] = {.name = "grpc-rate-limit-window-seconds",
                         .type = OPT_U32,
                         .value = "SECONDS",
                         .env = "OPENSHELL_GRPC_RATE_LIMIT_WINDOW_SECONDS",
                         .help = "The length of a window"},
};

static const struct example serve_examples[] = {
    {"For this user", "openshell-gateway"},
    {"For other machines, too, with mutual TLS by certificates of one's own",
     "openshell-gateway generate-certs && openshell-gateway --bind-address 0.0.0.0"},
    {"Elsewhere, and ask it",
     "openshell-gateway --socket /tmp/gw.sock & openshell status --gateway-endpoint unix:///tmp/gw.sock"},
};

struct gateway {
    struct services services; // first: what handlers see of it
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t drain;
    struct rpc_server *server;
    struct conf config;
    struct caller_rules callers;
    struct certs *certs;
    struct ports *ports;
    struct state state;
    struct driver_env driver_env;
    char endpoint[LOCAL_PATH_SIZE + 8], program[STATE_PATH_SIZE], driver_dir[STATE_PATH_SIZE];
    struct log *log;
    bool draining, stopping;
};

static void on_stopped(void *ctx)
{
    struct gateway *g = ctx;
    for (size_t i = 0; i < ARRAY_LEN(g->signals); i++)
        uv_close((uv_handle_t *)&g->signals[i], NULL);
    uv_close((uv_handle_t *)&g->drain, NULL);
    certs_close(TAKE(g->certs));
    ports_close(g->ports);
    sessions_stop(g->services.sessions);
}

static void stop(void *ctx)
{
    struct gateway *g = ctx;
    if (g->stopping)
        return;
    g->stopping = true;
    rpc_server_stop(g->server, on_stopped);
}

static void on_drain_end(uv_timer_t *timer)
{
    struct gateway *g = timer->data;
    log_warning(g->log, "gateway.drain-timeout", LOG_U64("connections", rpc_server_conns(g->server)));
    stop(g);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct gateway *g = handle->data;
    if (g->draining) {
        stop(g);
        return;
    }
    g->draining = true;
    sessions_stop(g->services.sessions); // they would not end by themselves
    watch_stop(g->services.watch);       // ditto
    log_info(g->log, "gateway.drain", LOG_I64("signal", signum),
             LOG_U64("connections", rpc_server_conns(g->server)));
    (void)uv_timer_start(&g->drain, on_drain_end, DRAIN_MS, 0); // fails only for want of a callback
    rpc_server_drain(g->server, stop);
}

static void on_call(void *ctx, const struct rpc_method *method, enum rpc_code code, int64_t took_ns)
{
    struct gateway *g = ctx;
    if (g->ports)
        ports_observe(g->ports, method, code, took_ns);
}

// Handles of a loop that is about to run; what fails here ends the process, so nothing is taken back.
static enum err_code prepare(struct gateway *g, const char *path, struct err *reterr)
{
    static const int signums[] = {SIGTERM, SIGINT};
    int failed = uv_loop_init(&g->loop);
    if (failed == 0)
        failed = uv_timer_init(&g->loop, &g->drain);
    g->drain.data = g;
    for (size_t i = 0; failed == 0 && i < ARRAY_LEN(g->signals); i++) {
        failed = uv_signal_init(&g->loop, &g->signals[i]);
        g->signals[i].data = g;
        if (failed == 0)
            failed = uv_signal_start(&g->signals[i], on_signal, signums[i]);
    }
    if (failed != 0)
        return err_set(reterr, ERR_LIMIT, "no event loop: %s", uv_strerror(failed));
    const struct rpc_server_opts opts = {.loop = &g->loop,
                                         .log = g->log,
                                         .config = RPC_CONFIG_SERVER,
                                         .handlers = gateway_handlers,
                                         .ctx = g,
                                         .observe = on_call,
                                         .rate_max = g->config.rate_requests,
                                         .rate_ns = g->config.rate_seconds * (int64_t)1'000'000'000,
                                         .admit = caller_admit};
    enum err_code r = rpc_server_new(&opts, &g->server, reterr);
    if (r == ERR_OK)
        r = rpc_server_listen_unix(g->server, path, reterr);
    return r;
}

static enum err_code listen_tcp(struct gateway *g, struct err *reterr)
{
    const struct conf *c = &g->config;
    uint16_t port = 0;
    if (!conf_has_tcp(c))
        return ERR_OK;
    g->callers = (struct caller_rules){.certificates = c->mtls_auth == CONF_ON,
                                       .unauthenticated = c->allow_unauthenticated};
    g->services.callers = &g->callers;
    bool tls = conf_has_tls(c);
    enum err_code r = tls ? certs_open(c, &g->loop, g->server, g->log, &g->certs, reterr) : ERR_OK;
    if (r == ERR_OK)
        r = tls ? rpc_server_listen_tls(g->server, c->bind.ip, c->bind.port, &port, reterr)
                : rpc_server_listen_tcp(g->server, c->bind.ip, c->bind.port, &port, reterr);
    if (r != ERR_OK)
        return r;
    g->services.address = (struct gateway_address){.port = port, .tls = tls};
    (void)snprintf(g->services.address.host, sizeof(g->services.address.host), "%s", c->bind.ip);
    log_info(g->log, "gateway.listening", LOG_WORD("address", str_of(c->bind.ip)), LOG_U64("port", port),
             LOG_BOOL("tls", tls), LOG_BOOL("client_certificates", tls && c->client_ca[0]));
    if (!tls)
        log_warning(g->log, "gateway.no-tls", LOG_STR("what", STR("whoever can listen in reads all of it")));
    if (c->allow_unauthenticated)
        log_warning(g->log, "gateway.no-authentication",
                    LOG_STR("what", STR("whoever can connect over TCP is a user, and an administrator")));
    return ERR_OK;
}

// The file, then variables and options, which the parser of the command line has brought into one.
static enum err_code read_config(struct conf *c, const struct args *a, struct err *reterr)
{
    char place[CONF_PATH_SIZE];
    const char *given = args_value(a, &serve_opts[OPT_CONFIG]);
    conf_init(c);
    enum err_code r = conf_refuse_env(reterr);
    if (r == ERR_OK && given) {
        r = conf_read(c, given, reterr);
    } else if (r == ERR_OK && conf_place(place)) {
        r = conf_read(c, place, reterr);
        if (r == ERR_NOT_FOUND)
            r = ERR_OK; // nobody has to have one
    }
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(serve_opts); i++) {
        const struct opt *o = &serve_opts[i];
        const char *value = args_value(a, o);
        if (o->type == OPT_FLAG && args_count(a, o) > 0)
            value = "true";
        if (value && conf_set(c, str_of(o->name), str_of(value), reterr) != ERR_OK)
            r = err_wrap(reterr, ERR_INVALID, "--%s", o->name);
    }
    return r == ERR_OK ? conf_finish(c, reterr) : r;
}

// openshell-sandbox: what was named, else the one beside this program, if there is one.
static bool find_program(const struct args *a, char dst[static STATE_PATH_SIZE])
{
    const char *given = args_value(a, &serve_opts[OPT_PROGRAM]);
    if (given)
        return str_cstr(str_of(given), dst, STATE_PATH_SIZE);
    size_t n = STATE_PATH_SIZE - 1;
    if (uv_exepath(dst, &n) != 0)
        return false;
    char *slash = strrchr(dst, '/');
    size_t left = slash ? STATE_PATH_SIZE - (size_t)(slash + 1 - dst) : 0;
    return left > 0 && snprintf(slash + 1, left, "openshell-sandbox") < (int)left && access(dst, X_OK) == 0;
}

// Where sandboxes find us: their working folder is another one.
static enum err_code find_endpoint(const char *socket, char dst[static LOCAL_PATH_SIZE + 8],
                                   struct err *reterr)
{
    CLEANUP(base_freep) char *path = realpath(socket, NULL);
    if (!path || snprintf(dst, LOCAL_PATH_SIZE + 8, "unix://%s", path) >= LOCAL_PATH_SIZE + 7)
        return err_set(reterr, ERR_LIMIT, "%s: its absolute path has more than %d bytes", socket,
                       LOCAL_PATH_SIZE - 1);
    return ERR_OK;
}

// The driver, and what is stored of its sandboxes made true. Sandboxes that run dial in when the loop does.
static enum err_code open_sandboxes(struct gateway *g, const struct args *a, const char *socket,
                                    struct err *reterr)
{
    if (!find_program(a, g->program))
        return ERR_OK; // without one there is no driver, and it is not listed
    enum err_code r = find_endpoint(socket, g->endpoint, reterr);
    if (r == ERR_OK)
        r = state_path(&g->state, "local", g->driver_dir, reterr);
    if (r != ERR_OK)
        return r;
    g->driver_env = (struct driver_env){.endpoint = g->endpoint,
                                        .program = g->program,
                                        .state_dir = g->driver_dir,
                                        .log = g->log};
    struct lifecycle_opts opts = {.store = g->services.store,
                                  .log = g->log,
                                  .hooks = services_hooks(&g->services)};
    r = open_driver(&g->config, &g->driver_env, &g->state, g->server, &opts.driver, reterr);
    return r == ERR_OK ? lifecycle_new(&opts, &g->services.lifecycle, reterr) : r;
}

// What survives this process: the folder, which no other gateway may use meanwhile, the store in it, and the
// key of the supervisors' tokens.
static enum err_code open_state(struct gateway *g, const struct args *a, struct err *reterr)
{
    char path[STATE_PATH_SIZE];
    enum err_code r = state_open(args_value(a, &serve_opts[OPT_STATE]), &g->state, reterr);
    if (r == ERR_OK)
        r = state_path(&g->state, "openshell.db", path, reterr);
    if (r == ERR_OK)
        r = store_open(str_of(path), &g->services.store, reterr);
    if (r == ERR_OK)
        r = workspace_ensure_default(g->services.store, reterr);
    if (r == ERR_OK)
        r = state_path(&g->state, "jwt", path, reterr);
    if (r == ERR_OK)
        r = tokens_open(path, str_of(g->config.gateway_id), g->config.token_ttl_s, &g->services.tokens,
                        reterr);
    const struct sessions_ops ops = {services_connected, services_disconnected, &g->services};
    if (r == ERR_OK)
        r = sessions_new(&ops, &g->services.sessions, reterr);
    if (r == ERR_OK)
        sessions_attach(g->services.sessions, g->server, &g->loop);
    return r;
}

static bool has_session(void *ctx, struct str sandbox_id)
{
    return sessions_has(ctx, sandbox_id);
}

static enum err_code push_config(void *ctx, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                                 int64_t deadline_ns, struct push_result *ret, struct err *reterr)
{
    return sessions_push(ctx, sandbox_id, push, deadline_ns, ret, reterr);
}

// What sandboxes run under, and who watches them.
static enum err_code open_config(struct gateway *g, struct err *reterr)
{
    char path[STATE_PATH_SIZE];
    enum err_code r = state_path(&g->state, "logs", path, reterr);
    if (r == ERR_OK)
        r = watch_new(&g->services.watch, reterr);
    if (r == ERR_OK)
        r = watch_keep(g->services.watch, path, g->log, reterr);
    if (r != ERR_OK)
        return r;
    watch_attach(g->services.watch, g->server, &g->loop);
    const struct config_ops ops = {has_session, push_config, g->services.sessions};
    return config_new(&ops, &g->services.config, reterr);
}

// Credentials, and the kinds of providers that have them.
static enum err_code open_credentials(struct gateway *g, struct err *reterr)
{
    char path[STATE_PATH_SIZE];
    enum err_code r = state_path(&g->state, "credentials", path, reterr);
    if (r == ERR_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
        r = err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    if (r == ERR_OK)
        r = secrets_open(g->services.store, path, &g->services.secrets, reterr);
    return r == ERR_OK ? profiles_new(&g->services.profiles, reterr) : r;
}

// Ten thousand supervisors are as many descriptors, and the soft limit is often 1024.
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); // may not fail: below the hard limit
}

static int serve_run(struct cli *cli, const struct args *a)
{
    char path[LOCAL_PATH_SIZE];
    struct err err = {};
    const char *given = args_value(a, &serve_opts[OPT_SOCKET]);
    const struct local_env env = local_env();
    enum err_code r = ERR_OK;
    if (!given)
        r = local_socket(&env, path, &err);
    else if (!str_cstr(str_of(given), path, sizeof(path)) || !given[0])
        r = err_set(&err, ERR_INVALID, "the path of a socket has 1 to %d bytes", LOCAL_PATH_SIZE - 1);
    if (r != ERR_OK)
        return report(cli, err.msg, "no place for the socket; name one with --socket PATH");
    raise_files();
    (void)setenv("UV_THREADPOOL_SIZE", WORKERS,
                 0);         // without: four, and a push keeps one for as long as it waits
    static struct gateway g; // libuv's handles are in it, and a failure leaves them to the process's end
    if (read_config(&g.config, a, &err) != ERR_OK)
        return report(cli, err.msg, "the configuration is not good");
    cli->log.level = g.config.log_level;
    cli->log.time = true;
    g.log = g.services.log = &cli->log;
    if (local_make_dir(path, env.uid, &err) != ERR_OK || prepare(&g, path, &err) != ERR_OK)
        return report(cli, err.msg, "cannot listen on %s", path);
    if (open_state(&g, a, &err) != ERR_OK)
        return report(cli, err.msg, "cannot open the store");
    if (open_config(&g, &err) != ERR_OK)
        return report(cli, err.msg, "cannot keep logs");
    if (open_credentials(&g, &err) != ERR_OK)
        return report(cli, err.msg, "cannot keep credentials");
    if (open_sandboxes(&g, a, path, &err) != ERR_OK)
        return report(cli, err.msg, "cannot run sandboxes");
    if (ports_open(&g.config, &g.loop, g.services.store, g.log, &g.ports, &err) != ERR_OK)
        return report(cli, err.msg, "cannot listen for probes");
    g.services.health = ports_health(g.ports);
    if (listen_tcp(&g, &err) != ERR_OK)
        return report(cli, err.msg, "cannot listen on TCP");
    log_info(g.log, "gateway.ready", LOG_STR("socket", str_of(path)),
             LOG_WORD("version", STR(OPENSHELL_VERSION)));
    (void)uv_run(&g.loop, UV_RUN_DEFAULT); // until no handle is left
    lifecycle_free(g.services.lifecycle);  // its thread asks the others
    sessions_free(g.services.sessions);
    rpc_server_free(g.server);
    g.server = NULL;
    ports_free(g.ports);
    config_free(g.services.config);
    watch_free(g.services.watch);
    tokens_free(g.services.tokens);
    profiles_free(g.services.profiles);
    secrets_free(g.services.secrets);
    store_free(g.services.store);
    state_done(&g.state);
    conf_done(&g.config);
    int left = uv_loop_close(&g.loop);
    log_info(g.log, "gateway.end");
    return left == 0 ? 0 : report(cli, uv_strerror(left), "the event loop did not end as it should");
}

static const struct command *const root_subs[] = {&generate_certs_command};

static const struct command root_command = {
    .name = "openshell-gateway",
    .alias = "",
    .about = "Serve the OpenShell interface to one user on a Unix socket, and to others over TLS",
    .text =
        "Without --socket it listens on $XDG_RUNTIME_DIR/openshell/gateway.sock, where the openshell "
        "command looks for it; without that variable on /run/openshell/gateway.sock for root, else in "
        "$XDG_STATE_HOME/openshell or ~/.local/state/openshell. Only the user that started it may call "
        "it there.\n\n"
        "It listens on TCP, too, once an address, a port or TLS is configured. TLS is on unless it is "
        "disabled: "
        "certificates are those named, else those that generate-certs made. With a client CA a caller must "
        "show a "
        "certificate, and its common name is the user.\n\n"
        "An option counts more than its variable, that more than the configuration file "
        "($XDG_CONFIG_HOME/openshell/gateway.toml or ~/.config/openshell/gateway.toml where --config names "
        "none), that more than the default.\n\n"
        "It runs sandboxes as processes of openshell-sandbox on this machine. They live on when it ends, for "
        "whatever reason, and the next one finds them again. What it must not forget is in "
        "$XDG_STATE_HOME/openshell/gateway or ~/.local/state/openshell/gateway, which one gateway at a time "
        "may use. Methods that are not built answer UNIMPLEMENTED with their name.\n\n"
        "SIGTERM ends it when the calls in flight have ended, at the latest after 10 seconds.",
    COMMAND_TABLE(opts, serve_opts),
    COMMAND_TABLE(examples, serve_examples),
    COMMAND_TABLE(subs, root_subs),
    .run = serve_run,
};

const struct command *gateway_root(void)
{
    return &root_command;
}
