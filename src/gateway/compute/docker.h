// gateway/compute/docker.h: sandboxes as containers of Docker, or of Podman by its Docker-compatible API.
#pragma once
#include "base/log.h"
#include "gateway/compute/driver.h"

enum pull_policy { PULL_IF_MISSING, PULL_ALWAYS, PULL_NEVER };

enum {
    DOCKER_STOP_S = 10,          // reference: gateway 8.2
    DOCKER_PROVISIONING_MAX = 64 // sandboxes on their way to a container; ours
};

struct docker_config {
    bool podman;
    const char *socket;        // of the engine; NULL: where it usually is, see docker_socket()
    const char *default_image; // "": none
    enum pull_policy pull;
    const char *network;    // NULL: the engine's default
    const char *namespace;  // tells this gateway's containers from another's; reference: sandbox_namespace
    const char *socket_dir; // holds gateway.sock, which only supervisors are served at
    uint64_t pids;
    bool bind_mounts;
};

// Where the engine listens: DOCKER_HOST or CONTAINER_HOST where it is a unix:// address, the user's own
// socket where it is there, else the system's. In `dst` of `size` bytes.
enum err_code docker_socket(bool podman, char *dst, size_t size, struct err *reterr) NONNULL;

// Asks the engine for its version. `env` and `config` are copied. ERR_UNAVAILABLE, ERR_DENIED: the engine.
// ERR_UNSUPPORTED: its API is older than 1.41.
enum err_code docker_new(const struct docker_config *config, const struct driver_env *env,
                         struct driver **ret, struct err *reterr) NONNULL;
