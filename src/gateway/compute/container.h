// gateway/compute/container.h: what a container engine is asked for, and what it says of a container.
// Messages and JSON in, messages and JSON out; no I/O.
#pragma once
#include "base/arena.h"
#include "base/base.h"

#include "compute_driver.pb-c.h"

#include <jansson.h>

enum {
    CONTAINER_NAME_MAX = 200, // reference: gateway 8.2
    CONTAINER_PIDS = 2048,    // ditto
};

// Places inside, all below folders that no image needs.
#define CONTAINER_PROGRAM  "/opt/openshell/bin/openshell-sandbox"
#define CONTAINER_TOKEN    "/run/openshell/auth/sandbox.jwt"
#define CONTAINER_GATEWAY  "/run/openshell/gateway"
#define CONTAINER_TRUST    "/opt/openshell/ca-certificates.crt" // for images that have no bundle of their own
#define CONTAINER_ENDPOINT "unix://" CONTAINER_GATEWAY "/gateway.sock"

// Labels of everything that is ours (reference: gateway 8.1).
#define LABEL_MANAGED   "openshell.ai/managed-by"
#define LABEL_ID        "openshell.ai/sandbox-id"
#define LABEL_NAME      "openshell.ai/sandbox-name"
#define LABEL_WORKSPACE "openshell.ai/sandbox-workspace"
#define LABEL_NAMESPACE "openshell.ai/sandbox-namespace"

struct container_config {
    const char *program;    // on this machine, of openshell-sandbox
    const char *socket_dir; // on this machine: holds gateway.sock for sandboxes
    const char *token_file; // on this machine, of this sandbox
    const char *trust;      // on this machine: its bundle of CA certificates; NULL: it has none
    const char *namespace;  // LABEL_NAMESPACE: whose sandboxes these are
    const char *network;    // of the engine; NULL: its default
    uint64_t pids;          // 0: the engine's own limit
    bool bind_mounts;       // folders of this machine may be asked for
    bool podman;
};

// A path-like reference with its tag or digest: letters, digits and . _ - / : @, at most 1024 bytes.
bool container_is_image(struct str ref) NONNULL;

// Whether `container_spec` would take it. ERR_INVALID, ERR_PRECONDITION: says what, and what is right.
enum err_code container_check(const Openshell__Compute__V1__DriverSandbox *sandbox,
                              const struct container_config *config, struct err *reterr) NONNULL;

// The engine's name for the sandbox's container.
enum err_code container_name(const Openshell__Compute__V1__DriverSandbox *sandbox, struct arena *a,
                             struct str *ret, struct err *reterr) NONNULL;

// The body of "create a container". `image` is what the engine says of the image. *ret is the caller's.
enum err_code container_spec(const Openshell__Compute__V1__DriverSandbox *sandbox,
                             const struct container_config *config, const json_t *image, struct arena *a,
                             json_t **ret, struct err *reterr) NONNULL;

// What an inspected container says of its sandbox; in `a`. `words`: the end of its output, for one that
// ended. ERR_NOT_FOUND: it is none of ours.
enum err_code container_state(const json_t *inspected, struct str words, struct arena *a,
                              Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr) NONNULL;
