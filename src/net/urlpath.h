// net/urlpath.h: the one canonical form of a request path, the bytes that are matched and that are forwarded.
//
// Percent-decode; split on '/'; cut ";params" off each segment; resolve "." and ".."; collapse "//"; keep a
// trailing slash; encode anew, upper-case %XX, whatever is not pchar (RFC 3986 section 3.3). Reference 2.7.
#pragma once
#include "base/base.h"

enum { URLPATH_MAX = 4096 }; // reference 2.7, bytes before and after

// `in` is the path of a request target without its query. out[URLPATH_MAX + 1] receives the canonical form,
// NUL-terminated, and *ret points into it. ERR_INVALID with the offset, "byte 0x00 at offset 7", for: empty,
// not beginning with '/', longer than URLPATH_MAX in either form, a byte below 0x20, 0x7f or beyond ASCII,
// '#', '?', a malformed %XX, a decoded control byte, %2F unless `allow_encoded_slash` (then kept, as %2F),
// ".." above the root, dot segments left over around %2F, and overlong UTF-8 in the decoded bytes (a lenient
// server may read %C0%AF as '/'; C0 and C1 begin nothing else and are refused wherever they stand). Other
// bytes beyond ASCII, and
// '\', are legal decoded and come out as %XX.
enum err_code urlpath_canonical(struct str in, bool allow_encoded_slash, char *out, struct str *ret,
                                struct err *reterr) NONNULL;
