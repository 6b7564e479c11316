// gateway/compute/tree.h: folders that a sandbox wrote, taken away.
#pragma once
#include "base/base.h"

// Removes the folder `name` in the folder `dir` and all in it, as deep as it may be, without following a link
// and whatever its modes. ERR_OK too where it is not there. Nobody else may write into it meanwhile, but what
// appears late is removed as well. It may block for long.
enum err_code tree_remove(int dir, const char *name, struct err *reterr) NONNULL;
