#include "cli/gateway.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "rpc/local.h"

enum { WAIT_MS = 10'000, ANSWER_MAX = 8 * MIB }; // 10 s: reference: CLI 2.4

const struct opt gateway_opts[GATEWAY_OPTS] = {GATEWAY_OPT_ROWS};

bool gateway_wants_json(const struct args *a)
{
    return args_is(a, &a->cmd->opts[GATEWAY_OPT_OUTPUT], "json");
}

void gateway_init(struct gateway *g)
{
    *g = (struct gateway){};
    arena_init(&g->arena, ANSWER_MAX);
}

void gateway_done(struct gateway *g)
{
    rpc_client_free(g->client);
    arena_done(&g->arena);
}

// The user's own socket, if there is one. One that another user made is none.
static bool find_local(char dst[static GATEWAY_ENDPOINT_MAX])
{
    char path[LOCAL_PATH_SIZE];
    struct err err = {};
    struct stat st;
    const struct local_env env = local_env();
    if (local_socket(&env, path, &err) != ERR_OK || lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode) ||
        st.st_uid != env.uid)
        return false;
    (void)snprintf(dst, GATEWAY_ENDPOINT_MAX, "unix://%s", path);
    return true;
}

enum err_code gateway_choose(const struct args *a, struct gateway *g, struct err *reterr)
{
    const char *given = args_value(a, &a->cmd->opts[GATEWAY_OPT_ENDPOINT]);
    if (given && given[0]) {
        if (!str_cstr(str_of(given), g->endpoint, sizeof(g->endpoint)))
            return err_set(reterr, ERR_LIMIT, "its address is longer than %d bytes",
                           GATEWAY_ENDPOINT_MAX - 1);
    } else if (!find_local(g->endpoint)) {
        return err_set(reterr, ERR_NOT_FOUND,
                       "start one with 'openshell-gateway', or name one with --gateway-endpoint URL");
    }
    g->local = str_starts(str_of(g->endpoint), STR("unix:"));
    return ERR_OK;
}

enum err_code gateway_dial(struct gateway *g, struct err *reterr)
{
    const struct rpc_wait wait = {deadline_in_ms(WAIT_MS), -1};
    return rpc_dial(str_of(g->endpoint), &RPC_CONFIG_CLIENT, &wait, &g->client, reterr);
}

enum err_code gateway_ask(struct gateway *g, enum rpc_method_id method, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, struct err *reterr)
{
    const struct rpc_wait wait = {deadline_in_ms(WAIT_MS), -1};
    return rpc_unary(g->client, method, request, &wait, &g->arena, ret, reterr);
}

int gateway_open(struct cli *cli, const struct args *a, struct gateway *g)
{
    struct err err = {};
    enum err_code r = gateway_choose(a, g, &err);
    if (r == ERR_NOT_FOUND)
        return report(cli, err.msg, "no gateway is configured");
    if (r == ERR_OK)
        r = gateway_dial(g, &err);
    if (r == ERR_UNAVAILABLE && g->local) // nobody listens
        return report(cli, err.msg, "no gateway runs at %s; 'openshell-gateway' starts one", g->endpoint);
    return r == ERR_OK ? 0 : report(cli, err.msg, "cannot reach the gateway at %s", g->endpoint);
}

int gateway_report(struct cli *cli, const struct gateway *g, const char *what, const struct err *err)
{
    return report(cli, err->msg, "the gateway at %s did not %s", g->endpoint, what);
}
