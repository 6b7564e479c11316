// gateway/check.h: what names, labels and variables may look like (reference: gateway 3.1). Each says what is
// wrong as ERR_INVALID.
#pragma once
#include "base/base.h"

enum { CHECK_ENV_MAX = 128, CHECK_LABELS_MAX = 128 };

enum err_code check_sandbox_name(struct str name, struct err *reterr) NONNULL;
enum err_code check_label(struct str key, struct str value, struct err *reterr) NONNULL;
enum err_code check_env(struct str key, struct str value, struct err *reterr) NONNULL;

// "k=v,k2=v2": whether labels, asked for by `get` (an empty str with p == NULL where there is none), have all
// of them. ERR_INVALID where the selector is none.
enum err_code check_selector(struct str selector, struct str (*get)(const void *labels, struct str key),
                             const void *labels, bool *ret, struct err *reterr)
    __attribute__((nonnull(2, 4, 5)));
