// supervisor/spec.h: what the launcher tells init about the sandbox to build. One sealed memfd, written once.
//
// Launcher and init are the same executable, so the bytes need no version; init checks every length all the
// same.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "isolate/limits.h"
#include "net/cidr.h"
#include "policy/policy.h"

enum {
    SPEC_MAX = 16 * MIB, // argv and environment alone may have 2 MiB and more (execve(2))
};

struct init_spec {
    struct strs argv, env;             // of the agent; argv has at least one word
    struct strs read_only, read_write; // as the policy has them
    struct str root;                   // a tree of the user's own; empty: the host's
    struct str workdir;                // absolute, normal; empty: the sandbox's own /sandbox
    struct str workdir_source;         // where it is on the host
    struct str hostname, passwd, group, hosts, resolv_conf;
    struct str sockets;  // of the host: paths that somebody listens at or did, one a line
    struct cidr *ranges; // captured besides the synthetic addresses
    size_t ranges_n;
    bool workdir_writable;
    bool workdir_handed; // its mount comes as a descriptor; else init makes it
    bool nested;         // an ordinary user started it: the agent gets a user namespace of its own
    bool landlock_hard;
    bool limits_soft;
    bool tty;
    uint32_t uid, gid;
    uint64_t scratch; // bytes of memory for private files
    struct limits_want limits;
};

// One command for a sandbox that runs.
struct command_spec {
    struct strs argv, env; // all of its environment; argv has at least one word
    struct str workdir;    // empty: the sandbox's own
    bool tty;
    uint16_t cols, rows;
};

// ERR_LIMIT: more than SPEC_MAX bytes.
enum err_code spec_encode_command(const struct command_spec *s, struct buf *out, struct err *e) NONNULL;
// As spec_decode().
enum err_code spec_decode_command(struct str in, struct arena *a, struct command_spec *ret,
                                  struct err *e) NONNULL;

// ERR_LIMIT: more than SPEC_MAX bytes.
enum err_code spec_encode(const struct init_spec *s, struct buf *out, struct err *e) NONNULL;
// The strings of *ret point into `in`, the lists live in `a`. ERR_INVALID: not a specification.
enum err_code spec_decode(struct str in, struct arena *a, struct init_spec *ret, struct err *e) NONNULL;
