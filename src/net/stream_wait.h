// net/stream_wait.h: for the filters of this folder: waiting on the socket at the bottom.
#pragma once
#include "net/stream.h"

// Until `fd` has one of `events` (or an error, which the next call will tell). ERR_TIMEOUT, ERR_DENIED as in
// stream.h.
enum err_code stream_poll(int fd, short events, const struct wait *w, struct err *e) NONNULL;

extern const struct stream_ops stream_socket_ops; // tells a plain socket, which may be spliced

// The stream below one that had bytes put back, and in *ret_front those not read yet; any other stream
// itself, and nothing. stream_peeled: they were taken.
[[nodiscard]] struct stream *stream_peel(struct stream *s, struct str *ret_front) NONNULL;
void stream_peeled(struct stream *s) NONNULL;
