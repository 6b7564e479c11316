#include "cli/gateway.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/autostart.h"
#include "cli/show.h"
#include "rpc/local.h"

enum { WAIT_MS = 10'000, ANSWER_MAX = 64 * MIB }; // 10 s: reference: CLI 2.4

const struct opt gateway_opts[GATEWAY_OPTS] = {
    [GATEWAY_OPT_NAME] = {.name = "gateway",
                          .letter = 'g',
                          .type = OPT_STRING,
                          .value = "NAME",
                          .env = "OPENSHELL_GATEWAY",
                          .kind = "gateway",
                          .help = "The registered gateway to talk to, instead of the active one"},
    [GATEWAY_OPT_ENDPOINT] = {.name = "gateway-endpoint",
                              .type = OPT_STRING,
                              .value = "URL",
                              .env = "OPENSHELL_GATEWAY_ENDPOINT",
                              .help = "Talk to the gateway at https://HOST:PORT, http://HOST:PORT or "
                                      "unix:///PATH, registered or not"},
    [GATEWAY_OPT_INSECURE] = {.name = "gateway-insecure",
                              .type = OPT_FLAG,
                              .repeat = true,
                              .env = "OPENSHELL_GATEWAY_INSECURE",
                              .help = "Take any certificate of an https:// gateway, and show none"},
    [GATEWAY_OPT_WORKSPACE] = {.name = "workspace",
                               .type = OPT_STRING,
                               .value = "NAME",
                               .env = "OPENSHELL_WORKSPACE",
                               .kind = "workspace",
                               .def = "default",
                               .help = "The workspace that all names are of"},
};

void gateway_init(struct gateway *g)
{
    *g = (struct gateway){.wait_ms = WAIT_MS};
    arena_init(&g->arena, ANSWER_MAX);
}

void gateway_done(struct gateway *g)
{
    rpc_client_free(g->client);
    arena_done(&g->arena);
}

static enum err_code set(char *dst, size_t size, const char *what, const char *value, struct err *reterr)
{
    if (!str_cstr(str_of(value), dst, size))
        return err_set(reterr, ERR_LIMIT, "%s is longer than %zu bytes", what, size - 1);
    return ERR_OK;
}

// Of a variable: true, 1, yes, y, on, t; anything else is no.
static bool is_yes(const char *s)
{
    static const struct str words[] = {STR_INIT("true"), STR_INIT("1"),  STR_INIT("yes"),
                                       STR_INIT("y"),    STR_INIT("on"), STR_INIT("t")};
    for (size_t i = 0; s && i < ARRAY_LEN(words); i++)
        if (str_eq_ci(str_of(s), words[i]))
            return true;
    return false;
}

static bool same_url(const char *a, const char *b)
{
    struct str x = str_of(a), y = str_of(b);
    while (str_ends(x, STR("/")))
        x.n--;
    while (str_ends(y, STR("/")))
        y.n--;
    return str_eq(x, y);
}

// The name of an endpoint that was given: of the registered gateway that has it, the active one first.
static void name_endpoint(struct gateway *g)
{
    char active[REGISTRY_NAME_SIZE];
    struct registered one, *all = NULL;
    size_t n = 0;
    struct err ignored = {};
    if (registry_active(&g->registry, active) &&
        registry_find(&g->registry, active, &one, &ignored) == ERR_OK &&
        same_url(one.endpoint, g->endpoint)) {
        (void)snprintf(g->name, sizeof(g->name), "%s", active);
        return;
    }
    if (registry_list(&g->registry, &g->arena, &all, &n, &ignored) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (same_url(all[i].endpoint, g->endpoint)) {
            (void)snprintf(g->name, sizeof(g->name), "%s", all[i].name);
            return;
        }
    }
}

static enum err_code choose_own(struct gateway *g, struct err *reterr)
{
    char path[LOCAL_PATH_SIZE];
    const struct local_env env = local_env();
    enum err_code r = local_socket(&env, path, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(g->endpoint, sizeof(g->endpoint), "unix://%s", path);
    (void)snprintf(g->name, sizeof(g->name), GATEWAY_LOCAL);
    g->is_own = true;
    return ERR_OK;
}

static enum err_code choose_registered(struct gateway *g, const char *name, struct err *reterr)
{
    struct registered one;
    enum err_code r = registry_find(&g->registry, name, &one, reterr);
    if (r == ERR_NOT_FOUND && strcmp(name, GATEWAY_LOCAL) == 0)
        return choose_own(g, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(g->name, sizeof(g->name), "%s", one.name);
    (void)snprintf(g->endpoint, sizeof(g->endpoint), "%s", one.endpoint);
    (void)snprintf(g->auth, sizeof(g->auth), "%s", one.auth);
    return ERR_OK;
}

// What the command line says beside which one it is.
static enum err_code prepare(const struct args *a, struct gateway *g, struct err *reterr)
{
    const char *workspace = args_value(a, &gateway_opts[GATEWAY_OPT_WORKSPACE]);
    const struct opt *insecure = &gateway_opts[GATEWAY_OPT_INSECURE];
    registry_init(&g->registry);
    g->insecure = args_count(a, insecure) > 0 || is_yes(args_value(a, insecure));
    return set(g->workspace, sizeof(g->workspace), "a workspace's name", workspace ? workspace : "", reterr);
}

enum err_code gateway_choose_named(const struct args *a, struct gateway *g, const char *name,
                                   struct err *reterr)
{
    enum err_code r = prepare(a, g, reterr);
    if (r == ERR_OK)
        r = choose_registered(g, name, reterr);
    g->is_local = str_starts(str_of(g->endpoint), STR("unix:"));
    return r;
}

enum err_code gateway_choose(const struct args *a, struct gateway *g, struct err *reterr)
{
    const char *name = args_value(a, &gateway_opts[GATEWAY_OPT_NAME]);
    const char *endpoint = args_value(a, &gateway_opts[GATEWAY_OPT_ENDPOINT]);
    char active[REGISTRY_NAME_SIZE];
    bool named = name && str_trim(str_of(name)).n > 0;
    enum err_code r = prepare(a, g, reterr);
    if (r != ERR_OK)
        return r;
    if (endpoint && endpoint[0]) {
        r = set(g->endpoint, sizeof(g->endpoint), "a gateway's address", endpoint, reterr);
        (void)snprintf(g->name, sizeof(g->name), "%s", named ? name : g->endpoint);
        if (r == ERR_OK && !named)
            name_endpoint(g);
    } else if (named) {
        r = choose_registered(g, name, reterr);
    } else if (registry_active(&g->registry, active)) {
        r = choose_registered(g, active, reterr);
    } else {
        r = choose_own(g, reterr);
    }
    g->is_local = str_starts(str_of(g->endpoint), STR("unix:"));
    return r;
}

bool gateway_is_configured(const struct gateway *g)
{
    struct stat st;
    return !g->is_own || (lstat(g->endpoint + strlen("unix://"), &st) == 0 && S_ISSOCK(st.st_mode) &&
                          st.st_uid == geteuid());
}

// What to trust, and what to show.
static enum err_code load_tls(const struct gateway *g, struct tls_side **ret, struct err *reterr)
{
    static const char *const names[] = {"ca.crt", "tls.crt", "tls.key"};
    char dir[PATH_MAX], paths[ARRAY_LEN(names)][PATH_MAX];
    struct tls_files files = {.insecure = g->insecure};
    if (g->insecure)
        return tls_side_load(&files, ret, reterr);
    if (g->auth[0] && strcmp(g->auth, "mtls") != 0)
        return err_set(reterr, ERR_UNSUPPORTED, "its way of authentication, %s, is not built yet", g->auth);
    registry_bundle(&g->registry, g->name, dir);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%.4000s/%s", dir, names[i]);
        if (access(paths[i], R_OK) != 0)
            return err_set(reterr, ERR_NOT_FOUND, "%s: %s", paths[i], fd_strerror(errno));
    }
    files.ca = paths[0];
    files.cert = paths[1];
    files.key = paths[2];
    return tls_side_load(&files, ret, reterr);
}

enum err_code gateway_dial(struct gateway *g, struct err *reterr)
{
    const struct rpc_wait wait = {deadline_in_ms(g->wait_ms), -1};
    CLEANUP(tls_side_unrefp) struct tls_side *tls = NULL;
    enum err_code r = ERR_OK;
    if (str_starts(str_of(g->endpoint), STR("https://")))
        r = load_tls(g, &tls, reterr);
    const struct rpc_dial_opts opts = {.tls = tls};
    if (r == ERR_OK)
        r = rpc_dial_with(str_of(g->endpoint), &opts, &RPC_CONFIG_CLIENT, &wait, &g->client, reterr);
    return r;
}

enum err_code gateway_ask(struct gateway *g, enum rpc_method_id method, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, struct err *reterr)
{
    const struct rpc_wait wait = {deadline_in_ms(g->wait_ms), -1};
    return rpc_unary(g->client, method, request, &wait, &g->arena, ret, reterr);
}

// The user's own gateway, which is started where it does not run.
static int ensure_own(struct cli *cli, const struct gateway *g)
{
    struct err err = {};
    struct autostart start = {.socket = g->endpoint + strlen("unix://")};
    enum err_code r = autostart(&start, &err);
    if (r == ERR_NOT_FOUND)
        return report(
            cli, err.msg,
            "No gateway configured, and none can be started here. Register one with 'openshell gateway "
            "add', choose one with 'openshell gateway select'");
    if (r != ERR_OK)
        return report(cli, err.msg, "cannot start a gateway for you at %s", g->endpoint);
    if (start.started)
        show_err(cli, SHOW_HINT, "Started a gateway for you; it goes on running, and its log is %s",
                 start.log);
    return 0;
}

// A gateway that is about to be gone still takes connections, until the kernel has closed its socket: whether
// it lives is known when it has answered.
static int open_own(struct cli *cli, struct gateway *g, struct err *reterr, enum err_code *ret)
{
    enum { TRIES = 5, PAUSE_MS = 10 };
    for (int i = 0; i < TRIES; i++) {
        Openshell__V1__HealthRequest req = OPENSHELL__V1__HEALTH_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        int status = ensure_own(cli, g);
        if (status != 0)
            return status;
        *ret = gateway_dial(g, reterr);
        if (*ret == ERR_OK)
            *ret = gateway_ask(g, RPC_OPEN_SHELL_HEALTH, &req.base, &m, reterr);
        if (*ret != ERR_UNAVAILABLE)
            return 0;
        rpc_client_free(g->client);
        g->client = NULL;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    return 0;
}

int gateway_open(struct cli *cli, const struct args *a, struct gateway *g)
{
    struct err err = {};
    enum err_code r = gateway_choose(a, g, &err);
    if (r == ERR_NOT_FOUND)
        return report(
            cli,
            "'openshell gateway list' shows those that are registered, 'openshell gateway add' registers "
            "one",
            "%s", err.msg);
    if (r != ERR_OK)
        return report(cli, err.msg, "no gateway can be chosen");
    int status = g->is_own ? open_own(cli, g, &err, &r) : 0;
    if (status != 0)
        return status;
    if (!g->is_own)
        r = gateway_dial(g, &err);
    if (r == ERR_UNAVAILABLE && g->is_local) // nobody listens
        return report(cli, err.msg, "no gateway runs at %s; 'openshell-gateway' starts one", g->endpoint);
    return r == ERR_OK ? 0
                       : report(cli, err.msg,
                                "cannot reach gateway '%s' at %s; start it, or register another endpoint",
                                g->name, g->endpoint);
}

int gateway_call(struct cli *cli, struct gateway *g, enum rpc_method_id method,
                 const ProtobufCMessage *request, const char *what, ProtobufCMessage **ret)
{
    struct err err = {};
    if (gateway_ask(g, method, request, ret, &err) != ERR_OK)
        return gateway_report(cli, g, what, &err);
    return 0;
}

int gateway_report(struct cli *cli, const struct gateway *g, const char *what, const struct err *err)
{
    return report(cli, err->msg, "the gateway at %s did not %s", g->endpoint, what);
}
