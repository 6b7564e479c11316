// policy/load.h: from the bytes of a policy file to a checked policy.
#pragma once
#include "policy/diag.h"
#include "policy/policy.h"

// Which validator rules apply beyond those that both sides of the reference share (reference 1.6).
enum policy_use {
    POLICY_USE_FILE,    // a file on its own (check, local run): every rule but those about providers
    POLICY_USE_GATEWAY, // what a gateway stores: reserved `_provider_` keys are refused too
};

// Reads, validates (policy_validate) and checks for ambiguity, and gives each diagnostic its line and column.
// All that is wrong with a file comes out of one call. `text` is borrowed for the call; the policy and the
// diagnostics live in `a`. ERR_OK: *ret is set, d->errors is 0, there may be warnings. ERR_INVALID: d has the
// errors, *reterr the first of them in one line. ERR_LIMIT: no room in `a`, or no memory.
enum err_code policy_load(struct str text, enum policy_use use, struct arena *a, struct policy **ret,
                          struct diags *d, struct err *reterr) NONNULL;

// Only shape and types: YAML, keys, kinds of values. For tools that go on with a policy that is not valid
// yet.
enum err_code policy_parse(struct str text, struct arena *a, struct policy **ret, struct diags *d,
                           struct err *reterr) NONNULL;
