#include "base/base.h"

#include "base/utf8.h"

static const char *const code_names[] = {
    [ERR_OK] = "ok",
    [ERR_INVALID] = "invalid",
    [ERR_NOT_FOUND] = "not found",
    [ERR_EXISTS] = "exists",
    [ERR_DENIED] = "denied",
    [ERR_PRECONDITION] = "failed precondition",
    [ERR_LIMIT] = "limit",
    [ERR_TIMEOUT] = "timeout",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_INTERNAL] = "internal",
};

const char *err_code_name(enum err_code code)
{
    return (size_t)code < ARRAY_LEN(code_names) ? code_names[code] : "unknown";
}

void err_fill(struct err *e, enum err_code code, const char *fmt, ...)
{
    char msg[sizeof(e->msg)]; // not into e->msg: an argument may point there
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    utf8_clean(msg, strlen(msg));
    e->code = code;
    memcpy(e->msg, msg, strlen(msg) + 1);
}

void err_prefix(struct err *e, const char *fmt, ...)
{
    char msg[sizeof(e->msg)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof(msg) ? (size_t)n : sizeof(msg) - 1;
    (void)snprintf(msg + used, sizeof(msg) - used, ": %s", e->msg);
    utf8_clean(msg, strlen(msg));
    memcpy(e->msg, msg, strlen(msg) + 1);
}
