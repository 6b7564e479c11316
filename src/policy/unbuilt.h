// policy/unbuilt.h: what a policy may say and openshell-sandbox cannot enforce yet. The sandbox refuses it,
// and so does a gateway, before anything is stored.
#pragma once
#include "policy/policy.h"

// ERR_UNSUPPORTED: names the first such thing.
enum err_code policy_unbuilt(const struct policy *p, struct err *e) NONNULL;
