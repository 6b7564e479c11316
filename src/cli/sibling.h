// cli/sibling.h: the other programs of OpenShell, as this one finds them.
#pragma once
#include "base/base.h"

enum { SIBLING_PATH_SIZE = 1024 };

// Beside this program's own file, else on PATH (absolute folders only). False: nowhere.
[[nodiscard]] bool sibling_find(const char *name, char dst[static SIBLING_PATH_SIZE]) NONNULL;
