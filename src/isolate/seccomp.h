// isolate/seccomp.h: which system calls are left. Both set no_new_privs and hold for good.
#pragma once
#include "base/base.h"

// For the agent: an allow-list. What it leaves out is EPERM, or ENOSYS where C libraries then fall back
// (clone3, numbers newer than this list); another architecture's calls, x32 among them, kill. The calling
// thread only: call it before there are others. ERR_UNSUPPORTED: the kernel refuses filters.
enum err_code seccomp_agent(struct err *e) NONNULL;

// For the egress: threads, sockets, memory, clock, random. Opening files and AF_UNIX are errors, all else
// kills the process. Under AddressSanitizer, whose runtime needs more, a short list of denials instead.
enum err_code seccomp_egress(struct err *e) NONNULL;

// Every connect() of the calling process and of those it will start waits for an answer over *ret_listener
// (seccomp_unotify(2)); the others go on. Before seccomp_agent(), which lets nobody do this any more.
// ERR_UNSUPPORTED: the kernel has no such notification, or there is a listener already.
enum err_code seccomp_watch_connect(int *ret_listener, struct err *e) NONNULL;
