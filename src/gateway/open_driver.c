#include "gateway/open_driver.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "gateway/compute/docker_conf.h"
#include "gateway/compute/local.h"

static enum err_code make_dir(const char *path, mode_t mode, struct err *reterr)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    return ERR_OK;
}

// STATE/docker for tokens, STATE/docker-gateway for the socket.
static enum err_code open_containers(const struct conf *conf, const struct driver_env *env,
                                     const struct state *state, struct rpc_server *server,
                                     struct driver **ret, struct err *reterr)
{
    bool podman = strcmp(conf->driver, "podman") == 0;
    char dir[STATE_PATH_SIZE], socket_dir[STATE_PATH_SIZE], socket[STATE_PATH_SIZE + 32];
    struct docker_config c = {};
    CLEANUP(arena_done) struct arena a; // the driver copies what it keeps
    arena_init(&a, MIB);
    const struct toml *table = conf->drivers ? toml_find(conf->drivers, str_of(conf->driver)) : NULL;
    enum err_code r = docker_conf(table, podman, &a, &c, reterr);
    if (r == ERR_OK)
        r = state_path(state, conf->driver, dir, reterr);
    if (r == ERR_OK)
        r = state_path(state, podman ? "podman-gateway" : "docker-gateway", socket_dir, reterr);
    if (r == ERR_OK)
        r = make_dir(dir, 0700, reterr);
    if (r == ERR_OK)
        r = make_dir(socket_dir, 0700, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(socket, sizeof(socket), "%s/gateway.sock", socket_dir);
    struct driver_env own = *env;
    own.state_dir = dir;
    c.socket_dir = socket_dir;
    r = docker_new(&c, &own, ret, reterr);
    return r == ERR_OK ? rpc_server_listen_unix(server, socket, reterr)
                       : err_wrap(reterr, r, "%s", conf->driver);
}

enum err_code open_driver(const struct conf *conf, const struct driver_env *env, const struct state *state,
                          struct rpc_server *server, struct driver **ret, struct err *reterr)
{
    if (conf->driver[0] && strcmp(conf->driver, "local") != 0)
        return open_containers(conf, env, state, server, ret, reterr);
    return local_new(env, ret, reterr);
}
