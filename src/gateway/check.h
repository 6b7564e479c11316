// gateway/check.h: what names, labels and variables may look like (reference: gateway 3.1). Each says what is
// wrong as ERR_INVALID.
#pragma once
#include "base/arena.h"
#include "store/store.h"

enum { CHECK_ENV_MAX = 128, CHECK_LABELS_MAX = 128, CHECK_ANNOTATION_MAX = 8192 };

enum err_code check_sandbox_name(struct str name, struct err *reterr) NONNULL;
enum err_code check_label(struct str key, struct str value, struct err *reterr) NONNULL;
enum err_code check_env(struct str key, struct str value, struct err *reterr) NONNULL;

// The same for an annotation, whose value may be any text.
enum err_code check_annotation(struct str key, struct str value, struct err *reterr) NONNULL;

// "k=v,k2=v2" as labels that an object must have all of, in the arena. *ret_none: two pairs contradict each
// other, so that nothing has them. ERR_INVALID: no selector.
enum err_code check_selector(struct str selector, struct arena *a, struct store_label **ret, size_t *ret_n,
                             bool *ret_none, struct err *reterr) NONNULL;
