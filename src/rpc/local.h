// rpc/local.h: where a user's own gateway and their command line meet, when nobody says otherwise.
//
// $XDG_RUNTIME_DIR/openshell/gateway.sock; without that variable /run/openshell/gateway.sock for root, and
// for others $XDG_STATE_HOME/openshell/gateway.sock, else ~/.local/state/openshell/gateway.sock. Variables
// that are empty or no absolute path do not count (XDG Base Directory Specification).
#pragma once
#include "base/base.h"

#include <sys/types.h>

enum { LOCAL_PATH_SIZE = 108 }; // of sun_path in unix(7), the NUL included

struct local_env { // NULL: not set
    uid_t uid;
    const char *runtime_dir, *state_home, *home;
};

[[nodiscard]] struct local_env local_env(void); // of this process

// ERR_NOT_FOUND: none of the variables is there. ERR_LIMIT: the path is too long for a socket.
enum err_code local_socket(const struct local_env *env, char dst[static LOCAL_PATH_SIZE],
                           struct err *reterr) NONNULL;

// Makes the folder of `path`, and those above it, with mode 0700 where they are missing. ERR_DENIED: the
// folder is another user's, or others may write to it.
enum err_code local_make_dir(const char *path, uid_t uid, struct err *reterr) NONNULL;
