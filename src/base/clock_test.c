#include "base/clock.h"

#include "tap.h"

#include <limits.h>
#include <time.h>

static const struct {
    int64_t ms;
    const char *want, *rule;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z", "the epoch"},
    {-1, "1969-12-31T23:59:59.999Z", "a millisecond before it"},
    {951'782'399'999, "2000-02-28T23:59:59.999Z", "the last of 28 February"},
    {951'782'400'000, "2000-02-29T00:00:00.000Z", "a century that 400 divides has a leap day"},
    {4'107'542'400'000, "2100-03-01T00:00:00.000Z", "any other has none"},
    {1'704'067'199'123, "2023-12-31T23:59:59.123Z", "the end of a year"},
    {1'735'603'200'000, "2024-12-31T00:00:00.000Z", "day 366"},
    {253'402'300'799'999, "9999-12-31T23:59:59.999Z", "the last"},
    {253'402'300'800'000, "9999-12-31T23:59:59.999Z", "one past it"},
    {INT64_MAX, "9999-12-31T23:59:59.999Z", "far past it"},
    {-62'167'219'200'000, "0000-01-01T00:00:00.000Z", "the first"},
    {-62'167'219'200'001, "0000-01-01T00:00:00.000Z", "one before it"},
    {INT64_MIN, "0000-01-01T00:00:00.000Z", "far before it"},
};

static bool like_libc(int64_t ms)
{
    char got[CLOCK_RFC3339_SIZE], want[64];
    clock_rfc3339(ms, got);
    int64_t s = ms / 1000 - (ms % 1000 < 0);
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return false;
    (void)snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms - s * 1000));
    return strcmp(got, want) == 0;
}

static void test_rfc3339(void)
{
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char got[CLOCK_RFC3339_SIZE];
        clock_rfc3339(times[i].ms, got);
        tap_ok(strcmp(got, times[i].want) == 0, "rfc3339: %s", times[i].rule);
    }
    bool ok = true;
    for (int64_t day = -719'528; day <= 2'932'896; day++) // every day of the years 0000 to 9999
        ok = ok && like_libc(day * 86'400'000 + (day * 7'919 % 86'400'000 + 86'400'000) % 86'400'000);
    tap_ok(ok, "rfc3339: each day of ten thousand years as libc has it");
}

static const struct {
    int64_t deadline, now;
    int want;
    const char *rule;
} lefts[] = {
    {DEADLINE_NEVER, 5, -1, "never is what poll calls forever"},
    {5, 5, 0, "at the deadline it has passed"},
    {4, 5, 0, "and behind it"},
    {6, 5, 1, "a nanosecond left is a millisecond of waiting"},
    {1'000'005, 5, 1, "a millisecond is one"},
    {1'000'006, 5, 2, "and a nanosecond more is two"},
    {(int64_t)INT_MAX * 1'000'000, 0, INT_MAX, "the longest that poll can say"},
    {(int64_t)INT_MAX * 1'000'000 + 1, 0, INT_MAX, "one past it"},
    {INT64_MAX - 1, INT64_MIN, INT_MAX, "a difference that overflows"},
    {INT64_MIN, INT64_MAX, 0, "long passed"},
};

static void test_deadlines(void)
{
    for (size_t i = 0; i < ARRAY_LEN(lefts); i++)
        tap_ok(deadline_left_ms_at(lefts[i].deadline, lefts[i].now) == lefts[i].want, "left: %s",
               lefts[i].rule);

    int64_t before = clock_ns(), soon = deadline_in_ms(3'600'000), after = clock_ns();
    tap_ok(soon >= before + 3'600'000'000'000 && soon <= after + 3'600'000'000'000, "in_ms: from now");
    int64_t at_once = deadline_in_ms(-5);
    tap_ok(at_once >= after && at_once <= clock_ns(), "in_ms: a negative one is now");
    tap_ok(deadline_in_ms(INT64_MAX) == DEADLINE_NEVER, "in_ms: a product that overflows is never");
    tap_ok(deadline_in_ms(INT64_MAX / 1'000'000) == DEADLINE_NEVER, "in_ms: so is a sum");
    tap_ok(!deadline_passed(soon) && deadline_passed(at_once) && deadline_passed(before),
           "passed: by the clock");
    tap_ok(!deadline_passed(DEADLINE_NEVER), "passed: never does not");
    int left = deadline_left_ms(soon);
    tap_ok(left > 3'500'000 && left <= 3'600'000, "left: by the clock");
}

static void test_clocks(void)
{
    int64_t a = clock_ns(), b = clock_ns();
    tap_ok(b >= a && a > 0, "ns: does not go back");
    bool ok = true;
    for (int i = 0; i < 1000; i++) { // often enough to see every part of a second, or nearly
        struct timespec from, to;
        (void)clock_gettime(CLOCK_REALTIME, &from);
        int64_t ms = clock_realtime_ms();
        (void)clock_gettime(CLOCK_REALTIME, &to);
        ok = ok && ms >= from.tv_sec * 1000 + from.tv_nsec / 1'000'000 &&
             ms <= to.tv_sec * 1000 + to.tv_nsec / 1'000'000;
    }
    tap_ok(ok, "realtime: as libc has it, to the millisecond");
}

int main(void)
{
    test_rfc3339();
    test_deadlines();
    test_clocks();
    return tap_done();
}
