// cli/policy_spec.h: changes of a policy in the short forms of `policy update` (reference: CLI 6.3).
//
//   HOST:PORT[:ACCESS[:PROTOCOL[:ENFORCEMENT[:OPTIONS]]]]   an endpoint; OPTIONS with commas between
//   HOST:PORT                                               one that is there
//   HOST:PORT:METHOD:PATH                                   requests to it
//
// A segment in the middle may be empty, the last may not. A host has no blank and no '/', and so is no IPv6
// address.
#pragma once
#include "policy/policy.h"

// All point into `text`, or live in `a`. ERR_INVALID says which segment, and what would be right. ERR_LIMIT.
enum err_code policy_spec_endpoint(struct str text, struct arena *a, struct endpoint *ret,
                                   struct err *reterr) NONNULL;
enum err_code policy_spec_place(struct str text, struct str *host, uint32_t *port,
                                struct err *reterr) NONNULL;
enum err_code policy_spec_rule(struct str text, struct arena *a, struct str *host, uint32_t *port,
                               struct l7_rule *ret, struct err *reterr) NONNULL;
