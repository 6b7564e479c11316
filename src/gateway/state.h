// gateway/state.h: the folder in which a gateway keeps what must survive it: the store, and the folders of
// drivers.
//
// $XDG_STATE_HOME/openshell/gateway, else ~/.local/state/openshell/gateway; for root without either
// /var/lib/openshell/gateway. One gateway at a time: it holds a lock on a file in it, which the kernel lets
// go however the process ends.
#pragma once
#include "base/base.h"

enum { STATE_PATH_SIZE = 3072 }; // bytes of a path, NUL included; ours

struct state {
    char dir[STATE_PATH_SIZE];
    int lock_fd;
};

// `given`: the folder, instead of the user's own place; NULL for that. Folders that are missing are made with
// mode 0700. ERR_NOT_FOUND: no variable says where. ERR_DENIED: the folder is not this user's alone.
// ERR_EXISTS: another gateway uses it. ERR_LIMIT: the path is too long.
enum err_code state_open(const char *given, struct state *ret, struct err *reterr)
    __attribute__((nonnull(2, 3)));
void state_done(struct state *s) NONNULL; // also one that is zeroed

// dir/name. ERR_LIMIT.
enum err_code state_path(const struct state *s, const char *name, char dst[static STATE_PATH_SIZE],
                         struct err *reterr) NONNULL;
