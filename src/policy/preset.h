// policy/preset.h: what the words of an endpoint's `access` stand for (reference 1.4, Access presets).
//
// One table for all who need it: compile.c, which decides by these rules, and merge.c, which writes them out
// when explicit rules join a preset.
#pragma once
#include "policy/policy.h"

// The allow rules of preset `access` under `protocol`: their number, and *ret the first of them, in a static
// table that is never freed. 0, and *ret untouched: the word is none of read-only, read-write and full, or
// the protocol knows no presets (mcp, json-rpc). A protocol without rows of its own has those of rest.
[[nodiscard]] size_t preset_rules(struct str access, struct str protocol, const struct l7_rule **ret) NONNULL;
