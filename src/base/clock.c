#include "base/clock.h"

#include <limits.h>
#include <time.h>

static const int64_t NS_PER_MS = 1'000'000;
static const int64_t MS_PER_DAY = 86'400'000;

// Both clocks exist on every Linux and both structs are ours, so clock_gettime has nothing to fail on.
static struct timespec now_of(clockid_t id)
{
    struct timespec ts = {};
    int r = clock_gettime(id, &ts);
    assert(r == 0);
    (void)r;
    return ts;
}

int64_t clock_ns(void)
{
    struct timespec ts = now_of(CLOCK_MONOTONIC);
    return (int64_t)ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

int64_t clock_realtime_ms(void)
{
    struct timespec ts = now_of(CLOCK_REALTIME);
    return (int64_t)ts.tv_sec * 1'000 + ts.tv_nsec / NS_PER_MS;
}

int64_t deadline_in_ms(int64_t ms)
{
    int64_t deadline;
    if (ms < 0)
        ms = 0;
    if (__builtin_mul_overflow(ms, NS_PER_MS, &deadline) ||
        __builtin_add_overflow(deadline, clock_ns(), &deadline))
        return DEADLINE_NEVER;
    return deadline;
}

bool deadline_passed(int64_t deadline_ns)
{
    return deadline_ns != DEADLINE_NEVER && clock_ns() >= deadline_ns;
}

int deadline_left_ms_at(int64_t deadline_ns, int64_t now_ns)
{
    if (deadline_ns == DEADLINE_NEVER)
        return -1;
    if (now_ns >= deadline_ns)
        return 0;
    int64_t left;
    if (__builtin_sub_overflow(deadline_ns, now_ns, &left))
        return INT_MAX;
    int64_t ms = left / NS_PER_MS + (left % NS_PER_MS > 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int deadline_left_ms(int64_t deadline_ns)
{
    return deadline_left_ms_at(deadline_ns, clock_ns());
}

// Not gmtime_r: glibc's reads the time zone file at its first call, which a process without files cannot.
// The count runs in years that begin on 1 March, so that the leap day is a year's last, and in eras of 400
// years, which all have 146097 days.
static void civil_of_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719'468; // from 0000-03-01 to 1970-01-01
    int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    int64_t of_era = days - era * 146'097;
    int64_t y = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) /
                153; // 0 is March; five months from March and five from August have 153 days
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static void put_digits(char *dst, int width, int64_t value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        dst[i] = (char)('0' + value % 10);
}

void clock_rfc3339(int64_t realtime_ms, char dst[static CLOCK_RFC3339_SIZE])
{
    const int64_t first = -62'167'219'200'000; // 0000-01-01T00:00:00.000Z
    const int64_t last = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z
    int64_t ms = realtime_ms < first ? first : realtime_ms > last ? last : realtime_ms;
    int64_t days = (ms >= 0 ? ms : ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
    int64_t of_day = ms - days * MS_PER_DAY;
    int64_t year;
    int month, day;
    civil_of_days(days, &year, &month, &day);

    memcpy(dst, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_SIZE);
    put_digits(dst, 4, year);
    put_digits(dst + 5, 2, month);
    put_digits(dst + 8, 2, day);
    put_digits(dst + 11, 2, of_day / 3'600'000);
    put_digits(dst + 14, 2, of_day / 60'000 % 60);
    put_digits(dst + 17, 2, of_day / 1'000 % 60);
    put_digits(dst + 20, 3, of_day % 1'000);
}
