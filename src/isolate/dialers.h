// isolate/dialers.h: who called connect() on which socket, noted at that call by seccomp notification.
//
// The note is taken while the caller stands in the call, so it is of the program that dials, whatever that
// becomes later and whoever is given the socket. The call then goes on as it was (nothing is decided on the
// caller's memory, which may change): what is dialled is for the listeners to see.
#pragma once
#include "isolate/exehash.h"
#include "isolate/identity.h"

enum {
    DIALERS_SOCKETS_MAX = 4096,   // noted at once; the oldest note goes first, and its connection is nobody's
    DIALERS_WAITING_MAX = 64,     // calls that wait for an executable to be read; further ones wait unseen
    DIALERS_LABELS_MAX = 4 * MIB, // bytes of all notes
};

struct dialers;
// As identity_watch(). The hashes stay the caller's.
enum err_code dialers_new(struct exehash *hashes, dialed_fn *dialed, void *ctx, struct dialers **ret,
                          struct err *e) __attribute__((nonnull(1, 4, 5)));
void dialers_free(struct dialers *d);
void dialers_poll(const struct dialers *d, struct pollfd p[static IDENTITY_FDS]) NONNULL;
void dialers_serve(struct dialers *d, const struct pollfd p[static IDENTITY_FDS]) NONNULL;

// The note on a socket, by its inode; strings in `a`. ERR_DENIED: there is none, or it names nobody.
enum err_code dialers_find(const struct dialers *d, uint32_t inode, struct arena *a, struct identity *ret,
                           struct err *e) NONNULL;
