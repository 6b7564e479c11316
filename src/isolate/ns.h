// isolate/ns.h: a process in namespaces of its own.
#pragma once
#include "base/base.h"

#include <sys/types.h>

enum {
    NS_FDS_MAX = 8,      // descriptors handed to a new process: they become 3, 4, …
    NS_EXEC_FAILED = 122 // exit status of a child that could not become the new program
};

struct ns_spawn {
    const char *const *argv; // argv[0] is a name only: what runs is /proc/self/exe
    const char *const *envp;
    const int *fds; // fds[i] becomes 3 + i; everything else above 2 is closed
    size_t fds_n;
    bool isolated; // new user, mount, pid, network, ipc, uts and cgroup namespaces; else none
    // Called in the parent once the child exists and before it runs a single instruction of its program, to
    // put it under limits. May be NULL.
    enum err_code (*placed)(void *ctx, pid_t pid, struct err *e);
    void *ctx;
};

struct ns_child {
    pid_t pid;
    int pidfd;
};

// Starts our own executable again. The child dies with the calling thread (PDEATHSIG), isolated or not; an
// isolated one is root of a user namespace that maps all ids onto themselves where the caller is root, else
// its own uid and gid onto 0, without setgroups. ERR_UNSUPPORTED: the kernel or the machine's rules refuse
// user namespaces, with what to change. The caller has one thread.
enum err_code ns_spawn(const struct ns_spawn *s, struct ns_child *ret, struct err *e) NONNULL;

// In the new process, first thing: dies with its parent from here on, also across what clears PDEATHSIG in
// exec. `control` is a socket whose other end only the parent has: were the parent gone already, it would be
// at its end. ERR_UNAVAILABLE: it is.
enum err_code ns_tie(int control, struct err *e) NONNULL;

// A user namespace in which one range map is in force, for an idmapped mount; as root. Lines as in uid_map.
enum err_code ns_idmap(const char *uid_map, const char *gid_map, int *ret_fd, struct err *e) NONNULL;

// The calling process, inside an isolated one of an ordinary user, becomes uid:gid of one more user
// namespace, where it has nothing to say over the outer one's.
enum err_code ns_nest(uid_t uid, gid_t gid, struct err *e) NONNULL;
