// policy/print.h: a policy as text again.
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

// Canonical YAML, two-space block style, keys in the order of reference 1.3, 1.4 and 1.7, defaults left out,
// strings quoted only where YAML would read them as something else. Loading it gives an equal policy, and
// printing that gives the same bytes. Follows reference 1.2: one port as `port`, several as `ports`; an MCP
// rule's method
// `*` without a tool is left out, `tools/call` with a tool when allow_all_known_mcp_methods is on;
// params.name is written `tool`. What does not fit sets out->full.
void policy_print_yaml(const struct policy *p, struct buf *out) NONNULL;

// The same tree as JSON, 2-space pretty printed, keys in alphabetical order (the CLI's structured output),
// starting at `indent` columns; no newline at the end.
void policy_print_json(const struct policy *p, size_t indent, struct buf *out) NONNULL;
