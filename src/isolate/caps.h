// isolate/caps.h: no capability, now or after any exec.
#pragma once
#include "base/base.h"

// The bounding and the ambient set are emptied and the securebits locked, while the process still is root: a
// change of user comes next. ERR_PRECONDITION: one of them is not empty.
enum err_code caps_bound(struct err *e) NONNULL;

// Securebits locked (where the caller may), bounding and ambient set empty, no_new_privs, permitted,
// effective and inheritable empty; then caps_check().
enum err_code caps_drop(struct err *e) NONNULL;

// ERR_PRECONDITION: something is left, and what.
enum err_code caps_check(struct err *e) NONNULL;
