// gateway/compute/local.h: sandboxes as processes of openshell-sandbox on this machine.
//
// Each has a folder ID in the driver's: `home`, which is its /sandbox and stays when it is stopped, the token
// of its supervisor, the supervisor's log, and who that process is (process.h). The process does not depend
// on the gateway and lives on without it. What is in memory is found again from the folders.
#pragma once
#include "gateway/compute/driver.h"

// `env` is borrowed for all of the driver's life. The folder is made where it is missing, and what a gateway
// that was killed left half done in it goes. ERR_NOT_FOUND: no program. ERR_DENIED: the folder.
enum err_code local_new(const struct driver_env *env, struct driver **ret, struct err *reterr) NONNULL;
