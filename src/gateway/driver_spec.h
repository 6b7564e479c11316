// gateway/driver_spec.h: a sandbox as its driver sees it (reference: gateway 3.3).
#pragma once
#include "base/arena.h"

#include "compute_driver.pb-c.h"
#include "openshell.pb-c.h"

// *ret lives in the arena and borrows from `s`; it has no token. ERR_INVALID: the driver's own part of
// template.driver_config is no object.
enum err_code driver_spec(const Openshell__V1__Sandbox *s, const char *driver, struct arena *a,
                          Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr) NONNULL;
