// gateway/compute/mounts.h: driver_config.mounts of a sandbox on a container engine (reference: gateway 8.2).
#pragma once
#include "base/arena.h"
#include "base/base.h"

#include "compute_driver.pb-c.h"

#include <jansson.h>

enum { MOUNTS_MAX = 64 }; // ours

enum mount_type { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS };

struct mount {
    enum mount_type type;
    struct str source, target; // target: absolute and normal; source: a volume's name or an absolute path
    bool read_only;
    uint64_t size; // of a tmpfs in bytes; 0: no limit of its own
    uint32_t mode; // of a tmpfs; 0: 01777
};

struct mounts {
    struct mount *v; // [n]
    size_t n;
};

// An absent `config` has none. Strings live in `a`. ERR_INVALID: an unknown key, a type, a target that covers
// what the sandbox is made of. ERR_PRECONDITION: folders of the machine that the gateway does not allow.
enum err_code mounts_parse(const Google__Protobuf__Struct *config, bool bind_allowed, struct arena *a,
                           struct mounts *ret, struct err *reterr) __attribute__((nonnull(3, 4, 5)));

// As the engine wants them, behind those that are in `list`.
void mounts_json(const struct mounts *m, json_t *list) NONNULL;
