// cli/policy_submit.h: a change of a policy on its way: sent, said, and waited for.
#pragma once
#include "cli/gateway.h"

struct policy_submit {
    Openshell__V1__UpdateConfigRequest *req; // names the sandbox and its workspace
    bool wait;
    uint32_t timeout_s;
};
enum { POLICY_TIMEOUT_STATUS = 124 };

// Returns the exit status: 0 also where the revision was superseded meanwhile; 1 where it did not load; 124
// where it had not within the time. What happened has been said on standard error.
[[nodiscard]] int policy_submit(struct cli *cli, struct gateway *g, const struct policy_submit *s) NONNULL;

// The first 12 digits of a hash.
enum { POLICY_HASH_SIZE = 13 };
void policy_short_hash(const char *hash, char dst[static POLICY_HASH_SIZE]) NONNULL;

// --wait and --timeout, in two rows of a table.
#define POLICY_WAIT_ROWS(wait, timeout)                                                                      \
    [wait] = {.name = "wait", .type = OPT_FLAG, .help = "Return when the sandbox obeys it"},                 \
    [timeout] = {.name = "timeout",                                                                          \
                 .type = OPT_U32,                                                                            \
                 .value = "SECONDS",                                                                         \
                 .def = "60",                                                                                \
                 .help = "With --wait: at most so long, exit status 124"}
