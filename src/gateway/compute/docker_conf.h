// gateway/compute/docker_conf.h: [openshell.drivers.docker] and [openshell.drivers.podman] of the
// configuration (reference: gateway 8.2, 8.3).
#pragma once
#include "gateway/compute/docker.h"
#include "gateway/toml.h"

// Fills *ret with the defaults and what `table` says, which may be NULL. Strings live in `a`. ERR_INVALID: an
// unknown key or a value, with its line; ERR_UNSUPPORTED: a key of the interface that is not built yet.
enum err_code docker_conf(const struct toml *table, bool podman, struct arena *a, struct docker_config *ret,
                          struct err *reterr) __attribute__((nonnull(3, 4, 5)));
