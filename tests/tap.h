// tests/tap.h: the few words that table tests share. Test Anything Protocol on stdout, exit status 1 on
// failure.
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_n, tap_bad; // one program, one set of tests

// One line for one rule; `fmt` names the rule that the row pins. Returns `ok`.
__attribute__((format(printf, 2, 3))) static inline bool tap_ok(bool ok, const char *fmt, ...)
{
    printf("%sok %d - ", ok ? "" : "not ", ++tap_n);
    tap_bad += !ok;
    va_list ap;
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
    return ok;
}

// A line of explanation below a failed row.
__attribute__((format(printf, 1, 2))) static inline void tap_note(const char *fmt, ...)
{
    (void)fputs("# ", stdout);
    va_list ap;
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
}

static inline int tap_done(void)
{
    printf("1..%d\n", tap_n);
    return tap_bad != 0;
}
