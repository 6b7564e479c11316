// cli/autostart.h: a gateway for the user who has none: started by the first command that needs one, and left
// running when that command has ended.
//
// Of several commands at once one starts it, under a lock beside the socket, and the others wait for that.
#pragma once
#include "base/base.h"

enum { AUTOSTART_PATH_SIZE = 1024 };

struct autostart {
    const char *socket;            // where it will listen (rpc/local.h)
    char log[AUTOSTART_PATH_SIZE]; // where it tells what it does
    bool started;                  // by us, and not by another command meanwhile
};

// Returns when something listens at a->socket, at the latest after ten seconds. ERR_NOT_FOUND: there is no
// openshell-gateway, neither beside this program nor on PATH. ERR_UNAVAILABLE: it ended at once; the message
// has its last words. ERR_TIMEOUT, and what opening files can say.
enum err_code autostart(struct autostart *a, struct err *reterr) NONNULL;
