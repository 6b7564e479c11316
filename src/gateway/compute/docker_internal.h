// gateway/compute/docker_internal.h: what docker.c, docker_provision.c and docker_watch.c share.
#pragma once
#include "base/buf.h"
#include "gateway/compute/container.h"
#include "gateway/compute/docker.h"
#include "gateway/compute/engine.h"

#include <pthread.h>

#define DOCKER_API "/v1.41"

enum { DOCKER_PATH = 4096, DOCKER_ID = 64, DOCKER_ARENA = 8 * MIB };

// A sandbox that has no container yet, or whose container could not be made. The latter stays until it is
// removed, so that somebody can ask why.
struct provision {
    struct docker *docker;
    struct provision *next;
    char id[DOCKER_ID];
    struct buf packed;  // DriverSandbox
    const char *reason; // why it failed; NULL: under way
    char message[400];
    bool cancelled; // by remove; the thread gives up at its next step
    bool running;   // its thread
};

struct docker {
    struct driver driver; // first
    struct engine *engine;
    struct docker_config config;
    char program[DOCKER_PATH], state_dir[DOCKER_PATH], socket_dir[DOCKER_PATH];
    char namespace[64], network[128], image[1100], version[64];
    struct log *log;
    struct driver_events events;
    pthread_t watcher;
    bool watching;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    struct provision *provisions;
    size_t provisions_n;
    bool ending;
};

// ---- docker.c

void docker_tell(struct docker *d, const Openshell__Compute__V1__DriverSandbox *now) NONNULL;
void docker_event(struct docker *d, const char *id, const char *reason, const char *message,
                  const char *const *metadata)
    __attribute__((nonnull(1, 2, 3, 4))); // "key", "value", …, NULL
struct container_config docker_container_config(const struct docker *d, const char *token_file) NONNULL;
bool docker_token_path(const struct docker *d, const char *id, char dst[static DOCKER_PATH]) NONNULL;
// The id of the engine's container for a sandbox, in `a`. ERR_NOT_FOUND.
enum err_code docker_find(struct docker *d, struct str sandbox_id, struct arena *a, struct str *ret,
                          struct err *reterr) NONNULL;
// Its state. ERR_NOT_FOUND.
enum err_code docker_inspect(struct docker *d, struct str container, struct arena *a,
                             Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr) NONNULL;

// ---- docker_provision.c

enum err_code provision_start(struct docker *d, const Openshell__Compute__V1__DriverSandbox *sandbox,
                              struct err *reterr) NONNULL;
// What a provision says of its sandbox; with the lock held. NULL: no memory.
Openshell__Compute__V1__DriverSandbox *provision_state(const struct provision *p, struct arena *a) NONNULL;
// With the lock held, which it lets go of while it waits: gives up, and forgets. False: there is none.
bool provision_cancel(struct docker *d, struct str id) NONNULL;

// ---- docker_watch.c

enum err_code watch_start(struct docker *d, struct err *reterr) NONNULL;
void watch_end(struct docker *d) NONNULL;
