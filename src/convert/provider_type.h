// convert/provider_type.h: the names that a provider's type has besides (reference: CLI 7.1).
#pragma once
#include "base/base.h"

// "claude" is "claude-code". A name that is no alias is itself.
[[nodiscard]] const char *provider_type(const char *name) NONNULL;
