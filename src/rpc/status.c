#include "rpc/status.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    enum err_code err;
} rows[] = {
    [RPC_OK] = {"OK", ERR_OK},
    [RPC_CANCELLED] = {"CANCELLED", ERR_UNAVAILABLE},
    [RPC_UNKNOWN] = {"UNKNOWN", ERR_INTERNAL},
    [RPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", ERR_INVALID},
    [RPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", ERR_TIMEOUT},
    [RPC_NOT_FOUND] = {"NOT_FOUND", ERR_NOT_FOUND},
    [RPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", ERR_EXISTS},
    [RPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", ERR_DENIED},
    [RPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", ERR_LIMIT},
    [RPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", ERR_PRECONDITION},
    [RPC_ABORTED] = {"ABORTED", ERR_PRECONDITION}, // somebody else was faster: read again and retry
    [RPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", ERR_INVALID},
    [RPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", ERR_UNSUPPORTED},
    [RPC_INTERNAL] = {"INTERNAL", ERR_INTERNAL},
    [RPC_UNAVAILABLE] = {"UNAVAILABLE", ERR_UNAVAILABLE},
    [RPC_DATA_LOSS] = {"DATA_LOSS", ERR_INTERNAL},
    [RPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", ERR_DENIED},
};

// The command line ends with 1 for whatever a gateway refuses, as scripts expect; 2 is for its own arguments,
// which its parser reports without asking anyone.
static const struct {
    enum rpc_code code;
    int exit;
} ours[] = {
    [ERR_OK] = {RPC_OK, 0},
    [ERR_INVALID] = {RPC_INVALID_ARGUMENT, 1},
    [ERR_NOT_FOUND] = {RPC_NOT_FOUND, 1},
    [ERR_EXISTS] = {RPC_ALREADY_EXISTS, 1},
    [ERR_DENIED] = {RPC_PERMISSION_DENIED, 1},
    [ERR_PRECONDITION] = {RPC_FAILED_PRECONDITION, 1},
    [ERR_LIMIT] = {RPC_RESOURCE_EXHAUSTED, 1},
    [ERR_TIMEOUT] = {RPC_DEADLINE_EXCEEDED, 1},
    [ERR_UNAVAILABLE] = {RPC_UNAVAILABLE, 1},
    [ERR_UNSUPPORTED] = {RPC_UNIMPLEMENTED, 1},
    [ERR_INTERNAL] = {RPC_INTERNAL, 1},
};
static_assert(ARRAY_LEN(rows) == RPC_UNAUTHENTICATED + 1, "a row for each of gRPC's codes");
static_assert(ARRAY_LEN(ours) == ERR_INTERNAL + 1, "a row for each of our codes");

const char *rpc_code_name(enum rpc_code code)
{
    return rows[(size_t)code < ARRAY_LEN(rows) ? code : RPC_UNKNOWN].name;
}

bool rpc_code_parse(struct str digits, enum rpc_code *ret)
{
    uint64_t n = 0;
    if (!str_u64(digits, RPC_UNAUTHENTICATED, &n))
        return false;
    *ret = (enum rpc_code)n;
    return true;
}

enum rpc_code rpc_code_of(enum err_code code)
{
    return ours[(size_t)code < ARRAY_LEN(ours) ? code : ERR_INTERNAL].code;
}

enum err_code rpc_code_err(enum rpc_code code)
{
    return rows[(size_t)code < ARRAY_LEN(rows) ? code : RPC_UNKNOWN].err;
}

int rpc_exit_status(enum err_code code)
{
    return ours[(size_t)code < ARRAY_LEN(ours) ? code : ERR_INTERNAL].exit;
}

void rpc_status_set(struct rpc_status *st, enum rpc_code code, const char *fmt, ...)
{
    char text[RPC_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct err e = {};
    err_fill(&e, ERR_INTERNAL, "%s", text);
    st->code = code;
    static_assert(sizeof(st->msg) == sizeof(e.msg), "a status carries a whole error");
    memcpy(st->msg, e.msg, sizeof(st->msg));
}

bool rpc_status_of(const struct err *e, uint32_t number, struct rpc_status *ret)
{
    if (e->code == ERR_INTERNAL) {
        rpc_status_set(ret, RPC_INTERNAL, "internal error %04x", number);
        return true;
    }
    rpc_status_set(ret, rpc_code_of(e->code), "%s", e->msg);
    return false;
}

enum err_code rpc_status_err(const struct rpc_status *st, struct err *reterr)
{
    return err_set(reterr, rpc_code_err(st->code), "%s", st->msg[0] ? st->msg : rpc_code_name(st->code));
}

void rpc_percent_encode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c <= 0x7e && c != '%')
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}

void rpc_percent_decode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && text.n - i > 2 ? char_hex(text.p[i + 1]) : -1;
        int low = high >= 0 ? char_hex(text.p[i + 2]) : -1;
        if (low >= 0) {
            buf_addc(out, (char)(high * 16 + low));
            i += 2;
        } else {
            buf_addc(out, text.p[i]);
        }
    }
}
