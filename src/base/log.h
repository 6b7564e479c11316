// base/log.h: one line for one event.
//
//   2026-11-23T23:45:01.123Z info egress.deny sandbox=s-41 rule=7 host="evil.test" why=no-rule
//
// Libraries return errors; programs log them, once, where they are handled. A line is an event name and
// fields and leaves in one write(2) of at most LOG_LINE_MAX bytes, which a pipe does not tear apart
// (PIPE_BUF), so several threads and processes may share a descriptor. Nothing here allocates; it blocks only
// as that write(2) does.
//
//   log_info(&log, "egress.deny", LOG_WORD("sandbox", id), LOG_U64("rule", 7), LOG_STR("host", host));
#pragma once
#include "base/base.h"

#include <stdatomic.h>

enum {
    LOG_LINE_MAX = 4096,  // PIPE_BUF on Linux, newline included
    LOG_VALUE_MAX = 1024, // bytes of one string as written; ours: no one string takes the whole line
};

enum log_level {       // not LOG_INFO and so on: <syslog.h> has taken those
    LOG_LEVEL_ERROR,   // someone must act
    LOG_LEVEL_WARNING, // something was wrong and we went on
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG, // costs nothing while it is off: arguments are not even computed
};

// Made once in main() and lent to everyone; only `lost` changes afterwards.
struct log {
    int fd; // borrowed
    enum log_level level;
    bool time;        // begin with the time; off where the reader adds one, as journald does
    bool colour;      // of the level; the caller asks isatty() and NO_COLOR
    atomic_uint lost; // lines that could not be written since the last one that could, which says so
};

struct log_field {
    const char *name; // ours: [a-z0-9_]+
    enum log_kind { LOG_KIND_STR, LOG_KIND_WORD, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_BOOL } kind;
    struct str s;
    uint64_t u;
    int64_t i;
};

// Strings from outside: always quoted. What is not printable becomes \n, \r, \t or \xHH for each byte, so a
// value cannot end the line, close its quotes, reorder or colour a terminal, and reads back exactly.
// One longer than LOG_VALUE_MAX is cut and has "..." behind its closing quote.
#define LOG_STR(field, v) ((struct log_field){.name = (field), .kind = LOG_KIND_STR, .s = (v)})
// Words of ours (ids, enum names): bare when made of [A-Za-z0-9._:/@+-], else quoted as above.
#define LOG_WORD(field, v) ((struct log_field){.name = (field), .kind = LOG_KIND_WORD, .s = (v)})
#define LOG_U64(field, v)  ((struct log_field){.name = (field), .kind = LOG_KIND_U64, .u = (v)})
#define LOG_I64(field, v)  ((struct log_field){.name = (field), .kind = LOG_KIND_I64, .i = (v)})
#define LOG_BOOL(field, v) ((struct log_field){.name = (field), .kind = LOG_KIND_BOOL, .u = (v)})
#define LOG_REASON(e)      LOG_WORD("code", str_of(err_code_name((e)->code))), LOG_STR("error", str_of((e)->msg))

// Fields that do not fit any more are left out whole, and the line ends in " cut=true". An unwritable
// descriptor (full pipe, full disk) loses the line and counts it in l->lost.
void log_line(struct log *l, enum log_level level, const char *event, const struct log_field *fields,
              size_t n) __attribute__((nonnull(1, 3)));

// The same line without its newline into dst[LOG_LINE_MAX], for other sinks and for tests; returns its
// length.
size_t log_format(const struct log *l, enum log_level level, int64_t realtime_ms, const char *event,
                  const struct log_field *fields, size_t n, char dst[static LOG_LINE_MAX])
    __attribute__((nonnull(1, 4, 7)));

#define log_at(l, at, event, ...)                                                                            \
    do {                                                                                                     \
        if ((at) <= (l)->level) {                                                                            \
            const struct log_field log_fields_[] = {{}, ##__VA_ARGS__};                                      \
            log_line((l), (at), (event), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);                       \
        }                                                                                                    \
    } while (0)
#define log_error(l, ...)   log_at((l), LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(l, ...) log_at((l), LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(l, ...)    log_at((l), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(l, ...)   log_at((l), LOG_LEVEL_DEBUG, __VA_ARGS__)

// "error", "warning", "info", "debug", as on a command line. False: *ret untouched.
[[nodiscard]] bool log_level_parse(struct str word, enum log_level *ret) NONNULL;
