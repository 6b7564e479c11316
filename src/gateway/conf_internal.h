// gateway/conf_internal.h: between conf.c (options, checks) and conf_file.c (the file).
#pragma once
#include "gateway/conf.h"

#define CONF_DRIVERS "local docker podman" // that are built

[[nodiscard]] bool conf_is_driver(struct str name);
enum err_code conf_driver(struct conf *c, struct str name, struct err *reterr) NONNULL;
enum err_code conf_level(struct conf *c, struct str word, struct err *reterr) NONNULL;
enum err_code conf_addr_parse(struct str text, struct conf_addr *ret, struct err *reterr) NONNULL;
