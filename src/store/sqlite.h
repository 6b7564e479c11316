// store/sqlite.h: opening with other migrations than ours, for tests. Inside this layer only.
#pragma once
#include "store/schema.h"
#include "store/store.h"

enum err_code sqlite_open(struct str path, const struct migration *list, size_t n, struct store **ret,
                          struct err *reterr) __attribute__((nonnull(4, 5)));
