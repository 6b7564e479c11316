// isolate/identity.h: which program is at the other end of a connection? (reference 3; DESIGN section 3)
//
// Works inside the sandbox's own pid namespace (its /proc lists the sandbox's processes and nothing else) and
// on a sock_diag socket of its network namespace. The 4-tuple gives the socket's inode. A label is an
// executable (by /proc/PID/exe), the ancestors up to pid 1, and their hashes.
//
// Watched (identity_watch), a connection belongs to who called connect() on its socket, as it was at that
// call (dialers.h): whoever holds the socket before or later has no say, and two that dialled it with
// different labels are refused. Where the kernel has no such notification, it belongs to the processes with a
// descriptor on that inode, in the table of any of their threads, when it arrives; holders with different
// labels are refused.
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "net/ip.h"

#include <poll.h>

enum {
    IDENTITY_ANCESTORS_MAX = 64,  // reference 10
    IDENTITY_CMDLINE_MAX = 64,    // absolute paths among argv words that are kept; ours
    IDENTITY_HOLDERS_MAX = 256,   // processes sharing one socket; ours
    IDENTITY_TEXT_MAX = 32 * KIB, // all strings of one identity
};

struct sock_pair { // as the listener sees an accepted connection
    struct ip peer, local;
    uint16_t peer_port, local_port;
};

struct identity {
    uint32_t pid; // in the sandbox's pid namespace; the lowest where several hold the socket
    struct str exe;
    struct str ancestors[IDENTITY_ANCESTORS_MAX]; // nearest first
    size_t ancestors_n;
    struct str cmdline[IDENTITY_CMDLINE_MAX];
    size_t cmdline_n;
    char hash[65]; // hex SHA-256 of exe, trust on first use
};

struct dial { // somebody calls connect(); the address is what was in memory when we looked: for the log only
    const struct identity *id;
    int fd; // of the caller's
    struct ip ip;
    uint16_t port;
};
[[nodiscard]] bool identity_is_stream(
    const struct dial *d) NONNULL; // not known of a thread's own descriptors
typedef void dialed_fn(void *ctx, const struct dial *d);

// One for a supervisor: the sock_diag socket, and the hashes seen so far (exehash.h). Not for two threads.
struct identity_table;
enum err_code identity_table_new(struct identity_table **ret, struct err *e) NONNULL;
void identity_table_free(struct identity_table *t);

// From here on every connect() of the caller's children waits until identity_serve() has noted who calls.
// Once in a process's life, and never called by one that connects itself. `dialed` is told of those to an
// address of IPv4 or IPv6; NULL: nobody is. ERR_UNSUPPORTED: the kernel has no such
// notification, or another filter of the process has it; then connections are named by their holders.
enum { IDENTITY_FDS = 2 };
enum err_code identity_watch(struct identity_table *t, dialed_fn *dialed, void *ctx, struct err *e)
    __attribute__((nonnull(1, 4)));
// What to wait for, beside other things; -1 where there is nothing. Never blocks, and reads no executable:
// that is done by a child, and the dialler waits for it.
void identity_poll(const struct identity_table *t, struct pollfd p[static IDENTITY_FDS]) NONNULL;
void identity_serve(struct identity_table *t, const struct pollfd p[static IDENTITY_FDS]) NONNULL;

// ERR_DENIED with the reference's texts (3.1 items 5, 6; 3.2: `binary integrity check failed: …`); the
// strings of *ret live in `a`. A process that ends or becomes another program meanwhile is looked for again,
// a few times. More than IDENTITY_ANCESTORS_MAX ancestors, or a process that cannot be looked at, are
// refused. Never blocks on the network. Watched, it is a look-up. Else it hashes a file the first time it is
// seen, and looks at every process, for a second holder may be anywhere.
enum err_code identity_of(struct identity_table *t, const struct sock_pair *pair, struct arena *a,
                          struct identity *ret, struct err *e) NONNULL;
