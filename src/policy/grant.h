// policy/grant.h: what an endpoint allows, as a list of rules, and which of two rules allows more.
//
// Comparisons here are of words, not of languages: `/a/*` is not seen to be within `/a/**`. So "covers" is
// always true to its name, and "does not cover" may only mean that it cannot be told.
#pragma once
#include "policy/policy.h"

// The allow rules of `e`: those given, else those of its preset, else, for MCP with
// allow_all_known_mcp_methods, one that allows everything. The list lives as long as `e`.
[[nodiscard]] size_t grant_rules(const struct endpoint *e, const struct l7_rule **ret) NONNULL;

// Whether `e` is looked into at all: false for protocols "" and tcp, whose peers get every byte through.
[[nodiscard]] bool grant_is_inspected(const struct endpoint *e) NONNULL;

// Whether all that `small` allows is allowed by `big`, too.
[[nodiscard]] bool grant_covers_rule(const struct l7_rule *big, const struct l7_rule *small) NONNULL;
[[nodiscard]] bool grant_covers_rules(const struct endpoint *big, const struct endpoint *small) NONNULL;

// Endpoint paths "", `**` and `/**` are all the same (reference 1.4).
[[nodiscard]] bool grant_same_path(struct str a, struct str b);

[[nodiscard]] bool grant_has_port(const struct endpoint *e, uint32_t port) NONNULL;
[[nodiscard]] bool grant_has_binary(const struct policy_entry *e, struct str path) NONNULL;
[[nodiscard]] bool grant_is_provider_key(struct str key);
