// cmd/yaml_out.h: structured results as YAML: the tree of json_out.h in block style, keys in alphabetical
// order.
#pragma once
#include "base/jsonw.h"
#include "cmd/json_out.h"

// False: no memory, or deeper than our answers are.
[[nodiscard]] bool yaml_write(const json_t *root, struct buf *out) NONNULL;

// As json_out(): takes `root` over, NULL and !ok are reported. Returns the exit status.
[[nodiscard]] int yaml_out(struct cli *cli, json_t *root, bool ok) __attribute__((nonnull(1)));
