// isolate/nl.h: netlink requests built by hand, attribute by attribute, into a fixed buffer.
//
// Only what netns.c and identity.c send: a static executable cannot link libmnl in Debian, and the whole of
// it is this page. Sizes are checked; one that does not fit fails the request, never the buffer.
#pragma once
#include "base/base.h"

#include <linux/netlink.h>

enum { NL_MAX = 64 * KIB };

struct nl {
    _Alignas(8) char b[NL_MAX];
    size_t n;
    size_t msg; // where the present message begins
    bool full;
};

void nl_begin(struct nl *m, uint16_t type, uint16_t flags, const void *head,
              size_t size) NONNULL; // a message and its fixed head
void nl_end(struct nl *m) NONNULL;  // closes it: its length
void nl_attr(struct nl *m, uint16_t type, const void *data, size_t n) NONNULL;
void nl_u32(struct nl *m, uint16_t type, uint32_t v) NONNULL;     // in host order (rtnetlink)
void nl_be32(struct nl *m, uint16_t type, uint32_t v) NONNULL;    // big endian (nfnetlink)
void nl_text(struct nl *m, uint16_t type, const char *s) NONNULL; // with its NUL
size_t nl_nest(struct nl *m, uint16_t type) NONNULL;              // returns what nl_unnest wants
void nl_unnest(struct nl *m, size_t at) NONNULL;

// Sends what was built on a socket of `protocol` and reads acknowledgements until each of `acks` came or one
// is an error. ERR_DENIED, ERR_UNSUPPORTED, …: by the kernel's errno; *reterr names `what`.
enum err_code nl_talk(int protocol, const struct nl *m, size_t acks, const char *what, struct err *e) NONNULL;
