// base/utf8.h: well-formed UTF-8 (RFC 3629 section 4: no overlong forms, no surrogates, nothing past
// U+10FFFF).
#pragma once
#include "base/base.h"

// Bytes of the well-formed sequence at the start of `s`, 1 to 4, or 0 for a malformed or cut one.
[[nodiscard]] size_t utf8_next(struct str s);

[[nodiscard]] bool utf8_is_valid(struct str s);

// Whether the one well-formed sequence `seq` may be shown as it is: no control, DEL or C1 control, nothing
// that reorders what stands around it (U+061C, U+200E..F, U+202A..E, U+2066..9), no line or paragraph
// separator.
[[nodiscard]] bool utf8_is_plain(struct str seq);

// Overwrites what is not plain and malformed bytes of p[n] with '?'.
void utf8_clean(char *p, size_t n);

// Terminal columns that `s` takes, counting each well-formed sequence as one.
[[nodiscard]] size_t utf8_columns(struct str s);
