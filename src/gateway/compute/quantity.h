// gateway/compute/quantity.h: amounts as Kubernetes writes them (reference: gateway 3.3, 8.2).
#pragma once
#include "base/base.h"

// "500m", "2", "1.5" as thousandths of a processor, rounded up; at least 1. False: malformed, zero, or more
// than 1'000'000 processors.
bool quantity_cpu_milli(struct str s, uint64_t *ret) NONNULL;
// "512Mi", "2G", "1.5Gi", "1048576", "1e9" as bytes, rounded up. Suffixes k M G T P E and Ki Mi Gi Ti Pi Ei.
// False: malformed, zero, or more than 2^62.
bool quantity_bytes(struct str s, uint64_t *ret) NONNULL;
