// isolate/users.h: who the agent is (reference 6.3), and what /etc/passwd in there says.
//
// Text in, text out: who reads the files is the caller's business.
#pragma once
#include "base/buf.h"

#include <sys/types.h>

enum {
    USERS_TEXT_MAX = MIB,      // bytes of a passwd or group file; reference 6.3
    USERS_LINE_MAX = 8 * KIB,  // reference 6.3
    USERS_FIRST = 1000,        // "sandbox" where the files do not know it: the first free id from here
    USERS_ID_MAX = 0xfffffffe, // reference 1.3
};

struct users {
    uid_t uid;
    gid_t gid;
    char name[64]; // "sandbox" where the id has no name
};

// `user` and `group` as in the policy: "sandbox", a decimal id, or empty, which is "sandbox". uid and gid 0
// are refused. `free_ids`: an id that is invented must not be anyone's in these files (root's sandbox, whose
// ids are real). ERR_INVALID: neither a name that the files know nor a number; a file that is malformed.
enum err_code users_resolve(struct str user, struct str group, struct str passwd, struct str groups,
                            bool free_ids, struct users *ret, struct err *e) NONNULL;

// The files with a line for the agent: its own replaced, else one added, home /sandbox.
enum err_code users_passwd(struct str passwd, const struct users *u, struct buf *out, struct err *e) NONNULL;
enum err_code users_group(struct str groups, const struct users *u, struct buf *out, struct err *e) NONNULL;
