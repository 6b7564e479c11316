// supervisor/monitor_wire.h: the bytes between egress and supervisor, for monitor.c, its test and its fuzz
// target.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "isolate/identity.h"

enum mon_kind { MON_IDENTIFY = 1 };

struct mon_request { // exactly this many bytes
    uint32_t kind;
    uint32_t serial; // comes back with the answer, so that one that came too late is known
    struct sock_pair pair;
};

struct mon_answer {
    uint32_t code;   // enum err_code; but for ERR_OK only exe_len counts, and the text is the message
    uint32_t serial; // of the request
    uint32_t pid, ancestors_n, cmdline_n;
    uint16_t exe_len;
    uint16_t ancestor_len[IDENTITY_ANCESTORS_MAX];
    uint16_t cmdline_len[IDENTITY_CMDLINE_MAX];
    char hash[65];
};

// False: it does not fit.
[[nodiscard]] bool mon_encode(enum err_code code, const struct identity *id, const char *msg,
                              struct buf *out) NONNULL;
// An encoded answer becomes the one to that request.
void mon_number(struct buf *out, uint32_t serial) NONNULL;
[[nodiscard]] bool mon_is_to(struct str in, uint32_t serial); // false: to another request, or cut
// ERR_INTERNAL: not an answer. Other codes: the supervisor's own.
enum err_code mon_decode(struct str in, struct arena *a, struct identity *ret, struct err *e) NONNULL;
