// cli/registry.h: the gateways that the user has registered, on disk, in the files that other clients read
// too (reference: CLI 2.1, 2.2 and 2.6; gateway 10.1).
//
//   $XDG_CONFIG_HOME/openshell/active_gateway               a name
//   $XDG_CONFIG_HOME/openshell/gateways/NAME/metadata.json
//   $XDG_CONFIG_HOME/openshell/gateways/NAME/last_sandbox   a workspace and a name, a line each
//   /etc/openshell (OPENSHELL_SYSTEM_GATEWAY_DIR)           the first two, read only, behind the user's own
#pragma once
#include "base/arena.h"

#include <limits.h>

enum {
    REGISTRY_NAME_SIZE = 256,     // a path component and its NUL
    REGISTRY_ENDPOINT_SIZE = 300, // ours
    REGISTRY_HOST_SIZE = 256,
    REGISTRY_FILE_MAX = 64 * KIB, // ours
};

struct registry {
    char user[PATH_MAX], system[PATH_MAX]; // their folders; empty: there is none
};

struct registered {
    char name[REGISTRY_NAME_SIZE], endpoint[REGISTRY_ENDPOINT_SIZE];
    char auth[32];                                                           // auth_mode, or ""
    char remote_host[REGISTRY_HOST_SIZE], resolved_host[REGISTRY_HOST_SIZE]; // or ""
    bool is_remote, is_system;
};

// A name is one component of a path: no '/', not "." or "..", not empty.
[[nodiscard]] bool registry_is_name(const char *name) NONNULL;

void registry_init(struct registry *r) NONNULL; // from the environment

// ERR_NOT_FOUND: no such gateway. ERR_INVALID: its file is not understood; it is not looked for elsewhere.
enum err_code registry_find(const struct registry *r, const char *name, struct registered *ret,
                            struct err *reterr) NONNULL;
// All, by name; those whose file is not understood are left out.
enum err_code registry_list(const struct registry *r, struct arena *a, struct registered **ret, size_t *ret_n,
                            struct err *reterr) NONNULL;
// The name in active_gateway, of the user or else of the system. False: none, or none that is a name.
[[nodiscard]] bool registry_active(const struct registry *r, char ret[static REGISTRY_NAME_SIZE]) NONNULL;

// What the user has. ERR_NOT_FOUND: there is no place for it (neither HOME nor XDG_CONFIG_HOME).
enum err_code registry_add(const struct registry *r, const struct registered *g, struct err *reterr) NONNULL;
enum err_code registry_select(const struct registry *r, const char *name, struct err *reterr) NONNULL;
enum err_code registry_deselect(const struct registry *r, struct err *reterr) NONNULL;
// Metadata, tokens and the note of the last sandbox; not the folder of certificates.
enum err_code registry_remove(const struct registry *r, const char *name, struct err *reterr) NONNULL;

// Takes over ca.crt, client/tls.crt and client/tls.key of the folder `from` as the gateway's certificates,
// all of them or none. ERR_NOT_FOUND: one of them is not there.
enum err_code registry_import(const struct registry *r, const char *name, const char *from,
                              struct err *reterr) NONNULL;

// The folder of a gateway's certificates, there or not: its name with all but letters, digits, '.', '-' and
// '_' made
// '_'.
void registry_bundle(const struct registry *r, const char *name, char dst[static PATH_MAX]) NONNULL;

// ---- the sandbox that was used last. A gateway's name that is no file name is made one.

enum { REGISTRY_SANDBOX_SIZE = 256 };
// False: none is known in that workspace.
[[nodiscard]] bool registry_last(const struct registry *r, const char *gateway, const char *workspace,
                                 char ret[static REGISTRY_SANDBOX_SIZE]) NONNULL;
enum err_code registry_set_last(const struct registry *r, const char *gateway, const char *workspace,
                                const char *sandbox, struct err *reterr) NONNULL;
// Forgets it where it is that one.
void registry_clear_last(const struct registry *r, const char *gateway, const char *workspace,
                         const char *sandbox) NONNULL;
