// supervisor/session/ring.h: the last of what the main process said, for those who attach later.
//
// Records of at most RING_RECORD_MAX bytes in one piece of memory that never grows; the oldest make
// room for the newest. A reader is a position: it holds nothing, so a slow one costs nothing, and finds out
// that what it had not read is gone.
#pragma once
#include "base/base.h"

enum {
    RING_MAX = MIB, // bytes kept, the records' heads included; reference: policy 6.11
    RING_RECORD_MAX = 16 * KIB,
};

enum ring_source { RING_OUT, RING_ERR };

struct ring {
    char *p;                 // NULL until something is added
    uint64_t oldest, newest; // positions: of the oldest record, and behind the newest
    uint64_t first;          // how many records came before the oldest
    size_t size;             // 0 until something is added: RING_MAX then, if nobody has set it
};

void ring_done(struct ring *r);
// `s` has 1 to RING_RECORD_MAX bytes. False: no memory; it is lost.
bool ring_add(struct ring *r, enum ring_source source, struct str s) NONNULL;

// The record at *at, copied to dst, and *at moves behind it. False: there is none yet. *ret_lost: what was at
// *at is gone; *at is then that of the oldest record.
bool ring_read(const struct ring *r, uint64_t *at, enum ring_source *ret_source,
               char dst[static RING_RECORD_MAX], size_t *ret_n, bool *ret_lost) NONNULL;
