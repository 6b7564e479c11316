// base/secret.h: bytes that must not leave by accident.
//
// A secret lives in pages of its own: left out of core dumps, kept out of swap where the limit on locked
// memory allows it, wiped when it goes, and fenced by pages without access, so that an overrun of a neighbour
// ends the process instead of reading it. There is no function that formats one, and struct secret fits no
// %s. Not for use by two threads at once while one of them changes it.
#pragma once
#include "base/base.h"

enum {
    SECRET_MAX = MIB, // bytes; ours: the longest credentials are service account files of a few KiB
};

struct secret {
    struct secret_pages *pages; // NULL: not set
};

// A copy of `bytes`, which the caller then wipes (secret_wipe). ERR_LIMIT: above SECRET_MAX, or no memory.
enum err_code secret_init(struct secret *ret, struct str bytes, struct err *reterr) NONNULL;

// The rest of `fd`, without a copy anywhere else in the process. One newline at the end is dropped: files and
// pipes from a shell have one, no credential does. ERR_LIMIT: more than `max` bytes, that newline not
// counted.
enum err_code secret_read(int fd, size_t max, struct secret *ret, struct err *reterr) NONNULL;

void secret_done(struct secret *s); // wipes and unmaps; NULL and one that is not set are fine

[[nodiscard]] static inline bool secret_is_set(const struct secret *s)
{
    return s->pages != NULL;
}

// In a time that depends on the lengths only. One that is not set equals nothing, not even the empty string.
[[nodiscard]] bool secret_eq(const struct secret *s, struct str guess) NONNULL;

// The bytes, for the system call or library that needs them; borrowed until secret_done. Named so that a
// review finds each place by a search for it. Must be set.
[[nodiscard]] struct str secret_expose(const struct secret *s) NONNULL;

// A buf that is born with all its room, so that it never moves and leaves nothing behind, and is wiped when
// it goes. Without memory for it it is full from the start.
struct buf;
void secret_buf_init(struct buf *b, size_t max) NONNULL;
void secret_buf_done(struct buf *b); // NULL is fine

// Wipes a copy that was on the stack or in a buffer, where the compiler may not leave it out.
void secret_wipe(void *p, size_t n) NONNULL;
