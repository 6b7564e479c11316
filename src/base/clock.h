// base/clock.h: what time it is, and how long there is left.
//
// Deadlines are points on the monotonic clock in nanoseconds, so that setting the wall clock moves none of
// them. Nothing here allocates, blocks, or reads a time zone file.
#pragma once
#include "base/base.h"

enum {
    CLOCK_RFC3339_SIZE = 25, // "2026-11-23T23:45:01.123Z" and the NUL
};

[[nodiscard]] int64_t clock_ns(void);          // monotonic; its zero means nothing
[[nodiscard]] int64_t clock_realtime_ms(void); // since 1970-01-01T00:00:00Z

#define DEADLINE_NEVER INT64_MAX

[[nodiscard]] int64_t deadline_in_ms(int64_t ms); // from now; negative: now; too far to count: DEADLINE_NEVER
[[nodiscard]] bool deadline_passed(int64_t deadline_ns);

// What poll(2) takes: -1 for DEADLINE_NEVER, else milliseconds rounded up, so that a wait never ends early
// and then spins; 0 once it has passed; at most INT_MAX.
[[nodiscard]] int deadline_left_ms(int64_t deadline_ns);
[[nodiscard]] int deadline_left_ms_at(int64_t deadline_ns, int64_t now_ns); // the same, from a given now

// UTC with milliseconds (RFC 3339 section 5.6). Times outside the years 0000 to 9999 are written as the
// nearest one inside, which is all that four digits can say.
void clock_rfc3339(int64_t realtime_ms, char dst[static CLOCK_RFC3339_SIZE]) NONNULL;
