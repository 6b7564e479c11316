// gateway/workspace.h: the tenants. Every object belongs to one.
//
// Any worker; never the loop. A workspace is stored under kind "workspace", of the platform's own workspace
// "".
#pragma once
#include "store/store.h"

#include "openshell.pb-c.h"

#define WORKSPACE_DEFAULT "default"

enum workspace_use { WORKSPACE_READ, WORKSPACE_WRITE }; // WRITE: no while it is being deleted

// The workspace that a request means by `given` ("" is "default"); *ret lives in the arena. ERR_NOT_FOUND:
// "workspace 'W' not found". ERR_PRECONDITION: "workspace 'W' is being deleted".
enum err_code workspace_check(struct store *st, const char *given, enum workspace_use use, struct arena *a,
                              struct str *ret, struct err *reterr) NONNULL;

// At start: makes "default" where it is missing.
enum err_code workspace_ensure_default(struct store *st, struct err *reterr) NONNULL;
