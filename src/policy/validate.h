// policy/validate.h: does a policy mean something that can be enforced? (reference 1.3, 1.6, 1.7)
#pragma once
#include "policy/diag.h"
#include "policy/load.h"
#include "policy/policy.h"

// Adds an error or a warning to `d` for each rule that is broken, with the key path of the place. Never fails
// otherwise: where the arena is full, d->no_room says so.
void policy_validate(const struct policy *p, enum policy_use use, struct diags *d) NONNULL;

// The ambiguity check between pairs of endpoints (reference 1.6), part of policy_validate. In a file of its
// own: its own diagnostics all begin with "network policies '".
void policy_check_ambiguity(const struct policy *p, struct diags *d) NONNULL;
