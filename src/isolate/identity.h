// isolate/identity.h: which program is at the other end of a connection? (reference 3; DESIGN section 3)
//
// Works inside the sandbox's own pid namespace (its /proc lists the sandbox's processes and nothing else) and
// on a sock_diag socket of its network namespace. The 4-tuple gives the socket's inode; its holders are the
// processes with an fd on that inode, in the table of any of their threads; each holder's label is its
// executable (by /proc/PID/exe), the ancestors up to pid 1, and their hashes. Holders with different labels
// are refused: a socket that changed hands belongs to nobody.
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "net/ip.h"

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

// One for a supervisor: the sock_diag socket, and the hashes seen so far (exehash.h). Not for two threads.
struct identity_table;
enum err_code identity_table_new(struct identity_table **ret, struct err *e) NONNULL;
void identity_table_free(struct identity_table *t);

// ERR_DENIED with the reference's texts (3.1 items 5, 6; 3.2: `binary integrity check failed: …`); the
// strings of *ret live in `a`. A process that ends or becomes another program meanwhile is looked for again,
// a few times. More than IDENTITY_ANCESTORS_MAX ancestors, or a process that cannot be looked at, are
// refused. Never blocks on the network; hashes a file the first time it is seen. Every process is looked at,
// for a second holder may be anywhere; a descriptor that is on its way (SCM_RIGHTS, not yet received) is not
// seen.
enum err_code identity_of(struct identity_table *t, const struct sock_pair *pair, struct arena *a,
                          struct identity *ret, struct err *e) NONNULL;
