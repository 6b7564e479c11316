// net/host.h: host names. One gate for all of them: policies, CONNECT targets, Host headers, SNI, DNS
// answers.
//
// A name is 1 to 253 bytes of labels (1 to 63 bytes of letters, digits, '-' and '_') between dots, kept in
// lower case without the root dot. Labels do not begin or end with '-'. Names beyond ASCII come as A-labels
// (RFC 5890 section 2.3.2.1, "xn--…"); a U-label, a NUL, a control byte or any other byte is refused. What
// looks like an IPv4 literal in any spelling (its last label is a number, decimal, octal or hex: WHATWG URL
// "ends in a number") is not a name: net/ip.h reads it.
#pragma once
#include "base/base.h"

enum {
    HOST_MAX = 253, // RFC 1035 section 2.3.4, less the length byte and the root
    LABEL_MAX = 63, // ditto
};

struct host {
    char b[HOST_MAX + 1]; // checked, lower case, no root dot, NUL-terminated
    size_t n;
};
static inline struct str host_str(const struct host *h)
{
    return (struct str){h->b, h->n};
}

// ERR_INVALID, *reterr says which byte or label: "byte 0x2a at offset 2", "label 'a…' has 64 bytes, 63 at
// most".
enum err_code host_parse(struct str in, struct host *ret, struct err *reterr) NONNULL;

// Whether a resolver would read `in` as an IPv4 literal: its last label, less one root dot, is all digits or
// "0x" and hex digits.
[[nodiscard]] bool host_ends_in_number(struct str in);
