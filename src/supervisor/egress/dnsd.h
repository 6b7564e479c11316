// supervisor/egress/dnsd.h: the resolver inside the sandbox.
#pragma once
#include "supervisor/egress/egress.h"

// The reply to one query, its length; 0: none. For names that the policy admits, and no others.
size_t dnsd_reply(struct egress *e, struct str query, char *out, size_t size) NONNULL;

// Answers what is waiting on a UDP socket made in the sandbox with IP_PKTINFO (or IPV6_RECVPKTINFO) on.
void dnsd_serve(struct egress *e, int fd) NONNULL;
